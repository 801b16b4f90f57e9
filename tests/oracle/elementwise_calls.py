"""Calls that compare elementwise ops: arithmetic, comparisons, functions, activations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from .calls import Case, Draw, Row, between, bools, case, edge, exactly, ints, real, row

INF, NAN = np.inf, np.nan
SHAPES: tuple[tuple[int, ...], ...] = ((), (3,), (2, 3), (0,), (1, 1), (2, 1, 4), (2, 0, 3))
PAIRS: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...] = (
    ((3,), (3,)), ((2, 3), (3,)), ((2, 1), (1, 3)), ((), (2, 2)), ((4,), ()), ((0, 3), (1, 3)),
    ((4, 1, 3), (2, 1)), ((1,), (1, 1)), ((2, 1, 2, 1, 2), (3, 1, 4, 1)), ((), ()),
)  # fmt: skip
AWKWARD = (0.0, -0.0, 1.0, -1.0, INF, -INF, 1e-300, 1e4, -1e4, 1e-12)


def unary(
    name: str,
    counterpart: Callable[..., Any],
    low: float = -3.0,
    high: float = 3.0,
    edges: Sequence[float] = AWKWARD,
    more: Sequence[Case] = (),
) -> Row:
    """A function of one operand, sampled in an interval and at awkward numbers."""
    calls = [case(between(low, high, *shape)) for shape in SHAPES]
    if edges:
        calls.append(edge(exactly(edges)))
    return row(name, counterpart, *calls, *more)


def binary(
    name: str,
    counterpart: Callable[..., Any],
    low: float = -3.0,
    high: float = 3.0,
    more: Sequence[Case] = (),
    scalars: Sequence[float] = (2.5, -0.5),
) -> Row:
    """A function of two operands: every way of broadcasting, and Python numbers on the right."""
    calls = [case(between(low, high, *a), between(low, high, *b)) for a, b in PAIRS]
    calls += [case(between(low, high, 2, 3), number) for number in scalars]
    return row(name, counterpart, *calls, *more)


def grid(values: Sequence[float], dtype: Any = np.float64) -> tuple[Draw, Draw]:
    """Every pair of the values, as two operands."""
    left, right = np.meshgrid(values, values)
    return exactly(left, dtype), exactly(right, dtype)


def comparison(name: str, counterpart: Callable[..., Any]) -> Row:
    """A comparison: ties, NaN and infinities, integers, Python numbers."""
    return row(
        name, counterpart, case(*grid((0.0, -0.0, 1.0, -1.0, INF, -INF, NAN))),
        case(*grid((-1, 0, 1, 2), np.int64)), case(ints(0, 3, 2, 3), real(3)),
        case(exactly([-1.0, 0.5, 2.0]), 0.5), case(ints(0, 3, 4), 1), case(bools(3), bools(2, 3)),
    )  # fmt: skip


def logical(name: str, counterpart: Callable[..., Any]) -> Row:
    """A function of truth values, and of numbers taken as such."""
    return row(
        name, counterpart, case(bools(4, 3), bools(3)), case(*grid((0.0, -0.0, 2.0, NAN))),
        case(ints(-1, 2, 3, 3), bools(3)),
    )  # fmt: skip


def _floor_divide(a: Any, b: Any) -> Any:
    """torch's result says that it wants a gradient, and then has none."""
    return torch.floor_divide(a.detach(), b.detach() if isinstance(b, torch.Tensor) else b)


def _clip(x: Any, min: Any = None, max: Any = None) -> Any:
    return torch.clamp(x, min, max)


