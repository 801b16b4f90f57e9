"""Tracing: the graph of a function, of its gradient, and of a training step equals eager."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.compile import trace
from chainrule.errors import ShapeError, TracingError

RNG = np.random.default_rng(0)


def test_a_graph_computes_what_the_function_computes() -> None:
    def f(x, y):
        return cr.softmax(cr.matmul(x, y).tanh(), 1), (x * 2).sum()

    x, y = RNG.normal(size=(4, 3)), RNG.normal(size=(3, 5))
    graph = trace(f, x, y)
    for found, expected in zip(graph.run(x, y), f(cr.tensor(x), cr.tensor(y)), strict=True):
        np.testing.assert_array_equal(found, expected.numpy())


def test_a_graph_prints_as_a_program_that_runs() -> None:
    graph = trace(lambda x: (x * x).sum() + np.float64(3.0), cr.ones(3))
    names = graph.namespace()
    exec(str(graph), names)
    assert float(names["graph"](np.array([1.0, 2.0, 3.0], np.float32))[0]) == 17.0
    assert "sum(axes=(0,), keepdim=False)" in str(graph)


def test_backward_inside_a_traced_function_is_in_the_graph() -> None:
    def slope(x):
        return cr.grad(lambda x: (x.sin() * x).sum())(x)

    x = RNG.normal(size=5)
    graph = trace(slope, x)
    np.testing.assert_allclose(graph.run(x)[0], np.cos(x) * x + np.sin(x), rtol=1e-14)


def test_second_derivatives_are_traced() -> None:
    graph = trace(cr.hessian(lambda x: (x**3).sum()), np.ones(2))
    np.testing.assert_allclose(graph.run(np.array([1.0, 2.0]))[0], [[6, 0], [0, 12]])


def test_gradients_of_a_network_are_traced() -> None:
    cr.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 3)
    )
    images = RNG.normal(size=(2, 1, 8, 8)).astype(np.float32)
    labels = np.array([0, 2])
    weights = list(model.parameters())

    def step(x, *values):
        for weight, value in zip(weights, values, strict=True):
            weight.array = value.array
        loss = nn.functional.cross_entropy(model(x), cr.tensor(labels))
        return (loss, *cr.gradients(loss, weights))

    start = [w.numpy() for w in map(cr.Tensor.detach, weights)]
    expected = [t.detach().numpy() for t in step(cr.tensor(images), *map(cr.tensor, start))]
    graph = trace(step, images, *start)
    for found, wanted in zip(graph.run(images, *start), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    "misuse",
    [lambda x: x if x.sum() > 0 else -x, lambda x: float(x.sum()), lambda x: x.detach().numpy()],
)
def test_asking_for_numbers_while_tracing_names_the_line(misuse) -> None:
    with pytest.raises(TracingError, match="no numbers yet") as caught:
        trace(misuse, cr.ones(2))
    assert "test_trace.py" in str(caught.value)


def test_wrong_shapes_are_found_while_tracing() -> None:
    with pytest.raises(ShapeError):
        trace(lambda x, y: x + y, cr.ones(2), cr.ones(3))


def test_tracing_ends_when_the_function_raises() -> None:
    with pytest.raises(ZeroDivisionError):
        trace(lambda x: 1 // 0, cr.ones(2))
    assert (cr.ones(2) + 1).tolist() == [2.0, 2.0]
