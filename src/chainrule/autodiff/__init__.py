"""Derivatives: of tensors already computed, of functions, and by rules of the user's own."""

from .checkpoint import checkpoint
from .custom import Function, custom_vjp
from .gradients import backward, gradients
from .jacobians import hessian, hvp, jacfwd, jacobian, jacrev
from .transforms import grad, jvp, linearize, value_and_grad, vjp
from .vmap import vmap

__all__ = [
    "Function", "backward", "checkpoint", "custom_vjp", "grad", "gradients", "hessian", "hvp",
    "jacfwd", "jacobian", "jacrev", "jvp", "linearize", "value_and_grad", "vjp", "vmap",
]  # fmt: skip
