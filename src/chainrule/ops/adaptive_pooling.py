"""Adaptive pooling: as many windows as asked for, as equal in size as possible.

Window i of m along an axis of n elements holds elements ⌊i n/m⌋ to ⌈(i+1) n/m⌉ - 1, as in PyTorch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from ..core.apply import apply
from ..core.aval import Aval, Shape, describe, shape_of
from ..core.families import Constant
from ..core.sampling import Sample, distinct
from ..errors import ArgumentError, ShapeError
from . import average_pooling, joining, lookup, movement, reduce

V = TypeVar("V")

OutputSize = int | None | Sequence[int | None]


def _bins(n: int, m: int) -> list[slice]:
    """The windows along one axis."""
    return [slice(i * n // m, -(-(i + 1) * n // m)) for i in range(m)]


class AdaptiveArgMax(Constant):
    """Row-major position, in the last axes, of the first largest element, or NaN, of a window."""

    batching = ()
    out: Shape

    def infer(self, *xs: Any) -> Aval:
        shape = shape_of(xs[0])
        return Aval((*shape[: len(shape) - len(self.out)], *self.out), np.dtype(np.int64))

    def forward(self, *xs: Any) -> Any:
        x, rank = xs[0], len(self.out)
        lead, size = x.shape[: x.ndim - rank], x.shape[x.ndim - rank :]
        y = np.empty((*lead, *self.out), np.int64)
        bins = [_bins(n, m) for n, m in zip(size, self.out, strict=True)]
        for place in np.ndindex(*self.out):
            parts = [b[i] for b, i in zip(bins, place, strict=True)]
            inside = tuple(part.stop - part.start for part in parts)
            flat = x[(..., *parts)].reshape(*lead, math.prod(inside))
            position = np.zeros(lead, np.int64)
            winner = np.unravel_index(flat.argmax(axis=-1), inside)
            for n, part, coordinate in zip(size, parts, winner, strict=True):
                position = position * n + part.start + coordinate
            y[(..., *place)] = position
        return y

    def lower(self, k: Any, *xs: Any) -> Any:
        x, int64 = xs[0], np.dtype(np.int64)
        shape, lead = self.infer(x).shape, len(x.shape) - len(self.out)
        size = x.shape[lead:]
        if 0 in shape:
            return k.full(0, int64, shape)
        pairs = list(zip(size, self.out, strict=True))
        longest = [max(b.stop - b.start for b in _bins(n, m)) for n, m in pairs]
        whole = (*shape, *longest)
        axes = range(len(shape), len(whole))
        position, index = k.full(0, int64, whole), {}
        for a, (n, m) in enumerate(pairs):
            point = k.iota(whole, lead + a)
            start = k.apply("floor_divide", k.scaled(point, n), k.number(m))
            stop = k.apply("floor_divide", k.scaled(point, n, n + m - 1), k.number(m))
            at = k.apply("add", start, k.iota(whole, axes[a]))
            short = k.apply("lt", at, stop, dtype=k.boolean)
            index[lead + a] = k.apply("where", short, at, k.number(-1), dtype=int64)
            position = k.apply("add", k.scaled(position, n), at)
        place = k.along(len(whole), [*range(lead), *[None] * len(size)])
        found = k.look_up(x, whole, place, index)
        least = -math.inf if x.dtype.kind == "f" else int(np.iinfo(x.dtype).min)
        for a, n in enumerate(size):
            inside = k.within(index[lead + a], n)
            found = k.apply("where", inside, found, k.full(least, x.dtype, ()), dtype=x.dtype)
        return k.reshape(k.first_best("maximum", found, axes, position)[1], shape)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape, out in (
            ((3,), (1,)), ((3,), (3,)), ((2, 5), (3,)), ((1, 2), (4,)), ((0, 4), (2,)),
            ((2, 4, 4), (2, 2)), ((2, 5, 3), (3, 2)), ((1, 1), (2, 2)), ((2, 1, 5, 7), (1, 1)),
            ((2, 6, 2), (4, 2)), ((2, 2, 3, 2), (1, 2, 2)), ((3, 4), (0, 2)),
        ):  # fmt: skip
            yield Sample(cls(out), (distinct(*shape),))


def adaptive_avg_pool1d(x: V, output_size: OutputSize) -> V:
    """The mean of each of `output_size` windows along the last axis.

    >>> adaptive_avg_pool1d(tensor([[1.0, 2.0, 3.0, 4.0, 5.0]]), 2)
    tensor([[2., 4.]])
    """
    return _means(x, _target(x, output_size, 1))


def adaptive_avg_pool2d(x: V, output_size: OutputSize) -> V:
    """The mean of each window, (H', W') = `output_size` of them: (…, C, H, W) gives (…, C, H', W').

    One number stands for both sizes; None keeps the size. Raises ArgumentError for a negative size,
    ShapeError for too few dimensions or windows of no elements.

    >>> adaptive_avg_pool2d(tensor([[[1.0, 2.0], [3.0, 4.0]]]), 1)
    tensor([[[2.5000]]])
    """
    return _means(x, _target(x, output_size, 2))


def adaptive_avg_pool3d(x: V, output_size: OutputSize) -> V:
    """The mean of each window along the last three axes; see ``adaptive_avg_pool2d``."""
    return _means(x, _target(x, output_size, 3))


def adaptive_max_pool1d(x: V, output_size: OutputSize, return_indices: bool = False) -> Any:
    """The largest element of each of `output_size` windows along the last axis.

    >>> adaptive_max_pool1d(tensor([[1.0, 2.0, 3.0, 4.0, 5.0]]), 2)
    tensor([[3., 5.]])
    """
    return _maxima(x, _target(x, output_size, 1), return_indices)


def adaptive_max_pool2d(x: V, output_size: OutputSize, return_indices: bool = False) -> Any:
    """The largest element of each window, (H', W') = `output_size` of them.

    The first of equal elements takes the derivative. With `return_indices` the winners' places in
    H·W (row-major) come as a second result.

    >>> adaptive_max_pool2d(tensor([[[1.0, 2.0], [3.0, 4.0]]]), (1, 2))
    tensor([[[3., 4.]]])
    """
    return _maxima(x, _target(x, output_size, 2), return_indices)


def adaptive_max_pool3d(x: V, output_size: OutputSize, return_indices: bool = False) -> Any:
    """The largest element of each window along the last three axes; see ``adaptive_max_pool2d``."""
    return _maxima(x, _target(x, output_size, 3), return_indices)


def _target(x: Any, output_size: OutputSize, rank: int) -> Shape:
    """The sizes asked for, None replaced by those of x."""
    shape = shape_of(x)
    wanted = (output_size,) * rank if isinstance(output_size, int | None) else tuple(output_size)
    if len(wanted) != rank or any(m is not None and m < 0 for m in wanted):
        raise ArgumentError(
            "output_size cannot be read",
            expected=f"one size, or {rank} of them, each a number from 0 on or None",
            got=repr(output_size),
        )
    size = shape[len(shape) - rank :]
    if len(shape) <= rank or (0 in size and 0 not in wanted):
        raise ShapeError(
            "adaptive pooling needs channels and windows that are not empty",
            expected=f"at least {rank + 1} dimensions, the last {rank} of them not empty",
            got=describe(x),
        )
    return tuple(n if m is None else int(m) for m, n in zip(wanted, size, strict=True))


def _means(x: V, out: Shape) -> V:
    shape, rank = shape_of(x), len(out)
    size = shape[len(shape) - rank :]
    if all(m and n % m == 0 for n, m in zip(size, out, strict=True)):
        kernel = tuple(n // m for n, m in zip(size, out, strict=True))
        pooled: V = _POOLS[rank - 1](x, kernel)
        return pooled
    for axis, m in enumerate(out, len(shape) - rank):
        x = _means_along(x, axis, m)
    return x


_POOLS: tuple[Callable[..., Any], ...] = (
    average_pooling.avg_pool1d,
    average_pooling.avg_pool2d,
    average_pooling.avg_pool3d,
)


def _means_along(x: V, axis: int, m: int) -> V:
    whole: Any = x
    before = (slice(None),) * axis
    if m == 0:
        return whole[(*before, slice(0, 0))]  # type: ignore[no-any-return]  # of x's kind
    parts = [whole[(*before, part)] for part in _bins(whole.shape[axis], m)]
    means: V = joining.concatenate([reduce.mean(part, axis, True) for part in parts], axis)
    return means


def _maxima(x: Any, out: Shape, return_indices: bool) -> Any:
    shape, rank = shape_of(x), len(out)
    lead = shape[: len(shape) - rank]
    positions = apply(AdaptiveArgMax(out), x)
    flat = movement.reshape(x, (*lead, math.prod(shape[len(lead) :])))
    chosen = movement.reshape(positions, (*lead, math.prod(out)))
    values = movement.reshape(lookup.gather(flat, -1, chosen), (*lead, *out))
    return (values, positions) if return_indices else values
