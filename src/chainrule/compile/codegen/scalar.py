"""The functions that kernels apply to elements, written for scalars and vectors alike.

FUNCTIONS has them all. What is computed in float16 is computed in float32 and rounded. Vectors and
scalars take the same steps, so they give the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from ...core.aval import DType
from ...runtime.target import Target
from . import exponentials
from .casts import cast, narrow, register_type, widen
from .division import floor_divide, remainder
from .lanes import Lanes, where
from .rounding import ceil, floor, round_half_even, trunc
from .text import Function, Val
from .transcendental import TRANSCENDENTAL

__all__ = ["FUNCTIONS", "emit", "register_type"]

Emitter: TypeAlias = Callable[[Sequence[Lanes], Sequence[DType], DType], Lanes]
"""From operands, their dtypes and the result's dtype to the result."""

_FLOAT16, _FLOAT32 = np.dtype(np.float16), np.dtype(np.float32)


def emit(
    f: Function,
    target: Target,
    function: str,
    args: Sequence[Val],
    operands: Sequence[DType],
    dtype: DType,
) -> Val:
    """Write ``function(*args)``: `operands` are the dtypes of `args`, `dtype` that of the result.

    All values have the same number of lanes and the types that ``register_type`` says: a bool is
    i1. But for ``cast``, the condition of ``where`` and comparisons, operands have the result's
    dtype. KeyError for a name that is not in FUNCTIONS.
    """
    emitter = FUNCTIONS[function]
    xs = [Lanes(f, target, arg) for arg in args]
    if function in _BITWISE_SAFE or _FLOAT16 not in operands:
        return emitter(xs, operands, dtype).val
    wide = [widen(x) if d == _FLOAT16 else x for x, d in zip(xs, operands, strict=True)]
    as_float32 = [_FLOAT32 if d == _FLOAT16 else d for d in operands]
    y = emitter(wide, as_float32, _FLOAT32 if dtype == _FLOAT16 else dtype)
    return (narrow(y) if dtype == _FLOAT16 else y).val


_BITWISE_SAFE = {"cast", "where"}
"""Functions that take float16 as it is."""


def _operator(floats: str, integers: str, booleans: str = "") -> Emitter:
    """An instruction of two operands for each kind of dtype."""

    def write(xs: Sequence[Lanes], operands: Sequence[DType], dtype: DType) -> Lanes:
        opcode = {"f": floats, "b": booleans}.get(dtype.kind, integers)
        return xs[0].opcode(opcode, xs[1])

    return write


def _comparison(floats: str, signed: str, unsigned: str) -> Emitter:
    def write(xs: Sequence[Lanes], operands: Sequence[DType], dtype: DType) -> Lanes:
        kind = operands[0].kind
        name = {"f": f"fcmp {floats}", "i": f"icmp {signed}"}.get(kind, f"icmp {unsigned}")
        return xs[0].opcode(name, xs[1])

    return write


def _extremum(larger: bool) -> Emitter:
    """NaN if an operand is; the second of two equals (0 and -0), as NumPy does it on x86."""

    def write(xs: Sequence[Lanes], operands: Sequence[DType], dtype: DType) -> Lanes:
        a, b = xs
        if dtype.kind != "f":
            compare = "ugt" if larger else "ult"
            signed = "sgt" if larger else "slt"
            return where(a.opcode(f"icmp {signed if dtype.kind == 'i' else compare}", b), a, b)
        if _is_plain_constant(b):
            y = where(a < b if larger else a > b, b, a)  # one instruction on x86, which keeps NaN
            return y + 0.0 if b.val == b.like(0.0).val else y  # which turns -0 into 0
        y = where(a > b if larger else a < b, a, b)
        return where(a.is_nan(), a, y)

    return write


def _is_plain_constant(x: Lanes) -> bool:
    """Whether x is a constant, but not NaN or -0."""
    odd = (x.like(math.nan).val, x.like(-0.0).val)
    return not x.val.ref.startswith("%") and x.val not in odd


def _negative(xs: Sequence[Lanes], operands: Sequence[DType], dtype: DType) -> Lanes:
    return -xs[0]


def _absolute(xs: Sequence[Lanes], operands: Sequence[DType], dtype: DType) -> Lanes:
    x = xs[0]
    if dtype.kind == "f":
        return x.abs()
    return where(x < 0, 0 - x, x) if dtype.kind == "i" else x


def _sign(xs: Sequence[Lanes], operands: Sequence[DType], dtype: DType) -> Lanes:
    x = xs[0]
    if dtype.kind == "b":
        return x
    if dtype.kind == "u":
        return where(x.differs(0), x.like(1), 0)
    y = where(x > 0, x.like(1), where(x < 0, x.like(-1), 0))
    return where(x.is_nan(), x, y) if dtype.kind == "f" else y


def _where(xs: Sequence[Lanes], operands: Sequence[DType], dtype: DType) -> Lanes:
    condition, a, b = xs
    return where(cast(condition, operands[0], np.dtype(np.bool_)), a, b)


def _cast(xs: Sequence[Lanes], operands: Sequence[DType], dtype: DType) -> Lanes:
    return cast(xs[0], operands[0], dtype)


