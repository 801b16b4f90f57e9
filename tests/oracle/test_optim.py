"""Every optimizer with its options over 20 steps, every schedule over 40, and gradient clipping."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import chainrule as cr
from chainrule import optim

from .compare import ours, rng_for, same, theirs
from .tally import TALLY

STEPS = 20
EPOCHS = 40
SHAPES = ((3, 4), (4,), (), (2, 1, 3))


def choices(**given: tuple[Any, ...]) -> list[dict[str, Any]]:
    """Every combination of options; None leaves one out."""
    return [
        {name: value for name, value in zip(given, values, strict=True) if value is not None}
        for values in itertools.product(*given.values())
    ]


OPTIMIZERS = [
    *[("SGD", o) for o in choices(lr=(0.1,), momentum=(None, 0.9), weight_decay=(None, 0.1),
                                  maximize=(None, True))],
    *[("SGD", {"lr": 0.1, "momentum": 0.9, **o})
      for o in choices(dampening=(None, 0.3), weight_decay=(0.05, None))],
    *[("SGD", {"lr": 0.1, "momentum": 0.8, "nesterov": True, **o})
      for o in choices(weight_decay=(None, 0.1), maximize=(None, True))],
    ("SGD", {}),
    *[(name, o) for name in ("Adam", "AdamW")
      for o in choices(lr=(None, 0.05), betas=(None, (0.7, 0.95)), weight_decay=(None, 0.1),
                       amsgrad=(None, True))],
    *[(name, {"lr": 0.02, **o}) for name in ("Adam", "AdamW")
      for o in choices(eps=(1e-3, None), maximize=(True, None))],
    ("Adam", {"weight_decay": 0.0}), ("AdamW", {"weight_decay": 0.0}),
    *[("RMSprop", o) for o in choices(lr=(None, 0.05), momentum=(None, 0.9), centered=(None, True),
                                      weight_decay=(None, 0.1))],
    *[("RMSprop", o) for o in choices(alpha=(0.8,), eps=(1e-3, None), maximize=(True, None))],
    *[("Adagrad", o) for o in choices(lr=(None, 0.1), lr_decay=(None, 0.1),
                                      weight_decay=(None, 0.1))],
    *[("Adagrad", o) for o in choices(initial_accumulator_value=(0.5,), eps=(1e-3, None),
                                      maximize=(True, None))],
    *[(name, o) for name in ("RAdam",)
      for o in choices(lr=(None, 0.05), weight_decay=(None, 0.1),
                       decoupled_weight_decay=(None, True), maximize=(None, True))],
    ("RAdam", {"betas": (0.7, 0.95)}),
    *[("Adamax", o) for o in choices(lr=(None, 0.05), weight_decay=(None, 0.1),
                                     maximize=(None, True))],
    *[("Adadelta", o) for o in choices(lr=(None, 0.05), rho=(None, 0.5), weight_decay=(None, 0.1),
                                       maximize=(None, True))],
    *[("Rprop", o) for o in choices(lr=(None, 0.05), etas=(None, (0.3, 1.5)),
                                    maximize=(None, True))],
    ("Rprop", {"step_sizes": (1e-3, 0.02)}),
    *[("Adafactor", o) for o in choices(lr=(None, 0.05), weight_decay=(None, 0.1),
                                        maximize=(None, True))],
    ("Adafactor", {"d": 1.5, "beta2_decay": -0.5, "eps": (1e-4, 1e-2)}),
]  # fmt: skip
IN_FLOAT32 = [
    *[("ASGD", o) for o in choices(lr=(None, 0.05), t0=(None, 3), weight_decay=(None, 0.1),
                                   maximize=(None, True))],
    ("ASGD", {"lambd": 0.1, "alpha": 0.3}),
    *[("NAdam", o) for o in choices(lr=(None, 0.05), weight_decay=(None, 0.1),
                                    decoupled_weight_decay=(None, True), maximize=(None, True))],
    ("NAdam", {"momentum_decay": 0.1, "betas": (0.7, 0.95)}),
]  # fmt: skip
"""Optimizers of which PyTorch keeps some numbers in float32, whatever the parameters' dtype."""


