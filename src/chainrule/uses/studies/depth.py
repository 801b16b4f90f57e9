"""Vanishing gradients: the gradient of the first layer over that of the last, and the remedies."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final, final

import numpy as np

from ...nn import BatchNorm1d, Flatten, Linear, Module, ReLU, Sequential, Sigmoid, Tanh, init
from ...nn.functional import cross_entropy
from ...ops.random import manual_seed
from .chart import Axis, Curve, line_chart
from .study import Claim, Conclusion, Settings, Study, Tell
from .training import CLASSES, Descent, digits, number, scores, slope

_WIDTH: Final = 64
_BATCH: Final = 64
_VANISHED: Final = 1e-3
"""As the doctor measures: a first layer with less than a thousandth of the last one's gradient."""
KINDS: Final = ("sigmoid", "tanh", "relu", "sigmoid + residual", "sigmoid + batch norm")
_REMEDIES: Final = {
    "relu": "ReLU", "sigmoid + residual": "residual connections", "sigmoid + batch norm":
    "batch normalisation",
}  # fmt: skip


@final
@dataclass(frozen=True)
class Row:
    """Networks of one kind and depth: gradients at the start, and what training makes of them."""

    kind: str
    depth: int
    """Hidden layers of the same width, behind one that brings the image to that width."""
    ratio: float
    """‖∂L/∂W‖ of the first of them over that of the last: the median over several starts."""
    lowest: float
    highest: float
    accuracy: float
    """On the test images, after training."""
    moved: float
    """‖change‖ / ‖start‖ of the first layer's weight in that training."""
    norms: tuple[float, ...]
    """‖∂L/∂W‖ of each hidden layer, from the first to the last, at the first start."""


