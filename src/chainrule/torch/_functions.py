"""Functions that are methods: ``torch.add(x, y, alpha=2)`` is ``x.add(y, alpha=2)``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ..core.value import Value
from ..tensor import Tensor
from ._calls import adapted, filled

_RICHER_TEXT: Final = """
    add all amax amin any argmax argmin cumprod cumsum div divide log_softmax logsumexp max mean
    min prod softmax std sub subtract sum true_divide var
"""
RICHER: Final = frozenset(_RICHER_TEXT.split())
"""Names whose methods take more of PyTorch's options than the functions of ``chainrule``."""


def by_method(name: str) -> Callable[..., Any]:
    """The function that calls a method of its first argument, which may be named ``input``."""
    method = adapted(getattr(Tensor, name))

    def call(input: Any, *args: Any, out: Any = None, **kwargs: Any) -> Any:
        x = input if isinstance(input, Value) else Tensor(input)
        result = method(x, *args, **kwargs)
        return result if out is None else filled(out, result)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"``input.{name}(...)``."
    return call
