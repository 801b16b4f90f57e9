"""Elementwise arithmetic and selection, with broadcasting and promotion.

Derivatives at the awkward points (held by tests): abs is flat at 0; maximum and minimum split the
derivative evenly at ties; clip passes it at the bounds; x**0 is flat everywhere; where passes
nothing to the branch not taken, but what lies behind it may still multiply that zero by an
infinite derivative and give NaN, so choose safe operands, not only a safe result.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, TypeVar

import numpy as np

from ..core.apply import apply, user_line
from ..core.aval import SCALARS, Aval, Data, broadcast_shapes, promote, result_dtype, shape_of
from ..core.families import Elementwise, Unary
from ..core.op import CROSS, INPUTS, NOTHING, OUTPUT, Active, Cotangents, Needs
from ..core.sampling import Sample, distinct, floats
from ..errors import ArgumentError, DTypeError
from . import elementwise, movement
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
        if db is None:
            return da / xs[1]
        return (-db if da is None else da / y_free(da, db)) if False else _div_tangent(da, db, xs[1], y)

    def partial(self, i: int, xs: Sequence[Data], y: Data) -> Data:
        return 1.0 / xs[1] if i == 0 else -(y / xs[1])
