"""Losses of numbers: squared, absolute and robust errors, and likelihoods of counts and normals."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ... import ops
from ...core.aval import describe
from ...core.value import Value, recording
from ...errors import ArgumentError, ShapeError
from .reduction import Loss, chosen, reduced, warn_if_broadcast


def mse_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Any = None,
) -> Any:
    """Squared error (x - y)², averaged over all elements.

    `reduction` is "mean", "sum" or "none"; `weight` multiplies the errors, and the mean divides by
    the weights. Raises ArgumentError for another reduction and ShapeError for shapes that do not
    broadcast; shapes that differ but broadcast give a warning, as in PyTorch.

    >>> cr.nn.functional.mse_loss(tensor([1.0, 2.0]), tensor([0.0, 4.0]))
    tensor(2.5000)
    """
    warn_if_broadcast("mse_loss", input, target)
    loss = ops.square(ops.sub(input, target))
    return _weighted(loss, weight, chosen(size_average, reduce, reduction))


def l1_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Any = None,
) -> Any:
    """Absolute error |x - y|, averaged over all elements; options of ``mse_loss``. Flat at x = y.

    >>> cr.nn.functional.l1_loss(tensor([1.0, 2.0]), tensor([0.0, 4.0]), reduction="sum")
    tensor(3.)
    """
    warn_if_broadcast("l1_loss", input, target)
    loss = ops.abs(ops.sub(input, target))
    return _weighted(loss, weight, chosen(size_average, reduce, reduction))


def smooth_l1_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Any:
    """d² / (2β) for |d| < β, else |d| - β/2, where d = x - y; for β = 0, |d|.

    Source: Girshick 2015, eq. 3 (β = 1).
    """
    if beta < 0:
        raise ArgumentError("smooth_l1_loss takes a beta of at least 0", got=f"beta={beta}")
    reduction = chosen(size_average, reduce, reduction)
    if beta == 0:
        return l1_loss(input, target, reduction=reduction)
    warn_if_broadcast("smooth_l1_loss", input, target)
    d = ops.sub(input, target)
    size = ops.abs(d)
    loss = ops.where(size < beta, d * d * (0.5 / beta), size - 0.5 * beta)
    return reduced(loss, reduction)


def huber_loss(
    input: Any, target: Any, reduction: str = "mean", delta: float = 1.0, weight: Any = None
) -> Any:
    """d² / 2 for |d| ≤ δ, else δ (|d| - δ/2), where d = x - y.

    Source: Huber 1964, section 4.
    """
    if delta <= 0:
        raise ArgumentError("huber_loss takes a delta greater than 0", got=f"delta={delta}")
    warn_if_broadcast("huber_loss", input, target)
    d = ops.sub(input, target)
    size = ops.abs(d)
    loss = ops.where(size <= delta, d * d * 0.5, delta * (size - 0.5 * delta))
    return _weighted(loss, weight, reduction)


def poisson_nll_loss(
    input: Any,
    target: Any,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """-log of the Poisson probability of the count y: eˣ - y x, for x the logarithm of the rate.

    Without `log_input` x is the rate itself: x - y log(x + eps). `full` adds Stirling's
    approximation of log y!, y log y - y + log(2πy) / 2, where y > 1.
    """
    rate, logarithm = input, input
    if log_input:
        rate = ops.exp(input)
    else:
        logarithm = ops.log(input + eps)
    loss = rate - target * logarithm
    if full:
        y = ops.where(target > 1, target, 1.0)
        stirling = y * ops.log(y) - y + 0.5 * ops.log(2 * math.pi * y)
        loss = loss + ops.where(target > 1, stirling, 0.0)
    return reduced(loss, chosen(size_average, reduce, reduction))


def gaussian_nll_loss(
    input: Any,
    target: Any,
    var: Any,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Any:
    """-log of a normal density with mean x and variance v: (log v + (x - y)² / v) / 2.

    `var` is a number, or a tensor that broadcasts to the shape of x, or lacks its last axis. It is
    at least `eps`, which its derivative does not see, as in PyTorch. `full` adds log(2π) / 2.

    Raises ArgumentError for a negative variance. Source: Nix & Weigend 1994, eq. 5.
    """
    if isinstance(var, int | float):
        var = ops.mul(ops.add(ops.mul(input, 0.0), 1.0), float(var))
    elif var.shape != input.shape and var.shape == input.shape[:-1]:
        var = ops.unsqueeze(var, -1)
    if any(n not in (1, m) for n, m in zip(var.shape[::-1], input.shape[::-1], strict=False)):
        raise ShapeError(
            "gaussian_nll_loss needs a variance for each input",
            got=f"input: {describe(input)}   var: {describe(var)}",
        )
    data = var.array if isinstance(var, Value) else var
    if isinstance(data, np.ndarray) and data.size and data.min() < 0:
        raise ArgumentError("a variance is not negative", got=f"{data.min():.4g}")
    with recording(False):
        lift = ops.maximum(var, eps) - var
    var = var + lift
    loss = 0.5 * (ops.log(var) + ops.square(ops.sub(input, target)) / var)
    return reduced(loss + 0.5 * math.log(2 * math.pi) if full else loss, reduction)


def _weighted(loss: Any, weight: Any, reduction: str) -> Any:
    """The weighted errors; their mean divides by the sum of the weights."""
    if weight is None:
        return reduced(loss, reduction)
    loss = loss * weight
    if reduction != "mean":
        return reduced(loss, reduction)
    return ops.sum(loss) / ops.sum(ops.expand(weight, loss.shape))


class MSELoss(Loss):
    """Mean squared error; see ``functional.mse_loss``."""

    def forward(self, input: Any, target: Any) -> Any:
        return mse_loss(input, target, reduction=self.reduction)


class L1Loss(Loss):
    """Mean absolute error; see ``functional.l1_loss``."""

    def forward(self, input: Any, target: Any) -> Any:
        return l1_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(Loss):
    """Quadratic near zero, linear beyond β; see ``functional.smooth_l1_loss``."""

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        beta: float = 1.0,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.beta = beta

    def forward(self, input: Any, target: Any) -> Any:
        return smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(Loss):
    """Quadratic near zero, linear beyond δ; see ``functional.huber_loss``."""

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.delta = delta

    def forward(self, input: Any, target: Any) -> Any:
        return huber_loss(input, target, reduction=self.reduction, delta=self.delta)


class PoissonNLLLoss(Loss):
    """Negative log-likelihood of counts; see ``functional.poisson_nll_loss``."""

    def __init__(
        self,
        log_input: bool = True,
        full: bool = False,
        size_average: bool | None = None,
        eps: float = 1e-8,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_input = log_input
        self.full = full
        self.eps = eps

    def forward(self, log_input: Any, target: Any) -> Any:
        return poisson_nll_loss(
            log_input,
            target,
            log_input=self.log_input,
            full=self.full,
            eps=self.eps,
            reduction=self.reduction,
        )


class GaussianNLLLoss(Loss):
    """Negative log-likelihood of normal numbers; see ``functional.gaussian_nll_loss``."""

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.full = full
        self.eps = eps

    def forward(self, input: Any, target: Any, var: Any) -> Any:
        return gaussian_nll_loss(
            input, target, var, full=self.full, eps=self.eps, reduction=self.reduction
        )
