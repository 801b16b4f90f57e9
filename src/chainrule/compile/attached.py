"""Compiled functions on the tape: backward goes through a call as through one operation.

The gradient is a graph of its own. What it needs of the forward pass are outputs of that one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, final

import numpy as np

from ..core.apply import user_site
from ..core.aval import Aval
from ..core.op import INPUTS, Active, Cotangents, Op
from ..core.value import Node, item, tape
from .effects import owner_of, resolve
from .executable import Build, Executable
from .layout import Layout, value_at


@final
class Gradient:
    """The gradient of a variant's results with respect to what wants one outside."""

    def __init__(self, layout: Layout, build: Build) -> None:
        backward = layout.recording.backward
        assert backward is not None
        self._build = build
        self._executable: Executable | None = None
        self._outputs = backward.outputs
        self._owners = [owner_of(layout, cell) for cell in backward.leaves]
        self._residuals = [layout.place_of(v) for v in layout.residuals]
        self._graph, self._places = layout.backward_graph()
        self._avals = [Aval(ct.shape, ct.dtype) for ct in backward.cotangents]

    def attach(
        self,
        made: Sequence[Any],
        leaves: Sequence[Any],
        inputs: Sequence[Any],
        outputs: Sequence[Any],
    ) -> None:
        """Give the results of a call a node each that leads to the tensors behind the call."""
        residuals = [value_at(place, inputs, outputs) for place in self._residuals]
        parents = [resolve(owner, leaves).node for owner in self._owners]
        single = len(self._avals) == 1
        op = _Compiled(self)
        shape, dtype = (self._avals[0].shape, self._avals[0].dtype) if single else (None, None)
        node = Node(op, parents, residuals, None, shape, dtype, user_site(), tape.scope)
        for n, i in enumerate(self._outputs):
            made[i].node = node if single else item(node, n, self._avals[n])

    @property
    def n_out(self) -> int | None:
        """How many results have a gradient; None for one, as ops say it."""
        return None if len(self._avals) == 1 else len(self._avals)

    def infer(self) -> Aval | tuple[Aval, ...]:
        """Shapes and dtypes of these results."""
        return self._avals[0] if self.n_out is None else tuple(self._avals)

    def __call__(self, residuals: Sequence[Any], cts: Sequence[Any]) -> list[Any]:
        """The gradients, for the cotangents of the results; None stands for zeros."""
        if self._executable is None:
            self._executable = self._build(self._graph, {}, len(self._graph.outputs))
        filled = [
            np.zeros(aval.shape, aval.dtype) if ct is None else ct
            for ct, aval in zip(cts, self._avals, strict=True)
        ]
        prepare = self._executable.prepare
        inputs = [prepare(i, np.asarray(x)) for i, x in enumerate([*residuals, *filled])]
        outputs = self._executable(inputs)
        return [
            None if place is None else value_at(place, inputs, outputs) for place in self._places
        ]


class _Compiled(Op, abstract=True, name="compiled"):
    """A call of a compiled function on the tape; its residuals are what the gradient needs."""

    needs = INPUTS
    once = True
    interned: ClassVar[bool] = False

    gradient: Gradient

    @property
    def n_out(self) -> int | None:  # type: ignore[override]  # as many as have a gradient
        """Number of results."""
        return self.gradient.n_out

    def infer(self, *xs: Any) -> Aval | tuple[Aval, ...]:
        return self.gradient.infer()

    def vjp(self, ct: Any, xs: Sequence[Any], y: Any, active: Active) -> Cotangents:
        return self.gradient(xs, [ct] if self.n_out is None else ct)