def pair(name: str, options: dict[str, Any], label: str, groups: bool = True) -> tuple[Any, Any]:
    """Both optimizers over the same parameters: two groups, the second with a rate of its own."""
    arrays = [rng_for(label).normal(size=shape) for shape in SHAPES]
    sides = []
    for library, tensor in ((optim, ours), (torch.optim, theirs)):
        ps = [tensor(a) for a in arrays]
        given: Any = [{"params": ps[:2]}, {"params": ps[2:], "lr": 0.03}] if groups else ps
        sides.append(getattr(library, name)(given, **options))
    return sides[0], sides[1]


def parameters(optimizer: Any) -> list[Any]:
    """All parameters, group by group."""
    return [p for group in optimizer.param_groups for p in group["params"]]


def give_gradients(mine: Any, judge: Any, rng: np.random.Generator, but: int | None = None) -> None:
    """The same random gradient to each parameter; none to number `but`."""
    for i, (p, q) in enumerate(zip(parameters(mine), parameters(judge), strict=True)):
        gradient = rng.normal(size=q.shape)
        p.grad = None if i == but else cr.Tensor(gradient)
        q.grad = None if i == but else torch.from_numpy(np.array(gradient))


def same_parameters(mine: Any, judge: Any, label: str) -> None:
    for i, (p, q) in enumerate(zip(parameters(mine), parameters(judge), strict=True)):
        same(p, q, f"{label} parameter {i}")


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS, ids=str)
def test_optimizers_take_the_same_steps(
    name: str, options: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    label = request.node.callspec.id
    mine, judge = pair(name, options, label)
    rng = rng_for(label + " gradients")
    for step in range(STEPS):
        # One parameter has no gradient at first, and none again later.
        give_gradients(mine, judge, rng, but=1 if step in (0, 1, 9) else None)
        mine.step()
        judge.step()
        same_parameters(mine, judge, f"{label} step {step}")
    same_state(mine, judge, label)


@pytest.mark.parametrize(("name", "options"), IN_FLOAT32, ids=str)
def test_optimizers_take_the_same_steps_as_float32_allows(
    name: str, options: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    label = request.node.callspec.id
    mine, judge = pair(name, options, label)
    rng = rng_for(label + " gradients")
    for _ in range(STEPS):
        give_gradients(mine, judge, rng)
        mine.step()
        judge.step()
    slot = "ax" if name == "ASGD" else "exp_avg"
    for p, q in zip(parameters(mine), parameters(judge), strict=True):
        for a, b in ((p, q), (mine.state[p][slot], judge.state[q][slot])):
            np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), 1e-6, 1e-7)
            TALLY.checks += 1


@pytest.mark.parametrize(
    ("search", "options"),
    [
        *[("strong_wolfe", o) for o in choices(lr=(None, 0.1), history_size=(None, 3))],
        *[(None, o) for o in choices(lr=(0.1, 0.01), history_size=(None, 3))],
    ],
    ids=str,
)
def test_lbfgs_finds_the_same_points(search: str | None, options: dict[str, Any]) -> None:
    """Rosenbrock's function in six dimensions: its value and point after each step."""
    sides: list[list[float]] = []
    for library, tensor in ((optim, ours), (torch.optim, theirs)):
        x = tensor(np.linspace(-1.2, 1.0, 6))
        optimizer = library.LBFGS([x], line_search_fn=search, **options)
        seen: list[float] = []

        def closure(x: Any = x, optimizer: Any = optimizer) -> Any:
            optimizer.zero_grad()
            loss = (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()
            loss.backward()
            return loss

        for _ in range(4 if search else 2):
            seen.append(optimizer.step(closure).item())
            seen += x.detach().numpy().tolist()
        sides.append(seen)
    np.testing.assert_allclose(sides[0], sides[1], rtol=1e-6)
    TALLY.checks += len(sides[0])


def same_state(mine: Any, judge: Any, label: str) -> None:
    """The state tensors of both, under the same names."""
    state, judged = mine.state_dict()["state"], judge.state_dict()["state"]
    for number, cells in judged.items():
        for slot, value in cells.items():
            if value is not None:
                same(
                    state[number][slot], value, f"{label} {slot} of {number}", dtype=slot != "step"
                )


EVERY = ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "NAdam", "RAdam", "Adamax", "Adadelta",
         "Rprop", "Adafactor", "ASGD")  # fmt: skip


