"""Layout assignment: the order of axes and the margins of every buffer, and the roles in each Dot.

A micro-kernel wants the columns of its right operand, and of its result, next to each other. Where
an array may be laid out freely (results, and parameters that only the program writes) that is how
it is laid out; where not, a copy is made.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from . import nodes
from .nodes import (
    Affine,
    Assemble,
    Dot,
    Hosted,
    Leaf,
    Lookup,
    Merge,
    Node,
    Place,
    Pointwise,
    Reduce,
    Scan,
    View,
)
from .orders import behind, column_axis, column_order, permuted, resolve
from .storage import Buffer, is_identity

_NARROW = 16
"""Columns below this number waste lanes."""


class DotPlan(NamedTuple):
    """Operands of a Dot as the micro-kernel takes them, with places over (*shape, *depth)."""

    left: Node
    right: Node
    left_place: Place
    right_place: Place
    columns: int | None
    """The axis of the result that runs along `right`'s innermost axis; None: there is none."""


class Layout:
    """Buffers of all stored nodes, in the order in which they are computed."""

    def __init__(
        self,
        alive: Sequence[Node],
        stored: set[int],
        outputs: Sequence[Node],
        donations: Mapping[int, int],
        free: set[int],
        orders: Mapping[int, tuple[int, ...]] | None = None,
    ) -> None:
        """`donations` maps inputs to the outputs that replace them; inputs in `free` may be laid
        out in any order. `orders` says how other inputs are laid out."""
        self.alive = alive
        self.stored = stored
        self.buffers: dict[int, Buffer] = {}
        self.dots: dict[int, DotPlan] = {}
        self.sequence: list[Node] = []
        self.rigid = {node.number for node in outputs}
        self._copies: dict[tuple[int, tuple[int, ...], bool], Node] = {}
        self._settled: set[int] = set()
        self._leaves = {n.index: n for n in alive if isinstance(n, Leaf) and n.index is not None}
        self._free = free
        self._orders = orders or {}
        self._wishes: dict[int, Leaf] = {}
        for source, j in donations.items():
            if source in self._leaves and self._leaves[source].shape == outputs[j].shape:
                self._wish(outputs[j], self._leaves[source])
        for node in alive:
            if node.number in stored:
                self._place(node)
            if isinstance(node, Lookup):
                self._table(node)
        self._embed()

    def _wish(self, node: Node, leaf: Leaf) -> None:
        """Let what leads to `node` point for point be laid out as `leaf` is."""
        stack = [node]
        while stack:
            at = stack.pop()
            if at.number in self._wishes or at.shape != leaf.shape:
                continue
            self._wishes[at.number] = leaf
            if isinstance(at, Pointwise):
                stack.extend(at.args)
            if isinstance(at, Reduce) and isinstance(at.arg, Dot) and at.axes == (0,):
                self._wishes[at.arg.number] = leaf

    def _place(self, node: Node) -> None:
        buffer = self.buffers[node.number] = Buffer(node.shape, node.dtype)
        if isinstance(node, Leaf):
            buffer.index, buffer.array = node.index, node.array
            buffer.state = node.index in self._free or node.index is None
            if node.index is not None and node.index in self._orders and not buffer.state:
                buffer.order = self._orders[node.index]
        elif isinstance(node, Dot):
            self._plan(node)
        elif isinstance(node, (Lookup, Pointwise)):
            buffer.order = self._dominant(node)
        elif isinstance(node, Scan):
            buffer.order = self.order_of(node.arg)
        elif isinstance(node, Reduce):
            buffer.order = self._reduced(node)
        elif isinstance(node, Assemble):
            buffer.order = self._assembled(node)
        elif isinstance(node, Merge):
            self._merge(node)
        self.sequence.append(node)

    # Orders ---------------------------------------------------------------------------------------

    def _sources(self, node: Node, place: Place, rank: int) -> Iterator[tuple[Node, Place]]:
        """The stored nodes that evaluating `node` at `place` of a box reads, and where."""
        if isinstance(node, View):
            yield from self._read(node.arg, nodes.compose(node.place, place, rank), rank)
        elif isinstance(node, Pointwise):
            for arg in node.args:
                yield from self._read(arg, place, rank)
        elif isinstance(node, Lookup):
            yield from self._read(node.arg, nodes.compose(node.place, place, rank), rank)
            for arg in node.index:
                yield from self._read(arg, place, rank)

    def _read(self, node: Node, place: Place, rank: int) -> Iterator[tuple[Node, Place]]:
        if node.number in self.stored:
            yield node, place
        else:
            yield from self._sources(node, place, rank)

    def _dominant(self, node: Node) -> tuple[int, ...]:
        """The order of the operand that decides it; free operands follow."""
        rank = len(node.shape)
        natural = tuple(range(rank))
        best: tuple[int, ...] | None = None
        followers = []
        for source, place in self._sources(node, nodes.identity(rank), rank):
            order = permuted(self.buffers[source.number].order, place, node.shape)
            if order is None or source.size < node.size:
                continue
            if not self._is_free(source):
                if best is None or best == natural:
                    best = order
            elif is_identity(place, rank):
                followers.append(source)
        wish = self._wishes.get(node.number)
        if wish is not None and wish.number in self._settled:
            best = self.buffers[wish.number].order
        if best is None:
            return natural
        for source in followers:
            self._settle(source, best)
        return best

    def _table(self, node: Lookup) -> None:
        """Let the rows of a table that may be laid out freely lie next to each other."""
        table = node.arg
        if self._is_free(table):
            picked = [any(step[a] for step in node.steps) for a in range(len(table.shape))]
            self._settle(table, sorted(range(len(picked)), key=lambda a: (not picked[a], a)))

    def _is_free(self, node: Node) -> bool:
        """Whether its order may still be chosen."""
        chosen = node.number in self._settled or node.number in self.rigid
        return self.buffers[node.number].state and not chosen

    def _settle(self, leaf: Node, order: Sequence[int]) -> None:
        self.buffers[leaf.number].order = tuple(order)
        self._settled.add(leaf.number)

    def _reduced(self, node: Reduce) -> tuple[int, ...]:
        """The kept axes in the order they have in what is reduced."""
        whole = self.order_of(node.arg)
        kept = [a for a in range(len(node.arg.shape)) if a not in node.axes]
        return tuple(kept.index(a) for a in whole if a in kept)

    def _assembled(self, node: Assemble) -> tuple[int, ...]:
        """The order of the first part that lies in it axis by axis."""
        natural = tuple(range(len(node.shape)))
        for part, place in node.parts:
            if len(part.shape) == len(natural) and all(
                sum(map(bool, a.factors)) <= 1 and a.factors[d] for d, a in enumerate(place)
            ):
                return self.order_of(part)
        return natural

    def order_of(self, node: Node) -> tuple[int, ...]:
        """The order in which the elements of `node` come best, stored or not."""
        if node.number in self.stored and node.number in self.buffers:
            return self.buffers[node.number].order
        rank = len(node.shape)
        best: tuple[int, ...] = tuple(range(rank))
        for source, place in self._sources(node, nodes.identity(rank), rank):
            order = permuted(self.buffers[source.number].order, place, node.shape)
            if order is not None and source.size >= node.size:
                return order
        return best

    def _merge(self, node: Merge) -> None:
        """Look at the source's memory if it is contiguous; else this is a copy."""
        source = node.source
        if source.number not in self.stored:
            if node.place is None:
                source = self._copy(source, tuple(range(len(source.shape))))
            else:
                return
        buffer = self.buffers[source.number]
        natural = tuple(range(len(source.shape)))
        if buffer.order != natural or buffer.has_margins or source.number in self.rigid:
            if node.place is not None:
                return
            source = self._copy(source, natural)
            buffer = self.buffers[source.number]
        self.buffers[node.number].alias = buffer
        self.rigid.add(source.number)  # neither margins nor another order from now on

    def _copy(self, node: Node, order: tuple[int, ...], margins: bool = False) -> Node:
        """A copy of a stored node in another order, or with room for margins."""
        key = (node.number, order, margins)
        known = self._copies.get(key)
        if known is None:
            known = Pointwise(node.shape, node.dtype, (node,), lambda args: args[0], 0)
            self.stored.add(known.number)
            self.buffers[known.number] = Buffer(node.shape, node.dtype, order)
            self.sequence.append(known)
            self._copies[key] = known
        return known

    def _embed(self) -> None:
        """Let parts of an Assemble be made where they belong, so that nothing is copied."""
        for whole in self.sequence:
            if not isinstance(whole, Assemble) or whole.added or needs_fill(self, whole):
                continue
            target = self.buffers[whole.number]
            for part, place in whole.parts:
                self._embed_part(target, *behind(part, place))
        for node in reversed(self.sequence):
            buffer = self.buffers[node.number]
            if buffer.within is not None and not _is_dense(buffer):
                buffer.alias = buffer.within = None

    def _embed_part(self, target: Buffer, part: Node, place: Place | None) -> None:
        buffer = self.buffers.get(part.number)
        whole = isinstance(part, Assemble) and part.covered
        if (
            buffer is None
            or place is None
            or not (whole or isinstance(part, (Pointwise, Dot)))
            or part.number in self.rigid
            or buffer.alias is not None
            or buffer.has_margins
        ):
            return
        buffer.alias, buffer.within = target, place

    # Dots -----------------------------------------------------------------------------------------

    def _plan(self, dot: Dot) -> None:
        rank = len(dot.shape) + len(dot.depth)
        left, left_place = resolve(dot.left, dot.left_place, rank)
        right, right_place = resolve(dot.right, dot.right_place, rank)
        if isinstance(dot.left, View):
            beyond = _overreach(dot, dot.left.shape, dot.left_place)
            if not _ends_with(dot.left, beyond):
                left = self._copy(dot.left, self.order_of(dot.left), True)
                left_place = dot.left_place
        left = self._with_margins(dot, left, left_place)
        options = [
            (left, right, left_place, right_place),
            (right, left, right_place, left_place),
        ]
        best, least = None, math.inf
        wish = self._wishes.get(dot.number)
        expected = None if wish is None else self._last(wish, len(dot.shape))
        windows = len(dot.depth) > 1
        if expected is None and not windows:
            expected = len(dot.shape) - 1
        for swapped, (a, b, at, bt) in enumerate(options):
            for c in range(len(dot.shape)):
                axis = column_axis(at, bt, c, len(dot.shape))
                if axis is None:
                    continue
                cost = self._copying(b, axis) + 0.25 * swapped
                if c != expected if expected is not None else swapped:
                    cost += dot.size
                if dot.shape[c] < _NARROW:
                    cost += dot.size * (_NARROW - dot.shape[c]) / _NARROW
                if cost < least:
                    best, least = (a, b, at, bt, c, axis), cost
        if best is None:
            self.dots[dot.number] = DotPlan(*options[0], None)
            return
        a, b, at, bt, c, axis = best
        b = self._with_columns(b, axis, at, bt, len(dot.shape))
        self.dots[dot.number] = DotPlan(a, b, at, bt, c)
        self.buffers[dot.number].order = self._result_order(dot, wish, a, at, c)

    def _copying(self, b: Node, axis: int) -> int:
        """How many elements must be copied so that an axis of an operand can be columns."""
        buffer = self.buffers[b.number]
        ready = buffer.order[-1] == axis or self._is_free(b)
        if ready or (b.number, column_order(b, axis), False) in self._copies:
            return 0
        return b.size

    def _last(self, leaf: Leaf, rank: int) -> int | None:
        """The innermost axis of a parameter, counted as an axis of a result of that rank."""
        if leaf.number not in self._settled or not leaf.shape:
            return None
        return self.buffers[leaf.number].order[-1] + rank - len(leaf.shape)

    def _with_columns(self, b: Node, axis: int, at: Place, bt: Place, out: int) -> Node:
        buffer = self.buffers[b.number]
        order = column_order(b, axis)
        if self._is_free(b):
            self._settle(b, order)
            return b
        if buffer.order[-1] == axis:
            return b
        copy = self._copy(b, order, buffer.has_margins)
        self._widen(copy, buffer.margins)
        return copy

    def _result_order(
        self, dot: Dot, wish: Leaf | None, a: Node, at: Place, c: int
    ) -> tuple[int, ...]:
        rank = len(dot.shape)
        if wish is not None and self._last(wish, rank) == c:
            own = self.buffers[wish.number].order
            lead = rank - len(own)
            return (*range(lead), *(lead + d for d in own))
        strides = self.buffers[a.number].strides
        step = [
            sum(s * f.factors[d] for s, f in zip(strides, at, strict=True)) for d in range(rank)
        ]
        free = [d for d in range(rank) if d != c]
        if rank - len([d for d in free if step[d]]) > 1:  # batches without a stride come first
            free.sort(key=lambda d: (bool(step[d]), -abs(step[d])))
        else:
            free.sort(key=lambda d: -abs(step[d]))
        return (*free, c)

    def _with_margins(self, dot: Dot, left: Node, place: Place) -> Node:
        """`left`, or a copy of it, with room for the zeros that the Dot reads around it."""
        needed = _overreach(dot, left.shape, place)
        if not any(lo or hi for lo, hi in needed):
            return left
        buffer = self.buffers[left.number]
        if isinstance(left, (Leaf, Merge, Hosted)) or left.number in self.rigid:
            left = self._copy(left, buffer.order, True)
        self._widen(left, needed)
        return left

    def _widen(self, node: Node, margins: Sequence[tuple[int, int]]) -> None:
        """Have at least such margins around a node's buffer."""
        buffer = self.buffers[node.number]
        buffer.margins = tuple(
            (max(a, lo), max(b, hi))
            for (a, b), (lo, hi) in zip(buffer.margins, margins, strict=True)
        )


