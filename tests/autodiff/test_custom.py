"""Derivative rules of the user's own."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import (
    ArgumentError,
    FreedGraphError,
    GradientError,
    SecondOrderError,
    ShapeError,
)

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


class Exp(cr.Function):
    """exp(x), whose rule needs the output."""

    @staticmethod
    def forward(ctx, x):
        y = cr.exp(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, ct):
        return ct * ctx.saved_tensors[0]


class SineOfIntermediate(cr.Function):
    """sin(x) that saves cos(x), neither an input nor an output."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(cr.cos(x))
        return cr.sin(x)

    @staticmethod
    def backward(ctx, ct):
        return ct * ctx.saved_tensors[0]


def leaf(value) -> cr.Tensor:
    return cr.tensor(value, dtype=f64, requires_grad=True)


def test_function_that_saves_its_output_or_its_input_ignores_later_changes() -> None:
    x = leaf(1.0)
    y = Exp.apply(x)
    y *= 10
    y.backward()
    assert x.grad.item() == pytest.approx(10 * np.e)
    w = leaf(2.0)
    x = w * 1.0
    y = Cube.apply(x)
    x += 100
    y.backward()
    assert w.grad.item() == 12.0


def test_custom_vjp_residuals_ignore_later_changes() -> None:
    square = cr.custom_vjp(lambda x: x * x)
    square.defvjp(lambda x: (x * x, {"x": x}), lambda r, ct: (2 * ct * r["x"],))
    w = leaf(2.0)
    x = w * 1.0
    y = square(x)
    x += 100
    y.backward()
    assert w.grad.item() == 4.0


def sine() -> object:
    f = cr.custom_vjp(lambda x: cr.sin(x))
    f.defvjp(lambda x: (cr.sin(x), cr.cos(x)), lambda r, ct: (ct * r,))
    return f


def test_custom_vjp_differentiates_residuals_that_are_not_inputs() -> None:
    x = cr.tensor(1.0, dtype=f64)
    assert cr.grad(cr.grad(sine()))(x).item() == pytest.approx(-np.sin(1))
    assert cr.grad(cr.grad(cr.grad(sine())))(x).item() == pytest.approx(-np.cos(1))


def test_custom_vjp_draws_the_same_random_numbers_when_it_runs_again() -> None:
    def forward(x):
        mask = cr.rand(8, dtype=f64)
        return x * x * mask, x * mask

    f = cr.custom_vjp(lambda x: forward(x)[0])
    f.defvjp(forward, lambda r, ct: (2 * ct * r,))
    x = leaf(np.ones(8))
    (dx,) = cr.gradients(f(x).sum(), x, create_graph=True)
    (ddx,) = cr.gradients(dx.sum(), x)
    np.testing.assert_allclose(ddx.numpy(), dx.detach().numpy())


def test_function_that_saves_an_intermediate_cannot_be_differentiated_twice() -> None:
    x = cr.tensor(1.0, dtype=f64)
    assert cr.grad(SineOfIntermediate.apply)(x).item() == pytest.approx(np.cos(1))
    with pytest.raises(SecondOrderError, match="saved tensor 0") as caught:
        cr.grad(cr.grad(SineOfIntermediate.apply))(x)
    assert "SineOfIntermediate" in str(caught.value)
    with pytest.raises(SecondOrderError, match="saved tensor 0"):
        cr.hvp(SineOfIntermediate.apply, x, x)


def test_saved_output_differentiates_twice() -> None:
    assert cr.grad(cr.grad(Exp.apply))(cr.tensor(1.0, dtype=f64)).item() == pytest.approx(np.e)


def wide(x):
    return cr.concatenate([x * x, cr.sin(x), x.exp()])


WIDE = {
    "function": (lambda x: wide(Cube.apply(x)), lambda x: wide(x**3)),
    "saved output": (lambda x: wide(Exp.apply(x)), lambda x: wide(cr.exp(x))),
    "custom_vjp": (lambda x, f=sine(): wide(f(x)), lambda x: wide(cr.sin(x))),  # noqa: B008
    "two outputs": (
        lambda x: wide(Polar.apply(x, x * x)[1]),
        lambda x: wide(x * cr.sin(x * x)),
    ),
}


@pytest.mark.parametrize("name", WIDE)
def test_forward_mode_agrees_with_plain_operations(name: str) -> None:
    custom, plain = WIDE[name]
    x, v = cr.tensor([0.3, 0.7], dtype=f64), cr.tensor([1.0, -2.0], dtype=f64)
    for transform in (
        lambda f: cr.jvp(f, (x,), (v,))[1],
        lambda f: cr.jacobian(f)(x),
        lambda f: cr.hvp(lambda x: (f(x) ** 2).sum(), x, v)[1],
        lambda f: cr.jvp(lambda x: cr.jvp(f, (x,), (v,))[1], (x,), (v,))[1],
        lambda f: cr.hessian(lambda x: f(x).sum())(x),
        lambda f: cr.grad(lambda x: cr.jvp(f, (x,), (v,))[1].sum())(x),
    ):
        np.testing.assert_allclose(transform(custom).numpy(), transform(plain).numpy(), atol=1e-12)


