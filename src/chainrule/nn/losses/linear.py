"""Losses with the last linear layer: of all classes at once, or in clusters by frequency."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from ... import ops
from ...core.aval import describe
from ...core.value import Value, recording
from ...errors import ArgumentError, IndexRangeError, ShapeError
from ..containers import ModuleList, Sequential
from ..layers.linear import Linear
from ..module import Module
from .classification import cross_entropy
from .reduction import WeightedLoss


def linear_cross_entropy(
    input: Any,
    linear_weight: Any,
    target: Any,
    *,
    linear_bias: Any = None,
    weight: Any = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: Any = None,
) -> Any:
    """``cross_entropy`` of the scores W x + b.

    Shapes: input (N, I) or (I), linear_weight (C, …, I), linear_bias (C, …), target (N, …) of class
    numbers or (N, C, …) of probabilities. `options`, PyTorch's sizes of chunks, have no effect.
    """
    rows = linear_weight.shape[:-1]
    flat = ops.reshape(linear_weight, (math.prod(rows), linear_weight.shape[-1]))
    bias = None if linear_bias is None else ops.reshape(linear_bias, (-1,))
    scores = ops.linear(input, flat, bias)
    return cross_entropy(
        ops.reshape(scores, (*input.shape[:-1], *rows)),
        target,
        weight,
        ignore_index=-100 if ignore_index is None else ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )


class LinearCrossEntropyLoss(WeightedLoss):
    """A linear layer and CrossEntropyLoss in one; see ``functional.linear_cross_entropy``.

    >>> loss = cr.nn.LinearCrossEntropyLoss(5, 10)
    >>> loss(zeros(4, 5), tensor([0, 1, 2, 3])).detach()
    tensor(2.3026)
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        out_features: tuple[int, ...] = (),
        bias: bool = False,
        device: Any = None,
        dtype: Any = None,
        reduction: str = "mean",
        weight: Any = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        options: Any = None,
    ) -> None:
        super().__init__(weight, reduction=reduction)
        if not 0 <= label_smoothing <= 1:
            raise ArgumentError(
                "label_smoothing lies between 0 and 1", got=f"label_smoothing={label_smoothing}"
            )
        if weight is not None and weight.shape != (num_classes,):
            raise ShapeError(
                "LinearCrossEntropyLoss needs a weight for each class",
                expected=f"({num_classes},)",
                got=describe(weight),
            )
        self.num_classes = num_classes
        self.out_features = tuple(out_features)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing
        self.options = options
        size = math.prod(self.out_features, start=num_classes)
        self.linear = Linear(in_features, size, bias, device, dtype)

    def forward(self, input: Any, target: Any) -> Any:
        rows, bias = (self.num_classes, *self.out_features), self.linear.bias
        return linear_cross_entropy(
            input,
            ops.reshape(self.linear.weight, (*rows, self.linear.in_features)),
            target,
            linear_bias=None if bias is None else ops.reshape(bias, rows),
            weight=self.weight,
            reduction=self.reduction,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            options=self.options,
        )


class ASMOutput(NamedTuple):
    """The log-probability of each target, and the loss."""

    output: Any
    loss: Any


class AdaptiveLogSoftmaxWithLoss(Module):
    """Log softmax over many classes that are sorted by frequency, the frequent ones first.

    The head scores the classes below ``cutoffs[0]`` and one number for each cluster of the others;
    a cluster's classes are scored only for the rows whose target is among them, through a
    projection to in_features / div_valueⁱ. Shapes: (N, in_features) and (N), or without N.
    Returns (output, loss): log-probabilities of the targets, and minus their mean.

    Source: Grave et al. 2017, "Efficient softmax approximation for GPUs", section 4.
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        bounds = [int(c) for c in cutoffs]
        if not bounds or bounds != sorted({*bounds}) or not 0 < bounds[0] <= bounds[-1] < n_classes:
            raise ArgumentError(
                "AdaptiveLogSoftmaxWithLoss takes cutoffs that grow",
                expected=f"different numbers from 1 to {n_classes - 1}",
                got=str(list(cutoffs)),
            )
        self.in_features = in_features
        self.n_classes = n_classes
        self.cutoffs = [*bounds, n_classes]
        self.div_value = div_value
        self.head_bias = head_bias
        self.shortlist_size = bounds[0]
        self.n_clusters = len(bounds)
        self.head_size = self.shortlist_size + self.n_clusters
        self.head = Linear(in_features, self.head_size, head_bias, device, dtype)
        self.tail = ModuleList()
        for i, (low, high) in enumerate(pairwise(self.cutoffs)):
            width = int(in_features // div_value ** (i + 1))
            self.tail.append(
                Sequential(
                    Linear(in_features, width, False, device, dtype),
                    Linear(width, high - low, False, device, dtype),
                )
            )

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        self.head.reset_parameters()
        for layer in self.tail.modules():
            if isinstance(layer, Linear):
                layer.reset_parameters()

    def forward(self, input_: Any, target_: Any) -> ASMOutput:
        if target_.ndim not in (0, 1) or input_.shape[:-1] != target_.shape:
            raise ShapeError(
                "AdaptiveLogSoftmaxWithLoss takes (N, in_features) and (N), or both without N",
                got=f"input: {describe(input_)}   target: {describe(target_)}",
            )
        x = ops.reshape(input_, (-1, input_.shape[-1]))
        data = target_.array if isinstance(target_, Value) else target_
        labels = np.asarray(data, np.int64).reshape(-1)
        if ((labels < 0) | (labels >= self.n_classes)).any():
            raise IndexRangeError(
                "a target is no class",
                expected=f"0 to {self.n_classes - 1}",
                got=f"{labels.min()} to {labels.max()}",
            )
        cluster = np.searchsorted(self.cutoffs, labels, side="right")
        places = np.where(cluster == 0, labels, self.shortlist_size + cluster - 1)
        output = _picked(self.head(x), places)
        for i, low in enumerate(self.cutoffs[:-1]):
            rows = np.flatnonzero(cluster == i + 1)
            if len(rows):
                scores = self.tail[i](ops.index_select(x, 0, rows))
                output = ops.index_add(output, 0, rows, _picked(scores, labels[rows] - low))
        loss = ops.mean(-output)
        return ASMOutput(output if target_.ndim else ops.squeeze(output, 0), loss)

    def log_prob(self, input: Any) -> Any:
        """Log-probabilities (N, n_classes) of all classes."""
        head = ops.log_softmax(self.head(input), 1)
        parts = [head[:, : self.shortlist_size]]
        for i, projection in enumerate(self.tail):
            at = self.shortlist_size + i
            parts.append(ops.log_softmax(projection(input), 1) + head[:, at : at + 1])
        return ops.concatenate(parts, 1)

    def predict(self, input: Any) -> Any:
        """The most probable class of each row."""
        with recording(False):
            return ops.argmax(self.log_prob(input), 1)


def _picked(scores: Any, labels: Any) -> Any:
    """log softmax of the score at each row's label."""
    return ops.squeeze(ops.gather(ops.log_softmax(scores, 1), 1, labels[:, None]), 1)
