"""Activation functions with PyTorch's options: in place, by name, with a dtype."""

from __future__ import annotations

from typing import Any

from ... import ops
from ...core.apply import warn
from ...core.value import recording, tape
from ...errors import ArgumentError
from ...tensor import Tensor


def relu(input: Any, inplace: bool = False) -> Any:
    """max(x, 0). With `inplace`, the input tensor takes on the result as its new value.

    >>> cr.nn.functional.relu(tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    return placed(ops.relu(input), input, inplace)


def relu_(input: Any) -> Any:
    """``relu`` in place."""
    return relu(input, inplace=True)


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """x for x > 0, else negative_slope · x."""
    return placed(ops.leaky_relu(input, negative_slope), input, inplace)


def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """x for x > 0, else α (eˣ - 1)."""
    return placed(ops.elu(input, alpha), input, inplace)


def silu(input: Any, inplace: bool = False) -> Any:
    """x σ(x)."""
    return placed(ops.silu(input), input, inplace)


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


def threshold(input: Any, threshold: float, value: float, inplace: bool = False) -> Any:
    """x for x > threshold, else `value`."""
    return placed(ops.threshold(input, threshold, value), input, inplace)


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    """x limited to [min_val, max_val]; its derivative is 0 at the limits."""
    return placed(ops.hardtanh(input, min_val, max_val), input, inplace)


def relu6(input: Any, inplace: bool = False) -> Any:
    """min(max(x, 0), 6)."""
    return placed(ops.relu6(input), input, inplace)


def hardswish(input: Any, inplace: bool = False) -> Any:
    """x · relu6(x + 3) / 6."""
    return placed(ops.hardswish(input), input, inplace)


def hardsigmoid(input: Any, inplace: bool = False) -> Any:
    """relu6(x + 3) / 6."""
    return placed(ops.hardsigmoid(input), input, inplace)


def selu(input: Any, inplace: bool = False) -> Any:
    """λ x for x > 0, else λ α (eˣ - 1), with the constants that keep mean 0 and variance 1."""
    return placed(ops.selu(input), input, inplace)


def celu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """x for x > 0, else α (e^(x/α) - 1)."""
    return placed(ops.celu(input, alpha), input, inplace)


def mish(input: Any, inplace: bool = False) -> Any:
    """x tanh(log(1 + eˣ))."""
    return placed(ops.mish(input), input, inplace)


def rrelu(
    input: Any,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Any:
    """Leaky ReLU with a slope drawn for each element; the mean slope in evaluation."""
    return placed(ops.rrelu(input, lower, upper, training), input, inplace)


def softmin(input: Any, dim: int | None = None, dtype: Any = None) -> Any:
    """softmax(-x)."""
    return softmax(-input, dim, dtype)


def gumbel_softmax(
    logits: Any, tau: float = 1.0, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Any:
    """softmax((x + g) / τ) with noise g of Gumbel's distribution: nearly a random class.

    With `hard` the value is one-hot and the derivative that of the soft one (straight through).
    `eps` is not used; PyTorch keeps it for old programs. Source: Jang et al. 2017, eq. 2.
    """
    if tau <= 0:
        raise ArgumentError("gumbel_softmax takes a temperature above 0", got=f"tau={tau}")
    drawn = ops.rand(logits.shape, dtype=logits.dtype)
    smallest = 2.0**-60
    gumbels = -ops.log(ops.maximum(-ops.log(ops.maximum(drawn, smallest)), smallest))
    soft = ops.softmax((logits + gumbels) / tau, dim)
    if not hard:
        return soft
    with recording(False):
        places = ops.argmax(soft, dim)
        one_hot = ops.movedim(ops.one_hot(places, soft.shape[dim], dtype=soft.dtype), -1, dim)
        shift = one_hot - soft
    return soft + shift


def leaky_relu_(input: Any, negative_slope: float = 0.01) -> Any:
    """``leaky_relu`` in place."""
    return leaky_relu(input, negative_slope, inplace=True)


def elu_(input: Any, alpha: float = 1.0) -> Any:
    """``elu`` in place."""
    return elu(input, alpha, inplace=True)


def selu_(input: Any) -> Any:
    """``selu`` in place."""
    return selu(input, inplace=True)


def celu_(input: Any, alpha: float = 1.0) -> Any:
    """``celu`` in place."""
    return celu(input, alpha, inplace=True)


def threshold_(input: Any, threshold: float, value: float) -> Any:
    """``threshold`` in place."""
    return placed(ops.threshold(input, threshold, value), input, True)


def hardtanh_(input: Any, min_val: float = -1.0, max_val: float = 1.0) -> Any:
    """``hardtanh`` in place."""
    return hardtanh(input, min_val, max_val, inplace=True)


def rrelu_(
    input: Any, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False
) -> Any:
    """``rrelu`` in place."""
    return rrelu(input, lower, upper, training, inplace=True)


def placed(y: Any, x: Any, inplace: bool) -> Any:
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
