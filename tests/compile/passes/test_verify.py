"""The verifier accepts what tracing makes and rejects every kind of malformed graph."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.compile import trace
from chainrule.compile.passes import verify
from chainrule.core.aval import Aval
from chainrule.core.graph import Graph
from chainrule.errors import GraphError


def traced() -> Graph:
    return trace(lambda x: ((x * 2.0).exp() + x).sum(), cr.ones(3))


def test_a_traced_graph_is_well_formed() -> None:
    graph = traced()
    assert verify(graph) is graph


def test_use_before_definition_is_found() -> None:
    graph = traced()
    graph.equations[0], graph.equations[1] = graph.equations[1], graph.equations[0]
    with pytest.raises(GraphError, match="before it is defined"):
        verify(graph)


def test_two_definitions_are_found() -> None:
    graph = traced()
    graph.equations.append(graph.equations[0])
    with pytest.raises(GraphError, match="defines a value twice"):
        verify(graph)


def test_an_input_cannot_be_computed_too() -> None:
    graph = traced()
    graph.equations[0] = graph.equations[0]._replace(outputs=(graph.inputs[0],))
    with pytest.raises(GraphError, match="defines a value twice"):
        verify(graph)


@pytest.mark.parametrize("aval", [Aval((4,), np.dtype("f4")), Aval((3,), np.dtype("f8"))])
def test_a_shape_or_dtype_that_the_op_does_not_infer_is_found(aval: Aval) -> None:
    graph = traced()
    graph.equations[0].outputs[0].aval = aval
    with pytest.raises(GraphError, match="another shape or dtype"):
        verify(graph)


def test_outputs_must_exist() -> None:
    graph = traced()
    graph.outputs.append(graph.new(Aval((), np.dtype("f4"))))
    with pytest.raises(GraphError, match="in the outputs"):
        verify(graph)


def test_a_value_of_another_graph_is_found() -> None:
    graph = traced()
    graph.inputs.append(traced().inputs[0])
    with pytest.raises(GraphError, match="another graph"):
        verify(graph)


def test_operands_are_values_arrays_or_numbers() -> None:
    graph = traced()
    equation = graph.equations[0]
    graph.equations[0] = equation._replace(inputs=(equation.inputs[0], "2"))
    with pytest.raises(GraphError, match="got       str"):
        verify(graph)


def test_constant_and_repeated_outputs_are_well_formed() -> None:
    verify(trace(lambda x: (x, x, np.float32(1.0), 2.0), cr.ones(3)))
