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


def test_values_stay_connected_to_what_the_function_closes_over() -> None:
    def f(w):
        return lambda x: w * x * x

    x = t(3.0)
    assert cr.grad(lambda w: cr.value_and_grad(f(w))(x)[0])(t(2.0)).item() == 9.0
    assert cr.grad(lambda w: cr.vjp(f(w), x)[0])(t(2.0)).item() == 9.0
    assert cr.grad(lambda w: cr.jvp(f(w), (x,), (t(1.0),))[0])(t(2.0)).item() == 9.0
    assert cr.jvp(lambda w: cr.value_and_grad(f(w))(x)[0], (t(2.0),), (t(1.0),))[1].item() == 9.0


def test_results_of_an_outermost_transform_want_no_gradient() -> None:
    assert not cr.grad(lambda w: cr.jvp(lambda x: w * x, (t(3.0),), (t(1.0),))[0])(
        t(2.0)
    ).requires_grad
    assert not cr.grad(lambda x: x * x)(t(2.0)).requires_grad
    w = cr.tensor(2.0, dtype=f64, requires_grad=True)
    with cr.no_grad():
        y, dy = cr.jvp(lambda x: w * x, (t(3.0),), (t(1.0),))
    assert not y.requires_grad
    assert not dy.requires_grad


def test_a_tall_jacobian_runs_its_function_once() -> None:
    calls = []

    def f(x):
        calls.append(1)
        return cr.dropout(cr.stack([x] * 3).reshape(-1), 0.5)

    jac = cr.jacobian(f)(cr.ones(3))
    assert jac.shape == (9, 3)
    assert len(calls) == 1


def test_a_function_may_change_its_own_argument_in_place() -> None:
    def f(x):
        x += 1
        return (x * x).sum()

    x = t([1.0, 2.0])
    assert cr.grad(f)(x).tolist() == [4.0, 6.0]
    assert cr.hessian(f)(x).tolist() == [[2.0, 0.0], [0.0, 2.0]]
    assert x.tolist() == [1.0, 2.0]


def test_functions_that_ignore_return_or_do_not_touch_their_argument() -> None:
    x = t([1.0, 2.0])
    assert cr.grad(lambda x: t(3.0))(x).tolist() == [0.0, 0.0]
    assert cr.jacobian(lambda x: x)(x).tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert cr.jacobian(lambda x: cr.argmax(x)[None])(x).tolist() == [[0.0, 0.0]]
    assert cr.jvp(lambda x: cr.ones(2), (x,), (x,))[1].tolist() == [0.0, 0.0]


def test_each_gradient_is_a_cell_of_its_own() -> None:
    a = cr.tensor([1.0], requires_grad=True)
    b = cr.tensor([2.0], requires_grad=True)
    (3 * (a + b)).sum().backward(create_graph=True)
    a.grad.data.zero_()
    assert b.grad.tolist() == [3.0]
    ga, gb = cr.gradients((a + b).sum(), [a, b], create_graph=True)
    assert ga is not gb


def test_a_directions_array_and_dtype_stay_the_callers() -> None:
    x = cr.ones(2, requires_grad=True)
    direction = np.array([1.0, 10.0])
    (x + 0).backward(direction)
    direction[0] = 99
    assert x.grad.tolist() == [1.0, 10.0]
    assert x.grad.dtype == cr.float32
    y = cr.ones(1, requires_grad=True)
    y.backward(cr.tensor([2]))
    assert y.grad.dtype == cr.float32


def test_more_bad_input_is_explained() -> None:
    with pytest.raises(ArgumentError, match="an input"):
        cr.gradients(cr.ones(1, requires_grad=True) * 2, [])
    with pytest.raises(ArgumentError, match="twice"):
        cr.grad(lambda x, y: x * y, (0, 0))(t(1.0), t(2.0))
    with pytest.raises(GradientError, match="nested tuples"):
        cr.vjp(lambda x: {"y": x, "z": 1.0}, t(1.0))
    w = cr.tensor(1.0, dtype=f64, requires_grad=True)
    assert cr.value_and_grad(lambda: w * 2, ())()[1] == ()
    assert w.grad is None
