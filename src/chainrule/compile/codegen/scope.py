"""A place inside a nest of loops: counters, addresses, and the values computed so far."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from ...runtime.target import Target
from ..kernels import Access, Lookup
from .evaluate import Terms, evaluate, load_lanes, store_lanes, value
from .lookups import look_up
from .nest import Plan, accesses, roots
from .text import Function, Val, memory_type, vector

Range: TypeAlias = tuple[Val | int, Val | int]
"""From where to where a loop goes."""


class Copy(NamedTuple):
    """One of the points, or vectors of points, that are computed together."""

    shift: tuple[int, ...]
    """How far along each loop it is from the counters."""
    active: int
    """So many of its lanes are points of the box."""
    known: dict[int, Val]
    """Terms that are computed: see `evaluate`."""


class Writer:
    """What stays the same all over a kernel: its plan, its terms, and where the text goes."""

    def __init__(self, f: Function, target: Target, plan: Plan) -> None:
        self.f = f
        self.target = target
        self.plan = plan
        self.terms = Terms(roots(plan.loop), plan.across)

    def scope(self, table: Val, slots: Val) -> Scope:
        """The place before all loops, where pointers are loaded."""
        f = self.f
        slot_pointers: dict[int, Val] = {}
        pointers: dict[Access, Val] = {}
        for access in accesses(self.plan.loop):
            if access.slot not in slot_pointers:
                at = f.offset(slots, "i32", access.slot)
                row = f.convert("sext", f.load(at, "i32", 4), "i64")
                slot_pointers[access.slot] = f.load(f.offset(table, "ptr", row), "ptr", 8)
            pointers[access._replace(offset=0)] = slot_pointers[access.slot]
        ndim = len(self.plan.loop.sizes)
        scope = Scope(self, {}, pointers, {}, (Copy((0,) * ndim, self.plan.lanes, {}),))
        return scope.evaluated()


class Scope:
    """A place inside the loops whose counters are in `counters`; never changed, only bound."""

    def __init__(
        self,
        writer: Writer,
        counters: Mapping[int, Val],
        pointers: Mapping[Access, Val],
        local: Mapping[Access, Val],
        copies: Sequence[Copy],
    ) -> None:
        self.writer = writer
        self.counters = counters
        self.pointers = pointers
        """By access without its offset: where its element is at the counters."""
        self.local = local
        """By access: where its lanes are one behind the other, instead of where it says."""
        self.copies = copies

    def bind(
        self,
        dim: int,
        counter: Val,
        shifts: Sequence[int] = (0,),
        active: Sequence[int] | None = None,
        local: Mapping[Access, Val] | None = None,
    ) -> Scope:
        """The place inside of loop `dim`; each copy becomes one for each of `shifts` along it.

        ``active[i]`` is how many lanes of those copies are points. What can be computed is.
        """
        f = self.writer.f
        scaled: dict[int, Val] = {}
        pointers = dict(self.pointers)
        for access, pointer in self.pointers.items():
            stride = access.strides[dim]
            if stride:
                if stride not in scaled:
                    scaled[stride] = f.scale(counter, stride)
                pointers[access] = f.offset(pointer, memory_type(access.dtype), scaled[stride])
        copies = [
            Copy(
                (*copy.shift[:dim], shift, *copy.shift[dim + 1 :]),
                copy.active if active is None else active[i],
                copy.known,
            )
            for copy in self.copies
            for i, shift in enumerate(shifts)
        ]
        counters = {**self.counters, dim: counter}
        return Scope(self.writer, counters, pointers, local or self.local, copies).evaluated()

    def evaluated(self) -> Scope:
        """This place with all terms computed that change along no other loops."""
        bound = sum(1 << d for d in self.counters)
        terms = self.writer.terms.terms
        copies: list[Copy] = []
        for copy in self.copies:
            known = dict(copy.known)
            for other in copies:
                differs = self._difference(copy, other)
                for n, val in other.known.items():
                    if not terms[max(n, ~n)].needs & differs:
                        known.setdefault(n, val)
            self._evaluate(copy, known, bound)
            copies.append(copy._replace(known=known))
        return Scope(self.writer, self.counters, self.pointers, self.local, copies)

    def _difference(self, a: Copy, b: Copy) -> int:
        """The loops along which two copies are at different points, as bits."""
        return sum(1 << d for d, (s, t) in enumerate(zip(a.shift, b.shift, strict=True)) if s != t)

    def _evaluate(self, copy: Copy, known: dict[int, Val], bound: int) -> None:
        w = self.writer
        lanes = w.plan.lanes

        def load(access: Access) -> Val:
            pointer, stride = self.address(copy, access)
            if access in self.local:
                pointer, stride = self.local[access], 1
            return load_lanes(w.f, w.target, pointer, access.dtype, stride, lanes, copy.active)

        def index(dim: int) -> Val:
            counter = w.f.add(self.counters[dim], copy.shift[dim])
            if dim != w.plan.across or lanes == 1:
                return counter
            steps = ", ".join(f"i64 {i}" for i in range(lanes))
            type_ = vector("i64", lanes)
            return w.f.binary("add nsw", w.f.splat(counter, lanes), Val(type_, f"<{steps}>"))

        def lookup(expr: Lookup, args: Sequence[Val]) -> Val:
            pointer, stride = self.address(copy, expr.access)
            dtype = expr.access.dtype
            return look_up(
                w.f, w.target, pointer, dtype, stride, lanes, copy.active, args, *expr[2:]
            )

        evaluate(
            w.f, w.target, w.terms, known, lanes,
            load=load, index=index, lookup=lookup, bound=bound,
        )  # fmt: skip

    def address(self, copy: Copy, access: Access) -> tuple[Val, int]:
        """Where the access's first lane is, and how many elements there are between lanes."""
        across = self.writer.plan.across
        pairs = zip(access.strides, copy.shift, strict=True)
        distance = access.offset + sum(stride * shift for stride, shift in pairs)
        pointer = self.pointers[access._replace(offset=0)]
        stride = 0 if across is None else access.strides[across]
        return self.writer.f.offset(pointer, memory_type(access.dtype), distance), stride

    def value(self, copy: Copy, root: int, *, wide: bool = True) -> Val:
        """The value of the root-th store or fold; in all lanes unless ``wide=False``."""
        terms = self.writer.terms
        return value(terms, copy.known, terms.roots[root], wide=wide)

    def store(self, copy: Copy, access: Access, val: Val) -> None:
        """Write lanes, or one number if `val` is one."""
        w = self.writer
        pointer, stride = self.address(copy, access)
        store_lanes(w.f, w.target, val, pointer, access.dtype, stride, copy.active)

    def run_stores(self) -> None:
        """Write the values of all stores at the counters."""
        for copy in self.copies:
            for root, (access, _) in enumerate(self.writer.plan.loop.stores):
                self.store(copy, access, self.value(copy, root))


# Loops --------------------------------------------------------------------------------------------


def minimum(f: Function, a: Val | int, b: Val | int) -> Val | int:
    """The smaller of two counters."""
    if isinstance(a, int) and isinstance(b, int):
        return min(a, b)
    a = f.integer(a) if isinstance(a, int) else a
    b = f.integer(b) if isinstance(b, int) else b
    return f.select(f.compare("icmp slt", a, b), a, b)


def blocks(
    f: Function, span: Range, size: int, step: int, body: Callable[[Val, int], None]
) -> None:
    """``body(start, count)`` over a range in blocks of `step`, and a shorter one at `size`."""
    low, high = span
    full = size // step * step
    if full:
        f.loop(low, minimum(f, high, full), step, lambda i: body(i, step), hint="block")
    rest = size - full
    if rest:
        f.loop(full, high, rest, lambda _: body(f.integer(full), rest), hint="rest")


def lane_copies(count: int, lanes: int) -> tuple[list[int], list[int]]:
    """Shifts of the vectors that hold `count` points, and how many points each holds."""
    shifts = list(range(0, count, lanes))
    return shifts, [min(lanes, count - shift) for shift in shifts]
