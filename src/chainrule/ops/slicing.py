"""Slicing: every strided part of an array, its transpose, and what is made of strided parts.

``x[2, ::-1, None]`` is one Slice: where it starts, how many it takes and in which steps along each
axis, then the shape of what is left. A compiler reads it as an affine index map.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from ..core.apply import apply
from ..core.aval import Aval, Axes, Data, Shape, normalize_axes, normalize_axis, shape_of
from ..core.families import Linear
from ..core.op import in_front, with_size
from ..core.sampling import Sample, floats
from ..errors import ArgumentError, IndexRangeError, ShapeError
from . import joining, keys, movement

V = TypeVar("V")

Widths = Sequence[Sequence[int]]


class Slice(Linear):
    """y = x[s₀ + t₀ i₀, s₁ + t₁ i₁, …], in another shape if axes are dropped or new.

    Starts are within the axes; steps may be negative. An integer index is a size of one that
    `shape` leaves out.
    """

    batching = (
        ("starts", in_front(0)), ("sizes", with_size), ("steps", in_front(1)), ("shape", with_size),
    )  # fmt: skip
    views = True
    starts: Axes
    sizes: Shape
    steps: Axes
    shape: Shape

    @cached_property
    def key(self) -> tuple[slice, ...]:
        """The same as a tuple of slices."""
        return tuple(map(keys.bounds, self.starts, self.sizes, self.steps))

    def infer(self, *xs: Any) -> Aval:
        shape = shape_of(xs[0])
        _check_inside(shape, self.starts, self.sizes, self.steps)
        return Aval(self.shape, xs[0].dtype)

    def forward(self, *xs: Any) -> Any:
        y = xs[0][self.key]
        return y if self.sizes == self.shape else y.reshape(self.shape)

    def transpose(self, ct: Data, x: Data, *constants: Data) -> Data:
        if self.shape != self.sizes:
            ct = movement.reshape(ct, self.sizes)
        if all(t == 1 for t in self.steps):
            return pad(
                ct,
                tuple(
                    (s, n - s - m) for n, s, m in zip(x.shape, self.starts, self.sizes, strict=True)
                ),
            )
        return apply(Spread(self.starts, self.steps, x.shape), ct)

    def lower(self, k: Any, *xs: Any) -> Any:
        return k.reshape(k.sliced(xs[0], self.starts, self.sizes, self.steps), self.shape)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape, starts, sizes, steps, out in _SLICES:
            yield Sample(cls(starts, sizes, steps, out), floats(shape))


class Spread(Linear):
    """The transpose of a slice: zeros of `shape`, with x at the places that the slice reads."""

    batching = (("starts", in_front(0)), ("steps", in_front(1)), ("shape", with_size))
    starts: Axes
    steps: Axes
    shape: Shape

    def infer(self, *xs: Any) -> Aval:
        _check_inside(self.shape, self.starts, shape_of(xs[0]), self.steps)
        return Aval(self.shape, xs[0].dtype)

    def forward(self, *xs: Any) -> Any:
        x = xs[0]
        y = np.zeros(self.shape, x.dtype)
        y[tuple(map(keys.bounds, self.starts, x.shape, self.steps))] = x
        return y

    def transpose(self, ct: Data, x: Data, *constants: Data) -> Data:
        return apply(Slice(self.starts, x.shape, self.steps, x.shape), ct)

    def lower(self, k: Any, *xs: Any) -> Any:
        x = xs[0]
        return k.assemble(self.shape, x.dtype, 0, [(x, k.box(self.starts, self.steps))])

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape, starts, sizes, steps, _ in _SLICES:
            yield Sample(cls(starts, steps, shape), floats(sizes))


def _check_inside(shape: Shape, starts: Axes, sizes: Shape, steps: Axes) -> None:
    """Raise unless the slice stays within an array of this shape."""
    if not len(shape) == len(starts) == len(sizes) == len(steps):
        raise ShapeError(
            "a slice needs a start, a size and a step for each axis",
            expected=f"{len(starts)} dimensions",
            got=str(tuple(shape)),
        )
    for n, start, size, step in zip(shape, starts, sizes, steps, strict=True):
        last = start + (size - 1) * step
        if size and not (0 <= start < n and 0 <= last < n):
            raise IndexRangeError(
                "slice outside its axis", expected=f"0 … {n - 1}", got=f"{start} … {last}"
            )


_SLICES: tuple[tuple[Shape, Axes, Shape, Axes, Shape], ...] = (
    ((), (), (), (), ()),
    ((), (), (), (), (1,)),
    ((5,), (1,), (3,), (1,), (3,)),
    ((5,), (4,), (5,), (-1,), (5,)),
    ((5,), (0,), (3,), (2,), (3,)),
    ((5,), (3,), (2,), (-2,), (2,)),
    ((5,), (2,), (1,), (1,), ()),
    ((5,), (0,), (0,), (1,), (0,)),
    ((0,), (0,), (0,), (1,), (0,)),
    ((3, 4), (1, 0), (1, 4), (1, 1), (4,)),
    ((3, 4), (0, 3), (3, 2), (1, -2), (3, 1, 2)),
    ((3, 4), (2, 3), (1, 1), (1, 1), ()),
    ((2, 0, 3), (0, 0, 1), (2, 0, 2), (1, 1, 1), (2, 0, 2)),
    ((2, 3, 1, 4), (1, 0, 0, 1), (1, 2, 1, 3), (1, 2, 1, 1), (2, 1, 1, 3)),
    ((2, 3, 1, 2, 2), (1, 2, 0, 0, 1), (2, 3, 1, 2, 1), (-1, -1, 1, 1, 1), (2, 3, 1, 2)),
)


def slice_(
    x: V, starts: Sequence[int], sizes: Sequence[int], steps: Sequence[int] | None = None
) -> V:
    """The elements ``starts + steps * i`` of x, `sizes` of them along each axis.

    Its transpose puts them back among zeros. Raises IndexRangeError if one would be outside x.

    >>> slice_(tensor([1.0, 2.0, 3.0, 4.0]), (3,), (2,), (-2,))
    tensor([4., 2.])
    """
    shape, sizes = shape_of(x), tuple(sizes)
    strides = (1,) * len(shape) if steps is None else tuple(steps)
    _check_inside(shape, tuple(starts), sizes, strides)
    return apply(Slice(tuple(starts), sizes, strides, sizes), x)


def flip(x: V, *axes: movement.Sizes, dims: movement.Sizes | None = None) -> V:
    """x with the order along `axes`, or `dims`, reversed; without either, along all."""
    shape = shape_of(x)
    named = axes if dims is None else (dims,)
    axes = normalize_axes(movement.dims(named) if named else None, len(shape))
    if not shape:
        return movement.reshape(x, ())
    starts = tuple(n - 1 if a in axes and n else 0 for a, n in enumerate(shape))
    steps = tuple(-1 if a in axes else 1 for a in range(len(shape)))
    return apply(Slice(starts, shape, steps, shape), x)


def roll(x: V, shifts: movement.Sizes, dims: movement.Sizes | None = None) -> V:
    """x with its elements moved on by `shifts` along `dims`; the last reappear first.

    Without `dims`, x is rolled as if it were flat. Raises ArgumentError unless there are as many
    shifts as axes.

    >>> roll(tensor([1.0, 2.0, 3.0]), 1)
    tensor([3., 1., 2.])
    """
    shape = shape_of(x)
    amounts = movement.dims((shifts,))
    if dims is None:
        flat = movement.reshape(x, (-1,) if math.prod(shape) else (0,))
        return movement.reshape(roll(flat, sum(amounts), 0), shape)
    axes = movement.dims((dims,))
    if len(axes) != len(amounts):
        raise ArgumentError(
            "roll needs one shift for each axis",
            got=f"shifts {amounts} along dims {axes}",
        )
    y: Any = movement.reshape(x, shape)
    for shift, axis in zip(amounts, axes, strict=True):
        at = normalize_axis(axis, len(shape))
        n = shape[at] if shape else 1
        if n and shift % n:
            lead = (slice(None),) * at
            cut = n - shift % n
            y = joining.concatenate([y[(*lead, slice(cut, n))], y[(*lead, slice(0, cut))]], at)
    return y  # type: ignore[no-any-return]  # of the type of x


# Padding ------------------------------------------------------------------------------------------


class Pad(Linear):
    """x in the middle of a larger array; the rest is `value`, so only y - value is linear in x."""

    batching = (("widths", in_front((0, 0))),)
    widths: tuple[tuple[int, int], ...]
    value: float = 0.0

    def infer(self, *xs: Any) -> Aval:
        shape = shape_of(xs[0])
        if len(shape) != len(self.widths):
            raise ShapeError(
                "pad needs one pair of widths for each axis",
                expected=f"{len(self.widths)} dimensions",
                got=str(tuple(shape)),
            )
        padded = tuple(a + n + b for n, (a, b) in zip(shape, self.widths, strict=True))
        return Aval(padded, xs[0].dtype)

    def forward(self, *xs: Any) -> Any:
        x = xs[0]
        shape = self.infer(x).shape
        y = np.full(shape, self.value, x.dtype) if self.value else np.zeros(shape, x.dtype)
        y[self._middle(x.shape)] = x
        return y

    def _middle(self, shape: Shape) -> tuple[slice, ...]:
        return tuple([slice(a, a + n) for n, (a, _) in zip(shape, self.widths, strict=True)])

    def transpose(self, ct: Data, x: Data, *constants: Data) -> Data:
        return ct[self._middle(x.shape)]

    def jvp(self, dxs: Sequence[Data | None], xs: Sequence[Data], y: Data) -> Data:
        return apply(Pad(self.widths, 0.0), dxs[0])

    def lower(self, k: Any, *xs: Any) -> Any:
        x = xs[0]
        if any(n < 0 for pair in self.widths for n in pair):
            return None
        place = k.box([lo for lo, _ in self.widths], [1] * len(self.widths))
        return k.assemble(self.infer(x).shape, x.dtype, self.value, [(x, place)])

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape in _PADDED:
            yield Sample(cls(tuple((i % 3, (i + 1) % 2) for i in range(len(shape)))), floats(shape))
        yield Sample(cls(((2, 1), (0, 3)), -1.5), floats((2, 3)))


def pad(x: V, widths: Widths, value: float = 0.0) -> V:
    """x with ``before`` and ``after`` elements equal to `value` added along each axis.

    `widths` has one pair (before, after) for each axis. A negative width cuts instead.
    Raises ShapeError if the number of pairs is not that of the axes, or more is cut than there is.

    >>> pad(tensor([[1.0, 2.0]]), ((0, 1), (1, 0)))
    tensor([[0., 1., 2.],
            [0., 0., 0.]])
    """
    pairs = tuple([(int(a), int(b)) for a, b in widths])
    for a, b in pairs:
        if a < 0 or b < 0:
            x, pairs = _cut(x, pairs)
            break
    return apply(Pad(pairs, float(value)), x)


def constant_pad_nd(input: V, pad: Sequence[int], value: float = 0.0) -> V:
    """``pad`` with PyTorch's order: (before, after) for the last axis, then for the one before.

    Raises ShapeError for an odd number of widths, or for more axes than there are.
    """
    rank = len(shape_of(input))
    if len(pad) % 2 or len(pad) > 2 * rank:
        raise ShapeError(
            "pad takes a pair of widths for each of the last axes",
            expected=f"up to {2 * rank} numbers",
            got=str(tuple(pad)),
        )
    pairs = [(int(a), int(b)) for a, b in zip(pad[::2], pad[1::2], strict=True)]
    return _pad(input, (*[(0, 0)] * (rank - len(pairs)), *reversed(pairs)), value)


_pad = pad  # for a function with a parameter of that name


def _cut(x: V, pairs: tuple[tuple[int, int], ...]) -> tuple[V, tuple[tuple[int, int], ...]]:
    """x without what the negative widths cut off, and the widths that remain to be added."""
    shape = shape_of(x)
    if len(shape) != len(pairs) or any(
        n + min(a, 0) + min(b, 0) < 0 for n, (a, b) in zip(shape, pairs, strict=True)
    ):
        raise ShapeError(
            "pad cannot cut more than there is",
            expected="one pair of widths for each axis, their cuts within its size",
            got=f"widths {pairs} for {tuple(shape)}",
        )
    kept = tuple(slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(shape, pairs, strict=True))
    middle: Any = x
    return middle[kept], tuple((max(a, 0), max(b, 0)) for a, b in pairs)


def pad_mode(x: V, widths: Widths, mode: str = "reflect", value: float = 0.0) -> V:
    """x with ``before`` and ``after`` elements added along each axis, taken from x itself.

    `mode` is ``constant`` (all equal to `value`), ``reflect`` (mirrored, the border not repeated),
    ``symmetric`` (mirrored, the border repeated), ``replicate`` or ``edge`` (the border element),
    ``circular`` or ``wrap`` (from the other end), as in ``numpy.pad``. Elements that are used twice
    gather the sum of their gradients. A negative width cuts instead.
    Raises ArgumentError for another mode, ShapeError if there is nothing to take.

    >>> pad_mode(tensor([1.0, 2.0, 3.0]), ((2, 1),), "reflect")
    tensor([3., 2., 1., 2., 3., 2.])
    """
    if mode == "constant":
        return pad(x, widths, value)
    if mode not in _SOURCES:
        raise ArgumentError(
            "unknown way to pad",
            expected="constant, " + ", ".join(_SOURCES),
            got=repr(mode),
        )
    if mode in ("circular", "wrap") and any(min(pair) < 0 for pair in widths):
        x, widths = _cut(x, tuple((int(a), int(b)) for a, b in widths))
    shape = shape_of(x)
    if len(widths) != len(shape) or any(
        n + a + b < 0 for n, (a, b) in zip(shape, widths, strict=False)
    ):
        raise ShapeError(
            "pad_mode needs one pair of widths for each axis",
            got=f"widths {tuple(map(tuple, widths))} for {shape}",
        )
    y: Any = movement.reshape(x, shape)
    for axis, (before, after) in enumerate(widths):
        if not before and not after:
            continue
        if shape[axis] == 0:
            raise ShapeError("nothing to pad an empty axis with", got=f"axis {axis} of {shape}")
        places = np.arange(-before, shape[axis] + after)
        y = y[(*(slice(None),) * axis, _SOURCES[mode](places, shape[axis]))]
    return y  # type: ignore[no-any-return]  # of the type of x


def _mirrored(places: Any, n: int) -> Any:
    """Period 2n - 2: … 2 1 | 0 1 2 … n-1 | n-2 …"""
    if n == 1:
        return np.zeros_like(places)
    within = places % (2 * n - 2)
    return np.minimum(within, 2 * n - 2 - within)


def _symmetric(places: Any, n: int) -> Any:
    """Period 2n: … 1 0 | 0 1 … n-1 | n-1 …"""
    within = places % (2 * n)
    return np.minimum(within, 2 * n - 1 - within)


def _nearest(places: Any, n: int) -> Any:
    return np.clip(places, 0, n - 1)


_PADDED: tuple[Shape, ...] = (
    (), (1,), (3,), (0,), (2, 3), (1, 3), (3, 1), (2, 0, 3), (1, 1, 1), (2, 3, 4), (2, 1, 3, 2),
    (2, 1, 2, 1, 2),
)  # fmt: skip

_SOURCES: dict[str, Callable[[Any, int], Any]] = {
    "reflect": _mirrored,
    "symmetric": _symmetric,
    "replicate": _nearest,
    "edge": _nearest,
    "circular": np.mod,
    "wrap": np.mod,
}
