"""Variance, standard deviation and norms over axes.

A constant has the derivative 0 of its standard deviation, and a zero vector that of its norm, as
in PyTorch: the middle of the subgradients, where the formula alone would give 0/0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from ..core.apply import apply
from ..core.aval import Aval, Axes, Data, Shape
from ..core.families import Fused
from ..core.op import BOTH, Active, Cotangents
from ..core.sampling import Draw, Sample, distinct, floats
from ..errors import ArgumentError, ShapeError
from . import arithmetic, elementwise, movement, reduce

V = TypeVar("V")

_FINITE_P = (2.0, 1.0, 3.0, 1.5, 0.0)
_INFINITE_P = (math.inf, -math.inf)


class Var(reduce.Reduction, Fused):
    """y = Σ (x - m)² / (n - correction), m the mean;  dy/dx = 2 (x - m) / (n - correction)."""

    correction: float = 1.0

    def divisor(self, shape: Shape) -> float:
        """n - correction, or NaN where that leaves nothing to divide by."""
        free = self.count(shape) - self.correction
        return free if free > 0 else math.nan

    def forward(self, *xs: Any) -> Any:
        x = xs[0]
        wide = np.promote_types(x.dtype, np.float32)
        return self.variance(x.astype(wide, copy=False)).astype(x.dtype, copy=False)

    def variance(self, x: Any) -> Any:
        """Two passes, the second corrected for the rounding of the mean.

        T. F. Chan, G. H. Golub, R. J. LeVeque, Algorithms for computing the sample variance, The
        American Statistician 37(3), 1983, equation 1.7.
        """
        n, axes = self.count(x.shape), self.axes
        away = x - reduce.pairwise_sum(x, axes, True, x.dtype) / n
        squares = reduce.pairwise_sum(away * away, axes, self.keepdim, x.dtype)
        remainder = reduce.pairwise_sum(away, axes, self.keepdim, x.dtype)
        return (squares - remainder * remainder / n) / self.divisor(x.shape)

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        x = xs[0]
        away = x - reduce.mean(x, self.axes, True)
        return (away * (self.restore(ct, x.shape) * (2.0 / self.divisor(x.shape))),)

    def reference(self, *xs: Data) -> Data:
        x = xs[0]
        away = x - reduce.mean(x, self.axes, True)
        return reduce.sum(away * away, self.axes, self.keepdim) / self.divisor(x.shape)

    def expand(self, *xs: Data) -> Data:
        dtype = xs[0].dtype
        wide = movement.cast(xs[0], np.promote_types(dtype, np.float32))
        return movement.cast(self._expanded(wide), dtype)

    def _expanded(self, x: Data) -> Data:
        n, axes = float(self.count(x.shape)), self.axes
        away = x - reduce.sum(x, axes, True) / n
        squares = reduce.sum(away * away, axes, self.keepdim)
        remainder = reduce.sum(away, axes, self.keepdim)
        return (squares - remainder * remainder / n) / self.divisor(x.shape)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape, axes in reduce.AXES:
            for correction in (0.0, 1.0, 1.5):
                op = cls(axes, correction == 1.0, correction)
                if op.count(shape) > correction:
                    yield Sample(op, floats(shape))


class Std(Var):
    """y = √Var(x);  dy/dx = (x - m) / ((n - correction) y), 0 where y = 0."""

    needs = BOTH

    def variance(self, x: Any) -> Any:
        return np.sqrt(super().variance(x))

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        x = xs[0]
        away = x - reduce.mean(x, self.axes, True)
        share = ct / _nonzero(y) / self.divisor(x.shape)
        return (away * self.restore(share, x.shape),)

    def reference(self, *xs: Data) -> Data:
        return elementwise.sqrt(super().reference(*xs))

    def _expanded(self, x: Data) -> Data:
        return elementwise.sqrt(super()._expanded(x))


class Norm(reduce.Reduction, Fused):
    """y = (Σ |x|ᵖ)^(1/p), the greatest or least |x| for p = ±inf, the count of nonzeros for p = 0.

    dy/dx = sign(x) (|x| / y)ᵖ⁻¹, 0 where x = 0; for p = ±inf shared evenly by ties.
    """

    p: float = 2.0

    needs = BOTH

    def infer(self, *xs: Any) -> Aval:
        if math.isinf(self.p) and not self.count(xs[0].shape):
            raise ShapeError(
                f"the norm with p={self.p} of no elements is not defined",
                expected="at least one element along the reduced axes",
                got=f"shape {xs[0].shape}, axes {self.axes}",
            )
        return super().infer(*xs)

    def forward(self, *xs: Any) -> Any:
        x = xs[0]
        y = np.asarray(self._norm(x), x.dtype)
        return y if self.keepdim else np.squeeze(y, self.axes)

    def _norm(self, x: Any) -> Any:
        p, axes = self.p, self.axes
        if p == 2.0:
            return _euclidean(x, axes)
        size = np.abs(x)
        if p == 1.0:
            return reduce.pairwise_sum(size, axes, True, x.dtype)
        if p == 0.0:
            return np.count_nonzero(size, axis=axes, keepdims=True)
        if math.isinf(p):
            pick = np.maximum if p > 0 else np.minimum
            return pick.reduce(size, axis=axes, keepdims=True)
        scale = _scale(size, axes)
        return scale * np.add.reduce((size / scale) ** p, axis=axes, keepdims=True) ** (1.0 / p)

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        x, p = xs[0], self.p
        ct, y = self.restore(ct, x.shape), self.restore(y, x.shape)
        if p == 2.0:
            return (x * (ct / _nonzero(y)),)
        if p == 1.0:
            return (arithmetic.sign(x) * ct,)
        if p == 0.0:
            return (arithmetic.where(True, 0.0, x * ct),)
        if math.isinf(p):
            winners = arithmetic.eq(arithmetic.abs(x), y)
            ties = reduce.sum(movement.cast(winners, ct.dtype), self.axes, True)
            return (arithmetic.where(winners, arithmetic.sign(x) * (ct / ties), 0.0),)
        ratio = arithmetic.where(arithmetic.eq(x, 0), 1.0, arithmetic.abs(x)) / _nonzero(y)
        return (arithmetic.sign(x) * arithmetic.pow(ratio, p - 1.0) * ct,)

    def reference(self, *xs: Data) -> Data:
        size, p, axes, keepdim = arithmetic.abs(xs[0]), self.p, self.axes, self.keepdim
        if math.isinf(p):
            return (reduce.amax if p > 0 else reduce.amin)(size, axes, keepdim)
        if p == 0.0:
            return reduce.sum(arithmetic.sign(size), axes, keepdim)
        return arithmetic.pow(reduce.sum(arithmetic.pow(size, p), axes, keepdim), 1.0 / p)

    def expand(self, *xs: Data) -> Data:
        x, p, axes = xs[0], self.p, self.axes
        if not self.count(x.shape):
            return None
        size = arithmetic.abs(x)
        if p == 2.0:
            y = _expanded_euclidean(x, axes)
        elif p == 1.0:
            y = reduce.sum(size, axes, True)
        elif p == 0.0:
            y = reduce.sum(arithmetic.ne(x, 0), axes, True)
        elif math.isinf(p):
            y = (reduce.amax if p > 0 else reduce.amin)(size, axes, True)
        else:
            scale = _expanded_scale(size, axes)
            powers = reduce.sum(arithmetic.pow(size / scale, p), axes, True)
            y = scale * arithmetic.pow(powers, 1.0 / p)
        return movement.reshape(movement.cast(y, x.dtype), self.infer(x).shape)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for i, (shape, axes) in enumerate(reduce.AXES):
            for p in _FINITE_P:
                yield Sample(cls(axes, i % 2 == 0, p), (distinct(*shape),))
            for p in (*_INFINITE_P, -1.0, 0.5):
                positive = Draw(shape, 0.5, 3.0, "distinct")
                yield Sample(cls(axes, i % 2 == 0, p), (positive,))
        for shape, axes in reduce.EMPTY:
            yield Sample(cls(axes), floats(shape))


def _nonzero(y: Data) -> Data:
    """y with ones for zeros, to divide by."""
    return arithmetic.where(arithmetic.eq(y, 0), 1.0, y)


def _scale(size: Any, axes: Axes) -> Any:
    """The greatest of the absolute values, or one if that is zero or not finite."""
    top = np.maximum.reduce(size, axis=axes, keepdims=True, initial=0.0)
    return np.where((top > 0) & np.isfinite(top), top, 1.0).astype(size.dtype, copy=False)


def _euclidean(x: Any, axes: Axes) -> Any:
    """√Σx², rescaled only where a square overflowed or underflowed: gradients can be 1e-30."""
    squares = reduce.pairwise_sum(x * x, axes, True, x.dtype)
    limits = np.finfo(x.dtype)
    exact = (squares > limits.tiny / limits.eps) & (squares < limits.max)
    if exact.all():
        return np.sqrt(squares)
    scale = np.where(exact, x.dtype.type(1), _scale(np.abs(x), axes))
    return scale * np.sqrt(reduce.pairwise_sum((x / scale) ** 2, axes, True, x.dtype))


def _expanded_euclidean(x: Data, axes: Axes) -> Data:
    """√Σx² with ops: in float64, where squares of float32 are finite, or rescaled if need be."""
    if x.dtype != np.float64:
        wide = movement.cast(x, np.float64)
        return elementwise.sqrt(reduce.sum(wide * wide, axes, True))
    squares = reduce.sum(x * x, axes, True)
    limits = np.finfo(np.float64)
    exact = arithmetic.logical_and(
        arithmetic.gt(squares, float(limits.tiny / limits.eps)),
        arithmetic.lt(squares, float(limits.max)),
    )
    scale = arithmetic.where(exact, 1.0, _expanded_scale(arithmetic.abs(x), axes))
    ratio = x / scale
    return scale * elementwise.sqrt(reduce.sum(ratio * ratio, axes, True))


def _expanded_scale(size: Data, axes: Axes) -> Data:
    top = reduce.amax(size, axes, True)
    usable = arithmetic.logical_and(arithmetic.gt(top, 0), arithmetic.isfinite(top))
    return arithmetic.where(usable, top, 1.0)


def var(
    x: V,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> V:
    """Σ (x - mean)² / (n - correction) over `dim`.  dy/dx = 2 (x - mean) / (n - correction).

    Integers become the default float. NaN where n <= `correction`. Exact also for numbers whose
    spread is small against their size, such as 1e8 + [0, 1]. ``unbiased=False`` is a `correction`
    of 0, else it is 1.

    >>> var(tensor([1.0, 2.0, 3.0, 4.0]), correction=0)
    tensor(1.2500)
    """
    dim, correction = _correction(dim, unbiased, correction)
    return apply(Var(reduce.axes_of(x, dim), keepdim, correction), reduce.as_float(x))


def std(
    x: V,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> V:
    """Square root of ``var``.  dy/dx = (x - mean) / ((n - correction) y), 0 where y = 0."""
    dim, correction = _correction(dim, unbiased, correction)
    return apply(Std(reduce.axes_of(x, dim), keepdim, correction), reduce.as_float(x))


def _correction(dim: Any, unbiased: bool | None, correction: float | None) -> tuple[Any, float]:
    """Axes and correction. A truth value in the place of axes is PyTorch's ``var(x, unbiased)``."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if correction is None:
        correction = 0 if unbiased is False else 1
    return dim, float(correction)


def norm(x: V, p: float | str | None = 2.0, dim: reduce.Dim = None, keepdim: bool = False) -> V:
    """(Σ |x|ᵖ)^(1/p) over `dim`, without overflow.  dy/dx = sign(x) (|x| / y)ᵖ⁻¹, 0 where x = 0.

    p = ±inf gives the greatest or least |x|, p = 0 the count of nonzeros, "fro" and None are p = 2.
    A zero vector has derivative 0. Integers become the default float. Raises ArgumentError for
    another name and ShapeError for p = ±inf of no elements.

    >>> norm(tensor([3.0, 4.0]))
    tensor(5.)
    """
    order = 2.0 if p in (None, "fro") else p
    if not isinstance(order, (int, float)):
        raise ArgumentError("no such norm", expected="a number, inf or 'fro'", got=f"p={p!r}")
    return apply(Norm(reduce.axes_of(x, dim), keepdim, float(order)), reduce.as_float(x))
