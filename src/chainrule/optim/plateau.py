"""ReduceLROnPlateau: a schedule that follows a metric."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, final

from ..errors import ArgumentError
from .hyper import Group
from .optimizer import Optimizer
from .schedules import Schedule


@final
class ReduceLROnPlateau(Schedule):
    """Multiply the rate by `factor` when a metric has not improved for more than `patience` steps.

    ``step(metric)`` takes the metric, to be minimised or (`mode` ``"max"``) maximised. It improves
    if it beats the best by more than `threshold`, a fraction of the best or (`threshold_mode`
    ``"abs"``) an amount. After a reduction, `cooldown` steps are not counted. The rate stays at or
    above `min_lr`, and changes smaller than `eps` are not made.
    """

    saved = ("last_epoch", "best", "num_bad_epochs", "cooldown_counter")

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0.0,
        eps: float = 1e-8,
    ) -> None:
        super().__init__(optimizer)
        if mode not in ("min", "max") or threshold_mode not in ("rel", "abs"):
            raise ArgumentError(
                "no such mode",
                expected="mode min or max, threshold_mode rel or abs",
                got=f"{mode}, {threshold_mode}",
            )
        if not factor < 1:
            raise ArgumentError(
                "a plateau must lower the rate", expected="factor < 1", got=str(factor)
            )
        self.mode = mode
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self.cooldown = cooldown
        groups = len(optimizer.param_groups)
        self.min_lrs = (
            [float(min_lr)] * groups if isinstance(min_lr, (int, float)) else list(min_lr)
        )
        self.eps = eps
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = 0
        self.cooldown_counter = 0

    def step(self, metrics: Any) -> None:
        """Take note of a metric, and lower the rates if it is time to."""
        current = float(metrics)
        self.last_epoch += 1
        if self._improves(current):
            self.best = current
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            for group, least in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
                self._reduce(group, least)
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0

    def _improves(self, current: float) -> bool:
        sign = 1.0 if self.mode == "min" else -1.0
        if self.threshold_mode == "rel":
            return sign * current < sign * self.best * (1.0 - sign * self.threshold)
        return sign * current < sign * self.best - self.threshold

    def _reduce(self, group: Group, least: float) -> None:
        old = float(group["lr"])
        new = max(old * self.factor, least)
        if old - new > self.eps:
            group["lr"] = new
