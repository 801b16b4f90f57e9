"""Max-pooling: the largest element of each window.

Windows are visited tap by tap (see ``window``), so every step is one pass over whole arrays in
whatever order they are stored. Max-pooling remembers for each window which tap won; its gradient
goes there and nowhere else. The first of equal elements wins; NaN beats everything.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from ..core.apply import apply
from ..core.aval import Aval, Data, DType, Shape, shape_of
from ..core.families import Constant, Fused, Linear
from ..core.op import Active, Cotangents, Needs
from ..core.sampling import Sample, distinct, floats, ints
from . import comparison, movement, reduce, selection, slicing, window
from .window import Sizes, Window, axis_taps, taps

V = TypeVar("V")


def _number_dtype(window: Window) -> DType:
    """The type that numbers the taps of a window."""
    return np.dtype(np.uint8 if window.taps <= 256 else np.int32)


# Max ----------------------------------------------------------------------------------------------


class MaxPool(Fused):
    """y[p] = max over taps t of x[s·p + d·t - lo], and the number of the tap that won.

    The gradient is ``MaxScatter``; with windows that overlap an input collects several.
    """

    batching = ()
    window: Window
    needs = Needs(output=True)
    n_out = 2

    def infer(self, *xs: Any) -> tuple[Aval, Aval]:
        lead, size = window.split_shape(shape_of(xs[0]), self.window.rank)
        shape = (*lead, *self.window.output(size))
        return Aval(shape, xs[0].dtype), Aval(shape, _number_dtype(self.window))

    def forward(self, *xs: Any) -> tuple[Any, Any]:
        return _winners(xs[0], self.window)

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        size = window.split_shape(xs[0].shape, self.window.rank)[1]
        return (apply(MaxScatter(self.window, size), ct[0], y[1]),)

    def reference(self, *xs: Data) -> tuple[Data, Data]:
        x, w = xs[0], self.window
        lead, size = window.split_shape(x.shape, w.rank)
        padded = slicing.pad(x, (((0, 0),) * len(lead)) + w.padding, -math.inf)
        bare = w._replace(padding=((0, 0),) * w.rank)
        patches = apply(window.Unfold(bare), padded)
        patches = movement.reshape(patches, (*lead, w.taps, *w.output(size)))
        values, winners = reduce.max(patches, len(lead))
        return values, movement.cast(winners, _number_dtype(w))

    def expand(self, *xs: Data) -> Data:
        x, w = xs[0], self.window
        if w.taps > window.MOST_SLICES:
            return None
        size, number = window.split_shape(x.shape, w.rank)[1], _number_dtype(w)
        low = -math.inf if x.dtype.kind == "f" else float(np.iinfo(x.dtype).min)
        best, *others = window.tap_slices(x, w, low)
        winner: Data = _first_taps(w, size).astype(number) if w.is_padded else np.zeros((), number)
        for t, value in enumerate(others, 1):
            better = comparison.gt(value, best)
            if x.dtype.kind == "f":  # a NaN wins too, unless there is one already
                unless = comparison.logical_not(comparison.le(value, best))
                better = comparison.logical_and(unless, comparison.eq(best, best))
            best = selection.where(better, value, best)
            winner = selection.where(better, t, winner)
        return best, winner if others else np.broadcast_to(winner, best.shape)

    def lower(self, k: Any, *xs: Any) -> Any:
        x, w = xs[0], self.window
        y, winner = self.infer(x)
        lead, whole = len(y.shape) - w.rank, (*y.shape, *w.kernel)
        axes = range(len(y.shape), len(whole))
        bare = w._replace(padding=((0, 0),) * w.rank)
        place = k.windows(bare, len(whole), lead, len(y.shape), lead)
        low = -math.inf if x.dtype.kind == "f" else int(np.iinfo(x.dtype).min)
        taken = k.view(k.framed(x, w, low), whole, place)
        number = k.row_major(whole, axes)
        for axis, n in enumerate(x.shape[lead:]):  # what is outside does not win
            at = _input_at(k, w, axis, k.iota(whole, lead + axis), k.iota(whole, axes[axis]))
            number = k.apply("where", k.within(at, n), number, k.number(w.taps), dtype=at.dtype)
        best, first = k.first_best("maximum", taken, axes, number)
        return k.reshape(best, y.shape), k.reshape(k.cast(first, winner.dtype), y.shape)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for w, size in window.pooling_samples():
            yield Sample(cls(w), (distinct(2, *size),))


def _winners(x: Any, w: Window) -> tuple[Any, Any]:
    """The largest element of each window, and its tap.

    The tap's number rises with each comparison won, so it is a running maximum too: two passes of
    vector instructions, where a masked assignment would go element by element.
    """
    lead, size = window.split_shape(x.shape, w.rank)
    shape = (*lead, *w.output(size))
    low = -math.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    best: Any = np.full_like(x, low, shape=shape)
    winner: Any = np.zeros_like(best, dtype=_number_dtype(w))
    if w.is_padded:
        winner[...] = _first_taps(w, size)
    for t, at, to in taps(w, size):
        value, target = x[(..., *at)], best[(..., *to)]
        place = winner[(..., *to)]
        np.maximum(place, (value > target).view(np.uint8) * place.dtype.type(t), out=place)
        np.maximum(target, value, out=target)
    if x.dtype.kind == "f" and np.isnan(best).any():
        for t, at, to in reversed(taps(w, size)):
            np.copyto(winner[(..., *to)], t, where=np.isnan(x[(..., *at)]))
    return best, winner


def _first_taps(w: Window, size: Shape) -> Any:
    """For each window the first tap inside the input, which wins if all are -inf."""
    first = np.zeros((1,) * w.rank, np.int64)
    for axis, n in enumerate(size):
        places = np.zeros(w.output(size)[axis], np.int64)
        for t, _, to in reversed(axis_taps(w, axis, n)):
            places[to] = t
        first = first * w.kernel[axis] + places.reshape(-1, *(1,) * (w.rank - 1 - axis))
    return first


class MaxScatter(Linear):
    """x̄[s·p + d·t - lo] += ȳ[p] for the tap t that won window p; other inputs get nothing."""

    batching = ()
    window: Window
    size: Shape

    def infer(self, *xs: Any) -> Aval:
        lead = window.split_shape(shape_of(xs[0]), self.window.rank)[0]
        return Aval((*lead, *self.size), xs[0].dtype)

    def forward(self, *xs: Any) -> Any:
        y, winners = xs
        x: Any = np.zeros_like(y, shape=self.infer(y).shape)
        disjoint = self.window.is_disjoint
        for t, at, to in taps(self.window, self.size):
            part, source = x[(..., *at)], y[(..., *to)]
            won = _where_equal(winners[(..., *to)], t, source)
            if disjoint:
                part[...] = won
            else:
                part += won
        return x

    def transpose(self, ct: Data, x: Data, *constants: Data) -> Data:
        return apply(MaxGather(self.window), ct, constants[0])

    needs = Needs(inputs=(1,))

    def lower(self, k: Any, *xs: Any) -> Any:
        y, winners = xs
        x, rank = self.infer(y), self.window.rank
        lead = len(x.shape) - rank
        if self.window.taps > window.MOST_SLICES:
            place, index = _inputs_of(k, self.window, x.shape, winners)
            return k.put("add", k.full(0, x.dtype, x.shape), y, place, index)
        parts = []
        for t, at, to in taps(self.window, self.size):
            tap = k.full(t, winners.dtype, ())
            won = k.apply("eq", k.cut(winners, lead, to), tap, dtype=k.boolean)
            part = k.apply("where", won, k.cut(y, lead, to), k.full(0, y.dtype, ()), dtype=y.dtype)
            parts.append((part, k.spots(part, lead, at)))
        return k.assemble(x.shape, x.dtype, 0, parts, added=not self.window.is_disjoint)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for w, shape in window.pooling_samples():
            lead, size = window.split_shape(shape, w.rank)
            out = (2, *lead, *w.output(size))
            yield Sample(cls(w, size), (*floats(out), ints(out, w.taps)))


class MaxGather(Linear):
    """y[p] = x[s·p + d·t - lo] for the tap t that won window p: the transpose of MaxScatter."""

    batching = ()
    window: Window
    needs = Needs(inputs=(1,))

    def infer(self, *xs: Any) -> Aval:
        lead, size = window.split_shape(shape_of(xs[0]), self.window.rank)
        return Aval((*lead, *self.window.output(size)), xs[0].dtype)

    def forward(self, *xs: Any) -> Any:
        x, winners = xs
        size = window.split_shape(x.shape, self.window.rank)[1]
        y: Any = np.zeros_like(x, shape=self.infer(x).shape)
        for t, at, to in taps(self.window, size):
            y[(..., *to)] += _where_equal(winners[(..., *to)], t, x[(..., *at)])
        return y

    def transpose(self, ct: Data, x: Data, *constants: Data) -> Data:
        size = window.split_shape(x.shape, self.window.rank)[1]
        return apply(MaxScatter(self.window, size), ct, constants[0])

    def lower(self, k: Any, *xs: Any) -> Any:
        x, winners = xs
        y, w = self.infer(x), self.window
        lead = len(y.shape) - w.rank
        if w.taps > window.MOST_SLICES:
            return k.look_up(x, y.shape, *_inputs_of(k, w, x.shape, winners))
        framed = k.framed(x, w, 0)
        bare = w._replace(padding=((0, 0),) * w.rank)
        total = k.full(0, y.dtype, y.shape)
        for t, at, _ in taps(bare, framed.shape[lead:]):
            won = k.apply("eq", winners, k.full(t, winners.dtype, ()), dtype=k.boolean)
            part = k.cut(framed, lead, at)
            total = k.apply("where", won, part, total, dtype=y.dtype)
        return total

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for w, shape in window.pooling_samples():
            lead, size = window.split_shape(shape, w.rank)
            out = (2, *lead, *w.output(size))
            yield Sample(cls(w), (*floats((2, *shape)), ints(out, w.taps)))


def _input_at(k: Any, w: Window, axis: int, point: Any, tap: Any) -> Any:
    """For the compiler: s·p + d·t - lo along an axis."""
    start = k.scaled(point, w.stride[axis], -w.padding[axis][0])
    return k.apply("add", start, k.scaled(tap, w.dilation[axis]))


def _inputs_of(k: Any, w: Window, shape: Shape, winners: Any) -> Any:
    """For the compiler: where in inputs of `shape` the winners of windows are.

    The place without the windows' axes, and by axis the numbers along these.
    """
    out, lead = winners.shape, len(shape) - w.rank
    winners = k.cast(winners, np.dtype(np.int64))
    index, rest = {}, w.taps
    for axis, kernel in enumerate(w.kernel):
        rest //= kernel
        tap = k.apply("floor_divide", winners, k.number(rest))
        tap = k.apply("remainder", tap, k.number(kernel))
        index[lead + axis] = _input_at(k, w, axis, k.iota(out, lead + axis), tap)
    return k.along(len(out), [*range(lead), *[None] * w.rank]), index


def _where_equal(winners: Any, t: int, source: Any) -> Any:
    """`source` where tap `t` won, and 0 elsewhere, even for inf and nan.

    Bits and masks, because a product would make inf · 0 a NaN, and ``np.where`` goes one by one.
    """
    if source.dtype.kind != "f" or source.dtype.itemsize not in (2, 4, 8):
        return np.where(winners == t, source, source.dtype.type(0))
    bits = np.dtype(f"i{source.dtype.itemsize}")
    mask = np.negative((winners == t).astype(bits))
    return np.bitwise_and(source.view(bits), mask).view(source.dtype)


class MaxPositions(Constant):
    """Row-major position, within its input, of the winner of each window."""

    batching = ()
    window: Window
    size: Shape

    def infer(self, *xs: Any) -> Aval:
        return Aval(shape_of(xs[0]), np.dtype(np.int64))

    def forward(self, *xs: Any) -> Any:
        w, winners = self.window, np.asarray(xs[0]).astype(np.int64)
        position = np.zeros_like(winners)
        out = winners.shape[winners.ndim - w.rank :]
        places = np.unravel_index(winners, w.kernel)
        for axis, (n, place) in enumerate(zip(self.size, places, strict=True)):
            start = np.arange(out[axis]) * w.stride[axis] - w.padding[axis][0]
            start = start.reshape(-1, *(1,) * (w.rank - 1 - axis))
            position = position * n + (start + place * w.dilation[axis])
        return position

    def lower(self, k: Any, *xs: Any) -> Any:
        shape = xs[0].shape
        lead = shape[: len(shape) - self.window.rank]
        _, index = _inputs_of(k, self.window, (*lead, *self.size), xs[0])
        position = k.full(0, np.dtype(np.int64), shape)
        for n, at in zip(self.size, index.values(), strict=True):
            position = k.apply("add", k.scaled(position, n), at)
        return position

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for w, shape in window.pooling_samples(padded=False):
            lead, size = window.split_shape(shape, w.rank)
            yield Sample(cls(w, size), (ints((2, *lead, *w.output(size)), w.taps),))


def max_pool1d(
    x: V,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element of each window along the last axis; see ``max_pool2d``.

    >>> max_pool1d(tensor([[1.0, 3.0, 2.0, 0.0]]), 2)
    tensor([[3., 2.]])
    """
    w = window.pooling_window(x, kernel_size, stride, padding, dilation, ceil_mode, 1, "max_pool1d")
    return _max_pool(x, w, return_indices)


