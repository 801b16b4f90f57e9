"""Effects: what a call leaves in tensors, and how the leaves of its result are made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from ..core.value import Symbol, Value, make_leaf
from ..tensor import Tensor
from .layout import Layout, value_at
from .state import Change, Pending
from .trace import Number

Owner: TypeAlias = Value | int
"""A tensor, or the number of the leaf of the arguments that it is."""
Effect: TypeAlias = Callable[[Sequence[Any], Sequence[Any], Sequence[Any]], Any]
"""A function of the leaves of the arguments, the graph's inputs and its outputs."""


def owner_of(layout: Layout, cell: Value) -> Owner:
    """What a cell of the trace is in a call: itself, unless it stood for an argument."""
    for i, stand_in in layout.recording.stand_ins.items():
        if stand_in is cell:
            return i
    return cell


def resolve(owner: Owner, leaves: Sequence[Any]) -> Any:
    """The tensor that an owner is in a call."""
    return leaves[owner] if type(owner) is int else owner


def writes(layout: Layout, in_place: bool) -> tuple[list[tuple[Value, int]], list[Effect]]:
    """Cells with the output that each receives, and all effects of other kinds.

    What an executable does `in_place` needs nothing more.
    """
    simple: list[tuple[Value, int]] = []
    others: list[Effect] = []
    for change in layout.recording.changes:
        owner = owner_of(layout, change.cell)
        content = change.content
        variable = content.variable if isinstance(content, Symbol) else None
        if in_place and variable in layout.donations and _is_donated(layout, change, variable):
            continue
        if change.slot == "array" and variable in layout.number and isinstance(owner, Value):
            simple.append((owner, layout.number[variable]))
        else:
            others.append(_effect(layout, change, owner))
    return simple, others


def _is_donated(layout: Layout, change: Change, variable: Any) -> bool:
    """Whether the change is that of the very cell whose memory the output was offered."""
    old = layout.donations[variable]
    if change.slot == "array":
        pairs = zip(layout.cells, layout.cell_inputs, strict=True)
    else:
        pairs = zip(layout.buffers, layout.buffer_inputs, strict=True)
    return any(cell is change.cell and v is old for cell, v in pairs)


def _effect(layout: Layout, change: Change, owner: Owner) -> Effect:
    place = None if change.content is None else layout.place(change.content)
    new = change.value

    def replace_array(leaves: Any, inputs: Any, outputs: Any) -> None:
        resolve(owner, leaves).array = value_at(place, inputs, outputs)

    def replace_gradient(leaves: Any, inputs: Any, outputs: Any) -> None:
        resolve(owner, leaves)._grad = Tensor.wrap(value_at(place, inputs, outputs))

    def change_gradient(leaves: Any, inputs: Any, outputs: Any) -> None:
        resolve(owner, leaves)._grad.array = value_at(place, inputs, outputs)

    def set_gradient(leaves: Any, inputs: Any, outputs: Any) -> None:
        resolve(owner, leaves)._grad = new

    def set_node(leaves: Any, inputs: Any, outputs: Any) -> None:
        cell = resolve(owner, leaves)
        if new is None:
            cell.node = None
        elif cell.node is None:
            make_leaf(cell)

    if change.slot == "array":
        return replace_array
    if change.slot == "grad.array":
        return change_gradient
    if change.slot == "node":
        return set_node
    return set_gradient if place is None else replace_gradient


def maker(layout: Layout, result: Any, content: Any) -> Effect:
    """What makes a leaf of the result: a tensor that was there before is itself."""
    known = _known(layout, result)
    if known is not None:
        return known
    if content is None:
        return lambda leaves, inputs, outputs: result
    place = layout.place(content)
    if isinstance(content, Number) and not isinstance(result, Value):
        return lambda leaves, inputs, outputs: float(value_at(place, inputs, outputs))
    if not isinstance(result, Value):
        return lambda leaves, inputs, outputs: value_at(place, inputs, outputs)
    wants_gradient = result.node is not None and result.node.op is None

    def make_tensor(leaves: Any, inputs: Any, outputs: Any) -> Tensor:
        made = Tensor.wrap(value_at(place, inputs, outputs))
        return made.requires_grad_() if wants_gradient else made

    return make_tensor


def is_plain(layout: Layout, result: Any, content: Any) -> bool:
    """Whether a result is nothing but a tensor around the first output."""
    return (
        type(result) is Tensor
        and isinstance(content, Symbol)
        and layout.number.get(content.variable) == 0
        and (result.node is None or result.node.op is not None)
        and _known(layout, result) is None
    )


def _known(layout: Layout, result: Any) -> Effect | None:
    """What finds a result that is a tensor from before, an argument, or a gradient."""
    if not isinstance(result, Value):
        return None
    cells = layout.recording.cells
    whose = cells.owners.get(id(result))
    for change in layout.recording.changes:
        if change.slot == "grad" and change.value is result:
            whose = change.cell
    if isinstance(result, Pending):
        whose = result.owner
    if whose is not None:
        owner = owner_of(layout, whose)
        return lambda leaves, inputs, outputs: resolve(owner, leaves)._grad
    adopted = any(cell is result for cell, _, _ in layout.recording.tracer.adopted)
    if adopted or id(result) in cells.held:
        owner = owner_of(layout, result)
        return lambda leaves, inputs, outputs: resolve(owner, leaves)
    return None
