"""Pooling: windows against plain loops, winners, ties, NaN, padding and adaptive sizes."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule.errors import ArgumentError, ShapeError


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed + sum(shape)).standard_normal(shape)


def plain(x: cr.Tensor) -> np.ndarray:
    return x.detach().numpy()


def images(values: Any) -> cr.Tensor:
    """Rows of numbers as one image of one channel that wants a gradient."""
    return cr.tensor(np.asarray(values, dtype=np.float64)[None, None], requires_grad=True)


def windows(n: int, k: int, s: int, p: int, d: int, ceil: bool) -> list[range]:
    """The places of each window along an axis, those in the padding included, as PyTorch counts."""
    free = n + 2 * p - d * (k - 1) - 1
    count = (-(-free // s) if ceil else free // s) + 1
    if ceil and (count - 1) * s >= n + p:
        count -= 1
    return [range(i * s - p, i * s - p + d * (k - 1) + 1, d) for i in range(count)]


@st.composite
def poolings(draw_: st.DrawFn) -> dict[str, Any]:
    """A size and options of a pooling function that fit it."""

    def pair(low: int, high: int) -> tuple[int, int]:
        return draw_(st.tuples(*[st.integers(low, high)] * 2))

    kernel, dilation = pair(1, 3), pair(1, 2)
    span = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    padding = tuple(
        draw_(st.integers(0, min(k, n) // 2)) for k, n in zip(kernel, span, strict=True)
    )
    size = [max(1, n) + draw_(st.integers(0, 4)) for n in span]
    options = {"stride": pair(1, 4), "padding": padding, "ceil_mode": draw_(st.booleans())}
    return {"size": tuple(size), "kernel": kernel, "dilation": dilation, "options": options}


def grid(case: dict[str, Any], dilation: tuple[int, int]) -> list[list[range]]:
    o = case["options"]
    return [
        windows(n, k, s, p, d, o["ceil_mode"])
        for n, k, s, p, d in zip(
            case["size"], case["kernel"], o["stride"], o["padding"], dilation, strict=True
        )
    ]


@settings(max_examples=80, deadline=None)
@given(poolings(), st.booleans())
def test_max_pool2d_finds_the_largest_of_each_window(case: dict[str, Any], last: bool) -> None:
    x = draw(2, 3, *case["size"])
    if last:
        x = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    leaf = cr.tensor(x, requires_grad=True)
    y, places = cr.max_pool2d(
        leaf, case["kernel"], dilation=case["dilation"], return_indices=True, **case["options"]
    )
    rows, columns = grid(case, case["dilation"])
    assert y.shape == (2, 3, len(rows), len(columns))
    ct = draw(*y.shape, seed=1)
    want = np.zeros_like(x)
    height, width = case["size"]
    for n, c, i, j in np.ndindex(*y.shape):
        inside = [
            (p, q) for p, q in product(rows[i], columns[j]) if 0 <= p < height and 0 <= q < width
        ]
        p, q = max(inside, key=lambda at: x[(n, c, *at)])
        assert plain(y)[n, c, i, j] == x[n, c, p, q]
        assert places.numpy()[n, c, i, j] == p * width + q
        want[n, c, p, q] += ct[n, c, i, j]
    (g,) = cr.gradients([y], [leaf], [ct])
    np.testing.assert_allclose(g.numpy(), want, atol=1e-12)


@settings(max_examples=80, deadline=None)
@given(poolings(), st.booleans())
def test_avg_pool2d_is_the_mean_of_each_window(case: dict[str, Any], include: bool) -> None:
    x = draw(2, 1, *case["size"])
    leaf = cr.tensor(x, requires_grad=True)
    y = cr.avg_pool2d(leaf, case["kernel"], count_include_pad=include, **case["options"])
    ct = draw(*y.shape, seed=1)
    want = np.zeros_like(x)
    borders = case["options"]["padding"] if include else (0, 0)
    for i, j in np.ndindex(*y.shape[2:]):
        rows, columns = (axis[k] for axis, k in zip(grid(case, (1, 1)), (i, j), strict=True))
        places = [
            [p for p in part if -border <= p < n + border]
            for part, n, border in zip((rows, columns), case["size"], borders, strict=True)
        ]
        count = math.prod(map(len, places))
        inside = np.ix_(
            *([p for p in part if 0 <= p < n] for part, n in zip(places, case["size"], strict=True))
        )
        total = x[..., inside[0], inside[1]].sum(axis=(2, 3))
        np.testing.assert_allclose(plain(y)[:, :, i, j], total / count, atol=1e-12)
        want[..., inside[0], inside[1]] += ct[:, :, i, j, None, None] / count
    (g,) = cr.gradients([y], [leaf], [ct])
    np.testing.assert_allclose(g.numpy(), want, atol=1e-12)


def test_the_first_of_equal_elements_wins() -> None:
    x = images([[1.0, 1.0], [1.0, 1.0]])
    cr.sum(cr.max_pool2d(x, 2)).backward()
    assert x.grad.tolist() == [[[[1.0, 0.0], [0.0, 0.0]]]]


def test_the_first_wins_even_where_all_are_minus_infinity_and_padding_comes_before() -> None:
    x = images([[-np.inf, -np.inf], [-np.inf, -np.inf]])
    y, places = cr.max_pool2d(x, 2, 1, 1, return_indices=True)
    assert places.tolist() == [[[[0, 0, 1], [0, 0, 1], [2, 2, 3]]]]
    assert np.isneginf(plain(y)).all()


def test_overlapping_windows_add_up_at_their_winner() -> None:
    x = images([[0.0, 0.0, 0.0], [0.0, 5.0, 0.0], [0.0, 0.0, 0.0]])
    cr.sum(cr.max_pool2d(x, 2, 1)).backward()
    assert x.grad.tolist() == [[[[0.0] * 3, [0.0, 4.0, 0.0], [0.0] * 3]]]


def test_nan_in_a_window_is_its_result_and_takes_its_gradient() -> None:
    x = images([[1.0, np.nan, 7.0, 8.0], [2.0, 3.0, 9.0, 6.0]])
    y, places = cr.max_pool2d(x, 2, return_indices=True)
    np.testing.assert_array_equal(plain(y), [[[[np.nan, 9.0]]]])
    assert places.tolist() == [[[[1, 6]]]]
    cr.sum(y).backward()
    assert x.grad.tolist() == [[[[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]]]


def test_infinite_gradient_reaches_the_winner_and_leaves_no_nan_elsewhere() -> None:
    x = images([[1.0, 2.0], [3.0, 4.0]])
    (g,) = cr.gradients([cr.max_pool2d(x, 2)], [x], [np.full((1, 1, 1, 1), np.inf)])
    assert g.tolist() == [[[[0.0, 0.0], [0.0, np.inf]]]]


def test_what_no_window_covers_gets_no_gradient() -> None:
    x = images(np.arange(25.0).reshape(5, 5))
    cr.sum(cr.max_pool2d(x, 2)).backward()
    assert not x.grad.numpy()[..., 4, :].any()
    assert not x.grad.numpy()[..., 4].any()
    assert x.grad.numpy().sum() == 4


def test_rounding_up_adds_a_window_that_begins_inside() -> None:
    x = images(np.arange(25.0).reshape(5, 5))
    assert cr.max_pool2d(x, 2).shape == (1, 1, 2, 2)
    assert plain(cr.max_pool2d(x, 2, ceil_mode=True)).tolist()[0][0][2] == [21.0, 23.0, 24.0]
    # a window that would begin in the padding behind is dropped
    assert cr.max_pool1d(x[0], 1, 5, ceil_mode=True).shape == (1, 5, 1)


def test_averages_count_padding_only_if_asked() -> None:
    x = images(np.ones((2, 2)))
    assert plain(cr.avg_pool2d(x, 2, 2, 1)).tolist() == [[[[0.25, 0.25], [0.25, 0.25]]]]
    assert (plain(cr.avg_pool2d(x, 2, 2, 1, count_include_pad=False)) == 1.0).all()
    assert plain(cr.avg_pool2d(x, 2, divisor_override=8)).item() == 0.5


def test_pooling_keeps_the_storage_order() -> None:
    x = np.ascontiguousarray(draw(2, 6, 6, 4)).transpose(0, 3, 1, 2)
    for y in (cr.max_pool2d(cr.tensor(x), 2), cr.avg_pool2d(cr.tensor(x), 2)):
        assert y.array.transpose(0, 2, 3, 1).flags.c_contiguous


def test_integers_have_a_maximum_and_a_float_mean() -> None:
    x = cr.tensor(np.arange(8).reshape(1, 8))
    assert cr.max_pool1d(x, 2).tolist() == [[1, 3, 5, 7]]
    assert cr.avg_pool1d(x, 2).dtype == np.float32


def test_large_kernels_have_more_places_than_a_byte_counts() -> None:
    x = np.zeros((1, 1, 17, 17))
    x[0, 0, 16, 16] = 1.0
    leaf = cr.tensor(x, requires_grad=True)
    y, places = cr.max_pool2d(leaf, 17, return_indices=True)
    assert places.item() == 17 * 17 - 1
    cr.sum(y).backward()
    np.testing.assert_array_equal(leaf.grad.numpy(), x)


@pytest.mark.parametrize("function", [cr.max_pool2d, cr.avg_pool2d])
@pytest.mark.parametrize("options", [(2,), (3, 2, 1), (2, 1), (2, 2, 1)])
def test_pooling_passes_gradcheck(function: Any, options: tuple[int, ...]) -> None:
    rng = np.random.default_rng(5)
    x = rng.permutation(50).reshape(1, 2, 5, 5) / 10.0  # no ties: a tie is a kink
    leaf = cr.tensor(x, requires_grad=True)
    assert cr.gradcheck(lambda t: function(t, *options) ** 2, (leaf,))
    assert cr.gradgradcheck(lambda t: function(t, *options) ** 2, (leaf,))


# Adaptive -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("out", [1, 2, 3, 5, 7, 9, (3, 2), (1, None), (None, 4), (8, 1)])
def test_adaptive_windows_are_as_equal_as_they_can_be(out: Any) -> None:
    x = draw(2, 3, 7, 6)
    sizes = [
        n if m is None else m
        for n, m in zip((7, 6), out if isinstance(out, tuple) else (out,) * 2, strict=True)
    ]
    mean = cr.adaptive_avg_pool2d(cr.tensor(x), out).numpy()
    top, places = cr.adaptive_max_pool2d(cr.tensor(x), out, return_indices=True)
    assert mean.shape == top.shape == (2, 3, *sizes)
    for i, j in np.ndindex(*sizes):
        part = x[
            :, :,
            i * 7 // sizes[0] : -(-(i + 1) * 7 // sizes[0]),
            j * 6 // sizes[1] : -(-(j + 1) * 6 // sizes[1]),
        ]  # fmt: skip
        np.testing.assert_allclose(mean[:, :, i, j], part.mean(axis=(2, 3)), atol=1e-12)
        np.testing.assert_array_equal(top.numpy()[:, :, i, j], part.max(axis=(2, 3)))
    flat = x.reshape(2, 3, 42)
    found = np.take_along_axis(flat, places.numpy().reshape(2, 3, -1), 2)
    np.testing.assert_array_equal(found.reshape(top.shape), top.numpy())


@pytest.mark.parametrize("function", [cr.adaptive_avg_pool2d, cr.adaptive_max_pool2d])
@pytest.mark.parametrize("out", [1, (2, 3), (5, 4), 6])
def test_adaptive_pooling_passes_gradcheck(function: Any, out: Any) -> None:
    rng = np.random.default_rng(5)
    leaf = cr.tensor(rng.permutation(40).reshape(1, 2, 5, 4) / 10.0, requires_grad=True)
    assert cr.gradcheck(lambda t: function(t, out) ** 2, (leaf,))


def test_infinity_stays_in_its_adaptive_window() -> None:
    y = cr.adaptive_avg_pool1d(cr.tensor([[np.inf, 1.0, 2.0, 3.0, 4.0]]), 2)
    assert y.tolist() == [[np.inf, 3.0]]


# Unfold and fold ----------------------------------------------------------------------------------


def test_convolution_is_a_matrix_product_with_unfolded_windows() -> None:
    x, w = draw(2, 3, 6, 5), draw(4, 3, 2, 3)
    columns = cr.unfold(cr.tensor(x), (2, 3), dilation=(2, 1), padding=1, stride=2)
    y = cr.matmul(w.reshape(4, -1), columns)
    want = cr.conv2d(cr.tensor(x), w, None, 2, 1, (2, 1))
    np.testing.assert_allclose(y.numpy(), want.numpy().reshape(2, 4, -1), atol=1e-12)


def test_fold_counts_how_often_each_element_was_unfolded() -> None:
    ones = cr.tensor(np.ones((1, 4, 4)))
    counted = cr.fold(cr.unfold(ones[None], 2), (4, 4), 2).numpy()[0, 0]
    np.testing.assert_array_equal(counted, np.outer([1, 2, 2, 1], [1, 2, 2, 1]))


# Refusals -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda x: cr.max_pool2d(x, 6), ShapeError),
        (lambda x: cr.max_pool2d(x, 2, dilation=5), ShapeError),
        (lambda x: cr.max_pool2d(x, 2, padding=2), ArgumentError),
        (lambda x: cr.max_pool2d(x, 0), ArgumentError),
        (lambda x: cr.max_pool2d(x, 2, 0), ArgumentError),
        (lambda x: cr.max_pool2d(x, (2, 2, 2)), ArgumentError),
        (lambda x: cr.max_pool2d(x[0, 0], 2), ShapeError),
        (lambda x: cr.avg_pool2d(x, 2, divisor_override=0), ArgumentError),
        (lambda x: cr.avg_pool2d(x, 6), ShapeError),
        (lambda x: cr.adaptive_avg_pool2d(x, -1), ArgumentError),
        (lambda x: cr.adaptive_avg_pool2d(x, (1, 2, 3)), ArgumentError),
        (lambda x: cr.adaptive_max_pool2d(x[..., :0], 2), ShapeError),
        (lambda x: cr.fold(x[0], (9, 9), 2), ShapeError),
    ],
)
def test_what_cannot_be_pooled_is_named(call: Any, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        call(cr.tensor(np.ones((1, 1, 5, 5))))
    assert "test_pooling.py" in str(caught.value)


def test_a_kernel_that_is_too_large_is_told_the_input_with_and_without_padding() -> None:
    with pytest.raises(ShapeError) as caught:
        cr.conv2d(cr.zeros(1, 1, 1, 1), cr.zeros(1, 1, 4, 4), padding=1)
    assert caught.value.got == "(3, 3): (1, 1) before padding"
    with pytest.raises(ShapeError) as caught:
        cr.max_pool2d(cr.zeros(1, 1, 2, 2), 3)
    assert caught.value.got == "(2, 2)"
