"""What a gradient check found, and how it prints."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import GradientCheckError
from .numeric import Comparison


@dataclass(frozen=True)
class Element:
    """One derivative that was compared: of one element, or (index None) along a direction."""

    name: str
    index: tuple[int, ...] | None
    comparison: Comparison

    @property
    def badness(self) -> tuple[bool, float]:
        """Sorts the worst last: wrong ones, then by relative error."""
        return not self.comparison.ok, self.comparison.error

    @property
    def place(self) -> str:
        """``[1, 2]``, or ``direction``."""
        return "direction" if self.index is None else str(list(self.index))


@dataclass(frozen=True)
class Argument:
    """What was found for one input or parameter."""

    name: str
    shape: tuple[int, ...]
    mode: str
    """``elements`` or ``directions``: what was compared."""
    checked: int
    worst: Element | None
    wrong: int
    kinks: tuple[tuple[int, ...], ...]
    """Indices of elements at a kink, which were not compared."""

    @property
    def ok(self) -> bool:
        """Whether no derivative is wrong."""
        return self.wrong == 0


@dataclass(frozen=True)
class GradcheckResult:
    """The outcome of a gradient check; true if it passed, and prints as a report."""

    name: str
    ok: bool
    arguments: tuple[Argument, ...]
    problem: GradientCheckError | None
    """Why nothing could be compared: chance, or values that are not finite."""

    def __bool__(self) -> bool:
        return self.ok

    @property
    def checked(self) -> int:
        """Number of derivatives that were compared."""
        return sum(a.checked for a in self.arguments)

    @property
    def worst(self) -> Element | None:
        """The derivative with the largest relative error, wrong ones first."""
        found = [a.worst for a in self.arguments if a.worst is not None]
        return max(found, key=lambda element: element.badness, default=None)

    def error(self) -> GradientCheckError:
        """The error that says what is wrong."""
        if self.problem is not None:
            return self.problem
        worst = self.worst
        assert worst is not None
        where = next(a for a in self.arguments if a.name == worst.name)
        c = worst.comparison
        hint = f"{where.wrong} of {where.checked} {where.mode} of {where.name} are wrong"
        if not c.settled:
            hint = "the differences do not settle: is the function noisy or discontinuous there?"
        elif c.analytic == 0.0:
            hint += "; no gradient arrived: is something detached on the way?"
        return GradientCheckError(
            f"the gradient of {worst.name} is wrong at {worst.place}",
            expected=f"{c.numeric:.9g} (central difference)",
            got=f"{c.analytic:.9g} (relative error {c.error:.2g})",
            hint=hint,
        )

    def __str__(self) -> str:
        if self.problem is not None:
            return f"{self.name} failed: {self.problem}"
        verdict = "passed" if self.ok else "FAILED"
        n = len(self.arguments)
        head = f"{self.name} {verdict}: {self.checked} derivatives of {n} argument{'s' * (n != 1)}"
        rows = [
            ("argument", "shape", "checked", "worst error", "at", "analytic", "numeric"),
            *(_row(a) for a in self.arguments),
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  " + "  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        return "\n".join([head, *lines])


def _row(argument: Argument) -> tuple[str, ...]:
    checked = f"{argument.checked} {argument.mode}"
    if argument.kinks:
        checked += f", {len(argument.kinks)} at kinks"
    start = (argument.name, str(argument.shape), checked)
    if argument.worst is None:
        return (*start, "-", "-", "-", "-")
    c = argument.worst.comparison
    error = f"{c.error:.1e}" if c.error else "rounding"
    mark = "" if argument.ok else f"  ({argument.wrong} wrong)"
    place = argument.worst.place
    return (*start, error + mark, place, f"{c.analytic:.6g}", f"{c.numeric:.6g}")