def _complement(xs: Sequence[Lanes], operands: Sequence[DType], dtype: DType) -> Lanes:
    return ~xs[0]


def _shift(opcode: str) -> Emitter:
    """A shift by as many bits as there are, or more, moves all of them out."""

    def write(xs: Sequence[Lanes], operands: Sequence[DType], dtype: DType) -> Lanes:
        x, by = xs
        bits = 8 * dtype.itemsize
        inside = by.opcode("icmp ult", bits)
        if opcode == "shl" or dtype.kind == "u":
            return where(inside, x.opcode(opcode, by), 0)
        return x.opcode("ashr", where(inside, by, bits - 1))

    return write


def _high_product(xs: Sequence[Lanes], operands: Sequence[DType], dtype: DType) -> Lanes:
    """The upper 32 bits of the product of two uint32."""
    a, b = (x.to("zext", "i64") for x in xs)
    return (a * b).opcode("lshr", 32).to("trunc", "i32")


def _power(xs: Sequence[Lanes], operands: Sequence[DType], dtype: DType) -> Lanes:
    """Integers by repeated squaring, with as many turns as the exponent has bits."""
    a, b = xs
    if dtype.kind == "f":
        return exponentials.power(a, b)
    if dtype.kind == "b":
        return a | ~b

    def turn(i: Val, *carried: Val) -> list[Val]:
        base, exponent, product = map(a.new, carried)
        product = where((exponent & 1).differs(0), product * base, product)
        return [(base * base).val, exponent.opcode("lshr", 1).val, product.val]

    start = [a.val, b.val, a.like(1).val]
    return a.new(a.f.loop(0, 8 * dtype.itemsize - (dtype.kind == "i"), 1, turn, start)[2])


def _division(function: Callable[[Lanes, Lanes, DType], Lanes]) -> Emitter:
    return lambda xs, operands, dtype: function(xs[0], xs[1], dtype)


def _rounding(function: Callable[[Lanes], Lanes]) -> Emitter:
    """Integers and truth values are whole already."""
    return lambda xs, operands, dtype: function(xs[0]) if dtype.kind == "f" else xs[0]


def _floating(function: Callable[..., Lanes]) -> Emitter:
    return lambda xs, operands, dtype: function(*xs)


def _test(function: Callable[[Lanes], Lanes], of_integers: bool) -> Emitter:
    """A question about a float, whose answer for any integer is `of_integers`."""

    def write(xs: Sequence[Lanes], operands: Sequence[DType], dtype: DType) -> Lanes:
        x = xs[0]
        if operands[0].kind == "f":
            return function(x)
        same = x.equals(x)
        return same if of_integers else ~same

    return write


def _sign_bit(xs: Sequence[Lanes], operands: Sequence[DType], dtype: DType) -> Lanes:
    x = xs[0]
    if operands[0].kind == "f":
        return x.bits() < 0
    return x < 0 if operands[0].kind == "i" else x.differs(x)


FUNCTIONS: dict[str, Emitter] = {
    **{name: _floating(function) for name, function in TRANSCENDENTAL.items()},
    "add": _operator("fadd", "add", "or"),
    "sub": _operator("fsub", "sub"),
    "mul": _operator("fmul", "mul", "and"),
    "div": _operator("fdiv", ""),
    "neg": _negative,
    "abs": _absolute,
    "sign": _sign,
    "maximum": _extremum(True),
    "minimum": _extremum(False),
    "pow": _power,
    "remainder": _division(remainder),
    "floor_divide": _division(floor_divide),
    "copysign": _floating(lambda x, sign: x.signed_as(sign)),
    "signbit": _sign_bit,
    "eq": _comparison("oeq", "eq", "eq"),
    "ne": _comparison("une", "ne", "ne"),
    "lt": _comparison("olt", "slt", "ult"),
    "le": _comparison("ole", "sle", "ule"),
    "gt": _comparison("ogt", "sgt", "ugt"),
    "ge": _comparison("oge", "sge", "uge"),
    "isnan": _test(lambda x: x.is_nan(), False),
    "isinf": _test(lambda x: x.abs().equals(math.inf), False),
    "isfinite": _test(lambda x: x.abs() < math.inf, True),
    "and": _operator("", "", "and"),
    "or": _operator("", "", "or"),
    "xor": _operator("", "", "xor"),
    "not": _complement,
    "bit_and": _operator("", "and", "and"),
    "bit_or": _operator("", "or", "or"),
    "bit_xor": _operator("", "xor", "xor"),
    "bit_not": _complement,
    "shl": _shift("shl"),
    "shr": _shift("lshr"),
    "mulhi": _high_product,
    "where": _where,
    "cast": _cast,
    "floor": _rounding(floor),
    "ceil": _rounding(ceil),
    "round": _rounding(round_half_even),
    "trunc": _rounding(trunc),
    "sqrt": _floating(lambda x: x.sqrt()),
    "rsqrt": _floating(lambda x: 1.0 / x.sqrt()),
    "reciprocal": _floating(lambda x: 1.0 / x),
}
"""Writers by name.

add, mul, maximum and minimum of bools are or, and, or, and. A shift and `mulhi` take operands of
one type; bits shifted in are zeros, or in signed integers on the right copies of the sign.
"""
