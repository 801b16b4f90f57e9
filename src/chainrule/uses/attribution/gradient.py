"""Attribution by gradients of the score with respect to the input."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.apply import warn
from ...core.aval import describe
from ...errors import ArgumentError, ShapeError
from ...ops.random import Generator, randn
from ..input_gradients import Array, Model
from .result import TOLERANCE, Attribution, Completeness
from .targets import Scores, Target


def saliency(model: Model | Scores, x: Any = None, target: Target = None) -> Attribution:
    """∂F/∂xᵢ: how fast the score changes with each element of the input.

    Source: K. Simonyan, A. Vedaldi, A. Zisserman 2013, arXiv:1312.6034, equation 4. Its picture is
    of the magnitudes.

    >>> saliency(lambda x: x @ tensor([[2.0], [-3.0]]), np.ones((1, 2), np.float32)).values
    array([[ 2., -3.]], dtype=float32)
    """
    scores = Scores.of(model, x, target)
    found = scores.gradients(scores.x, np.arange(len(scores.x)))
    return Attribution(
        "saliency", found.gradients, scores.x, found.values, scores.target, is_share=False
    )


def gradient_x_input(model: Model | Scores, x: Any = None, target: Target = None) -> Attribution:
    """xᵢ · ∂F/∂xᵢ: the first-order share of each element in the score.

    They add up to F(x) − F(0) for a linear model; ``completeness`` says how far they do so here.
    Source: A. Shrikumar, P. Greenside, A. Shcherbina, A. Kundaje 2016, arXiv:1605.01713.
    """
    scores = Scores.of(model, x, target)
    rows = np.arange(len(scores.x))
    found = scores.gradients(scores.x, rows)
    values = scores.x * found.gradients
    check = _completeness(
        values, found.values, scores.at(np.zeros_like(scores.x), rows), rows * 0 + 1, TOLERANCE
    )
    return Attribution(
        "gradient_x_input", values, scores.x, found.values, scores.target, is_share=True,
        completeness=check,
    )  # fmt: skip


def integrated_gradients(
    model: Model | Scores,
    x: Any = None,
    target: Target = None,
    *,
    baseline: Any = 0.0,
    tolerance: float = TOLERANCE,
    first_steps: int = 16,
    max_steps: int = 4096,
) -> Attribution:
    """(xᵢ − x′ᵢ) ∫₀¹ ∂F(x′ + α(x − x′))/∂xᵢ dα: gradients along the way from a baseline x′.

    They add up to F(x) − F(x′) (completeness, proposition 1), which tells whether the integral is
    exact enough: the number of steps, midpoints of equal parts of the way, is doubled for the
    samples whose relative residual is above `tolerance`. After `max_steps` a warning says that the
    attributions are not complete.

    `baseline` is a number, or an array of the shape of a sample or of the batch.
    Source: M. Sundararajan, A. Taly, Q. Yan 2017, arXiv:1703.01365, equations 1 and 3.

    Raises ArgumentError for a tolerance or numbers of steps that are not positive, ShapeError for a
    baseline of another shape.
    """
    if not tolerance > 0 or not 0 < first_steps <= max_steps:
        raise ArgumentError(
            "the tolerance and the numbers of steps must be positive, the first not the greater",
            got=f"tolerance={tolerance}, first_steps={first_steps}, max_steps={max_steps}",
        )
    scores = Scores.of(model, x, target)
    start = baseline_of(baseline, scores.x)
    rows = np.arange(len(scores.x))
    ends, starts = scores.at(scores.x, rows), scores.at(start, rows)
    values = np.zeros(scores.x.shape, np.float64)
    taken = np.zeros(len(rows), np.int64)
    steps = first_steps
    while True:
        for row in rows:
            slope = _mean_gradient(scores, start[row], int(row), steps)
            values[row] = (scores.x[row] - start[row]) * slope
            taken[row] = steps
        check = _completeness(values, ends, starts, taken, tolerance)
        rows = np.flatnonzero(check.residual > tolerance)
        if not rows.size or 2 * steps > max_steps:
            break
        steps *= 2
    if rows.size:
        warn(f"integrated gradients of {rows.size} samples are not complete: {check}")
    return Attribution(
        "integrated_gradients", values.astype(scores.x.dtype), scores.x, ends, scores.target,
        is_share=True, completeness=check,
        settings={"baseline": baseline if np.ndim(baseline) == 0 else "array"},
    )  # fmt: skip


def smoothgrad(
    model: Model | Scores,
    x: Any = None,
    target: Target = None,
    *,
    noise: float = 0.15,
    samples: int = 50,
    seed: int = 0,
) -> Attribution:
    """The mean of ∂F/∂x at `samples` noisy copies of the input.

    The noise is normal; its deviation is `noise` times the range of the input, max x − min x; the
    source recommends 10 to 20 %. Same seed, same numbers.
    Source: D. Smilkov, N. Thorat, B. Kim, F. Viégas, M. Wattenberg 2017, arXiv:1706.03825,
    section 3.

    Raises ArgumentError for negative noise or no samples.
    """
    if not noise >= 0 or samples < 1:
        raise ArgumentError(
            "SmoothGrad needs noise and samples", got=f"noise={noise}, samples={samples}"
        )
    scores = Scores.of(model, x, target)
    generator = Generator(seed)
    rows = np.arange(len(scores.x))
    values = np.zeros_like(scores.x)
    for row in rows:
        one = scores.x[row]
        deviation = noise * (one.max() - one.min())
        drawn = randn(samples, *one.shape, dtype=one.dtype, generator=generator).array
        found = scores.gradients(one + deviation * drawn, np.full(samples, row))
        values[row] = found.gradients.mean(0, dtype=np.float64)
    return Attribution(
        "smoothgrad", values, scores.x, scores.at(scores.x, rows), scores.target, is_share=False,
        settings={"noise": noise, "samples": samples, "seed": seed},
    )  # fmt: skip


def baseline_of(baseline: Any, x: Array) -> Array:
    """The baseline of each sample. Raises ShapeError for one of another shape."""
    array = np.asarray(getattr(baseline, "array", baseline), x.dtype)
    try:
        return np.ascontiguousarray(np.broadcast_to(array, x.shape))
    except ValueError as failure:
        raise ShapeError(
            "the baseline does not fit the inputs",
            expected=f"a number, or an array of shape {x.shape[1:]} or {x.shape}",
            got=describe(array),
        ) from failure


def _mean_gradient(scores: Scores, start: Array, row: int, steps: int) -> Array:
    """The mean gradient at the midpoints of `steps` equal parts of the way to a sample."""
    way = scores.x[row] - start
    alphas = ((np.arange(steps) + 0.5) / steps).astype(way.dtype)
    points = start + alphas.reshape(-1, *(1,) * way.ndim) * way
    found = scores.gradients(points, np.full(steps, row)).gradients
    mean: Array = found.mean(0, dtype=np.float64)
    return mean


def _completeness(
    values: Array, ends: Array, starts: Array, steps: Array, tolerance: float
) -> Completeness:
    end, start = ends.astype(np.float64), starts.astype(np.float64)
    total = values.reshape(len(values), -1).sum(1, dtype=np.float64)
    return Completeness(total, end - start, steps.copy(), np.abs(end) + np.abs(start), tolerance)
