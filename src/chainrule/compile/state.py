"""State: while a function is traced, every tensor that exists holds a symbol.

So whatever reads a tensor's array, a layer, an optimizer or gradient clipping, reads an input of
the graph, and what it leaves in the tensor is an output. When the trace ends, all is as before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, final

import numpy as np

from ..core.aval import Aval
from ..core.op import Active, Cotangents, Op
from ..core.value import Node, Value, make_leaf
from ..errors import TracingError
from ..tensor import DataHandle, Tensor
from .trace import GraphTracer, Traced, living_cells


class _Outside(Op, abstract=True, name="outside"):
    """In a trace, what made a tensor that was computed before: backward cannot pass it."""

    def vjp(self, ct: Any, xs: Sequence[Any], y: Any, active: Active) -> Cotangents:
        raise TracingError(
            "backward in a compiled function reached a tensor that was computed outside",
            hint="compute it inside, or call backward() outside",
        )


_OUTSIDE = _Outside()


def is_outside(node: Node) -> bool:
    """Whether a node stands for the graph of a tensor that was computed before the trace."""
    return node.op is _OUTSIDE


@final
class Pending(Tensor):
    """An old gradient in a trace that is to be the same whether there is one or not.

    Who forgets it, as ``zero_grad`` does, need not know; who asks for its numbers is noted.
    """

    __slots__ = ("_log", "_symbol", "owner")
    _log: set[int]
    _symbol: Traced
    owner: Value

    @classmethod
    def of(cls, owner: Value, symbol: Traced, log: set[int]) -> Pending:
        """A gradient of `owner`, whose id is put in `log` if its numbers are asked for."""
        made = cls.__new__(cls)
        made.node = made._grad = None
        made._log, made.owner, made._symbol = log, owner, symbol
        return made

    @property
    def array(self) -> Any:
        """A symbol; that it was asked for is noted."""
        self._log.add(id(self.owner))
        return self._symbol

    @array.setter
    def array(self, value: Any) -> None:
        self._log.add(id(self.owner))


class Held(NamedTuple):
    """A cell as it was before the trace, and what it was given for it."""

    cell: Value
    before: tuple[Any, Node | None, Any]
    """Array, node and gradient."""
    given: tuple[Any, Node | None, Any]


class Change(NamedTuple):
    """What a trace left in a cell: `slot` is array, node, grad, or grad.array."""

    cell: Value
    slot: str
    value: Any
    content: Any = None
    """The symbol or array that comes into the cell, or into its new gradient."""


class Cells:
    """The cells that exist when a trace begins.

    Unless `exact`, gradients from before are Pending. If their numbers were asked for, the trace
    holds only for tensors that have a gradient, or none, as they do now: it is to be made anew,
    with `exact`.
    """

    def __init__(self, tracer: GraphTracer, *, exact: bool) -> None:
        self.held: dict[int, Held] = {}
        self.touched: set[int] = set()
        """Ids of cells whose Pending gradient was asked for."""
        self.owners: dict[int, Value] = {}
        """With `exact`, by the id of a gradient: whose it is."""
        self.changed: set[int] = set()
        """Ids of cells that the trace left changed."""
        self.exact = exact
        self._tracer = tracer

    @contextmanager
    def symbolic(self) -> Iterator[None]:
        """Every cell holds a symbol within the block, and what it held before after it."""
        cells = [
            cell
            for cell in living_cells()
            if not isinstance(cell, DataHandle)
            and isinstance(getattr(cell, "array", None), np.ndarray)
        ]
        try:
            for cell in cells:
                self.hold(cell)
            yield
        finally:
            for cell, before, _ in self.held.values():
                cell.array, cell.node, cell._grad = before

    def hold(self, cell: Value) -> None:
        """Put a symbol into a cell."""
        array, node, grad = before = (cell.array, cell.node, cell._grad)
        cell.array = symbol = self._tracer.new(array)
        if node is not None and node.op is not None:
            cell.node = node = Node(_OUTSIDE, (), (), None, array.shape, array.dtype)
        if grad is not None and self.exact:
            self.owners[id(grad)] = cell
        elif not self.exact and (grad is not None or node is not None):
            # Gradients have the shape and dtype of their tensors.
            cell._grad = grad = Pending.of(cell, self._tracer.new(array), self.touched)
        self.held[id(cell)] = Held(cell, before, (symbol, node, grad))

    def stand_in(self, argument: Value, aval: Aval) -> Tensor:
        """A cell that stands for an argument, which may be another one in the next call."""
        cell = Tensor.wrap(np.empty(0))
        array, node, grad = Traced(self._tracer.graph.new(aval)), argument.node, argument._grad
        cell.array = array
        if node is not None and node.op is None:
            make_leaf(cell)
            if cell.node is not None:
                cell.node.hooks = node.hooks
        elif node is not None:
            cell.node = Node(_OUTSIDE, (), (), None, aval.shape, aval.dtype)
        if not self.exact and node is not None:
            cell._grad = Pending.of(cell, self._tracer.new(aval), self.touched)
        elif grad is not None:
            cell._grad = Tensor.wrap(self._tracer.new(aval))
            self.owners[id(cell._grad)] = cell
            self.held[id(cell._grad)] = Held(
                cell._grad, (None, None, None), (cell._grad.array, None, None)
            )
        self.held[id(cell)] = Held(
            cell, (cell.array, cell.node, cell._grad), (array, cell.node, cell._grad)
        )
        return cell

    def changes(self) -> list[Change]:
        """What the cells hold now that they were not given."""
        found = []
        for cell, _, (array, node, grad) in self.held.values():
            owner = self.owners.get(id(cell))
            if cell.array is not array and owner is None:
                found.append(Change(cell, "array", cell.array, cell.array))
            elif cell.array is not array and owner is not None and owner._grad is cell:
                found.append(Change(owner, "grad.array", cell.array, cell.array))
            if cell.node is not node and (settled := _settled(cell)) is not node:
                found.append(Change(cell, "node", settled))
            if cell._grad is not grad:
                new = cell._grad
                is_new = new is not None and id(new) not in self.held
                found.append(Change(cell, "grad", new, new.array if is_new else None))
        for cell, _, symbol in self._tracer.adopted:
            if cell.array is not symbol:
                found.append(Change(cell, "array", cell.array, cell.array))
        self.changed = {id(change.cell) for change in found}
        return found

    def is_watched(self, cell: Value) -> bool:
        """Whether it matters if a cell wants a gradient: not for state that a step replaces."""
        held = self.held.get(id(cell))
        return held is not None and (held.before[1] is not None or id(cell) not in self.changed)

    def gradients_matter(self, cells: Sequence[Value]) -> list[Value]:
        """With `exact`, those of the tensors for which it matters whether they have a gradient."""
        chosen = {id(cell) for cell in cells} | self.changed
        return [
            held.cell for key, held in self.held.items()
            if key in chosen and key not in self.owners
            and (held.before[2] is not None or held.before[1] is not None)
        ]  # fmt: skip

    def symbol(self, cell: Value) -> Traced:
        """What a cell was given for its array."""
        held = self.held.get(id(cell))
        if held is not None:
            symbol: Traced = held.given[0]
            return symbol
        return next(symbol for adopted, _, symbol in self._tracer.adopted if adopted is cell)

    def gradient(self, cell: Value) -> Traced | None:
        """With `exact`, what stands for the numbers of a cell's gradient from before."""
        grad = self.held[id(cell)].given[2] if id(cell) in self.held else None
        if grad is None or isinstance(grad, Pending):
            return None
        return self.symbol(grad)


def _settled(cell: Value) -> Node | None:
    """The node that a cell is left with: a computed tensor may outlive the trace without its graph.

    Raises TracingError if that graph could still be walked: gradients would be lost.
    """
    node = cell.node
    if node is None or node.op is None:
        return node
    if node.xs is None:
        return None
    raise TracingError(
        "a tensor that outlives the compiled function was given a value that wants a gradient",
        got=node.location or node.name,
        hint="write the value under no_grad(), or detach() it",
    )
