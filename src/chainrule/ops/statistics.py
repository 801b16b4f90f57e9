"""Order statistics, sums that leave out NaN, distances, and pairs such as (variance, mean).

What is chosen along an axis comes with its position, and the whole derivative goes there. A NaN
among the elements is the result, except in functions that say nan.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..core.aval import SCALARS, normalize_axis
from ..errors import ArgumentError, IndexRangeError, ShapeError
from . import (
    arithmetic,
    comparison,
    derived,
    indexing,
    keys,
    lookup,
    moments,
    movement,
    ordering,
    reduce,
    scans,
    selection,
    slicing,
)
from .ordering import Ordered

__all__ = [
    "aminmax", "count_nonzero", "dist", "kthvalue", "median", "mode", "msort",
    "nanmean", "nanmedian", "nanquantile", "nansum", "quantile", "renorm", "std_mean", "var_mean",
]  # fmt: skip

Dim = int | Sequence[int] | None


class MinMax(NamedTuple):
    """The least and the greatest elements."""

    min: Any
    max: Any


# Pairs and counts ---------------------------------------------------------------------------------


def var_mean(
    input: Any, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False,
    *, correction: float | None = None,
) -> tuple[Any, Any]:  # fmt: skip
    """(``var``, ``mean``) over `dim`.

    >>> var_mean(tensor([1.0, 3.0]))
    (tensor(2.), tensor(2.))
    """
    variance = moments.var(input, dim, unbiased, keepdim, correction=correction)
    return variance, reduce.mean(input, None if isinstance(dim, bool) else dim, keepdim)


def std_mean(
    input: Any, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False,
    *, correction: float | None = None,
) -> tuple[Any, Any]:  # fmt: skip
    """(``std``, ``mean``) over `dim`."""
    deviation = moments.std(input, dim, unbiased, keepdim, correction=correction)
    return deviation, reduce.mean(input, None if isinstance(dim, bool) else dim, keepdim)


def aminmax(input: Any, *, dim: int | None = None, keepdim: bool = False) -> MinMax:
    """(``amin``, ``amax``) over `dim`. Raises ShapeError for no elements.

    >>> aminmax(tensor([3.0, 1.0, 2.0]))
    MinMax(min=tensor(1.), max=tensor(3.))
    """
    return MinMax(reduce.amin(input, dim, keepdim), reduce.amax(input, dim, keepdim))


def count_nonzero(input: Any, dim: Dim = None) -> Any:
    """How many elements over `dim` are not zero, int64.

    >>> count_nonzero(tensor([0.0, 2.0, 3.0]))
    tensor(2)
    """
    return reduce.sum(comparison.ne(input, 0), dim)


def nansum(input: Any, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Sum over `dim` with NaN taken as 0; no derivative goes to a NaN."""
    x = input if dtype is None else movement.cast(input, dtype)
    return reduce.sum(_without_nan(x), dim, keepdim)


