"""Average pooling: the mean element of each window, a linear op and its transpose.

Windows are summed along one axis after the other: k + k additions instead of k·k.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np

from ..core.apply import apply
from ..core.aval import Aval, Data, DType, Shape, shape_of
from ..core.families import Linear
from ..core.sampling import Sample, floats
from ..errors import ArgumentError
from . import movement, reduce, slicing, window
from .window import Sizes, Window, axis_taps

V = TypeVar("V")


class AveragePool(Linear):
    """y[p] = Σ_t x[s·p + d·t - lo] / (how many taps count).

    Taps count inside the input and in `counted` places of padding around it; `divisor`, if not 0,
    replaces the count.
    """

    batching = ()
    window: Window
    counted: tuple[tuple[int, int], ...]
    divisor: int = 0
    promotes = True
    floating = True

    def infer(self, *xs: Any) -> Aval:
        lead, size = window.split_shape(shape_of(xs[0]), self.window.rank)
        return Aval((*lead, *self.window.output(size)), xs[0].dtype)

    def forward(self, *xs: Any) -> Any:
        x, w = xs[0], self.window
        size = window.split_shape(x.shape, w.rank)[1]
        out = w.output(size)
        y = x
        for axis in range(w.rank):
            at = y.ndim - w.rank + axis
            partial = np.zeros_like(y, shape=(*y.shape[:at], out[axis], *y.shape[at + 1 :]))
            for _, source, target in axis_taps(w, axis, size[axis]):
                partial[_along(at, target)] += y[_along(at, source)]
            y = partial
        y *= _weights(w, self.counted, self.divisor, size, y.dtype)
        return y

    def transpose(self, ct: Data, x: Data, *constants: Data) -> Data:
        size = window.split_shape(x.shape, self.window.rank)[1]
        return apply(AverageSpread(self.window, self.counted, self.divisor, size), ct)

    def expand(self, *xs: Data) -> Data:
        x, w = xs[0], self.window
        size = window.split_shape(x.shape, w.rank)[1]
        y = _summed_by_axes(x, w) if max(w.kernel) <= _MOST_SLICES else _summed_apart(x, w)
        return None if y is None else y * _weights(w, self.counted, self.divisor, size, x.dtype)

    def lower(self, k: Any, *xs: Any) -> Any:
        x, w = k.cast(xs[0], self.infer(xs[0]).dtype), self.window
        size = window.split_shape(x.shape, w.rank)[1]
        weights = k.node(_weights(w, self.counted, self.divisor, size, x.dtype))
        y, lead = k.framed(x, w, 0), len(x.shape) - w.rank
        for axis in range(w.rank):
            along = Window((w.kernel[axis],), (w.stride[axis],), (w.dilation[axis],), ((0, 0),))
            shape, at = y.shape, lead + axis
            out = (*shape[:at], *along.output(shape[at : at + 1]), *shape[at + 1 :])
            (place,) = k.windows(along, len(out) + 1, 0, len(out), at)
            unit = k.units(len(out) + 1)
            y = k.view(y, (*out, w.kernel[axis]), (*unit[:at], place, *unit[at + 1 : -1]))
            y = k.reduce("add", y, (len(out),))
        return k.apply("mul", y, weights)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for w, size in window.pooling_samples():
            yield Sample(cls(w, w.padding, 0), floats((2, *size)))
            yield Sample(cls(w, ((0, 0),) * w.rank, 0), floats((2, *size)))
            yield Sample(cls(w, w.padding, 3), floats(size))


class AverageSpread(Linear):
    """x̄[s·p + d·t - lo] += ȳ[p] / (how many taps count): the transpose of AveragePool."""

    batching = ()
    window: Window
    counted: tuple[tuple[int, int], ...]
    divisor: int
    size: Shape
    promotes = True
    floating = True

    def infer(self, *xs: Any) -> Aval:
        lead = window.split_shape(shape_of(xs[0]), self.window.rank)[0]
        return Aval((*lead, *self.size), xs[0].dtype)

    def forward(self, *xs: Any) -> Any:
        w = self.window
        x = xs[0] * _weights(w, self.counted, self.divisor, self.size, xs[0].dtype)
        for axis in range(w.rank):
            at = x.ndim - w.rank + axis
            partial = np.zeros_like(x, shape=(*x.shape[:at], self.size[axis], *x.shape[at + 1 :]))
            for _, target, source in axis_taps(w, axis, self.size[axis]):
                partial[_along(at, target)] += x[_along(at, source)]
            x = partial
        return x

    def transpose(self, ct: Data, x: Data, *constants: Data) -> Data:
        return apply(AveragePool(self.window, self.counted, self.divisor), ct)

    def expand(self, *xs: Data) -> Data:
        ct, w = xs[0], self.window
        if not _is_tiling(w):
            return None  # see lower
        ct = ct * _weights(w, self.counted, self.divisor, self.size, ct.dtype)
        lead, out = window.split_shape(ct.shape, w.rank)
        ct = movement.reshape(ct, (*lead, *(n for m in out for n in (m, 1))))
        whole = tuple(m * k for m, k in zip(out, w.kernel, strict=True))
        repeated = (n for pair in zip(out, w.kernel, strict=True) for n in pair)
        ct = movement.reshape(movement.expand(ct, (*lead, *repeated)), (*lead, *whole))
        rest = ((0, n - m) for n, m in zip(self.size, whole, strict=True))
        return slicing.pad(ct, (*((0, 0) for _ in lead), *rest))

    def lower(self, k: Any, *xs: Any) -> Any:
        w, dtype = self.window, self.infer(xs[0]).dtype
        weights = k.node(_weights(w, self.counted, self.divisor, self.size, dtype))
        x = k.apply("mul", k.cast(xs[0], dtype), weights)
        for axis in range(w.rank):
            at = len(x.shape) - w.rank + axis
            shape = (*x.shape[:at], self.size[axis], *x.shape[at + 1 :])
            parts = []
            for _, target, source in axis_taps(w, axis, self.size[axis]):
                whole = [slice(0, n) for n in x.shape]
                part = k.cut(x, 0, [*whole[:at], source, *whole[at + 1 :]])
                there = [*whole[:at], target, *whole[at + 1 :]]
                parts.append((part, k.spots(part, 0, there)))
            x = k.assemble(shape, dtype, 0, parts, added=len(parts) > 1)
        return x

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for w, shape in window.pooling_samples():
            lead, size = window.split_shape(shape, w.rank)
            yield Sample(cls(w, w.padding, 0, size), floats((2, *lead, *w.output(size))))


_MOST_SLICES = 4
"""Up to this kernel size, taps are added up one by one when they are compiled."""


def _is_tiling(w: Window) -> bool:
    """Whether windows touch and do not overlap, without holes or padding."""
    return w.kernel == w.stride and set(w.dilation) == {1} and not w.is_padded


def _summed_by_axes(x: Data, w: Window) -> Data:
    """The sum of each window, along one axis after the other."""
    lead = x.ndim - w.rank
    y = slicing.pad(x, ((0, 0),) * lead + w.padding)
    bare = w._replace(padding=((0, 0),) * w.rank)
    for axis in range(w.rank):
        at = lead + axis
        first, *others = [y[_along(at, s)] for _, s, _ in axis_taps(bare, axis, y.shape[at])]
        y = first
        for part in others:
            y = y + part
    return y


def _summed_apart(x: Data, w: Window) -> Data:
    """The sum of each window, if windows tile the input; else None."""
    if not _is_tiling(w):
        return None
    lead, size = window.split_shape(x.shape, w.rank)
    out = w.output(size)
    whole = tuple(slice(0, m * k) for m, k in zip(out, w.kernel, strict=True))
    split = (n for pair in zip(out, w.kernel, strict=True) for n in pair)
    taps = tuple(range(len(lead) + 1, len(lead) + 2 * w.rank, 2))
    return reduce.sum(movement.reshape(x[(..., *whole)], (*lead, *split)), taps)


def _along(axis: int, part: slice) -> tuple[slice, ...]:
    return (*(slice(None),) * axis, part)


@lru_cache(maxsize=1024)
def _weights(
    w: Window, counted: tuple[tuple[int, int], ...], divisor: int, size: Shape, dtype: DType
) -> Any:
    """One over the number of taps that count, for each window, or one number if all are equal."""
    if divisor:
        return dtype.type(1 / divisor)
    total = np.ones((1,) * w.rank)
    for axis, n in enumerate(size):
        before, after = counted[axis]
        start = np.arange(w.output(size)[axis]) * w.stride[axis] - w.padding[axis][0]
        place = start[:, None] + np.arange(w.kernel[axis]) * w.dilation[axis]
        count = ((place >= -before) & (place < n + after)).sum(axis=1)
        total = total * count.reshape(-1, *(1,) * (w.rank - 1 - axis))
    weights = (1 / total).astype(dtype)
    return weights.flat[0] if (weights == weights.flat[0]).all() else weights


def avg_pool1d(
    x: V,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> V:
    """The mean of each window along the last axis; see ``avg_pool2d``.

    >>> avg_pool1d(tensor([[1.0, 3.0, 2.0, 0.0]]), 2)
    tensor([[2., 1.]])
    """
    w = window.pooling_window(x, kernel_size, stride, padding, 1, ceil_mode, 1, "avg_pool1d")
    return _average(x, w, padding, count_include_pad, None)


def avg_pool2d(
    x: V,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> V:
    """The mean of each window of the last two axes: (…, C, H, W) gives (…, C, H', W').

    Sizes are those of ``max_pool2d``. Padding is 0 and counts as elements if `count_include_pad`;
    what `ceil_mode` adds beyond it never does. `divisor_override` replaces the count.
    Raises ShapeError if no window fits, ArgumentError for padding over half the kernel.

    >>> avg_pool2d(tensor([[[1.0, 2.0], [3.0, 4.0]]]), 2)
    tensor([[[2.5000]]])
    """
    w = window.pooling_window(x, kernel_size, stride, padding, 1, ceil_mode, 2, "avg_pool2d")
    return _average(x, w, padding, count_include_pad, divisor_override)


def avg_pool3d(
    x: V,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> V:
    """The mean of each window of the last three axes; see ``avg_pool2d``."""
    w = window.pooling_window(x, kernel_size, stride, padding, 1, ceil_mode, 3, "avg_pool3d")
    return _average(x, w, padding, count_include_pad, divisor_override)


def _average(x: V, w: Window, padding: Sizes, include: bool, divisor: int | None) -> V:
    if divisor is not None and divisor == 0:
        raise ArgumentError("divisor_override must not be zero")
    pads = window.ints("padding", padding, w.rank, 0) if include else (0,) * w.rank
    return apply(AveragePool(w, tuple((p, p) for p in pads), divisor or 0), x)
