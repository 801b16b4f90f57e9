"""Elementwise ops at the awkward points: zero, ties, infinity, NaN, promotion, refused operands."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ArgumentError, ChainruleError, DTypeError, GradientError, ShapeError
from chainrule.testing import gradcheck, gradgradcheck

INF, NAN = math.inf, math.nan


def slope(f: Callable[..., Any], *points: Any) -> list[Any]:
    """The values and then, for each point, the gradient of the sum of f, as lists."""
    xs = [cr.tensor(np.asarray(p, np.float64), requires_grad=True) for p in points]
    y = f(*xs)
    cr.sum(y).backward()
    return [y.tolist(), *[x.grad.tolist() for x in xs]]


def same(got: Any, want: Any) -> bool:
    return bool(np.array_equal(np.asarray(got), np.asarray(want), equal_nan=True))


# Values and derivatives at single points ----------------------------------------------------------

POINTS: list[tuple[str, Callable[[Any], Any], float, float, float]] = [
    ("abs is flat at zero", cr.abs, 0.0, 0.0, 0.0),
    ("abs of minus infinity is infinity", cr.abs, -INF, INF, -1.0),
    ("relu is flat at zero", cr.relu, 0.0, 0.0, 0.0),
    ("relu of infinity is infinity", cr.relu, INF, INF, 1.0),
    ("relu of minus infinity is zero", cr.relu, -INF, 0.0, 0.0),
    ("leaky relu has its lower slope at zero", cr.leaky_relu, 0.0, 0.0, 0.01),
    ("leaky relu with slope zero keeps infinity", lambda x: cr.leaky_relu(x, 0.0), INF, INF, 1.0),
    ("elu has the slope alpha at zero", lambda x: cr.elu(x, 0.5), 0.0, 0.0, 0.5),
    ("elu tends to minus alpha", lambda x: cr.elu(x, 0.5), -1e4, -0.5, 0.0),
    ("log of zero falls without bound", cr.log, 0.0, -INF, INF),
    ("log of infinity is infinity", cr.log, INF, INF, 0.0),
    ("log1p of minus one falls without bound", cr.log1p, -1.0, -INF, INF),
    ("sqrt rises without bound at zero", cr.sqrt, 0.0, 0.0, INF),
    ("sqrt of a square-root power rises too", lambda x: x**0.5, 0.0, 0.0, INF),
    ("rsqrt of zero is infinite", cr.rsqrt, 0.0, INF, -INF),
    ("reciprocal of zero is infinite", cr.reciprocal, 0.0, INF, -INF),
    ("reciprocal of minus zero is minus infinity", cr.reciprocal, -0.0, -INF, -INF),
    ("reciprocal of infinity is zero", cr.reciprocal, INF, 0.0, -0.0),
    ("asin is vertical at one", cr.asin, 1.0, math.pi / 2, INF),
    ("acos is vertical at minus one", cr.acos, -1.0, math.pi, -INF),
    ("exp overflows to infinity", cr.exp, 1e4, INF, INF),
    ("exp underflows to zero", cr.exp, -1e4, 0.0, 0.0),
    ("tanh saturates above", cr.tanh, 1e4, 1.0, 0.0),
    ("tanh saturates below", cr.tanh, -1e4, -1.0, 0.0),
    ("sigmoid saturates above", cr.sigmoid, 1e4, 1.0, 0.0),
    ("sigmoid saturates below", cr.sigmoid, -1e4, 0.0, 0.0),
    ("sigmoid of infinity is one", cr.sigmoid, INF, 1.0, 0.0),
    ("softplus is zero far below", cr.softplus, -1e4, 0.0, 0.0),
    ("softplus is the identity far above", cr.softplus, 1e4, 1e4, 1.0),
    ("softplus is exactly x beyond its threshold", cr.softplus, 20.5, 20.5, 1.0),
    ("logsigmoid is x far below", cr.logsigmoid, -1e4, -1e4, 1.0),
    ("logsigmoid is zero far above", cr.logsigmoid, 1e4, 0.0, 0.0),
    ("silu is zero far below", cr.silu, -1e4, -0.0, 0.0),
    ("silu is the identity far above", cr.silu, 1e4, 1e4, 1.0),
    ("gelu is zero far below", cr.gelu, -1e4, -0.0, 0.0),
    ("gelu is the identity far above", cr.gelu, 1e4, 1e4, 1.0),
    ("gelu by tanh is the identity far above", lambda x: cr.gelu(x, "tanh"), 1e4, 1e4, 1.0),
    ("erf of infinity is one", cr.erf, INF, 1.0, 0.0),
    ("erfc of infinity is zero", cr.erfc, INF, 0.0, -0.0),
    ("erfc of minus infinity is two", cr.erfc, -INF, 2.0, -0.0),
    ("x to the zero is flat at zero", lambda x: x**0, 0.0, 1.0, 0.0),
    ("x to the zero is flat at two", lambda x: x**0, 2.0, 1.0, 0.0),
    ("zero cubed has slope zero", lambda x: x**3, 0.0, 0.0, 0.0),
    ("zero to the minus one is infinite", lambda x: x**-1, 0.0, INF, -INF),
    ("a negative base takes a whole exponent", lambda x: x**3, -2.0, -8.0, 12.0),
    ("a negative base with a fraction is not a number", lambda x: x**1.5, -2.0, NAN, NAN),
    ("zero to a positive tensor is flat in the exponent", lambda x: 0.0**x, 2.0, 0.0, 0.0),
    ("zero to the zero is flat in the exponent", lambda x: 0.0**x, 0.0, 1.0, 0.0),
    ("zero to a negative tensor is infinite", lambda x: 0.0**x, -1.0, INF, -INF),
    ("two to the x has the slope of its logarithm", lambda x: 2**x, 3.0, 8.0, 8 * math.log(2)),
    ("division by zero is infinite", lambda x: x / 0, 1.0, INF, INF),
    ("zero over zero is not a number", lambda x: x / 0, 0.0, NAN, INF),
    ("clip passes the derivative at its lower bound", lambda x: cr.clip(x, 0, 1), 0.0, 0.0, 1.0),
    ("clip passes the derivative at its upper bound", lambda x: cr.clip(x, 0, 1), 1.0, 1.0, 1.0),
    ("clip is flat beyond its bounds", lambda x: cr.clip(x, 0, 1), 1.5, 1.0, 0.0),
    ("clip with crossed bounds is the upper one", lambda x: cr.clip(x, 2, 1), 0.0, 1.0, 0.0),
    ("clip keeps NaN", lambda x: cr.clip(x, 0, 1), NAN, NAN, 0.0),
    ("maximum with a number splits at a tie", lambda x: cr.maximum(x, 0.0), 0.0, 0.0, 0.5),
    ("minimum with a number splits at a tie", lambda x: cr.minimum(x, 0.0), 0.0, 0.0, 0.5),
    ("sign is flat", lambda x: cr.sign(x) * x, -2.0, 2.0, -1.0),
    ("floor is flat", lambda x: cr.floor(x) * x, 2.5, 5.0, 2.0),
    ("remainder has the sign of the divisor", lambda x: x % 3, -1.0, 2.0, 1.0),
]  # fmt: skip


@pytest.mark.parametrize(("f", "x", "y", "dy"), [p[1:] for p in POINTS], ids=[p[0] for p in POINTS])
def test_at_a_single_point(f: Callable[[Any], Any], x: float, y: float, dy: float) -> None:
    got = slope(f, x)
    np.testing.assert_allclose(got, [y, dy], rtol=1e-15, atol=0)
    assert math.isnan(y) or math.copysign(1, got[0]) == math.copysign(1, y)


def test_every_smooth_function_keeps_nan() -> None:
    names = (
        "abs exp expm1 log log2 log10 log1p sqrt rsqrt sin cos tan asin acos atan sinh cosh tanh "
        "sigmoid erf erfc relu softplus logsigmoid silu gelu leaky_relu elu square reciprocal neg"
    )
    for name in names.split():
        assert math.isnan(getattr(cr, name)(cr.tensor([NAN])).item()), name


def test_functions_are_nan_outside_their_domain() -> None:
    for f, x in ((cr.log, -1.0), (cr.sqrt, -1.0), (cr.asin, 1.5), (cr.acos, -1.5), (cr.log1p, -2)):
        assert math.isnan(f(cr.tensor([float(x)])).item())


# Two operands -------------------------------------------------------------------------------------


def test_maximum_and_minimum_share_the_derivative_of_a_tie_evenly() -> None:
    a, b = [1.0, 2.0, 3.0], [3.0, 2.0, 1.0]
    assert slope(cr.maximum, a, b) == [[3.0, 2.0, 3.0], [0.0, 0.5, 1.0], [1.0, 0.5, 0.0]]
    assert slope(cr.minimum, a, b) == [[1.0, 2.0, 1.0], [1.0, 0.5, 0.0], [0.0, 0.5, 1.0]]


def test_maximum_of_a_tensor_with_itself_has_the_whole_derivative() -> None:
    assert slope(lambda x: cr.maximum(x, x), 3.0) == [3.0, 1.0]


def test_maximum_and_minimum_return_nan_for_nan_on_either_side() -> None:
    for f in (cr.maximum, cr.minimum):
        got = slope(f, [NAN, 1.0], [1.0, NAN])
        assert same(got, [[NAN, NAN], [0.0, 0.0], [0.0, 0.0]])


def test_division_carries_both_derivatives() -> None:
    assert slope(cr.div, 6.0, 2.0) == [3.0, 0.5, -1.5]
    assert slope(cr.div, 1.0, 0.0) == [INF, INF, -INF]


def test_the_angle_at_the_origin_is_zero_and_flat() -> None:
    assert slope(cr.atan2, 0.0, 0.0) == [0.0, 0.0, 0.0]


def test_the_derivative_of_an_angle_does_not_overflow() -> None:
    got = slope(cr.atan2, 1e200, 1e200)
    np.testing.assert_allclose(got, [math.pi / 4, 0.5e-200, -0.5e-200], rtol=1e-14)


def test_hypot_is_flat_at_the_origin_and_does_not_overflow() -> None:
    assert slope(cr.hypot, 0.0, 0.0) == [0.0, 0.0, 0.0]
    np.testing.assert_allclose(slope(cr.hypot, 3e200, 4e200), [5e200, 0.6, 0.8], rtol=1e-15)


def test_logaddexp_neither_overflows_nor_loses_infinities() -> None:
    got = slope(cr.logaddexp, [1e4, -INF, INF, -INF], [1e4, 2.0, 2.0, -INF])
    want = [[1e4 + math.log(2), 2.0, INF, -INF], [0.5, 0.0, 1.0, 0.5], [0.5, 1.0, 0.0, 0.5]]
    np.testing.assert_allclose(got, want, rtol=1e-15)


def test_power_with_a_tensor_exponent_at_zero() -> None:
    base, exponent = [0.0, 0.0, 0.0, 2.0], [2.0, 0.0, 1.0, 0.0]
    value, dbase, dexponent = slope(cr.pow, base, exponent)
    assert value == [0.0, 1.0, 0.0, 1.0]
    assert dbase == [0.0, 0.0, 1.0, 0.0]
    np.testing.assert_allclose(dexponent, [0.0, 0.0, 0.0, math.log(2)], rtol=1e-15)


def test_a_constant_exponent_takes_no_logarithm_of_a_negative_base() -> None:
    exponent = cr.tensor([2.0, 3.0])
    assert slope(lambda x: x**exponent, [-2.0, -2.0]) == [[4.0, -8.0], [-4.0, 12.0]]


@pytest.mark.parametrize("exponent", [-2, -1, -0.5, 0, 0.5, 1, 1.5, 2, 2.0, 3, 3.0, 4])
def test_number_exponents_agree_with_tensor_exponents_to_second_order(exponent: float) -> None:
    x = np.array([0.5, 1.0, 2.5])

    def by_number(a: Any) -> Any:
        return a**exponent

    def by_tensor(a: Any) -> Any:
        return a ** cr.tensor(np.float64(exponent))

    np.testing.assert_allclose(slope(by_number, x), slope(by_tensor, x), rtol=1e-14)
    assert gradgradcheck(by_number, (x,))
    assert gradgradcheck(by_tensor, (x,))


def test_remainder_agrees_with_its_quotient_where_division_rounds() -> None:
    value, da, db = slope(cr.remainder, 1.0, 0.1)
    assert value == 1.0 % 0.1
    assert (da, db) == (1.0, -9.0)  # 1 / 0.1 rounds to 10, but 0.1 goes into 1 nine times


def test_remainder_of_infinite_divisors_follows_python() -> None:
    assert slope(cr.remainder, [2.0, -2.0], [INF, INF]) == [[2.0, INF], [1.0, 1.0], [-0.0, 1.0]]


# Selection ----------------------------------------------------------------------------------------


def test_where_gives_the_derivative_to_the_branch_taken() -> None:
    taken = cr.tensor([True, False, True])
    assert slope(lambda a, b: cr.where(taken, a, b), [1.0, 2.0, 3.0], [4.0, 5.0, 6.0]) == [
        [1.0, 5.0, 3.0], [1.0, 0.0, 1.0], [0.0, 1.0, 0.0],
    ]  # fmt: skip


def test_where_keeps_the_nan_of_the_branch_not_taken_as_pytorch_does() -> None:
    value, gradient = slope(lambda x: cr.where(x > 0, cr.log(x), 0.0), [0.0, 2.0])
    assert value == [0.0, math.log(2.0)]
    assert same(gradient, [NAN, 0.5])


def test_where_with_safe_operands_has_no_nan() -> None:
    def safe_log(x: Any) -> Any:
        return cr.where(x > 0, cr.log(cr.where(x > 0, x, 1.0)), 0.0)

    assert slope(safe_log, [0.0, 2.0])[1] == [0.0, 0.5]


def test_where_itself_multiplies_no_infinite_cotangent_by_zero() -> None:
    x = cr.tensor([1.0, 2.0], requires_grad=True)
    cr.where(cr.tensor([True, False]), x, 0.0).backward(cr.tensor([1.0, INF]))
    assert x.grad.tolist() == [1.0, 0.0]


def test_where_takes_numbers_and_broadcasts() -> None:
    y = cr.where(cr.tensor([[True], [False]]), 1, cr.tensor([2.0, 3.0]))
    assert y.tolist() == [[1.0, 1.0], [2.0, 3.0]]
    assert cr.where(cr.tensor([True, False]), 1.0, 2.0).dtype == cr.float32
    assert cr.where(cr.tensor([True, False]), 1, 2).dtype == cr.int64


def test_clip_with_tensor_bounds_gives_the_derivative_to_the_bound_that_holds() -> None:
    got = slope(cr.clip, [-1.0, 0.5, 3.0], [0.0, 0.0, 0.0], [1.0, 1.0, 2.0])
    assert got == [[0.0, 0.5, 2.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]


def test_clip_without_bounds_is_refused() -> None:
    with pytest.raises(ArgumentError, match="min or max"):
        cr.clip(cr.tensor([1.0]))


def test_clip_of_integers_stays_integer_unless_a_bound_is_not() -> None:
    x = cr.tensor([1, 5])
    assert cr.clip(x, 2, 4).dtype == cr.int64
    assert cr.clip(x, max=2.5).dtype == cr.float32
    assert cr.clip(x, max=2.5).tolist() == [1.0, 2.5]


# Rounding and tests -------------------------------------------------------------------------------


def test_rounding_goes_to_even_at_ties() -> None:
    x = cr.tensor([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5])
    assert cr.round(x).tolist() == [-2.0, -2.0, 0.0, 0.0, 2.0, 2.0]
    assert cr.trunc(x).tolist() == [-2.0, -1.0, 0.0, 0.0, 1.0, 2.0]


def test_rounding_takes_decimals() -> None:
    assert cr.round(cr.tensor(np.array([1.25, 1.35])), 1).tolist() == [1.2, 1.4]
    assert cr.round(cr.tensor([151.0, 249.0]), -2).tolist() == [200.0, 200.0]


def test_rounding_leaves_integers_and_infinities_alone() -> None:
    for f in (cr.floor, cr.ceil, cr.round, cr.trunc):
        assert f(cr.tensor([3, -4])).dtype == cr.int64
        assert f(cr.tensor([INF, -INF])).tolist() == [INF, -INF]


def test_nan_compares_false_with_everything_even_itself() -> None:
    x = cr.tensor([NAN])
    for f in (cr.eq, cr.lt, cr.le, cr.gt, cr.ge):
        assert f(x, x).tolist() == [False]
    assert cr.ne(x, x).tolist() == [True]


def test_tests_of_numbers_tell_nan_infinite_and_finite_apart() -> None:
    x = cr.tensor([NAN, INF, -INF, 0.0])
    assert cr.isnan(x).tolist() == [True, False, False, False]
    assert cr.isinf(x).tolist() == [False, True, True, False]
    assert cr.isfinite(x).tolist() == [False, False, False, True]
    assert cr.isfinite(cr.tensor([1, 2])).tolist() == [True, True]


def test_comparisons_carry_no_derivative() -> None:
    x = cr.tensor([1.0], requires_grad=True)
    for y in (x > 0, cr.floor_divide(x, 2.0), cr.isnan(x)):
        assert not y.requires_grad
    with pytest.raises(GradientError, match="a comparison"):
        (x > 0).sum().backward()


@pytest.mark.parametrize("f", [cr.sign, cr.floor, cr.ceil, cr.round, cr.trunc])
def test_steps_have_the_derivative_zero_at_jumps_and_under_infinite_cotangents(f: Any) -> None:
    x = cr.tensor([-1.5, 0.0, 0.5, 2.0, NAN], requires_grad=True)
    f(x).backward(cr.tensor([1.0, INF, NAN, -INF, 1.0]))
    assert x.grad is not None
    assert x.grad.tolist() == [0.0] * 5
    assert cr.jvp(f, (x,), (cr.ones(5),))[1].tolist() == [0.0] * 5


def test_logic_takes_any_numbers_for_truth_values() -> None:
    x = cr.tensor([0.0, 2.0, NAN])
    assert cr.logical_not(x).tolist() == [True, False, False]
    assert cr.logical_and(x, True).tolist() == [False, True, True]
    assert cr.logical_or(x, cr.tensor([0, 0, 0])).tolist() == [False, True, True]
    assert cr.logical_xor(x, 1).tolist() == [True, False, False]


def test_exact_slopes_survive_in_double_precision() -> None:
    assert slope(lambda x: cr.leaky_relu(x, 0.1), -3.0)[1] == 0.1
    assert slope(lambda x: cr.elu(x, 0.1), -0.0)[1] == 0.1


# Empty, scalar and refused operands ---------------------------------------------------------------


def test_empty_tensors_pass_through() -> None:
    x = cr.zeros(0, 3)
    for f in (cr.exp, cr.erf, cr.gelu, cr.softplus, cr.relu, cr.abs, cr.round, cr.isnan):
        assert f(x).shape == (0, 3)
    assert (x + cr.zeros(1, 3)).shape == (0, 3)


def test_zero_dimensional_tensors_stay_zero_dimensional() -> None:
    x = cr.tensor(0.5)
    for f in (cr.exp, cr.erf, cr.gelu, cr.softplus, cr.relu, cr.abs, cr.round, cr.elu):
        assert f(x).shape == ()


def test_shapes_that_do_not_broadcast_are_refused_with_both_shapes() -> None:
    with pytest.raises(ShapeError, match=r"(?s)do not broadcast.*\(2,\).*\(3,\)"):
        cr.ones(2) + cr.ones(3)
    with pytest.raises(ShapeError):
        cr.where(cr.ones(2) > 0, cr.ones(3), 0.0)


def test_the_error_names_the_line_of_the_user() -> None:
    with pytest.raises(ShapeError) as caught:
        cr.ones(2) * cr.ones(3)
    assert "test_edges_elementwise.py" in str(caught.value)


@pytest.mark.parametrize("operand", ["text", None, [1.0], object()])
def test_operands_that_are_no_numbers_are_refused(operand: Any) -> None:
    for f in (cr.add, cr.pow, cr.maximum):
        with pytest.raises(ChainruleError):
            f(cr.ones(2), operand)


def test_subtraction_and_negation_of_truth_values_are_refused() -> None:
    truth = cr.tensor([True, False])
    with pytest.raises(DTypeError, match="truth values"):
        _ = truth - truth
    with pytest.raises(DTypeError, match="truth values"):
        _ = -truth


def test_unknown_approximation_and_zero_beta_are_refused() -> None:
    with pytest.raises(ArgumentError, match="approximation"):
        cr.gelu(cr.ones(2), approximate="erf")
    with pytest.raises(ArgumentError, match="beta"):
        cr.softplus(cr.ones(2), beta=0.0)


def test_a_negative_integer_power_of_integers_is_refused() -> None:
    with pytest.raises(ArgumentError, match="negative integer powers"):
        cr.tensor([1, 2]) ** -1


def test_integers_wrap_around_as_in_numpy() -> None:
    x = cr.tensor(np.array([127], np.int8))
    assert (x + 1).tolist() == [-128]
    with pytest.raises(ArgumentError, match="out of bounds"):
        x + 300


def test_operands_are_never_changed() -> None:
    x = np.linspace(-3, 3, 7)
    before = x.copy()
    for f in (cr.erf, cr.gelu, cr.softplus, cr.leaky_relu, cr.elu, cr.silu, cr.sigmoid, cr.relu):
        f(x)
        t = cr.tensor(x, requires_grad=True)
        cr.sum(f(t) * cr.clip(t, 0.0)).backward()
    np.testing.assert_array_equal(x, before)


def test_a_factor_changed_after_the_product_does_not_change_the_gradient() -> None:
    factor = np.array([2.0, 3.0])
    x = cr.tensor(np.array([1.0, 1.0]), requires_grad=True)
    y = cr.sum(x * factor)
    factor[:] = 100.0
    y.backward()
    assert x.grad.tolist() == [2.0, 3.0]


# Second order at kinks ----------------------------------------------------------------------------


def second(f: Callable[[Any], Any], x: float) -> float:
    t = cr.tensor(np.float64(x), requires_grad=True)
    (first,) = cr.gradients(f(t), [t], create_graph=True)
    if not first.requires_grad:
        return 0.0
    (found,) = cr.gradients(first, [t], allow_unused=True)
    return 0.0 if found is None else float(found.item())


def test_piecewise_linear_functions_have_no_curvature() -> None:
    for f in (cr.abs, cr.relu, cr.leaky_relu, lambda x: cr.clip(x, -1, 1), lambda x: x % 3):
        for x in (-0.5, 0.0, 0.5):
            assert second(f, x) == 0.0


def test_curvature_at_special_points() -> None:
    assert second(lambda x: x**2, 0.0) == 2.0
    assert second(lambda x: x**3, 0.0) == 0.0
    assert second(lambda x: x**0, 0.0) == 0.0
    assert second(lambda x: x**1, 0.0) == 0.0
    assert second(cr.sigmoid, 1e4) == 0.0
    assert second(cr.tanh, -1e4) == 0.0
    assert second(cr.softplus, 0.0) == 0.25


def test_mixed_derivatives_of_the_general_power_are_right() -> None:
    base, exponent = np.array([0.5, 2.0, 3.0]), np.array([0.0, 1.0, -1.5])
    assert gradcheck(cr.pow, (base, exponent))
    assert gradgradcheck(cr.pow, (base, exponent))


@pytest.mark.parametrize(
    ("dtype", "size"), [("float16", 300.0), ("float32", 3e19), ("float64", 1e160)]
)
def test_gelu_is_straight_where_the_square_overflows(dtype: str, size: float) -> None:
    for x in (size, -size):
        at = cr.tensor(np.array([x], dtype), requires_grad=True)
        slope = cr.autograd.grad(cr.gelu(at).sum(), at, create_graph=True)[0]
        (bend,) = cr.autograd.grad(slope.sum(), at)
        assert slope.item() == float(x > 0)
        assert bend.item() == 0.0
