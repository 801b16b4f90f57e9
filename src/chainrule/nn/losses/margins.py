"""Losses of order and distance: margins between classes, pairs and triplets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ... import ops
from ...core.aval import describe
from ...errors import ArgumentError, ShapeError
from ..functional.distances import pairwise_distance
from .reduction import Loss, WeightedLoss, chosen, reduced


def margin_ranking_loss(
    input1: Any,
    input2: Any,
    target: Any,
    margin: float = 0.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """max(0, -y (x₁ - x₂) + margin): x₁ is to rank higher where y = 1, lower where y = -1.

    >>> cr.nn.functional.margin_ranking_loss(tensor([1.0]), tensor([3.0]), tensor([1.0]))
    tensor(2.)
    """
    if not input1.ndim == input2.ndim == target.ndim:
        raise ShapeError(
            "margin_ranking_loss takes operands with equally many axes",
            got="   ".join(map(describe, (input1, input2, target))),
        )
    loss = _above_zero(margin - target * (input1 - input2))
    return reduced(loss, chosen(size_average, reduce, reduction))


def hinge_embedding_loss(
    input: Any,
    target: Any,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """x where y = 1, max(0, margin - x) where y = -1: x is the distance of a pair."""
    far = ops.where(ops.ne(target, 1), _above_zero(margin - input), 0.0)
    near = ops.where(ops.ne(target, -1), input, 0.0)
    return reduced(far + near, chosen(size_average, reduce, reduction))


def cosine_embedding_loss(
    input1: Any,
    input2: Any,
    target: Any,
    margin: float = 0.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """1 - cos(x₁, x₂) where y = 1, max(0, cos(x₁, x₂) - margin) where y = -1.

    Shapes: x₁, x₂ (N, D) and y (N), or (D) and (). Zero vectors have cosine 0.
    """
    if input1.ndim not in (1, 2) or target.ndim != input1.ndim - 1:
        raise ShapeError(
            "cosine_embedding_loss takes pairs (N, D) with labels (N), or (D) with ()",
            got="   ".join(map(describe, (input1, input2, target))),
        )
    squares = [ops.sum(x * x, -1) + 1e-12 for x in (input1, input2)]
    cos = ops.sum(input1 * input2, -1) / ops.sqrt(squares[0] * squares[1])
    near = ops.where(ops.eq(target, 1), 1.0 - cos, 0.0)
    far = ops.where(ops.eq(target, -1), _above_zero(cos - margin), 0.0)
    return reduced(near + far, chosen(size_average, reduce, reduction))


def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """max(0, d(a, p) - d(a, n) + margin), where d is ``pairwise_distance`` with norm `p`.

    With `swap`, d(a, n) is replaced by d(p, n) if that is smaller.

    Sources: Schroff et al. 2015, eq. 3; Balntas et al. 2016, section 3.3 (swap).
    """
    return triplet_margin_with_distance_loss(
        anchor,
        positive,
        negative,
        distance_function=lambda a, b: pairwise_distance(a, b, p, eps),
        margin=margin,
        swap=swap,
        reduction=chosen(size_average, reduce, reduction),
    )


def triplet_margin_with_distance_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    *,
    distance_function: Callable[[Any, Any], Any] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    """``triplet_margin_loss`` with any distance; without one, ``pairwise_distance``."""
    if margin <= 0:
        raise ArgumentError("a triplet loss takes a margin above 0", got=f"margin={margin}")
    distance = pairwise_distance if distance_function is None else distance_function
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise ShapeError(
            "a triplet loss takes operands with equally many axes",
            got="   ".join(map(describe, (anchor, positive, negative))),
        )
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = ops.minimum(far, distance(positive, negative))
    return reduced(_above_zero(margin + near - far), reduction)


def multi_margin_loss(
    input: Any,
    target: Any,
    p: int = 1,
    margin: float = 1.0,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """Σ_{j≠y} max(0, margin - x[y] + x[j])ᵖ · weight[y] / C, the hinge loss of several classes.

    Shapes: input (N, C) or (C), target of class numbers (N) or (); weight (C).

    Source: Weston & Watkins 1999 (p = 1).
    """
    if p not in (1, 2):
        raise ArgumentError("multi_margin_loss takes p = 1 or 2", got=f"p={p}")
    input = ops.atleast_1d(input)
    shape = input.shape
    if len(shape) not in (1, 2) or target.shape not in (shape[:-1], (*shape[:-1], 1)):
        raise ShapeError(
            "multi_margin_loss takes scores (N, C) with labels (N), or (C) with ()",
            got=f"input: {describe(input)}   target: {describe(target)}",
        )
    labels = ops.reshape(target, (*shape[:-1], 1))
    right = ops.gather(input, -1, labels)
    excess = _above_zero(margin - right + input)
    hinge = excess if p == 1 else ops.square(excess)
    if weight is not None:
        hinge = hinge * ops.reshape(ops.take(weight, labels), labels.shape)
    others = ops.ne(labels, np.arange(shape[-1]))
    loss = ops.sum(ops.where(others, hinge, 0.0), -1) / shape[-1]
    return reduced(loss, chosen(size_average, reduce, reduction))


def multilabel_margin_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """Σ_{j∈y} Σ_{i∉y} max(0, 1 - (x[j] - x[i])) / C, where y is the set of right classes.

    Shapes: input and target (N, C) or (C); the labels of a row end at its first -1.
    """
    input, target = ops.atleast_1d(input), ops.atleast_1d(target)
    shape = input.shape
    if len(shape) not in (1, 2) or target.shape != shape:
        raise ShapeError(
            "multilabel_margin_loss takes scores and labels of one shape, (N, C) or (C)",
            got=f"input: {describe(input)}   target: {describe(target)}",
        )
    counted = ops.eq(ops.cumsum(ops.cast(ops.lt(target, 0), np.int64), -1), 0)
    labels = ops.where(counted, target, 0)
    hits = ops.logical_and(
        ops.eq(ops.unsqueeze(labels, -1), np.arange(shape[-1])), ops.unsqueeze(counted, -1)
    )
    wrong = ops.logical_not(ops.any(hits, -2))
    right = ops.unsqueeze(ops.gather(input, -1, labels), -1)
    hinge = _above_zero(1.0 - right + ops.unsqueeze(input, -2))
    pairs = ops.logical_and(ops.unsqueeze(counted, -1), ops.unsqueeze(wrong, -2))
    loss = ops.sum(ops.where(pairs, hinge, 0.0), (-2, -1)) / shape[-1]
    return reduced(loss, chosen(size_average, reduce, reduction))


def _above_zero(x: Any) -> Any:
    """max(x, 0), whose derivative at 0 is 1, as that of PyTorch's margins."""
    return ops.clip(x, min=0.0)


