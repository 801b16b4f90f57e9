"""Native executables: a graph as a program of compiled kernels, with its memory and its state."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import itemgetter
from sys import getrefcount
from typing import Any, TypeAlias

import numpy as np

from .. import config
from ..core.graph import Graph
from ..runtime.buffers import address, arena
from ..runtime.build import build_sources
from ..runtime.program import HostCall, Launch, Program, Timing
from ..runtime.slots import HELD_ONCE
from ..runtime.target import Target
from ..runtime.target import target as default_target
from .codegen.source import source
from .listing import show
from .lower import memory
from .lower.builder import Lowering
from .lower.emit import Step
from .lower.groups import Grouping, Host
from .lower.layout import Layout
from .lower.nodes import Leaf, Node
from .lower.storage import Buffer, live, stored
from .planning import (
    keeps_zeros,
    nbytes,
    operations,
    planned_steps,
    products,
    replaces,
    use_of,
)

_Way: TypeAlias = "tuple[Buffer, tuple[int, ...], Sequence[tuple[int, int]]]"

_LIGHT = 3e5
"""A program of at most so many operations runs on one thread: waking another takes longer."""


class NativeExecutable:
    """A graph, compiled. Call it with the arrays of the graph's inputs.

    `donations` maps inputs to the outputs that replace them: such an output ends up in the input's
    memory, and the same array is returned. Everything else is as in ``executable.Executable``.
    """

    in_place = True

    def __init__(
        self,
        graph: Graph,
        donations: Mapping[int, int],
        *,
        orders: Mapping[int, tuple[int, ...]] | None = None,
        target: Target | None = None,
        threads: int | None = None,
    ) -> None:
        self.graph = graph
        assert not graph.captured, "what a graph fetches itself must be an input here"
        lowering = Lowering(graph)
        outputs = list(lowering.outputs)
        alive = live(outputs)
        layout = Layout(alive, stored(alive, outputs), outputs, donations, set(donations), orders)
        grouping = Grouping(layout)
        self._inputs = [
            layout.buffers.get(leaf.number) for leaf in lowering.leaves[: len(graph.inputs)]
        ]
        self._constants: list[Any] = []
        self._bound: Sequence[Any] = ()
        self.donations = donations
        self.starts = lowering.starts
        self.planned = planned = planned_steps(layout, grouping, outputs)
        """What the program's steps do, in order; `starts` tells for which equations."""
        self._donated = {j: i for i, j in donations.items()}
        self._late = self._place_donations(donations, layout, outputs, planned)
        self._outputs = [layout.buffers[node.number] for node in outputs]
        self._direct = self._directly(outputs)
        self._fresh = [b for b, new in zip(self._outputs, self._direct, strict=True) if new]
        """The outputs that get memory of their own."""
        self._made: list[Any] = [None] * len(self._fresh)
        """That memory, as arrays."""
        self.program: Program
        self._assemble(layout, planned, outputs, target, threads)
        self._numbers = self._places_of_numbers(graph)
        self._late_readers = [(i, self._late_reader(self._outputs[j])) for i, j in self._late]
        self._pointers = self.program.table
        self._ways = [
            None if buffer is None else _way(buffer, self._places.get(buffer.slot, ()))
            for buffer in self._inputs
        ]
        looks = bool(self._numbers or self._late) or any(isinstance(s, Host) for s in planned)
        self.run_alone = self._run_alone if any(self._direct[:1]) and not looks else None
        self._makers = [(_maker(b), self._places.get(b.slot, ())) for b in self._fresh]
        self._place_results()

    # Building -------------------------------------------------------------------------------------

    def _place_donations(
        self,
        donations: Mapping[int, int],
        layout: Layout,
        outputs: Sequence[Node],
        planned: Sequence[Step | Host],
    ) -> list[tuple[int, int]]:
        """Let outputs be written into the inputs they replace; return those that must be copied.

        Those are the ones whose input is read after, or beside, the writing of the output.
        """
        late = []
        for i, j in donations.items():
            source, made = self._inputs[i], layout.buffers[outputs[j].number]
            own = (
                made.alias is None
                and made.index is None
                and made.array is None
                and not made.has_margins
                and sum(layout.buffers[n.number] is made for n in outputs) == 1
            )
            if source is None:  # nobody reads it: it is there for its memory
                source = self._inputs[i] = Buffer(made.shape, made.dtype, made.order)
                source.index = i
                fits = True
            else:
                fits = (
                    (made.order, made.dtype) == (source.order, source.dtype)
                    and not source.has_margins
                    and not any(memory.root(layout.buffers[n.number]) is source for n in outputs)
                    and replaces(source, made, planned, layout)
                )
            if own and fits:
                made.alias = source
            else:
                late.append((i, j))
        return late

    def _directly(self, outputs: Sequence[Node]) -> list[bool]:
        """Which outputs are written straight into the arrays that are returned."""
        seen: set[int] = set()
        out = []
        for node, buffer in zip(outputs, self._outputs, strict=True):
            plain = (
                not isinstance(node, Leaf)
                and buffer.alias is None
                and not buffer.has_margins
                and id(buffer) not in seen
            )
            seen.add(id(buffer))
            out.append(plain)
        return out

    def _assemble(
        self,
        layout: Layout,
        planned: Sequence[Step | Host],
        outputs: Sequence[Node],
        target: Target | None,
        threads: int | None,
    ) -> None:
        chosen = target or default_target()
        if config.debug_level() >= 3:
            show(planned, self.starts, self.graph, chosen)
        made_of = [i for i, s in enumerate(planned) if isinstance(s, Step)]
        sources = [source(s.kernel, chosen, s.label) for s in planned if isinstance(s, Step)]
        kernels = dict(zip(made_of, build_sources(sources, chosen), strict=True))
        uses = [use_of(step, kernels.get(i), layout) for i, step in enumerate(planned)]
        uses.append(memory.Use(tuple(self._outputs), (), True))  # they are looked at last
        outside = [b for b in self._inputs if b is not None]
        leaves = [b for b in layout.buffers.values() if b.index is None and b.array is not None]
        made = [b for b, direct in zip(self._outputs, self._direct, strict=True) if direct]
        memory.number(uses, [*outside, *leaves, *made, *self._outputs])
        keeps = keeps_zeros(layout)
        fixed = {b.slot for b in (*outside, *leaves, *made)}
        plan = memory.plan(uses, fixed, keeps)
        self._arena = arena(plan.size)
        work = sum(operations(s.kernel) for s in planned if isinstance(s, Step))
        self._places: dict[int, list[tuple[int, int]]] = {}
        self._table: dict[tuple[int, int], int] = {}
        launches = [
            self._host(step, layout)
            if isinstance(step, Host)
            else Launch(
                kernels[i], self._entries(step), plan.barriers[i], step.label,
                products(step.kernel), nbytes(step),
            )
            for i, step in enumerate(planned)
        ]  # fmt: skip
        self.program = Program(
            launches,
            len(self._table),
            target=chosen,
            threads=1 if threads is None and work < _LIGHT else threads,
        )
        base = address(self._arena)
        self._regions = plan.regions
        for slot, region in plan.regions.items():
            self._point(slot, base + region.start)
        for buffer in leaves:
            array = laid_out(buffer, buffer.array)
            self._constants.append(array)
            buffer.array = array
            self._point(buffer.slot, address(array))

    def _entries(self, step: Step) -> tuple[int, ...]:
        """Where a step's pointers are in the program's table: one for each place in a buffer."""
        out = []
        for buffer, origin in zip(step.buffers, step.origins, strict=True):
            key = buffer.slot, origin * buffer.dtype.itemsize
            if key not in self._table:
                self._places.setdefault(key[0], []).append((len(self._table), key[1]))
                self._table[key] = len(self._table)
            out.append(self._table[key])
        return tuple(out)

    def _point(self, slot: int, start: int) -> None:
        """Let everything in a buffer be found behind an address."""
        table = self.program.table
        for entry, offset in self._places.get(slot, ()):
            table[entry] = start + offset

    def _host(self, host: Host, layout: Layout) -> HostCall:
        first = host.nodes[0]
        reads: list[Callable[[], Any]] = [
            self._reader(layout.buffers[x.number]) if isinstance(x, Node) else partial(_same, x)
            for x in first.args
        ]
        writes = [(node.output, self._reader(layout.buffers[node.number])) for node in host.nodes]
        op = first.op

        def call() -> None:
            out = op(*[read() for read in reads])
            outs = (out,) if op.n_out is None else out
            for index, target in writes:
                np.copyto(target(), outs[index], casting="no")

        return HostCall(call, f"numpy {op.name}")

    def _reader(self, buffer: Buffer) -> Callable[[], Any]:
        """What looks at a buffer as an array when the program runs."""
        top = memory.root(buffer)
        if top.index is not None:
            index = top.index
            if top is buffer:
                return lambda: self._bound[index]
            return lambda: _look(self._bound[index], buffer)
        if top.array is not None:
            return lambda: _look(top.array, buffer)
        for k, made in enumerate(self._fresh):
            if made is top:
                return lambda: _look(self._made[k], buffer)
        return lambda: self.peek(buffer)

    def _late_reader(self, buffer: Buffer) -> Callable[[], Any]:
        """What fetches an output that is copied into an input's memory after a run.

        One that is an input itself may be about to be overwritten, too.
        """
        read = self._reader(buffer)
        return read if memory.root(buffer).index is None else lambda: np.array(read())

    def peek(self, buffer: Buffer) -> Any:
        """A temporary buffer as an array."""
        region = self._regions[buffer.slot]
        flat = self._arena[region.start : region.start + memory.root(buffer).nbytes]
        return _look(flat.view(buffer.dtype), buffer)

    # Running --------------------------------------------------------------------------------------

    def prepare(self, i: int, array: Any) -> Any:
        """The array for input i in the layout that the program wants: itself, if it is so already.

        The program works on its memory from now on, until it is called for `i` again.
        """
        way = self._ways[i]
        if way is not None:
            buffer, strides, entries = way
            if array.strides != strides or array.dtype is not buffer.dtype:
                array = laid_out(buffer, array)
            start, pointers = address(array), self._pointers
            for entry, offset in entries:
                pointers[entry] = start + offset
        return array

    def __call__(self, arrays: Sequence[Any]) -> Sequence[Any]:
        """The outputs, for arrays that were prepared; a donated one is the input's array itself.

        Other outputs are new arrays, or earlier ones that nobody holds any more.
        """
        made = self._fresh_memory()
        for i, number in self._numbers:
            number[()] = arrays[i]
        self._bound = arrays
        try:
            self.program.run()
            others = [read() for read in self._readers]
            results = self._pick((*arrays, *made, *others))
            late = [(i, read()) for i, read in self._late_readers]
            for i, value in late:
                arrays[i][...] = value
            return results
        finally:
            self._bound = ()

    def _fresh_memory(self) -> list[Any]:
        """The arrays of the outputs that get memory of their own: new ones where somebody holds."""
        made = self._made
        for k, (new, entries) in enumerate(self._makers):
            known = made[k]
            if known is None or getrefcount(known) != HELD_ONCE:
                made[k] = known = new()
                start, pointers = address(known), self._pointers
                for entry, offset in entries:
                    pointers[entry] = start + offset
        return made

    def _run_alone(self) -> Any:
        made = self._fresh_memory()
        self.program.run()
        return made[0]

    def profile(self, arrays: Sequence[Any], repeats: int) -> list[Timing]:
        """The time of each step of the program in so many runs, which are runs as any other."""
        self(arrays)
        self._bound = arrays
        try:
            return self.program.profile(repeats)
        finally:
            self._bound = ()

    @property
    def arena_bytes(self) -> int:
        """Memory for what only the program uses."""
        return int(self._arena.nbytes)

    @property
    def nbytes(self) -> int:
        """Memory for what only the program uses, and for outputs of its own."""
        direct = zip(self._outputs, self._direct, strict=True)
        return self.arena_bytes + sum(buffer.nbytes for buffer, mine in direct if mine)

    def _place_results(self) -> None:
        """Say where outputs are found after a run: among the inputs, those made, or those read."""
        places: list[int] = []
        self._readers: list[Callable[[], Any]] = []
        made, read = len(self._inputs), len(self._inputs) + len(self._made)
        for j, (buffer, direct) in enumerate(zip(self._outputs, self._direct, strict=True)):
            if j in self._donated:
                places.append(self._donated[j])
            elif direct:
                places.append(made)
            else:
                places.append(read + len(self._readers))
                self._readers.append(partial(_copied, self._reader(buffer)))
            made += direct
        self._pick = _picker(places)

    def _places_of_numbers(self, graph: Graph) -> list[tuple[int, Any]]:
        """Memory for inputs that are given as numbers: keys and counters of generators."""
        out = []
        for i, (var, buffer) in enumerate(zip(graph.inputs, self._inputs, strict=True)):
            if buffer is not None and var.shape == () and var.dtype == np.uint64:
                number = np.zeros((), np.uint64)
                self._point(buffer.slot, address(number))
                out.append((i, number))
        return out


