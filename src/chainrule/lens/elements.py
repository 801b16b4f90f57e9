"""Paths through single elements of tensors: how many there are, and the heaviest, exactly.

A change of one weight spreads: it moves some elements of the next tensor, each of them some of the
one after. Every such chain is a path, and its product of local derivatives is a plain product of
numbers. They are too many to list, but not to count, to sum, or to find the heaviest k of: that is
a dynamic program over the elements, in the order of the tape.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np

from ..core.families import Elementwise
from ..core.value import Item, Node
from .flow import Edge, Flow, pull

Floats: TypeAlias = "np.ndarray[Any, np.dtype[np.float64]]"
Ints: TypeAlias = "np.ndarray[Any, np.dtype[np.int64]]"

MOST_PROBES: Final = 4096
"""Columns or rows of one Jacobian that are computed one by one."""
MOST_ENTRIES: Final = 3_000_000
"""Local derivatives that are held for all Jacobians together."""


class Link(NamedTuple):
    """One step of a path: to an element of a node, times a local derivative."""

    node: Node
    place: tuple[int, ...]
    derivative: float


class ElementPath(NamedTuple):
    """A path through elements: its product is `value`."""

    links: tuple[Link, ...]
    value: float


@dataclass(frozen=True)
class ElementPaths:
    """What is known of the paths from one element of a leaf to the root."""

    count: int
    """How many there are whose product is not zero."""
    total: float
    """The sum of their products: the gradient."""
    mass: float
    """The sum of the absolute values: how much of them cancels is seen from both."""
    heaviest: tuple[ElementPath, ...]
    positive: float
    """The sum of the products that are positive."""


class TooManyError(Exception):
    """There are more local derivatives than are listed."""


@dataclass
class _Jacobian:
    """The local derivatives over one edge that are not zero."""

    edge: Edge
    rows: Ints
    columns: Ints
    values: Floats


@dataclass
class _State:
    """What is known at each element of a node, by its place in the node."""

    places: Ints
    """The elements that some path reaches, sorted."""
    counts: list[int]
    total: Floats
    mass: Floats
    owner: Ints
    """For each of the best partial paths the place of its end, sorted, the heaviest first."""
    product: Floats
    came: list[tuple[int, int, int]]
    """For each of them: which Jacobian, which entry of it, which best path of the node before."""


def element_paths(flow: Flow, k: int = 5) -> ElementPaths | None:
    """The paths from the one element that the direction of `flow` is about; the `k` heaviest.

    None if there are too many local derivatives: what is said of edges and modules still holds.
    """
    try:
        return _Program(flow, k).run()
    except TooManyError:
        return None


class _Program:
    """The dynamic program over the elements of the nodes of a flow."""

    def __init__(self, flow: Flow, k: int) -> None:
        self.flow = flow
        self.k = k
        self.jacobians: list[_Jacobian] = []
        self.states: dict[Node, _State] = {}
        self.entries = 0

    def run(self) -> ElementPaths:
        """Go through the nodes in order, then back along the best paths."""
        start = np.flatnonzero(self.flow.direction)
        self.states[self.flow.leaf] = _State(
            start, [1], np.ones(1), np.ones(1), start, np.ones(1), [(-1, -1, -1)]
        )
        for node in self.flow.cone[1:]:
            jacobians = [
                self._jacobian(Edge(node, slot), self.states[p])
                for slot, p in enumerate(node.parents)
                if p is not None and p in self.states
            ]
            jacobians = [j for j in jacobians if j.rows.size]
            if jacobians:
                self._advance(node, jacobians)
        end = self.states.get(self.flow.twin.root)
        if end is None:
            return ElementPaths(0, 0.0, 0.0, (), 0.0)
        best = [self._traced(self.flow.twin.root, i) for i in range(len(end.product))]
        total, mass = float(end.total[0]), float(end.mass[0])
        return ElementPaths(end.counts[0], total, mass, tuple(best), (mass + total) / 2)

    def _advance(self, node: Node, jacobians: list[_Jacobian]) -> None:
        """Sums, counts and best partial paths of a node from those of its operands."""
        first = len(self.jacobians)
        self.jacobians += jacobians
        places, rows = np.unique(np.concatenate([j.rows for j in jacobians]), return_inverse=True)
        total, mass = np.zeros(len(places)), np.zeros(len(places))
        counts = [0] * len(places)
        ends, products, came = [], [], []
        offset = 0
        for number, jacobian in enumerate(jacobians, first):
            own = rows[offset : offset + len(jacobian.rows)]
            offset += len(jacobian.rows)
            before = self.states[jacobian.edge.source]
            at = np.searchsorted(before.places, jacobian.columns)
            np.add.at(total, own, jacobian.values * before.total[at])
            np.add.at(mass, own, np.abs(jacobian.values) * before.mass[at])
            for row, place in zip(own.tolist(), at.tolist(), strict=True):
                counts[row] += before.counts[place]
            low = np.searchsorted(before.owner, jacobian.columns, side="left")
            high = np.searchsorted(before.owner, jacobian.columns, side="right")
            entry = np.repeat(np.arange(len(own)), high - low)
            rank = np.arange(len(entry)) - np.repeat(
                np.cumsum(high - low) - (high - low), high - low
            )
            which = low[entry] + rank
            ends.append(jacobian.rows[entry])
            products.append(jacobian.values[entry] * before.product[which])
            came.append(np.stack([np.full(len(entry), number), entry, which], axis=1))
        end, product, source = map(np.concatenate, (ends, products, came))
        order = np.lexsort((-np.abs(product), end))
        sorted_end = end[order]
        place_in_group = np.arange(len(order)) - np.searchsorted(sorted_end, sorted_end)
        kept = order[place_in_group < self.k]
        self.states[node] = _State(
            places, counts, total, mass, end[kept], product[kept],
            [tuple(row) for row in source[kept].tolist()],
        )  # fmt: skip

    def _traced(self, node: Node, which: int) -> ElementPath:
        """The path that ends as best path number `which` of a node."""
        value = float(self.states[node].product[which])
        links = []
        while node is not self.flow.leaf:
            state = self.states[node]
            number, entry, before = state.came[which]
            jacobian = self.jacobians[number]
            index = place_of(node, int(state.owner[which]))
            links.append(Link(node, index, float(jacobian.values[entry])))
            node, which = jacobian.edge.source, before
        return ElementPath(tuple(links[::-1]), value)

    # Local derivatives ----------------------------------------------------------------------------

    def _jacobian(self, edge: Edge, state: _State) -> _Jacobian:
        """The derivatives of a node's elements by those elements of an operand that count."""
        node = edge.node
        if type(node.op) is Item:
            found = self._of_item(edge, state)
        elif isinstance(node.op, Elementwise):
            found = self._elementwise(edge, state)
        else:
            found = self._routed(edge, state) or self._probed(edge, state)
        kept = found.values != 0
        self.entries += int(kept.sum())
        if self.entries > MOST_ENTRIES:
            raise TooManyError
        return _Jacobian(edge, found.rows[kept], found.columns[kept], found.values[kept])

    def _of_item(self, edge: Edge, state: _State) -> _Jacobian:
        whole = self.flow.twin.values[edge.source]
        index = edge.node.op.parameters[0]  # type: ignore[union-attr]  # an Item
        low = sum(part.size for part in whole[:index])
        columns = state.places[(state.places >= low) & (state.places < low + whole[index].size)]
        return _Jacobian(edge, columns - low, columns, np.ones(len(columns)))

    def _elementwise(self, edge: Edge, state: _State) -> _Jacobian:
        node, op = edge.node, edge.node.op
        assert isinstance(op, Elementwise)
        shape = np.shape(self.flow.twin.values[node])
        xs = self.flow.twin.operands(node)
        y = self.flow.twin.values[node]
        partial = np.broadcast_to(op.partial(edge.slot, xs, y), shape).ravel()
        operand = np.shape(self.flow.twin.values[edge.source])
        places = np.arange(int(np.prod(operand))).reshape(operand)
        columns = np.broadcast_to(places, shape).ravel()
        rows = np.flatnonzero(np.isin(columns, state.places))
        return _Jacobian(edge, rows, columns[rows], np.asarray(partial[rows], np.float64))

    def _routed(self, edge: Edge, state: _State) -> _Jacobian | None:
        """If each element of the result comes from one element, or each goes to one: that map.

        Two random directions tell: their images then have a ratio that names the element.
        """
        rng = np.random.default_rng(0)
        labels = np.sort(rng.uniform(1.0, 2.0, len(state.places)))
        ones = self._push(edge, state.places, np.ones(len(labels)))
        marked = self._push(edge, state.places, labels)
        rows = np.flatnonzero((ones != 0) | (marked != 0))
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = marked[rows] / ones[rows]
        which = _matched(labels, ratio)
        if which is not None:
            return _Jacobian(edge, rows, state.places[which], ones[rows])
        size = len(ones)
        labels = np.sort(rng.uniform(1.0, 2.0, size))
        counted = self._pull(edge, np.ones(size))[state.places]
        marked = self._pull(edge, labels)[state.places]
        used = np.flatnonzero((counted != 0) | (marked != 0))
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = marked[used] / counted[used]
        which = _matched(labels, ratio)
        if which is None:
            return None
        return _Jacobian(edge, which, state.places[used], counted[used])

    def _probed(self, edge: Edge, state: _State) -> _Jacobian:
        """Column by column, or row by row, whichever are fewer."""
        size = _size(self.flow.twin.values[edge.node])
        columns = state.places
        if min(size, len(columns)) > MOST_PROBES or len(columns) * size > 50 * MOST_ENTRIES:
            raise TooManyError
        parts: list[tuple[Ints, Ints, Floats]] = []
        held = 0
        if len(columns) <= size:
            for place in columns:
                column = self._push(edge, np.array([place]), np.ones(1))
                rows = np.flatnonzero(column)
                parts.append((rows, np.full(len(rows), place), column[rows]))
                held += len(rows)
                if held + self.entries > MOST_ENTRIES:
                    raise TooManyError
        else:
            for place in range(size):
                ct = np.zeros(size)
                ct[place] = 1
                row = self._pull(edge, ct)[columns]
                used = np.flatnonzero(row)
                parts.append((np.full(len(used), place), columns[used], row[used]))
        if not parts:
            return _Jacobian(edge, *(np.zeros(0, np.int64),) * 2, np.zeros(0))
        return _Jacobian(edge, *(np.concatenate(part) for part in zip(*parts, strict=True)))

    def _push(self, edge: Edge, places: Ints, values: Floats) -> Floats:
        source = self.flow.twin.values[edge.source]
        dx = np.zeros(np.shape(source))
        dx.reshape(-1)[places] = values
        return _flat(self.flow.through(edge, dx), self.flow.twin.values[edge.node])

    def _pull(self, edge: Edge, ct: Floats) -> Floats:
        value = self.flow.twin.values[edge.node]
        shaped: Any = ct.reshape(np.shape(value)) if not isinstance(value, tuple) else []
        if isinstance(value, tuple):
            offset = 0
            for part in value:
                own = ct[offset : offset + part.size].reshape(part.shape)
                shaped.append(own if part.dtype.kind == "f" else None)
                offset += part.size
        _, over = pull(edge.node, shaped, (edge.source, edge.node))
        found = over.get(edge)
        size = np.size(self.flow.twin.values[edge.source])
        return np.zeros(size) if found is None else np.ravel(found)


