"""Schedules made of others or of phases: one after the other, all at once, one cycle."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, final

from ..errors import ArgumentError, StateError
from .optimizer import Optimizer
from .schedules import LRScheduler, Schedule


class _Compound(Schedule):
    """A schedule made of others, whose states it saves."""

    def __init__(self, optimizer: Optimizer, schedulers: Sequence[Any]) -> None:
        super().__init__(optimizer)
        self.schedulers = list(schedulers)
        for part in self.schedulers:
            if not isinstance(part, (LRScheduler, _Compound)) or part.optimizer is not optimizer:
                raise ArgumentError(
                    f"{type(self).__name__} combines schedules of one optimizer",
                    expected="schedules that depend on the number of steps only",
                    got=type(part).__name__,
                )
        if not self.schedulers:
            raise ArgumentError(f"{type(self).__name__} needs at least one schedule")

    def state_dict(self) -> dict[str, Any]:
        return {
            **super().state_dict(),
            "schedulers": [part.state_dict() for part in self.schedulers],
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        states = state_dict.get("schedulers", [])
        if len(states) != len(self.schedulers):
            raise StateError(
                f"this is not a state of {type(self).__name__}",
                expected=f"{len(self.schedulers)} schedules",
                got=str(len(states)),
            )
        super().load_state_dict({k: v for k, v in state_dict.items() if k != "schedulers"})
        for part, state in zip(self.schedulers, states, strict=True):
            part.load_state_dict(state)


@final
class ChainedScheduler(_Compound):
    """Several schedules that act at once: their factors multiply."""

    def __init__(self, schedulers: Sequence[Any], optimizer: Optimizer | None = None) -> None:
        if not schedulers:
            raise ArgumentError("ChainedScheduler needs at least one schedule")
        super().__init__(schedulers[0].optimizer if optimizer is None else optimizer, schedulers)

    def step(self) -> None:
        """Step all of them, in order."""
        self.last_epoch += 1
        for part in self.schedulers:
            part.step()

    def restart(self) -> None:
        """Go back to t = 0."""
        self.last_epoch = 0
        for part in self.schedulers[:1]:
            part.restart()
        for part in self.schedulers[1:]:
            part.begin()

    def begin(self) -> None:
        """Go to t = 0 from the groups' rates as they are."""
        self.last_epoch = 0
        for part in self.schedulers:
            part.begin()


