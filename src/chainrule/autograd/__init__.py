"""Derivatives of tensors that were computed, under PyTorch's names (``torch.autograd``)."""

from __future__ import annotations

from typing import Any

from ..autodiff import Function, gradients
from ..autodiff import backward as _backward
from ..autodiff.gradients import Tensors
from ..grad_mode import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from ..tensor import Tensor
from . import forward_ad, functional
from .anomaly import detect_anomaly, is_anomaly_enabled, set_detect_anomaly

__all__ = [
    "Function", "backward", "detect_anomaly", "enable_grad", "forward_ad", "functional", "grad",
    "is_anomaly_enabled", "is_grad_enabled", "no_grad", "set_detect_anomaly", "set_grad_enabled",
]  # fmt: skip


def grad(
    outputs: Tensors,
    inputs: Tensors,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """Gradients of the sum of `outputs` with respect to `inputs`; no ``grad`` is touched.

    See ``chainrule.gradients``. With `is_grads_batched`, `grad_outputs` hold several directions
    along their first axis, and so do the results; with `materialize_grads`, zeros stand for the
    gradients of inputs that the outputs do not depend on.

    >>> x = tensor([1.0, 2.0], requires_grad=True)
    >>> grad((x * x).sum(), x)
    (tensor([2., 4.]),)
    """
    return gradients(
        outputs,
        inputs,
        grad_outputs,
        retain_graph=retain_graph,
        create_graph=create_graph,
        allow_unused=allow_unused,
        is_grads_batched=is_grads_batched,
        materialize_grads=materialize_grads,
    )


def backward(
    tensors: Tensors,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensors | None = None,
) -> None:
    """Add the gradient of the sum of `tensors` to ``grad`` of every leaf, or of `inputs` only."""
    if inputs is None:
        _backward(tensors, grad_tensors, retain_graph=retain_graph, create_graph=create_graph)
        return
    wanted = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    found = gradients(
        tensors, wanted, grad_tensors, retain_graph=retain_graph, create_graph=create_graph,
        allow_unused=True,
    )  # fmt: skip
    for x, g in zip(wanted, found, strict=True):
        if g is not None:
            x.grad = g if x.grad is None else x.grad + g
