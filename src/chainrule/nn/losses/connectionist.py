"""Connectionist temporal classification: labels of a sequence without their places in time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import ops
from ...core.aval import describe
from ...core.value import Value, recording
from ...errors import ArgumentError, IndexRangeError, ShapeError
from .reduction import Loss, reduced

IMPOSSIBLE = -1e30
"""The logarithm of no probability, kept finite so that its derivative is one; fits float32."""


def ctc_loss(
    log_probs: Any,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Any:
    """-log of the probability that the outputs, without repeats and blanks, spell the targets.

    Shapes: log_probs (T, N, C), or (T, C) without a batch; targets (N, S), or all labels one after
    the other; lengths (N), tensors or sequences of numbers. α runs over the labels with blanks
    between them: α_t(s) = log_probs_t(l_s) + logsumexp(α_{t-1}(s), α_{t-1}(s-1), α_{t-1}(s-2)), the
    last only if l_s is no blank and differs from l_{s-2}. "mean" divides each loss by its number of
    labels first. A target that is too long for its input costs infinity, or 0 with `zero_infinity`.

    log_probs are taken to be outputs of ``log_softmax``: as in PyTorch, the gradient is the one
    with respect to the scores behind it, exp(log_probs) - occupancy, not that of free numbers.

    Raises ShapeError, ArgumentError for lengths that do not fit, IndexRangeError for a label that
    is no class. Source: Graves et al. 2006, section 4.1.
    """
    batched = log_probs.ndim == 3
    if not batched:
        log_probs = ops.unsqueeze(log_probs, 1)
    if log_probs.ndim != 3:
        raise ShapeError("ctc_loss takes log_probs (T, N, C) or (T, C)", got=describe(log_probs))
    steps, batch, classes = log_probs.shape
    lengths = _lengths("input_lengths", input_lengths, batch, steps)
    counts = _lengths("target_lengths", target_lengths, batch, None)
    labels = _labels(targets, counts, classes, blank)
    loss = -_log_probability(_as_softmax(log_probs), labels, lengths, counts, blank)
    infinite = loss > -IMPOSSIBLE / 2
    loss = ops.where(infinite, 0.0 if zero_infinity else np.inf, loss)
    if reduction == "mean":
        loss = loss / np.maximum(counts, 1).astype(loss.dtype)
    elif reduction == "none" and not batched:
        loss = ops.squeeze(loss, 0)
    return reduced(loss, reduction)


def _as_softmax(log_probs: Any) -> Any:
    """The same numbers, with the derivative that they have as a softmax's: its sum stays one."""
    total = ops.sum(ops.exp(log_probs), -1, keepdim=True)
    with recording(False):
        same = total * 1.0
    return log_probs - (total - same)


def _log_probability(log_probs: Any, labels: Any, lengths: Any, counts: Any, blank: int) -> Any:
    """log p(labels) of each sequence (N), by the forward variables α."""
    steps, batch, _ = log_probs.shape
    places = np.full((batch, 2 * labels.shape[1] + 1), blank, np.int64)
    places[:, 1::2] = labels
    emitted = ops.gather(log_probs, 2, np.broadcast_to(places, (steps, *places.shape)))
    skips = np.zeros(places.shape, bool)
    skips[:, 2:] = (places[:, 2:] != blank) & (places[:, 2:] != places[:, :-2])
    start = np.arange(places.shape[1]) < np.where(counts > 0, 2, 1)[:, None]
    alpha = ops.where(start, emitted[0], IMPOSSIBLE)
    for t in range(1, steps):
        one = ops.pad(alpha[:, :-1], ((0, 0), (1, 0)), IMPOSSIBLE)
        two = ops.pad(one[:, :-1], ((0, 0), (1, 0)), IMPOSSIBLE)
        ways = ops.stack([alpha, one, ops.where(skips, two, IMPOSSIBLE)])
        new = ops.logsumexp(ways, 0) + emitted[t]
        alpha = new if lengths.min() > t else ops.where((lengths > t)[:, None], new, alpha)
    last = np.stack([2 * counts, np.maximum(2 * counts - 1, 0)], 1)
    ends = ops.gather(alpha, 1, last)
    ends = ops.where(np.stack([counts >= 0, counts > 0], 1), ends, IMPOSSIBLE)
    return ops.where(lengths > 0, ops.logsumexp(ends, 1), np.where(counts == 0, 0.0, IMPOSSIBLE))


def _lengths(name: str, given: Any, batch: int, most: int | None) -> Any:
    """The lengths as an array of N integers."""
    data = given.array if isinstance(given, Value) else np.asarray(given)
    lengths = np.asarray(data, np.int64).reshape(-1)
    if (
        len(lengths) != batch
        or (lengths < 0).any()
        or (most is not None and lengths.max(initial=0) > most)
    ):
        raise ArgumentError(
            f"ctc_loss cannot use these {name}",
            expected=f"{batch} numbers from 0" + ("" if most is None else f" to {most}"),
            got=str(lengths.tolist()),
        )
    return lengths


def _labels(targets: Any, counts: Any, classes: int, blank: int) -> Any:
    """The labels (N, S) with the blank behind the end of each."""
    if not 0 <= blank < classes:
        raise IndexRangeError(
            "the blank is no class", expected=f"0 to {classes - 1}", got=str(blank)
        )
    data = np.asarray(targets.array if isinstance(targets, Value) else targets, np.int64)
    longest = int(counts.max(initial=0))
    inside = np.arange(longest) < counts[:, None]
    labels = np.full((len(counts), longest), blank, np.int64)
    if data.ndim == 2 and data.shape[0] == len(counts) and data.shape[1] >= longest:
        labels[inside] = data[:, :longest][inside]
    elif data.ndim == 1 and len(data) == counts.sum():
        labels[inside] = data
    else:
        raise ShapeError(
            "ctc_loss takes targets (N, S), or as many labels as target_lengths say",
            expected=f"({len(counts)}, {longest}) or ({counts.sum()},)",
            got=describe(targets),
        )
    wrong = labels[inside][(labels[inside] < 0) | (labels[inside] >= classes)]
    if len(wrong):
        raise IndexRangeError(
            "a target of ctc_loss is no class", expected=f"0 to {classes - 1}", got=str(wrong[0])
        )
    return labels


class CTCLoss(Loss):
    """Connectionist temporal classification; see ``functional.ctc_loss``."""

    def __init__(
        self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False
    ) -> None:
        super().__init__(reduction=reduction)
        self.blank = blank
        self.zero_infinity = zero_infinity

    def forward(
        self,
        log_probs: Any,
        targets: Any,
        input_lengths: Any | Sequence[int],
        target_lengths: Any | Sequence[int],
    ) -> Any:
        return ctc_loss(
            log_probs,
            targets,
            input_lengths,
            target_lengths,
            self.blank,
            self.reduction,
            self.zero_infinity,
        )
