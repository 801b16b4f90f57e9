"""Schedules against their closed forms, by themselves and combined."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest

import chainrule as cr
from chainrule import optim
from chainrule.errors import ArgumentError, StateError

BASE = 0.4
SGD_MOMENTUM = 0.9


def make_optimizer() -> optim.SGD:
    return optim.SGD([cr.tensor([1.0], requires_grad=True)], lr=BASE, momentum=SGD_MOMENTUM)


def rates(schedule: Any, steps: int) -> list[float]:
    """The rate at t = 0 … steps-1."""
    found = []
    for _ in range(steps):
        found += schedule.get_last_lr()
        schedule.step()
    return found


def cosine(start: float, end: float, place: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * place)) / 2


Closed = Callable[[int], float]
Make = Callable[[optim.Optimizer], Any]
CASES: dict[str, tuple[Make, Closed]] = {
    "StepLR": (lambda o: optim.StepLR(o, 3, 0.5), lambda t: BASE * 0.5 ** (t // 3)),
    "MultiStepLR": (
        lambda o: optim.MultiStepLR(o, [2, 5, 5, 9], 0.5),
        lambda t: BASE * 0.5 ** sum(m <= t for m in (2, 5, 5, 9)),
    ),
    "ExponentialLR": (lambda o: optim.ExponentialLR(o, 0.9), lambda t: BASE * 0.9**t),
    "LambdaLR": (lambda o: optim.LambdaLR(o, lambda t: 1 / (1 + t)), lambda t: BASE / (1 + t)),
    "ConstantLR": (
        lambda o: optim.ConstantLR(o, 0.25, 4),
        lambda t: BASE * (0.25 if t < 4 else 1.0),
    ),
    "LinearLR": (
        lambda o: optim.LinearLR(o, 0.1, 0.8, 6),
        lambda t: BASE * (0.1 + 0.7 * min(t, 6) / 6),
    ),
    "PolynomialLR": (
        lambda o: optim.PolynomialLR(o, 8, 2.0),
        lambda t: BASE * (1 - min(t, 8) / 8) ** 2,
    ),
    "CosineAnnealingLR": (
        lambda o: optim.CosineAnnealingLR(o, 7, 0.01),
        lambda t: cosine(BASE, 0.01, t / 7),
    ),
    "CosineAnnealingWarmRestarts": (
        lambda o: optim.CosineAnnealingWarmRestarts(o, 3, 2, 0.01),
        lambda t: cosine(
            BASE, 0.01, t / 3 if t < 3 else (t - 3) / 6 if t < 9 else (t - 9) / 12
        ),
    ),
    "OneCycleLR": (
        lambda o: optim.OneCycleLR(o, 0.5, total_steps=21, pct_start=0.5),
        lambda t: (
            cosine(0.02, 0.5, t / 9.5) if t <= 9.5 else cosine(0.5, 2e-6, (t - 9.5) / 10.5)
        ),
    ),
    "OneCycleLR linear": (
        lambda o: optim.OneCycleLR(
            o, 0.5, epochs=3, steps_per_epoch=7, pct_start=1 / 3, anneal_strategy="linear",
            three_phase=True, div_factor=10,
        ),
        lambda t: (
            0.05 + 0.45 * t / 6
            if t <= 6
            else 0.5 - 0.45 * (t - 6) / 6
            if t <= 12
            else 0.05 + (5e-6 - 0.05) * (t - 12) / 8
        ),
    ),
    "SequentialLR": (
        lambda o: optim.SequentialLR(
            o,
            [optim.LinearLR(o, 0.1, 1.0, 4), optim.CosineAnnealingLR(o, 8)],
            [4],
        ),
        lambda t: BASE * (0.1 + 0.9 * t / 4) if t < 4 else cosine(BASE, 0.0, (t - 4) / 8),
    ),
    "ChainedScheduler": (
        lambda o: optim.ChainedScheduler(
            [optim.ConstantLR(o, 0.1, 4), optim.ExponentialLR(o, 0.9), optim.StepLR(o, 4, 0.5)]
        ),
        lambda t: BASE * (0.1 if t < 4 else 1.0) * 0.9**t * 0.5 ** (t // 4),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_rates_follow_the_closed_form(name: str) -> None:
    make, closed = CASES[name]
    found = rates(make(make_optimizer()), 21)
    assert found == pytest.approx([closed(t) for t in range(21)], rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_a_saved_schedule_and_optimizer_go_on_alike(name: str) -> None:
    make, _ = CASES[name]
    optimizer = make_optimizer()
    schedule = make(optimizer)
    rates(schedule, 6)
    saved = json.loads(json.dumps(schedule.state_dict())), optimizer.state_dict()
    expected = rates(schedule, 10)
    again = make_optimizer()
    resumed = make(again)
    again.load_state_dict(saved[1])
    resumed.load_state_dict(saved[0])
    assert rates(resumed, 10) == expected


def test_every_group_keeps_its_own_rate() -> None:
    a, b = (cr.tensor([1.0], requires_grad=True) for _ in range(2))
    optimizer = optim.SGD([{"params": a}, {"params": b, "lr": 0.1}], lr=1.0)
    schedule = optim.LambdaLR(optimizer, [lambda t: 0.5**t, lambda t: 1.0])
    schedule.step()
    assert schedule.get_last_lr() == [0.5, 0.1]


def test_a_run_resumed_by_last_epoch_keeps_the_loaded_rate() -> None:
    optimizer = make_optimizer()
    schedule = optim.ExponentialLR(optimizer, 0.5)
    schedule.step()
    schedule.step()
    resumed = optim.ExponentialLR(optimizer, 0.5, last_epoch=1)
    assert resumed.last_epoch == 2
    assert resumed.get_last_lr() == [BASE / 4]
    resumed.step()
    assert resumed.get_last_lr() == [BASE / 8]


def test_one_cycle_moves_momentum_against_the_rate() -> None:
    optimizer = make_optimizer()
    schedule = optim.OneCycleLR(optimizer, 0.5, total_steps=11, pct_start=0.5)
    momenta = []
    for _ in range(11):
        momenta.append(optimizer.param_groups[0]["momentum"])
        schedule.step()
    assert momenta[0] == momenta[10] == pytest.approx(0.95)
    assert min(momenta) == pytest.approx(0.85, abs=3e-3)
    adam = optim.Adam([cr.tensor([1.0], requires_grad=True)])
    optim.OneCycleLR(adam, 0.5, total_steps=11)
    assert adam.param_groups[0]["betas"] == (0.95, 0.999)


def test_warm_restarts_can_go_to_a_fraction_of_an_epoch() -> None:
    schedule = optim.CosineAnnealingWarmRestarts(make_optimizer(), 2, 2)
    schedule.step(3.5)
    assert schedule.get_last_lr() == pytest.approx([cosine(BASE, 0.0, 1.5 / 4)])
    with pytest.raises(ArgumentError):
        schedule.step(-1.0)


def test_a_subclass_may_give_all_rates_at_once() -> None:
    class Halving(optim.LRScheduler):
        def get_lr(self) -> list[float]:
            return [base / 2**self.last_epoch for base in self.base_lrs]

    assert rates(Halving(make_optimizer()), 3) == [BASE, BASE / 2, BASE / 4]


# Plateau ------------------------------------------------------------------------------------------


def reductions(schedule: optim.ReduceLROnPlateau, metrics: list[float]) -> list[int]:
    """The steps at which the rate was lowered."""
    found = []
    for i, metric in enumerate(metrics):
        (before,) = schedule.get_last_lr()
        schedule.step(metric)
        if schedule.get_last_lr() != [before]:
            found.append(i)
    return found


def test_plateau_waits_for_more_than_patience_steps() -> None:
    schedule = optim.ReduceLROnPlateau(make_optimizer(), patience=2, factor=0.5)
    assert reductions(schedule, [1.0] * 8) == [3, 6]
    assert schedule.get_last_lr() == [BASE / 4]


def test_plateau_counts_again_after_an_improvement() -> None:
    schedule = optim.ReduceLROnPlateau(make_optimizer(), patience=1)
    assert reductions(schedule, [3.0, 2.0, 2.0, 1.0, 1.0, 1.0]) == [5]


def test_plateau_improvement_must_exceed_the_threshold() -> None:
    relative = optim.ReduceLROnPlateau(make_optimizer(), patience=0, threshold=0.1)
    assert reductions(relative, [10.0, 9.5, 8.9]) == [1]
    absolute = optim.ReduceLROnPlateau(
        make_optimizer(), "max", patience=0, threshold=0.1, threshold_mode="abs"
    )
    assert reductions(absolute, [1.0, 1.05, 1.2]) == [1]


def test_plateau_cools_down_and_stops_at_the_least_rate() -> None:
    schedule = optim.ReduceLROnPlateau(make_optimizer(), patience=0, cooldown=2, min_lr=0.04)
    assert reductions(schedule, [1.0] * 12) == [1]
    assert schedule.get_last_lr() == pytest.approx([0.04])
    cooling = optim.ReduceLROnPlateau(make_optimizer(), patience=0, cooldown=2)
    assert reductions(cooling, [1.0] * 8) == [1, 4, 7]


def test_plateau_takes_a_tensor_and_treats_nan_as_no_improvement() -> None:
    schedule = optim.ReduceLROnPlateau(make_optimizer(), patience=0)
    schedule.step(cr.tensor(1.0))
    assert reductions(schedule, [float("nan")]) == [0]


# Bad input ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda o: optim.StepLR(o, 0),
        lambda o: optim.StepLR(o, 2.5),
        lambda o: optim.ConstantLR(o, 0.0),
        lambda o: optim.LinearLR(o, 0.0),
        lambda o: optim.LinearLR(o, 0.5, 1.5),
        lambda o: optim.CosineAnnealingLR(o, 0),
        lambda o: optim.CosineAnnealingWarmRestarts(o, 3, 0),
        lambda o: optim.LambdaLR(o, []),
        lambda o: optim.OneCycleLR(o, 0.1),
        lambda o: optim.OneCycleLR(o, 0.1, total_steps=10, pct_start=2.0),
        lambda o: optim.ReduceLROnPlateau(o, "smaller"),
        lambda o: optim.ReduceLROnPlateau(o, factor=1.0),
        lambda o: optim.SequentialLR(o, [optim.StepLR(o, 1)], [1]),
        lambda o: optim.SequentialLR(o, [], []),
        lambda o: optim.SequentialLR(o, [optim.ReduceLROnPlateau(o)], []),
        lambda o: optim.ChainedScheduler([]),
        lambda o: optim.ChainedScheduler([optim.StepLR(make_optimizer(), 1)], o),
        lambda o: optim.StepLR(o, 1, last_epoch=3),
        lambda o: optim.StepLR("sgd", 1),
    ],
)
def test_a_schedule_that_makes_no_sense_is_an_error(make: Make) -> None:
    with pytest.raises(ArgumentError):
        make(make_optimizer())


def test_one_cycle_ends() -> None:
    schedule = optim.OneCycleLR(make_optimizer(), 0.1, total_steps=2)
    schedule.step()
    schedule.step()
    with pytest.raises(ArgumentError, match="cycle is over"):
        schedule.step()


def test_one_cycle_needs_a_momentum_to_cycle() -> None:
    w = cr.tensor([1.0], requires_grad=True)
    with pytest.raises(ArgumentError, match="no momentum"):
        optim.OneCycleLR(optim.Adagrad([w]), 0.1, total_steps=2)


def test_the_state_of_another_schedule_is_an_error() -> None:
    schedule = optim.StepLR(make_optimizer(), 1)
    with pytest.raises(StateError):
        schedule.load_state_dict({"last_epoch": 1, "best": 0.0})
    with pytest.raises(StateError):
        optim.ChainedScheduler([schedule]).load_state_dict(schedule.state_dict())
