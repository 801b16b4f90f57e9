"""exp, log and what is made of them, as vector code without branches or tables.

An exponential is 2ᵏ eʳ with k whole and |r| <= log(2)/2, eʳ a polynomial; a logarithm of 2ᵏ m, with
m between √½ and √2, is k log 2 + log m, the latter a polynomial in m - 1. The polynomials are the
minimax ones for the relative error of the result (Remez' algorithm in 50 digits). log 2 is the sum
of a head of so few bits that its product with k is exact, and a tail. Both formats, float32 and
float64, take the same steps.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from .lanes import (
    FORMATS,
    Lanes,
    Number,
    at_least,
    at_most,
    fma,
    horner,
    lane_by_lane,
    nearest,
    power_of_two,
    where,
)

_LOG2E = 1.0 / math.log(2.0)
_SQRT_HALF = math.sqrt(0.5)


class _Constants(NamedTuple):
    """What differs between the formats. Coefficients are from the lowest power up."""

    log2: tuple[float, float]
    """log 2 as a head, whose product with k is exact, and a tail."""
    log10_2: tuple[float, float]
    """log₁₀ 2 likewise."""
    log2_e: tuple[float, float]
    """log₂ e, as its rounding and the rest."""
    log10_e: tuple[float, float]
    """log₁₀ e, as its rounding and the rest."""
    lowest: float
    """eˣ is 0 for x below."""
    highest: float
    """eˣ is infinite for x above."""
    exp: tuple[float, ...]
    """(eʳ - 1 - r) / r²."""
    log: tuple[float, ...]
    """(log(1 + f) - f + f²/2) / f³."""
    tanh: tuple[float, ...]
    """(tanh(x)/x - 1) / x² as a polynomial in x², for |x| < 0.625."""


_SINGLE = _Constants(
    log2=(0.693359375, -2.1219444005469057e-4),
    log10_2=(0.301025390625, 4.6050389811952114e-06),
    log2_e=(1.4426950216293335, 1.9259629911266175e-08),
    log10_e=(0.4342944920063019, -1.0103050052231683e-08),
    lowest=-104.0,
    highest=89.0,
    exp=(0.5, 0.16666543, 0.04166628, 0.008366611, 0.0013946506),
    log=(0.3333331, -0.24999987, 0.20002234, -0.16669261, 0.14218502, -0.1238406, 0.1187395,
         -0.11792, 0.06915698),
    tanh=(-0.33333284, 0.1333149, -0.053743497, 0.020650586, -0.0057170433),
)  # fmt: skip
_DOUBLE = _Constants(
    log2=(0.6931471806019545, -4.2009150726810846e-11),
    log10_2=(0.3010299956658855, -1.9043128467164274e-12),
    log2_e=(1.4426950408889634, 2.0355273740931033e-17),
    log10_e=(0.4342944819032518, 1.098319650216765e-17),
    lowest=-746.0,
    highest=710.0,
    exp=(0.5, 0.16666666666666677, 0.0416666666666667, 0.008333333333321579, 0.0013888888888866809,
         0.00019841269886265928, 2.480158736063288e-05, 2.755724406213511e-06,
         2.7557242681752744e-07, 2.5109090359368044e-08, 2.092447050820403e-09),
    log=(0.33333333333333476, -0.24999999999999234, 0.19999999999939297, -0.16666666666829955,
         0.14285714294573834, -0.12499999990599323, 0.11111110480755908, -0.0999999993741186,
         0.09090934277825549, -0.08333359001855675, 0.07691711289667952, -0.07141767801173327,
         0.0667495930363725, -0.06272135559931052, 0.058216946486630373, -0.05315141465812686,
         0.053848568268460816, -0.06287727270217851, 0.05788903035373826, -0.024972278490099538),
    tanh=(-0.33333333333333315, 0.1333333333332989, -0.05396825396613455, 0.02186948847065732,
          -0.008863234341550374, 0.003592114271722182, -0.0014557276193863827,
          0.0005894586332090719, -0.00023703015176784775, 9.158985671749753e-05,
          -3.0218023186028084e-05, 6.055659220733702e-06),
)  # fmt: skip
_CONSTANTS = {"float": _SINGLE, "double": _DOUBLE}


class _Reduced(NamedTuple):
    """x = k log 2 + r with whole k; r is the rounding of `head` - `tail`."""

    k: Lanes
    head: Lanes
    tail: Lanes
    r: Lanes


def _reduced(x: Lanes, tail: Lanes | None = None) -> _Reduced:
    """x - tail less a multiple of log 2, for x in the range of ``exp``."""
    log2 = _CONSTANTS[x.element].log2
    shifter = x.like(FORMATS[x.element].shifter)
    shifted = fma(x, _LOG2E, shifter)
    n = shifted - shifter
    head = fma(n, -log2[0], x)  # exact
    tail = n * log2[1] if tail is None else fma(n, log2[1], tail)
    return _Reduced(shifted.bits() - shifter.bits(), head, tail, head - tail)


def _scaled(y: Lanes, k: Lanes) -> Lanes:
    """y 2ᵏ for y near 1, where that may be infinite, subnormal or zero."""
    if y.target.vector_bytes == 64:  # one instruction of AVX-512; elsewhere a call of a library
        if k.element == "i64":
            k = k.to("trunc", "i32")
        lanes = y.val.lanes
        code = {"float": "f32", "double": "f64"}[y.element]
        suffix = f"{code}.i32" if lanes == 1 else f"v{lanes}{code}.v{lanes}i32"
        return y.new(y.f.call(f"llvm.ldexp.{suffix}", [y.val, k.val], y.val.type))
    half = k >> 1
    return y * power_of_two(half, y) * power_of_two(k - half, y)


def exp(x: Lanes, tail: Lanes | None = None) -> Lanes:
    """e^(x - tail), rounded also where it is subnormal; `tail` is below the rounding of x."""
    constants = _CONSTANTS[x.element]
    z = _reduced(at_least(at_most(x, constants.highest), constants.lowest), tail)
    most = z.head + 1.0  # and what it lacks goes to the small terms, so one rounding counts
    rest = (z.head - (most - 1.0)) + fma(z.r * z.r, horner(z.r, constants.exp), -z.tail)
    return _scaled(most + rest, z.k)


def normal_exp(x: Lanes) -> Lanes:
    """eˣ where that is a normal number."""
    z = _reduced(x)
    return horner(z.r, (1.0, 1.0, *_CONSTANTS[x.element].exp)) * power_of_two(z.k, x)


def expm1(x: Lanes) -> Lanes:
    """eˣ - 1 without cancellation."""
    constants = _CONSTANTS[x.element]
    mantissa = FORMATS[x.element].mantissa
    bounded = at_least(at_most(x, constants.highest), -0.75 * (mantissa + 2))
    z = _reduced(bounded)
    p = fma(z.r * z.r, horner(z.r, constants.exp), -z.tail) + z.head
    half = power_of_two(z.k - 1, x)  # of 2ᵏ, which may be too large for a float
    y = fma(half, p, half - 0.5) * 2.0
    return where(x.abs() < 2.0 ** -(mantissa + 2), x, y)


def sigmoid(x: Lanes) -> Lanes:
    """1 - w for x >= 0, t - t w below, with t = e^-|x| and w = t / (1 + t)."""
    t = exp(-x.abs())
    scale = where(x < 0.0, t, 1.0)
    return fma(-scale, t / (t + 1.0), scale)


def tanh(x: Lanes) -> Lanes:
    """A polynomial below 0.625, above it 1 - 2 / (e²ˣ + 1)."""
    constants = _CONSTANTS[x.element]
    size = x.abs()
    square = size * size
    small = fma(size, square * horner(square, constants.tanh), size)
    large = 1.0 - 2.0 / (normal_exp(at_most(size + size, 44.0)) + 1.0)
    return where(size < 0.625, small, large).signed_as(x)


def _split(x: Lanes) -> tuple[Lanes, Lanes]:
    """Whole k, an integer, and m - 1, where x = 2ᵏ m with m between √½ and √2; x > 0 is normal."""
    format_ = FORMATS[x.element]
    lowest = x.like(_SQRT_HALF).bits()
    above = x.bits() - lowest
    m = ((above & ((1 << format_.mantissa) - 1)) + lowest).as_float()
    return above >> format_.mantissa, m - 1.0


def _as_float(k: Lanes) -> Lanes:
    """A small whole number as a float of its size; int64 by its bits, for want of conversions."""
    if k.element == "i32":
        return k.to("sitofp", "float")
    shifter = FORMATS["double"].shifter
    bits = k.like(int(np.float64(shifter).view(np.int64)))
    return (k + bits).as_float() - shifter


def _split_any(x: Lanes) -> tuple[Lanes, Lanes]:
    """``_split`` of any x > 0, with k as a float."""
    format_ = FORMATS[x.element]
    raised = format_.mantissa + 1
    subnormal = x < format_.smallest
    k, f = _split(where(subnormal, x * 2.0**raised, x))
    return _as_float(where(subnormal, k - raised, k)), f


def _rest(f: Lanes) -> Lanes:
    """log(1 + f) - f + f²/2."""
    square = f * f
    return square * f * horner(f, _CONSTANTS[f.element].log)


def _of_domain(x: Lanes, y: Lanes, zero: float) -> Lanes:
    """y, the logarithm of x > `zero`; -inf for `zero`, NaN below, infinity as it is."""
    y = where(x.equals(math.inf), x, y)
    return where(x > zero, y, where(x.equals(zero), x.like(-math.inf), math.nan))


def _log_sum(k: Lanes, f: Lanes) -> Lanes:
    """k log 2 + log(1 + f), small terms first."""
    head, tail = _CONSTANTS[f.element].log2
    y = fma(f * f, -0.5, fma(k, tail, _rest(f)))
    return fma(k, head, f + y)


def log(x: Lanes) -> Lanes:
    """Natural logarithm."""
    return _of_domain(x, _log_sum(*_split_any(x)), 0.0)


def log1p(x: Lanes) -> Lanes:
    """log(1 + x); what the sum loses by rounding comes back as a correction of m - 1."""
    format_ = FORMATS[x.element]
    u = x + 1.0
    back = u - 1.0
    lost = (1.0 - (u - back)) + (x - back)
    k, f = _split(u)
    lost = lost * power_of_two(0 - at_most(k, format_.bias - 1), x)
    y = _log_sum(_as_float(k), f + lost)
    return where(x.abs() < 2.0 ** -(format_.mantissa + 2), x, _of_domain(x, y, -1.0))


def _times_log(factor: tuple[float, float], f: Lanes, rest: Number = 0.0) -> Lanes:
    """log(1 + f) times the sum of `factor`, plus a small `rest`."""
    head, tail = factor
    small = fma(f * f, -0.5, _rest(f))
    return fma(f, head, fma(small, head, fma(f, tail, rest)))


def log2(x: Lanes) -> Lanes:
    """Logarithm to base 2; exact for powers of 2."""
    k, f = _split_any(x)
    return _of_domain(x, _times_log(_CONSTANTS[x.element].log2_e, f) + k, 0.0)


def log10(x: Lanes) -> Lanes:
    """Logarithm to base 10."""
    constants = _CONSTANTS[x.element]
    head, tail = constants.log10_2
    k, f = _split_any(x)
    y = _times_log(constants.log10_e, f, k * tail)
    return _of_domain(x, fma(k, head, y), 0.0)


def power(a: Lanes, b: Lanes) -> Lanes:
    """aᵇ, with C's answers at zeros, infinities and NaN.

    float32 through exp and log in float64, which leave it a single rounding; float64 from the C
    library.
    """
    if a.element == "double":
        return lane_by_lane("pow", [a, b])
    x, y = a.double(), b.double()
    y = at_least(at_most(y, 1e40), -1e40)  # so that 0 times an infinite exponent is 0
    size = x.abs()
    result = exp(y * log(size))
    result = where(x.equals(1.0) | y.equals(0.0), 1.0, result)
    far = y.abs() >= 2.0**24  # all floats are whole, and even, from there
    whole = far | nearest(y).equals(y)
    half = y * 0.5
    odd = whole & ~far & nearest(half).differs(half)
    result = where(odd, result.signed_as(x), result)
    imaginary = (x < 0.0) & (x > -math.inf) & ~whole
    return where(imaginary, math.nan, result).single()


def sinh(x: Lanes) -> Lanes:
    """(eˣ - e⁻ˣ) / 2; float32 through float64, which leaves it a single rounding."""
    if x.element == "double":
        return lane_by_lane("sinh", [x])
    e = expm1(at_most(x.double().abs(), 100.0))
    return ((e + e / (e + 1.0)) * 0.5).single().signed_as(x)


def cosh(x: Lanes) -> Lanes:
    """(eˣ + e⁻ˣ) / 2; float32 through float64, which leaves it a single rounding."""
    if x.element == "double":
        return lane_by_lane("cosh", [x])
    e = normal_exp(at_most(x.double().abs(), 100.0))
    return ((e + 1.0 / e) * 0.5).single()