ARITHMETIC = (
    binary("add", torch.add, more=[case(ints(-5, 5, 3), ints(-5, 5, 2, 3)), case(ints(0, 9, 3), 2),
                                   case(ints(0, 9, 3), real(3)), case(ints(0, 9, 3), 0.5),
                                   case(bools(3), ints(0, 9, 3)), edge(*grid((INF, -INF, 1.0)))]),
    binary("sub", torch.sub, more=[case(ints(-5, 5, 3), ints(-5, 5, 2, 3)),
                                   edge(*grid((INF, -INF, 0.0)))]),
    binary("mul", torch.mul, more=[case(ints(-5, 5, 3), ints(-5, 5, 2, 3)),
                                   case(bools(3), bools(3)), edge(*grid((INF, 0.0, -0.0, 2.0)))]),
    binary("div", torch.div, 0.5, 2.0, more=[
        case(ints(1, 9, 3), ints(1, 9, 3)), case(ints(-9, 9, 3), 4),
        edge(*grid((0.0, -0.0, 1.0, -1.0, INF, NAN)))]),
    binary("pow", torch.pow, 0.2, 3.0, scalars=(2, 3, 0, 1, -1, 0.5, -2.5, 2.0), more=[
        case(real(2, 3), 2), case(real(2, 3), 3), case(real(4), -3),
        case(between(-2, 2, 3), exactly([2.0, 3.0, -1.0])) , case(ints(-4, 5, 5), 3),
        case(ints(-4, 5, 5), ints(0, 5, 5)),
        edge(exactly([0.0, -0.0, 0.0, -2.0, -2.0, INF, 1.0]), 0),
        edge(exactly([0.0, -0.0, 3.0, -2.0]), 2), edge(exactly([0.0, -0.0, 3.0, -2.0]), 1),
        edge(exactly([0.0, 3.0, -2.0, INF]), 0.5), edge(exactly([0.0, 3.0, INF]), -1),
        edge(exactly([-2.0, -2.0, 2.0, 1.0, 0.0, 0.0]), exactly([3.0, 2.0, 0.0, 5.0, 2.0, 0.0]))]),
    row("neg", torch.neg, *[case(real(*s)) for s in SHAPES], case(ints(-3, 3, 4))),
    unary("abs", torch.abs, edges=(0.0, -0.0, INF, -INF), more=[case(ints(-3, 3, 4))]),
    unary("square", torch.square, more=[case(ints(-3, 3, 4))]),
    unary("reciprocal", torch.reciprocal, 0.5, 3.0, more=[case(ints(1, 5, 3))]),
    binary("hypot", torch.hypot, scalars=(), more=[edge(*grid((3.0, -4.0, 1e300)))]),
    binary("logaddexp", torch.logaddexp, scalars=(), more=[
        edge(*grid((0.0, 1e4, -1e4, 700.0)))]),
    binary("atan2", torch.atan2, scalars=(), more=[
        edge(exactly([0.0, 0.0, 1.0, -1.0, -0.0]), exactly([1.0, -1.0, 0.0, -0.0, -1.0])),
        edge(exactly([INF, 1.0, NAN]), exactly([1.0, INF, 1.0]))]),
    binary("remainder", torch.remainder, 0.5, 4.0, scalars=(0.75, -0.75), more=[
        case(exactly([-5.5, 5.5, -5.5, 5.5]), exactly([3.0, -3.0, -3.0, 3.0])),
        case(exactly([-7, 7, -7, 7], np.int64), exactly([3, -3, -3, 3], np.int64)),
        case(ints(-9, 9, 6), 4)]),
    binary("floor_divide", _floor_divide, 0.5, 4.0, scalars=(0.75, -0.75), more=[
        case(exactly([-5.5, 5.5, -5.5, 5.5]), exactly([3.0, -3.0, -3.0, 3.0])),
        case(exactly([-7, 7, -7, 7], np.int64), exactly([3, -3, -3, 3], np.int64)),
        case(ints(-9, 9, 6), 4)]),
    binary("maximum", torch.maximum, scalars=(), more=[
        edge(*grid((0.0, 1.0, -2.0, INF, -INF))),
        case(ints(0, 4, 6), ints(0, 4, 6))]),
    binary("minimum", torch.minimum, scalars=(), more=[
        edge(*grid((0.0, 1.0, -2.0, INF, -INF))), case(ints(0, 4, 6), ints(0, 4, 6))]),
    row("clip", _clip, *[case(real(*s), -0.5, 0.5) for s in SHAPES],
        case(real(3, 4), None, 0.3), case(real(3, 4), -0.3), case(real(3, 4), min=0.5, max=-0.5),
        case(real(3, 4), between(-1, 0, 4), between(0, 1, 3, 1)), case(real(4), real(4)),
        case(ints(-9, 9, 5), -2, 3), edge(exactly([-1.0, 0.5, 2.0, 0.0, NAN]), -1.0, 0.5)),
    row("where", torch.where, case(bools(3), real(3), real(3)), case(bools(2, 1), real(3), real()),
        case(bools(2, 3), real(2, 3), 0.0), case(bools(2, 3), -1.5, real(3)),
        case(bools(4), ints(0, 5, 4), ints(0, 5, 4)), case(bools(0, 2), real(2), real(0, 2)),
        edge(exactly([True, False], bool), exactly([NAN, 1.0]), exactly([2.0, INF]))),
)  # fmt: skip

