"""Conversions between any two dtypes, as NumPy's ``astype`` does them on x86.

Floats lose their fraction when they become integers, and what does not fit gives the bits that the
processor gives; a number is true if it is not zero; what has no float16 unit converts it by bits.
"""

from __future__ import annotations

import numpy as np

from ...core.aval import DType
from .lanes import Lanes, where
from .text import constant, memory_type, vector

_FLOAT32 = np.dtype(np.float32)


def register_type(dtype: DType) -> str:
    """LLVM's type for an element of `dtype` in a register: that in memory, but i1 for a bool."""
    return "i1" if dtype.kind == "b" else memory_type(dtype)


def cast(x: Lanes, source: DType, dtype: DType) -> Lanes:
    """x, a value of dtype `source`, as one of `dtype`."""
    if source == dtype:
        return x
    if source.itemsize == 2 and source.kind == "f":
        return cast(widen(x), _FLOAT32, dtype)
    if dtype.kind == "b":
        return x.differs(0)
    if dtype.kind == "f":
        return _to_float(x, source, dtype)
    if source.kind == "f":
        return _float_to_integer(x, dtype)
    bits, wanted = (1 if d.kind == "b" else 8 * d.itemsize for d in (source, dtype))
    if bits == wanted:
        return x
    if bits > wanted:
        return x.to("trunc", register_type(dtype))
    return x.to("sext" if source.kind == "i" else "zext", register_type(dtype))


def _to_float(x: Lanes, source: DType, dtype: DType) -> Lanes:
    """Anything but float16 to a float; integers become float16 through float32, as in NumPy."""
    if dtype.itemsize == 2:
        if source.itemsize == 8 and source.kind == "f":
            return narrow(_to_odd(x))
        return narrow(cast(x, source, _FLOAT32))
    element = register_type(dtype)
    if source.kind == "f":
        return x.to("fpext" if dtype.itemsize > source.itemsize else "fptrunc", element)
    if source.kind == "b":
        one, zero = (x.new(constant(n, vector(element, x.val.lanes))) for n in (1.0, 0.0))
        return where(x, one, zero)
    return x.to("sitofp" if source.kind == "i" else "uitofp", element)


def _float_to_integer(x: Lanes, dtype: DType) -> Lanes:
    """Without its fraction, in 32 or 64 bits of which those wanted are kept."""
    if dtype.itemsize < 4 or dtype == np.int32:
        y = _to_signed(x, 32)
    elif dtype != np.uint64:
        y = _to_signed(x, 64)
    else:
        half = 2.0**63
        large = x >= half
        y = _to_signed(where(large, x - half, x), 64)
        y = y ^ where(large, y.like(1 << 63), 0)
    element = register_type(dtype)
    return y if y.element == element else y.to("trunc", element)


def _to_signed(x: Lanes, bits: int) -> Lanes:
    """A signed integer; what has no place in it, and NaN, gives the least one."""
    fits = x.abs() < 2.0 ** (bits - 1)
    return where(fits, x.to("fptosi", f"i{bits}"), 1 << (bits - 1))


def widen(x: Lanes) -> Lanes:
    """A float16 as float32."""
    if x.target.fma:  # processors with the one have the other
        return x.to("fpext", "float")
    h = x.bits().to("zext", "i32")
    size = (h & 0x7FFF) << 13
    special = (h & 0x7C00).equals(0x7C00)
    scaled = (size.as_float() * 2.0**112).bits()  # between exponents that are biased by 15 and 127
    return (where(special, size | 0x7F800000, scaled) | ((h & 0x8000) << 16)).as_float()


def narrow(x: Lanes) -> Lanes:
    """A float32 rounded to float16, to even at ties."""
    if x.target.fma:
        return x.to("fptrunc", "half")
    bits = x.bits()
    size = bits & 0x7FFFFFFF
    # Below 2⁻¹⁴, adding 1/2 leaves the number in units of 2⁻²⁴ in the low bits, rounded.
    subnormal = (size.as_float() + 0.5).bits() - 0x3F000000
    odd = size.opcode("lshr", 13) & 1
    normal = (size + odd - (112 << 23) + 0xFFF).opcode("lshr", 13)
    h = where(size < (113 << 23), subnormal, normal)
    h = where(size < (143 << 23), h, where(size > 0x7F800000, size.like(0x7E00), 0x7C00))
    return (h | (bits.opcode("lshr", 16) & 0x8000)).to("trunc", "i16").as_float()


def _to_odd(x: Lanes) -> Lanes:
    """A float64 as float32 that may be rounded again: toward zero, the last bit set if inexact."""
    y = x.single()
    back = y.double()
    beyond = back.abs() > x.abs()
    inexact = (back < x) | (back > x)
    bits = y.bits() - beyond.to("zext", "i32") | inexact.to("zext", "i32")
    return bits.as_float()
