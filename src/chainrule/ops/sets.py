"""Which different elements there are. The results' shapes depend on the numbers: not traced."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.aval import normalize_axis
from ..core.value import Value
from ..errors import ArgumentError
from . import keys

__all__ = ["unique", "unique_consecutive"]


def unique(
    input: Any, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False,
    dim: int | None = None,
) -> Any:  # fmt: skip
    """The different elements in order, or the different parts along `dim`; no derivative.

    With `return_inverse` and `return_counts`, also where each element is found among them, and how
    often each occurs. They are in order also with ``sorted=False``; every NaN is its own.

    >>> unique(tensor([3, 1, 3]), return_counts=True)
    (tensor([1, 3]), tensor([1, 2]))
    """
    x = _known("unique", input)
    axis = None if dim is None else normalize_axis(dim, x.ndim)
    values, inverse, counts = np.unique(
        x, return_inverse=True, return_counts=True, axis=axis, equal_nan=False
    )
    inverse = inverse.reshape(x.shape if axis is None else (x.shape[axis],))
    return _results(input, values, inverse if return_inverse else None,
                    counts if return_counts else None)  # fmt: skip


def unique_consecutive(
    input: Any, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The elements, or parts along `dim`, without those that equal the one before.

    >>> unique_consecutive(tensor([1, 1, 2, 1]))
    tensor([1, 2, 1])
    """
    x = _known("unique_consecutive", input)
    axis = 0 if dim is None else normalize_axis(dim, x.ndim)
    lines = x.reshape(-1) if dim is None else np.moveaxis(x, axis, 0)
    rows = lines.reshape(len(lines), lines.size // max(len(lines), 1))
    new = np.ones(len(rows), np.bool_)
    new[1:] = (rows[1:] != rows[:-1]).any(1)
    starts = np.flatnonzero(new)
    inverse = np.cumsum(new) - 1
    counts = np.diff(np.append(starts, len(rows)))
    values = lines[starts]
    if dim is None:
        inverse = inverse.reshape(x.shape)
    else:
        values = np.moveaxis(values, 0, axis)
    return _results(input, values, inverse if return_inverse else None,
                    counts if return_counts else None)  # fmt: skip


def _results(like: Any, *arrays: Any) -> Any:
    wrap: Any = like.result_class.wrap if isinstance(like, Value) else np.asarray
    made = tuple(wrap(a) for a in arrays if a is not None)
    return made[0] if len(made) == 1 else made


def _known(name: str, x: Any) -> Any:
    if not keys.is_concrete(x):
        raise ArgumentError(f"the result of {name}() is not known while tracing")
    return keys.numbers(x)
