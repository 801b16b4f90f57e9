"""ReLU's mask behind max-pooling is asked of the winners, and only where that is the same."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.compile import trace
from chainrule.compile.passes import prune, unmask, verify
from chainrule.core.graph import Graph

F = cr.nn.functional


def gradient_graph(kernel: int, stride: int, threshold: float = 0.0) -> Graph:
    """The gradient of a sum over pooled values, masked where the inputs are at most `threshold`."""

    def gradient(x: cr.Tensor) -> cr.Tensor:
        x = cr.Tensor.wrap(x.array).requires_grad_()
        y = F.relu(x) if not threshold else x * (x > threshold)
        (F.max_pool2d(y, kernel, stride) ** 2).sum().backward()
        assert x.grad is not None
        return x.grad

    return prune(trace(gradient, cr.ones(2, 3, 7, 7)))


def names(graph: Graph) -> list[str]:
    return [equation.op.name for equation in graph.equations]


@pytest.mark.parametrize(("kernel", "stride"), [(2, 2), (3, 2), (2, 1)])
def test_the_mask_moves_to_the_pooled_side(kernel: int, stride: int) -> None:
    before = gradient_graph(kernel, stride)
    after = prune(unmask(before))
    verify(after)
    order = names(after)
    assert names(before).index("max_scatter") < names(before).index("gt")
    assert order.index("gt") < order.index("max_scatter")
    rng = np.random.default_rng(0)
    for x in (rng.standard_normal((2, 3, 7, 7)), -np.ones((2, 3, 7, 7)), np.zeros((2, 3, 7, 7))):
        np.testing.assert_array_equal(
            after.run(x.astype(np.float32))[0], before.run(x.astype(np.float32))[0]
        )


def test_nan_and_inf_are_treated_alike() -> None:
    before = gradient_graph(2, 2)
    x = np.random.default_rng(1).standard_normal((2, 3, 7, 7)).astype(np.float32)
    x[0, 0, 0, 0], x[0, 1, 2, 2], x[1, 2, 3, 3] = np.nan, np.inf, -np.inf
    np.testing.assert_array_equal(unmask(before).run(x)[0], before.run(x)[0])


def test_another_threshold_or_another_mask_stays() -> None:
    graph = gradient_graph(2, 2, threshold=0.5)
    assert unmask(graph) is graph
    plain = trace(lambda x: x * (x > 0), cr.ones(3))
    assert unmask(plain) is plain
