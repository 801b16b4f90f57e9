"""Fused ops become simpler ones, so that the compiler needs to know few.

Before::

    v1 = softmax(axis=1)(v0)

After::

    v1 = amax(axes=(1,), keepdim=True)(v0)
    v2 = sub(v0, v1)
    v3 = exp(v2)
    v4 = sum(axes=(1,), keepdim=True)(v3)
    v5 = div(v3, v4)

What an op is made of, it says itself, in ``Op.expand``. New equations keep the user's line and the
module of the one that they replace.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import CodeType
from typing import Any

from ...core.aval import SCALARS, result_dtype
from ...core.graph import Graph, Var
from ...core.op import Op
from ...core.value import Symbol, tape
from ...ops import cast
from ..trace import GraphTracer, Traced
from .rewrite import Rewrite


def expand(graph: Graph) -> Graph:
    """`graph` with every op that has an expansion replaced by it; itself if there is none."""
    if not any(_is_composite(equation.op) for equation in graph.equations):
        return graph
    rewrite = Rewrite(graph)
    writer = _Writer(rewrite.graph)
    changed = False
    before, tape.graph = tape.graph, writer
    try:
        for equation in graph.equations:
            op, inputs = equation.op, rewrite.operands(equation)
            results = None
            if _is_composite(op):
                writer.site, writer.scope = equation.site, equation.scope
                results = writer.expanded(op, [Traced(x) if type(x) is Var else x for x in inputs])
            if results is None:
                rewrite.append(op, inputs, equation)
            else:
                changed = True
                outs = (results,) if op.n_out is None else results
                rewrite.replace(equation, [y.variable if type(y) is Traced else y for y in outs])
    finally:
        tape.graph = before
    return rewrite.finish() if changed else graph


class _Writer(GraphTracer):
    """A trace of expansions: everything is said to be at one place of the user's program.

    An op within an expansion is expanded at once.
    """

    site: tuple[CodeType, int] | None = None
    scope: object = None

    def emit(self, op: Op, operands: Sequence[Any]) -> Any:
        """Append ``op(*operands)``, or what it is made of."""
        if _is_composite(op) and any(isinstance(x, Symbol) for x in operands):
            results = self.expanded(op, operands)
            if results is not None:
                return results
        inputs = [x.variable if isinstance(x, Symbol) else x for x in operands]
        out = self.graph.emit(op, inputs, self.site, self.scope)
        if op.n_out is not None:
            return tuple([_traced(y) for y in out])
        return _traced(out)

    def expanded(self, op: Op, operands: Sequence[Any]) -> Any:
        """The results of an op, made of simpler ones; None if it is primitive."""
        if op.promotes:
            dtype = result_dtype(operands, floating=op.floating)
            operands = [
                x if type(x) in SCALARS or x.dtype == dtype else cast(x, dtype) for x in operands
            ]
        return op.expand(*operands)


def _traced(x: Any) -> Any:
    return Traced(x) if type(x) is Var else x


def _is_composite(op: Op) -> bool:
    return type(op).expand is not Op.expand
