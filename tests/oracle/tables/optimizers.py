"""OptimizerInfo's table, and the schedulers: ten steps on a small problem, in float64."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.testing._internal.common_optimizers import OptimizerInfo, OptimizerInput, optim_db

import chainrule.torch as mirror

from .conversion import bound, converted, named
from .entry import Entry, MismatchError, SampleSkippedError, describe, first_line

STEPS = 10
NUDGE = 2e-16
"""A relative change of a matrix at the start, as rounding makes one."""
UNSTEADY = 1e-9
MAGNIFIED = "steps after which PyTorch itself magnifies 2e-16 to 1e-9"
"""LBFGS with a small step size: its pairs of changes are nearly parallel."""


def excluded(info: OptimizerInfo) -> str | None:
    """Why an optimizer is not among those counted, or None."""
    if info.only_supports_sparse_grads:
        return "sparse gradients only"
    return "bfloat16 inside" if info.optim_cls.__name__ == "Muon" else None


def names() -> tuple[list[str], Counter[str]]:
    """The names that count, in the table's order, and how many are left out for which reason."""
    reasons = Counter(reason for info in optim_db if (reason := excluded(info)))
    return [info.optim_cls.__name__ for info in optim_db if not excluded(info)], reasons


@dataclass(frozen=True)
class Problem:
    """A convex loss of two linear layers side by side: two matrices, two vectors, one batch.

    Convex, so that ten steps draw nearby points together; where they are driven apart, as in a
    network, ten steps of LBFGS make 1e-4 of a rounding error.
    """

    library: Any
    weights: tuple[Any, ...]
    x: Any
    y: Any

    def loss(self) -> Any:
        """The mean of log(1 + exp(…)), squares and a share of the parameters' squares."""
        w1, b1, w2, b2 = self.weights
        logits, apart = self.x @ w1 + b1, self.x @ w2 + b2 - self.y
        losses = self.library.log(1 + self.library.exp(logits)) - 0.3 * logits
        size = sum((w * w).sum() for w in self.weights)
        return losses.mean() + (apart * apart).mean() + 0.3 * size


def problem(library: Any, nudge: float = 0.0) -> Problem:
    """The same numbers in either library, the first matrix changed by `nudge`."""
    rng = np.random.default_rng(5)
    shapes = [(3, 4), (4,), (3, 2), (2,)]
    starts = [rng.normal(size=shape) for shape in shapes]
    starts[0] *= 1 + nudge
    weights = tuple(
        library.tensor(start, dtype=library.float64, requires_grad=True) for start in starts
    )
    x = np.linalg.qr(rng.normal(size=(6, 3)))[0] * 6**0.5
    data = (library.tensor(array, dtype=library.float64) for array in (x, rng.normal(size=(6, 2))))
    return Problem(library, weights, *data)


def run(name: str) -> Entry:
    """Every configuration of an optimizer, alone, by groups and with its schedulers."""
    entry = Entry("optimizer", name)
    info = next(info for info in optim_db if info.optim_cls.__name__ == name)
    if named(f"optim.{name}") is None:
        entry.absent(f"no torch.optim.{name}")
        return entry
    for config in info.optim_inputs_func("cpu", torch.float64):
        _attempt(entry, info, config, f"{name} {config.desc}", None)
        if info.supports_param_groups:
            _attempt(entry, info, config, f"{name} {config.desc} in groups", None, groups=True)
    for i, makers in enumerate(info.scheduler_inputs):
        config = next(iter(info.optim_inputs_func("cpu", torch.float64)))
        _attempt(entry, info, config, f"{name} scheduler inputs {i}", makers)
    return entry.close()


def _attempt(entry: Entry, info: OptimizerInfo, config: OptimizerInput, label: str, makers: Any,
             groups: bool = False) -> None:  # fmt: skip
    try:
        _compare(entry, info, config, label, makers, groups)
    except SampleSkippedError as reason:
        entry.skipped[str(reason)] += 1
    except MismatchError as error:
        entry.fail(f"{error} [{describe(config.kwargs)}]")
    except Exception as error:  # noqa: BLE001  any error of ours is a wrong answer
        entry.fail(f"{label}: {first_line(error)} [{describe(config.kwargs)}]")


