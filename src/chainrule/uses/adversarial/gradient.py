"""Attacks along the gradient, within a ball around each input: FGSM, BIM and PGD."""

from __future__ import annotations

from copy import copy
from typing import Any, Self, final

import numpy as np

from ...errors import ArgumentError, GradientError
from ...ops.random import Generator, rand, randn
from ..input_gradients import BATCH_SIZE, Array, Model
from .attack import Attack, Bounds, LossLike, length, per_sample, positive


class GradientAttack(Attack):
    """Steps along the gradient of a loss, each projected back into the ball and the bounds.

    x ← Π(x + α · d(∇ₓL(x, y))), where d(g) is sign(g) for "linf" and g/‖g‖₂ for "l2": the steepest
    direction of length one in that norm. With a target t, x ← Π(x − α · d(∇ₓL(x, t))).
    """

    def __init__(
        self,
        model: Model,
        eps: float,
        *,
        steps: int,
        step_size: float,
        random_start: bool,
        restarts: int = 1,
        norm: str = "linf",
        bounds: Bounds = (0.0, 1.0),
        loss: LossLike = "cross_entropy",
        batch_size: int = BATCH_SIZE,
        seed: int | None = None,
    ) -> None:
        super().__init__(model, norm=norm, bounds=bounds, loss=loss, batch_size=batch_size)
        if not isinstance(steps, int) or steps < 1 or restarts < 1:
            raise ArgumentError("an attack takes steps", got=f"steps={steps}, restarts={restarts}")
        self.eps = positive("eps", eps)
        self.steps = steps
        self.step_size = positive("step_size", step_size)
        self.random_start = random_start
        self.restarts = restarts
        self.generator = None if seed is None else Generator(seed)

    @property
    def radius(self) -> float | None:
        return self.eps

    def at(self, eps: float) -> Self:
        """The same attack with another ε, its steps in proportion, and what was compiled shared."""
        other = copy(self)
        other.eps = positive("eps", eps)
        other.step_size = self.step_size * eps / self.eps
        return other

    def perturb(self, x: Any, y: Any, target: Any = None) -> Array:
        """The best examples of all restarts. Raises GradientError if a gradient is not finite."""
        inputs = self.checked(x)
        labels = np.asarray(getattr(y, "array", y) if target is None else target)
        upward = 1.0 if target is None else -1.0
        found = _Best(inputs, labels, upward)
        for _ in range(self.restarts):
            point = self.started(inputs) if self.random_start else inputs
            for number in range(self.steps):
                passed = self.passes(point, labels)
                _check_finite(passed.gradients)
                if number:
                    found.look(point, passed.outputs, passed.values)
                step = upward * self.step_size * steepest(passed.gradients, self.norm)
                point = self.projected(point + step.astype(point.dtype), inputs)
            if self.steps == self.restarts == 1:
                return point  # the only one: nothing to compare it with
            found.look(point, *self.passes.values(point, labels))
        return found.points

    def started(self, x: Array) -> Array:
        """Points drawn uniformly from the balls around `x`, within the bounds."""
        if self.norm == "linf":
            drawn = rand(*x.shape, dtype=x.dtype, generator=self.generator).array
            return self.bounded(x + (2 * drawn - 1) * self.eps)
        drawn = randn(*x.shape, dtype=x.dtype, generator=self.generator).array
        radii = rand(len(x), dtype=x.dtype, generator=self.generator).array
        radii = self.eps * radii ** (1.0 / x[0].size)
        return self.bounded(x + per_sample(radii, x) * steepest(drawn, "l2"))

    def projected(self, point: Array, x: Array) -> Array:
        """The nearest points in the balls around `x`, then clipped to the bounds.

        Clipping moves each element towards x, which lies within the bounds, so no ball is left.
        """
        delta = point - x
        if self.norm == "linf":
            delta = np.clip(delta, -self.eps, self.eps)
        else:
            far = length(delta, "l2")
            delta = delta * per_sample(self.eps / np.maximum(far, self.eps), delta)
        return self.bounded(x + delta)


