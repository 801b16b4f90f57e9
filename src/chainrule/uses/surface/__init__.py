"""The error surface of a network: its shape along lines and planes, its curvature, and the way
that training takes over it.

>>> model = cr.nn.Linear(3, 2)
>>> x, y = randn(32, 3), randint(0, 2, (32,))
>>> objective = Objective(model, cr.nn.functional.cross_entropy, x, y)
>>> top = eigenvalues(objective, 1, seed=0)
>>> bool(top.values[0] > 0), objective.size
(True, 8)
"""

from __future__ import annotations

from .curvature import Estimate, Spectrum, dense_hessian, eigenvalues, hessian_trace
from .directions import filter_normalized, random_direction
from .landscape import Line, Plane, loss_line, loss_plane
from .objective import Objective, Vector
from .trajectory import Projection, Trajectory, principal_plane

__all__ = [
    "Estimate",
    "Line",
    "Objective",
    "Plane",
    "Projection",
    "Spectrum",
    "Trajectory",
    "Vector",
    "dense_hessian",
    "eigenvalues",
    "filter_normalized",
    "hessian_trace",
    "loss_line",
    "loss_plane",
    "principal_plane",
    "random_direction",
]
