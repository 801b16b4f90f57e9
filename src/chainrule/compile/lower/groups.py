"""Grouping: which stored values are computed together, in one pass over memory.

Tasks are taken in order of dependence. A pointwise task joins a group that walks over the same box
if it shares something with it, and if whatever it reads of the group's results lies at the very
point where the walk is. So elementwise chains, reductions over what they make, and epilogues of
contractions become one kernel each. Numbers, such as the step counts of an optimizer, need share
nothing: to launch a kernel costs more than to compute one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from ...core.aval import Shape
from . import nodes
from .layout import Layout, needs_fill
from .nodes import (
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
    Scalar,
    Scan,
    Scatter,
    View,
)
from .orders import behind
from .storage import DEEPEST, Buffer, depth_of, is_identity

_MOST_TASKS = 16


class Write:
    """Store `node` for every point of its box at `place` in `buffer`."""

    __slots__ = ("added", "buffer", "node", "owner", "place")

    def __init__(
        self, node: Node, buffer: Buffer, place: Place, owner: Node, added: bool = False
    ) -> None:
        self.node = node
        self.buffer = buffer
        self.place = place
        self.owner = owner
        """The stored node that this is, or is a part of."""
        self.added = added
        """Whether it is added to what is there."""

    @property
    def box(self) -> Shape:
        """What is walked over."""
        return self.node.shape


class Folding:
    """Fold a node's argument into its buffer."""

    __slots__ = ("buffer", "node", "owner")

    def __init__(self, node: Reduce, buffer: Buffer) -> None:
        self.node = node
        self.buffer = buffer
        self.owner: Node = node

    @property
    def box(self) -> Shape:
        """What is walked over."""
        return self.node.arg.shape


class Product:
    """Compute a Dot; `buffer` is where it goes if it is stored."""

    __slots__ = ("buffer", "node", "owner")

    def __init__(self, node: Dot, buffer: Buffer) -> None:
        self.node = node
        self.buffer = buffer
        self.owner: Node = node

    @property
    def box(self) -> Shape:
        """What is walked over."""
        return self.node.shape


class Running:
    """Compute a Scan, or put what a Scatter puts into its base: a kernel of its own."""

    __slots__ = ("buffer", "node", "owner")

    def __init__(self, node: Scan | Scatter, buffer: Buffer) -> None:
        self.node = node
        self.buffer = buffer
        self.owner: Node = node

    @property
    def box(self) -> Shape:
        """What is walked over."""
        return self.node.arg.shape


class Host:
    """Let NumPy compute all outputs of one call."""

    __slots__ = ("nodes",)

    def __init__(self, first: Hosted) -> None:
        self.nodes = [first]


Task: TypeAlias = Write | Folding | Product | Running | Host
Read: TypeAlias = tuple[Node, Place]


class Group:
    """Tasks of one kernel, over one box."""

    __slots__ = ("box", "depth", "product", "reads", "tasks", "writes")

    def __init__(self, box: Shape) -> None:
        self.box = box
        self.tasks: list[Task] = []
        self.product: Product | None = None
        self.depth = 0
        self.writes: set[int] = set()
        self.reads: set[int] = set()

    @property
    def reduced(self) -> tuple[int, ...] | None:
        """The axes that are folded; None if nothing is."""
        for task in self.tasks:
            if isinstance(task, Folding):
                return task.node.axes
        return None


