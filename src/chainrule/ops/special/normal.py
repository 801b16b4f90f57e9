"""The normal distribution function, its logarithm and inverse, and erf's relatives."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import numpy as np

from ...core.apply import apply
from ...core.aval import Data
from ...core.op import BOTH, OUTPUT
from .. import elementwise, error_function, reduce
from .hosted import Doubles, HostedUnary

V = TypeVar("V")

_SQRT_HALF, _SQRT_PI, _SQRT_TWO = math.sqrt(0.5), math.sqrt(math.pi), math.sqrt(2.0)
_ERF_SLOPE = 2.0 / _SQRT_PI


def _log_ndtr(x: Doubles) -> Doubles:
    """log Φ(x): of the scaled function far to the left, where Φ itself underflows."""
    t = x * _SQRT_HALF
    left = x < -1.0
    y = np.empty_like(x)
    y[left] = np.log(error_function.erfcx(-t[left]) * 0.5) - t[left] * t[left]
    y[~left] = np.log1p(error_function.erfc(t[~left]) * -0.5)
    return y


def _erfinv(x: Doubles) -> Doubles:
    """Two steps of Halley's from Winitzki's formula for |x| < 1/2, else by the complement."""
    size = np.abs(x)
    y = np.empty_like(x)
    small = size < 0.5
    y[small] = _small_erfinv(size[small])
    y[~small] = _erfcinv(1.0 - size[~small])
    return np.copysign(y, x)


def _small_erfinv(x: Doubles) -> Doubles:
    y = _winitzki(np.log1p(-x * x))
    for _ in range(3):
        step = (error_function.erf(y) - x) / (_ERF_SLOPE * np.exp(-y * y))
        y = y - step / (1.0 + step * y)
    return y


def _erfcinv(c: Doubles) -> Doubles:
    """The y >= 0 with erfc(y) = c for 0 <= c <= 1: Newton's steps for log erfc."""
    wanted = np.log(c)
    inside = (c > 0.0) & (c <= 1.0)
    safe = np.where(inside, wanted, -1.0)
    y = _winitzki(safe + np.log(2.0 - np.where(inside, c, 1.0)))
    for _ in range(4):
        scaled = error_function.erfcx(y)
        y = y + (np.log(scaled) - y * y - safe) * scaled * (0.5 * _SQRT_PI)
    return np.where(inside, y, np.where(c == 0.0, np.inf, np.nan))


def _winitzki(log_product: Doubles) -> Doubles:
    """erfinv(x) to 2e-3 from log(1 - x²): S. Winitzki, A handy approximation for erf, 2008."""
    a = 0.147
    half = 2.0 / (math.pi * a) + 0.5 * log_product
    return np.sqrt(np.maximum(np.sqrt(half * half - log_product / a) - half, 0.0))


def _ndtri(p: Doubles) -> Doubles:
    """√2 erfinv(2p - 1), by the smaller tail, so that p may be as small as 1e-300."""
    y = np.empty_like(p)
    middle = (p > 0.25) & (p < 0.75)
    y[middle] = _erfinv(2.0 * p[middle] - 1.0)
    left = p <= 0.25
    y[left] = -_erfcinv(2.0 * p[left])
    right = ~(left | middle)
    y[right] = _erfcinv(2.0 * (1.0 - p[right]))
    return y * _SQRT_TWO


class Erfcx(HostedUnary):
    """y = exp(x²) erfc(x);  dy/dx = 2 x y - 2/√π."""

    needs = BOTH
    expr = "erfcx({0})"
    math = ("2 * {0} * erfcx({0}) - 2 / sqrt(pi)",)
    numeric: ClassVar[Callable[..., Doubles]] = staticmethod(error_function.erfcx)

    def slope(self, x: Data, y: Data) -> Data:
        return x * y * 2.0 - _ERF_SLOPE


class Erfinv(HostedUnary):
    """y with erf(y) = x;  dy/dx = √π/2 exp(y²)."""

    needs = OUTPUT
    expr = "erfinv({0})"
    math = ("sqrt(pi) / 2 * exp({y}**2)",)
    domain = ((-0.95, 0.95),)
    numeric: ClassVar[Callable[..., Doubles]] = staticmethod(_erfinv)

    def slope(self, x: Data, y: Data) -> Data:
        return elementwise.exp(y * y) * (0.5 * _SQRT_PI)


class Ndtri(HostedUnary):
    """y with Φ(y) = p;  dy/dp = √(2π) exp(y²/2)."""

    needs = OUTPUT
    expr = "ndtri({0})"
    math = ("sqrt(2 * pi) * exp({y}**2 / 2)",)
    domain = ((0.02, 0.98),)
    numeric: ClassVar[Callable[..., Doubles]] = staticmethod(_ndtri)

    def slope(self, x: Data, y: Data) -> Data:
        return elementwise.exp(y * y * 0.5) * math.sqrt(2.0 * math.pi)


class LogNdtr(HostedUnary):
    """y = log Φ(x);  dy/dx = φ(x) / Φ(x) = √(2/π) / erfcx(-x/√2)."""

    expr = "log(normal_cdf({0}))"
    math = ("exp(-{0}**2 / 2) / sqrt(2 * pi) / normal_cdf({0})",)
    domain = ((-4.0, 3.0),)
    numeric: ClassVar[Callable[..., Doubles]] = staticmethod(_log_ndtr)

    def slope(self, x: Data, y: Data) -> Data:
        return math.sqrt(2.0 / math.pi) / erfcx(x * -_SQRT_HALF)


ERFCX, ERFINV, NDTRI, LOG_NDTR = Erfcx(), Erfinv(), Ndtri(), LogNdtr()


def erfcx(input: V) -> V:
    """exp(x²) erfc(x), which neither under- nor overflows for x > 0.  dy/dx = 2 x y - 2/√π."""
    return apply(ERFCX, input)


def erfinv(input: V) -> V:
    """The inverse of erf: ±inf at ±1, NaN outside.  dy/dx = √π/2 exp(y²).

    >>> erfinv(tensor([0.0, 0.5, -1.0]))
    tensor([0.0000, 0.4769,   -inf])
    """
    return apply(ERFINV, input)


def ndtr(input: V) -> V:
    """Φ(x), the probability that a standard normal number is below x.  dy/dx = exp(-x²/2) / √(2π).

    >>> ndtr(tensor([0.0, 1.96]))
    tensor([0.5000, 0.9750])
    """
    x: Any = reduce.as_float(input)
    return elementwise.erfc(x * -_SQRT_HALF) * 0.5  # type: ignore[no-any-return]  # V's operators


def ndtri(input: V) -> V:
    """The inverse of ``ndtr``: -inf at 0, inf at 1, NaN outside.  dy/dx = √(2π) exp(y²/2)."""
    return apply(NDTRI, input)


def log_ndtr(input: V) -> V:
    """log Φ(x), also where Φ(x) underflows.  dy/dx = φ(x) / Φ(x).

    >>> log_ndtr(tensor([-100.0, 0.0]))
    tensor([-5.0055e+03, -6.9315e-01])
    """
    return apply(LOG_NDTR, input)
