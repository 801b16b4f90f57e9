"""Learning-rate schedules: the rate as a function of how often ``step`` was called.

Each follows PyTorch's recurrence, new rate from old rate, so several schedules may act on one
optimizer and the effects multiply. The docstrings give the closed form for one schedule alone, with
η₀ the optimizer's rate and t the number of calls of ``step``.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, final

from ..core.apply import warn
from ..errors import ArgumentError, StateError
from .optimizer import Optimizer


class Schedule:
    """What all schedules share: the optimizer, its rates, and a state to save."""

    saved: ClassVar[tuple[str, ...]] = ("last_epoch",)
    """Attributes that ``state_dict`` holds."""

    def __init__(self, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Optimizer):
            raise ArgumentError("a schedule needs an optimizer", got=type(optimizer).__name__)
        self.optimizer = optimizer
        self.last_epoch = 0

    def get_last_lr(self) -> list[float]:
        """The rate of each parameter group now."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """What ``load_state_dict`` needs: numbers and lists, no functions.

        The rates themselves are part of the optimizer's state; save it too.
        """
        return {name: getattr(self, name) for name in self.saved}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue where the state was saved. Raises StateError if it is of another schedule."""
        if set(state_dict) != set(self.saved):
            raise StateError(
                f"this is not a state of {type(self).__name__}",
                expected=", ".join(self.saved),
                got=", ".join(map(str, state_dict)),
            )
        for name, value in state_dict.items():
            setattr(self, name, value)


class LRScheduler(Schedule):
    """Base of the schedules that depend on the number of steps only.

    A subclass gives ``rate``, the next rate of one group, or ``get_lr``, those of all groups. The
    constructor sets the rates for t = 0. With `last_epoch`, a run goes on at t = last_epoch + 1:
    the groups must then hold their ``initial_lr``, as a loaded optimizer state does.
    """

    saved: ClassVar[tuple[str, ...]] = ("last_epoch", "base_lrs")

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        super().__init__(optimizer)
        for group in optimizer.param_groups:
            if last_epoch == -1:
                group.setdefault("initial_lr", float(group["lr"]))
            elif "initial_lr" not in group:
                raise ArgumentError(
                    "a schedule that goes on needs the rates it began with",
                    expected="initial_lr in each parameter group",
                    hint="load the optimizer's state before you make the schedule",
                )
        self.base_lrs: list[float] = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self.begin(last_epoch + 1)

    def rate(self, lr: float, base: float, group: int) -> float:
        """The next rate of a group, whose rate is `lr` now and was `base` at first."""
        raise NotImplementedError(f"{type(self).__name__} defines neither rate() nor get_lr()")

    def first_rate(self, lr: float, base: float, group: int) -> float:
        """The rate of a group at t = 0."""
        return lr

    def get_lr(self) -> list[float]:
        """The next rates, one for each group."""
        return self._rates(self.rate)

    def _rates(self, rule: Callable[[float, float, int], float]) -> list[float]:
        groups = self.optimizer.param_groups
        return [
            rule(float(group["lr"]), base, i)
            for i, (group, base) in enumerate(zip(groups, self.base_lrs, strict=True))
        ]

    def step(self, epoch: int | None = None) -> None:
        """Go to the next rate, or to that of t = `epoch`.

        Call it after the optimizer's ``step``, or once per epoch. Warns at the first step if there
        are gradients that the optimizer has not used: then the first rate would be skipped.
        """
        if self.last_epoch == 0 and _is_early(self.optimizer):
            warn("the schedule goes on before the optimizer's first step: call optimizer.step() "
                 "first, or the first rate is never used")  # fmt: skip
        if epoch is not None:
            self._go_to(epoch)
            return
        self.last_epoch += 1
        self._set(self.get_lr())

    def _go_to(self, epoch: int) -> None:
        """Take all steps from t = 0 again."""
        if epoch < 0:
            raise ArgumentError("a schedule cannot go before its start", got=str(epoch))
        self.restart()
        while self.last_epoch < epoch:
            self.last_epoch += 1
            self._set(self.get_lr())

    def begin(self, at: int = 0) -> None:
        """Go to t = `at` from the groups' rates as they are."""
        self.last_epoch = at
        own_get_lr = type(self).get_lr is not LRScheduler.get_lr
        self._set(self.get_lr() if own_get_lr else self._rates(self.first_rate))

    def restart(self) -> None:
        """Go back to t = 0 and to the rates the schedule began with."""
        self._set(self.base_lrs)
        self.begin()

    def _set(self, rates: Sequence[float]) -> None:
        for group, lr in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = float(lr)


