"""What is stored, and how: which nodes get a buffer, in which order of axes, with which margins."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...core.aval import DType, Shape
from . import nodes
from .nodes import (
    Assemble,
    Dot,
    Hosted,
    Iota,
    Leaf,
    Lookup,
    Merge,
    Node,
    Place,
    Pointwise,
    Reduce,
    Scalar,
    Scan,
    Scatter,
    View,
)

DEEPEST = 48
"""How deep an expression may be: recursive walks over it must not hit Python's limit."""

_CHEAP = 6
"""A pointwise value of at most this cost is computed again by each of its users."""
_LOOKING_UP = 4
_STORED = (Leaf, Reduce, Dot, Merge, Assemble, Hosted, Scan, Scatter)
"""What is always in memory."""


class Buffer:
    """Memory for an array: its axes' order from outermost to innermost, and margins of zeros."""

    __slots__ = (
        "alias", "array", "dtype", "index", "margins", "order", "shape", "slot", "state", "within",
    )  # fmt: skip

    def __init__(self, shape: Shape, dtype: DType, order: Sequence[int] | None = None) -> None:
        self.shape = shape
        self.dtype = dtype
        self.order = tuple(range(len(shape)) if order is None else order)
        self.margins: tuple[tuple[int, int], ...] = ((0, 0),) * len(shape)
        self.slot = -1
        self.index: int | None = None
        """Number of the program's input that it is, if any."""
        self.array: Any = None
        self.alias: Buffer | None = None
        """Another buffer whose memory this one looks at, or is written into."""
        self.within: Place | None = None
        """Where its elements lie in `alias`, if it is a part of it."""
        self.state = False
        """Whether its order may be chosen, because nobody but the program sets it."""

    @property
    def strides(self) -> tuple[int, ...]:
        """In elements."""
        if self.within is not None:
            assert self.alias is not None
            whole = self.alias.strides
            return tuple(
                sum(s * at.factors[d] for s, at in zip(whole, self.within, strict=True))
                for d in range(len(self.shape))
            )
        out = [0] * len(self.shape)
        step = 1
        for axis in reversed(self.order):
            out[axis] = step
            step *= self.shape[axis] + sum(self.margins[axis])
        return tuple(out)

    @property
    def origin(self) -> int:
        """Elements of the memory before the first one of its own."""
        if self.within is not None:
            assert self.alias is not None
            steps = zip(self.alias.strides, self.within, strict=True)
            return self.alias.origin + sum(s * at.offset for s, at in steps)
        return sum(s * lo for s, (lo, _) in zip(self.strides, self.margins, strict=True))

    @property
    def has_margins(self) -> bool:
        """Whether there are zeros around it."""
        return any(lo or hi for lo, hi in self.margins)

    @property
    def elements(self) -> int:
        """Number of elements, margins included."""
        return math.prod(n + lo + hi for n, (lo, hi) in zip(self.shape, self.margins, strict=True))

    @property
    def nbytes(self) -> int:
        """Size of the memory."""
        return self.elements * self.dtype.itemsize


def live(outputs: Iterable[Node]) -> list[Node]:
    """All nodes that outputs depend on, operands before results."""
    seen: dict[int, Node] = {}
    stack = list(outputs)
    while stack:
        node = stack.pop()
        if node.number not in seen:
            seen[node.number] = node
            stack.extend(node.arguments())
    return [seen[number] for number in sorted(seen)]


def base(node: Node) -> Node:
    """What a view looks at."""
    return node.arg if isinstance(node, View) else node


def stored(alive: Sequence[Node], outputs: Sequence[Node]) -> set[int]:
    """Numbers of the nodes that get a buffer; all others are evaluated where they are used."""
    users: dict[int, list[tuple[Node, int]]] = defaultdict(list)
    forced = {node.number for node in outputs}
    for node in alive:
        for arg in node.arguments():
            users[base(arg).number].append((node, node.size))
            if isinstance(node, Dot) or (isinstance(node, Merge) and node.place is None):
                forced.add(base(arg).number)
            if isinstance(node, Hosted):
                forced.add(arg.number)
        if isinstance(node, Lookup):
            forced.add(node.arg.number)
    out: set[int] = set()
    weight: dict[int, tuple[int, int]] = {}
    depth: dict[int, int] = {}
    for node in alive:
        depth[node.number] = depth_of(node, out, depth)
        if isinstance(node, _STORED) or node.number in forced:
            out.add(node.number)
        elif isinstance(node, (Lookup, Pointwise)):
            cost, loads = _weight(node, out, weight)
            weight[node.number] = cost, loads
            deep = depth[node.number] >= DEEPEST
            if deep or _is_worth_storing(node, cost, loads, users[node.number]):
                out.add(node.number)
    return out


def depth_of(node: Node, out: set[int], known: Mapping[int, int]) -> int:
    """How deep the expression of a node is, down to what is stored."""
    return 1 + max((known[a.number] for a in node.arguments() if a.number not in out), default=0)


def _is_worth_storing(node: Node, cost: int, loads: int, users: Sequence[tuple[Node, int]]) -> bool:
    work = max((_domain(user, size) for user, size in users), default=0)
    if cost and work >= 4 * node.size and (cost > 1 or node.size * 64 <= work):
        return True  # a few numbers that are broadcast: compute them once
    # the part of an Assemble is written where its other user walks over it
    several = sum(not isinstance(user, Assemble) for user, _ in users) > 1
    return several and (cost > _CHEAP or loads > 1)


def _domain(user: Node, size: int) -> int:
    if isinstance(user, Assemble):
        return 0
    return user.arg.size if isinstance(user, (Reduce, Scatter)) else size


def _weight(node: Node, out: set[int], known: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """Cost of evaluating a pointwise node at one point, and loads of more than a broadcast."""
    assert isinstance(node, (Lookup, Pointwise))
    cost, loads = (node.cost, 0) if isinstance(node, Pointwise) else (_LOOKING_UP, 1)
    for arg in node.args if isinstance(node, Pointwise) else node.index:
        at = base(arg)
        if isinstance(at, (Scalar, Iota)):
            continue
        if at.number in out or at.number not in known:
            loads += at.size >= node.size
        else:
            more, further = known[at.number]
            cost, loads = cost + more, loads + further
    return cost, loads


def is_identity(place: Place, rank: int) -> bool:
    """Whether points stay where they are."""
    return place == nodes.identity(rank)
