"""The doctor on a run folder: what the record of a training says, without running it again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...train.callbacks import GRADIENT_NORM
from ...train.history import History
from .case import ENOUGH, rounded
from .evidence import course, median
from .findings import Finding, Report
from .places import Place

_RATIO = 1e-5


def examine_run(record: Mapping[str, Any], folder: Path) -> Report:
    """Judge the history in the record of a run folder.

    Raises CheckpointError if it holds no history of ours.
    """
    history = History.from_record(record.get("history"))
    norms = {
        name.removeprefix(GRADIENT_NORM): series.values
        for name, series in history.series.items() if name.startswith(GRADIENT_NORM)
    }  # fmt: skip
    losses = history["loss"] if history.epochs else []
    samples = max((len(v) for v in norms.values()), default=0)
    place = Place(str(folder / "run.json"), 1)
    findings = [*_diverged(record, losses, place), *_of_norms(norms, losses, place)]
    report = Report(findings, samples, history.steps, losses)
    if samples < ENOUGH:
        report.notes.append(
            f"not enough evidence to judge gradients: {samples} of at least {ENOUGH} steps"
        )
    return report


def _diverged(record: Mapping[str, Any], losses: list[float], place: Place) -> list[Finding]:
    result = record.get("result")
    status = str(result.get("status")) if isinstance(result, Mapping) else ""
    if status != "diverged" and all(map(math.isfinite, losses)):
        return []
    return [
        Finding(
            "NON_FINITE", "error", "the run ended with a loss or a gradient that is not finite",
            "a factor of the product is not a number; everything it multiplies is lost with it",
            "lower --lr, and run the script with chainrule doctor to see the operation",
            {"status": status, "epochs": len(losses), "losses": rounded(losses[-3:])}, place,
        )
    ]  # fmt: skip


def _of_norms(norms: Mapping[str, list[float]], losses: list[float], place: Place) -> list[Finding]:
    """Layers whose gradient is far smaller or larger than that of the last, in most steps."""
    if len(norms) < 2 or min(map(len, norms.values())) < ENOUGH:
        return []
    names = list(norms)
    first, last = names[0], names[-1]
    ratios = [a / b for a, b in zip(norms[first], norms[last], strict=False) if b > 0]
    found = course(losses)
    learns = len(losses) > 1 and found.fell > 0.3
    evidence = rounded({
        "gradient_first_to_last": median(ratios), "layers": len(names), "samples": len(ratios),
    })  # fmt: skip
    if ratios and not learns and median(ratios) < _RATIO:
        return [
            Finding(
                "VANISHING", "error",
                f"the gradient of {first} is {1 / max(median(ratios), 1e-300):.2g} times smaller "
                f"than that of {last}", "the factors W^T φ' of the product are small",
                "use ReLU, residual connections or normalisation", evidence, place, first,
            )
        ]  # fmt: skip
    if ratios and not learns and median(ratios) > 1 / _RATIO:
        return [
            Finding(
                "EXPLODING", "error",
                f"the gradient of {first} is {median(ratios):.2g} times that of {last}",
                "the factors W^T φ' of the product are large",
                "clip gradients, or lower the initial weights", evidence, place, first,
            )
        ]  # fmt: skip
    silent = [n for n, values in norms.items() if not any(values)]
    return [
        Finding(
            "NO_GRADIENT", "error", f"the gradient of {n} is zero in all {len(norms[n])} steps",
            "a factor between the layer and the loss is zero", "see where the graph is cut",
            {"samples": len(norms[n])}, place, n,
        )
        for n in silent
    ]  # fmt: skip
