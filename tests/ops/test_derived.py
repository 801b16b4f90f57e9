"""Functions made of others, parts of floats, activations of pieces, and kinds of random numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ArgumentError, DTypeError, ShapeError

NAN, INF = math.nan, math.inf


def array(x: Any) -> np.ndarray:
    return np.asarray(x.detach().numpy())


def gradient(f: Callable[[cr.Tensor], cr.Tensor], *values: float) -> np.ndarray:
    x = cr.tensor(np.array(values), requires_grad=True)
    return array(cr.gradients([cr.sum(f(x))], [x])[0])


# Elementwise --------------------------------------------------------------------------------------


def test_lerp_ends_exactly_at_its_ends() -> None:
    a, b = cr.tensor([0.1, 1e8]), cr.tensor([0.7, -3.0])
    for one in (1.0, cr.tensor([1.0, 1.0])):
        np.testing.assert_array_equal(array(cr.lerp(a, b, one)), array(b))
    np.testing.assert_array_equal(array(cr.lerp(a, b, 0.0)), array(a))


def test_arithmetic_with_factors() -> None:
    x, a, b = cr.tensor([1.0]), cr.tensor([6.0]), cr.tensor([3.0])
    assert cr.addcmul(x, a, b, value=2).item() == 37
    assert cr.addcdiv(x, a, b, value=2).item() == 5
    assert cr.add(x, a, alpha=0.5).item() == 4
    assert cr.sub(x, a, alpha=2).item() == -11
    assert cr.rsub(x, a, alpha=2).item() == 4


@pytest.mark.parametrize("kind", [np.int64, np.float64])
def test_division_rounds_down_or_toward_zero(kind: Any) -> None:
    a, b = (m.ravel().astype(kind) for m in np.meshgrid([-7, -6, 0, 6, 7], [-3, -2, 2, 3]))
    x, y = cr.tensor(a), cr.tensor(b)
    down = cr.div(x, y, rounding_mode="floor")
    cut = cr.div(x, y, rounding_mode="trunc")
    np.testing.assert_array_equal(array(down), np.floor(a / b))
    np.testing.assert_array_equal(array(cut), np.trunc(a / b))
    assert down.dtype == cut.dtype == kind
    with pytest.raises(ArgumentError, match="no such rounding"):
        cr.div(x, y, rounding_mode="up")


def test_integer_division_is_exact_for_large_numbers() -> None:
    x = cr.tensor([-(2**62) - 1])
    assert cr.div(x, 2, rounding_mode="trunc").item() == -(2**61)


def test_fmax_and_fmin_pass_over_nan() -> None:
    a, b = cr.tensor([1.0, NAN, NAN, 2.0]), cr.tensor([NAN, 3.0, NAN, 2.0])
    np.testing.assert_array_equal(array(cr.fmax(a, b)), [1, 3, NAN, 2])
    np.testing.assert_array_equal(array(cr.fmin(a, b)), [1, 3, NAN, 2])
    np.testing.assert_array_equal(gradient(lambda x: cr.fmax(x, 2.0), 1.0, 2.0, 3.0), [0, 1, 1])


def test_tests_of_single_elements() -> None:
    x = cr.tensor([INF, -INF, NAN, 0.0])
    assert cr.isposinf(x).tolist() == [True, False, False, False]
    assert cr.isneginf(x).tolist() == [False, True, False, False]
    assert cr.isreal(x).tolist() == [True] * 4
    assert cr.isclose(x, x).tolist() == [True, True, False, True]
    assert cr.isclose(x, x, equal_nan=True).tolist() == [True] * 4
    assert not cr.isclose(x, cr.tensor([-INF, 1.0, NAN, 1e-3])).numpy().any()
    assert cr.allclose(x[:2], x[:2])
    assert cr.equal(x[3:], cr.tensor([0.0]))
    assert not cr.equal(x[3:], cr.tensor([[0.0]]))
    with pytest.raises(ArgumentError, match="tolerances"):
        cr.isclose(x, x, rtol=-1.0)


def test_numbers_for_nan() -> None:
    x = cr.tensor(np.array([NAN, INF, -INF, 1.5]))
    greatest = np.finfo(np.float64).max
    np.testing.assert_array_equal(array(cr.nan_to_num(x)), [0, greatest, -greatest, 1.5])
    found = gradient(lambda v: cr.nan_to_num(v, 1.0, 2.0, 3.0) * 2, NAN, INF, -INF, 1.5)
    np.testing.assert_array_equal(found, [0, 0, 0, 2])
    assert cr.nan_to_num(cr.tensor([3])).tolist() == [3]


def test_angles_and_powers() -> None:
    np.testing.assert_allclose(array(cr.angle(cr.tensor(np.array([2.0, -1.0])))), [0, math.pi])
    assert cr.float_power(cr.tensor([2]), 3).dtype == np.float64
    np.testing.assert_allclose(array(cr.deg2rad(cr.tensor([180]))), [math.pi], rtol=1e-6)
    np.testing.assert_allclose(array(cr.exp2(cr.tensor([3, -1]))), [8, 0.5])
    wide = cr.tensor(np.array([1000.0]))
    np.testing.assert_allclose(array(cr.logaddexp2(wide, wide)), [1001])
    with pytest.raises(DTypeError, match="positive"):
        cr.positive(cr.tensor([True]))


# Floating-point numbers and integers --------------------------------------------------------------


def test_parts_of_floating_point_numbers() -> None:
    x = np.array([0.0, 1.0, -6.5, 1e-310, INF])
    mantissa, exponent = cr.frexp(cr.tensor(x))
    want, powers = np.frexp(x)
    np.testing.assert_array_equal(array(mantissa), want)
    np.testing.assert_array_equal(exponent.numpy()[:4], powers[:4])
    back = cr.ldexp(mantissa[:3], exponent[:3])
    np.testing.assert_array_equal(array(back), x[:3])
    assert cr.signbit(cr.tensor([-0.0, 0.0, -1.0])).tolist() == [True, False, True]
    assert cr.signbit(cr.tensor([-1, 0])).tolist() == [True, False]
    up = cr.nextafter(cr.tensor(np.array([1.0])), cr.tensor(np.array([2.0])))
    assert up.item() == np.nextafter(1.0, 2.0)


def test_sign_of_zero_is_copied() -> None:
    found = array(cr.copysign(cr.tensor([1.0, -1.0, 0.0]), cr.tensor([-0.0, 0.0, -1.0])))
    np.testing.assert_array_equal(np.signbit(found), [True, False, True])
    np.testing.assert_array_equal(
        gradient(lambda x: cr.copysign(x, -1.0), 2.0, -2.0, 0.0), [-1, 1, 0]
    )


def test_fmod_has_the_sign_of_its_first_operand() -> None:
    a, b = np.meshgrid([-7.5, 7.5, 0.0], [2.0, -2.0])
    np.testing.assert_array_equal(array(cr.fmod(cr.tensor(a), cr.tensor(b))), np.fmod(a, b))
    assert cr.fmod(cr.tensor([-7]), 2).tolist() == [-1]
    assert array(cr.fmod(cr.tensor(np.array([1e300])), 3.0))[0] == math.fmod(1e300, 3.0)


def test_heaviside_at_zero_and_nan() -> None:
    found = cr.heaviside(cr.tensor([-1.0, 0.0, 2.0, NAN]), cr.tensor([9.0, 9.0, 9.0, 9.0]))
    np.testing.assert_array_equal(array(found), [0, 9, 1, 0])


def test_functions_of_integers_refuse_floats() -> None:
    assert cr.gcd(cr.tensor([12, -8]), 20).tolist() == [4, 4]
    assert cr.lcm(cr.tensor([4, 0]), 6).tolist() == [12, 0]
    assert (cr.tensor([1, -8]) << 2).tolist() == [4, -32]
    assert (cr.tensor([5, -8]) >> 1).tolist() == [2, -4]
    for f in (cr.gcd, cr.lcm, cr.bitwise_left_shift):
        with pytest.raises(DTypeError, match="integers"):
            f(cr.tensor([1.0]), 2)


# Activations --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "points", "values", "slopes"),
    [
        (cr.relu6, [-1.0, 0.0, 3.0, 6.0, 7.0], [0, 0, 3, 6, 6], [0, 0, 1, 0, 0]),
        (cr.hardtanh, [-1.0, 0.5, 1.0], [-1, 0.5, 1], [0, 1, 0]),
        (cr.hardsigmoid, [-3.0, 0.0, 3.0], [0, 0.5, 1], [0, 1 / 6, 0]),
        (cr.hardswish, [-3.0, 0.0, 3.0, 4.0], [0, 0, 3, 4], [0, 0.5, 1, 1]),
        (cr.hardshrink, [-0.5, 0.5, 0.6], [0, 0, 0.6], [0, 0, 1]),
        (cr.softshrink, [-0.5, 0.5, 1.5], [0, 0, 1], [0, 0, 1]),
        (lambda x: cr.threshold(x, 1.0, 5.0), [1.0, 2.0], [5, 2], [0, 1]),
        (lambda x: cr.prelu(x, cr.full((1,), 0.5, np.float64)), [-2.0, 2.0], [-1, 2], [0.5, 1]),
        (cr.softsign, [-1.0, 0.0, 3.0], [-0.5, 0, 0.75], [0.25, 1, 1 / 16]),
        (cr.tanhshrink, [0.0], [0], [0]),
        (cr.celu, [-1e4, 0.0, 2.0], [-1, 0, 2], [0, 1, 1]),
        (cr.mish, [-1e4, 0.0, 1e4], [0, 0, 1e4], [0, 0.6, 1]),
    ],
)  # fmt: skip
def test_activation_at_its_corners(
    f: Callable[[cr.Tensor], cr.Tensor], points: Any, values: Any, slopes: Any
) -> None:
    np.testing.assert_allclose(array(f(cr.tensor(np.array(points)))), values, atol=1e-15)
    np.testing.assert_allclose(gradient(f, *points), slopes, atol=1e-15)
    assert np.isnan(array(f(cr.tensor([NAN])))).all() or f(cr.tensor([NAN])).item() == 5.0


def test_selu_keeps_mean_and_variance() -> None:
    x = cr.selu(cr.randn(200_000, dtype=np.float64, generator=cr.Generator(1))).numpy()
    assert abs(x.mean()) < 0.01
    assert abs(x.var() - 1) < 0.02


def test_wrong_settings_of_activations_are_named() -> None:
    x = cr.zeros(2, 3)
    for call, text in (
        (lambda: cr.hardtanh(x, 1.0, 0.0), "min_val"),
        (lambda: cr.softshrink(x, -1.0), "lambd"),
        (lambda: cr.rrelu(x, 1.0, 0.5), "lower"),
        (lambda: cr.celu(x, 0.0), "alpha"),
    ):
        with pytest.raises(ArgumentError, match=text):
            call()
    with pytest.raises(ShapeError, match="one weight"):
        cr.prelu(x, cr.zeros(2))
    with pytest.raises(ShapeError, match="even"):
        cr.glu(x)


def test_rrelu_draws_slopes_in_training_only() -> None:
    x = cr.full((1000,), -1.0)
    drawn = -cr.rrelu(x, 0.1, 0.3, training=True).numpy()
    assert 0.1 <= drawn.min() < 0.12
    assert 0.28 < drawn.max() <= 0.3
    np.testing.assert_allclose(-cr.rrelu(x, 0.1, 0.3).numpy(), 0.2, rtol=1e-6)


# Random numbers and new tensors -------------------------------------------------------------------


def test_multinomial_draws_by_weight() -> None:
    weights = cr.tensor([[0.0, 1.0, 3.0], [2.0, 2.0, 0.0]])
    drawn = cr.multinomial(weights, 20_000, replacement=True, generator=cr.Generator(2)).numpy()
    shares = [np.bincount(row, minlength=3) / 20_000 for row in drawn]
    np.testing.assert_allclose(shares, [[0, 0.25, 0.75], [0.5, 0.5, 0]], atol=0.02)
    orders = cr.multinomial(cr.tensor([1.0, 3.0]).expand(8000, 2), 2).numpy()
    assert (np.sort(orders, 1) == [0, 1]).all()
    assert abs((orders[:, 0] == 1).mean() - 0.75) < 0.03
    with pytest.raises(ArgumentError, match="more than there is"):
        cr.multinomial(weights, 3)
    with pytest.raises(ArgumentError, match="weights"):
        cr.multinomial(cr.tensor([-1.0, 2.0]), 1)


def test_poisson_numbers_have_their_probabilities_and_repeat() -> None:
    rates = cr.full((40_000,), 2.5, np.float64)
    drawn = cr.poisson(rates, cr.Generator(4)).numpy()
    np.testing.assert_array_equal(drawn, cr.poisson(rates, cr.Generator(4)).numpy())
    shares = np.bincount(drawn.astype(int), minlength=6)[:6] / 40_000
    want = [math.exp(-2.5) * 2.5**k / math.factorial(k) for k in range(6)]
    np.testing.assert_allclose(shares, want, atol=0.01)
    with pytest.raises(ArgumentError, match="rates"):
        cr.poisson(cr.tensor([-1.0]))


def test_normal_numbers_about_tensors() -> None:
    mean = cr.tensor(np.array([0.0, 100.0]), requires_grad=True)
    drawn = cr.normal(mean.expand(5000, 2), cr.tensor(np.array([1.0, 3.0])))
    assert drawn.dtype == np.float64
    assert not drawn.requires_grad
    np.testing.assert_allclose(drawn.numpy().mean(0), [0, 100], atol=0.2)
    np.testing.assert_allclose(drawn.numpy().std(0), [1, 3], atol=0.15)
    assert cr.normal(2.0, 0.0, (3,)).tolist() == [2.0] * 3
    with pytest.raises(ArgumentError, match="negative"):
        cr.normal(mean, -1.0)


def test_random_numbers_like_a_tensor() -> None:
    x = cr.zeros(2, 3, dtype=np.float64)
    assert cr.rand_like(x).dtype == np.float64
    assert cr.randn_like(x, dtype=np.float32).shape == (2, 3)
    whole = cr.randint_like(x, 5, 7)
    assert whole.dtype == np.float64
    assert set(whole.numpy().ravel()) <= {5.0, 6.0}
    assert cr.bernoulli(x, 1.0).tolist() == [[1.0] * 3] * 2
    assert sorted(cr.randperm(5).tolist()) == list(range(5))


def test_new_tensors() -> None:
    np.testing.assert_allclose(cr.logspace(0, 3, 4, base=2.0).numpy(), [1, 2, 4, 8])
    assert cr.linspace(cr.tensor(0.0), cr.tensor(4), 3).tolist() == [0, 2, 4]
    np.testing.assert_array_equal(cr.tril_indices(3, 2, -1).numpy(), np.tril_indices(3, -1, 2))
    np.testing.assert_array_equal(cr.triu_indices(2, 3, 1).numpy(), np.triu_indices(2, 1, 3))
    assert cr.scalar_tensor(3).shape == ()
    assert cr.empty_strided((2, 3), (1, 2)).shape == (2, 3)
    assert cr.fill(cr.zeros(2), 3).tolist() == [3.0, 3.0]
    assert cr.zeros_like(cr.zeros(1), requires_grad=True).requires_grad
