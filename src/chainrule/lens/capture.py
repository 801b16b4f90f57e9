"""Explanations of programs as they run: training steps, compiled or not, and whole scripts."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..core.value import Node
from ..engine.reverse import reachable
from ..errors import ArgumentError, GradientError
from ..nn.module import Module
from ..ops import random
from ..optim.optimizer import Optimizer
from ..tensor import Tensor
from .record import leaf_names
from .values import Keeper, keeping, known_values
from .views import TapeView, explain


def explain_step(step: Callable[..., Any], *args: Any, parameter: str, **kwargs: Any) -> TapeView:
    """Explain the gradient of a `parameter`, ``"conv2.weight[3,0,1,1]"``, in a training step.

    A compiled step is explained by its eager twin: the function itself, run on the same batch, in
    which every operation is recorded. What is explained is where its backward pass begins, or the
    tensor that it returns. Optimizers do not step; tensors, gradients and random numbers that the
    function can reach are afterwards as they were.

    Raises GradientError if the step does neither, ArgumentError for an unknown name.
    """
    with _unchanged(step, args), keeping(alone=True) as keeper:
        keeper.is_dry = True
        result = step(*args, **kwargs)
        if not keeper.roots:
            outputs = [x for x in _flat(result) if isinstance(x, Tensor) and x.node is not None]
            if not outputs:
                raise GradientError(
                    "this step neither walks backward nor returns a tensor that was recorded"
                )
            keeper.roots = (outputs[0].node,)  # type: ignore[assignment]  # it has one
        return explain_backward(keeper, parameter)


def explain_backward(keeper: Keeper, parameter: str) -> TapeView:
    """Explain the gradient of a parameter in the last backward pass that a ``Keeper`` saw.

    ``with keeping() as keeper: …``, then ``explain_backward(keeper, "fc1.weight[0,2]")``. Without
    an index, the whole parameter is moved along its gradient.

    Raises GradientError if there was no backward pass, ArgumentError for an unknown name.
    """
    if not keeper.roots:
        raise GradientError("no backward pass has been seen", hint="call loss.backward()")
    order = reachable(keeper.roots)[::-1]
    values = known_values(order)
    name, index = parse_parameter(parameter)
    node = find_leaf(order, name)
    root = keeper.roots[0]
    output = Tensor.wrap(np.asarray(values[root]), root)
    return explain(output, Tensor.wrap(np.asarray(values[node]), node), index=index)


def find_leaf(order: list[Node], name: str) -> Node:
    """The leaf that the modules on a tape call so. Raises ArgumentError if there is none."""
    known = {called: node for node, called in leaf_names(order, {}).items() if node.op is None}
    if name in known:
        return known[name]
    matching = [node for called, node in known.items() if called.endswith(f".{name}")]
    if len(matching) == 1:
        return matching[0]
    raise ArgumentError(
        f"no parameter is called {name!r}",
        expected=", ".join(list(known)[:12]) + (" …" if len(known) > 12 else "") or None,
        got=name,
    )


def parse_parameter(text: str) -> tuple[str, tuple[int, ...] | None]:
    """
    >>> parse_parameter("conv2.weight[3,0,1,1]"), parse_parameter("bias")
    (('conv2.weight', (3, 0, 1, 1)), ('bias', None))
    """
    match = re.fullmatch(r"\s*([\w.]+)\s*(?:\[([\d\s,+-]*)\])?\s*", text)
    if match is None:
        raise ArgumentError(
            "this does not name a parameter",
            expected="NAME or NAME[INDEX,…], such as conv2.weight[3,0,1,1]",
            got=text[:80],
        )
    name, inside = match.groups()
    if inside is None:
        return name, None
    try:
        return name, tuple(int(part) for part in inside.split(",") if part.strip())
    except ValueError:
        raise ArgumentError("an index is made of integers", got=text[:80]) from None


@contextmanager
def _unchanged(step: Callable[..., Any], args: tuple[Any, ...]) -> Iterator[None]:
    """After the block, the tensors and random numbers that a function can reach are as before."""
    cells = {id(x): x for part in _reached(step, args) for x in _tensors(part)}.values()
    before = [(cell, cell.array, cell._grad, cell.node) for cell in cells]
    numbers = random.default_generator.get_state()
    try:
        yield
    finally:
        random.default_generator.set_state(numbers)
        for cell, array, grad, node in before:
            cell.array, cell._grad, cell.node = array, grad, node


def _reached(step: Callable[..., Any], args: tuple[Any, ...]) -> list[Any]:
    """What a function reads: its object, the names in its code, and its arguments."""
    plain = inspect.unwrap(step)
    found = [*args, step, getattr(plain, "__self__", None)]
    function = getattr(plain, "__func__", plain)
    if inspect.isfunction(function):
        names = inspect.getclosurevars(function)
        found += [*names.nonlocals.values(), *names.globals.values()]
    for owner in [x for x in found if x is not None and not isinstance(x, (Module, Tensor))]:
        found += [
            x for x in getattr(owner, "__dict__", {}).values()
            if isinstance(x, (Module, Optimizer, Tensor))
        ] if not inspect.ismodule(owner) and not inspect.isclass(owner) else []  # fmt: skip
    return found


def _tensors(part: Any) -> list[Tensor]:
    if isinstance(part, Tensor):
        return [part]
    if isinstance(part, Module):
        return [*part.parameters(), *part.buffers()]
    if isinstance(part, Optimizer):
        return [p for group in part.param_groups for p in group["params"]]
    return []


def _flat(result: Any) -> list[Any]:
    if isinstance(result, dict):
        return [x for value in result.values() for x in _flat(value)]
    if isinstance(result, (tuple, list)):
        return [x for value in result for x in _flat(value)]
    return [result]
