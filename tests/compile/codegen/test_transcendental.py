"""Transcendental functions: their error over all floats, the edges, the same bits in all widths."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
from harness import TARGETS, Array, Kernel, function, same
from scipy import special

from chainrule.compile.codegen import scalar
from chainrule.compile.codegen.text import Function, Val, memory_type, vector
from chainrule.compile.codegen.transcendental import ULP
from chainrule.runtime import native
from chainrule.runtime.target import target

pytestmark = pytest.mark.skipif(not TARGETS, reason="generating code needs llvmlite")

BINARY = {"pow", "atan2", "hypot"}
NAMES = sorted({name for name, _ in ULP})
IN_REGISTERS = ["exp", "expm1", "log", "log1p", "log2", "log10", "tanh", "sigmoid", "erf", "sinh"]
"""Functions that call nothing in float32; nor do the others, but sines of angles above 2²⁰."""
EDGES = [
    0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 3.0, -3.0, 1e-45, -1e-45,
    1e-38, 3e38, -3e38, 88.7, 88.8, -87.4, -103.0, -104.5, 709.7, -745.0, 0.625, 0.8, 10.2,
    1e6, 1.1e6, 2.0**24 - 1, 2.0**24 + 2, 1e10,
]  # fmt: skip


def _sigmoid(x: Array) -> Array:
    t = np.exp(-np.abs(x))
    return np.where(x < 0, t, 1.0) / (1.0 + t)


def _gelu_slope(x: Array) -> Array:
    x = np.clip(x, -50.0, 50.0)
    return special.ndtr(x) + x * np.exp(x * x * -0.5) / np.sqrt(2 * np.pi)


IN_DOUBLE: dict[str, Callable[..., Any]] = {
    "sigmoid": _sigmoid, "erf": special.erf, "erfc": special.erfc, "asin": np.arcsin,
    "normal_cdf": lambda x: special.erfc(-x * np.sqrt(0.5)) / 2, "acos": np.arccos,
    "gelu_slope": _gelu_slope, "atan": np.arctan, "atan2": np.arctan2, "pow": np.power,
}  # fmt: skip
IN_DIGITS: dict[str, Callable[..., Any]] = {
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)), "log2": lambda x: mpmath.log(x, 2),
    "pow": mpmath.power, "erfc": lambda x: mpmath.erfc(x) if abs(x) < 100 else 1 - mpmath.sign(x),
}  # fmt: skip
"""What mpmath has under no name, or another."""


def kernels(name: str, dtype: str) -> list[Kernel]:
    """The function on every target, in vectors and for single elements."""
    inputs = [dtype] * (2 if name in BINARY else 1)
    widths = [(t, n) for t in TARGETS for n in (target(t).lanes(np.dtype(dtype)), 1)]
    return [function(name, target(t), n, inputs, dtype) for t, n in widths]


def sweep(rng: np.random.Generator, dtype: str, n: int) -> Array:
    """Numbers of all sizes, of usual sizes, near 1, and the edges."""
    kind = np.dtype(dtype)
    bits = rng.integers(0, 2 ** (8 * kind.itemsize), n, dtype=np.uint64)
    parts = [
        bits.astype(f"u{kind.itemsize}").view(kind),
        *[rng.standard_normal(n) * size for size in (0.01, 1.0, 10.0, 100.0)],
        rng.standard_normal(n) * 0.3 + 1.0,
        rng.uniform(-20.0, 20.0, n),
        np.array(EDGES),
    ]
    with np.errstate(all="ignore"):
        return np.concatenate([p.astype(kind) for p in parts])


def errors(got: Array, want: Array) -> Array:
    """Distances in units in the last place; 0 where the value is the true one rounded."""
    info = np.finfo(got.dtype)
    with np.errstate(all="ignore"):
        right = (got == want.astype(got.dtype)) | (np.isnan(got) & np.isnan(want))
        size = np.maximum(np.where(np.isfinite(want), np.abs(want), 1.0), info.tiny)
        unit = np.ldexp(1.0, np.frexp(size.astype(np.float64))[1] - 1 - info.nmant)
        gap = np.abs(got.astype(np.float64) - want) / unit
    return np.where(right, 0.0, np.where(np.isnan(gap), np.inf, gap))


def arguments(name: str, rng: np.random.Generator, dtype: str, n: int) -> list[Array]:
    """One or two arrays of operands; pairs of all edges among them."""
    x = sweep(rng, dtype, n)
    if name not in BINARY:
        return [x]
    a, b = np.meshgrid(EDGES, EDGES)
    size = np.abs(rng.standard_normal(4 * n)) * 4.0
    first, second = [x, size, a.ravel()], [rng.permutation(x), size[::-1] * 5.0, b.ravel()]
    with np.errstate(all="ignore"):
        return [np.concatenate(parts).astype(dtype) for parts in (first, second)]


@pytest.mark.parametrize("name", NAMES)
def test_float32_is_within_its_bound(name: str) -> None:
    xs = arguments(name, np.random.default_rng(0), "float32", 20_000)
    with np.errstate(all="ignore"):
        reference = IN_DOUBLE.get(name) or getattr(np, name)
        want = reference(*[x.astype(np.float64) for x in xs])
    for kernel in kernels(name, "float32"):
        got = kernel(*xs)
        wrong = errors(got, want)
        k = int(np.argmax(wrong))
        told = f"{[x[k] for x in xs]}: {got[k]}, not {want[k]}"
        assert wrong[k] <= ULP[name, "float32"], told
        zeros = (want == 0) & (got == 0)
        assert (np.signbit(got) == np.signbit(want))[zeros].all()


@pytest.mark.parametrize("name", [name for name, dtype in ULP if dtype == "float64"])
def test_float64_is_within_its_bound(name: str) -> None:
    xs = arguments(name, np.random.default_rng(1), "float64", 60)
    got = kernels(name, "float64")
    ys = [kernel(*xs) for kernel in got]
    reference = IN_DIGITS.get(name) or getattr(mpmath, name)
    finite = np.isfinite(ys[0])
    for x in xs:
        finite &= np.isfinite(x) & (x != 0)
    assert finite.sum() > 100
    with mpmath.workdps(60):
        for i in np.flatnonzero(finite):
            true = reference(*[mpmath.mpf(float(x[i])) for x in xs])
            for y in ys:
                size = max(abs(true), mpmath.mpf(np.finfo(np.float64).tiny))
                unit = mpmath.ldexp(1, int(mpmath.frexp(size)[1]) - 53)
                wrong = abs(mpmath.mpf(float(y[i])) - true) / unit
                assert wrong <= ULP[name, "float64"], f"{[x[i] for x in xs]}: {y[i]}"


def test_the_slope_of_gelu_is_within_three_roundings_of_one() -> None:
    """It crosses zero where two terms cancel, so a unit in its last place says nothing there."""
    (x,) = arguments("gelu_slope", np.random.default_rng(0), "float32", 20_000)
    with np.errstate(all="ignore"):
        want = _gelu_slope(x.astype(np.float64))
    for kernel in kernels("gelu_slope", "float32"):
        got = kernel(x)
        np.testing.assert_array_equal(np.isnan(got), np.isnan(x))
        assert np.nanmax(np.abs(got - want)) <= 3 * 2.0**-24
    doubles = np.random.default_rng(1).uniform(-9.0, 9.0, 1000)
    with mpmath.workdps(40):
        exact = [mpmath.ncdf(x) + x * mpmath.npdf(x) for x in map(mpmath.mpf, doubles)]
    for kernel in kernels("gelu_slope", "float64"):
        wrong = max(abs(y - true) for y, true in zip(kernel(doubles), exact, strict=True))
        assert wrong <= 3 * 2.0**-53


@pytest.mark.parametrize("name", [*NAMES, "normal_cdf", "gelu_slope"])
def test_float64_at_the_edges(name: str) -> None:
    xs = arguments(name, np.random.default_rng(2), "float64", 0)
    with np.errstate(all="ignore"):
        want = (IN_DOUBLE.get(name) or getattr(np, name))(*xs)
    for kernel in kernels(name, "float64"):
        got = kernel(*xs)
        normal = np.abs(want) > 1e-300
        np.testing.assert_allclose(got[normal], want[normal], 1e-13)
        special_ = ~normal | ~np.isfinite(want)
        np.testing.assert_allclose(got[special_], want[special_], 0, 1e-300)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", [*NAMES, "normal_cdf", "gelu_slope"])
def test_vectors_and_single_elements_have_the_same_bits(name: str, dtype: str) -> None:
    xs = arguments(name, np.random.default_rng(3), dtype, 300)
    for name_ in TARGETS:
        wide = target(name_).lanes(np.dtype(dtype))
        inputs = [dtype] * len(xs)
        ys = [function(name, target(name_), n, inputs, dtype)(*xs) for n in (1, wide, 2 * wide)]
        assert same(ys[0], ys[1])
        assert same(ys[0], ys[2])


@pytest.mark.parametrize("name", NAMES)
def test_float16_is_the_rounded_float32(name: str) -> None:
    xs = arguments(name, np.random.default_rng(4), "float16", 300)
    inputs = ["float16"] * len(xs)
    for name_ in TARGETS:
        chosen = target(name_)
        single = function(name, chosen, 4, ["float32"] * len(xs), "float32")
        with np.errstate(all="ignore"):
            want = single(*[x.astype(np.float32) for x in xs]).astype(np.float16)
        assert same(function(name, chosen, 4, inputs, "float16")(*xs), want)


@pytest.mark.parametrize("name", [*IN_REGISTERS, "sqrt", "rsqrt"])
def test_no_library_is_called(name: str) -> None:
    for name_ in TARGETS:
        for lanes in (1, target(name_).lanes(np.dtype("float32"))):
            kernel = function(name, target(name_), lanes, ["float32"], "float32")
            assert "call" not in native.assembly(kernel.text, target(name_))


@pytest.mark.parametrize("name", NAMES)
def test_code_for_arm(name: str) -> None:
    arm = target("neon")
    for dtype, lanes in (("float32", 4), ("float32", 1), ("float64", 2), ("float16", 4)):
        dtypes = [np.dtype(dtype)] * (2 if name in BINARY else 1)
        f = Function("kernel", [Val("ptr", "%p")])
        type_ = vector(memory_type(dtypes[0]), lanes)
        xs = [f.load(Val("ptr", "%p"), type_, 2) for _ in dtypes]
        f.store(scalar.emit(f, arm, name, xs, dtypes, dtypes[0]), Val("ptr", "%p"), 2)
        text = native.assembly(f.finish(), arm)
        assert "fmla" in text or "fmadd" in text or "\tbl\t" in text
        if name in IN_REGISTERS and dtype != "float64":
            assert "\tbl\t" not in text


def test_powers_of_two_have_exact_logarithms() -> None:
    k = np.arange(-149, 128)
    for kernel in kernels("log2", "float32"):
        assert (kernel(np.ldexp(np.float32(1), k)) == k).all()


def test_angles_of_any_size_in_one_vector() -> None:
    x = np.array([0.1, 1e7, -1e30, 2.0**20, 3e38, -2.0, np.inf, 0.0] * 4, np.float32)
    with np.errstate(invalid="ignore"):
        for name in ("sin", "cos", "tan"):
            want = getattr(np, name)(x.astype(np.float64))
            for kernel in kernels(name, "float32"):
                assert errors(kernel(x), want).max() <= ULP[name, "float32"]