@final
class SequentialLR(_Compound):
    """One schedule after the other, changing over at the milestones; each begins at its own t = 0.

    >>> optimizer = cr.optim.SGD([tensor(1.0, requires_grad=True)], lr=1.0)
    >>> warm_up = cr.optim.LinearLR(optimizer, start_factor=0.25, total_iters=3)
    >>> decay = cr.optim.ExponentialLR(optimizer, gamma=0.5)
    >>> schedule = cr.optim.SequentialLR(optimizer, [warm_up, decay], milestones=[3])
    >>> rates = []
    >>> for epoch in range(6):
    ...     rates += schedule.get_last_lr()
    ...     schedule.step()
    >>> rates
    [0.25, 0.5, 0.75, 1.0, 0.5, 0.25]
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[Any], milestones: Sequence[int]
    ) -> None:
        super().__init__(optimizer, schedulers)
        self.milestones = list(milestones)
        if len(self.milestones) != len(self.schedulers) - 1:
            raise ArgumentError(
                "one milestone lies between each two schedules",
                expected=f"{len(self.schedulers) - 1} milestones",
                got=str(len(self.milestones)),
            )
        self.begin()

    def begin(self) -> None:
        """Go to t = 0."""
        self.last_epoch = 0
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        self._current().begin()

    restart = begin

    def _current(self) -> Any:
        return self.schedulers[bisect_right(self.milestones, self.last_epoch)]

    def step(self) -> None:
        """Step the schedule whose turn it is; at a milestone, begin the next one."""
        self.last_epoch += 1
        if self.last_epoch in self.milestones:
            self._current().restart()
        else:
            self._current().step()


class _Phase(NamedTuple):
    """A stretch of a cycle: its last step, and between which values rate and momentum go."""

    end: float
    rates: tuple[str, str]
    momenta: tuple[str, str]


@final
class OneCycleLR(LRScheduler):
    """Up from max_lr / div_factor to max_lr, then down to a small fraction of where it began.

    The rise takes `pct_start` of the steps, the final rate is initial / final_div_factor; with
    `three_phase`, the fall first mirrors the rise. Momentum (or β₁) runs the other way, between
    `max_momentum` and `base_momentum`. Step it after every batch. L. Smith, N. Topin,
    "Super-convergence", arXiv:1708.07120.

    The number of steps is `total_steps`, or `epochs` times `steps_per_epoch`; ArgumentError beyond.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.85,
        max_momentum: float | Sequence[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        if total_steps is None and epochs is not None and steps_per_epoch is not None:
            total_steps = epochs * steps_per_epoch
        if total_steps is None or total_steps < 1:
            raise ArgumentError(
                "a cycle has a length",
                expected="total_steps >= 1, or epochs and steps_per_epoch",
                got=f"total_steps={total_steps}",
            )
        if not 0 <= pct_start <= 1 or anneal_strategy not in ("cos", "linear"):
            raise ArgumentError(
                "OneCycleLR cannot follow this cycle",
                expected="0 <= pct_start <= 1, anneal_strategy cos or linear",
                got=f"pct_start={pct_start}, anneal_strategy={anneal_strategy}",
            )
        self.total_steps = total_steps
        self.phases = _phases(total_steps, pct_start, three_phase)
        self.anneal_strategy = anneal_strategy
        self.cycle_momentum = cycle_momentum
        self.use_beta1 = "betas" in optimizer.defaults
        if cycle_momentum and not self.use_beta1 and "momentum" not in optimizer.defaults:
            raise ArgumentError(
                "this optimizer has no momentum to cycle", hint="pass cycle_momentum=False"
            )
        if last_epoch == -1:
            self._prepare(
                optimizer, max_lr, base_momentum, max_momentum, div_factor, final_div_factor
            )
        super().__init__(optimizer, last_epoch)

    def _prepare(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        base_momentum: float | Sequence[float],
        max_momentum: float | Sequence[float],
        div_factor: float,
        final_div_factor: float,
    ) -> None:
        """Note the ends of the cycle in each group, so that they are saved with the optimizer."""
        for i, group in enumerate(optimizer.param_groups):
            peak = _of_group(max_lr, i)
            group["initial_lr"] = peak / div_factor
            group["max_lr"] = peak
            group["min_lr"] = group["initial_lr"] / final_div_factor
            if self.cycle_momentum:
                group["max_momentum"] = _of_group(max_momentum, i)
                group["base_momentum"] = _of_group(base_momentum, i)

    def rate(self, lr: float, base: float, group: int) -> float:
        t = self.last_epoch
        if t > self.total_steps:
            raise ArgumentError(
                "the cycle is over", expected=f"at most {self.total_steps} steps", got=f"step {t}"
            )
        start = 0.0
        for phase in self.phases:
            if t <= phase.end or phase is self.phases[-1]:
                break
            start = phase.end
        width = phase.end - start
        place = (t - start) / width if width else 1.0
        settings = self.optimizer.param_groups[group]
        if self.cycle_momentum:
            start_at, end_at = (settings[name] for name in phase.momenta)
            momentum = self._between(start_at, end_at, place)
            if self.use_beta1:
                settings["betas"] = (momentum, *settings["betas"][1:])
            else:
                settings["momentum"] = momentum
        start_at, end_at = (settings[name] for name in phase.rates)
        return self._between(start_at, end_at, place)

    first_rate = rate

    def _between(self, start: float, end: float, place: float) -> float:
        if self.anneal_strategy == "linear":
            return (end - start) * place + start
        return end + (start - end) / 2.0 * (1 + math.cos(math.pi * place))


def _phases(total: int, rise: float, three: bool) -> tuple[_Phase, ...]:
    up = _Phase(rise * total - 1, ("initial_lr", "max_lr"), ("max_momentum", "base_momentum"))
    if not three:
        down = _Phase(total - 1, ("max_lr", "min_lr"), ("base_momentum", "max_momentum"))
        return up, down
    mirror = _Phase(
        2 * rise * total - 2, ("max_lr", "initial_lr"), ("base_momentum", "max_momentum")
    )
    tail = _Phase(total - 1, ("initial_lr", "min_lr"), ("max_momentum", "max_momentum"))
    return up, mirror, tail


def _of_group(value: float | Sequence[float], group: int) -> float:
    return float(value) if isinstance(value, (int, float)) else float(value[group])
