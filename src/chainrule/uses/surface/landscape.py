"""The loss along a line and over a plane through the space of parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from ...errors import ArgumentError
from .objective import Objective, Vector

Tell = Callable[[], Any]
"""Called after each point."""


def _silent() -> None: ...


@final
@dataclass(frozen=True)
class Line:
    """Losses at ``center + step · direction``, one for each step."""

    steps: tuple[float, ...]
    losses: tuple[float, ...]


@final
@dataclass(frozen=True)
class Plane:
    """Losses at ``center + x · first + y · second``: ``losses[j][i]`` is at ``xs[i], ys[j]``."""

    xs: tuple[float, ...]
    ys: tuple[float, ...]
    losses: tuple[tuple[float, ...], ...]


def loss_line(
    objective: Objective, center: Vector, direction: Vector, steps: Sequence[float],
    *, tell: Tell = _silent,
) -> Line:  # fmt: skip
    """The loss along a line through `center`.

    >>> model = cr.nn.Linear(1, 1, bias=False)
    >>> f = Objective(model, cr.nn.functional.mse_loss, ones(1, 1), zeros(1, 1))
    >>> loss_line(f, np.zeros(1), np.ones(1), [-1.0, 0.0, 2.0]).losses
    (1.0, 0.0, 4.0)
    """
    losses = []
    for step in steps:
        losses.append(objective.value(center + step * direction))
        tell()
    return Line(tuple(map(float, steps)), tuple(losses))


def loss_plane(
    objective: Objective, center: Vector, directions: tuple[Vector, Vector],
    xs: Sequence[float], ys: Sequence[float], *, tell: Tell = _silent,
) -> Plane:  # fmt: skip
    """The loss over the plane that two directions span through `center`.

    Raises ArgumentError for directions that span none.
    """
    first, second = directions
    lengths = np.linalg.norm(first), np.linalg.norm(second)
    if not all(lengths) or abs(first @ second) > (1 - 1e-9) * lengths[0] * lengths[1]:
        raise ArgumentError(
            "two directions that do not lie on one line span a plane",
            got=f"directions of length {lengths[0]:.3g} and {lengths[1]:.3g}",
        )
    rows = [
        loss_line(objective, center + y * second, first, xs, tell=tell).losses for y in ys
    ]  # fmt: skip
    return Plane(tuple(map(float, xs)), tuple(map(float, ys)), tuple(rows))
