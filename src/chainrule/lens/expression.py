"""Expressions that a user writes: parsed, checked against what is known, never executed.

Python's own parser reads them; only numbers, names, arithmetic and the elementwise functions of
this package may occur. What is computed is done by those functions, on tensors.
"""

from __future__ import annotations

import ast
import inspect
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any, Final

import numpy as np

from .. import ops
from ..core.families import Elementwise
from ..errors import ArgumentError

MOST_LETTERS: Final = 4000
MOST_OPERATIONS: Final = 400
CONSTANTS: Final = {"pi": math.pi, "e": math.e}

_OPERATORS: Final[dict[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: ops.add, ast.Sub: ops.sub, ast.Mult: ops.mul, ast.Div: ops.div, ast.Pow: ops.pow,
}  # fmt: skip
_WRITTEN: Final = frozenset(
    {"add", "sub", "mul", "div", "neg", "where", "clip", "binary_cross_entropy_with_logits"}
)
"""Ops that are written with operators, or take more than numbers."""


@cache
def functions() -> dict[str, Callable[..., Any]]:
    """The functions that an expression may call: the differentiable elementwise ones, by name.

    >>> "sin" in functions(), "print" in functions()
    (True, False)
    """
    return {
        name: getattr(ops, name)
        for name, op in ops.all_ops().items()
        if issubclass(op, Elementwise) and op.math and op.differentiable and name in ops.__all__
        and name not in _WRITTEN and _takes(getattr(ops, name), len(op.math))
    }  # fmt: skip


def _takes(function: Callable[..., Any], n: int) -> bool:
    """Whether a function needs `n` arguments, and no others."""
    parameters = inspect.signature(function).parameters.values()
    return sum(p.default is p.empty and p.kind is not p.VAR_KEYWORD for p in parameters) == n


@dataclass(frozen=True)
class Statement:
    """``name = expression``; the last one of a program may have no name."""

    name: str | None
    body: ast.expr


@dataclass(frozen=True)
class Program:
    """Statements in order; the last gives the outputs."""

    text: str
    statements: tuple[Statement, ...]
    outputs: tuple[ast.expr, ...]
    """Of the last statement: one expression, or those of a tuple."""
    variables: tuple[str, ...]
    """Names that nothing defines, in the order in which they occur."""

    @property
    def is_vector(self) -> bool:
        """Whether there are several outputs."""
        return len(self.outputs) > 1


def parse(text: str, given: Mapping[str, float] | None = None) -> Program:
    """A program of statements separated by semicolons or lines: ``u = x**2; sin(u)``.

    Names in `given` are variables even if they are also constants (pi, e).
    Raises ArgumentError for anything but numbers, names, + - * / **, and the known functions.

    >>> parse("u = x**2; sin(u)").variables
    ('x',)
    """
    tree = _read(text)
    statements: list[Statement] = []
    defined: set[str] = set()
    variables: dict[str, None] = {}
    known = set(CONSTANTS) - set(given or ())
    for line in tree.body:
        statement = _statement(line, text)
        for part in _parts(statement.body, last=line is tree.body[-1]):
            _check(part)
            for name in names(part):
                if name not in defined and name not in known:
                    variables.setdefault(name)
        if statement.name is not None:
            if statement.name in variables or statement.name in defined:
                raise ArgumentError(
                    f"{statement.name!r} is used before it is defined, or defined twice",
                    got=ast.unparse(line),
                )
            defined.add(statement.name)
        statements.append(statement)
    if not statements:
        raise ArgumentError("there is nothing to explain", expected='such as "sin(x**2)"')
    outputs = tuple(_parts(statements[-1].body, last=True))
    return Program(text, tuple(statements), outputs, tuple(variables))


def _read(text: str) -> ast.Module:
    if len(text) > MOST_LETTERS:
        raise ArgumentError(
            "the expression is too long", expected=f"at most {MOST_LETTERS} letters"
        )
    try:
        tree = ast.parse(text.strip())
    except (SyntaxError, ValueError, RecursionError, MemoryError) as failure:
        reason = getattr(failure, "msg", None) or "it cannot be read"
        raise ArgumentError(
            f"this is not an expression: {reason}",
            expected='such as "sin(x**2)", or "u = x**2; sin(u)"',
            got=text[:120],
        ) from None
    if sum(1 for _ in ast.walk(tree)) > 6 * MOST_OPERATIONS:
        raise ArgumentError(
            "the expression is too large", expected=f"at most {MOST_OPERATIONS} operations"
        )
    return tree


def _statement(line: ast.stmt, text: str) -> Statement:
    match line:
        case ast.Assign(targets=[ast.Name(id=name)], value=body):
            if name in functions():
                raise ArgumentError(f"{name!r} is a function", got=ast.unparse(line))
            if not re.fullmatch(r"[^\W_]\w*", name):
                raise ArgumentError("a name begins with a letter", got=name)
            return Statement(name, body)
        case ast.Expr(value=body):
            return Statement(None, body)
    raise ArgumentError(
        "only expressions and definitions can be explained",
        expected='such as "sin(x**2)", or "u = x**2; sin(u)"',
        got=text[:120],
    )


def _parts(body: ast.expr, *, last: bool) -> list[ast.expr]:
    """The expressions of a statement: several only in a tuple at the end."""
    if last and isinstance(body, (ast.Tuple, ast.List)) and body.elts:
        return list(body.elts)
    return [body]


def _check(body: ast.expr) -> None:
    """Raise ArgumentError for what an expression may not contain."""
    known = functions()
    for node in walk(body):
        match node:
            case ast.Constant(value=bool()) | ast.Constant(value=complex() | str() | bytes()):
                pass
            case ast.Constant(value=int() | float() as value) if _is_finite(value):
                continue
            case ast.Name(id=name) if re.fullmatch(r"[^\W_]\w*", name) and name not in known:
                continue
            case ast.BinOp(op=op) if type(op) in _OPERATORS:
                continue
            case ast.UnaryOp(op=ast.USub() | ast.UAdd()):
                continue
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in known:
                wanted = arity(name)
                if len(args) == wanted and not any(isinstance(a, ast.Starred) for a in args):
                    continue
                raise ArgumentError(
                    f"{name} takes {wanted} argument{'s' * (wanted > 1)}", got=ast.unparse(node)
                )
        raise ArgumentError(
            "an expression may not contain this",
            expected="numbers, names, + - * / ** and functions such as sin, exp, log, relu",
            got=_written(node),
            hint=_hint(node),
        )


def _written(node: ast.expr) -> str:
    """Some of an expression as it was written; a number that is too large is not rounded."""
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        return "a number that is too large" if not isinstance(node.value, bool) else "True or False"
    return ast.unparse(node)[:120]


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def _hint(node: ast.expr) -> str | None:
    match node:
        case ast.BinOp(op=ast.BitXor()):
            return "a power is written x**2"
        case ast.Call(func=ast.Name(id="ln")):
            return "the natural logarithm is log"
        case ast.Call(func=ast.Name(id=name), keywords=[]) if name not in functions():
            near = get_close_matches(name.replace("arc", "a"), functions(), 3, 0.5)
            return f"there is no function {name}" + (f"; near: {', '.join(near)}" if near else "")
        case ast.Name(id=name) if name in functions():
            return f"{name} is a function, and needs an argument: {name}(x)"
        case ast.Name():
            return "a name begins with a letter"
        case ast.Tuple() | ast.List():
            return "several outputs stand at the end, separated by commas: x*y, sin(x)"
    return None


def walk(body: ast.expr) -> Iterator[ast.expr]:
    """The expressions within an expression, the names of functions left out."""
    yield body
    match body:
        case ast.Call(args=args):
            for part in args:
                yield from walk(part)
        case _:
            for child in ast.iter_child_nodes(body):
                if isinstance(child, ast.expr):
                    yield from walk(child)


def names(body: ast.expr) -> list[str]:
    """The names that an expression uses, in order, each once."""
    found = [node.id for node in walk(body) if isinstance(node, ast.Name)]
    return list(dict.fromkeys(found))


def arity(name: str) -> int:
    """How many arguments a function takes."""
    op: Any = ops.all_ops()[name]
    return len(op.math)


def compute(body: ast.expr, values: Mapping[str, Any]) -> Any:
    """The value of an expression, by this package's functions: numbers, arrays or tensors."""
    match body:
        case ast.Constant(value=value):
            return float(value)  # type: ignore[arg-type]  # a number: `_check` says so
        case ast.Name(id=name):
            return values[name] if name in values else CONSTANTS[name]
        case ast.UnaryOp(op=ast.UAdd(), operand=x):
            return compute(x, values)
        case ast.UnaryOp(operand=x):
            inner = compute(x, values)
            return -inner if isinstance(inner, float) else ops.neg(inner)
        case ast.BinOp(left=left, op=op, right=right):
            return _OPERATORS[type(op)](compute(left, values), compute(right, values))
        case ast.Call(func=ast.Name(id=name), args=args):
            xs = [compute(x, values) for x in args]
            return functions()[name](*[np.float64(x) if type(x) is float else x for x in xs])
    raise AssertionError(f"not checked: {ast.unparse(body)}")
