"""Reductions as text: vector accumulators in short chains, combined in a fixed order."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from ...core.aval import DType
from .casts import register_type
from .evaluate import shuffle
from .nest import CHAIN, chains, neutral
from .scope import Range, Scope, Writer, blocks, lane_copies, minimum
from .text import Function, Val, constant, vector


def combined(f: Function, kind: str, dtype: DType, a: Val, b: Val) -> Val:
    """An accumulator and what comes to it. NaN wins in "maximum" and "minimum", as in NumPy."""
    if dtype.kind == "b":
        return f.binary("or" if kind in ("add", "or", "maximum") else "and", a, b)
    if kind in ("add", "mul"):
        return f.binary(("f" if dtype.kind == "f" else "") + kind, a, b)
    if dtype.kind != "f":
        sign = "s" if dtype.kind == "i" else "u"
        return f.intrinsic(sign + kind[:3], a, b)
    test = "fcmp ogt" if kind == "maximum" else "fcmp olt"
    either = f.select(f.compare(test, a, b), a, b)  # one instruction on x86: b if either is NaN
    return f.select(f.compare("fcmp uno", a, b), constant(math.nan, a.type), either)


class Folds:
    """Writes folds. Accumulators: per copy (columns, then ways), and in each per fold."""

    def __init__(self, writer: Writer) -> None:
        self.w = writer
        self.f = writer.f
        self.plan = writer.plan
        self.folds = writer.plan.loop.folds
        self.sizes = writer.plan.loop.sizes
        self.first = writer.plan.kept
        """The outermost reduced loop."""
        self.last = len(self.sizes) - 1
        self.along = self.plan.across == self.last
        """Whether lanes run along the innermost reduced loop, else along a kept one."""
        self.step = self.plan.ways * (self.plan.lanes if self.along else 1)
        turns = [*self.sizes[self.first : self.last], self.sizes[self.last] // self.step]
        rounds = any(f.access.dtype.kind == "f" and f.kind in ("add", "mul") for f in self.folds)
        self.chains = chains(turns, CHAIN if rounds else None)

    def write(self, scope: Scope, ranges: list[Range], dim: int = 0) -> None:
        """The kept loops from `dim` inwards."""
        if dim == self.first:
            self._point(scope)
        elif dim == self.plan.across:

            def columns(i: Val, count: int) -> None:
                shifts, active = lane_copies(count, self.plan.lanes)
                self._point(scope.bind(dim, i, shifts, active))

            blocks(self.f, ranges[dim], self.sizes[dim], self.plan.step(dim), columns)
        else:

            def inside(i: Val) -> None:
                self.write(scope.bind(dim, i), ranges, dim + 1)

            self.f.loop(*ranges[dim], 1, inside)

    def _point(self, scope: Scope) -> None:
        """All reduced loops for one point, or for columns of them, and their results."""
        accs = self._over(scope, self.first, self._start(len(scope.copies)))
        each = len(self.folds)
        for c, copy in enumerate(scope.copies):
            ways = accs[c * self.plan.ways * each : (c + 1) * self.plan.ways * each]
            totals = self._halved([ways[i : i + each] for i in range(0, len(ways), each)])
            for fold, total in zip(self.folds, totals, strict=True):
                if self.along:
                    total = self._across(fold.kind, fold.access.dtype, total)
                if fold.access.dtype.name == "float16":
                    total = self.f.convert("fptrunc", total, "half")
                scope.store(copy, fold.access, total)

    # Accumulators ---------------------------------------------------------------------------------

    def _start(self, columns: int) -> list[Val]:
        """Accumulators that nothing has come to."""
        one = []
        for kind, access, _ in self.folds:
            half = access.dtype.name == "float16"
            element = "float" if half else register_type(access.dtype)
            type_ = vector(element, self.plan.lanes)
            one.append(constant(neutral(kind, access.dtype), type_))
        return one * (columns * self.plan.ways)

    def _combine(self, accs: Sequence[Val], more: Sequence[Val]) -> list[Val]:
        """Accumulators of the same copies, pair by pair."""
        kinds = [(fold.kind, fold.access.dtype) for fold in self.folds]
        pairs = enumerate(zip(accs, more, strict=True))
        return [combined(self.f, *kinds[i % len(kinds)], a, b) for i, (a, b) in pairs]

    def _halved(self, ways: list[list[Val]]) -> list[Val]:
        """All ways combined, the second half with the first, again and again."""
        while len(ways) > 1:
            half = (len(ways) + 1) // 2
            pairs = zip(ways, ways[half:], strict=False)
            ways = [self._combine(a, b) for a, b in pairs] + ways[len(ways) - half : half]
        return ways[0]

    def _across(self, kind: str, dtype: DType, total: Val) -> Val:
        """All lanes combined in halves."""
        f = self.f
        while total.lanes > 2:
            half = total.lanes // 2
            nothing = Val(total.type, "poison")
            low = shuffle(f, total, nothing, range(half))
            high = shuffle(f, total, nothing, range(half, 2 * half))
            total = combined(f, kind, dtype, low, high)
        if total.lanes == 1:
            return total
        low, high = [f.emit(total.element, f"extractelement {total}, i32 {i}") for i in range(2)]
        return combined(f, kind, dtype, low, high)

    # Loops ----------------------------------------------------------------------------------------

    def _over(self, scope: Scope, dim: int, accs: list[Val]) -> list[Val]:
        """The reduced loops from `dim` inwards."""
        loops = self.chains[dim - self.first]
        if dim < self.last:

            def inside(i: Val, accs: list[Val]) -> list[Val]:
                return self._over(scope.bind(dim, i), dim + 1, accs)

            return self._turns(loops, 0, self.sizes[dim], 1, inside, accs)
        full = self.sizes[dim] // self.step * self.step
        rest = self.sizes[dim] - full

        def body(i: Val, accs: list[Val]) -> list[Val]:
            return self._body(scope, i, self.step, accs)

        accs = self._turns(loops, 0, full, self.step, body, accs)
        if self.along and rest:
            return self._body(scope, self.f.integer(full), rest, accs)

        def single(i: Val, *accs: Val) -> list[Val]:
            return self._body(scope, i, 1, list(accs))

        return self.f.loop(full, full + rest, 1, single, accs)

    def _turns(
        self,
        loops: Sequence[tuple[int, bool]],
        low: Val | int,
        high: Val | int,
        step: int,
        body: Callable[[Val, list[Val]], list[Val]],
        accs: list[Val],
    ) -> list[Val]:
        """One reduced loop, written as several for short chains: see `chains`."""
        (span, fresh), inner = loops[0], loops[1:]

        def turn(i: Val, *accs: Val) -> list[Val]:
            begun = self._start(len(accs) // (self.plan.ways * len(self.folds)))
            mine = begun if fresh else list(accs)
            if inner:
                end = minimum(self.f, self.f.add(i, span * step), high)
                mine = self._turns(inner, i, end, step, body, mine)
            else:
                mine = body(i, mine)
            return self._combine(accs, mine) if fresh else mine

        return self.f.loop(low, high, span * step, turn, accs)

    def _body(self, scope: Scope, i: Val, count: int, accs: list[Val]) -> list[Val]:
        """`count` turns of the innermost loop from i on: stores, and what comes to `accs`."""
        if self.along:
            shifts, active = lane_copies(count, self.plan.lanes)
            inside = scope.bind(self.last, i, shifts, active)
        else:
            shifts = list(range(count))
            inside = scope.bind(self.last, i, shifts)
        each = len(self.folds)
        out = list(accs)
        for c, copy in enumerate(inside.copies):
            column, way = divmod(c, len(shifts))
            start = (column * self.plan.ways + way) * each
            values = []
            for k, fold in enumerate(self.folds):
                val = inside.value(copy, len(self.plan.loop.stores) + k)
                if fold.access.dtype.name == "float16":
                    val = self.f.convert("fpext", val, "float")
                values.append(val)
            sums = self._combine(out[start : start + each], values)
            if self.along and copy.active < self.plan.lanes:
                sums = [
                    self._first_lanes(copy.active, new, old)
                    for new, old in zip(sums, out[start : start + each], strict=True)
                ]
            out[start : start + each] = sums
        inside.run_stores()
        return out

    def _first_lanes(self, active: int, new: Val, old: Val) -> Val:
        """New values in the active lanes, old ones in the others."""
        bits = ", ".join(f"i1 {'true' if n < active else 'false'}" for n in range(new.lanes))
        return self.f.select(Val(f"<{new.lanes} x i1>", f"<{bits}>"), new, old)
