"""Forward mode: push tangents along a recorded tape, in the order in which it was recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..core.aval import Aval, Data
from ..core.op import Op
from ..core.value import Item, Node, Value, make_leaf, recording
from ..errors import FreedGraphError, GradientError, SecondOrderError
from ..ops.movement import expand
from ..ops.reduce import sum_to
from .reverse import as_values, reachable, sweep


def push(
    roots: Sequence[Node],
    tangents: Mapping[Node, Data],
    *,
    value_class: type[Value],
    create_graph: bool = False,
) -> list[Data | None]:
    """Tangents of `roots` from the tangents of some nodes they depend on; None where there is none.

    With `create_graph`, tangents are Values that can be differentiated again.
    """
    known: dict[Node, Any] = dict(tangents)
    with recording(create_graph):
        for node in reversed(reachable(roots, boundary=tangents)):
            if node in known or node.op is None:
                continue
            dxs = [None if p is None else known.get(p) for p in node.parents]
            if all(dx is None for dx in dxs):
                continue
            if type(node.op) is Item:
                known[node] = dxs[0][node.op.index]  # type: ignore[index]  # a tuple of tangents
            else:
                known[node] = tangent(node, node.op, dxs, value_class, create_graph)
    return [known.get(root) for root in roots]


def tangent(
    node: Node, op: Op, dxs: Sequence[Data | None], cls: type[Value], create_graph: bool = False
) -> Data:
    """Tangent of one node's output from those of its parents: J dx. See ``push``."""
    if node.xs is None:
        raise FreedGraphError(
            f"the saved values of {node.name} were freed by an earlier backward pass",
            at=node.location or None,
            hint="pass retain_graph=True to backward() to walk the graph again",
        )
    if create_graph and op.once:
        raise SecondOrderError(f"{op.name} has no second derivative", at=node.location or None)
    if create_graph:
        xs, y = as_values(node, op, cls)
    else:
        xs, y = list(node.xs), node.y
    if type(op).jvp is Op.jvp:
        return _transposed_vjp(op, dxs, xs, y, cls, create_graph)
    dy = op.jvp(dxs, xs, y)
    if node.shape is not None and dy.shape != node.shape:
        return expand(dy, node.shape)
    return dy


def _transposed_vjp(
    op: Op,
    dxs: Sequence[Data | None],
    xs: Sequence[Data],
    y: Data,
    cls: type[Value],
    create_graph: bool,
) -> Data:
    """J dx by differentiating ct ↦ Jᵀ ct, which is linear: its transpose at dx is J dx.

    So an op needs only one of the two rules. Where the ct is evaluated does not matter.
    """
    out: Any = op.infer(*xs)
    outs: tuple[Aval, ...] = (out,) if op.n_out is None else out
    cts = []
    for aval in outs:
        ct = cls.wrap(np.zeros(aval.shape, aval.dtype))
        if aval.dtype.kind == "f":
            make_leaf(ct)
        cts.append(ct)
    with recording(True):
        pulled = op.vjp(cts[0] if op.n_out is None else cts, xs, y, dxs)
        fitted = [
            g if g is None or dx is None or g.shape == dx.shape else sum_to(g, dx.shape)
            for g, dx in zip(pulled, dxs, strict=True)
        ]
    pairs = []
    for g, dx in zip(fitted, dxs, strict=True):
        if g is None or dx is None:
            continue
        if isinstance(g, Value) and g.node is not None:
            pairs.append((g.node, dx))
        elif np.any(g.array if isinstance(g, Value) else g):
            raise GradientError(
                f"{op.name} has no forward mode: its backward is not recorded as linear in the "
                "gradient that it is given",
                hint="write backward with tensor operations, or give the Function a jvp(ctx, *dxs)",
            )
    leaves = [ct.node for ct in cts if ct.node is not None]
    if create_graph:
        pairs = [(node, dx if isinstance(dx, Value) else cls.wrap(dx)) for node, dx in pairs]
    found = sweep(
        [node for node, _ in pairs],
        [dx for _, dx in pairs],
        value_class=cls,
        wanted=leaves,
        create_graph=create_graph,
    )
    dys = [
        None if ct.node is None else found.get(ct.node, np.zeros(ct.shape, ct.dtype)) for ct in cts
    ]
    return dys[0] if op.n_out is None else tuple(dys)
