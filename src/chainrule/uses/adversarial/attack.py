"""What all attacks share: a model, a ball in which inputs may move, and how well it went."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, final

import numpy as np

from ... import ops
from ...core.apply import warn
from ...core.aval import describe
from ...errors import ArgumentError, IndexRangeError, ShapeError
from ...nn.functional import cross_entropy
from ...nn.module import Module
from ...tensor import Tensor
from ..input_gradients import Array, InputGradients, Model

Bounds: TypeAlias = tuple[float, float] | None
"""The least and the greatest value of an input; None: any."""
LossLike: TypeAlias = str | Callable[[Tensor, Tensor], Tensor]
"""``cross_entropy``, ``margin``, or a function of logits and labels that gives (N,)."""

NORMS: Final = ("linf", "l2")


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    losses: Tensor = cross_entropy(logits, labels, reduction="none")
    return losses


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """max_{j≠y} zⱼ − z_y: positive where the class is not y. It does not saturate.

    Source: N. Carlini, D. Wagner 2017, arXiv:1608.04644, section IV.A, f₆ without its hinge.

    >>> margin(tensor([[1.0, 4.0, 2.0]]), tensor([1]))
    tensor([-2.])
    """
    own = ops.reshape(labels, (-1, 1)) == np.arange(logits.shape[1])
    others = ops.where(own, -math.inf, logits)
    found: Tensor = ops.amax(others, 1) - ops.sum(ops.where(own, logits, 0.0), 1)
    return found


_LOSSES: Final[dict[str, Callable[[Tensor, Tensor], Tensor]]] = {
    "cross_entropy": _cross_entropy,
    "margin": margin,
}


@final
@dataclass(frozen=True)
class Attacked:
    """N inputs, what an attack made of them, and what the model says to both."""

    method: str
    norm: str
    eps: float | None
    inputs: Array
    examples: Array
    labels: Array
    before: Array
    """Class of each input, shape (N,)."""
    after: Array
    """Class of each example, shape (N,)."""
    target: Array | None = None
    """The classes that the examples should have; None: any but the label."""

    @property
    def clean_accuracy(self) -> float:
        """Share of inputs that are classified right."""
        return float((self.before == self.labels).mean())

    @property
    def accuracy(self) -> float:
        """Share of examples that are classified right: robust accuracy."""
        return float((self.after == self.labels).mean())

    @property
    def success(self) -> Array:
        """Where the example has a wrong class, or the target's, shape (N,)."""
        wanted: Array = self.after != self.labels
        if self.target is not None:
            wanted = self.after == self.target
        return wanted

    @property
    def success_rate(self) -> float:
        """Share of successes among inputs that were classified right; NaN if none was."""
        right = self.before == self.labels
        return float(self.success[right].mean()) if right.any() else math.nan

    def distances(self, norm: str | None = None) -> Array:
        """How far each example is from its input, in the attack's norm or another, shape (N,)."""
        return length(self.examples - self.inputs, norm or self.norm)

    def to_json(self) -> dict[str, Any]:
        """The figures, without the examples."""
        far = self.distances()[self.success]
        return {
            "method": self.method, "norm": self.norm, "eps": self.eps,
            "samples": len(self.labels), "targeted": self.target is not None,
            "clean_accuracy": self.clean_accuracy, "robust_accuracy": self.accuracy,
            "success_rate": self.success_rate,
            "median_distance": float(np.median(far)) if far.size else math.nan,
        }  # fmt: skip

    def __repr__(self) -> str:
        eps = "" if self.eps is None else f" ε={self.eps:g}"
        return (
            f"Attacked({self.method} {self.norm}{eps}: accuracy {self.clean_accuracy:.1%} → "
            f"{self.accuracy:.1%} on {len(self.labels)} samples)"
        )


