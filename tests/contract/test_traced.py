"""The third kind of value: every op, and its rule, traced into a graph and run, equals eager."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

import chainrule as cr
from chainrule.compile import trace
from chainrule.core.graph import Graph
from chainrule.core.op import Op, registry
from chainrule.ops import all_ops
from chainrule.testing.cases import Case
from chainrule.testing.contract import EXACT, close

SAMPLES = 6
"""Of each op, in one graph: enough for its ranks and options."""

OPS = sorted(
    (op for op in all_ops().values() if op.__module__.startswith("chainrule.")),
    key=lambda op: op.name,
)


def traced(cases: list[Case]) -> Graph:
    """The outputs of each case, then its gradients, zeros if none arrives, as one graph."""

    def run(*tensors: cr.Tensor) -> list[cr.Tensor]:
        rest, results = list(tensors), []
        for case in cases:
            xs, rest = rest[: len(case.inputs)], rest[len(case.inputs) :]
            outs, grads = case.differentiate(xs)
            results += outs
            results += [cr.zeros_like(xs[i]) if g is None else g for i, g in grads.items()]
        return results

    return trace(run, *[cr.Tensor.wrap(x) for case in cases for x in case.inputs])


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_traced_op_and_rule_equal_eager(op: type[Op]) -> None:
    cases = [Case(sample, seed) for seed, sample in enumerate(islice(op.samples(), SAMPLES))]
    inputs = [x for case in cases for x in case.inputs]
    results = iter(traced(cases).run(*inputs))
    for case in cases:
        expected = [*case.outs, *[case.grads[i] for i in case.wrt]]
        for wanted in expected:
            found = next(results)
            assert np.asarray(found).dtype == wanted.dtype, case
            assert not close(found, wanted, EXACT), (case, close(found, wanted, EXACT))
    assert not list(results)


def test_a_wrong_rule_in_a_graph_would_be_seen() -> None:
    """The comparison has teeth: a graph with one equation changed differs."""
    case = Case(next(islice(registry["mul"].samples(), 3, None)), 0)
    graph = traced([case])
    assert graph.equations
    graph.equations[0] = graph.equations[0]._replace(op=registry["add"]())
    results = graph.run(*case.inputs)
    assert close(results[0], case.outs[0], EXACT)
