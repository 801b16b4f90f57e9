"""CyclicLR: the rate goes up and down on straight lines."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import final

from ..errors import ArgumentError
from .optimizer import Optimizer
from .schedules import LRScheduler


@final
class CyclicLR(LRScheduler):
    """Up from base_lr to max_lr in `step_size_up` steps, down in `step_size_down`, and again.

    The height of the cycles is scaled by `mode`: ``"triangular"`` keeps it, ``"triangular2"``
    halves it with each cycle, ``"exp_range"`` multiplies it by γᵗ; or by `scale_fn` of the cycle's
    number or (`scale_mode` ``"iterations"``) of t. Momentum (or β₁) runs the other way, between
    `max_momentum` and `base_momentum`. Step it after every batch. L. Smith, "Cyclical learning
    rates for training neural networks", arXiv:1506.01186.

    >>> optimizer = cr.optim.SGD([tensor(1.0, requires_grad=True)], lr=1.0)
    >>> schedule = cr.optim.CyclicLR(optimizer, 0.0, 1.0, step_size_up=2, cycle_momentum=False)
    >>> rates = []
    >>> for step in range(5):
    ...     rates += schedule.get_last_lr()
    ...     schedule.step()
    >>> rates
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | Sequence[float],
        max_lr: float | Sequence[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.8,
        max_momentum: float | Sequence[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        if not isinstance(optimizer, Optimizer):
            raise ArgumentError("a schedule needs an optimizer", got=type(optimizer).__name__)
        if mode not in ("triangular", "triangular2", "exp_range") and scale_fn is None:
            raise ArgumentError(
                "no such mode", expected="triangular, triangular2 or exp_range", got=repr(mode)
            )
        self.use_beta1 = "betas" in optimizer.defaults
        if cycle_momentum and not self.use_beta1 and "momentum" not in optimizer.defaults:
            raise ArgumentError(
                "this optimizer has no momentum to cycle", hint="pass cycle_momentum=False"
            )
        groups = len(optimizer.param_groups)
        down = step_size_up if step_size_down is None else step_size_down
        self.total_size = float(step_size_up + down)
        self.step_ratio = step_size_up / self.total_size
        self.mode, self.gamma, self.scale_fn = mode, gamma, scale_fn
        self.by_cycle = scale_mode == "cycle" if scale_fn is not None else mode != "exp_range"
        self.cycle_momentum = cycle_momentum
        self.max_lrs = _per_group(max_lr, groups, "max_lr")
        self.base_momentums = _per_group(base_momentum, groups, "base_momentum")
        self.max_momentums = _per_group(max_momentum, groups, "max_momentum")
        if last_epoch == -1:
            lowest = _per_group(base_lr, groups, "base_lr")
            for group, lr in zip(optimizer.param_groups, lowest, strict=True):
                group["lr"] = group["initial_lr"] = lr
        super().__init__(optimizer, last_epoch)

    def rate(self, lr: float, base: float, group: int) -> float:
        place = 1 + self.last_epoch / self.total_size
        cycle = math.floor(place)
        x = place - cycle
        ratio = self.step_ratio
        height = x / ratio if x <= ratio else (x - 1) / (ratio - 1)
        scale = self._scale(cycle if self.by_cycle else self.last_epoch)
        if self.cycle_momentum:
            low, high = self.base_momentums[group], self.max_momentums[group]
            momentum = high - (high - low) * height * scale
            settings = self.optimizer.param_groups[group]
            if self.use_beta1:
                settings["betas"] = (momentum, *settings["betas"][1:])
            else:
                settings["momentum"] = momentum
        return base + (self.max_lrs[group] - base) * height * scale

    first_rate = rate

    def _scale(self, x: float) -> float:
        if self.scale_fn is not None:
            return self.scale_fn(x)
        if self.mode == "triangular2":
            return float(0.5 ** (x - 1))
        return float(self.gamma**x) if self.mode == "exp_range" else 1.0


def _per_group(value: float | Sequence[float], groups: int, name: str) -> list[float]:
    found = [float(value)] * groups if isinstance(value, (int, float)) else list(value)
    if len(found) != groups:
        raise ArgumentError(f"{name} is one number, or one for each group", got=str(len(found)))
    return found
