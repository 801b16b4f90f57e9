"""The verifier: what every graph must satisfy, whoever made it."""

from __future__ import annotations

from typing import Any

from ...core.aval import SCALARS, Aval
from ...core.graph import Equation, Graph, Var
from ...errors import GraphError


def verify(graph: Graph) -> Graph:
    """`graph` itself. Raises GraphError unless it is well formed, that is:

    every Var belongs to the graph and is defined once, before it is used; what an op infers from
    its operands is what the graph says; operands and outputs are Vars, arrays or Python numbers.
    """
    known: set[Var] = set()
    for var in [*graph.inputs, *(v for capture in graph.captured for v in capture.variables)]:
        _define(graph, known, var, "the inputs")
    for equation in graph.equations:
        for x in equation.inputs:
            _check_use(known, x, equation)
        _check_avals(equation)
        for var in equation.outputs:
            _define(graph, known, var, _written(equation))
    for x in graph.outputs:
        _check_use(known, x, None)
    return graph


def _define(graph: Graph, known: set[Var], var: Var, where: str) -> None:
    if var.graph is not graph:
        raise GraphError("a graph defines a value of another graph", got=f"{var!r} in {where}")
    if var in known:
        raise GraphError("a graph defines a value twice", got=f"{var!r} in {where}")
    known.add(var)


def _check_use(known: set[Var], x: Any, equation: Equation | None) -> None:
    where = "the outputs" if equation is None else _written(equation)
    if isinstance(x, Var):
        if x not in known:
            raise GraphError("a graph uses a value before it is defined", got=f"{x!r} in {where}")
    elif type(x) not in SCALARS and not (hasattr(x, "shape") and hasattr(x, "dtype")):
        raise GraphError(
            "a graph holds values, arrays and numbers", got=f"{type(x).__name__} in {where}"
        )


def _check_avals(equation: Equation) -> None:
    inferred = equation.op.infer(*equation.inputs)
    avals = (inferred,) if isinstance(inferred, Aval) else tuple(inferred)
    said = tuple(v.aval for v in equation.outputs)
    if avals != said:
        raise GraphError(
            "a graph says another shape or dtype than the op infers",
            expected=", ".join(map(repr, avals)),
            got=", ".join(map(repr, said)),
            at=_written(equation),
        )


def _written(equation: Equation) -> str:
    results = ", ".join(v.name for v in equation.outputs)
    operands = ", ".join(x.name if isinstance(x, Var) else "…" for x in equation.inputs)
    return f"{results} = {equation.op!r}({operands})"
