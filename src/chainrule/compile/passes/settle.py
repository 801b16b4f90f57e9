"""Products that sum much up in little are computed at once, while the much is in the caches.

Before::

    v2 = convolution_input(v0, v1)
    v3 = relu(v2)
    v4 = convolution_kernel(v0, v5)
    return (v3, v4)

After::

    v2 = convolution_kernel(v0, v4)
    v3 = convolution_input(v0, v1)
    v5 = relu(v3)
    return (v5, v2)

So the gradient of a weight comes before that of the layer's input, which is as large as its
operands and is what is wanted next; and what only it needed can be overwritten. Plain sums stay:
those that stand side by side become one kernel.
"""

from __future__ import annotations

import math

from ...core.families import Bilinear
from ...core.graph import Equation, Graph, Var
from .rewrite import Rewrite

_LEAST = 4
"""How many times more elements than a result its largest operand must have."""


def settle(graph: Graph) -> Graph:
    """`graph` with small products right behind their last operand; itself if they are there."""
    behind: list[list[Equation]] = [[] for _ in range(len(graph.equations) + 1)]
    place = dict.fromkeys(graph.inputs, 0)
    place.update((v, 0) for capture in graph.captured for v in capture.variables)
    for i, equation in enumerate(graph.equations, 1):
        operands = [x for x in equation.inputs if type(x) is Var]
        at = i
        if isinstance(equation.op, Bilinear) and operands:
            size = sum(map(_size, equation.outputs))
            if size * _LEAST <= max(map(_size, operands)):
                at = max(place[x] for x in operands)
        behind[at].append(equation)
        place.update((v, at) for v in equation.outputs)
    order = [equation for group in behind for equation in group]
    if all(map(_same, order, graph.equations)):
        return graph
    rewrite = Rewrite(graph)
    for equation in order:
        rewrite.append(equation.op, rewrite.operands(equation), equation)
    return rewrite.finish()


def _same(a: Equation, b: Equation) -> bool:
    return a is b


def _size(x: Var) -> int:
    return math.prod(x.shape)