class _MarginLoss(Loss):
    """A loss with its margin."""

    default: float

    def __init__(
        self,
        margin: float | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = self.default if margin is None else margin


class MarginRankingLoss(_MarginLoss):
    """Which of two should rank higher; see ``functional.margin_ranking_loss``."""

    default = 0.0

    def forward(self, input1: Any, input2: Any, target: Any) -> Any:
        return margin_ranking_loss(input1, input2, target, self.margin, reduction=self.reduction)


class HingeEmbeddingLoss(_MarginLoss):
    """Distances of pairs that belong together or not; see ``functional.hinge_embedding_loss``."""

    default = 1.0

    def forward(self, input: Any, target: Any) -> Any:
        return hinge_embedding_loss(input, target, self.margin, reduction=self.reduction)


class CosineEmbeddingLoss(_MarginLoss):
    """Cosines of pairs that belong together or not; see ``functional.cosine_embedding_loss``."""

    default = 0.0

    def forward(self, input1: Any, input2: Any, target: Any) -> Any:
        return cosine_embedding_loss(input1, input2, target, self.margin, reduction=self.reduction)


class TripletMarginLoss(Loss):
    """An anchor, one that belongs to it and one that does not; see ``triplet_margin_loss``.

    >>> a, p, n = tensor([[0.0]]), tensor([[1.0]]), tensor([[3.0]])
    >>> cr.nn.TripletMarginLoss(margin=3.0)(a, p, n)
    tensor(1.)
    """

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        if margin <= 0:
            raise ArgumentError("a triplet loss takes a margin above 0", got=f"margin={margin}")
        self.margin = margin
        self.p = p
        self.eps = eps
        self.swap = swap

    def forward(self, anchor: Any, positive: Any, negative: Any) -> Any:
        return triplet_margin_loss(
            anchor,
            positive,
            negative,
            margin=self.margin,
            p=self.p,
            eps=self.eps,
            swap=self.swap,
            reduction=self.reduction,
        )


class TripletMarginWithDistanceLoss(Loss):
    """TripletMarginLoss with any distance; see ``triplet_margin_with_distance_loss``."""

    def __init__(
        self,
        *,
        distance_function: Callable[[Any, Any], Any] | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction=reduction)
        if margin <= 0:
            raise ArgumentError("a triplet loss takes a margin above 0", got=f"margin={margin}")
        self.distance_function = distance_function
        self.margin = margin
        self.swap = swap

    def forward(self, anchor: Any, positive: Any, negative: Any) -> Any:
        return triplet_margin_with_distance_loss(
            anchor,
            positive,
            negative,
            distance_function=self.distance_function,
            margin=self.margin,
            swap=self.swap,
            reduction=self.reduction,
        )


class MultiMarginLoss(WeightedLoss):
    """Hinge loss of several classes; see ``functional.multi_margin_loss``."""

    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
        weight: Any = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        if p not in (1, 2):
            raise ArgumentError("MultiMarginLoss takes p = 1 or 2", got=f"p={p}")
        self.p = p
        self.margin = margin

    def forward(self, input: Any, target: Any) -> Any:
        return multi_margin_loss(
            input, target, self.p, self.margin, self.weight, reduction=self.reduction
        )


class MultiLabelMarginLoss(Loss):
    """Hinge loss of sets of classes; see ``functional.multilabel_margin_loss``."""

    def forward(self, input: Any, target: Any) -> Any:
        return multilabel_margin_loss(input, target, reduction=self.reduction)
