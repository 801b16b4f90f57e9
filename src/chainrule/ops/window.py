"""Sliding windows: their geometry, shared by convolution and pooling, and unfold and fold.

Tap t of a window is one place in its kernel. Every window op is a loop over taps: at tap t the
outputs out[p] meet the inputs x[s·p + d·t - lo], two strided boxes, so padding is never stored.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import product
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ..core.apply import apply
from ..core.aval import Aval, Data, Shape, describe, shape_of
from ..core.families import Linear
from ..core.sampling import Sample, floats
from ..errors import ArgumentError, ShapeError
from . import movement, slicing

V = TypeVar("V")

__all__ = ["fold", "unfold"]

Sizes = int | Sequence[int]
Box = tuple[slice, ...]
Tap = tuple[int, Box, Box]
"""Number of a place in the kernel, the inputs it meets, and the outputs it meets them for."""


class Window(NamedTuple):
    """Kernel, stride, dilation and (before, after) padding along each spatial axis.

    Negative padding behind leaves inputs out.
    """

    kernel: Shape
    stride: Shape
    dilation: Shape
    padding: tuple[tuple[int, int], ...]

    @property
    def rank(self) -> int:
        """Number of spatial axes."""
        return len(self.kernel)

    @property
    def span(self) -> Shape:
        """How many inputs the kernel reaches over, holes included."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True))

    @property
    def taps(self) -> int:
        """Number of places in the kernel."""
        return math.prod(self.kernel)

    @property
    def is_padded(self) -> bool:
        """Whether windows may reach outside the input."""
        return any(lo or hi for lo, hi in self.padding)

    @property
    def is_disjoint(self) -> bool:
        """Whether no input is in two windows."""
        return all(s >= n for s, n in zip(self.stride, self.span, strict=True))

    def output(self, size: Shape) -> Shape:
        """How many windows fit along each axis: ⌊(n + lo + hi - d(k-1) - 1) / s⌋ + 1.

        Raises ShapeError if not even one does.
        """
        out = tuple(
            (n + lo + hi - span) // s + 1
            for n, (lo, hi), span, s in zip(size, self.padding, self.span, self.stride, strict=True)
        )
        if any(n < 1 for n in out):
            padded = tuple(n + lo + hi for n, (lo, hi) in zip(size, self.padding, strict=True))
            raise ShapeError(
                "the kernel is larger than its input",
                expected=f"at least {self.span} along the spatial axes, padding included",
                got=f"{padded}: {tuple(size)} before padding" if self.is_padded else str(padded),
            )
        return out


@lru_cache(maxsize=4096)
def taps(window: Window, size: Shape) -> tuple[Tap, ...]:
    """All taps that meet an input of this size, in row-major order of the kernel."""
    axes = [axis_taps(window, axis, n) for axis, n in enumerate(size)]
    return tuple(
        (_ravel(places, window.kernel), tuple(xs), tuple(ys))
        for places, xs, ys in (zip(*combination, strict=True) for combination in product(*axes))
    )


