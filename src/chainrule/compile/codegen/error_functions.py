"""The error function, its complement and the normal distribution, in float32 as vector code.

erf is a polynomial times x below 0.8, above it 1 - e^Q(x) with a polynomial Q. The complement is
e^(-x²) times a polynomial in v = 2 / (1 + 0.75 x) - 1, which tames its slow decay; the square is
the sum of its rounding and what that loses. float64 is from the C library.
"""

from __future__ import annotations

import math

from .exponentials import exp, normal_exp
from .lanes import Lanes, at_least, at_most, fma, horner, lane_by_lane, where

_SMALL = (0.12837917, -0.37612605, 0.11283143, -0.026822109, 0.0050874394, -0.00065495947)
"""erf(x)/x - 1 in x², to 2⁻²⁸."""
_LARGE = (-5.6861e-05, -1.1282713, -0.63614225, -0.104876265, 0.022697309, -0.003164871,
          0.00020869712)  # fmt: skip
"""log erfc(x) for 0.8 <= x <= 4, to 2⁻²⁸ of erf."""
_TAIL = (0.7022694, 0.32183725, 0.006703858, -0.03914761, 0.005051341, 0.0061367555, -0.003291787,
         -0.00011443254, 0.00094011525, -0.0003643323, -9.827054e-05, 7.773212e-05)  # fmt: skip
"""(1 + 0.75 x) exp(x²) erfc(x) in v for 0 <= x <= 10.3, to 2⁻²⁷."""
_SLOPE = (0.49999997, -0.797882855, 0.249972567, -0.132805765, 0.0619239025, -0.0254717749,
          0.00900380965, -0.00259006768, 0.000563644164, -8.47690171e-05, 7.70852785e-06,
          -3.15529661e-07)  # fmt: skip
"""exp(x²/2) Φ(-x) - x/√(2π) for 0 <= x <= 5.8, to 2⁻²⁶ exp(x²/2)."""
_SLOPE_END = {"float": 13.0, "double": 40.0}
"""The slope of more is 0 or 1: in float64 the density is 0 there, in float32 all but normal."""
_END = 10.3
"""The complement of more is 0 in float32."""


def erf(x: Lanes) -> Lanes:
    """2/√π ∫₀ˣ exp(-t²) dt."""
    if x.element == "double":
        return lane_by_lane("erf", [x])
    size = at_most(x.abs(), 4.0)
    small = fma(size, horner(size * size, _SMALL), size)
    large = 1.0 - normal_exp(horner(size, _LARGE))
    return where(size < 0.8, small, large).signed_as(x)


def erfc(x: Lanes) -> Lanes:
    """1 - erf(x), accurate where that is small."""
    if x.element == "double":
        return lane_by_lane("erfc", [x])
    size = at_most(x.abs(), _END)
    square, lost = _square(size)
    y = _tail(size, square, lost)
    return where(x < 0.0, 2.0 - y, y)


def normal_cdf(x: Lanes) -> Lanes:
    """The probability that a standard normal number is below x: erfc(-x/√2) / 2."""
    if x.element == "double":
        return lane_by_lane("erfc", [x * -math.sqrt(0.5)]) * 0.5
    size = at_most(x.abs(), _END * math.sqrt(2.0))
    square, lost = _square(size)
    y = _tail(size * math.sqrt(0.5), square * 0.5, lost * 0.5) * 0.5
    return where(x < 0.0, y, 1.0 - y)


def gelu_slope(x: Lanes) -> Lanes:
    """Φ(x) + x φ(x), the normal distribution function and density, to 3 roundings of one.

    In float32 both are one exponential times one polynomial, for the slope at -x is what is missing
    to one at x.
    """
    end = _SLOPE_END[x.element]
    if x.element == "double":
        bounded = at_least(at_most(x, end), -end)
        density = exp(bounded * bounded * -0.5) * (1.0 / math.sqrt(2.0 * math.pi))
        return normal_cdf(bounded) + bounded * density
    size = at_most(x.abs(), end)
    y = normal_exp(size * size * -0.5) * horner(size, _SLOPE)
    return where(x < 0.0, y, 1.0 - y)


def _tail(x: Lanes, square: Lanes, lost: Lanes) -> Lanes:
    """erfc(x) for 0 <= x <= 10.3 and `square` + `lost` = x²."""
    u = 1.0 / fma(x, 0.75, 1.0)
    return exp(-square, lost) * (horner(fma(u, 2.0, -1.0), _TAIL) * u)


def _square(x: Lanes) -> tuple[Lanes, Lanes]:
    """x² as its rounding and the exact rest."""
    square = x * x
    if x.target.fma:
        return square, fma(x, x, -square)
    high = (x.bits() & -4096).as_float()  # 12 bits, whose square is exact
    low = x - high
    return square, ((high * high - square) + high * low * 2.0) + low * low
