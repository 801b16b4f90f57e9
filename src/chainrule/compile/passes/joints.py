"""Simplification of what is joined, and of matrix products."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...core.aval import Aval
from ...core.graph import Equation, Var
from ...core.op import Op
from ...ops.contract import MatMul
from ...ops.joining import Concatenate, Stack
from ...ops.movement import Permute, Reshape
from .rules import Call, Made, Rule, source_of


def _joined(op: Concatenate, inputs: tuple[Any, ...], out: Aval, made: Made) -> Any:
    if len(inputs) == 1:
        return inputs[0]
    if any(x.dtype != out.dtype for x in inputs):
        return None
    kept = [x for x in inputs if x.shape[op.axis]]
    sources = [source_of(x, made) for x in kept]
    flat: list[Any] = []
    for x, source in zip(kept, sources, strict=True):
        flat += [x] if source is None or source.op is not op else source.inputs
    if len(flat) != len(inputs):
        return Call(op, tuple(flat))
    members: list[Any] = []
    for x, source in zip(kept, sources, strict=True):
        found = _members(x, source, op.axis, out)
        if found is None:
            return None
        members += found
    return Call(Stack(op.axis), tuple(members))


def _members(x: Any, source: Equation | None, axis: int, out: Aval) -> Sequence[Any] | None:
    """What stands side by side along an axis of `x`, without that axis, if it is known."""
    shape = out.shape[:axis] + out.shape[axis + 1 :]
    if source is None:
        return None if type(x) is Var or x.shape[axis] != 1 else [x.reshape(shape)]
    is_member = type(source.op) is Reshape and source.inputs[0].shape == shape
    is_stack = type(source.op) is Stack and source.op.axis == axis
    return source.inputs if is_member or is_stack else None


def _stacked(op: Stack, inputs: tuple[Any, ...], out: Aval, made: Made) -> Any:
    return Call(Reshape(out.shape), inputs) if len(inputs) == 1 else None


def _multiplied(op: MatMul, inputs: tuple[Any, ...], out: Aval, made: Made) -> Any:
    """A transposed operand is one that is read transposed."""
    operands, flags = list(inputs), [op.ta, op.tb]
    for i, x in enumerate(inputs):
        source = source_of(x, made)
        if source is not None and type(source.op) is Permute:
            axes = source.op.axes
            if axes == (*range(len(axes) - 2), len(axes) - 1, len(axes) - 2):
                operands[i], flags[i] = source.inputs[0], not flags[i]
    return Call(MatMul(*flags), tuple(operands)) if flags != [op.ta, op.tb] else None


RULES: dict[type[Op], Rule] = {Concatenate: _joined, Stack: _stacked, MatMul: _multiplied}
"""By the class of op."""