def max_pool2d(
    x: V,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element of each window of the last two axes: (…, C, H, W) gives (…, C, H', W').

    H' = ⌊(H + 2·pad - d(k-1) - 1)/s⌋ + 1; `ceil_mode` rounds up, as long as the last window begins
    inside. The stride is the kernel's size unless given; padding is -inf. ∂y/∂x is 1 at the first
    largest element of the window and 0 elsewhere. A NaN in a window is its result. With
    `return_indices` the winners' places in H·W (row-major) come as a second result.

    Raises ShapeError if no window fits, ArgumentError for padding over half the kernel.

    >>> max_pool2d(tensor([[[1.0, 2.0], [3.0, 4.0]]]), 2)
    tensor([[[4.]]])
    """
    w = window.pooling_window(x, kernel_size, stride, padding, dilation, ceil_mode, 2, "max_pool2d")
    return _max_pool(x, w, return_indices)


def max_pool3d(
    x: V,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element of each window of the last three axes; see ``max_pool2d``."""
    w = window.pooling_window(x, kernel_size, stride, padding, dilation, ceil_mode, 3, "max_pool3d")
    return _max_pool(x, w, return_indices)


def _max_pool(x: Any, w: Window, return_indices: bool) -> Any:
    values, winners = apply(MaxPool(w), x)
    if not return_indices:
        return values
    return values, apply(MaxPositions(w, window.split_shape(shape_of(x), w.rank)[1]), winners)
