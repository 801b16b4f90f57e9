"""The data: their scale, their labels and their order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .. import cures
from ..case import Case, Rule, entropy, losses_of, rounded
from ..control import Relabel
from ..evidence import LossCall, digest, median
from ..findings import Finding
from ..skill import CLASSES
from .relation import foretold

_CONTROLLED = ("cross_entropy", "binary_cross_entropy", "binary_cross_entropy_with_logits",
               "mse_loss", "l1_loss")  # fmt: skip
"""Losses whose targets a control can draw anew."""


class InputScale(Rule):
    """Inputs far from unit size, or features of very different sizes; the verdict takes a trial."""

    code = "INPUT_SCALE"

    def findings(self, case: Case) -> Iterator[Finding]:
        if not case.is_plain or len(case.evidence.updates) < 4:
            return
        for found in case.evidence.inputs.values():
            if found.then in ("batch_norm", "layer_norm"):
                continue
            rms, spread = median(found.rms), median(found.spread)
            offset = median(found.mean)
            if (0.05 < rms < 8 and not (spread > 50 and rms > 3)) or rms == 0:
                continue
            if case.learns(0) and case.course(0).fell > 0.9:
                continue
            yield Finding(
                self.code,
                "error",
                f"the inputs have a root mean square of {rms:.4g}, and the standard deviations of "
                f"their features differ by a factor of {spread:.3g}; initial weights are made for "
                "inputs of unit size",
                "∂L/∂W of the first layer is δ xᵀ: a large x makes one factor of it large",
                "standardise the inputs: x = (x - x.mean(0)) / x.std(0)",
                rounded({"rms": rms, "mean": offset, "spread_of_features": spread,
                         "rows": found.rows, **losses_of(case, 0)}),
                found.place,
                found.place.path,
                doubtful=True,
                cure=lambda: cures.Standardise(),
            )  # fmt: skip


class NotShuffled(Rule):
    """Targets that come in order: neighbours are far more alike than two samples at random.

    A program that no batch surprises in the end, as of a series in time, has learnt them all.
    """

    code = "NOT_SHUFFLED"

    def findings(self, case: Case) -> Iterator[Finding]:
        for place, calls in case.loss_calls().items():
            if any(call.made for call in calls):
                continue
            by_update: dict[int, list[Any]] = {}
            for call in calls:
                if call.target.ndim == 1 or (call.target.ndim == 2 and call.target.shape[1] == 1):
                    by_update.setdefault(call.update, []).append(call.target.ravel())
            steps = [np.concatenate(v) for _, v in sorted(by_update.items())]
            if len(steps) < 6 or sum(map(len, steps)) < 60 or not case.is_plain:
                continue
            found = _inner_variety(steps, calls[0])
            if found is None or found[0] > 0.35 or not case.is_surprised(0):
                continue
            yield Finding(
                self.code,
                "error",
                f"the samples come in the order of their targets: within a batch the targets vary "
                f"{found[0]:.0%} as much as over all of {found[1]} samples",
                "the gradient of a batch points to its own targets; the next batch undoes it",
                "shuffle: DataLoader(..., shuffle=True), or an order from torch.randperm(n)",
                rounded({"variety_within_batches": found[0], "samples": found[1],
                         "batches": len(steps)}),
                place,
                cure=(lambda: cures.Shuffle()) if case.evidence.loaders else None,
            )  # fmt: skip


class BadLabels(Rule):
    """Labels that cannot be learnt: all the same, at odds with themselves, or unrelated to x."""

    code = "LABELS"

    def findings(self, case: Case) -> Iterator[Finding]:
        for place, calls in case.loss_calls().items():
            if not case.is_plain or any(call.made for call in calls):
                continue
            found = self._constant(calls) or self._contradicting(case, calls) or (
                self._unrelated(case, calls))  # fmt: skip
            if found is not None:
                cause, evidence, severity = found
                control = severity == "control"
                yield Finding(
                    self.code,
                    ("error" if calls[0].kind in CLASSES else "warning") if control else severity,
                    cause,
                    "δ = output - label at the end of the product is noise: on average it cancels",
                    "check how inputs and labels are paired, shuffle both with one permutation, "
                    "and look at some pairs",
                    rounded({**evidence, **losses_of(case, 0)}),
                    place,
                    control=_relabelled(calls) if control else None,
                )

    def _constant(self, calls: list[LossCall]) -> Any:
        targets = np.concatenate([c.target.ravel() for c in calls])
        if calls[0].kind not in ("cross_entropy", "nll_loss") or len(targets) < 50:
            return None
        if targets.dtype.kind not in "iu":
            return None
        if entropy(targets) == 0.0:
            return f"all {len(targets)} labels are {targets[0]}", {"labels": 1}, "error"
        classes = calls[0].prediction.shape[1] if calls[0].prediction.ndim > 1 else 0
        if targets.min() == 1 and targets.max() == classes - 1 and classes > 3 and (
            len(targets) > 30 * classes
        ):  # fmt: skip
            return (
                f"labels go from 1 to {classes - 1}, though the network has {classes} outputs "
                "from 0 on",
                {"lowest": 1, "highest": classes - 1, "outputs": classes},
                "note",
            )
        return None

    def _contradicting(self, case: Case, calls: list[LossCall]) -> Any:
        """The same input with different labels at different times."""
        known: dict[bytes, Any] = {}
        seen = at_odds = 0
        for _, data, target in case.evidence.batches:
            if data is None or len(data) != len(target) or np.prod(data.shape[1:]) < 2:
                continue
            if data.dtype.kind != "f":
                continue  # few tokens come again by chance, and with reason
            for row, y in zip(data, target, strict=True):
                key = digest(row)
                if key in known:
                    seen += 1
                    at_odds += not np.array_equal(known[key], y)
                known[key] = y
        weighted = any(c.prediction.ndim == 0 for c in calls)
        if seen < 100 or len(known) < 20 or at_odds < 0.3 * seen or weighted or case.learns(0):
            return None
        return (
            f"of {seen} inputs that came again, {at_odds} came with another label",
            {"came_again": seen, "with_another_label": at_odds},
            "error",
        )

    def _unrelated(self, case: Case, calls: list[LossCall]) -> Any:
        """Labels that the inputs do not tell: not to plain methods, and not to the network.

        A network that is no better than a constant has learnt nothing. One that is may have learnt
        its samples by heart, which a control tells: the same run with labels drawn at random.
        """
        classes = calls[0].kind in CLASSES
        if len(case.evidence.updates) < 30 or len(case.loss_calls()) > 1:
            return None
        if not case.is_stuck(0) and calls[0].kind not in _CONTROLLED:
            return None
        x, y = case.samples() or (np.empty(0), np.empty((0, 1)))
        if len(x) < 150:
            return None
        told = {}
        for part in _first_middle_last(y) if classes else [y]:
            told = foretold(x, part, classes)
            if any(score > chance + 3 * spread for score, chance, spread in told.values()):
                return None
        share, chance, _ = told["neighbours"]
        return (
            f"the labels do not depend on the inputs: among {len(x)} samples, the nearest "
            f"neighbour tells {share:.2f} of them, and chance {chance:.2f}; {len(told) - 1} other "
            "methods tell no more",
            {**{f"told_by_{name}": score for name, (score, _, _) in told.items()},
             "told_by_chance": chance, "samples": len(x)},
            "control" if calls[0].kind in _CONTROLLED else "error" if classes else "warning",
        )  # fmt: skip


def _first_middle_last(y: Any) -> list[Any]:
    """Three of the labels of each sample, or the one that it has: (n, 1) each."""
    last = y.shape[1] - 1
    return [y[:, [i]] for i in sorted({0, last // 2, last})]


def _relabelled(calls: list[LossCall]) -> Any:
    labels = np.concatenate([c.target for c in calls])
    return lambda: Relabel(labels)


def _inner_variety(steps: list[Any], call: LossCall) -> tuple[float, int] | None:
    """Variety of targets within batches, relative to that of all; and how many samples."""
    everything = np.concatenate(steps)
    if call.kind in ("cross_entropy", "nll_loss") or everything.dtype.kind in "iu":
        values, counts = np.unique(everything, return_counts=True)
        overall = 1.0 - float(((counts / counts.sum()) ** 2).sum())
        if overall < 0.3 or len(values) < 2:
            return None
        if max(map(len, steps)) == 1:
            return float(np.mean(everything[1:] != everything[:-1])) / overall, len(everything)
        inner = [1.0 - _collision(s) for s in steps if len(s) > 1]
    else:
        overall = float(everything.var())
        if overall == 0 or max(map(len, steps)) < 4:
            return None
        values = np.unique(everything)
        if len(values) < 20:
            return None
        inner = [float(s.var(ddof=1)) for s in steps if len(s) > 1]
    return (float(np.mean(inner)) / overall, len(everything)) if inner else None


def _collision(labels: Any) -> float:
    """The chance that two samples of a batch, drawn without putting back, have one label."""
    _, counts = np.unique(labels, return_counts=True)
    n = len(labels)
    return float((counts * (counts - 1)).sum() / (n * (n - 1)))
