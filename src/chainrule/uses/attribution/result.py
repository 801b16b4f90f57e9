"""What an attribution method returns: values shaped like the inputs, and how far they add up."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, final

import numpy as np

from ...train.storage import write_atomically
from ..input_gradients import Array
from ..pictures import array_panel, sheet

TOLERANCE: Final = 0.01
"""The greatest relative residual of attributions that count as complete."""


@final
@dataclass(frozen=True)
class Completeness:
    """Whether attributions add up to the change of the score: Σᵢ aᵢ = F(x) − F(x′).

    `total` holds the left side and `change` the right one, for each of N samples; `steps` how many
    gradients each took.
    """

    total: Array
    change: Array
    steps: Array
    scale: Array
    """|F(x)| + |F(x′)|: what rounding errors of the change are measured by."""
    tolerance: float = TOLERANCE

    @property
    def residual(self) -> Array:
        """|Σ a − ΔF| / |ΔF|; a change that is nothing but rounding is not divided by."""
        least = 1e-6 * np.maximum(self.scale, np.finfo(np.float32).tiny)
        found: Array = np.abs(self.total - self.change) / np.maximum(np.abs(self.change), least)
        return found

    @property
    def holds(self) -> bool:
        """Whether it does, to the tolerance, for all samples."""
        return bool((self.residual <= self.tolerance).all())

    def to_json(self) -> dict[str, Any]:
        """All of it as lists of numbers."""
        return {
            "total": self.total.tolist(), "change": self.change.tolist(),
            "residual": self.residual.tolist(), "steps": self.steps.tolist(),
            "tolerance": self.tolerance, "holds": self.holds,
        }  # fmt: skip

    def __str__(self) -> str:
        worst = int(np.argmax(self.residual))
        verdict = "complete" if self.holds else "NOT complete"
        return (
            f"{verdict}: Σ attributions {self.total[worst]:.5g}, F(x) − F(baseline) "
            f"{self.change[worst]:.5g}, residual {self.residual[worst]:.2%} after "
            f"{int(self.steps[worst])} gradients"
        )


@final
@dataclass(frozen=True)
class Attribution:
    """How much each element of each input has to do with a score.

    `values` have the shape of `inputs`, (N, ...), or, of Grad-CAM, one channel. With `is_share`
    they are shares of the score's change, with a sign and in its units, else sensitivities, of
    which the magnitude counts.
    """

    method: str
    values: Array
    inputs: Array
    scores: Array
    """The score of each sample, shape (N,)."""
    target: Any
    is_share: bool
    completeness: Completeness | None = None
    settings: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """All but the inputs, as numbers and lists."""
        return {
            "method": self.method, "target": self.target, "is_share": self.is_share,
            "scores": self.scores.tolist(), "shape": list(self.values.shape),
            "values": self.values.tolist(), "settings": self.settings,
            "completeness": None if self.completeness is None else self.completeness.to_json(),
        }  # fmt: skip

    def svg(self, sample: int = 0) -> str:
        """A picture of one sample: its input, and its attributions."""
        panels = [
            array_panel("input", self.inputs[sample], signed=False),
            array_panel(self.method, self.values[sample]),
        ]
        score = float(self.scores[sample])
        return sheet(panels, f"{self.method}, score {score:.4g}")

    def save(self, path: str | Path, sample: int = 0) -> None:
        """Write the picture of one sample as SVG. Raises CheckpointError if that is impossible."""
        write_atomically(Path(path), self.svg(sample).encode())

    def __repr__(self) -> str:
        largest = float(np.abs(self.values).max()) if self.values.size else math.nan
        end = f", {self.completeness}" if self.completeness is not None else ""
        shape = "×".join(map(str, self.values.shape))
        return f"Attribution({self.method}, {shape}, largest {largest:.4g}{end})"
