"""From groups to kernels: accesses are places times strides."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ...core.aval import Shape
from .. import kernels
from ..kernels import Access, Apply, Const, Expr, Index, Load, Total
from . import nodes
from .groups import Folding, Group, Product, Running, Write
from .layout import Layout
from .nodes import (
    Affine,
    Assemble,
    Dot,
    Iota,
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
from .rebase import rebase
from .storage import Buffer, is_identity

_INT64 = np.dtype(np.int64)
_CHUNKS, _WORTH_CHUNKS, _ENOUGH = 16, 32768, 16


class Step(NamedTuple):
    """A kernel and the buffers that its slots stand for, read or written.

    The pointer of a slot is that of its buffer plus the origin, in elements: where a kernel works
    is not part of its code, so that the same work at another place is the same kernel.
    """

    kernel: kernels.Kernel
    buffers: tuple[Buffer, ...]
    origins: tuple[int, ...]
    label: str
    reads: tuple[Buffer, ...]
    writes: tuple[Buffer, ...]
    nodes: tuple[int, ...] = ()
    """Numbers of the nodes that it computes."""


class _Slots:
    """Buffers of one kernel, numbered as they are met."""

    def __init__(self) -> None:
        self.buffers: list[Buffer] = []
        self.read: list[Buffer] = []
        self.written: list[Buffer] = []
        self.nodes: dict[int, None] = {}
        """Numbers of the nodes that the kernel computes, in the order in which they are met."""

    def access(
        self, buffer: Buffer, place: Place, rank: int, *, write: bool = False, fetch: bool = False
    ) -> Access:
        """Where a buffer's elements are for points of a box: to read, to write, or to fetch."""
        if buffer not in self.buffers:
            self.buffers.append(buffer)
        met = self.written if write else self.read
        if buffer not in met and not fetch:
            met.append(buffer)
        strides, offset = linear(buffer, place, rank)
        return Access(self.buffers.index(buffer), buffer.dtype, strides, offset)


def linear(buffer: Buffer, place: Place, rank: int) -> tuple[tuple[int, ...], int]:
    """Strides along the dimensions of a box, and offset, in elements."""
    total = [0] * rank
    offset = buffer.origin
    for stride, (start, factors) in zip(buffer.strides, place, strict=True):
        offset += stride * start
        for d, factor in enumerate(factors):
            total[d] += stride * factor
    return tuple(total), offset