def _overreach(dot: Dot, shape: Sequence[int], place: Place) -> list[tuple[int, int]]:
    """How far a Dot reads an operand before and behind each axis."""
    sizes = (*dot.shape, *dot.depth)
    found = []
    for n, (offset, factors) in zip(shape, place, strict=True):
        low = offset + sum(f * (m - 1) for f, m in zip(factors, sizes, strict=True) if f < 0)
        high = offset + sum(f * (m - 1) for f, m in zip(factors, sizes, strict=True) if f > 0)
        found.append((max(0, -low), max(0, high - n + 1)))
    return found


def _ends_with(view: View, beyond: Sequence[tuple[int, int]]) -> bool:
    """Whether axes that are read beyond their ends are whole axes of what a view looks at."""
    for d, (low, high) in enumerate(beyond):
        if low or high:
            along = [a for a, at in enumerate(view.place) if at.factors[d]]
            if len(along) != 1 or view.arg.shape[along[0]] != view.shape[d]:
                return False
            offset, factors = view.place[along[0]]
            if offset or factors[d] != 1 or sum(map(bool, factors)) != 1:
                return False
    return True


def needs_fill(layout: Layout, node: Assemble) -> bool:
    """Whether what lies between the parts is written each time.

    Zeros are not: memory that is only used for this stays zero there, unless it is the user's.
    """
    lasting = node.fill == 0 and node.number not in layout.rigid
    return node.added or not (node.covered or lasting)


def _is_dense(buffer: Buffer) -> bool:
    """Whether its innermost axis goes by ones, as kernels want it."""
    last = buffer.order[-1] if buffer.order else None
    return last is None or buffer.shape[last] == 1 or buffer.strides[last] == 1


__all__ = ["Affine", "DotPlan", "Layout"]
