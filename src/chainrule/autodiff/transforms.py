"""Functional transforms: from a function of tensors to its derivatives.

All of them record the function once (``Recording``) and walk that record. All of them nest: values
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
from ..ops import movement
from ..tensor import Tensor, as_tensor
from .gradients import as_cell
from .trees import leaves_of, map_tensors, rebuilt

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
        chosen = Chosen(fn, argnums, args, kwargs)
        run = Recording(chosen, chosen.arguments, has_aux)
        value = _scalar(run.values)
        slopes = chosen.like_argnums(run.pull([None]))
        return (value, run.aux) if has_aux else value, slopes

    return value_and_gradient


def vjp(fn: Function, *xs: Any, has_aux: bool = False) -> Any:
    """The value of `fn` and the function ct ↦ ctᵀJ, which may be called many times.

    It returns one entry for each of `xs`. With `has_aux`, `fn` returns ``(results, aux)``, and aux
    is the third result.

    >>> y, pull = vjp(lambda x: x * x, tensor([1.0, 2.0]))
    >>> pull(tensor([1.0, 10.0]))
    (tensor([ 2., 40.]),)
    """
    run = Recording(fn, xs, has_aux)

    def pull(*cts: Any) -> tuple[Any, ...]:
        given = leaves_of(cts)
        if len(given) != len(run.outputs):
            raise ArgumentError(
                "one direction per output is needed",
                expected=str(len(run.outputs)),
                got=str(len(given)),
            )
        return tuple(run.pull(given))

    return (run.values, pull, run.aux) if has_aux else (run.values, pull)


def jvp(
    fn: Function, primals: Sequence[Any], tangents: Sequence[Any], *, has_aux: bool = False
) -> Any:
    """The value of `fn` and J dx, in forward mode; with `has_aux`, what else it returned.

    Raises ShapeError unless each tangent has the shape of its primal.

    >>> jvp(lambda x: x * x, (tensor(3.0),), (tensor(1.0),))
    (tensor(9.), tensor(6.))
    """
    run = Recording(fn, primals, has_aux)
    dy = run.like_output(run.push(run.tangents(tangents)))
    return (run.values, dy, run.aux) if has_aux else (run.values, dy)


def linearize(fn: Function, *primals: Any) -> tuple[Any, Function]:
    """The value of `fn` and the function dx ↦ J dx, which may be called many times.

    >>> y, push = linearize(lambda x: x * x, tensor(3.0))
    >>> push(tensor(1.0))
    tensor(6.)
    """
    run = Recording(fn, primals)
    return run.values, lambda *dxs: run.like_output(run.push(run.tangents(dxs)))


class Chosen:
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


class Recording:
    """A function that ran once, recorded, on inputs of its own.

    Arguments and results are tensors, or nested tuples, lists and dicts of them; what ``pull`` and
    ``push`` take and return has their structure. `connected` says whether derivatives of it may be
    differentiated again: an argument belongs to an outer graph, or the function closes over
    something that wants a gradient. With `has_aux`, the function returns ``(results, aux)``.
    """

    def __init__(self, fn: Function, args: Sequence[Any], has_aux: bool = False) -> None:
        self._args = list(args)
        self.inputs = [_float_tensor(leaf) for leaf in leaves_of(self._args)]
        nested = tape.recording and any(x.node is not None for x in self.inputs)
        self._leaves: list[Tensor] = []
        with recording(True):
            given = [self._own(x, nested) for x in self.inputs]
            out = fn(*rebuilt(self._args, given))
        self._aux: Any = None
        if has_aux:
            out, self._aux = _with_aux(out)
        self.outputs = _check_outputs(out)
        self._out = out
        self._roots = [y.node for y in self.outputs]
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
    def aux(self) -> Any:
        """What the function returned besides, cut off as the values are."""
        return self._aux if self.connected else map_tensors(Tensor.detach, self._aux)

    @property
    def values(self) -> Any:
        """The results, cut off unless they are connected to something outside."""
        outputs = self.outputs if self.connected else [y.detach() for y in self.outputs]
        return self.like_output(outputs)

    def like_output(self, results: Sequence[Any]) -> Any:
        """Results in the structure of what the function returned."""
        return rebuilt(self._out, results)

    def like_inputs(self, results: Sequence[Any]) -> list[Any]:
        """One entry for each argument, in its structure."""
        return rebuilt(self._args, results)  # type: ignore[no-any-return]  # a list, as it is

    def pull(self, cts: Sequence[Any]) -> list[Any]:
        """ctᵀJ for each argument, zeros where the outputs do not depend on it; a ct per output."""
        return self.like_inputs(self.pull_flat(cts))

    def pull_flat(self, cts: Sequence[Any]) -> list[Tensor]:
        """What ``pull`` returns, a tensor after the other."""
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
            node: movement.cast(dx, x.dtype) if connected else movement.cast(dx.array, x.dtype)
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

    def tangents(self, dxs: Sequence[Any]) -> list[Tensor]:
        """Tangents for ``push`` from what has the structure of the arguments."""
        return matched(dxs, self._args, self.inputs, "each tangent has the shape of its primal")


def matched(given: Any, tree: Any, like: Sequence[Tensor], rule: str) -> list[Tensor]:
    """The leaves of `given` as tensors, if there is one of the same shape for each of `like`."""
    found = [as_tensor(x) for x in leaves_of(list(given))]
    if [x.shape for x in found] != [x.shape for x in like]:
        raise ShapeError(
            rule,
            expected="   ".join(describe(x) for x in like),
            got="   ".join(describe(x) for x in found),
        )
    return found


def _with_aux(out: Any) -> tuple[Any, Any]:
    if not isinstance(out, tuple) or len(out) != 2:
        raise GradientError(
            "with has_aux, a function to differentiate returns a pair: (value, aux)",
            got=type(out).__name__,
        )
    return out


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
    outputs = leaves_of(out)
    strange = [y for y in outputs if not isinstance(y, Tensor)]
    if strange or not outputs:
        raise GradientError(
            "a function to differentiate returns a tensor, or nested tuples, lists and dicts of"
            " them",
            got=type(strange[0]).__name__ if strange else "nothing",
        )
    return outputs


def _scalar(value: Any) -> Tensor:
    """The value that a function to differentiate returned, if it is one number."""
    if not isinstance(value, Tensor) or value.numel() != 1:
        raise GradientError(
            "grad() needs a function that returns one number",
            got=describe(value) if isinstance(value, Tensor) else type(value).__name__,
            hint="use jacobian(), or reduce the result, for instance with .sum()",
        )
    return value