def axis_taps(window: Window, axis: int, n: int) -> list[tuple[int, slice, slice]]:
    """The taps along one axis: place, inputs, outputs; the places outside the input left out."""
    stride, dilation = window.stride[axis], window.dilation[axis]
    lo, hi = window.padding[axis]
    count = (n + lo + hi - window.span[axis]) // stride + 1
    found = []
    for t in range(window.kernel[axis]):
        offset = t * dilation - lo
        first = max(0, -(offset // stride))
        last = min(count - 1, (n - 1 - offset) // stride)
        if first <= last:
            start = first * stride + offset
            end = last * stride + offset + 1
            found.append((t, slice(start, end, stride), slice(first, last + 1)))
    return found


def _ravel(places: Sequence[int], kernel: Shape) -> int:
    number = 0
    for t, k in zip(places, kernel, strict=True):
        number = number * k + t
    return number


MOST_SLICES = 16
"""Windows of more taps than this stay one op when they are compiled."""


def tap_slices(x: Data, window: Window, fill: float) -> list[Data]:
    """What each tap meets in all windows, as strided slices of x with `fill` around it."""
    lead = len(x.shape) - window.rank
    framed = slicing.pad(x, ((0, 0),) * lead + window.padding, fill)
    bare = window._replace(padding=((0, 0),) * window.rank)
    return [framed[(..., *at)] for _, at, _ in taps(bare, tuple(framed.shape[lead:]))]


# Reading the arguments of public functions --------------------------------------------------------


def ints(name: str, value: Sizes, rank: int, least: int) -> Shape:
    """One number for all spatial axes, or one for each, as a tuple.

    Raises ArgumentError for another length or a number below `least`.
    """
    if isinstance(value, (int, np.integer)):
        chosen: Shape = (int(value),) * rank
    else:
        chosen = tuple(int(v) for v in value)
        if len(chosen) == 1:
            chosen = chosen * rank
    if len(chosen) != rank or min(chosen, default=least) < least:
        raise ArgumentError(
            f"{name} must be one number, or one for each of {rank} axes",
            expected=f"numbers of {least} or more",
            got=repr(value),
        )
    return chosen


def make_window(
    kernel: Sizes, stride: Sizes | None, padding: Sizes | str, dilation: Sizes, rank: int
) -> Window:
    """A Window from what a user may pass; ``padding="same"`` pads more behind if it must be uneven.

    Raises ArgumentError for numbers out of range, and for "same" with a stride.
    """
    k = ints("kernel_size", kernel, rank, 1)
    s = k if stride is None or stride == () else ints("stride", stride, rank, 1)
    d = ints("dilation", dilation, rank, 1)
    if isinstance(padding, str):
        if padding not in ("same", "valid") or (padding == "same" and set(s) != {1}):
            raise ArgumentError(
                "padding cannot be read",
                expected='numbers, "valid", or "same" with stride 1',
                got=f"padding={padding!r}, stride={s}",
            )
        total = [b * (a - 1) if padding == "same" else 0 for a, b in zip(k, d, strict=True)]
        pads = tuple((n // 2, n - n // 2) for n in total)
    else:
        pads = tuple((p, p) for p in ints("padding", padding, rank, 0))
    return Window(k, s, d, pads)


def spatial(x: Any, window: Window, name: str, least: int) -> Shape:
    """Sizes of the last axes of `x`, those that windows slide along.

    Raises ShapeError if `x` has fewer than `least` further axes.
    """
    shape = shape_of(x)
    if len(shape) < window.rank + least:
        raise ShapeError(
            f"{name} needs more dimensions",
            expected=f"(…, C, {', '.join(('L', 'HW', 'DHW')[window.rank - 1])})",
            got=describe(x),
        )
    return tuple(shape[len(shape) - window.rank :])


def split_shape(shape: Shape, rank: int) -> tuple[Shape, Shape]:
    """A shape as its leading sizes and those of its last `rank` axes."""
    at = len(shape) - rank
    return tuple(shape[:at]), tuple(shape[at:])


def pooling_window(
    x: Any,
    kernel_size: Sizes,
    stride: Sizes | None,
    padding: Sizes,
    dilation: Sizes,
    ceil_mode: bool,
    rank: int,
    name: str,
) -> Window:
    """The windows of a pooling function; `ceil_mode` adds one that begins inside the input.

    Raises ArgumentError for padding of more than half the kernel: a window would see only padding.
    """
    w = make_window(kernel_size, stride, padding, dilation, rank)
    if any(2 * lo > span for (lo, _), span in zip(w.padding, w.span, strict=True)):
        raise ArgumentError(
            f"the padding of {name} may be at most half its kernel",
            got=f"padding={padding!r}, kernel_size={kernel_size!r}",
        )
    size = spatial(x, w, name, 1)
    if not ceil_mode:
        return w
    pads = []
    for n, s, (lo, hi), span in zip(size, w.stride, w.padding, w.span, strict=True):
        last = -((span - n - lo - hi) // s)
        if last * s >= n + lo:
            last -= 1
        pads.append((lo, hi if last < 0 else max(0, last * s + span - n - lo)))
    return w._replace(padding=tuple(pads))


# Unfold and fold ----------------------------------------------------------------------------------


class Unfold(Linear):
    """y[n, c, t, p] = x[n, c, s·p + d·t - lo]: a copy of each window; zero outside the input."""

    batching = ()
    window: Window

    def infer(self, *xs: Any) -> Aval:
        shape, rank = shape_of(xs[0]), self.window.rank
        lead, size = shape[: len(shape) - rank], shape[len(shape) - rank :]
        return Aval((*lead, *self.window.kernel, *self.window.output(size)), xs[0].dtype)

    def forward(self, *xs: Any) -> Any:
        x, w = xs[0], self.window
        y = np.zeros(self.infer(x).shape, x.dtype)
        lead = x.ndim - w.rank
        flat = y.reshape(*x.shape[:lead], w.taps, *y.shape[y.ndim - w.rank :])
        whole = (slice(None),) * lead
        for t, at, to in taps(w, x.shape[lead:]):
            flat[(*whole, t, *to)] = x[(*whole, *at)]
        return y

    def transpose(self, ct: Data, x: Data, *constants: Data) -> Data:
        return apply(Fold(self.window, tuple(x.shape[x.ndim - self.window.rank :])), ct)

    def lower(self, k: Any, *xs: Any) -> Any:
        x, y, rank = xs[0], self.infer(xs[0]), self.window.rank
        lead = len(x.shape) - rank
        bare = self.window._replace(padding=((0, 0),) * rank)
        place = k.windows(bare, len(y.shape), lead, lead, lead + rank)
        return k.view(k.framed(x, self.window, 0), y.shape, place)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for w, size in _samples():
            yield Sample(cls(w), floats((2, *size)))


class Fold(Linear):
    """x[n, c, i] = Σ y[n, c, t, p] where s·p + d·t - lo = i: the transpose of unfold."""

    batching = ()
    window: Window
    size: Shape

    def infer(self, *xs: Any) -> Aval:
        shape, w = shape_of(xs[0]), self.window
        lead = len(shape) - 2 * w.rank
        if lead < 0 or shape[lead:] != (*w.kernel, *w.output(self.size)):
            raise ShapeError(
                "fold needs one patch for each window",
                expected=f"(…, {', '.join(map(str, (*w.kernel, *w.output(self.size))))})",
                got=describe(xs[0]),
            )
        return Aval((*shape[:lead], *self.size), xs[0].dtype)

    def forward(self, *xs: Any) -> Any:
        y, w = xs[0], self.window
        x = np.zeros(self.infer(y).shape, y.dtype)
        lead = x.ndim - w.rank
        flat = y.reshape(*x.shape[:lead], w.taps, *y.shape[y.ndim - w.rank :])
        whole = (slice(None),) * lead
        for t, at, to in taps(w, self.size):
            x[(*whole, *at)] += flat[(*whole, t, *to)]
        return x

    def transpose(self, ct: Data, x: Data, *constants: Data) -> Data:
        return apply(Unfold(self.window), ct)

    def lower(self, k: Any, *xs: Any) -> Any:
        y, w = xs[0], self.window
        x = self.infer(y)
        lead = len(x.shape) - w.rank
        flat = k.reshape(y, (*x.shape[:lead], w.taps, *y.shape[lead + w.rank :]))
        parts = []
        for t, at, to in taps(w, self.size):
            part = k.cut(k.slice_axis(flat, lead, t), lead, to)
            parts.append((part, k.spots(part, lead, at)))
        return k.assemble(x.shape, x.dtype, 0, parts, added=not w.is_disjoint)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for w, size in _samples():
            yield Sample(cls(w, size), floats((2, *w.kernel, *w.output(size))))


def _samples() -> Iterator[tuple[Window, Shape]]:
    """Windows along one, two and three axes, with every kind of stride, hole and padding."""
    for kernel, stride, dilation, padding, size in (
        ((1,), (1,), (1,), ((0, 0),), (3,)),
        ((3,), (1,), (1,), ((1, 1),), (4,)),
        ((2,), (3,), (1,), ((0, 0),), (6,)),
        ((3,), (2,), (2,), ((2, 1),), (5,)),
        ((2, 2), (2, 2), (1, 1), ((0, 0), (0, 0)), (4, 5)),
        ((3, 2), (1, 2), (1, 1), ((1, 1), (0, 1)), (4, 4)),
        ((2, 3), (2, 1), (2, 1), ((1, 0), (2, 2)), (5, 3)),
        ((2, 2), (3, 3), (1, 1), ((0, 0), (0, 0)), (5, 5)),
        ((1, 1), (1, 1), (1, 1), ((0, 0), (0, 0)), (2, 3)),
        ((2, 1), (1, 1), (1, 1), ((0, 0), (0, 0)), (2, 1)),
        ((3, 3), (2, 2), (1, 1), ((1, 1), (1, 1)), (4, 4)),
        ((2,), (1,), (1,), ((2, 2),), (1,)),
        ((2, 1, 2), (1, 1, 2), (1, 1, 1), ((1, 0), (0, 0), (0, 1)), (2, 2, 3)),
    ):
        yield Window(kernel, stride, dilation, padding), size


def pooling_samples(*, padded: bool = True) -> Iterator[tuple[Window, Shape]]:
    """Windows along one, two and three axes: apart, touching, overlapping, with holes, padded."""
    none, one, two = ((0, 0),), ((1, 1),), ((0, 1),)
    for kernel, stride, dilation, padding, size in (
        ((1,), (1,), (1,), none, (1,)),
        ((2,), (2,), (1,), none, (5,)),
        ((3,), (1,), (1,), one, (4,)),
        ((2,), (3,), (1,), none, (2, 8)),
        ((3,), (2,), (2,), one, (7,)),
        ((2, 2), (2, 2), (1, 1), none * 2, (4, 4)),
        ((2, 2), (2, 2), (1, 1), none * 2, (3, 5, 5)),
        ((2, 2), (2, 2), (1, 1), one * 2, (4, 5)),
        ((3, 2), (1, 2), (1, 1), one + two, (4, 3)),
        ((3, 3), (2, 2), (1, 1), one * 2, (1, 5, 5)),
        ((2, 2), (1, 1), (2, 1), none * 2, (4, 3)),
        ((1, 1), (2, 2), (1, 1), none * 2, (3, 3)),
        ((17, 17), (1, 1), (1, 1), none * 2, (17, 18)),
        ((2, 1, 2), (2, 1, 1), (1, 1, 1), two + none + two, (2, 2, 2)),
        ((2,), (2,), (1,), none, (0, 4)),
    ):
        w = Window(kernel, stride, dilation, padding)
        if padded or not w.is_padded:
            yield w, size


def unfold(
    x: V, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1
) -> V:
    """Columns of windows: (N, C, H, W) gives (N, C·kh·kw, L), one column for each of L windows.

    Outside the input stand zeros. Its transpose is ``fold``. (C, H, W) works too.
    Raises ShapeError if no window fits.

    >>> unfold(tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), (2, 1))
    tensor([[[1., 2.],
             [3., 4.]]])
    """
    w = make_window(kernel_size, stride, padding, dilation, 2)
    spatial(x, w, "unfold", 1)
    y = apply(Unfold(w), x)
    shape = shape_of(y)
    lead, channels = shape[:-5], shape[-5]
    count = math.prod(shape[-2:])
    return movement.reshape(y, (*lead, channels * w.taps, count))


def fold(
    y: V,
    output_size: Sizes,
    kernel_size: Sizes,
    dilation: Sizes = 1,
    padding: Sizes = 0,
    stride: Sizes = 1,
) -> V:
    """The sum of overlapping windows: (N, C·kh·kw, L) gives (N, C, H, W), the transpose of unfold.

    Raises ShapeError if L is not the number of windows that fit into `output_size`.

    >>> fold(tensor([[[1.0, 2.0], [3.0, 4.0]]]), (3, 1), (2, 1))
    tensor([[[[1.],
              [5.],
              [4.]]]])
    """
    w = make_window(kernel_size, stride, padding, dilation, 2)
    size = ints("output_size", output_size, 2, 1)
    shape, out = shape_of(y), w.output(size)
    if len(shape) not in (2, 3) or shape[-1] != math.prod(out) or shape[-2] % w.taps:
        raise ShapeError(
            "fold needs one column for each window",
            expected=f"(…, C·{w.taps}, {math.prod(out)})",
            got=describe(y),
        )
    channels = shape[-2] // w.taps
    return apply(Fold(w, size), movement.reshape(y, (*shape[:-2], channels, *w.kernel, *out)))