class _Best:
    """The best example of each sample seen so far: first one that succeeds, then by the loss."""

    def __init__(self, inputs: Array, labels: Array, upward: float) -> None:
        self.points = inputs.copy()
        self.labels = labels
        self.upward = upward
        self.won = np.zeros(len(inputs), np.bool_)
        self.losses = np.full(len(inputs), -np.inf)

    def look(self, points: Array, outputs: Array, losses: Array) -> None:
        """Keep what is better than before."""
        hit = outputs.argmax(1) == self.labels
        won = ~hit if self.upward > 0 else hit
        gained = self.upward * losses.astype(np.float64)
        better = (won & ~self.won) | ((won == self.won) & (gained > self.losses))
        self.points[better] = points[better]
        self.won |= better & won
        self.losses[better] = gained[better]


@final
class FGSM(GradientAttack):
    """The fast gradient sign method: one step, x + ε · sign(∇ₓL(x, y)), clipped to the bounds.

    With `random_start`, the step begins at a random point of the ball and is 1.25 ε long: what
    makes training with it work (E. Wong, L. Rice, J. Kolter 2020, arXiv:2001.03994, algorithm 3).
    For a linear model and "linf" the step is the best that there is: it changes wᵀx by ε‖w‖₁.
    Source: I. Goodfellow, J. Shlens, C. Szegedy 2015, arXiv:1412.6572, section 4.

    >>> attack = FGSM(lambda x: x @ tensor([[1.0, -1.0], [0.0, 2.0]]), eps=0.1, bounds=None)
    >>> attack.perturb(np.array([[0.0, 0.0]], np.float32), np.array([0]))
    array([[-0.1,  0.1]], dtype=float32)
    """

    name = "fgsm"

    def __init__(
        self,
        model: Model,
        eps: float,
        *,
        random_start: bool = False,
        step_size: float | None = None,
        **settings: Any,
    ) -> None:
        size = (1.25 * eps if random_start else eps) if step_size is None else step_size
        super().__init__(model, eps, steps=1, step_size=size, random_start=random_start, **settings)


@final
class BIM(GradientAttack):
    """The basic iterative method: FGSM in small steps, from the input itself.

    A step is 2.5 ε / steps long unless `step_size` says otherwise. The best point on the way is
    kept. Source: A. Kurakin, I. Goodfellow, S. Bengio 2017, arXiv:1607.02533, section 2.2.
    """

    name = "bim"

    def __init__(
        self,
        model: Model,
        eps: float,
        *,
        steps: int = 10,
        step_size: float | None = None,
        **settings: Any,
    ) -> None:
        size = 2.5 * eps / max(steps, 1) if step_size is None else step_size
        super().__init__(model, eps, steps=steps, step_size=size, random_start=False, **settings)


@final
class PGD(GradientAttack):
    """Projected gradient ascent from random points of the ball, the best of `restarts` of them.

    A step is 2.5 ε / steps long unless `step_size` says otherwise.
    Source: A. Madry, A. Makelov, L. Schmidt, D. Tsipras, A. Vladu 2018, arXiv:1706.06083,
    section 2.1.
    """

    name = "pgd"

    def __init__(
        self,
        model: Model,
        eps: float,
        *,
        steps: int = 40,
        step_size: float | None = None,
        random_start: bool = True,
        restarts: int = 1,
        **settings: Any,
    ) -> None:
        size = 2.5 * eps / max(steps, 1) if step_size is None else step_size
        super().__init__(
            model, eps, steps=steps, step_size=size, random_start=random_start,
            restarts=restarts, **settings,
        )  # fmt: skip


def _check_finite(slopes: Array) -> None:
    if not np.isfinite(slopes).all():
        bad = int(np.argmax(~np.isfinite(slopes.reshape(len(slopes), -1)).all(1)))
        raise GradientError("the gradient of the loss is not finite", got=f"sample {bad}")


def steepest(slopes: Array, norm: str) -> Array:
    """The direction of length one in which a linear function grows most; 0 where it is flat."""
    if norm == "linf":
        return np.sign(slopes)
    lengths = length(slopes, "l2")
    return slopes * per_sample(1.0 / np.where(lengths > 0, lengths, 1.0), slopes)
