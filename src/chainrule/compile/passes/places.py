"""Simplification of what moves, repeats, drops or casts elements; ``slices`` has that of slices."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.aval import Aval, DType
from ...core.op import Op
from ...ops.movement import Cast, Expand, Permute, Reshape
from ...ops.reduce import Amax, Amin, Reduction, Sum
from ...ops.slicing import Pad, Slice, Spread
from . import slices
from .rules import Call, Made, Rule, lengthy, source_of


def _reshaped(op: Reshape, inputs: tuple[Any, ...], out: Aval, made: Made) -> Any:
    x = inputs[0]
    if x.shape == op.shape:
        return x
    source = source_of(x, made)
    if source is None:
        return None
    if type(source.op) is Reshape:
        return Call(op, source.inputs)
    if type(source.op) is Slice and lengthy(source.op.shape) == lengthy(op.shape):
        cut = source.op
        return Call(Slice(cut.starts, cut.sizes, cut.steps, op.shape), source.inputs)
    return None


def _permuted(op: Permute, inputs: tuple[Any, ...], out: Aval, made: Made) -> Any:
    x = inputs[0]
    moved = [a for a in op.axes if x.shape[a] != 1]
    if moved == sorted(moved):
        return Call(Reshape(out.shape), inputs)
    source = source_of(x, made)
    if source is None or type(source.op) is not Permute:
        return None
    return Call(Permute(tuple([source.op.axes[a] for a in op.axes])), source.inputs)


def _expanded(op: Expand, inputs: tuple[Any, ...], out: Aval, made: Made) -> Any:
    x = inputs[0]
    if x.shape == op.shape:
        return x
    source = source_of(x, made)
    if source is None or type(source.op) not in (Expand, Reshape):
        return None
    before = source.inputs[0].shape
    if type(source.op) is Expand or x.shape == (1,) * (x.ndim - len(before)) + before:
        return Call(op, source.inputs[:1])
    return None


def _cast(op: Cast, inputs: tuple[Any, ...], out: Aval, made: Made) -> Any:
    x = inputs[0]
    if x.dtype == op.dtype:
        return x
    source = source_of(x, made)
    if source is None or type(source.op) is not Cast:
        return None
    before = source.inputs[0].dtype
    integers = before.kind in "iu" and op.dtype.kind in "iu"
    if not _holds(x.dtype, before) or (integers and not _holds(op.dtype, before)):
        return None  # integers out of range wrap, floats do as they like
    return Call(op, source.inputs)


def _holds(wide: DType, narrow: DType) -> bool:
    """Whether every number of type `narrow` is one of type `wide`; NumPy's rule lets int64 go to
    float64, which rounds."""
    if narrow.kind in "iu" and wide.kind == "f":
        return narrow.itemsize < wide.itemsize
    return np.can_cast(narrow, wide, "safe")


def _reduced(op: Reduction, inputs: tuple[Any, ...], out: Aval, made: Made) -> Any:
    x = inputs[0]
    if x.dtype != out.dtype or any(x.shape[a] != 1 for a in op.axes):
        return None
    if type(op) is Sum and out.dtype.kind == "f":
        return None  # a sum begins with 0.0, so it is never -0.0
    return Call(Reshape(out.shape), inputs)


def _padded(op: Pad, inputs: tuple[Any, ...], out: Aval, made: Made) -> Any:
    x = inputs[0]
    if x.shape == out.shape:
        return x
    source = source_of(x, made)
    if source is None or type(source.op) is not Pad or source.op.value != op.value:
        return None
    pairs = zip(op.widths, source.op.widths, strict=True)
    widths = tuple([(a + c, b + d) for (a, b), (c, d) in pairs])
    return Call(Pad(widths, op.value), source.inputs)


def _spread(op: Spread, inputs: tuple[Any, ...], out: Aval, made: Made) -> Any:
    x = inputs[0]
    if any(step != 1 for step, n in zip(op.steps, x.shape, strict=True) if n != 1):
        return None
    sizes = zip(op.shape, op.starts, x.shape, strict=True)
    return Call(Pad(tuple([(start, n - start - size) for n, start, size in sizes])), inputs)


RULES: dict[type[Op], Rule] = {
    Reshape: _reshaped,
    Permute: _permuted,
    Expand: _expanded,
    Cast: _cast,
    Sum: _reduced,
    Amax: _reduced,
    Amin: _reduced,
    Slice: slices.simpler,
    Pad: _padded,
    Spread: _spread,
}
"""By the class of op."""
