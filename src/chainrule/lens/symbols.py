"""Formulas by SymPy: what ops say of themselves, local derivatives, and closed forms.

SymPy is an optional dependency (the extra ``explain``). It never parses text here: its expressions
are built from the syntax trees of checked expressions and of the ops' own formulas.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from html import unescape
from typing import Any, Final, TypeAlias

from .. import ops
from ..core.families import Elementwise
from ..errors import ArgumentError
from ..tensor import tensor
from .expression import CONSTANTS, arity, functions, names
from .notation import Math, symbol

Symbolic: TypeAlias = Any
"""A SymPy expression; its types are not declared."""

MOST_TIDIED: Final = 40
"""Expressions of more operations than this are shown as they come."""
_LARGEST_POWER: Final = 12
_DIGITS: Final = 40
_BINARY: Final[dict[type[ast.operator], str]] = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div", ast.Pow: "pow",
}  # fmt: skip


@cache
def library() -> Any:
    """SymPy. Raises ArgumentError if it is not installed."""
    try:
        import sympy  # type: ignore[import-untyped, unused-ignore]  # it has no types
    except ImportError as missing:
        raise ArgumentError(
            "derivations in symbols need SymPy, which is not installed",
            hint="pip install 'chainrule[explain]'",
        ) from missing
    return sympy


@cache
def op_of(name: str) -> Elementwise:
    """The op behind a function of expressions, with its default settings."""
    if name not in functions():
        return ops.all_ops()[name]()  # type: ignore[return-value]  # an operator: elementwise
    x = [tensor(0.5, requires_grad=True) for _ in range(arity(name))]
    node = functions()[name](*x).node
    return node.op  # type: ignore[no-any-return]  # of an elementwise function


def variable(name: str) -> Symbolic:
    """A real variable."""
    return library().Symbol(name, real=True)


def symbolic(body: ast.expr, known: Mapping[str, Symbolic]) -> Symbolic:
    """An expression in SymPy; `known` gives what stands for its names."""
    sp = library()
    match body:
        case ast.Constant(value=int() as value):
            return sp.Integer(value) if abs(value) < 10**15 else sp.Float(value)
        case ast.Constant(value=value):
            return sp.Rational(repr(value)) if 1e-6 < abs(value) < 1e9 else sp.Float(value)  # type: ignore[arg-type]  # a float
        case ast.Name(id=name):
            return known[name] if name in known else _constant(name)
        case _:
            op, parts = operation(body)
            if op is None:
                return symbolic(parts[0], known)
            return of_op(op, [symbolic(part, known) for part in parts])


def _constant(name: str) -> Symbolic:
    assert name in CONSTANTS
    return library().pi if name == "pi" else library().E


def operation(body: ast.expr) -> tuple[Elementwise | None, list[ast.expr]]:
    """The op that an expression ends with, and what it is applied to; None for a plus sign."""
    match body:
        case ast.UnaryOp(op=ast.UAdd(), operand=x):
            return None, [x]
        case ast.UnaryOp(operand=x):
            return op_of("neg"), [x]
        case ast.BinOp(left=left, op=op, right=right):
            return op_of(_BINARY[type(op)]), [left, right]
        case ast.Call(func=ast.Name(id=name), args=args):
            return op_of(name), list(args)
    raise AssertionError(f"not checked: {ast.unparse(body)}")


def of_op(op: Elementwise, xs: Sequence[Symbolic]) -> Symbolic:
    """What an op computes, as its ``expr`` says."""
    return _formula(op.expr, _places(op, xs))


def partial_of_op(op: Elementwise, i: int, xs: Sequence[Symbolic]) -> Symbolic:
    """∂/∂xᵢ of an op, as its ``math`` says."""
    places = _places(op, xs)
    return _formula(op.math[i], {**places, "y": of_op(op, xs)})


def _places(op: Elementwise, xs: Sequence[Symbolic]) -> dict[str, Symbolic]:
    sp = library()
    settings = {f: sp.nsimplify(getattr(op, f)) for f in op.fields}
    return {str(i): x for i, x in enumerate(xs)} | settings


def partial(body: ast.expr, name: str, known: Mapping[str, Symbolic]) -> Symbolic:
    """The derivative of an expression by one of its names, by the chain rule over its ops."""
    sp = library()
    if isinstance(body, ast.Name):
        return sp.Integer(body.id == name)
    if isinstance(body, ast.Constant) or name not in names(body):
        return sp.Integer(0)
    op, parts = operation(body)
    if op is None:
        return partial(parts[0], name, known)
    xs = [symbolic(part, known) for part in parts]
    return sp.Add(
        *[
            partial_of_op(op, i, xs) * partial(part, name, known)
            for i, part in enumerate(parts)
            if name in names(part)
        ]
    )


# The formulas of ops ------------------------------------------------------------------------------


@cache
def _tree(formula: str) -> ast.expr:
    return ast.parse(re.sub(r"\{(\w+)\}", r"_\1", formula), mode="eval").body


def _formula(formula: str, places: Mapping[str, Symbolic]) -> Symbolic:
    return _evaluated(_tree(formula), places)


def _evaluated(node: ast.expr, places: Mapping[str, Symbolic]) -> Symbolic:
    """One node of a formula of an op; they are ours, so what is unknown is a defect."""
    sp = library()
    match node:
        case ast.Constant(value=int() as value):
            return sp.Integer(value)
        case ast.Constant(value=value):
            return sp.Float(value)
        case ast.Name(id=name):
            return places[name[1:]] if name.startswith("_") else _constant(name)
        case ast.UnaryOp(op=ast.USub(), operand=x):
            return -_evaluated(x, places)
        case ast.BinOp(left=left, op=op, right=right):
            a, b = _evaluated(left, places), _evaluated(right, places)
            return _operators()[type(op)](a, b)
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            a, b = _evaluated(left, places), _evaluated(right, places)
            return _comparisons()[type(op)](a, b)
        case ast.Call(func=ast.Name(id=name), args=args):
            known = _functions().get(name) or getattr(sp, name, None)
            if known is None:
                raise ArgumentError(f"there are no symbols for {name}", got=ast.unparse(node))
            return known(*[_evaluated(x, places) for x in args])
    raise AssertionError(f"no symbols for {ast.unparse(node)}")


def _power(a: Symbolic, b: Symbolic) -> Symbolic:
    """a ** b; large powers of numbers are not multiplied out."""
    sp = library()
    if a.is_number and b.is_number and not (b.is_Integer and abs(b) <= 64):
        simple = b.is_Rational and abs(b) <= 64
        return sp.Pow(a, b) if simple else sp.Float(a, 30) ** sp.Float(b, 30)
    return a**b


@cache
def _operators() -> dict[type[ast.operator], Callable[[Any, Any], Any]]:
    sp = library()
    return {
        ast.Add: lambda a, b: a + b,
        ast.Sub: lambda a, b: a - b,
        ast.Mult: lambda a, b: a * b,
        ast.Div: lambda a, b: a / b,
        ast.Pow: _power,
        ast.BitAnd: sp.And,
        ast.BitOr: sp.Or,
    }


@cache
def _comparisons() -> dict[type[ast.cmpop], Callable[[Any, Any], Any]]:
    sp = library()
    return {
        ast.Lt: sp.Lt, ast.LtE: sp.Le, ast.Gt: sp.Gt, ast.GtE: sp.Ge,
        ast.Eq: sp.Eq, ast.NotEq: sp.Ne,
    }  # fmt: skip


@cache
def _functions() -> dict[str, Callable[..., Any]]:
    """The functions that ops' formulas use."""
    sp = library()
    same = (
        "exp", "log", "sqrt", "sin", "cos", "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh",
        "tanh", "asinh", "acosh", "atanh", "erf", "erfc", "sign", "floor",
    )  # fmt: skip
    return {
        **{name: getattr(sp, name) for name in same},
        "abs": sp.Abs,
        "pow": _power,
        "maximum": sp.Max,
        "minimum": sp.Min,
        "where": lambda test, a, b: sp.Piecewise((a, test), (b, True)),
        "sigmoid": lambda x: 1 / (1 + sp.exp(-x)),
        "normal_cdf": lambda x: (1 + sp.erf(x / sp.sqrt(2))) / 2,
        "gelu_slope": lambda x: (
            (1 + sp.erf(x / sp.sqrt(2))) / 2 + x * sp.exp(-(x**2) / 2) / sp.sqrt(2 * sp.pi)
        ),
        "expm1": lambda x: sp.exp(x) - 1,
        "log1p": lambda x: sp.log(1 + x),
        "log2": lambda x: sp.log(x) / sp.log(2),
        "log10": lambda x: sp.log(x) / sp.log(10),
        "rsqrt": lambda x: 1 / sp.sqrt(x),
        "hypot": lambda a, b: sp.sqrt(a**2 + b**2),
        "square": lambda x: x**2,
        "reciprocal": lambda x: 1 / x,
        "isinf": lambda x: sp.false,  # variables are real numbers
        "isnan": lambda x: sp.false,
        "isfinite": lambda x: sp.true,
        "ceil": sp.ceiling,
        "lgamma": sp.loggamma,
        "copysign": lambda a, b: sp.Abs(a) * sp.Piecewise((1, b >= 0), (-1, True)),
        "round": lambda x: sp.floor(x + sp.Rational(1, 2)),
        "trunc": lambda x: sp.sign(x) * sp.floor(sp.Abs(x)),
        "remainder": lambda a, b: a - b * sp.floor(a / b),
    }


