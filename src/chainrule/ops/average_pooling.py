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
from . import window
from .window import Sizes, Window, axis_taps

V = TypeVar("V")


class AveragePool(Linear):
    """y[p] = Σ_t x[s·p + d·t - lo] / (how many taps count).

    Taps count inside the input and in `counted` places of padding around it; `divisor`, if not 0,
    replaces the count.
    """

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

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for w, size in window.pooling_samples():
            yield Sample(cls(w, w.padding, 0), floats((2, *size)))
            yield Sample(cls(w, ((0, 0),) * w.rank, 0), floats((2, *size)))
            yield Sample(cls(w, w.padding, 3), floats(size))


class AverageSpread(Linear):
    """x̄[s·p + d·t - lo] += ȳ[p] / (how many taps count): the transpose of AveragePool."""

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

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for w, shape in window.pooling_samples():
            lead, size = window.split_shape(shape, w.rank)
            yield Sample(cls(w, w.padding, 0, size), floats((2, *lead, *w.output(size))))


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


def _average(x: V, w: Window, padding: Sizes, include: bool, divisor: int | None) -> V:
    if divisor is not None and divisor == 0:
        raise ArgumentError("divisor_override must not be zero")
    pads = window.ints("padding", padding, w.rank, 0) if include else (0,) * w.rank
    return apply(AveragePool(w, tuple((p, p) for p in pads), divisor or 0), x)
