"""Exploding gradients of a recurrent network, with and without clipping.

A ReLU network reads an image row by row, hₜ = relu(W hₜ₋₁ + U xₜ + b). W starts as an orthogonal
matrix times a gain, so each step back multiplies a gradient by up to the gain, and on average by
gain / √2, because a ReLU blocks half of the elements. The rows are the 20 in which MNIST has ink:
before the first ink all states are 0, where a ReLU blocks everything.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final, final

import numpy as np

from ...core.value import recording
from ...nn import RNN, Linear, Module, init
from ...nn.functional import cross_entropy
from ...ops.random import manual_seed
from ...tensor import Tensor
from .chart import Axis, Curve, line_chart
from .study import Claim, Conclusion, Settings, Study, Tell
from .training import CLASSES, Descent, digits, number, scores

_HIDDEN: Final = 64
_ROWS: Final = slice(4, 24)
_STEPS: Final = 20
_BATCH: Final = 64
_RATE: Final = 0.03
_SLOWER: Final = (0.1, 0.01, 0.001)
_CLIP: Final = 1.0
_NO_CLIP: Final = math.inf
_CRITICAL: Final = math.sqrt(2)
"""The gain at which a gradient keeps its size, if a ReLU blocks half of the elements."""


@final
@dataclass(frozen=True)
class Row:
    """Networks that start with one gain, trained in one way."""

    gain: float
    rate: float
    clip: float
    """The largest norm that a gradient may have; inf: any."""
    largest_norm: float
    """Of the gradient, before clipping, in all steps."""
    median_norm: float
    loss: float
    """On the training images after training; nan if it is not finite."""
    accuracy: float
    steps: int
    """Taken, until the end or until the loss was not finite."""
    diverged_at: int | None
    """The step in which the loss was not finite any more."""
    flow: tuple[float, ...]
    """‖∂L/∂hₜ‖ at the start of training, for each time step t."""

    @property
    def is_trained(self) -> bool:
        """Whether the loss is finite and better than chance."""
        return self.loss < 0.9 * math.log(CLASSES)

    @property
    def growth(self) -> float:
        """By which factor the gradient changes from the last row of the image to the first."""
        return self.flow[0] / self.flow[-1] if self.flow[-1] else math.nan


class Reader(Module):
    """A recurrent network over the rows of an image, and a dense layer on its last state."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.rnn = RNN(28, _HIDDEN, nonlinearity="relu", batch_first=True)
        self.dense = Linear(_HIDDEN, CLASSES)
        init.orthogonal_(self.rnn.weight_hh_l0, gain=gain)
        init.zeros_(self.rnn.bias_hh_l0)
        init.zeros_(self.rnn.bias_ih_l0)

    def forward(self, x: Any) -> Any:
        """Logits of images of shape (N, 1, 28, 28)."""
        outputs, _ = self.rnn(rows_of(x))
        return self.dense(outputs[:, -1])


def rows_of(x: Any) -> Any:
    """Images of shape (N, 1, 28, 28) as sequences of rows: (N, time, 28)."""
    return x[:, 0, _ROWS]


def flow(model: Reader, x: Tensor, y: Tensor) -> tuple[float, ...]:
    """‖∂L/∂hₜ‖ for each row of the images: backpropagation through time, a step at a time."""
    w, u = model.rnn.weight_hh_l0, model.rnn.weight_ih_l0
    bias = model.rnn.bias_hh_l0 + model.rnn.bias_ih_l0
    rows = rows_of(x)
    with recording(True):
        h = Tensor(np.zeros((len(x), _HIDDEN), np.float32))
        states = []
        for t in range(_STEPS):
            h = (h @ w.T + rows[:, t] @ u.T + bias).relu()
            h.retain_grad()
            states.append(h)
        cross_entropy(model.dense(h), y).backward()
    model.zero_grad()
    return tuple(float(np.linalg.norm(state.grad.array)) for state in states)


def _plan(
    settings: Settings,
) -> tuple[tuple[float, ...], tuple[tuple[float, float], ...], int, int]:
    """Gains, ways to train (rate, clip), images and epochs."""
    slower = tuple((_RATE * share, _NO_CLIP) for share in _SLOWER)
    ways = ((_RATE, _NO_CLIP), (_RATE, _CLIP), *slower)
    if settings.quick:
        return (1.0, 2.0), ways, 4096, 4
    return (0.5, 1.0, 1.5, 2.0, 2.5), ways, 6000, 5


def measure(settings: Settings, tell: Tell) -> Iterator[Row]:
    """A row for each gain and each way to train: plain, clipped, and with a lower rate."""
    gains, ways, images, epochs = _plan(settings)
    data = digits(settings, images, 1000)
    for gain in gains:
        for rate, clip in ways:
            tell(f"gain {gain:g}, {_way(rate, clip)}")
            manual_seed(settings.seed)
            model = Reader(gain)
            back = flow(model, data.images[:_BATCH], data.labels[:_BATCH])
            descent = Descent(model, rate, clip=clip)
            losses: list[float] = []
            norms: list[float] = []
            for epoch in range(epochs):
                done = descent.epoch(
                    data.images, data.labels, _BATCH, seed=settings.seed, number=epoch
                )
                losses += done.losses
                norms += done.norms
                if not done.is_finite:
                    break
            ended = None if math.isfinite(losses[-1]) else len(losses)
            loss, _ = scores(model, data.images[:1000], data.labels[:1000])
            _, accuracy = scores(model, data.test_images, data.test_labels)
            finite = [n if math.isfinite(n) else math.inf for n in norms]
            yield Row(
                gain, rate, clip, max(finite), median(finite), loss, accuracy, len(losses), ended,
                back,
            )  # fmt: skip


