"""Reverse mode: walk the tape from the result to the leaves and add up cotangents.

Each node's influence is the sum over the nodes that used it, x̄ᵢ = Σⱼ x̄ⱼ ∂xⱼ/∂xᵢ (document 000,
section 3). The walk is iterative, in reverse topological order, and linear in the number of nodes.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..core.aval import Aval, Data, describe
from ..core.large import rule
from ..core.observation import observation
from ..core.op import Op
from ..core.value import Item, Node, Value, item, recording, stored, tape
from ..errors import FreedGraphError, GradientError, SecondOrderError, ShapeError
from ..ops.movement import cast
from ..ops.reduce import sum_to


def sweep(
    roots: Sequence[Node],
    cotangents: Sequence[Data],
    *,
    value_class: type[Value],
    wanted: Collection[Node] | None = None,
    boundary: Collection[Node] = (),
    retain_graph: bool = False,
    create_graph: bool = False,
) -> dict[Node, Data]:
    """Propagate the cotangents of `roots` backward.

    With `wanted` nodes, only what leads to them is computed and their cotangents are returned;
    with None, every leaf's ``grad`` (and every ``retain_grad``) is accumulated into. The walk does
    not go past `boundary` nodes.

    With `create_graph`, cotangents are Values that can be differentiated again. Residuals are freed
    as the walk passes them, unless `retain_graph` or `create_graph`.
    """
    order = reachable(roots, boundary)
    on_path, passed = (None, None) if wanted is None else _leading_to(order, wanted)
    _check_alive(order, passed)
    if observation.by is not None:
        observation.by.backward(order, roots, wanted)
    pending: dict[Node, Any] = {}
    for root, ct in zip(roots, cotangents, strict=True):
        pending[root] = pending[root] + ct if root in pending else ct
    found: dict[Node, Data] = {}
    keep = retain_graph or create_graph
    with recording(create_graph), _scope_kept():
        for node in order:
            ct = pending.pop(node, None)
            if ct is None or (on_path is not None and node not in on_path):
                continue
            if node.hooks:
                ct = _run_hooks(node, ct, value_class)
            if on_path is None:
                if node.variable is not None:
                    deliver(node, ct, value_class)
            elif wanted is not None and node in wanted:
                found[node] = ct
            op = node.op
            if op is None or node in boundary or (passed is not None and node not in passed):
                continue
            if type(op) is Item:
                _collect(pending, node.parents[0], op.index, ct)
                continue
            _propagate(pending, node, op, ct, on_path, value_class if create_graph else None)
            if not keep:
                _free(node, op)
    return found


@contextmanager
def _scope_kept() -> Iterator[None]:
    """Be in the same module call after the block as before."""
    before = tape.scope
    try:
        yield
    finally:
        tape.scope = before


def _propagate(
    pending: dict[Node, Any],
    node: Node,
    op: Op,
    ct: Data,
    on_path: Collection[Node] | None,
    value_class: type[Value] | None,
) -> None:
    """Apply the op's rule and add what each parent receives to its pending cotangent.

    This is the one place where a cotangent is summed to the shape, and cast to the dtype, of the
    input it belongs to. With a `value_class`, the rule runs on Values and is recorded.
    """
    parents = node.parents
    active: Sequence[object] = parents
    if on_path is not None:
        active = [p if p in on_path else None for p in parents]
    if tape.graph is not None:
        tape.scope = node.scope  # equations of the gradient belong to the module of the value
    if value_class is None:
        grads = rule(op, ct, node.xs, node.y, active)
    else:
        grads = _recorded_vjp(node, op, ct, active, value_class)
    for parent, wanted, g in zip(parents, active, grads, strict=True):
        if parent is None or wanted is None or g is None:
            continue
        shape = parent.shape
        if shape is not None:
            if g.shape != shape:
                g = sum_to(g, shape)
            if g.dtype is not parent.dtype:
                g = cast(g, parent.dtype)
        before = pending.get(parent)
        pending[parent] = g if before is None else before + g


def _recorded_vjp(
    node: Node, op: Op, ct: Data, active: Sequence[object], cls: type[Value]
) -> Sequence[Data]:
    """Run the rule on Values, so that what it computes has a graph of its own."""
    if op.once:
        raise SecondOrderError(
            f"{op.name} has no second derivative",
            at=node.location or None,
            hint="use create_graph=False, or write the function with other ops",
        )
    xs, y = as_values(node, op, cls)
    return op.vjp(ct, xs, y, active)


def as_values(node: Node, op: Op, cls: type[Value]) -> tuple[list[Data], Data]:
    """The residuals of a node as Values that lead back to where they came from."""
    assert node.xs is not None
    xs = [
        x if parent is None or x is None or isinstance(x, Aval) else cls.wrap(x, parent)
        for x, parent in zip(node.xs, node.parents, strict=True)
    ]
    if not op.needs.output:
        return xs, None
    if op.n_out is None:
        return xs, cls.wrap(node.y, node)
    return xs, tuple(cls.wrap(part, item(node, i, part)) for i, part in enumerate(node.y))


def reachable(roots: Iterable[Node], boundary: Collection[Node] = ()) -> list[Node]:
    """All nodes that `roots` depend on, every node before the nodes it was computed from.

    Nodes are numbered in the order of their creation, so sorting them is a topological order.
    """
    seen = set(roots)
    stack = list(seen)
    while stack:
        node = stack.pop()
        if node in boundary:
            continue
        for parent in node.parents:
            if parent is not None and parent not in seen:
                seen.add(parent)
                stack.append(parent)
    return sorted(seen, key=_creation, reverse=True)


def users_of(order: Iterable[Node]) -> dict[Node, list[Node]]:
    """Which of these nodes were computed from a node, in their order."""
    users: dict[Node, list[Node]] = {}
    for node in order:
        for parent in node.parents:
            if parent is not None:
                users.setdefault(parent, []).append(node)
    return users


def _creation(node: Node) -> int:
    return node.order


def _leading_to(order: Sequence[Node], wanted: Collection[Node]) -> tuple[set[Node], set[Node]]:
    """The nodes among `order` on the way to a wanted node, and those of them to be passed.

    A wanted node that leads to no other is where the walk ends: its rule is not needed, and its
    residuals stay for later passes.
    """
    on_path, passed = set(wanted), set()
    for node in reversed(order):
        if any(parent in on_path for parent in node.parents):
            on_path.add(node)
            passed.add(node)
    return on_path, passed


def _check_alive(order: Sequence[Node], passed: Collection[Node] | None) -> None:
    """Raise before any gradient is touched if residuals that the walk needs are gone."""
    for node in order:
        if node.xs is None and (passed is None or node in passed):
            raise FreedGraphError(
                f"the saved values of {node.name} were freed by an earlier backward pass",
                at=node.location or None,
                hint="pass retain_graph=True to the first backward() to walk the graph twice",
            )


def _collect(pending: dict[Node, Any], node: Node | None, index: int, ct: Data) -> None:
    """Put the cotangent of one of several outputs in its place in the node's list."""
    assert node is not None
    assert node.op is not None
    assert node.op.n_out is not None
    cts = pending.setdefault(node, [None] * node.op.n_out)
    cts[index] = ct if cts[index] is None else cts[index] + ct