# Closed forms -------------------------------------------------------------------------------------


def tidied(x: Symbolic) -> Symbolic:
    """An equal expression in fewer symbols, if one is found soon: polynomials are factored."""
    return _without_sigma(_shortest(_with_sigma(x)))


def _shortest(x: Symbolic) -> Symbolic:
    sp = library()
    powers = [p.exp for p in x.atoms(sp.Pow) if p.exp.is_Integer]
    if sp.count_ops(x) > MOST_TIDIED or any(abs(p) > _LARGEST_POWER for p in powers):
        return x
    if x.is_polynomial():
        return sp.factor(x)
    found = [x, sp.powsimp(sp.factor_terms(x)), sp.factor(x) if sp.count_ops(x) <= 20 else x]
    return min(found, key=sp.count_ops)


def put_in(x: Symbolic, names_: Mapping[str, Symbolic]) -> Symbolic:
    """An expression with others in the place of some names; common numbers stay outside of sums."""
    pairs = [(variable(name), body) for name, body in names_.items()]
    return library().factor_terms(x.subs(pairs, simultaneous=True))


def value_at(x: Symbolic, at: Mapping[str, float]) -> float:
    """The value of an expression at a point, computed with 40 digits; NaN if it has none."""
    sp = library()
    known = {variable(name): sp.Float(value, _DIGITS) for name, value in at.items()}
    found = _value(x, known)
    return float(found) if found.is_number and found.is_real else float("nan")


