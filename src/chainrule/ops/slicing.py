"""Slicing: every strided part of an array, its transpose, and what is made of strided parts.

``x[2, ::-1, None]`` is one Slice: where it starts, how many it takes and in which steps along each
axis, then the shape of what is left. A compiler reads it as an affine index map.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from ..core.apply import apply, user_line
from ..core.aval import Aval, Axes, Data, Shape, normalize_axes, normalize_axis, shape_of
from ..core.families import Linear
from ..core.sampling import Sample, floats
from ..errors import ArgumentError, IndexRangeError, ShapeError
from . import joining, movement

V = TypeVar("V")

Key = tuple[slice, ...]


def _bounds(start: int, size: int, step: int) -> slice:
    """The slice that takes `size` elements from `start` on, `step` apart."""
    if size == 0:
        return slice(0, 0, 1)
    stop = start + size * step
    return slice(start, None if stop < 0 else stop, step)


class Slice(Linear):
    """y = x[s₀ + t₀ i₀, s₁ + t₁ i₁, …], in another shape if axes are dropped or new.

    Starts are within the axes; steps may be negative. An integer index is a size of one that
    `shape` leaves out.
    """

    starts: Axes
    sizes: Shape
    steps: Axes
    shape: Shape

    @cached_property
    def key(self) -> Key:
        """The same as a tuple of slices."""
        return tuple(map(_bounds, self.starts, self.sizes, self.steps))

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
            return movement.pad(
                ct,
                tuple(
                    (s, n - s - m)
                    for n, s, m in zip(x.shape, self.starts, self.sizes, strict=True)
                ),
            )
        return apply(Spread(self.starts, self.steps, x.shape), ct)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape, starts, sizes, steps, out in _SLICES:
            yield Sample(cls(starts, sizes, steps, out), floats(shape))


class Spread(Linear):
    """The transpose of a slice: zeros of `shape`, with x at the places that the slice reads."""

    starts: Axes
    steps: Axes
    shape: Shape

    def infer(self, *xs: Any) -> Aval:
        _check_inside(self.shape, self.starts, shape_of(xs[0]), self.steps)
        return Aval(self.shape, xs[0].dtype)

    def forward(self, *xs: Any) -> Any:
        x = xs[0]
        y = np.zeros(self.shape, x.dtype)
        y[tuple(map(_bounds, self.starts, x.shape, self.steps))] = x
        return y

    def transpose(self, ct: Data, x: Data, *constants: Data) -> Data:
        return apply(Slice(self.starts, x.shape, self.steps, x.shape), ct)

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


def flip(x: V, *dims: movement.Sizes) -> V:
    """x with the order along the axes `dims` reversed; without `dims`, along all."""
    shape = shape_of(x)
    axes = normalize_axes(movement.dims(dims) if dims else None, len(shape))
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
            at=user_line(),
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


def pad_mode(x: V, widths: movement.Widths, mode: str = "reflect", value: float = 0.0) -> V:
    """x with ``before`` and ``after`` elements added along each axis, taken from x itself.

    `mode` is ``constant`` (all equal to `value`), ``reflect`` (mirrored, the border not repeated),
    ``symmetric`` (mirrored, the border repeated), ``replicate`` or ``edge`` (the border element),
    ``circular`` or ``wrap`` (from the other end), as in ``numpy.pad``. Elements that are used twice
    gather the sum of their gradients.
    Raises ArgumentError for another mode, ShapeError if there is nothing to take.

    >>> pad_mode(tensor([1.0, 2.0, 3.0]), ((2, 1),), "reflect")
    tensor([3., 2., 1., 2., 3., 2.])
    """
    if mode == "constant":
        return movement.pad(x, widths, value)
    if mode not in _SOURCES:
        raise ArgumentError(
            "unknown way to pad",
            expected="constant, " + ", ".join(_SOURCES),
            got=repr(mode),
            at=user_line(),
        )
    shape = shape_of(x)
    if len(widths) != len(shape) or any(min(pair) < 0 for pair in widths):
        raise ShapeError(
            "pad_mode needs one pair of widths, not negative, for each axis",
            got=f"widths {tuple(map(tuple, widths))} for {shape}",
            at=user_line(),
        )
    y: Any = movement.reshape(x, shape)
    for axis, (before, after) in enumerate(widths):
        if not before and not after:
            continue
        if shape[axis] == 0:
            raise ShapeError(
                "nothing to pad an empty axis with", got=f"axis {axis} of {shape}", at=user_line()
            )
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


_SOURCES = {
    "reflect": _mirrored,
    "symmetric": _symmetric,
    "replicate": _nearest,
    "edge": _nearest,
    "circular": np.mod,
    "wrap": np.mod,
}
