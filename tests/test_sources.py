"""The worked examples of the five teaching documents, with their numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

import chainrule as cr
from chainrule.nn import functional as F

f64 = cr.float64


def scalar(value: float) -> cr.Tensor:
    return cr.tensor(value, dtype=f64, requires_grad=True)


def test_document_001_exercise_1_product_of_a_sum() -> None:
    """f = (x + y) z: df/dx = df/dy = z, df/dz = q = x + y."""
    x, y, z = scalar(-2.0), scalar(5.0), scalar(-4.0)
    f = (x + y) * z
    f.backward()
    assert f.item() == -12.0
    assert (x.grad.item(), y.grad.item(), z.grad.item()) == (-4.0, -4.0, 3.0)


@pytest.mark.parametrize("x0", [-1.5, 0.0, 1.0, 4.0])
def test_document_002_square_of_an_affine_function(x0: float) -> None:
    """y = (3x + 2)²: dy/dx = 6 (3x + 2)."""
    x = scalar(x0)
    ((3 * x + 2) ** 2).backward()
    assert x.grad.item() == 6 * (3 * x0 + 2)


@pytest.mark.parametrize("x0", [-2.0, 0.0, 1.0, 3.0])
def test_document_003_cube_of_a_square_plus_one(x0: float) -> None:
    """h = (x² + 1)³: dh/dx = 6x (x² + 1)²."""
    x = scalar(x0)
    ((x**2 + 1) ** 3).backward()
    assert x.grad.item() == 6 * x0 * (x0**2 + 1) ** 2


@pytest.mark.parametrize("x0", [0.0, 0.7, 1.3, -2.0])
def test_document_004_sine_of_a_square(x0: float) -> None:
    """z = sin(x²): dz/dx = cos(x²) 2x."""
    x = scalar(x0)
    cr.sin(x**2).backward()
    assert x.grad.item() == pytest.approx(math.cos(x0**2) * 2 * x0, rel=1e-15)


def test_document_004_four_nested_functions() -> None:
    """z = exp(log((3x)²)) = 9x²: dz/dx = e^w · 1/v · 2u · 3 = 18x."""
    x = scalar(1.7)
    u = 3 * x
    v = u**2
    w = cr.log(v)
    z = cr.exp(w)
    for between in (u, v, w):
        between.retain_grad()
    z.backward()
    assert z.item() == pytest.approx(9 * 1.7**2, rel=1e-14)
    assert w.grad.item() == pytest.approx(math.exp(w.item()), rel=1e-15)
    assert v.grad.item() == pytest.approx(w.grad.item() / v.item(), rel=1e-15)
    assert u.grad.item() == pytest.approx(v.grad.item() * 2 * u.item(), rel=1e-15)
    assert x.grad.item() == pytest.approx(18 * 1.7, rel=1e-14)


def test_document_003_total_derivative() -> None:
    """z = f(x(t), y(t)): dz/dt = ∂z/∂x dx/dt + ∂z/∂y dy/dt, here z = x² y, x = cos t, y = e^t."""
    t = scalar(0.4)
    x, y = cr.cos(t), cr.exp(t)
    z = x**2 * y
    dz_dx, dz_dy = cr.gradients(z, [x, y], retain_graph=True)
    (dx_dt,) = cr.gradients(x, t, retain_graph=True)
    (dy_dt,) = cr.gradients(y, t, retain_graph=True)
    total = dz_dx * dx_dt + dz_dy * dy_dt
    z.backward()
    assert t.grad.item() == pytest.approx(total.item(), rel=1e-15)
    by_hand = -2 * math.cos(0.4) * math.sin(0.4) * math.exp(0.4) + math.cos(0.4) ** 2 * math.exp(
        0.4
    )
    assert t.grad.item() == pytest.approx(by_hand, rel=1e-14)


def test_document_004_four_layer_numeric_network() -> None:
    """x = 2, W = (1, 2, 1, 1), φ₃ = tanh, L = ½ (z - 10)².

    The document rounds tanh(4) = 0.99932930 to 0.9993 before it goes on, so δ₃ = -0.0126 there
    and -0.0120695 in full precision (1 - 0.9993² = 0.0014, but 1 - tanh²(4) = 0.00134095), and
    ∂L/∂W₃ = -0.0504 there and -0.0482778 here. Its loss 40.02 is 40.506 (9.0007² / 2), a slip.
    """
    x, y = 2.0, 10.0
    weights = [scalar(w) for w in (1.0, 2.0, 1.0, 1.0)]
    biases = [scalar(0.0) for _ in range(4)]
    a = cr.tensor(x, dtype=f64)
    pre, post = [], []
    for layer, (w, b) in enumerate(zip(weights, biases, strict=True)):
        u = w * a + b
        u.retain_grad()
        a = cr.tanh(u) if layer == 2 else u
        pre.append(u)
        post.append(a)
    loss = 0.5 * (a - y) ** 2
    loss.backward()

    a3 = math.tanh(4.0)
    delta4 = a3 - y
    delta3 = delta4 * (1 - a3**2)
    assert [u.item() for u in pre[:3]] == [2.0, 4.0, 4.0]
    assert post[2].item() == pytest.approx(0.9993, abs=5e-5)
    assert loss.item() == pytest.approx(delta4**2 / 2, rel=1e-14)
    assert loss.item() == pytest.approx(40.506, abs=5e-4)
    assert pre[3].grad.item() == pytest.approx(-9.0007, abs=5e-5)
    assert weights[3].grad.item() == pytest.approx(-8.994, abs=7e-4)
    assert weights[3].grad.item() == pytest.approx(delta4 * a3, rel=1e-14)
    assert biases[3].grad.item() == pytest.approx(delta4, rel=1e-14)
    assert pre[2].grad.item() == pytest.approx(delta3, rel=1e-12)
    assert weights[2].grad.item() == pytest.approx(delta3 * 4, rel=1e-12)
    assert weights[1].grad.item() == pytest.approx(delta3 * 2, rel=1e-12)
    assert weights[0].grad.item() == pytest.approx(delta3 * 2 * x, rel=1e-12)
    updated = weights[3].item() - 0.1 * weights[3].grad.item()
    assert updated == pytest.approx(1.8994, abs=1e-4)


def test_document_002_softmax_cross_entropy_gradient_is_prediction_minus_truth() -> None:
    """Prediction [.1, .05, .1, .7, .05], class 3: dL/dz = [.1, .05, .1, -.3, .05]."""
    prediction = np.array([0.1, 0.05, 0.1, 0.7, 0.05])
    logits = cr.tensor(np.log(prediction)[None], requires_grad=True)
    F.cross_entropy(logits, cr.tensor([3])).backward()
    np.testing.assert_allclose(logits.grad.numpy(), [[0.1, 0.05, 0.1, -0.3, 0.05]], rtol=1e-14)


def test_document_003_softmax_cross_entropy_derivative_function() -> None:
    """The document's own function, for a batch; it leaves out the mean over the batch."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(6, 4))
    truth = rng.integers(0, 4, 6)
    probs = np.exp(logits) / np.sum(np.exp(logits), axis=1, keepdims=True)
    probs[range(6), truth] -= 1
    x = cr.tensor(logits, requires_grad=True)
    F.cross_entropy(x, cr.tensor(truth), reduction="sum").backward()
    np.testing.assert_allclose(x.grad.numpy(), probs, rtol=1e-13, atol=1e-15)


