"""Elementwise functions made of others: their derivatives and kernels are those of their parts."""

from __future__ import annotations

import builtins
import math
from typing import Any

import numpy as np

from ..core.aval import SCALARS, result_dtype, shape_of
from ..errors import ArgumentError, DTypeError
from . import arithmetic, comparison, keys, movement, reduce, selection

__all__ = [
    "addcdiv", "addcmul", "allclose", "angle", "clamp_max", "clamp_min", "deg2rad", "equal", "exp2",
    "float_power", "fmax", "fmin", "frac", "isclose", "isneginf", "isposinf", "isreal", "lerp",
    "logaddexp2", "nan_to_num", "positive", "rad2deg", "real", "rsub", "true_divide",
]  # fmt: skip

_LOG2 = math.log(2.0)


# Arithmetic ---------------------------------------------------------------------------------------


def addcmul(input: Any, tensor1: Any, tensor2: Any, *, value: float = 1) -> Any:
    """x + value a b, elementwise.

    >>> addcmul(tensor([1.0]), tensor([2.0]), tensor([3.0]), value=10)
    tensor([61.])
    """
    product: Any = arithmetic.mul(tensor1, tensor2)
    return arithmetic.add(input, product if value == 1 else product * value)


def addcdiv(input: Any, tensor1: Any, tensor2: Any, *, value: float = 1) -> Any:
    """x + value a / b, elementwise."""
    quotient: Any = arithmetic.div(tensor1, tensor2)
    return arithmetic.add(input, quotient if value == 1 else quotient * value)


def lerp(input: Any, end: Any, weight: Any) -> Any:
    """a + w (b - a), elementwise, exactly b for w = 1.  ∂/∂a = 1 - w, ∂/∂b = w, ∂/∂w = b - a.

    >>> lerp(tensor([0.0, 1.0]), tensor([10.0, 11.0]), 0.5)
    tensor([5., 6.])
    """
    away: Any = arithmetic.sub(end, input)
    if type(weight) in SCALARS:
        if builtins.abs(weight) < 0.5:
            return arithmetic.add(input, away * weight)
        return arithmetic.sub(end, away * (1 - weight))
    near = comparison.lt(arithmetic.abs(weight), 0.5)
    return selection.where(near, input + away * weight, end - away * (1.0 - weight))


def rsub(input: Any, other: Any, *, alpha: float = 1) -> Any:
    """other - alpha x, elementwise: subtraction the other way round."""
    return arithmetic.sub(other, input if alpha == 1 else arithmetic.mul(input, alpha))


def true_divide(input: Any, other: Any) -> Any:
    """a / b, elementwise: ``div`` without rounding."""
    return arithmetic.div(input, other)


def positive(input: Any) -> Any:
    """x itself. Raises DTypeError for truth values."""
    if input.dtype.kind == "b":
        raise DTypeError("positive of truth values is not defined", got="booleans")
    return movement.identity(input)


def frac(input: Any) -> Any:
    """x - trunc(x), with the sign of x.  dy/dx = 1.

    >>> frac(tensor([1.5, -2.25]))
    tensor([ 0.5000, -0.2500])
    """
    return arithmetic.sub(input, comparison.trunc(input))


def float_power(input: Any, exponent: Any) -> Any:
    """aᵇ computed in float64, whatever the dtypes are; see ``pow``."""
    return arithmetic.pow(_double(input), _double(exponent))


def _double(x: Any) -> Any:
    return np.asarray(x, np.float64) if type(x) in SCALARS else movement.cast(x, np.float64)


# Angles and exponentials --------------------------------------------------------------------------


def deg2rad(input: Any) -> Any:
    """Degrees in radians: x π / 180."""
    return arithmetic.mul(reduce.as_float(input), math.pi / 180.0)


def rad2deg(input: Any) -> Any:
    """Radians in degrees: x 180 / π."""
    return arithmetic.mul(reduce.as_float(input), 180.0 / math.pi)


def exp2(input: Any) -> Any:
    """2ˣ.  dy/dx = 2ˣ log 2.

    >>> exp2(tensor([0.0, 3.0]))
    tensor([1., 8.])
    """
    return arithmetic.pow(2.0, reduce.as_float(input))


def logaddexp2(input: Any, other: Any) -> Any:
    """log₂(2ᵃ + 2ᵇ), elementwise, without overflow.

    >>> logaddexp2(tensor([3.0]), tensor([3.0]))
    tensor([4.])
    """
    a, b = (
        arithmetic.mul(reduce.as_float(input), _LOG2),
        arithmetic.mul(reduce.as_float(other), _LOG2),
    )
    return arithmetic.logaddexp(a, b) / _LOG2


