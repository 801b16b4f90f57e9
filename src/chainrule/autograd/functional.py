"""Derivatives of functions at given inputs, under the names of ``torch.autograd.functional``.

Each function takes one tensor or a tuple of them, and gives one result or a tuple accordingly. With
`strict`, GradientError if an output does not depend on an input. Results are cut off from the graph
unless `create_graph`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..autodiff import jacfwd, jacrev, value_and_grad
from ..autodiff import jvp as _jvp
from ..autodiff import vjp as _vjp
from ..autodiff.trees import map_tensors
from ..creation import ones_like
from ..engine.reverse import reachable
from ..errors import ArgumentError, GradientError
from ..tensor import Tensor

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]

Function = Callable[..., Any]


def jacobian(
    func: Function,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """All partial derivatives of `func` at `inputs`, ``output.shape + input.shape`` each.

    With tuples of inputs or outputs, a tuple with one entry per output, of one entry per input.
    They are always computed together, as `vectorize` asks in PyTorch.

    >>> jacobian(lambda x: x * x, tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    modes = {"reverse-mode": jacrev, "forward-mode": jacfwd}
    if strategy not in modes:
        raise ArgumentError("no such strategy", expected=", ".join(modes), got=repr(strategy))
    xs, argnums = _inputs(inputs)
    _check_dependence(func, xs, strict)
    return _finished(modes[strategy](func, argnums)(*xs), create_graph)


def hessian(
    func: Function,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """All second derivatives of a scalar function: with a tuple of inputs, a tuple of tuples."""
    xs, argnums = _inputs(inputs)
    _check_dependence(func, xs, strict)

    def slopes(*args: Tensor) -> Any:
        return value_and_grad(func, argnums)(*args)[1]

    return jacobian(slopes, inputs, create_graph, False, vectorize, outer_jacobian_strategy)


def vjp(
    func: Function,
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The value of `func` and vᵀJ; `v` may be left out for a function of one number."""
    xs, _ = _inputs(inputs)
    _check_dependence(func, xs, strict)
    value, pull = _vjp(func, *xs)
    if v is None:
        if not isinstance(value, Tensor) or value.numel() != 1:
            raise GradientError("vjp() of a function of many elements needs a direction v")
        v = ones_like(value)
    return _finished((value, _like(inputs, pull(v))), create_graph)  # type: ignore[no-any-return]


def jvp(
    func: Function,
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The value of `func` and J v, in forward mode; `v` may be left out for one number."""
    xs, _ = _inputs(inputs)
    _check_dependence(func, xs, strict)
    pair = _jvp(func, xs, _direction(xs, v, "jvp"))
    return _finished(pair, create_graph)  # type: ignore[no-any-return]  # a pair


def vhp(
    func: Function,
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The value of a scalar function and vᵀ times its Hessian, by reverse over reverse mode."""
    xs, argnums = _inputs(inputs)
    _check_dependence(func, xs, strict)
    both = value_and_grad(func, argnums)
    (value, _), pull = _vjp(both, *xs)
    dxs = _direction(xs, v, "vhp")
    directions = dxs[0] if isinstance(argnums, int) else tuple(dxs)
    product = pull(ones_like(value) * 0.0, directions)
    return _finished((value, _like(inputs, product)), create_graph)  # type: ignore[no-any-return]


def hvp(
    func: Function,
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The value of a scalar function and its Hessian times v, by forward over reverse mode."""
    xs, argnums = _inputs(inputs)
    _check_dependence(func, xs, strict)
    both = value_and_grad(func, argnums)
    (value, _), (_, product) = _jvp(both, xs, _direction(xs, v, "hvp"))
    return _finished((value, product), create_graph)  # type: ignore[no-any-return]  # a pair


def _inputs(inputs: Any) -> tuple[tuple[Tensor, ...], int | tuple[int, ...]]:
    """The inputs as a tuple, and the argnums that give one result, or a tuple, accordingly."""
    several = isinstance(inputs, (tuple, list))
    xs = tuple(inputs) if several else (inputs,)
    for x in xs:
        if not isinstance(x, Tensor):
            raise ArgumentError("inputs are a tensor or a tuple of tensors", got=type(x).__name__)
    return xs, tuple(range(len(xs))) if several else 0


def _direction(xs: tuple[Tensor, ...], v: Any, name: str) -> tuple[Any, ...]:
    if v is not None:
        return tuple(v) if isinstance(v, (tuple, list)) else (v,)
    if len(xs) != 1 or xs[0].numel() != 1:
        raise GradientError(f"{name}() at many elements needs a direction v")
    return (ones_like(xs[0]),)


def _like(inputs: Any, results: tuple[Any, ...]) -> Any:
    return results if isinstance(inputs, (tuple, list)) else results[0]


def _finished(results: Any, create_graph: bool) -> Any:
    return results if create_graph else map_tensors(Tensor.detach, results)


def _check_dependence(func: Function, xs: tuple[Tensor, ...], strict: bool) -> None:
    """Raise GradientError if an output does not depend on an input, if that is asked for."""
    if not strict:
        return
    leaves = [x.detach().requires_grad_() for x in xs]
    out = func(*leaves)
    for i, y in enumerate(out if isinstance(out, (tuple, list)) else [out]):
        for j, x in enumerate(leaves):
            if y.node is None or x.node not in reachable([y.node]):
                raise GradientError(f"output {i} does not depend on input {j}, as strict asks")