def _free(node: Node, op: Op) -> None:
    """Drop the residuals. A node that kept nothing can be walked again."""
    needs = op.needs
    if needs.inputs != () or needs.output:
        node.xs = None
        node.y = None


def _run_hooks(node: Node, ct: Data, cls: type[Value]) -> Data:
    """Call the hooks with a tensor; a hook that returns one replaces the cotangent."""
    assert node.hooks is not None
    for hook in list(node.hooks):
        shown = ct if isinstance(ct, Value) else cls.wrap(stored(ct))
        changed = hook(shown)
        if changed is None:
            continue
        if changed.shape != shown.shape:
            raise ShapeError(
                "a hook must return a gradient of the same shape",
                expected=describe(shown),
                got=describe(changed),
            )
        ct = changed if isinstance(ct, Value) else changed.array
    return ct


def deliver(node: Node, ct: Data, cls: type[Value]) -> None:
    """Accumulate into the ``grad`` of the leaf, or of the tensor that asked to retain it."""
    variable = None if node.variable is None else node.variable()
    if variable is None or variable.node is not node:
        return
    before = variable._grad
    if isinstance(ct, Value):
        variable._grad = cls.wrap(ct.array, ct.node) if before is None else before + ct
    else:
        variable._grad = cls.wrap(stored(ct if before is None else before.array + ct))


def seed(output: Value, cotangent: Any, *, as_value: bool = False) -> Data:
    """The cotangent to start from: as given, or one for a scalar.

    Raises GradientError for an output of many elements without a cotangent, ShapeError for a wrong
    shape. With `as_value` it comes as a Value, for a pass that is recorded.
    """
    if cotangent is None:
        if math.prod(output.shape) != 1:
            raise GradientError(
                "a gradient of many elements at once needs a direction",
                expected="a scalar, or gradient= of the same shape",
                got=describe(output),
                hint="reduce it first, for instance loss.sum().backward()",
            )
        ct: Any = np.ones(output.shape, output.dtype)
    else:
        ct = cotangent if isinstance(cotangent, Value) else np.array(cotangent, output.dtype)
    if ct.shape != output.shape:
        raise ShapeError(
            "the direction does not have the shape of the output",
            expected=describe(output),
            got=describe(ct),
        )
    if ct.dtype != output.dtype:
        ct = cast(ct, output.dtype)
    if as_value:
        return ct if isinstance(ct, Value) else output.result_class.wrap(ct)
    return ct.array if isinstance(ct, Value) else ct
