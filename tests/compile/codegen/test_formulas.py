"""Formulas of ops become expressions, and compute what the ops compute eagerly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from harness import TARGETS, Array, expression, same

import chainrule  # noqa: F401  registers the ops
from chainrule.compile.formula import dtype_of, parse
from chainrule.compile.kernels import Access, Apply, Const, Expr, Index, Load, Total
from chainrule.core.aval import Aval, result_dtype
from chainrule.core.families import Elementwise
from chainrule.core.op import Op
from chainrule.errors import ArgumentError
from chainrule.ops import all_ops
from chainrule.runtime.target import target

needs_llvm = pytest.mark.skipif(not TARGETS, reason="generating code needs llvmlite")
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, about NaN

F32, F64, I32, BOOL = (np.dtype(d) for d in ("float32", "float64", "int32", "bool"))
X, Y, K = Load(Access(0, F32, (1,))), Load(Access(1, F32, (1,))), Load(Access(0, I32, (1,)))


def in_float32(text: str, **fields: Any) -> Expr:
    return parse(text, [X, Y], fields, F32, F32)


def f32(function: str, *args: Expr) -> Apply:
    return Apply(function, args, F32)


# What formulas become ---------------------------------------------------------------------------


def test_numbers_fields_and_operands() -> None:
    want = f32("add", f32("mul", X, Const(0.5, F32)), Const(-1.0, F32))
    assert in_float32("{0} * {alpha} + -1", alpha=0.5) == want
    assert type(in_float32("{n} + 0", n=2).args[0].value) is float


def test_operands_are_cast_once_to_the_dtype_of_the_op() -> None:
    wide = Apply("cast", (K,), F32)
    assert parse("{0} * 2", [K], {}, I32, F32) == f32("mul", wide, Const(2.0, F32))
    assert parse("{0} < 2", [K], {}, F32, BOOL) == Apply("lt", (wide, Const(2.0, F32)), BOOL)
    assert parse("{0} < 2", [K], {}, F32, F64).function == "cast"


def test_comparisons_are_truth_values_and_become_numbers_where_they_are_added() -> None:
    positive = Apply("gt", (X, Const(0.0, F32)), BOOL)
    assert parse("{0} > 0", [X], {}, F32, BOOL) == positive
    assert in_float32("({0} > 0) + {1}") == f32("add", Apply("cast", (positive,), F32), Y)
    assert in_float32("where({0} > 0, {0}, {1})") == f32("where", positive, X, Y)
    assert in_float32("{0} if {0} > 0 else {1}") == f32("where", positive, X, Y)


def test_logic_and_bits() -> None:
    a, b = (Apply("ne", (v, Const(0.0, F32)), BOOL) for v in (X, Y))
    text = "({0} != 0) & ({1} != 0)"
    assert parse(text, [X, Y], {}, F32, BOOL) == Apply("bit_and", (a, b), BOOL)
    truth = [Apply("cast", (v,), BOOL) for v in (X, Y)]
    assert parse("{0} and not {1}", [X, Y], {}, F32, BOOL) == Apply(
        "and", (truth[0], Apply("not", (truth[1],), BOOL)), BOOL
    )
    assert parse("~{0} ^ {0}", [K], {}, I32, I32) == Apply(
        "bit_xor", (Apply("bit_not", (K,), I32), K), I32
    )


def test_small_powers_are_products() -> None:
    square = f32("mul", X, X)
    assert in_float32("{0} ** 2") == in_float32("square({0})") == square
    assert in_float32("pow({0}, 3)") == f32("mul", square, X)
    assert in_float32("{0} ** 4") == f32("mul", square, square)
    assert in_float32("{0} ** 2.5") == f32("pow", X, Const(2.5, F32))
    exponent = Const(3, np.dtype("int64"))
    assert parse("pow({0}, {1})", [X, exponent], {}, F32, F32) == f32("mul", square, X)


def test_bounds_that_are_none_disappear() -> None:
    text = "minimum(maximum({0}, {low}), {high})"
    fields = {"low": -np.inf, "high": 3}
    assert parse(text, [K], fields, I32, I32) == Apply("minimum", (K, Const(3, I32)), I32)


def test_dtypes_of_expressions() -> None:
    assert [dtype_of(e) for e in (X, Const(1, I32), Total(F64), f32("exp", X))] == [
        F32, I32, F64, F32,
    ]  # fmt: skip
    assert dtype_of(Index(0)) == np.int64


@pytest.mark.parametrize(
    "attack",
    [
        "__import__('os')", "{0}.real", "open('x')", "[1, 2]", "lambda: 1", "'text'", "{0}[0]",
        "exp(x=1)", "(1).__class__", "x", "1 if", "exp", "0 < {0} < 1", "exp({0}, {1})",
        "gamma({0})", "{0} @ {1}", "x0 if x0 else 1",
    ],
)  # fmt: skip
def test_nothing_but_formulas(attack: str) -> None:
    with pytest.raises(ArgumentError):
        in_float32(attack)


def test_a_name_that_is_missing_is_said() -> None:
    with pytest.raises(ArgumentError, match="does not have") as caught:
        in_float32("{beta} * {0}")
    assert "{beta}" in str(caught.value)


# The ops of the library ---------------------------------------------------------------------------

FORMULAS = {
    name: cls
    for name, cls in all_ops().items()
    if issubclass(cls, Elementwise) and cls.lower is Op.lower
    and cls.__module__.startswith("chainrule.")
}  # fmt: skip
"""The ops that are compiled by their formula; those with a ``lower`` of their own are not."""
ULPS = 8
"""How far compiled and eager results may be apart: NumPy's own functions are up to 4 units off."""
SLACK = {
    "logaddexp": lambda *xs: 1.0,
    "binary_cross_entropy_with_logits": lambda *xs: 1.0,
    "gelu": lambda x: np.abs(x),
    "gelu_tanh": lambda x: np.abs(x),
    "gelu_slope": lambda x: 1.0,
}
"""Where terms cancel: what the units are taken of, beside the result."""


