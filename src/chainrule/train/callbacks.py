"""Callbacks: what happens around the steps of a fit."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, final

from ..errors import ArgumentError, DataError
from ..nn.module import Module
from ..optim.optimizer import Optimizer
from . import checkpoint
from .history import History, Mode
from .storage import PathLike

GRADIENT_NORM: Final = "gradient_norm/"
"""Series of GradientNorms are named by this and the layer's path."""


@final
@dataclass
class Fit:
    """A fit in progress, as callbacks see it."""

    model: Module
    optimizer: Optimizer
    history: History
    epochs: int
    """The number of the last epoch, if nothing stops the fit before."""
    epoch: int = 0
    """Number of the epoch in progress, from 1."""
    step: int = 0
    """Steps taken so far, in all epochs."""
    batch: int = 0
    """Number of the batch in its epoch, from 1."""
    loss: float = math.nan
    """Loss of the last batch."""
    metrics: dict[str, float] = field(default_factory=dict)
    """Metrics of the last epoch, once it has ended."""

    def stop(self, reason: str) -> None:
        """End the fit after the step or epoch in progress."""
        self.history.stopped = reason


class Callback:
    """Base of callbacks; a subclass overrides the moments it is interested in."""

    def on_fit_start(self, fit: Fit) -> None:
        """Before the first epoch."""

    def on_epoch_start(self, fit: Fit) -> None:
        """Before the first step of an epoch."""

    def on_gradients(self, fit: Fit) -> None:
        """In each step, when the gradients are there, before they are clipped and used."""

    def on_step_end(self, fit: Fit) -> None:
        """After the parameters have changed."""

    def on_epoch_end(self, fit: Fit) -> None:
        """After validation; `fit.metrics` and `fit.history` hold the epoch."""

    def on_fit_end(self, fit: Fit) -> None:
        """At the end, also of a fit that was stopped or interrupted, but not after an error."""