@pytest.mark.parametrize("name", [*EVERY, "LBFGS"])
def test_defaults_are_the_same(name: str) -> None:
    mine, judge = pair(name, {}, name, groups=False)
    for key, value in mine.defaults.items():
        assert judge.defaults[key] == pytest.approx(value), key
        TALLY.checks += 1


@pytest.mark.parametrize("name", [name for name in EVERY if name not in ("ASGD", "NAdam")])
def test_real_training_stays_together(name: str) -> None:
    """Gradients from the loss itself, a closure, zero_grad, and a group added on the way."""
    rng = rng_for(name)
    x, target = rng.normal(size=(16, 4)), rng.normal(size=(16, 2))
    weights = [rng.normal(size=s) for s in ((4, 5), (5, 2), (2,))]
    sides = []
    for library, tensor, tanh in ((optim, ours, cr.tanh), (torch.optim, theirs, torch.tanh)):
        w1, w2, b = (tensor(w) for w in weights)
        optimizer = getattr(library, name)([w1, w2], lr=0.02)
        losses = []

        def closure(w1: Any = w1, w2: Any = w2, b: Any = b, o: Any = optimizer, f: Any = tanh,
                    t: Any = tensor) -> Any:  # fmt: skip
            o.zero_grad()
            loss = ((f(t(x, False) @ w1) @ w2 + b - t(target, False)) ** 2).mean()
            loss.backward()
            return loss

        for step in range(STEPS):
            if step == 5:
                optimizer.add_param_group({"params": [b], "lr": 0.1})
            losses.append(optimizer.step(closure).item())
        sides.append((losses, optimizer))
    same(np.array(sides[0][0]), np.array(sides[1][0]), f"{name} losses")
    same_parameters(sides[0][1], sides[1][1], f"{name} trained")


# Schedules ----------------------------------------------------------------------------------------

