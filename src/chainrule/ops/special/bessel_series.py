"""Bessel functions of order 0 and 1, and Airy's Ai, of NumPy arrays.

Near 0 a Chebyshev series of what remains when the logarithm is taken off; far out one of the
function divided by its asymptotic form (Hankel's: G. N. Watson, A treatise on the theory of Bessel
functions, 1922, chapter 7). The series are in ``tables``. J, Y and Ai are accurate relative to
their amplitude, so less near their zeros; the others relative to their value.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from . import tables
from .hosted import Doubles

Series = tuple[float, ...]

_TWO_OVER_PI = 2.0 / math.pi
_SQRT_PI = math.sqrt(math.pi)


def _chebyshev(u: Doubles, low: float, high: float, c: Series) -> Doubles:
    """Σ cₖ Tₖ(t), t running from -1 to 1 as u does from low to high, by Clenshaw's recurrence."""
    t = (2.0 * u - (low + high)) / (high - low)
    newer, older = np.zeros_like(t), np.zeros_like(t)
    for coefficient in c[:0:-1]:
        newer, older = coefficient + 2.0 * t * newer - older, newer
    return c[0] + t * newer - older


def _parted(
    x: Doubles, at: float, near: Callable[..., Doubles], far: Callable[..., Doubles]
) -> Doubles:
    """``near(x)`` for x <= at, ``far(x)`` beyond, at NaN too."""
    y = np.empty_like(x)
    small = x <= at
    y[small], y[~small] = near(x[small]), far(x[~small])
    return y


def i0e(x: Doubles) -> Doubles:
    """e^-|x| I₀(x)."""
    return _parted(
        np.abs(x), 8.0,
        lambda z: _chebyshev(z, 0.0, 8.0, tables.I0_SMALL),
        lambda z: _chebyshev(1.0 / z, 0.0, 0.125, tables.I0_LARGE) / np.sqrt(z),
    )  # fmt: skip


def i1e(x: Doubles) -> Doubles:
    """e^-|x| I₁(x)."""
    y = _parted(
        np.abs(x), 8.0,
        lambda z: _chebyshev(z, 0.0, 8.0, tables.I1_SMALL) * z,
        lambda z: _chebyshev(1.0 / z, 0.0, 0.125, tables.I1_LARGE) / np.sqrt(z),
    )  # fmt: skip
    return np.copysign(y, x)


def i0(x: Doubles) -> Doubles:
    """I₀(x): the exponential in two halves, so that it overflows only where it must."""
    half = np.exp(0.5 * np.abs(x))
    return np.where(np.isinf(x), np.inf, half * i0e(x) * half)


def i1(x: Doubles) -> Doubles:
    """I₁(x), likewise."""
    half = np.exp(0.5 * np.abs(x))
    return np.where(np.isinf(x), x, half * i1e(x) * half)


def _k0_near(x: Doubles) -> Doubles:
    return _chebyshev(x * x, 0.0, 4.0, tables.K0_SMALL) - np.log(0.5 * x) * i0(x)


def _k1_near(x: Doubles) -> Doubles:
    return _chebyshev(x * x, 0.0, 4.0, tables.K1_SMALL) / x + np.log(0.5 * x) * i1(x)


def _modified(near: Callable[[Doubles], Doubles], far: Series, scaled: bool) -> Any:
    """K of an order: from its part near 0, and the series of √x eˣ K beyond 2."""

    def beyond(x: Doubles) -> Doubles:
        y = _chebyshev(1.0 / x, 0.0, 0.5, far) / np.sqrt(x)
        return y if scaled else y * np.exp(-x)

    def function(x: Doubles) -> Doubles:
        z = np.where(x > 0.0, x, 1.0)
        z = np.where(np.isnan(x), np.nan, z)
        y = _parted(z, 2.0, lambda z: near(z) * (np.exp(z) if scaled else 1.0), beyond)
        return _at_origin(x, y, np.inf)

    return function


def _at_origin(x: Doubles, y: Doubles, pole: float) -> Doubles:
    """y, but the pole at 0 and NaN below."""
    return np.where(x > 0.0, y, np.where(x == 0.0, pole, np.nan))


