"""Ordering and scanning: argmax, argmin, max and min along an axis, sort, topk, cumsum.

Order is NumPy's and PyTorch's: NaN is greater than everything, and the first of equals wins. So
max along an axis gives the whole derivative to the first winner.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ..core.apply import apply
from ..core.aval import Aval, Data, Shape
from ..core.families import Constant, Fused, Linear
from ..core.op import OUTPUT, Active, Cotangents, shifted
from ..core.sampling import Sample, distinct, floats
from ..errors import IndexRangeError, ShapeError
from . import arithmetic, indexing, lookup, movement, reduce

__all__ = ["argmax", "argmin", "argsort", "cumsum", "sort", "topk"]

V = TypeVar("V")

_INT64 = np.dtype(np.int64)


class Ordered(NamedTuple):
    """Elements chosen or put in order along an axis, and the positions they had."""

    values: Any
    indices: Any


_AXES: tuple[tuple[Shape, int], ...] = (
    ((1,), 0), ((4,), 0), ((2, 3), 0), ((2, 3), 1), ((1, 4), 1), ((3, 1), 0), ((3, 1), 1),
    ((2, 3, 4), 1), ((0, 3), 1), ((2, 0, 3), 2), ((2, 1, 3, 1, 2), 2), ((2, 2, 3, 2), 3),
)  # fmt: skip


class ArgMax(Constant):
    """Position of the first greatest element along an axis, or in the flattened array."""

    axis: int | None = None
    keepdim: bool = False

    def infer(self, *xs: Any) -> Aval:
        return Aval(_reduced(self.name, xs[0].shape, self.axis, self.keepdim), _INT64)

    def forward(self, *xs: Any) -> Any:
        return np.argmax(xs[0], axis=self.axis, keepdims=self.keepdim)

    best = "maximum"

    def lower(self, k: Any, *xs: Any) -> Any:
        x = xs[0]
        axes = tuple(range(len(x.shape))) if self.axis is None else (self.axis,)
        return k.reshape(k.first_best(self.best, x, axes)[1], self.infer(x).shape)

    def batch(self, size: int, batched: Sequence[bool], *xs: Data) -> Data:
        if self.axis is not None:
            return apply(type(self)(self.axis + 1, self.keepdim), xs[0])
        flat = movement.reshape(xs[0], (size, math.prod(xs[0].shape[1:])))
        shape = (size, *(1,) * (xs[0].ndim - 1)) if self.keepdim else (size,)
        return movement.reshape(apply(type(self)(1), flat), shape)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        yield Sample(cls(), (distinct(),))
        for shape, axis in _AXES:
            yield Sample(cls(axis, axis == 1), (distinct(*shape),))
            if 0 not in shape:
                yield Sample(cls(None, axis == 1), (distinct(*shape),))


class ArgMin(ArgMax):
    """Position of the first least element along an axis, or in the flattened array."""

    def forward(self, *xs: Any) -> Any:
        return np.argmin(xs[0], axis=self.axis, keepdims=self.keepdim)

    best = "minimum"


class MaxAlong(Fused):
    """(greatest element, its position) along an axis;  the derivative goes to that position."""

    batching = (("axis", shifted),)
    axis: int
    keepdim: bool = False

    n_out = 2
    needs = OUTPUT

    def infer(self, *xs: Any) -> tuple[Aval, Aval]:
        shape = _reduced(self.name, xs[0].shape, self.axis, self.keepdim)
        return Aval(shape, xs[0].dtype), Aval(shape, _INT64)

    def forward(self, *xs: Any) -> Any:
        return self._pick(xs[0], np.argmax)

    best = "maximum"

    def lower(self, k: Any, *xs: Any) -> Any:
        shape = self.infer(xs[0])[0].shape
        values, where = k.first_best(self.best, xs[0], (self.axis,))
        return k.reshape(values, shape), k.reshape(where, shape)

    def _pick(self, x: Any, position: Any) -> tuple[Any, Any]:
        where = position(x, axis=self.axis, keepdims=True)
        values = np.take_along_axis(x, where, self.axis)
        if self.keepdim:
            return values, where
        return np.squeeze(values, self.axis), np.squeeze(where, self.axis)

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        ct, winner = ct[0], y[1]
        if not self.keepdim:
            ct = movement.unsqueeze(ct, self.axis)
            winner = movement.unsqueeze(winner, self.axis)
        positions = _positions(xs[0].shape, self.axis)
        return (arithmetic.where(arithmetic.eq(winner, positions), ct, 0.0),)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape, axis in _AXES:
            for keepdim in (False, True):
                yield Sample(cls(axis, keepdim), (distinct(*shape),))


class MinAlong(MaxAlong):
    """(least element, its position) along an axis;  the derivative goes to that position."""

    def forward(self, *xs: Any) -> Any:
        return self._pick(xs[0], np.argmin)

    best = "minimum"


class ArgSort(Constant):
    """Positions that put an axis in order, equals in the order they have."""

    batching = (("axis", shifted),)
    axis: int
    descending: bool = False

    def infer(self, *xs: Any) -> Aval:
        return Aval(xs[0].shape, _INT64)

    def forward(self, *xs: Any) -> Any:
        return _order(xs[0], self.axis, self.descending)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape, axis in _AXES:
            yield Sample(cls(axis, axis == 1), (distinct(*shape),))


class Sort(Fused):
    """(elements in order, their positions before) along an axis: a permutation, so linear."""

    batching = (("axis", shifted),)
    axis: int
    descending: bool = False

    n_out = 2
    needs = OUTPUT

    def infer(self, *xs: Any) -> tuple[Aval, Aval]:
        return Aval(xs[0].shape, xs[0].dtype), Aval(xs[0].shape, _INT64)

    def forward(self, *xs: Any) -> Any:
        order = _order(xs[0], self.axis, self.descending)
        return np.take_along_axis(xs[0], order, self.axis), order

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        back = apply(ArgSort(self.axis), y[1])  # the inverse of a permutation is its argsort
        return (lookup.gather(ct[0], self.axis, back),)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape, axis in _AXES:
            for descending in (False, True):
                yield Sample(cls(axis, descending), (distinct(*shape),))


class Cumsum(Linear):
    """y[i] = x[0] + … + x[i] along an axis; in reverse x[i] + … + x[n-1], its transpose."""

    batching = (("axis", shifted),)
    axis: int
    reverse: bool = False

    def infer(self, *xs: Any) -> Aval:
        x = xs[0]
        return Aval(x.shape, x.dtype if x.dtype.kind == "f" else _INT64)

    def forward(self, *xs: Any) -> Any:
        x = xs[0]
        dtype = x.dtype if x.dtype.kind == "f" else _INT64
        if not x.ndim:
            return x.astype(dtype)
        if not self.reverse:
            return np.add.accumulate(x, axis=self.axis, dtype=dtype)
        backward = np.flip(x, self.axis)
        return np.flip(np.add.accumulate(backward, axis=self.axis, dtype=dtype), self.axis)

    def lower(self, k: Any, *xs: Any) -> Any:
        y = self.infer(xs[0])
        x, rank = k.cast(xs[0], y.dtype), len(y.shape)
        if not rank or 0 in y.shape:
            return x
        if not self.reverse:
            return k.scan("add", x, self.axis)
        starts = [n - 1 if a == self.axis else 0 for a, n in enumerate(y.shape)]
        steps = [-1 if a == self.axis else 1 for a in range(rank)]
        turned = k.scan("add", k.sliced(x, starts, y.shape, steps), self.axis)
        return k.sliced(turned, starts, y.shape, steps)

    def transpose(self, ct: Data, x: Data, *constants: Data) -> Data:
        return apply(Cumsum(self.axis, not self.reverse), ct)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        yield Sample(cls(0), floats(()))
        for shape, axis in (*_AXES, ((0,), 0), ((2, 0), 1)):
            for reverse in (False, True):
                yield Sample(cls(axis, reverse), floats(shape))


def _reduced(name: str, shape: Shape, axis: int | None, keepdim: bool) -> Shape:
    """`shape` without the axis, or with size one there; None stands for all axes.

    Raises ShapeError if there is nothing to choose from along it.
    """
    chosen = range(len(shape)) if axis is None else (axis,)
    if 0 in [shape[a] for a in chosen if a < len(shape)]:
        raise ShapeError(
            f"{name} of no elements is not defined",
            expected="at least one element along the axis",
            got=f"shape {shape}, dim={axis}",
        )
    if keepdim:
        return tuple(1 if a in chosen else n for a, n in enumerate(shape))
    return tuple(n for a, n in enumerate(shape) if a not in chosen)


def _positions(shape: Shape, axis: int) -> Any:
    """0, 1, … along the axis, shaped to broadcast against `shape`."""
    column = [-1 if a == axis else 1 for a in range(len(shape))]
    return np.arange(shape[axis]).reshape(column)


def _order(x: Any, axis: int, descending: bool) -> Any:
    if not descending:
        return np.argsort(x, axis=axis, kind="stable")
    # Sorting the reversed axis and reversing the result keeps the first of equals first.
    order = np.argsort(np.flip(x, axis), axis=axis, kind="stable")
    return x.shape[axis] - 1 - np.flip(order, axis)


def argmax(x: V, dim: int | None = None, keepdim: bool = False) -> V:
    """Position of the greatest element along `dim`, or in the flattened x; int64, no derivative.

    The first of equals; the first NaN if there is one. Raises ShapeError for no elements and
    IndexRangeError for a `dim` out of range.

    >>> argmax(tensor([[1.0, 5.0, 5.0], [7.0, 0.0, 2.0]]), 1)
    tensor([1, 0])
    """
    return apply(ArgMax(_axis(x, dim), keepdim), x)


def argmin(x: V, dim: int | None = None, keepdim: bool = False) -> V:
    """Position of the least element along `dim`, or in the flattened x; see ``argmax``."""
    return apply(ArgMin(_axis(x, dim), keepdim), x)


def extreme(kind: type[MaxAlong], x: Any, axis: int, keepdim: bool) -> Ordered:
    """The greatest or least elements along an axis, and their positions; see ``reduce.max``."""
    if not x.shape:
        return Ordered(x, apply(ArgMax(), x))
    return Ordered(*apply(kind(axis, keepdim), x))


def sort(x: Any, dim: int = -1, descending: bool = False, stable: bool | None = None) -> Ordered:
    """The elements in order along `dim`, and the positions they had.  dy/dx: the permutation.

    Equals keep their order, `stable` or not; NaN counts as the greatest. Raises IndexRangeError for
    a `dim` out of range.

    >>> sort(tensor([3.0, 1.0, 2.0]))
    Ordered(values=tensor([1., 2., 3.]), indices=tensor([1, 2, 0]))
    """
    axis = _axis(x, dim)
    if axis is None:
        return Ordered(x, apply(ArgMax(), x))
    return Ordered(*apply(Sort(axis, descending), x))


def argsort(x: V, dim: int = -1, descending: bool = False, stable: bool | None = None) -> V:
    """The positions that ``sort`` returns; int64, no derivative."""
    axis = _axis(x, dim)
    return apply(ArgMax() if axis is None else ArgSort(axis, descending), x)


def topk(x: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Ordered:
    """The `k` greatest (or least) elements along `dim` in order, and their positions.

    They are in order also with ``sorted=False``. Raises IndexRangeError unless
    ``0 <= k <= x.shape[dim]``.

    >>> topk(tensor([1.0, 4.0, 2.0, 3.0]), 2)
    Ordered(values=tensor([4., 3.]), indices=tensor([1, 3]))
    """
    axis = _axis(x, dim)
    size = 1 if axis is None else x.shape[axis]
    if not 0 <= k <= size:
        raise IndexRangeError(
            "topk asks for more elements than there are",
            expected=f"0 <= k <= {size}",
            got=f"k={k} of shape {tuple(x.shape)}, dim={dim}",
        )
    in_order = sort(x, dim, descending=largest)
    if axis is None:
        return in_order
    first = (*[slice(None)] * axis, slice(0, k))
    return Ordered(*[indexing.index(part, first) for part in in_order])


def cumsum(x: V, dim: int, *, dtype: Any = None) -> V:
    """Running sum along `dim`, y[i] = x[0] + … + x[i]; integers and truth values give int64.

    With `dtype`, x is converted first. x̄[i] = ȳ[i] + … + ȳ[n-1]. Raises IndexRangeError for a `dim`
    out of range.

    >>> cumsum(tensor([1.0, 2.0, 3.0]), 0)
    tensor([1., 3., 6.])
    """
    source = x if dtype is None else movement.cast(x, dtype)
    return apply(Cumsum(reduce.axis_of(x, dim)), source)


def _axis(x: Any, dim: int | None) -> Any:
    """`dim` as a non-negative number; None, which stands for all, if x has no axes."""
    if dim is None:
        return None
    axis = reduce.axis_of(x, dim)
    return axis if x.shape else None
