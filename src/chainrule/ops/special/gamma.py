"""The gamma function's logarithm, its derivatives, and Hurwitz's zeta function.

Poles are where theirs are: lgamma is inf at 0, -1, -2, …; digamma is -inf at +0, inf at -0 and NaN
at the negative integers; zeta and polygamma are inf at the poles of even order and those of odd
order have no value there (inf too, as in PyTorch). Derivatives follow: lgamma' = digamma,
digamma' = polygamma(1, ·), polygamma(n, ·)' = polygamma(n + 1, ·).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, TypeVar

import numpy as np

from ...core.apply import apply
from ...core.aval import Data
from ...core.op import Needs
from ...core.sampling import Draw, Sample
from ...errors import ArgumentError, GradientError
from .. import reduce
from .hosted import Doubles, HostedFunction, HostedUnary, horner

V = TypeVar("V")

_EULER = 0.57721566490153286061
_HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)
"""B₂, B₄, … B₁₆."""
_SHIFT = 10.0
"""From here on the asymptotic series with Bernoulli numbers to B₁₆ have 16 digits."""
_SHAPES = ((6,), (1,), (3,), (2, 3), (0,), (2, 1, 3), (4,), (3, 2), (1, 1), (2, 0), (5,), (2, 2))


# Numerics -----------------------------------------------------------------------------------------


def _zeta_less_one(s: int) -> float:
    """Riemann's ζ(s) - 1 for s >= 2, by Euler-Maclaurin from 1/10ˢ on."""
    a = _SHIFT
    total = math.fsum([math.pow(k, -s) for k in range(2, int(a))])
    total += math.pow(a, 1.0 - s) / (s - 1.0) + 0.5 * math.pow(a, -s)
    rising, power = float(s), math.pow(a, -s - 1.0)
    for k, b in enumerate(_BERNOULLI, start=1):
        total += b / math.factorial(2 * k) * rising * power
        rising *= (s + 2 * k - 1.0) * (s + 2 * k)
        power /= a * a
    return total


_NEAR_TWO = (0.0, 1.0 - _EULER, *[(-1.0) ** k * _zeta_less_one(k) / k for k in range(2, 30)])
"""log Γ(2 + z) = (1 - γ) z + Σ (ζ(k) - 1) (-z)ᵏ / k, which falls as (z/2)ᵏ."""


def lgamma_of(x: Doubles) -> Doubles:
    """log |Γ(x)|: the series about 2, moved by recurrence, or Stirling's; reflection below 0.

    About 1 and 2, where it is zero, it is accurate relative to its value.
    """
    y = np.empty_like(x)
    left = x < 0.0
    y[left] = _reflected_lgamma(x[left])
    y[~left] = _positive_lgamma(x[~left])
    return y


def _reflected_lgamma(x: Doubles) -> Doubles:
    sine = np.abs(np.sin(np.pi * (x - np.rint(x))))
    y = math.log(math.pi) - np.log(sine * -x) - _positive_lgamma(-x)
    return np.where(np.isinf(x) | (sine == 0.0), np.inf, y)


def _positive_lgamma(x: Doubles) -> Doubles:
    y = np.empty_like(x)
    large = ~(x < _SHIFT)  # NaN is here
    z = x[large]
    with np.errstate(over="ignore", invalid="ignore"):
        series = (z - 0.5) * np.log(z) - z + _HALF_LOG_TWO_PI + _stirling(z)
    y[large] = np.where(z == np.inf, z, series)
    small = x < 0.5
    tiny = x[small]
    y[small] = horner(tiny, _NEAR_TWO) - np.log1p(tiny) - np.log(tiny)
    near_one = (x >= 0.5) & (x < 1.5)
    z = x[near_one] - 1.0
    y[near_one] = horner(z, _NEAR_TWO) - np.log1p(z)
    rest = (x >= 1.5) & (x < _SHIFT)
    z = x[rest]
    product = np.ones_like(z)
    for _ in range(int(_SHIFT) - 2):
        above = z > 2.5
        z = np.where(above, z - 1.0, z)
        product = np.where(above, product * z, product)
    y[rest] = horner(z - 2.0, _NEAR_TWO) + np.log(product)
    return y


