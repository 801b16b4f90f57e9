"""Evaluate the scalar formulas that ops carry (``expr`` and ``math``), at any precision.

A formula is parsed, checked against a whitelist and turned into nested closures; nothing is ever
executed as Python. With mpmath (a development dependency) the result has 50 digits, which makes it
an oracle for forward computations that shares no code with them.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping
from functools import cache
from types import ModuleType
from typing import Any, TypeAlias

from ..errors import ArgumentError

Evaluator: TypeAlias = Callable[[Mapping[str, Any], Any], Any]
"""From the names' values and the functions' home (``math``-like) to a number."""


def _is_nan(x: Any) -> bool:
    return math.isnan(float(x))


def _is_finite(x: Any) -> bool:
    return math.isfinite(float(x))


def _quotient(a: Any, b: Any) -> Any:
    """a / b with IEEE's answer at b = 0."""
    if b != 0:
        return a / b
    if a == 0 or _is_nan(a):
        return math.nan
    return math.inf if (a > 0) == (math.copysign(1.0, float(b)) > 0) else -math.inf


def _power(a: Any, b: Any) -> Any:
    """a ** b in the reals: NaN instead of a complex number, infinity at 0 ** negative."""
    if a < 0 and b != int(b):
        return math.nan
    if a == 0 and b < 0:
        return math.inf
    return a**b


def _extreme(a: Any, b: Any, first: bool) -> Any:
    """a if `first`, else b; NaN if either is."""
    if _is_nan(a) or _is_nan(b):
        return math.nan
    return a if first else b


def _round_half_even(x: Any) -> Any:
    return round(float(x)) if _is_finite(x) else x


_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: _quotient,
    ast.Pow: _power,
    ast.Mod: operator.mod,
    ast.FloorDiv: operator.floordiv,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: operator.not_,
    ast.Invert: lambda x: not x if isinstance(x, bool) else ~x,
}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_PLAIN: dict[str, Callable[..., Any]] = {
    "abs": abs,
    "where": lambda condition, a, b: a if condition else b,
    "maximum": lambda a, b: _extreme(a, b, a >= b),
    "minimum": lambda a, b: _extreme(a, b, a <= b),
    "sign": lambda x: x if _is_nan(x) else (x > 0) - (x < 0),
    "pow": _power,
    "remainder": operator.mod,
    "round": _round_half_even,
    "trunc": lambda x: int(x) if _is_finite(x) else x,
    "isnan": _is_nan,
    "isinf": lambda x: not (_is_nan(x) or _is_finite(x)),
    "isfinite": _is_finite,
    "logical_and": lambda a, b: bool(a) and bool(b),
    "logical_or": lambda a, b: bool(a) or bool(b),
    "logical_not": operator.not_,
    "copysign": lambda a, b: abs(a) if math.copysign(1.0, float(b)) > 0 else -abs(a),
    "signbit": lambda x: math.copysign(1.0, float(x)) < 0,
    "gcd": lambda a, b: math.gcd(int(a), int(b)),
    "lcm": lambda a, b: math.lcm(int(a), int(b)),
}
"""Functions that mean the same at every precision."""
_LIBRARY = frozenset(
    {
        "exp", "expm1", "log", "log1p", "log2", "log10", "sqrt", "rsqrt", "sin", "cos", "tan",
        "asin", "acos", "atan", "atan2", "sinh", "cosh", "tanh", "erf", "erfc", "sigmoid",
        "normal_cdf", "gelu_slope", "hypot", "floor_divide", "lgamma", "digamma", "polygamma",
        "zeta", "igamma", "igammac", "erfcx", "erfinv", "ndtri", "besseli", "besselj", "besselk",
        "bessely", "airyai", "square", "reciprocal", "floor", "ceil",
    }
)  # fmt: skip
"""Functions taken from ``math`` or mpmath, or made from theirs; the special ones mpmath only."""
_CONSTANTS = {"pi", "e", "inf", "nan"}


def evaluate(formula: str, values: Mapping[str, Any], home: ModuleType | Any = math) -> Any:
    """The value of `formula`; `values` gives a number for each name in braces.

    `home` is where functions come from: ``math``, or an mpmath context for more digits.
    Raises ArgumentError for anything but numbers, names in braces, operators, comparisons and the
    known functions.

    >>> evaluate("1 - tanh({0})**2 + {alpha}", {"0": 0.0, "alpha": 2.0})
    3.0
    """
    return _parsed(formula)(values, home)


def names(formula: str) -> frozenset[str]:
    """The names in braces of a formula."""
    return frozenset(re.findall(r"\{(\w+)\}", formula))


