"""Several methods on the same samples, and how far they agree with what covering shows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, final

from ...errors import ArgumentError
from ...train.storage import write_atomically
from ..input_gradients import Model
from ..pictures import array_panel, sheet
from .gradient import gradient_x_input, integrated_gradients, saliency, smoothgrad
from .layers import grad_cam, guided_backprop
from .occlusion import agreement, occlusion, occlusion_drops
from .result import Attribution
from .targets import Scores, Target

METHODS: Final[Mapping[str, Callable[..., Attribution]]] = MappingProxyType({
    "saliency": saliency,
    "gradient_x_input": gradient_x_input,
    "integrated_gradients": integrated_gradients,
    "smoothgrad": smoothgrad,
    "grad_cam": grad_cam,
    "guided_backprop": guided_backprop,
    "occlusion": occlusion,
})  # fmt: skip
"""All methods by name."""


@final
@dataclass(frozen=True)
class Comparison:
    """Attributions by several methods, and their rank correlation with occlusion.

    `skipped` says why a method does not suit the model, such as Grad-CAM without a convolution.
    """

    attributions: dict[str, Attribution]
    agreement: dict[str, list[float]]
    """By method but occlusion, for each sample; see the function ``agreement``."""
    skipped: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        """By method: completeness, agreement and settings, without the values."""
        methods = {}
        for name, found in self.attributions.items():
            methods[name] = found.to_json() | {"agreement": self.agreement.get(name)}
            del methods[name]["values"]
        return {"methods": methods, "skipped": self.skipped}

    def svg(self, title: str, sample: int = 0) -> str:
        """All methods side by side, for one sample, as SVG."""
        first = next(iter(self.attributions.values()))
        panels = [array_panel("input", first.inputs[sample], signed=False)]
        for name, found in self.attributions.items():
            notes = []
            if found.completeness is not None:
                notes.append(f"residual {found.completeness.residual[sample]:.2%}")
            if name in self.agreement and not math.isnan(rank := self.agreement[name][sample]):
                notes.append(f"agreement {rank:+.2f}")
            panels.append(array_panel(name, found.values[sample], notes=notes))
        return sheet(panels, title)

    def save(self, folder: str | Path, title: str, sample: int = 0) -> list[Path]:
        """Write ``overview.svg`` and a picture of each method; returns their paths."""
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        overview = place / "overview.svg"
        write_atomically(overview, self.svg(title, sample).encode())
        paths = [overview]
        for name, found in self.attributions.items():
            paths.append(place / f"{name}.svg")
            found.save(paths[-1], sample)
        return paths


def explain_all(
    model: Model | Scores,
    x: Any = None,
    target: Target = None,
    *,
    methods: Sequence[str] = tuple(METHODS),
    baseline: Any = 0.0,
) -> Comparison:
    """Attributions of the same scores by several methods, checked by covering.

    `baseline` is what integrated gradients start from and what covers in occlusion. Methods that
    the model does not suit are skipped, unless only one is asked for. Raises ArgumentError for a
    method that is not known.
    """
    unknown = [name for name in methods if name not in METHODS]
    if unknown or not methods:
        raise ArgumentError(
            "there is no such method", expected=", ".join(METHODS), got=", ".join(unknown) or "none"
        )
    scores = Scores.of(model, x, target)
    drops = occlusion_drops(scores, baseline=baseline)
    found: dict[str, Attribution] = {}
    skipped: dict[str, str] = {}
    for name in methods:
        takes_baseline = METHODS[name] in (integrated_gradients, occlusion)
        settings = {"baseline": baseline} if takes_baseline else {}
        try:
            found[name] = METHODS[name](scores, **settings)
        except ArgumentError as refusal:
            if len(methods) == 1:
                raise
            skipped[name] = refusal.cause
    ranks = {n: agreement(a, drops).tolist() for n, a in found.items() if n != "occlusion"}
    return Comparison(found, ranks, skipped)