def _hankel(order: int, x: Doubles) -> tuple[Doubles, Doubles]:
    """J and Y for x >= 8: amplitude times cosine and sine of x - (2 order + 1) π/4."""
    for_p, for_q = (tables.P0, tables.Q0) if order == 0 else (tables.P1, tables.Q1)
    z = 8.0 / x
    w = z * z
    p, q = _chebyshev(w, 0.0, 1.0, for_p), _chebyshev(w, 0.0, 1.0, for_q) * z
    with np.errstate(invalid="ignore"):
        sine, cosine = np.sin(x), np.cos(x)
    # cos(x - π/4) √2 = cos x + sin x, without rounding the difference of a large x
    plus, minus = cosine + sine, sine - cosine
    cosine, sine = (plus, minus) if order == 0 else (minus, -plus)
    amplitude = np.sqrt(1.0 / (math.pi * x))
    flat = np.isinf(x)
    j = np.where(flat, 0.0, amplitude * (p * cosine - q * sine))
    return j, np.where(flat, 0.0, amplitude * (p * sine + q * cosine))


def _j0_near(x: Doubles) -> Doubles:
    return _chebyshev(x * x, 0.0, 64.0, tables.J0_SMALL)


def _j1_near(x: Doubles) -> Doubles:
    return _chebyshev(x * x, 0.0, 64.0, tables.J1_SMALL) * x


def j0(x: Doubles) -> Doubles:
    """J₀(x)."""
    return _parted(np.abs(x), 8.0, _j0_near, lambda z: _hankel(0, z)[0])


def j1(x: Doubles) -> Doubles:
    """J₁(x)."""
    y = _parted(np.abs(x), 8.0, _j1_near, lambda z: _hankel(1, z)[0])
    return np.where(x < 0.0, -y, y)


def y0(x: Doubles) -> Doubles:
    """Y₀(x)."""

    def near(z: Doubles) -> Doubles:
        rest = _chebyshev(z * z, 0.0, 64.0, tables.Y0_SMALL)
        return rest + _TWO_OVER_PI * np.log(z) * _j0_near(z)

    z = np.where(x <= 0.0, 1.0, x)
    return _at_origin(x, _parted(z, 8.0, near, lambda z: _hankel(0, z)[1]), -np.inf)


def y1(x: Doubles) -> Doubles:
    """Y₁(x)."""

    def near(z: Doubles) -> Doubles:
        rest = _chebyshev(z * z, 0.0, 64.0, tables.Y1_SMALL) * z
        return rest + _TWO_OVER_PI * (np.log(z) * _j1_near(z) - 1.0 / z)

    z = np.where(x <= 0.0, 1.0, x)
    return _at_origin(x, _parted(z, 8.0, near, lambda z: _hankel(1, z)[1]), -np.inf)


def airy(x: Doubles) -> Doubles:
    """Ai(x)."""
    y = np.empty_like(x)
    right, left = ~(x < 2.0), x < -9.0
    z = x[right]
    zeta = z * np.sqrt(z) * (2.0 / 3.0)
    series = _chebyshev(1.0 / zeta, 0.0, 1.5 / 2.0**1.5, tables.AIRY_LARGE)
    y[right] = np.exp(-zeta) * series / (2.0 * _SQRT_PI * np.sqrt(np.sqrt(z)))
    middle = ~(right | left)
    y[middle] = _chebyshev(x[middle], -9.0, 2.0, tables.AIRY_MIDDLE)
    z = -x[left]
    zeta = z * np.sqrt(z) * (2.0 / 3.0)
    w = (18.0 / zeta) ** 2
    p = _chebyshev(w, 0.0, 1.0, tables.AIRY_P)
    q = _chebyshev(w, 0.0, 1.0, tables.AIRY_Q) * (18.0 / zeta)
    with np.errstate(invalid="ignore"):
        wave = p * np.cos(zeta - 0.25 * math.pi) + q * np.sin(zeta - 0.25 * math.pi)
    y[left] = np.where(np.isinf(z), 0.0, wave / (_SQRT_PI * np.sqrt(np.sqrt(z))))
    return y


def sphere(x: Doubles) -> Doubles:
    """sin(x) / x."""
    safe = np.where((x == 0.0) | np.isinf(x), 1.0, x)
    return np.where(x == 0.0, 1.0, np.where(np.isinf(x), 0.0, np.sin(safe) / safe))


k0 = _modified(_k0_near, tables.K0_LARGE, scaled=False)
k1 = _modified(_k1_near, tables.K1_LARGE, scaled=False)
k0e = _modified(_k0_near, tables.K0_LARGE, scaled=True)
k1e = _modified(_k1_near, tables.K1_LARGE, scaled=True)
