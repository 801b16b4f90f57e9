"""Reductions over axes, and the one un-broadcast of the engine, ``sum_to``.

`dim` is an axis, several, or None for all, as in PyTorch; reduced axes vanish, or stay with size
one if `keepdim`. Over no elements sum is 0, prod 1, mean NaN, all True; max is an error. Ties of
max and min share the derivative evenly; with a `dim`, the first winner takes it all.
``products`` has prod, ``moments`` var, std and norm.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, TypeVar

import numpy as np

from .. import config
from ..core.apply import apply
from ..core.aval import (
    SCALARS,
    Aval,
    Axes,
    Data,
    DType,
    Shape,
    broadcast_shapes,
    normalize_axes,
    normalize_axis,
)
from ..core.families import Constant, Fused, Linear
from ..core.op import BOTH, Active, Cotangents, Op, shifted
from ..core.sampling import Sample, bools, distinct, floats
from ..errors import DTypeError, ShapeError
from . import arithmetic, elementwise, movement, ordering, probabilities

__all__ = ["all", "amax", "amin", "any", "logsumexp", "max", "mean", "min", "sum", "sum_to"]

V = TypeVar("V")
Dim = int | Sequence[int] | None

AXES: tuple[tuple[Shape, Axes], ...] = (
    ((), ()), ((1,), (0,)), ((4,), (0,)), ((2, 3), (0,)), ((2, 3), (1,)), ((2, 3), (0, 1)),
    ((3, 1), (1,)), ((2, 3), ()), ((2, 3, 4), (1,)), ((2, 3, 4), (0, 2)), ((2, 1, 3, 2), (0, 2, 3)),
    ((2, 1, 2, 1, 2), (1, 4)),
)  # fmt: skip
"""Shapes and axes that every reduction is sampled on."""
EMPTY: tuple[tuple[Shape, Axes], ...] = (((0,), (0,)), ((0, 3), (0,)), ((2, 0, 3), (0, 1)))
_INT64 = np.dtype(np.int64)
_BLOCK = 16

# Typed Any because NumPy's overloads accept a literal `keepdims` only.
_sum: Any = np.add.reduce
_greatest: Any = np.maximum.reduce
_least: Any = np.minimum.reduce
_any: Any = np.logical_or.reduce
_all: Any = np.logical_and.reduce


# Axes ---------------------------------------------------------------------------------------------


def axes_of(x: Any, dim: Dim) -> Axes:
    """The axes of x that `dim` names, sorted and non-negative; none if x has no axes.

    Raises IndexRangeError for an axis out of range and ShapeError for one named twice.
    """
    shape = getattr(x, "shape", None)
    if shape is None:
        raise DTypeError(
            "a tensor or an array is expected",
            got=type(x).__name__,
            hint="make it a tensor first: chainrule.tensor(x)",
        )
    axes = normalize_axes(dim, len(shape))
    return axes if shape else ()


def axis_of(x: Any, dim: int) -> int:
    """The axis of x that `dim` names, non-negative; 0 if x has no axes."""
    axes_of(x, dim)
    return normalize_axis(dim, len(x.shape))


def as_float(x: V) -> V:
    """x itself if it is of floats, else x in the default float type; a Python number as a float."""
    if type(x) in SCALARS:
        return float(x)  # type: ignore[arg-type,return-value]  # V is a number here
    if x.dtype.kind == "f":  # type: ignore[attr-defined]  # V has a dtype
        return x
    return movement.cast(x, config.get_default_dtype())


def float_dtype(dtype: DType) -> DType:
    """`dtype` if it is floating-point, else the default float type."""
    return dtype if dtype.kind == "f" else config.get_default_dtype()


def sum_dtype(dtype: DType) -> DType:
    """Sums of floats keep their dtype; truth values and integers are counted in int64."""
    return dtype if dtype.kind == "f" else _INT64


class Reduction(Op, abstract=True):
    """A function of the elements along some axes."""

    batching = (("axes", shifted),)
    axes: Axes
    keepdim: bool = False

    def dtype_of(self, dtype: DType) -> DType:
        """Element type of the result."""
        return dtype

    def infer(self, *xs: Any) -> Aval:
        x = xs[0]
        if self.keepdim:
            shape = tuple(1 if i in self.axes else n for i, n in enumerate(x.shape))
        else:
            shape = tuple(n for i, n in enumerate(x.shape) if i not in self.axes)
        return Aval(shape, self.dtype_of(x.dtype))

    def count(self, shape: Shape) -> int:
        """How many elements are reduced to one."""
        return math.prod(shape[i] for i in self.axes)

    def restore(self, y: Data, shape: Shape) -> Data:
        """Put the reduced axes back with size one, so that y broadcasts against `shape`."""
        if self.keepdim or self.axes == tuple(range(len(self.axes))):
            return y  # leading axes come back by broadcasting
        return movement.reshape(y, tuple(1 if i in self.axes else n for i, n in enumerate(shape)))

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape, axes in (*AXES, *EMPTY):
            for keepdim in (False, True):
                yield Sample(cls(axes, keepdim), floats(shape))


# Sums ---------------------------------------------------------------------------------------------


def pairwise_sum(x: Any, axes: Axes, keepdims: bool, dtype: DType) -> Any:
    """Sum with an error that grows with the logarithm of the count.

    NumPy sums in pairs along the last axis only; along others it adds row after row, so long ones
    are summed here in blocks of blocks, at the same speed.
    """
    if axes and axes[-1] != x.ndim - 1 and x.dtype.kind == "f":
        axis = builtins.max(axes, key=x.shape.__getitem__)
        while x.shape[axis] >= 8 * _BLOCK and x.dtype == dtype:
            x = _add_blocks(x, axis)
    return _sum(x, axis=axes, keepdims=keepdims, dtype=dtype)


def _add_blocks(x: Any, axis: int) -> Any:
    n = x.shape[axis]
    blocks, rest = divmod(n, _BLOCK)
    before, after = x.shape[:axis], x.shape[axis + 1 :]
    lead = (slice(None),) * axis
    whole = x[(*lead, slice(0, n - rest))].reshape(*before, blocks, _BLOCK, *after)
    sums = _sum(whole, axis=axis + 1)
    if not rest:
        return sums
    tail = _sum(x[(*lead, slice(n - rest, n))], axis=axis, keepdims=True)
    return np.concatenate([sums, tail], axis)


class Sum(Reduction, Linear):
    """y = Σ x;  dy/dx = 1."""

    def dtype_of(self, dtype: DType) -> DType:
        return sum_dtype(dtype)

    def lower(self, k: Any, *xs: Any) -> Any:
        x = xs[0]
        return k.reduce("add", k.cast(x, self.dtype_of(x.dtype)), self.axes, self.keepdim)

    def forward(self, *xs: Any) -> Any:
        return pairwise_sum(xs[0], self.axes, self.keepdim, sum_dtype(xs[0].dtype))

    def transpose(self, ct: Data, x: Data, *constants: Data) -> Data:
        return movement.expand(self.restore(ct, x.shape), x.shape)


class Mean(Reduction, Linear):
    """y = Σ x / n;  dy/dx = 1/n."""

    def dtype_of(self, dtype: DType) -> DType:
        return float_dtype(dtype)

    def forward(self, *xs: Any) -> Any:
        x = xs[0]
        dtype = float_dtype(x.dtype)
        wide = np.promote_types(dtype, np.float32)  # a float16 sum overflows at 65504
        total = pairwise_sum(x, self.axes, self.keepdim, wide) / self.count(x.shape)
        return total.astype(dtype, copy=False)

    def transpose(self, ct: Data, x: Data, *constants: Data) -> Data:
        share = ct / self.count(x.shape)
        return movement.expand(self.restore(share, x.shape), x.shape)

    def expand(self, *xs: Data) -> Data:
        x, dtype = xs[0], float_dtype(xs[0].dtype)
        total = sum(movement.cast(x, np.promote_types(dtype, np.float32)), self.axes, self.keepdim)
        return movement.cast(total / float(self.count(x.shape)), dtype)


class SumTo(Linear):
    """y = x summed over the axes that broadcasting `shape` to x's shape would add or stretch."""

    shape: Shape

    def infer(self, *xs: Any) -> Aval:
        x = xs[0]
        if broadcast_shapes(x.shape, self.shape) != x.shape:
            raise ShapeError(
                "sum_to needs a shape that broadcasts to the operand's",
                expected=f"a shape that broadcasts to {x.shape}",
                got=f"{self.shape}",
            )
        return Aval(self.shape, sum_dtype(x.dtype))

    def forward(self, *xs: Any) -> Any:
        x, shape = xs[0], self.shape
        lead = x.ndim - len(shape)
        axes = [*range(lead)]
        axes += [i for i, n in enumerate(shape, lead) if n == 1 and x.shape[i] != 1]
        return pairwise_sum(x, tuple(axes), False, sum_dtype(x.dtype)).reshape(shape)

    def transpose(self, ct: Data, x: Data, *constants: Data) -> Data:
        return movement.expand(ct, x.shape)

    def expand(self, *xs: Data) -> Data:
        x, lead = xs[0], xs[0].ndim - len(self.shape)
        axes = [i for i in range(x.ndim) if i < lead or self.shape[i - lead] == 1 != x.shape[i]]
        y = sum(x, axes) if axes or x.dtype.kind != "f" else x
        return movement.reshape(y, self.shape)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for big, small in (
            ((), ()), ((3,), ()), ((3,), (1,)), ((2, 3), (3,)), ((2, 3), (1, 3)),
            ((2, 3), (2, 1)), ((2, 3), (1, 1)), ((2, 3), ()), ((4, 2, 3), (2, 1)),
            ((0, 3), (3,)), ((0, 3), (1, 3)), ((2, 0, 3), (2, 1, 1)), ((2, 1, 3, 1, 2), (3, 1, 1)),
            ((2, 3), (2, 3)), ((300, 2), (2,)), ((2, 300, 3), (2, 1, 3)),
        ):  # fmt: skip
            yield Sample(cls(small), floats(big))


