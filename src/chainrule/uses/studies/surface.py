"""The error surface that training moves over: its shape, its curvature, and the path taken."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final, final

import numpy as np

from ...nn import Flatten, Linear, Sequential, Tanh
from ...nn.functional import cross_entropy
from ...ops.random import manual_seed
from ..surface import (
    Objective,
    Plane,
    Vector,
    eigenvalues,
    hessian_trace,
    loss_line,
    loss_plane,
    principal_plane,
    random_direction,
)
from .chart import Axis, Curve, heat_map, line_chart
from .study import Claim, Conclusion, Settings, Study, Tell
from .training import CLASSES, Descent, digits, number, scores

_RATE: Final = 0.1
_BATCH: Final = 64
_EIGENVALUES: Final = 3


@final
@dataclass(frozen=True)
class Row:
    """A point of the trajectory: how high, how curved, and what lies around it."""

    epoch: int
    parameters: int
    loss: float
    """On the training images."""
    accuracy: float
    """On the test images."""
    distance: float
    """‖w − w₀‖."""
    eigenvalues: tuple[float, ...]
    """The largest of the Hessian of the training loss."""
    bound: float
    """How far the largest may be off."""
    trace: float
    trace_error: float
    """Standard error of the trace."""
    steps: tuple[float, ...]
    profile: tuple[float, ...]
    """Losses along a filter-normalised random direction, at these steps from here."""
    path: tuple[tuple[float, float], ...] = ()
    """In the last row: the whole trajectory in the plane of its two main directions."""
    explained: tuple[float, float] = (math.nan, math.nan)
    """In the last row: the share of the trajectory that each of the two holds."""
    planes: tuple[Plane, ...] = ()
    """In the last row: the loss over that plane, and over one of two random directions."""


def _plan(settings: Settings) -> tuple[int, int, int, int]:
    """Images, epochs, points of a line, and of each side of a plane."""
    return (256, 3, 9, 9) if settings.quick else (2048, 20, 31, 25)


def measure(settings: Settings, tell: Tell) -> Iterator[Row]:
    """A row before training and after each epoch; the last one has the planes."""
    images, epochs, points, side = _plan(settings)
    data = digits(settings, images, 1000)
    manual_seed(settings.seed)
    model = Sequential(Flatten(), Linear(784, 32), Tanh(), Linear(32, CLASSES))
    objective = Objective(model, cross_entropy, data.images, data.labels)
    descent = Descent(model, _RATE)
    path = [objective.start]
    for epoch in range(epochs + 1):
        tell(f"epoch {epoch}")
        if epoch:
            done = descent.epoch(
                data.images, data.labels, _BATCH, seed=settings.seed, number=epoch,
                each=lambda: path.append(objective.start),
            )  # fmt: skip
            assert done.is_finite, "the rate is one at which this network learns"
        row = _row(objective, epoch, path[0], points, settings.seed)
        accuracy = scores(model, data.test_images, data.test_labels)[1]
        row = replace(row, accuracy=accuracy)
        yield row if epoch < epochs else _surrounded(row, objective, path, side, settings.seed)


def _row(objective: Objective, epoch: int, origin: Vector, points: int, seed: int) -> Row:
    w = objective.start
    top = eigenvalues(objective, _EIGENVALUES, seed=seed, tolerance=1e-2, most=80)
    trace = hessian_trace(objective, seed=seed, samples=16)
    steps = np.linspace(-1, 1, points)
    line = loss_line(objective, w, random_direction(objective, w, seed=seed), list(steps))
    return Row(
        epoch, objective.size, objective.value(w), math.nan, float(np.linalg.norm(w - origin)),
        top.values, top.bounds[0], trace.value, trace.error, line.steps, line.losses,
    )  # fmt: skip


def _surrounded(
    row: Row, objective: Objective, path: Sequence[Vector], side: int, seed: int
) -> Row:
    """The last row, with the trajectory and the planes through its end."""
    seen = principal_plane(path)
    along, up = (np.array([place[k] for place in seen.path]) for k in (0, 1))
    planes = [loss_plane(objective, seen.center, seen.directions, _grid(along, side),
                         _grid(up, side))]  # fmt: skip
    first, second = (random_direction(objective, path[-1], seed=seed + k) for k in (0, 1))
    steps = list(np.linspace(-1, 1, side))
    planes.append(loss_plane(objective, path[-1], (first, second), steps, steps))
    return replace(row, path=seen.path, explained=seen.explained, planes=tuple(planes))


def _grid(places: Vector, side: int) -> list[float]:
    """Positions that reach a quarter of the range beyond the places."""
    margin = 0.25 * float(places.max() - places.min())
    return list(np.linspace(places.min() - margin, places.max() + margin, side))


def conclude(rows: Sequence[Row]) -> Conclusion:
    """What the rows say about document 000, "Clarifying the Intuition"."""
    first, last = rows[0], rows[-1]
    falls = last.loss < first.loss
    share = sum(last.explained)
    flatter = last.eigenvalues[0] < first.eigenvalues[0]
    spread = last.trace / last.eigenvalues[0] if last.eigenvalues[0] > 0 else math.nan
    sentence = (
        f"Over {len(rows) - 1} epochs the loss {'falls' if falls else 'does not fall'}, from "
        f"{number(first.loss)} to {number(last.loss)}, and {share:.1%} of its way "
        f"lies in one plane; the largest eigenvalue of the Hessian goes from "
        f"{number(first.eigenvalues[0])} to {number(last.eigenvalues[0])}, so the surface becomes "
        f"{'flatter' if flatter else 'sharper'}, and its trace there is that of "
        f"{number(spread, 2)} such directions among {last.parameters:,}."
    )
    downhill = [b.loss < a.loss for a, b in pairwise(rows)]
    centre = (len(last.profile) - 1) // 2
    lowest = last.profile[centre] <= min(last.profile)
    return Conclusion(
        sentence,
        (
            Claim(
                "000, Clarifying the Intuition",
                "gradient descent steers movement along the error surface, downwards",
                all(downhill), f"{sum(downhill)} of {len(downhill)} epochs end lower",
            ),
            Claim(
                "000, Clarifying the Intuition",
                "training seeks the loss minimum: the end lies lowest in what surrounds it",
                falls and lowest,
                f"{number(last.profile[centre])} at the end, {number(min(last.profile))} … "
                f"{number(max(last.profile))} along a random line through it",
            ),
        ),
    )  # fmt: skip


def draw(rows: Sequence[Row]) -> dict[str, str]:
    """The path over the surface, the surface along random directions, lines, and curvature."""
    last = rows[-1]
    chosen = [rows[round(k * (len(rows) - 1) / 3)] for k in range(4)] if len(rows) > 3 else rows
    pictures = {
        "surface-lines": line_chart(
            "Loss along a filter-normalised random direction",
            Axis("step"), Axis("loss", log=True),
            [Curve(f"epoch {row.epoch}", row.steps, row.profile) for row in chosen],
        ),
        "surface-sharpness": line_chart(
            "Largest eigenvalues of the Hessian",
            Axis("epoch"), Axis("eigenvalue", log=True),
            [
                Curve(f"λ{k + 1}", [r.epoch for r in rows], [r.eigenvalues[k] for r in rows])
                for k in range(len(last.eigenvalues))
            ]
            + [Curve("trace", [r.epoch for r in rows], [r.trace for r in rows])],
            levels=[(2 / _RATE, "2 / rate")],
        ),
    }  # fmt: skip
    titles = (
        ("surface", "surface-random"),
        (
            "The path of training, in the plane of its main directions",
            "The surface along two random directions",
        ),
    )
    for name, title, plane, path in zip(*titles, last.planes, (last.path, ()), strict=False):
        pictures[name] = heat_map(
            title, Axis("first direction"), Axis("second direction"), plane.xs, plane.ys,
            plane.losses, label="loss", path=path,
        )  # fmt: skip
    return pictures


STUDY: Final = Study(
    name="surface",
    question="Which way does training take over the error surface, and how curved is it there?",
    parts=lambda settings: _plan(settings)[1] + 1,
    measure=measure,
    columns=(
        ("epoch", lambda row: str(row.epoch)),
        ("loss", lambda row: number(row.loss)),
        ("accuracy", lambda row: f"{row.accuracy:.1%}"),
        ("distance", lambda row: number(row.distance)),
        ("λ₁", lambda row: number(row.eigenvalues[0])),
        ("λ₂", lambda row: number(row.eigenvalues[1])),
        ("λ₃", lambda row: number(row.eigenvalues[2])),
        ("trace", lambda row: f"{number(row.trace)} ± {number(row.trace_error, 1)}"),
    ),
    conclude=conclude,
    draw=draw,
)
