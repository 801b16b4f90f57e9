"""Reductions and orderings at the awkward points: ties, zeros, NaN, infinity, no elements, one."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import (
    ArgumentError,
    ChainruleError,
    DTypeError,
    IndexRangeError,
    ShapeError,
)
from chainrule.testing import gradcheck, gradgradcheck

INF, NAN = math.inf, math.nan
RNG = np.random.default_rng(0)


def slope(f: Callable[[Any], Any], x: Any, weights: Any = 1.0) -> tuple[Any, Any]:
    """The value of f at x, and the gradient of the sum of f weighted by `weights`, as lists."""
    t = cr.tensor(np.asarray(x, np.float64), requires_grad=True)
    y = f(t)
    cr.sum(y * cr.tensor(np.asarray(weights, np.float64))).backward()
    return y.tolist(), t.grad.tolist()


def same(got: Any, want: Any) -> bool:
    return bool(np.array_equal(np.asarray(got), np.asarray(want), equal_nan=True))


# Ties and winners ---------------------------------------------------------------------------------


def test_max_over_all_elements_shares_the_derivative_among_ties_evenly() -> None:
    assert slope(cr.max, [[1.0, 3.0], [3.0, 3.0]]) == (3.0, [[0, 1 / 3], [1 / 3, 1 / 3]])
    assert slope(cr.min, [2.0, 1.0, 1.0]) == (1.0, [0.0, 0.5, 0.5])


def test_amax_over_an_axis_shares_the_derivative_among_ties_evenly() -> None:
    x = [[1.0, 3.0, 3.0], [2.0, 0.0, 2.0]]
    assert slope(lambda t: cr.amax(t, 1), x, [2.0, 4.0])[1] == [[0, 1, 1], [2, 0, 2]]
    assert slope(lambda t: cr.amin(-t, 1), x, [2.0, 4.0])[1] == [[0, -1, -1], [-2, 0, -2]]


def test_max_along_an_axis_gives_the_whole_derivative_to_the_first_winner() -> None:
    x = [[1.0, 3.0, 3.0], [2.0, 0.0, 2.0]]
    assert slope(lambda t: cr.max(t, 1)[0], x, [2.0, 4.0])[1] == [[0, 2, 0], [4, 0, 0]]
    assert slope(lambda t: cr.min(-t, -1)[0], x, [2.0, 4.0])[1] == [[0, -2, 0], [-4, 0, 0]]


def test_max_along_an_axis_returns_values_and_indices() -> None:
    x = cr.tensor([[1.0, 3.0, 3.0], [2.0, 0.0, 2.0]])
    found = cr.max(x, 1)
    assert found.values.tolist() == [3.0, 2.0]
    assert found.indices.tolist() == [1, 0]
    assert found.indices.dtype == cr.int64
    values, indices = cr.min(x, 0, keepdim=True)
    assert (values.shape, indices.tolist()) == ((1, 3), [[0, 1, 1]])


def test_max_of_two_tensors_is_their_maximum() -> None:
    assert cr.max(cr.tensor([1.0, 5.0]), cr.tensor([3.0, 2.0])).tolist() == [3.0, 5.0]
    assert cr.min(cr.tensor([1.0, 5.0]), cr.tensor([3.0, 2.0])).tolist() == [1.0, 2.0]


def test_argmax_is_the_first_of_equals_and_of_the_flattened_tensor_without_dim() -> None:
    x = cr.tensor([[1.0, 3.0, 3.0], [3.0, 0.0, 0.0]])
    assert cr.argmax(x).item() == 1
    assert cr.argmax(x, 1).tolist() == [1, 0]
    assert cr.argmin(x, -1, keepdim=True).tolist() == [[0], [1]]
    assert cr.argmax(x, keepdim=True).shape == (1, 1)


def test_the_infinity_norm_shares_the_derivative_among_ties_evenly() -> None:
    assert slope(lambda t: cr.norm(t, INF), [-2.0, 1.0, 2.0]) == (2.0, [-0.5, 0.0, 0.5])
    assert slope(lambda t: cr.norm(t, -INF), [-1.0, 2.0, 1.0]) == (1.0, [-0.5, 0.0, 0.5])


# NaN and infinity ---------------------------------------------------------------------------------


def test_nan_is_the_greatest_and_the_least() -> None:
    x = cr.tensor([1.0, NAN, 3.0])
    for f in (cr.max, cr.min, cr.amax, cr.amin, cr.sum, cr.mean, cr.var, cr.norm, cr.logsumexp):
        assert math.isnan(f(x).item())
    assert cr.argmax(x).item() == cr.argmin(x).item() == 1
    assert cr.max(x, 0).indices.item() == 1


def test_logsumexp_neither_overflows_nor_underflows() -> None:
    x = [[1e4, 1e4], [-1e4, -1e4], [-INF, 0.0], [1e38, -1e38]]
    value, gradient = slope(lambda t: cr.logsumexp(t, 1), x)
    log2 = math.log(2)
    np.testing.assert_allclose(value, [1e4 + log2, -1e4 + log2, 0.0, 1e38], rtol=1e-15)
    want = [[0.5, 0.5], [0.5, 0.5], [0.0, 1.0], [1.0, 0.0]]
    np.testing.assert_allclose(gradient, want, rtol=1e-12)


def test_logsumexp_of_nothing_but_minus_infinity_is_minus_infinity_and_flat() -> None:
    assert slope(cr.logsumexp, [-INF, -INF]) == (-INF, [0.0, 0.0])


def test_logsumexp_of_infinity_is_infinity() -> None:
    assert cr.logsumexp(cr.tensor([INF, 0.0])).item() == INF


def test_logsumexp_of_a_million_terms_is_accurate() -> None:
    x = cr.zeros(1_000_000, dtype=np.float32)
    assert cr.logsumexp(x).item() == pytest.approx(math.log(1e6), rel=1e-7)


def test_sums_of_opposite_infinities_are_not_numbers() -> None:
    assert math.isnan(cr.sum(cr.tensor([INF, -INF])).item())
    assert cr.mean(cr.tensor([INF, 1.0])).item() == INF


# No elements, one element -------------------------------------------------------------------------


def test_reductions_of_no_elements_are_their_neutral_elements() -> None:
    x = cr.zeros(0)
    assert cr.sum(x).item() == 0.0
    assert cr.prod(x).item() == 1.0
    assert cr.norm(x).item() == cr.norm(x, 1).item() == 0.0
    assert cr.logsumexp(x).item() == -INF
    assert cr.any(x).item() is False
    assert cr.all(x).item() is True
    for f in (cr.mean, cr.var, cr.std):
        assert math.isnan(f(x).item())


def test_reductions_over_an_empty_axis_keep_the_others() -> None:
    x = cr.zeros(2, 0, 3)
    assert cr.sum(x, 1).tolist() == [[0.0] * 3] * 2
    assert cr.sum(x, 0).shape == (0, 3)
    assert cr.prod(x, 1, keepdim=True).shape == (2, 1, 3)
    assert cr.cumsum(x, 1).shape == cr.sort(x, 1).values.shape == (2, 0, 3)
    assert cr.amax(x, 2).shape == (2, 0)


@pytest.mark.parametrize("f", [cr.max, cr.min, cr.amax, cr.amin, cr.argmax, cr.argmin])
def test_the_extreme_of_no_elements_is_refused(f: Callable[..., Any]) -> None:
    for arguments in ((), (1,)):
        with pytest.raises(ShapeError, match="of no elements"):
            f(cr.zeros(2, 0), *arguments)


def test_the_infinity_norm_of_no_elements_is_refused() -> None:
    with pytest.raises(ShapeError, match="of no elements"):
        cr.norm(cr.zeros(0), INF)


def test_gradients_of_reductions_of_no_elements_are_empty() -> None:
    for f in (cr.sum, cr.mean, cr.prod, cr.norm, cr.logsumexp, cr.var):
        assert slope(f, np.zeros((0,)))[1] == []


def test_the_variance_of_one_element_is_nan_and_zero_without_correction() -> None:
    x = cr.tensor([3.0])
    assert math.isnan(cr.var(x).item())
    assert math.isnan(cr.std(x).item())
    assert cr.var(x, correction=0).item() == 0.0


def test_zero_dimensional_tensors_reduce_to_themselves() -> None:
    x = cr.tensor(3.0)
    for f in (cr.sum, cr.mean, cr.prod, cr.max, cr.min, cr.amax, cr.norm, cr.logsumexp):
        assert f(x).shape == ()
        assert f(x).item() == 3.0
    assert cr.sum(x, 0).item() == cr.sum(x, -1).item() == 3.0
    assert cr.max(x, 0).values.item() == 3.0
    assert cr.sort(x).values.item() == cr.topk(x, 1).values.item() == cr.cumsum(x, 0).item() == 3.0
    assert cr.argmax(x, 0).item() == cr.argsort(x).item() == 0


# Axes ---------------------------------------------------------------------------------------------

REDUCTIONS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "sum": (cr.sum, np.sum),
    "mean": (cr.mean, np.mean),
    "prod": (cr.prod, np.prod),
    "amax": (cr.amax, np.max),
    "amin": (cr.amin, np.min),
    "any": (cr.any, np.any),
    "all": (cr.all, np.all),
    "var": (lambda x, d, keepdim: cr.var(x, d, correction=0, keepdim=keepdim), np.var),
    "std": (lambda x, d, keepdim: cr.std(x, d, correction=0, keepdim=keepdim), np.std),
}


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("dim", [None, 0, 1, -1, (0, 2), (-1, 0), [1], (0, 1, 2)], ids=str)
@pytest.mark.parametrize("keepdim", [False, True])
def test_axes_are_reduced_as_numpy_does(name: str, dim: Any, keepdim: bool) -> None:
    f, in_numpy = REDUCTIONS[name]
    x = RNG.normal(size=(2, 3, 4))
    axis = tuple(dim) if isinstance(dim, list) else dim
    want = in_numpy(x, axis=axis, keepdims=keepdim)
    got = f(cr.tensor(x), dim, keepdim=keepdim)
    assert got.shape == want.shape
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-13)


def test_an_empty_tuple_of_axes_reduces_nothing() -> None:
    assert cr.sum(cr.tensor([1.0, 2.0]), ()).tolist() == [1.0, 2.0]
    assert cr.prod(cr.tensor([1.0, 2.0]), ()).tolist() == [1.0, 2.0]


def test_transposed_strided_and_broadcast_arrays_reduce_right() -> None:
    x = RNG.normal(size=(300, 5, 4))
    for view in (x.T, x[::-2], np.broadcast_to(x[:1], x.shape), np.asfortranarray(x)):
        for dim in range(3):
            got = cr.sum(cr.tensor(view), dim).numpy()
            np.testing.assert_allclose(got, view.sum(dim), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dim", [3, -4, (0, 3)])
def test_an_axis_out_of_range_is_refused(dim: Any) -> None:
    x = cr.ones(2, 3, 4)
    for f in (cr.sum, cr.mean, cr.var, cr.amax, cr.prod, cr.norm):
        with pytest.raises(IndexRangeError, match="axis out of range"):
            f(x, dim=dim)
    if isinstance(dim, int):
        for f in (cr.max, cr.argmax, cr.sort, cr.cumsum, cr.argsort):
            with pytest.raises(IndexRangeError, match="axis out of range"):
                f(x, dim=dim)


def test_an_axis_named_twice_is_refused() -> None:
    with pytest.raises(ShapeError, match="named twice"):
        cr.sum(cr.ones(2, 3), (1, -1))


def test_the_error_names_the_line_of_the_user() -> None:
    for failing in (lambda x: cr.sum(x, 7), lambda x: cr.topk(x, 9), lambda x: cr.max(x[:0])):
        with pytest.raises(ChainruleError) as caught:
            failing(cr.ones(2))
        assert "test_edges_reduce.py" in str(caught.value)


@pytest.mark.parametrize("operand", ["text", [1.0, 2.0], None])
def test_operands_that_are_no_tensors_are_refused(operand: Any) -> None:
    for f in (cr.sum, cr.mean, cr.max, cr.prod, cr.norm):
        with pytest.raises(DTypeError, match="tensor"):
            f(operand)


# Element types ------------------------------------------------------------------------------------


def test_sums_and_products_of_integers_and_truth_values_are_int64() -> None:
    for dtype in ("?", "i1", "u1", "i4", "i8"):
        x = cr.tensor(np.ones(300, dtype))
        assert cr.sum(x).dtype == cr.sum(x, 0).dtype == cr.prod(x).dtype == cr.int64
        assert cr.cumsum(x, 0).dtype == cr.int64
        assert cr.sum(x).item() == 300
        assert cr.cumsum(x, 0)[-1].item() == 300


def test_means_and_moments_of_integers_are_in_the_default_float() -> None:
    x = cr.tensor([[1, 2], [3, 4]])
    for f in (cr.mean, cr.var, cr.std, cr.norm, cr.logsumexp):
        assert f(x).dtype == cr.float32
    assert cr.mean(x).item() == 2.5
    assert cr.mean(x > 1).item() == 0.75
    assert cr.norm(cr.tensor([3, 4])).item() == 5.0


def test_floats_keep_their_dtype() -> None:
    for dtype in ("f2", "f4", "f8"):
        x = cr.tensor(np.ones((3, 2), dtype))
        for f in (cr.sum, cr.mean, cr.prod, cr.var, cr.std, cr.norm, cr.logsumexp, cr.amax):
            assert f(x).dtype == f(x, dim=0).dtype == dtype


def test_extremes_of_integers_stay_integers() -> None:
    x = cr.tensor(np.array([3, 1, 2], np.int32))
    assert cr.max(x).dtype == cr.amin(x, 0).dtype == cr.sort(x).values.dtype == cr.int32


def test_the_mean_of_half_precision_does_not_overflow() -> None:
    assert cr.mean(cr.full((1000,), 100.0, dtype=np.float16)).item() == 100.0
    assert cr.var(cr.tensor(np.array([0, 600], np.float16)), correction=0).item() == INF
    assert cr.std(cr.tensor(np.array([0, 600], np.float16)), correction=0).item() == 300.0


def test_arrays_in_give_arrays_out() -> None:
    x = np.array([[3.0, 1.0], [2.0, 4.0]])
    for y in (cr.sum(x, 0), cr.mean(x, 1), cr.var(x, 0), cr.norm(x, 2, 0), cr.sort(x).values):
        assert type(y) is np.ndarray
    assert cr.sum(x) == 10.0


# Derivatives at special points --------------------------------------------------------------------


@pytest.mark.parametrize("p", [0, 0.5, 1, 1.5, 2, 3, INF, "fro", None])
def test_the_norm_is_flat_at_zero(p: Any) -> None:
    assert slope(lambda t: cr.norm(t, p), [0.0, 0.0, 0.0]) == (0.0, [0.0, 0.0, 0.0])


@pytest.mark.parametrize("p", [0.5, 1, 1.5, 2, 3, -1, INF, -INF])
def test_norms_of_rows_have_the_right_derivative(p: float) -> None:
    x = np.array([[1.0, -2.0, 0.5], [-0.3, 0.7, 1.1]])
    for keepdim in (False, True):
        assert gradcheck(lambda t, k=keepdim: cr.norm(t, p, 1, k), (x,))
    assert gradgradcheck(lambda t: cr.norm(t, p, 0), (x,))


def test_one_zero_among_others_does_not_disturb_a_norm() -> None:
    for p in (1.5, 2, 3):
        _, gradient = slope(lambda t, p=p: cr.norm(t, p), [0.0, 2.0])
        assert gradient == [0.0, 1.0]


def test_an_unknown_norm_is_refused() -> None:
    with pytest.raises(ArgumentError, match="no such norm"):
        cr.norm(cr.ones(2), "spectral")


def test_a_constant_has_a_flat_standard_deviation() -> None:
    assert slope(cr.std, [2.0, 2.0, 2.0]) == (0.0, [0.0, 0.0, 0.0])


@pytest.mark.parametrize(
    ("x", "gradient"),
    [
        ([2.0, 3.0, 4.0], [12.0, 8.0, 6.0]),
        ([0.0, 3.0, 4.0], [12.0, 0.0, 0.0]),
        ([0.0, 3.0, 0.0], [0.0, 0.0, 0.0]),
        ([-0.0, 3.0], [3.0, -0.0]),
        ([5.0], [1.0]),
    ],
)
def test_the_gradient_of_a_product_is_right_with_zeros(x: Any, gradient: Any) -> None:
    assert slope(cr.prod, x)[1] == gradient
    assert slope(lambda t: cr.prod(t, 0), x)[1] == gradient


@pytest.mark.parametrize("x", [[2.0, 3.0, 4.0], [0.0, 3.0, 4.0], [0.0, 3.0, 0.0], [0.0, 0.0, 0.0]])
def test_a_product_is_differentiable_twice_with_zeros(x: Any) -> None:
    a, b, c = x
    hessian = cr.hessian(cr.prod)(cr.tensor(np.array(x)))
    assert hessian.tolist() == [[0.0, c, b], [c, 0.0, a], [b, a, 0.0]]


def test_a_product_over_several_axes_is_differentiable_twice() -> None:
    x = np.array([[[1.5, 0.0], [2.0, -1.0]], [[0.5, 3.0], [0.0, 0.0]]])
    for dim in (None, 0, -1, (0, 2), (1, 2)):
        for keepdim in (False, True):
            assert gradcheck(lambda t, d=dim, k=keepdim: cr.prod(t, d, k), (x,))
        assert gradgradcheck(lambda t, d=dim: cr.prod(t, d), (x,))


def test_the_mean_divides_the_derivative_by_the_count() -> None:
    x = RNG.normal(size=(2, 3))
    assert slope(cr.mean, x)[1] == [[1 / 6] * 3] * 2
    assert slope(lambda t: cr.mean(t, 0, True), x, [[2.0, 4.0, 6.0]])[1] == [[1.0, 2.0, 3.0]] * 2


def test_every_correction_has_the_right_derivative() -> None:
    x = RNG.normal(size=(4, 3))
    for correction in (0, 1, 2, 0.5):
        assert gradcheck(lambda t, c=correction: cr.var(t, 0, correction=c), (x,))
        assert gradcheck(lambda t, c=correction: cr.std(t, (0, 1), correction=c), (x,))


def test_any_and_all_count_nan_as_true() -> None:
    assert cr.any(cr.tensor([0.0, NAN])).item() is True
    assert cr.all(cr.tensor([1.0, NAN])).item() is True


# The un-broadcast ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "small"),
    [((2, 3), ()), ((2, 3), (3,)), ((2, 3), (1, 3)), ((2, 3), (2, 1)), ((4, 2, 3), (2, 1)),
     ((0, 3), (3,)), ((0, 3), (1, 3)), ((1, 1), ()), ((2, 3), (2, 3))],
)  # fmt: skip
def test_sum_to_undoes_a_broadcast(shape: Any, small: Any) -> None:
    x, ct = RNG.normal(size=shape), RNG.normal(size=small)
    got = cr.sum_to(cr.tensor(x), small)
    assert got.shape == small
    adjoint = float(np.sum(x * np.broadcast_to(ct, shape)))
    assert float(np.sum(got.numpy() * ct)) == pytest.approx(adjoint, rel=1e-12, abs=1e-12)


def test_sum_to_a_shape_that_does_not_broadcast_is_refused() -> None:
    for small in ((2,), (3, 3), (2, 3, 1)):
        with pytest.raises(ShapeError):
            cr.sum_to(cr.ones(2, 3), small)


def test_a_broadcast_operand_equals_an_explicitly_tiled_one() -> None:
    a, b = RNG.normal(size=(4, 1, 3)), RNG.normal(size=(2, 1))
    x, y = cr.tensor(a, requires_grad=True), cr.tensor(b, requires_grad=True)
    cr.sum(cr.exp(x * y)).backward()
    tiled_a = cr.tensor(np.tile(a, (1, 2, 1)), requires_grad=True)
    tiled_b = cr.tensor(np.tile(b, (4, 1, 3)), requires_grad=True)
    cr.sum(cr.exp(tiled_a * tiled_b)).backward()
    np.testing.assert_allclose(x.grad.numpy(), tiled_a.grad.numpy().sum(1, keepdims=True))
    np.testing.assert_allclose(y.grad.numpy(), tiled_b.grad.numpy().sum((0, 2))[:, None])
