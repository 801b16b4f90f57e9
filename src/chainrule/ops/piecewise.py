"""Activation functions made of straight pieces, and those that cut out a middle.

At a corner the derivative is that of PyTorch: hardtanh, hardsigmoid and hardswish are flat at their
corners, the shrinking functions at ±lambd, threshold at its threshold.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, TypeVar

import numpy as np

from ..core.apply import apply
from ..core.aval import Data
from ..core.families import Unary
from ..core.op import OUTPUT
from ..core.sampling import Sample, distinct
from ..errors import ArgumentError, ShapeError
from . import arithmetic, comparison, elementwise, movement, random, reduce, selection

V = TypeVar("V")

__all__ = [
    "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "prelu", "relu6", "rrelu", "softshrink",
    "tanhshrink", "threshold",
]  # fmt: skip

_SHAPES: tuple[tuple[int, ...], ...] = ((), (1,), (2, 3), (0,), (2, 1, 3), (7,))


class Hardtanh(Unary):
    """y = min(max(x, low), high);  dy/dx = 1 where low < x < high, else 0."""

    low: float = -1.0
    high: float = 1.0

    needs = OUTPUT
    expr = "minimum(maximum({0}, {low}), {high})"
    math = ("where(({0} > {low}) & ({0} < {high}), 1, 0)",)

    def forward(self, *xs: Any) -> Any:
        dtype = np.asarray(xs[0]).dtype.type
        return np.minimum(np.maximum(xs[0], dtype(self.low)), dtype(self.high))

    def slope(self, x: Data, y: Data) -> Data:
        inside = comparison.logical_and(comparison.gt(y, self.low), comparison.lt(y, self.high))
        return movement.cast(inside, y.dtype)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for low, high in ((-1.0, 1.0), (0.0, 6.0), (-0.7, 0.3)):
            for shape in _SHAPES:
                yield Sample(cls(low, high), (distinct(*shape),))


class Hardsigmoid(Unary):
    """y = min(max(x + 3, 0), 6) / 6;  dy/dx = 1/6 where -3 < x < 3, else 0."""

    floating = True
    needs = OUTPUT
    expr = "minimum(maximum({0} + 3, 0), 6) / 6"
    math = ("where(({0} > -3) & ({0} < 3), 1 / 6, 0)",)
    domain = ((-2.9, 2.9),)

    def forward(self, *xs: Any) -> Any:
        return np.minimum(np.maximum(xs[0] + 3.0, 0.0), 6.0) / 6.0

    def slope(self, x: Data, y: Data) -> Data:
        inside = comparison.logical_and(comparison.gt(y, 0.0), comparison.lt(y, 1.0))
        return movement.cast(inside, y.dtype) * (1.0 / 6.0)


class Hardswish(Unary):
    """y = x min(max(x + 3, 0), 6) / 6;  dy/dx = 0 for x <= -3, x/3 + 1/2 between, 1 for x >= 3."""

    floating = True
    expr = "{0} * minimum(maximum({0} + 3, 0), 6) / 6"
    math = ("where({0} <= -3, 0, where({0} >= 3, 1, {0} / 3 + 0.5))",)
    domain = ((-2.9, 2.9),)

    def forward(self, *xs: Any) -> Any:
        x = xs[0]
        return x * np.minimum(np.maximum(x + 3.0, 0.0), 6.0) / 6.0

    def slope(self, x: Data, y: Data) -> Data:
        middle = selection.where(comparison.ge(x, 3), 1.0, x * (1.0 / 3.0) + 0.5)
        return selection.where(comparison.le(x, -3), 0.0, middle)


HARDSIGMOID, HARDSWISH = Hardsigmoid(), Hardswish()


def hardtanh(input: V, min_val: float = -1.0, max_val: float = 1.0) -> V:
    """x limited to min_val … max_val.  dy/dx = 1 strictly inside, else 0.

    Raises ArgumentError unless min_val <= max_val.

    >>> hardtanh(tensor([-2.0, 0.5, 2.0]))
    tensor([-1.0000,  0.5000,  1.0000])
    """
    if min_val > max_val:
        raise ArgumentError(
            "hardtanh needs min_val <= max_val", got=f"min_val={min_val}, max_val={max_val}"
        )
    return apply(Hardtanh(float(min_val), float(max_val)), input)


def relu6(input: V) -> V:
    """min(max(x, 0), 6).  dy/dx = 1 where 0 < x < 6, else 0.

    Source: A. Krizhevsky, Convolutional deep belief networks on CIFAR-10, 2010.
    """
    return hardtanh(input, 0.0, 6.0)


def hardsigmoid(input: V) -> V:
    """min(max(x + 3, 0), 6) / 6: the sigmoid in three straight pieces."""
    return apply(HARDSIGMOID, input)


def hardswish(input: V) -> V:
    """x hardsigmoid(x).  dy/dx = x/3 + 1/2 where -3 < x < 3.

    Source: A. Howard et al., Searching for MobileNetV3, 2019, section 5.2.
    """
    return apply(HARDSWISH, input)


def hardshrink(input: V, lambd: float = 0.5) -> V:
    """0 where |x| <= lambd, else x.

    >>> hardshrink(tensor([-1.0, 0.3, 0.6]))
    tensor([-1.0000,  0.0000,  0.6000])
    """
    y: V = selection.where(comparison.le(arithmetic.abs(input), lambd), 0.0, input)
    return y


def softshrink(input: V, lambd: float = 0.5) -> V:
    """x moved towards 0 by lambd, and 0 where |x| <= lambd. Raises ArgumentError for lambd < 0.

    >>> softshrink(tensor([-1.0, 0.25, 2.0]))
    tensor([-0.5000,  0.0000,  1.5000])
    """
    if lambd < 0:
        raise ArgumentError("softshrink needs lambd >= 0", got=f"lambd={lambd}")
    x: Any = input
    return x - selection.clip(x, -lambd, lambd)  # type: ignore[no-any-return]  # of the type of x


def tanhshrink(input: V) -> V:
    """x - tanh x.  dy/dx = tanh² x."""
    x: Any = reduce.as_float(input)
    return x - elementwise.tanh(x)  # type: ignore[no-any-return]  # of the type of x


def threshold(input: V, threshold: float, value: float) -> V:
    """x where x > threshold, else `value`.  dy/dx = 1 where x > threshold, else 0.

    >>> threshold(tensor([-1.0, 0.5, 2.0]), 1.0, 9.0)
    tensor([9., 9., 2.])
    """
    x: Any = input
    kept = selection.where(comparison.le(x, threshold), value, x)
    return movement.cast(kept, x.dtype)  # type: ignore[no-any-return]  # of the type of x


def prelu(input: Any, weight: Any) -> Any:
    """x where x > 0, else w x; one weight, or one for each channel (axis 1).

    Source: K. He et al., Delving deep into rectifiers, 2015, equation 1. Raises ShapeError if the
    number of weights fits neither.
    """
    count, shape = math.prod(weight.shape), tuple(input.shape)
    channels = shape[1] if len(shape) > 1 else 1
    if count != 1:
        if count != channels or len(weight.shape) != 1:
            raise ShapeError(
                "prelu needs one weight, or one for each channel",
                expected=f"weight of shape (1,) or ({channels},)",
                got=str(tuple(weight.shape)),
            )
        weight = movement.reshape(weight, (channels, *[1] * (len(shape) - 2)))
    elif len(weight.shape) > len(shape):
        weight = movement.reshape(weight, ())
    return selection.where(comparison.gt(input, 0), input, weight * input)


def rrelu(
    input: V, lower: float = 1.0 / 8.0, upper: float = 1.0 / 3.0, training: bool = False
) -> V:
    """x where x >= 0, else a x: a uniform on lower … upper in training, their mean in evaluation.

    Source: B. Xu et al., Empirical evaluation of rectified activations, 2015. Raises ArgumentError
    unless lower <= upper.
    """
    if lower > upper:
        raise ArgumentError("rrelu needs lower <= upper", got=f"lower={lower}, upper={upper}")
    x: Any = reduce.as_float(input)
    slope: Any = 0.5 * (lower + upper)
    if training:
        slope = random.uniform(lower, upper, x.shape, dtype=x.dtype)
    y: V = selection.where(comparison.ge(x, 0), x, x * slope)
    return y
