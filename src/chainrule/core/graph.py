"""Graphs: a computation written down, instead of done. A graph prints as a runnable program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import CodeType
from typing import Any, NamedTuple

import numpy as np

from ..errors import TracingError
from .aval import SCALARS, Aval, DType, Shape, describe
from .op import Op


class Var:
    """One value of a graph: its shape and dtype, no numbers. Equality is identity."""

    __slots__ = ("aval", "graph", "index")

    def __init__(self, aval: Aval, index: int, graph: Graph) -> None:
        self.aval = aval
        self.index = index
        self.graph = graph

    @property
    def shape(self) -> Shape:
        """Sizes along the axes."""
        return self.aval.shape

    @property
    def dtype(self) -> DType:
        """Element type."""
        return self.aval.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.aval.shape)

    @property
    def name(self) -> str:
        """``v3``: how the graph's printed program calls it."""
        return f"v{self.index}"

    def __repr__(self) -> str:
        return f"{self.name}: {self.aval!r}"


class Equation(NamedTuple):
    """``outputs = op(*inputs)``. An input is a Var, a constant array or a Python number."""

    op: Op
    inputs: tuple[Any, ...]
    outputs: tuple[Var, ...]
    site: tuple[CodeType, int] | None = None
    """The user's code and the instruction in it that asked for this, as in a tape's Node."""
    scope: object = None
    """The module call that was in progress, a ``core.value.Scope``, or None."""


class Capture(NamedTuple):
    """Inputs that the graph fetches itself each time it runs, such as a generator's counter."""

    variables: tuple[Var, ...]
    read: Callable[[], Sequence[Any]]


class Graph:
    """Equations in order of execution, from `inputs` and `captured` values to `outputs`."""

    def __init__(self) -> None:
        self.inputs: list[Var] = []
        self.captured: list[Capture] = []
        self.equations: list[Equation] = []
        self.outputs: list[Any] = []
        self._count = 0

    def new(self, aval: Aval) -> Var:
        """A fresh value of the graph."""
        var = Var(aval, self._count, self)
        self._count += 1
        return var

    def add_input(self, aval: Aval) -> Var:
        """A fresh value that is given from outside."""
        var = self.new(aval)
        self.inputs.append(var)
        return var

    def emit(
        self,
        op: Op,
        operands: Sequence[Any],
        site: tuple[CodeType, int] | None = None,
        scope: object = None,
    ) -> Any:
        """Append an equation and return its result: a Var, or a tuple of them.

        Operations on constants alone are computed at once: nothing of them is in the graph.
        Raises TracingError for a value of another graph, whose number would mean another one here.
        """
        for x in operands:
            self.require_own(x)
        if not any(isinstance(x, Var) for x in operands):
            return op(*operands)
        inferred = op.infer(*operands)
        avals = (inferred,) if isinstance(inferred, Aval) else inferred
        outputs = tuple(self.new(aval) for aval in avals)
        self.equations.append(Equation(op, tuple(operands), outputs, site, scope))
        return outputs[0] if op.n_out is None else outputs

    def require_own(self, x: Any) -> None:
        """Raise TracingError if `x` is a value of another graph."""
        if isinstance(x, Var) and x.graph is not self:
            raise TracingError(
                "a traced value was used outside the trace that it belongs to",
                got=repr(x),
                hint="return it from the traced function instead of keeping it",
            )

    def run(self, *arrays: Any) -> list[Any]:
        """Execute with NumPy, equation by equation: the oracle for everything that is compiled."""
        values: dict[int, Any] = {
            var.index: array for var, array in zip(self.inputs, arrays, strict=True)
        }
        for variables, read in self.captured:
            for var, array in zip(variables, read(), strict=True):
                values[var.index] = array

        def value(x: Any) -> Any:
            return values[x.index] if isinstance(x, Var) else x

        for equation in self.equations:
            op = equation.op
            out = op(*[value(x) for x in equation.inputs])
            outs = (out,) if op.n_out is None else out
            for var, y in zip(equation.outputs, outs, strict=True):
                values[var.index] = np.asarray(y)
        return [value(x) for x in self.outputs]

    def __str__(self) -> str:
        constants: list[Any] = []
        given = [*self.inputs, *(v for capture in self.captured for v in capture.variables)]
        types = ", ".join(repr(v.aval) for v in given)
        lines = [f"def graph({', '.join(v.name for v in given)}):  # {types}"]
        for op, inputs, outputs, _, _ in self.equations:
            operands = ", ".join(_operand(x, constants) for x in inputs)
            results = ", ".join(v.name for v in outputs)
            types = ", ".join(repr(v.aval) for v in outputs)
            lines.append(f"    {results} = {op!r}({operands})  # {types}")
        shown = ", ".join(_operand(x, constants) for x in self.outputs)
        lines.append(f"    return ({shown}{',' if len(self.outputs) == 1 else ''})")
        header = [f"# c{i}: {describe(constant)}" for i, constant in enumerate(constants)]
        return "\n".join([*header, *lines])

    def namespace(self) -> dict[str, Any]:
        """The names that the printed program uses: ops, dtypes and constant arrays."""
        names: dict[str, Any] = {"dtype": np.dtype, "inf": np.inf, "nan": np.nan}
        for op in (equation.op for equation in self.equations):
            names[op.name] = type(op) if op.fields else op
        constants: list[Any] = []
        for x in [*(x for equation in self.equations for x in equation.inputs), *self.outputs]:
            _operand(x, constants)
        return names | {f"c{i}": constant for i, constant in enumerate(constants)}


def _operand(x: Any, constants: list[Any]) -> str:
    """How an operand is written; arrays become named constants above the program."""
    if isinstance(x, Var):
        return x.name
    if type(x) in SCALARS:
        return repr(x)
    constants.append(x)
    return f"c{len(constants) - 1}"
