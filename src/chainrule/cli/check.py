"""``chainrule check FILE:FUNCTION``: compare a function's gradient with finite differences."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import click

from ..errors import ArgumentError, ChainruleError
from ..nn.module import Module
from ..testing import GradcheckResult, gradcheck, gradgradcheck
from .arguments import Arguments, arguments_of
from .output import print_json
from .target import Target, loaded, location, told

_HINT = "give its arguments with --at NAME=NUMBERS or --shape NAME=SIZES"


class Report(NamedTuple):
    """What the checks of one target found, and what they noticed on the way."""

    results: list[GradcheckResult]
    notes: list[str]

    @property
    def passed(self) -> bool:
        """Whether every check compared something, and nothing was wrong."""
        return all(result.ok and result.checked for result in self.results)


@click.command(short_help="Check the gradient of a function.")
@click.argument("target", metavar="FILE:FUNCTION")
@click.option(
    "--at", "values", multiple=True, metavar="NAME=NUMBERS",
    help="Value of an argument: one number, or several with commas for a vector. Numbers without "
    "a point are integers if another argument is left to differentiate.",
)  # fmt: skip
@click.option(
    "--shape", "shapes", multiple=True, metavar="NAME=SIZES",
    help="Shape of an argument, for random numbers, such as 3x4. Without it: 3.",
)  # fmt: skip
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(0, 2**64 - 1), metavar="INTEGER",
    help="Seed of the random arguments.",
)  # fmt: skip
@click.option("--second", is_flag=True, help="Check the second derivatives as well.")
@click.option(
    "--rtol", default=1e-6, show_default=True, type=click.FloatRange(min=0, min_open=True),
    metavar="FLOAT", help="Largest relative error.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def check(
    target: str,
    values: Sequence[str],
    shapes: Sequence[str],
    seed: int,
    second: bool,
    rtol: float,
    as_json: bool,
) -> int:
    """Check the gradient of FUNCTION in the Python file FILE against central differences.

    FUNCTION may be a method (Class.method, object.method) or a module. The file is run, as Python
    would; what it prints goes to standard error. Arguments without --at or --shape take their
    default if it is a number or an array, and three random numbers otherwise. Exit status: 0 if
    every derivative is right, 1 if one is wrong or nothing was checked, 2 for bad input.
    """
    checks = [gradcheck, gradgradcheck] if second else [gradcheck]
    with loaded(target) as found:
        arguments = arguments_of(found.function, values, shapes, seed)
        report = _report(found, arguments, checks, rtol)
    if as_json:
        print_json(_document(target, report))
        return 0 if report.passed else 1
    for result in report.results:
        click.echo(_shown(result))
    for note in report.notes:
        click.echo(f"note: {note}")
    return 0 if report.passed else 1


def _report(
    target: Target,
    arguments: Arguments,
    checks: Sequence[Callable[..., GradcheckResult]],
    rtol: float,
) -> Report:
    """Run the checks. Raises ArgumentError, with the user's line, if the function fails."""
    program, inputs = _program(target, arguments)
    with warnings.catch_warnings(record=True) as noticed:
        warnings.simplefilter("always")
        try:
            results = [run(program, inputs, rtol=rtol, raise_on_failure=False) for run in checks]
        except ChainruleError as mistake:
            if not (mistake.at or "").startswith(f"{target.path.name}:"):
                mistake.at = location(mistake, target.path)
            mistake.hint = mistake.hint or _HINT
            raise
        except (Exception, SystemExit) as failure:
            given = arguments.differentiable.items()
            raise ArgumentError(
                f"{target.name} failed: {told(failure)}",
                got=", ".join(f"{n}: {list(x.shape)}" for n, x in given),
                at=location(failure, target.path),
                hint=_HINT,
            ) from failure
    notes = [str(w.message) for w in noticed if issubclass(w.category, UserWarning)]
    return Report(results, [*arguments.notes, *dict.fromkeys(notes)])


def _program(target: Target, arguments: Arguments) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """What is checked: a module as it is, or a function of its differentiable arguments only."""
    if isinstance(target.function, Module):
        return target.function, tuple(arguments.values.values())
    inputs = arguments.differentiable
    if not inputs:
        raise ArgumentError(f"{target.name} has no argument to differentiate")

    def program(*xs: Any) -> Any:
        return arguments.call(*xs)

    program.__name__ = target.name
    program.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # names for the report
        [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in inputs]
    )
    return program, tuple(inputs.values())


def _shown(result: GradcheckResult) -> str:
    """The result's own report; one that compared nothing has not passed."""
    if result.checked or not result.ok:
        return str(result)
    _, *table = str(result).splitlines()
    return "\n".join([f"{result.name}: nothing was checked", *table])


def _document(target: str, report: Report) -> dict[str, Any]:
    """What ``--json`` prints."""
    checks = []
    for result in report.results:
        worst = result.worst
        problem = None if result.problem is None else str(result.problem)
        if result.ok and not result.checked:
            problem = "nothing was checked"
        checks.append(
            {
                "name": result.name,
                "passed": result.ok and result.checked > 0,
                "checked": result.checked,
                "problem": problem,
                "worst": None
                if worst is None
                else {
                    "argument": worst.name,
                    "index": None if worst.index is None else list(worst.index),
                    "analytic": worst.comparison.analytic,
                    "numeric": worst.comparison.numeric,
                    "relative_error": worst.comparison.error,
                },
            }
        )
    return {"target": target, "passed": report.passed, "checks": checks, "notes": report.notes}
