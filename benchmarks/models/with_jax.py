"""The workloads in JAX: plain functions of a dictionary of arrays, one ``jit`` with donated state.

Weights come under the names that chainrule and PyTorch use, and are laid out as XLA likes them on
CPUs: dense kernels (in, out), convolutions HWIO, images NHWC.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from . import workloads
from .networks import BLOCKS, HEADS
from .workloads import Arrays, Batch, Program, Workload

Params = dict[str, Any]
Statistics = dict[str, Any]


def build(workload: Workload, data: list[Batch], weights: Arrays) -> Program:
    """The training step as one compiled function that reuses the buffers of its state."""
    network = NETWORKS[workload.network.__name__]
    criterion = mse if workload.loss == "mse_loss" else cross_entropy
    update = sgd if workload.optimizer == "SGD" else adam
    params, statistics = convert(workload, weights)

    def loss_of(params: Params, statistics: Statistics, x: Any, y: Any) -> Any:
        out, statistics = network(params, statistics, x)
        return criterion(out, y), statistics

    differentiate = jax.value_and_grad(loss_of, has_aux=True)

    @partial(jax.jit, donate_argnums=0)
    def train(state: Any, x: Any, y: Any) -> Any:
        params, statistics, memory = state
        (loss, statistics), grads = differentiate(params, statistics, x, y)
        params, memory = update(params, grads, memory, workload.lr)
        return (params, statistics, memory), loss

    state = (params, statistics, start(params))
    evaluate, gradients = jax.jit(loss_of), jax.jit(differentiate)

    def step(batch: Any) -> Any:
        nonlocal state
        state, loss = train(state, *batch)
        return loss

    arrays = []
    for x, y in data:
        image = x.transpose(0, 2, 3, 1) if workload.images else x
        arrays.append((jnp.asarray(image), jnp.asarray(y)))
    return Program(
        arrays,
        step,
        lambda batch: evaluate(*state[:2], *batch)[0],
        lambda batch: gradients(*state[:2], *batch)[0],
        lambda loss: float(loss),
    )


def convert(workload: Workload, weights: Arrays) -> tuple[Params, Statistics]:
    """Parameters in XLA's layout, and the running statistics of normalisation."""
    params: Params = {}
    statistics: Statistics = {}
    for name, value in weights.items():
        if "running" in name or "tracked" in name:
            statistics[name] = jnp.array(value)
            continue
        if value.ndim == 4:
            value = value.transpose(2, 3, 1, 0)
        elif workload.network.__name__ == "cnn" and value.ndim == 2:
            value = value.reshape(10, 64, 5, 5).transpose(2, 3, 1, 0).reshape(1600, 10)
        elif value.ndim == 2 and not name.startswith(("tokens", "positions")):
            value = value.T
        params[name] = jnp.array(np.ascontiguousarray(value))  # a copy: it is donated
    return params, statistics


# Losses and optimizers ------------------------------------------------------------------------


def cross_entropy(logits: Any, labels: Any) -> Any:
    """Mean of -log softmax at the labels."""
    chosen = jnp.take_along_axis(logits, labels[:, None], 1)[:, 0]
    return jnp.mean(jax.nn.logsumexp(logits, 1) - chosen)


def mse(out: Any, target: Any) -> Any:
    """Mean of squared differences."""
    return jnp.mean((out - target) ** 2)


def start(params: Params) -> Any:
    """Step count, first and second averages of every parameter."""
    zeros: Callable[[], Params] = lambda: jax.tree.map(jnp.zeros_like, params)  # noqa: E731
    return jnp.zeros((), jnp.int32), zeros(), zeros()


def adam(params: Params, grads: Params, memory: Any, lr: float) -> Any:
    """Adam with its usual constants."""
    count, mean, square = memory
    count = count + 1
    mean = jax.tree.map(lambda m, g: workloads.BETA1 * m + (1 - workloads.BETA1) * g, mean, grads)
    square = jax.tree.map(
        lambda v, g: workloads.BETA2 * v + (1 - workloads.BETA2) * g * g, square, grads
    )
    rate = lr / (1 - workloads.BETA1**count)
    correction = 1 / jnp.sqrt(1 - workloads.BETA2**count)
    move = lambda p, m, v: p - rate * m / (jnp.sqrt(v) * correction + workloads.EPS)  # noqa: E731
    return jax.tree.map(move, params, mean, square), (count, mean, square)


def sgd(params: Params, grads: Params, memory: Any, lr: float) -> Any:
    """Gradient descent with momentum and weight decay."""
    count, mean, unused = memory
    mean = jax.tree.map(
        lambda m, g, p: workloads.MOMENTUM * m + g + workloads.WEIGHT_DECAY * p, mean, grads, params
    )
    return jax.tree.map(lambda p, m: p - lr * m, params, mean), (count, mean, unused)


# Layers ---------------------------------------------------------------------------------------


def dense(params: Params, name: str, x: Any) -> Any:
    """x W + b."""
    return x @ params[f"{name}.weight"] + params[f"{name}.bias"]


def convolve(params: Params, name: str, x: Any, stride: int = 1, padding: str = "VALID") -> Any:
    """3×3 convolution of (N, H, W, C), without its bias."""
    pad = [(1, 1), (1, 1)] if padding == "SAME" else padding
    return lax.conv_general_dilated(
        x, params[f"{name}.weight"], (stride, stride), pad,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )  # fmt: skip


