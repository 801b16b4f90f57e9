"""What is checked: a function of named float64 arrays, with a way back to its gradients.

``Call`` makes one of a user's function or module, ``GradientOf`` one of another program's gradient,
so that second derivatives are checked as first derivatives of the first ones.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .. import config
from ..core.aval import describe
from ..core.value import Node, Value, make_leaf, recording, tape
from ..engine.reverse import sweep
from ..errors import ArgumentError, GradientError
from ..nn.module import Module
from ..ops import random
from ..tensor import Tensor

Array: TypeAlias = NDArray[Any]


class Program:
    """A function of float arrays: `names` and `arrays` are its inputs, `run` computes it."""

    names: list[str]
    arrays: list[Array]

    def run(self, values: Sequence[Value]) -> list[Value]:
        """The float outputs, recorded if `values` have nodes and recording is on."""
        raise NotImplementedError

    def evaluate(self, arrays: Sequence[Array]) -> list[Array]:
        """The outputs at other inputs, unrecorded."""
        with recording(False):
            outs = self.run([Tensor.wrap(a) for a in arrays])
        return [np.asarray(out.array) for out in outs]

    def pull(self, arrays: Sequence[Array], cts: Sequence[Array]) -> list[Array | None]:
        """The gradient of every input, from one cotangent per output; None where none arrives."""
        leaves = [leaf(a) for a in arrays]
        with recording(True):
            outs = self.run(leaves)
        found = gradients(outs, leaves, cts, create_graph=False)
        return [None if g is None else np.asarray(g) for g in found]


def leaf(array: Array) -> Value:
    """A tensor that wants a gradient, without a copy."""
    value = Tensor.wrap(array)
    make_leaf(value)
    return value


def gradients(
    outs: Sequence[Value], inputs: Sequence[Value], cts: Sequence[Any], *, create_graph: bool,
    retain_graph: bool = True,
) -> list[Any]:  # fmt: skip
    """Cotangents of `inputs` from those of `outs`; None for an input that nothing led to."""
    roots: list[Node] = []
    seeds: list[Any] = []
    for out, ct in zip(outs, cts, strict=True):
        if out.node is not None:
            roots.append(out.node)
            seeds.append(ct)
    nodes = [x.node for x in inputs if x.node is not None]
    found = sweep(
        roots,
        seeds,
        value_class=Tensor,
        wanted=nodes,
        retain_graph=retain_graph,
        create_graph=create_graph,
    )
    return [None if x.node is None else found.get(x.node) for x in inputs]


class GradientOf(Program):
    """(inputs, cotangents) ↦ gradients of `program`, itself differentiable."""

    def __init__(self, program: Program, cotangents: Sequence[Array]) -> None:
        self._program = program
        self._n = len(program.arrays)
        several = len(cotangents) > 1
        self.names = [
            *program.names,
            *(f"cotangent[{i}]" if several else "cotangent" for i in range(len(cotangents))),
        ]
        self.arrays = [*program.arrays, *cotangents]

    def run(self, values: Sequence[Value]) -> list[Value]:
        recorded = tape.recording
        xs = [x if x.node is not None else leaf(x.array) for x in values[: self._n]]
        cts = values[self._n :]
        with recording(True):
            outs = self._program.run(xs)
        seeds = cts if recorded else [ct.array for ct in cts]
        found = gradients(outs, xs, seeds, create_graph=recorded)
        zeros = (Tensor.wrap(np.zeros(x.shape, x.dtype)) for x in xs)
        return [
            zero if g is None else g if isinstance(g, Value) else Tensor.wrap(np.asarray(g))
            for g, zero in zip(found, zeros, strict=True)
        ]


class Call(Program):
    """A call of a function or module: its float inputs and parameters in float64.

    A module is copied first, so the user's stays as it is; buffers and the random generator are put
    back before every evaluation, so batch norm and dropout compute the same function each time.
    """

    def __init__(self, fn: Callable[..., Any], inputs: Any) -> None:
        if not callable(fn):
            raise ArgumentError("there is no function to check", got=describe_any(fn))
        args = inputs if isinstance(inputs, tuple) else (inputs,)
        self.names, self.arrays = [], []
        self._cells: list[Value] = []
        self._buffers: list[tuple[Value, Array]] = []
        self._fn = fn
        self._generator = random.default_generator.get_state()
        self._lift_numbers = not any(isinstance(a, (Value, np.ndarray)) for a in _leaves(args))
        names = _parameter_names(fn, len(args))
        self._args = tuple(self._take(a, name) for a, name in zip(args, names, strict=True))
        if isinstance(fn, Module):
            self._fn = copy.deepcopy(fn)
            self._take_module(self._fn)
        if not self.arrays:
            raise ArgumentError(
                "there is nothing to check",
                expected="at least one floating-point tensor, array or parameter",
                got=", ".join(describe_any(a) for a in args) or "no inputs",
                hint="integers have no derivative: pass floats",
            )

    def _take(self, value: Any, name: str) -> Any:
        """`value` with each float tensor in it replaced by a cell that `run` fills."""
        if isinstance(value, (list, tuple)):
            parts = [self._take(v, f"{name}[{i}]") for i, v in enumerate(value)]
            return type(value)(parts)
        if isinstance(value, Mapping):
            return {k: self._take(v, f"{name}[{k!r}]") for k, v in value.items()}
        if isinstance(value, (Value, np.ndarray, np.generic)):
            array = value.array if isinstance(value, Value) else np.asarray(value)
        elif type(value) is float and self._lift_numbers:
            array = np.asarray(value)
        else:
            return value
        return self._cell(array, name) if array.dtype.kind == "f" else Tensor(array)

    def _cell(self, array: Array, name: str) -> Value:
        cell = Tensor.wrap(array)
        self._add(cell, name)
        return cell

    def _add(self, cell: Value, name: str) -> None:
        array = np.array(cell.array, np.float64)
        array.flags.writeable = False
        self._cells.append(cell)
        self.names.append(name)
        self.arrays.append(array)

    def _take_module(self, module: Module) -> None:
        for name, parameter in module.named_parameters():
            if parameter.requires_grad:
                self._add(parameter, name)
            elif parameter.dtype.kind == "f":
                parameter.array = parameter.array.astype(np.float64)
        for _, buffer in module.named_buffers():
            wide = buffer.array.astype(np.float64) if buffer.dtype.kind == "f" else buffer.array
            self._buffers.append((buffer, wide))

    def run(self, values: Sequence[Value]) -> list[Value]:
        for cell, value in zip(self._cells, values, strict=True):
            cell.array, cell.node = value.array, value.node
        for buffer, array in self._buffers:
            buffer.array, buffer.node = array.copy(), None
        random.default_generator.set_state(self._generator)
        outs = list(_leaves(self._fn(*self._args)))
        floats = [o for o in outs if isinstance(o, Value) and o.dtype.kind == "f"]
        if not floats:
            raise GradientError(
                "the function returned nothing that has a gradient",
                expected="a floating-point tensor, or several in a tuple, list or dict",
                got=", ".join(describe_any(o) for o in outs),
                hint="compute with tensors to the end; item(), numpy() and argmax() lose gradients",
            )
        return floats


@contextmanager
def double_precision() -> Iterator[None]:
    """New tensors are float64 in the block; the random generator's state survives it."""
    before = config.get_default_dtype()
    state = random.default_generator.get_state()
    config.set_default_dtype(np.float64)
    try:
        yield
    finally:
        config.set_default_dtype(before)
        random.default_generator.set_state(state)


def describe_any(x: Any) -> str:
    """``float32[2,3]`` for tensors and arrays, the type's name for anything else."""
    return describe(x) if isinstance(x, (Value, np.ndarray, np.generic)) else type(x).__name__


def _leaves(tree: Any) -> Iterator[Any]:
    """What nested tuples, lists and dicts hold, in order."""
    if isinstance(tree, (list, tuple)):
        for item in tree:
            yield from _leaves(item)
    elif isinstance(tree, Mapping):
        for item in tree.values():
            yield from _leaves(item)
    else:
        yield tree


def _parameter_names(fn: Callable[..., Any], n: int) -> list[str]:
    """What the function calls its first `n` arguments."""
    target = fn.forward if isinstance(fn, Module) else fn
    try:
        parameters = list(inspect.signature(target).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    names: list[str] = []
    for i in range(n):
        if i < len(parameters) and parameters[i].kind is not inspect.Parameter.VAR_POSITIONAL:
            names.append(parameters[i].name)
        else:
            names.append(f"input[{i}]")
    return names
