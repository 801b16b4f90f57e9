"""The explanation of an expression: its derivation as it is written by hand."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from ..errors import ArgumentError
from . import symbols
from .derivation import Derivation, Local, Partial, Step, StepPath, derive, recorded
from .document import Document, Line, Tree
from .drawing import MOST, Drawing
from .explanation import Explanation
from .notation import (
    Math,
    derivative,
    equation,
    joined,
    number,
    product,
    relation,
    rounded,
    symbol,
    words,
)
from .record import Record, Site, record_of
from .residuals import DIFFERENCE_TOLERANCE, PRODUCT_TOLERANCE, shown_residual

MOST_TERMS: Final = 8
"""A derivative of more paths than this is written by its intermediate derivatives."""
_BRANCHES: Final = 60
"""Nodes of the tree that is shown."""


def explain_expression(
    text: str, at: Mapping[str, float], *, direction: Mapping[str, float] | None = None
) -> ExpressionExplanation:
    """Explain the derivatives of an expression at a point. See ``derive`` for what it raises.

    >>> print(explain_expression("sin(x**2)", {"x": 1.3}).closed_form)
    {'x': '2*x*cos(x**2)'}
    """
    return ExpressionExplanation(derive(text, at, direction=direction))


@dataclass(frozen=True)
class ExpressionExplanation(Explanation):
    """The derivatives of an expression by its variables, step by step."""

    derivation: Derivation

    @property
    def value(self) -> float | dict[str, float]:
        """Of the output; of several, by name."""
        outputs = self.derivation.outputs
        values = {out: self.derivation.value(out) for out in outputs}
        return values if len(outputs) > 1 else values[outputs[0]]

    @property
    def gradients(self) -> dict[str, Any]:
        """By variable; with several outputs, the Jacobian: by output, then by variable."""
        return self._by_output(lambda p: p.value)

    @property
    def closed_form(self) -> dict[str, Any]:
        """The derivatives as formulas, arranged as ``gradients``; None for those too long."""
        return self._by_output(
            lambda p: None if p.closed_form is None else symbols.text_of(p.closed_form)
        )

    def _by_output(self, read: Any) -> dict[str, Any]:
        d = self.derivation
        found = {
            out: {name: read(d.partials[out, name]) for name in d.program.variables}
            for out in d.outputs
        }
        return found if len(d.outputs) > 1 else found[d.outputs[0]]

    def draw(self) -> Drawing:
        """The computation as a graph, with the value and the gradient of each operation.

        Raises ArgumentError for several outputs, GradientError for one that is constant.
        """
        if len(self.derivation.outputs) > 1:
            raise ArgumentError(
                "an expression with several outputs is not drawn",
                got=", ".join(self.derivation.outputs),
                hint="draw one of them",
            )
        known = recorded(self.derivation)
        output = known[self.derivation.outputs[0]]
        first: dict[Any, str] = {}
        for name, x in known.items():
            first.setdefault(x.node, name)
        record = record_of(output, names={name: known[name] for name in first.values()})
        written, site = [], None
        for entry in reversed(record.entries):
            step = self.derivation.step(entry.name)
            if step is not None:
                source = f"{step.name} = {ast.unparse(step.body)}"
                site = Site("step", self.derivation.steps.index(step) + 1, source)
            written.append(replace(entry, site=None if entry.is_leaf else site))
        return Drawing(Record(tuple(written[::-1])), MOST, ())

    def to_json(self) -> dict[str, Any]:
        d = self.derivation
        return {
            "format": 1,
            "kind": "expression",
            "expression": d.program.text,
            "at": dict(d.at),
            "value": self.value,
            "gradients": self.gradients,
            "closed_form": self.closed_form,
            "steps": [self._step_json(step) for step in d.steps],
            "paths": self._by_output(lambda p: {
                "count": p.count,
                "listed": [{
                    "names": list(path.names),
                    "factors": [{"symbolic": symbols.text_of(f.symbolic), "value": f.value}
                                for f in path.factors],
                    "product": path.value,
                } for path in p.paths],
            }),
            "residuals": self._by_output(lambda p: p.residuals.to_json()),
            "direction": None if d.direction is None else dict(d.direction),
            "jacobian_times_direction": dict(d.images) if d.direction is not None else None,
        }  # fmt: skip

    def _step_json(self, step: Step) -> dict[str, Any]:
        return {
            "name": step.name,
            "expression": ast.unparse(step.body),
            "value": step.value,
            "adjoint": self.derivation.adjoints.get(step.name),
            "locals": [
                {"by": x.by, "symbolic": symbols.text_of(x.symbolic), "value": x.value}
                for x in step.locals
            ],
        }

    # Shown ----------------------------------------------------------------------------------------

    def document(self) -> Document:
        d = self.derivation
        made = Document()
        where = ", ".join(f"{name} = {x!r}" for name, x in d.at.items())
        made.title(f"{d.program.text.strip()}   at {where}")
        self._steps(made)
        if len(d.outputs) == 1:
            made.tree(self._tree())
        for partial in d.partials.values():
            self._partial(made, partial)
        if d.direction is not None:
            self._directed(made)
        self._checks(made)
        return made

    def _steps(self, made: Document) -> None:
        d = self.derivation
        rows = []
        for step in d.steps:
            left = symbol(step.name)
            value = joined(
                (equation(left, symbols.math_of(step.symbolic)), number(step.value)),
                f" {relation(step.value)} ",
                " = " if relation(step.value) == "=" else r" \approx ",
                f"<mo>{relation(step.value)}</mo>",
            )
            for i, local in enumerate(step.locals or (None,)):
                adjoint = d.adjoints.get(step.name)
                rows.append((
                    value if i == 0 else "",
                    "" if local is None else self._local(step, local),
                    rounded(adjoint) if adjoint is not None and i == 0 else "",
                ))  # fmt: skip
        output = d.outputs[0]
        headers = ["step", "local derivatives"]
        if len(d.outputs) == 1:
            headers.append(f"∂{output}/∂step")
        made.table(headers, [row[: len(headers)] for row in rows], right=(2,))

    def _local(self, step: Step, local: Local) -> Math:
        """``dv/du = 2·u = 3.4``."""
        left = _derivative(step, local)
        shown = symbols.math_of(local.symbolic)
        first = equation(left, shown)
        if shown.text == rounded(local.value):
            return first
        sign = relation(local.value)
        latex = " = " if sign == "=" else r" \approx "
        return joined((first, number(local.value)), f" {sign} ", latex, f"<mo>{sign}</mo>")

    def _tree(self) -> Tree:
        """The output and what it was computed from, as far as it is not too large."""
        d = self.derivation
        left = [_BRANCHES]

        def node(name: str, factor: Local | None, seen: frozenset[str]) -> Tree:
            left[0] -= 1
            step = d.step(name)
            label = symbol(name) if step is None else equation(
                symbol(name), symbols.math_of(step.symbolic)
            )  # fmt: skip
            remark = f"{relation(d.value(name))} {rounded(d.value(name))}"
            if factor is not None:
                remark += f"   local derivative {rounded(factor.value)}"
            children = () if step is None or left[0] <= 0 else tuple(
                node(local.by, local, seen | {name}) for local in step.locals if left[0] > 0
            )  # fmt: skip
            return Tree(label, children, remark)

        return node(d.outputs[0], None, frozenset())

    def _partial(self, made: Document, partial: Partial) -> None:
        """The product in names, in symbols, with the variables put in, and in numbers."""
        d = self.derivation
        left = derivative(
            symbol(partial.output), symbol(partial.variable), partial=len(d.program.variables) > 1
        )
        if not partial.paths:
            words_ = words(f"{partial.output} does not depend on {partial.variable}")
            made.derivation(left, [Line("=", (number(0),)), Line("", (words_,))])
            return
        if partial.count > MOST_TERMS:
            self._accumulated(made, partial, left)
            return
        ways: list[tuple[str, Callable[[StepPath], list[Math]], str]] = [
            ("=", lambda p: _names(d, p), "the chain rule" if partial.count == 1
             else f"summed over {partial.count} paths"),
            ("=", lambda p: _symbols(p), "local derivatives"),
        ]  # fmt: skip
        if partial.closed_form is not None:
            ways.append(("=", lambda p: _substituted(p), "put in"))
        lines: list[Line] = []
        if [len(path.factors) for path in partial.paths] == [1]:
            del ways[0]
        for sign, factors, remark in ways:
            line = _line(sign, [factors(path) for path in partial.paths], remark)
            if not lines or line.parts != lines[-1].parts:
                lines.append(line)
        lines += self._closed(partial, lines[-1], "simplified")
        values = [path.value for path in partial.paths]
        numbers = [[number(f.value) for f in path.factors] for path in partial.paths]
        exact = relation(*[f.value for path in partial.paths for f in path.factors])
        line = _line(exact, numbers, "in numbers")
        if line.parts != lines[-1].parts:
            lines.append(line)
        if len(values) > 1:
            lines.append(Line(relation(*values), tuple(map(number, values)), "+", "each path"))
        if lines[-1].parts != (number(partial.value),):
            lines.append(Line(relation(partial.value), (number(partial.value),)))
        made.derivation(left, lines)

    def _closed(self, partial: Partial, before: Line | None, remark: str) -> list[Line]:
        """The closed form, if there is one and it is not what stands before."""
        if partial.closed_form is None:
            return []
        form = symbols.math_of(partial.closed_form)
        return [] if before and before.parts == (form,) else [Line("=", (form,), remark=remark)]

    def _accumulated(self, made: Document, partial: Partial, left: Math) -> None:
        """Of many paths: their sum by the step they leave the variable by, and the heaviest."""
        d = self.derivation
        terms = []
        for step in d.steps:
            for local in step.locals:
                if local.by == partial.variable and d.adjoints.get(step.name) is not None:
                    by = derivative(symbol(partial.output), symbol(step.name), partial=True)
                    terms.append((product([by, _derivative(step, local)]),
                                  d.adjoints[step.name] * local.value))  # fmt: skip
        lines = []
        if terms:
            lines.append(Line("=", tuple(t for t, _ in terms), "+",
                              f"{partial.count:,} paths, by the step they begin with"))  # fmt: skip
            values = [x for _, x in terms]
            lines.append(Line(relation(*values), tuple(map(number, values)), "+"))
        lines += self._closed(partial, None, "closed form")
        lines.append(Line(relation(partial.value), (number(partial.value),)))
        made.derivation(left, lines)
        heaviest = sorted(partial.paths, key=lambda path: -abs(path.value))[:MOST_TERMS]
        made.table(
            ("path", "product"),
            [(" ← ".join(path.names), rounded(path.value)) for path in heaviest],
            f"The {len(heaviest)} heaviest of {partial.count:,} paths",
            right=(1,),
        )

    def _directed(self, made: Document) -> None:
        """J times the direction, row by row."""
        d = self.derivation
        assert d.direction is not None
        made.text(
            "Jacobian times the direction ("
            + ", ".join(f"d{name} = {dx!r}" for name, dx in d.direction.items())
            + ")"
        )
        for out in d.outputs:
            names = d.program.variables
            left = words(f"d{out}")
            first = [product([derivative(symbol(out), symbol(n), partial=True), words(f"d{n}")])
                     for n in names]  # fmt: skip
            terms = [(d.partials[out, n].value, d.direction[n]) for n in names]
            second = [product([number(a), number(b)]) for a, b in terms]
            value = d.images[out]
            made.derivation(left, [
                Line("=", tuple(first), "+"),
                Line(relation(*[x for t in terms for x in t]), tuple(second), "+"),
                Line(relation(value), (number(value),)),
            ])  # fmt: skip

    def _checks(self, made: Document) -> None:
        rows = []
        for p in self.derivation.partials.values():
            r = p.residuals
            rows.append((
                f"d{p.output}/d{p.variable}", repr(p.value),
                "—" if r.to_closed_form is None else shown_residual(r.to_closed_form),
                shown_residual(r.to_tape), shown_residual(r.to_difference),
            ))  # fmt: skip
        made.table(
            ("derivative", "product", "− closed form", "− tape", "− finite difference"), rows,
            f"Checked: each difference, relative to the terms, is at most {PRODUCT_TOLERANCE:g}; "
            f"of the finite difference {DIFFERENCE_TOLERANCE:g}, or its own uncertainty",
            right=(1, 2, 3, 4),
        )  # fmt: skip
        for p in self.derivation.partials.values():
            if p.residuals.kink is not None:
                low, high = p.residuals.kink
                made.text(
                    f"{p.output} has a kink here: its slope along {p.variable} is {rounded(low)} "
                    f"from the left and {rounded(high)} from the right. It has no derivative; "
                    f"{rounded(p.value)} is what backward takes.",
                    is_note=True,
                )


def _derivative(step: Step, local: Local) -> Math:
    return derivative(symbol(step.name), symbol(local.by), partial=len(step.locals) > 1)


def _names(d: Derivation, path: StepPath) -> list[Math]:
    found = []
    for name, local in zip(path.names, path.factors, strict=False):
        step = d.step(name)
        assert step is not None
        found.append(_derivative(step, local))
    return found


def _symbols(path: StepPath) -> list[Math]:
    return [symbols.math_of(f.symbolic) for f in path.factors]


def _substituted(path: StepPath) -> list[Math]:
    return [symbols.math_of(f.substituted) for f in path.factors]


def _line(sign: str, paths: list[list[Math]], remark: str) -> Line:
    """One product with its factors apart, or a sum of products."""
    if len(paths) == 1:
        return Line(sign, tuple(paths[0]), "·", remark)
    return Line(sign, tuple(product(factors) for factors in paths), "+", remark)
