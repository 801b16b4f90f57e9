"""``chainrule run script.py``: a PyTorch program, unmodified, on chainrule."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console

from ..errors import ArgumentError, DataError
from ..lens.capture import explain_backward, parse_parameter
from ..lens.terminal import show
from ..lens.values import keeping
from ..torch._census import Census, take_census
from ..torch._program import own_traceback, run_program
from .output import print_json


@click.command(
    short_help="Run a PyTorch program as it stands.",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.option("--census", "only_census", is_flag=True, help="List the names it uses; run nothing.")
@click.option("--json", "as_json", is_flag=True, help="With --census: print one JSON object.")
@click.option("--anyway", is_flag=True, help="Run it even if names are missing.")
@click.option(
    "--explain", "parameter", metavar="NAME[INDEX]",
    help="Afterwards explain this gradient of the last backward pass: fc1.weight[0,2].",
)  # fmt: skip
@click.argument("script", type=click.Path())
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def run(
    only_census: bool, as_json: bool, anyway: bool, parameter: str | None, script: str,
    arguments: tuple[str, ...],
) -> int:  # fmt: skip
    """Run SCRIPT, a PyTorch program, with chainrule as its torch and ARGUMENTS as its own.

    A program that uses a name of PyTorch's that is not here is not started: the names are listed,
    and the exit status is 1. Otherwise the exit status is the program's. With --explain all
    values of the last step are kept, and compiled functions run eagerly.
    """
    if as_json and not only_census:
        raise ArgumentError("--json is an option of --census", hint="add --census")
    if not Path(script).is_file():
        raise DataError("there is no such program", got=script)
    if only_census or not anyway:
        census = _census_of(script, quiet=not only_census)
        if only_census and census is not None:
            _show(census, as_json)
        if census is not None and (only_census or not census.complete):
            return _ended(census, told=only_census)
    if parameter is None:
        return _run(script, arguments)
    parse_parameter(parameter)
    status: int | SystemExit
    with keeping() as keeper:
        try:
            status = _run(script, arguments)
        except SystemExit as ended:
            status = ended
    if status != 1:
        show(explain_backward(keeper, parameter).document(), Console(highlight=False, markup=False))
    if isinstance(status, SystemExit):
        raise status
    return status


def _run(script: str, arguments: tuple[str, ...]) -> int:
    """The exit status; a program that calls sys.exit raises SystemExit."""
    try:
        run_program(script, arguments)
    except SystemExit:
        raise
    except Exception as failure:  # noqa: BLE001  the program's own, shown as Python would
        own = own_traceback(failure, script)
        sys.excepthook(type(own), own, own.__traceback__)
        return 1
    return 0


def _census_of(script: str, *, quiet: bool) -> Census | None:
    """The census, or with `quiet` None for a file with a mistake that running it will show."""
    try:
        return take_census(script)
    except SyntaxError as mistake:
        if quiet:
            return None
        raise click.UsageError(f"{script} is not Python: {mistake}") from mistake


def _show(census: Census, as_json: bool) -> None:
    if as_json:
        print_json({"program": census.program, "uses": [asdict(use) for use in census.uses]})
    else:
        click.echo("\n".join(census.lines()))


def _ended(census: Census, *, told: bool) -> int:
    """The exit status; what is missing is listed unless it was already."""
    if not census.complete and not told:
        click.echo("\n".join(census.lines(all_names=False)), err=True)
        click.echo("nothing was run; chainrule run --anyway runs it until it needs them", err=True)
    return 0 if census.complete else 1
