"""Common subexpressions: what is computed twice is computed once.

Before::

    v1 = tanh(v0)
    v2 = tanh(v0)
    v3 = mul(v1, v2)

After::

    v1 = tanh(v0)
    v2 = mul(v1, v1)

Equal ops are one object (see ``core.op``), so two computations are equal if op and operands are.
"""

from __future__ import annotations

from typing import Any

from ...core.aval import SCALARS
from ...core.graph import Equation, Graph, Var
from ...ops.arithmetic import ADD, MUL
from ...ops.comparison import EQ, LOGICAL_AND, LOGICAL_OR, LOGICAL_XOR, NE
from .rewrite import Rewrite

SYMMETRIC = frozenset((ADD, MUL, EQ, NE, LOGICAL_AND, LOGICAL_OR, LOGICAL_XOR))
"""Ops whose operands may change places without changing a bit of the result."""


_FEW = 65_536
"""Bytes of a constant array up to which it is compared with others."""


def share(graph: Graph) -> Graph:
    """`graph` with each of its computations done once; itself if each is already.

    Equal constant arrays, if small, become one.
    """
    rewrite = Rewrite(graph)
    found: dict[tuple[Any, ...], Equation] = {}
    constants: dict[Any, Any] = {}
    changed = False
    for equation in graph.equations:
        op, inputs = equation.op, rewrite.operands(equation)
        keys = [_key(x) for x in inputs]
        for i, (key, x) in enumerate(zip(keys, inputs, strict=True)):
            if key[0] == "array" and constants.setdefault(key, x) is not x:
                inputs = (*inputs[:i], constants[key], *inputs[i + 1 :])
                changed = True
        if op in SYMMETRIC:
            keys.sort()
        known = found.get(call := (op, *keys))
        if known is None:
            found[call] = rewrite.append(op, inputs, equation)
        else:
            rewrite.replace(equation, known.outputs)
            changed = True
    return rewrite.finish() if changed else graph


def _key(x: Any) -> tuple[str, Any]:
    """What tells an operand from others: -0.0 from 0.0, 1 from 1.0, large arrays by identity."""
    if type(x) is Var:
        return "", x.index
    if type(x) in SCALARS:
        return type(x).__name__, repr(x)
    if x.nbytes > _FEW:
        return "large array", id(x)
    return "array", (x.dtype.str, x.shape, x.tobytes())
