"""Simplification of arithmetic: what changes nothing, and divisions that are multiplications."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...core.aval import SCALARS, Aval
from ...core.graph import Var
from ...core.op import Op
from ...ops.arithmetic import MUL, SQUARE, Add, Div, Mul, Neg, Sub
from ...ops.comparison import LogicalNot
from ...ops.movement import Expand
from ...ops.selection import Where
from .rules import Call, Made, Rule, full, is_number, source_of


def _same(x: Any, out: Aval) -> bool:
    """Whether `x` may stand for the result."""
    return type(x) is Var and x.aval == out


def _negated(op: Op, inputs: tuple[Any, ...], out: Aval, made: Made) -> Any:
    source = source_of(inputs[0], made)
    if source is None or source.op is not op or not _same(source.inputs[0], out):
        return None  # two logical_nots of a number are not that number
    return source.inputs[0]


def _added(op: Op, inputs: tuple[Any, ...], out: Aval, made: Made) -> Any:
    a, b = inputs
    nothing = is_number(b, 0) and (out.dtype.kind != "f" or math.copysign(1.0, b) < 0)
    return a if nothing and _same(a, out) else None


def _subtracted(op: Op, inputs: tuple[Any, ...], out: Aval, made: Made) -> Any:
    a, b = inputs
    return a if is_number(b, 0) and math.copysign(1.0, b) > 0 and _same(a, out) else None


def _multiplied(op: Op, inputs: tuple[Any, ...], out: Aval, made: Made) -> Any:
    a, b = inputs
    if a is b and out.dtype.kind == "f":
        return Call(SQUARE, (a,))
    return a if is_number(b, 1) and _same(a, out) else None


def _divided(op: Op, inputs: tuple[Any, ...], out: Aval, made: Made) -> Any:
    a, b = inputs
    if is_number(b, 1) and _same(a, out):
        return a
    if type(b) is float and type(a) is Var and a.dtype == out.dtype and _is_power(b, out.dtype):
        return Call(MUL, (a, 1.0 / b))
    return None


def _is_power(x: float, dtype: Any) -> bool:
    """Whether 1/x, a power of two, is exact in `dtype`."""
    limits = np.finfo(dtype)
    return (
        math.isfinite(x)
        and abs(math.frexp(x)[0]) == 0.5
        and bool(limits.smallest_normal <= abs(x) <= 1.0 / float(limits.smallest_normal))
    )


def _chosen(op: Op, inputs: tuple[Any, ...], out: Aval, made: Made) -> Any:
    condition, a, b = inputs
    if a is b and type(a) is Var:
        chosen = a
    elif type(condition) in SCALARS:
        chosen = a if condition else b
    else:
        return None
    if type(chosen) is not Var:
        return full(chosen, out)
    if chosen.dtype != out.dtype:
        return None
    return Call(Expand(out.shape), (chosen,))


RULES: dict[type[Op], Rule] = {
    Neg: _negated,
    LogicalNot: _negated,
    Add: _added,
    Sub: _subtracted,
    Mul: _multiplied,
    Div: _divided,
    Where: _chosen,
}
"""By the class of op."""
