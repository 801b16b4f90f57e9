"""Dead code goes and repeated code is shared, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.compile import trace
from chainrule.compile.passes import prune, share, verify
from chainrule.core.graph import Graph


def names(graph: Graph) -> list[str]:
    return [equation.op.name for equation in graph.equations]


def test_what_no_output_needs_is_pruned_with_what_it_needs() -> None:
    def f(x: Any) -> Any:
        (x.exp() + 1.0).sum()
        return x * 2.0

    graph = trace(f, cr.ones(3))
    assert names(graph) == ["exp", "add", "sum", "mul"]
    assert names(verify(prune(graph))) == ["mul"]
    assert names(graph) == ["exp", "add", "sum", "mul"]


def test_an_op_is_kept_for_one_of_its_outputs() -> None:
    graph = trace(lambda x: cr.sort(x)[1], cr.ones(3))
    assert prune(graph) is graph


def test_unused_draws_are_pruned_and_captured_values_stay() -> None:
    def f(x: Any) -> Any:
        cr.rand(3)
        return x + cr.rand(3)

    graph = trace(f, cr.ones(3))
    after = verify(prune(graph))
    assert names(after).count("random_uniform") == 1
    assert [len(c.variables) for c in after.captured] == [2]
    cr.manual_seed(3)
    expected = graph.run(np.ones(3, np.float32))[0]
    cr.manual_seed(3)
    np.testing.assert_array_equal(after.run(np.ones(3, np.float32))[0], expected)


def test_unused_inputs_stay_in_place() -> None:
    graph = verify(prune(trace(lambda x, y, z: (y.exp(), z * 1.0)[1], *[cr.ones(2)] * 3)))
    np.testing.assert_array_equal(graph.run(1, 2, np.full(2, 3.0))[0], [3, 3])


MASK = np.array([True, False, True])

SHARED: list[Callable[[Any], Any]] = [
    lambda x: x.tanh() * x.tanh(),
    lambda x: (x * 2.0) + (x * 2.0),
    lambda x: (x + x.exp()) * (x.exp() + x),
    lambda x: cr.where(MASK, x, 0.0) + cr.where(MASK.copy(), x, 0.0),
    lambda x: sum(cr.sort(x)[0] + cr.sort(x)[0]),
]
NOT_SHARED: list[Callable[[Any], Any]] = [
    lambda x: x.tanh() * x.exp(),
    lambda x: (x - x.exp()) * (x.exp() - x),
    lambda x: (x * 1) + (x * 1.0),
    lambda x: (x + 0.0) * (x + -0.0),
    lambda x: cr.where(MASK, x, 0.0) + cr.where(~MASK, x, 0.0),
    lambda x: x.sum(0) + x.sum(0, keepdim=True),
    lambda x: cr.where(np.uint8(1), x, 0.0) + cr.where(np.int8(1), x, 0.0),
]


@pytest.mark.parametrize("f", SHARED)
def test_equal_computations_are_shared(f: Callable[[Any], Any]) -> None:
    graph = trace(f, cr.ones(3))
    after = verify(share(graph))
    assert len(after.equations) < len(graph.equations)
    x = np.array([0.5, -1.0, 2.0], np.float32)
    np.testing.assert_array_equal(after.run(x)[0], graph.run(x)[0])
    assert share(after) is after


@pytest.mark.parametrize("f", NOT_SHARED)
def test_different_computations_are_not_shared(f: Callable[[Any], Any]) -> None:
    graph = trace(f, cr.ones(3))
    after = share(graph)
    repeated = len(names(graph)) - len(names(after))
    assert repeated == names(graph).count("exp") // 2  # of those, two are equal


def test_draws_with_different_counters_are_different() -> None:
    graph = trace(lambda x: x + cr.rand(3) * cr.rand(3), cr.ones(3))
    assert names(share(graph)).count("random_uniform") == 2


def test_large_constants_are_told_apart_by_identity() -> None:
    one, two = np.zeros(70_000, np.float32), np.zeros(70_000, np.float32)
    graph = trace(lambda x: (x + one) * (x + two) * (x + one), np.ones(70_000, np.float32))
    assert names(share(graph)).count("add") <= 2
