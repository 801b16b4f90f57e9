"""Function transforms under PyTorch's names (``torch.func``): derivatives and vmap of functions.

Arguments and results may be nested tuples, lists and dicts of tensors. All transforms nest in every
order, compile, and see through each other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from . import autodiff
from .autodiff import hessian, jacfwd, jacrev, linearize, vjp, vmap
from .autodiff.transforms import Argnums
from .nn.stateless import functional_call, stack_module_state

__all__ = [
    "functional_call", "grad", "grad_and_value", "hessian", "jacfwd", "jacrev", "jvp", "linearize",
    "stack_module_state", "vjp", "vmap",
]  # fmt: skip


def grad(func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Any:
    """The gradient of a scalar function with respect to the arguments at `argnums`.

    >>> grad(lambda p, x: (p["w"] * x).sum())({"w": tensor([1.0, 2.0])}, tensor([3.0, 4.0]))
    {'w': tensor([3., 4.])}
    """
    return autodiff.grad(func, argnums, has_aux)


def grad_and_value(func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Any:
    """A function that returns the gradient and the value: ``(gradient, value)``.

    With `has_aux` it returns ``(gradient, (value, aux))``.
    """
    both = autodiff.value_and_grad(func, argnums, has_aux)

    def gradient_and_value(*args: Any, **kwargs: Any) -> Any:
        value, slopes = both(*args, **kwargs)
        return slopes, value

    return gradient_and_value


def jvp(
    func: Callable[..., Any],
    primals: Sequence[Any],
    tangents: Sequence[Any],
    *,
    strict: bool = False,
    has_aux: bool = False,
) -> Any:
    """The value of `func` and J dx, in forward mode; with `has_aux` also what else it returned.

    Outputs that do not depend on the primals have a tangent of zeros, `strict` or not.
    """
    return autodiff.jvp(func, primals, tangents, has_aux=has_aux)
