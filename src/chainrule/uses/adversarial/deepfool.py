"""DeepFool: the shortest way to another class, by linear steps."""

from __future__ import annotations

from typing import Any, final

import numpy as np

from ... import ops
from ...errors import ArgumentError
from ...tensor import Tensor
from ..input_gradients import BATCH_SIZE, Array, InputGradients, Model
from .attack import Attack, Bounds, length, per_sample


@final
class DeepFool(Attack):
    """Steps to the nearest of the model's linearised class boundaries, until the class changes.

    With k̂ the class of x, wₖ = ∇zₖ − ∇z_k̂ and fₖ = zₖ − z_k̂, the nearest boundary is that of
    l = argminₖ |fₖ| / ‖wₖ‖₂, and the step to it |f_l| / ‖w_l‖₂² · w_l ("linf": |f_l| / ‖w_l‖₁ ·
    sign(w_l)). The sum of the steps is lengthened by `overshoot`. Of the model's classes, the
    `classes` with the greatest logits at x are looked at. Elements at their bounds do not move out
    of them. The labels play no part.
    Source: S. Moosavi-Dezfooli, A. Fawzi, P. Frossard 2016, arXiv:1511.04599, algorithm 2 and,
    for "linf", equations 11 and 12.

    It finds the distance by itself, so it has no ε; ``Attacked.distances()`` gives it, and is exact
    for a linear model, up to the overshoot. It cannot aim at a target.
    """

    name = "deepfool"

    def __init__(
        self,
        model: Model,
        *,
        steps: int = 50,
        overshoot: float = 0.02,
        classes: int = 10,
        norm: str = "l2",
        bounds: Bounds = (0.0, 1.0),
        batch_size: int = BATCH_SIZE,
    ) -> None:
        super().__init__(model, norm=norm, bounds=bounds, loss="margin", batch_size=batch_size)
        if steps < 1 or classes < 2 or not overshoot >= 0:
            raise ArgumentError(
                "DeepFool takes steps between two classes or more",
                got=f"steps={steps}, classes={classes}, overshoot={overshoot}",
            )
        self.steps = steps
        self.overshoot = overshoot
        self.candidates = classes
        self._logit = InputGradients(model, _logit, batch_size=batch_size)

    @property
    def radius(self) -> float | None:
        return None

    def perturb(self, x: Any, y: Any = None, target: Any = None) -> Array:
        """Examples of another class than `x` has. Raises ArgumentError for a target."""
        if target is not None:
            raise ArgumentError(
                "DeepFool goes to the nearest class and takes no target", hint="PGD takes one"
            )
        inputs = self.checked(x)
        logits = self._logit.values(inputs, np.zeros(len(inputs), np.int64))[0]
        order = np.argsort(-logits, 1, kind="stable")[:, : self.candidates]
        moved = np.zeros(inputs.shape, np.float64)
        examples = inputs.copy()
        rows = np.arange(len(inputs))
        for _ in range(self.steps):
            step, crossed = self._step(examples[rows], order[rows])
            rows, step = rows[~crossed], step[~crossed]
            if not rows.size:
                break
            moved[rows] = self.bounded(inputs[rows] + moved[rows] + step) - inputs[rows]
            longer = inputs[rows] + (1 + self.overshoot) * moved[rows]
            examples[rows] = self.bounded(longer.astype(inputs.dtype))
        return examples

    def _step(self, x: Array, order: Array) -> tuple[Array, Array]:
        """The step of each sample to its nearest boundary, and whether it is already beyond one."""
        own = self._logit(x, order[:, 0])
        nearest = np.full(len(x), np.inf)
        step = np.zeros(x.shape, np.float64)
        for k in range(1, order.shape[1]):
            other = self._logit(x, order[:, k])
            normal = self._free(x, (other.gradients - own.gradients).astype(np.float64))
            gap = np.abs(other.values - own.values).astype(np.float64)
            steep = length(normal, "l2") if self.norm == "l2" else _sum_of_magnitudes(normal)
            distance = np.where(steep > 0, gap / np.maximum(steep, 1e-300), np.inf)
            closer = distance < nearest
            nearest[closer] = distance[closer]
            direction = normal / per_sample(np.maximum(steep, 1e-300), normal)
            if self.norm == "linf":
                direction = np.sign(normal)
            step[closer] = (per_sample(distance, normal) * direction)[closer]
        return step, own.outputs.argmax(1) != order[:, 0]

    def _free(self, x: Array, normal: Array) -> Array:
        """A direction without the elements that it would push out of the bounds."""
        if self.bounds is None:
            return normal
        low, high = self.bounds
        stuck = ((x <= low) & (normal < 0)) | ((x >= high) & (normal > 0))
        return np.where(stuck, 0.0, normal)


def _logit(logits: Tensor, chosen: Tensor) -> Tensor:
    """One logit of each sample."""
    found: Tensor = ops.sum(ops.take_along_dim(logits, ops.reshape(chosen, (-1, 1)), 1), 1)
    return found


def _sum_of_magnitudes(normal: Array) -> Array:
    found: Array = np.abs(normal).reshape(len(normal), -1).sum(1)
    return found
