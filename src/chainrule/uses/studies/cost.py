"""Backpropagation against a forward pass for each weight: "why backprop is efficient".

The finite difference of every weight takes a forward pass for each: (L(w + h eᵢ) − L(w)) / h.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final, final

import numpy as np

from ...nn import Flatten, Linear, Sequential, Tanh
from ...nn.functional import cross_entropy
from ...ops.random import manual_seed
from ..surface import Objective
from .chart import Axis, Curve, line_chart
from .study import Claim, Conclusion, Settings, Study, Tell
from .training import CLASSES, digits, number, seconds, slope

_BATCH: Final = 256
_WIDTHS: Final = (1, 4, 16, 64, 256, 1024)
_QUICK_WIDTHS: Final = (1, 2, 4)
_MOST_PASSES: Final = 20_000
_SAME: Final = 3.0
"""A backward pass of a third to three forward passes counts as "roughly the same": it computes two
products of a forward pass's size for each layer, dL/dW and dL/dx, so 2 is what to expect, and 1
for the first layer, which needs no dL/dx."""
_LEAST_FORWARD: Final = 1e-3
"""Seconds: passes that take less are mostly the overhead of a call, and tell nothing of the two."""


@final
@dataclass(frozen=True)
class Row:
    """A network of so many weights, and what its gradient costs in the two ways."""

    parameters: int
    forward_seconds: float
    gradient_seconds: float
    """Forward and backward together."""
    difference_seconds: float
    passes: int
    """Forward passes of the finite difference."""
    is_estimate: bool
    """Whether the passes were timed a few at a time, and multiplied, because there are too many."""
    disagreement: float
    """‖finite difference − gradient‖ / ‖gradient‖ over the weights that were shifted."""

    @property
    def backward(self) -> float:
        """What the backward pass costs, in forward passes."""
        return self.gradient_seconds / self.forward_seconds - 1

    @property
    def advantage(self) -> float:
        """How many times cheaper the gradient is by backpropagation."""
        return self.difference_seconds / self.gradient_seconds


def measure(settings: Settings, tell: Tell) -> Iterator[Row]:
    """A row for each width of the hidden layer, the narrow ones first."""
    widths = _QUICK_WIDTHS if settings.quick else _WIDTHS
    found = digits(settings, _BATCH, 1)
    for width in widths:
        tell(f"{width} hidden units")
        manual_seed(settings.seed)
        model = Sequential(
            Flatten(), Linear(784, width), Tanh(), Linear(width, width), Tanh(),
            Linear(width, CLASSES),
        ).double()  # fmt: skip
        objective = Objective(model, cross_entropy, found.images.double(), found.labels)
        yield _row(objective, settings)


def _row(objective: Objective, settings: Settings) -> Row:
    w, n = objective.start, objective.size
    _, gradient = objective.gradient(w)
    value = objective.value(w)
    repeats = 30 if settings.quick else 40
    forward, both = _least_seconds(
        [lambda: objective.value(w), lambda: objective.gradient(w)], repeats
    )
    is_estimate = n > _MOST_PASSES
    rng = np.random.default_rng(settings.seed)
    shifted = rng.choice(n, size=2000, replace=False) if is_estimate else np.arange(n)
    step, slopes, at = 1e-6, np.zeros(len(shifted)), w.copy()
    start = time.perf_counter()
    for k, i in enumerate(shifted):
        at[i] = w[i] + step
        slopes[k] = (objective.value(at) - value) / step
        at[i] = w[i]
    spent = time.perf_counter() - start
    exact = gradient[shifted]
    wrong = float(np.linalg.norm(slopes - exact) / (np.linalg.norm(exact) or 1.0))
    return Row(n, forward, both, spent * (n + 1) / len(shifted), n + 1, is_estimate, wrong)


def _least_seconds(calls: Sequence[Callable[[], Any]], repeats: int) -> list[float]:
    """The shortest time of each call; they take turns, so that a busy machine slows all alike."""
    best = [math.inf] * len(calls)
    for _ in range(repeats):
        for k, call in enumerate(calls):
            start = time.perf_counter()
            call()
            best[k] = min(best[k], time.perf_counter() - start)
    return best


def conclude(rows: Sequence[Row]) -> Conclusion:
    """What the rows say about document 002, "Why Backprop Is Efficient"."""
    rows = sorted(rows, key=lambda row: row.parameters)
    largest = rows[-1]
    long = [row for row in rows if row.forward_seconds >= _LEAST_FORWARD] or [largest]
    typical = median(row.backward for row in long)
    logs = [math.log(row.parameters) for row in rows]
    growth, _ = slope(logs, [math.log(row.advantage) for row in rows])
    is_same = 1 / _SAME <= typical <= _SAME
    grows = largest.advantage > rows[0].advantage and growth > 0.5
    agree = max(row.disagreement for row in rows)
    estimate = " (estimated from a part)" if largest.is_estimate else ""
    is_told = long[-1].forward_seconds >= _LEAST_FORWARD
    compared = (
        f"which is {'' if is_same else 'not '}roughly one"
        if is_told
        else ("for networks too small to tell")
    )
    sentence = (
        f"The backward pass of the larger networks costs {number(typical, 2)} forward passes, "
        f"{compared}, and for {largest.parameters:,} weights "
        f"backpropagation takes {seconds(largest.gradient_seconds)} where {largest.passes:,} "
        f"forward passes take {seconds(largest.difference_seconds)}{estimate}: "
        + (
            f"its advantage grows with the number of weights N, as N^{growth:.2f}, to "
            f"{number(largest.advantage)} times."
            if grows
            else f"its advantage does not grow with the number of weights (N^{growth:.2f})."
        )
    )
    return Conclusion(
        sentence,
        (
            Claim(
                "002, Why Backprop Is Efficient",
                "the backward pass has roughly the same computational cost as one forward pass",
                is_same if is_told else None,
                f"backward/forward {number(min(r.backward for r in long), 2)} … "
                f"{number(max(r.backward for r in long), 2)} where a forward pass takes "
                f"{seconds(long[0].forward_seconds)} or more; 1/{_SAME:g} to {_SAME:g} counts",
            ),
            Claim(
                "002, Why Backprop Is Efficient",
                "all N gradients in one backward pass instead of N forward passes",
                grows and agree < 1e-2,
                f"{number(rows[0].advantage)} times cheaper at {rows[0].parameters:,} weights, "
                f"{number(largest.advantage)} at {largest.parameters:,}; the two gradients differ "
                f"by {number(agree, 2)} at most",
            ),
            Claim(
                "002, Why Backprop Is Efficient",
                "with millions of weights, a forward pass for each is impossibly slow",
                None if largest.parameters < 100_000 else largest.difference_seconds > 60,
                f"one gradient of {largest.parameters:,} weights takes "
                f"{seconds(largest.difference_seconds)}",
            ),
        ),
    )


def draw(rows: Sequence[Row]) -> dict[str, str]:
    """The time of a forward pass, and of a gradient in the two ways, over the number of weights."""
    sizes = [float(row.parameters) for row in rows]
    ways = (
        ("forward pass", [row.forward_seconds for row in rows]),
        ("backpropagation", [row.gradient_seconds for row in rows]),
        ("N + 1 passes", [row.difference_seconds for row in rows]),
    )
    return {
        "cost": line_chart(
            "One gradient: by backpropagation, and by a forward pass for each weight",
            Axis("weights", log=True), Axis("seconds", log=True),
            [Curve(name, sizes, times) for name, times in ways],
        )
    }  # fmt: skip


STUDY: Final = Study(
    name="cost",
    question="What does a gradient cost, by backpropagation and by a forward pass for each weight?",
    parts=lambda settings: len(_QUICK_WIDTHS if settings.quick else _WIDTHS),
    measure=measure,
    columns=(
        ("weights", lambda row: f"{row.parameters:,}"),
        ("forward", lambda row: seconds(row.forward_seconds)),
        ("gradient", lambda row: seconds(row.gradient_seconds)),
        ("backward/forward", lambda row: f"{row.backward:.2f}"),
        ("N + 1 passes", lambda row: ("≈ " * row.is_estimate) + seconds(row.difference_seconds)),
        ("times cheaper", lambda row: number(row.advantage)),
        ("differ by", lambda row: number(row.disagreement, 2)),
    ),
    conclude=conclude,
    draw=draw,
)
