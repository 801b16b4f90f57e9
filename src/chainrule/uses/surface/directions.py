"""Directions in the space of parameters whose lengths mean the same in every network."""

from __future__ import annotations

import math

import numpy as np

from ...errors import ShapeError
from .objective import Objective, Vector


def random_direction(objective: Objective, center: Vector, *, seed: int) -> Vector:
    """A filter-normalised direction with normally distributed elements; see filter_normalized."""
    direction = np.random.default_rng(seed).normal(size=objective.size)
    return filter_normalized(objective, center, direction)


def filter_normalized(objective: Objective, center: Vector, direction: Vector) -> Vector:
    """`direction` with each filter scaled to the norm that the same filter has in `center`.

    d ← d ‖w‖ / ‖d‖, where a filter is what computes one output: a row of a dense layer's weight, a
    channel of a convolution's. So a step of length 1 changes every filter by its own size, and
    networks whose layers are scaled against one another, which compute the same, look the same.
    Biases and the factors and offsets of normalisations stay where they are: their directions are
    zeros. H. Li et al., "Visualizing the loss landscape of neural nets" (NeurIPS 2018), section 4.

    >>> model = cr.nn.Linear(2, 2)
    >>> objective = Objective(model, cr.nn.functional.mse_loss, ones(1, 2), ones(1, 2))
    >>> filter_normalized(objective, np.array([3, 4, 6, 8, 1, 1.0]), np.ones(6))
    array([3.53553391, 3.53553391, 7.07106781, 7.07106781, 0.        , 0.        ])
    """
    if center.shape != (objective.size,) or direction.shape != (objective.size,):
        raise ShapeError(
            "center and direction have an element for each parameter",
            expected=f"({objective.size},)",
            got=f"{center.shape} and {direction.shape}",
        )
    scaled, begin = np.zeros(objective.size), 0
    for shape in objective.shapes:
        end = begin + math.prod(shape)
        if len(shape) > 1 and end > begin:
            filters = direction[begin:end].reshape(shape[0], -1)
            wanted = np.linalg.norm(center[begin:end].reshape(shape[0], -1), axis=1, keepdims=True)
            found = np.linalg.norm(filters, axis=1, keepdims=True)
            scale = np.divide(wanted, found, out=np.zeros_like(found), where=found > 0)
            scaled[begin:end] = (filters * scale).ravel()
        begin = end
    return scaled
