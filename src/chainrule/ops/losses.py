"""Losses with a rule of their own: cross-entropy of class labels, and of logits of two classes.

Both take scores, not probabilities: the derivative softmax(x) - onehot(label) (document 002) is
exact where the logarithm of a probability would be log 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from ..core.apply import apply
from ..core.aval import Aval, Data, Shape, describe, shape_of
from ..core.families import Elementwise, Fused
from ..core.op import INPUTS, Active, Cotangents, Needs
from ..core.sampling import Draw, Sample, floats, ints
from ..errors import ArgumentError, DTypeError, IndexRangeError, ShapeError
from . import (
    arithmetic,
    comparison,
    elementwise,
    indexing,
    lookup,
    movement,
    probabilities,
    reduce,
    selection,
)

V = TypeVar("V")

__all__ = ["binary_cross_entropy_with_logits", "cross_entropy", "nll_loss"]

REDUCTIONS = ("mean", "sum", "none")


class CrossEntropy(Fused):
    """-Σ_c q_c log softmax(x)_c, with q = (1-ε) w_t onehot(t) + (ε/C) w; and the log softmax.

    x (N, C, …) or (C), labels t (N, …) or (), and optionally class weights w (C). With a factor a
    for each row (ȳ; for the mean ȳ / Σ w_t; 0 for an ignored label) x̄ = a (softmax(x) Σ_c q_c - q).
    """

    ignore_index: int
    reduction: str
    smoothing: float
    needs = Needs(inputs=(1, 2), output=True)
    n_out = 2

    def infer(self, *xs: Any) -> tuple[Aval, Aval]:
        x, labels = xs[:2]
        shape, axis = shape_of(x), _class_axis(x)
        if not shape or shape_of(labels) != shape[:axis] + shape[axis + 1 :]:
            raise ShapeError(
                "cross_entropy needs a label for each row of scores",
                expected="scores (N, C, …) or (C), labels (N, …) or ()",
                got=f"scores: {describe(x)}   labels: {describe(labels)}",
            )
        if labels.dtype.kind not in "iu":
            raise DTypeError(
                "class labels are integers",
                got=f"scores: {describe(x)}   labels: {describe(labels)}",
                hint="probabilities of classes have the shape of the scores",
            )
        if len(xs) > 2 and shape_of(xs[2]) != (shape[axis],):
            raise ShapeError(
                "cross_entropy needs a weight for each class",
                expected=f"({shape[axis]},)",
                got=describe(xs[2]),
            )
        loss = shape_of(labels) if self.reduction == "none" else ()
        return Aval(loss, x.dtype), Aval(shape, x.dtype)

    def check(self, *xs: Any) -> None:
        x, labels = xs[:2]
        _check_labels(np.where(labels != self.ignore_index, labels, 0), x.shape[_class_axis(x)])

    def forward(self, *xs: Any) -> tuple[Any, Any]:
        self.infer(*xs)
        x, labels, *weight = xs
        axis, zero = _class_axis(x), x.dtype.type(0)
        kept = labels != self.ignore_index
        labels = np.where(kept, labels, 0)
        _check_labels(labels, x.shape[axis])
        log_p = probabilities.log_probabilities(x, axis)
        picked = np.take_along_axis(log_p, np.expand_dims(labels, axis), axis).squeeze(axis)
        w = weight[0][labels] if weight else x.dtype.type(1)
        loss = np.where(kept, x.dtype.type(self.smoothing - 1) * w * picked, zero)
        if self.smoothing:
            weighted = log_p * _beside(weight[0], x.ndim) if weight else log_p
            share = x.dtype.type(self.smoothing / x.shape[axis])
            loss -= np.where(kept, share * weighted.sum(axis=axis), zero)
        if self.reduction != "none":
            wide = probabilities.wide(x.dtype)
            loss = loss.sum(dtype=wide)
            if self.reduction == "mean":
                loss = np.divide(loss, np.sum(kept * w, dtype=wide))
        return np.asarray(loss).astype(x.dtype, copy=False), log_p

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        loss, log_p = y
        gx = gw = None
        if ct[1] is not None and active[0] is not None:
            gx = ct[1] - elementwise.exp(log_p) * reduce.sum(ct[1], _class_axis(log_p), True)
        if ct[0] is not None:
            weight = xs[2] if len(xs) > 2 else None
            kept, labels = self._kept(xs[1])
            w = _row_weights(weight, kept, labels, log_p.dtype)
            factor = ct[0] / reduce.sum(w) if self.reduction == "mean" else ct[0]
            factor = selection.where(kept, factor, 0.0)
            if active[0] is not None:
                scores = self._scores_cotangent(factor, labels, w, weight, log_p)
                gx = scores if gx is None else gx + scores
            if weight is not None and active[2] is not None:
                gw = self._weight_cotangent(factor, kept, labels, weight, loss, log_p)
        return (gx, None, gw)[: len(xs)]

    def _kept(self, labels: Data) -> tuple[Data, Data]:
        """Which labels count, and the labels with 0 in place of the others."""
        kept = comparison.ne(labels, self.ignore_index)
        return kept, selection.where(kept, labels, 0)

    def _scores_cotangent(
        self, factor: Data, labels: Data, w: Data, weight: Data | None, log_p: Data
    ) -> Data:
        """a (softmax(x) Σ q - q); `factor` is a, `w` the weight of each row's label."""
        axis, shape = _class_axis(log_p), log_p.shape
        hit = movement.unsqueeze(w * factor * (1.0 - self.smoothing), axis)
        total, spread = hit, None
        if self.smoothing:
            row = movement.unsqueeze(factor * (self.smoothing / shape[axis]), axis)
            if weight is None:
                total, spread = hit + row * float(shape[axis]), row
            else:
                total = hit + row * reduce.sum(weight)
                spread = row * _beside(weight, len(shape))
        scattered = apply(lookup.Scatter(axis, shape), hit, movement.unsqueeze(labels, axis))
        gx = elementwise.exp(log_p) * total - scattered
        return gx if spread is None else gx - spread

    def _weight_cotangent(
        self, factor: Data, kept: Data, labels: Data, weight: Data, loss: Data, log_p: Data
    ) -> Data:
        """What each class weight adds to the loss, less (for the mean) its share in the divisor."""
        axis = _class_axis(log_p)
        picked = lookup.gather(log_p, axis, movement.unsqueeze(labels, axis))
        value = movement.squeeze(picked, axis) * (self.smoothing - 1.0)
        if self.reduction == "mean":
            value = value - loss
        value = movement.reshape(selection.where(kept, value * factor, 0.0), (-1,))
        gw = apply(lookup.Scatter(0, weight.shape), value, movement.reshape(labels, (-1,)))
        if not self.smoothing:
            return gw
        rows = movement.unsqueeze(kept, axis), log_p * movement.unsqueeze(factor, axis)
        spread = selection.where(*rows, 0.0)
        others = tuple(a for a in range(log_p.ndim) if a != axis)
        return gw - reduce.sum(spread, others) * (self.smoothing / log_p.shape[axis])

    def reference(self, *xs: Data) -> tuple[Data, Data]:
        x, axis = xs[0], _class_axis(xs[0])
        weight = xs[2] if len(xs) > 2 else None
        log_p = probabilities.log_softmax(x, axis)
        loss = _negative_log_likelihood(log_p, xs[1], weight, self.ignore_index)
        loss = loss * (1.0 - self.smoothing)
        kept, labels = self._kept(xs[1])
        if self.smoothing:
            weighted = log_p if weight is None else log_p * _beside(weight, x.ndim)
            spread = reduce.sum(weighted, axis) * (self.smoothing / x.shape[axis])
            loss = loss - selection.where(kept, spread, 0.0)
        divisor = reduce.sum(_row_weights(weight, kept, labels, x.dtype))
        return _reduced(loss, self.reduction, divisor), log_p

    def expand(self, *xs: Data) -> Data:
        x, labels, *weight = xs
        axis, wide = _class_axis(x), probabilities.wide(x.dtype)
        if x.shape[axis] == 0:
            return None
        log_p = probabilities.log_softmax(x, axis)
        kept, labels = self._kept(labels)
        hits = lookup.hits(labels, x.shape[axis], axis)
        # a greatest element, not a sum: a label that is no class makes the loss infinite, not zero
        picked = reduce.amax(selection.where(hits, log_p, -math.inf), axis)
        w: Data = 1.0
        if weight:
            w = reduce.sum(selection.where(hits, _beside(weight[0], x.ndim), 0.0), axis)
        loss = selection.where(kept, w * (self.smoothing - 1.0) * picked, 0.0)
        if self.smoothing:
            weighted = log_p * _beside(weight[0], x.ndim) if weight else log_p
            spread = reduce.sum(weighted, axis) * (self.smoothing / x.shape[axis])
            loss = loss - selection.where(kept, spread, 0.0)
        if self.reduction != "none":
            loss = reduce.sum(movement.cast(loss, wide))
            if self.reduction == "mean":
                counted = selection.where(kept, w, 0.0) if weight else kept
                loss = loss / reduce.sum(movement.cast(counted, wide))
        return movement.cast(loss, x.dtype), log_p

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape, ignore, reduction, smoothing, weighted in (
            ((3,), -100, "mean", 0.0, False), ((1,), -100, "sum", 0.0, False),
            ((4, 3), -100, "mean", 0.0, False), ((4, 3), -100, "sum", 0.1, False),
            ((4, 3), -100, "none", 0.0, False), ((1, 2), -100, "mean", 0.5, True),
            ((5, 3), 1, "mean", 0.0, False), ((5, 3), 1, "mean", 0.2, True),
            ((5, 3), 0, "none", 0.2, True), ((5, 3), 2, "sum", 0.0, True),
            ((2, 3, 2), -100, "mean", 0.0, True), ((2, 3, 2, 2), 1, "mean", 0.1, False),
            ((2, 3, 1, 2), -100, "none", 0.3, True), ((0, 3), -100, "sum", 0.0, False),
            ((0, 3), -100, "none", 0.1, True), ((3,), -100, "none", 1.0, True),
        ):  # fmt: skip
            axis = min(1, len(shape) - 1)
            labels = ints(shape[:axis] + shape[axis + 1 :], shape[axis])
            weight = (Draw((shape[axis],), 0.5, 2.0),) if weighted else ()
            yield Sample(cls(ignore, reduction, smoothing), (*floats(shape), labels, *weight))


