"""An expression differentiated step by step, as it is done by hand, with every step checked."""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from ..autodiff.gradients import gradients
from ..errors import ArgumentError, ExplanationError
from ..tensor import Tensor, tensor
from . import symbols
from .difference import slope_of
from .expression import Program, compute, names, parse, walk
from .residuals import Residuals, checked
from .steps import steps_of

MOST_WRITTEN: Final = 1500
"""Symbols of an expression in which all steps are put in; longer ones have no closed form."""
MOST_PATHS: Final = 200
"""Paths of one derivative that are listed; if there are more, only the heaviest."""


@dataclass(frozen=True)
class Local:
    """The derivative of a step by one of its inputs."""

    by: str
    symbolic: Any
    """In the names of the inputs."""
    substituted: Any
    """In the variables; None if that is too long."""
    value: float


@dataclass(frozen=True)
class Step:
    """An intermediate variable, or an output."""

    name: str
    body: ast.expr
    symbolic: Any
    substituted: Any
    value: float
    locals: tuple[Local, ...]

    @property
    def inputs(self) -> tuple[str, ...]:
        """The variables and steps that it depends on."""
        return tuple(local.by for local in self.locals)


@dataclass(frozen=True)
class StepPath:
    """A path from a variable to an output: names, output first, and local derivatives between."""

    names: tuple[str, ...]
    factors: tuple[Local, ...]
    value: float


@dataclass(frozen=True)
class Partial:
    """The derivative of one output by one variable."""

    output: str
    variable: str
    paths: tuple[StepPath, ...]
    """All of them, or the heaviest; the heaviest comes first only if not all are here."""
    count: int
    """How many paths there are."""
    closed_form: Any
    """None if it is too long."""
    value: float
    residuals: Residuals


@dataclass(frozen=True)
class Derivation:
    """What ``derive`` finds."""

    program: Program
    at: Mapping[str, float]
    steps: tuple[Step, ...]
    outputs: tuple[str, ...]
    partials: Mapping[tuple[str, str], Partial]
    adjoints: Mapping[str, float]
    """Of a single output: its derivative by each variable and step."""
    direction: Mapping[str, float] | None = None
    images: Mapping[str, float] = field(default_factory=dict)
    """With a direction, J times it: the change of each output."""
    image_residual: float = 0.0
    """Largest difference between that product and a finite difference of the outputs along the
    direction, relative to the terms."""

    def step(self, name: str) -> Step | None:
        """The step of this name; None for a variable."""
        return next((s for s in self.steps if s.name == name), None)

    def value(self, name: str) -> float:
        """Of a variable or a step."""
        step = self.step(name)
        return self.at[name] if step is None else step.value


def derive(
    text: str,
    at: Mapping[str, float],
    *,
    direction: Mapping[str, float] | None = None,
) -> Derivation:
    """Differentiate an expression by each of its variables, at a point.

    An expression of one statement is taken apart into one step for each operation; of several,
    ``u = x**2; sin(u)``, each is a step. Several outputs, ``x*y, sin(x)``, need a `direction`.

    Raises ArgumentError for what is not an expression, a variable without a value or a name that
    does not occur; ExplanationError where the expression or a local derivative is not defined, and
    if product, closed form, tape and finite difference do not agree.
    """
    symbols.library()
    program = parse(text, at)
    _check_names(program, at, direction)
    point = {name: float(at[name]) for name in program.variables}
    bodies, outputs = steps_of(program)
    steps = _steps(bodies, point)
    adjoints = {out: _adjoints(steps, out) for out in outputs}
    symbolic = {out: _symbolic_adjoints(steps, out) for out in outputs}
    tape = _tape(bodies, outputs, point)
    partials = {}
    for out in outputs:
        for name in program.variables:
            product = adjoints[out].get(name, (0.0, 0.0))
            form = None
            if symbolic[out]:
                form = symbols.tidied(symbolic[out].get(name, symbols.library().Integer(0)))
            paths, count = _paths(steps, out, name)
            residuals = checked(
                f"d{out}/d{name}",
                product[0],
                tape[out, name],
                slope_of(_moved(bodies, out, point, name), 1.0, max(1.0, abs(point[name]))),
                mass=product[1],
                closed_form=None if form is None else symbols.value_at(form, point),
            )
            partials[out, name] = Partial(out, name, paths, count, form, product[0], residuals)
    single = {n: g for n, (g, _) in adjoints[outputs[0]].items()} if len(outputs) == 1 else {}
    found = Derivation(program, point, steps, tuple(outputs), partials, single)
    return found if direction is None else _directed(found, bodies, direction)


