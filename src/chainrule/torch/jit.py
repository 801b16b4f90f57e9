"""``torch.jit``: functions and modules as they are; ``torch.compile`` is what makes them fast."""

from __future__ import annotations

from typing import Any

from ._names import mirrored

__getattr__, __dir__ = mirrored(__name__)


def script(obj: Any, *args: Any, **options: Any) -> Any:
    """`obj` as it is."""
    return obj


ignore = unused = export = script_method = interface = script


def trace(func: Any, example_inputs: Any = None, *args: Any, **options: Any) -> Any:
    """`func` as it is."""
    return func


def is_scripting() -> bool:
    """False."""
    return False


is_tracing = is_scripting