def _class_axis(x: Any) -> int:
    return min(1, len(shape_of(x)) - 1)


def _beside(weight: Data, ndim: int) -> Data:
    """Class weights, placed along the axis of classes of an array of `ndim` axes."""
    return weight if ndim < 3 else movement.reshape(weight, (-1, *(1,) * (ndim - 2)))


def _row_weights(weight: Data | None, kept: Data, labels: Data, dtype: Any) -> Data:
    """The weight of each label, 0 where it is ignored."""
    if weight is None:
        return movement.cast(kept, dtype)
    return selection.where(kept, indexing.take(weight, labels, 0), 0.0)


def _check_labels(labels: Any, classes: int) -> None:
    """Raise IndexRangeError unless every label is the number of a class."""
    if labels.size and (labels.min() < 0 or labels.max() >= classes):
        wrong = labels[(labels < 0) | (labels >= classes)].flat[0]
        raise IndexRangeError(
            "a label is not the number of a class",
            expected=f"0 <= label < {classes}, or ignore_index",
            got=f"label {wrong}",
        )


def check_batch(shape: Shape) -> None:
    """Raise ShapeError for the mean of no losses: NaN would spoil all that is trained with it."""
    if 0 in shape:
        raise ShapeError(
            "a mean over an empty batch",
            expected="at least one element",
            got=f"losses of shape {tuple(shape)}",
            hint='leave empty batches out, or take reduction="sum"',
        )


