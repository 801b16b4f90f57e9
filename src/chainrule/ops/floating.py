"""What concerns the floating-point number itself: sign bit, neighbours, parts, C's remainder.

NumPy computes most of these inside compiled steps too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, TypeVar

import numpy as np

from ..core.apply import apply
from ..core.aval import Aval, Data, shape_of
from ..core.families import Constant, Elementwise, Fused, Unary
from ..core.op import INPUTS, NOTHING, OUTPUT, Active, Cotangents, Needs
from ..core.sampling import Draw, Sample
from . import arithmetic, comparison, reduce

V = TypeVar("V")

__all__ = ["copysign", "fmod", "frexp", "heaviside", "ldexp", "nextafter", "signbit"]

_PAIR = ((-2.0, 2.0), (-2.0, 2.0))
_SHAPES = ((), (1,), (3,), (2, 3), (0,), (2, 1, 3), (4,), (3, 2), (1, 1), (2, 0), (5,), (2, 2))


class Signbit(Constant, Unary):
    """Whether the sign bit is set: of negative numbers, of -0.0, and of some NaNs."""

    expr = "signbit({0})"

    def infer(self, *xs: Any) -> Aval:
        return Aval(shape_of(xs[0]), np.dtype(np.bool_))

    def forward(self, *xs: Any) -> Any:
        x = np.asarray(xs[0])
        return np.signbit(x) if x.dtype.kind == "f" else x < 0


class Copysign(Elementwise):
    """y = |a| with the sign of b;  ∂y/∂a = sign a sign y, 0 at 0, ∂y/∂b = 0."""

    floating = True
    needs = Needs(inputs=(0,), output=True)
    expr = "copysign({0}, {1})"
    math = ("sign({0}) * sign({y})", "0")
    domain = _PAIR
    kinds = ("distinct", "distinct")  # apart from 0, where y jumps
    forward: ClassVar[Any] = np.copysign

    def partial(self, i: int, xs: Sequence[Data], y: Data) -> Data:
        return comparison.sign(xs[0]) * comparison.sign(y) if i == 0 else 0.0


class Nextafter(Elementwise):
    """The floating-point number next to a in the direction of b;  ∂y/∂a = 1, ∂y/∂b = 0."""

    needs = NOTHING
    expr = "{0}"
    math = ("1", "0")
    domain = _PAIR
    forward: ClassVar[Any] = np.nextafter

    def partial(self, i: int, xs: Sequence[Data], y: Data) -> Data:
        return 1.0 if i == 0 else 0.0

    def lower(self, k: Any, *xs: Any) -> Any:
        return None


class Heaviside(Constant, Elementwise):
    """0 for a < 0, 1 for a > 0, b at 0; 0 for NaN."""

    expr = "where({0} == 0, {1}, where({0} > 0, 1, 0))"
    domain = _PAIR

    def forward(self, *xs: Any) -> Any:
        a, b = xs
        y = np.where(np.equal(a, 0), b, np.greater(a, 0))
        return y.astype(self.infer(*xs).dtype, copy=False)


class Fmod(Elementwise):
    """y = a - trunc(a / b) b, with the sign of a;  ∂y/∂a = 1, ∂y/∂b = -trunc(a / b)."""

    needs = INPUTS
    expr = "{0} - trunc({0} / {1}) * {1}"
    math = ("1", "-trunc({0} / {1})")
    domain = ((4.2, 4.8), (1.65, 1.95))
    forward: ClassVar[Any] = np.fmod

    def partial(self, i: int, xs: Sequence[Data], y: Data) -> Data:
        return 1.0 if i == 0 else -comparison.trunc(arithmetic.div(xs[0], xs[1]))

    def lower(self, k: Any, *xs: Any) -> Any:
        return None  # the formula cancels where a is many times b


class Frexp(Fused):
    """(m, e) with x = m 2ᵉ and 1/2 <= |m| < 1, or m = x = 0;  dm/dx = 2⁻ᵉ."""

    n_out = 2
    needs = OUTPUT

    def infer(self, *xs: Any) -> tuple[Aval, Aval]:
        x = xs[0]
        return Aval(shape_of(x), x.dtype), Aval(shape_of(x), np.dtype(np.int32))

    def forward(self, *xs: Any) -> Any:
        mantissa, exponent = np.frexp(xs[0])
        return mantissa, np.asarray(exponent, np.int32)

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        if ct[0] is None:
            return (None,)
        return (ct[0] * arithmetic.pow(2.0, arithmetic.neg(reduce.as_float(y[1]))),)

    def reference(self, *xs: Data) -> Data:
        x = np.asarray(xs[0])
        size = np.where(x == 0, 1.0, np.abs(x))
        exponent = np.where(x == 0, 0, np.floor(np.log2(size)) + 1).astype(np.int32)
        return x * 2.0**-exponent, exponent

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for i, shape in enumerate(_SHAPES):
            low, high = ((0.55, 0.95), (-3.8, -2.2), (4.2, 7.8))[i % 3]  # between powers of two
            yield Sample(cls(), (Draw(shape, low, high),))


SIGNBIT, COPYSIGN, NEXTAFTER = Signbit(), Copysign(), Nextafter()
HEAVISIDE, FMOD, FREXP = Heaviside(), Fmod(), Frexp()


def signbit(input: V) -> V:
    """Whether x is negative, -0.0 included. Boolean.

    >>> signbit(tensor([-1.0, -0.0, 0.0, 2.0]))
    tensor([True, True, False, False])
    """
    return apply(SIGNBIT, input)


def copysign(input: Any, other: Any) -> Any:
    """|a| with the sign of b, that of -0.0 included.  ∂/∂a = ±1 (0 at 0), ∂/∂b = 0.

    >>> copysign(tensor([1.0, -2.0]), tensor([-0.0, 3.0]))
    tensor([-1.,  2.])
    """
    return apply(COPYSIGN, input, other)


def nextafter(input: Any, other: Any) -> Any:
    """The floating-point number next to a in the direction of b.  ∂/∂a = 1, ∂/∂b = 0."""
    return apply(NEXTAFTER, input, other)


def heaviside(input: Any, values: Any) -> Any:
    """0 for negative x, 1 for positive x, `values` at 0; 0 for NaN; no derivative.

    >>> heaviside(tensor([-1.0, 0.0, 2.0]), 0.5)
    tensor([0.0000, 0.5000, 1.0000])
    """
    return apply(HEAVISIDE, input, values)


def fmod(input: Any, other: Any) -> Any:
    """a - trunc(a / b) b, with the sign of a, as C's fmod.  ∂/∂a = 1, ∂/∂b = -trunc(a / b).

    >>> fmod(tensor([-3.0, 3.5]), 2.0)
    tensor([-1.0000,  1.5000])
    """
    return apply(FMOD, input, other)


def frexp(input: Any) -> tuple[Any, Any]:
    """(mantissa, exponent) with x = mantissa 2^exponent and 1/2 <= |mantissa| < 1; int32 exponents.

    The derivative of the mantissa is 2^-exponent.
    """
    return apply(FREXP, reduce.as_float(input))  # type: ignore[no-any-return]  # a pair


def ldexp(input: Any, other: Any) -> Any:
    """x 2ⁿ, elementwise.  ∂/∂x = 2ⁿ.

    >>> ldexp(tensor([1.0, 3.0]), 2)
    tensor([ 4., 12.])
    """
    return arithmetic.mul(reduce.as_float(input), arithmetic.pow(2.0, reduce.as_float(other)))
