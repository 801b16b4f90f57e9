"""The third kind of value: every op, and its rule, traced into a graph and run, equals eager."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

import chainrule as cr
from chainrule.compile import trace
from chainrule.core.apply import apply
from chainrule.core.op import Op, registry
from chainrule.ops import all_ops
from chainrule.testing.cases import Case
from chainrule.testing.contract import EXACT, close

SAMPLES = 6
"""Traced of each op: enough for its ranks and options, at some 10 ms a trace."""

OPS = sorted(
    (op for op in all_ops().values() if op.__module__.startswith("chainrule.")),
    key=lambda op: op.name,
)


def forward_and_gradients(case: Case, operands: list[cr.Tensor]) -> list[cr.Tensor]:
    """The op's outputs, and ctᵀJ for each input to differentiate, as zeros if none arrives."""
    for i in case.wrt:
        operands[i] = cr.Tensor.wrap(operands[i].array).requires_grad_()
    out = apply(case.op, *operands)
    outs = list(out) if case.op.n_out is not None else [out]
    if not case.wrt:
        return outs
    pairs = [(y, ct) for y, ct in zip(outs, case.cts, strict=True) if ct is not None]
    wanted = [operands[i] for i in case.wrt]
    found = cr.gradients(
        [y for y, _ in pairs], wanted, [cr.Tensor.wrap(ct) for _, ct in pairs], allow_unused=True
    )
    grads = [cr.zeros_like(x) if g is None else g for x, g in zip(wanted, found, strict=True)]
    return [*outs, *grads]


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_traced_op_and_rule_equal_eager(op: type[Op]) -> None:
    for seed, sample in enumerate(islice(op.samples(), SAMPLES)):
        case = Case(sample, seed)
        graph = trace(
            lambda *xs, case=case: forward_and_gradients(case, list(xs)),
            *[cr.Tensor.wrap(x) for x in case.inputs],
        )
        expected = [*case.outs, *[case.grads[i] for i in case.wrt]]
        for found, wanted in zip(graph.run(*case.inputs), expected, strict=True):
            assert np.asarray(found).dtype == wanted.dtype, case
            assert not close(found, wanted, EXACT), (case, close(found, wanted, EXACT))


def test_a_wrong_rule_in_a_graph_would_be_seen() -> None:
    """The comparison has teeth: a graph with one equation changed differs."""
    case = Case(next(islice(registry["mul"].samples(), 3, None)), 0)
    graph = trace(
        lambda *xs: forward_and_gradients(case, list(xs)),
        *[cr.Tensor.wrap(x) for x in case.inputs],
    )
    assert graph.equations
    graph.equations[0] = graph.equations[0]._replace(op=registry["add"]())
    results = graph.run(*case.inputs)
    assert close(results[0], case.outs[0], EXACT)