Scheduled = Callable[[Any, Any], Any]
SCHEDULES: dict[str, Scheduled] = {
    "StepLR": lambda lib, o: lib.StepLR(o, 7, 0.3),
    "StepLR default": lambda lib, o: lib.StepLR(o, step_size=3),
    "MultiStepLR": lambda lib, o: lib.MultiStepLR(o, [3, 10, 10, 31], 0.5),
    "ConstantLR": lambda lib, o: lib.ConstantLR(o, 0.2, 6),
    "ConstantLR default": lambda lib, o: lib.ConstantLR(o),
    "LinearLR": lambda lib, o: lib.LinearLR(o, 0.1, 0.8, 12),
    "LinearLR default": lambda lib, o: lib.LinearLR(o),
    "ExponentialLR": lambda lib, o: lib.ExponentialLR(o, 0.9),
    "PolynomialLR": lambda lib, o: lib.PolynomialLR(o, 25, 2.0),
    "PolynomialLR default": lambda lib, o: lib.PolynomialLR(o),
    "CosineAnnealingLR": lambda lib, o: lib.CosineAnnealingLR(o, 15, 1e-3),
    "CosineAnnealingLR long": lambda lib, o: lib.CosineAnnealingLR(o, 60),
    "CosineAnnealingWarmRestarts": lambda lib, o: lib.CosineAnnealingWarmRestarts(o, 5, 2, 1e-3),
    "CosineAnnealingWarmRestarts even": lambda lib, o: lib.CosineAnnealingWarmRestarts(o, 7),
    "LambdaLR": lambda lib, o: lib.LambdaLR(o, lambda t: 1 / (1 + t)),
    "LambdaLR two": lambda lib, o: lib.LambdaLR(o, [lambda t: 0.9**t, lambda t: 1 + t]),
    "OneCycleLR": lambda lib, o: lib.OneCycleLR(o, 0.5, EPOCHS + 1),
    "OneCycleLR groups": lambda lib, o: lib.OneCycleLR(o, [0.5, 0.2], epochs=10, steps_per_epoch=5),
    "OneCycleLR linear": lambda lib, o: lib.OneCycleLR(
        o, 0.5, EPOCHS + 5, pct_start=0.4, anneal_strategy="linear", div_factor=10.0),
    "OneCycleLR three": lambda lib, o: lib.OneCycleLR(
        o, 0.5, EPOCHS + 1, three_phase=True, base_momentum=0.7, max_momentum=0.9,
        final_div_factor=100.0),
    "OneCycleLR momentum": lambda lib, o: lib.OneCycleLR(o, 0.5, EPOCHS + 1, cycle_momentum=False),
    "MultiplicativeLR": lambda lib, o: lib.MultiplicativeLR(o, lambda t: 1 - 1 / (t + 2)),
    "CyclicLR": lambda lib, o: lib.CyclicLR(o, 0.01, 0.2, 4),
    "CyclicLR uneven": lambda lib, o: lib.CyclicLR(
        o, [0.01, 0.02], [0.2, 0.1], 5, 3, mode="triangular2", base_momentum=0.5),
    "CyclicLR range": lambda lib, o: lib.CyclicLR(
        o, 0.01, 0.2, 4, mode="exp_range", gamma=0.95, cycle_momentum=False),
    "CyclicLR given": lambda lib, o: lib.CyclicLR(
        o, 0.01, 0.2, 4, scale_fn=lambda x: 1 / (1 + x), scale_mode="iterations"),
    "SequentialLR": lambda lib, o: lib.SequentialLR(
        o, [lib.LinearLR(o, 0.1, 1.0, 5), lib.CosineAnnealingLR(o, 20), lib.ConstantLR(o, 0.5, 4)],
        [5, 25]),
    "SequentialLR exponential": lambda lib, o: lib.SequentialLR(
        o, [lib.ConstantLR(o, 0.1, 20), lib.ExponentialLR(o, 0.9)], milestones=[10]),
    "ChainedScheduler": lambda lib, o: lib.ChainedScheduler(
        [lib.ConstantLR(o, 0.1, 8), lib.ExponentialLR(o, 0.9)]),
    "ChainedScheduler given": lambda lib, o: lib.ChainedScheduler(
        [lib.LinearLR(o), lib.StepLR(o, 10), lib.CosineAnnealingLR(o, 30)], optimizer=o),
}  # fmt: skip
PLATEAUS: tuple[dict[str, Any], ...] = (
    {"patience": 2}, {"patience": 0, "factor": 0.5}, {"mode": "max", "patience": 1, "factor": 0.3},
    {"patience": 1, "threshold": 0.2}, {"patience": 1, "threshold": 0.1, "threshold_mode": "abs"},
    {"mode": "max", "patience": 1, "threshold": 0.1, "threshold_mode": "abs"},
    {"patience": 1, "cooldown": 3}, {"patience": 0, "min_lr": 0.01}, {"patience": 0, "eps": 0.02},
    {"patience": 0, "min_lr": [0.05, 0.001], "factor": 0.2}, {},
)  # fmt: skip


def same_rates(mine: Any, judge: Any, label: str) -> None:
    """Rates and momenta of all groups."""
    for group, judged in zip(mine.param_groups, judge.param_groups, strict=True):
        for key in ("lr", "initial_lr", "momentum"):
            assert (key in group) == (key in judged), f"{label} {key}"
            if key in group:
                same(np.float64(group[key]), np.float64(judged[key]), f"{label} {key}")
        if "betas" in judged:
            same(np.array(group["betas"]), np.array(judged["betas"]), f"{label} betas")


