"""Sine, cosine, tangent, their inverses and the hypotenuse; float32 as vector code.

Angles are reduced to |r| <= π/4 in float64 with π/2 as a head, whose product with up to 2²⁰
quarter turns is exact, and a tail; where an angle is greater than 2²⁰, the C library is called.
Inverse functions are the angle of a point, computed in float64 to 2⁻³⁴. float64 is from the C
library.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from .lanes import FORMATS, Lanes, fma, horner, lane_by_lane, rarely, where

_HALF_PI = (1.5707963267341256, 6.077100506506192e-11)
"""π/2: a head of 33 bits, and the tail."""
_FAR = 2.0**20
_SIN = (-0.16666654873439368, 0.00833217354070208, -0.0001951665548881939)
"""(sin(r)/r - 1) / r² in r², to 2⁻²⁸."""
_COS = (0.041666646747934535, -0.0013887361457428431, 2.4437730843746778e-05)
"""(cos(r) - 1 + r²/2) / r⁴ in r², to 2⁻³³."""
_ATAN = (0.9999999999411296, -0.3333333157034923, 0.1999991202959007, -0.1428398049726732,
         0.11093239513719039, -0.08980232031859246, 0.07245699993108565, -0.054278796708872375,
         0.034209264606599586, -0.016111441648219246, 0.004850838880455302,
         -0.0006847760892052834)  # fmt: skip
"""atan(x)/x in x² for |x| <= 1, to 2⁻³⁴."""


def sin(x: Lanes) -> Lanes:
    """Sine of an angle in radians."""

    def usual() -> Lanes:
        r, quarter = _reduced(x.abs())
        return _negated_with(x, _sine(r.single(), quarter.to("trunc", "i32")))

    return _periodic("sin", x, usual)


def cos(x: Lanes) -> Lanes:
    """Cosine of an angle in radians."""

    def usual() -> Lanes:
        r, quarter = _reduced(x.abs())
        return _sine(r.single(), quarter.to("trunc", "i32") + 1)

    return _periodic("cos", x, usual)


def tan(x: Lanes) -> Lanes:
    """Tangent of an angle in radians."""

    def usual() -> Lanes:
        r, quarter = _reduced(x.abs())
        s, c = _sin_cos(r)
        odd = (quarter & 1).differs(0)
        return _negated_with(x, (where(odd, -c, s) / where(odd, s, c)).single())

    return _periodic("tan", x, usual)


def _periodic(name: str, x: Lanes, usual: Callable[[], Lanes]) -> Lanes:
    """`usual`, but the C library's function for large angles and for float64."""
    if x.element == "double":
        return lane_by_lane(name, [x])
    size = x.abs()
    far = (size > _FAR) & (size < math.inf)
    return rarely(far, usual(), lambda: lane_by_lane(name, [x]))


def _reduced(x: Lanes) -> tuple[Lanes, Lanes]:
    """r and q with x = r + q π/2 and |r| <= π/4; r in float64, of the int64 q the low bits."""
    wide = x.double()
    shifter = FORMATS["double"].shifter
    shifted = wide * (2.0 / math.pi) + shifter
    n = shifted - shifter
    head, tail = _HALF_PI
    return fma(n, -tail, fma(n, -head, wide)), shifted.bits()


def _sin_cos(r: Lanes) -> tuple[Lanes, Lanes]:
    """sin r and cos r for |r| <= π/4."""
    square = r * r
    s = fma(r, square * horner(square, _SIN), r)
    return s, fma(square, fma(square, horner(square, _COS), -0.5), 1.0)


def _sine(r: Lanes, quarter: Lanes) -> Lanes:
    """sin(r + quarter π/2) in float32."""
    s, c = _sin_cos(r)
    y = where((quarter & 1).differs(0), c, s)
    return (y.bits() ^ ((quarter & 2) << 30)).as_float()


def _negated_with(x: Lanes, y: Lanes) -> Lanes:
    """-y where x has a minus sign, else y."""
    return (y.bits() ^ (x.bits() & (1 << 31))).as_float()


def atan2(y: Lanes, x: Lanes) -> Lanes:
    """The angle of the point (x, y), from -π to π."""
    if x.element == "double":
        return lane_by_lane("atan2", [y, x])
    return _angle(y.double(), x.double()).single()


def atan(x: Lanes) -> Lanes:
    """The angle between -π/2 and π/2 with tangent x."""
    if x.element == "double":
        return lane_by_lane("atan", [x])
    return _angle(x.double(), x.double().like(1.0)).single()


def asin(x: Lanes) -> Lanes:
    """The angle between -π/2 and π/2 with sine x."""
    if x.element == "double":
        return lane_by_lane("asin", [x])
    wide = x.double()
    return _angle(wide, ((1.0 - wide) * (wide + 1.0)).sqrt()).single()


def acos(x: Lanes) -> Lanes:
    """The angle between 0 and π with cosine x."""
    if x.element == "double":
        return lane_by_lane("acos", [x])
    wide = x.double()
    return _angle(((1.0 - wide) * (wide + 1.0)).sqrt(), wide).single()


def _angle(y: Lanes, x: Lanes) -> Lanes:
    """The angle of the point (x, y) to 2⁻³⁴, in float64; signs of zeros count."""
    tall, wide = y.abs(), x.abs()
    steep = tall > wide
    low, high = where(steep, wide, tall), where(steep, tall, wide)
    t = where(low.equals(high), 1.0, low / high)
    t = where(low.equals(0.0), 0.0, t)
    angle = t * horner(t * t, _ATAN)
    angle = where(steep, 0.5 * math.pi - angle, angle)
    angle = where(x.bits() < 0, math.pi - angle, angle).signed_as(y)
    return where(x.is_nan() | y.is_nan(), math.nan, angle)


def hypot(a: Lanes, b: Lanes) -> Lanes:
    """√(a² + b²) without overflow; infinite if an operand is, whatever the other."""
    if a.element == "double":
        return lane_by_lane("hypot", [a, b])
    x, y = a.double(), b.double()
    length = fma(x, x, y * y).sqrt()
    infinite = x.abs().equals(math.inf) | y.abs().equals(math.inf)
    return where(infinite, math.inf, length).single()
