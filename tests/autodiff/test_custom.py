"""Rules of the user's own, and checkpointing."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import GradientError, ShapeError

f64 = cr.float64


class Cube(cr.Function):
    """x³ with its rule written by hand."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, ct):
        (x,) = ctx.saved_tensors
        return ct * 3 * x**2


class Straight(cr.Function):
    """sign(x) whose gradient passes straight through; its second argument is a number."""

    @staticmethod
    def forward(ctx, x, scale):
        ctx.scale = scale
        return cr.sign(x) * scale

    @staticmethod
    def backward(ctx, ct):
        return ct * ctx.scale, None


class Polar(cr.Function):
    """Two outputs from two inputs."""

    @staticmethod
    def forward(ctx, r, phi):
        x, y = r * cr.cos(phi), r * cr.sin(phi)
        ctx.save_for_backward(r, phi, x, y)
        return x, y

    @staticmethod
    def backward(ctx, cx, cy):
        _, phi, x, y = ctx.saved_tensors
        return cx * cr.cos(phi) + cy * cr.sin(phi), cy * x - cx * y


def test_custom_function_gives_its_own_gradient() -> None:
    x = cr.tensor([1.0, 2.0], dtype=f64, requires_grad=True)
    Cube.apply(x).sum().backward()
    assert x.grad.tolist() == [3.0, 12.0]


def test_custom_function_differentiates_twice() -> None:
    assert cr.grad(cr.grad(Cube.apply))(cr.tensor(2.0, dtype=f64)).item() == 12.0
    assert cr.grad(cr.grad(cr.grad(Cube.apply)))(cr.tensor(2.0, dtype=f64)).item() == 6.0


def test_custom_function_with_a_plain_argument() -> None:
    x = cr.tensor([-0.5, 2.0], requires_grad=True)
    y = Straight.apply(x, 3.0)
    y.sum().backward()
    assert y.tolist() == [-3.0, 3.0]
    assert x.grad.tolist() == [3.0, 3.0]


def test_custom_function_with_two_outputs_once_and_twice() -> None:
    r, phi = cr.tensor(2.0, dtype=f64), cr.tensor(0.7, dtype=f64)

    def by_rule(r, phi):
        x, y = Polar.apply(r, phi)
        return x * y + x

    def by_ops(r, phi):
        x, y = r * cr.cos(phi), r * cr.sin(phi)
        return x * y + x

    for argnum in (0, 1):
        np.testing.assert_allclose(
            cr.grad(by_rule, argnum)(r, phi).item(), cr.grad(by_ops, argnum)(r, phi).item()
        )
        np.testing.assert_allclose(
            cr.grad(cr.grad(by_rule, argnum))(r, phi).item(),
            cr.grad(cr.grad(by_ops, argnum))(r, phi).item(),
        )


def test_custom_function_with_one_output_unused() -> None:
    r = cr.tensor(2.0, dtype=f64, requires_grad=True)
    x, _ = Polar.apply(r, cr.tensor(0.0, dtype=f64))
    x.backward()
    assert r.grad.item() == 1.0


def test_custom_function_mistakes_are_named() -> None:
    class TooFew(cr.Function):
        forward = staticmethod(lambda ctx, a, b: a * b)
        backward = staticmethod(lambda ctx, ct: (ct,))

    class WrongShape(cr.Function):
        forward = staticmethod(lambda ctx, a: a * 2)
        backward = staticmethod(lambda ctx, ct: ct.sum())

    x = cr.ones(3, requires_grad=True)
    with pytest.raises(GradientError, match="one gradient per input"):
        TooFew.apply(x, x).sum().backward()
    with pytest.raises(ShapeError, match="WrongShape"):
        WrongShape.apply(x).sum().backward()


def test_custom_vjp_decorator() -> None:
    @cr.custom_vjp
    def clipped(x):
        return x

    clipped.defvjp(lambda x: (x, x), lambda x, ct: (ct.clip(-1, 1),))
    assert cr.grad(lambda x: 5 * clipped(x))(2.0).item() == 1.0
    assert clipped(cr.tensor(2.0)).item() == 2.0


def block(w):
    return lambda x: cr.tanh(cr.matmul(x, w)).exp()


def test_checkpoint_gives_the_same_gradients_also_to_closed_over_weights() -> None:
    rng = np.random.default_rng(0)
    x0, w0 = rng.normal(size=(4, 3)), rng.normal(size=(3, 3))
    results = []
    for use in (lambda f, x: f(x), cr.checkpoint):
        x, w = cr.tensor(x0, requires_grad=True), cr.tensor(w0, requires_grad=True)
        h = use(block(w), x * 2)
        use(block(w), h).sum().backward()
        results.append((x.grad.numpy(), w.grad.numpy()))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-14)


def test_checkpoint_keeps_the_same_random_numbers() -> None:
    results = []
    for use in (lambda f, x: f(x), cr.checkpoint):
        cr.manual_seed(7)
        x = cr.ones(1000, requires_grad=True)
        use(lambda x: cr.dropout(x * x, 0.5, True), x).sum().backward()
        after = cr.rand(3).tolist()
        results.append((x.grad.tolist(), after))
    assert results[0] == results[1]


def test_checkpoint_runs_its_function_again_and_keeps_no_residuals() -> None:
    calls = []

    def f(x):
        calls.append(1)
        return x.exp().sin()

    x = cr.ones(3, requires_grad=True)
    y = cr.checkpoint(f, x)
    assert y.grad_fn.parents == [x.node]
    y.sum().backward()
    assert len(calls) == 2


def test_checkpoint_differentiates_twice() -> None:
    x = cr.tensor(0.3, dtype=f64)
    f = lambda x: cr.checkpoint(lambda x: cr.sin(x) * x, x)  # noqa: E731
    plain = lambda x: cr.sin(x) * x  # noqa: E731
    assert cr.grad(cr.grad(f))(x).item() == pytest.approx(cr.grad(cr.grad(plain))(x).item())


def test_checkpoint_of_several_outputs_and_under_no_grad() -> None:
    x = cr.tensor(2.0, dtype=f64, requires_grad=True)
    a, b = cr.checkpoint(lambda x: (x * x, x**3), x)
    (a + 2 * b).backward()
    assert x.grad.item() == 4.0 + 24.0
    with cr.no_grad():
        assert not cr.checkpoint(lambda x: x * x, x).requires_grad
