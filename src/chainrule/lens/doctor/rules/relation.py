"""Whether targets depend on inputs at all, by methods that need no training."""

from __future__ import annotations

from typing import Any

import numpy as np

_FEATURES = 400
_WIDEST = 4000
"""Columns of a table of inputs, at most."""


def foretold(x: Any, y: Any, classes: bool) -> dict[str, tuple[float, float, float]]:
    """How well inputs tell targets, by method: score, that of chance, and its standard deviation.

    x (n, ...) numbers, or whole numbers for tokens; y (n, k). The score is the share of classes
    told, or else the correlation with the target. Methods: the nearest neighbour; a line, and one
    through random rectified features, fitted to one half of the samples and judged on the other;
    both also from totals, extremes and spreads over positions.
    """
    table = _table(x)
    wanted = _one_hot(y) if classes else y - y.mean(axis=0)
    guesses = {"neighbours": wanted[_nearest(table)], "a_line": _halves(table, wanted)}
    guesses["random_features"] = _halves(_rectified(table), wanted)
    if x.ndim > 2 and x.dtype.kind == "f":
        pooled = _standard(_pooled(x.astype(np.float64)))
        guesses["totals"] = _halves(pooled, wanted)
        guesses["features_of_totals"] = _halves(_rectified(pooled), wanted)
    elif x.dtype.kind == "f":
        guesses["totals"] = _halves(_rectified(_standard(_moments(table))), wanted)
    told = {name: _score(guess, wanted, classes) for name, guess in guesses.items()}
    score, chance, spread = told["neighbours"]
    told["neighbours"] = score, chance, spread * 2**0.5  # of two neighbours, each tells the other
    return told


def is_order(x: Any, y: Any) -> bool:
    """Whether numbers of neighbours that differ are nearer to each other than any two that do.

    So it is with amounts; with names for kinds, one is as near as another.
    """
    y = y.ravel()
    apart = np.abs(y - y[_nearest(_table(x))])
    pairs = np.abs(y[:, None] - y[None])
    return bool((apart > 0).sum() >= 30 and apart[apart > 0].mean() < 0.8 * pairs[pairs > 0].mean())


def _table(x: Any) -> Any:
    table = _tokens(x) if x.dtype.kind in "iu" else x.reshape(len(x), -1).astype(np.float64)
    return _standard(table[:, :_WIDEST])


def _score(guess: Any, wanted: Any, classes: bool) -> tuple[float, float, float]:
    n = len(wanted)
    if not classes:
        norm = float(np.linalg.norm(guess) * np.linalg.norm(wanted))
        return (float((guess * wanted).sum()) / norm if norm > 0 else 0.0), 0.0, n**-0.5
    told, true = guess.argmax(axis=1), wanted.argmax(axis=1)
    count = wanted.shape[1]
    chance = float((np.bincount(told, minlength=count) * np.bincount(true, minlength=count)).sum())
    chance /= n * n
    return float((told == true).mean()), chance, float(np.sqrt(chance * (1 - chance) / n))


def _tokens(x: Any) -> Any:
    """How often each token occurs, and which one stands where, if that is not too wide."""
    flat = x.reshape(len(x), -1)
    values, places = np.unique(flat, return_inverse=True)
    places = places.reshape(flat.shape)
    ones = (places[:, :, None] == np.arange(min(len(values), _WIDEST))).astype(np.float64)
    counts = ones.sum(axis=1)
    at = ones.reshape(len(x), -1)
    return np.concatenate([counts, at], axis=1) if at.shape[1] <= _WIDEST else counts


def _pooled(x: Any) -> Any:
    """Statistics over the positions of images or sequences, with channels first and with last."""
    parts = []
    for z in (x.reshape(len(x), x.shape[1], -1), np.moveaxis(x, -1, 1).reshape(
            len(x), x.shape[-1], -1)):  # fmt: skip
        steps = np.diff(z, axis=2) if z.shape[2] > 1 else z
        parts += [z.mean(2), z.std(2), z.max(2), z.min(2), (steps * steps).mean(2)]
    return np.concatenate(parts, axis=1)[:, :_WIDEST]


def _moments(x: Any) -> Any:
    return np.stack([x.mean(1), x.std(1), x.max(1), x.min(1)], axis=1)


def _standard(x: Any) -> Any:
    scale = x.std(axis=0)
    return (x - x.mean(axis=0)) / np.where(scale > 1e-12, scale, 1.0)


def _rectified(x: Any) -> Any:
    random = np.random.default_rng(0)
    weights = random.standard_normal((x.shape[1], _FEATURES)) / np.sqrt(x.shape[1])
    return _standard(np.maximum(x @ weights + random.standard_normal(_FEATURES), 0.0))


def _halves(x: Any, wanted: Any) -> Any:
    """What a ridge regression on one half of the samples says of the other, both ways."""
    guess = np.empty_like(wanted)
    first = np.arange(len(x)) % 2 == 0
    for train in (first, ~first):
        a, b = x[train], wanted[train]
        centre = b.mean(axis=0)
        kernel = a @ a.T
        kernel[np.diag_indices_from(kernel)] += 0.1 * np.trace(kernel) / len(a) + 1e-9
        guess[~train] = x[~train] @ (a.T @ np.linalg.solve(kernel, b - centre)) + centre
    return guess


def _nearest(x: Any) -> Any:
    squares = (x * x).sum(axis=1)
    distance = squares[:, None] + squares[None] - 2 * x @ x.T
    np.fill_diagonal(distance, np.inf)
    return distance.argmin(axis=1)


def _one_hot(y: Any) -> Any:
    return (y == np.unique(y)[None]).astype(np.float64)