@cache
def _parsed(formula: str) -> Evaluator:
    text = re.sub(r"\{(\w+)\}", r"(_\1)", formula)
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except SyntaxError as failure:
        raise ArgumentError(f"not a formula: {failure.msg}", got=repr(formula)) from failure
    return _build(tree.body, formula)


def _build(node: ast.expr, formula: str) -> Evaluator:
    """The evaluator of one node of the syntax tree."""
    match node:
        case ast.Constant(value=bool() | int() | float() as number):
            return lambda values, home: number
        case ast.Name(id=name) if name.startswith("_"):
            key = name[1:]
            return lambda values, home: _lookup(values, key, formula)
        case ast.Name(id=name) if name in _CONSTANTS:
            return lambda values, home: _constant(home, name)
        case ast.BinOp(op=op) if type(op) in _BINARY:
            binary = _BINARY[type(op)]
            left, right = _build(node.left, formula), _build(node.right, formula)
            return lambda values, home: binary(left(values, home), right(values, home))
        case ast.UnaryOp(op=op) if type(op) in _UNARY:
            unary, inner = _UNARY[type(op)], _build(node.operand, formula)
            return lambda values, home: unary(inner(values, home))
        case ast.Compare(ops=[op]) if type(op) in _COMPARE:
            holds = _COMPARE[type(op)]
            left, right = _build(node.left, formula), _build(node.comparators[0], formula)
            return lambda values, home: holds(left(values, home), right(values, home))
        case ast.IfExp():
            test, yes, no = (_build(n, formula) for n in (node.test, node.body, node.orelse))
            return lambda values, home: (yes if test(values, home) else no)(values, home)
        case ast.BoolOp():
            parts = [_build(n, formula) for n in node.values]
            every = all if isinstance(node.op, ast.And) else any
            return lambda values, home: every(part(values, home) for part in parts)
        case ast.Call(func=ast.Name(id=name), keywords=[]):
            arguments = [_build(n, formula) for n in node.args]
            if name == "where":
                return lambda values, home: _chosen(arguments, values, home)
            if name in _PLAIN:
                plain = _PLAIN[name]
                return lambda values, home: plain(*[a(values, home) for a in arguments])
            if name in _LIBRARY:
                return lambda values, home: _library(home, name)(
                    *[a(values, home) for a in arguments]
                )
    known = ", ".join(sorted({*_PLAIN, *_LIBRARY}))
    raise ArgumentError(
        "a formula may not contain this",
        expected=f"numbers, names in braces, operators and {known}",
        got=f"{ast.unparse(node)} in {formula!r}",
    )


def _chosen(arguments: list[Evaluator], values: Mapping[str, Any], home: Any) -> Any:
    """``where``: only the branch taken is evaluated, so the other may be outside its domain."""
    condition, yes, no = arguments
    return (yes if condition(values, home) else no)(values, home)


def _lookup(values: Mapping[str, Any], key: str, formula: str) -> Any:
    if key not in values:
        raise ArgumentError(
            "a formula names something that the op does not have",
            expected=", ".join(f"{{{k}}}" for k in values),
            got=f"{{{key}}} in {formula!r}",
        )
    return values[key]


def _constant(home: Any, name: str) -> Any:
    return +getattr(home, name)


def _library(home: Any, name: str) -> Callable[..., Any]:
    """A function by its name here, from a home whose own names may differ."""
    made: dict[str, Callable[..., Any]] = {
        "rsqrt": lambda x: _quotient(1, home.sqrt(x)),
        "sigmoid": lambda x: 1 / (1 + home.exp(-x)) if x >= 0 else home.exp(x) / (1 + home.exp(x)),
        "normal_cdf": lambda x: home.erfc(-x / home.sqrt(2)) / 2,
        "gelu_slope": lambda x: (
            home.erfc(-x / home.sqrt(2)) / 2 + x * home.exp(-x * x / 2) / home.sqrt(2 * home.pi)
        ),
        "floor_divide": lambda a, b: home.floor(_quotient(a, b)),
        "square": lambda x: x * x,
        "reciprocal": lambda x: _quotient(1, x),
        "log2": lambda x: home.log(x) / home.log(2),
        "lgamma": lambda x: home.log(abs(home.gamma(x))),
        "igamma": lambda a, x: home.gammainc(a, 0, x, regularized=True),
        "igammac": lambda a, x: home.gammainc(a, x, regularized=True),
        "erfcx": lambda x: home.exp(x * x) * home.erfc(x),
        "ndtri": lambda p: home.sqrt(2) * home.erfinv(2 * p - 1),
    }
    if name in made and not (name == "log2" and home is math):
        return made[name]
    return getattr(home, name)  # type: ignore[no-any-return]  # a function of numbers
