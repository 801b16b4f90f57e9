"""Methods that are functions as they stand: ``x.lgamma()`` is ``lgamma(x)``.

What each computes, and its other arguments, are said where the function is defined.
"""

from __future__ import annotations

from typing import Any

from . import ops
from .operators import Operators


class FunctionMethods(Operators):
    """Mixin with the functions that PyTorch's tensors have as methods. It holds nothing."""

    __slots__ = ()

    # Elementwise ------------------------------------------------------------------------------

    absolute, negative, positive, sgn = ops.absolute, ops.negative, ops.positive, ops.sgn
    multiply, subtract, rsub = ops.multiply, ops.subtract, ops.rsub
    divide, true_divide, floor_divide = ops.divide, ops.true_divide, ops.floor_divide
    addcmul, addcdiv, lerp = ops.addcmul, ops.addcdiv, ops.lerp
    remainder, fmod, frac, fix = ops.remainder, ops.fmod, ops.frac, ops.fix
    clamp_min, clamp_max, fmin, fmax = ops.clamp_min, ops.clamp_max, ops.fmin, ops.fmax
    exp2, log2, log10 = ops.exp2, ops.log2, ops.log10
    logaddexp, logaddexp2 = ops.logaddexp, ops.logaddexp2
    float_power, ldexp, frexp, hypot = ops.float_power, ops.ldexp, ops.frexp, ops.hypot
    asin, acos, atan, atan2 = ops.asin, ops.acos, ops.atan, ops.atan2
    arcsin, arccos, arctan, arctan2 = ops.arcsin, ops.arccos, ops.arctan, ops.arctan2
    sinh, cosh, asinh, acosh, atanh = ops.sinh, ops.cosh, ops.asinh, ops.acosh, ops.atanh
    arcsinh, arccosh, arctanh = ops.arcsinh, ops.arccosh, ops.arctanh
    deg2rad, rad2deg, angle = ops.deg2rad, ops.rad2deg, ops.angle
    erfc = ops.erfc
    copysign, nextafter, signbit = ops.copysign, ops.nextafter, ops.signbit
    heaviside, nan_to_num = ops.heaviside, ops.nan_to_num
    conj, conj_physical = ops.conj, ops.conj_physical
    resolve_conj, resolve_neg = ops.resolve_conj, ops.resolve_neg
    prelu, hardshrink = ops.prelu, ops.hardshrink
    bernoulli = ops.bernoulli

    # Special functions, which are loaded when they are first called ------------------------------

    def logit(self, eps: float | None = None) -> Any:
        return ops.logit(self, eps)

    def xlogy(self, other: Any) -> Any:
        return ops.xlogy(self, other)

    def sinc(self) -> Any:
        return ops.sinc(self)

    def erfinv(self) -> Any:
        return ops.erfinv(self)

    def i0(self) -> Any:
        return ops.i0(self)

    def lgamma(self) -> Any:
        return ops.lgamma(self)

    def digamma(self) -> Any:
        return ops.digamma(self)

    def polygamma(self, n: int) -> Any:
        return ops.polygamma(n, self)

    def mvlgamma(self, p: int) -> Any:
        return ops.mvlgamma(self, p)

    def igamma(self, other: Any) -> Any:
        return ops.igamma(self, other)

    def igammac(self, other: Any) -> Any:
        return ops.igammac(self, other)

    # Comparisons, logic and bits --------------------------------------------------------------

    less, less_equal, not_equal = ops.less, ops.less_equal, ops.not_equal
    greater, greater_equal = ops.greater, ops.greater_equal
    isclose, allclose, equal = ops.isclose, ops.allclose, ops.equal
    isposinf, isneginf, isreal = ops.isposinf, ops.isneginf, ops.isreal
    logical_and, logical_or = ops.logical_and, ops.logical_or
    logical_xor, logical_not = ops.logical_xor, ops.logical_not
    bitwise_and, bitwise_or = ops.bitwise_and, ops.bitwise_or
    bitwise_xor, bitwise_not = ops.bitwise_xor, ops.bitwise_not
    bitwise_left_shift, bitwise_right_shift = ops.bitwise_left_shift, ops.bitwise_right_shift
    gcd, lcm = ops.gcd, ops.lcm

    # Reductions, orders and scans -------------------------------------------------------------

    nansum, nanmean, count_nonzero = ops.nansum, ops.nanmean, ops.count_nonzero
    median, nanmedian, mode, kthvalue = ops.median, ops.nanmedian, ops.mode, ops.kthvalue
    quantile, nanquantile, aminmax = ops.quantile, ops.nanquantile, ops.aminmax
    dist, renorm, cov, corrcoef = ops.dist, ops.renorm, ops.cov, ops.corrcoef
    cumprod, logcumsumexp, diff = ops.cumprod, ops.logcumsumexp, ops.diff
    cummax, cummin, msort = ops.cummax, ops.cummin, ops.msort
    unique, unique_consecutive = ops.unique, ops.unique_consecutive
    bincount, histc, histogram = ops.bincount, ops.histc, ops.histogram
    multinomial = ops.multinomial
