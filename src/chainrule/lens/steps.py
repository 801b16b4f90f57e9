"""The steps of an expression: each statement one, or of a single statement each operation one."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Final

from . import symbols
from .expression import Program, names

_NAMES: Final = "uvwpqrst"
_RESULTS: Final = "zyfLFG"


def steps_of(program: Program) -> tuple[dict[str, ast.expr], list[str]]:
    """What each step computes, by name and in order, and the names of the outputs."""
    taken = {*program.variables, *(s.name for s in program.statements if s.name is not None)}
    *given, last = program.statements
    bodies = {s.name: s.body for s in given if s.name is not None}
    if not given and not program.is_vector:
        return _taken_apart(program, taken)
    if not program.is_vector and last.name is not None:
        bodies[last.name] = last.body
        return bodies, [last.name]
    outputs = []
    for i, body in enumerate(program.outputs, start=1):
        if isinstance(body, ast.Name) and body.id in bodies:
            outputs.append(body.id)
            continue
        name = f"z{i}" if program.is_vector else _free(_RESULTS, taken)
        taken.add(name)
        bodies[name] = body
        outputs.append(name)
    return bodies, outputs


def _free(letters: str, taken: set[str]) -> str:
    names: list[str] = [*letters, *[f"z{i}" for i in range(1, 1000)]]
    return next(x for x in names if x not in taken)


def _taken_apart(program: Program, taken: set[str]) -> tuple[dict[str, ast.expr], list[str]]:
    """One step for each operation that depends on a variable; equal operations are one step."""
    order: list[ast.expr] = []
    known: dict[str, int] = {}

    def visit(body: ast.expr) -> ast.expr:
        if isinstance(body, (ast.Name, ast.Constant)) or not names(body):
            return body
        if not any(name in program.variables for name in names(body)):
            return body
        op, parts = symbols.operation(body)
        if op is None:
            return visit(parts[0])
        rebuilt = _with_parts(body, [visit(part) for part in parts])
        key = ast.dump(rebuilt)
        if key not in known:
            known[key] = len(order)
            order.append(rebuilt)
        return ast.Name(id=f"#{known[key]}", ctx=ast.Load())

    last = program.statements[-1]
    root = visit(program.outputs[0])
    name = last.name or _free(_RESULTS, taken)
    if not order:
        return {name: root}, [name]
    taken = taken | {name}
    letters = [x for x in _NAMES if x not in taken]
    inner = len(order) - 1
    if inner > min(3, len(letters)):
        letters = [x for x in (f"u{i}" for i in range(1, 10_000)) if x not in taken]
    called = {f"#{i}": x for i, x in enumerate([*letters[:inner], name])}
    return {
        called[f"#{i}"]: _Renaming(called).visit(body) for i, body in enumerate(order)
    }, [name]  # fmt: skip


class _Renaming(ast.NodeTransformer):
    """Puts the names of steps in."""

    def __init__(self, called: Mapping[str, str]) -> None:
        self.called = called

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name(id=self.called.get(node.id, node.id), ctx=node.ctx)


def _with_parts(body: ast.expr, parts: Sequence[ast.expr]) -> ast.expr:
    match body:
        case ast.BinOp(op=op):
            return ast.BinOp(left=parts[0], op=op, right=parts[1])
        case ast.UnaryOp(op=sign):
            return ast.UnaryOp(op=sign, operand=parts[0])
        case ast.Call(func=function):
            return ast.Call(func=function, args=list(parts), keywords=[])
    raise AssertionError(f"not checked: {ast.unparse(body)}")
