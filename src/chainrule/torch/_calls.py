"""Calls in PyTorch's words: keyword arguments that the library has other names for, or none."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, Final

from ..errors import DTypeError
from ..facts import require_cpu
from ..tensor import Tensor

_SYNONYMS: Final = {"axis": "dim", "keepdims": "keepdim"}
_POSITIONS: Final = {
    "input": 0, "self": 0, "tensors": 0, "tensor": 0, "other": 1, "mat2": 1, "vec": 1, "vec2": 1,
    "exponent": 1, "tensor1": 1, "tensor2": 2, "weight": 1, "target": 1,
}  # fmt: skip
"""Where PyTorch's names for operands stand, for functions that call theirs x and y."""
_PLACES: Final = ("layout", "memory_format", "pin_memory", "non_blocking")
"""Accepted and without effect: there is one layout and one kind of memory."""


def adapted(fn: Callable[..., Any]) -> Callable[..., Any]:
    """`fn`, which also takes PyTorch's keywords: ``input=``, ``axis=``, ``device=``, ``out=`` …

    Without keyword arguments it is called as it is.
    """
    try:
        parameters = tuple(inspect.signature(fn).parameters.values())
    except ValueError:  # a class or function of C
        return fn
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return fn
    names = [p.name for p in parameters]
    variadic = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), None)

    @wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        if not kwargs or kwargs.keys() <= known:
            return fn(*args, **kwargs)
        if variadic in kwargs:  # zeros(size=(2, 3))
            args = (*args, kwargs.pop(variadic))
        out = None if "out" in known else kwargs.pop("out", None)
        result = fn(*args, **_translated(names, kwargs))
        return result if out is None else filled(out, result)

    known = frozenset(names) - {variadic}
    return call


def _translated(names: list[str], given: dict[str, Any]) -> dict[str, Any]:
    """Keyword arguments by the library's `names`; those without effect are left out."""
    kwargs: dict[str, Any] = {}
    for key, value in given.items():
        if key in names:
            kwargs[key] = value
        elif key == "device":
            require_cpu(value)
        elif key in _PLACES:
            continue
        elif _SYNONYMS.get(key) in names:
            kwargs[_SYNONYMS[key]] = value
        elif key in _POSITIONS and _POSITIONS[key] < len(names):
            kwargs[names[_POSITIONS[key]]] = value
        else:
            kwargs[key] = value  # Python's own error says that it is unexpected
    return kwargs


def filled(out: Any, result: Any) -> Any:
    """`out` with the result as its value; for several results, a tuple of tensors."""
    if isinstance(out, tuple):
        for cell, part in zip(out, result, strict=True):
            filled(cell, part)
        return out
    if not isinstance(out, Tensor):
        raise DTypeError("out= takes a tensor to hold the result", got=type(out).__name__)
    # PyTorch resizes `out`: the result decides its shape, and its own dtype stays.
    out.data = result.detach().to(out.dtype)
    return out
