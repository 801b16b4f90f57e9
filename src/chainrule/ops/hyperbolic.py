"""The inverse hyperbolic functions. Integers become the default float; outside the domain, NaN."""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar

import numpy as np

from ..core.apply import apply
from ..core.aval import Data
from ..core.families import Unary
from .elementwise import rsqrt

V = TypeVar("V")

__all__ = ["acosh", "asinh", "atanh"]


class Asinh(Unary):
    """y = log(x + √(x² + 1));  dy/dx = 1/√(x² + 1)."""

    floating = True
    expr = (
        "copysign(where(isinf(2 * {0}), log(abs({0})) + 0.6931471805599453,"
        " log1p(abs({0}) * (1 + abs({0}) / (1 + hypot(1, {0}))))), {0})"
    )
    math = ("1 / sqrt({0}**2 + 1)",)
    forward: ClassVar[Any] = np.arcsinh

    def slope(self, x: Data, y: Data) -> Data:
        return rsqrt(x * x + 1.0)


class Acosh(Unary):
    """y = log(x + √(x² - 1)) for x >= 1;  dy/dx = 1/√(x² - 1), infinite at 1."""

    floating = True
    expr = (
        "where(isinf(2 * {0}), log({0}) + 0.6931471805599453,"
        " log1p({0} - 1 + sqrt({0} - 1) * sqrt({0} + 1)))"
    )
    math = ("1 / sqrt({0}**2 - 1)",)
    domain = ((1.2, 4.0),)
    forward: ClassVar[Any] = np.arccosh

    def slope(self, x: Data, y: Data) -> Data:
        return rsqrt(x - 1.0) * rsqrt(x + 1.0)


class Atanh(Unary):
    """y = log((1 + x) / (1 - x)) / 2 for |x| <= 1;  dy/dx = 1/(1 - x²), infinite at ±1."""

    floating = True
    expr = "sign({0}) * log1p(2 * abs({0}) / (1 - abs({0}))) / 2"
    math = ("1 / (1 - {0}**2)",)
    domain = ((-0.9, 0.9),)
    forward: ClassVar[Any] = np.arctanh

    def slope(self, x: Data, y: Data) -> Data:
        return 1.0 / ((1.0 - x) * (x + 1.0))


ASINH, ACOSH, ATANH = Asinh(), Acosh(), Atanh()


def asinh(input: V) -> V:
    """Inverse hyperbolic sine.  dy/dx = 1/√(x² + 1)."""
    return apply(ASINH, input)


def acosh(input: V) -> V:
    """Inverse hyperbolic cosine, NaN for x < 1.  dy/dx = 1/√(x² - 1), inf at 1."""
    return apply(ACOSH, input)


def atanh(input: V) -> V:
    """Inverse hyperbolic tangent, ±inf at ±1, NaN beyond.  dy/dx = 1/(1 - x²)."""
    return apply(ATANH, input)
