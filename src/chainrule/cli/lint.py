"""``chainrule lint``: what the code of a training script alone shows, without running it."""

from __future__ import annotations

from pathlib import Path

import click

from ..errors import DataError
from ..lens.doctor.findings import Finding, Report
from ..lens.lint import lint_file
from .output import print_json


@click.command(short_help="Look for training mistakes in a script, without running it.")
@click.argument("scripts", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def lint(scripts: tuple[Path, ...], as_json: bool) -> int:
    """Look through SCRIPTS for mistakes that the code alone shows; nothing is run.

    Double softmax, missing zero_grad, loss and activation that do not fit, parameters that no
    optimizer gets, evaluation without eval(), labels of the wrong shape. Exit status: 0 if there
    are none, 1 if there are, 2 for a file that is not Python.
    """
    findings: list[Finding] = []
    for path in scripts:
        if not path.is_file():
            raise DataError("there is no such script", got=str(path))
        findings += lint_file(path)
    report = Report(findings, 0, 0)
    if as_json:
        print_json(report.to_json())
    else:
        for f in findings:
            click.echo(f"{f.place.file}:{f.place.line}: {f.code}: {f.cause}\n    {f.remedy}")
    return 0 if report.is_healthy else 1
