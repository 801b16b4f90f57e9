"""Softmax and its logarithm: scores as probabilities, without overflow for any finite score.

The largest score is subtracted first, so the largest exponential is 1. Of scores that are all -inf,
and of +inf, the result is NaN, as in PyTorch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from ..core.apply import apply
from ..core.aval import Aval, Axes, Data, Shape, shape_of
from ..core.families import Fused
from ..core.op import OUTPUT, Active, Cotangents, shifted
from ..core.sampling import Draw, Sample, floats
from . import arithmetic, elementwise, movement, reduce

V = TypeVar("V")

__all__ = ["log_softmax", "softmax"]


class Softmax(Fused):
    """y = eˣ / Σ eˣ along an axis;  x̄ = y (ȳ - Σ ȳ y), so backward keeps only the output."""

    batching = (("axis", shifted),)
    axis: int
    needs = OUTPUT
    promotes = True
    floating = True

    def infer(self, *xs: Any) -> Aval:
        return Aval(shape_of(xs[0]), reduce.float_dtype(xs[0].dtype))

    def forward(self, *xs: Any) -> Any:
        x = xs[0]
        if x.size == 0:
            return x.copy()
        y = x - x.max(axis=self.axis, keepdims=True)
        np.exp(y, out=y)
        y /= y.sum(axis=self.axis, keepdims=True, dtype=wide(x.dtype)).astype(x.dtype, copy=False)
        return y

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        return (y * (ct - reduce.sum(ct * y, self.axis, True)),)

    def jvp(self, dxs: Sequence[Data | None], xs: Sequence[Data], y: Data) -> Data:
        return self.vjp(dxs[0], xs, y, (True,))[0]  # the Jacobian diag(y) - y yᵀ is symmetric

    def reference(self, *xs: Data) -> Data:
        return elementwise.exp(xs[0] - reduce.logsumexp(xs[0], self.axis, True))

    def expand(self, *xs: Data) -> Data:
        x, axis = xs[0], self.axis
        if 0 in x.shape:
            return x
        y = elementwise.exp(x - reduce.amax(x, axis, True))
        return y / movement.cast(_total(y, axis), x.dtype)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape, axis in _SAMPLES:
            yield Sample(cls(axis), floats(shape))
        yield Sample(cls(0), (Draw((3,), 300.0, 310.0),))


class LogSoftmax(Fused):
    """y = x - log Σ eˣ along an axis;  x̄ = ȳ - eʸ Σ ȳ, so backward keeps only the output."""

    batching = (("axis", shifted),)
    axis: int
    needs = OUTPUT
    promotes = True
    floating = True

    def infer(self, *xs: Any) -> Aval:
        return Aval(shape_of(xs[0]), reduce.float_dtype(xs[0].dtype))

    def forward(self, *xs: Any) -> Any:
        return log_probabilities(xs[0], self.axis)

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        return (ct - elementwise.exp(y) * reduce.sum(ct, self.axis, True),)

    def jvp(self, dxs: Sequence[Data | None], xs: Sequence[Data], y: Data) -> Data:
        return dxs[0] - reduce.sum(elementwise.exp(y) * dxs[0], self.axis, True)

    def reference(self, *xs: Data) -> Data:
        return xs[0] - reduce.logsumexp(xs[0], self.axis, True)

    def expand(self, *xs: Data) -> Data:
        x, axis = xs[0], self.axis
        if 0 in x.shape:
            return x
        y = x - reduce.amax(x, axis, True)
        return y - movement.cast(elementwise.log(_total(elementwise.exp(y), axis)), x.dtype)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape, axis in _SAMPLES:
            yield Sample(cls(axis), floats(shape))
        yield Sample(cls(0), (Draw((3,), 300.0, 310.0),))


_SAMPLES: tuple[tuple[Shape, int], ...] = (
    ((1,), 0), ((3,), 0), ((0,), 0), ((2, 3), 0), ((2, 3), 1), ((1, 4), 1), ((4, 1), 1),
    ((2, 0), 1), ((0, 3), 1), ((2, 3, 4), 1), ((2, 3, 2), 2), ((2, 2, 3, 2), 1),
    ((2, 1, 2, 3, 2), 3),
)  # fmt: skip


def wide(dtype: Any) -> Any:
    """The type to add up in: at least float32."""
    return np.promote_types(dtype, np.float32)


def _total(y: Data, axis: int) -> Data:
    """Σ y along an axis, which stays with size one, in the type to add up in."""
    return reduce.sum(movement.cast(y, wide(y.dtype)), axis, True)


def log_sum(x: Data, axes: Axes, shape: Shape) -> Data:
    """log Σ eˣ over some axes, made of ops, in a given shape; None for sums over no elements."""
    if any(x.shape[a] == 0 for a in axes):
        return None
    top = reduce.amax(x, axes, True)
    top = arithmetic.where(arithmetic.isfinite(top), top, 0.0)
    y = elementwise.log(reduce.sum(elementwise.exp(x - top), axes, True)) + top
    return movement.reshape(y, shape)


def log_probabilities(x: Any, axis: int) -> Any:
    """x - log Σ eˣ of an array. With the largest element taken off, the sum is at least 1."""
    if x.size == 0:
        return x.copy()
    y = x - x.max(axis=axis, keepdims=True)
    total = np.exp(y).sum(axis=axis, keepdims=True, dtype=wide(x.dtype))
    y -= np.log(total).astype(x.dtype, copy=False)
    return y


def softmax(x: V, dim: int = -1, dtype: Any = None) -> V:
    """eˣ / Σ eˣ along `dim`: positive numbers that sum to 1.  ∂yᵢ/∂xⱼ = yᵢ (δᵢⱼ - yⱼ).

    Of a number it is 1, of scores that are all -inf NaN. With `dtype`, x is converted first. Raises
    IndexRangeError for a wrong `dim`.

    >>> softmax(tensor([1e30, -1e30, 0.0]))
    tensor([1., 0., 0.])
    """
    x = x if dtype is None else movement.cast(x, dtype)
    if not shape_of(x):
        return movement.reshape(softmax(movement.reshape(x, (1,)), dim), ())
    return apply(Softmax(reduce.axis_of(x, dim)), x)


def log_softmax(x: V, dim: int = -1, dtype: Any = None) -> V:
    """log(eˣ / Σ eˣ) along `dim`, finite also where the softmax underflows.

    ∂yᵢ/∂xⱼ = δᵢⱼ - softmax(x)ⱼ. Raises IndexRangeError for a wrong `dim`.

    >>> log_softmax(tensor([0.0, 200.0]))
    tensor([-200.,    0.])
    """
    x = x if dtype is None else movement.cast(x, dtype)
    if not shape_of(x):
        return movement.reshape(log_softmax(movement.reshape(x, (1,)), dim), ())
    return apply(LogSoftmax(reduce.axis_of(x, dim)), x)