@final
class LambdaLR(LRScheduler):
    """η = η₀ f(t), with one function for all groups or one for each.

    >>> optimizer = cr.optim.SGD([tensor(1.0, requires_grad=True)], lr=0.5)
    >>> schedule = cr.optim.LambdaLR(optimizer, lambda t: 1 / (1 + t))
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.25]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        self.lr_lambdas = _one_each(lr_lambda, optimizer, "LambdaLR")
        super().__init__(optimizer, last_epoch)

    def rate(self, lr: float, base: float, group: int) -> float:
        return base * self.lr_lambdas[group](self.last_epoch)

    first_rate = rate


@final
class MultiplicativeLR(LRScheduler):
    """η ← η f(t), with one function for all groups or one for each; t begins at 1.

    >>> optimizer = cr.optim.SGD([tensor(1.0, requires_grad=True)], lr=1.0)
    >>> schedule = cr.optim.MultiplicativeLR(optimizer, lambda t: 0.5)
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        self.lr_lambdas = _one_each(lr_lambda, optimizer, "MultiplicativeLR")
        super().__init__(optimizer, last_epoch)

    def rate(self, lr: float, base: float, group: int) -> float:
        return lr * self.lr_lambdas[group](self.last_epoch)

    def first_rate(self, lr: float, base: float, group: int) -> float:
        return lr if self.last_epoch == 0 else self.rate(lr, base, group)


@final
class StepLR(LRScheduler):
    """η = η₀ γ^⌊t / step_size⌋.

    >>> optimizer = cr.optim.SGD([tensor(1.0, requires_grad=True)], lr=1.0)
    >>> schedule = cr.optim.StepLR(optimizer, step_size=2, gamma=0.5)
    >>> rates = []
    >>> for epoch in range(5):
    ...     rates += schedule.get_last_lr()
    ...     schedule.step()
    >>> rates
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.step_size = _positive(step_size, "step_size")
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, lr: float, base: float, group: int) -> float:
        due = self.last_epoch > 0 and self.last_epoch % self.step_size == 0
        return lr * self.gamma if due else lr

    first_rate = rate


@final
class MultiStepLR(LRScheduler):
    """η = η₀ γ^(number of milestones ≤ t)."""

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Sequence[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None:
        self.milestones = Counter(milestones)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, lr: float, base: float, group: int) -> float:
        return lr * self.gamma ** self.milestones[self.last_epoch]

    first_rate = rate


@final
class ConstantLR(LRScheduler):
    """η = factor η₀ while t < total_iters, η₀ from then on."""

    def __init__(
        self,
        optimizer: Optimizer,
        factor: float = 1 / 3,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        self.factor = _fraction(factor, "factor", above_zero=True)
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def rate(self, lr: float, base: float, group: int) -> float:
        if self.last_epoch == 0:
            return lr * self.factor
        return lr * (1.0 / self.factor) if self.last_epoch == self.total_iters else lr

    first_rate = rate


@final
class LinearLR(LRScheduler):
    """Warm-up: from start_factor η₀ to end_factor η₀ on a line of total_iters steps.

    η = η₀ (s + (e - s) min(t, T) / T).
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        self.start_factor = _fraction(start_factor, "start_factor", above_zero=True)
        self.end_factor = _fraction(end_factor, "end_factor")
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def first_rate(self, lr: float, base: float, group: int) -> float:
        return lr * self.start_factor if self.last_epoch == 0 else lr

    def rate(self, lr: float, base: float, group: int) -> float:
        if self.last_epoch > self.total_iters:
            return lr
        rise = self.end_factor - self.start_factor
        before = self.total_iters * self.start_factor + (self.last_epoch - 1) * rise
        return lr * (1.0 + rise / before)


