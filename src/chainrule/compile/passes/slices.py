"""Simplification of slices: a part of a part, of something joined or padded, is a part of less.

So the states that a recurrent layer stacks in forward and takes apart in backward meet directly::

    v5 = stack(axis=0)(v3, v4)
    v6 = slice(starts=(1, 0), sizes=(1, 8), steps=(1, 1), shape=(8,))(v5)
    v7 = tanh(v6)

becomes ``v5 = tanh(v4)``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ...core.aval import Aval, Shape
from ...core.graph import Equation
from ...core.op import Op
from ...ops.joining import Concatenate, Stack
from ...ops.movement import Permute, Reshape
from ...ops.slicing import Pad, Slice
from .rules import Call, Made, full, lengthy, source_of


class _Part(NamedTuple):
    """What a slice takes along one axis."""

    start: int
    size: int
    step: int

    @property
    def last(self) -> int:
        return self.start + (self.size - 1) * self.step


class _Cut(NamedTuple):
    """A slice of `operand`: what it takes along each axis."""

    operand: Any
    parts: list[_Part]


def simpler(op: Slice, inputs: tuple[Any, ...], out: Aval, made: Made) -> Any:
    """A slice of everything is a reshape; one of a part, or of a whole put together, is of less."""
    x = inputs[0]
    given = zip(op.starts, op.sizes, op.steps, strict=True)
    parts = [_Part(start, n, step if n > 1 else 1) for start, n, step in given]
    if all(part == (0, n, 1) for part, n in zip(parts, x.shape, strict=True)):
        return Call(Reshape(op.shape), inputs)
    source = source_of(x, made)
    found: Any = None
    if source is not None and 0 not in op.sizes:
        rule = _RULES.get(type(source.op))
        found = None if rule is None else rule(source, parts, op, out)
    if found is None and tuple([part.step for part in parts]) != op.steps:
        found = _Cut(x, parts)
    return _slice(found, op.shape) if type(found) is _Cut else found


def _slice(cut: _Cut, shape: Shape) -> Call:
    starts = tuple([part.start for part in cut.parts])
    sizes = tuple([part.size for part in cut.parts])
    return Call(
        Slice(starts, sizes, tuple([part.step for part in cut.parts]), shape), (cut.operand,)
    )


def _parts_of(before: Shape, after: Shape, parts: list[_Part]) -> list[_Part] | None:
    """What is taken along the axes of `before`, if `after` only has axes of one more or less."""
    if lengthy(before) != lengthy(after):
        return None
    taken = iter([part for part, n in zip(parts, after, strict=True) if n != 1])
    return [_Part(0, 1, 1) if n == 1 else next(taken) for n in before]


def _of_slice(source: Equation, parts: list[_Part], op: Slice, out: Aval) -> _Cut | None:
    inner: Any = source.op
    taken = _parts_of(inner.sizes, inner.shape, parts)
    if taken is None:
        return None
    first = zip(inner.starts, inner.steps, taken, strict=True)
    composed = [_Part(s + t * part.start, part.size, t * part.step) for s, t, part in first]
    return _Cut(source.inputs[0], composed)


def _of_reshape(source: Equation, parts: list[_Part], op: Slice, out: Aval) -> _Cut | None:
    before = source.inputs[0]
    taken = _parts_of(before.shape, source.outputs[0].shape, parts)
    return None if taken is None else _Cut(before, taken)


def _of_permute(source: Equation, parts: list[_Part], op: Slice, out: Aval) -> _Cut | None:
    """A part whose axes longer than one keep their order, such as one time step of a sequence."""
    axes = source.op.axes  # type: ignore[attr-defined]  # of Permute
    kept = [axis for axis, part in zip(axes, parts, strict=True) if part.size > 1]
    if kept != sorted(kept):
        return None
    places = dict(zip(axes, parts, strict=True))
    return _Cut(source.inputs[0], [places[axis] for axis in range(len(axes))])


def _of_pad(source: Equation, parts: list[_Part], op: Slice, out: Aval) -> Any:
    pad: Any = source.op
    x = source.inputs[0]
    inside: list[_Part] = []
    for part, n, (before, _) in zip(parts, x.shape, pad.widths, strict=True):
        low, high = sorted((part.start - before, part.last - before))
        if high < 0 or low >= n:
            return full(pad.value, out)
        inside.append(part._replace(start=part.start - before))
        if low < 0 or high >= n:
            return None
    return _Cut(x, inside)


def _of_concatenate(source: Equation, parts: list[_Part], op: Slice, out: Aval) -> Any:
    joint: Any = source.op
    axis, start = joint.axis, 0
    part = parts[axis]
    low, high = sorted((part.start, part.last))
    whole: list[Any] = []
    for x in source.inputs:
        end = start + x.shape[axis]
        if x.dtype != out.dtype:
            return None
        if start <= low and high < end:
            return _Cut(
                x, [*parts[:axis], part._replace(start=part.start - start), *parts[axis + 1 :]]
            )
        if low <= start and end <= high + 1:
            whole.append(x)
        start = end
    covered = sum([x.shape[axis] for x in whole]) == part.size
    return Call(joint, tuple(whole)) if covered and _is_run(axis, parts, source, op) else None


def _of_stack(source: Equation, parts: list[_Part], op: Slice, out: Aval) -> Any:
    joint: Any = source.op
    axis = joint.axis
    part = parts[axis]
    chosen = source.inputs[part.start : part.start + part.size]
    if any(x.dtype != out.dtype for x in chosen):
        return None
    if part.size == 1:
        return _Cut(chosen[0], parts[:axis] + parts[axis + 1 :])
    return Call(joint, chosen) if _is_run(axis, parts, source, op) else None


def _is_run(axis: int, parts: list[_Part], source: Equation, op: Slice) -> bool:
    """Whether a slice only leaves out some of what is joined along `axis`."""
    shape = source.outputs[0].shape
    others = all(
        p == (0, n, 1) for a, (p, n) in enumerate(zip(parts, shape, strict=True)) if a != axis
    )
    return others and parts[axis].step == 1 and op.shape == op.sizes


_RULES: dict[type[Op], Callable[[Equation, list[_Part], Slice, Aval], Any]] = {
    Slice: _of_slice,
    Reshape: _of_reshape,
    Permute: _of_permute,
    Pad: _of_pad,
    Concatenate: _of_concatenate,
    Stack: _of_stack,
}
