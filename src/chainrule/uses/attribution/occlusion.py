"""Occlusion: how far the score falls when a part of the input is covered. No gradient is used."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, NamedTuple, final

import numpy as np

from ...errors import ArgumentError
from ..input_gradients import Array, Model
from .gradient import baseline_of
from .result import Attribution
from .targets import Scores, Target


@final
class Drops(NamedTuple):
    """What covering each of W windows does to the score of each of N samples."""

    windows: list[tuple[slice, ...]]
    """Places in a sample."""
    drops: Array
    """F(x) − F(x with the window covered), shape (N, W)."""
    changed: Array
    """Whether covering changes the input at all, shape (N, W)."""


def occlusion(
    model: Model | Scores,
    x: Any = None,
    target: Target = None,
    *,
    window: int | Sequence[int] | None = None,
    stride: int | Sequence[int] | None = None,
    baseline: Any = 0.0,
) -> Attribution:
    """The mean drop of the score over the windows that cover an element.

    `window` is the shape of the part of a sample that is set to `baseline`, or one number for all
    its axes; without, an image (channels, height, width) is covered by squares of a seventh of its
    sides, in all channels, and other inputs by a thirty-second of each axis, at least one element.
    It moves by `stride`, without it by half a window.
    Source: M. Zeiler, R. Fergus 2014, arXiv:1311.2901, section 4.2.

    Raises ArgumentError for a window or stride that does not fit the input.
    """
    scores = Scores.of(model, x, target)
    found = occlusion_drops(scores, window=window, stride=stride, baseline=baseline)
    values = np.zeros(scores.x.shape, np.float64)
    covered = np.zeros(scores.x.shape[1:], np.int64)
    for i, place in enumerate(found.windows):
        values[(slice(None), *place)] += found.drops[:, i].reshape(-1, *(1,) * covered.ndim)
        covered[place] += 1
    rows = np.arange(len(scores.x))
    sizes = [place.stop - place.start for place in found.windows[0]]
    return Attribution(
        "occlusion", (values / covered).astype(scores.x.dtype), scores.x,
        scores.at(scores.x, rows), scores.target, is_share=True, settings={"window": sizes},
    )  # fmt: skip


def occlusion_drops(
    scores: Scores, *, window: Any = None, stride: Any = None, baseline: Any = 0.0
) -> Drops:
    """Cover every window of every sample, and see how far the score falls; see ``occlusion``."""
    shape = scores.x.shape[1:]
    sizes = _per_axis("window", _default_window(shape) if window is None else window, shape)
    halves = tuple([max(1, size // 2) for size in sizes])
    strides = _per_axis("stride", halves if stride is None else stride, shape)
    windows = [tuple(place) for place in product(*map(_starts, shape, sizes, strides))]
    cover = baseline_of(baseline, scores.x)
    rows = np.arange(len(scores.x))
    before = scores.at(scores.x, rows).astype(np.float64)
    drops = np.zeros((len(rows), len(windows)))
    changed = np.zeros(drops.shape, np.bool_)
    for row, part in product(rows, _parts(len(windows), scores.batch_size)):
        points = np.repeat(scores.x[row][np.newaxis], len(part), 0)
        for k, i in enumerate(part):
            points[(k, *windows[i])] = cover[row][windows[i]]
        drops[row, part] = before[row] - scores.at(points, np.full(len(part), row))
        differs = points != scores.x[row]
        changed[row, part] = differs.reshape(len(part), -1).any(1)
    return Drops(windows, drops, changed)


def agreement(attribution: Attribution, found: Drops) -> Array:
    """Spearman's rank correlation of attributions with what covering does, for each sample.

    Of each window that changes the input, the attributions within are added up and compared with
    the drop; of sensitivities and drops, the magnitudes. NaN where either does not vary.
    Source: M. Ancona, E. Ceolini, C. Öztireli, M. Gross 2018, arXiv:1711.06104, section 4.3
    (there with Pearson's correlation and random sets).
    """
    values = np.broadcast_to(attribution.values, attribution.inputs.shape).astype(np.float64)
    drops = found.drops
    if not attribution.is_share:
        values, drops = np.abs(values), np.abs(drops)
    sums = np.stack(
        [values[(slice(None), *w)].reshape(len(values), -1).sum(1) for w in found.windows], 1
    )
    return np.array([
        rank_correlation(s[kept], d[kept])
        for s, d, kept in zip(sums, drops, found.changed, strict=True)
    ])  # fmt: skip


def rank_correlation(a: Any, b: Any) -> float:
    """Spearman's: the correlation of ranks, equal numbers sharing theirs. NaN if one is constant.

    >>> rank_correlation([1, 2, 3, 4], [1, 8, 27, 64]), rank_correlation([1, 2], [5, 4])
    (1.0, -1.0)
    """
    first, second = (_ranks(np.asarray(v)) for v in (a, b))
    first, second = first - first.mean(), second - second.mean()
    scale = math.sqrt(float((first * first).sum() * (second * second).sum()))
    return round(float((first * second).sum()) / scale, 12) if scale else math.nan


def _ranks(values: Array) -> Array:
    if not values.size:
        return np.zeros(1)
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Array = (np.cumsum(counts) - (counts - 1) / 2)[places]
    return ranks


def _default_window(shape: tuple[int, ...]) -> tuple[int, ...]:
    if len(shape) == 3:
        return (shape[0], *(max(1, n // 7) for n in shape[1:]))
    return tuple([max(1, n // 32) for n in shape])


def _per_axis(name: str, sizes: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    found = (sizes,) * len(shape) if isinstance(sizes, int) else tuple(sizes)
    if len(found) != len(shape) or any(not 1 <= k <= n for k, n in zip(found, shape, strict=True)):
        raise ArgumentError(
            f"the {name} does not fit the input",
            expected=f"a number, or one for each axis of {shape}, from 1 to its length",
            got=str(sizes),
        )
    return found


def _starts(length: int, size: int, stride: int) -> list[slice]:
    """Windows along an axis; the last one ends where the axis ends."""
    starts = [*range(0, length - size, stride), length - size]
    return [slice(start, start + size) for start in starts]


def _parts(n: int, size: int) -> Iterator[Array]:
    for start in range(0, n, size):
        yield np.arange(start, min(start + size, n))
