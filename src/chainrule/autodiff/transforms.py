"""Functional transforms: from a function of tensors to its derivatives.

All of them record the function once (``_Recording``) and walk that record. All of them nest: values
and derivatives stay connected to whatever is being differentiated outside, be it an argument or
something that the function closes over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.aval import describe
from ..core.value import Node, make_leaf, recording, tape
from ..engine.forward import push
from ..engine.reverse import reachable, seed, sweep
from ..errors import ArgumentError, DTypeError, GradientError, ShapeError
from ..ops import joining, movement
from ..tensor import Tensor, as_tensor
from .gradients import as_cell

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

    def value_and_gradient(*args: Any, **kwargs: Any) -> Any:
        chosen = _Chosen(fn, argnums, args, kwargs)
        aux: list[Any] = []

        def scalar(*xs: Tensor) -> Tensor:
            out = chosen(*xs)
            value, *aux[:] = out if has_aux else (out,)
            return _scalar(value)

        run = _Recording(scalar, chosen.arguments)
        slopes = run.pull([None])
        (value,) = run.values
        return (value, aux[0]) if has_aux else value, chosen.like_argnums(slopes)

    return value_and_gradient


def vjp(fn: Function, *xs: Any) -> tuple[Any, Function]:
    """The value of `fn` and the function ct ↦ ctᵀJ, which may be called many times.

    >>> y, pull = vjp(lambda x: x * x, tensor([1.0, 2.0]))
    >>> pull(tensor([1.0, 10.0]))
    (tensor([ 2., 40.]),)
    """
    run = _Recording(fn, xs)

    def pull(*cts: Any) -> tuple[Tensor, ...]:
        if len(cts) != len(run.outputs):
            raise ArgumentError(
                "one direction per output is needed",
                expected=str(len(run.outputs)),
                got=str(len(cts)),
            )
        return tuple(run.pull(cts))

    return run.like_output(run.values), pull


def jvp(fn: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """The value of `fn` and J dx, in forward mode.

    Raises ShapeError unless each tangent has the shape of its primal.

    >>> jvp(lambda x: x * x, (tensor(3.0),), (tensor(1.0),))
    (tensor(9.), tensor(6.))
    """
    xs, dxs = [as_tensor(x) for x in primals], [as_tensor(dx) for dx in tangents]
    if [x.shape for x in xs] != [dx.shape for dx in dxs]:
        raise ShapeError(
            "each tangent has the shape of its primal",
            expected="   ".join(describe(x) for x in xs),
            got="   ".join(describe(dx) for dx in dxs),
        )
    run = _Recording(fn, xs)
    return run.like_output(run.values), run.like_output(run.push(dxs))


def jacobian(fn: Function, argnums: Argnums = 0) -> Function:
    """All partial derivatives of `fn`: an array of shape ``output.shape + input.shape``.

    The function runs once; then rows by reverse mode or columns by forward mode, whichever are
    fewer.

    >>> jacobian(lambda x: x * x)(tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """

    def jacobians(*args: Any, **kwargs: Any) -> Any:
        chosen = _Chosen(fn, argnums, args, kwargs)
        run = _Recording(chosen, chosen.arguments)
        if run.several:
            raise GradientError("jacobian() needs a function with one output")
        (y,) = run.outputs
        tall = y.numel() > sum(x.numel() for x in run.inputs)
        return chosen.like_argnums(_columns(run, y) if tall else _rows(run, y))

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


class _Chosen:
    """A function of the arguments at `argnums`, the others being fixed."""

    def __init__(
        self, fn: Function, argnums: Argnums, args: Sequence[Any], kwargs: dict[str, Any]
    ) -> None:
        named = (argnums,) if isinstance(argnums, int) else tuple(argnums)
        for i in named:
            if not -len(args) <= i < len(args):
                raise ArgumentError(
                    "argnums names an argument that was not given",
                    expected=f"a position below {len(args)}",
                    got=str(i),
                )
        self._positions = [i % len(args) for i in named]
        if len(set(self._positions)) < len(named):
            raise ArgumentError("argnums names an argument twice", got=str(argnums))
        self._fn, self._args, self._kwargs = fn, list(args), kwargs
        self._single = isinstance(argnums, int)
        self.arguments = [args[i] for i in self._positions]

    def __call__(self, *xs: Tensor) -> Any:
        args = list(self._args)
        for i, x in zip(self._positions, xs, strict=True):
            args[i] = x
        return self._fn(*args, **self._kwargs)

    def like_argnums(self, results: Sequence[Tensor]) -> Any:
        """One result for a number, a tuple for a sequence of them."""
        return results[0] if self._single else tuple(results)


class _Recording:
    """A function that ran once, recorded, on inputs of its own.

    `connected` says whether derivatives of it may be differentiated again: an argument belongs to
    an outer graph, or the function closes over something that wants a gradient.
    """

    def __init__(self, fn: Function, args: Sequence[Any]) -> None:
        self.inputs = [_float_tensor(arg) for arg in args]
        nested = tape.recording and any(x.node is not None for x in self.inputs)
        self._leaves: list[Tensor] = []
        with recording(True):
            given = [self._own(x, nested) for x in self.inputs]
            out = fn(*given)
        self.several = not isinstance(out, Tensor)
        self.outputs = _check_outputs(out)
        self._roots = [y.node for y in self.outputs]
        self._nested = nested
        self.connected = tape.recording and (nested or self._closes_over())

    def _own(self, x: Tensor, nested: bool) -> Tensor:
        """What the function gets for `x`. Its node, the one to differentiate at, is noted.

        It is an alias of the noted leaf, so that the function may change its argument in place.
        """
        if nested and x.node is not None:
            leaf = movement.identity(x)
        else:
            leaf = x.detach()
            make_leaf(leaf)
        self._leaves.append(leaf)
        return movement.identity(leaf)

    @property
    def _nodes(self) -> list[Node]:
        return [leaf.node for leaf in self._leaves if leaf.node is not None]

    def _closes_over(self) -> bool:
        own = set(self._nodes)
        nodes = reachable([root for root in self._roots if root is not None], boundary=own)
        return any(
            node.op is None and node not in own and node.variable is not None
            and node.variable() is not None
            for node in nodes
        )  # fmt: skip

    @property
    def values(self) -> list[Tensor]:
        """The outputs, cut off unless they are connected to something outside."""
        return list(self.outputs) if self.connected else [y.detach() for y in self.outputs]

    def like_output(self, results: Sequence[Tensor]) -> Any:
        """One result for a function that returns one tensor, a tuple otherwise."""
        return tuple(results) if self.several else results[0]

    def pull(self, cts: Sequence[Any]) -> list[Tensor]:
        """ctᵀJ for each input, zeros where the outputs do not depend on it."""
        connected = self.connected or (
            tape.recording and any(isinstance(ct, Tensor) and ct.requires_grad for ct in cts)
        )
        seeds = [
            (root, seed(y, ct, as_value=connected))
            for root, y, ct in zip(self._roots, self.outputs, cts, strict=True)
            if root is not None
        ]
        nodes = self._nodes
        found = sweep(
            [root for root, _ in seeds],
            [ct for _, ct in seeds],
            value_class=Tensor,
            wanted=nodes,
            boundary=set(nodes),
            retain_graph=True,
            create_graph=connected,
        )
        return [
            as_cell(found.get(node, np.zeros(x.shape, x.dtype)))
            for x, node in zip(self.inputs, nodes, strict=True)
        ]

    def push(self, dxs: Sequence[Tensor]) -> list[Tensor]:
        """J dx for each output, zeros where it does not depend on the inputs."""
        connected = self.connected or (tape.recording and any(dx.requires_grad for dx in dxs))
        seeds = {
            node: movement.cast(dx, x.dtype) if connected else dx.array.astype(x.dtype, copy=False)
            for node, x, dx in zip(self._nodes, self.inputs, dxs, strict=True)
        }
        roots = [root for root in self._roots if root is not None]
        pushed = push(roots, seeds, value_class=Tensor, create_graph=connected)
        found = dict(zip(roots, pushed, strict=True))
        dys = []
        for y, root in zip(self.outputs, self._roots, strict=True):
            dy = None if root is None else found[root]
            dys.append(as_cell(np.zeros(y.shape, y.dtype) if dy is None else dy))
        return dys


def _float_tensor(arg: Any) -> Tensor:
    x = as_tensor(arg)
    if x.dtype.kind != "f":
        raise DTypeError(
            "derivatives are with respect to floating-point tensors",
            got=describe(x),
            hint="write 2.0 for 2, or x.float()",
        )
    return x


def _check_outputs(out: Any) -> list[Tensor]:
    outputs = [out] if isinstance(out, Tensor) else out
    if not isinstance(outputs, (list, tuple)) or not all(isinstance(y, Tensor) for y in outputs):
        raise GradientError(
            "a function to differentiate returns a tensor, or a tuple of tensors",
            got=type(out).__name__,
        )
    return list(outputs)


def _scalar(value: Any) -> Tensor:
    """The value that a function to differentiate returned, if it is one number."""
    if not isinstance(value, Tensor) or value.numel() != 1:
        raise GradientError(
            "grad() needs a function that returns one number",
            got=describe(value) if isinstance(value, Tensor) else type(value).__name__,
            hint="use jacobian(), or reduce the result, for instance with .sum()",
        )
    return value


def _rows(run: _Recording, y: Tensor) -> list[Tensor]:
    """The Jacobian row by row: one backward walk per output element."""
    rows = [run.pull([as_cell(ct)]) for ct in _basis(y)]
    return [
        _stacked([row[k] for row in rows], (*y.shape, *x.shape), x)
        for k, x in enumerate(run.inputs)
    ]


def _columns(run: _Recording, y: Tensor) -> list[Tensor]:
    """The Jacobian column by column: one forward walk per input element."""
    still = [as_cell(np.zeros(x.shape, x.dtype)) for x in run.inputs]
    blocks = []
    for k, x in enumerate(run.inputs):
        columns = [run.push([*still[:k], as_cell(dx), *still[k + 1 :]])[0] for dx in _basis(x)]
        block = _stacked(columns, (*x.shape, *y.shape), y)
        axes = (*range(x.ndim, x.ndim + y.ndim), *range(x.ndim))
        blocks.append(movement.permute(block, axes))
    return blocks


def _basis(x: Tensor) -> list[np.ndarray[Any, Any]]:
    """The unit vectors of the space of `x`."""
    return list(np.eye(x.numel(), dtype=x.dtype).reshape(x.numel(), *x.shape))


def _stacked(parts: Sequence[Tensor], shape: tuple[int, ...], like: Tensor) -> Tensor:
    if not parts:
        return as_cell(np.zeros(shape, like.dtype))
    return joining.stack(list(parts), 0).reshape(shape)