class Layer(Module):
    """One hidden layer: y = φ(Wx + b), with what the kind adds to it."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.linear = Linear(_WIDTH, _WIDTH)
        activation = kind.split(maxsplit=1)[0]
        if activation == "relu":
            init.kaiming_normal_(self.linear.weight, nonlinearity="relu")
        else:
            init.xavier_normal_(self.linear.weight)
        assert self.linear.bias is not None
        init.zeros_(self.linear.bias)
        self.normalization = BatchNorm1d(_WIDTH) if "batch norm" in kind else None
        self.activation = {"sigmoid": Sigmoid, "tanh": Tanh, "relu": ReLU}[activation]()
        self.is_residual = "residual" in kind

    def forward(self, x: Any) -> Any:
        """Values of shape (N, width)."""
        z = self.linear(x)
        y = self.activation(z if self.normalization is None else self.normalization(z))
        return x + y if self.is_residual else y


def network(kind: str, depth: int) -> Sequential:
    """784 → width, so many hidden layers of a kind, → 10. Weights after Glorot, or He for ReLU."""
    hidden = [Layer(kind) for _ in range(depth)]
    return Sequential(Flatten(), Linear(784, _WIDTH), *hidden, Linear(_WIDTH, CLASSES))


def _plan(settings: Settings) -> tuple[tuple[int, ...], int, int, int]:
    """Depths, starts, training images and epochs."""
    return ((2, 8), 2, 512, 1) if settings.quick else ((2, 4, 8, 16, 32), 5, 6000, 5)


def measure(settings: Settings, tell: Tell) -> Iterator[Row]:
    """A row for each kind and depth."""
    depths, starts, images, epochs = _plan(settings)
    data = digits(settings, images, 1000)
    for kind in KINDS:
        for depth in depths:
            tell(f"{kind}, {depth} layers")
            found = []
            for start in range(starts):
                manual_seed(settings.seed + start)
                model = network(kind, depth)
                if start == 0:
                    trained = model
                    initial = model.state_dict()
                found.append(_norms(model, data.images[:512], data.labels[:512]))
            trained.load_state_dict(initial)
            accuracy, moved = _trained(trained, data, epochs, settings.seed)
            ratios = [norms[0] / norms[-1] if norms[-1] else math.nan for norms in found]
            yield Row(
                kind, depth, median(ratios), min(ratios), max(ratios), accuracy, moved,
                tuple(found[0]),
            )  # fmt: skip


def _norms(model: Sequential, x: Any, y: Any) -> list[float]:
    cross_entropy(model(x), y).backward()
    layers = [m for m in model.modules() if isinstance(m, Layer)]
    grads = [layer.linear.weight.grad for layer in layers]
    norms = [0.0 if grad is None else float(np.linalg.norm(grad.array)) for grad in grads]
    model.zero_grad()
    return norms


def _trained(model: Sequential, data: Any, epochs: int, seed: int) -> tuple[float, float]:
    """Test accuracy after training, and how far the first hidden layer has moved."""
    first = next(m for m in model.modules() if isinstance(m, Layer)).linear.weight
    before = first.array.copy()
    descent = Descent(model, 0.02, momentum=0.9, clip=5.0)
    for epoch in range(epochs):
        done = descent.epoch(data.images, data.labels, _BATCH, seed=seed, number=epoch)
        if not done.is_finite:
            return math.nan, math.nan
    change = np.linalg.norm(first.array - before) / np.linalg.norm(before)
    return scores(model, data.test_images, data.test_labels)[1], float(change)


def factor(rows: Sequence[Row]) -> tuple[float, float]:
    """By which factor the ratio changes with each layer, and how well a power of it fits."""
    known = [row for row in rows if row.ratio > 0 and math.isfinite(row.ratio)]
    if len(known) < 2:
        return math.nan, math.nan
    rise, fit = slope([row.depth for row in known], [math.log(row.ratio) for row in known])
    return math.exp(rise), fit


def conclude(rows: Sequence[Row]) -> Conclusion:
    """What the rows say about 001 § 3.1, 002 "Vanishing Gradients" and 003 "Interview Focus"."""
    kinds = {kind: [row for row in rows if row.kind == kind] for kind in KINDS}
    deep = {kind: max(found, key=lambda row: row.depth) for kind, found in kinds.items() if found}
    sick = deep["sigmoid"]
    per_layer, fit = factor(kinds["sigmoid"])
    vanishes = sick.ratio < _VANISHED
    cured = {kind: _keeps(deep[kind]) for kind in _REMEDIES}
    keeping = [name for kind, name in _REMEDIES.items() if cured[kind]]
    failing = [name for kind, name in _REMEDIES.items() if not cured[kind]]
    judged = " while ".join(
        f"{_and(names)} {word} it within a factor of {1 / _VANISHED:g}"
        for names, word in ((keeping, "kept"), (failing, "did not keep"))
        if names
    )
    best = max(_REMEDIES, key=lambda kind: deep[kind].accuracy)
    sentence = (
        f"Through {sick.depth} layers of sigmoids the gradient of the first layer is "
        f"{number(sick.ratio, 2)} of that of the last (× {per_layer:.2g} a layer), which "
        f"{'is' if vanishes else 'is not'} a vanishing gradient; of the remedies {judged}, and "
        f"after training they read at best {deep[best].accuracy:.1%} of the test images "
        f"({_REMEDIES[best]}), where plain sigmoids read {sick.accuracy:.1%} and tanh "
        f"{deep['tanh'].accuracy:.1%}."
    )
    early = min(kinds["sigmoid"], key=lambda row: row.depth)
    fixes = [
        Claim(
            "002, Vanishing Gradients; 003, Key Questions",
            f"the gradient does not vanish with {name}",
            None if not vanishes else cured[kind],
            f"{deep[kind].depth} layers: ratio {number(deep[kind].ratio, 2)}, accuracy "
            f"{deep[kind].accuracy:.1%}; sigmoid alone {number(sick.ratio, 2)}, "
            f"{sick.accuracy:.1%}",
        )
        for kind, name in _REMEDIES.items()
    ]  # fmt: skip
    shrinks = Claim(
        "001 § 3.1", "sigmoid layers multiply the gradient by 0.25 or less, so it goes to 0",
        per_layer <= 0.25 and fit > 0.9,
        f"× {per_layer:.2g} a layer with Glorot's weights; an exponential explains {fit:.1%} of "
        "the variance of the logarithms",
    )  # fmt: skip
    stop = Claim(
        "001 § 3.1", "early layers stop learning",
        None if not vanishes else sick.moved < 0.1 * early.moved,
        f"the first layer of {sick.depth} moves by {number(sick.moved, 2)} of its norm, that of "
        f"{early.depth} by {number(early.moved, 2)}",
    )  # fmt: skip
    return Conclusion(sentence, (shrinks, stop, *fixes))


def _keeps(row: Row) -> bool:
    """Whether a first layer gets gradients, without an explosion."""
    return _VANISHED < row.ratio < 1 / _VANISHED


def _and(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def draw(rows: Sequence[Row]) -> dict[str, str]:
    """The ratio over the depth, for each kind."""
    depths = sorted({row.depth for row in rows})
    curves = []
    for kind in KINDS:
        found = [row for row in rows if row.kind == kind]
        curves.append(Curve(kind, [row.depth for row in found], [row.ratio for row in found]))
    return {
        "depth": line_chart(
            "Gradient of the first hidden layer over that of the last",
            Axis("hidden layers", log=True, ticks=[(d, str(d)) for d in depths]),
            Axis("‖∂L/∂W first‖ / ‖∂L/∂W last‖", log=True),
            curves,
            levels=[(1.0, "the same"), (_VANISHED, "a thousandth")],
        )
    }


STUDY: Final = Study(
    name="depth",
    question="How much of the gradient of the last layer reaches the first, by depth?",
    parts=lambda settings: len(KINDS) * len(_plan(settings)[0]),
    measure=measure,
    columns=(
        ("layers", lambda row: row.kind),
        ("depth", lambda row: str(row.depth)),
        ("first/last", lambda row: number(row.ratio, 2)),
        ("lowest", lambda row: number(row.lowest, 2)),
        ("highest", lambda row: number(row.highest, 2)),
        ("first layer moved", lambda row: number(row.moved, 2)),
        ("accuracy", lambda row: f"{row.accuracy:.1%}"),
    ),
    conclude=conclude,
    draw=draw,
)
