"""Bessel functions of order 0 and 1, modified ones, and Airy's Ai; see ``bessel_series``.

Y is -inf and K inf at 0; both are NaN below.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, TypeVar

from ...core.apply import apply
from ...core.aval import Data
from ...core.families import Constant
from ...core.op import BOTH
from .. import arithmetic, elementwise
from . import bessel_series
from .hosted import Doubles, HostedFunction, HostedUnary

V = TypeVar("V")


class I0(HostedUnary):
    """y = I₀(x);  dy/dx = I₁(x)."""

    expr = "besseli(0, {0})"
    math = ("besseli(1, {0})",)
    numeric: ClassVar[Callable[..., Doubles]] = staticmethod(bessel_series.i0)

    def slope(self, x: Data, y: Data) -> Data:
        return i1(x)


class I0e(HostedUnary):
    """y = e^-|x| I₀(x);  dy/dx = e^-|x| I₁(x) - sign(x) y."""

    needs = BOTH
    expr = "exp(-abs({0})) * besseli(0, {0})"
    math = ("exp(-abs({0})) * (besseli(1, {0}) - sign({0}) * besseli(0, {0}))",)
    kinds = ("distinct",)
    numeric: ClassVar[Callable[..., Doubles]] = staticmethod(bessel_series.i0e)

    def slope(self, x: Data, y: Data) -> Data:
        return i1e(x) - arithmetic.sign(x) * y


class I1(HostedUnary):
    """y = I₁(x);  dy/dx = I₀(x) - y/x, 1/2 at 0."""

    needs = BOTH
    expr = "besseli(1, {0})"
    math = ("besseli(0, {0}) - besseli(1, {0}) / {0}",)
    kinds = ("distinct",)
    numeric: ClassVar[Callable[..., Doubles]] = staticmethod(bessel_series.i1)

    def slope(self, x: Data, y: Data) -> Data:
        return i0(x) - _over(y, x)


class I1e(HostedUnary):
    """y = e^-|x| I₁(x);  dy/dx = e^-|x| I₀(x) - y (sign(x) + 1/x), 1/2 at 0."""

    needs = BOTH
    expr = "exp(-abs({0})) * besseli(1, {0})"
    math = (
        "exp(-abs({0})) * (besseli(0, {0}) - besseli(1, {0}) * (sign({0}) + 1 / {0}))",
    )  # fmt: skip
    kinds = ("distinct",)
    numeric: ClassVar[Callable[..., Doubles]] = staticmethod(bessel_series.i1e)

    def slope(self, x: Data, y: Data) -> Data:
        return i0e(x) - arithmetic.sign(x) * y - _over(y, x)


def _over(y: Data, x: Data) -> Data:
    """y / x, and its limit 1/2 at 0."""
    zero = arithmetic.eq(x, 0)
    return arithmetic.where(zero, 0.5, y / arithmetic.where(zero, 1.0, x))


class BesselJ0(HostedUnary):
    """y = J₀(x);  dy/dx = -J₁(x)."""

    expr = "besselj(0, {0})"
    math = ("-besselj(1, {0})",)
    domain = ((-12.0, 12.0),)
    numeric: ClassVar[Callable[..., Doubles]] = staticmethod(bessel_series.j0)

    def slope(self, x: Data, y: Data) -> Data:
        return -bessel_j1(x)


class BesselJ1(HostedUnary):
    """y = J₁(x);  dy/dx = J₀(x) - y/x, 1/2 at 0."""

    needs = BOTH
    expr = "besselj(1, {0})"
    math = ("besselj(0, {0}) - besselj(1, {0}) / {0}",)
    domain = ((0.3, 12.0),)
    numeric: ClassVar[Callable[..., Doubles]] = staticmethod(bessel_series.j1)

    def slope(self, x: Data, y: Data) -> Data:
        return bessel_j0(x) - _over(y, x)


class BesselY0(HostedUnary):
    """y = Y₀(x);  dy/dx = -Y₁(x)."""

    expr = "bessely(0, {0})"
    math = ("-bessely(1, {0})",)
    domain = ((0.3, 12.0),)
    numeric: ClassVar[Callable[..., Doubles]] = staticmethod(bessel_series.y0)

    def slope(self, x: Data, y: Data) -> Data:
        return -bessel_y1(x)


class BesselY1(HostedUnary):
    """y = Y₁(x);  dy/dx = Y₀(x) - y/x."""

    needs = BOTH
    expr = "bessely(1, {0})"
    math = ("bessely(0, {0}) - bessely(1, {0}) / {0}",)
    domain = ((0.3, 12.0),)
    numeric: ClassVar[Callable[..., Doubles]] = staticmethod(bessel_series.y1)

    def slope(self, x: Data, y: Data) -> Data:
        return bessel_y0(x) - y / x


class ModifiedBesselK0(HostedUnary):
    """y = K₀(x);  dy/dx = -K₁(x)."""

    expr = "besselk(0, {0})"
    math = ("-besselk(1, {0})",)
    domain = ((0.3, 6.0),)
    numeric: ClassVar[Callable[..., Doubles]] = staticmethod(bessel_series.k0)

    def slope(self, x: Data, y: Data) -> Data:
        return -modified_bessel_k1(x)


class ModifiedBesselK1(HostedUnary):
    """y = K₁(x);  dy/dx = -K₀(x) - y/x."""

    needs = BOTH
    expr = "besselk(1, {0})"
    math = ("-besselk(0, {0}) - besselk(1, {0}) / {0}",)
    domain = ((0.3, 6.0),)
    numeric: ClassVar[Callable[..., Doubles]] = staticmethod(bessel_series.k1)

    def slope(self, x: Data, y: Data) -> Data:
        return -modified_bessel_k0(x) - y / x


class ScaledModifiedBesselK0(HostedUnary):
    """y = eˣ K₀(x);  dy/dx = y - eˣ K₁(x)."""

    needs = BOTH
    expr = "exp({0}) * besselk(0, {0})"
    math = ("exp({0}) * (besselk(0, {0}) - besselk(1, {0}))",)
    domain = ((0.3, 6.0),)
    numeric: ClassVar[Callable[..., Doubles]] = staticmethod(bessel_series.k0e)

    def slope(self, x: Data, y: Data) -> Data:
        return y - scaled_modified_bessel_k1(x)


class ScaledModifiedBesselK1(HostedUnary):
    """y = eˣ K₁(x);  dy/dx = y - eˣ K₀(x) - y/x."""

    needs = BOTH
    expr = "exp({0}) * besselk(1, {0})"
    math = ("exp({0}) * (besselk(1, {0}) * (1 - 1 / {0}) - besselk(0, {0}))",)
    domain = ((0.3, 6.0),)
    numeric: ClassVar[Callable[..., Doubles]] = staticmethod(bessel_series.k1e)

    def slope(self, x: Data, y: Data) -> Data:
        return y - scaled_modified_bessel_k0(x) - y / x


class SphericalBesselJ0(HostedUnary):
    """y = sin(x) / x;  dy/dx = (cos x - y) / x, 0 at 0."""

    needs = BOTH
    expr = "where({0} == 0, 1, sin({0}) / {0})"
    math = ("(cos({0}) - sin({0}) / {0}) / {0}",)
    domain = ((0.3, 6.0),)
    numeric: ClassVar[Callable[..., Doubles]] = staticmethod(bessel_series.sphere)

    def slope(self, x: Data, y: Data) -> Data:
        zero = arithmetic.eq(x, 0)
        quotient = (elementwise.cos(x) - y) / arithmetic.where(zero, 1.0, x)
        return arithmetic.where(zero, 0.0, quotient)


class AiryAi(Constant, HostedFunction):
    """y = Ai(x), the solution of y'' = x y that vanishes at infinity; no derivative."""

    expr = "airyai({0})"
    domain = ((-12.0, 4.0),)
    numeric: ClassVar[Callable[..., Doubles]] = staticmethod(bessel_series.airy)


_I0, _I0E, _I1, _I1E = I0(), I0e(), I1(), I1e()
_J0, _J1, _Y0, _Y1 = BesselJ0(), BesselJ1(), BesselY0(), BesselY1()
_K0, _K1 = ModifiedBesselK0(), ModifiedBesselK1()
_K0E, _K1E = ScaledModifiedBesselK0(), ScaledModifiedBesselK1()
_SPHERE, _AIRY = SphericalBesselJ0(), AiryAi()


def i0(input: V) -> V:
    """I₀(x), the modified Bessel function of order 0.  dy/dx = I₁(x).

    >>> i0(tensor([0.0, 1.0]))
    tensor([1.0000, 1.2661])
    """
    return apply(_I0, input)


def i0e(input: V) -> V:
    """e^-|x| I₀(x), which does not overflow.  dy/dx = i1e(x) - sign(x) y."""
    return apply(_I0E, input)


def i1(input: V) -> V:
    """I₁(x), the modified Bessel function of order 1.  dy/dx = I₀(x) - y/x."""
    return apply(_I1, input)


def i1e(input: V) -> V:
    """e^-|x| I₁(x), which does not overflow.  dy/dx = i0e(x) - y (sign(x) + 1/x)."""
    return apply(_I1E, input)


modified_bessel_i0, modified_bessel_i1 = i0, i1


def bessel_j0(input: V) -> V:
    """J₀(x), the Bessel function of the first kind of order 0.  dy/dx = -J₁(x)."""
    return apply(_J0, input)


def bessel_j1(input: V) -> V:
    """J₁(x), the Bessel function of the first kind of order 1.  dy/dx = J₀(x) - y/x."""
    return apply(_J1, input)


def bessel_y0(input: V) -> V:
    """Y₀(x), the Bessel function of the second kind of order 0.  dy/dx = -Y₁(x)."""
    return apply(_Y0, input)


def bessel_y1(input: V) -> V:
    """Y₁(x), the Bessel function of the second kind of order 1.  dy/dx = Y₀(x) - y/x."""
    return apply(_Y1, input)


def modified_bessel_k0(input: V) -> V:
    """K₀(x), the modified Bessel function of the second kind of order 0.  dy/dx = -K₁(x)."""
    return apply(_K0, input)


def modified_bessel_k1(input: V) -> V:
    """K₁(x), the modified Bessel function of the second kind of order 1.  dy/dx = -K₀(x) - y/x."""
    return apply(_K1, input)


def scaled_modified_bessel_k0(input: V) -> V:
    """eˣ K₀(x), which does not underflow.  dy/dx = y - eˣ K₁(x)."""
    return apply(_K0E, input)


def scaled_modified_bessel_k1(input: V) -> V:
    """eˣ K₁(x), which does not underflow.  dy/dx = y - eˣ K₀(x) - y/x."""
    return apply(_K1E, input)


def spherical_bessel_j0(input: V) -> V:
    """sin(x) / x, 1 at 0: the spherical Bessel function of order 0.  dy/dx = (cos x - y) / x."""
    return apply(_SPHERE, input)


def airy_ai(input: V) -> V:
    """Ai(x), Airy's function of the first kind; no derivative, as in PyTorch."""
    return apply(_AIRY, input)
