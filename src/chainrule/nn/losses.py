"""Loss functions, and the modules that hold their options.

A mean over an empty batch is a ShapeError; the sum is 0.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from .. import ops
from ..core.apply import warn
from ..core.aval import describe
from ..errors import ArgumentError, ShapeError
from ..ops.losses import check_batch
from .module import Module

REDUCTIONS = ("mean", "sum", "none")


def mse_loss(input: Any, target: Any, *, reduction: str = "mean") -> Any:
    """Squared error (x - y)², averaged over all elements.

    `reduction` is "mean", "sum" or "none". Raises ArgumentError for another one and ShapeError for
    shapes that do not broadcast; shapes that differ but broadcast give a warning, as in PyTorch.

    >>> cr.nn.functional.mse_loss(tensor([1.0, 2.0]), tensor([0.0, 4.0]))
    tensor(2.5000)
    """
    _warn_if_broadcast("mse_loss", input, target)
    return _reduced(ops.square(ops.sub(input, target)), reduction)


def l1_loss(input: Any, target: Any, *, reduction: str = "mean") -> Any:
    """Absolute error |x - y|, averaged over all elements. Flat where x = y.

    >>> cr.nn.functional.l1_loss(tensor([1.0, 2.0]), tensor([0.0, 4.0]), reduction="sum")
    tensor(3.)
    """
    _warn_if_broadcast("l1_loss", input, target)
    return _reduced(ops.abs(ops.sub(input, target)), reduction)


def smooth_l1_loss(input: Any, target: Any, *, reduction: str = "mean", beta: float = 1.0) -> Any:
    """d² / (2β) for |d| < β, else |d| - β/2, where d = x - y; for β = 0, |d|.

    Source: Girshick 2015, eq. 3 (β = 1).
    """
    if beta < 0:
        raise ArgumentError("smooth_l1_loss takes a beta of at least 0", got=f"beta={beta}")
    if beta == 0:
        return l1_loss(input, target, reduction=reduction)
    _warn_if_broadcast("smooth_l1_loss", input, target)
    d = ops.sub(input, target)
    size = ops.abs(d)
    loss = ops.where(size < beta, d * d * (0.5 / beta), size - 0.5 * beta)
    return _reduced(loss, reduction)


def huber_loss(input: Any, target: Any, *, reduction: str = "mean", delta: float = 1.0) -> Any:
    """d² / 2 for |d| ≤ δ, else δ (|d| - δ/2), where d = x - y.

    Source: Huber 1964, section 4.
    """
    if delta <= 0:
        raise ArgumentError("huber_loss takes a delta greater than 0", got=f"delta={delta}")
    _warn_if_broadcast("huber_loss", input, target)
    d = ops.sub(input, target)
    size = ops.abs(d)
    loss = ops.where(size <= delta, d * d * 0.5, delta * (size - 0.5 * delta))
    return _reduced(loss, reduction)


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    *,
    ignore_index: int = -100,
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
    _check_reduction(reduction)
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
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Any:
    """-input[y], for an input of log-probabilities; shapes and weights as in ``cross_entropy``."""
    _check_reduction(reduction)
    return ops.nll_loss(
        input, target, weight=weight, ignore_index=ignore_index, reduction=reduction
    )


def binary_cross_entropy(
    input: Any, target: Any, weight: Any = None, *, reduction: str = "mean"
) -> Any:
    """-(y log p + (1 - y) log(1 - p)) for probabilities p, each logarithm at least -100.

    Where a logarithm is cut off, p = 0 or p = 1 included, its gradient is zero.
    ``binary_cross_entropy_with_logits`` has no such limit.

    Raises ShapeError if shapes differ, ArgumentError for probabilities outside [0, 1].

    >>> cr.nn.functional.binary_cross_entropy(tensor([0.5, 1.0]), tensor([1.0, 1.0]))
    tensor(0.3466)
    """
    _same_shape("binary_cross_entropy", input, target)
    data = getattr(input, "array", input)
    if isinstance(data, np.ndarray) and not ((data >= 0) & (data <= 1)).all():
        raise ArgumentError(
            "binary_cross_entropy takes probabilities",
            expected="0 <= input <= 1",
            got=f"values from {data.min():.4g} to {data.max():.4g}",
            hint="for scores use binary_cross_entropy_with_logits",
        )
    loss = -(target * _log(input) + (1 - target) * _log(1 - input))
    return _reduced(loss if weight is None else loss * weight, reduction)


def binary_cross_entropy_with_logits(
    input: Any,
    target: Any,
    weight: Any = None,
    *,
    reduction: str = "mean",
    pos_weight: Any = None,
) -> Any:
    """Binary cross-entropy of σ(x), computed without overflow: max(x, 0) - x y + log(1 + e^-|x|).

    `pos_weight` multiplies the loss of the positive class. d loss / dx = σ(x) - y.

    Raises ShapeError if shapes differ.
    """
    _check_reduction(reduction)
    _same_shape("binary_cross_entropy_with_logits", input, target)
    return ops.binary_cross_entropy_with_logits(
        input, target, weight=weight, reduction=reduction, pos_weight=pos_weight
    )


def kl_div(input: Any, target: Any, *, reduction: str = "mean", log_target: bool = False) -> Any:
    """Kullback-Leibler divergence y (log y - x), where x are log-probabilities; 0 where y = 0.

    With `log_target`, y is given as its logarithm. `reduction` may also be "batchmean", the sum
    divided by the batch size, which is the divergence as mathematics defines it.
    """
    _warn_if_broadcast("kl_div", input, target)
    if log_target:
        loss = ops.exp(target) * (target - input)
    else:
        absent = target == 0
        log_y = ops.log(ops.where(absent, 1.0, target))
        loss = ops.where(absent, 0.0, target * (log_y - input))
    if reduction == "batchmean":
        check_batch(loss.shape)
        return ops.sum(loss) / (loss.shape[0] if loss.shape else 1)
    return _reduced(loss, reduction, extra="batchmean")


def _log(p: Any) -> Any:
    """log p, at least -100. The inner `where` keeps 1/0 out of the derivative."""
    impossible = p <= 0
    log_p = ops.log(ops.where(impossible, 1.0, p))
    return ops.where(impossible, -100.0, ops.maximum(log_p, -100.0))


def _reduced(loss: Any, reduction: str, extra: str = "") -> Any:
    if reduction == "mean":
        check_batch(loss.shape)
        return ops.mean(loss)
    if reduction == "sum":
        return ops.sum(loss)
    _check_reduction(reduction, extra)
    return loss


def _check_reduction(reduction: str, extra: str = "") -> None:
    if reduction not in REDUCTIONS:
        raise ArgumentError(
            "unknown reduction",
            expected=", ".join([*REDUCTIONS, *([extra] if extra else [])]),
            got=repr(reduction),
        )


def _same_shape(name: str, input: Any, target: Any) -> None:
    if input.shape != target.shape:
        raise ShapeError(
            f"{name} compares element by element",
            expected=f"target of shape {input.shape}",
            got=f"input: {describe(input)}   target: {describe(target)}",
            hint="drop an axis of size one with squeeze(), or add it with unsqueeze()",
        )


def _warn_if_broadcast(name: str, input: Any, target: Any) -> None:
    shapes = getattr(input, "shape", ()), getattr(target, "shape", ())
    if shapes[0] != shapes[1]:
        warn(
            f"{name} broadcasts input {shapes[0]} against target {shapes[1]}, "
            "which is rarely meant; give both one shape"
        )


class _Loss(Module):
    """A loss with its reduction."""

    allowed: ClassVar[tuple[str, ...]] = REDUCTIONS

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__()
        if reduction not in self.allowed:
            raise ArgumentError(
                "unknown reduction", expected=", ".join(self.allowed), got=repr(reduction)
            )
        self.reduction = reduction


class _WeightedLoss(_Loss):
    """A loss with weights, which are a buffer."""

    weight: Any

    def __init__(self, weight: Any = None, *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.register_buffer("weight", weight)


class MSELoss(_Loss):
    """Mean squared error; see ``functional.mse_loss``."""

    def forward(self, input: Any, target: Any) -> Any:
        return mse_loss(input, target, reduction=self.reduction)


class L1Loss(_Loss):
    """Mean absolute error; see ``functional.l1_loss``."""

    def forward(self, input: Any, target: Any) -> Any:
        return l1_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(_Loss):
    """Quadratic near zero, linear beyond β; see ``functional.smooth_l1_loss``."""

    def __init__(self, *, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.beta = beta

    def forward(self, input: Any, target: Any) -> Any:
        return smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(_Loss):
    """Quadratic near zero, linear beyond δ; see ``functional.huber_loss``."""

    def __init__(self, *, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.delta = delta

    def forward(self, input: Any, target: Any) -> Any:
        return huber_loss(input, target, reduction=self.reduction, delta=self.delta)


class CrossEntropyLoss(_WeightedLoss):
    """Softmax and negative log-likelihood in one; see ``functional.cross_entropy``.

    >>> cr.nn.CrossEntropyLoss()(zeros(4, 10), tensor([0, 1, 2, 3]))
    tensor(2.3026)
    """

    def __init__(
        self,
        weight: Any = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, reduction=reduction)
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


class NLLLoss(_WeightedLoss):
    """Negative log-likelihood of log-probabilities; see ``functional.nll_loss``."""

    def __init__(
        self, weight: Any = None, *, ignore_index: int = -100, reduction: str = "mean"
    ) -> None:
        super().__init__(weight, reduction=reduction)
        self.ignore_index = ignore_index

    def forward(self, input: Any, target: Any) -> Any:
        return nll_loss(
            input, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction
        )


class BCELoss(_WeightedLoss):
    """Cross-entropy of probabilities of two classes; see ``functional.binary_cross_entropy``."""

    def forward(self, input: Any, target: Any) -> Any:
        return binary_cross_entropy(input, target, self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(_WeightedLoss):
    """BCELoss of the sigmoid of scores; see ``functional.binary_cross_entropy_with_logits``."""

    pos_weight: Any

    def __init__(
        self, weight: Any = None, *, reduction: str = "mean", pos_weight: Any = None
    ) -> None:
        super().__init__(weight, reduction=reduction)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Any, target: Any) -> Any:
        return binary_cross_entropy_with_logits(
            input, target, self.weight, reduction=self.reduction, pos_weight=self.pos_weight
        )


class KLDivLoss(_Loss):
    """Kullback-Leibler divergence; see ``functional.kl_div``."""

    allowed = (*REDUCTIONS, "batchmean")

    def __init__(self, *, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction=reduction)
        self.log_target = log_target

    def forward(self, input: Any, target: Any) -> Any:
        return kl_div(input, target, reduction=self.reduction, log_target=self.log_target)