def _way(rate: float, clip: float) -> str:
    return f"rate {rate:g}, " + (f"clipped to {clip:g}" if clip < math.inf else "not clipped")


def conclude(rows: Sequence[Row]) -> Conclusion:
    """What the rows say about document 002, "Exploding Gradients"."""
    high = max(row.rate for row in rows)
    gain = max(row.gain for row in rows)
    plain = [row for row in rows if row.rate == high and math.isinf(row.clip)]
    clipped = [row for row in rows if row.rate == high and not math.isinf(row.clip)]
    slow = [row for row in rows if row.rate < high]
    worst = _at(plain, gain)
    explodes = worst.growth > 10
    failed = sorted(row.gain for row in plain if not row.is_trained)
    by_clip = [g for g in failed if _at(clipped, g).is_trained]
    by_rate = [g for g in failed if _best(slow, g).is_trained]
    gains = sorted({row.gain for row in rows})
    sane = [g for g in gains if _at(plain, g).is_trained]
    listed = ", ".join(f"{g:g}" for g in failed)
    if failed:
        outcome = (
            f"without clipping {len(failed)} of {len(gains)} networks (gain {listed}) do not "
            f"learn, of which clipping to {clipped[0].clip:g} saves {len(by_clip)} and a lower "
            f"rate {len(by_rate)}"
        )
    else:
        outcome = f"all {len(gains)} networks learn without clipping, so there is nothing to save"
    sentence = (
        f"With gain {gain:g} the gradient {'explodes' if explodes else 'does not explode'} "
        f"({number(worst.growth, 2)} times from the last row to the first); {outcome}."
    )
    where = "002, Exploding Gradients"
    tested = f"tried where plain training fails: gain {listed}" if failed else "nothing failed"
    return Conclusion(
        sentence,
        (
            Claim(where, "if the factors are above 1, gradients grow exponentially",
                  explodes and all((_at(plain, g).growth > 1) == (g > _CRITICAL) for g in gains),
                  "growth over 19 steps, measured and (gain / √2)¹⁹: " + ", ".join(
                      f"gain {g:g} → {number(_at(plain, g).growth, 2)} and "
                      f"{number((g / _CRITICAL) ** (_STEPS - 1), 2)}" for g in gains)),
            Claim(where, "weights get enormous updates and training diverges",
                  bool(failed) if explodes else None,
                  f"largest norm {number(worst.largest_norm, 2)}; " + (
                      f"not finite in step {worst.diverged_at}" if worst.diverged_at else
                      f"loss {number(worst.loss)}, accuracy {worst.accuracy:.1%}")),
            Claim(where, "clipping the gradient is a remedy",
                  len(by_clip) == len(failed) if failed else None,
                  f"{tested}; with clipping, accuracy " + ", ".join(
                      f"{_at(clipped, g).accuracy:.1%}" for g in failed)),
            Claim(where, "a lower learning rate is a remedy",
                  len(by_rate) == len(failed) if failed else None,
                  f"{tested}; the best of the lower rates: " + ", ".join(
                      f"{_best(slow, g).accuracy:.1%} at {_best(slow, g).rate:g}"
                      for g in failed)),
            Claim(where, "careful weight initialisation is a remedy",
                  bool(sane) if failed else None,
                  "trained without clipping at gain " + ", ".join(f"{g:g}" for g in sane)),
        ),
    )  # fmt: skip


def _at(rows: Sequence[Row], gain: float) -> Row:
    return next(row for row in rows if row.gain == gain)


def _best(rows: Sequence[Row], gain: float) -> Row:
    return max((row for row in rows if row.gain == gain), key=lambda row: row.accuracy)


def draw(rows: Sequence[Row]) -> dict[str, str]:
    """How the gradient grows on its way back, and the accuracy that training reaches."""
    gains = sorted({row.gain for row in rows})
    back = [
        Curve(f"gain {g:g}", range(1, len(_at(rows, g).flow) + 1), _at(rows, g).flow)
        for g in gains
    ]  # fmt: skip
    ways = dict.fromkeys((row.rate, row.clip) for row in rows)
    ends = []
    for rate, clip in ways:
        found = [row for row in rows if (row.rate, row.clip) == (rate, clip)]
        name = f"rate {rate:g}" + (f", clip {clip:g}" if clip < math.inf else "")
        ends.append(Curve(name, [r.gain for r in found], [r.accuracy for r in found]))
    return {
        "clipping-flow": line_chart(
            "Backpropagation through time, before training",
            Axis("row of the image (time step)"), Axis("‖∂L/∂h‖", log=True), back,
        ),
        "clipping": line_chart(
            "Recurrent networks with and without clipping",
            Axis("gain of the recurrent weights"), Axis("test accuracy", low=0.0, high=1.0), ends,
            levels=[(1 / CLASSES, "chance")],
        ),
    }  # fmt: skip


STUDY: Final = Study(
    name="clipping",
    question="What do exploding gradients do to a recurrent network, and what stops them?",
    parts=lambda settings: len(_plan(settings)[0]) * len(_plan(settings)[1]),
    measure=measure,
    columns=(
        ("gain", lambda row: f"{row.gain:g}"),
        ("training", lambda row: _way(row.rate, row.clip)),
        ("growth in 19 steps", lambda row: number(row.growth, 2)),
        ("median norm", lambda row: number(row.median_norm, 2)),
        ("largest", lambda row: number(row.largest_norm, 2)),
        ("not finite", lambda row: f"step {row.diverged_at}" if row.diverged_at else "—"),
        ("accuracy", lambda row: f"{row.accuracy:.1%}"),
    ),
    conclude=conclude,
    draw=draw,
)