@final
class ExponentialLR(LRScheduler):
    """η = η₀ γᵗ."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, lr: float, base: float, group: int) -> float:
        return lr * self.gamma


@final
class PolynomialLR(LRScheduler):
    """η = η₀ (1 - min(t, T) / T)^power."""

    def __init__(
        self,
        optimizer: Optimizer,
        total_iters: int = 5,
        power: float = 1.0,
        last_epoch: int = -1,
    ) -> None:
        self.total_iters = _positive(total_iters, "total_iters")
        self.power = power
        super().__init__(optimizer, last_epoch)

    def rate(self, lr: float, base: float, group: int) -> float:
        t, total = self.last_epoch, self.total_iters
        if t > total:
            return lr
        return lr * float(((1.0 - t / total) / (1.0 - (t - 1) / total)) ** self.power)


@final
class CosineAnnealingLR(LRScheduler):
    """η = η_min + (η₀ - η_min) (1 + cos(π t / T_max)) / 2, falling and rising by turns.

    I. Loshchilov, F. Hutter, "SGDR: stochastic gradient descent with warm restarts",
    arXiv:1608.03983, equation 5, without the restarts.
    """

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        self.T_max = _positive(T_max, "T_max")
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def rate(self, lr: float, base: float, group: int) -> float:
        t, half = self.last_epoch, self.T_max
        if (t - 1 - half) % (2 * half) == 0:
            # The rate was at its minimum, where the quotient of the recurrence is 0 / 0.
            return lr + (base - self.eta_min) * (1 - math.cos(math.pi / half)) / 2
        quotient = (1 + math.cos(math.pi * t / half)) / (1 + math.cos(math.pi * (t - 1) / half))
        return quotient * (lr - self.eta_min) + self.eta_min


@final
class CosineAnnealingWarmRestarts(LRScheduler):
    """A cosine from η₀ to η_min over T_0 steps, then again over T_mult times as many, and so on.

    ``step(t)`` with a number, such as epoch + batch / batches, goes to that point of the curve.
    arXiv:1608.03983, equation 5.
    """

    saved = ("last_epoch", "base_lrs", "T_cur", "T_i")

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        self.T_0 = _positive(T_0, "T_0")
        self.T_mult = _positive(T_mult, "T_mult")
        self.eta_min = eta_min
        self.T_i = T_0
        self.T_cur: float = 0
        super().__init__(optimizer, last_epoch)

    def begin(self, at: int = 0) -> None:
        self._locate(at)
        super().begin(at)

    def step(self, epoch: float | None = None) -> None:
        if epoch is None:
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur -= self.T_i
                self.T_i *= self.T_mult
            self.last_epoch += 1
        else:
            if epoch < 0:
                raise ArgumentError("a schedule cannot go before its start", got=str(epoch))
            self._locate(epoch)
            self.last_epoch = math.floor(epoch)
        self._set(self.get_lr())

    def _locate(self, epoch: float) -> None:
        """Find the period that `epoch` is in, and the place in it."""
        self.T_cur, self.T_i = epoch, self.T_0
        if self.T_mult == 1:
            self.T_cur = epoch % self.T_0
        while self.T_cur >= self.T_i:
            self.T_cur -= self.T_i
            self.T_i *= self.T_mult

    def rate(self, lr: float, base: float, group: int) -> float:
        phase = 1 + math.cos(math.pi * self.T_cur / self.T_i)
        return self.eta_min + (base - self.eta_min) * phase / 2

    first_rate = rate


def _one_each(
    given: Callable[[int], float] | Sequence[Callable[[int], float]],
    optimizer: Optimizer,
    name: str,
) -> list[Callable[[int], float]]:
    """One function for each parameter group."""
    groups = len(optimizer.param_groups)
    found = [given] * groups if callable(given) else list(given)
    if len(found) != groups:
        raise ArgumentError(
            f"{name} needs one function for each group",
            expected=str(groups),
            got=str(len(found)),
        )
    return found


def _is_early(optimizer: Optimizer) -> bool:
    """Whether the optimizer has gradients, and has never made a step."""
    return not optimizer.was_stepped and any(
        p.grad is not None for group in optimizer.param_groups for p in group["params"]
    )


def _positive(value: int, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ArgumentError(f"{name} is a number of steps", expected="an int >= 1", got=repr(value))
    return value


def _fraction(value: float, name: str, *, above_zero: bool = False) -> float:
    if not 0 <= value <= 1 or (above_zero and value == 0):
        raise ArgumentError(
            f"{name} is a fraction of the rate",
            expected=f"0 {'<' if above_zero else '<='} {name} <= 1",
            got=str(value),
        )
    return value