def _check_names(
    program: Program, at: Mapping[str, float], direction: Mapping[str, float] | None
) -> None:
    missing = [name for name in program.variables if name not in at]
    if missing:
        raise ArgumentError(
            "a variable has no value",
            got=", ".join(missing),
            hint=f"give it with --at {missing[0]}=1.0",
        )
    for what, given in (("value", at), ("direction", direction or {})):
        unknown = [name for name in given if name not in program.variables]
        if unknown:
            raise ArgumentError(
                f"a {what} is given for a name that the expression does not use",
                expected=", ".join(program.variables) or "no names: there is no variable",
                got=", ".join(unknown),
            )
        bad = [name for name, x in given.items() if not math.isfinite(x)]
        if bad:
            raise ArgumentError(
                f"a {what} must be a finite number", got=f"{bad[0]}={given[bad[0]]}"
            )
    if not program.variables:
        raise ArgumentError("there is no variable to differentiate by", got=program.text)
    if program.is_vector and direction is None:
        raise ArgumentError(
            "an expression with several outputs needs a direction",
            got=program.text,
            hint=f"give one with --direction {program.variables[0]}=1: it is multiplied by J",
        )


# Steps ------------------------------------------------------------------------------------------


def _steps(bodies: Mapping[str, ast.expr], point: Mapping[str, float]) -> tuple[Step, ...]:
    known = {name: symbols.variable(name) for name in [*point, *bodies]}
    in_variables = {name: symbols.variable(name) for name in point}
    values = dict(point)
    sizes: dict[str, int] = {}
    steps = []
    for name, body in bodies.items():
        value, slopes = _local(body, values, name, bodies)
        found = []
        for by in names(body):
            if by in values:
                local = symbols.partial(body, by, known)
                full = {n: in_variables[n] for n in names(body) if n in values}
                fits = all(x is not None for x in full.values())
                put = symbols.put_in(local, full) if fits else None
                found.append(Local(by, local, put, slopes[by]))
        size = sum(1 for _ in walk(body)) + sum(sizes.get(n, 0) for n in _occurring(body))
        sizes[name] = size
        fits = size <= MOST_WRITTEN
        substituted = symbols.symbolic(body, in_variables) if fits else None
        steps.append(
            Step(name, body, symbols.symbolic(body, known), substituted, value, tuple(found))
        )
        in_variables[name] = substituted
        values[name] = value
    return tuple(steps)


def _occurring(body: ast.expr) -> list[str]:
    """The names in an expression, as often as they occur."""
    return [node.id for node in walk(body) if isinstance(node, ast.Name)]


def _local(
    body: ast.expr, values: Mapping[str, float], step: str, bodies: Mapping[str, ast.expr]
) -> tuple[float, dict[str, float]]:
    """The value of an expression and its derivatives by its names, from the ops' own rules.

    Raises ExplanationError where the value or a local derivative is not a finite number.
    """
    if isinstance(body, ast.Name) and body.id in values:
        return values[body.id], {body.id: 1.0}
    if isinstance(body, (ast.Name, ast.Constant)):
        return float(compute(body, {})), {}
    op, parts = symbols.operation(body)
    found = [_local(part, values, step, bodies) for part in parts]
    if op is None:
        return found[0]
    xs = [np.float64(x) for x, _ in found]
    shown = ", ".join(_shown(p, float(x), bodies) for p, x in zip(parts, xs, strict=True))
    with np.errstate(all="ignore"):
        y = np.float64(op(*xs))
        if not np.isfinite(y):
            raise ExplanationError(
                f"{ast.unparse(body)} is not defined at this point, or too large",
                got=f"{shown}: its value is {float(y)!r}{_factors(parts, ast.unparse(body))}",
                at=f"step {step} = {ast.unparse(body)}",
            )
        total: dict[str, float] = {}
        for i, (_, slopes) in enumerate(found):
            if not slopes:
                continue
            factor = float(op.partial(i, xs, y))
            if not math.isfinite(factor):
                raise ExplanationError(
                    f"{ast.unparse(body)} has no derivative at this point",
                    got=f"{shown}: the factor d({ast.unparse(body)})/d({ast.unparse(parts[i])}) = "
                    f"{symbols.partial_of_op(op, i, _placeholders(parts))} is {factor!r}",
                    at=f"step {step} = {ast.unparse(body)}",
                )
            for name, slope in slopes.items():
                total[name] = total.get(name, 0.0) + factor * slope
    return float(y), total


def _shown(part: ast.expr, value: float, bodies: Mapping[str, ast.expr]) -> str:
    """``u = x*y = 0.0``: an operand, what it stands for if it is a step, and its value."""
    if isinstance(part, ast.Constant):
        return ast.unparse(part)
    meaning = bodies.get(part.id) if isinstance(part, ast.Name) else None
    between = "" if meaning is None else f" = {ast.unparse(meaning)}"
    return f"{ast.unparse(part)}{between} = {value!r}"


def _factors(parts: Sequence[ast.expr], text: str) -> str:
    """The local derivatives of an operation by the operands that are not numbers."""
    known = [f"d({text})/d({ast.unparse(p)})" for p in parts if names(p)]
    return f", and the product has no factor {' or '.join(known)}" if known else ""


def _placeholders(parts: Sequence[ast.expr]) -> list[Any]:
    """The operands in symbols, in which the factor of an op can be shown."""
    known = {n: symbols.variable(n) for part in parts for n in names(part)}
    return [symbols.symbolic(part, known) for part in parts]


