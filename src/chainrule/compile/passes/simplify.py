"""Simplification, exact to the bit: what changes nothing is left out, what is equal looks equal.

Before::

    v1 = expand(shape=(2, 3))(v0)
    v2 = mul(v1, array(1.0))
    v3 = div(v2, 4.0)
    v4 = neg(v3)
    v5 = neg(v4)

After::

    v1 = expand(shape=(2, 3))(v0)
    v2 = mul(v1, 0.25)

Signs of zeros are kept (x + 0.0 stays: it makes 0.0 of -0.0); only bits of a NaN may change.
The rules are in ``algebra``, ``places``, ``slices`` and ``joints``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.aval import SCALARS, Aval, result_dtype
from ...core.families import Elementwise
from ...core.graph import Equation, Graph, Var
from ...core.op import Op
from ...ops.arithmetic import POW
from ...ops.movement import Expand
from ...ops.selection import WHERE
from . import algebra, joints, places
from .rewrite import Rewrite
from .rules import Call, Made, Rule, source_of
from .share import SYMMETRIC

_FEW = 65_536
"""Elements of a constant that are looked at."""
_RULES: dict[type[Op], Rule] = {**algebra.RULES, **places.RULES, **joints.RULES}


def simplify(graph: Graph) -> Graph:
    """`graph` with every rule applied to each of its equations; itself if none applies."""
    rewrite = Rewrite(graph)
    made: Made = {}
    changed = False
    for equation in graph.equations:
        call = Call(equation.op, rewrite.operands(equation))
        results = _constants(call, equation)
        if results is None and equation.op.n_out is None:
            found = _simplest(call, equation.outputs[0].aval, made)
            if type(found) is not Call:
                results = (found,)
            else:
                changed = changed or found is not call
                call = found
        if results is None:
            new = rewrite.append(*call, equation)
            made.update(dict.fromkeys(new.outputs, new))
        else:
            rewrite.replace(equation, results)
            changed = True
    return rewrite.finish() if changed else graph


def _simplest(call: Call, out: Aval, made: Made) -> Any:
    """The call that is left when no rule applies any more, or a value that needs none."""
    while True:
        found = None
        if isinstance(call.op, Elementwise):
            found = _tidied(call, out, made)
        rule = _RULES.get(type(call.op))
        if found is None and rule is not None:
            found = rule(call.op, call.inputs, out, made)
        if found is None:
            return call
        if type(found) is not Call:
            return found
        call = found
        if not any(type(x) is Var for x in call.inputs):
            return call.op(*call.inputs)


def _constants(call: Call, equation: Equation) -> tuple[Any, ...] | None:
    """The results if they do not depend on numbers, because there are none among the operands."""
    if all(0 in v.shape for v in equation.outputs):
        return tuple([np.zeros(v.shape, v.dtype) for v in equation.outputs])
    if not all(0 in x.shape for x in call.inputs if type(x) is Var):
        return None
    with np.errstate(all="ignore"):
        empty = [np.zeros(x.shape, x.dtype) if type(x) is Var else x for x in call.inputs]
        results = call.op(*empty)
    return (results,) if call.op.n_out is None else tuple(results)


# Operands of elementwise ops ----------------------------------------------------------------------


def _tidied(call: Call, out: Aval, made: Made) -> Call | None:
    """Operands without needless broadcasting; one number as a number, and behind the others."""
    op, inputs = call
    for i, x in enumerate(inputs):
        if type(x) in SCALARS:
            continue
        plain = _unexpanded(x, made) if type(x) is Var else _number(op, x, inputs)
        if plain is not None:
            tidy = (*inputs[:i], plain, *inputs[i + 1 :])
            if _type(op, tidy) == _type(op, inputs) and op.infer(*tidy) == out:
                return Call(op, tidy)
    if op in SYMMETRIC and type(inputs[1]) is Var and type(inputs[0]) is not Var:
        return Call(op, inputs[::-1])
    return None


def _unexpanded(x: Var, made: Made) -> Var | None:
    """What `x` repeats, if it repeats more than one number: these would not decide on the dtype."""
    source = source_of(x, made)
    if source is None or type(source.op) is not Expand:
        return None
    before = source.inputs[0]
    return before if type(before) is Var and before.shape else None


def _number(op: Op, x: Any, inputs: tuple[Any, ...]) -> float | int | bool | None:
    """The number that an array is full of, for NumPy's own functions and where."""
    array = np.asarray(x)
    if not _is_uniform(array):
        return None
    if op is WHERE:
        number = array.flat[0] != 0 if x is inputs[0] else array.flat[0].astype(_type(op, inputs))
    elif isinstance(type(op).__dict__.get("forward"), np.ufunc) and op is not POW:
        number = array.flat[0].astype(_type(op, inputs))
    else:
        return None
    found = number.item()
    return found if type(found) in SCALARS else None


def _is_uniform(array: Any) -> bool:
    """Whether all elements have the same bits; of a large array it is not asked."""
    if array.size == 1 or not any(array.strides):
        return True
    if array.size > _FEW:
        return False
    return bool(array.tobytes() == array.reshape(-1)[:1].tobytes() * array.size)


def _type(op: Op, inputs: tuple[Any, ...]) -> Any:
    """The dtype that an elementwise op computes in."""
    return result_dtype(inputs[1:] if op is WHERE else inputs, floating=op.floating)
