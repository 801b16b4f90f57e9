"""Small products come right behind what they are made of, and nothing else moves."""

from __future__ import annotations

from typing import Any

import numpy as np

import chainrule as cr
from chainrule import nn
from chainrule.compile import trace
from chainrule.compile.passes import optimize, prune, settle, simplify, verify
from chainrule.core.graph import Graph, Var

F = nn.functional


def names(graph: Graph) -> list[str]:
    return [equation.op.name for equation in graph.equations]


def test_a_small_product_is_made_where_its_last_operand_is() -> None:
    def f(x: Any) -> Any:
        y = x.exp()
        z = y.tanh()
        return z.relu(), x.T @ y, y.T @ z

    graph = trace(f, cr.ones(40, 3))
    assert names(graph) == ["exp", "tanh", "relu", "permute", "matmul", "permute", "matmul"]
    graph = simplify(graph)
    after = verify(settle(graph))
    assert names(prune(after)) == ["exp", "matmul", "tanh", "matmul", "relu"]
    x = np.linspace(-1, 1, 120, dtype=np.float32).reshape(40, 3)
    for a, b in zip(after.run(x), graph.run(x), strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_is_made_of_small_products_stays_behind_them() -> None:
    def f(x: Any, y: Any) -> Any:
        z = x.exp()
        small = x @ y
        return z, small @ z, small.exp()

    graph = trace(f, cr.ones(3, 40), cr.ones(40, 3))
    after = verify(settle(graph))
    assert names(after) == ["matmul", "exp", "matmul", "exp"]
    assert settle(after) is after


def test_sums_and_large_products_stay() -> None:
    def f(x: Any) -> Any:
        y = x.exp()
        return y.tanh(), y @ y, y.sum()

    graph = trace(f, cr.ones(9, 9))
    assert settle(graph) is graph


def test_a_weight_has_its_gradient_before_the_layer_below() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU()
    )

    def step(x: Any) -> Any:
        loss = model(x).square().mean()
        loss.backward()
        return [p.grad for p in model.parameters()]

    graph = optimize(trace(step, cr.randn(4, 3, 16, 16)))
    order = [name for name in names(graph) if name.startswith("convolution_")]
    assert order == ["convolution_kernel", "convolution_input", "convolution_kernel"]


def test_captured_values_count_as_given() -> None:
    def f(x: Any) -> Any:
        return x.exp(), cr.rand(2)

    graph = trace(f, cr.ones(100))
    after = verify(settle(graph))
    assert {type(v) for c in after.captured for v in c.variables} == {Var}
    assert sorted(names(after)) == sorted(names(graph))
