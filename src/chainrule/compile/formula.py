"""From the scalar formulas that ops carry (``expr``) to expressions of kernels.

The grammar is that of ``testing.formula``, which evaluates the same texts in 50 digits: numbers,
operands and fields in braces, operators, comparisons and functions. A formula is parsed and checked
against a whitelist; nothing is ever executed as Python.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from ..core.aval import DType, Scalar
from ..errors import ArgumentError
from .kernels import Apply, Const, Expr, Index, Load, Lookup

_BOOL, _INT64 = np.dtype(np.bool_), np.dtype(np.int64)

_ARITHMETIC: dict[type[ast.operator], str] = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.Div: "div",
    ast.Pow: "pow",
    ast.Mod: "remainder",
    ast.FloorDiv: "floor_divide",
}
_BITS: dict[type[ast.operator], str] = {
    ast.BitAnd: "bit_and",
    ast.BitOr: "bit_or",
    ast.BitXor: "bit_xor",
}
_COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Lt: "lt",
    ast.LtE: "le",
    ast.Gt: "gt",
    ast.GtE: "ge",
    ast.Eq: "eq",
    ast.NotEq: "ne",
}
_UNARY = frozenset(
    {
        "abs", "sign", "floor", "ceil", "round", "trunc", "sqrt", "rsqrt", "reciprocal", "exp",
        "expm1", "log", "log1p", "log2", "log10", "sigmoid", "tanh", "sinh", "cosh", "erf", "erfc",
        "normal_cdf", "gelu_slope", "sin", "cos", "tan", "asin", "acos", "atan",
    }
)  # fmt: skip
_BINARY = frozenset(
    {"maximum", "minimum", "pow", "remainder", "floor_divide", "atan2", "hypot", "copysign"}
)
_TESTS = frozenset({"isnan", "isinf", "isfinite", "signbit"})
_LOGIC = {"logical_and": "and", "logical_or": "or"}
_CONSTANTS = {"pi": math.pi, "e": math.e, "inf": math.inf, "nan": math.nan}
_NEUTRAL = {"maximum": -math.inf, "minimum": math.inf}


def parse(
    text: str, args: Sequence[Expr], fields: Mapping[str, Scalar], dtype: DType, result: DType
) -> Expr:
    """The formula `text` of the expressions `args`, named {0}, {1} …, and of an op's fields.

    Operands and numbers are cast to `result`, and if that is bool to `dtype`, which the operands
    promote to. Raises ArgumentError for anything but a formula.

    >>> x = Const(0.5, np.dtype("float32"))
    >>> parse("{0} > {alpha}", [x], {"alpha": 1.0}, x.dtype, np.dtype("bool")).function
    'gt'
    """
    within = dtype if result.kind == "b" else result
    return _cast(_Parser(text, args, fields, within).expression(_tree(text)), result)


def dtype_of(expr: Expr) -> DType:
    """The dtype of an expression's value."""
    if isinstance(expr, (Load, Lookup)):
        return expr.access.dtype
    return _INT64 if isinstance(expr, Index) else expr.dtype


@cache
def _tree(text: str) -> ast.expr:
    named = re.sub(r"\{(\w+)\}", r"(_\1)", text)
    try:
        return ast.parse(named.strip(), mode="eval").body
    except SyntaxError as failure:
        raise ArgumentError(f"not a formula: {failure.msg}", got=repr(text)) from failure


def _cast(expr: Expr, dtype: DType) -> Expr:
    """`expr` in another dtype; numbers at once."""
    source = dtype_of(expr)
    if source == dtype:
        return expr
    if isinstance(expr, Const):
        return _number(expr.value, dtype)
    return Apply("cast", (expr,), dtype)


def _number(value: Scalar, dtype: DType) -> Const:
    if dtype.kind == "b":
        return Const(bool(value), dtype)
    return Const(float(value) if dtype.kind == "f" else int(value), dtype)