def operands(op: Op, dtype: str) -> list[Array]:
    """Random numbers and extremes, in all pairs; for a condition, truth values."""
    rng = np.random.default_rng(0)
    n = len(type(op).domain)
    if dtype == "bool":
        return [rng.integers(0, 2, 300).astype(bool) for _ in range(n)]
    if dtype == "int32":
        low = 0 if op.name == "pow" else -9
        return [rng.integers(low, 10, 300).astype(np.int32) for _ in range(n)]
    info = np.finfo(dtype)
    few = np.array(
        [0.0, -0.0, np.inf, -np.inf, np.nan, info.max, info.min, info.tiny, 1.0, -1.0, 0.5, 2.0,
         3.0, 5.0, -7.5, 19.9, 20.5, 80.0, -80.0, 89.0, -89.0, -104.0, 720.0, -750.0]
    )  # fmt: skip
    grid = np.meshgrid(*[few] * min(n, 2))
    first = [g.ravel() for g in grid] if n > 1 else [few]
    if n == 3:
        first.insert(0, rng.integers(0, 2, first[0].size).astype(float))
    usual = [rng.standard_normal(2000) * rng.choice([0.1, 1.0, 6.0, 40.0], 2000) for _ in range(n)]
    xs = [np.concatenate([a, b]).astype(dtype) for a, b in zip(first, usual, strict=True)]
    return [xs[0] > 0, *xs[1:]] if n == 3 else xs


def compiled(op: Op, xs: list[Array], name: str, lanes: int) -> Array:
    common = result_dtype(xs[1:] if len(xs) == 3 else xs, floating=op.floating)
    loads = [Load(Access(i, x.dtype, (1,))) for i, x in enumerate(xs)]
    fields = dict(zip(op.fields, op.parameters, strict=True))
    out = op.infer(*xs)
    assert isinstance(out, Aval)
    expr = parse(type(op).expr, loads, fields, common, out.dtype)  # type: ignore[attr-defined]
    return expression(expr, target(name), lanes, [x.dtype for x in xs])(*xs)


@needs_llvm
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "bool"])
@pytest.mark.parametrize("name", FORMULAS)
def test_ops_compute_what_they_compute_eagerly(name: str, dtype: str) -> None:
    cls = FORMULAS[name]
    for op in {sample.op for sample in cls.samples()}:
        xs = operands(op, dtype)
        try:
            want = np.asarray(op(*xs))
        except (TypeError, ArgumentError):  # no such op for this dtype
            continue
        if want.dtype != op.infer(*xs).dtype:
            continue  # NumPy's of truth values are int8
        for target_ in TARGETS:
            got = compiled(op, xs, target_, target(target_).lanes(np.dtype("float32")))
            if want.dtype.kind != "f":
                assert same(got, want)
                continue
            info = np.finfo(want.dtype)
            scale = np.abs(want.astype(np.float64))
            if name in SLACK:
                scale = scale + SLACK[name](*xs)
            bound = ULPS * info.eps * scale + 4 * float(info.tiny)
            gap = np.abs(got.astype(np.float64) - want)
            ok = (got == want) | (np.isnan(got) & np.isnan(want)) | (gap <= bound)
            k = int(np.argmin(ok))
            assert ok[k], f"{op} on {target_}: f({[x[k] for x in xs]}) = {got[k]}, not {want[k]}"


def test_every_elementwise_op_has_a_formula() -> None:
    without = {
        name
        for name, cls in all_ops().items()
        if issubclass(cls, Elementwise) and not cls.expr and cls.__module__.startswith("chainrule.")
    }
    assert not without