# Extremes and logarithms of sums ------------------------------------------------------------------


class Amax(Reduction, Fused):
    """y = max x;  dy/dx = 1/k at each of the k elements that equal y, else 0."""

    needs = BOTH

    def infer(self, *xs: Any) -> Aval:
        if not self.count(xs[0].shape):
            raise ShapeError(
                f"{self.name} of no elements is not defined",
                expected="at least one element along the reduced axes",
                got=f"shape {xs[0].shape}, axes {self.axes}",
            )
        return super().infer(*xs)

    def forward(self, *xs: Any) -> Any:
        return _greatest(xs[0], axis=self.axes, keepdims=self.keepdim)

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        x = xs[0]
        winners = arithmetic.eq(x, self.restore(y, x.shape))
        ties = sum(movement.cast(winners, ct.dtype), self.axes, True)
        return (arithmetic.where(winners, self.restore(ct, x.shape) / ties, 0.0),)

    fold: ClassVar[str] = "maximum"

    def lower(self, k: Any, *xs: Any) -> Any:
        return k.reduce(self.fold, xs[0], self.axes, self.keepdim)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape, axes in AXES:
            for keepdim in (False, True):
                yield Sample(cls(axes, keepdim), (distinct(*shape),))


class Amin(Amax):
    """y = min x;  dy/dx = 1/k at each of the k elements that equal y, else 0."""

    fold = "minimum"

    def forward(self, *xs: Any) -> Any:
        return _least(xs[0], axis=self.axes, keepdims=self.keepdim)


