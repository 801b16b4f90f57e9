"""A tape recorded again in float64, with all values known and loops over time unrolled.

Explanations are made of the twin: every node has its operands and its result, so that it can be
computed again with a changed input, and rounding does not blur the comparison of gradients.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.apply import apply
from ..core.aval import Aval
from ..core.families import Fused
from ..core.op import NOTHING, Op
from ..core.value import Item, Node, make_leaf, moment, recording, tape
from ..engine.reverse import reachable
from ..errors import ExplanationError
from ..ops.movement import Cast
from ..tensor import Tensor
from .values import Values, keeping, known_values, operands

F64 = np.dtype(np.float64)


@dataclass(frozen=True)
class Twin:
    """The tape of one scalar in float64."""

    root: Node
    """Of the scalar."""
    order: tuple[Node, ...]
    """All nodes that it depends on, each after those that it was computed from."""
    values: Values
    """An array for each node; for an op with several outputs, a tuple."""
    of: Mapping[Node, Node]
    """The node here of each node of the original tape that has one output."""
    unrolled: Mapping[Node, Node]
    """The node of the original's loop over time that a node here is a part of."""

    @property
    def value(self) -> float:
        """Of the scalar."""
        return float(self.values[self.root])

    def operands(self, node: Node) -> list[Any]:
        """The arrays and numbers that a node was computed from."""
        return operands(node, self.values)


def make_twin(output: Tensor, direction: Any = None, *, unroll: bool = True) -> Twin:
    """The twin of the tape of `output`, or with a `direction` of their product, a scalar.

    With `unroll`, recurrent layers are made of ops, so that every time step has its own nodes.

    Raises ExplanationError for a value that the tape did not keep and that does not follow from
    others, and for a call of a compiled function, a checkpoint or a Function of the user's.
    """
    assert output.node is not None
    order = reachable([output.node])[::-1]
    making = _Making(known_values(order), unroll)
    with keeping(alone=True), recording(True):
        for node in order:
            making.made[node] = making.again(node)
        scalar = making.made[output.node]
        if direction is not None:
            scalar = (scalar * Tensor.wrap(np.asarray(direction, F64))).sum()
        elif scalar.ndim:
            scalar = scalar.reshape(())
    new_order = tuple(reachable([scalar.node])[::-1])
    twins = {
        n: made.node for n, made in making.made.items()
        if isinstance(made, Tensor) and made.node is not None
    }  # fmt: skip
    return Twin(scalar.node, new_order, known_values(new_order), twins, making.unrolled)


class _Making:
    """A twin in the making."""

    def __init__(self, values: Values, unroll: bool) -> None:
        self.values = values
        self.unroll = unroll
        self.made: dict[Node, Any] = {}
        """Results by node of the original: a tensor or a tuple of them."""
        self.unrolled: dict[Node, Node] = {}

    def again(self, node: Node) -> Any:
        """Do what a node of the original did."""
        op = node.op
        if op is None:
            return self._leaf(node)
        xs = self._operands(node)
        if type(op) is Item:
            return xs[0][op.index]
        before, start = tape.scope, moment()
        tape.scope = node.scope
        try:
            made = self._result(node, op, xs)
        finally:
            tape.scope = before
        is_loop = self.unroll and isinstance(op, Fused) and op.recurrent
        for new in _made_since(start, made):
            new.site = node.site
            if is_loop:
                self.unrolled[new] = node
        return made

    def _leaf(self, node: Node) -> Tensor:
        if node not in self.values:
            raise ExplanationError(
                "the value of a leaf is not known: nothing kept it, and its tensor is gone",
                hint="record the tape in `with chainrule.lens.keeping():`",
            )
        leaf = Tensor.wrap(np.asarray(self.values[node]).astype(F64))
        make_leaf(leaf)
        return leaf

    def _operands(self, node: Node) -> list[Any]:
        """Tensors of the twin and, for constants, arrays in float64; None: not known."""
        xs = []
        for parent, x in zip(node.parents, operands(node, self.values), strict=True):
            if parent is not None:
                xs.append(self.made[parent])
            elif isinstance(x, (np.ndarray, np.generic)) and x.dtype.kind == "f":
                xs.append(np.asarray(x, F64))
            else:
                xs.append(x)
        return xs

    def _result(self, node: Node, op: Op, xs: list[Any]) -> Any:
        if not op.interned:
            raise ExplanationError(
                f"a {op.name} call on the tape cannot be computed again step by step",
                at=node.location or None,
                hint="explain the plain function: run it in `with chainrule.lens.keeping():`, "
                "without checkpoints and rules of your own",
            )
        if isinstance(op, Cast) and op.dtype.kind == "f":
            return xs[0]
        if any(x is None for x in xs):
            return self._shifted(node, op, xs)
        if self.unroll and isinstance(op, Fused) and op.recurrent:
            return op.reference(*xs)
        return apply(op, *xs)

    def _shifted(self, node: Node, op: Op, xs: list[Any]) -> Any:
        """An op whose constants were not kept: it keeps nothing, so it is affine.

        With zeros in the place of the constants it is off by a constant, which is added.
        """
        if op.needs is not NOTHING or node not in self.values:
            raise ExplanationError(
                f"the tape did not keep a value that {op.name} used",
                at=node.location or None,
                hint="record the tape in `with chainrule.lens.keeping():`",
            )
        kept = node.xs if node.xs is not None else [None] * len(xs)
        filled = [
            x if x is not None else np.zeros(k.shape, F64) if isinstance(k, Aval) else 0.0
            for x, k in zip(xs, kept, strict=True)
        ]
        linear: Any = apply(op, *filled)
        return linear + Tensor.wrap(np.asarray(self.values[node], F64) - linear.array)


def _made_since(start: int, made: Any) -> set[Node]:
    """The nodes that results were computed with, if they are younger than a moment."""
    found: set[Node] = set()
    stack = [part.node for part in (made if isinstance(made, tuple) else (made,))]
    while stack:
        node = stack.pop()
        if node is not None and node.order > start and node not in found:
            found.add(node)
            stack.extend(node.parents)
    return found
