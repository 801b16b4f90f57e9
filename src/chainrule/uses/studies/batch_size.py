"""How many images to a step: the noise of the gradient, time, memory and accuracy.

The noise of a batch's gradient g is E‖g − ∇L‖² / ‖∇L‖². For batches of size B drawn without
replacement from N samples it is tr Σ / ‖∇L‖² · (N − B) / (B (N − 1)), with the covariance Σ of the
gradients of single samples; at B = tr Σ / ‖∇L‖² noise and signal are about equal ("simple noise
scale": S. McCandlish et al., "An empirical model of large-batch training", 2018).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, final

import numpy as np

from ...autodiff import value_and_grad
from ...compile.step import Compiled
from ...nn import Module
from ...nn.functional import cross_entropy
from ...nn.networks import mnist_cnn
from ...nn.stateless import functional_call
from ...ops.random import manual_seed
from ..surface import Objective, Vector
from .chart import Axis, Curve, line_chart
from .study import Claim, Conclusion, Settings, Study, Tell
from .training import Descent, Digits, digits, number, scores, seconds, slope

_MINI: Final = range(32, 257)
"""What document 001 calls a mini-batch."""


@final
@dataclass(frozen=True)
class Row:
    """One size of batch: its gradients where training has gone for a pass, and a whole training."""

    size: int
    images: int
    """In a pass over the training images."""
    noise: float
    """Mean ‖g − ∇L‖² / ‖∇L‖² of batches drawn at random."""
    cosine: float
    """Mean of the cosine of the angle between g and ∇L."""
    expected_noise: float
    """What the noise of single samples predicts for this size."""
    rate: float
    """The best of the rates that were tried, by the loss on the training images."""
    seconds: float
    """Of the steps of a pass: as many as it has, times the shortest that was met, so that what
    else the machine does counts little."""
    memory: int
    """Bytes of intermediate values in a compiled training step."""
    loss: float
    accuracy: float
    """On the test images, after all passes."""
    tests: int
    """How many test images there were."""
    curve: tuple[float, ...]
    """The accuracy after each pass."""

    @property
    def error(self) -> float:
        """Standard error of the accuracy."""
        return math.sqrt(max(self.accuracy * (1 - self.accuracy), 1e-4) / self.tests)


def _plan(settings: Settings) -> tuple[tuple[int, ...], tuple[float, ...], int, int]:
    """Sizes (0: all images), rates, images and passes."""
    if settings.quick:
        return (1, 32, 0), (0.03,), 256, 1
    return (1, 32, 64, 128, 256, 0), (0.01, 0.03, 0.1, 0.3), 4096, 5


def measure(settings: Settings, tell: Tell) -> Iterator[Row]:
    """A row for each size, the full batch last."""
    sizes, rates, images, passes = _plan(settings)
    data = digits(settings, images, 1000)
    tell("gradients of many batches")
    batches = _Batches(_trained_a_little(data, settings.seed), data, settings.seed)
    for size in dict.fromkeys(min(size or len(data.images), len(data.images)) for size in sizes):
        noise, cosine = batches.noise(size)
        manual_seed(settings.seed)
        descent = Descent(mnist_cnn(), rates[0])
        initial = descent.model.state_dict()
        memory = descent.memory(data.images[:size], data.labels[:size])
        found = []
        for rate in rates:
            tell(f"size {size}, rate {rate:g}")
            descent.model.load_state_dict(initial)
            descent.set_rate(rate)
            manual_seed(settings.seed)
            found.append(_training(descent, data, size, passes, settings.seed))
        best = min(found, key=lambda one: one.rank)
        spent = min(one.shortest for one in found) * (len(data.images) // size)
        yield Row(
            size, len(data.images), noise, cosine, batches.expected(size), best.rate, spent,
            memory, best.loss, best.curve[-1], len(data.test_images), best.curve,
        )  # fmt: skip


class _Trained(NamedTuple):
    """A whole training at one rate."""

    rate: float
    loss: float
    """On the training images; nan if it is not finite."""
    curve: tuple[float, ...]
    """Test accuracy after each pass."""
    shortest: float
    """Seconds of the shortest step."""

    @property
    def rank(self) -> float:
        """The loss, or inf."""
        return self.loss if math.isfinite(self.loss) else math.inf


def _training(descent: Descent, data: Digits, size: int, passes: int, seed: int) -> _Trained:
    curve, shortest, rate = [], math.inf, descent.rate
    for number_of_pass in range(passes):
        done = descent.epoch(data.images, data.labels, size, seed=seed, number=number_of_pass)
        shortest = min(shortest, done.shortest)
        curve.append(scores(descent.model, data.test_images, data.test_labels)[1])
        if not done.is_finite:
            return _Trained(rate, math.nan, tuple(curve), shortest)
    loss, _ = scores(descent.model, data.images, data.labels)
    return _Trained(rate, loss, tuple(curve), shortest)


def _trained_a_little(data: Digits, seed: int) -> Module:
    """The network after a pass with 32 images a step."""
    manual_seed(seed)
    descent = Descent(mnist_cnn(), 0.05)
    descent.epoch(data.images, data.labels, 32, seed=seed, number=0)
    return descent.model.eval()


class _Batches:
    """Gradients of random batches at one place, and of all images."""

    def __init__(self, model: Module, data: Digits, seed: int) -> None:
        self._data = data
        self._rng = np.random.default_rng(seed)
        objective = Objective(model, cross_entropy, data.images, data.labels)
        self._names = objective.names
        self._at = objective.split(objective.start)
        _, self._whole = objective.gradient(objective.start)

        def value(w: Any, x: Any, y: Any) -> Any:
            return cross_entropy(functional_call(model, w, (x,)), y)

        self._both = Compiled(lambda w, x, y: value_and_grad(value)(w, x, y))
        self._single, _ = self.noise(1)

    def noise(self, size: int) -> tuple[float, float]:
        """Mean ‖g − ∇L‖² / ‖∇L‖² and mean cosine, of batches without replacement."""
        n, total = len(self._data.images), _inner(self._whole, self._whole)
        if size == n:
            return 0.0, 1.0
        found = []
        for picks in self._picks(size):
            _, named = self._both(self._at, self._data.images[picks], self._data.labels[picks])
            g = np.concatenate([named[k].array.ravel() for k in self._names]).astype(np.float64)
            off = g - self._whole
            length = math.sqrt(_inner(g, g) * total) or 1.0
            found.append((_inner(off, off) / total, _inner(g, self._whole) / length))
        noises, cosines = zip(*found, strict=True)
        return float(np.mean(noises)), float(np.mean(cosines))

    def _picks(self, size: int) -> Iterator[Any]:
        """Each image once for batches of one, else many random batches."""
        n = len(self._data.images)
        if size == 1:
            return iter(np.arange(n).reshape(n, 1))
        draws = max(32, min(256, 4096 // size))
        return (self._rng.choice(n, size=size, replace=False) for _ in range(draws))

    def expected(self, size: int) -> float:
        """What the noise of single images predicts for so many, drawn without replacement."""
        n = len(self._data.images)
        return self._single * (n - size) / (size * (n - 1))


def _inner(a: Vector, b: Vector) -> float:
    """⟨a, b⟩ without BLAS, whose threads spin and take the processor from the compiled step."""
    return float(np.sum(a * b))


def conclude(rows: Sequence[Row]) -> Conclusion:
    """What the rows say about document 001, exercise 2."""
    rows = sorted(rows, key=lambda row: row.size)
    single, full = rows[0], rows[-1]
    mini = [row for row in rows if row.size in _MINI and row is not full]
    best = max(mini, key=lambda row: (row.accuracy, -row.size))
    power, _ = slope(
        [math.log(row.size) for row in rows[:-1]], [math.log(row.noise) for row in rows[:-1]]
    )
    gap = 2 * math.hypot(best.error, single.error)
    accurate = best.accuracy >= single.accuracy - gap
    better = best.accuracy > full.accuracy + 2 * math.hypot(best.error, full.error)
    faster = best.seconds < single.seconds
    lighter = best.memory < full.memory / 2
    is_best = accurate and better and faster and lighter
    passes = len(best.curve)
    sentence = (
        f"After {passes} pass{'es' * (passes > 1)} over {full.images:,} images, batches of "
        f"{best.size} read {best.accuracy:.1%} of the test images, where single images reach "
        f"{single.accuracy:.1%} and the full batch {full.accuracy:.1%}; a pass takes "
        f"{seconds(best.seconds)} against {seconds(single.seconds)} with single images, a step "
        f"{best.memory / 2**20:,.1f} MiB against {full.memory / 2**20:,.1f} with the full batch, "
        f"and the noise of the gradient goes as size^{power:.2f}: the mini-batch "
        f"{'is' if is_best else 'is not'} the best of both worlds here."
    )
    return Conclusion(sentence, _claims(single, full, best, (accurate, better, faster, lighter)))


def _claims(
    single: Row, full: Row, best: Row, merits: tuple[bool, bool, bool, bool]
) -> tuple[Claim, ...]:
    where = "001, Exercise 2"
    accurate, better, faster, lighter = merits
    wanting = [
        word
        for word, holds in (
            ("as accurate as single images", accurate), ("more accurate than the full batch",
             better), ("faster than single images", faster), ("lighter than the full batch",
             lighter),
        )
        if not holds
    ]  # fmt: skip
    return (
        Claim(
            where, "a batch of 1 has noisy gradients", single.noise > 1,
            f"noise {number(single.noise, 2)} times the signal, cosine {single.cosine:.2f}; at "
            f"{best.size}: {number(best.noise, 2)}, cosine {best.cosine:.2f}",
        ),
        Claim(
            where, "the full batch is accurate", full.noise < 0.01 * best.noise,
            f"its gradient is that of the training loss; yet it takes one step in a pass and "
            f"reads {full.accuracy:.1%}",
        ),
        Claim(
            where, "the full batch is memory heavy", full.memory > 4 * best.memory,
            f"{full.memory / 2**20:,.1f} MiB against {best.memory / 2**20:,.1f} for {best.size} "
            f"and {single.memory / 2**20:,.2f} for 1",
        ),
        Claim(
            where, "mini-batches of 32 to 256 are the best of both worlds", all(merits),
            f"{best.size} is not {', not '.join(wanting)}" if wanting else
            f"{best.size} is as accurate as single images within two standard errors and faster, "
            "more accurate than the full batch and lighter",
        ),
    )  # fmt: skip


def draw(rows: Sequence[Row]) -> dict[str, str]:
    """The noise over the size, with what one sample's noise predicts; and accuracy over time."""
    rows = sorted(rows, key=lambda row: row.size)
    partial = [row for row in rows if row.noise > 0]
    sizes = [float(row.size) for row in partial]
    noise = [row.noise for row in partial]
    expected = [row.expected_noise for row in partial]
    return {
        "batch-size-noise": line_chart(
            "Noise of a batch's gradient",
            Axis("images in a batch", log=True, ticks=[(s, f"{s:g}") for s in sizes]),
            Axis("E‖g − ∇L‖² / ‖∇L‖²", log=True),
            [Curve("measured", sizes, noise), Curve("predicted", sizes, expected)],
            levels=[(1.0, "noise = signal")],
        ),
        "batch-size": line_chart(
            "Accuracy over the time spent on steps",
            Axis("seconds", log=True), Axis("test accuracy", low=0.0, high=1.0),
            [
                Curve(
                    f"{row.size:,} images, {row.rate:g}",
                    [row.seconds * (k + 1) for k in range(len(row.curve))], row.curve,
                )
                for row in rows
            ],
        ),
    }  # fmt: skip


STUDY: Final = Study(
    name="batch-size",
    question="How many images to a step: noise of the gradient, time, memory, accuracy?",
    parts=lambda settings: 1 + len(_plan(settings)[0]) * len(_plan(settings)[1]),
    measure=measure,
    columns=(
        ("size", lambda row: f"{row.size:,}"),
        ("noise/signal", lambda row: number(row.noise, 2)),
        ("predicted", lambda row: number(row.expected_noise, 2)),
        ("cosine", lambda row: f"{row.cosine:.2f}"),
        ("time of a pass", lambda row: seconds(row.seconds)),
        ("MiB", lambda row: f"{row.memory / 2**20:,.2f}"),
        ("rate", lambda row: f"{row.rate:g}"),
        ("loss", lambda row: number(row.loss)),
        ("accuracy", lambda row: f"{row.accuracy:.1%}"),
    ),
    conclude=conclude,
    draw=draw,
)
