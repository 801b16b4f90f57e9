"""What the studies train on, and the compiled step with which they do."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, final

import numpy as np

from ...compile.step import Compiled
from ...data import MNIST, DataLoader, TensorDataset
from ...errors import DataError
from ...nn.functional import cross_entropy
from ...nn.module import Module
from ...nn.utils.clip_grad import clip_grad_norm_
from ...optim import SGD
from ...tensor import Tensor
from ...train.loop import evaluate
from .study import Settings

CLASSES = 10


class Digits(NamedTuple):
    """Images and labels, for training and for testing."""

    images: Tensor
    labels: Tensor
    test_images: Tensor
    test_labels: Tensor

    @property
    def test_error(self) -> float:
        """Standard error of an accuracy near 90 % on the test images."""
        return math.sqrt(0.9 * 0.1 / len(self.test_images))


def digits(settings: Settings, images: int, tests: int) -> Digits:
    """The first images of MNIST, found as ``MNIST`` finds them, or all if there are fewer.

    Raises DataError for images of another size than 28×28, and for fewer than 32.
    """
    training, test = MNIST.splits(root=settings.data)
    for part, name in ((training, "training"), (test, "test")):
        if part.images.shape[1:] != (1, 28, 28):
            raise DataError(
                f"the {name} images are not of the size that the networks take",
                expected="28×28", got="×".join(map(str, part.images.shape[2:])),
            )  # fmt: skip
    if len(training) < 32:
        raise DataError("a study takes 32 training images or more", got=str(len(training)))
    return Digits(
        training.images[:images], training.labels[:images], test.images[:tests], test.labels[:tests]
    )


@final
class Descent:
    """Gradient descent of cross-entropy by a compiled step: forward, backward, clip, update."""

    def __init__(
        self, model: Module, rate: float, *, momentum: float = 0.0, clip: float = math.inf
    ) -> None:
        self.model = model
        self.optimizer = SGD(model.parameters(), lr=rate, momentum=momentum)
        parameters = list(model.parameters())

        def step(x: Any, y: Any) -> Any:
            self.optimizer.zero_grad()
            loss = cross_entropy(model(x), y)
            loss.backward()
            norm = clip_grad_norm_(parameters, clip)
            self.optimizer.step()
            return loss, norm

        self.step = Compiled(step)

    @property
    def rate(self) -> float:
        """The size of its steps."""
        return float(self.optimizer.param_groups[0]["lr"])

    def set_rate(self, rate: float) -> None:
        """Take steps of another size from now on."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def memory(self, x: Tensor, y: Tensor) -> int:
        """Bytes of intermediate values in a step with these images; nothing changes.

        Raises ArgumentError if NumPy runs the step: its memory is not planned.
        """
        return self.step.profile(x, y, repeats=1).arena_bytes

    def epoch(
        self, x: Tensor, y: Tensor, size: int, *, seed: int, number: int,
        each: Callable[[], Any] | None = None,
    ) -> Epoch:  # fmt: skip
        """Take a step with each full batch of an order that depends on (seed, number) only.

        `each` is called after each step.
        """
        size = min(size, len(x))
        loader = DataLoader(TensorDataset(x, y), size, shuffle=True, drop_last=True, seed=seed)
        batches = loader.epoch(number)
        losses, norms, shortest = [], [], math.inf
        for images, labels in batches:
            start = time.perf_counter()
            loss, norm = self.step(images, labels)
            shortest = min(shortest, time.perf_counter() - start)
            losses.append(float(loss.item()))
            norms.append(float(norm.item()))
            if each is not None:
                each()
            if not math.isfinite(losses[-1]):
                break
        return Epoch(tuple(losses), tuple(norms), shortest)


class Epoch(NamedTuple):
    """What the steps of an epoch met: it ends early where the loss is not finite."""

    losses: tuple[float, ...]
    norms: tuple[float, ...]
    """Of the whole gradient, before it is clipped."""
    shortest: float
    """Seconds of the shortest step."""

    @property
    def is_finite(self) -> bool:
        """Whether all losses were."""
        return math.isfinite(self.losses[-1])


def scores(model: Module, x: Tensor, y: Tensor) -> tuple[float, float]:
    """Loss and accuracy in evaluation mode; the loss is nan if the outputs are not finite."""
    found = evaluate(model, cross_entropy, (x, y), "accuracy", batch_size=256)
    loss = found["loss"]
    return (loss if math.isfinite(loss) else math.nan), found["accuracy"]


def slope(xs: Sequence[float], ys: Sequence[float]) -> tuple[float, float]:
    """The slope of the line that fits best, and which share of the variance it explains.

    >>> slope([0.0, 1.0, 2.0], [1.0, 3.0, 5.0])
    (2.0, 1.0)
    """
    x, y = np.asarray(xs, np.float64), np.asarray(ys, np.float64)
    dx, dy = x - x.mean(), y - y.mean()
    spread, variance = float(dx @ dx), float(dy @ dy)
    if spread == 0:
        return math.nan, math.nan
    rise = float(dx @ dy) / spread
    explained = 1.0 if variance == 0 else 1 - float(np.sum((dy - rise * dx) ** 2)) / variance
    return rise, explained


def number(value: float, digits: int = 3) -> str:
    """A number for a table: short, and without an exponent where it reads without.

    >>> number(0.012345), number(123456.0), number(3e-12), number(float("nan"))
    ('0.0123', '123,456', '3e-12', 'nan')
    """
    if not math.isfinite(value) or value == 0:
        return f"{value:g}"
    if 100 <= abs(value) < 1e7:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def seconds(value: float) -> str:
    """A time with a unit that fits.

    >>> seconds(0.00012), seconds(0.25), seconds(90.0), seconds(7300.0)
    ('120 µs', '250 ms', '90.0 s', '2.0 h')
    """
    for limit, factor, unit in ((1e-3, 1e6, "µs"), (1.0, 1e3, "ms"), (600.0, 1.0, "s")):
        if value < limit:
            return f"{value * factor:.3g} {unit}" if unit != "s" else f"{value:.1f} s"
    return f"{value / 3600:.1f} h" if value < 3e5 else f"{value / 86400:,.0f} days"