def _value(x: Symbolic, known: dict[Symbolic, Symbolic]) -> Symbolic:
    """The value of an expression from those of its parts, each of which is computed once."""
    if x not in known:
        made = x.func(*[_value(part, known) for part in x.args]) if x.args else x
        is_rounded = made.is_number and not made.is_Rational
        known[x] = made.evalf(_DIGITS) if is_rounded else made
    return known[x]


def text_of(x: Symbolic) -> str:
    """As Python writes it: ``2*x*cos(x**2)``."""
    return str(x)


def math_of(x: Symbolic) -> Math:
    """In the three notations; 1/(1 + exp(-x)) is σ(x)."""
    sp = library()
    x = _with_sigma(x)
    text = re.sub(r"\*\*(\d+)(?![\d.])", _superscript, _printer().doprint(x))
    text = text.replace("**", "^").replace("*", "·").replace("sqrt(", "√(").replace("Abs(", "abs(")
    mathml = re.sub(r"&[A-Z]\w+;", _character, _mathml_printer().doprint(x))
    mathml = mathml.replace("<mi>sigma</mi>", "<mi>σ</mi>")
    return Math(text, sp.latex(x), mathml)


def _with_sigma(x: Symbolic) -> Symbolic:
    sigma = library().Function("sigma")
    return x.replace(_is_sigmoid, lambda p: sigma(-p.base.args[1].exp) ** -p.exp)


