"""How much a Jacobian makes of a vector at most, and typically, without ever forming it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np

Vector = Any
"""An array of float64 of one axis."""

_STEPS: Final = 24
"""Of the Lanczos process; the largest singular value has long settled by then."""
_SETTLED: Final = 1e-7
_EXACT: Final = 32
"""Up to so many rows or columns, the norm is computed from all of them, else from probes."""
_PROBES: Final = 16


class Gain(NamedTuple):
    """Singular values of a Jacobian of `rows` × `columns`."""

    largest: float
    typical: float
    """Root mean square: ‖J‖_F / √min(rows, columns)."""
    uncertainty: float
    """Of the typical one: its standard error if it was estimated, 0 if it is exact."""
    rows: int
    columns: int


def gain(
    forward: Callable[[Vector], Vector],
    backward: Callable[[Vector], Vector],
    rows: int,
    columns: int,
) -> Gain:
    """The gain of J from v ↦ J v and u ↦ Jᵀ u.

    The largest singular value by Golub and Kahan's bidiagonalisation with full reorthogonalisation
    ("Calculating the singular values and pseudo-inverse of a matrix", 1965); the Frobenius norm
    exactly if J is small, else by Hutchinson's estimate E ‖J z‖², z = ±1 ("A stochastic estimator
    of the trace of the influence matrix", 1989).

    >>> a = np.array([[3.0, 0.0], [0.0, 4.0], [0.0, 0.0]])
    >>> g = gain(lambda v: a @ v, lambda u: a.T @ u, 3, 2)
    >>> f"{g.largest:.6f} {g.typical**2:.6f}"
    '4.000000 12.500000'
    """
    if not rows or not columns:
        return Gain(0.0, 0.0, 0.0, rows, columns)
    rng = np.random.default_rng(0)
    largest = _largest(forward, backward, columns, rng)
    rank = min(rows, columns)
    if rank <= _EXACT:
        apply_, size = (backward, rows) if rows <= columns else (forward, columns)
        square = sum(float(np.sum(np.square(apply_(row)))) for row in np.eye(size))
        return Gain(largest, float(np.sqrt(square / rank)), 0.0, rows, columns)
    probes = [
        float(np.sum(np.square(forward(rng.choice((-1.0, 1.0), columns))))) for _ in range(_PROBES)
    ]
    mean, spread = float(np.mean(probes)), float(np.std(probes, ddof=1)) / np.sqrt(_PROBES)
    typical = float(np.sqrt(mean / rank))
    return Gain(
        largest, typical, float(typical * spread / (2 * mean)) if mean else 0.0, rows, columns
    )


def diagonal_gain(diagonal: Vector) -> Gain:
    """The gain of a diagonal Jacobian, exactly."""
    size = diagonal.size
    if not size:
        return Gain(0.0, 0.0, 0.0, 0, 0)
    largest = float(np.max(np.abs(diagonal)))
    return Gain(largest, float(np.linalg.norm(diagonal) / np.sqrt(size)), 0.0, size, size)


def _largest(
    forward: Callable[[Vector], Vector],
    backward: Callable[[Vector], Vector],
    columns: int,
    rng: np.random.Generator,
) -> float:
    v = rng.normal(size=columns)
    v /= np.linalg.norm(v)
    right, left = [v], list[Vector]()
    alphas, betas = list[float](), list[float]()
    before = 0.0
    for _ in range(min(_STEPS, columns)):
        u = forward(right[-1])
        if left:
            u = u - betas[-1] * left[-1]
        u = _orthogonal(u, left)
        alpha = float(np.linalg.norm(u))
        alphas.append(alpha)
        found = _bidiagonal(alphas, betas)
        if alpha == 0 or abs(found - before) <= _SETTLED * found:
            return found
        before = found
        left.append(u / alpha)
        w = _orthogonal(backward(left[-1]) - alpha * right[-1], right)
        beta = float(np.linalg.norm(w))
        if beta <= 1e-14 * found:
            return found
        betas.append(beta)
        right.append(w / beta)
    return _bidiagonal(alphas, betas)


def _orthogonal(x: Vector, basis: list[Vector]) -> Vector:
    for b in basis:
        x = x - np.dot(b, x) * b
    return x


def _bidiagonal(alphas: list[float], betas: list[float]) -> float:
    """The largest singular value of the matrix with these two diagonals."""
    n = len(alphas)
    matrix = np.diag(alphas) + np.diag(betas[: n - 1], 1)
    return float(np.linalg.svd(matrix, compute_uv=False)[0])