@final
class EarlyStopping(Callback):
    """Stop when a metric has not improved by more than `min_delta` for `patience` epochs.

    It is judged from the history, so a resumed fit stops where an uninterrupted one would. With
    `restore_best`, the model ends with the weights of its best epoch in this fit.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int = 5,
        *,
        min_delta: float = 0.0,
        mode: Mode | None = None,
        restore_best: bool = True,
    ) -> None:
        if patience < 1 or min_delta < 0:
            raise ArgumentError(
                "EarlyStopping waits for a number of epochs",
                expected="patience >= 1, min_delta >= 0",
                got=f"patience={patience}, min_delta={min_delta}",
            )
        self.monitor = monitor
        self.patience = patience
        self.min_delta = min_delta
        self.mode = mode_of(monitor, mode)
        self.restore_best = restore_best
        self._best: dict[str, Any] | None = None

    def on_fit_start(self, fit: Fit) -> None:
        self._best = None

    def on_epoch_end(self, fit: Fit) -> None:
        since = epochs_since_best(fit.history[self.monitor], self.mode, self.min_delta)
        if since == 0 and self.restore_best:
            self._best = dict(fit.model.state_dict())
        if since >= self.patience:
            fit.stop(f"early stopping: {self.monitor} has not improved for {since} epochs")

    def on_fit_end(self, fit: Fit) -> None:
        if self._best is not None:
            fit.model.load_state_dict(self._best)
            self._best = None


@final
class ModelCheckpoint(Callback):
    """Save model, optimizer and history after each epoch, or only when a metric is at its best.

    `path` may hold ``{epoch}``. Without `monitor` every epoch is saved. A checkpoint appears whole
    or not at all; see ``train.load``, and ``History.from_record`` for ``state["history"]``.
    """

    def __init__(
        self, path: PathLike, monitor: str | None = None, *, mode: Mode | None = None
    ) -> None:
        self.path = str(path)
        self.monitor = monitor
        self.mode: Mode = "min" if monitor is None else mode_of(monitor, mode)
        self.saved: Path | None = None
        """The last file that was written."""

    def on_epoch_end(self, fit: Fit) -> None:
        if self.monitor is not None and epochs_since_best(fit.history[self.monitor], self.mode):
            return
        path = Path(self.path.replace("{epoch}", str(fit.epoch)))
        state = {"epoch": fit.epoch, "step": fit.step, "history": fit.history.to_record()}
        checkpoint.save(path, fit.model, fit.optimizer, state=state)
        self.saved = path


@final
class LearningRateLog(Callback):
    """Record the learning rate of every step (or every `every` steps) as ``learning_rate``.

    With several parameter groups, the series are ``learning_rate/0`` and so on.
    """

    def __init__(self, every: int = 1) -> None:
        self.every = _positive(every)

    def on_gradients(self, fit: Fit) -> None:
        if fit.step % self.every:
            return
        groups = fit.optimizer.param_groups
        for i, group in enumerate(groups):
            name = "learning_rate" if len(groups) == 1 else f"learning_rate/{i}"
            fit.history.sample(name, fit.step, float(group["lr"]))


@final
class GradientNorms(Callback):
    """Record the norm of each layer's gradient every `every` steps, before clipping.

    A layer is a module with parameters of its own; its norm is √(Σ g²) over all of them. The series
    are named ``gradient_norm/`` and the layer's path. They show gradients that vanish or explode.
    """

    def __init__(self, every: int = 10) -> None:
        self.every = _positive(every)

    def on_gradients(self, fit: Fit) -> None:
        if fit.step % self.every:
            return
        for layer, norm in gradient_norms(fit.model).items():
            fit.history.sample(GRADIENT_NORM + layer, fit.step, norm)


@final
class CSVLog(Callback):
    """Write the metrics of each epoch as a line of a CSV file, as soon as they are there.

    The columns are those of the first epoch. Raises DataError if the file cannot be written.
    """

    def __init__(self, path: PathLike) -> None:
        self.path = Path(path)

    def on_epoch_end(self, fit: Fit) -> None:
        last = fit.history.epochs[-1]
        row = {"epoch": last.number, "seconds": round(last.seconds, 3), **last.metrics}
        first = last is fit.history.epochs[0] or not self.path.exists()
        try:
            with self.path.open("w" if first else "a", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, list(row))
                if first:
                    writer.writeheader()
                writer.writerow(row)
        except OSError as failure:
            raise DataError(f"cannot write {self.path}: {failure.strerror}") from failure


def gradient_norms(model: Module) -> dict[str, float]:
    """The norm of the gradient of each layer that has parameters, by the layer's path.

    A layer without any gradient is left out.
    """
    norms = {}
    for path, module in model.named_modules():
        grads = [p.grad.array for p in module.parameters(recurse=False) if p.grad is not None]
        if grads:
            # float64: the square of a large float32 would overflow, and this is for looking at.
            squares = [float((g.astype("float64") ** 2).sum()) for g in grads]
            norms[path or type(model).__name__] = math.sqrt(sum(squares))
    return norms


def epochs_since_best(values: list[float], mode: Mode, min_delta: float = 0.0) -> int:
    """How many epochs ago the best value was; one that is better by `min_delta` or less is not.

    >>> epochs_since_best([3.0, 1.0, 2.0, 1.0], "min")
    2
    """
    sign = 1.0 if mode == "min" else -1.0
    best, since = math.inf, 0
    for value in values:
        since += 1
        if sign * value < best - min_delta:
            best, since = sign * value, 0
    return since


def mode_of(monitor: str, mode: Mode | None) -> Mode:
    """Whether a metric is to be small or large: as given, else told from its name."""
    if mode in ("min", "max"):
        return mode
    name = monitor.removeprefix("val_")
    if mode is None and name.endswith(("loss", "error")):
        return "min"
    if mode is None and name.startswith(("accuracy", "top")):
        return "max"
    raise ArgumentError(f"is {monitor} better small or large?", expected="mode='min' or mode='max'")


def _positive(every: int) -> int:
    if every < 1:
        raise ArgumentError("a callback samples every so many steps", got=f"every={every}")
    return every
