"""Watching: the health of a model in training, measured in each step, eager or compiled.

The measures are sums over the gradients, weights and changes of each parameter, and over a part of
each activation's output. They are ordinary operations, so in a compiled step they are values of its
graph, computed by its kernels. What they leave is one small vector for the optimizer and one for
each activation.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, NamedTuple, final

import numpy as np

from .. import ops
from ..core.aval import Shape
from ..core.value import Value, recording, tape
from ..nn.module import Module
from ..optim.optimizer import Optimizer
from ..tensor import Tensor

SAMPLES: Final = 4
"""Inputs of each batch whose activations are looked at."""
_RELU: Final = ("ReLU",)
_SQUASHING: Final = {"Sigmoid": 0.25, "Tanh": 1.0}


class Reading(NamedTuple):
    """One step: for each parameter its gradient's norm, its own, and how far it moved."""

    step: int
    gradient: dict[str, float]
    weight: dict[str, float]
    ratio: dict[str, float]
    """Update-to-weight ratio."""
    finite: bool


@final
class Watch:
    """Measures a model and its optimizer while they train; ``detach`` ends it.

    `steps` counts the steps seen, `non_finite` those with a gradient that was not finite, and
    `history` holds the numbers of the last ``keep`` steps.
    """

    def __init__(self, model: Module, optimizer: Optimizer, *, keep: int = 2000) -> None:
        self.model = model
        self.optimizer = optimizer
        self.keep = keep
        names = {id(p): name for name, p in model.named_parameters()}
        params = [p for group in optimizer.param_groups for p in group["params"]]
        self.parameters = params
        self.names = [names.get(id(p), f"parameter {i}") for i, p in enumerate(params)]
        self.sums = Tensor.wrap(np.zeros(3 * len(params), np.float32))
        """Squares of gradients, weights and changes in the last step."""
        self.steps = 0
        self.non_finite = 0
        self.losses: list[float] = []
        self.history: list[np.ndarray[Any, Any]] = []
        self.activations: dict[str, _Activation] = {}
        self._handles: list[Any] = []
        self.attach()

    # Attaching -----------------------------------------------------------------------------------

    def attach(self) -> None:
        """Begin to measure; nothing happens if it does already."""
        if self.optimizer.watch is self:
            return
        self.optimizer.watch = self
        for name, module in self.model.named_modules():
            kind = type(module).__name__
            if kind in _RELU or kind in _SQUASHING:
                found = self.activations.setdefault(name, _Activation(name, kind))
                self._handles.append(module.register_forward_hook(found))

    def detach(self) -> None:
        """Measure no more."""
        if self.optimizer.watch is self:
            self.optimizer.watch = None
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    # In the step ---------------------------------------------------------------------------------

    def update(self, step: Callable[[], None]) -> None:
        """Make an update, and leave its sums in ``sums``. In a trace, all of it is recorded."""
        before = [p.array for p in self.parameters]
        grads = [None if p.grad is None else p.grad.array for p in self.parameters]
        step()
        with recording(False):
            zero = np.zeros((), np.float32)
            parts = [zero if g is None else _squares(g) for g in grads]
            parts += [_squares(p.array) for p in self.parameters]
            parts += [
                zero if g is None else _squares(p.array - old)
                for p, old, g in zip(self.parameters, before, grads, strict=True)
            ]
            self.sums.array = ops.concatenate([ops.reshape(x, (1,)) for x in parts], 0)

    # Between steps -------------------------------------------------------------------------------

    def advance(self, loss: float = math.nan) -> None:
        """Note the numbers of the step that has ended."""
        self.steps += 1
        self.losses.append(loss)
        sums = self.sums.array.copy()
        self.history.append(sums)
        if not math.isfinite(float(sums.sum())):
            self.non_finite += 1
        if len(self.history) > 2 * self.keep:
            del self.history[: self.keep], self.losses[: self.keep]

    def reading(self, at: int = -1) -> Reading:
        """The numbers of a step in the history; without one, of the last."""
        sums = np.sqrt(np.abs(self.history[at] if self.history else self.sums.array))
        g, w, d = (sums.reshape(3, -1)[i].astype(float).tolist() for i in range(3))
        first = self.steps - len(self.history)
        number = first + (at % len(self.history) if self.history else 0)
        return Reading(
            number, dict(zip(self.names, g, strict=True)), dict(zip(self.names, w, strict=True)),
            {n: b / a if a > 0 else 0.0 for n, a, b in zip(self.names, w, d, strict=True)},
            bool(np.isfinite(sums).all()),
        )  # fmt: skip

    def dead(self) -> dict[str, tuple[float, int]]:
        """By ReLU module: share of units that never fired, and over how many inputs."""
        return {n: (a.dead, a.samples(self.steps)) for n, a in self.activations.items()
                if a.kind in _RELU and a.seen}  # fmt: skip

    def saturated(self) -> dict[str, float]:
        """By sigmoid or tanh module: share of outputs where the slope is below 5 % of its greatest.

        Of the last step.
        """
        return {n: a.flat for n, a in self.activations.items() if a.kind in _SQUASHING and a.seen}


@final
class _Activation:
    """A forward hook that may run in a trace: all it does is operations on cells."""

    traceable = True

    def __init__(self, name: str, kind: str) -> None:
        self.name = name
        self.kind = kind
        self.cell: Tensor | None = None
        """For relu, the greatest output of each unit so far; else the share of flat outputs."""
        self._rows = 0

    def __call__(self, module: Any, args: Any, y: Any) -> None:
        if not isinstance(y, Value) or y.ndim < 2 or not module.training:
            return
        self._rows = min(SAMPLES, y.shape[0])
        with recording(False):
            part: Any = y[: self._rows].array  # type: ignore[index]  # a tensor
            if self.kind in _SQUASHING:
                self._squash(part)
            else:
                self._fire(part)

    def _fire(self, part: Any) -> None:
        unit = 1 if part.ndim == 4 else part.ndim - 1
        others = tuple(a for a in range(part.ndim) if a != unit)
        greatest = ops.amax(part, others)
        if self.cell is None or self.cell.shape != greatest.shape:
            self._start(greatest.shape)
        assert self.cell is not None
        self.cell.array = ops.maximum(self.cell.array, greatest)

    def _squash(self, part: Any) -> None:
        slope = 4.0 * part * (1.0 - part) if self.kind == "Sigmoid" else 1.0 - part * part
        if self.cell is None:
            self._start(())
        assert self.cell is not None
        self.cell.array = ops.mean(ops.cast(slope < 0.05, np.float32))

    def _start(self, shape: Shape) -> None:
        self.cell = cell = Tensor.wrap(np.zeros(shape, np.float32))
        if tape.graph is not None:
            tape.graph.adopt(cell, self._forget)

    def _forget(self) -> None:
        self.cell = None

    @property
    def seen(self) -> bool:
        """Whether the module was called."""
        return self.cell is not None

    @property
    def dead(self) -> float:
        """Share of units that never gave more than 0."""
        return 0.0 if self.cell is None else float((self.cell.array <= 0).mean())

    @property
    def flat(self) -> float:
        """Share of outputs on the flat part of the curve."""
        return math.nan if self.cell is None else float(self.cell.array)

    def samples(self, steps: int) -> int:
        """How many inputs were looked at in so many steps."""
        return steps * self._rows


def _squares(x: Any) -> Any:
    return ops.cast(ops.sum(x * x), np.dtype(np.float32))
