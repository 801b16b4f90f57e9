"""The search for the operation that made the first number which is not finite."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, final

import numpy as np

from ...core.observation import Observer, hook_once
from ...core.op import Op
from ...core.value import Node, tape
from ...engine.reverse import users_of
from .flow import Flow, Record, described
from .places import Place, here
from .recorder import Enough


class Culprit(NamedTuple):
    """What made the first number that is not finite."""

    operation: str
    backward: bool
    place: Place
    operands: str
    """Shape and range of each."""

    def __str__(self) -> str:
        way = "the derivative of " if self.backward else ""
        where = f"{self.place}  {self.place.text}" + (
            f"   ({self.place.path})" if self.place.path else ""
        )
        return f"{way}{self.operation} at {where}\n  of {self.operands}"


@final
class Search(Observer):
    """Looks for the culprit while a step runs eagerly."""

    def __init__(self, *, ends: bool = False) -> None:
        self.ends = ends
        """Whether the program is ended by ``Enough`` once it is found."""
        self.flow = Flow()
        self.culprit: Culprit | None = None
        self._finite: set[Node] = set()
        self._first: tuple[Node, dict[Node, list[Node]]] | None = None
        self._inside = False

    def operation(self, op: Op, operands: Sequence[Any], result: Any) -> Any:
        if not self._inside:
            site, _ = here()
            outputs = result if isinstance(result, tuple) else (result,)
            self.flow.add(
                Record(op, operands, outputs, site, tape.scope, tape.recording, None)
            )  # fmt: skip
        return result

    def update(self, optimizer: Any, step: Callable[[], None]) -> None:
        step()
        self.flow.clear()
        if self.ends and self.culprit is not None:
            raise Enough

    def backward(self, order: Sequence[Node], roots: Sequence[Node], wanted: object) -> None:
        if self.culprit is not None:
            return
        if not math.isfinite(self.flow.value(roots)):
            found = self.flow.first_non_finite(self.flow.ancestors(roots), 0)
            if found is not None:
                self.culprit = Culprit(found.operation, False, found.place, found.operands)
            return
        users = users_of(order)
        for node in order:
            if node.shape is not None:
                hook_once(node, self._checker(node, users))

    def _checker(self, node: Node, users: dict[Node, list[Node]]) -> Callable[[Any], None]:
        def check(ct: Any) -> None:
            if np.isfinite(ct.array).all():
                self._finite.add(node)
                return
            if self._first is None:
                self._first = (node, users)
            if node.op is None and self.culprit is None:  # a leaf: it reaches a gradient
                self.culprit = self._blamed(*self._first)

        return check

    def _blamed(self, node: Node, users: dict[Node, list[Node]]) -> Culprit:
        """The operation whose rule made the cotangent of `node`: a user of it with a finite one."""
        makers = [u for u in users.get(node, ()) if u in self._finite or u.shape is None]
        maker = next((u for u in makers if u in self.flow.by_node), node)
        record = self.flow.by_node.get(maker)
        if record is None:
            return Culprit(maker.name, True, Place(), "")
        ranges = "   ".join(described(x) for x in record.inputs)
        return Culprit(record.op.name, True, record.place, ranges)
