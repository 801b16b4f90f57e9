"""ONNX rules of products, windows and recurrent layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...core.graph import Var
from .rules import rule
from .writer import Pair, Sizes, Writer

# Products -----------------------------------------------------------------------------------------


@rule("matmul")
def _matmul(k: Writer, e: Pair) -> Any:
    op: Any = e.one.op
    names = k.operands(e)
    for i, turned in enumerate((op.ta, op.tb)):
        rank = len(e.shape(i).one)
        if turned and rank > 1:
            perm = [*range(rank - 2), rank - 1, rank - 2]
            names[i] = k.node("Transpose", [names[i]], perm=perm)
    return k.node("MatMul", names)


@rule("einsum")
def _einsum(k: Writer, e: Pair) -> Any:
    equation = e.one.op.equation  # type: ignore[attr-defined]
    letters = dict.fromkeys(c for c in equation if c not in ",->")
    known = {c: chr(ord("a") + i) if i < 26 else chr(ord("A") + i - 26)
             for i, c in enumerate(letters)}  # fmt: skip
    text = "".join(known.get(c, c) for c in equation)
    return k.node("Einsum", k.operands(e), equation=text)


def _window(window: Any) -> dict[str, Any]:
    low, high = zip(*window.padding, strict=True)
    return {
        "kernel_shape": list(window.kernel), "strides": list(window.stride),
        "dilations": list(window.dilation), "pads": [*low, *high],
    }  # fmt: skip


@rule("convolution")
def _convolution(k: Writer, e: Pair) -> Any:
    op: Any = e.one.op
    return k.node("Conv", k.operands(e), group=op.groups, **_window(op.window))


@rule("convolution_input")
def _convolution_input(k: Writer, e: Pair) -> Any:
    op: Any = e.one.op
    attributes = _window(op.window)
    missing = []
    outer = e.shape(0).one[-op.window.rank :]
    for a, n in enumerate(op.size):
        low, high = op.window.padding[a]
        made = (outer[a] - 1) * op.window.stride[a] + op.window.span[a] - low - high
        missing.append(n - made)
    return k.node(
        "ConvTranspose", k.operands(e), group=op.groups, output_padding=missing, **attributes
    )


@rule("max_pool")
def _max_pool(k: Writer, e: Pair) -> Any:
    return [k.node("MaxPool", [k.operand(e, 0)], **_window(e.one.op.window))]  # type: ignore[attr-defined]


@rule("average_pool")
def _average_pool(k: Writer, e: Pair) -> Any:
    op: Any = e.one.op
    counts_padding = all(c == p for c, p in zip(op.counted, op.window.padding, strict=True))
    padded = any(any(p) for p in op.window.padding)
    if op.divisor or any(d != 1 for d in op.window.dilation):
        raise e.refuse("divisors of one's own and dilation are not there")
    attributes = _window(op.window)
    del attributes["dilations"]
    included = int(counts_padding and padded)
    return k.node("AveragePool", [k.operand(e, 0)], count_include_pad=included, **attributes)


# Recurrent layers ---------------------------------------------------------------------------------


def _recurrent(
    k: Writer, e: Pair, kind: str, order: Sequence[int], states: int, **attributes: Any
) -> list[str]:
    """Gates come in computed from the inputs, so the inputs' weights only reorder them."""
    dtype = e.one.outputs[0].dtype
    hidden = e.shape(1).one[1]
    count = len(order)
    unit = np.eye(count * hidden, dtype=dtype).reshape(count, hidden, count * hidden)
    w = k.constant(unit[list(order)].reshape(1, count * hidden, count * hidden))
    rows = [hidden * gate + i for gate in order for i in range(hidden)]
    recurrent = k.operand(e, 1 + states)
    taken = k.node("Gather", [recurrent, k.constant(np.array(rows))], axis=0)
    first = k.constant(np.array([0], np.int64))
    r = k.node("Unsqueeze", [taken, first])
    bias = ""
    if kind == "GRU":
        own = k.node("Gather", [k.operand(e, 3), k.constant(np.array(rows))], axis=0)
        zeros = k.constant(np.zeros(count * hidden, dtype))
        bias = k.node("Unsqueeze", [k.node("Concat", [zeros, own], axis=0), first])
    given = [k.node("Unsqueeze", [k.operand(e, 1 + i), first]) for i in range(states)]
    outputs: list[str] = k.node(
        kind, [k.operand(e, 0), w, r, bias, "", *given], 1 + states,
        hidden_size=hidden, **attributes,
    )  # fmt: skip
    one_direction = k.constant(np.array([1], np.int64))
    return [k.node("Squeeze", [outputs[0], one_direction]), *outputs[1:]]


@rule("lstm")
def _lstm(k: Writer, e: Pair) -> Any:
    """ONNX has the gates in the order i, o, f, g (here: i, f, g, o), and the last cell only."""
    cells = e.one.outputs[1]
    states, _, last = _recurrent(k, e, "LSTM", (0, 3, 1, 2), 2)
    steps = Sizes(cells.shape, e.more.outputs[1].shape)
    return [states, k.node("Expand", [last, k.dims(steps)])]


@rule("gru")
def _gru(k: Writer, e: Pair) -> Any:
    """ONNX has its gates in the order u, r, n; ours are r, u, n."""
    return _recurrent(k, e, "GRU", (1, 0, 2), 1, linear_before_reset=1)[0]


@rule("rnn")
def _rnn(k: Writer, e: Pair) -> Any:
    kind = {"tanh": "Tanh", "relu": "Relu"}[e.one.op.nonlinearity]  # type: ignore[attr-defined]
    return _recurrent(k, e, "RNN", (0,), 1, activations=[kind])[0]


def only_last(e: Pair, used: Mapping[Var, list[Pair]]) -> bool:
    """Whether of an LSTM's cells only the last is used, as ONNX has it."""
    steps = e.one.outputs[1].shape[0]
    return all(
        getattr(user.one.op, "name", "") == "slice" and user.one.op.starts[0] == steps - 1  # type: ignore[attr-defined]
        for user in used.get(e.one.outputs[1], [])
    )
