"""Reading a tape: what is a layer, an activation, a network's head, and where a graph is cut."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ...core.op import Op
from ...core.value import Node
from .flow import Flow, Record
from .places import Place

LAYERS = frozenset({"matmul", "convolution", "convolution_input", "einsum", "embedding",
                    "rnn", "gru", "lstm", "batch_norm", "layer_norm"})  # fmt: skip
RECURRENT = frozenset({"rnn", "gru", "lstm"})
NORMS = frozenset({"batch_norm", "layer_norm"})
MOVEMENT = frozenset({"reshape", "permute", "identity", "expand", "cast", "slice", "index", "split",
                      "unbind", "concatenate", "stack", "spread", "pad"})  # fmt: skip
SQUASHING = {"sigmoid": 0.25, "tanh": 1.0}
"""Activations that saturate, with their greatest slope."""
BOUNDED = frozenset({"sigmoid", "tanh", "relu", "softmax", "log_softmax", "logsigmoid"})


def cut_of(users: dict[int, list[Record]], start: list[Record]) -> tuple[Place, str] | None:
    """The first operation after `start` that drops the gradient, and how."""
    stack, seen = list(start), set()
    while stack:
        record = stack.pop(0)
        if record in seen:
            continue
        seen.add(record)
        if not record.tracked:
            if not record.recording:
                return record.place, "no_grad()"
            if not record.op.differentiable or record.outputs[0].dtype.kind != "f":
                return record.place, record.op.name
            return record.place, "a tensor that was cut off"
        for y in record.outputs:
            for user in users.get(id(y), ()):
                at = [want for x, want in zip(user.inputs, user.wants, strict=True) if x is y]
                if not any(at):
                    return user.place, "detach()"
                stack.append(user)
    return None


def all_but_features(op: Op, ndim: int) -> tuple[int, ...]:
    """The axes of a layer's input other than that of its features: the second, or the last."""
    features = 1 if op.name.startswith(("convolution", "batch_norm")) else ndim - 1
    return tuple(axis for axis in range(ndim) if axis != features)


def rows_of(x: Any, count: int) -> Any:
    """An operand with the samples first, if it holds so many: along its first or second axis."""
    if not isinstance(x, np.ndarray) or x.ndim < 2:
        return None
    if len(x) == count:
        return x
    return np.swapaxes(x, 0, 1) if x.ndim > 2 and x.shape[1] == count else None


class Leaves:
    """Which parameter a layer's operand is, behind views."""

    def __init__(self) -> None:
        self._known: dict[Node, Any] = {}

    def weight(self, node: Node) -> Any:
        """The parameter that a layer multiplies its input by, or None."""
        source = (
            node.parents[0] if node.op is not None and type(node.op).__name__ == "Item" else node
        )
        if source is None:
            return None
        for parent in source.parents:
            leaf = None if parent is None else self._leaf(parent)
            if leaf is not None and leaf.array.ndim >= (1 if _is_norm(source) else 2):
                return leaf
        return None

    def _leaf(self, node: Node) -> Any:
        path = []
        while node.op is not None and node.op.name in MOVEMENT and len(node.parents) == 1:
            path.append(node)
            parent = node.parents[0]
            if parent is None:
                return None
            node = parent
        if node.op is not None or node.variable is None:
            return None
        return node.variable()


def _is_norm(node: Node) -> bool:
    return node.op is not None and node.op.name in NORMS


def record_node(record: Record) -> Node | None:
    """The first tracked result of an operation."""
    return next((n for n in record.nodes if n is not None), None)


def head_of(flow: Flow, roots: Sequence[Node], leaves: Leaves) -> set[Node]:
    """The nodes between the last layers and the roots."""
    found: set[Node] = set()
    stack = list(roots)
    while stack:
        node = stack.pop()
        record = flow.by_node.get(node)
        if node in found or (record is not None and record.op.name in LAYERS
                             and leaves.weight(node) is not None):  # fmt: skip
            continue
        found.add(node)
        stack += [p for p in node.parents if p is not None]
    return found


def through_movement(flow: Flow, record: Record | None) -> Record | None:
    """The operation behind reshapes and the like."""
    while record is not None and record.op.name in MOVEMENT:
        record = next(flow.sources(record), None)
    return record


def activation_kind(record: Record) -> str | None:
    """``relu``, ``sigmoid``, ``softmax`` and so on, however it is written; None: another op."""
    name = record.op.name
    if name in BOUNDED:
        return name
    if name == "maximum" and any(np.ndim(x) == 0 and not np.any(x) for x in record.inputs):
        return "relu"
    if name == "clip" and record.op.parameters[:2] in ((0, None), (0.0, None)):
        return "relu"
    return None


def from_convolution(flow: Flow, record: Record) -> bool:
    """Whether the channel axis of an activation is the second: a convolution made it."""
    for _ in range(6):
        source = next(flow.sources(record), None)
        if source is None:
            return bool(record.outputs[0].ndim == 4)
        if source.op.name.startswith("convolution"):
            return True
        if source.op.name in ("matmul", "layer_norm"):
            return False
        record = source
    return bool(record.outputs[0].ndim == 4)


def is_parameter(flow: Flow, x: Any) -> bool:
    """Whether nothing but views stands between an array and a leaf."""
    origin = origin_of(flow, x)
    return not isinstance(origin, Record)


def is_widened(flow: Flow, x: Any) -> bool:
    """Whether an array is a view of one with fewer axes: an axis was put in."""
    record = flow.maker.get(id(x))
    while record is not None and record.op.name in MOVEMENT - {"stack"}:
        source = record.inputs[0]
        if isinstance(source, np.ndarray) and source.ndim < x.ndim:
            return True
        record = flow.maker.get(id(source))
    return False


def views_of(flow: Flow, x: Any) -> Iterator[Any]:
    """An array, and what it is a view of, and so on: a batch before its axes were moved."""
    while isinstance(x, np.ndarray):
        yield x
        record = flow.maker.get(id(x))
        if record is None or record.op.name not in MOVEMENT:
            return
        x = record.inputs[0]


def origin_of(flow: Flow, x: Any) -> Any:
    """What an array is a view of."""
    record = flow.maker.get(id(x))
    while record is not None and record.op.name in MOVEMENT:
        x = record.inputs[0]
        record = flow.maker.get(id(x))
    return x if record is None else record
