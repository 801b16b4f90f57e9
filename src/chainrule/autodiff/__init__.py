"""Derivatives: of tensors already computed, of functions, and by rules of the user's own."""

from .checkpoint import checkpoint
from .custom import Function, custom_vjp
from .gradients import backward, gradients
from .transforms import grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp

__all__ = [
    "Function", "backward", "checkpoint", "custom_vjp", "grad", "gradients", "hessian", "hvp",
    "jacobian", "jvp", "value_and_grad", "vjp",
]  # fmt: skip
