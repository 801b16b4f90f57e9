"""Functional transforms: values against closed forms, and nesting in every order."""

from __future__ import annotations

import math

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ArgumentError, DTypeError, GradientError, ShapeError

f64 = cr.float64


def t(values) -> cr.Tensor:
    return cr.tensor(np.asarray(values, dtype=np.float64))


def test_grad_of_each_argument() -> None:
    def f(x, y, z):
        return ((x + y) * z).sum()

    assert cr.grad(f)(t(1.0), t(2.0), t(3.0)).item() == 3.0
    assert [g.item() for g in cr.grad(f, (0, 2))(t(1.0), t(2.0), t(3.0))] == [3.0, 3.0]
    assert cr.grad(f, -1)(t(1.0), t(2.0), t(3.0)).item() == 3.0


def test_grad_with_aux_and_keywords() -> None:
    def f(x, power):
        return (x**power).sum(), "aux"

    slope, aux = cr.grad(f, has_aux=True)(t(2.0), power=3)
    assert (slope.item(), aux) == (12.0, "aux")


def test_value_and_grad_returns_both_and_touches_no_grad() -> None:
    x = cr.tensor(2.0, dtype=f64, requires_grad=True)
    with cr.no_grad():
        value, slope = cr.value_and_grad(lambda x: x * x)(x)
    assert (value.item(), slope.item()) == (4.0, 4.0)
    assert x.grad is None


def test_fifth_derivative_by_nesting() -> None:
    f = cr.sin
    for _ in range(5):
        f = cr.grad(f)
    assert f(t(0.3)).item() == pytest.approx(math.cos(0.3), rel=1e-12)


def test_nested_grad_does_not_confuse_its_variables() -> None:
    """d/dx [x · d/dy (x + y)] = 1: the perturbation-confusion example of Siskind & Pearlmutter."""
    assert cr.grad(lambda x: x * cr.grad(lambda y: x + y)(t(1.0)))(t(1.0)).item() == 1.0
    inner = cr.grad(lambda x: x * cr.grad(lambda y: x * y)(t(2.0)))(t(3.0))
    assert inner.item() == 6.0


def test_forward_mode_does_not_confuse_its_variables() -> None:
    def outer(x):
        return x * cr.jvp(lambda y: x * y, (t(2.0),), (t(1.0),))[1]

    _, dy = cr.jvp(outer, (t(3.0),), (t(1.0),))
    assert dy.item() == 6.0


def test_grad_reaches_weights_the_function_closes_over() -> None:
    w = cr.tensor(3.0, dtype=f64, requires_grad=True)
    slope = cr.grad(lambda x: w * x * x)(t(2.0))
    slope.backward()
    assert slope.item() == 12.0
    assert w.grad.item() == 4.0


@pytest.mark.parametrize("n_out", [2, 5])
def test_jacobian_by_rows_or_columns(n_out: int) -> None:
    a = np.random.default_rng(0).normal(size=(n_out, 3))
    x = t([0.1, 0.2, 0.3])
    jac = cr.jacobian(lambda x: cr.sin(cr.matmul(t(a), x)))(x)
    np.testing.assert_allclose(jac.numpy(), np.cos(a @ x.numpy())[:, None] * a, rtol=1e-12)


def test_jacobian_has_output_shape_then_input_shape() -> None:
    x, y = t(np.ones((2, 3))), t(np.ones(4))
    jx, jy = cr.jacobian(lambda x, y: x.sum(1)[:, None] * y, (0, 1))(x, y)
    assert jx.shape == (2, 4, 2, 3)
    assert jy.shape == (2, 4, 4)


def test_jacobian_of_a_gradient_is_the_hessian_and_is_symmetric() -> None:
    rng = np.random.default_rng(1)
    a = rng.normal(size=(4, 4))
    x = t(rng.normal(size=4))

    def f(x):
        return (cr.matmul(t(a), x).tanh() * x).sum()

    h = cr.hessian(f)(x).numpy()
    np.testing.assert_allclose(h, h.T, rtol=1e-12, atol=1e-14)
    eps = 1e-5
    for i in range(4):
        step = np.eye(4)[i] * eps
        up, down = cr.grad(f)(x + t(step)).numpy(), cr.grad(f)(x - t(step)).numpy()
        np.testing.assert_allclose(h[i], (up - down) / (2 * eps), rtol=1e-6, atol=1e-8)


