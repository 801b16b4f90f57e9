"""Comparisons, logic, tests and rounding: elementwise ops that are flat between jumps.

Booleans carry no derivative; that of sign and of rounding is zero, at the jumps too. NaN compares
false with everything, itself included (``ne`` alone is true). Rounding goes to even at ties, as
IEEE 754 does; integers round to themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, TypeVar

import numpy as np

from ..core.apply import apply
from ..core.aval import Aval, Data, broadcast_shapes, shape_of
from ..core.families import Constant, Elementwise, Unary
from ..core.op import NOTHING, Active, Cotangents
from ..core.sampling import Draw, Sample
from . import selection

V = TypeVar("V")

_PAIR = ((-2.0, 2.0), (-2.0, 2.0))
_BOOL = np.dtype(np.bool_)


class _Test(Constant, Elementwise, abstract=True):
    """An elementwise question: the answer is boolean, whatever the operands are."""

    def infer(self, *xs: Any) -> Aval:
        return Aval(broadcast_shapes(*[shape_of(x) for x in xs]), _BOOL)


class Eq(_Test):
    """a == b."""

    expr = "{0} == {1}"
    domain = _PAIR
    forward: ClassVar[Any] = np.equal


class Ne(_Test):
    """a != b."""

    expr = "{0} != {1}"
    domain = _PAIR
    forward: ClassVar[Any] = np.not_equal


class Lt(_Test):
    """a < b."""

    expr = "{0} < {1}"
    domain = _PAIR
    forward: ClassVar[Any] = np.less


class Le(_Test):
    """a <= b."""

    expr = "{0} <= {1}"
    domain = _PAIR
    forward: ClassVar[Any] = np.less_equal


class Gt(_Test):
    """a > b."""

    expr = "{0} > {1}"
    domain = _PAIR
    forward: ClassVar[Any] = np.greater


class Ge(_Test):
    """a >= b."""

    expr = "{0} >= {1}"
    domain = _PAIR
    forward: ClassVar[Any] = np.greater_equal


class LogicalAnd(_Test):
    """Whether both operands are nonzero."""

    expr = "({0} != 0) & ({1} != 0)"
    domain = _PAIR
    kinds = ("bool",)
    forward: ClassVar[Any] = np.logical_and


class LogicalOr(_Test):
    """Whether an operand is nonzero."""

    expr = "({0} != 0) | ({1} != 0)"
    domain = _PAIR
    kinds = ("bool",)
    forward: ClassVar[Any] = np.logical_or


class LogicalXor(_Test):
    """Whether exactly one operand is nonzero."""

    expr = "({0} != 0) != ({1} != 0)"
    domain = _PAIR
    kinds = ("bool",)
    forward: ClassVar[Any] = np.logical_xor


class LogicalNot(_Test):
    """Whether the operand is zero."""

    expr = "{0} == 0"
    kinds = ("bool",)
    forward: ClassVar[Any] = np.logical_not


class IsNan(_Test):
    """Whether x is not a number."""

    expr = "isnan({0})"
    forward: ClassVar[Any] = np.isnan


class IsInf(_Test):
    """Whether x is infinite."""

    expr = "isinf({0})"
    forward: ClassVar[Any] = np.isinf


class IsFinite(_Test):
    """Whether x is neither infinite nor NaN."""

    expr = "isfinite({0})"
    forward: ClassVar[Any] = np.isfinite


_CELLS = ((-1.9, -1.6), (-1.4, -1.1), (0.1, 0.4), (2.6, 2.9))
"""Ranges without a whole number, or one and a half, inside."""


class _Flat(Unary, abstract=True):
    """A step function of one number: the derivative is zero, and stays so if ȳ is infinite."""

    math = ("0",)
    needs = NOTHING

    def slope(self, x: Data, y: Data) -> Data:
        return 0.0

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        return (selection.where(False, ct, 0.0),)

    def jvp(self, dxs: Sequence[Data | None], xs: Sequence[Data], y: Data) -> Data:
        return selection.where(False, dxs[0], 0.0)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for i, sample in enumerate(super().samples()):
            low, high = _CELLS[i % len(_CELLS)]
            yield Sample(cls(), (Draw(sample.inputs[0].shape, low, high),))


class Sign(_Flat):
    """-1, 0 or 1: flat everywhere, at zero too. NaN stays NaN."""

    expr = "sign({0})"
    forward: ClassVar[Any] = np.sign


class _Rounding(_Flat, abstract=True):
    """A float to a nearby whole number, as a float; integers and truth values stay as they are."""

    ufunc: ClassVar[Any]

    def forward(self, *xs: Any) -> Any:
        x = xs[0]
        return type(self).ufunc(x) if np.asarray(x).dtype.kind == "f" else x


class Floor(_Rounding):
    """The largest whole number that is not above x."""

    expr = "floor({0})"
    ufunc = np.floor


class Ceil(_Rounding):
    """The smallest whole number that is not below x."""

    expr = "ceil({0})"
    ufunc = np.ceil


class Round(_Rounding):
    """The nearest whole number, the even one of two."""

    expr = "round({0})"
    ufunc = np.rint


class Trunc(_Rounding):
    """The nearest whole number toward zero."""

    expr = "trunc({0})"
    ufunc = np.trunc


class FloorDivide(Constant, Elementwise):
    """The whole number of times that b goes into a, rounded down, as Python's ``//``."""

    expr = "floor_divide({0}, {1})"
    domain = ((4.2, 4.8), (1.65, 1.95))
    forward: ClassVar[Any] = np.floor_divide