COMPARISONS = (
    *[comparison(n, getattr(torch, n)) for n in ("eq", "ne", "lt", "le", "gt", "ge")],
    *[logical(n, getattr(torch, n)) for n in ("logical_and", "logical_or", "logical_xor")],
    *[row(n, getattr(torch, n), case(ints(-9, 9, 4, 3), ints(-9, 9, 3)), case(ints(0, 99, 5), 12),
          case(bools(4, 3), bools(4, 1)), case(bools(3), ints(-9, 9, 2, 3)), case(bools(3), True))
      for n in ("bitwise_and", "bitwise_or", "bitwise_xor")],
    row("bitwise_not", torch.bitwise_not, case(ints(-9, 9, 6)), case(bools(2, 3)),
        case(exactly([0, 255, 7], np.uint8))),
    row("logical_not", torch.logical_not, case(bools(2, 3)), case(ints(-1, 2, 5)),
        case(exactly([0.0, -0.0, 2.0, NAN]))),
    *[unary(n, getattr(torch, n), more=[case(ints(-1, 2, 3))])
      for n in ("isnan", "isinf", "isfinite", "sign")],
    *[row(n, getattr(torch, n), case(exactly([NAN, INF, -INF, 0.0, 1e-310])))
      for n in ("isnan", "isinf", "isfinite")],
    *[unary(n, getattr(torch, n), edges=(*AWKWARD, 0.5, 1.5, 2.5, -0.5, -1.5))
      for n in ("floor", "ceil", "trunc")],
    unary("round", lambda x, decimals=0: torch.round(x, decimals=decimals),
          edges=(*AWKWARD, 0.5, 1.5, 2.5, -0.5, -1.5),
          more=[case(between(-9, 9, 7), 1), case(between(-900, 900, 7), -2)]),
)  # fmt: skip

FUNCTIONS = (
    unary("exp", torch.exp), unary("expm1", torch.expm1), unary("log", torch.log, 0.1, 5.0),
    unary("log2", torch.log2, 0.1, 5.0), unary("log10", torch.log10, 0.1, 5.0),
    unary("log1p", torch.log1p, -0.9, 5.0), unary("sqrt", torch.sqrt, 0.1, 5.0),
    unary("rsqrt", torch.rsqrt, 0.1, 5.0), unary("sin", torch.sin), unary("cos", torch.cos),
    unary("tan", torch.tan, -1.2, 1.2, (0.0, -0.0, NAN, INF)),
    unary("asin", torch.asin, -0.9, 0.9, (0.0, 1.0, -1.0, 2.0, NAN)),
    unary("acos", torch.acos, -0.9, 0.9, (0.0, 1.0, -1.0, 2.0, NAN)), unary("atan", torch.atan),
    unary("sinh", torch.sinh), unary("cosh", torch.cosh), unary("tanh", torch.tanh),
    unary("sigmoid", torch.sigmoid), unary("erf", torch.erf),
    unary("erfc", torch.erfc, -3, 3, (0.0, -30.0, 5.0, 10.0, 26.0, INF, -INF, NAN)),
)  # fmt: skip

ACTIVATIONS = (
    unary("relu", torch.relu), unary("logsigmoid", F.logsigmoid), unary("silu", F.silu),
    unary("leaky_relu", F.leaky_relu, more=[case(real(3, 4), 0.2), case(real(3), -0.5)]),
    unary("elu", F.elu, more=[case(real(3, 4), 0.3), case(real(2), alpha=2.0)]),
    unary("gelu", F.gelu, -2.0, 2.0, (0.0, -0.0, 5.0, 1e4, -1e4), more=[
        *[case(real(*s), approximate="tanh") for s in SHAPES],
        edge(exactly([0.0, 5.0, 30.0, -30.0]), approximate="tanh")]),
    unary("softplus", F.softplus, edges=(0.0, 19.999, 20.0, 20.001, 1e4, -1e4, NAN), more=[
        case(real(3, 4), 2.0), case(real(3, 4), 0.5, 1.0), case(real(5), beta=3.0, threshold=2.0)]),
)  # fmt: skip

ROWS = (*ARITHMETIC, *COMPARISONS, *FUNCTIONS, *ACTIVATIONS)
