"""Counting in bins and finding places in ordered numbers; nothing here has a derivative.

What depends on the numbers for its shape, such as ``bincount``, cannot be traced.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..core.apply import apply
from ..core.aval import SCALARS, Aval, DType
from ..core.families import Constant
from ..core.sampling import Draw, Sample
from ..core.value import Value
from ..errors import ArgumentError, ShapeError
from . import keys, movement, replacing

__all__ = ["bincount", "bucketize", "histc", "histogram", "histogramdd", "searchsorted"]


class Histogram(NamedTuple):
    """Counts, or densities, and the edges of the bins."""

    hist: Any
    bin_edges: Any


# Searching ----------------------------------------------------------------------------------------


class Searchsorted(Constant):
    """Where each value goes in the ordered last axis; before equals, or after with `right`."""

    right: bool = False
    dtype: DType = np.dtype(np.int64)

    def infer(self, *xs: Any) -> Aval:
        ordered, values = xs
        lead = ordered.shape[:-1]
        if lead and lead != values.shape[:-1]:
            raise ShapeError(
                "searchsorted needs a vector, or rows for rows of values",
                expected=f"values of shape {(*lead, 'n')}",
                got=str(values.shape),
            )
        return Aval(values.shape, self.dtype)

    def forward(self, *xs: Any) -> Any:
        ordered, values = xs
        shape = self.infer(*xs).shape
        side: Any = "right" if self.right else "left"
        if ordered.ndim == 1:
            return np.searchsorted(ordered, values, side).astype(self.dtype).reshape(shape)
        if not values.size:
            return np.zeros(shape, self.dtype)
        rows = ordered.reshape(-1, ordered.shape[-1])
        wanted = values.reshape(len(rows), -1)
        found = [np.searchsorted(row, v, side) for row, v in zip(rows, wanted, strict=True)]
        return np.array(found, self.dtype).reshape(shape)

    def reference(self, *xs: Any) -> Any:
        ordered, values = (np.asarray(x) for x in xs)
        left = ordered if ordered.ndim == 1 else ordered[..., None, :]
        before = left <= values[..., None] if self.right else left < values[..., None]
        return before.sum(-1).astype(self.dtype)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for i, shape in enumerate(((), (1,), (3,), (2, 3), (0,), (2, 1, 2), (5,), (4, 2))):
            yield Sample(cls(i % 2 == 0), (Draw((1,)), Draw(shape)))


def searchsorted(
    sorted_sequence: Any, input: Any, *, out_int32: bool = False, right: bool = False,
    side: str | None = None, sorter: Any = None,
) -> Any:  # fmt: skip
    """The index in the ordered last axis at which each value would keep the order; int64.

    Before equal numbers, or after them with ``right=True`` or ``side="right"``. `sorter` is the
    order of a sequence that is not sorted. Raises ShapeError unless the sequence is a vector or has
    a row for each row of values.

    >>> searchsorted(tensor([1.0, 3.0, 5.0]), tensor([3.0, 6.0]))
    tensor([1, 3])
    """
    if side not in (None, "left", "right") or (side == "left" and right):
        raise ArgumentError("searchsorted: side is left or right", got=f"{side!r}, right={right}")
    ordered = sorted_sequence
    if sorter is not None:
        ordered = replacing.take_along_dim(ordered, sorter, -1)
    op = Searchsorted(right or side == "right", np.dtype(np.int32 if out_int32 else np.int64))
    if type(input) in SCALARS:
        input = np.asarray(input)
    return apply(op, ordered, input)


def bucketize(input: Any, boundaries: Any, *, out_int32: bool = False, right: bool = False) -> Any:
    """The index of the bucket between ordered `boundaries` of each value; see ``searchsorted``.

    >>> bucketize(tensor([0.5, 2.0, 9.0]), tensor([1.0, 2.0, 3.0]))
    tensor([0, 1, 3])
    """
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


# Counting -----------------------------------------------------------------------------------------


def bincount(input: Any, weights: Any = None, minlength: int = 0) -> Any:
    """How often each of 0, 1, … occurs, or with `weights` the sum of those of its places.

    Raises ArgumentError for negative numbers, or what is no vector of integers.

    >>> bincount(tensor([0, 2, 2]))
    tensor([1, 0, 2])
    """
    x = _known("bincount", input)
    if x.ndim != 1 or x.dtype.kind not in "iu" or (x.size and x.min() < 0) or minlength < 0:
        raise ArgumentError("bincount() takes a vector of integers >= 0", got=f"{x.dtype}{x.shape}")
    counted = None if weights is None else _known("bincount", weights)
    counts = np.bincount(x, counted, minlength)
    if counted is not None and counted.dtype == np.float32:
        counts = counts.astype(np.float32)
    return _as(input, counts)


def histc(input: Any, bins: int = 100, min: float = 0, max: float = 0) -> Any:
    """How many elements lie in each of `bins` equal intervals from `min` to `max`, as floats.

    What lies outside is not counted; the last interval holds its upper end. With min = max the
    range is that of the elements.

    >>> histc(tensor([1.0, 2.0, 1.0]), bins=4, min=0, max=3)
    tensor([0., 2., 1., 0.])
    """
    x = _known("histc", input).reshape(-1)
    low, high = float(min), float(max)
    if low == high and x.size:
        low, high = float(x.min()), float(x.max())
    if low == high:
        low, high = low - 1, high + 1
    if bins < 1 or not low < high or not np.isfinite((low, high)).all():
        raise ArgumentError("histc() needs bins and a range", got=f"{bins} bins, {low} … {high}")
    inside = x[(x >= low) & (x <= high)]
    place = ((inside - low) / (high - low) * bins).astype(np.int64)
    counts = np.bincount(np.minimum(place, bins - 1), minlength=bins)
    return _as(input, counts.astype(x.dtype))


def histogram(
    input: Any, bins: Any, *, range: Sequence[float] | None = None, weight: Any = None,
    density: bool = False,
) -> Histogram:  # fmt: skip
    """(counts, edges) of `bins` equal intervals over `range`, or of the intervals between `bins`.

    The last interval holds its upper end. `weight` counts for each element; `density` divides by
    the total and the widths. Without a range it is that of the elements.
    """
    hist, edges = histogramdd(_column(input), [bins], range=range, weight=weight, density=density)
    return Histogram(hist, edges[0])


def _column(x: Any) -> Any:
    return movement.reshape(x, (-1, 1))


def histogramdd(
    input: Any, bins: Any, *, range: Sequence[float] | None = None, weight: Any = None,
    density: bool = False,
) -> Histogram:  # fmt: skip
    """``histogram`` of points, the rows of the last axis, in boxes: `bins` is a number, or one for
    each coordinate, or their edges; `range` has a low and a high end for each coordinate.
    """
    x = _known("histogram", input)
    points = x.reshape(-1, x.shape[-1])
    count = points.shape[1]
    chosen = [bins] * count if isinstance(bins, int) else list(bins)
    if len(chosen) != count:
        raise ArgumentError("bins for each coordinate", expected=str(count), got=str(len(chosen)))
    edges = [
        _edges(column, b, None if range is None else range[2 * i : 2 * i + 2])
        for i, (column, b) in enumerate(zip(points.T, chosen, strict=True))
    ]
    weights = None if weight is None else _known("histogram", weight).reshape(-1)
    hist = _counted(points, edges, weights)
    if density:
        for axis, e in enumerate(edges):
            hist = hist / np.diff(e).reshape([-1 if a == axis else 1 for a in np.arange(count)])
        hist = hist / _counted(points, edges, weights).sum()
    made = tuple(_as(input, e.astype(x.dtype)) for e in edges)
    return Histogram(_as(input, hist.astype(x.dtype)), made)


def _counted(points: Any, edges: Sequence[Any], weights: Any) -> Any:
    """The number, or the weight, of the points in each box."""
    shape = tuple(len(e) - 1 for e in edges)
    inside = np.ones(len(points), np.bool_)
    place = np.zeros(len(points), np.int64)
    for column, e, n in zip(points.T, edges, shape, strict=True):
        inside &= (column >= e[0]) & (column <= e[-1])
        place = place * n + np.clip(np.searchsorted(e, column, "right") - 1, 0, n - 1)
    kept = None if weights is None else weights[inside]
    return np.bincount(place[inside], kept, math.prod(shape)).astype(np.float64).reshape(shape)


def _edges(column: Any, bins: Any, span: Sequence[float] | None) -> Any:
    if not isinstance(bins, int):
        return _known("histogram", bins)
    if span is None:
        span = (float(column.min()), float(column.max())) if column.size else (0.0, 1.0)
    low, high = span
    if low == high:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, bins + 1)


def _known(name: str, x: Any) -> Any:
    """The array in x. Raises ArgumentError while tracing."""
    if not keys.is_concrete(x):
        raise ArgumentError(f"{name}() depends on numbers that are not known while tracing")
    return keys.numbers(x)


def _as(like: Any, array: Any) -> Any:
    return like.result_class.wrap(array) if isinstance(like, Value) else array