def max_pool(x: Any) -> Any:
    """Largest of each 2×2 window.

    As a reshape: the gradient of ``reduce_window`` takes several times longer on CPUs.
    """
    n, h, w, c = x.shape
    x = x[:, : h // 2 * 2, : w // 2 * 2].reshape(n, h // 2, 2, w // 2, 2, c)
    return x.max((2, 4))


def layer_norm(params: Params, name: str, x: Any) -> Any:
    """(x - mean) / √(var + 1e-5) · weight + bias over the last axis."""
    centred = x - x.mean(-1, keepdims=True)
    scale = lax.rsqrt(jnp.mean(centred * centred, -1, keepdims=True) + 1e-5)
    return centred * scale * params[f"{name}.weight"] + params[f"{name}.bias"]


def batch_norm(params: Params, old: Statistics, new: Statistics, name: str, x: Any) -> Any:
    """Normalised channels (last axis); the running statistics go to `new`."""
    count = x.size // x.shape[-1]
    mean = x.mean((0, 1, 2))
    var = jnp.mean((x - mean) ** 2, (0, 1, 2))
    for key, fresh in (("mean", mean), ("var", var * count / (count - 1))):
        new[f"{name}.running_{key}"] = 0.9 * old[f"{name}.running_{key}"] + 0.1 * fresh
    tracked = f"{name}.num_batches_tracked"
    new[tracked] = old[tracked] + 1
    scale = params[f"{name}.weight"] * lax.rsqrt(var + 1e-5)
    return (x - mean) * scale + params[f"{name}.bias"]


# Networks -------------------------------------------------------------------------------------


def cnn(params: Params, statistics: Statistics, x: Any) -> Any:
    for name in "03":
        x = max_pool(jax.nn.relu(convolve(params, name, x) + params[f"{name}.bias"]))
    return dense(params, "7", x.reshape(len(x), -1)), statistics


def chain(activations: dict[str, Callable[[Any], Any]]) -> Callable[..., Any]:
    """Dense layers by name, each followed by its function."""

    def network(params: Params, statistics: Statistics, x: Any) -> Any:
        for name, activation in activations.items():
            x = activation(dense(params, name, x))
        return x, statistics

    return network


def lstm(params: Params, statistics: Statistics, x: Any) -> Any:
    """One product with all inputs before the loop; the loop is unrolled, a tenth faster on CPUs."""
    bias = params["lstm.bias_ih_l0"] + params["lstm.bias_hh_l0"]
    seen = x.transpose(1, 0, 2) @ params["lstm.weight_ih_l0"] + bias
    recurrent = params["lstm.weight_hh_l0"]

    def cell(state: Any, row: Any) -> Any:
        hidden, memory = state
        i, f, g, o = jnp.split(row + hidden @ recurrent, 4, 1)
        memory = jax.nn.sigmoid(f) * memory + jax.nn.sigmoid(i) * jnp.tanh(g)
        return (jax.nn.sigmoid(o) * jnp.tanh(memory), memory), None

    zeros = jnp.zeros((len(x), recurrent.shape[0]), x.dtype)
    (hidden, _), _ = lax.scan(cell, (zeros, zeros), seen, unroll=True)
    return dense(params, "dense", hidden), statistics


def resnet20(params: Params, statistics: Statistics, x: Any) -> Any:
    new: Statistics = {}
    norm = partial(batch_norm, params, statistics, new)
    x = jax.nn.relu(norm("1", convolve(params, "0", x, padding="SAME")))
    for k in range(9):
        name, stride = str(k + 3), 2 if k in (3, 6) else 1
        y = convolve(params, f"{name}.conv1", x, stride, "SAME")
        y = jax.nn.relu(norm(f"{name}.norm1", y))
        y = norm(f"{name}.norm2", convolve(params, f"{name}.conv2", y, padding="SAME"))
        if stride == 2:
            half = x.shape[-1] // 2
            x = jnp.pad(x[:, ::2, ::2], ((0, 0), (0, 0), (0, 0), (half, half)))
        x = jax.nn.relu(y + x)
    return dense(params, "14", x.mean((1, 2))), new


def gpt(params: Params, statistics: Statistics, tokens: Any) -> Any:
    x = params["tokens.weight"][tokens] + params["positions.weight"]
    batch, context, width = x.shape
    later = np.triu(np.ones((context, context), bool), 1)
    for k in range(BLOCKS):
        block = f"blocks.{k}"
        qkv = dense(params, f"{block}.qkv", layer_norm(params, f"{block}.norm1", x))
        q, key, v = (
            part.reshape(batch, context, HEADS, -1).transpose(0, 2, 1, 3)
            for part in jnp.split(qkv, 3, -1)
        )
        scores = (q @ key.transpose(0, 1, 3, 2)) / np.sqrt(width // HEADS)
        y = jax.nn.softmax(jnp.where(later, -jnp.inf, scores), -1) @ v
        x = x + dense(params, f"{block}.mix", y.transpose(0, 2, 1, 3).reshape(x.shape))
        y = dense(params, f"{block}.up", layer_norm(params, f"{block}.norm2", x))
        x = x + dense(params, f"{block}.down", jax.nn.gelu(y, approximate=False))
    logits = layer_norm(params, "norm", x) @ params["head.weight"]
    return logits.reshape(batch * context, -1), statistics


NETWORKS: dict[str, Callable[..., Any]] = {
    "cnn": cnn,
    "lstm": lstm,
    "mlp": chain({"0": jax.nn.relu, "2": jax.nn.relu, "4": lambda x: x}),
    "autoencoder": chain(
        {"0": jax.nn.relu, "2": jax.nn.relu, "4": jax.nn.relu, "6": jax.nn.sigmoid}
    ),
    "tiny": chain({"0": jnp.tanh, "2": jnp.tanh, "4": lambda x: x}),
    "resnet20": resnet20,
    "gpt": gpt,
}
"""By the name of the function in ``networks`` that they equal."""
