"""Tracing: the graph of a function, of its gradient, and of a training step equals eager."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.compile import trace
from chainrule.core.value import describe_site
from chainrule.errors import DTypeError, ShapeError, TracingError

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


# Constants, other traces --------------------------------------------------------------------------


def test_operations_on_constants_have_the_dtype_of_eager_ones() -> None:
    single, double = np.ones(3, np.float32), np.ones((), np.float64)

    def f(x):
        return x + cr.exp(cr.arange(3)), cr.add(single, double), cr.mul(cr.tensor(double), 2)

    graph = trace(f, cr.ones(3))
    for found, expected in zip(graph.run(single), f(cr.ones(3)), strict=True):
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, cr.as_tensor(expected).numpy())


def test_a_value_kept_from_another_trace_is_refused() -> None:
    kept = []
    trace(lambda x: kept.append(x * 1) or x, cr.ones(2))
    with pytest.raises(TracingError, match="outside the trace") as caught:
        trace(lambda x: x + kept[0], cr.ones(2))
    assert "test_trace.py" in str(caught.value)
    with pytest.raises(TracingError, match="outside the trace"):
        trace(lambda x: kept[0], cr.ones(2))
    with pytest.raises(TracingError, match="outside the trace"):
        kept[0] + 1


def test_a_value_of_an_outer_trace_is_refused_in_an_inner_one() -> None:
    with pytest.raises(TracingError, match="outside the trace"):
        trace(lambda x: cr.tensor(trace(lambda y: x + y, cr.ones(2)).run(np.ones(2))), cr.ones(2))


def test_an_operand_that_is_no_array_is_explained_while_tracing() -> None:
    with pytest.raises(DTypeError, match="takes tensors, arrays and numbers") as caught:
        trace(lambda x: cr.add(x, "1"), cr.ones(2))
    assert "str" in str(caught.value)


def test_a_result_that_is_no_tensor_is_refused() -> None:
    with pytest.raises(TracingError, match="returns a tensor"):
        trace(lambda x: {"y": x}, cr.ones(2))


def test_values_of_a_graph_are_looked_up_by_identity() -> None:
    graph = trace(lambda x, y: x * y, cr.ones(2), cr.ones(2))
    product = graph.equations[0].outputs[0]
    assert product not in graph.inputs
    assert product in graph.outputs
    assert graph.inputs.index(graph.inputs[1]) == 1
    assert len(graph.equations) == 1


# What a trace leaves behind -----------------------------------------------------------------------


def _trained() -> tuple[nn.Module, cr.optim.SGD]:
    cr.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 1))
    optimizer = cr.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    _step(model, optimizer, cr.ones(2, 3))
    return model, optimizer


def _step(model, optimizer, x):
    optimizer.zero_grad()
    loss = model(x).square().sum()
    loss.backward()
    optimizer.step()
    return loss


def test_a_trace_of_a_training_step_leaves_model_optimizer_and_generator_as_they_were() -> None:
    model, optimizer = _trained()
    cells = [*model.parameters(), *model.buffers()]
    arrays = [(t.array, t.node, t.grad) for t in cells]
    generator = cr.default_generator.get_state()
    graph = trace(lambda x: _step(model, optimizer, x), cr.ones(2, 3))
    assert len(graph.equations) > 20
    for cell, (array, node, grad) in zip(cells, arrays, strict=True):
        assert cell.array is array
        assert cell.node is node
        assert cell.grad is grad
    np.testing.assert_array_equal(cr.default_generator.get_state(), generator)
    assert np.isfinite(_step(model, optimizer, cr.ones(2, 3)).item())


def test_a_trace_that_fails_leaves_tensors_as_they_were() -> None:
    weight = cr.ones(3, requires_grad=True)
    unfinished = []

    def step(x):
        (weight * x).sum().backward()
        with cr.no_grad():
            weight.mul_(x)
        unfinished.append(weight.array)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        trace(step, cr.ones(3))
    assert unfinished[0] is not weight.array
    assert weight.tolist() == [1.0, 1.0, 1.0]
    assert weight.grad is None


def test_a_tensor_whose_construction_failed_does_not_disturb_a_trace() -> None:
    with pytest.raises(ShapeError) as kept:
        cr.tensor([[1.0], [1.0, 2.0]])
    assert len(trace(lambda x: x + 1, cr.ones(2)).equations) == 1
    assert kept.value.__traceback__ is not None


def test_data_can_be_assigned_and_augmented_in_a_trace() -> None:
    weight = cr.tensor([1.0, 2.0], requires_grad=True)

    def step(x):
        weight.data = x * 3
        weight.data -= x
        weight.data *= 2.0
        return weight * 1

    graph = trace(step, cr.ones(2))
    assert graph.run(np.array([1.0, 5.0], np.float32))[0].tolist() == [4.0, 20.0]
    assert weight.tolist() == [1.0, 2.0]


# Random numbers -----------------------------------------------------------------------------------


def test_each_run_of_a_graph_draws_the_numbers_that_eager_would() -> None:
    generator = cr.Generator(5)

    def f(x):
        y = cr.dropout(x, 0.5, generator=generator)
        return y + cr.randn(40, generator=generator), cr.rand(3) * x[:3]

    x = np.ones(40, np.float32)
    cr.manual_seed(3)
    generator.manual_seed(5)
    expected = [[t.numpy() for t in f(cr.tensor(x))] for _ in range(2)]
    cr.manual_seed(3)
    generator.manual_seed(5)
    graph = trace(f, x)
    for wanted in expected:
        for found, array in zip(graph.run(x), wanted, strict=True):
            np.testing.assert_array_equal(found, array)
    assert not np.array_equal(expected[0][0], expected[1][0])


def test_a_graph_that_draws_prints_as_a_program_of_key_and_counter() -> None:
    graph = trace(lambda x: cr.dropout(x, 0.5), cr.ones(8))
    names = graph.namespace()
    exec(str(graph), names)
    x = np.arange(8, dtype=np.float32)
    cr.manual_seed(2)
    (expected,) = graph.run(x)
    (found,) = names["graph"](x, np.uint64(2), np.uint64(0))
    np.testing.assert_array_equal(found, expected)


def test_a_checkpoint_in_a_trace_draws_the_same_mask_again() -> None:
    def gradient(x):
        return cr.grad(lambda x: cr.autodiff.checkpoint(lambda x: cr.dropout(x, 0.5) * x, x).sum())(
            x
        )

    x = np.arange(1, 21, dtype=np.float32)
    graph = trace(gradient, x)
    cr.manual_seed(1)
    expected = gradient(cr.tensor(x)).numpy()
    cr.manual_seed(1)
    np.testing.assert_array_equal(graph.run(x)[0], expected)
    assert set(expected / x) == {0.0, 4.0}


def test_a_generator_is_not_seeded_in_a_trace() -> None:
    with pytest.raises(TracingError, match="seeded"):
        trace(lambda x: cr.manual_seed(0) and x, cr.ones(2))


# Provenance ---------------------------------------------------------------------------------------


def test_an_equation_knows_its_line_and_module() -> None:
    model = nn.Sequential(nn.Linear(2, 2))
    graph = trace(lambda x: model(x) * 2, cr.ones(1, 2))
    first, *_, last = graph.equations
    assert first.scope.path() == "Sequential.0"
    assert last.scope is None
    assert "model(x) * 2" in describe_site(*last.site)
