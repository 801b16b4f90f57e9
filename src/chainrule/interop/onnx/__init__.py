"""Export of networks to ONNX."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ... import __version__
from ...compile.passes import prune
from ...compile.trace import trace
from ...core.graph import Graph, Var
from ...errors import ArgumentError
from ...nn.module import Module
from ...tensor import Tensor
from . import elementwise as elementwise  # they register their rules
from . import shapes as shapes
from .layers import only_last
from .rules import RULES
from .writer import IR_VERSION, OPSET, Pair, Sizes, Writer, library

__all__ = ["export_onnx"]


def export_onnx(
    model: Module | Callable[..., Any],
    path: str | os.PathLike[str] | None,
    *examples: Any,
    any_batch: bool = True,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
) -> Any:
    """Write a network as an ONNX file (operator set 17), and return the ONNX model.

    `examples` are inputs as the network takes them, tensors or arrays; shapes and types are theirs.
    With `any_batch` the first axis of each may then be of any size. A Module is exported in
    evaluation mode, and left in the mode that it was in. With `path` None nothing is written.

    Raises ArgumentError without examples, for an op that ONNX has no counterpart of, for a network
    that treats its batch in a way that another size could not follow (``any_batch=False`` exports
    it for this one), and if the package onnx is missing.
    """
    if not examples:
        raise ArgumentError("an export needs an example of each input", got="none")
    arrays = [x.array if isinstance(x, Tensor) else np.asarray(x) for x in examples]
    if any_batch and any(x.ndim == 0 or len(x) != len(arrays[0]) for x in arrays):
        raise ArgumentError(
            "the inputs have no batch axis in common",
            got=", ".join(str(x.shape) for x in arrays),
            hint="any_batch=False exports for these sizes only",
        )
    one = _traced(model, arrays)
    more = one
    if any_batch:
        more = _traced(model, [np.concatenate([x, x[-1:]]) for x in arrays])
    inputs = _named(input_names, one.inputs, "input")
    outputs = _named(output_names, one.outputs, "output")
    writer = Writer(inputs[0] if any_batch else None, len(arrays[0]) if any_batch else 0)
    _write(writer, one, more, inputs, outputs)
    proto = _model(writer, one, more, inputs, outputs)
    library("onnx.checker").check_model(proto, full_check=True)
    if path is not None:
        library().save_model(proto, os.fspath(path))
    return proto


def _traced(model: Any, arrays: Sequence[Any]) -> Graph:
    training = isinstance(model, Module) and model.training
    if training:
        model.eval()
    try:
        return prune(trace(model, *[Tensor.wrap(x) for x in arrays]))
    finally:
        if training:
            model.train()


def _named(names: Sequence[str] | None, values: Sequence[Any], kind: str) -> list[str]:
    if names is not None:
        if len(names) != len(values):
            raise ArgumentError(
                f"one name for each {kind}", expected=str(len(values)), got=str(len(names))
            )
        return list(names)
    return [kind] if len(values) == 1 else [f"{kind}{i}" for i in range(len(values))]


def _write(k: Writer, one: Graph, more: Graph, inputs: list[str], outputs: list[str]) -> None:
    """All equations, and the outputs under their names."""
    if len(one.equations) != len(more.equations) or one.captured:
        raise ArgumentError(
            "the network draws random numbers" if one.captured
            else "the network computes otherwise for another batch size",
            hint=None if one.captured else "any_batch=False exports for this size only",
        )  # fmt: skip
    k.names.update(zip(one.inputs, inputs, strict=True))
    pairs = [Pair(a, b) for a, b in zip(one.equations, more.equations, strict=True)]
    users: dict[Var, list[Pair]] = {}
    for pair in pairs:
        for x in pair.one.inputs:
            if isinstance(x, Var):
                users.setdefault(x, []).append(pair)
    returned = {x for x in one.outputs if isinstance(x, Var)}
    for pair in pairs:
        _equation(k, pair, users, returned)
    helper = library("onnx.helper")
    for x, name in zip(one.outputs, outputs, strict=True):
        source = k.names[x] if isinstance(x, Var) else k.constant(x)
        k.nodes.append(helper.make_node("Identity", [source], [name]))


def _equation(k: Writer, pair: Pair, users: dict[Var, list[Pair]], returned: set[Var]) -> None:
    name = pair.one.op.name
    write = RULES.get(name)
    if write is None:
        raise pair.refuse("ONNX has no counterpart that is known here")
    if name != pair.more.op.name:
        raise pair.refuse("another batch size computes otherwise; any_batch=False exports this one")
    for a, b in zip(pair.one.outputs, pair.more.outputs, strict=True):
        if not k.check_growth(Sizes(a.shape, b.shape)):
            raise pair.refuse("its size does not follow the batch; any_batch=False exports it")
    if name == "lstm" and not only_last(pair, users):
        raise pair.refuse("the cells of all steps are used, and ONNX has the last one only")
    found = write(k, pair)
    names = [found] if isinstance(found, str) else list(found)
    for var, made in zip(pair.one.outputs, names, strict=False):
        k.names[var] = made
    for var in pair.one.outputs[len(names) :]:
        if var in returned or var in users:
            raise pair.refuse("ONNX computes its first result only, and another is used")


def _model(
    k: Writer, one: Graph, more: Graph, inputs: Sequence[str], outputs: Sequence[str]
) -> Any:
    helper = library("onnx.helper")

    def info(name: str, a: Any, b: Any) -> Any:
        sizes = Sizes(np.shape(_hull(a)), np.shape(_hull(b)))
        dims = [
            ("batch" if n == k._size else None) if i in sizes.dynamic else n
            for i, n in enumerate(sizes.one)
        ]
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(a.dtype))
        return helper.make_tensor_value_info(name, kind, dims)

    graph = helper.make_graph(
        k.nodes, "chainrule",
        [info(*x) for x in zip(inputs, one.inputs, more.inputs, strict=True)],
        [info(*x) for x in zip(outputs, one.outputs, more.outputs, strict=True)],
        k.initializers,
    )  # fmt: skip
    return helper.make_model(
        graph,
        producer_name="chainrule",
        producer_version=__version__,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )


def _hull(x: Any) -> Any:
    return np.broadcast_to(0, x.shape) if isinstance(x, Var) else x