def test_document_001_sigmoid_factors_vanish() -> None:
    """The largest derivative of the sigmoid is 0.25; ten of them multiply to 0.25¹⁰."""
    x = scalar(0.0)
    cr.sigmoid(x).backward()
    assert x.grad.item() == 0.25
    weights = [scalar(1.0) for _ in range(10)]
    a = scalar(0.0)
    product = 1.0
    first = a
    for w in weights:
        u = w * a
        a = cr.sigmoid(u) - 0.5  # keeps every pre-activation at zero, the steepest point
        product *= 0.25
    a.backward()
    assert first.grad.item() == pytest.approx(product, rel=1e-15)


def test_document_003_activation_derivatives() -> None:
    x0 = np.array([-2.0, -0.5, 0.5, 2.0])
    s = 1 / (1 + np.exp(-x0))
    cases = [
        (cr.sigmoid, s * (1 - s)),
        (cr.tanh, 1 - np.tanh(x0) ** 2),
        (cr.relu, (x0 > 0).astype(float)),
        (lambda x: cr.leaky_relu(x, 0.01), np.where(x0 > 0, 1, 0.01)),
    ]
    for fn, expected in cases:
        x = cr.tensor(x0, requires_grad=True)
        fn(x).sum().backward()
        np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-14)


def test_document_002_max_pool_gives_the_gradient_to_the_winner() -> None:
    x = cr.tensor([[[[1.0, 5.0], [3.0, 2.0]]]], requires_grad=True)
    (F.max_pool2d(x, 2) * 7).sum().backward()
    assert x.grad.tolist() == [[[[0.0, 7.0], [0.0, 0.0]]]]


def test_document_002_dense_layer_gradients() -> None:
    """y = Wx + b: dL/dW = dL/dy xᵀ, dL/db = dL/dy summed over the batch, dL/dx = Wᵀ dL/dy."""
    rng = np.random.default_rng(1)
    weight, bias = rng.normal(size=(3, 4)), rng.normal(size=3)
    batch, upstream = rng.normal(size=(5, 4)), rng.normal(size=(5, 3))
    x, w, b = (cr.tensor(v, requires_grad=True) for v in (batch, weight, bias))
    F.linear(x, w, b).backward(cr.tensor(upstream))
    np.testing.assert_allclose(w.grad.numpy(), upstream.T @ batch, rtol=1e-13)
    np.testing.assert_allclose(b.grad.numpy(), upstream.sum(0), rtol=1e-13)
    np.testing.assert_allclose(x.grad.numpy(), upstream @ weight, rtol=1e-13)
