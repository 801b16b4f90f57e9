"""``chainrule check FILE:FUNCTION``: compare a function's gradient with finite differences."""

from __future__ import annotations

import importlib.util
import inspect
import json
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from ..errors import ArgumentError, ChainruleError, DataError
from ..tensor import Tensor
from ..testing import GradcheckResult, gradcheck, gradgradcheck

Function = Callable[..., Any]

_HINT = "give its arguments with --at NAME=NUMBERS or --shape NAME=SIZES"


@click.command()
@click.argument("target", metavar="FILE:FUNCTION")
@click.option(
    "--at", "values", multiple=True, metavar="NAME=NUMBERS",
    help="Value of an argument: one number, or several with commas for a vector.",
)  # fmt: skip
@click.option(
    "--shape", "shapes", multiple=True, metavar="NAME=SIZES",
    help="Shape of an argument, for random numbers, such as 3x4. Without it: 3.",
)  # fmt: skip
@click.option("--seed", default=0, show_default=True, help="Seed of the random arguments.")
@click.option("--second", is_flag=True, help="Check the second derivatives as well.")
@click.option("--rtol", default=1e-6, show_default=True, help="Largest relative error.")
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

    The file is run, as Python would. Arguments without --at or --shape take their default if it is
    a number or an array, and three random numbers otherwise. Exit status: 0 if every derivative is
    right, 1 if one is wrong, 2 for bad input.
    """
    function = load_function(target)
    fixed = _given(function, values, shapes, seed)
    names = [n for n, x in fixed.items() if isinstance(x, Tensor) and x.dtype.kind == "f"]
    if not names:
        raise ArgumentError(f"{target} has no argument to differentiate")

    def program(*xs: Any) -> Any:
        return function(**{**fixed, **dict(zip(names, xs, strict=True))})

    program.__name__ = target.rpartition(":")[2]
    program.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # names for the report
        [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names]
    )
    checks = [gradcheck, gradgradcheck] if second else [gradcheck]
    inputs = {name: fixed[name] for name in names}
    with warnings.catch_warnings(record=True) as noticed:
        warnings.simplefilter("always")
        try:
            results = [
                run(program, tuple(inputs.values()), rtol=rtol, raise_on_failure=False)
                for run in checks
            ]
        except ChainruleError as mistake:
            mistake.hint = mistake.hint or _HINT
            raise
        except Exception as failure:
            raise ArgumentError(
                f"{target} failed: {type(failure).__name__}: {failure}",
                got=", ".join(f"{n}: {list(x.shape)}" for n, x in inputs.items()),
                hint=_HINT,
            ) from failure
    passed = all(result.ok for result in results)
    notes = [str(w.message) for w in noticed if issubclass(w.category, UserWarning)]
    if as_json:
        click.echo(json.dumps(_document(target, passed, results, notes)))
    else:
        for result in results:
            click.echo(str(result))
        for note in notes:
            click.echo(f"note: {note}")
    return 0 if passed else 1


def load_function(target: str) -> Function:
    """The function that ``FILE:FUNCTION`` names. Raises DataError or ArgumentError."""
    path_text, colon, name = target.rpartition(":")
    if not colon or not path_text or not name:
        raise ArgumentError("check needs FILE:FUNCTION", got=target, hint="model.py:loss")
    path = Path(path_text)
    if not path.is_file():
        raise DataError("there is no such file", got=path_text)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise DataError("this is not a Python file", got=path_text)
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    except Exception as failure:
        raise DataError(f"{path.name} failed: {type(failure).__name__}: {failure}") from failure
    finally:
        sys.path.remove(str(path.parent))
    function = getattr(module, name, None)
    if not callable(function):
        known = [n for n, x in vars(module).items() if inspect.isfunction(x)]
        raise ArgumentError(
            f"{path.name} has no function {name!r}", hint=f"it has {', '.join(known) or 'none'}"
        )
    return function  # type: ignore[no-any-return]  # checked to be callable


def _given(
    function: Function, values: Sequence[str], shapes: Sequence[str], seed: int
) -> dict[str, Any]:
    """Every argument of the function: as given, as its default, or random."""
    at, sizes = dict(map(_pair, values)), dict(map(_pair, shapes))
    rng = np.random.default_rng(seed)
    arguments: dict[str, Any] = {}
    parameters = inspect.signature(function).parameters
    for unknown in (at.keys() | sizes.keys()) - parameters.keys():
        raise ArgumentError(
            f"the function has no argument {unknown!r}", hint=f"it has {', '.join(parameters)}"
        )
    for name, parameter in parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        default = parameter.default
        if name in at:
            arguments[name] = Tensor(_numbers(at[name]))
        elif name in sizes:
            arguments[name] = Tensor(rng.normal(size=_sizes(sizes[name])))
        elif default is parameter.empty:
            arguments[name] = Tensor(rng.normal(size=3))
        elif isinstance(default, (float, np.ndarray, Tensor)):
            arguments[name] = Tensor(default)
        else:
            arguments[name] = default
    return arguments


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name or not value:
        raise ArgumentError("an option needs NAME=VALUE", got=text)
    return name, value


def _numbers(text: str) -> np.ndarray[Any, Any]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError as failure:
        raise ArgumentError("--at needs numbers", got=text) from failure
    return np.array(numbers if len(numbers) > 1 else numbers[0])


def _sizes(text: str) -> tuple[int, ...]:
    try:
        sizes = tuple(int(part) for part in text.split("x"))
    except ValueError as failure:
        raise ArgumentError("--shape needs sizes such as 3x4", got=text) from failure
    if any(n < 0 for n in sizes):
        raise ArgumentError("sizes cannot be negative", got=text)
    return sizes


def _document(
    target: str,
    passed: bool,
    results: Sequence[GradcheckResult],
    notes: Sequence[str],
) -> dict[str, Any]:
    """What ``--json`` prints."""
    checks = []
    for result in results:
        worst = result.worst
        checks.append(
            {
                "name": result.name,
                "passed": result.ok,
                "checked": result.checked,
                "problem": None if result.problem is None else str(result.problem),
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
    return {"target": target, "passed": passed, "checks": checks, "notes": list(notes)}
