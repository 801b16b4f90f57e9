"""How passes make a graph from another: inputs first, then equation by equation, then outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...core.graph import Capture, Equation, Graph, Var
from ...core.op import Op


class Rewrite:
    """A copy of `source` in the making; ``values`` says what stands for each Var of `source`.

    What stands for a Var is a Var of ``graph``, a constant array or a Python number.
    """

    def __init__(self, source: Graph) -> None:
        self.source = source
        self.graph = Graph()
        self.values: dict[Var, Any] = {}
        self.graph.inputs = [self._given(v) for v in source.inputs]
        self.graph.captured = [
            Capture(tuple([self._given(v) for v in variables]), read)
            for variables, read in source.captured
        ]

    def _given(self, var: Var) -> Var:
        new = self.values[var] = self.graph.new(var.aval)
        return new

    def operands(self, equation: Equation) -> tuple[Any, ...]:
        """The inputs of an equation of `source`, in the new graph."""
        values = self.values
        return tuple([values[x] if type(x) is Var else x for x in equation.inputs])

    def append(self, op: Op, inputs: tuple[Any, ...], old: Equation) -> Equation:
        """Compute in the new graph, by ``op(*inputs)``, what `old` computes."""
        graph = self.graph
        outputs = tuple([graph.new(v.aval) for v in old.outputs])
        equation = Equation(op, inputs, outputs, old.site, old.scope)
        graph.equations.append(equation)
        self.values.update(zip(old.outputs, outputs, strict=True))
        return equation

    def replace(self, old: Equation, results: Sequence[Any]) -> None:
        """Let values of the new graph stand for the outputs of `old`."""
        self.values.update(zip(old.outputs, results, strict=True))

    def finish(self) -> Graph:
        """The new graph."""
        values = self.values
        self.graph.outputs = [values[x] if type(x) is Var else x for x in self.source.outputs]
        return self.graph
