"""Gradient masking: signs that a model only hides its gradients, so that attacks by them fail.

Source: A. Athalye, N. Carlini, D. Wagner 2018, arXiv:1802.00420, section 3.1: the five behaviours
of models that obfuscate their gradients; and, as a sixth sign, gradients that are exactly zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Final, final

import numpy as np

from ...errors import ArgumentError
from ..input_gradients import Array, InputGradients, Model
from .attack import Bounds
from .gradient import BIM, FGSM, PGD, GradientAttack

LEAST: Final = 0.01
"""A share of the samples below which a difference does not count."""


@final
@dataclass(frozen=True)
class Sign:
    """One behaviour: whether it is seen, and the accuracies or shares that say so."""

    name: str
    seen: bool
    text: str
    evidence: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {"name": self.name, "seen": self.seen, "text": self.text, **self.evidence}


@final
@dataclass(frozen=True)
class Masking:
    """All signs looked for. One that is seen is a reason not to believe the robust accuracy."""

    signs: tuple[Sign, ...]
    not_tried: tuple[str, ...] = ()

    @property
    def is_suspected(self) -> bool:
        """Whether any sign is seen."""
        return any(sign.seen for sign in self.signs)

    def to_json(self) -> dict[str, Any]:
        """All signs with their figures."""
        return {
            "suspected": self.is_suspected, "signs": [sign.to_json() for sign in self.signs],
            "not_tried": list(self.not_tried),
        }  # fmt: skip

    def __str__(self) -> str:
        lines = [f"{'!' if sign.seen else '·'} {sign.text}" for sign in self.signs]
        lines += [f"  not tried: {name}" for name in self.not_tried]
        verdict = "gradients may be masked" if self.is_suspected else "no sign of masked gradients"
        return "\n".join([verdict, *lines])


def check_masking(
    model: Model,
    x: Any,
    y: Any,
    eps: float,
    *,
    norm: str = "linf",
    bounds: Bounds = (0.0, 1.0),
    steps: int = 20,
    draws: int = 100,
    surrogate: Model | None = None,
    seed: int = 0,
) -> Masking:
    """Look for signs that gradients are masked; only inputs that are classified right are used.

    `surrogate`, a model trained on the same data without the defence, is attacked in place of
    `model` to see whether its examples carry over; without one, that sign is not looked for.
    `draws` random points are tried for each input.

    Raises ArgumentError without bounds, and if no input is classified right.
    """
    if bounds is None:
        raise ArgumentError("an attack without a limit of ε still needs the bounds of inputs")
    shared: Any = {"norm": norm, "bounds": bounds}
    many = BIM(model, eps, steps=steps, **shared)
    one = FGSM(model, eps, **shared)
    one.passes = many.passes
    clean = one(x, y)
    right = clean.before == clean.labels
    if not right.any():
        raise ArgumentError("no input is classified right: there is nothing to attack")
    random = PGD(model, eps, steps=steps, seed=seed, **shared)
    random.passes = many.passes
    trial = _Trial(random, clean.inputs[right], clean.labels[right])
    by_one, by_many = trial.fooled(one), trial.fooled(many)
    whole = (bounds[1] - bounds[0]) * (1.0 if norm == "linf" else math.sqrt(clean.inputs[0].size))
    signs = [
        _zero_gradients(trial),
        _stronger(
            "one_step", "one step fools more than many", by_one, by_many, "one step", "many steps"
        ),
        _random(trial, by_many, draws),
        _unbounded(trial.fooled(random.at(whole))),
        _growing(trial, by_many, eps, whole),
    ]
    if surrogate is None:
        return Masking(tuple(signs), ("transfer from another model: no surrogate was given",))
    moved = BIM(surrogate, eps, steps=steps, **shared).perturb(trial.x, trial.y)
    carried = trial.wrong(moved)
    claim = "examples of another model fool more than its own"
    transfer = _stronger("transfer", claim, carried, by_many, "from the other", "its own")
    return Masking((*signs, transfer))


@final
class _Trial:
    """Inputs that are classified right, and attacks on them that share what was compiled."""

    def __init__(self, from_random: PGD, x: Array, y: Array) -> None:
        self.from_random = from_random
        self.passes: InputGradients = from_random.passes
        self.x = x
        self.y = y

    def wrong(self, points: Array) -> Array:
        """Where points are not classified as their labels."""
        found: Array = self.passes.values(points, self.y)[0].argmax(1) != self.y
        return found

    def fooled(self, attack: GradientAttack) -> Array:
        """Where an attack succeeds."""
        return self.wrong(attack.perturb(self.x, self.y))


def _zero_gradients(trial: _Trial) -> Sign:
    slopes = trial.passes(trial.x, trial.y).gradients
    share = float((slopes.reshape(len(slopes), -1) == 0).all(1).mean())
    return Sign(
        "zero_gradients", share >= LEAST,
        f"the gradient is exactly zero at {share:.1%} of the inputs", {"share": share},
    )  # fmt: skip


def _stronger(name: str, claim: str, a: Array, b: Array, a_name: str, b_name: str) -> Sign:
    """Whether attack `a` fools more than `b`: by 1 %, and by two deviations of pairs that differ.

    Source of the test: Q. McNemar 1947, Psychometrika 12, 153.
    """
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    ahead = (only_a - only_b) / len(a)
    seen = ahead >= LEAST and only_a - only_b > 2 * math.sqrt(only_a + only_b)
    rates = float(a.mean()), float(b.mean())
    told = claim if seen else f"not seen: {claim}"
    text = f"{told} ({a_name} {rates[0]:.1%}, {b_name} {rates[1]:.1%})"
    return Sign(name, seen, text, {"first": rates[0], "second": rates[1]})


def _random(trial: _Trial, by_gradient: Array, draws: int) -> Sign:
    """Random points in the ball, where the gradient found nothing."""
    left = np.flatnonzero(~by_gradient)
    found = np.zeros(len(left), np.bool_)
    for _ in range(draws):
        rows = left[~found]
        if not rows.size:
            break
        points = trial.from_random.started(trial.x[rows])
        classes = trial.passes.values(points, trial.y[rows])[0].argmax(1)
        found[~found] = classes != trial.y[rows]
    share = float(found.sum() / len(by_gradient))
    return Sign(
        "random_search", share >= LEAST,
        f"{draws} random points fool it at {share:.1%} of the inputs where gradients do not",
        {"share": share},
    )  # fmt: skip


def _unbounded(fooled: Array) -> Sign:
    left = float(1 - fooled.mean())
    return Sign(
        "unbounded", left >= LEAST,
        f"an attack without a limit of ε leaves {left:.1%} of the inputs right", {"left": left},
    )  # fmt: skip


def _growing(trial: _Trial, by_many: Array, eps: float, whole: float) -> Sign:
    """Whether a greater ε does not help, though there is something left to fool."""
    rates = [float(by_many.mean())]
    rates += [float(trial.fooled(trial.from_random.at(min(k * eps, whole))).mean()) for k in (2, 4)]
    seen = rates[0] < 1 - LEAST and rates[-1] < rates[0] + LEAST
    told = "a greater ε fools no more" if seen else "a greater ε fools more"
    text = f"{told} (ε: {rates[0]:.1%}, 2 ε: {rates[1]:.1%}, 4 ε: {rates[2]:.1%})"
    return Sign(
        "growing_eps", seen, text, dict(zip(("once", "twice", "fourfold"), rates, strict=True))
    )
