"""Losses of classes and of probabilities: cross-entropy in its forms, and the divergence."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import ops
from ...errors import ArgumentError
from ...ops.losses import check_batch
from .reduction import (
    REDUCTIONS,
    Loss,
    WeightedLoss,
    check_reduction,
    chosen,
    reduced,
    same_shape,
    warn_if_broadcast,
)


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """-log softmax(x)[y]: the surprise at the right class, from unnormalised scores.

    Shapes: input (N, C, …) or (C), target of class numbers (N, …) or (), or of probabilities of
    the input's shape. `weight` (C) weighs classes, and "mean" divides by the weights of the labels;
    labels equal to `ignore_index` do not count; `label_smoothing` ε mixes the target with ε/C.
    d loss / d input = (softmax(input) - onehot(target)) / N.

    Raises IndexRangeError for a label that is no class.

    >>> cr.nn.functional.cross_entropy(tensor([[2.0, 0.0]]), tensor([0]))
    tensor(0.1269)
    """
    reduction = chosen(size_average, reduce, reduction)
    check_reduction(reduction)
    return ops.cross_entropy(
        input,
        target,
        weight=weight,
        ignore_index=ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )


def nll_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """-input[y], for an input of log-probabilities; shapes and weights as in ``cross_entropy``."""
    reduction = chosen(size_average, reduce, reduction)
    check_reduction(reduction)
    return ops.nll_loss(
        input, target, weight=weight, ignore_index=ignore_index, reduction=reduction
    )


def binary_cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """-(y log p + (1 - y) log(1 - p)) for probabilities p, each logarithm at least -100.

    Where a logarithm is cut off, p = 0 or p = 1 included, its gradient is zero.
    ``binary_cross_entropy_with_logits`` has no such limit.

    Raises ShapeError if shapes differ, ArgumentError for probabilities outside [0, 1].

    >>> cr.nn.functional.binary_cross_entropy(tensor([0.5, 1.0]), tensor([1.0, 1.0]))
    tensor(0.3466)
    """
    same_shape("binary_cross_entropy", input, target)
    data = getattr(input, "array", input)
    if isinstance(data, np.ndarray) and not ((data >= 0) & (data <= 1)).all():
        raise ArgumentError(
            "binary_cross_entropy takes probabilities",
            expected="0 <= input <= 1",
            got=f"values from {data.min():.4g} to {data.max():.4g}",
            hint="for scores use binary_cross_entropy_with_logits",
        )
    loss = -(target * _log(input) + (1 - target) * _log(1 - input))
    loss = loss if weight is None else loss * weight
    return reduced(loss, chosen(size_average, reduce, reduction))


def binary_cross_entropy_with_logits(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Any = None,
) -> Any:
    """Binary cross-entropy of σ(x), computed without overflow: max(x, 0) - x y + log(1 + e^-|x|).

    `pos_weight` multiplies the loss of the positive class. d loss / dx = σ(x) - y.

    Raises ShapeError if shapes differ.
    """
    reduction = chosen(size_average, reduce, reduction)
    check_reduction(reduction)
    same_shape("binary_cross_entropy_with_logits", input, target)
    return ops.binary_cross_entropy_with_logits(
        input, target, weight=weight, reduction=reduction, pos_weight=pos_weight
    )


def kl_div(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Any:
    """Kullback-Leibler divergence y (log y - x), where x are log-probabilities; 0 where y = 0.

    With `log_target`, y is given as its logarithm. `reduction` may also be "batchmean", the sum
    divided by the batch size, which is the divergence as mathematics defines it.
    """
    reduction = chosen(size_average, reduce, reduction)
    warn_if_broadcast("kl_div", input, target)
    if log_target:
        loss = ops.exp(target) * (target - input)
    else:
        absent = target == 0
        log_y = ops.log(ops.where(absent, 1.0, target))
        loss = ops.where(absent, 0.0, target * (log_y - input))
    if reduction == "batchmean":
        check_batch(loss.shape)
        return ops.sum(loss) / (loss.shape[0] if loss.shape else 1)
    return reduced(loss, reduction, extra="batchmean")


def soft_margin_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """log(1 + e^(-y x)) for labels y of 1 and -1."""
    loss = -ops.logsigmoid(target * input)
    return reduced(loss, chosen(size_average, reduce, reduction))


def multilabel_soft_margin_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """-(y log σ(x) + (1 - y) log σ(-x)) averaged over the classes, the last axis.

    `weight` (C) weighs the classes.
    """
    loss = -(target * ops.logsigmoid(input) + (1 - target) * ops.logsigmoid(-input))
    if weight is not None:
        loss = loss * weight
    return reduced(ops.mean(loss, -1), chosen(size_average, reduce, reduction))


def _log(p: Any) -> Any:
    """log p, at least -100. The inner `where` keeps 1/0 out of the derivative."""
    impossible = p <= 0
    log_p = ops.log(ops.where(impossible, 1.0, p))
    return ops.where(impossible, -100.0, ops.maximum(log_p, -100.0))


class CrossEntropyLoss(WeightedLoss):
    """Softmax and negative log-likelihood in one; see ``functional.cross_entropy``.

    >>> cr.nn.CrossEntropyLoss()(zeros(4, 10), tensor([0, 1, 2, 3]))
    tensor(2.3026)
    """

    def __init__(
        self,
        weight: Any = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        if not 0 <= label_smoothing <= 1:
            raise ArgumentError(
                "label_smoothing lies between 0 and 1", got=f"label_smoothing={label_smoothing}"
            )
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, input: Any, target: Any) -> Any:
        return cross_entropy(
            input,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class NLLLoss(WeightedLoss):
    """Negative log-likelihood of log-probabilities; see ``functional.nll_loss``."""

    def __init__(
        self,
        weight: Any = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index

    def forward(self, input: Any, target: Any) -> Any:
        return nll_loss(
            input, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction
        )


class BCELoss(WeightedLoss):
    """Cross-entropy of probabilities of two classes; see ``functional.binary_cross_entropy``."""

    def forward(self, input: Any, target: Any) -> Any:
        return binary_cross_entropy(input, target, self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(WeightedLoss):
    """BCELoss of the sigmoid of scores; see ``functional.binary_cross_entropy_with_logits``."""

    pos_weight: Any

    def __init__(
        self,
        weight: Any = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        pos_weight: Any = None,
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Any, target: Any) -> Any:
        return binary_cross_entropy_with_logits(
            input, target, self.weight, reduction=self.reduction, pos_weight=self.pos_weight
        )


class KLDivLoss(Loss):
    """Kullback-Leibler divergence; see ``functional.kl_div``."""

    allowed = (*REDUCTIONS, "batchmean")

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        log_target: bool = False,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_target = log_target

    def forward(self, input: Any, target: Any) -> Any:
        return kl_div(input, target, reduction=self.reduction, log_target=self.log_target)


class SoftMarginLoss(Loss):
    """Logistic loss of labels 1 and -1; see ``functional.soft_margin_loss``."""

    def forward(self, input: Any, target: Any) -> Any:
        return soft_margin_loss(input, target, reduction=self.reduction)


class MultiLabelSoftMarginLoss(WeightedLoss):
    """Several classes at once, each by itself; see ``functional.multilabel_soft_margin_loss``."""

    def forward(self, input: Any, target: Any) -> Any:
        return multilabel_soft_margin_loss(input, target, self.weight, reduction=self.reduction)