def _same(x: Any) -> Any:
    return x


def _copied(read: Callable[[], Any]) -> Any:
    return np.array(read())


def _picker(places: list[int]) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    """What takes a tuple's items at some places."""
    if len(places) > 1:
        return itemgetter(*places)
    return lambda items: tuple(items[place] for place in places)


def _way(buffer: Buffer, entries: Sequence[tuple[int, int]]) -> _Way:
    """A buffer, the strides in bytes that its arrays need, and where their address goes."""
    return buffer, tuple(s * buffer.dtype.itemsize for s in buffer.strides), entries


def laid_out(buffer: Buffer, array: Any) -> Any:
    """An array of the buffer's type whose axes lie in the buffer's order, without gaps."""
    order = buffer.order
    if array.dtype == buffer.dtype and array.transpose(order).flags.c_contiguous:
        return array
    out = _empty(buffer)
    out[...] = array
    return out


def _maker(buffer: Buffer) -> Callable[[], Any]:
    """What makes ``_empty(buffer)``."""
    if buffer.order == tuple(range(len(buffer.order))):
        return partial(np.empty, buffer.shape, buffer.dtype)
    return partial(_empty, buffer)


def _empty(buffer: Buffer) -> Any:
    """New memory laid out as the buffer; an array of its own, not a view of one."""
    order = buffer.order
    inverse = sorted(range(len(order)), key=order.__getitem__)
    like = np.empty([buffer.shape[a] for a in order], buffer.dtype).transpose(inverse)
    return np.empty_like(like, order="K") if like.base is not None else like


def _look(array: Any, buffer: Buffer) -> Any:
    """The elements of a buffer within an array that starts where its memory does."""
    if array.shape == buffer.shape and buffer.within is None and not buffer.has_margins:
        return array
    strides = [s * buffer.dtype.itemsize for s in buffer.strides]
    flat = array if array.ndim == 1 else np.ravel(array, "K")
    return np.ndarray(
        buffer.shape, buffer.dtype, flat, buffer.origin * buffer.dtype.itemsize, strides
    )
