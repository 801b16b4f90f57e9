"""Rates that are too low, and rates that are too high: gradient descent and the curvature.

On a quadratic with largest curvature λ, a full-batch step of rate η multiplies the error along the
steepest direction by 1 − ηλ, so it grows from η = 2/λ on. Networks hover there ("edge of
stability"): J. Cohen et al., "Gradient descent on neural networks typically occurs at the edge of
stability" (ICLR 2021).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, final

from ...errors import ArgumentError
from ...nn import Flatten, Linear, Sequential, Tanh
from ...nn.functional import cross_entropy
from ...ops.random import manual_seed
from ..surface import Objective, eigenvalues
from .chart import Axis, Curve, line_chart
from .study import Claim, Conclusion, Settings, Study, Tell
from .training import CLASSES, Descent, digits, number, scores

_RATES: Final = (0.001, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
_QUICK_RATES: Final = (0.001, 0.1, 10.0)
_CHANCE: Final = math.log(CLASSES)
_WHERE: Final = "002, Exploding Gradients"
_REMEDY: Final = "a lower learning rate is a remedy for divergence"


@final
@dataclass(frozen=True)
class Row:
    """Full-batch gradient descent at one rate, from the same start."""

    rate: float
    losses: tuple[float, ...]
    """Before each step."""
    loss: float
    """After the last; nan if it is not finite."""
    accuracy: float
    rising: float
    """The share of steps after which the loss was higher."""
    sharpness_before: float
    """The largest eigenvalue of the Hessian at the start."""
    sharpness_after: float
    """And at the end."""

    @property
    def stability_before(self) -> float:
        """Rate × sharpness at the start: a quadratic is stable below 2."""
        return self.rate * self.sharpness_before

    @property
    def stability_after(self) -> float:
        """Rate × sharpness at the end."""
        return self.rate * self.sharpness_after

    @property
    def is_diverged(self) -> bool:
        """Whether the loss ended above what it began with."""
        return not self.loss <= self.losses[0]


def _plan(settings: Settings) -> tuple[tuple[float, ...], int, int]:
    """Rates, images and steps."""
    return (_QUICK_RATES, 256, 60) if settings.quick else (_RATES, 1024, 400)


def measure(settings: Settings, tell: Tell) -> Iterator[Row]:
    """A row for each rate."""
    rates, images, steps = _plan(settings)
    data = digits(settings, images, 1000)
    manual_seed(settings.seed)
    model = Sequential(Flatten(), Linear(784, 32), Tanh(), Linear(32, CLASSES))
    initial = model.state_dict()
    objective = Objective(model, cross_entropy, data.images, data.labels, batch_size=images)
    before = _sharpness(objective, settings.seed)
    descent = Descent(model, rates[0])
    for rate in rates:
        tell(f"rate {rate:g}")
        model.load_state_dict(initial)
        descent.set_rate(rate)
        losses: list[float] = []
        for _ in range(steps):
            loss, _norm = descent.step(data.images, data.labels)
            losses.append(float(loss.item()))
            if not math.isfinite(losses[-1]):
                break
        last, _ = scores(model, data.images, data.labels)
        _, accuracy = scores(model, data.test_images, data.test_labels)
        path = [*losses, last]
        rising = sum(not b <= a for a, b in pairwise(path)) / len(losses)
        after = _sharpness(objective, settings.seed) if math.isfinite(last) else math.nan
        yield Row(rate, tuple(losses), last, accuracy, rising, before, after)


def _sharpness(objective: Objective, seed: int) -> float:
    try:
        return eigenvalues(objective, 1, seed=seed, tolerance=1e-2, most=60).values[0]
    except ArgumentError:  # the Hessian is not finite where the loss has grown too large
        return math.nan


def conclude(rows: Sequence[Row]) -> Conclusion:
    """What the rows say about document 002, "Exploding Gradients": a lower rate is a remedy."""
    rows = sorted(rows, key=lambda row: row.rate)
    begin = rows[0].losses[0]
    finite = [row for row in rows if not row.is_diverged]
    if not finite:
        sentence = (
            f"At every rate that was tried, from {rows[0].rate:g} on, the loss ends above the "
            f"{begin:.2f} that it began with: all of them are too high."
        )
        claim = Claim(_WHERE, _REMEDY, False, "no rate that was tried is low enough")
        return Conclusion(sentence, (claim,))
    best = min(finite, key=lambda row: row.loss)
    lowest = rows[0]
    sentence = (
        f"In {len(best.losses)} steps the rate {best.rate:g} brings the loss from {begin:.2f} to "
        f"{number(best.loss)}, {_slow(lowest, best)}, and {_high(rows)}; the curvature at the "
        f"start put the limit of a quadratic, 2/λ, at {number(2 / lowest.sharpness_before)}."
    )
    return Conclusion(sentence, (_lower_is_better(rows, best), _curvature_tells(rows)))


def _slow(lowest: Row, best: Row) -> str:
    """Whether the lowest rate is too low."""
    covered = (lowest.losses[0] - lowest.loss) / ((lowest.losses[0] - best.loss) or 1.0)
    if covered < 0.5:
        return f"{lowest.rate:g} is too low (it covers {covered:.0%} of the way)"
    return f"{lowest.rate:g}, the lowest, is not too low"


def _high(rows: Sequence[Row]) -> str:
    """From which rate on it is too high."""
    wild = [row for row in rows if row.is_diverged or row.rising > 0.1]
    if not wild:
        return f"{rows[-1].rate:g}, the highest, is not too high"
    effect = "ends above its start" if wild[0].is_diverged else "rises in many steps"
    return f"from {wild[0].rate:g} on the loss {effect}"


def _lower_is_better(rows: Sequence[Row], best: Row) -> Claim:
    diverged = [row.rate for row in rows if row.is_diverged]
    below = [rate for rate in diverged if rate < best.rate]
    listed = ", ".join(f"{rate:g}" for rate in diverged)
    return Claim(
        _WHERE,
        _REMEDY,
        not below if diverged else None,
        f"diverged: {listed or 'no rate'}; the best is {best.rate:g}, and of the lower ones "
        f"{len(below) or 'none'} diverged",
    )


def _curvature_tells(rows: Sequence[Row]) -> Claim:
    return Claim(
        "gradient descent on a quadratic",
        "the loss rises in some step exactly if rate × λ at the start is above 2",
        all((row.stability_before > 2) == (row.is_diverged or row.rising > 0) for row in rows),
        "; ".join(
            f"{row.rate:g}: {number(row.stability_before, 2)}, rises in {row.rising:.0%}"
            for row in rows
        ),
    )


def draw(rows: Sequence[Row]) -> dict[str, str]:
    """The loss over the steps, at each rate."""
    curves = [
        Curve(f"rate {row.rate:g}", list(range(len(row.losses))), row.losses)
        for row in sorted(rows, key=lambda row: row.rate)
    ]
    return {
        "learning-rate": line_chart(
            "Full-batch gradient descent at rates too low and too high",
            Axis("steps"), Axis("loss", log=True, high=10 * _CHANCE), curves,
            levels=[(_CHANCE, "chance")],
        )
    }  # fmt: skip


STUDY: Final = Study(
    name="learning-rate",
    question="Which rates are too low, which too high, and does the curvature tell beforehand?",
    parts=lambda settings: len(_plan(settings)[0]),
    measure=measure,
    columns=(
        ("rate", lambda row: f"{row.rate:g}"),
        ("loss", lambda row: number(row.loss)),
        ("accuracy", lambda row: f"{row.accuracy:.1%}"),
        ("steps that rise", lambda row: f"{row.rising:.0%}"),
        ("rate × λ at start", lambda row: number(row.stability_before)),
        ("at end", lambda row: number(row.stability_after)),
    ),
    conclude=conclude,
    draw=draw,
)
