"""``torch.utils.checkpoint``: less memory, for computing parts of the forward pass twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ...autodiff import checkpoint as _checkpoint
from .._names import mirrored

__getattr__, __dir__ = mirrored(__name__)


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
    context_fn: Any = None,
    determinism_check: str = "default",
    debug: bool = False,
    **kwargs: Any,
) -> Any:
    """``function(*args)``, which is computed again in the backward pass; see ``cr.checkpoint``."""
    return _checkpoint(function, *args, **kwargs)


def checkpoint_sequential(
    functions: Iterable[Callable[..., Any]], segments: int, input: Any, **options: Any
) -> Any:
    """The functions one after the other, in `segments` parts that are computed again."""
    parts = list(functions)
    size = max(len(parts) // segments, 1)
    starts = [i * size for i in range(segments)]
    for start, stop in zip(starts, [*starts[1:], len(parts)], strict=True):

        def run(x: Any, chosen: list[Any] = parts[start:stop]) -> Any:
            for function in chosen:
                x = function(x)
            return x

        input = _checkpoint(run, input)
    return input