class Grouping:
    """Groups in the order in which they run."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.groups: list[Group] = []
        self._made: dict[int, int] = {}
        """Number of a stored node: index of the last group that writes to it."""
        self._at_point: dict[int, int] = {}
        """The same, if that group's walk writes each element of it at its own point."""
        self._hosts: dict[int, Host] = {}
        self._filled: dict[int, int] = {}
        """Number of an Assemble: index of the group that writes what lies between its parts."""
        self._reads: dict[tuple[int, Place, int], list[Read]] = {}
        self._depth: dict[int, int] = {}
        for node in layout.alive:
            self._depth[node.number] = depth_of(node, layout.stored, self._depth)
        for node in layout.sequence:
            for task in self._tasks(node):
                self._enter(task)

    # Tasks ----------------------------------------------------------------------------------------

    def _tasks(self, node: Node) -> Iterator[Task]:
        buffer = self.layout.buffers[node.number]
        rank = len(node.shape)
        if isinstance(node, Leaf):
            return
        if isinstance(node, Reduce):
            yield Folding(node, buffer)
        elif isinstance(node, Dot):
            yield Product(node, buffer)
        elif isinstance(node, (Scan, Scatter)):
            if isinstance(node, Scatter):
                yield Write(node.base, buffer, nodes.identity(rank), node)
            yield Running(node, buffer)
        elif isinstance(node, Merge):
            if buffer.alias is None:
                assert node.place is not None
                yield Write(node.arg, buffer, node.place, node)
            else:
                self._made[node.number] = self._group_of(node)
        elif isinstance(node, Assemble):
            yield from self._parts(node, buffer)
        elif isinstance(node, Hosted):
            host = self._hosts.get(id(node.call))
            if host is None:
                host = self._hosts[id(node.call)] = Host(node)
                yield host
            else:
                host.nodes.append(node)
                self._made[node.number] = self._made[host.nodes[0].number]
        else:
            yield Write(node, buffer, nodes.identity(rank), node)

    def _group_of(self, merge: Merge) -> int:
        alias = self.layout.buffers[merge.number].alias
        return max(
            (g for n, g in self._made.items() if self.layout.buffers[n] is alias), default=-1
        )

    def _parts(self, node: Assemble, buffer: Buffer) -> Iterator[Task]:
        if needs_fill(self.layout, node):
            fill = Scalar(node.fill, node.dtype, node.shape)
            yield Write(fill, buffer, nodes.identity(len(node.shape)), node)
        for part, place in node.parts:
            source, at = behind(part, place)
            own = self.layout.buffers.get(source.number)
            if own is not None and own.alias is buffer and own.within == at:
                made = max(self._made.get(node.number, -1), self._made[source.number])
                self._made[node.number] = made
                continue
            yield Write(part, buffer, place, node, node.added)

    def maker(self, node: Node) -> int:
        """Number of the last group that writes to a stored node, -1 if none does."""
        return self._made.get(node.number, -1)

    # Grouping -------------------------------------------------------------------------------------

    def reads(self, node: Node, place: Place, rank: int) -> list[Read]:
        """The stored nodes that evaluating `node` at `place` of a box reads, and where.

        () is anywhere, or the one place there is.
        """
        key = (node.number, place, rank)
        known = self._reads.get(key)
        if known is None:
            known = self._reads[key] = []
            if isinstance(node, View):
                known += self._read(node.arg, nodes.compose(node.place, place, rank), rank)
            elif isinstance(node, Pointwise):
                for arg in node.args:
                    known += self._read(arg, place, rank)
            elif isinstance(node, Lookup):
                known.append((node.arg, ()))  # anywhere
                for arg in node.index:
                    known += self._read(arg, place, rank)
        return known

    def _read(self, node: Node, place: Place, rank: int) -> list[Read]:
        if node.number in self.layout.stored:
            return [(node, place)]
        return self.reads(node, place, rank)

    def task_reads(self, task: Task) -> list[Read]:
        """What a task reads, at places over its box."""
        if isinstance(task, Host):
            args = [x for x in task.nodes[0].args if isinstance(x, Node)]
            return [(x, ()) for x in args]
        if isinstance(task, Product):
            plan = self.layout.dots[task.node.number]
            return [(plan.left, plan.left_place), (plan.right, plan.right_place)]
        rank = len(task.box)
        here = nodes.identity(rank)
        if isinstance(task, (Folding, Running)):
            index = task.node.index if isinstance(task.node, Scatter) else ()
            return [r for arg in (task.node.arg, *index) for r in self._read(arg, here, rank)]
        found = self._read(task.node, here, rank)
        if found and found[0][0] is task.owner:  # a stored node defines itself
            found = self.reads(task.node, here, rank)
        return found

    def _enter(self, task: Task) -> None:
        reads = self.task_reads(task)
        first = 0
        for source, place in reads:
            made = self._made.get(source.number, -1)
            joins = (
                not isinstance(task, (Host, Product, Running))
                and self._at_point.get(source.number, -1) == made
                and is_identity(place, len(task.box))
                and source.shape == task.box
            )
            first = max(first, made + (0 if joins else 1))
        if isinstance(task, Running):
            first = max(first, self._made.get(task.owner.number, -1) + 1)
        if isinstance(task, (Write, Product)):
            first = max(first, self._filled.get(task.owner.number, -1) + 1)
        group = self._find(task, reads, first)
        if group is None:
            group = Group(() if isinstance(task, Host) else task.box)
            self.groups.append(group)
        index = self.groups.index(group)
        group.tasks.append(task)
        group.reads |= {source.number for source, _ in reads}
        group.depth += self._task_depth(task)
        if isinstance(task, Product):
            group.product = task
        self._note(task, group, index)

    def _task_depth(self, task: Task) -> int:
        """How deep what a task evaluates is; a group's tasks may stand on each other."""
        if isinstance(task, Host):
            return 0
        return self._depth.get(task.node.number, DEEPEST)

    def _note(self, task: Task, group: Group, index: int) -> None:
        if isinstance(task, Host):
            self._made[task.nodes[0].number] = index
            return
        number = task.owner.number
        self._made[number] = max(index, self._made.get(number, -1))
        group.writes.add(number)
        if isinstance(task, Write) and (task.added or isinstance(task.node, Scalar)):
            self._filled[number] = index
        if not isinstance(task, (Folding, Running)) and task.node is task.owner:
            self._at_point[number] = index

    def _find(self, task: Task, reads: Sequence[Read], first: int) -> Group | None:
        if not isinstance(task, (Write, Folding)) or getattr(task, "added", False):
            return None
        touched = {source.number for source, _ in reads}
        if isinstance(task, Write):
            touched.add(task.owner.number)
        for group in self.groups[first:]:
            if (
                group.box != task.box
                or len(group.tasks) >= _MOST_TASKS
                or group.depth + self._task_depth(task) > 3 * DEEPEST
                or any(isinstance(t, (Host, Running)) for t in group.tasks)
                or any(getattr(t, "added", False) for t in group.tasks)
                or (task.box and not touched & (group.writes | group.reads))
            ):
                continue
            if group.product is not None:
                if isinstance(task, Folding) or not self._fits_epilogue(group, task, reads):
                    continue
            elif isinstance(task, Folding) and group.reduced not in (None, task.node.axes):
                continue
            return group
        return None

    def _fits_epilogue(self, group: Group, task: Write, reads: Sequence[Read]) -> bool:
        """Whether all that a task touches runs along the product's columns by ones, or not."""
        assert group.product is not None
        dot = group.product.node
        columns = self.layout.dots[dot.number].columns
        if not is_identity(task.place, len(task.box)):
            return False
        if dot.number not in {source.number for source, _ in reads} and not (
            {source.number for source, _ in reads} & group.writes
        ):
            return False
        for source, place in [*reads, (task.owner, task.place)]:
            buffer = self.layout.buffers[source.number]
            if len(place) != len(buffer.shape):
                return False
            step = 0 if columns is None else _step(buffer, place, columns)
            if step not in ((1,) if source is task.owner else (0, 1)) and columns is not None:
                return False
        return True


def _step(buffer: Buffer, place: Place, dim: int) -> int:
    return sum(s * a.factors[dim] for s, a in zip(buffer.strides, place, strict=True))