def test_hessian_vector_product_equals_the_hessian_times_the_vector() -> None:
    rng = np.random.default_rng(2)
    x, v = t(rng.normal(size=5)), t(rng.normal(size=5))

    def f(x):
        return (x.exp() * x.sum() + cr.softmax(x, 0) * x).sum()

    slope, product = cr.hvp(f, x, v)
    np.testing.assert_allclose(slope.numpy(), cr.grad(f)(x).numpy(), rtol=1e-12)
    np.testing.assert_allclose(product.numpy(), cr.hessian(f)(x).numpy() @ v.numpy(), rtol=1e-10)


def test_jvp_and_vjp_are_adjoint() -> None:
    rng = np.random.default_rng(3)
    w = t(rng.normal(size=(2, 3, 3, 3)))

    def f(x):
        h = cr.relu(cr.conv2d(x, w, padding=1))
        return cr.log_softmax(cr.max_pool2d(h, 2).reshape(2, -1), 1)

    x, dx = t(rng.normal(size=(2, 3, 4, 4))), t(rng.normal(size=(2, 3, 4, 4)))
    y, dy = cr.jvp(f, (x,), (dx,))
    y2, pull = cr.vjp(f, x)
    ct = t(rng.normal(size=y.shape))
    (gx,) = pull(ct)
    np.testing.assert_allclose(y.numpy(), y2.numpy(), rtol=1e-14)
    assert (dy * ct).sum().item() == pytest.approx((gx * dx).sum().item(), rel=1e-11)


def test_vjp_of_several_outputs_may_be_called_again() -> None:
    ys, pull = cr.vjp(lambda x: (x * x, x.sum()), t([1.0, 2.0]))
    assert len(ys) == 2
    for _ in range(2):
        (g,) = pull(t([1.0, 1.0]), t(10.0))
        assert g.tolist() == [12.0, 14.0]


def test_gradient_of_a_gradient_penalty() -> None:
    """WGAN-GP's shape: the loss contains the norm of an input gradient."""
    w = cr.tensor([1.0, -2.0], dtype=f64, requires_grad=True)
    x = cr.tensor([0.5, 0.25], dtype=f64, requires_grad=True)
    score = (w * x).tanh().sum()
    (g,) = cr.gradients(score, x, create_graph=True)
    penalty = ((g * g).sum().sqrt() - 1) ** 2
    penalty.backward()

    def by_hand(w_):
        g_ = w_ * (1 - np.tanh(w_ * x.detach().numpy()) ** 2)
        return (np.sqrt((g_**2).sum()) - 1) ** 2

    eps = 1e-6
    for i in range(2):
        step = np.eye(2)[i] * eps
        slope = (by_hand(w.detach().numpy() + step) - by_hand(w.detach().numpy() - step)) / (
            2 * eps
        )
        assert w.grad.numpy()[i] == pytest.approx(slope, rel=1e-6)


def test_gradients_of_intermediates_and_unused_inputs() -> None:
    x = cr.tensor(2.0, dtype=f64, requires_grad=True)
    other = cr.tensor(1.0, dtype=f64, requires_grad=True)
    h = x * x
    y = h * 3
    gh, gx = cr.gradients(y, [h, x], retain_graph=True)
    assert (gh.item(), gx.item()) == (3.0, 12.0)
    assert cr.gradients(y, [other], allow_unused=True, retain_graph=True) == (None,)
    with pytest.raises(GradientError, match="allow_unused"):
        cr.gradients(y, [other])


def test_backward_of_several_outputs_walks_once() -> None:
    x = cr.tensor(2.0, dtype=f64, requires_grad=True)
    h = x * x
    cr.backward([h, h * 3], [None, cr.tensor(10.0, dtype=f64)])
    assert x.grad.item() == 4.0 + 120.0


def test_bad_input_is_explained() -> None:
    with pytest.raises(GradientError, match="one number"):
        cr.grad(lambda x: x)(t([1.0, 2.0]))
    with pytest.raises(DTypeError, match="floating"):
        cr.grad(lambda x: x)(cr.tensor(1))
    with pytest.raises(ArgumentError, match="argnums"):
        cr.grad(lambda x: x, 3)(t(1.0))
    with pytest.raises(ShapeError, match="tangent"):
        cr.jvp(lambda x: x, (t([1.0, 2.0]),), (t(1.0),))
    with pytest.raises(GradientError, match="does not want"):
        cr.gradients(cr.ones(1), cr.ones(1))
