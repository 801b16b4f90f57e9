"""Dead code: equations whose results nobody uses are left out.

Before::

    v1 = exp(v0)
    v2 = mul(v0, v0)
    return (v2,)

After::

    v1 = mul(v0, v0)
    return (v1,)

Every op is pure, random ones too: their key and counter are operands. Inputs and captured values
stay, used or not.
"""

from __future__ import annotations

from ...core.graph import Equation, Graph, Var
from .rewrite import Rewrite


def prune(graph: Graph) -> Graph:
    """`graph` without the equations that no output needs; itself if there are none."""
    needed = {x for x in graph.outputs if type(x) is Var}
    kept: list[Equation] = []
    for equation in reversed(graph.equations):
        if not needed.isdisjoint(equation.outputs):
            kept.append(equation)
            needed.update([x for x in equation.inputs if type(x) is Var])
    if len(kept) == len(graph.equations):
        return graph
    rewrite = Rewrite(graph)
    for equation in reversed(kept):
        rewrite.append(equation.op, rewrite.operands(equation), equation)
    return rewrite.finish()
