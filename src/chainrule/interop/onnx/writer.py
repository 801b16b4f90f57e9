"""Writes the nodes of an ONNX graph, for one batch size or for any."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from ...core.aval import SCALARS, result_dtype
from ...core.graph import Equation, Var
from ...core.value import describe_site
from ...errors import ArgumentError

OPSET = 17
IR_VERSION = 8


@cache
def library(name: str = "onnx") -> Any:
    """A module of the package onnx. Raises ArgumentError if it is missing."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ArgumentError(
            "exporting to ONNX needs the package onnx",
            got=str(error),
            hint="pip install 'chainrule[export]'",
        ) from error


class Sizes(NamedTuple):
    """A shape, and the same one for a batch that is one larger."""

    one: tuple[int, ...]
    more: tuple[int, ...]

    @property
    def dynamic(self) -> list[int]:
        """The axes that grow with the batch."""
        return [i for i, (a, b) in enumerate(zip(self.one, self.more, strict=True)) if a != b]


class Pair(NamedTuple):
    """The equation that is written, and the one at its place for a batch that is one larger."""

    one: Equation
    more: Equation

    def sizes(self, field: str) -> Sizes:
        """A field of the op that holds sizes."""
        return Sizes(tuple(getattr(self.one.op, field)), tuple(getattr(self.more.op, field)))

    def shape(self, i: int) -> Sizes:
        """The shape of an operand."""
        return Sizes(np.shape(_sized(self.one.inputs[i])), np.shape(_sized(self.more.inputs[i])))

    def refuse(self, why: str) -> ArgumentError:
        """The error of an equation that cannot be written."""
        site = self.one.site
        return ArgumentError(
            f"{self.one.op.name} cannot be exported to ONNX: {why}",
            got=repr(self.one.op),
            hint=None if site is None else f"it was computed at {describe_site(*site)}",
        )


def _sized(x: Any) -> Any:
    return np.broadcast_to(0, x.shape) if isinstance(x, Var) else x


class Writer:
    """Nodes and constants of a graph. Values are known by their names in it.

    With `batch`, the value named so has the batch as its first axis, and `size` is its size in the
    equations that are written.
    """

    def __init__(self, batch: str | None, size: int) -> None:
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self.names: dict[Var, str] = {}
        self._batch, self._size = batch, size
        self._batch_value: str | None = None
        self._constants: dict[tuple[Any, ...], str] = {}
        self._count = 0

    def fresh(self) -> str:
        """A name that nothing has yet."""
        self._count += 1
        return f"t{self._count}"

    def constant(self, value: Any, dtype: Any = None) -> str:
        """An array that is part of the file; equal ones are there once."""
        array = np.ascontiguousarray(value, dtype)
        key = (array.shape, array.dtype.str, array.tobytes())
        if key not in self._constants:
            name = self._constants[key] = f"c{len(self._constants)}"
            numpy_helper = library("onnx.numpy_helper")
            self.initializers.append(numpy_helper.from_array(array.reshape(np.shape(value)), name))
        return self._constants[key]

    def node(self, kind: str, inputs: Sequence[str], outputs: int = 1, **attributes: Any) -> Any:
        """Append an ONNX operator; the name of its output, or of several."""
        names = [self.fresh() for _ in range(outputs)]
        helper = library("onnx.helper")
        self.nodes.append(helper.make_node(kind, list(inputs), names, **attributes))
        return names[0] if outputs == 1 else names

    # Operands -------------------------------------------------------------------------------------

    def operand(self, pair: Pair, i: int, dtype: Any = None) -> str:
        """The name of an operand. Numbers get `dtype`; arrays are cast to it, if it is given."""
        x, other = pair.one.inputs[i], pair.more.inputs[i]
        if isinstance(x, Var):
            name = self.names[x]
            return name if dtype in (None, x.dtype) else self.cast(name, dtype)
        if type(x) in SCALARS:
            return self.constant(x, dtype)
        x, other = np.asarray(x), np.asarray(other)
        if x.shape != other.shape:
            return self._grown(pair, x if dtype is None else x.astype(dtype), other.shape)
        return self.constant(x, dtype)

    def _grown(self, pair: Pair, x: Any, more: tuple[int, ...]) -> str:
        """A constant that is the same for each sample, such as a first state of zeros."""
        sizes = Sizes(x.shape, more)
        for axis in sizes.dynamic:
            first = x.take([0], axis)
            if not np.array_equal(np.broadcast_to(first, x.shape), x):
                raise pair.refuse("it uses numbers that were made for this batch")
            x = first
        expanded: str = self.node("Expand", [self.constant(x), self.dims(sizes)])
        return expanded

    def operands(self, pair: Pair) -> list[str]:
        """All operands in the type that the op computes in."""
        dtype = result_dtype(pair.one.inputs)
        return [self.operand(pair, i, dtype) for i in range(len(pair.one.inputs))]

    def cast(self, name: str, dtype: Any) -> str:
        """A value in another type."""
        helper = library("onnx.helper")
        cast: str = self.node("Cast", [name], to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))
        return cast

    # Sizes ----------------------------------------------------------------------------------------

    def dims(self, sizes: Sizes) -> str:
        """A shape as a value: what grows with the batch is computed from the batch."""
        if not sizes.dynamic:
            return self.constant(np.array(sizes.one, np.int64))
        parts = [
            self._times(more - one) if one != more else self.constant(np.array([one], np.int64))
            for one, more in zip(*sizes, strict=True)
        ]
        joined: str = self.node("Concat", parts, axis=0)
        return joined

    def _times(self, factor: int) -> str:
        """So many times the size of the batch."""
        if self._batch_value is None:
            assert self._batch is not None
            shape = self.node("Shape", [self._batch])
            self._batch_value = self.node("Gather", [shape, self.constant(np.array([0]))])
        product: str = self.node("Mul", [self._batch_value, self.constant(np.array([factor]))])
        return product

    def check_growth(self, sizes: Sizes) -> bool:
        """Whether what differs between the two shapes grows in proportion to the batch."""
        return all(
            sizes.one[i] == self._size * (sizes.more[i] - sizes.one[i]) for i in sizes.dynamic
        )