def _stirling(x: Doubles) -> Doubles:
    """Σ B₂ₖ / (2k (2k-1) x²ᵏ⁻¹)."""
    terms = [b / (2 * k * (2 * k - 1)) for k, b in enumerate(_BERNOULLI, start=1)]
    return horner(1.0 / (x * x), terms) / x


def digamma_of(x: Doubles) -> Doubles:
    """Γ'(x) / Γ(x): the asymptotic series at x + n; reflection below 0."""
    left = x < 0.0
    z = np.where(left, 1.0 - x, x)
    total = np.zeros_like(z)
    for _ in range(int(_SHIFT)):
        below = z < _SHIFT
        total = np.where(below, total - 1.0 / np.where(below, z, 1.0), total)
        z = np.where(below, z + 1.0, z)
    terms = [b / (2 * k) for k, b in enumerate(_BERNOULLI, start=1)]
    square = z * z
    y = total + np.log(z) - 0.5 / z - horner(1.0 / square, terms) / square
    away = x - np.rint(x)
    angle = np.where(left & (away != 0.0), math.pi * away, 1.0)
    y = np.where(left, np.where(away == 0.0, np.nan, y - math.pi / np.tan(angle)), y)
    return np.where(x == 0.0, np.copysign(np.inf, -x), y)


def zeta_of(s: Doubles, q: Doubles) -> Doubles:
    """Σₖ 1/(q + k)ˢ for s > 1; inf at s = 1 and where q is 0, -1, …; NaN for s < 1.

    For q < 0 it is real for whole s only, else NaN; there the terms below 0 are the difference of
    two such sums.
    """
    s, q = np.broadcast_arrays(s, q)
    left = q <= 0.0
    start = q - np.floor(q)
    y = _positive_zeta(s, np.where(left, np.where(start > 0.0, start, 1.0), q))
    if left.any():
        sign = np.where(np.remainder(s, 2.0) == 0.0, 1.0, -1.0)
        below = _positive_zeta(s, 1.0 - start) - _positive_zeta(s, 1.0 - q)
        y = np.where(left, np.where(s == np.floor(s), y + sign * below, np.nan), y)
        y = np.where(left & (start == 0.0), np.inf, y)
    y = np.where(s == 1.0, np.inf, y)
    return np.where(s < 1.0, np.nan, y)


def _positive_zeta(s: Doubles, q: Doubles) -> Doubles:
    """Euler and Maclaurin's formula, from a = q + n on, for q > 0."""
    total, a = np.zeros_like(q), q
    for _ in range(int(_SHIFT)):
        total = total + np.power(a, -s)
        a = a + 1.0
    power = np.power(a, -s)
    total = total + np.where(power > 0.0, power * a / (s - 1.0), 0.0) + 0.5 * power
    rising, power = s, power / a
    for k, b in enumerate(_BERNOULLI, start=1):
        total = total + np.where(power > 0.0, b / math.factorial(2 * k) * rising * power, 0.0)
        rising = rising * (s + 2 * k - 1.0) * (s + 2 * k)
        power = power / (a * a)
    return total


# Ops ----------------------------------------------------------------------------------------------


class Lgamma(HostedUnary):
    """y = log |Γ(x)|;  dy/dx = ψ(x)."""

    expr = "lgamma({0})"
    math = ("digamma({0})",)
    domain = ((0.3, 12.0),)
    numeric: ClassVar[Callable[..., Doubles]] = staticmethod(lgamma_of)

    def slope(self, x: Data, y: Data) -> Data:
        return digamma(x)


class Digamma(HostedUnary):
    """y = ψ(x) = Γ'(x) / Γ(x);  dy/dx = ψ'(x)."""

    expr = "digamma({0})"
    math = ("polygamma(1, {0})",)
    domain = ((0.3, 12.0),)
    numeric: ClassVar[Callable[..., Doubles]] = staticmethod(digamma_of)

    def slope(self, x: Data, y: Data) -> Data:
        return polygamma(1, x)


