"""The record of a tape that explanations, drawings and other views share.

One entry for each recorded operation and each leaf, in the order in which they were computed: what
it is, where it was written, what it computed and what gradient it got.
"""

from __future__ import annotations

import linecache
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ..core.aval import DType, Shape, describe
from ..core.value import Node, Scope, Value, line_number
from ..engine.reverse import reachable, seed, sweep
from ..errors import ArgumentError, GradientError
from ..nn.module import Module
from ..tensor import Tensor
from .values import Values, known_values, operands

MOST_NUMBERS: Final = 64
"""Arrays of at most so many elements are written out in JSON; larger ones are summarised."""


@dataclass(frozen=True)
class Site:
    """The user's line that asked for an operation."""

    file: str
    line: int
    source: str

    def __str__(self) -> str:
        return f"{os.path.basename(self.file)}:{self.line}"


@dataclass(frozen=True)
class Entry:
    """One operation, one leaf, or one output of an operation with several (op ``item``)."""

    index: int
    """Its place in the record; inputs have smaller ones."""
    name: str
    """``conv1.weight`` for a parameter of a module, a name that was given, or the op's name."""
    op: str | None
    """Name of the op; None for a leaf."""
    parameters: Mapping[str, Any]
    """The op's own settings, such as axes."""
    inputs: tuple[int | None, ...]
    """For each operand the entry that computed it; None for a constant."""
    constants: tuple[Any, ...]
    """For each operand that is a constant its value, if the tape kept it; else None."""
    shape: Shape | None
    """None for an operation with several outputs: its items have one each."""
    dtype: DType | None
    value: Any
    """An array, a tuple of arrays with several outputs, or None if the tape did not keep it."""
    gradient: Any
    """Of the output of the record, as `value`; None where no gradient arrives."""
    site: Site | None
    module: str | None
    """``Net.block.fc1``: the innermost module call that it was computed in."""
    scope: Scope | None
    """That call itself: nodes of one call share it."""
    node: Node
    """Of the tape."""

    @property
    def is_leaf(self) -> bool:
        """Whether nothing computed it."""
        return self.op is None

    def to_json(self) -> dict[str, Any]:
        """As in schemas/record.json."""
        return {
            "index": self.index,
            "name": self.name,
            "op": self.op,
            "parameters": {name: _plain(value) for name, value in self.parameters.items()},
            "inputs": list(self.inputs),
            "constants": [None if c is None else numbers(c) for c in self.constants],
            "shape": None if self.shape is None else list(self.shape),
            "dtype": None if self.dtype is None else self.dtype.name,
            "value": numbers(self.value),
            "gradient": numbers(self.gradient),
            "file": None if self.site is None else self.site.file,
            "line": None if self.site is None else self.site.line,
            "source": None if self.site is None else self.site.source,
            "module": self.module,
        }


@dataclass(frozen=True)
class Record:
    """The entries that an output was computed from; it is the last of them."""

    entries: tuple[Entry, ...]

    @property
    def output(self) -> Entry:
        """The entry of the output."""
        return self.entries[-1]

    def entry(self, node: Node) -> Entry:
        """The entry of a node of the tape. Raises KeyError for a node of another one."""
        return self.entries[{e.node: e.index for e in self.entries}[node]]

    def users(self) -> list[list[tuple[int, int]]]:
        """For each entry, the entries that use it, with the position of the operand."""
        found: list[list[tuple[int, int]]] = [[] for _ in self.entries]
        for entry in self.entries:
            for position, i in enumerate(entry.inputs):
                if i is not None:
                    found[i].append((entry.index, position))
        return found

    def to_json(self) -> dict[str, Any]:
        """As in schemas/record.json; numbers that JSON does not have are strings."""
        return {"format": 1, "output": self.output.index,
                "entries": [entry.to_json() for entry in self.entries]}  # fmt: skip


