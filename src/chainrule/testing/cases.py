"""One sample of one op, computed the ways that the contract compares."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .. import autodiff
from ..core.apply import apply
from ..core.op import Op
from ..core.sampling import Sample
from ..core.value import Value, recording
from ..engine.forward import push
from ..tensor import Tensor
from .program import Program, gradients, leaf
from .sampling import direction, draw_inputs

Array: TypeAlias = NDArray[Any]


class Case:
    """A sample with its arrays drawn: inputs, a cotangent per output, a direction per input.

    `wrt` are the inputs to differentiate: floats, unless a value is NaN (the mean of nothing).
    """

    def __init__(self, sample: Sample, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.op: Op = sample.op
        self.sample = sample
        self.inputs: list[Array] = draw_inputs(sample, rng)
        self.rng = rng
        self.outs = self.compute(self.inputs)
        self.cts: list[Array | None] = [
            _read_only(direction(y, rng)) if y.dtype.kind == "f" else None for y in self.outs
        ]
        self.wrt: list[int] = []
        defined = not any(np.isnan(y).any() for y in self.outs if y.dtype.kind == "f")
        if defined and self.op.differentiable and any(ct is not None for ct in self.cts):
            self.wrt = [i for i, x in enumerate(self.inputs) if x.dtype.kind == "f"]
        self.dxs = {i: _read_only(direction(self.inputs[i], rng)) for i in self.wrt}

    def __repr__(self) -> str:
        inputs = ", ".join(f"{x.dtype}{list(x.shape)}" for x in self.inputs)
        return f"{self.op!r} of {inputs}"

    def compute(self, arrays: Sequence[Any]) -> list[Array]:
        """The outputs, from plain arrays, always as a list."""
        out = apply(self.op, *arrays)
        return [np.asarray(y) for y in (out if self.op.n_out is not None else (out,))]

    def floats(self, arrays: Sequence[Any]) -> list[Array]:
        """The floating-point outputs."""
        return [y for y in self.compute(arrays) if y.dtype.kind == "f"]

    @cached_property
    def float_cts(self) -> list[Array]:
        """The cotangents of the floating-point outputs."""
        return [ct for ct in self.cts if ct is not None]

    @cached_property
    def grads(self) -> dict[int, Array]:
        """Gradients of all float inputs, as ordinary backward computes them."""
        return self.pull(self.inputs, self.cts, self.wrt)

    def record(self, arrays: Sequence[Any], wrt: Sequence[int]) -> tuple[list[Value], list[Value]]:
        """Operands with leaves at `wrt`, and the recorded outputs."""
        operands: list[Any] = [leaf(a) if i in wrt else a for i, a in enumerate(arrays)]
        if operands and not wrt:
            operands[0] = Tensor.wrap(arrays[0])
        with recording(True):
            out: Any = apply(self.op, *operands)
        return operands, list(out) if self.op.n_out is not None else [out]

    def pull(
        self,
        arrays: Sequence[Any],
        cts: Sequence[Array | None],
        wrt: Sequence[int],
        *,
        create_graph: bool = False,
    ) -> dict[int, Array]:
        """Gradients at `wrt` through the engine; zero where none arrives.

        With `create_graph`, the rule runs on tensors.
        """
        operands, outs = self.record(arrays, wrt)
        pairs = [
            (y, Tensor.wrap(ct) if create_graph else ct)
            for y, ct in zip(outs, cts, strict=True)
            if ct is not None and y.node is not None
        ]
        found = gradients(
            [y for y, _ in pairs],
            [operands[i] for i in wrt],
            [ct for _, ct in pairs],
            create_graph=create_graph,
        )
        return {
            i: np.zeros(arrays[i].shape, arrays[i].dtype) if g is None else _plain(g)
            for i, g in zip(wrt, found, strict=True)
        }

    def differentiate(
        self, tensors: Sequence[Tensor]
    ) -> tuple[list[Tensor], dict[int, Tensor | None]]:
        """The outputs, and the gradients at `wrt`, None where none arrives; to be traced."""
        operands = list(tensors)
        for i in self.wrt:
            operands[i] = Tensor.wrap(tensors[i].array).requires_grad_()
        out: Any = apply(self.op, *operands)
        outs = list(out) if self.op.n_out is not None else [out]
        if not self.wrt:
            return outs, {}
        pairs = [(y, ct) for y, ct in zip(outs, self.cts, strict=True) if ct is not None]
        cts = [Tensor.wrap(ct.astype(y.dtype)) for y, ct in pairs]
        wanted = [operands[i] for i in self.wrt]
        found = autodiff.gradients([y for y, _ in pairs], wanted, cts, allow_unused=True)
        return outs, dict(zip(self.wrt, found, strict=True))

    def push(self, arrays: Sequence[Any], dxs: dict[int, Array]) -> list[Array]:
        """Tangents of the float outputs, by the op's own rule or the engine's transposition."""
        operands, outs = self.record(arrays, list(dxs))
        floats = [y for y in outs if y.dtype.kind == "f"]
        nodes = [y.node for y in floats if y.node is not None]
        tangents = {operands[i].node: dx for i, dx in dxs.items() if operands[i].node is not None}
        found = dict(
            zip(map(id, nodes), push(nodes, tangents, value_class=Tensor), strict=True)  # type: ignore[arg-type]  # nodes were filtered
        )
        dys = [found.get(id(y.node)) for y in floats]
        return [
            np.zeros(y.shape) if dy is None else np.broadcast_to(_plain(dy), y.shape)
            for y, dy in zip(floats, dys, strict=True)
        ]


class OpProgram(Program):
    """An op as a function of its float inputs, the others held."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self.names = [f"input {i}" for i in case.wrt]
        self.arrays = [case.inputs[i] for i in case.wrt]

    def run(self, values: Sequence[Value]) -> list[Value]:
        operands: list[Any] = list(self._case.inputs)
        for i, value in zip(self._case.wrt, values, strict=True):
            operands[i] = value
        out: Any = apply(self._case.op, *operands)
        outs = out if self._case.op.n_out is not None else (out,)
        return [y for y in outs if y.dtype.kind == "f"]


def _plain(value: Any) -> Array:
    return np.asarray(value.array if isinstance(value, Value) else value)


def _read_only(array: Array) -> Array:
    array.flags.writeable = False
    return array