class Polygamma(HostedUnary):
    """y = ψ⁽ⁿ⁾(x) = (-1)ⁿ⁺¹ n! ζ(n + 1, x) for n >= 1;  dy/dx = ψ⁽ⁿ⁺¹⁾(x)."""

    n: int

    expr = "polygamma({n}, {0})"
    math = ("polygamma({n} + 1, {0})",)

    def forward(self, *xs: Any) -> Any:
        x = np.asarray(xs[0], np.float64)
        order = np.full_like(x, self.n + 1.0)
        y = (-1.0) ** (self.n + 1) * math.factorial(self.n) * zeta_of(order, x)
        return y.astype(xs[0].dtype, copy=False)

    def slope(self, x: Data, y: Data) -> Data:
        return polygamma(self.n + 1, x)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for i, shape in enumerate(_SHAPES):
            yield Sample(cls(1 + i % 3), (Draw(shape, 0.6, 6.0),))


class Zeta(HostedFunction):
    """y = Σₖ 1/(q + k)ˢ;  ∂y/∂q = -s ζ(s + 1, q). There is no rule for s."""

    needs = Needs(inputs=None)
    expr = "zeta({0}, {1})"
    math = ("-{0} * zeta({0} + 1, {1})",)
    numeric: ClassVar[Callable[..., Doubles]] = staticmethod(zeta_of)

    def partial(self, i: int, xs: Sequence[Data], y: Data) -> Data:
        s, q = xs
        if i == 0:
            raise GradientError("zeta() has no derivative with respect to its first argument")
        return zeta(s + 1, q) * -s

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape in _SHAPES:
            yield Sample(cls(), (Draw(shape, 2, 4, "int"), Draw(shape, 0.6, 3.0)))


LGAMMA, DIGAMMA, ZETA = Lgamma(), Digamma(), Zeta()


def lgamma(input: V) -> V:
    """log |Γ(x)|: inf at 0, -1, -2, …  dy/dx = digamma(x).

    >>> lgamma(tensor([1.0, 4.0, 0.5]))
    tensor([0.0000, 1.7918, 0.5724])
    """
    return apply(LGAMMA, input)


def digamma(input: V) -> V:
    """ψ(x) = d log Γ(x) / dx: -inf at 0, NaN at negative integers.  dy/dx = polygamma(1, x)."""
    return apply(DIGAMMA, input)


def polygamma(n: int, input: V) -> V:
    """The n-th derivative of digamma, n = 0, 1, 2, …  dy/dx = polygamma(n + 1, x).

    Raises ArgumentError for a negative `n`.

    >>> polygamma(1, tensor([1.0]))
    tensor([1.6449])
    """
    if not isinstance(n, (int, np.integer)):
        raise ArgumentError("polygamma() takes an integer first", got=type(n).__name__)
    if n < 0:
        raise ArgumentError("polygamma() needs n >= 0", got=f"n={n}")
    return digamma(input) if n == 0 else apply(Polygamma(int(n)), input)


def mvlgamma(input: V, p: int) -> V:
    """log Γₚ(x) = p (p - 1) / 4 log π + Σⱼ log Γ(x - j/2), j = 0 … p-1, for x > (p - 1) / 2.

    dy/dx is the same sum of digamma. Raises ArgumentError for p < 1.
    """
    if p < 1:
        raise ArgumentError("mvlgamma() needs p >= 1", got=f"p={p}")
    x: Any = reduce.as_float(input)
    total: Any = lgamma(x) + 0.25 * p * (p - 1) * math.log(math.pi)
    for j in range(1, p):
        total = total + lgamma(x - 0.5 * j)
    return total  # type: ignore[no-any-return]  # of the type of x


def zeta(input: Any, other: Any) -> Any:
    """Hurwitz's ζ(s, q) = Σₖ 1/(q + k)ˢ, k = 0, 1, …;  ∂y/∂q = -s ζ(s + 1, q).

    inf for s = 1, NaN for s < 1. Asking for a derivative in s raises GradientError.

    >>> zeta(tensor([2.0]), 1.0)
    tensor([1.6449])
    """
    return apply(ZETA, input, other)
