"""The functions behind the layers, with PyTorch's signatures.

``import chainrule.nn.functional as F`` is how programs name this module. The functions work on
tensors and on plain arrays. What a function computes and its derivative are said where its op is
defined; here are only the options that PyTorch adds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import ops
from ..core.apply import warn
from ..core.aval import broadcast_shapes, describe
from ..core.value import Value, tape
from ..errors import ArgumentError, ShapeError
from ..ops import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    avg_pool1d,
    avg_pool2d,
    conv1d,
    conv2d,
    conv_transpose1d,
    conv_transpose2d,
    layer_norm,
    linear,
    logsigmoid,
    max_pool1d,
    max_pool2d,
    sigmoid,
    tanh,
    unfold,
)
from ..tensor import Tensor
from .losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    nll_loss,
    smooth_l1_loss,
)

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "avg_pool1d",
    "avg_pool2d",
    "batch_norm",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "conv1d",
    "conv2d",
    "conv_transpose1d",
    "conv_transpose2d",
    "cosine_similarity",
    "cross_entropy",
    "dropout",
    "dropout1d",
    "dropout2d",
    "elu",
    "embedding",
    "gelu",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "logsigmoid",
    "max_pool1d",
    "max_pool2d",
    "mse_loss",
    "nll_loss",
    "normalize",
    "one_hot",
    "pad",
    "relu",
    "relu_",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "softmax",
    "softplus",
    "tanh",
    "unfold",
]


# Activations ----------------------------------------------------------------------------------


def relu(input: Any, inplace: bool = False) -> Any:
    """max(x, 0). With `inplace`, the input tensor takes on the result as its new value.

    >>> cr.nn.functional.relu(tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    return _placed(ops.relu(input), input, inplace)


def relu_(input: Any) -> Any:
    """``relu`` in place."""
    return relu(input, inplace=True)


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """x for x > 0, else negative_slope · x."""
    return _placed(ops.leaky_relu(input, negative_slope), input, inplace)


def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """x for x > 0, else α (eˣ - 1)."""
    return _placed(ops.elu(input, alpha), input, inplace)


def silu(input: Any, inplace: bool = False) -> Any:
    """x σ(x)."""
    return _placed(ops.silu(input), input, inplace)


def gelu(input: Any, approximate: str = "none") -> Any:
    """x Φ(x), Φ the normal distribution function; "tanh" approximates it."""
    return ops.gelu(input, approximate=approximate)


def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """log(1 + e^(βx)) / β, and x itself where βx > threshold."""
    return ops.softplus(input, beta, threshold)


def softmax(input: Any, dim: int | None = None, dtype: Any = None) -> Any:
    """exp xᵢ / Σⱼ exp xⱼ along `dim`; with `dtype` the input is converted first.

    Without `dim`, PyTorch's old rule and a warning: axis 0 of tensors with 0, 1 or 3 axes, else 1.
    """
    x = input if dtype is None else ops.cast(input, dtype)
    return ops.softmax(x, _softmax_axis("softmax", x) if dim is None else dim)


def log_softmax(input: Any, dim: int | None = None, dtype: Any = None) -> Any:
    """xᵢ - log Σⱼ exp xⱼ along `dim`; options as for ``softmax``."""
    x = input if dtype is None else ops.cast(input, dtype)
    return ops.log_softmax(x, _softmax_axis("log_softmax", x) if dim is None else dim)


def _softmax_axis(name: str, x: Any) -> int:
    axis = 0 if x.ndim in (0, 1, 3) else 1
    warn(f"{name} without dim takes axis {axis} here; say dim={axis}")
    return axis


def _placed(y: Any, x: Any, inplace: bool) -> Any:
    """`y`, or with `inplace` the tensor `x` with `y` as its value, as later readers of x expect.

    Raises InPlaceError if x is a leaf that wants a gradient.
    """
    if not inplace or not isinstance(x, Tensor):
        return y
    if tape.recording and x.requires_grad and x.is_leaf:
        return x.assign_(y)
    x.array = y.array
    if tape.recording:
        x.node = y.node
    return x


# Dropout --------------------------------------------------------------------------------------


def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Zeros with probability p, and everything else divided by 1 - p; nothing in evaluation."""
    return _placed(ops.dropout(input, p, training), input, inplace)


def dropout1d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Dropout of whole channels of (N, C, L) or (C, L)."""
    if input.ndim == 2:
        dropped = ops.squeeze(ops.feature_dropout(ops.unsqueeze(input, 0), p, training), 0)
        return _placed(dropped, input, inplace)
    return _placed(ops.feature_dropout(input, p, training), input, inplace)


def dropout2d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Dropout of whole channels of (N, C, H, W)."""
    return _placed(ops.feature_dropout(input, p, training), input, inplace)


# Tables and shapes ----------------------------------------------------------------------------


def embedding(input: Any, weight: Any, padding_idx: int | None = None) -> Any:
    """Rows of `weight`, one for each integer of `input`; row `padding_idx` gets no gradient."""
    return ops.embedding(input, weight, padding_idx)


def one_hot(tensor: Any, num_classes: int = -1) -> Any:
    """Integers as vectors with a single 1; -1 takes as many classes as the data have.

    >>> cr.nn.functional.one_hot(tensor([0, 2]))
    tensor([[1, 0, 0],
            [0, 0, 1]])
    """
    if num_classes < 0:
        data = tensor.array if isinstance(tensor, Value) else tensor
        if not data.size:
            raise ArgumentError("one_hot of no elements needs num_classes")
        num_classes = int(data.max()) + 1
    return ops.one_hot(tensor, num_classes)


def pad(input: Any, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Any:
    """The input with a border; `pad` is (before, after) for the last axis, then for the one before.

    Negative numbers cut. Modes are "constant", "reflect", "replicate" and "circular".
    Raises ShapeError for an odd number of widths, or more than the input has axes for.

    >>> cr.nn.functional.pad(tensor([1.0, 2.0]), (1, 2))
    tensor([0., 1., 2., 0., 0.])
    """
    if len(pad) % 2 or len(pad) > 2 * input.ndim:
        raise ShapeError(
            "pad takes a pair of widths for each of the last axes",
            expected=f"2 to {2 * input.ndim} numbers",
            got=f"{tuple(pad)} for {describe(input)}",
        )
    pairs = [(int(pad[i]), int(pad[i + 1])) for i in range(0, len(pad), 2)]
    widths = (*[(0, 0)] * (input.ndim - len(pairs)), *reversed(pairs))
    if mode == "constant":
        return ops.pad(input, widths, 0.0 if value is None else value)
    return ops.pad_mode(input, widths, mode)


# Normalisation --------------------------------------------------------------------------------


def batch_norm(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """(x - mean) / √(var + eps) · weight + bias for each channel, axis 1.

    In training the statistics are the batch's, and the tensors `running_mean` and `running_var`, if
    given, take on new values; otherwise they are the statistics.
    """
    if not training or running_mean is None:
        return ops.batch_norm(
            input, running_mean, running_var, weight, bias, training, momentum, eps
        )
    y, mean, var = ops.batch_norm_stats(
        input, running_mean, running_var, weight, bias, momentum, eps
    )
    running_mean.array = mean.array
    running_var.array = var.array
    return y


def normalize(input: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Any:
    """x / max(‖x‖ₚ, eps) along `dim`."""
    return input / ops.maximum(ops.norm(input, p, dim, keepdim=True), eps)


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """x₁ · x₂ / (max(‖x₁‖, eps) max(‖x₂‖, eps)) along `dim`, of operands broadcast to one shape."""
    # A vector that is broadcast along `dim` has the norm of all its copies.
    shape = broadcast_shapes(x1.shape, x2.shape)
    x1, x2 = ops.expand(x1, shape), ops.expand(x2, shape)
    norms: Callable[[Any], Any] = lambda x: ops.maximum(ops.norm(x, 2.0, dim), eps)  # noqa: E731
    return ops.sum(x1 * x2, dim) / (norms(x1) * norms(x2))
