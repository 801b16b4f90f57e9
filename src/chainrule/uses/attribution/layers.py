"""Attribution by gradients within the network: of a layer's output, or changed at the ReLUs."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import ops
from ...autodiff.gradients import gradients
from ...core.value import Node, recording
from ...engine.reverse import reachable
from ...errors import ArgumentError, ShapeError
from ...nn.functional import interpolate
from ...nn.layers.activation import ELU, GELU, LeakyReLU, ReLU, SiLU
from ...nn.layers.convolution import Conv1d, Conv2d, Conv3d
from ...nn.module import Module
from ...ops.elementwise import Relu
from ...tensor import Tensor
from ...train.loop import in_mode
from ..input_gradients import Array, Model
from .result import Attribution
from .targets import Scores, Target

_RECTIFIERS = (ReLU, LeakyReLU, ELU, GELU, SiLU)
_MODES = {1: "linear", 2: "bilinear", 3: "trilinear"}
"""How maps of so many axes are brought to the size of the input."""


def grad_cam(
    model: Model | Scores,
    x: Any = None,
    target: Target = None,
    *,
    layer: str | Module | None = None,
) -> Attribution:
    """relu(Σₖ αₖ Aᵏ), with αₖ the mean of ∂F/∂Aᵏ: where a convolution's maps speak for the score.

    `layer` is a module or its name; without, the last convolution, with its activation if that is
    the module after it. Its maps Aᵏ have one, two or
    three axes; the result is interpolated to the size of the input and has one channel.
    Source: R. Selvaraju et al. 2017, arXiv:1610.02391, equations 1 and 2.

    Raises ArgumentError for a model without such a layer, ShapeError if its output is not maps.
    """
    scores = Scores.of(model, x, target)
    owner = _module(scores.model, "Grad-CAM")
    name, chosen = _layer(owner, layer)
    caught: list[Tensor] = []

    def catch(_: Any, __: Any, output: Any) -> Tensor:
        caught[:] = [output if output.node is not None else output.requires_grad_()]
        return caught[0]

    handle = chosen.register_forward_hook(catch)
    parts = []
    try:
        for rows, value in _recorded(scores, owner):
            if not caught:
                raise ArgumentError("the model does not call this layer", got=name)
            (slope,) = gradients(value.sum(), caught[0], materialize_grads=True)
            assert slope is not None
            parts.append(_map(caught[0].array, slope.array, scores.x[rows].shape, name))
            caught.clear()
    finally:
        handle.remove()
    rows = np.arange(len(scores.x))
    return Attribution(
        "grad_cam", np.concatenate(parts), scores.x, scores.at(scores.x, rows), scores.target,
        is_share=False, settings={"layer": name},
    )  # fmt: skip


def guided_backprop(model: Model | Scores, x: Any = None, target: Target = None) -> Attribution:
    """∂F/∂x where every ReLU, besides its own rule, lets only positive gradients pass.

    R = (a > 0) · (ct > 0) · ct: it shows what excites the units on the way. It is not the gradient
    of a function, and says more of the input than of the class. ReLUs are found on the tape, so it
    does not matter how the model calls them.
    Source: J. Springenberg, A. Dosovitskiy, T. Brox, M. Riedmiller 2015, arXiv:1412.6806, figure 1.

    Raises ArgumentError for a model without a ReLU.
    """
    scores = Scores.of(model, x, target)
    parts = []
    inputs: list[Tensor] = []
    for _, value in _recorded(scores, scores.model, inputs):
        nodes = _relus(value)
        if not nodes:
            raise ArgumentError(
                "guided backpropagation changes the rule of ReLUs, and there is none",
                hint="integrated_gradients() works for every activation",
            )
        for node in nodes:
            node.hooks = [*(node.hooks or []), _positive]
        (slope,) = gradients(value.sum(), inputs[-1], materialize_grads=True)
        assert slope is not None
        parts.append(slope.array)
    rows = np.arange(len(scores.x))
    return Attribution(
        "guided_backprop", np.concatenate(parts), scores.x, scores.at(scores.x, rows),
        scores.target, is_share=False,
    )  # fmt: skip


def _recorded(scores: Scores, model: Model, inputs: list[Tensor] | None = None) -> Any:
    """Batches of rows and their scores, with their tape, in evaluation mode."""
    module = model if isinstance(model, Module) else Module()
    for start in range(0, len(scores.x), scores.batch_size):
        rows = np.arange(start, min(start + scores.batch_size, len(scores.x)))
        with in_mode(module, training=False), recording(True):
            x = Tensor.wrap(scores.x[rows]).requires_grad_()
            if inputs is not None:
                inputs.append(x)
            yield rows, scores.scored(model(x), rows)


def _relus(value: Tensor) -> list[Node]:
    if value.node is None:
        return []
    return [node for node in reachable([value.node], ()) if isinstance(node.op, Relu)]


def _positive(ct: Tensor) -> Tensor:
    return ops.relu(ct)


def _map(maps: Array, slopes: Array, shape: tuple[int, ...], name: str) -> Array:
    """Weighted and added maps (N, K, ...), as one channel of the size of the input."""
    axes = tuple(range(2, maps.ndim))
    if not 1 <= len(axes) <= 3 or len(shape) != maps.ndim:
        raise ShapeError(
            "Grad-CAM needs maps of the input's axes",
            expected="a layer whose output is (N, channels, ...), with as many axes as the input",
            got=f"{name}: {maps.shape} for inputs of {shape}",
        )
    weights = slopes.mean(axes, keepdims=True)
    joined = np.maximum((weights * maps).sum(1, keepdims=True), 0)
    sized = interpolate(
        Tensor.wrap(joined), size=shape[2:], mode=_MODES[len(axes)], align_corners=False
    )
    found: Array = sized.array
    return found


def _module(model: Model, method: str) -> Module:
    if isinstance(model, Module):
        return model
    raise ArgumentError(f"{method} looks into a module", got=type(model).__name__)


def _layer(model: Module, layer: str | Module | None) -> tuple[str, Module]:
    """The layer's name and the layer."""
    named = dict(model.named_modules())
    if isinstance(layer, str) and layer in named:
        return layer, named[layer]
    if isinstance(layer, Module):
        for name, module in named.items():
            if module is layer:
                return name, module
    if layer is not None:
        raise ArgumentError(
            "the model has no such layer",
            expected=", ".join(name for name in named if name)[:200],
            got=layer if isinstance(layer, str) else type(layer).__name__,
        )
    known = list(named.items())
    found = [i for i, (_, m) in enumerate(known) if isinstance(m, (Conv1d, Conv2d, Conv3d))]
    if not found:
        raise ArgumentError(
            "Grad-CAM needs a convolution, and this model has none",
            hint="name a layer whose output is (N, channels, ...): grad_cam(..., layer='name')",
        )
    last = found[-1]
    is_rectified = last + 1 < len(known) and isinstance(known[last + 1][1], _RECTIFIERS)
    return known[last + is_rectified]