def _matched(labels: Floats, ratio: Floats) -> Ints | None:
    """The labels that the ratios are, one for each; None unless they all are."""
    if not len(labels) or not np.all(np.isfinite(ratio)):
        return None if len(ratio) else np.zeros(0, np.int64)
    at = np.clip(np.searchsorted(labels, ratio), 0, len(labels) - 1)
    left = np.clip(at - 1, 0, None)
    at = np.where(np.abs(labels[left] - ratio) < np.abs(labels[at] - ratio), left, at)
    return at if np.all(np.abs(labels[at] - ratio) <= 1e-13 * np.abs(ratio)) else None


def _size(value: Any) -> int:
    return sum(map(np.size, value)) if isinstance(value, tuple) else int(np.size(value))


def _flat(x: Any, like: Any) -> Floats:
    """A tangent as one row of numbers; zeros for outputs that have none."""
    if not isinstance(like, tuple):
        return np.ravel(x)
    return np.concatenate(
        [np.zeros(part.size) if t is None else np.ravel(t) for t, part in zip(x, like, strict=True)]
    )


def place_of(node: Node, flat: int) -> tuple[int, ...]:
    """The index of an element of a node; of an op with several outputs, its number."""
    if node.shape is None:
        return (flat,)
    return tuple(int(i) for i in np.unravel_index(flat, node.shape)) if node.shape else ()
