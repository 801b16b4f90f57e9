"""The values of a tape: all of them if asked for beforehand, else what its nodes kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import numpy as np

from ..core.aval import SCALARS, Aval
from ..core.observation import Observer, observation
from ..core.op import Op
from ..core.value import Item, Node, Value

Values: TypeAlias = dict[Node, Any]
"""An array for each node whose value is known; for an op with several outputs, a tuple."""

_kept: WeakKeyDictionary[Node, tuple[list[Any], Any]] = WeakKeyDictionary()
"""Operands and results of the operations that a Keeper saw. No backward pass frees them."""


class Keeper(Observer):
    """Keeps all values of the tapes that are recorded while it observes; see ``keeping``."""

    def __init__(self, outer: Observer | None) -> None:
        self.outer = outer
        self.roots: tuple[Node, ...] = ()
        """Where the last backward pass began that filled ``grad``."""
        self.is_dry = False
        """Whether optimizers are kept from changing anything."""

    def operation(self, op: Op, operands: Sequence[Any], result: Any) -> Any:
        if self.outer is not None:
            result = self.outer.operation(op, operands, result)
        many = isinstance(result, tuple)
        parts = result if many else (result,)
        node = next((y.node for y in parts if isinstance(y, Value) and y.node is not None), None)
        if node is not None and many:
            node = node.parents[0]
        if node is not None and node.op is op:
            arrays = [_operand(x) for x in operands]
            _kept[node] = arrays, tuple([y.array for y in parts]) if many else result.array
        return result

    def module_call(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return None if self.outer is None else self.outer.module_call(module, args, kwargs)

    def backward(self, order: Sequence[Node], roots: Sequence[Node], wanted: object) -> None:
        if wanted is None:
            self.roots = tuple(roots)
        if self.outer is not None:
            self.outer.backward(order, roots, wanted)

    def refused(self, output: Value) -> None:
        if self.outer is not None:
            self.outer.refused(output)

    def update(self, optimizer: Any, step: Any) -> None:
        if self.is_dry:
            return
        if self.outer is None:
            step()
        else:
            self.outer.update(optimizer, step)

    def cut(self, tensor: Value, how: str) -> Any:
        return None if self.outer is None else self.outer.cut(tensor, how)

    def batches(self, loader: Any) -> None:
        if self.outer is not None:
            self.outer.batches(loader)


def _operand(x: Any) -> Any:
    if isinstance(x, Value):
        return x.array
    return x.copy() if isinstance(x, np.ndarray) else x


@contextmanager
def keeping(*, alone: bool = False) -> Iterator[Keeper]:
    """In the block, tapes keep every value, also past ``backward``: all of them can be explained.

    Compiled functions run eagerly in it. Another observer is told everything, unless `alone`.
    """
    before = observation.by
    keeper = Keeper(None if alone else before)
    observation.by = keeper
    try:
        yield keeper
    finally:
        observation.by = before


def known_values(order: Sequence[Node]) -> Values:
    """Values of nodes, which come in an order in which each is after those it was computed from.

    A value is known if the tape was recorded in ``keeping``, if a node that used it keeps it, if
    its own node keeps its output, if it is a leaf that is still alive, or if it follows from known
    ones. A leaf that was changed after its use, and that nothing kept, has its present value.
    """
    values: Values = {}
    for node in order:
        kept = _kept.get(node)
        if kept is not None:
            values[node] = kept[1]
            _note_inputs(values, node, kept[0])
        elif node.xs is not None and node.op is not None and node.op.interned:
            if node.op.needs.output and node.y is not None:
                values[node] = node.y
            _note_inputs(values, node, node.xs)
    for node in order:
        if node not in values:
            found = _leaf_value(node) if node.op is None else _recomputed(node, values)
            if found is not None:
                values[node] = found
    return values


def operands(node: Node, values: Mapping[Node, Any]) -> list[Any]:
    """The inputs of a node; None for a constant, or a value, that is not known."""
    kept = _kept[node][0] if node in _kept else node.xs
    found = []
    for i, parent in enumerate(node.parents):
        if parent is not None and parent in values:
            found.append(values[parent])
        else:
            x = None if kept is None or i >= len(kept) else kept[i]
            found.append(None if isinstance(x, Aval) else x)
    return found


def _note_inputs(values: Values, node: Node, xs: Sequence[Any]) -> None:
    for parent, x in zip(node.parents, xs, strict=False):
        is_value = isinstance(x, np.ndarray) or type(x) in SCALARS
        if parent is not None and is_value and parent not in values:
            values[parent] = np.asarray(x)


def _leaf_value(node: Node) -> Any:
    variable = None if node.variable is None else node.variable()
    return None if variable is None or variable.node is not node else variable.array


def _recomputed(node: Node, values: Values) -> Any:
    op = node.op
    assert op is not None
    if type(op) is Item:
        whole = None if node.parents[0] is None else values.get(node.parents[0])
        return None if whole is None else whole[op.index]
    if not op.interned:  # a call of a function: its results are not its op's to compute
        return None
    xs = operands(node, values)
    return None if any(x is None for x in xs) else op(*xs)