EQ, NE, LT, LE, GT, GE = Eq(), Ne(), Lt(), Le(), Gt(), Ge()
LOGICAL_AND, LOGICAL_OR, LOGICAL_XOR = LogicalAnd(), LogicalOr(), LogicalXor()
LOGICAL_NOT = LogicalNot()
IS_NAN, IS_INF, IS_FINITE = IsNan(), IsInf(), IsFinite()
SIGN, FLOOR, CEIL, ROUND, TRUNC = Sign(), Floor(), Ceil(), Round(), Trunc()
FLOOR_DIVIDE = FloorDivide()


def eq(a: V, b: Any) -> V:
    """Whether a == b, elementwise, with broadcasting and promotion; boolean, no derivative.

    >>> eq(tensor([1, 2, 3]), 2.0)
    tensor([False, True, False])
    """
    return apply(EQ, a, b)


def ne(a: V, b: Any) -> V:
    """Whether a != b, elementwise; true for NaN. Boolean, no derivative."""
    return apply(NE, a, b)


def lt(a: V, b: Any) -> V:
    """Whether a < b, elementwise. Boolean, no derivative."""
    return apply(LT, a, b)


def le(a: V, b: Any) -> V:
    """Whether a <= b, elementwise. Boolean, no derivative."""
    return apply(LE, a, b)


def gt(a: V, b: Any) -> V:
    """Whether a > b, elementwise. Boolean, no derivative."""
    return apply(GT, a, b)


def ge(a: V, b: Any) -> V:
    """Whether a >= b, elementwise. Boolean, no derivative."""
    return apply(GE, a, b)


def logical_and(a: V, b: Any) -> V:
    """Whether a and b are both nonzero, elementwise; NaN counts as nonzero. Boolean."""
    return apply(LOGICAL_AND, a, b)


def logical_or(a: V, b: Any) -> V:
    """Whether a or b is nonzero, elementwise; NaN counts as nonzero. Boolean."""
    return apply(LOGICAL_OR, a, b)


def logical_xor(a: V, b: Any) -> V:
    """Whether exactly one of a and b is nonzero, elementwise. Boolean."""
    return apply(LOGICAL_XOR, a, b)


def logical_not(x: V) -> V:
    """Whether x is zero, elementwise. Boolean."""
    return apply(LOGICAL_NOT, x)


def isnan(x: V) -> V:
    """Whether x is NaN, elementwise. Boolean.

    >>> isnan(tensor([0.0, float("nan"), float("inf")]))
    tensor([False, True, False])
    """
    return apply(IS_NAN, x)


def isinf(x: V) -> V:
    """Whether x is positive or negative infinity, elementwise. Boolean."""
    return apply(IS_INF, x)


def isfinite(x: V) -> V:
    """Whether x is neither infinite nor NaN, elementwise. Boolean."""
    return apply(IS_FINITE, x)


def sign(x: V) -> V:
    """-1, 0 or 1 for negative, zero and positive x; NaN for NaN.  dy/dx = 0, at zero too.

    >>> sign(tensor([-3.0, 0.0, 2.0]))
    tensor([-1.,  0.,  1.])
    """
    return apply(SIGN, x)


def floor(x: V) -> V:
    """The largest whole number not above x, as a float; integers stay integers.  dy/dx = 0."""
    return apply(FLOOR, x)


def ceil(x: V) -> V:
    """The smallest whole number not below x, as a float; integers stay integers.  dy/dx = 0."""
    return apply(CEIL, x)


def trunc(x: V) -> V:
    """x without its fraction, as a float; integers stay integers.  dy/dx = 0."""
    return apply(TRUNC, x)


def round(x: V, decimals: int = 0) -> V:
    """x rounded to `decimals` decimals, ties to even; integers stay integers.  dy/dx = 0.

    >>> round(tensor([0.5, 1.5, -2.5]))
    tensor([ 0.,  2., -2.])
    """
    if decimals == 0:
        return apply(ROUND, x)
    scale = 10.0 ** abs(decimals)
    number: Any = x
    if decimals > 0:
        return apply(ROUND, number * scale) / scale  # type: ignore[no-any-return]  # V's operators
    return apply(ROUND, number / scale) * scale  # type: ignore[no-any-return]  # V's operators


def floor_divide(a: V, b: Any) -> V:
    """How often b goes into a, rounded down, as Python's ``//``; integers stay integers.

    Piecewise constant: no derivative. Division of an integer by zero gives 0, as in NumPy.
    """
    return apply(FLOOR_DIVIDE, a, b)