# Products -----------------------------------------------------------------------------------------


def _adjoints(steps: Sequence[Step], output: str) -> dict[str, tuple[float, float]]:
    """The derivative of the output by every name, and the sum of its terms' absolute values."""
    found = {output: (1.0, 1.0)}
    for step in reversed(steps):
        if step.name in found:
            g, mass = found[step.name]
            for local in step.locals:
                old = found.get(local.by, (0.0, 0.0))
                found[local.by] = (old[0] + g * local.value, old[1] + mass * abs(local.value))
    return found


def _symbolic_adjoints(steps: Sequence[Step], output: str) -> dict[str, Any]:
    """The same in symbols: formulas in the variables. Empty if they are too long."""
    if any(step.substituted is None for step in steps):
        return {}
    found = {output: symbols.library().Integer(1)}
    for step in reversed(steps):
        if step.name in found:
            for local in step.locals:
                found[local.by] = (
                    found.get(local.by, symbols.library().Integer(0))
                    + found[step.name] * local.substituted
                )
    return found


def _paths(steps: Sequence[Step], output: str, variable: str) -> tuple[tuple[StepPath, ...], int]:
    """Paths from a variable to an output, and how many there are.

    If they are too many, the heaviest: a dynamic program that keeps the best at each step.
    """
    best: dict[str, list[StepPath]] = {variable: [StepPath((variable,), (), 1.0)]}
    count = {variable: 1}
    for step in steps:
        longer = [
            StepPath((step.name, *path.names), (local, *path.factors), path.value * local.value)
            for local in step.locals
            for path in best.get(local.by, ())
        ]
        if longer:
            count[step.name] = sum(count.get(local.by, 0) for local in step.locals)
            if len(longer) > MOST_PATHS:
                longer = sorted(longer, key=lambda path: -abs(path.value))[:MOST_PATHS]
            best[step.name] = longer
    return tuple(best.get(output, ())), count.get(output, 0)


# Checks -------------------------------------------------------------------------------------------


def _run(bodies: Mapping[str, ast.expr], values: Mapping[str, Any]) -> dict[str, Any]:
    known = dict(values)
    for name, body in bodies.items():
        known[name] = compute(body, known)
    return known


def _leaves(point: Mapping[str, float]) -> dict[str, Tensor]:
    return {n: tensor(x, dtype=np.float64, requires_grad=True) for n, x in point.items()}


def recorded(found: Derivation) -> dict[str, Tensor]:
    """The variables and steps of a derivation, computed once more on a tape, by name."""
    known = _run({step.name: step.body for step in found.steps}, _leaves(found.at))
    return {name: x for name, x in known.items() if isinstance(x, Tensor)}


def _tape(
    bodies: Mapping[str, ast.expr], outputs: Sequence[str], point: Mapping[str, float]
) -> dict[tuple[str, str], float]:
    """Derivatives by ``backward``."""
    leaves = _leaves(point)
    known = _run(bodies, leaves)
    found: dict[tuple[str, str], float] = {}
    for out in outputs:
        y = known[out]
        if not isinstance(y, Tensor) or y.node is None:
            found |= {(out, name): 0.0 for name in leaves}
            continue
        grads = gradients(y, list(leaves.values()), retain_graph=True, allow_unused=True)
        for name, g in zip(leaves, grads, strict=True):
            found[out, name] = 0.0 if g is None else float(g.item())
    return found


def _moved(
    bodies: Mapping[str, ast.expr], output: str, point: Mapping[str, float], name: str
) -> Any:
    """An output as a function of how far one variable is moved."""

    def value(h: float) -> float:
        with np.errstate(all="ignore"):
            moved = {n: np.float64(x + h * (n == name)) for n, x in point.items()}
            return float(_run(bodies, moved)[output])

    return value


def _directed(
    found: Derivation, bodies: Mapping[str, ast.expr], direction: Mapping[str, float]
) -> Derivation:
    """With J times the direction, checked against a difference of the outputs along it."""
    full = {name: float(direction.get(name, 0.0)) for name in found.program.variables}
    images, worst = {}, 0.0
    for out in found.outputs:
        terms = [found.partials[out, name].value * dx for name, dx in full.items()]
        images[out] = math.fsum(terms)

        def along(h: float, out: str = out) -> float:
            with np.errstate(all="ignore"):
                moved = {n: np.float64(x + h * full[n]) for n, x in found.at.items()}
                return float(_run(bodies, moved)[out])

        slope = slope_of(along)
        tape = math.fsum(found.partials[out, n].residuals.tape * dx for n, dx in full.items())
        checks = checked(
            f"J times the direction, in {out}", images[out], tape, slope,
            mass=sum(map(abs, terms)),
        )  # fmt: skip
        worst = max(worst, checks.to_difference)
    return Derivation(
        found.program, found.at, found.steps, found.outputs, found.partials, found.adjoints,
        full, images, worst,
    )  # fmt: skip
