"""ONNX rules of ops that move elements: shapes, parts, places."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from .rules import rule
from .writer import Pair, Writer

_END: Final = np.iinfo(np.int64).max


@rule("reshape")
def _reshape(k: Writer, e: Pair) -> Any:
    sizes = e.sizes("shape")
    if len(sizes.dynamic) == 1 and 0 not in sizes.one:
        at = sizes.dynamic[0]
        shape = (*sizes.one[:at], -1, *sizes.one[at + 1 :])
        return k.node("Reshape", [k.operand(e, 0), k.constant(np.array(shape, np.int64))])
    return k.node("Reshape", [k.operand(e, 0), k.dims(sizes)])


@rule("expand")
def _expand(k: Writer, e: Pair) -> Any:
    return k.node("Expand", [k.operand(e, 0), k.dims(e.sizes("shape"))])


@rule("permute")
def _permute(k: Writer, e: Pair) -> Any:
    axes = e.one.op.axes  # type: ignore[attr-defined]
    return k.node("Transpose", [k.operand(e, 0)], perm=list(axes))


@rule("slice")
def _slice(k: Writer, e: Pair) -> Any:
    op: Any = e.one.op
    given, taken, starts = e.shape(0), e.sizes("sizes"), e.sizes("starts")
    rows: list[tuple[int, int, int, int]] = []
    for axis, (start, size, step) in enumerate(zip(op.starts, op.sizes, op.steps, strict=True)):
        if start == 0 and step == 1 and taken.one[axis] == given.one[axis]:
            continue
        if axis in taken.dynamic or axis in starts.dynamic:
            raise e.refuse("it takes a part of the batch")
        end = start + size * step
        rows.append((axis, start, end if end >= 0 else -_END, step))
    x = k.operand(e, 0)
    if rows:
        axes, begin, ends, steps = (np.array(c, np.int64) for c in zip(*rows, strict=True))
        x = k.node("Slice", [x, *map(k.constant, (begin, ends, axes, steps))])
    shape = e.sizes("shape")
    return x if shape == taken else k.node("Reshape", [x, k.dims(shape)])


@rule("pad")
def _pad(k: Writer, e: Pair) -> Any:
    op: Any = e.one.op
    if any(min(w) < 0 for w in op.widths):
        raise e.refuse("it leaves elements out")
    pads = np.array([w[0] for w in op.widths] + [w[1] for w in op.widths], np.int64)
    value = k.constant(op.value, e.one.outputs[0].dtype)
    return k.node("Pad", [k.operand(e, 0), k.constant(pads), value])


@rule("concatenate")
def _concatenate(k: Writer, e: Pair) -> Any:
    return k.node("Concat", k.operands(e), axis=e.one.op.axis)  # type: ignore[attr-defined]


@rule("stack")
def _stack(k: Writer, e: Pair) -> Any:
    axis = e.one.op.axis  # type: ignore[attr-defined]
    at = k.constant(np.array([axis], np.int64))
    parts = [k.node("Unsqueeze", [x, at]) for x in k.operands(e)]
    return k.node("Concat", parts, axis=axis)


@rule("split", "unbind")
def _split(k: Writer, e: Pair) -> Any:
    op: Any = e.one.op
    if op.axis in e.shape(0).dynamic:
        raise e.refuse("it cuts the batch")
    count = len(e.one.outputs)
    sizes = list(op.sizes) if op.name == "split" else [1] * count
    split = k.constant(np.array(sizes, np.int64))
    parts: Any = k.node("Split", [k.operand(e, 0), split], count, axis=op.axis)
    parts = [parts] if isinstance(parts, str) else parts
    if op.name == "unbind":
        at = k.constant(np.array([op.axis], np.int64))
        parts = [k.node("Squeeze", [part, at]) for part in parts]
    return parts


@rule("triangle")
def _triangle(k: Writer, e: Pair) -> Any:
    op: Any = e.one.op
    diagonal = k.constant(np.array(op.diagonal, np.int64))
    return k.node("Trilu", [k.operand(e, 0), diagonal], upper=int(op.upper))


@rule("embedding")
def _embedding(k: Writer, e: Pair) -> Any:
    return k.node("Gather", [k.operand(e, 0), k.operand(e, 1)], axis=0)


@rule("gather")
def _gather(k: Writer, e: Pair) -> Any:
    axis = e.one.op.axis  # type: ignore[attr-defined]
    return k.node("GatherElements", [k.operand(e, 0), k.operand(e, 1)], axis=axis)


@rule("one_hot")
def _one_hot(k: Writer, e: Pair) -> Any:
    op: Any = e.one.op
    values = k.constant(np.array([0, 1], op.dtype))
    return k.node("OneHot", [k.operand(e, 0), k.constant(np.array(op.classes)), values])
