"""The oracle itself: differences of functions whose derivatives are known."""

from __future__ import annotations

import numpy as np
import pytest

from chainrule.testing.numeric import compare, directional_difference, numerical_gradient


def difference(f, x, dx=None, **options):  # type: ignore[no-untyped-def]
    x = np.asarray(x, np.float64)
    return directional_difference(
        lambda xs: [f(xs[0])], [x], [np.ones_like(x) if dx is None else dx], **options
    )


def test_the_gradient_of_document_003() -> None:
    x = np.array([1.0, 2.0, 3.0])
    assert np.allclose(numerical_gradient(lambda x: np.sum(x**2), x), 2 * x, atol=1e-9)


@pytest.mark.parametrize(
    ("f", "df", "x"),
    [
        (np.exp, np.exp, 1.3),
        (np.sin, np.cos, 0.7),
        (np.log, lambda x: 1 / x, 0.01),
        (lambda x: x**9, lambda x: 9 * x**8, 1.1),
        (lambda x: 1 / x, lambda x: -1 / x**2, 2e-3),
        (np.tanh, lambda x: 1 - np.tanh(x) ** 2, 3.0),
    ],
)
def test_smooth_functions_reach_ten_digits(f, df, x) -> None:  # type: ignore[no-untyped-def]
    found = difference(f, x)
    assert found.value[0] == pytest.approx(df(x), rel=1e-10)
    assert not found.kink[0]


def test_polynomials_take_four_evaluations() -> None:
    assert difference(lambda x: x**2 + x, [1.0, 2.0]).evaluations == 4


def test_infinities_that_do_not_move_have_derivative_zero() -> None:
    found = difference(lambda x: np.array([x[0], -np.inf]), [1.0])
    assert found.value == pytest.approx([1.0, 0.0])
    assert np.isfinite(found.noise).all()


@pytest.mark.parametrize("f", [np.abs, lambda x: np.maximum(x, 0), np.floor, np.sign, np.sqrt])
def test_kinks_jumps_and_edges_are_seen(f) -> None:  # type: ignore[no-untyped-def]
    assert difference(f, [0.0]).kink[0]


@pytest.mark.parametrize("x", [1e-2, 1e-3, 1e-4, 1e-5])
def test_next_to_a_kink_the_step_shrinks(x: float) -> None:
    found = difference(np.abs, [x, -x])
    assert found.value == pytest.approx([1.0, -1.0], rel=1e-9)
    assert not found.kink.any()


def test_a_value_out_of_reach_is_nan() -> None:
    assert np.isnan(difference(lambda x: np.full_like(x, np.nan), [1.0]).value[0])


def test_comparisons_are_relative_to_the_numbers_themselves() -> None:
    assert compare(1.0, 1.0 + 1e-9, noise=0.0, error=0.0, rtol=1e-6).ok
    assert not compare(1e-12, 2e-12, noise=0.0, error=0.0, rtol=1e-6).ok
    assert not compare(1e-12, 0.0, noise=0.0, error=0.0, rtol=1e-6, scale=1.0).ok
    assert compare(0.0, 1e-13, noise=1e-12, error=0.0, rtol=1e-6).ok
    assert compare(float("inf"), float("inf"), noise=0.0, error=0.0, rtol=1e-6).ok
    assert not compare(float("nan"), 1.0, noise=0.0, error=0.0, rtol=1e-6).ok


def test_scatter_is_excused_only_beside_much_larger_derivatives() -> None:
    assert compare(0.0, 1e-9, noise=0.0, error=1e-9, rtol=1e-6, scale=1.0).ok
    assert not compare(0.0, 1e-3, noise=0.0, error=1e-3, rtol=1e-6, scale=1.0).ok
