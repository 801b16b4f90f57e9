"""Losses that do not fit what they are given."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .. import cures
from ..case import Case, Rule, rounded
from ..evidence import LossCall
from ..findings import Finding, Severity
from .relation import is_order

_RANGES = {
    "sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0), "relu": (0.0, np.inf), "softmax": (0.0, 1.0),
    "log_softmax": (-np.inf, 0.0), "logsigmoid": (-np.inf, 0.0),
}  # fmt: skip
_UNREACHABLE = 0.05
"""Of the variance of targets, more than which no output may leave out of reach."""
_DISTANCES = ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "difference")
_PROBABILITY = ("nll_loss", "kl_div")


class Broadcasting(Rule):
    """Outputs and targets of as many elements, whose shapes make every pair: a fact."""

    code = "BROADCAST"

    def findings(self, case: Case) -> Iterator[Finding]:
        for found in case.evidence.broadcasts.values():
            a, b, out = found.shapes
            key = found.key
            yield Finding(
                self.code,
                "error",
                f"shapes {_shape(a)} and {_shape(b)} are broadcast to {_shape(out)}: every output "
                "is compared with every target",
                "the loss is a sum over pairs, so ∂L/∂output points to the mean of all targets",
                "give both one shape: output.squeeze(1), or target.unsqueeze(1)",
                {"shapes": [list(s) for s in found.shapes], "times": found.count},
                found.place,
                found.place.path,
                cure=lambda key=key: cures.Fit(key),
            )  # fmt: skip


class DoubleSoftmax(Rule):
    """Probabilities are given to a loss that takes a softmax of its own: a fact of the graph."""

    code = "DOUBLE_SOFTMAX"

    def findings(self, case: Case) -> Iterator[Finding]:
        for place, calls in case.loss_calls("cross_entropy", "nll_loss").items():
            feeds = calls[0].feeds
            twice = (calls[0].kind == "cross_entropy" and feeds == "softmax") or (
                feeds == "log_softmax(softmax)"
            )
            harmless = calls[0].kind == "cross_entropy" and feeds == "log_softmax"
            if not (twice or harmless):
                continue
            key = calls[0].feed_key
            severity: Severity = "error" if twice else "note"
            yield Finding(
                self.code,
                severity,
                f"{calls[0].kind} at {place} is given the output of {feeds}, and takes a softmax "
                "itself" + ("" if twice else "; of log_softmax this changes nothing"),
                "the Jacobian diag(p) - p pᵀ of a softmax stands in the product twice: it "
                "shrinks the gradient, and the loss cannot come near 0",
                "give the loss the scores: leave out the softmax in forward()",
                {"calls": len(calls), "loss": calls[0].kind, "fed_by": feeds},
                calls[0].feed_place or place,
                calls[0].feed_place.path,
                cure=(lambda key=key: cures.Without(key)) if twice else None,
            )  # fmt: skip


class LossMismatch(Rule):
    """A loss that cannot get small with such outputs, or for such targets."""

    code = "LOSS_MISMATCH"

    def findings(self, case: Case) -> Iterator[Finding]:
        for calls in case.loss_calls().values():
            found = (
                self._of_scores(calls) or self._of_probabilities(calls)
                or self._of_range(calls) or self._of_classes(case, calls)
            )  # fmt: skip
            if found is not None:
                yield found

    def _finding(
        self, calls: Sequence[LossCall], severity: Severity, cause: str, factor: str, remedy: str,
        evidence: dict[str, object], cure: object = None,
    ) -> Finding:  # fmt: skip
        call = calls[0]
        facts = {"loss": call.kind, "calls": len(calls), **rounded(evidence)}
        return Finding(self.code, severity, cause, factor, remedy, facts, call.place,
                       call.feed_place.path, cure=cure)  # fmt: skip

    def _of_scores(self, calls: Sequence[LossCall]) -> Finding | None:
        """A loss of scores after an activation that keeps scores from being free."""
        call = calls[0]
        key = call.feed_key
        limiting = ("relu", "tanh", "sigmoid")
        if call.kind == "cross_entropy" and call.prediction.ndim > 1:
            if call.prediction.shape[1] == 1:
                return self._finding(
                    calls, "error", "cross_entropy over a single class is always zero",
                    "the softmax of one score is 1, and its derivative 0",
                    "use F.binary_cross_entropy_with_logits for one output, or two outputs",
                    {"classes": 1},
                )  # fmt: skip
            if call.feeds in limiting:
                return self._finding(
                    calls, "error" if call.feeds != "relu" else "warning",
                    f"cross_entropy takes free scores, and is given the output of {call.feeds}",
                    f"the slope of {call.feeds} multiplies every gradient, and its range bounds "
                    "the probabilities that the softmax can reach",
                    f"leave out {call.feeds} after the last layer",
                    {"fed_by": call.feeds}, lambda: cures.Without(key),
                )  # fmt: skip
        if call.kind == "binary_cross_entropy_with_logits" and call.feeds in (*limiting, "softmax"):
            return self._finding(
                calls, "error", f"{call.kind} applies a sigmoid itself, and is given the output of "
                f"{call.feeds}",
                "the slope of the squashing function stands in the product twice",
                f"leave out {call.feeds}, or use F.binary_cross_entropy",
                {"fed_by": call.feeds}, lambda: cures.Without(key),
            )  # fmt: skip
        return None

    def _of_probabilities(self, calls: Sequence[LossCall]) -> Finding | None:
        """A loss of log-probabilities that is given something else."""
        call = calls[0]
        if call.kind not in _PROBABILITY or call.prediction.ndim < 2:
            return None
        off = []
        for c in calls:
            x = c.prediction.astype(np.float64)
            axis = 1 if call.kind == "nll_loss" else -1
            top = x.max(axis=axis, keepdims=True)
            log_sum = np.log(np.exp(x - top).sum(axis=axis)) + np.squeeze(top, axis)
            off.append(float(np.abs(log_sum).max(initial=0.0)))
        if np.median(off) < 1e-2:
            return None
        return self._finding(
            calls, "error",
            f"{call.kind} takes log-probabilities, and the exponentials of what it is given sum to "
            f"{np.exp(min(50.0, float(np.median(off)))):.3g} instead of 1",
            "without the softmax, ∂L/∂score is -1 for the label and 0 for the rest: scores grow "
            "without bound",
            "use F.cross_entropy on the scores, or F.log_softmax(scores, dim=1) before nll_loss",
            {"log_sum_of_exp": float(np.median(off)), "fed_by": call.feeds or "a layer"},
            lambda: cures.LogSoftmaxBefore(),
        )  # fmt: skip

    def _of_range(self, calls: Sequence[LossCall]) -> Finding | None:
        """Targets that the outputs cannot reach."""
        call = calls[0]
        calls = [c for c in calls if c.feeds == call.feeds]
        target = np.concatenate([np.asarray(c.target, np.float64).ravel() for c in calls])
        if not target.size or not np.isfinite(target).all():
            return None
        limited = call.kind in _DISTANCES and call.feeds in _RANGES
        if limited or (call.kind == "binary_cross_entropy" and call.feeds == "softmax"):
            missed = unreachable(calls)
            if not missed > _UNREACHABLE:
                return None
            return self._out_of_reach(calls, missed, target)
        if call.kind.startswith("binary_cross_entropy"):
            outside = float(np.mean((target < 0) | (target > 1)))
            if outside > 0:
                return self._finding(
                    calls, "error",
                    f"{call.kind} takes targets from 0 to 1, and {outside:.0%} are outside",
                    "the loss has no minimum: the gradient σ(x) - y never becomes 0",
                    "map the labels to 0 and 1, or use F.cross_entropy for several classes",
                    {"outside": outside, "targets": len(target)},
                )  # fmt: skip
        return None

    def _out_of_reach(
        self, calls: Sequence[LossCall], missed: float, target: np.ndarray[Any, Any]
    ) -> Finding:
        call, key = calls[0], calls[0].feed_key
        low, high = _RANGES[call.feeds]
        sums = call.feeds == "softmax"
        gives = "numbers that sum to 1" if sums else f"numbers from {low:g} to {high:g}"
        total = _sums(calls) if sums else math.nan
        seen = (f"sum to {total:.3g} on average" if sums
                else f"range from {target.min():.4g} to {target.max():.4g}")  # fmt: skip
        return self._finding(
            calls, "error",
            f"{call.feeds} gives {gives}, and the targets {seen}: the nearest that it can give "
            f"leaves {missed:.0%} of their variance",
            f"outputs are driven to the end of the range of {call.feeds}, where its slope is 0",
            f"leave out {call.feeds} after the last layer, or scale the targets",
            {"variance_out_of_reach": missed, "targets": target.size, "fed_by": call.feeds,
             **({"mean_sum_of_targets": total} if sums else {})},
            lambda: cures.Without(key),
        )  # fmt: skip

    def _of_classes(self, case: Case, calls: Sequence[LossCall]) -> Finding | None:
        """Class numbers as targets of a distance."""
        call = calls[0]
        if call.kind not in _DISTANCES:
            return None
        target = np.concatenate([np.asarray(c.target, np.float64).ravel() for c in calls])
        values = np.unique(target[:5000])
        whole = bool(np.all(values == np.round(values)))
        in_order = len(values) > 2 and bool(np.all(np.diff(values) == 1)) and values[0] in (0, 1)
        if not (whole and in_order and len(values) <= 20 and len(target) >= 10 * len(values)):
            return None
        found = case.samples()
        if found is not None and found[1].shape[1] == 1 and is_order(*found):
            return None  # stars or counts
        return self._finding(
            calls, "warning",
            f"the targets are the whole numbers {values[0]:g} to {values[-1]:g}, which look like "
            f"classes, and {call.kind} takes them for amounts",
            "the gradient 2 (output - label) says that class 3 lies between 2 and 4",
            "give the network one output for each class and use F.cross_entropy",
            {"distinct_targets": len(values), "targets": len(target)},
        )  # fmt: skip


def unreachable(calls: Sequence[LossCall]) -> float:
    """The squared distance from targets to what the last activation can give, per variance."""
    kept = [np.asarray(c.target, np.float64) for c in calls if np.size(c.target)]
    missed = total = 0.0
    mean = float(np.mean([t.mean() for t in kept]))
    for call, y in zip(calls, kept, strict=False):
        low, high = _RANGES[call.feeds]
        near = np.clip(y, low, high)
        if call.feeds == "softmax":
            if y.shape != call.prediction.shape or call.axis is None:
                return math.nan
            near = np.moveaxis(_to_simplex(np.moveaxis(y, call.axis, -1)), -1, call.axis)
        missed += float(((y - near) ** 2).sum())
        total += float(((y - mean) ** 2).sum())
    return missed / total if total > 0 else math.nan


def _to_simplex(y: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The nearest points whose numbers are not negative and sum to 1 along the last axis.

    Held, Wolfe and Crowder (1974): y is lowered by one amount, and cut off at 0.
    """
    ordered = -np.sort(-y, axis=-1)
    over = (np.cumsum(ordered, axis=-1) - 1.0) / np.arange(1, y.shape[-1] + 1)
    count = np.sum(ordered > over, axis=-1, keepdims=True)
    return np.maximum(y - np.take_along_axis(over, np.maximum(count - 1, 0), axis=-1), 0.0)


def _sums(calls: Sequence[LossCall]) -> float:
    return float(np.mean([np.asarray(c.target).sum(axis=c.axis).mean() for c in calls]))


def _shape(shape: Sequence[int]) -> str:
    return "(" + ", ".join(map(str, shape)) + ")"
