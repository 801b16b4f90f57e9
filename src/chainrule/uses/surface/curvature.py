"""Sharpness: the extreme eigenvalues of the Hessian, and its trace, from products with vectors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from ...errors import ArgumentError
from .objective import Objective, Vector

_BREAKDOWN = 1e-10
"""A remainder so much smaller than the largest product is rounding."""


@final
@dataclass(frozen=True)
class Spectrum:
    """Eigenvalues of a Hessian, the largest first, with how far each may be off."""

    values: tuple[float, ...]
    bounds: tuple[float, ...]
    """‖H u − θ u‖ for each: an exact eigenvalue lies no farther from θ than this."""
    smallest: float
    """The least Ritz value: an upper bound of the least eigenvalue."""
    products: int
    """How many products with the Hessian it took."""


@final
@dataclass(frozen=True)
class Estimate:
    """A mean of samples, and its standard error."""

    value: float
    error: float
    samples: int


def eigenvalues(
    objective: Objective,
    count: int = 1,
    *,
    at: Vector | None = None,
    seed: int,
    tolerance: float = 1e-3,
    most: int = 200,
) -> Spectrum:
    """The `count` largest eigenvalues of the Hessian at `at` (default: where the model is).

    Lanczos's method with full reorthogonalisation, on products in the model's precision, summed in
    float64: C. Lanczos (1950); G. Golub and C. Van Loan, Matrix Computations, section 10.3. It ends
    when every bound is below `tolerance` times the largest eigenvalue in absolute value, or after
    `most` products. When the space of the start vector is used up, it goes on with a new one, so
    multiple eigenvalues are found too.

    Raises ArgumentError for a count that is not between 1 and the number of parameters, and for a
    Hessian that is not finite.
    """
    if not 1 <= count <= objective.size:
        raise ArgumentError(
            "a Hessian has as many eigenvalues as there are parameters",
            expected=f"a count from 1 to {objective.size}",
            got=str(count),
        )
    w = objective.start if at is None else at
    rng = np.random.default_rng(seed)
    most = max(count, min(most, objective.size))
    basis = np.zeros((0, objective.size))
    diagonal: list[float] = []
    beside: list[float] = []
    scale = 0.0
    q = _unit(rng.normal(size=objective.size))
    while True:
        basis = np.vstack([basis, q])
        product = _product(objective, w, q)
        diagonal.append(float(q @ product))
        rest = product - basis.T @ (basis @ product)
        rest -= basis.T @ (basis @ rest)  # once more: what rounding left
        length = float(np.linalg.norm(rest))
        scale = max(scale, float(np.linalg.norm(product)))
        if length <= _BREAKDOWN * scale:
            length = 0.0
        theta, bounds = _ritz(diagonal, beside, length)
        is_exact = len(diagonal) == objective.size
        found = theta[::-1][:count], bounds[::-1][:count]
        limit = tolerance * float(np.abs(theta).max())
        is_settled = length > 0 and len(theta) >= count and bool(np.all(found[1] <= limit))
        if is_settled or is_exact or len(diagonal) >= most:
            values, errors = (tuple(map(float, part)) for part in found)
            return Spectrum(values, errors, float(theta[0]), len(diagonal))
        if length == 0:
            fresh = rng.normal(size=objective.size)
            fresh -= basis.T @ (basis @ fresh)
            rest = fresh - basis.T @ (basis @ fresh)
        beside.append(length)
        q = _unit(rest)


def hessian_trace(
    objective: Objective, *, at: Vector | None = None, seed: int, samples: int = 32
) -> Estimate:
    """The sum of all eigenvalues of the Hessian: the mean of vᵀHv over vectors of random signs.

    M. Hutchinson, "A stochastic estimator of the trace of the influence matrix" (1990). Exact for a
    diagonal Hessian. Raises ArgumentError for fewer than two samples.
    """
    if samples < 2:
        raise ArgumentError("the error of a mean takes two samples or more", got=str(samples))
    w = objective.start if at is None else at
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(samples):
        v = rng.choice((-1.0, 1.0), size=objective.size)
        found.append(float(v @ _product(objective, w, v)))
    error = float(np.std(found, ddof=1)) / math.sqrt(samples)
    return Estimate(float(np.mean(found)), error, samples)


def dense_hessian(objective: Objective, *, at: Vector | None = None) -> NDArray[np.float64]:
    """The whole Hessian, a product with each unit vector: for small models, and to check others."""
    w = objective.start if at is None else at
    return np.stack([_product(objective, w, e) for e in np.eye(objective.size)])


def _product(objective: Objective, w: Vector, v: Vector) -> Vector:
    found = objective.product(w, v)
    if not np.all(np.isfinite(found)):
        raise ArgumentError(
            "the Hessian is not finite here",
            hint="the parameters or the loss overflowed: look at objective.value(w)",
        )
    return found


def _unit(v: Vector) -> Vector:
    return v / np.linalg.norm(v)


def _ritz(diagonal: list[float], beside: list[float], length: float) -> tuple[Vector, Vector]:
    """Eigenvalues of the tridiagonal matrix, rising, and the error bound of each."""
    matrix = np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1)
    theta, vectors = np.linalg.eigh(matrix)
    return theta, length * np.abs(vectors[-1])
