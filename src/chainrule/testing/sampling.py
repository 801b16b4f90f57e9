"""Arrays drawn as an op's samples ask: seeded, so that every run checks the same points."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..core.sampling import Draw, Sample
from ..errors import ArgumentError

Floats: TypeAlias = NDArray[np.floating[Any]]
Ints: TypeAlias = NDArray[np.integer[Any]]

_SPACING = 0.05


def draw(spec: Draw, rng: np.random.Generator) -> NDArray[Any]:
    """One read-only array as `spec` says: float64, int64 or bool.

    Read-only, so that an op that writes into its operands fails at once.

    >>> draw(Draw((2, 3), 0, 5, "int"), np.random.default_rng(0))
    array([[4, 3, 2],
           [1, 1, 0]])
    """
    kinds = {
        "float": _uniform,
        "int": _integers,
        "bool": _booleans,
        "distinct": _distinct,
        "regular": _regular,
        "definite": _definite,
    }
    if spec.kind not in kinds:
        raise ArgumentError("no such kind of draw", expected=", ".join(kinds), got=repr(spec.kind))
    array = np.asarray(kinds[spec.kind](spec, rng))
    array.flags.writeable = False
    return array


def draw_inputs(sample: Sample, rng: np.random.Generator) -> list[NDArray[Any]]:
    """One array per input of the sample's op."""
    return [draw(spec, rng) for spec in sample.inputs]


def direction(like: Floats, rng: np.random.Generator) -> Floats:
    """A random direction of the shape of `like`: no element is near zero, none hides an error."""
    signs = rng.integers(0, 2, like.shape) * 2 - 1
    return np.asarray(signs * rng.uniform(0.5, 1.5, like.shape), np.float64)


def _uniform(spec: Draw, rng: np.random.Generator) -> Floats:
    return np.asarray(rng.uniform(spec.low, spec.high, spec.shape))


def _integers(spec: Draw, rng: np.random.Generator) -> Ints:
    low, high = int(spec.low), int(spec.high)
    return np.asarray(rng.integers(low, max(high, low + 1), spec.shape))


def _booleans(spec: Draw, rng: np.random.Generator) -> NDArray[np.bool_]:
    return np.asarray(rng.integers(0, 2, spec.shape), np.bool_)


def _distinct(spec: Draw, rng: np.random.Generator) -> Floats:
    """A shuffled ladder over the range: neighbours are at least 0.05 apart.

    Too many elements for the range stretch the ladder beyond its upper end.
    """
    n = int(np.prod(spec.shape, dtype=np.int64))
    rung = max((spec.high - spec.low) / max(n, 1), 2 * _SPACING)
    ladder = spec.low + rung * (np.arange(n) + rng.uniform(0.25, 0.75, n))
    return np.asarray(rng.permutation(ladder).reshape(spec.shape))


def _regular(spec: Draw, rng: np.random.Generator) -> Floats:
    """U diag(s) Vᵀ with s evenly spread and random U and V with orthonormal columns."""
    *lead, m, n = spec.shape
    k = min(m, n)
    u, v = _orthonormal((*lead, m, k), rng), _orthonormal((*lead, n, k), rng)
    return np.asarray((u * np.linspace(spec.high, spec.low, k)) @ v.swapaxes(-1, -2))


def _definite(spec: Draw, rng: np.random.Generator) -> Floats:
    """V diag(w) Vᵀ with w evenly spread and a random orthogonal V."""
    v = _orthonormal(spec.shape, rng)
    made = (v * np.linspace(spec.high, spec.low, spec.shape[-1])) @ v.swapaxes(-1, -2)
    return np.asarray((made + made.swapaxes(-1, -2)) / 2)


def _orthonormal(shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    drawn = rng.standard_normal(shape)
    return np.asarray(np.linalg.qr(drawn)[0] if drawn.size else drawn)
