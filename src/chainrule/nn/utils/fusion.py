"""A layer and the batch normalisation behind it as one layer, for evaluation."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, TypeVar

from ... import ops
from ...core.value import recording
from ...errors import StateError
from ...tensor import Tensor
from ..module import Module
from ..parameter import Parameter

M = TypeVar("M", bound=Module)
Fused = tuple[Parameter, Parameter]


def fuse_conv_bn_eval(conv: M, bn: Module, transpose: bool = False) -> M:
    """A copy of the convolution that computes what `conv` and then `bn` compute in evaluation.

    `transpose` is for transposed convolutions. Raises StateError for modules that are training.
    """
    return _fused(conv, bn, 1 if transpose else 0)


def fuse_linear_bn_eval(linear: M, bn: Module) -> M:
    """A copy of the linear layer that computes what it and then `bn` compute in evaluation."""
    return _fused(linear, bn, 0)


def _fused(layer: M, bn: Module, axis: int) -> M:
    if layer.training or bn.training:
        raise StateError("layers are fused in evaluation", hint="call eval() first")
    fused = deepcopy(layer)
    fused.weight, fused.bias = _weights(
        layer.weight, layer.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias, axis
    )
    return fused


def fuse_conv_bn_weights(
    conv_w: Any, conv_b: Any, bn_rm: Any, bn_rv: Any, bn_eps: float, bn_w: Any, bn_b: Any,
    transpose: bool = False,
) -> Fused:  # fmt: skip
    """Weight and bias of the one convolution, from those of both and the running statistics."""
    return _weights(conv_w, conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, 1 if transpose else 0)


def fuse_linear_bn_weights(
    linear_w: Any, linear_b: Any, bn_rm: Any, bn_rv: Any, bn_eps: float, bn_w: Any, bn_b: Any
) -> Fused:
    """Weight and bias of the one linear layer, from those of both and the running statistics."""
    return _weights(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, 0)


def _weights(
    w: Tensor, b: Any, mean: Any, var: Any, eps: float, gain: Any, shift: Any, axis: int
) -> Fused:
    with recording(False):
        scale = ops.rsqrt(var + eps)
        if gain is not None:
            scale = scale * gain
        shape = [1] * w.ndim
        shape[axis] = -1
        weight = w * ops.reshape(scale, shape)
        bias = (-mean if b is None else b - mean) * scale
        if shift is not None:
            bias = bias + shift
        wanted = w.requires_grad if b is None else b.requires_grad
        return Parameter(weight, w.requires_grad), Parameter(bias, wanted)