def _without_sigma(x: Symbolic) -> Symbolic:
    sp = library()
    return x.replace(sp.Function("sigma"), lambda argument: 1 / (1 + sp.exp(-argument)))


def _is_sigmoid(x: Symbolic) -> bool:
    """Whether an expression is a power of 1/(1 + exp(...))."""
    sp = library()
    if not (x.is_Pow and x.exp.is_Integer and x.exp < 0 and x.base.is_Add):
        return False
    one, *others = x.base.args
    return one == 1 and len(others) == 1 and isinstance(others[0], sp.exp)


@cache
def _printer() -> Any:
    """How expressions are written in text: cases and Greek letters as people write them."""
    strings = library().printing.str

    class Printer(strings.StrPrinter):  # type: ignore[misc, name-defined]  # no types
        def _print_Piecewise(self, x: Symbolic) -> str:
            *cases, (last, _) = [(self._print(value), self._print(test)) for value, test in x.args]
            return "(" + "".join(f"{value} if {test} else " for value, test in cases) + f"{last})"

        def _print_Max(self, x: Symbolic) -> str:
            return f"max({self.stringify(x.args, ', ')})"

        def _print_Min(self, x: Symbolic) -> str:
            return f"min({self.stringify(x.args, ', ')})"

        def _print_Equality(self, x: Symbolic) -> str:
            return f"{self._print(x.lhs)} = {self._print(x.rhs)}"

        def _print_Symbol(self, x: Symbolic) -> str:
            return symbol(x.name).text

        def _print_Function(self, x: Symbolic) -> str:
            text: str = super()._print_Function(x)
            return text.replace("sigma(", "σ(", 1) if x.func.__name__ == "sigma" else text

        def _print_Pi(self, x: Symbolic) -> str:
            return "π"

    return Printer()


@cache
def _mathml_printer() -> Any:
    """SymPy's presentation MathML, with cases as in print."""
    mathml = importlib.import_module("sympy.printing.mathml")

    class Printer(mathml.MathMLPresentationPrinter):  # type: ignore[misc, name-defined]  # no types
        def doprint(self, x: Symbolic) -> str:
            return str(self._print(x).toxml())

        def _element(self, name: str, *children: Any) -> Any:
            made = self.dom.createElement(name)
            for child in children:
                text = self.dom.createTextNode(child) if isinstance(child, str) else child
                made.appendChild(text)
            return made

        def _print_Piecewise(self, x: Symbolic) -> Any:
            rows = []
            for value, test in x.args:
                when = "else" if test == library().true else self._print(test)
                cell = self._element("mtext", when) if when == "else" else when
                parts = self._print(value), self._element("mrow", cell)
                rows.append(self._element("mtr", *[self._element("mtd", p) for p in parts]))
            table = self._element("mtable", *rows)
            return self._element("mrow", self._element("mo", "{"), table)

    return Printer()


def _character(match: re.Match[str]) -> str:
    """A named entity of HTML as the character, so that the result is XML too."""
    return unescape(match[0])


def _superscript(match: re.Match[str]) -> str:
    return match[1].translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
