"""How a gradient flows through a tape: exact shares of edges, nodes, modules and paths.

Let t be the tangent that a change of the parameter gives a node, and ȳ the cotangent that arrives
there. The sum over all paths through the node of the products of their local derivatives is ⟨ȳ, t⟩,
and that of the paths over one edge is ⟨ȳ, J t⟩ with the Jacobian of that edge. So two walks over
the graph, one forward and one backward, sum any number of paths exactly (dynamic programming).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple, final

import numpy as np

from ..core.large import rule
from ..core.value import Item, Node
from ..engine.forward import tangent
from ..ops.movement import expand
from ..ops.reduce import sum_to
from ..tensor import Tensor
from .twin import Twin


class Edge(NamedTuple):
    """Operand number `slot` of a node."""

    node: Node
    slot: int

    @property
    def source(self) -> Node:
        """The node that gives the operand."""
        parent = self.node.parents[self.slot]
        assert parent is not None
        return parent


class Path(NamedTuple):
    """The edges from a parameter to the output, and the product of the derivatives along them."""

    edges: tuple[Edge, ...]
    value: float
    norms: tuple[float, ...]
    """Of the tangent at each node on the way, the parameter included."""


@final
class Flow:
    """The flow of d root / d leaf along a `direction` of the leaf, through a twin."""

    def __init__(self, twin: Twin, leaf: Node, direction: Any) -> None:
        self.twin = twin
        self.leaf = leaf
        self.direction = np.asarray(direction, np.float64)
        on_path = {leaf}
        for node in twin.order:
            if any(parent in on_path for parent in node.parents):
                on_path.add(node)
        self.cone = tuple(node for node in twin.order if node in on_path)
        """The nodes that the leaf leads to, in order, the leaf first."""
        self.users: dict[Node, list[Edge]] = {node: [] for node in self.cone}
        """The edges by which each node of the cone is used."""
        for node in self.cone:
            for slot, parent in enumerate(node.parents):
                if parent in on_path and node is not leaf:
                    self.users[parent].append(Edge(node, slot))

    # Tangents, forward ----------------------------------------------------------------------------

    @cached_property
    def tangents(self) -> dict[Node, Any]:
        """What moving the leaf along the direction does to each node of the cone."""
        return self._pushed(self.leaf, self.direction, lambda node: True)

    def _pushed(
        self, start: Node, direction: Any, passes: Callable[[Node], bool]
    ) -> dict[Node, Any]:
        known = {start: direction}
        for node in self.cone:
            if node is start or not passes(node):
                continue
            dxs = [None if p is None else known.get(p) for p in node.parents]
            if any(dx is not None for dx in dxs):
                known[node] = step(node, dxs)
        return known

    def through(self, edge: Edge, dx: Any) -> Any:
        """J dx for the Jacobian of one edge."""
        dxs: list[Any] = [None] * len(edge.node.parents)
        dxs[edge.slot] = dx
        return step(edge.node, dxs)

    def avoiding(self, nodes: Collection[Node]) -> float:
        """The sum over the paths that go through none of the nodes."""
        known = self._pushed(self.leaf, self.direction, lambda node: node not in nodes)
        return float(known.get(self.twin.root, 0.0))

    # Cotangents, backward -------------------------------------------------------------------------

    @cached_property
    def _pulled(self) -> tuple[dict[Node, Any], dict[Edge, Any]]:
        return pull(self.twin.root, np.ones(()), self.cone)

    @property
    def cotangents(self) -> Mapping[Node, Any]:
        """The gradient of the root with respect to each node of the cone."""
        return self._pulled[0]

    @property
    def gradient(self) -> Any:
        """Of the root with respect to the whole leaf, multiplied back over this graph."""
        found = self.cotangents.get(self.leaf)
        return np.zeros(self.direction.shape) if found is None else found

    def share(self, edge: Edge) -> float:
        """The sum over the paths that take one edge."""
        ct = self._pulled[1].get(edge)
        dx = self.tangents.get(edge.source)
        return 0.0 if ct is None or dx is None else inner(ct, dx)

    def passing(self, node: Node) -> float:
        """The sum over the paths that go through a node."""
        ct, dx = self.cotangents.get(node), self.tangents.get(node)
        return 0.0 if ct is None or dx is None else inner(ct, dx)

    # Counts ---------------------------------------------------------------------------------------

    @cached_property
    def counts(self) -> dict[Node, int]:
        """How many paths lead from the leaf to each node."""
        found = {self.leaf: 1}
        for node in self.cone[1:]:
            found[node] = sum(found.get(p, 0) for p in node.parents if p is not None)
        return found

    def counts_avoiding(self, nodes: Collection[Node]) -> int:
        """How many paths go through none of the nodes."""
        found = {self.leaf: 1}
        for node in self.cone[1:]:
            if node not in nodes:
                found[node] = sum(found.get(p, 0) for p in node.parents if p is not None)
        return found.get(self.twin.root, 0)

    @property
    def total(self) -> int:
        """How many paths there are."""
        return self.counts.get(self.twin.root, 0)

    def paths(self) -> Iterator[Path]:
        """Every path, each multiplied out; ask for `total` before."""
        reach = self._leading_to_root()
        stack: list[tuple[Node, tuple[Edge, ...], Any, tuple[float, ...]]] = [
            (self.leaf, (), self.direction, (norm(self.direction),))
        ]
        while stack:
            node, edges, dx, norms = stack.pop()
            if node is self.twin.root:
                yield Path(edges, float(dx), norms)
                continue
            for edge in reversed(self.users[node]):
                if edge.node in reach:
                    moved = self.through(edge, dx)
                    stack.append((edge.node, (*edges, edge), moved, (*norms, norm(moved))))

    def _leading_to_root(self) -> set[Node]:
        found = {self.twin.root}
        for node in reversed(self.cone):
            if any(edge.node in found for edge in self.users[node]):
                found.add(node)
        return found

    def forks(self) -> Iterator[tuple[Node, list[Edge]]]:
        """The nodes that are used more than once on the way, with the edges that leave them."""
        reach = self._leading_to_root()
        for node in self.cone:
            edges = [edge for edge in self.users[node] if edge.node in reach]
            if len(edges) > 1:
                yield node, edges

    def joins(self) -> Iterator[tuple[Node, list[Edge]]]:
        """The nodes in which several paths meet, with the edges that enter them."""
        reach = self._leading_to_root()
        for node in self.cone[1:]:
            edges = [Edge(node, i) for i, p in enumerate(node.parents) if p in self.users]
            if len(edges) > 1 and node in reach:
                yield node, edges


def step(node: Node, dxs: Sequence[Any]) -> Any:
    """The tangent of a node from those of its operands; of an op with several outputs, of all."""
    assert node.op is not None
    if type(node.op) is Item:
        return dxs[0][node.op.index]
    dy = tangent(node, node.op, dxs, Tensor)
    if node.shape is not None and dy.shape != node.shape:
        dy = expand(dy, node.shape)
    if isinstance(dy, tuple):  # of integers there is none
        return tuple(None if d is None else np.asarray(d) for d in dy)
    return np.asarray(dy)


def pull(root: Node, ct: Any, cone: Sequence[Node]) -> tuple[dict[Node, Any], dict[Edge, Any]]:
    """Cotangents of the nodes of a cone, and what arrives over each of its edges.

    The cone is in order; cotangents do not leave it.
    """
    inside = set(cone)
    found: dict[Node, Any] = {root: ct}
    over: dict[Edge, Any] = {}
    for node in reversed(cone):
        ct = found.get(node)
        if ct is None or node.op is None:
            continue
        if type(node.op) is Item:
            _collect(found, over, node, ct)
            continue
        active = [p if p in inside else None for p in node.parents]
        if not any(p is not None for p in active) or node.xs is None:
            continue
        grads = rule(node.op, ct, node.xs, node.y, active)
        for slot, (parent, g) in enumerate(zip(active, grads, strict=True)):
            if parent is None or g is None:
                continue
            fits = parent.shape is None or g.shape == parent.shape
            g = np.asarray(g if fits else sum_to(g, parent.shape or ()))
            over[Edge(node, slot)] = g
            found[parent] = found[parent] + g if parent in found else g
    return found, over


def _collect(found: dict[Node, Any], over: dict[Edge, Any], node: Node, ct: Any) -> None:
    """The cotangent of one of several outputs takes its place in the list of its op's node."""
    whole = node.parents[0]
    assert whole is not None
    assert whole.op is not None
    assert node.op is not None
    cts = found.setdefault(whole, [None] * (whole.op.n_out or 1))
    index = node.op.parameters[0]
    cts[index] = ct if cts[index] is None else cts[index] + ct
    over[Edge(node, 0)] = [ct if i == index else None for i in range(len(cts))]


def inner(ct: Any, dx: Any) -> float:
    """⟨ct, dx⟩; of several outputs, summed over those that have both."""
    if isinstance(ct, (list, tuple)):
        pairs = zip(ct, dx, strict=True)
        return sum(inner(c, d) for c, d in pairs if c is not None and d is not None)
    return float(np.vdot(ct, dx))


def norm(x: Any) -> float:
    """The Euclidean norm of an array or of all of a tuple of them."""
    if isinstance(x, (list, tuple)):
        return float(np.sqrt(sum(norm(part) ** 2 for part in x if part is not None)))
    return float(np.linalg.norm(np.ravel(x)))