def _reduced(loss: V, reduction: str, divisor: Any = None) -> V:
    if reduction == "none":
        return loss
    if reduction == "sum":
        return reduce.sum(loss)
    check_batch(shape_of(loss))
    return reduce.mean(loss) if divisor is None else arithmetic.div(reduce.sum(loss), divisor)


def _check_reduction(reduction: str) -> None:
    if reduction not in REDUCTIONS:
        raise ArgumentError(
            "unknown reduction", expected='"mean", "sum" or "none"', got=repr(reduction),
        )  # fmt: skip


def _negative_log_likelihood(log_p: Data, labels: Data, weight: Data | None, ignore: int) -> Data:
    """-w_t log_p[t] for each row, 0 where the label is ignored."""
    axis = _class_axis(log_p)
    kept = comparison.ne(labels, ignore)
    labels = selection.where(kept, labels, 0)
    picked = lookup.gather(log_p, axis, movement.unsqueeze(labels, axis))
    value = -movement.squeeze(picked, axis)
    if weight is not None:
        value = value * indexing.take(weight, labels, 0)
    return selection.where(kept, value, 0.0)


def cross_entropy(
    logits: V,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> V:
    """-log softmax(x)_t: how surprising class t is to scores x.  ∂/∂x = softmax(x) - onehot(t).

    x (N, C, …) or (C); `target` has class labels (N, …) or (), or probabilities of the shape of x,
    q, for -Σ_c q_c log softmax(x)_c. `weight` (C) weighs classes; the mean over labels is the sum
    divided by that of their weights, over probabilities by the number of rows. Rows with label
    `ignore_index` do not count. With `label_smoothing` ε the target becomes (1-ε) q + ε/C.
    Finite for scores of ±1e38. If all labels are ignored, the mean is NaN.

    Raises IndexRangeError for a label that is no class, ShapeError and DTypeError for targets that
    do not fit, ShapeError for the mean of an empty batch, ArgumentError for an unknown reduction or
    a smoothing outside 0 … 1.

    Source: Szegedy et al. 2016, "Rethinking the Inception architecture", section 7 (smoothing).

    >>> cross_entropy(tensor([[2.0, 0.0, 0.0]]), tensor([0]))
    tensor(0.2395)
    """
    _check_reduction(reduction)
    if not 0.0 <= label_smoothing <= 1.0:
        raise ArgumentError(
            "label_smoothing is a share", expected="0 to 1", got=str(label_smoothing),
        )  # fmt: skip
    logits = reduce.as_float(logits)
    target = target if getattr(target, "dtype", None) is not None else np.asarray(target)
    if weight is not None:
        weight = movement.cast(weight, logits.dtype)  # type: ignore[attr-defined]  # V has a dtype
    if target.dtype.kind == "f" and shape_of(target) == shape_of(logits) != ():
        return _soft_cross_entropy(logits, target, weight, reduction, label_smoothing)
    if reduction == "mean":
        check_batch(shape_of(target))
    op = CrossEntropy(int(ignore_index), reduction, float(label_smoothing))
    operands = (target,) if weight is None else (target, weight)
    outputs: Any = apply(op, logits, *operands)
    return outputs[0]  # type: ignore[no-any-return]  # of logits' kind


def _soft_cross_entropy(logits: V, target: Any, weight: Any, reduction: str, smoothing: float) -> V:
    """Cross-entropy against probabilities, made of log_softmax."""
    axis = _class_axis(logits)
    if smoothing:
        target = target * (1.0 - smoothing) + smoothing / shape_of(logits)[axis]
    log_p: Any = probabilities.log_softmax(logits, axis)
    if weight is not None:
        log_p = log_p * _beside(weight, log_p.ndim)
    loss: V = -reduce.sum(target * log_p, axis)
    return _reduced(loss, reduction)


def nll_loss(
    log_probabilities: V,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> V:
    """-w_t x_t for rows x of log-probabilities and labels t: cross_entropy without the softmax.

    Shapes, weights, ignored labels and the mean are those of ``cross_entropy``.  ∂/∂x_c = -w_t at
    c = t and 0 elsewhere. Raises IndexRangeError for a label that is no class.

    >>> nll_loss(tensor([[-0.5, -1.0]]), tensor([1]))
    tensor(1.)
    """
    _check_reduction(reduction)
    target = target if getattr(target, "dtype", None) is not None else np.asarray(target)
    probe = CrossEntropy(int(ignore_index), reduction, 0.0)
    operands = (
        (log_probabilities, target) if weight is None else (log_probabilities, target, weight)
    )
    probe.infer(*operands)
    loss = _negative_log_likelihood(log_probabilities, target, weight, ignore_index)
    if reduction != "mean":
        return _reduced(loss, reduction)  # type: ignore[no-any-return]
    kept = comparison.ne(target, ignore_index)
    labels = selection.where(kept, target, 0)
    return _reduced(loss, reduction, reduce.sum(_row_weights(weight, kept, labels, loss.dtype)))  # type: ignore[no-any-return]


class BinaryCrossEntropyWithLogits(Elementwise):
    """y = -t log σ(x) - (1-t) log σ(-x) = max(x, 0) - x t + log(1 + e^-|x|);  dy/dx = σ(x) - t."""

    floating = True
    expr = "maximum({0}, 0) - {0} * {1} + log1p(exp(-abs({0})))"
    math = ("1 / (1 + exp(-{0})) - {1}", "-{0}")
    domain = ((-4.0, 4.0), (0.0, 1.0))
    needs = INPUTS

    def forward(self, *xs: Any) -> Any:
        x, t = xs
        return np.maximum(x, 0) - x * t + np.log1p(np.exp(-np.abs(x)))

    def partial(self, i: int, xs: Sequence[Data], y: Data) -> Data:
        return elementwise.sigmoid(xs[0]) - xs[1] if i == 0 else -xs[0]


BINARY_CROSS_ENTROPY_WITH_LOGITS = BinaryCrossEntropyWithLogits()


def binary_cross_entropy_with_logits(
    logits: V,
    target: Any,
    weight: Any = None,
    reduction: str = "mean",
    pos_weight: Any = None,
) -> V:
    """-p t log σ(x) - (1-t) log σ(-x) for scores x and targets t in 0 … 1.  ∂/∂x = σ(x) - t.

    Finite for every finite x. `weight` multiplies each element's loss, `pos_weight` p that of the
    positive class. Raises ArgumentError for an unknown reduction.

    >>> binary_cross_entropy_with_logits(tensor([0.0, 100.0]), tensor([1.0, 1.0]))
    tensor(0.3466)
    """
    _check_reduction(reduction)
    if pos_weight is None:
        loss: Any = apply(BINARY_CROSS_ENTROPY_WITH_LOGITS, logits, target)
    else:
        positive: Any = apply(BINARY_CROSS_ENTROPY_WITH_LOGITS, logits, 1.0)
        loss = arithmetic.mul(logits, 1.0 - target) + positive * (1.0 + (pos_weight - 1.0) * target)
    return _reduced(loss if weight is None else loss * weight, reduction)  # type: ignore[no-any-return]
