"""The flow of numbers: which operation made which array, whether or not the tape recorded it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...core.op import Op
from ...core.value import Node, Scope, Value
from .evidence import NonFinite
from .places import Place, Site

_MOST = 200_000
"""Records of operations that are kept between two updates."""


class LossFrame(NamedTuple):
    """A call of a loss function."""

    name: str
    given: Any
    target: Any
    number: int
    """What tells this call from others."""
    weight: Any = None
    ignored: Any = None


class Record:
    """One operation that was done: its operands and results, and whether they were tracked."""

    __slots__ = ("call", "inputs", "nodes", "op", "outputs", "recording", "scope", "site", "wants")

    def __init__(
        self,
        op: Op,
        operands: Sequence[Any],
        outputs: Sequence[Value],
        site: Site,
        scope: Scope | None,
        recording: bool,
        call: LossFrame | None,
    ) -> None:
        self.op = op
        self.inputs = [x.array if isinstance(x, Value) else x for x in operands]
        self.wants = [isinstance(x, Value) and x.node is not None for x in operands]
        self.outputs = [y.array for y in outputs]
        self.nodes = [y.node for y in outputs]
        self.site = site
        self.scope = scope
        self.recording = recording
        self.call = call
        """The loss function that did it."""

    @property
    def tracked(self) -> bool:
        """Whether the result wants a gradient."""
        return any(node is not None for node in self.nodes)

    @property
    def place(self) -> Place:
        """The user's line and the module."""
        return self.site.place(self.scope)

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells this operation in the program, from one step to the next."""
        path = "" if self.scope is None else self.scope.path()
        return (path, self.op.name, self.site.code.co_filename, self.site.code.co_name,
                self.site.instruction)  # fmt: skip


class Flow:
    """The operations since the last update."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.maker: dict[int, Record] = {}
        """By the id of an array."""
        self.by_node: dict[Node, Record] = {}

    def add(self, record: Record) -> None:
        """Note an operation."""
        if len(self.records) >= _MOST:
            self.clear()
        self.records.append(record)
        for array, node in zip(record.outputs, record.nodes, strict=True):
            if not any(array is x for x in record.inputs):  # what an operation passes on as it is
                self.maker.setdefault(id(array), record)
            if node is not None:
                self.by_node[node] = record

    def clear(self) -> None:
        """Forget everything."""
        self.records.clear()
        self.maker.clear()
        self.by_node.clear()

    def forget(self, count: int | None) -> None:
        """Forget the first so many operations, or all of them."""
        kept = [] if count is None else self.records[count:]
        self.clear()
        for record in kept:
            self.add(record)

    def value(self, roots: Sequence[Node]) -> float:
        """The sum of the numbers that a backward pass starts from."""
        total = 0.0
        for root in roots:
            record = self.by_node.get(root)
            if record is not None:
                at = next(i for i, n in enumerate(record.nodes) if n is root)
                total += float(np.sum(record.outputs[at], dtype=np.float64))
        return total

    def ancestors(self, roots: Iterable[Node]) -> dict[Record, None]:
        """Every operation that the roots were computed by, tracked or not, the last one first."""
        arrays = []
        for root in roots:
            record = self.by_node.get(root)
            if record is not None:
                arrays += record.outputs
        return self.ancestors_of_arrays(arrays)

    def ancestors_of_arrays(self, arrays: Iterable[Any]) -> dict[Record, None]:
        """Every operation that these arrays were computed by."""
        found: dict[Record, None] = {}
        stack = [r for a in arrays if (r := self.maker.get(id(a))) is not None]
        while stack:
            record = stack.pop()
            if record in found:
                continue
            found[record] = None
            stack += list(self.sources(record))
        return found

    def sources(self, record: Record) -> Iterator[Record]:
        """The operations that made a record's operands."""
        for x in record.inputs:
            if isinstance(x, np.ndarray):
                source = self.maker.get(id(x))
                if source is not None and source is not record:
                    yield source

    def first_non_finite(self, among: Iterable[Record], update: int) -> NonFinite | None:
        """The first operation whose result is not finite though its operands are."""
        chosen = set(among)
        for record in self.records:
            if record not in chosen:
                continue
            if all(is_finite(y) for y in record.outputs):
                continue
            bad = [x for x in record.inputs if not is_finite(x)]
            what = f"the result of {record.op.name}" if not bad else "a number it was given"
            ranges = "   ".join(described(x) for x in record.inputs)
            return NonFinite(update, what, record.place, record.op.name, ranges, False)
        return None


def is_finite(x: Any) -> bool:
    """Whether an operand holds neither NaN nor infinity; masks of -inf count as operands do."""
    if isinstance(x, np.ndarray):
        return x.dtype.kind != "f" or bool(np.isfinite(x).all())
    return not isinstance(x, float) or bool(np.isfinite(x))


def described(x: Any) -> str:
    """``float32[3,4] from -1 to 2``."""
    if not isinstance(x, np.ndarray):
        return repr(x)
    kept = x[np.isfinite(x)] if x.dtype.kind == "f" else x
    shape = ",".join(map(str, x.shape))
    if not kept.size:
        return f"{x.dtype}[{shape}] of no finite number"
    bad = "" if kept.size == x.size else f", {x.size - kept.size} not finite"
    return f"{x.dtype}[{shape}] from {kept.min():.4g} to {kept.max():.4g}{bad}"
