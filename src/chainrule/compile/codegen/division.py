"""Division with rounding down, as Python and NumPy do it, of integers and floats.

An integer divided by zero gives 0 with remainder 0, and the least integer divided by -1 itself:
the processor's trap for both never happens.
"""

from __future__ import annotations

from ...core.aval import DType
from .lanes import Lanes, lane_by_lane, where
from .rounding import floor


def floor_divide(a: Lanes, b: Lanes, dtype: DType) -> Lanes:
    """How often b goes into a, rounded down; of floats by zero, a / b."""
    if dtype.kind == "f":
        return _float_quotient(a, b)
    zero = b.equals(0)
    if dtype.kind != "i":
        return where(zero, 0, a.opcode("udiv", where(zero, 1, b)))
    quotient, rest = _signed(a, b)
    below = rest.differs(0) & ((rest ^ b) < 0)
    return where(zero, 0, where(below, quotient - 1, quotient))


def remainder(a: Lanes, b: Lanes, dtype: DType) -> Lanes:
    """a - floor(a / b) b, exactly, with the sign of b; of floats by zero, NaN."""
    if dtype.kind == "f":
        return _float_remainder(a, b)
    zero = b.equals(0)
    if dtype.kind != "i":
        return where(zero, 0, a.opcode("urem", where(zero, 1, b)))
    _, rest = _signed(a, b)
    other_sign = rest.differs(0) & ((rest ^ b) < 0)
    return where(zero, 0, where(other_sign, rest + b, rest))


def _signed(a: Lanes, b: Lanes) -> tuple[Lanes, Lanes]:
    """Quotient and remainder rounded toward zero, with 1 in place of a divisor 0."""
    opposite = b.equals(-1)
    safe = where(opposite | b.equals(0), 1, b)
    quotient = a.opcode("sdiv", safe)
    return where(opposite, 0 - a, quotient), where(opposite, 0, a - quotient * safe)


def _toward_zero(a: Lanes, b: Lanes) -> tuple[Lanes, Lanes]:
    """The remainder with the sign of a, and where the one with the sign of b is another."""
    rest = lane_by_lane("fmod", [a, b])  # exact, so that of doubles serves float32 too
    return rest, ((rest.bits() ^ b.bits()) < 0) & rest.differs(0.0)


def _float_remainder(a: Lanes, b: Lanes) -> Lanes:
    rest, other_sign = _toward_zero(a, b)
    rest = where(other_sign, rest + b, rest)
    return where(rest.equals(0.0), rest.signed_as(b), rest)


def _float_quotient(a: Lanes, b: Lanes) -> Lanes:
    """NumPy's way: (a - fmod(a, b)) / b is whole but for its rounding."""
    rest, other_sign = _toward_zero(a, b)
    quotient = (a - rest) / b
    quotient = where(other_sign, quotient - 1.0, quotient)
    whole = floor(quotient)
    whole = where(quotient - whole > 0.5, whole + 1.0, whole)
    ratio = a / b
    whole = where(quotient.equals(0.0), quotient.like(0.0).signed_as(ratio), whole)
    return where(b.equals(0.0), ratio, whole)
