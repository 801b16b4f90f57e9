"""The way that training takes: parameters along it, and the plane in which most of it lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from ...errors import ArgumentError
from ...train.callbacks import Callback, Fit
from .objective import Objective, Vector


@final
class Trajectory(Callback):
    """Keeps the parameters before training and after every `every` steps: a callback of a fit.

    ``points`` are vectors as ``Objective.start`` gives them. Keep few: each holds a number for
    every parameter. Raises ArgumentError for less than one step.
    """

    def __init__(self, objective: Objective, every: int = 1) -> None:
        if every < 1:
            raise ArgumentError("a trajectory is kept every so many steps", got=f"every={every}")
        self.objective = objective
        self.every = every
        self.points: list[Vector] = []

    def on_fit_start(self, fit: Fit) -> None:
        self.points.append(self.objective.start)

    def on_step_end(self, fit: Fit) -> None:
        if fit.step % self.every == 0:
            self.points.append(self.objective.start)


@final
@dataclass(frozen=True)
class Projection:
    """A trajectory seen in the plane of its two main directions, through its last point."""

    center: Vector
    directions: tuple[Vector, Vector]
    """Of length 1, at right angles."""
    path: tuple[tuple[float, float], ...]
    """Where each point lies in the plane; the last at (0, 0)."""
    explained: tuple[float, float]
    """The share of the trajectory's squared distances that each direction holds."""


def principal_plane(points: Sequence[Vector]) -> Projection:
    """The plane through the last point in which a trajectory varies most.

    The directions are the first two right singular vectors of [w₀ − wₙ; …; wₙ₋₁ − wₙ]: H. Li et
    al., "Visualizing the loss landscape of neural nets" (NeurIPS 2018), section 7.2. Their signs
    are such that the first point has no negative coordinate.

    Raises ArgumentError for fewer than three points, and for points on one line.
    """
    if len(points) < 3:
        raise ArgumentError(
            "a trajectory of three points or more spans a plane", got=str(len(points))
        )
    center = np.asarray(points[-1], np.float64)
    moves = np.stack(points[:-1]) - center
    # By the small matrix of inner products: there are far fewer points than parameters.
    squares, places = np.linalg.eigh(moves @ moves.T)
    total = float(np.sum(np.maximum(squares, 0)))
    if not squares[-2] > 1e-12 * total:
        raise ArgumentError("the points of the trajectory lie on one line, which spans no plane")
    first = _towards(moves[0], moves.T @ places[:, -1])
    across = moves.T @ places[:, -2]
    second = _towards(moves[0], across - (first @ across) * first)
    path = [(float(m @ first), float(m @ second)) for m in moves]
    explained = float(squares[-1]) / total, float(squares[-2]) / total
    return Projection(center, (first, second), (*path, (0.0, 0.0)), explained)


def _towards(start: Vector, direction: Vector) -> Vector:
    """The direction or its opposite, whichever leads to where the start is, of length 1."""
    unit: Vector = direction / np.linalg.norm(direction)
    return unit if start @ unit >= 0 else -unit
