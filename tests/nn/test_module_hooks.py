"""Hooks before, after and behind the forward pass of a module."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import GradientError


class Product(nn.Module):
    """y = a b, with an option."""

    def forward(self, a: Any, b: Any, scale: float = 1.0) -> Any:
        return a * b * scale


def test_forward_hooks_see_and_may_replace_the_output() -> None:
    layer = nn.Identity()
    seen: list[Any] = []
    first = layer.register_forward_hook(lambda m, args, y: seen.append((m, args, y)))
    x = cr.ones(2)
    assert layer(x) is x
    assert seen[0][0] is layer
    assert seen[0][1] == (x,)
    second = layer.register_forward_hook(lambda m, args, y: y * 3)
    assert layer(x).tolist() == [3.0, 3.0]
    first.remove()
    second.remove()
    first.remove()
    assert layer(x).tolist() == [1.0, 1.0]
    assert len(seen) == 2


def test_hooks_run_in_order_unless_prepended() -> None:
    layer, order = nn.Identity(), list[str]()
    layer.register_forward_hook(lambda *_: order.append("a"))
    layer.register_forward_hook(lambda *_: order.append("b"), prepend=True)
    layer(cr.ones(1))
    assert order == ["b", "a"]


def test_pre_hooks_may_replace_the_arguments() -> None:
    layer = Product()
    with layer.register_forward_pre_hook(lambda m, args: (args[0] * 2, args[1])):
        assert layer(cr.ones(1), 3.0).tolist() == [6.0]
    with nn.ReLU().register_forward_pre_hook(lambda m, args: -args[0]) as _:
        pass
    relu = nn.ReLU()
    relu.register_forward_pre_hook(lambda m, args: -args[0])
    assert relu(cr.tensor([-2.0])).tolist() == [2.0]
    assert layer(cr.ones(1), 3.0).tolist() == [3.0]


def test_hooks_can_ask_for_keyword_arguments() -> None:
    layer = Product()
    layer.register_forward_pre_hook(
        lambda m, args, kwargs: (args, {"scale": kwargs["scale"] + 1}), with_kwargs=True
    )
    layer.register_forward_hook(lambda m, args, kwargs, y: y * kwargs["scale"], with_kwargs=True)
    assert layer(cr.ones(1), 1.0, scale=1.0).tolist() == [4.0]


def test_backward_hooks_see_both_gradients() -> None:
    layer = nn.Linear(3, 2)
    seen: list[Any] = []
    layer.register_full_backward_hook(lambda m, gi, go: seen.append((m, gi, go)))
    x = cr.randn(4, 3)
    x.requires_grad_()
    (layer(x) * 2).sum().backward()
    ((module, grad_input, grad_output),) = seen
    assert module is layer
    assert grad_output[0].tolist() == np.full((4, 2), 2.0).tolist()
    expected = np.full((4, 2), 2.0) @ layer.weight.detach().numpy()
    np.testing.assert_allclose(grad_input[0].numpy(), expected, rtol=1e-6)
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-6)


def test_without_a_gradient_for_the_input_the_hook_still_runs() -> None:
    layer = nn.Linear(3, 2)
    seen: list[Any] = []
    layer.register_full_backward_hook(lambda m, gi, go: seen.append((gi, go)))
    layer(cr.ones(4, 3)).sum().backward()
    assert seen[0][0] == (None,)
    assert seen[0][1][0].shape == (4, 2)
    assert layer.weight.grad is not None
    with cr.no_grad():
        layer(cr.ones(4, 3))


def test_a_backward_hook_may_replace_the_input_gradients() -> None:
    layer = Product()
    layer.register_full_backward_hook(lambda m, gi, go: (gi[0] * 10, gi[1] * 100, None))
    a, b = cr.tensor([2.0], requires_grad=True), cr.tensor([3.0], requires_grad=True)
    layer(a, b, 1.0).sum().backward()
    assert a.grad is not None
    assert b.grad is not None
    assert (a.grad.item(), b.grad.item()) == (30.0, 200.0)


def test_a_backward_hook_with_the_wrong_number_of_gradients_is_refused() -> None:
    layer = Product()
    layer.register_full_backward_hook(lambda m, gi, go: gi[0])
    a, b = cr.tensor([2.0], requires_grad=True), cr.tensor([3.0], requires_grad=True)
    with pytest.raises(GradientError, match="one gradient per input"):
        layer(a, b).sum().backward()


def test_backward_hooks_pass_second_derivatives() -> None:
    layer = nn.Sigmoid()
    layer.register_full_backward_hook(lambda m, gi, go: None)
    x = cr.tensor(0.3, requires_grad=True)
    layer(x).backward(create_graph=True)
    first = x.grad
    assert first is not None
    x.grad = None
    first.backward()
    s = 1 / (1 + np.exp(-0.3))
    assert x.grad is not None
    assert x.grad.item() == pytest.approx(s * (1 - s) * (1 - 2 * s), rel=1e-5)


def test_hooks_of_modules_with_several_outputs() -> None:
    layer = nn.LSTM(2, 3)
    seen: list[Any] = []
    layer.register_full_backward_hook(lambda m, gi, go: seen.append(go))
    layer.register_forward_hook(lambda m, args, out: seen.append(len(out)))
    y, _ = layer(cr.ones(4, 1, 2))
    y.sum().backward()
    assert seen[0] == 2
    assert seen[1][0].shape == (4, 1, 3)
    assert seen[1][1] is None