def record_of(
    output: Tensor,
    *,
    direction: Any = None,
    names: Mapping[str, Tensor] | None = None,
) -> Record:
    """What `output` was computed from, with values and the gradients of `output`.

    `direction` is needed for an output of several elements: gradients are those of its product with
    the output. `names` names tensors; parameters of modules have names already. No ``grad`` is
    touched, and the graph can be walked again.

    Raises ArgumentError for what is no tensor, GradientError for an output that was not recorded or
    that has no direction, FreedGraphError if a backward pass freed what is needed.

    >>> x = tensor(3.0, requires_grad=True)
    >>> found = record_of(x * x, names={"x": x})
    >>> [(e.name, float(e.value), float(e.gradient)) for e in found.entries]
    [('x', 3.0, 6.0), ('mul', 9.0, 1.0)]
    """
    if not isinstance(output, Tensor):
        raise ArgumentError("a record is made of a tensor", got=type(output).__name__)
    if output.node is None:
        raise GradientError(
            "this tensor was not recorded",
            got=describe(output),
            hint="no input has requires_grad=True, or it was computed under no_grad()",
        )
    order = reachable([output.node])[::-1]
    gradients = sweep(
        [output.node], [seed(output, direction)], value_class=Tensor, wanted=set(order),
        retain_graph=True,
    )  # fmt: skip
    values = known_values(order)
    called = leaf_names(order, names or {})
    index = {node: i for i, node in enumerate(order)}
    return Record(tuple(_entry(node, index, values, gradients, called) for node in order))


def _entry(
    node: Node,
    index: Mapping[Node, int],
    values: Values,
    gradients: Mapping[Node, Any],
    called: Mapping[Node, str],
) -> Entry:
    inputs = tuple(None if p is None else index[p] for p in node.parents)
    fields = () if node.op is None else node.op.fields
    return Entry(
        index=index[node],
        name=called.get(node, node.name),
        op=None if node.op is None else node.op.name,
        parameters={f: getattr(node.op, f) for f in fields},
        inputs=inputs,
        constants=tuple(
            x if j is None else None for x, j in zip(operands(node, values), inputs, strict=True)
        ),
        shape=node.shape,
        dtype=node.dtype,
        value=values.get(node),
        gradient=_gradient(node, gradients),
        site=site_of(node),
        module=None if node.scope is None else node.scope.path(),
        scope=node.scope,
        node=node,
    )


def _gradient(node: Node, gradients: Mapping[Node, Any]) -> Any:
    found = gradients.get(node)
    return tuple(found) if isinstance(found, list) else found


def site_of(node: Node) -> Site | None:
    """The user's line that made a node; None for a leaf."""
    if node.site is None:
        return None
    code, instruction = node.site
    line = line_number(code, instruction)
    return Site(code.co_filename, line, linecache.getline(code.co_filename, line).strip())


def leaf_names(order: Iterable[Node], names: Mapping[str, Tensor]) -> dict[Node, str]:
    """Names of nodes: those given, and of the parameters of modules that computed with them.

    A parameter is called as the outermost module calls it; where there are several outermost
    modules, the class of each is put in front.
    """
    given = {x.node: name for name, x in names.items() if x.node is not None}
    nodes = list(order)
    outermost: dict[int, Module] = {}
    for node in nodes:
        scope = node.scope
        while scope is not None and scope.outer is not None:
            scope = scope.outer
        if scope is not None and isinstance(scope.module, Module):
            outermost[id(scope.module)] = scope.module
    outermost = {i: m for i, m in outermost.items() if next(iter(m.parameters()), None) is not None}
    found: dict[Node, str] = {}
    for module in outermost.values():
        prefix = "" if len(outermost) == 1 else f"{type(module).__name__}."
        for name, parameter in module.named_parameters():
            if isinstance(parameter, Value) and parameter.node is not None:
                found.setdefault(parameter.node, prefix + name)
    known = [node for node in nodes if node in given or node in found]
    return {node: given.get(node) or found[node] for node in known}


def numbers(x: Any) -> Any:
    """An array for JSON: all its numbers if they are few, else a summary of them."""
    if x is None:
        return None
    if isinstance(x, (tuple, list)):
        return [numbers(part) for part in x]
    array = np.asarray(x)
    if array.size <= MOST_NUMBERS:
        return _plain(array.tolist())
    finite = array[np.isfinite(array)].astype(np.float64) if array.dtype.kind == "f" else array
    summary = {
        "shape": list(array.shape),
        "norm": float(np.linalg.norm(finite.astype(np.float64).ravel())),
        "min": float(finite.min()) if finite.size else None,
        "max": float(finite.max()) if finite.size else None,
        "not_finite": int(array.size - finite.size),
    }
    return _plain(summary)


def _plain(x: Any) -> Any:
    """A value that JSON has: what it lacks becomes text."""
    if isinstance(x, Mapping):
        return {str(key): _plain(value) for key, value in x.items()}
    if isinstance(x, (list, tuple)):
        return [_plain(value) for value in x]
    if isinstance(x, float):
        return x if np.isfinite(x) else repr(x)
    return x if x is None or isinstance(x, (bool, int, str)) else str(x)
