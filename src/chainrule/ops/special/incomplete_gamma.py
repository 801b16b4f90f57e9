"""The regularised incomplete gamma functions P(a, x) and Q(a, x) = 1 - P(a, x)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from ...core.apply import apply
from ...core.aval import SCALARS, Data
from ...core.op import Needs
from ...core.sampling import Draw, Sample
from ...errors import GradientError
from .. import elementwise, movement
from .gamma import lgamma, lgamma_of
from .hosted import Doubles, HostedFunction

_STEPS = 20_000
_SHAPES = ((6,), (1,), (3,), (2, 3), (0,), (2, 1, 3), (4,), (3, 2), (1, 1), (2, 0), (5,), (2, 2))


def _lower(a: Doubles, x: Doubles) -> Doubles:
    return _regularised(a, x)[0]


def _upper(a: Doubles, x: Doubles) -> Doubles:
    return _regularised(a, x)[1]


def _regularised(a: Doubles, x: Doubles) -> tuple[Doubles, Doubles]:
    """P and Q: the power series for x < a + 1, Lentz's continued fraction of Q beyond.

    W. H. Press et al., Numerical Recipes, 3rd edition, 2007, section 6.2.
    """
    bad = (a < 0.0) | (x < 0.0) | np.isnan(a + x) | ((a == 0.0) & (x == 0.0))
    bad |= np.isinf(a) & np.isinf(x)
    ordinary = ~bad & (a > 0.0) & (x > 0.0) & np.isfinite(a) & np.isfinite(x)
    above = np.where((a == 0.0) | (x == np.inf), 1.0, 0.0)  # and P is 0 for x = 0 or a = inf
    p, q = np.where(bad, np.nan, above), np.where(bad, np.nan, 1.0 - above)
    b, z = a[ordinary], x[ordinary]
    front = np.exp(b * np.log(z) - z - lgamma_of(b))
    by_series = z < b + 1.0
    first, second = np.empty_like(b), np.empty_like(b)
    first[by_series] = front[by_series] * _series(b[by_series], z[by_series])
    second[by_series] = 1.0 - first[by_series]
    rest = ~by_series
    second[rest] = front[rest] * _fraction(b[rest], z[rest])
    first[rest] = 1.0 - second[rest]
    p[ordinary], q[ordinary] = first, second
    return p, q


def _series(a: Doubles, x: Doubles) -> Doubles:
    """Σ xⁿ / (a (a + 1) … (a + n))."""
    term = 1.0 / a
    total = term
    for n in range(1, _STEPS):
        term = term * (x / (a + n))
        total = total + term
        if not (term > total * 1e-17).any():
            break
    return total


def _fraction(a: Doubles, x: Doubles) -> Doubles:
    """1 / (x + 1 - a - 1 (1 - a) / (x + 3 - a - …))."""
    tiny = 1e-300
    b = x + 1.0 - a
    c, d = np.full_like(x, 1.0 / tiny), 1.0 / b
    y = d
    for n in range(1, _STEPS):
        step = n * (a - n)
        b = b + 2.0
        d = step * d + b
        d = 1.0 / np.where(np.abs(d) < tiny, tiny, d)
        c = b + step / c
        c = np.where(np.abs(c) < tiny, tiny, c)
        y = y * (c * d)
        if not (np.abs(c * d - 1.0) > 1e-16).any():
            break
    return y


class Igamma(HostedFunction):
    """y = P(a, x) = ∫₀ˣ tᵃ⁻¹ e⁻ᵗ dt / Γ(a);  ∂y/∂x = xᵃ⁻¹ e⁻ˣ / Γ(a). There is no rule for a."""

    needs = Needs(inputs=None)
    expr = "igamma({0}, {1})"
    math = ("exp(({0} - 1) * log({1}) - {1} - lgamma({0}))",)
    numeric: ClassVar[Callable[..., Doubles]] = staticmethod(_lower)
    sign: ClassVar[float] = 1.0

    def partial(self, i: int, xs: Sequence[Data], y: Data) -> Data:
        a, x = xs
        if i == 0:
            raise GradientError(f"{self.name}() has no derivative with respect to its first input")
        a = float(a) if type(a) in SCALARS else movement.cast(a, x.dtype)
        return elementwise.exp((a - 1.0) * elementwise.log(x) - x - lgamma(a)) * self.sign

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape in _SHAPES:
            yield Sample(cls(), (Draw(shape, 1, 6, "int"), Draw(shape, 0.3, 6.0)))


class Igammac(Igamma):
    """y = Q(a, x) = 1 - P(a, x);  ∂y/∂x = -xᵃ⁻¹ e⁻ˣ / Γ(a). There is no rule for a."""

    expr = "igammac({0}, {1})"
    math = ("-exp(({0} - 1) * log({1}) - {1} - lgamma({0}))",)
    numeric: ClassVar[Callable[..., Doubles]] = staticmethod(_upper)
    sign = -1.0


IGAMMA, IGAMMAC = Igamma(), Igammac()


def igamma(input: Any, other: Any) -> Any:
    """P(a, x) = ∫₀ˣ tᵃ⁻¹ e⁻ᵗ dt / Γ(a), for a, x >= 0.  ∂y/∂x = xᵃ⁻¹ e⁻ˣ / Γ(a).

    NaN outside. Asking for a derivative in a raises GradientError.

    >>> igamma(tensor([1.0]), 1.0)
    tensor([0.6321])
    """
    return apply(IGAMMA, input, other)


def igammac(input: Any, other: Any) -> Any:
    """Q(a, x) = 1 - P(a, x), accurate where it is small.  ∂y/∂x = -xᵃ⁻¹ e⁻ˣ / Γ(a)."""
    return apply(IGAMMAC, input, other)