def angle(input: Any) -> Any:
    """The angle of x in the complex plane: 0 for x >= 0, π below, NaN of NaN.  dy/dx = 0."""
    x = reduce.as_float(input)
    turned = movement.cast(comparison.lt(x, 0), x.dtype) * math.pi
    return selection.where(comparison.isnan(x), x, turned)


def real(input: Any) -> Any:
    """The real part, which is x itself: tensors are of real numbers."""
    return movement.identity(input)


# Choices ------------------------------------------------------------------------------------------


def clamp_min(input: Any, min: Any) -> Any:
    """The greater of x and `min`, a number or a tensor; see ``clip``."""
    return selection.clip(input, min=min)


def clamp_max(input: Any, max: Any) -> Any:
    """The lesser of x and `max`, a number or a tensor; see ``clip``."""
    return selection.clip(input, max=max)


def fmax(input: Any, other: Any) -> Any:
    """The greater of a and b, and the other one of a NaN. At ties the derivative goes to a.

    >>> fmax(tensor([1.0, float("nan")]), tensor([float("nan"), 2.0]))
    tensor([1., 2.])
    """
    keep = comparison.logical_or(comparison.ge(input, other), comparison.isnan(other))
    return selection.where(keep, input, other)


def fmin(input: Any, other: Any) -> Any:
    """The lesser of a and b, and the other one of a NaN. At ties the derivative goes to a."""
    keep = comparison.logical_or(comparison.le(input, other), comparison.isnan(other))
    return selection.where(keep, input, other)


def nan_to_num(
    input: Any, nan: float | None = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Any:
    """x with numbers for NaN and the infinities: by default 0 and the greatest and least finite.

    dy/dx = 1, and 0 where a number was put. Integers stay as they are.

    >>> nan_to_num(tensor([float("nan"), float("inf"), 1.0]), posinf=9.0)
    tensor([0., 9., 1.])
    """
    if input.dtype.kind != "f":
        return movement.identity(input)
    limits = np.finfo(input.dtype)
    greatest = float(limits.max) if posinf is None else posinf
    least = float(limits.min) if neginf is None else neginf
    x = selection.where(comparison.isnan(input), 0.0 if nan is None else nan, input)
    x = selection.where(comparison.eq(input, math.inf), greatest, x)
    return selection.where(comparison.eq(input, -math.inf), least, x)


# Tests --------------------------------------------------------------------------------------------


def isposinf(input: Any) -> Any:
    """Whether x is inf, elementwise. Boolean."""
    return comparison.eq(input, math.inf)


def isneginf(input: Any) -> Any:
    """Whether x is -inf, elementwise. Boolean."""
    return comparison.eq(input, -math.inf)


def isreal(input: Any) -> Any:
    """True for every element: tensors are of real numbers."""
    return comparison.logical_or(comparison.eq(input, input), True)


def isclose(
    input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Any:
    """Whether |a - b| <= atol + rtol |b|, elementwise, or a = b; NaN equals NaN if `equal_nan`.

    Raises ArgumentError for a negative tolerance and DTypeError for different dtypes.

    >>> isclose(tensor([1.0, 2.0]), tensor([1.0 + 1e-7, 2.1]))
    tensor([True, False])
    """
    if rtol < 0 or atol < 0:
        raise ArgumentError("tolerances are not negative", got=f"rtol={rtol}, atol={atol}")
    same = comparison.eq(input, other)
    if result_dtype((input, other)).kind == "b":
        return same
    gap = arithmetic.abs(arithmetic.sub(reduce.as_float(input), reduce.as_float(other)))
    allowed = arithmetic.abs(reduce.as_float(other)) * rtol + atol
    near = comparison.logical_and(comparison.isfinite(gap), comparison.le(gap, allowed))
    close = comparison.logical_or(same, near)
    if equal_nan:
        both = comparison.logical_and(comparison.isnan(input), comparison.isnan(other))
        close = comparison.logical_or(close, both)
    return close


def allclose(
    input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> bool:
    """Whether ``isclose`` holds everywhere: a Python bool."""
    return _truth("allclose", reduce.all(isclose(input, other, rtol, atol, equal_nan)))


def equal(input: Any, other: Any) -> bool:
    """Whether two tensors have the same shape and the same elements: a Python bool."""
    if tuple(shape_of(input)) != tuple(shape_of(other)):
        return False
    return _truth("equal", reduce.all(comparison.eq(input, other)))


def _truth(name: str, answer: Any) -> bool:
    if not keys.is_concrete(answer):
        raise ArgumentError(f"what {name}() says is not known while tracing")
    return bool(keys.numbers(answer))
