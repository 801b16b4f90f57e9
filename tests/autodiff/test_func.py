"""The transforms under PyTorch's names: trees, aux, functional calls, forward duals, keywords."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import autograd, func
from chainrule.autograd import forward_ad, functional
from chainrule.errors import ArgumentError, GradientError, ShapeError, StateError


def test_gradients_follow_the_structure_of_the_argument() -> None:
    p = {"w": cr.tensor([1.0, 2.0]), "rest": [cr.tensor(3.0), (cr.tensor(4.0),)]}

    def f(p: Any, x: cr.Tensor) -> Any:
        out = (p["w"] * x).sum() * p["rest"][0] + p["rest"][1][0] ** 2
        return out, {"aux": x + 1}

    (slopes, (value, aux)) = func.grad_and_value(f, has_aux=True)(p, cr.tensor([1.0, 1.0]))
    assert slopes["w"].tolist() == [3.0, 3.0]
    assert slopes["rest"][0].item() == 3.0
    assert slopes["rest"][1][0].item() == 8.0
    assert (value.item(), aux["aux"].tolist()) == (25.0, [2.0, 2.0])


def test_products_with_the_jacobian_take_and_return_trees() -> None:
    x = {"a": cr.tensor([1.0, 2.0])}
    out, pull = func.vjp(lambda x: (x["a"] * 2, {"s": x["a"].sum()}), x)
    assert out[1]["s"].item() == 3.0
    (slopes,) = pull((cr.ones(2), {"s": cr.tensor(5.0)}))
    assert slopes["a"].tolist() == [7.0, 7.0]
    _, push = func.linearize(lambda x: x["a"] ** 2, x)
    assert push({"a": cr.tensor([1.0, 1.0])}).tolist() == [2.0, 4.0]
    with pytest.raises(ShapeError, match="tangent"):
        push({"a": cr.ones(3)})


def test_jacobians_of_several_arguments_and_results() -> None:
    a, b = cr.tensor([1.0, 2.0]), cr.tensor([3.0])

    def f(a: cr.Tensor, b: cr.Tensor) -> Any:
        return {"p": a * b, "q": b}, "note"

    for mode in (func.jacrev, func.jacfwd):
        found, note = mode(f, argnums=(0, 1), has_aux=True)(a, b)
        assert note == "note"
        assert found["p"][0].tolist() == [[3.0, 0.0], [0.0, 3.0]]
        assert found["p"][1].tolist() == [[1.0], [2.0]]
        assert found["q"][0].tolist() == [[0.0, 0.0]]
    chunks = func.jacrev(lambda a: a**2, chunk_size=1)(a)
    assert chunks.tolist() == [[2.0, 0.0], [0.0, 4.0]]
    blocks = func.hessian(lambda a, b: (a**2 * b).sum(), argnums=(0, 1))(a, b)
    assert blocks[0][1].tolist() == [[2.0], [4.0]]


def test_a_module_is_called_with_other_parameters_and_left_as_it_was() -> None:
    net = cr.nn.Linear(2, 1)
    before = net.weight
    out = func.functional_call(net, {"weight": cr.ones(1, 2), "bias": cr.zeros(1)}, cr.ones(2))
    assert out.tolist() == [2.0]
    assert net.weight is before
    with pytest.raises(StateError, match="not the parameters"):
        func.functional_call(net, {"wait": cr.ones(1, 2)}, cr.ones(2))
    with pytest.raises(StateError, match="not the parameters"):
        func.functional_call(net, {"weight": cr.ones(1, 2)}, cr.ones(2), strict=True)
    with pytest.raises(ArgumentError, match="twice"):
        func.functional_call(net, [{"weight": before}, {"weight": before}], cr.ones(2))
    with pytest.raises(ArgumentError, match="one kind"):
        func.stack_module_state([net, cr.nn.ReLU()])


def test_tied_weights_are_replaced_under_all_their_names() -> None:
    net = cr.nn.Sequential(cr.nn.Linear(2, 2, bias=False), cr.nn.Linear(2, 2, bias=False))
    net[1].weight = net[0].weight
    twice = func.functional_call(net, {"0.weight": cr.eye(2) * 2}, cr.ones(2))
    once = func.functional_call(net, {"0.weight": cr.eye(2) * 2}, cr.ones(2), tie_weights=False)
    assert twice.tolist() == [4.0, 4.0]
    assert not np.allclose(once.detach().numpy(), 4.0)


def test_keywords_of_grad() -> None:
    x = cr.tensor([1.0, 2.0], requires_grad=True)
    unused = cr.ones(2, requires_grad=True)
    y = x**2
    (rows,) = autograd.grad(y, x, cr.eye(2), retain_graph=True, is_grads_batched=True)
    assert rows.tolist() == [[2.0, 0.0], [0.0, 4.0]]
    (both,) = autograd.grad([y, y * 2], x, [cr.ones(2), cr.ones(2)], retain_graph=True)
    assert both.tolist() == [6.0, 12.0]
    _, zeros = autograd.grad(y.sum(), [x, unused], materialize_grads=True, retain_graph=True)
    assert zeros.tolist() == [0.0, 0.0]
    assert autograd.grad(y.sum(), [x, unused], allow_unused=True, retain_graph=True)[1] is None
    with pytest.raises(GradientError, match="does not reach"):
        autograd.grad(y.sum(), unused, retain_graph=True)
    with pytest.raises(ArgumentError, match="materialize"):
        autograd.grad(y.sum(), x, allow_unused=False, materialize_grads=True)
    autograd.backward(y.sum(), inputs=[x], retain_graph=True)
    assert x.grad.tolist() == [2.0, 4.0]
    (again,) = autograd.grad((x**3).sum(), x, create_graph=True)
    assert autograd.grad(again.sum(), x)[0].tolist() == [6.0, 12.0]
    (curved,) = autograd.grad(x**3, x, cr.eye(2), create_graph=True, is_grads_batched=True)
    assert autograd.grad(curved.sum(), x)[0].tolist() == [6.0, 12.0]


def test_derivatives_at_inputs() -> None:
    a, b = cr.tensor([1.0, 2.0]), cr.tensor([3.0, 4.0])

    def f(a: cr.Tensor, b: cr.Tensor) -> cr.Tensor:
        return (a**2 * b).sum()

    rows = functional.jacobian(lambda a, b: a * b, (a, b))
    assert rows[1].tolist() == [[1.0, 0.0], [0.0, 2.0]]
    forward = functional.jacobian(lambda a: a * a, a, strategy="forward-mode")
    assert forward.tolist() == [[2.0, 0.0], [0.0, 4.0]]
    blocks = functional.hessian(f, (a, b))
    assert blocks[0][1].tolist() == [[2.0, 0.0], [0.0, 4.0]]
    v = (cr.ones(2), cr.zeros(2))
    for product in (functional.hvp, functional.vhp):
        value, (first, second) = product(f, (a, b), v)
        assert (value.item(), first.tolist(), second.tolist()) == (19.0, [6.0, 8.0], [2.0, 4.0])
    assert functional.vjp(lambda a: a * 2, a, cr.ones(2))[1].tolist() == [2.0, 2.0]
    assert functional.jvp(lambda a: a * 2, a, cr.ones(2))[1].tolist() == [2.0, 2.0]
    with pytest.raises(GradientError, match="does not depend"):
        functional.jacobian(lambda a, b: a, (a, b), strict=True)
    with pytest.raises(GradientError, match="direction"):
        functional.vjp(lambda a: a, a)
    graph = functional.jacobian(lambda a: a**2, a.requires_grad_(), create_graph=True)
    assert graph.requires_grad


def test_dual_numbers() -> None:
    with forward_ad.dual_level():
        x = forward_ad.make_dual(cr.tensor([1.0, 2.0]), cr.tensor([1.0, 10.0]))
        y = cr.exp(x) * 2 + cr.ones(2)
        primal, tangent = forward_ad.unpack_dual(y)
        np.testing.assert_allclose(tangent.numpy(), 2 * np.exp([1, 2]) * [1, 10], rtol=1e-6)
        assert primal is y
        assert forward_ad.unpack_dual(cr.ones(2)).tangent is None
        with pytest.raises(ShapeError, match="tangent"):
            forward_ad.make_dual(cr.ones(2), cr.ones(3))
    with pytest.raises(GradientError, match="level"):
        forward_ad.make_dual(cr.ones(2), cr.ones(2))
    with pytest.raises(ArgumentError, match="ends"):
        forward_ad.exit_dual_level()


def test_dual_numbers_can_be_differentiated() -> None:
    w = cr.tensor(3.0, requires_grad=True)
    with forward_ad.dual_level():
        x = forward_ad.make_dual(cr.tensor(2.0), cr.tensor(1.0, requires_grad=True))
        forward_ad.unpack_dual(w * x * x).tangent.backward()
    assert w.grad.item() == 4.0
