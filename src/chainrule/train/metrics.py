"""Metrics: how good predictions are, exactly over all samples and not as a mean of batch means."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias, final

import numpy as np

from ..core.aval import describe
from ..errors import ArgumentError, ShapeError
from ..tensor import Tensor

MetricLike: TypeAlias = "str | Metric"


class Metric(ABC):
    """A number that is gathered batch by batch. Subclasses give ``update`` and ``reset``.

    `total` over `count` is the value: a sum over the samples so far, and how many they are.
    """

    name = "metric"

    def __init__(self) -> None:
        self.total = 0.0
        self.count = 0

    @abstractmethod
    def update(self, outputs: Tensor, targets: Tensor) -> None:
        """Take note of one batch."""

    def reset(self) -> None:
        """Forget all batches."""
        self.total, self.count = 0.0, 0

    def compute(self) -> float:
        """The metric over all batches since ``reset``; NaN without any sample."""
        return self.total / self.count if self.count else float("nan")


@final
class MeanLoss(Metric):
    """The mean over samples of a loss that is itself a mean over each batch."""

    name = "loss"

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        """`outputs` is the loss of a batch; the length of `targets` is its weight."""
        self.add(float(outputs.item()), len(targets))

    def add(self, loss: float, samples: int) -> None:
        """Take note of the mean loss of so many samples."""
        self.total += loss * samples
        self.count += samples


@final
class Accuracy(Metric):
    """Fraction of targets that are predicted right.

    Outputs (N, C, …) are scores of C classes for targets (N, …). Outputs of the targets' own shape,
    or with one column more, are predictions of 0 or 1: above `threshold` means 1 (0.5 suits
    probabilities, 0.0 suits logits).
    """

    name = "accuracy"

    def __init__(self, threshold: float = 0.5) -> None:
        super().__init__()
        self.threshold = threshold

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        scores, truth = outputs.array, targets.array
        if scores.shape in (truth.shape, (*truth.shape, 1)):
            right = (scores.reshape(truth.shape) > self.threshold) == (truth > 0.5)
        else:
            _check_classes(outputs, targets)
            right = scores.argmax(axis=1) == truth
        self.total += int(np.count_nonzero(right))
        self.count += right.size


@final
class TopK(Metric):
    """Fraction of targets among the k classes of the highest scores.

    Of equal scores, those of the lower classes rank first.
    """

    def __init__(self, k: int = 5) -> None:
        super().__init__()
        self.k = k
        self.name = f"top{k}"

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        _check_classes(outputs, targets)
        scores, truth = outputs.array, targets.array[:, np.newaxis]
        own = np.take_along_axis(scores, truth, axis=1)
        classes = np.arange(scores.shape[1]).reshape(1, -1, *[1] * (scores.ndim - 2))
        better = (scores > own) | ((scores == own) & (classes < truth))
        self.total += int(np.count_nonzero(better.sum(axis=1) < self.k))
        self.count += truth.size


def accuracy(outputs: Tensor, targets: Tensor) -> float:
    """Fraction of targets that are predicted right, see Accuracy.

    >>> accuracy(tensor([[0.1, 0.9], [0.8, 0.2]]), tensor([1, 1]))
    0.5
    """
    return _of_one_batch(Accuracy(), outputs, targets)


def top_k_accuracy(outputs: Tensor, targets: Tensor, k: int = 5) -> float:
    """Fraction of targets among the k highest scores, see TopK.

    >>> top_k_accuracy(tensor([[0.1, 0.6, 0.3], [0.8, 0.1, 0.1]]), tensor([2, 2]), k=2)
    0.5
    """
    return _of_one_batch(TopK(k), outputs, targets)


def _of_one_batch(metric: Metric, outputs: Tensor, targets: Tensor) -> float:
    metric.update(outputs, targets)
    return metric.compute()


def _check_classes(outputs: Tensor, targets: Tensor) -> None:
    wanted = (outputs.shape[0], *outputs.shape[2:]) if outputs.ndim >= 2 else None
    if targets.shape != wanted or targets.dtype.kind not in "iu":
        raise ShapeError(
            "accuracy cannot compare outputs and targets",
            expected="scores (N, C, …) and integer classes (N, …)",
            got=f"{describe(outputs)}   {describe(targets)}",
        )


_BY_NAME: Final[dict[str, Callable[[], Metric]]] = {"accuracy": Accuracy, "top5": TopK}


def make_metrics(wanted: MetricLike | Sequence[MetricLike]) -> list[Metric]:
    """Metrics from metrics and from names. Raises ArgumentError for an unknown or repeated name."""
    metrics: list[Metric] = []
    for want in [wanted] if isinstance(wanted, (str, Metric)) else wanted:
        if isinstance(want, Metric):
            metrics.append(want)
        elif want in _BY_NAME:
            metrics.append(_BY_NAME[want]())
        else:
            raise ArgumentError("no such metric", expected=", ".join(_BY_NAME), got=str(want))
    names = ["loss", *[metric.name for metric in metrics]]
    for name in names:
        if names.count(name) > 1:
            raise ArgumentError("two metrics have one name", got=name)
    return metrics