class Logsumexp(Reduction, Fused):
    """y = log Σ eˣ, shifted by the greatest x so that nothing overflows;  dy/dx = eˣ⁻ʸ."""

    needs = BOTH

    def forward(self, *xs: Any) -> Any:
        x, axes = xs[0], self.axes
        top = _greatest(x, axis=axes, keepdims=True, initial=-np.inf)
        top = np.where(np.isfinite(top), top, 0.0)  # inf - inf would be NaN
        y = np.log(_sum(np.exp(x - top), axis=axes, keepdims=True)) + top
        return (y if self.keepdim else np.squeeze(y, axes)).astype(x.dtype, copy=False)

    def weights(self, x: Data, y: Data) -> Data:
        """eˣ⁻ʸ, and 0 where every x is -inf."""
        shift = arithmetic.where(arithmetic.eq(y, -math.inf), 0.0, y)
        return elementwise.exp(x - self.restore(shift, x.shape))

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        return (self.restore(ct, xs[0].shape) * self.weights(xs[0], y),)

    def jvp(self, dxs: Sequence[Data | None], xs: Sequence[Data], y: Data) -> Data:
        return sum(dxs[0] * self.weights(xs[0], y), self.axes, self.keepdim)

    def reference(self, *xs: Data) -> Data:
        return elementwise.log(sum(elementwise.exp(xs[0]), self.axes, self.keepdim))

    def expand(self, *xs: Data) -> Data:
        return probabilities.log_sum(xs[0], self.axes, self.infer(*xs).shape)