class Attack(ABC):
    """Base of attacks: ``attack(x, y)`` looks for inputs near x that are not classified as y.

    Parameters: `model`, a module or function from a batch to logits (N, classes); `norm`, "linf" or
    "l2"; `bounds` of inputs, which examples keep; `batch_size` of a pass. A model in training mode
    is attacked as it is, with a warning: dropout and batch statistics are then part of it.

    Raises ArgumentError for a norm that is not known, or bounds without room between them.
    """

    name = "attack"

    def __init__(
        self, model: Model, *, norm: str, bounds: Bounds, loss: LossLike, batch_size: int
    ) -> None:
        if norm not in NORMS:
            raise ArgumentError(
                "there is no such norm", expected=" or ".join(NORMS), got=repr(norm)
            )
        if bounds is not None and not bounds[0] < bounds[1]:
            raise ArgumentError("the bounds leave no room", got=str(bounds))
        if isinstance(loss, str) and loss not in _LOSSES:
            raise ArgumentError(
                "there is no such loss", expected=" or ".join(_LOSSES), got=repr(loss)
            )
        self.model = model
        self.norm = norm
        self.bounds = bounds
        self.loss = loss
        self.batch_size = batch_size
        objective = _LOSSES[loss] if isinstance(loss, str) else loss
        self.passes = InputGradients(model, objective, batch_size=batch_size)

    @property
    @abstractmethod
    def radius(self) -> float | None:
        """How far inputs may move; None for an attack that looks for the shortest way."""

    @abstractmethod
    def perturb(self, x: Any, y: Any, target: Any = None) -> Array:
        """Examples near `x`; with a `target`, they are to have that class."""

    def __call__(self, x: Any, y: Any, *, target: Any = None) -> Attacked:
        """Attack inputs `x` of classes `y`, one class for each, or one class as `target`.

        Raises ShapeError, ArgumentError or IndexRangeError for labels that are not classes, one for
        each input, and for inputs outside the bounds.
        """
        if isinstance(self.model, Module) and any(m.training for m in self.model.modules()):
            warn(
                "the model is in training mode: dropout and batch statistics are part of what is "
                "attacked, and hide what model.eval() would show"
            )
        inputs = self.checked(x)
        before = self.classes(inputs)
        labels = _labels(y, len(inputs), before.count)
        goal = None if target is None else _labels(target, len(inputs), before.count)
        examples = self.perturb(inputs, labels, goal)
        after = self.classes(examples).found
        return Attacked(
            self.name, self.norm, self.radius, inputs, examples, labels, before.found, after, goal
        )

    def checked(self, x: Any) -> Array:
        """The inputs as an array. Raises ArgumentError if some are outside the bounds."""
        inputs = self.passes.inputs(x)
        low, high = float(inputs.min()), float(inputs.max())
        if not math.isfinite(low + high):
            raise ArgumentError("the inputs are not finite", got=f"{low:g} … {high:g}")
        if self.bounds is not None and not self.bounds[0] <= low <= high <= self.bounds[1]:
            raise ArgumentError(
                "the inputs are outside their bounds",
                expected=f"{self.bounds[0]:g} … {self.bounds[1]:g}",
                got=f"{low:g} … {high:g}",
                hint="bounds=(low, high) names others, bounds=None none",
            )
        return inputs

    def classes(self, x: Array) -> Classes:
        """The class that the model gives each input."""
        logits = self.passes.values(x, np.zeros(len(x), np.int64))[0]
        if logits.ndim != 2 or logits.shape[1] < 2:
            raise ShapeError(
                "attacks are on classifiers",
                expected="logits of shape (N, classes), two or more",
                got=describe(logits),
            )
        if not np.isfinite(logits).all():
            raise ArgumentError(
                "the model's outputs are not finite", got=f"sample {_first_bad(logits)}"
            )
        return Classes(logits.argmax(1), logits.shape[1])

    def bounded(self, x: Array) -> Array:
        """Clipped to the bounds of inputs."""
        return x if self.bounds is None else np.clip(x, *self.bounds)


@final
@dataclass(frozen=True)
class Classes:
    """Classes found, and how many there are."""

    found: Array
    count: int


def length(delta: Array, norm: str) -> Array:
    """The norm of each sample of a batch, shape (N,)."""
    flat = delta.reshape(len(delta), -1)
    found: Array = np.abs(flat).max(1) if norm == "linf" else np.sqrt((flat * flat).sum(1))
    return found


def per_sample(values: Array, like: Array) -> Array:
    """Numbers, one for each sample, in a shape that combines with the batch's."""
    return values.reshape(-1, *(1,) * (like.ndim - 1))


def positive(name: str, value: float) -> float:
    """The number. Raises ArgumentError unless it is finite and positive."""
    if not 0 < value < math.inf:
        raise ArgumentError(f"{name} must be a positive number", got=f"{name}={value}")
    return float(value)


def _labels(y: Any, n: int, count: int) -> Array:
    labels = np.asarray(y.array if isinstance(y, Tensor) else y)
    if labels.dtype.kind not in "iu":
        raise ArgumentError("classes are integers", got=describe(labels))
    if labels.ndim == 0:
        labels = np.full(n, labels)
    if labels.shape != (n,):
        raise ShapeError("each input has one class", expected=f"{n} labels", got=describe(labels))
    if labels.min() < 0 or labels.max() >= count:
        raise IndexRangeError(
            "there is no such class", expected=f"0 … {count - 1}",
            got=str(labels[(labels < 0) | (labels >= count)][0]),
        )  # fmt: skip
    return labels.astype(np.int64)


def _first_bad(logits: Array) -> int:
    return int(np.argmax(~np.isfinite(logits).all(1)))
