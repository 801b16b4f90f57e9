"""The slope of a ReLU behind max-pooling: asked of the windows' winners, not of every input.

Before::

    v2, v3 = max_pool(w)(v1)
    v5 = max_scatter(w)(v4, v3)
    v6 = gt(v1, 0)
    v7 = mul(v5, v6)

After::

    v2, v3 = max_pool(w)(v1)
    v4 = gt(v2, 0)
    v5 = mul(v4, v4)
    v6 = max_scatter(w)(v5, v3)

A gradient arrives at winners only, and a winner is what its window's maximum says. So backward
reads the pooled values, a quarter of the inputs or less, and the inputs need not be kept.
"""

from __future__ import annotations

from ...core.graph import Equation, Graph, Var
from ...ops.arithmetic import MUL
from ...ops.comparison import GT
from ...ops.pooling import MaxPool, MaxScatter
from .rewrite import Rewrite
from .rules import Made, is_number


def unmask(graph: Graph) -> Graph:
    """`graph` with masks behind max-pooling moved to the pooled side; itself if there are none."""
    if not any(type(equation.op) is MaxScatter for equation in graph.equations):
        return graph
    rewrite = Rewrite(graph)
    made: Made = {}
    changed = False
    for equation in graph.equations:
        op, inputs = equation.op, rewrite.operands(equation)
        found = _masked(inputs, made) if op is MUL else None
        if found is None:
            new = rewrite.append(op, inputs, equation)
            made.update(dict.fromkeys(new.outputs, new))
            continue
        scatter, values = found
        ct, winners = scatter.inputs
        new_graph, site = rewrite.graph, (equation.site, equation.scope)
        kept = new_graph.emit(MUL, (ct, new_graph.emit(GT, (values, 0), *site)), *site)
        rewrite.append(scatter.op, (kept, winners), equation)
        changed = True
    return rewrite.finish() if changed else graph


def _masked(inputs: tuple[object, ...], made: Made) -> tuple[Equation, Var] | None:
    """For a product of a scattered gradient and its windows' own mask: the scattering, and the
    windows' maxima."""
    for scattered, mask in (inputs, inputs[::-1]):
        scatter = made.get(scattered) if type(scattered) is Var else None
        above = made.get(mask) if type(mask) is Var else None
        if scatter is None or above is None or type(scatter.op) is not MaxScatter:
            continue
        pool = made.get(scatter.inputs[1])
        if (
            above.op is GT
            and is_number(above.inputs[1], 0)
            and pool is not None
            and type(pool.op) is MaxPool
            and pool.op.window == scatter.op.window
            and pool.inputs[0] is above.inputs[0]
            and scatter.inputs[0].dtype == pool.outputs[0].dtype
        ):
            return scatter, pool.outputs[0]
    return None
