"""Floats to whole floats, also on processors whose only rounding is that of additions."""

from __future__ import annotations

from .lanes import FORMATS, Lanes, nearest, where


def floor(x: Lanes) -> Lanes:
    """The largest whole number that is not above x."""
    if x.target.fma:  # processors with the one have the other
        return x.intrinsic("floor")
    return _below(x, _rounded(x))


def ceil(x: Lanes) -> Lanes:
    """The smallest whole number that is not below x."""
    if x.target.fma:
        return x.intrinsic("ceil")
    return -floor(-x)


def trunc(x: Lanes) -> Lanes:
    """x without its fraction."""
    if x.target.fma:
        return x.intrinsic("trunc")
    size = x.abs()
    return _below(size, _rounded(size)).signed_as(x)


def round_half_even(x: Lanes) -> Lanes:
    """The nearest whole number, the even one of two."""
    return x.intrinsic("roundeven") if x.target.fma else _rounded(x)


def _rounded(x: Lanes) -> Lanes:
    """The nearest whole number; floats past the mantissa's bits, infinity and NaN as they are."""
    size = x.abs()
    return where(size < 2.0 ** FORMATS[x.element].mantissa, nearest(size).signed_as(x), x)


def _below(x: Lanes, whole: Lanes) -> Lanes:
    """`whole`, or one less where that is above x, with the sign of x."""
    return where(whole > x, whole - 1.0, whole).signed_as(x)