class _Parser(NamedTuple):
    """What the nodes of one formula stand for."""

    text: str
    args: Sequence[Expr]
    fields: Mapping[str, Scalar]
    dtype: DType

    def expression(self, node: ast.expr) -> Expr:
        """A node of the syntax tree: of `dtype`, or a truth value."""
        match node:
            case ast.Constant(value=bool() | int() | float() as number):
                return _number(number, self.dtype)
            case ast.Name(id=name) if name.startswith("_"):
                return self.named(name[1:])
            case ast.Name(id=name) if name in _CONSTANTS:
                return Const(_CONSTANTS[name], self.dtype)
            case ast.UnaryOp(op=op):
                return self.unary(node, op)
            case ast.BinOp(op=op) if type(op) in _ARITHMETIC:
                return self.apply(_ARITHMETIC[type(op)], node.left, node.right)
            case ast.BinOp(op=op) if type(op) in _BITS:
                left, right = self.alike(node.left, node.right)
                return Apply(_BITS[type(op)], (left, right), dtype_of(left))
            case ast.Compare(ops=[op]) if type(op) in _COMPARISONS:
                operands = self.alike(node.left, node.comparators[0])
                return Apply(_COMPARISONS[type(op)], operands, _BOOL)
            case ast.IfExp():
                return self.chosen(node.test, node.body, node.orelse)
            case ast.BoolOp():
                parts = [self.condition(part) for part in node.values]
                name = "and" if isinstance(node.op, ast.And) else "or"
                return _chain(lambda a, b: Apply(name, (a, b), _BOOL), parts)
            case ast.Call(func=ast.Name(id=name), keywords=[]):
                return self.call(node, name, node.args)
        raise self.refusal(node)

    def is_operand(self, key: str) -> bool:
        """Whether a name in braces is the number of an operand."""
        return key.isdigit() and int(key) < len(self.args)

    def named(self, key: str) -> Expr:
        """An operand or a field, in `dtype`."""
        if self.is_operand(key):
            return _cast(self.args[int(key)], self.dtype)
        if key not in self.fields:
            known = [*map(str, range(len(self.args))), *self.fields]
            raise ArgumentError(
                "a formula names something that the op does not have",
                expected=", ".join(f"{{{k}}}" for k in known),
                got=f"{{{key}}} in {self.text!r}",
            )
        value = self.fields[key]
        if isinstance(value, float) and self.dtype.kind in "iu" and math.isinf(value):
            return Const(value, self.dtype)  # a bound that is none
        return _number(value, self.dtype)

    def unary(self, node: ast.expr, op: ast.unaryop) -> Expr:
        assert isinstance(node, ast.UnaryOp)
        if isinstance(op, ast.Not):
            return Apply("not", (self.condition(node.operand),), _BOOL)
        if isinstance(op, ast.Invert):
            x = self.expression(node.operand)
            return Apply("bit_not", (x,), dtype_of(x))
        x = self.numeric(node.operand)
        if isinstance(op, ast.UAdd):
            return x
        return Const(-x.value, self.dtype) if isinstance(x, Const) else self.made("neg", x)

    def numeric(self, node: ast.expr) -> Expr:
        """A node's value in `dtype`, truth values as 0 and 1."""
        return _cast(self.expression(node), self.dtype)

    def condition(self, node: ast.expr) -> Expr:
        """A node's value as a truth value, of an operand directly."""
        match node:
            case ast.Name(id=name) if name.startswith("_") and self.is_operand(name[1:]):
                return _cast(self.args[int(name[1:])], _BOOL)
        return _cast(self.expression(node), _BOOL)

    def alike(self, left: ast.expr, right: ast.expr) -> tuple[Expr, Expr]:
        """Two truth values as they are, else both in `dtype`."""
        a, b = self.expression(left), self.expression(right)
        if dtype_of(a) == dtype_of(b):
            return a, b
        return _cast(a, self.dtype), _cast(b, self.dtype)

    def chosen(self, test: ast.expr, yes: ast.expr, no: ast.expr) -> Expr:
        a, b = self.alike(yes, no)
        return Apply("where", (self.condition(test), a, b), dtype_of(a))

    def apply(self, function: str, *nodes: ast.expr) -> Expr:
        """A function of numbers."""
        return self.made(function, *[self.numeric(node) for node in nodes])

    def made(self, function: str, *xs: Expr) -> Expr:
        """``function(*xs)`` in `dtype`, or something simpler with the same value."""
        last = xs[-1]
        if isinstance(last, Const):
            if last.value == _NEUTRAL.get(function, math.nan):
                return xs[0]
            if function == "pow" and last.value in (2, 3, 4):
                return self.product(xs[0], int(last.value))
        return Apply(function, xs, self.dtype)

    def product(self, x: Expr, factors: int) -> Expr:
        """x², x³ or x⁴, as NumPy's formulas of ops have them."""
        if factors == 4:
            return self.product(self.product(x, 2), 2)
        return _chain(lambda a, b: Apply("mul", (a, b), self.dtype), [x] * factors)

    def call(self, node: ast.expr, name: str, nodes: Sequence[ast.expr]) -> Expr:
        n = len(nodes)
        if (name in _UNARY and n == 1) or (name in _BINARY and n == 2):
            return self.apply(name, *nodes)
        if name in _TESTS and n == 1:
            return Apply(name, (self.numeric(nodes[0]),), _BOOL)
        if name == "where" and n == 3:
            return self.chosen(*nodes)
        if name == "square" and n == 1:
            return self.product(self.numeric(nodes[0]), 2)
        if name in _LOGIC and n == 2:
            return Apply(_LOGIC[name], tuple(map(self.condition, nodes)), _BOOL)
        if name == "logical_not" and n == 1:
            return Apply("not", (self.condition(nodes[0]),), _BOOL)
        raise self.refusal(node)

    def refusal(self, node: ast.expr) -> ArgumentError:
        known = {*_UNARY, *_BINARY, *_TESTS, *_LOGIC, "where", "square", "logical_not"}
        return ArgumentError(
            "a formula may not contain this",
            expected=f"numbers, names in braces, operators and {', '.join(sorted(known))}",
            got=f"{ast.unparse(node)} in {self.text!r}",
        )


def _chain(join: Callable[[Expr, Expr], Expr], parts: Sequence[Expr]) -> Expr:
    """((p₀ p₁) p₂) …"""
    out = parts[0]
    for part in parts[1:]:
        out = join(out, part)
    return out