def test_forward_mode_through_modules_with_backward_hooks_runs_no_hook() -> None:
    layer, calls = nn.Linear(2, 3), []
    x = cr.ones(4, 2)
    expected = cr.jvp(layer, (x,), (x,))[1].tolist()
    layer.register_full_backward_hook(lambda *_: calls.append(1))
    assert cr.jvp(layer, (x,), (x,))[1].tolist() == expected
    assert not calls


def test_forward_mode_uses_the_rule_of_the_function() -> None:
    class Doubled(cr.Function):
        forward = staticmethod(lambda ctx, x, y: x + y)
        backward = staticmethod(lambda ctx, ct: (ct, ct))
        jvp = staticmethod(lambda ctx, dx, dy: 20 * dx if dy is None else dx + dy)

    x = cr.tensor(1.0)
    assert cr.jvp(lambda x: Doubled.apply(x, 1.0), (x,), (x,))[1].item() == 20.0
    assert cr.jvp(Doubled.apply, (x, x), (x, x))[1].item() == 2.0


def test_forward_mode_through_a_backward_in_numpy_is_a_named_error() -> None:
    class InNumpy(cr.Function):
        forward = staticmethod(lambda ctx, x: x * 2)
        backward = staticmethod(lambda ctx, ct: ct.detach().numpy() * 2 + 1)

    x = cr.tensor(1.0)
    assert cr.grad(InNumpy.apply)(x).item() == 3.0
    with pytest.raises(GradientError, match="forward mode"):
        cr.jvp(InNumpy.apply, (x,), (x,))


def test_backward_of_a_function_may_return_numbers_and_arrays() -> None:
    class Numbers(cr.Function):
        forward = staticmethod(lambda ctx, x, v: (x * v).sum())
        backward = staticmethod(lambda ctx, ct: (2.0, np.array([1, 2])))

    x, v = leaf(1.0), leaf([3.0, 4.0])
    Numbers.apply(x, v).backward()
    assert x.grad.item() == 2.0
    assert v.grad.tolist() == [1.0, 2.0]
    assert v.grad.dtype == f64

    class Nonsense(cr.Function):
        forward = staticmethod(lambda ctx, x: x * 2)
        backward = staticmethod(lambda ctx, ct: "gradient")

    with pytest.raises(GradientError, match=r"Nonsense\.backward") as caught:
        Nonsense.apply(x).backward()
    assert "Nonsense.apply(x).backward()" in str(caught.value)


def test_forward_of_a_function_returns_and_saves_tensors() -> None:
    class Text(cr.Function):
        forward = staticmethod(lambda ctx, x: "text")

    class SavesNumber(cr.Function):
        forward = staticmethod(lambda ctx, x: ctx.save_for_backward(3))

    with pytest.raises(ArgumentError, match=r"Text\.forward"):
        Text.apply(leaf(1.0))
    with pytest.raises(ArgumentError, match="save_for_backward"):
        SavesNumber.apply(leaf(1.0))


def test_function_that_returns_its_input_makes_a_cell_of_its_own() -> None:
    class Same(cr.Function):
        forward = staticmethod(lambda ctx, x: x)
        backward = staticmethod(lambda ctx, ct: 2 * ct)

    x = cr.tensor([1.0])
    y = Same.apply(x)
    y += 1
    assert x.tolist() == [1.0]
    x = leaf([1.0])
    y = Same.apply(x)
    y += 1
    y.sum().backward()
    assert x.tolist() == [1.0]
    assert x.grad.tolist() == [2.0]


@pytest.mark.parametrize("function", [Exp, Cube, Polar])
def test_a_function_makes_no_reference_cycle(function) -> None:
    gc.collect()
    gc.disable()
    try:
        x = leaf(1.0)
        y = function.apply(x, x) if function is Polar else function.apply(x)
        dead = weakref.ref((y[0] if function is Polar else y).node)
        del y
        assert dead() is None
        y = function.apply(x, x)[0] if function is Polar else function.apply(x)
        dead = weakref.ref(y.node)
        cr.gradients(y, x, create_graph=True)
        del y
        assert dead() is None
    finally:
        gc.enable()


def test_second_walk_through_a_freed_function_is_refused() -> None:
    x = leaf(1.0)
    f = sine()
    for y in (Exp.apply(x), Cube.apply(x), f(x)):
        y.backward(retain_graph=True)
        y.backward()
        with pytest.raises(FreedGraphError, match="retain_graph") as caught:
            y.backward()
        assert "test_custom.py" in caught.value.at


def test_backward_frees_what_a_function_keeps() -> None:
    class Attribute(cr.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.kept = x.detach()
            return x * 2

        backward = staticmethod(lambda ctx, ct: ct * 2 * ctx.kept / ctx.kept)

    h = leaf(1.0) * 3
    dead = weakref.ref(h.array)
    y = Attribute.apply(h)
    del h
    assert dead() is not None
    y.backward()
    assert dead() is None
    assert y.shape == ()