def nanmean(input: Any, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Mean over `dim` of what is no NaN.

    >>> nanmean(tensor([1.0, float("nan"), 3.0]))
    tensor(2.)
    """
    x = reduce.as_float(input if dtype is None else movement.cast(input, dtype))
    counted = reduce.sum(comparison.eq(x, x), dim, keepdim)
    return reduce.sum(_without_nan(x), dim, keepdim) / movement.cast(counted, x.dtype)


def _without_nan(x: Any) -> Any:
    return selection.where(comparison.isnan(x), 0.0, x) if x.dtype.kind == "f" else x


# Order statistics ---------------------------------------------------------------------------------


def median(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle element, the lower of two; with `dim`, a pair (values, indices). NaN if one is.

    Raises ShapeError for no elements along `dim`; of no elements at all it is NaN.

    >>> median(tensor([3.0, 1.0, 2.0, 4.0]))
    tensor(2.)
    """
    return _median(input, dim, keepdim, skip=False)


def nanmedian(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """``median`` of what is no NaN; NaN only if nothing else is there."""
    return _median(input, dim, keepdim, skip=True)


def _median(x: Any, dim: int | None, keepdim: bool, skip: bool) -> Any:
    if dim is None:
        flat = movement.reshape(x, (-1,))
        if not flat.shape[0]:
            return reduce.mean(flat)
        return _median(flat, 0, False, skip).values
    axis = reduce.axis_of(x, dim)
    if not x.shape:
        return Ordered(movement.identity(x), ordering.argmax(x))
    n = _size("median", x, axis)
    order = ordering.argsort(x, axis, stable=True)
    nans = reduce.sum(_is_nan(x), axis, True)
    if skip:
        place = arithmetic.maximum(n - 1 - nans, 0) // 2
    else:  # NaNs are last in order: the first of them, if any
        place = selection.where(comparison.gt(nans, 0), n - nans, (n - 1) // 2)
    return _picked(x, axis, lookup.gather(order, axis, place), keepdim)


def _is_nan(x: Any) -> Any:
    return comparison.ne(x, x)


def kthvalue(input: Any, k: int, dim: int = -1, keepdim: bool = False) -> Ordered:
    """The k-th least element along `dim`, k = 1 … n, and its position.

    Raises IndexRangeError for another `k`.

    >>> kthvalue(tensor([3.0, 1.0, 2.0]), 2)
    Ordered(values=tensor(2.), indices=tensor(2))
    """
    axis = reduce.axis_of(input, dim)
    n = input.shape[axis] if input.shape else 1
    if not 1 <= k <= n:
        raise IndexRangeError(
            "kthvalue() has no such element", expected=f"1 <= k <= {n}", got=f"{k}"
        )
    if not input.shape:
        return Ordered(movement.identity(input), ordering.argmax(input))
    order = ordering.argsort(input, axis, stable=True)
    return _picked(input, axis, _at(order, axis, slice(k - 1, k)), keepdim)


def mode(input: Any, dim: int = -1, keepdim: bool = False) -> Ordered:
    """The commonest element along `dim`, the least of several, and the last position it has.

    >>> mode(tensor([2.0, 1.0, 2.0, 1.0, 3.0]))
    Ordered(values=tensor(1.), indices=tensor(3))
    """
    axis = reduce.axis_of(input, dim)
    if not input.shape:
        return Ordered(movement.identity(input), ordering.argmax(input))
    n = _size("mode", input, axis)
    values, order = ordering.sort(input, axis, stable=True)
    positions = _along(np.arange(n), axis, len(input.shape))
    if n > 1:
        change = comparison.ne(
            _at(values, axis, slice(1, None)), _at(values, axis, slice(None, -1))
        )
        starts = selection.where(change, positions[_lead(axis, slice(1, None))], 0)
        first = movement.cast(_running_max(starts, axis), np.int64)
        run = positions - first
    else:
        run = arithmetic.mul(order, 0)
    last = ordering.argmax(run, axis, True)  # the first run of the greatest length ends here
    return _picked(input, axis, lookup.gather(order, axis, last), keepdim)


def _running_max(starts: Any, axis: int) -> Any:
    """The greatest so far of starts, which lack the first place: there it is 0."""
    from_zero = slicing.pad(
        starts, tuple((1, 0) if a == axis else (0, 0) for a in range(len(starts.shape))), 0
    )
    return scans.cummax(from_zero, axis).values


def msort(input: Any) -> Any:
    """The elements in order along the first axis.

    >>> msort(tensor([3.0, 1.0, 2.0]))
    tensor([1., 2., 3.])
    """
    return ordering.sort(input, 0).values


def _picked(x: Any, axis: int, where: Any, keepdim: bool) -> Ordered:
    """The elements at `where`, one along the axis, and `where` itself."""
    values = lookup.gather(x, axis, where)
    if keepdim:
        return Ordered(values, where)
    return Ordered(movement.squeeze(values, axis), movement.squeeze(where, axis))


def _size(name: str, x: Any, axis: int) -> int:
    n = int(x.shape[axis])
    if not n:
        raise ShapeError(f"{name}() of no elements is not defined", got=f"shape {tuple(x.shape)}")
    return n


def _lead(axis: int, part: Any) -> tuple[Any, ...]:
    return (*[slice(None)] * axis, part)


def _at(x: Any, axis: int, part: Any) -> Any:
    return indexing.index(x, _lead(axis, part))


def _along(values: Any, axis: int, ndim: int) -> Any:
    """A vector along one of `ndim` axes."""
    return values.reshape([-1 if a == axis else 1 for a in range(ndim)])


# Quantiles ----------------------------------------------------------------------------------------


def quantile(
    input: Any, q: Any, dim: int | None = None, keepdim: bool = False,
    *, interpolation: str = "linear",
) -> Any:  # fmt: skip
    """The q-quantile along `dim`: the element of rank q (n - 1) in order, interpolated.

    A vector of q gives one result for each, along a new first axis. `interpolation` is "linear",
    "lower", "higher", "midpoint" or "nearest". NaN if an element is. Raises ArgumentError for
    another name or q outside [0, 1], ShapeError for no elements.

    >>> quantile(tensor([0.0, 1.0, 2.0, 3.0]), tensor([0.25, 0.5]))
    tensor([0.7500, 1.5000])
    """
    return _quantile(input, q, dim, keepdim, interpolation, skip=False)


def nanquantile(
    input: Any, q: Any, dim: int | None = None, keepdim: bool = False,
    *, interpolation: str = "linear",
) -> Any:  # fmt: skip
    """``quantile`` of what is no NaN; NaN only if nothing else is there."""
    return _quantile(input, q, dim, keepdim, interpolation, skip=True)


def _quantile(x: Any, q: Any, dim: int | None, keepdim: bool, how: str, skip: bool) -> Any:
    if how not in ("linear", "lower", "higher", "midpoint", "nearest"):
        raise ArgumentError("quantile() knows no such interpolation", got=repr(how))
    if type(q) in SCALARS:
        q = np.asarray(q, x.dtype)
    if keys.is_concrete(q) and not bool(((keys.numbers(q) >= 0) & (keys.numbers(q) <= 1)).all()):
        raise ArgumentError("quantile() needs 0 <= q <= 1", got=f"q={keys.numbers(q)}")
    ndim = len(x.shape)
    lines = movement.reshape(x, (-1,)) if dim is None else x
    if dim is not None and ndim:
        lines = movement.movedim(lines, normalize_axis(dim, ndim), -1)
    lines = movement.reshape(lines, (1,)) if not lines.shape else lines
    n = _size("quantile", lines, len(lines.shape) - 1)
    in_order = ordering.sort(lines, -1).values
    nans = reduce.sum(_is_nan(lines), -1, True)
    points = movement.reshape(q, (-1,))
    if skip:
        last = movement.cast(arithmetic.maximum(n - 1 - nans, 0), x.dtype)
        rank = last * points
    else:
        rank = selection.where(comparison.gt(nans, 0), float(n - 1), points * (n - 1.0))
    y = _interpolated(in_order, rank, how)  # (…, points)
    y = movement.movedim(y, -1, 0)
    if keepdim:
        y = _kept(y, dim, ndim)
    return y if q.shape else movement.squeeze(y, 0)


def _kept(y: Any, dim: int | None, ndim: int) -> Any:
    """y, its first axis for the points, with the axis that was reduced as one of size one."""
    if dim is None:
        return movement.reshape(y, (-1, *[1] * ndim))
    return movement.unsqueeze(y, 1 + normalize_axis(dim, ndim)) if ndim else y


def _interpolated(in_order: Any, rank: Any, how: str) -> Any:
    """Elements of ordered lines at fractional ranks."""
    if how == "nearest":
        rank = comparison.round(rank)
    below = comparison.floor(rank)
    if how == "higher":
        below = comparison.ceil(rank)
    low = lookup.gather(in_order, -1, movement.cast(below, np.int64))
    if how in ("lower", "higher", "nearest"):
        return low
    weight = rank - below
    if how == "midpoint":
        weight = selection.where(comparison.gt(weight, 0), 0.5, 0.0)
    high = lookup.gather(in_order, -1, movement.cast(comparison.ceil(rank), np.int64))
    return derived.lerp(low, high, weight)


# Distances ----------------------------------------------------------------------------------------


def dist(input: Any, other: Any, p: float = 2) -> Any:
    """‖a - b‖ₚ of all elements, after broadcasting.

    >>> dist(tensor([3.0, 0.0]), tensor([0.0, 4.0]))
    tensor(5.)
    """
    return moments.norm(arithmetic.sub(input, other), p)


def renorm(input: Any, p: float, dim: int, maxnorm: float) -> Any:
    """x with each slice along `dim` scaled down, if its p-norm is above `maxnorm`, to that norm.

    Raises ArgumentError unless p > 0 and maxnorm >= 0.
    """
    if p <= 0 or maxnorm < 0:
        raise ArgumentError("renorm() needs p > 0 and maxnorm >= 0", got=f"{p}, {maxnorm}")
    ndim = len(input.shape)
    axis = normalize_axis(dim, ndim)
    others = tuple(a for a in range(ndim) if a != axis)
    size = moments.norm(input, p, others, True)
    above = comparison.gt(size, maxnorm)
    scale = maxnorm / (selection.where(above, size, 1.0) + 1e-7)
    return input * selection.where(above, scale, 1.0)
