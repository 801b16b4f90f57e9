"""Convolutions against SciPy and plain loops, their transposes, layouts and errors."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import correlate

import chainrule as cr
from chainrule.errors import ArgumentError, ShapeError

Pair = tuple[int, int]


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed + sum(shape)).standard_normal(shape)


def plain(x: cr.Tensor) -> np.ndarray:
    return x.detach().numpy()


def by_loops(
    x: np.ndarray, w: np.ndarray, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> np.ndarray:
    """conv2d as the sum that defines it."""
    x = np.pad(x, ((0, 0), (0, 0), *((p, p) for p in padding)))
    outputs, channels, *kernel = w.shape
    out = [
        (n - d * (k - 1) - 1) // s + 1
        for n, k, s, d in zip(x.shape[2:], kernel, stride, dilation, strict=True)
    ]
    y = np.zeros((x.shape[0], outputs, *out))
    for o, p, q in product(range(outputs), *map(range, out)):
        first = o // (outputs // groups) * channels
        for c, i, j in product(range(channels), *map(range, kernel)):
            at = stride[0] * p + dilation[0] * i, stride[1] * q + dilation[1] * j
            y[:, o, p, q] += x[:, first + c, at[0], at[1]] * w[o, c, i, j]
    return y


@st.composite
def convolutions(draw_: st.DrawFn) -> dict[str, Any]:
    """Options of conv2d, and sizes that they fit."""

    def pair(low: int, high: int) -> Pair:
        return draw_(st.tuples(*[st.integers(low, high)] * 2))

    groups = draw_(st.sampled_from([1, 1, 2, 3]))
    kernel, dilation, padding = pair(1, 3), pair(1, 2), pair(0, 2)
    least = [d * (k - 1) + 1 - 2 * p for k, d, p in zip(kernel, dilation, padding, strict=True)]
    size = [max(1, n) + draw_(st.integers(0, 4)) for n in least]
    channels, outputs = (
        groups * draw_(st.sampled_from([1, 2, 8])),
        groups * draw_(st.integers(1, 3)),
    )
    return {
        "x": (draw_(st.integers(1, 3)), channels, *size),
        "w": (outputs, channels // groups, *kernel),
        "options": (pair(1, 3), padding, dilation, groups),
    }


@settings(max_examples=60, deadline=None)
@given(convolutions(), st.booleans())
def test_conv2d_is_the_sum_that_defines_it(case: dict[str, Any], channels_last: bool) -> None:
    x, w = draw(*case["x"]), draw(*case["w"], seed=1)
    if channels_last:
        x = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    y = cr.conv2d(cr.tensor(x), w, None, *case["options"])
    np.testing.assert_allclose(y.numpy(), by_loops(x, w, *case["options"]), atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(convolutions())
def test_gradients_of_conv2d_are_its_transposes(case: dict[str, Any]) -> None:
    """⟨ȳ, conv(x, w)⟩ = ⟨x̄, x⟩ = ⟨w̄, w⟩, since it is linear in each."""
    x, w = (cr.tensor(draw(*case[k]), requires_grad=True) for k in "xw")
    y = cr.conv2d(x, w, None, *case["options"])
    ct = draw(*y.shape, seed=2)
    value = cr.sum(y * ct)
    gx, gw = cr.gradients([value], [x, w])
    want = value.item()
    assert np.sum(gx.numpy() * plain(x)) == pytest.approx(want, rel=1e-9, abs=1e-9)
    assert np.sum(gw.numpy() * plain(w)) == pytest.approx(want, rel=1e-9, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(convolutions())
def test_conv_transpose2d_is_the_transpose_of_conv2d(case: dict[str, Any]) -> None:
    stride, padding, dilation, groups = case["options"]
    x, w = cr.tensor(draw(*case["x"]), requires_grad=True), draw(*case["w"])
    y = cr.conv2d(x, w, None, stride, padding, dilation, groups)
    ct = draw(*y.shape)
    (gx,) = cr.gradients([y], [x], [ct])
    span = [d * (k - 1) + 1 for k, d in zip(w.shape[2:], dilation, strict=True)]
    extra = [
        (n + 2 * p - k) % s for n, p, k, s in zip(x.shape[2:], padding, span, stride, strict=True)
    ]
    back = cr.conv_transpose2d(cr.tensor(ct), w, None, stride, padding, extra, groups, dilation)
    np.testing.assert_allclose(back.numpy(), gx.numpy(), atol=1e-12)


@pytest.mark.parametrize("mode", ["valid", "same"])
@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (3, 5), (5, 1)])
def test_conv2d_correlates_as_scipy_does(mode: str, kernel: Pair) -> None:
    x, w = draw(2, 3, 8, 7), draw(4, 3, *kernel)
    y = cr.conv2d(cr.tensor(x), w, padding=mode).numpy()
    for n, o in np.ndindex(2, 4):
        want = sum(correlate(x[n, c], w[o, c], mode) for c in range(3))
        np.testing.assert_allclose(y[n, o], want, atol=1e-12)


@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("dilation", [1, 2, 3])
def test_same_keeps_the_size_and_pads_more_behind(kernel: int, dilation: int) -> None:
    x, w = draw(1, 1, 12), np.zeros((1, 1, kernel))
    w[..., 0] = 1.0  # reads the first place of the window: y is x moved by the padding before
    y = cr.conv1d(cr.tensor(x), w, padding="same", dilation=dilation).numpy()
    before = dilation * (kernel - 1) // 2
    assert y.shape == x.shape
    np.testing.assert_array_equal(y[..., before:], x[..., : 12 - before])


def test_conv1d_is_conv2d_of_height_one() -> None:
    x, w, b = draw(2, 4, 9), draw(6, 2, 3), draw(6)
    y = cr.conv1d(cr.tensor(x), w, b, 2, 1, 2, 2).numpy()
    flat = cr.conv2d(cr.tensor(x[:, :, None]), w[:, :, None], b, (1, 2), (0, 1), (1, 2), 2)
    np.testing.assert_allclose(y, flat.numpy()[:, :, 0], rtol=1e-12)


def test_large_batches_are_cut_into_blocks_without_a_trace() -> None:
    x, w = draw(70, 16, 30, 30), draw(3, 16, 3, 3)
    leaf, kernel = cr.tensor(x, requires_grad=True), cr.tensor(w, requires_grad=True)
    y = cr.conv2d(leaf, kernel, padding=1)
    ct = draw(*y.shape)
    gx, gw = cr.gradients([y], [leaf, kernel], [ct])
    for part in (slice(0, 1), slice(33, 35), slice(69, 70)):
        alone, one = cr.tensor(x[part], requires_grad=True), cr.tensor(w, requires_grad=True)
        z = cr.conv2d(alone, one, padding=1)
        np.testing.assert_allclose(plain(y)[part], plain(z), atol=1e-11)
        (g,) = cr.gradients([z], [alone], [ct[part]])
        np.testing.assert_allclose(gx.numpy()[part], g.numpy(), atol=1e-11)
    assert np.sum(gw.numpy() * w) == pytest.approx(np.sum(plain(y) * ct), rel=1e-9)


def test_one_by_one_convolution_is_a_matrix_product_over_pixels() -> None:
    x, w = draw(2, 3, 4, 5), draw(6, 3, 1, 1)
    want = np.einsum("nchw,oc->nohw", x, w[:, :, 0, 0])
    last = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    for images in (x, last):
        np.testing.assert_allclose(cr.conv2d(cr.tensor(images), w).numpy(), want, atol=1e-12)


def test_results_are_stored_channels_last() -> None:
    y = cr.conv2d(cr.tensor(draw(2, 8, 6, 6)), draw(4, 8, 3, 3))
    assert y.array.transpose(0, 2, 3, 1).flags.c_contiguous
    assert y.shape == (2, 4, 4, 4)


def test_a_single_image_needs_no_batch_axis() -> None:
    x, w, b = draw(3, 5, 5), draw(4, 3, 3, 3), draw(4)
    batch = cr.conv2d(cr.tensor(x[None]), w, b).numpy()[0]
    np.testing.assert_array_equal(cr.conv2d(cr.tensor(x), w, b).numpy(), batch)
    back = cr.conv_transpose2d(cr.tensor(batch), w)
    assert back.shape == (3, 5, 5)


def test_bias_is_added_to_each_channel_and_collects_over_the_rest() -> None:
    b = cr.tensor([1.0, 2.0], dtype=cr.float64, requires_grad=True)
    y = cr.conv2d(cr.tensor(np.zeros((3, 1, 4, 4))), np.ones((2, 1, 3, 3)), b)
    assert (plain(y)[:, 1] == 2.0).all()
    cr.sum(y).backward()
    assert b.grad.tolist() == [12.0, 12.0]


def test_an_empty_batch_gives_an_empty_result_and_zero_weight_gradient() -> None:
    x, w = (cr.tensor(np.ones(s), requires_grad=True) for s in ((0, 2, 5, 5), (3, 2, 3, 3)))
    y = cr.conv2d(x, w)
    assert y.shape == (0, 3, 3, 3)
    gx, gw = cr.gradients([cr.sum(y)], [x, w])
    assert gx.shape == x.shape
    assert not gw.numpy().any()


def test_nan_reaches_the_windows_that_see_it_only() -> None:
    x = np.zeros((1, 1, 5, 5))
    x[0, 0, 0, 0] = np.nan
    y = cr.conv2d(cr.tensor(x), np.ones((1, 1, 2, 2))).numpy()[0, 0]
    assert np.isnan(y[0, 0])
    assert np.isnan(y).sum() == 1


def test_image_that_wants_no_gradient_gets_none() -> None:
    x, w = cr.tensor(draw(1, 1, 4, 4)), cr.tensor(draw(2, 1, 3, 3), requires_grad=True)
    cr.sum(cr.conv2d(x, w)).backward()
    assert x.grad is None
    assert w.grad is not None


def test_float32_stays_float32() -> None:
    x = cr.tensor(draw(1, 2, 4, 4).astype(np.float32), requires_grad=True)
    w = cr.tensor(draw(3, 2, 3, 3).astype(np.float32), requires_grad=True)
    y = cr.conv2d(x, w)
    cr.sum(y).backward()
    assert [v.dtype for v in (y, x.grad, w.grad)] == [np.float32] * 3


@pytest.mark.parametrize("order", [1, 2])
def test_conv2d_passes_gradcheck(order: int) -> None:
    shapes = ((1, 2, 4, 3), (2, 1, 2, 2), (2,))
    inputs = tuple(cr.tensor(draw(*s), requires_grad=True) for s in shapes)
    check = cr.gradcheck if order == 1 else cr.gradgradcheck
    assert check(lambda x, w, b: cr.conv2d(x, w, b, 2, 1, 1, 2) ** 2, inputs)


@pytest.mark.parametrize("order", [1, 2])
def test_conv_transpose2d_passes_gradcheck(order: int) -> None:
    shapes = ((1, 2, 2, 3), (2, 1, 2, 2), (2,))
    inputs = tuple(cr.tensor(draw(*s), requires_grad=True) for s in shapes)
    check = cr.gradcheck if order == 1 else cr.gradgradcheck
    assert check(lambda x, w, b: cr.conv_transpose2d(x, w, b, 2, 1, 1, 2) ** 2, inputs)


def test_third_derivative_of_a_convolution_comes_out_by_itself() -> None:
    # y = conv(x, x) of one number is x², and y² = x⁴ has the third derivative 24 x
    def cube(x: cr.Tensor) -> cr.Tensor:
        image = x.reshape(1, 1, 1, 1)
        return cr.sum(cr.conv2d(image, image) ** 2)

    third = cr.grad(cr.grad(cr.grad(cube)))
    assert third(cr.tensor(1.5, dtype=cr.float64)).item() == pytest.approx(36.0)


@pytest.mark.parametrize(
    ("x", "w", "options"),
    [
        ((1, 3, 5, 5), (2, 4, 3, 3), {}),
        ((1, 3, 5, 5), (2, 3, 6, 3), {}),
        ((1, 3, 5, 5), (2, 3, 3, 3), {"dilation": 3}),
        ((1, 3, 5, 5), (2, 3, 3), {}),
        ((5, 5), (2, 3, 3, 3), {}),
        ((1, 4, 5, 5), (3, 2, 3, 3), {"groups": 2}),
        ((1, 3, 5, 5), (2, 3, 3, 3), {"bias": np.ones(3)}),
    ],
)
def test_operands_that_do_not_fit_are_named(
    x: tuple[int, ...], w: tuple[int, ...], options: dict[str, Any]
) -> None:
    with pytest.raises(ShapeError) as caught:
        cr.conv2d(cr.tensor(np.ones(x)), np.ones(w), **options)
    assert "expected" in str(caught.value)
    assert "test_convolution.py" in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"stride": 0}, {"padding": -1}, {"dilation": 0}, {"groups": 0}, {"stride": (1, 1, 1)},
        {"padding": "full"}, {"padding": "same", "stride": 2},
    ],
)  # fmt: skip
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError):
        cr.conv2d(cr.tensor(np.ones((1, 1, 5, 5))), np.ones((1, 1, 3, 3)), **options)


def test_output_padding_must_be_less_than_the_stride_or_dilation() -> None:
    x, w = cr.tensor(np.ones((1, 1, 3))), np.ones((1, 1, 3))
    assert cr.conv_transpose1d(x, w, stride=2, output_padding=1).shape == (1, 1, 8)
    assert cr.conv_transpose1d(x, w, padding=1, dilation=2, output_padding=1).shape == (1, 1, 6)
    with pytest.raises(ArgumentError):
        cr.conv_transpose1d(x, w, stride=2, output_padding=2)
