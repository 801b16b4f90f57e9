"""Robust accuracy: how it falls as inputs may move farther."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, final

import numpy as np

from ...errors import ArgumentError
from ...train.storage import write_atomically
from ..input_gradients import Model
from ..pictures import array_panel, sheet
from ..studies.chart import Axis, Curve, line_chart
from .attack import Attack, Attacked
from .deepfool import DeepFool
from .gradient import BIM, FGSM, PGD, GradientAttack

ATTACKS: Final[Mapping[str, Callable[..., Attack]]] = MappingProxyType({
    "fgsm": FGSM,
    "bim": BIM,
    "pgd": PGD,
    "deepfool": DeepFool,
})  # fmt: skip
"""All attacks by name."""


@final
@dataclass(frozen=True)
class RobustAccuracy:
    """Accuracy under each attack, for each ε; at ε = 0 that of the clean inputs."""

    norm: str
    eps: tuple[float, ...]
    accuracy: dict[str, tuple[float, ...]]
    samples: int

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        accuracy = {name: list(values) for name, values in self.accuracy.items()}
        return {
            "norm": self.norm, "eps": list(self.eps), "accuracy": accuracy,
            "samples": self.samples,
        }  # fmt: skip

    def svg(self) -> str:
        """The curves, as SVG."""
        title = f"accuracy under attack, {self.samples} samples"
        curves = [Curve(name, self.eps, values) for name, values in self.accuracy.items()]
        upward = Axis("accuracy", low=0.0, high=1.0)
        return line_chart(title, Axis(f"ε ({self.norm})"), upward, curves)

    def save(self, path: str | Path) -> None:
        """Write the picture. Raises CheckpointError if that is impossible."""
        write_atomically(Path(path), self.svg().encode())

    def __str__(self) -> str:
        names = list(self.accuracy)
        lines = ["     ε  " + "  ".join(f"{name:>8}" for name in names)]
        for i, eps in enumerate(self.eps):
            row = "  ".join(f"{self.accuracy[name][i]:8.1%}" for name in names)
            lines.append(f"{eps:6.3g}  {row}")
        return "\n".join(lines)


def robust_accuracy(
    model: Model,
    x: Any,
    y: Any,
    eps: Sequence[float],
    *,
    methods: Sequence[str] = ("fgsm", "pgd"),
    norm: str = "linf",
    **settings: Any,
) -> RobustAccuracy:
    """Attack `x` by each method for each ε; `settings` go to the iterated attacks.

    DeepFool looks for the shortest way once: an input falls at every ε beyond its distance.
    Raises ArgumentError for a method that is not known, a negative ε, and if none is positive.
    """
    unknown = [name for name in methods if name not in ATTACKS]
    if unknown or not methods:
        raise ArgumentError(
            "there is no such attack", expected=", ".join(ATTACKS), got=", ".join(unknown) or "none"
        )
    sizes = tuple(sorted({0.0, *map(float, eps)}))
    if sizes[0] < 0 or not 0 < sizes[-1] < math.inf:
        raise ArgumentError(
            "ε is how far inputs may move", expected="positive numbers", got=f"{list(eps)}"
        )
    accuracy: dict[str, tuple[float, ...]] = {}
    samples = 0
    for name in methods:
        found: list[float] = []
        for attacked, size in _each(name, model, x, y, sizes, norm, settings):
            samples = len(attacked.labels)
            if not size:
                found.append(attacked.clean_accuracy)
                continue
            within = attacked.distances() <= size * (1 + 1e-5)  # a rounding beyond is within
            seen = np.where(within, attacked.after, attacked.before)
            found.append(float((seen == attacked.labels).mean()))
        accuracy[name] = tuple(found)
    return RobustAccuracy(norm, sizes, accuracy, samples)


def _each(
    name: str, model: Model, x: Any, y: Any, sizes: Sequence[float], norm: str, settings: Any
) -> list[tuple[Attacked, float]]:
    """An attack for each ε; of DeepFool, the same one."""
    if name == "deepfool":
        known = {k: v for k, v in settings.items() if k in ("bounds", "batch_size")}
        whole = DeepFool(model, norm=norm, **known)(x, y)
        return [(whole, size) for size in sizes]
    if name == "fgsm":
        settings = {k: v for k, v in settings.items() if k in ("bounds", "batch_size", "loss")}
    attack = ATTACKS[name](model, sizes[-1], norm=norm, **settings)
    assert isinstance(attack, GradientAttack)
    found = [(attack.at(size)(x, y), size) for size in sizes[1:]]
    return [(found[0][0], 0.0), *found]


def examples_picture(found: Attacked, names: Sequence[str] = (), count: int = 5) -> str:
    """The first successes as SVG: inputs, what was added, and examples, with their classes."""
    chosen = np.flatnonzero(found.success & (found.before == found.labels))[:count]

    def name(k: Any) -> str:
        return names[int(k)] if names else str(int(k))

    panels = [
        *(array_panel(f"input: {name(found.before[i])}", found.inputs[i], signed=False)
          for i in chosen),
        *(array_panel("added", found.examples[i] - found.inputs[i]) for i in chosen),
        *(array_panel(f"example: {name(found.after[i])}", found.examples[i], signed=False)
          for i in chosen),
    ]  # fmt: skip
    return sheet(panels, repr(found), columns=max(1, len(chosen)))
