"""Order statistics, scans, bins and sets: NumPy's and PyTorch's conventions at awkward points."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ArgumentError, IndexRangeError, ShapeError

NAN, INF = math.nan, math.inf
RNG = np.random.default_rng(5)


def array(x: Any) -> np.ndarray:
    return np.asarray(x.detach().numpy())


def gradient(y: cr.Tensor, x: cr.Tensor) -> np.ndarray:
    return array(cr.gradients([cr.sum(y)], [x])[0])


def leaf(*values: float) -> cr.Tensor:
    return cr.tensor(np.array(values), requires_grad=True)


# Scans --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("zeros", [(), (2,), (0,), (1, 3), (0, 1, 2, 3, 4)])
def test_cumprod_and_its_gradient_with_zeros(zeros: tuple[int, ...]) -> None:
    x = RNG.uniform(0.5, 2, 5)
    x[list(zeros)] = 0
    w = RNG.uniform(-1, 1, 5)
    t = cr.tensor(x, requires_grad=True)
    y = cr.cumprod(t, 0)
    np.testing.assert_allclose(array(y), np.cumprod(x), rtol=1e-14)
    want = [
        sum(w[i] * np.prod(np.delete(x[: i + 1], k)) for i in range(k, 5)) for k in range(5)
    ]  # fmt: skip
    np.testing.assert_allclose(gradient(y * w, t), want, rtol=1e-13, atol=1e-15)


def test_cumprod_has_second_derivatives_at_a_zero() -> None:
    x = leaf(2.0, 0.0, 3.0)
    (first,) = cr.gradients([cr.cumprod(x, 0)[2]], [x], create_graph=True)
    rows = [array(cr.gradients([first[i]], [x], retain_graph=True)[0]) for i in range(3)]
    np.testing.assert_array_equal(rows, [[0, 3, 0], [3, 0, 2], [0, 2, 0]])


@pytest.mark.parametrize("shape", [(), (1,), (0,), (2, 0), (3, 7), (2, 5, 3)])
def test_scans_of_every_shape(shape: tuple[int, ...]) -> None:
    x = RNG.normal(size=shape)
    for dim in range(-len(shape), len(shape)) if shape else (0, -1):
        want = np.cumprod(x, dim) if shape else x
        np.testing.assert_allclose(array(cr.cumprod(cr.tensor(x), dim)), want, rtol=1e-13)
        sums = np.logaddexp.accumulate(x, dim) if shape else x
        np.testing.assert_allclose(array(cr.logcumsumexp(cr.tensor(x), dim)), sums, rtol=1e-12)
        if 0 not in shape:
            best = np.maximum.accumulate(x, dim) if shape else x
            np.testing.assert_array_equal(array(cr.cummax(cr.tensor(x), dim).values), best)


def test_logcumsumexp_of_minus_infinities_has_finite_gradients() -> None:
    x = leaf(-INF, -INF, 1.0, 2.0)
    y = cr.logcumsumexp(x, 0)
    np.testing.assert_allclose(array(y), [-INF, -INF, 1, np.logaddexp(1, 2)])
    assert np.isfinite(gradient(y[2:], x)).all()


def test_cummax_takes_the_last_of_equals_and_keeps_a_nan() -> None:
    values, places = cr.cummax(cr.tensor([1.0, 3.0, 3.0, 2.0, NAN, 9.0]), 0)
    np.testing.assert_array_equal(values.numpy(), [1, 3, 3, 3, NAN, NAN])
    np.testing.assert_array_equal(places.numpy(), [0, 1, 2, 2, 4, 4])
    values, places = cr.cummin(cr.tensor([2, 1, 1, 3]), 0)
    np.testing.assert_array_equal(places.numpy(), [0, 1, 2, 2])


def test_differences_and_integrals() -> None:
    y, x = RNG.normal(size=(3, 6)), np.sort(RNG.normal(size=6))
    t, points = cr.tensor(y), cr.tensor(x)
    np.testing.assert_allclose(array(cr.trapezoid(t, points)), np.trapezoid(y, x))
    np.testing.assert_allclose(
        array(cr.trapezoid(t, dx=0.5, dim=0)), np.trapezoid(y, dx=0.5, axis=0)
    )
    np.testing.assert_allclose(array(cr.diff(t, n=2)), np.diff(y, 2))
    np.testing.assert_allclose(
        array(cr.diff(t, prepend=t[:, :1], append=t[:, :2])),
        np.diff(y, prepend=y[:, :1], append=y[:, :2]),
    )
    assert cr.diff(t, n=9).shape == (3, 0)
    running = array(cr.cumulative_trapezoid(t, points))
    np.testing.assert_allclose(running[:, -1], np.trapezoid(y, x))
    with pytest.raises(ShapeError, match="dimension"):
        cr.diff(cr.tensor(1.0))


# Order statistics ---------------------------------------------------------------------------------


def test_median_is_the_lower_of_two_and_nan_if_one_is() -> None:
    assert cr.median(cr.tensor([4.0, 1.0, 3.0, 2.0])).item() == 2.0
    values, places = cr.median(cr.tensor([[1.0, NAN, 0.0], [5.0, 4.0, 6.0]]), 1)
    np.testing.assert_array_equal(values.numpy(), [NAN, 5])
    np.testing.assert_array_equal(places.numpy(), [1, 0])
    values, places = cr.nanmedian(cr.tensor([[1.0, NAN, 0.0], [NAN, NAN, NAN]]), 1)
    np.testing.assert_array_equal(values.numpy(), [0, NAN])
    assert math.isnan(cr.median(cr.zeros(0)).item())
    with pytest.raises(ShapeError, match="no elements"):
        cr.median(cr.zeros(2, 0), 1)


def test_the_gradient_of_an_order_statistic_goes_to_its_element() -> None:
    x = leaf(3.0, 1.0, 2.0)
    np.testing.assert_array_equal(gradient(cr.median(x), x), [0, 0, 1])
    np.testing.assert_array_equal(gradient(cr.kthvalue(x, 1).values, x), [0, 1, 0])
    np.testing.assert_array_equal(gradient(cr.mode(x).values, x), [0, 1, 0])
    with pytest.raises(IndexRangeError, match="no such element"):
        cr.kthvalue(x, 4)


def test_mode_is_the_least_of_the_commonest() -> None:
    x = np.array([[5, 2, 5, 2, 9], [7, 7, 1, 1, 7], [4, 3, 2, 1, 0]])
    values, places = cr.mode(cr.tensor(x), 1, keepdim=True)
    np.testing.assert_array_equal(values.numpy(), [[2], [7], [0]])
    np.testing.assert_array_equal(places.numpy(), [[3], [4], [4]])


@pytest.mark.parametrize("how", ["linear", "lower", "higher", "midpoint", "nearest"])
def test_quantiles_are_those_of_numpy(how: Any) -> None:
    x, q = RNG.normal(size=(3, 8)), np.array([0.0, 0.1, 0.33, 0.5, 1.0])
    found = cr.quantile(cr.tensor(x), cr.tensor(q), 1, interpolation=how)
    np.testing.assert_allclose(array(found), np.quantile(x, q, 1, method=how), rtol=1e-12)
    x[0, 2] = x[1, :] = NAN
    found = cr.nanquantile(cr.tensor(x), cr.tensor(q), 1, keepdim=True, interpolation=how)
    with np.errstate(all="ignore"):
        want = np.stack([np.nanquantile(row, q, method=how) if not np.isnan(row).all()
                         else np.full(5, NAN) for row in x], 1)  # fmt: skip
    np.testing.assert_allclose(array(found), want[:, :, None], rtol=1e-12)
    assert np.isnan(array(cr.quantile(cr.tensor(x), 0.5, 1))[:2]).all()


def test_a_quantile_outside_the_unit_interval_is_refused() -> None:
    with pytest.raises(ArgumentError, match="0 <= q <= 1"):
        cr.quantile(cr.tensor([1.0, 2.0]), 1.5)
    with pytest.raises(ArgumentError, match="interpolation"):
        cr.quantile(cr.tensor([1.0, 2.0]), 0.5, interpolation="cubic")


def test_sums_and_means_without_nan() -> None:
    x = leaf(1.0, NAN, 3.0)
    assert cr.nansum(x).item() == 4.0
    assert cr.nanmean(x).item() == 2.0
    np.testing.assert_array_equal(gradient(cr.nansum(x), x), [1, 0, 1])
    assert math.isnan(cr.nanmean(cr.tensor([NAN])).item())
    assert cr.count_nonzero(cr.tensor([[0, 2], [3, 4]]), 0).tolist() == [1, 2]


def test_renorm_leaves_short_slices_alone() -> None:
    x = cr.tensor(np.array([[3.0, 4.0], [0.3, 0.4]]))
    np.testing.assert_allclose(array(cr.renorm(x, 2, 0, 1.0)), [[0.6, 0.8], [0.3, 0.4]], rtol=1e-6)
    with pytest.raises(ArgumentError, match="maxnorm"):
        cr.renorm(x, 2, 0, -1.0)


# Bins and sets ------------------------------------------------------------------------------------


def test_counting() -> None:
    x = RNG.normal(size=200)
    counts, edges = cr.histogram(cr.tensor(x), 7, range=(-2.0, 2.0))
    want, want_edges = np.histogram(x, 7, (-2.0, 2.0))
    np.testing.assert_array_equal(counts.numpy(), want)
    np.testing.assert_allclose(edges.numpy(), want_edges)
    np.testing.assert_array_equal(cr.histc(cr.tensor(x), 7, -2, 2).numpy(), want)
    density = cr.histogram(cr.tensor(x), 7, range=(-2.0, 2.0), density=True).hist
    np.testing.assert_allclose(density.numpy(), np.histogram(x, 7, (-2.0, 2.0), density=True)[0])
    points = RNG.normal(size=(50, 2))
    found = cr.histogramdd(cr.tensor(points), [3, 4], weight=cr.tensor(x[:50]))
    np.testing.assert_allclose(
        found.hist.numpy(),
        np.histogramdd(points, [3, 4], weights=x[:50])[0],
        rtol=1e-12,
        atol=1e-12,
    )
    assert cr.bincount(cr.tensor([1, 1, 3]), minlength=6).tolist() == [0, 2, 0, 1, 0, 0]
    with pytest.raises(ArgumentError, match="integers >= 0"):
        cr.bincount(cr.tensor([-1, 2]))


def test_searchsorted_by_rows_sides_and_order() -> None:
    rows, wanted = np.sort(RNG.normal(size=(2, 5))), RNG.normal(size=(2, 3))
    found = cr.searchsorted(cr.tensor(rows), cr.tensor(wanted), side="right", out_int32=True)
    want = [np.searchsorted(a, b, "right") for a, b in zip(rows, wanted, strict=True)]
    np.testing.assert_array_equal(found.numpy(), want)
    assert found.dtype == np.int32
    mixed = cr.tensor([3.0, 1.0, 2.0])
    assert cr.searchsorted(mixed, 2.0, sorter=cr.argsort(mixed)).item() == 1
    with pytest.raises(ShapeError, match="rows"):
        cr.searchsorted(cr.zeros(2, 3), cr.zeros(3, 3))
    with pytest.raises(ArgumentError, match="left or right"):
        cr.searchsorted(mixed, 2.0, side="up")


def test_unique_elements_and_runs() -> None:
    x = np.array([[2, 1, 2], [3, 3, 1]])
    values, inverse, counts = cr.unique(cr.tensor(x), return_inverse=True, return_counts=True)
    assert values.tolist() == [1, 2, 3]
    np.testing.assert_array_equal(values.numpy()[inverse.numpy()], x)
    assert counts.tolist() == [2, 2, 2]
    rows = cr.tensor([[1, 2], [1, 2], [0, 1]])
    assert cr.unique(rows, dim=0).tolist() == [[0, 1], [1, 2]]
    runs, where = cr.unique_consecutive(rows, return_inverse=True, dim=0)
    assert runs.tolist() == [[1, 2], [0, 1]]
    assert where.tolist() == [0, 0, 1]
    assert cr.unique_consecutive(cr.zeros(0)).shape == (0,)