@pytest.mark.filterwarnings("ignore:The epoch parameter in")
@pytest.mark.filterwarnings("ignore:To get the last learning rate")
@pytest.mark.parametrize("optimizer", ["SGD", "AdamW"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_give_the_same_rates(name: str, optimizer: str) -> None:
    options = {"momentum": 0.9} if optimizer == "SGD" else {}
    mine, judge = pair(optimizer, {"lr": 0.1, **options}, name)
    schedule = SCHEDULES[name](optim, mine)
    judged = SCHEDULES[name](torch.optim.lr_scheduler, judge)
    rng = rng_for(name)
    same_rates(mine, judge, f"{name} at the start")
    for epoch in range(EPOCHS):
        give_gradients(mine, judge, rng)
        mine.step()
        judge.step()
        schedule.step()
        judged.step()
        same_rates(mine, judge, f"{name} after {epoch + 1}")
        rates, judged_rates = schedule.get_last_lr(), judged.get_last_lr()
        same(np.array(rates), np.array(judged_rates), f"{name} rates after {epoch + 1}")
    same_parameters(mine, judge, f"{name} trained")


@pytest.mark.parametrize("number", range(len(PLATEAUS)))
@pytest.mark.parametrize("metrics", ["falling", "noisy", "rising", "flat"])
def test_plateaus_give_the_same_rates(number: int, metrics: str) -> None:
    label = f"plateau {number} {metrics}"
    mine, judge = pair("SGD", {"lr": 0.1}, label)
    schedule = optim.ReduceLROnPlateau(mine, **PLATEAUS[number])
    judged = torch.optim.lr_scheduler.ReduceLROnPlateau(judge, **PLATEAUS[number])
    noise = rng_for(label).normal(size=EPOCHS)
    for t in range(EPOCHS):
        value = {
            "falling": 2 * 0.95**t,
            "noisy": 1 + 0.3 * noise[t],
            "rising": 1 + t / 30,
            "flat": 0.7,
        }
        schedule.step(value[metrics])
        judged.step(value[metrics])
        same_rates(mine, judge, f"{label} after {t + 1}")


def test_a_fraction_of_an_epoch_is_the_same_for_warm_restarts() -> None:
    mine, judge = pair("SGD", {"lr": 0.1}, "restarts")
    schedule = optim.CosineAnnealingWarmRestarts(mine, 4, 2)
    judged = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(judge, 4, 2)
    for t in range(EPOCHS):
        judge.step()
        schedule.step(t * 0.3)
        judged.step(t * 0.3)
        same_rates(mine, judge, f"warm restarts at {t * 0.3}")


def test_every_schedule_and_optimizer_is_compared() -> None:
    compared = {name.split()[0] for name in SCHEDULES} | {name for name, _ in OPTIMIZERS}
    compared |= {name for name, _ in IN_FLOAT32} | {"LBFGS"}
    others = {"LRScheduler", "Muon", "SparseAdam", "Optimizer", "ReduceLROnPlateau", "Schedule",
              "clip_grad_norm_", "clip_grad_value_", "get_total_norm"}  # fmt: skip
    assert compared | others == set(optim.__all__)


# Clipping -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm_type", [2.0, 1.0, 3.0, math.inf])
@pytest.mark.parametrize("max_norm", [0.5, 1e3])
def test_clipping_by_norm_agrees(max_norm: float, norm_type: float) -> None:
    mine, judge = pair("SGD", {}, "clipping")
    give_gradients(mine, judge, rng_for("clipped"), but=2)
    total = optim.clip_grad_norm_(parameters(mine), max_norm, norm_type)
    judged = torch.nn.utils.clip_grad_norm_(parameters(judge), max_norm, norm_type)
    same(total, judged, "total norm")
    for p, q in zip(parameters(mine), parameters(judge), strict=True):
        if q.grad is not None:
            same(p.grad, q.grad, "clipped gradient")


def test_clipping_by_value_and_the_total_norm_agree() -> None:
    mine, judge = pair("SGD", {}, "clipping by value")
    give_gradients(mine, judge, rng_for("clipped by value"))
    same(
        optim.get_total_norm([p.grad for p in parameters(mine)]),
        torch.nn.utils.get_total_norm([q.grad for q in parameters(judge)]),
        "total norm",
    )
    optim.clip_grad_value_(parameters(mine), 0.4)
    torch.nn.utils.clip_grad_value_(parameters(judge), 0.4)
    for p, q in zip(parameters(mine), parameters(judge), strict=True):
        same(p.grad, q.grad, "gradient clipped by value")


def test_a_state_of_torch_can_be_gone_on_with() -> None:
    """state_dict has torch's names: what torch began, chainrule continues, given what it knows."""
    for name in EVERY:
        options = {"momentum": 0.9} if name == "SGD" else {}
        mine, judge = pair(name, {"lr": 0.01, **options}, name + " state")
        rng = rng_for(name + " state gradients")
        for _ in range(3):
            give_gradients(mine, judge, rng)
            judge.step()
        saved = judge.state_dict()
        for p, q in zip(parameters(mine), parameters(judge), strict=True):
            p.data = cr.Tensor(q.detach().numpy())
        mine.load_state_dict(saved)
        for step in range(3):
            give_gradients(mine, judge, rng)
            mine.step()
            judge.step()
            if name not in ("ASGD", "NAdam"):
                same_parameters(mine, judge, f"{name} continued {step}")
