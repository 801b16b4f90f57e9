"""Elementwise arithmetic and selection, with broadcasting and promotion.

Derivatives at the awkward points (held by tests): abs is flat at 0; maximum and minimum split the
derivative evenly at ties; clip passes it at the bounds; x**0 is flat everywhere; where passes
nothing to the branch not taken, but what lies behind it may still multiply that zero by an
infinite derivative and give NaN, so choose safe operands, not only a safe result.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, TypeVar

import numpy as np

from ..core.apply import apply
from ..core.aval import SCALARS, Aval, Data, result_dtype
from ..core.families import Elementwise, Unary
from ..core.op import BOTH, CROSS, INPUTS, NOTHING, OUTPUT, Active, Cotangents, Needs
from ..errors import ArgumentError, DTypeError
from . import elementwise
from .comparison import (
    ceil,
    eq,
    floor,
    floor_divide,
    ge,
    gt,
    isfinite,
    isinf,
    isnan,
    le,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    lt,
    ne,
    round,
    sign,
    trunc,
)
from .selection import clip, maximum, minimum, where

__all__ = [
    "abs", "add", "ceil", "clip", "div", "eq", "floor", "floor_divide", "ge", "gt", "hypot",
    "isfinite", "isinf", "isnan", "le", "logaddexp", "logical_and", "logical_not", "logical_or",
    "logical_xor", "lt", "maximum", "minimum", "mul", "ne", "neg", "pow", "reciprocal", "remainder",
    "round", "sign", "square", "sub", "trunc", "where",
]  # fmt: skip

V = TypeVar("V")

_PAIR = ((-2.0, 2.0), (-2.0, 2.0))


class Add(Elementwise):
    """y = a + b;  dy/da = dy/db = 1."""

    needs = NOTHING
    expr = "{0} + {1}"
    math = ("1", "1")
    domain = _PAIR
    forward: ClassVar[Any] = np.add

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        return (ct, ct)

    def partial(self, i: int, xs: Sequence[Data], y: Data) -> Data:
        return 1.0


class Sub(Elementwise):
    """y = a - b;  dy/da = 1, dy/db = -1."""

    needs = NOTHING
    expr = "{0} - {1}"
    math = ("1", "-1")
    domain = _PAIR
    forward: ClassVar[Any] = np.subtract

    def infer(self, *xs: Any) -> Aval:
        return _not_boolean(self.name, super().infer(*xs))

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        return (ct, None if active[1] is None else -ct)

    def partial(self, i: int, xs: Sequence[Data], y: Data) -> Data:
        return 1.0 if i == 0 else -1.0


class Mul(Elementwise):
    """y = a b;  dy/da = b, dy/db = a."""

    needs = CROSS
    expr = "{0} * {1}"
    math = ("{1}", "{0}")
    domain = _PAIR
    forward: ClassVar[Any] = np.multiply

    def partial(self, i: int, xs: Sequence[Data], y: Data) -> Data:
        return xs[1 - i]

    def lower(self, k: Any, *xs: Any) -> Any:
        return k.masked(self, *xs) or k.formula(self, *xs)


class Div(Elementwise):
    """y = a / b;  dy/da = 1/b, dy/db = -a/b² = -y/b."""

    floating = True
    needs = Needs(inputs=(1,), output=True)
    expr = "{0} / {1}"
    math = ("1 / {1}", "-{y} / {1}")
    domain = ((-2.0, 2.0), (0.5, 2.0))
    forward: ClassVar[Any] = np.true_divide

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        b = xs[1]
        return (
            None if active[0] is None else ct / b,
            None if active[1] is None else -ct * (y / b),
        )

    def jvp(self, dxs: Sequence[Data | None], xs: Sequence[Data], y: Data) -> Data:
        da, db = dxs
        through_b = None if db is None else -db * (y / xs[1])
        if da is None:
            return through_b
        through_a = da / xs[1]
        return through_a if through_b is None else through_a + through_b

    def partial(self, i: int, xs: Sequence[Data], y: Data) -> Data:
        return 1.0 / xs[1] if i == 0 else -(y / xs[1])


class Neg(Unary):
    """y = -x;  dy/dx = -1."""

    needs = NOTHING
    expr = "-{0}"
    math = ("-1",)
    forward: ClassVar[Any] = np.negative

    def infer(self, *xs: Any) -> Aval:
        return _not_boolean(self.name, super().infer(*xs))

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        return (-ct,)

    def slope(self, x: Data, y: Data) -> Data:
        return -1.0


class Square(Unary):
    """y = x²;  dy/dx = 2x."""

    expr = "{0} * {0}"
    math = ("2 * {0}",)
    forward: ClassVar[Any] = np.square

    def slope(self, x: Data, y: Data) -> Data:
        return x * 2.0


class Reciprocal(Unary):
    """y = 1/x;  dy/dx = -1/x² = -y²."""

    floating = True
    needs = OUTPUT
    expr = "1 / {0}"
    math = ("-{y}**2",)
    domain = ((0.5, 2.0),)
    forward: ClassVar[Any] = np.reciprocal

    def slope(self, x: Data, y: Data) -> Data:
        return -(y * y)


class Abs(Unary):
    """y = |x|;  dy/dx = sign(x), so flat at 0."""

    expr = "abs({0})"
    math = ("sign({0})",)
    kinds = ("distinct",)
    forward: ClassVar[Any] = np.abs

    def slope(self, x: Data, y: Data) -> Data:
        return sign(x)


class Pow(Elementwise):
    """y = aᵇ;  dy/da = b aᵇ⁻¹ (0 where b = 0), dy/db = aᵇ log a (0 where a = 0 and b >= 0)."""

    needs = INPUTS
    expr = "pow({0}, {1})"
    math = ("{1} * pow({0}, {1} - 1)", "{y} * log({0})")
    domain = ((0.25, 2.0), (-2.0, 3.0))

    def forward(self, *xs: Any) -> Any:
        a, b = xs
        if type(b) in SCALARS and b == 3:
            return a * a * a  # a third of the time of the general power, and as accurate
        return np.power(a, b)

    def partial(self, i: int, xs: Sequence[Data], y: Data) -> Data:
        a, b = xs
        if i == 1:
            return _exponent_partial(a, b)
        if type(b) in SCALARS:
            return b * pow(a, b - 1) if b else 0.0
        # 0**(0 - 1) is infinite, inf**0 * 0 is not: only there is the exponent replaced
        flat = logical_and(eq(b, 0), logical_not(gt(abs(a), 0)))
        return b * pow(a, where(flat, b, b - 1))


def _exponent_partial(a: Data, b: Data) -> Data:
    """aᵇ log a, with 0 for 0**b with b >= 0, where the product would be 0 times infinity."""
    if type(a) in SCALARS and a > 0:
        return pow(a, b) * math.log(a)
    zero = logical_and(eq(a, 0), ge(b, 0))
    return pow(a, b) * elementwise.log(where(zero, 1.0, a))


class Remainder(Elementwise):
    """y = a - floor(a / b) b, with the sign of b;  dy/da = 1, dy/db = -floor(a / b)."""

    expr = "remainder({0}, {1})"
    math = ("1", "-floor({0} / {1})")
    domain = ((4.2, 4.8), (1.65, 1.95))
    forward: ClassVar[Any] = np.remainder

    def partial(self, i: int, xs: Sequence[Data], y: Data) -> Data:
        return 1.0 if i == 0 else -floor_divide(xs[0], xs[1])


class Logaddexp(Elementwise):
    """y = log(eᵃ + eᵇ), without overflow;  dy/da = sigmoid(a - b), dy/db = sigmoid(b - a)."""

    floating = True
    expr = (
        "where({0} == {1}, {0} + 0.6931471805599453,"
        " maximum({0}, {1}) + log1p(exp(-abs({0} - {1}))))"
    )
    math = ("1 / (1 + exp({1} - {0}))", "1 / (1 + exp({0} - {1}))")
    domain = _PAIR
    forward: ClassVar[Any] = np.logaddexp

    def partial(self, i: int, xs: Sequence[Data], y: Data) -> Data:
        lead = xs[i] - xs[1 - i]
        equal_infinities = logical_and(isnan(lead), eq(xs[0], xs[1]))
        return elementwise.sigmoid(where(equal_infinities, 0.0, lead))


class Hypot(Elementwise):
    """y = √(a² + b²), without overflow;  dy/da = a/y, dy/db = b/y, both 0 at the origin."""

    floating = True
    needs = BOTH
    expr = "hypot({0}, {1})"
    math = ("{0} / {y}", "{1} / {y}")
    domain = ((0.25, 2.0), (-2.0, 2.0))
    forward: ClassVar[Any] = np.hypot

    def partial(self, i: int, xs: Sequence[Data], y: Data) -> Data:
        return div(xs[i], where(eq(y, 0), 1.0, y))


ADD, SUB, MUL, DIV, NEG, POW = Add(), Sub(), Mul(), Div(), Neg(), Pow()
SQUARE, RECIPROCAL, ABS, REMAINDER = Square(), Reciprocal(), Abs(), Remainder()
LOGADDEXP, HYPOT = Logaddexp(), Hypot()


def add(a: V, b: Any, *, alpha: float = 1) -> V:
    """a + alpha b, elementwise.  ∂/∂a = 1, ∂/∂b = alpha.

    >>> add(tensor([1.0, 2.0]), 1.0)
    tensor([2., 3.])
    """
    return apply(ADD, a, _scaled(b, alpha))


def sub(a: V, b: Any, *, alpha: float = 1) -> V:
    """a - alpha b, elementwise.  ∂/∂a = 1, ∂/∂b = -alpha. DTypeError for two truth values."""
    return apply(SUB, a, _scaled(b, alpha))


def _scaled(b: Any, alpha: float) -> Any:
    return b if alpha == 1 and alpha is not True else apply(MUL, b, alpha)


def mul(a: V, b: Any) -> V:
    """a b, elementwise.  ∂/∂a = b, ∂/∂b = a."""
    return apply(MUL, a, b)


def div(a: V, b: Any, *, rounding_mode: str | None = None) -> V:
    """a / b, elementwise; integers become the default float.  ∂/∂a = 1/b, ∂/∂b = -a/b².

    x/0 is ±inf and 0/0 NaN, as IEEE 754 has it. With `rounding_mode` "floor" or "trunc" it is
    rounded down or toward zero, integers stay integers, and it is flat. Raises ArgumentError for
    another mode.

    >>> div(tensor([1, 3]), 2)
    tensor([0.5000, 1.5000])
    """
    if rounding_mode is None:
        return apply(DIV, a, b)
    if rounding_mode == "floor":
        return floor_divide(a, b)
    if rounding_mode != "trunc":
        raise ArgumentError(
            "no such rounding", expected="None, 'floor' or 'trunc'", got=repr(rounding_mode)
        )
    if result_dtype((a, b)).kind == "f":
        return trunc(apply(DIV, a, b))
    down = floor_divide(a, b)
    return add(down, logical_and(lt(down, 0), ne(apply(REMAINDER, a, b), 0)))


def neg(x: V) -> V:
    """-x.  dy/dx = -1. Raises DTypeError for truth values: use ``logical_not``."""
    return apply(NEG, x)


def square(x: V) -> V:
    """x².  dy/dx = 2x."""
    return apply(SQUARE, x)


def reciprocal(x: V) -> V:
    """1/x; integers become the default float.  dy/dx = -1/x²."""
    return apply(RECIPROCAL, x)


def abs(x: V) -> V:
    """|x|.  dy/dx = sign(x): 0 at 0, as in PyTorch.

    >>> abs(tensor([-2.0, 0.0, 3.0]))
    tensor([2., 0., 3.])
    """
    return apply(ABS, x)


def pow(a: V, b: Any) -> V:
    """a to the power b, elementwise.  ∂/∂a = b aᵇ⁻¹, ∂/∂b = aᵇ log a.

    x**0 is 1 and flat everywhere; 0**b with b >= 0 is flat in b, as in PyTorch. A negative base
    with a fractional exponent gives NaN. Exponents 2 and 0.5 become ``square`` and ``sqrt``.

    >>> pow(tensor([1.0, 2.0, 3.0]), 2)
    tensor([1., 4., 9.])
    """
    if (type(b) is int or type(b) is float) and _keeps_dtype(a, b):
        if b == 2:
            return apply(SQUARE, a)
        if b == 0.5:
            return elementwise.sqrt(a)
    return apply(POW, a, b)


def remainder(a: V, b: Any) -> V:
    """a - floor(a/b) b, with the sign of b, as Python's ``%``.  ∂/∂a = 1, ∂/∂b = -floor(a/b)."""
    return apply(REMAINDER, a, b)


def logaddexp(a: V, b: Any) -> V:
    """log(eᵃ + eᵇ), elementwise, without overflow.  ∂/∂a = sigmoid(a - b), ∂/∂b = sigmoid(b - a).

    Equal operands, infinite ones too, have the derivative 1/2 each.
    """
    return apply(LOGADDEXP, a, b)


def hypot(a: V, b: Any) -> V:
    """√(a² + b²), elementwise, without overflow.  ∂/∂a = a/y, ∂/∂b = b/y; both 0 at the origin."""
    return apply(HYPOT, a, b)


def _keeps_dtype(x: Any, number: float) -> bool:
    """Whether x combined with a Python number keeps its dtype."""
    kind = "" if type(x) in SCALARS else x.dtype.kind
    return kind == "f" or (kind in ("i", "u") and type(number) is int)


def _not_boolean(name: str, out: Aval) -> Aval:
    """`out`, unless it is of truth values, of which NumPy and PyTorch give no `name`."""
    if out.dtype.kind == "b":
        raise DTypeError(
            f"{name} of truth values is not defined",
            expected="numbers",
            got="booleans",
            hint="logical_not(x) or logical_xor(a, b) may be what is meant",
        )
    return out
