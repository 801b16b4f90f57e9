"""Epilogues of contractions: what is made of finished sums, and where it goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...runtime.target import Target
from ..kernels import Access, Contraction
from .evaluate import Terms, evaluate, load_lanes, store_lanes, value
from .forms import accesses
from .text import Function, Val, memory_type
from .tiling import Vector


class Epilogue:
    """Writes the stores of a contraction, whose loops are (*batch, *rows, columns)."""

    def __init__(self, function: Function, target: Target, kernel: Contraction) -> None:
        self.f, self.target, self.stores = function, target, kernel.stores
        self.accesses = accesses(kernel)
        self.columns = len(kernel.batch) + len(kernel.rows)
        self.terms = Terms([s.value for s in kernel.stores], across=self.columns)

    def write(
        self,
        bases: Mapping[Access, Val],
        offsets: Mapping[Access, Sequence[int]],
        vectors: Sequence[Vector],
        sums: Sequence[Val],
        loops: int,
    ) -> None:
        """Store what is made of `sums`, row by row, vectors along columns.

        Row m of an access is at ``bases[access]`` and ``offsets[access][m]`` elements on. What
        does not change along the loops from number `loops` on is computed once for all rows.
        """
        fixed = [
            self._evaluate({}, bases, offsets, v, 0, None, (1 << loops) - 1 | 1 << self.columns)
            for v in vectors
        ]
        for i, total in enumerate(sums):
            m, n = divmod(i, len(vectors))
            v = vectors[n]
            known = self._evaluate(dict(fixed[n]), bases, offsets, v, m, total, -1)
            for s, root in zip(self.stores, self.terms.roots, strict=True):
                pointer, stride = self._pointer(s.access, bases, offsets, v, m)
                result = value(self.terms, known, root)
                store_lanes(self.f, self.target, result, pointer, s.access.dtype, stride, v.active)

    def _evaluate(
        self,
        known: dict[int, Val],
        bases: Mapping[Access, Val],
        offsets: Mapping[Access, Sequence[int]],
        v: Vector,
        m: int,
        total: Val | None,
        bound: int,
    ) -> dict[int, Val]:
        """The values of a vector of row m, as far as the loops of `bound` determine them."""

        def load(access: Access) -> Val:
            pointer, stride = self._pointer(access, bases, offsets, v, m)
            dtype = access.dtype
            return load_lanes(self.f, self.target, pointer, dtype, stride, v.lanes, v.active)

        def finished() -> Val:
            assert total is not None, "a Total before it is known"
            return total

        evaluate(
            self.f, self.target, self.terms, known, v.lanes, load=load, total=finished, bound=bound
        )
        return known

    def _pointer(
        self,
        access: Access,
        bases: Mapping[Access, Val],
        offsets: Mapping[Access, Sequence[int]],
        v: Vector,
        m: int,
    ) -> tuple[Val, int]:
        """Where a vector of row m begins, and its stride along columns."""
        stride = access.strides[-1]
        offset = offsets[access][m] + stride * v.offset
        return self.f.offset(bases[access], memory_type(access.dtype), offset), stride


def weight(target: Target, kernel: Contraction) -> int:
    """About how many instructions the epilogue of one vector takes."""
    f = Function("epilogue", [])
    epilogue = Epilogue(f, target, kernel)
    lanes = target.lanes(kernel.dtype)
    bases = {a: Val("ptr", "null") for a in epilogue.accesses}
    offsets = dict.fromkeys(epilogue.accesses, (0,))
    v = Vector(0, lanes, lanes)
    total = Val(f"<{lanes} x {memory_type(kernel.dtype)}>", "poison")
    epilogue.write(bases, offsets, [v], [total], 0)
    return f.finish().count("\n")
