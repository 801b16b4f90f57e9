"""Functional transforms: from a function of tensors to its derivatives.

All of them nest. An argument that is itself being differentiated from outside stays connected to
that outer graph, so ``grad(grad(f))``, Jacobians of gradients and derivatives with respect to
variables a function closes over are right.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.apply import user_line
from ..core.aval import describe
from ..core.value import Node, make_leaf, recording, tape
from ..engine.forward import push
from ..engine.reverse import reachable, seed, sweep
from ..errors import ArgumentError, DTypeError, GradientError, ShapeError
from ..ops import joining, movement
from ..tensor import Tensor, as_tensor
from .gradients import as_result

Function = Callable[..., Any]
Argnums = int | Sequence[int]


def grad(fn: Function, argnums: Argnums = 0, has_aux: bool = False) -> Function:
    """The gradient of a scalar function with respect to the arguments at `argnums`.

    With `has_aux`, `fn` returns ``(value, aux)`` and so does the result: ``(gradient, aux)``.

    >>> grad(lambda x: (3 * x + 2) ** 2)(1.0)
    tensor(30.)
    """
    both = value_and_grad(fn, argnums, has_aux)

    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, slopes = both(*args, **kwargs)
        return (slopes, value[1]) if has_aux else slopes

    return gradient


def value_and_grad(fn: Function, argnums: Argnums = 0, has_aux: bool = False) -> Function:
    """A function that returns the value of `fn` and its gradient at `argnums`."""
    single = isinstance(argnums, int)
    positions = (argnums,) if isinstance(argnums, int) else tuple(argnums)

    def value_and_gradient(*args: Any, **kwargs: Any) -> Any:
        xs, nested = _inputs([_argument(args, i) for i in positions])
        with recording(True):
            out = fn(*_replaced(args, positions, xs), **kwargs)
        value, aux = out if has_aux else (out, None)
        _check_scalar(value)
        slopes = _pull(value, [None], xs, nested)
        value = value if nested else value.detach()
        return (value, aux) if has_aux else value, slopes[0] if single else tuple(slopes)

    return value_and_gradient


def vjp(fn: Function, *xs: Any) -> tuple[Any, Function]:
    """The value of `fn` and the function ct ↦ ctᵀJ, which may be called many times.

    >>> y, pull = vjp(lambda x: x * x, tensor([1.0, 2.0]))
    >>> pull(tensor([1.0, 10.0]))
    (tensor([ 2., 40.]),)
    """
    inputs, nested = _inputs(xs)
    with recording(True):
        out = fn(*inputs)
    single = isinstance(out, Tensor)
    outs = [out] if single else list(out)

    def pull(*cts: Any) -> tuple[Tensor, ...]:
        if len(cts) != len(outs):
            raise ArgumentError(
                "one direction per output is needed", expected=str(len(outs)), got=str(len(cts))
            )
        return tuple(_pull(outs, list(cts), inputs, nested))

    shown = outs if nested else [y.detach() for y in outs]
    return shown[0] if single else tuple(shown), pull


def jvp(fn: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """The value of `fn` and J dx, in forward mode.

    Raises ShapeError unless each tangent has the shape of its primal.

    >>> jvp(lambda x: x * x, (tensor(3.0),), (tensor(1.0),))
    (tensor(9.), tensor(6.))
    """
    inputs, nested = _inputs(primals)
    dxs = [as_tensor(dx) for dx in tangents]
    if len(dxs) != len(inputs) or any(
        x.shape != dx.shape for x, dx in zip(inputs, dxs, strict=False)
    ):
        raise ShapeError(
            "each tangent has the shape of its primal",
            expected="   ".join(describe(x) for x in inputs),
            got="   ".join(describe(dx) for dx in dxs),
        )
    with recording(True):
        out = fn(*inputs)
    single = isinstance(out, Tensor)
    outs = [out] if single else list(out)
    recorded = [y for y in outs if y.node is not None]
    connected = nested or any(dx.requires_grad for dx in dxs) or _closes_over(recorded, inputs)
    seeds = {
        x.node: (dx if connected else dx.array.astype(x.dtype, copy=False))
        for x, dx in zip(inputs, dxs, strict=True)
        if x.node is not None
    }
    pushed = dict(
        zip(
            [y.node for y in recorded],
            push(
                [y.node for y in recorded if y.node is not None],
                seeds,
                value_class=Tensor,
                create_graph=connected,
            ),
            strict=True,
        )
    )
    dys = [_tangent_of(y, pushed.get(y.node)) for y in outs]
    shown = outs if connected else [y.detach() for y in outs]
    return (shown[0], dys[0]) if single else (tuple(shown), tuple(dys))


def jacobian(fn: Function, argnums: Argnums = 0) -> Function:
    """All partial derivatives of `fn`: an array of shape ``output.shape + input.shape``.

    Rows by reverse mode or columns by forward mode, whichever are fewer.

    >>> jacobian(lambda x: x * x)(tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    single = isinstance(argnums, int)
    positions = (argnums,) if isinstance(argnums, int) else tuple(argnums)

    def jacobians(*args: Any, **kwargs: Any) -> Any:
        def of_selected(*xs: Tensor) -> Any:
            return fn(*_replaced(args, positions, xs), **kwargs)

        primals = [as_tensor(_argument(args, i)) for i in positions]
        y, pull = vjp(of_selected, *primals)
        if not isinstance(y, Tensor):
            raise GradientError("jacobian() needs a function with one output")
        if y.numel() > sum(x.numel() for x in primals):
            blocks = _columns(of_selected, primals, y)
        else:
            blocks = _rows(pull, primals, y)
        return blocks[0] if single else tuple(blocks)

    return jacobians


def hessian(fn: Function, argnums: int = 0) -> Function:
    """All second derivatives of a scalar function: the Jacobian of its gradient.

    >>> hessian(lambda x: (x ** 3).sum())(tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    return jacobian(grad(fn, argnums), argnums)


def hvp(fn: Function, x: Any, v: Any) -> tuple[Tensor, Tensor]:
    """The gradient of a scalar function at `x` and its Hessian times `v`, without the Hessian.

    Forward over reverse (Pearlmutter 1994, Fast exact multiplication by the Hessian).

    >>> hvp(lambda x: (x ** 3).sum(), tensor([1.0, 2.0]), tensor([1.0, 1.0]))
    (tensor([ 3., 12.]), tensor([ 6., 12.]))
    """
    gradient, product = jvp(grad(fn), (x,), (v,))
    return gradient, product


def _argument(args: Sequence[Any], i: int) -> Any:
    if not -len(args) <= i < len(args):
        raise ArgumentError(
            "argnums names an argument that was not given",
            expected=f"a position below {len(args)}",
            got=str(i),
        )
    return args[i]


def _replaced(args: Sequence[Any], positions: Sequence[int], xs: Sequence[Any]) -> list[Any]:
    out = list(args)
    for i, x in zip(positions, xs, strict=True):
        out[i] = x
    return out


def _inputs(args: Sequence[Any]) -> tuple[list[Tensor], bool]:
    """Fresh inputs to differentiate, and whether one of them belongs to an outer graph."""
    fresh = []
    nested = False
    for arg in args:
        x = as_tensor(arg)
        if x.dtype.kind != "f":
            raise DTypeError(
                "derivatives are with respect to floating-point tensors",
                got=describe(x),
                at=user_line(),
            )
        if x.node is not None and tape.recording:
            nested = True
            fresh.append(movement.identity(x))
        else:
            leaf = x.detach()
            make_leaf(leaf)
            fresh.append(leaf)
    return fresh, nested


def _check_scalar(value: Any) -> None:
    if not isinstance(value, Tensor) or value.numel() != 1:
        raise GradientError(
            "grad() needs a function that returns one number",
            got=describe(value) if isinstance(value, Tensor) else type(value).__name__,
            at=user_line(),
            hint="use jacobian(), or reduce the result, for instance with .sum()",
        )


def _closes_over(outs: Sequence[Tensor], inputs: Sequence[Tensor]) -> bool:
    """Whether the outputs depend on anything else that wants a gradient."""
    own = {x.node for x in inputs}
    roots = [y.node for y in outs if y.node is not None]
    nodes = reachable(roots, boundary={node for node in own if node is not None})
    return any(node.op is None and node not in own for node in nodes)


def _pull(
    outs: Tensor | Sequence[Tensor], cts: Sequence[Any], inputs: Sequence[Tensor], nested: bool
) -> list[Tensor]:
    """ctᵀJ for each input, zeros where the outputs do not depend on it."""
    outs = [outs] if isinstance(outs, Tensor) else outs
    connected = tape.recording and (
        nested
        or any(isinstance(ct, Tensor) and ct.requires_grad for ct in cts)
        or _closes_over(outs, inputs)
    )
    roots: list[Node] = []
    seeds = []
    for y, ct in zip(outs, cts, strict=True):
        if y.node is not None:
            roots.append(y.node)
            seeds.append(seed(y, ct, as_value=connected))
    nodes = [x.node for x in inputs if x.node is not None]
    found = sweep(
        roots,
        seeds,
        value_class=Tensor,
        wanted=nodes,
        boundary=set(nodes) if nested else (),
        retain_graph=True,
        create_graph=connected,
    )
    pulled = []
    for x, node in zip(inputs, nodes, strict=True):
        ct = found.get(node, np.zeros(x.shape, x.dtype))
        pulled.append(ct if isinstance(ct, Tensor) else as_result(ct))
    return pulled


def _tangent_of(y: Tensor, dy: Any) -> Tensor:
    if dy is None:
        return as_result(np.zeros(y.shape, y.dtype))
    return dy if isinstance(dy, Tensor) else as_result(dy)


def _rows(pull: Function, primals: Sequence[Tensor], y: Tensor) -> list[Tensor]:
    """The Jacobian row by row: one backward pass per output element."""
    rows = [pull(as_result(ct)) for ct in _basis(y)]
    return [
        _stacked([row[k] for row in rows], (*y.shape, *x.shape), x) for k, x in enumerate(primals)
    ]


def _columns(fn: Function, primals: Sequence[Tensor], y: Tensor) -> list[Tensor]:
    """The Jacobian column by column: one forward pass per input element."""
    blocks = []
    for k, x in enumerate(primals):
        columns = []
        for dx in _basis(x):
            dxs = [as_result(dx if j == k else np.zeros(p.shape, p.dtype))
                   for j, p in enumerate(primals)]  # fmt: skip
            columns.append(jvp(fn, primals, dxs)[1])
        rows = _stacked(columns, (*x.shape, *y.shape), y)
        axes = (*range(x.ndim, x.ndim + y.ndim), *range(x.ndim))
        blocks.append(movement.permute(rows, axes))
    return blocks


def _basis(x: Tensor) -> list[np.ndarray[Any, Any]]:
    """The unit vectors of the space of `x`."""
    return list(np.eye(x.numel(), dtype=x.dtype).reshape(x.numel(), *x.shape))


def _stacked(parts: Sequence[Tensor], shape: tuple[int, ...], like: Tensor) -> Tensor:
    if not parts:
        return as_result(np.zeros(shape, like.dtype))
    return joining.stack(list(parts), 0).reshape(shape)