class AnyNonzero(Reduction, Constant, name="any"):
    """Whether an element is nonzero."""

    def dtype_of(self, dtype: DType) -> DType:
        return np.dtype(np.bool_)

    def forward(self, *xs: Any) -> Any:
        return _any(xs[0], axis=self.axes, keepdims=self.keepdim)

    fold: ClassVar[str] = "or"

    def lower(self, k: Any, *xs: Any) -> Any:
        return k.reduce(self.fold, k.cast(xs[0], np.dtype(np.bool_)), self.axes, self.keepdim)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape, axes in (*AXES, *EMPTY):
            yield Sample(cls(axes), (bools(shape),))
            yield Sample(cls(axes, True), (bools(shape),))


class AllNonzero(AnyNonzero, name="all"):
    """Whether every element is nonzero."""

    fold = "and"

    def forward(self, *xs: Any) -> Any:
        return _all(xs[0], axis=self.axes, keepdims=self.keepdim)


# Functions ----------------------------------------------------------------------------------------


def sum_to(x: V, shape: Shape) -> V:
    """Sum x down to `shape`, over the axes along which `shape` would be broadcast to ``x.shape``.

    The transpose of ``expand``: cotangents of broadcast operands come back through it. Raises
    ShapeError unless `shape` broadcasts to ``x.shape``.
    """
    if x.shape == shape:  # type: ignore[attr-defined]  # V has a shape
        return x
    return apply(SumTo(tuple(shape)), x)


def sum(x: V, dim: Dim = None, keepdim: bool = False) -> V:
    """Sum over `dim`: integers and truth values give int64, and no elements 0.  dy/dx = 1.

    >>> sum(tensor([[1.0, 2.0], [3.0, 4.0]]), 0)
    tensor([4., 6.])
    """
    return apply(Sum(axes_of(x, dim), keepdim), x)


def mean(x: V, dim: Dim = None, keepdim: bool = False) -> V:
    """Mean over `dim`, of integers in the default float; NaN of no elements.  dy/dx = 1/n.

    >>> mean(tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor(2.5000)
    """
    return apply(Mean(axes_of(x, dim), keepdim), x)


def amax(x: V, dim: Dim = None, keepdim: bool = False) -> V:
    """The greatest elements over `dim`, NaN if one is; the elements that tie share the derivative.

    Raises ShapeError for no elements.

    >>> amax(tensor([[1.0, 2.0], [3.0, 3.0]]), 1)
    tensor([2., 3.])
    """
    return apply(Amax(axes_of(x, dim), keepdim), x)


def amin(x: V, dim: Dim = None, keepdim: bool = False) -> V:
    """The least elements over `dim`, NaN if one is; ties and errors as in ``amax``."""
    return apply(Amin(axes_of(x, dim), keepdim), x)


def max(x: V, dim: Any = None, keepdim: bool = False) -> Any:
    """The greatest element; with `dim`, a pair (values, indices); with a tensor, ``maximum``.

    Over all elements, those that tie share the derivative evenly; along a `dim`, the first of them
    takes it all. NaN is greater than everything. Raises ShapeError for no elements.

    >>> max(tensor([[1.0, 5.0], [7.0, 7.0]]), 1)
    Ordered(values=tensor([5., 7.]), indices=tensor([1, 0]))
    """
    if dim is None:
        return amax(x, None, keepdim)
    if not isinstance(dim, (int, np.integer)):
        return arithmetic.maximum(x, dim)
    return ordering.extreme(ordering.MaxAlong, x, axis_of(x, int(dim)), keepdim)


def min(x: V, dim: Any = None, keepdim: bool = False) -> Any:
    """The least element, or a pair with `dim`; NaN if one is. Ties and errors as in ``max``."""
    if dim is None:
        return amin(x, None, keepdim)
    if not isinstance(dim, (int, np.integer)):
        return arithmetic.minimum(x, dim)
    return ordering.extreme(ordering.MinAlong, x, axis_of(x, int(dim)), keepdim)


def logsumexp(x: V, dim: Dim = None, keepdim: bool = False) -> V:
    """log Σ eˣ over `dim`, without overflow; -inf of no elements.  dy/dx = eˣ⁻ʸ, the softmax.

    >>> logsumexp(tensor([1e4, 1e4]))
    tensor(10000.6934)
    """
    return apply(Logsumexp(axes_of(x, dim), keepdim), as_float(x))


def any(x: V, dim: Dim = None, keepdim: bool = False) -> V:
    """Whether an element over `dim` is nonzero, NaN included; False of no elements. Boolean."""
    return apply(AnyNonzero(axes_of(x, dim), keepdim), x)


def all(x: V, dim: Dim = None, keepdim: bool = False) -> V:
    """Whether all elements over `dim` are nonzero, NaN included; True of no elements. Boolean."""
    return apply(AllNonzero(axes_of(x, dim), keepdim), x)
