"""Accuracy of elementwise functions and reductions, against numbers without rounding."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest

import chainrule as cr

INF = math.inf
RNG = np.random.default_rng(0)


def same(got: Any, want: Any) -> bool:
    return bool(np.array_equal(np.asarray(got), np.asarray(want), equal_nan=True))


# Elementwise functions ----------------------------------------------------------------------------


def units_in_last_place(got: np.ndarray, xs: np.ndarray, exact: Callable[[Any], Any]) -> float:
    """The worst distance of `got` from `exact` of `xs`, in spacings of floats at the result."""
    worst = 0.0
    with mpmath.workprec(120):
        for x, y in zip(xs.tolist(), got, strict=True):
            truth = exact(mpmath.mpf(x))
            unit = np.spacing(np.abs(got.dtype.type(truth)))
            worst = max(worst, float(abs(mpmath.mpf(float(y)) - truth) / mpmath.mpf(float(unit))))
    return worst


def exact_sigmoid(x: Any) -> Any:
    return 1 / (1 + mpmath.exp(-x))


# Worst of 1e8 float32 numbers, with AVX-512: exp 2.52, log 3.84, tanh 1.38, sigmoid 3.50, erf 0.54.
ACCURACY: list[
    tuple[str, Callable[[Any], Any], Callable[[Any], Any], tuple[float, float], float, float]
]
ACCURACY = [
    ("exp", cr.exp, mpmath.exp, (-80, 80), 2.6, 2),
    ("log", cr.log, mpmath.log, (1e-3, 50), 4, 2),
    ("log near one", cr.log, mpmath.log, (0.5, 2), 4, 2),
    ("log1p", cr.log1p, mpmath.log1p, (-0.9, 3), 2, 2),
    ("expm1", cr.expm1, mpmath.expm1, (-3, 3), 2, 2),
    ("tanh", cr.tanh, mpmath.tanh, (-6, 6), 2, 2),
    ("sigmoid", cr.sigmoid, exact_sigmoid, (-20, 20), 4, 3),
    ("erf", cr.erf, mpmath.erf, (-6, 6), 1, 2),
    ("erf near zero", cr.erf, mpmath.erf, (-1e-3, 1e-3), 1, 2),
    ("erf near one", cr.erf, mpmath.erf, (0.9, 1.1), 1, 2),
    ("erfc", cr.erfc, mpmath.erfc, (-6, 9), 1, 6),
    ("sqrt", cr.sqrt, mpmath.sqrt, (0, 100), 0.5, 0.5),
]  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("f", "exact", "interval", "single", "double"),
    [a[1:] for a in ACCURACY],
    ids=[a[0] for a in ACCURACY],
)
def test_accuracy_in_units_in_the_last_place(
    f: Callable[[Any], Any],
    exact: Callable[[Any], Any],
    interval: tuple[float, float],
    single: float,
    double: float,
    dtype: str,
) -> None:
    xs = np.random.default_rng(5).uniform(*interval, 1500).astype(dtype)
    got = f(cr.tensor(xs)).numpy()
    assert units_in_last_place(got, xs, exact) <= (single if dtype == "float32" else double)


def test_erf_is_odd_and_keeps_signed_zero() -> None:
    x = RNG.normal(size=1000) * 2
    for dtype in (np.float32, np.float64):
        t = cr.tensor(x.astype(dtype))
        assert same(cr.erf(-t).numpy(), -cr.erf(t).numpy())
        assert math.copysign(1, cr.erf(cr.tensor(np.array(-0.0, dtype))).item()) == -1


def test_erf_in_pieces_equals_erf_at_once() -> None:
    x = RNG.normal(size=40_000)
    whole = cr.erf(cr.tensor(x)).numpy()
    parts = [cr.erf(cr.tensor(part)).numpy() for part in np.split(x, 40)]
    assert same(whole, np.concatenate(parts))


def test_differences_near_zero_do_not_cancel() -> None:
    tiny = cr.tensor(np.array([1e-12, -1e-12]))
    np.testing.assert_allclose(cr.expm1(tiny).numpy(), [1e-12, -1e-12], rtol=1e-11)
    np.testing.assert_allclose(cr.log1p(tiny).numpy(), [1e-12, -1e-12], rtol=1e-11)


def test_softplus_and_logsigmoid_keep_their_tails() -> None:
    x = cr.tensor(np.array([-700.0, -40.0]))
    np.testing.assert_allclose(cr.softplus(x).numpy(), np.exp([-700.0, -40.0]), rtol=1e-14)
    np.testing.assert_allclose(cr.logsigmoid(-x).numpy(), -np.exp([-700.0, -40.0]), rtol=1e-14)


def test_gelu_keeps_its_tail_in_double_precision() -> None:
    with mpmath.workprec(120):
        want = [float(x * mpmath.ncdf(x)) for x in (-8.0, -5.0, -1.0)]
    got = cr.gelu(cr.tensor(np.array([-8.0, -5.0, -1.0]))).numpy()
    np.testing.assert_allclose(got, want, rtol=1e-13)


def test_gelu_keeps_its_tail_in_single_precision() -> None:
    x = np.concatenate([np.linspace(-12, 6, 1001), [-1e4, -50.0]]).astype(np.float32)
    with mpmath.workprec(120):
        want = [float(mpmath.mpf(float(v)) * mpmath.ncdf(float(v))) for v in x]
    np.testing.assert_allclose(cr.gelu(cr.tensor(x)).numpy(), want, rtol=3e-7, atol=1e-45)


# Reductions ---------------------------------------------------------------------------------------


def exact_sums(x: np.ndarray) -> tuple[list[Fraction], list[Fraction]]:
    """Σ x and Σ |x| of each column, without rounding."""
    columns = [[Fraction(v) for v in column] for column in x.T.tolist()]
    return [sum(c, Fraction(0)) for c in columns], [sum(map(abs, c), Fraction(0)) for c in columns]


@pytest.mark.parametrize("n", [100, 129, 4096, 20_001])
def test_the_error_of_a_sum_grows_with_the_logarithm_of_the_count(n: int) -> None:
    """Along the last axis and along the first, where NumPy alone adds row after row."""
    x = (np.random.default_rng(n).uniform(0.5, 1, (n, 3)) * 1.1).astype(np.float32)
    exact, sizes = exact_sums(x)
    limit = (math.ceil(math.log2(n)) + 4) * 2.0**-24
    for got in (
        cr.sum(cr.tensor(x), 0),
        cr.sum(cr.tensor(np.ascontiguousarray(x.T)), 1),
        cr.sum(cr.tensor(np.ascontiguousarray(x.reshape(n, 1, 3))), (0, 1)),
        cr.mean(cr.tensor(x), 0) * n,
    ):
        for y, truth, size in zip(got.tolist(), exact, sizes, strict=True):
            assert abs(Fraction(y) - truth) <= limit * size


def test_the_gradient_of_a_broadcast_operand_is_summed_as_accurately() -> None:
    n = 20_000
    x = (np.random.default_rng(1).uniform(0.5, 1, (n, 2))).astype(np.float32)
    bias = cr.zeros(2, requires_grad=True)
    (cr.tensor(np.zeros_like(x)) + bias).backward(cr.tensor(x))
    exact, sizes = exact_sums(x)
    for y, truth, size in zip(bias.grad.tolist(), exact, sizes, strict=True):
        assert abs(Fraction(y) - truth) <= (math.ceil(math.log2(n)) + 4) * 2.0**-24 * size


def test_the_variance_of_large_numbers_with_a_small_spread_is_right() -> None:
    offsets = np.random.default_rng(3).integers(0, 1024, 5000) / 1024
    want = offsets.var(ddof=1)
    assert cr.var(cr.tensor(1e8 + offsets)).item() == pytest.approx(want, rel=1e-12)
    assert cr.var(cr.tensor(1e12 + offsets)).item() == pytest.approx(
        (1e12 + offsets - 1e12).var(ddof=1), rel=1e-12
    )
    single = (8192 + offsets).astype(np.float32)
    want = single.astype(np.float64).var(ddof=1)
    assert cr.var(cr.tensor(single)).item() == pytest.approx(want, rel=1e-6)
    assert cr.std(cr.tensor(single)).item() == pytest.approx(math.sqrt(want), rel=1e-6)


def test_the_norm_neither_overflows_nor_underflows() -> None:
    for scale in (1e-30, 1e-20, 1.0, 1e19, 1e30):
        x = cr.tensor(np.array([3.0, 4.0], np.float32) * np.float32(scale), requires_grad=True)
        y = cr.norm(x)
        assert y.item() == pytest.approx(5 * scale, rel=1e-6)
        y.backward()
        np.testing.assert_allclose(x.grad.numpy(), [0.6, 0.8], rtol=1e-6)
    assert cr.norm(cr.tensor([[3e-30, 4e-30], [3.0, 4.0]]), 2, 1).tolist() == pytest.approx(
        [5e-30, 5.0]
    )
    assert cr.norm(cr.tensor(np.array([3e200, 4e200])), 3.0).item() == pytest.approx(
        91 ** (1 / 3) * 1e200
    )


def test_the_norm_of_infinity_is_infinity() -> None:
    for p in (1, 2, 3, INF):
        assert cr.norm(cr.tensor([1.0, -INF]), p).item() == INF