def _compare(entry: Entry, info: OptimizerInfo, config: OptimizerInput, label: str, makers: Any,
             groups: bool) -> None:  # fmt: skip
    judged, nudged, mine = problem(torch), problem(torch, NUDGE), problem(mirror)
    theirs = info.optim_cls(_params(judged, groups), **config.kwargs)
    again = info.optim_cls(_params(nudged, groups), **config.kwargs)
    ours = named(f"optim.{info.optim_cls.__name__}")(
        _params(mine, groups), **converted(config.kwargs)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        schedules = [maker(theirs) for maker in makers or ()]
        own_schedules = [bound(maker)(ours) for maker in makers or ()]
        more_schedules = [maker(again) for maker in makers or ()]
        for step in range(STEPS):
            a, b = _step(mine, ours, own_schedules), _step(judged, theirs, schedules)
            _step(nudged, again, more_schedules)
            if _apart(judged, nudged) > UNSTEADY:
                entry.skipped[MAGNIFIED] += STEPS - step
                break
            entry.same(a, b, f"{label} loss at step {step}")
            for i, (w, v) in enumerate(zip(mine.weights, judged.weights, strict=True)):
                entry.same(w, v, f"{label} parameter {i} at step {step}")
    entry.samples += 1


def _apart(judged: Problem, nudged: Problem) -> float:
    """How far PyTorch's own two runs have come apart."""
    pairs = zip(judged.weights, nudged.weights, strict=True)
    return max(float((v - w).detach().abs().max()) for v, w in pairs)


def _params(made: Problem, groups: bool) -> Any:
    weights = list(made.weights)
    return [{"params": weights[:2]}, {"params": weights[2:]}] if groups else weights


def _step(made: Problem, optimizer: Any, schedules: list[Any]) -> float:
    def closure() -> Any:
        optimizer.zero_grad()
        loss = made.loss()
        loss.backward()
        return loss

    loss = optimizer.step(closure).item()
    for schedule in schedules:
        if type(schedule).__name__ == "ReduceLROnPlateau":
            schedule.step(loss)
        else:
            schedule.step()
    return float(loss)


def _chained(s: Any, o: Any) -> Any:
    return s.ChainedScheduler([s.ConstantLR(o, 0.1, 2), s.ExponentialLR(o, 0.9)])


def _sequential(s: Any, o: Any) -> Any:
    first, second = s.ConstantLR(o, 0.1, total_iters=3), s.ExponentialLR(o, gamma=0.9)
    return s.SequentialLR(o, [first, second], milestones=[4])


SCHEDULERS: dict[str, list[Callable[[Any, Any], Any]]] = {
    "ChainedScheduler": [_chained],
    "ConstantLR": [lambda s, o: s.ConstantLR(o, factor=0.5, total_iters=4)],
    "CosineAnnealingLR": [
        lambda s, o: s.CosineAnnealingLR(o, T_max=10),
        lambda s, o: s.CosineAnnealingLR(o, 4, eta_min=0.01),
    ],
    "CosineAnnealingWarmRestarts": [
        lambda s, o: s.CosineAnnealingWarmRestarts(o, T_0=3),
        lambda s, o: s.CosineAnnealingWarmRestarts(o, 2, T_mult=2, eta_min=0.001),
    ],
    "CyclicLR": [
        lambda s, o: s.CyclicLR(o, 0.01, 0.1, step_size_up=3, mode="triangular"),
        lambda s, o: s.CyclicLR(o, 0.01, 0.1, 2, 3, mode="triangular2", cycle_momentum=False),
        lambda s, o: s.CyclicLR(o, 0.01, 0.1, 2, mode="exp_range", gamma=0.9),
    ],
    "ExponentialLR": [lambda s, o: s.ExponentialLR(o, gamma=0.8)],
    "LambdaLR": [
        lambda s, o: s.LambdaLR(o, lr_lambda=lambda epoch: 0.9**epoch),
        lambda s, o: s.LambdaLR(o, [lambda epoch: 1 / (epoch + 1)]),
    ],
    "LinearLR": [
        lambda s, o: s.LinearLR(o),
        lambda s, o: s.LinearLR(o, start_factor=0.5, end_factor=0.9, total_iters=4),
    ],
    "MultiStepLR": [lambda s, o: s.MultiStepLR(o, milestones=[2, 5, 5], gamma=0.5)],
    "MultiplicativeLR": [lambda s, o: s.MultiplicativeLR(o, lambda epoch: 0.95)],
    "OneCycleLR": [
        lambda s, o: s.OneCycleLR(o, max_lr=0.3, total_steps=12),
        lambda s, o: s.OneCycleLR(o, 0.3, epochs=3, steps_per_epoch=4, anneal_strategy="linear"),
        lambda s, o: s.OneCycleLR(o, 0.3, 12, three_phase=True, cycle_momentum=False),
    ],
    "PolynomialLR": [lambda s, o: s.PolynomialLR(o, total_iters=6, power=2.0)],
    "ReduceLROnPlateau": [
        lambda s, o: s.ReduceLROnPlateau(o, "max", factor=0.5, patience=1),
        lambda s, o: s.ReduceLROnPlateau(o, patience=0, threshold=0.5, cooldown=1, min_lr=0.01),
    ],
    "SequentialLR": [_sequential],
    "StepLR": [lambda s, o: s.StepLR(o, step_size=3, gamma=0.1)],
}
"""Every scheduler of ``torch.optim.lr_scheduler``, with the arguments that programs give."""


def run_scheduler(name: str) -> Entry:
    """Ten steps of SGD with momentum under a scheduler: rates and parameters."""
    entry = Entry("scheduler", name)
    if named(f"optim.lr_scheduler.{name}") is None:
        entry.absent(f"no torch.optim.lr_scheduler.{name}")
        return entry
    for i, make in enumerate(SCHEDULERS[name]):
        try:
            _compare_schedule(entry, make, f"{name} {i}")
        except MismatchError as error:
            entry.fail(str(error))
        except Exception as error:  # noqa: BLE001  any error of ours is a wrong answer
            entry.fail(f"{name} {i}: {first_line(error)}")
    return entry.close()


def _compare_schedule(entry: Entry, make: Callable[[Any, Any], Any], label: str) -> None:
    runs = []
    for library in (mirror, torch):
        made = problem(library)
        optimizer = library.optim.SGD(list(made.weights), lr=0.05, momentum=0.8)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            schedule = make(library.optim.lr_scheduler, optimizer)
        runs.append((made, optimizer, schedule))
    (mine, ours, own), (judged, theirs, schedule) = runs
    for step in range(STEPS):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _step(mine, ours, [own])
            _step(judged, theirs, [schedule])
        for key in ("lr", "momentum"):
            a, b = ours.param_groups[0][key], theirs.param_groups[0][key]
            entry.same(float(a), float(b), f"{label} {key} after step {step}")
        entry.same(mine.weights[0], judged.weights[0], f"{label} parameter after step {step}")
    entry.samples += 1
