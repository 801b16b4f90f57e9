"""Arithmetic, comparisons, bits, rounding and casts of every dtype, against NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from harness import TARGETS, Array, Kernel, function, same

from chainrule.compile.codegen import scalar
from chainrule.compile.codegen.scalar import FUNCTIONS
from chainrule.compile.codegen.text import Function, Val, constant
from chainrule.compile.codegen.transcendental import TRANSCENDENTAL
from chainrule.runtime import native
from chainrule.runtime.target import Target, target

pytestmark = [
    pytest.mark.skipif(not TARGETS, reason="generating code needs llvmlite"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),  # NumPy's about NaN and overflow
]

FLOATS = ("float16", "float32", "float64")
SIGNED = ("int8", "int16", "int32", "int64")
UNSIGNED = ("uint8", "uint16", "uint32", "uint64")
INTEGERS, NUMBERS = SIGNED + UNSIGNED, SIGNED + UNSIGNED + FLOATS
ALL = (*NUMBERS, "bool")
COMPARISONS = {
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater,
    "ge": np.greater_equal,
}  # fmt: skip
TESTS = {"isnan": np.isnan, "isinf": np.isinf, "isfinite": np.isfinite, "signbit": np.signbit}


def _rounding(ufunc: Any) -> Callable[[Array], Array]:
    return lambda x: ufunc(x) if x.dtype.kind == "f" else x


UNARY: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "neg": (np.negative, NUMBERS),
    "abs": (np.abs, ALL),
    "sign": (np.sign, NUMBERS),
    "floor": (_rounding(np.floor), ALL),
    "ceil": (_rounding(np.ceil), ALL),
    "trunc": (_rounding(np.trunc), ALL),
    "round": (_rounding(np.rint), ALL),
    "sqrt": (np.sqrt, FLOATS),
    "rsqrt": (lambda x: _by_float32(lambda y: 1 / np.sqrt(y), x), FLOATS),
    "reciprocal": (np.reciprocal, FLOATS),
    "bit_not": (np.bitwise_not, (*INTEGERS, "bool")),
    "not": (np.logical_not, ("bool",)),
}
BINARY: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "add": (np.add, ALL),
    "sub": (np.subtract, NUMBERS),
    "mul": (np.multiply, ALL),
    "div": (np.divide, FLOATS),
    "maximum": (np.maximum, ALL),
    "minimum": (np.minimum, ALL),
    "copysign": (np.copysign, FLOATS),
    "remainder": (np.remainder, NUMBERS),
    "floor_divide": (np.floor_divide, NUMBERS),
    "bit_and": (np.bitwise_and, (*INTEGERS, "bool")),
    "bit_or": (np.bitwise_or, (*INTEGERS, "bool")),
    "bit_xor": (np.bitwise_xor, (*INTEGERS, "bool")),
    "and": (np.logical_and, ("bool",)),
    "or": (np.logical_or, ("bool",)),
    "xor": (np.logical_xor, ("bool",)),
    "shl": (np.left_shift, INTEGERS),
    "shr": (np.right_shift, INTEGERS),
    "mulhi": (lambda a, b: (a.astype("u8") * b >> np.uint64(32)).astype("u4"), ("uint32",)),
}
OTHERS = {"where", "cast", "pow"}


def _by_float32(f: Callable[[Array], Array], x: Array) -> Array:
    """What is computed in float16 is computed in float32 and rounded once."""
    return f(x.astype(np.float32)).astype(x.dtype) if x.dtype == np.float16 else f(x)


def numbers(dtype: str, n: int, seed: int) -> Array:
    """Numbers of all sizes and of usual ones, zeros, ones and the extremes."""
    rng = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    if kind.kind == "b":
        return rng.integers(0, 2, n).astype(bool)
    bits = rng.integers(0, 2**63, n, dtype=np.uint64) * 2
    wild = bits.astype(f"u{kind.itemsize}").view(kind)
    if kind.kind == "f":
        wild = (bits >> np.uint64(64 - 8 * kind.itemsize)).astype(f"u{kind.itemsize}").view(kind)
        edges = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5]
        big = [2.0 ** np.finfo(kind).nmant + 1, -(2.0 ** np.finfo(kind).nmant) - 1]
        usual = rng.standard_normal(n) * 5
        half = rng.integers(-9, 9, n) + 0.5
        return np.concatenate([wild, *[np.array(p, kind) for p in (edges, big, usual, half)]])
    info = np.iinfo(kind)
    edges = [0, 1, 2, info.min, info.max, info.max - 1, info.min + 1]
    usual = rng.integers(-9 if kind.kind == "i" else 0, 10, n)
    return np.concatenate([wild, np.array(edges, kind), usual.astype(kind)])


def kernels(name: str, inputs: list[str], output: str) -> Iterator[Kernel]:
    """The function on every target in vectors, and on the last one for single elements."""
    for name_ in TARGETS:
        chosen = target(name_)
        yield function(name, chosen, chosen.lanes(np.dtype(inputs[-1])), inputs, output)
    yield function(name, target(TARGETS[-1]), 1, inputs, output)


def pairs(dtype: str) -> tuple[Array, Array]:
    """Two arrays with all pairs of a few numbers, edges among them, and many random ones."""
    x = numbers(dtype, 200, 0)
    few = np.concatenate([numbers(dtype, 0, 0), numbers(dtype, 5, 1)])
    a, b = np.meshgrid(few, few)
    y = np.random.default_rng(2).permutation(numbers(dtype, 200, 3))
    return np.concatenate([x, a.ravel()]), np.concatenate([y, b.ravel()])


def test_every_function_is_tested() -> None:
    tested = {*UNARY, *BINARY, *COMPARISONS, *TESTS, *OTHERS, *TRANSCENDENTAL}
    assert tested == FUNCTIONS.keys()


@pytest.mark.parametrize("name", UNARY)
def test_of_one_operand(name: str) -> None:
    reference, dtypes = UNARY[name]
    for dtype in dtypes:
        x = numbers(dtype, 400, 0)
        want = reference(x)
        for kernel in kernels(name, [dtype], dtype):
            assert same(kernel(x), want), dtype


@pytest.mark.parametrize("name", BINARY)
def test_of_two_operands(name: str) -> None:
    reference, dtypes = BINARY[name]
    for dtype in dtypes:
        a, b = pairs(dtype)
        if name in ("maximum", "minimum") and dtype == "float16":
            a, b = a[a != b], b[a != b]  # NumPy chooses another of 0 and -0 than in float32
        want = reference(a, b)
        for kernel in kernels(name, [dtype, dtype], dtype):
            assert same(kernel(a, b), want), dtype


@pytest.mark.parametrize("name", [*COMPARISONS, *TESTS])
def test_of_questions(name: str) -> None:
    for dtype in ALL:
        xs = pairs(dtype) if name in COMPARISONS else (numbers(dtype, 200, 0),)
        want = {**COMPARISONS, **TESTS}[name](*xs)
        for kernel in kernels(name, [dtype] * len(xs), "bool"):
            assert same(kernel(*xs), want), dtype


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bound", [0.0, -0.0, 1.5, np.nan, np.inf])
def test_maximum_and_minimum_of_a_number(dtype: str, bound: float) -> None:
    x, kind = numbers(dtype, 200, 0), np.dtype(dtype)
    for name_ in TARGETS:
        chosen = target(name_)
        for name, reference in (("maximum", np.maximum), ("minimum", np.minimum)):

            def write(f: Function, xs: list[Val], name: str = name, t: Target = chosen) -> Val:
                number = constant(bound, xs[0].type)
                return scalar.emit(f, t, name, [*xs, number], [kind, kind], kind)

            for lanes in (1, chosen.lanes(kind)):
                got = Kernel(chosen, lanes, [dtype], dtype, write)(x)
                assert same(got, reference(x, kind.type(bound)))


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_to_integer_powers(dtype: str) -> None:
    a = numbers(dtype, 200, 0)
    b = np.random.default_rng(1).integers(0, 127, a.size).astype(dtype)
    b[::2] %= 6
    for kernel in kernels("pow", [dtype, dtype], dtype):
        assert same(kernel(a, b), np.power(a, b))


@pytest.mark.parametrize("dtype", ALL)
def test_where_of_any_condition(dtype: str) -> None:
    a, b = pairs(dtype)
    for condition in ("bool", "int32", "float32", "float16"):
        c = np.random.default_rng(0).integers(0, 2, a.size).astype(condition)
        for kernel in kernels("where", [condition, dtype, dtype], dtype):
            assert same(kernel(c, a, b), np.where(c, a, b)), condition


@pytest.mark.parametrize("source", ALL)
def test_casts(source: str) -> None:
    x = numbers(source, 300, 0)
    for dtype in ALL:
        want = x.astype(dtype)
        fits = np.ones(x.shape, bool)
        if source in FLOATS and dtype in INTEGERS:
            low, high = float(np.iinfo(dtype).min), float(np.iinfo(dtype).max)
            whole = np.trunc(x.astype(np.float64))
            fits = (whole >= low) & (whole <= high) & (whole < 2.0**63 if high > 2**62 else True)
            fits |= (whole > 0) & (whole < high) if dtype == "uint64" else False
        for kernel in kernels("cast", [source], dtype):
            assert same(kernel(x)[fits], want[fits]), dtype


def test_float16_is_converted_exactly() -> None:
    half = np.arange(2**16, dtype=np.uint16).view(np.float16)
    near = half[np.isfinite(half)].astype(np.float64)
    between = (near[1:] + near[:-1]) / 2  # ties, and numbers beside them that are no float32
    doubles = np.concatenate([between, between * (1 + 2.0**-40), between * (1 - 2.0**-40)])
    for kernel in kernels("cast", ["float16"], "float32"):
        assert same(kernel(half), half.astype(np.float32))
    for kernel in kernels("cast", ["float64"], "float16"):
        assert same(kernel(doubles), doubles.astype(np.float16))
    singles = np.concatenate([between.astype(np.float32), np.float32([65519.9, 65520, 1e-8, 1e9])])
    for kernel in kernels("cast", ["float32"], "float16"):
        assert same(kernel(singles), singles.astype(np.float16))


@pytest.mark.parametrize("dtype", FLOATS)
def test_neither_rounding_nor_float16_calls_a_library(dtype: str) -> None:
    for name in ("floor", "ceil", "trunc", "round", "add", "maximum", "lt"):
        output = "bool" if name == "lt" else dtype
        inputs = [dtype] * (2 if name in BINARY or name in COMPARISONS else 1)
        for name_ in TARGETS:
            for lanes in (1, 8):
                kernel = function(name, target(name_), lanes, inputs, output)
                assert "call" not in native.assembly(kernel.text, target(name_)), name


def test_an_unknown_function_is_an_error() -> None:
    f = Function("kernel", [])
    with pytest.raises(KeyError):
        scalar.emit(f, target(TARGETS[0]), "gamma", [], [], np.dtype("float32"))
