"""Adding rows up by number, the kernel behind the gradients of every kind of look-up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.aval import Shape
from ..errors import DTypeError, IndexRangeError

_CHUNK = 16_384
"""Elements whose places are computed at once: 128 KiB of places, so they stay in cache."""
_LONG_ROW = 512
"""From this length on, adding a row at a time is faster than adding element by element."""


def add_rows(rows: int, index: Any, values: Any) -> Any:
    """out[index[k], :] += values[k, :] in the order of k, for out = zeros of `rows` rows.

    `index` is a vector of non-negative integers within range. About 2 ns an element:
    ``np.add.at`` is that fast for flat arrays only, and six times slower for rows.
    """
    count, width = values.shape
    out = np.zeros((rows, width), values.dtype)
    if not out.size or not count:
        return out
    if width >= _LONG_ROW:
        for row, value in zip(index.tolist(), values, strict=True):
            out[row] += value
        return out
    flat = out.reshape(-1)
    index = index.astype(np.intp, copy=False)
    if width == 1:
        np.add.at(flat, index, np.ascontiguousarray(values).reshape(-1))
        return out
    columns = np.arange(width)
    step = max(1, _CHUNK // width)
    for start in range(0, count, step):
        places = index[start : start + step, None] * width + columns
        part = np.ascontiguousarray(values[start : start + step])
        np.add.at(flat, places.reshape(-1), part.reshape(-1))
    return out


def check_range(index: Any, n: int, axis: int, *, negative: bool = False) -> Any:
    """`index` unchanged if all of it is in 0 … n-1 (or from -n on, if `negative`).

    Raises IndexRangeError for the first number outside, DTypeError unless they are integers.
    """
    if index.dtype.kind not in "iu":
        raise DTypeError("an index must be of integers", got=str(index.dtype))
    low = -n if negative else 0
    if index.size and (index.min() < low or index.max() >= n):
        wrong = index.reshape(-1)[((index < low) | (index >= n)).reshape(-1).argmax()]
        raise IndexRangeError(
            f"index out of range along axis {axis}",
            expected=f"{low} <= index < {n}" if n else "an axis that is not empty",
            got=str(wrong),
        )
    return index


def linear(sizes: Sequence[int], indices: Sequence[Any], axes: Sequence[int]) -> Any:
    """Row-major number of each place, as a vector, from its coordinates; negative ones count back.

    Raises IndexRangeError for a coordinate outside its axis.
    """
    total: Any = np.zeros((), np.intp)
    for n, index, axis in zip(sizes, indices, axes, strict=True):
        place = check_range(np.asarray(index), n, axis, negative=True).astype(np.intp)
        total = total * n + np.where(place < 0, place + n, place)
    return total.reshape(-1)


def strides_of(shape: Shape) -> tuple[int, ...]:
    """How many elements apart neighbours along each axis are in row-major order."""
    return tuple(math.prod(shape[a + 1 :]) for a in range(len(shape)))
