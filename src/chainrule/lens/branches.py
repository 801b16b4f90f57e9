"""Where the paths to an output part and meet, and what goes through each branch and module."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ..core.aval import Shape
from ..core.families import Elementwise
from ..core.value import Item, Node
from .elements import Link
from .flow import Edge, Flow
from .record import site_of
from .twin import Twin

MOST_PATHS: Final = 32
"""Paths through operations that are listed one by one; more are grouped only."""
MOST_JOINS: Final = 24
"""Places where branches meet that are listed; more are grouped by module only."""


@dataclass(frozen=True)
class Branch:
    """A part of the paths: those that take one way where several are open."""

    label: str
    value: float
    paths: int
    """How many paths through operations take it."""


@dataclass(frozen=True)
class Junction:
    """A node at which paths part, or meet, and what takes each way; the values add up."""

    label: str
    branches: tuple[Branch, ...]


@dataclass(frozen=True)
class Route:
    """A path through operations: where it leads, the gain of each step, and its product."""

    nodes: tuple[str, ...]
    factors: tuple[float, ...]
    """How much each step makes of the norm of the change; the last has the sign."""
    value: float


def routes_of(flow: Flow, label: Labels) -> tuple[Route, ...]:
    """The paths through operations, the heaviest first; none if they are too many."""
    if not 0 < flow.total <= MOST_PATHS:
        return ()
    found = []
    for path in flow.paths():
        factors = [b / a if a else 0.0 for a, b in zip(path.norms, path.norms[1:], strict=False)]
        if factors:
            factors[-1] = math.copysign(factors[-1], path.value)
        steps = [(label.node(e.node), f) for e, f in zip(path.edges, factors, strict=True)
                 if type(e.node.op) is not Item]  # fmt: skip
        items = [f for e, f in zip(path.edges, factors, strict=True) if type(e.node.op) is Item]
        nodes, kept = [n for n, _ in steps], [f for _, f in steps]
        if items and kept:  # taking one output out of several belongs to the op before
            kept[-1] = path.value / math.prod(kept[:-1], start=path.norms[0]) if math.prod(
                kept[:-1]) else 0.0  # fmt: skip
        found.append(Route(tuple(nodes), tuple(kept), path.value))
    return tuple(sorted(found, key=lambda route: -abs(route.value)))


def uses_of(flow: Flow, label: Labels) -> Junction | None:
    """The first node on the way that is used more than once, if it leads everything on."""
    node, edges = next(flow.forks(), (None, []))
    if node is None or flow.counts[node] != 1 or _passes_all(flow, node) is False:
        return None
    steps = _time_steps(flow, edges)
    branches = []
    for edge, step in zip(edges, steps, strict=True):
        name = label.use(edge) if step is None else f"time step {step + 1}"
        branches.append(Branch(name, flow.share(edge), _paths_over(flow, edge)))
    return Junction(label.node(node), tuple(branches))


def _passes_all(flow: Flow, node: Node) -> bool:
    return flow.counts_avoiding({node}) == 0 or node is flow.leaf


def _time_steps(flow: Flow, edges: Sequence[Edge]) -> list[int | None]:
    """Which time step of an unrolled loop each edge belongs to, if they all belong to one loop."""
    loops = {flow.twin.unrolled.get(edge.node) for edge in edges}
    if len(loops) != 1 or None in loops:
        return [None] * len(edges)
    order = sorted(range(len(edges)), key=lambda i: edges[i].node.order)
    found: list[int | None] = [None] * len(edges)
    for step, i in enumerate(order):
        found[i] = step
    return found


def _paths_over(flow: Flow, edge: Edge) -> int:
    """How many paths take an edge."""
    onward = {edge.node: 1}
    for node in flow.cone:
        if node is not edge.node and any(p in onward for p in node.parents):
            onward[node] = sum(onward.get(p, 0) for p in node.parents if p is not None)
    return flow.counts.get(edge.source, 0) * onward.get(flow.twin.root, 0)


def joins_of(flow: Flow, label: Labels) -> tuple[Junction, ...]:
    """Where branches meet, outside of loops over time; none if there are too many places."""
    found: list[Junction] = []
    for node, edges in flow.joins():
        if node in flow.twin.unrolled:
            continue
        if len(found) == MOST_JOINS:
            return ()
        branches = [
            Branch(_branch_name(flow, edges, i, label), flow.share(edge), _paths_over(flow, edge))
            for i, edge in enumerate(edges)
        ]
        found.append(Junction(label.node(node), tuple(branches)))
    return tuple(found)


def _branch_name(flow: Flow, edges: Sequence[Edge], i: int, label: Labels) -> str:
    """A branch is a skip if another one leads through the node that it comes from."""
    source = edges[i].source
    others = {edge.source for j, edge in enumerate(edges) if j != i} - {source}
    seen, stack = set(others), list(others)
    while stack:
        for parent in stack.pop().parents:
            if parent in flow.users and parent not in seen:
                seen.add(parent)
                stack.append(parent)
    kind = "skip" if source in seen else "main"
    return f"{kind}: {label.node(source)}"


def modules_of(flow: Flow) -> tuple[Branch, ...]:
    """For each module, by its path, the sum over the paths that go through it.

    It is what is left of the whole without the paths that avoid the module.
    """
    inside: dict[str, set[Node]] = {}
    for node in flow.cone[1:]:
        scope = node.scope
        if scope is None:
            continue
        parts = scope.path().split(".")[1:]
        for depth in range(1, len(parts) + 1):
            inside.setdefault(".".join(parts[:depth]), set()).add(node)
    total = float(flow.tangents.get(flow.twin.root, 0.0))
    found = []
    for name, nodes in inside.items():
        around = flow.counts_avoiding(nodes)
        through = flow.total - around
        if through:
            value = total if not around else total - flow.avoiding(nodes)
            found.append(Branch(name, value, through))
    return tuple(found)


class Labels:
    """How nodes are called: by module and operation, and outside of modules by their line."""

    def __init__(self, twin: Twin, names: Mapping[Node, str]) -> None:
        self.twin = twin
        self.names = names
        self.paths: dict[Any, str] = {}

    def node(self, node: Node) -> str:
        """``conv2.convolution``, ``add at net.py:12``."""
        if node in self.names:
            return self.names[node]
        name = node.parents[0].name if type(node.op) is Item and node.parents[0] else node.name
        scope = node.scope
        if scope is not None:
            if scope not in self.paths:
                self.paths[scope] = scope.path().partition(".")[2]
            if self.paths[scope]:
                return f"{self.paths[scope]}.{name}"
        return name

    def use(self, edge: Edge) -> str:
        """An edge by the node it leads to, and its line."""
        site = site_of(edge.node)
        where = "" if site is None or edge.node.scope is not None else f" at {site}"
        return f"{self.node(edge.node)}{where}"

    def link(self, link: Link) -> str:
        """``relu1.relu[0,3,5,7]``."""
        shown = f"[{','.join(map(str, link.place))}]" if link.place else ""
        return f"{self.node(link.node)}{'' if link.node.shape is None else shown}"


def is_routing(node: Node) -> bool:
    """Whether a node only moves elements, so that its factor 1 says nothing."""
    return type(node.op) is Item or (
        not isinstance(node.op, Elementwise)
        and node.name in ("reshape", "permute", "identity", "expand", "stack", "slice", "cast")
    )


def shape_text(shape: Shape | None) -> str:
    """``32×26×26``; a number has no size."""
    if shape is None:
        return "—"
    return "×".join(map(str, shape)) if shape else "number"