def moves(buffer: Buffer, steps: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """How far apart in a buffer neighbours along each of some directions are, in elements."""
    strides = buffer.strides
    return tuple(sum(s * n for s, n in zip(strides, step, strict=True)) for step in steps)


class Emitter:
    """Kernels of one group, whose points are at `place` of its box."""

    def __init__(self, layout: Layout, group: Group, rank: int, place: Place) -> None:
        self.layout = layout
        self.group = group
        self.rank = rank
        self.place = place
        self.slots = _Slots()
        for task in group.tasks:
            if isinstance(task, (Folding, Product, Running)):
                self.slots.nodes[task.node.number] = None
        self._known: dict[tuple[int, Place], Expr] = {}
        self._inside = {
            t.node.number
            for t in group.tasks
            if isinstance(t, Write) and t.node is t.owner and not t.added
        }

    def value(self, node: Node, place: Place, *, defining: bool = False) -> Expr:
        """A node's element at `place` of the points of the walk."""
        key = (node.number, place)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._value(node, place, defining)
        return known

    def _value(self, node: Node, place: Place, defining: bool) -> Expr:
        product = self.group.product
        if product is not None and node is product.node and place == self.place:
            return Total(node.dtype)
        if isinstance(node, Scalar):
            return Const(node.value, node.dtype)
        inside = node.number in self._inside and place == self.place
        if node.number in self.layout.stored and not (defining or inside):
            return Load(self.slots.access(self.layout.buffers[node.number], place, self.rank))
        if isinstance(node, View):
            return self.value(node.arg, nodes.compose(node.place, place, self.rank))
        if isinstance(node, Iota):
            return self._coordinate(place[node.axis])
        self.slots.nodes[node.number] = None
        if isinstance(node, Lookup):
            buffer = self.layout.buffers[node.arg.number]
            at = nodes.compose(node.place, place, self.rank)
            access = self.slots.access(buffer, at, self.rank)
            args = tuple(self.value(arg, place) for arg in node.index)
            return kernels.Lookup(access, args, moves(buffer, node.steps), node.limits)
        assert isinstance(node, Pointwise), type(node)
        return node.make([self.value(arg, place) for arg in node.args])

    def _coordinate(self, at: Affine) -> Expr:
        total: Expr | None = Const(at.offset, _INT64) if at.offset else None
        for d, factor in enumerate(at.factors):
            if factor:
                term: Expr = Index(d)
                if factor != 1:
                    term = Apply("mul", (term, Const(factor, _INT64)), _INT64)
                total = term if total is None else Apply("add", (total, term), _INT64)
        return Const(0, _INT64) if total is None else total

    def store(self, task: Write) -> kernels.Store:
        """The store of one task."""
        place = nodes.compose(task.place, self.place, self.rank)
        access = self.slots.access(task.buffer, place, self.rank, write=True)
        if isinstance(task.owner, (Assemble, Merge, Scatter)):
            self.slots.nodes[task.owner.number] = None
        value = self.value(task.node, self.place, defining=task.node is task.owner)
        if task.added:
            value = Apply("add", (Load(access), value), task.node.dtype)
        return kernels.Store(access, value)


def steps(
    layout: Layout, group: Group, needed: set[int], later: Sequence[tuple[Buffer, Place]] = ()
) -> list[Step]:
    """The kernels that a group becomes: one, or two if a fold is done in parts.

    `later` is what another kernel reads soon at places over the box; a product has it fetched.
    """
    if group.product is not None:
        return [_contraction(layout, group, group.product, needed, later)]
    if isinstance(group.tasks[0], Running):
        return [_running(layout, group, group.tasks[0])]
    return _loops(layout, group, needed)


def _running(layout: Layout, group: Group, task: Running) -> Step:
    node, rank = task.node, len(group.box)
    here = nodes.identity(rank)
    emitter = Emitter(layout, group, rank, here)
    value = emitter.value(node.arg, here)
    place = node.place if isinstance(node, Scatter) else here
    stores = (kernels.Store(emitter.slots.access(task.buffer, place, rank, write=True), value),)
    label = f"{type(node).__name__.lower()} {'x'.join(map(str, group.box)) or '1'}"
    if isinstance(node, Scan):
        count = len(emitter.slots.buffers)
        scan = kernels.Scan(node.kind, group.box, node.axis, stores, count)
        return _step(scan, emitter.slots, label)
    args = tuple(emitter.value(arg, here) for arg in node.index)
    emitter.slots.read.append(task.buffer)
    kernel = kernels.Scatter(
        node.kind, group.box, node.kept, stores, args, moves(task.buffer, node.steps), node.limits,
        len(emitter.slots.buffers),
    )  # fmt: skip
    return _step(kernel, emitter.slots, label)


# Loops --------------------------------------------------------------------------------------------


def _is_kept(task: Write, needed: set[int]) -> bool:
    """Whether a task's result goes to memory."""
    return task.node is not task.owner or task.owner.number in needed


def _loops(layout: Layout, group: Group, needed: set[int]) -> list[Step]:
    order = _walk(layout, group)
    reduced = group.reduced
    sizes = [group.box[a] for a in order]
    folded = [reduced is not None and a in reduced for a in order]
    cut = _cut(sizes, folded) if reduced is not None else None
    rank = len(sizes) + (cut is not None)
    factors: list[list[int]] = []
    dims = []
    for d, _ in enumerate(order):
        row = [0] * rank
        at = d + (cut is not None)
        row[at] = 1
        if cut is not None and d == cut[0]:
            row[0] = sizes[d] // cut[1]
        factors.append(row)
        dims.append(sizes[d])
    if cut is not None:
        dims[cut[0]] //= cut[1]
        dims.insert(0, cut[1])
        folded.insert(0, False)
    place = tuple(Affine(0, tuple(factors[order.index(a)])) for a in range(len(order)))
    emitter = Emitter(layout, group, rank, place)
    stores, folds, parts = [], [], []
    for task in group.tasks:
        if isinstance(task, Write):
            if _is_kept(task, needed):
                stores.append(emitter.store(task))
        elif isinstance(task, Folding):
            fold, part = _fold(emitter, task, cut)
            folds.append(fold)
            parts += part
    kernel = kernels.Loop(
        tuple(dims), tuple(folded), tuple(stores), tuple(folds), len(emitter.slots.buffers)
    )
    return [_step(kernel, emitter.slots, _label(group)), *parts]


def _fold(
    emitter: Emitter, task: Folding, cut: tuple[int, int] | None
) -> tuple[kernels.Fold, list[Step]]:
    """A fold; if it is done in parts, into a buffer of them, and the step that joins them."""
    node, target = task.node, task.buffer
    kept = [a for a in range(len(node.arg.shape)) if a not in node.axes]
    value = emitter.value(node.arg, emitter.place)
    place = tuple(emitter.place[a] for a in kept)
    if cut is None:
        access = emitter.slots.access(target, place, emitter.rank, write=True)
        return kernels.Fold(node.kind, access, value), []
    parts = Buffer((cut[1], *target.shape), target.dtype, (0, *(a + 1 for a in target.order)))
    chunk = Affine(0, (1, *(0,) * (emitter.rank - 1)))
    access = emitter.slots.access(parts, (chunk, *place), emitter.rank, write=True)
    slots = _Slots()
    slots.nodes[node.number] = None
    rank = 1 + len(kept)
    walk = (0, *(a + 1 for a in target.order))
    whole = tuple(Affine(0, tuple(int(walk[d] == a) for d in range(rank))) for a in range(rank))
    load = Load(slots.access(parts, whole, rank))
    sizes = tuple(parts.shape[a] for a in walk)
    joined = kernels.Fold(node.kind, slots.access(target, whole[1:], rank, write=True), load)
    kernel = kernels.Loop(sizes, (True, *(False,) * len(kept)), (), (joined,), 2)
    return kernels.Fold(node.kind, access, value), [_step(kernel, slots, f"join {node.kind}")]


def _walk(layout: Layout, group: Group) -> tuple[int, ...]:
    """The order of axes in which a group walks over its box."""
    for task in group.tasks:
        if isinstance(task, Write) and is_identity(task.place, len(task.box)):
            return task.buffer.order
    for task in group.tasks:
        if isinstance(task, Folding):
            return layout.order_of(task.node.arg)
    task = group.tasks[0]
    assert isinstance(task, Write)
    if isinstance(task.owner, Merge):
        return layout.order_of(task.node)
    strides, _ = linear(task.buffer, task.place, len(task.box))
    return tuple(sorted(range(len(strides)), key=lambda d: (-abs(strides[d]), d)))


def _cut(sizes: Sequence[int], folded: Sequence[bool]) -> tuple[int, int] | None:
    """The dimension to fold in parts, and how many, so that there is work for many threads."""
    points = math.prod(sizes)
    kept = math.prod(n for d, n in enumerate(sizes) if not folded[d] and d < len(sizes) - 1)
    if points < _WORTH_CHUNKS or kept >= _ENOUGH:
        return None
    for d, n in enumerate(sizes):
        if folded[d] and n > 1:
            most = max((c for c in range(1, min(n, _CHUNKS) + 1) if n % c == 0), default=1)
            if most >= 4:
                return d, most
    return None


# Contractions -------------------------------------------------------------------------------------


def _contraction(
    layout: Layout,
    group: Group,
    product: Product,
    needed: set[int],
    later: Sequence[tuple[Buffer, Place]],
) -> Step:
    dot = product.node
    plan = layout.dots[dot.number]
    rank = len(dot.shape)
    total = rank + len(dot.depth)
    left, left_offset = linear(layout.buffers[plan.left.number], plan.left_place, total)
    right, right_offset = linear(layout.buffers[plan.right.number], plan.right_place, total)
    target, _ = linear(product.buffer, nodes.identity(rank), rank)
    batch = [d for d in range(rank) if d != plan.columns and right[d]]
    rows = [d for d in range(rank) if d != plan.columns and not right[d]]
    for dims in (batch, rows):
        dims.sort(key=lambda d: -abs(target[d]))
    depth = sorted(range(rank, total), key=lambda d: (-abs(left[d]), -abs(right[d])))
    sizes = (*dot.shape, *dot.depth)
    walk = [*batch, *rows, *([] if plan.columns is None else [plan.columns])]
    width = len(batch) + len(rows) + 1
    place = tuple(
        Affine(0, tuple(int(at < len(walk) and walk[at] == d) for at in range(width)))
        for d in range(rank)
    )
    emitter = Emitter(layout, group, width, place)
    slots = emitter.slots
    unit = nodes.identity(total)  # operands take slots of their own
    a = slots.access(layout.buffers[plan.left.number], _of(plan.left_place, unit), total).slot
    b = slots.access(layout.buffers[plan.right.number], _of(plan.right_place, unit), total).slot
    stores = []
    if dot.number in needed:
        access = slots.access(product.buffer, place, width, write=True)
        stores.append(kernels.Store(access, Total(dot.dtype)))
    stores += [
        emitter.store(task)
        for task in group.tasks
        if isinstance(task, Write) and _is_kept(task, needed)
    ]
    found = [(buffer, nodes.compose(at, place, width)) for buffer, at in later]
    fetched = [
        slots.access(buffer, at, width, fetch=True)
        for buffer, at in found
        if linear(buffer, at, width)[0][-1] == 1
    ]
    kernel = kernels.Contraction(
        dot.dtype,
        tuple(sizes[d] for d in batch),
        tuple(sizes[d] for d in rows),
        1 if plan.columns is None else sizes[plan.columns],
        tuple(sizes[d] for d in depth),
        _operand(a, left, left_offset, batch, rows, depth),
        _operand(b, right, right_offset, batch, [], depth),
        tuple(stores),
        len(slots.buffers),
        _frames(layout.buffers[plan.left.number], plan.left_place, rows, depth, sizes),
        tuple(fetched),
    )
    return _step(kernel, slots, _label(group))


_WASTE = 0.05
"""The share of products with zeros from which a second coordinate's padding is left out, too.

Its loops can then not be joined with others, which costs a little."""


def _frames(
    buffer: Buffer, place: Place, rows: Sequence[int], depth: Sequence[int], sizes: Sequence[int]
) -> tuple[kernels.Frame, ...]:
    """The paddings that loops of rows and one of depth go into, no others; the outermost first."""
    found: list[kernels.Frame] = []
    for n, margin, (offset, factors) in zip(buffer.shape, buffer.margins, place, strict=True):
        moving = {d for d, factor in enumerate(factors) if factor}
        steps = [d for d in depth if d in moving]
        if not any(margin) or len(steps) != 1 or not moving <= {*rows, *steps}:
            continue
        along = [tuple(factors[d] for d in dims) for dims in (rows, depth)]
        frame = kernels.Frame(along[0], along[1], offset, n)
        boxes = [tuple(sizes[d] for d in dims) for dims in (rows, depth)]
        if not found or frame.share(boxes[0], boxes[1]) <= 1.0 - _WASTE:
            found.append(frame)
    return tuple(found)


def _of(place: Place, unit: Place) -> Place:
    return nodes.compose(place, unit, len(unit))


def _operand(
    slot: int,
    strides: Sequence[int],
    offset: int,
    batch: Sequence[int],
    free: Sequence[int],
    depth: Sequence[int],
) -> kernels.Operand:
    def along(dims: Sequence[int]) -> tuple[int, ...]:
        return tuple(strides[d] for d in dims)

    return kernels.Operand(slot, along(batch), along(free), along(depth), offset)


def _step(kernel: kernels.Kernel, slots: _Slots, label: str) -> Step:
    moved, origins = rebase(kernel)
    return Step(
        moved, tuple(slots.buffers), origins, label, tuple(slots.read), tuple(slots.written),
        tuple(slots.nodes),
    )  # fmt: skip


def _label(group: Group) -> str:
    """What a kernel does, in a few words."""
    shape = "x".join(map(str, group.box)) or "1"
    kinds = []
    if group.product is not None:
        kinds.append("contract")
    count = sum(isinstance(t, Write) for t in group.tasks)
    if count:
        kinds.append(f"map{count if count > 1 else ''}")
    kinds += [t.node.kind for t in group.tasks if isinstance(t, Folding)][:1]
    return f"{'+'.join(kinds)} {shape}"


__all__ = ["Dot", "Emitter", "Reduce", "Shape", "Step", "steps"]
