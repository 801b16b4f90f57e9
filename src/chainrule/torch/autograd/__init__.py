"""``torch.autograd``: gradients of tensors already computed, rules of one's own, and modes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...autodiff.custom import Context as FunctionCtx
from ...autodiff.custom import Function as Function
from ...autograd import grad as _grad
from .._names import mirrored
from .._settings import inference_mode as inference_mode
from .._tensors import Variable as Variable

__getattr__, __dir__ = mirrored(
    __name__, "chainrule.autograd", "chainrule.grad_mode", "chainrule.testing"
)

NestedIOFunction = InplaceFunction = Function
BackwardCFunction = FunctionCtx


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> Any:
    """Gradients of the sum of `outputs` with respect to `inputs`: see ``chainrule.autograd``."""
    return _grad(
        outputs,
        inputs,
        grad_outputs,
        retain_graph,
        create_graph,
        allow_unused,
        is_grads_batched,
        materialize_grads,
    )


def once_differentiable(fn: Callable[..., Any]) -> Callable[..., Any]:
    """`fn`, a backward rule, as it is: what it computes can be differentiated again."""
    return fn
