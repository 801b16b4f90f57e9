"""ONNX rules of elementwise ops and reductions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from .rules import RULES, Rule, rule
from .writer import Pair, Writer

# Elementwise --------------------------------------------------------------------------------------

_PLAIN: Final[Mapping[str, str]] = {
    "abs": "Abs", "acos": "Acos", "acosh": "Acosh", "add": "Add", "asin": "Asin",
    "asinh": "Asinh", "atan": "Atan", "atanh": "Atanh", "ceil": "Ceil", "cos": "Cos",
    "cosh": "Cosh", "div": "Div", "eq": "Equal", "erf": "Erf", "exp": "Exp", "floor": "Floor",
    "ge": "GreaterOrEqual", "gt": "Greater", "identity": "Identity", "is_nan": "IsNaN",
    "le": "LessOrEqual", "log": "Log", "logical_and": "And", "logical_not": "Not",
    "logical_or": "Or", "logical_xor": "Xor", "lt": "Less", "maximum": "Max", "minimum": "Min",
    "mul": "Mul", "neg": "Neg", "pow": "Pow", "reciprocal": "Reciprocal", "relu": "Relu",
    "round": "Round", "sigmoid": "Sigmoid", "sign": "Sign", "sin": "Sin", "sinh": "Sinh",
    "sqrt": "Sqrt", "sub": "Sub", "tan": "Tan", "tanh": "Tanh",
}  # fmt: skip


def _plain(kind: str) -> Rule:
    return lambda k, e: k.node(kind, k.operands(e))


RULES.update({name: _plain(kind) for name, kind in _PLAIN.items()})


class _Formula:
    """A value in formulas of ONNX operators."""

    def __init__(self, k: Writer, name: str, dtype: Any) -> None:
        self.k, self.name, self.dtype = k, name, dtype

    def of(self, kind: str, *others: Any, **attributes: Any) -> _Formula:
        names = [o.name if isinstance(o, _Formula) else self.k.constant(o, self.dtype)
                 for o in others]  # fmt: skip
        return _Formula(self.k, self.k.node(kind, [self.name, *names], **attributes), self.dtype)

    def __add__(self, other: Any) -> _Formula:
        return self.of("Add", other)

    def __sub__(self, other: Any) -> _Formula:
        return self.of("Sub", other)

    def __mul__(self, other: Any) -> _Formula:
        return self.of("Mul", other)

    def __truediv__(self, other: Any) -> _Formula:
        return self.of("Div", other)


_FORMULAS: Final[Mapping[str, Callable[..., _Formula]]] = {
    "erfc": lambda x: x.of("Erf").of("Neg") + 1,
    "expm1": lambda x: x.of("Exp") - 1,
    "floor_divide": lambda x, y: (x / y).of("Floor"),
    "gelu": lambda x: x * ((x * math.sqrt(0.5)).of("Erf") + 1) * 0.5,
    "gelu_tanh": lambda x: (
        x * (((x * x * x * 0.044715 + x) * math.sqrt(2 / math.pi)).of("Tanh") + 1) * 0.5
    ),
    "hardsigmoid": lambda x: ((x + 3).of("Clip", 0, 6)) / 6,
    "hardswish": lambda x: x * (x + 3).of("Clip", 0, 6) / 6,
    "log10": lambda x: x.of("Log") * (1 / math.log(10)),
    "log1p": lambda x: (x + 1).of("Log"),
    "log2": lambda x: x.of("Log") * (1 / math.log(2)),
    "logaddexp": lambda x, y: (y - x).of("Softplus") + x,
    "logsigmoid": lambda x: x.of("Neg").of("Softplus").of("Neg"),
    "mish": lambda x: x * x.of("Softplus").of("Tanh"),
    "remainder": lambda x, y: x - (x / y).of("Floor") * y,
    "rsqrt": lambda x: x.of("Sqrt").of("Reciprocal"),
    "silu": lambda x: x * x.of("Sigmoid"),
    "square": lambda x: x * x,
    "trunc": lambda x: x.of("Abs").of("Floor") * x.of("Sign"),
}


def _by_formula(formula: Callable[..., _Formula]) -> Rule:
    def write(k: Writer, e: Pair) -> str:
        dtype = e.one.outputs[0].dtype
        found = formula(*[_Formula(k, name, dtype) for name in k.operands(e)])
        return found.name

    return write


RULES.update({name: _by_formula(formula) for name, formula in _FORMULAS.items()})


@rule("softplus")
def _softplus(k: Writer, e: Pair) -> Any:
    op: Any = e.one.op
    x = _Formula(k, k.operand(e, 0), e.one.outputs[0].dtype)
    return ((x * op.beta).of("Softplus") / op.beta).name


@rule("elu")
def _elu(k: Writer, e: Pair) -> Any:
    return k.node("Elu", [k.operand(e, 0)], alpha=e.one.op.alpha)  # type: ignore[attr-defined]


@rule("leaky_relu")
def _leaky_relu(k: Writer, e: Pair) -> Any:
    slope = e.one.op.negative_slope  # type: ignore[attr-defined]
    return k.node("LeakyRelu", [k.operand(e, 0)], alpha=slope)


@rule("clip", "hardtanh")
def _clip(k: Writer, e: Pair) -> Any:
    op: Any = e.one.op
    x, dtype = k.operand(e, 0), e.one.outputs[0].dtype
    bounds = ["" if b is None else k.constant(b, dtype) for b in (op.low, op.high)]
    return k.node("Clip", [x, *bounds])


@rule("where")
def _where(k: Writer, e: Pair) -> Any:
    dtype = e.one.outputs[0].dtype
    return k.node("Where", [k.operand(e, 0), k.operand(e, 1, dtype), k.operand(e, 2, dtype)])


@rule("cast")
def _cast(k: Writer, e: Pair) -> Any:
    return k.cast(k.operand(e, 0), e.one.op.dtype)  # type: ignore[attr-defined]


# Reductions ---------------------------------------------------------------------------------------

_REDUCTIONS: Final = {
    "amax": "ReduceMax", "amin": "ReduceMin", "logsumexp": "ReduceLogSumExp", "mean": "ReduceMean",
}  # fmt: skip


def _axes_of(e: Pair) -> list[int]:
    return [int(a) for a in e.one.op.axes]  # type: ignore[attr-defined]


@rule("sum")
def _sum(k: Writer, e: Pair) -> Any:
    axes = k.constant(np.array(_axes_of(e), np.int64))
    keep = int(e.one.op.keepdim)  # type: ignore[attr-defined]
    x = k.operand(e, 0, e.one.outputs[0].dtype)
    if not _axes_of(e):
        return x
    return k.node("ReduceSum", [x, axes], keepdims=keep)


def _reduction(k: Writer, e: Pair) -> Any:
    op: Any = e.one.op
    x = k.operand(e, 0, e.one.outputs[0].dtype)
    return k.node(_REDUCTIONS[op.name], [x], axes=_axes_of(e), keepdims=int(op.keepdim))


RULES.update(dict.fromkeys(_REDUCTIONS, _reduction))


@rule("var", "std")
def _var(k: Writer, e: Pair) -> Any:
    op: Any = e.one.op
    if any(a in e.shape(0).dynamic for a in op.axes):
        raise e.refuse("it is over the batch")
    count = math.prod(e.shape(0).one[a] for a in op.axes)
    axes = {"axes": _axes_of(e)}
    x = _Formula(k, k.operand(e, 0), e.one.outputs[0].dtype)
    centred = x - x.of("ReduceMean", **axes, keepdims=1)
    mean = (centred * centred).of("ReduceMean", **axes, keepdims=int(op.keepdim))
    found = mean * (count / max(count - op.correction, 0))
    return found.of("Sqrt").name if op.name == "std" else found.name


@rule("norm")
def _norm(k: Writer, e: Pair) -> Any:
    op: Any = e.one.op
    kinds = {1.0: "ReduceL1", 2.0: "ReduceL2"}
    if op.p not in kinds:
        raise e.refuse("only the norms of order 1 and 2 are there")
    return k.node(kinds[op.p], [k.operand(e, 0)], axes=_axes_of(e), keepdims=int(op.keepdim))


@rule("arg_max", "arg_min")
def _arg(k: Writer, e: Pair) -> Any:
    op: Any = e.one.op
    kind = {"arg_max": "ArgMax", "arg_min": "ArgMin"}[op.name]
    x, axis = k.operand(e, 0), op.axis
    if axis is None:
        x, axis = k.node("Reshape", [x, k.constant(np.array([-1]))]), 0
    return k.node(kind, [x], axis=axis, keepdims=int(op.keepdim))


@rule("cumsum")
def _cumsum(k: Writer, e: Pair) -> Any:
    op: Any = e.one.op
    return k.node(
        "CumSum", [k.operand(e, 0), k.constant(np.array(op.axis))], reverse=int(op.reverse)
    )


@rule("softmax", "log_softmax")
def _softmax(k: Writer, e: Pair) -> Any:
    op: Any = e.one.op
    kind = "Softmax" if op.name == "softmax" else "LogSoftmax"
    return k.node(kind, [k.operand(e, 0)], axis=op.axis)


@rule("layer_norm")
def _layer_norm(k: Writer, e: Pair) -> Any:
    op: Any = e.one.op
    names = [k.operand(e, i) for i in range(len(e.one.inputs))]
    if len(names) == 1:
        own = e.shape(0).one[-op.ndim :]
        names.append(k.constant(np.ones(own, e.one.outputs[0].dtype)))
    return [k.node("LayerNormalization", names, axis=-op.ndim, epsilon=op.eps)]
