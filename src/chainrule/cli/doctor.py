"""``chainrule doctor``: what is wrong with a training program, and whether the remedy helps."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import click

from ..errors import ArgumentError, DataError
from ..lens.doctor import Finding, Report, examine
from ..lens.doctor.of_run import examine_run
from ..torch._program import run_program
from .faults import run_benchmark
from .output import count, print_json
from .run_folder import read_record, status_of, warn_unless_finished

_MARK: Final = {"error": "✗", "warning": "!", "note": "·"}
_FAULTS: Final = "benchmarks/faults"


@click.command(
    short_help="Say what is wrong with a training program.",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.option("--try", "try_all", is_flag=True, help="Try every remedy, and show both losses.")
@click.option("--no-trials", is_flag=True, help="Run the program once only; fewer verdicts.")
@click.option("--steps", type=click.IntRange(min=1), help="End the program after so many steps.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
@click.option(
    "--benchmark", is_flag=False, flag_value=_FAULTS, metavar="[FOLDER]",
    help="Examine the seeded faults that FOLDER's manifests list; print precision and recall.",
)  # fmt: skip
@click.option(
    "--jobs", type=click.IntRange(min=1), default=1, show_default=True,
    help="Programs of the benchmark examined at a time.",
)  # fmt: skip
@click.option(
    "--seconds", type=click.FloatRange(min=1), default=600.0, show_default=True,
    help="The longest that a program of the benchmark may take.",
)  # fmt: skip
@click.argument("program", required=False, type=click.Path())
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def doctor(
    try_all: bool,
    no_trials: bool,
    steps: int | None,
    as_json: bool,
    benchmark: str | None,
    jobs: int,
    seconds: float,
    program: str | None,
    arguments: tuple[str, ...],
) -> int:
    """Run PROGRAM, a PyTorch or chainrule script, with ARGUMENTS, watched; or read a run folder.

    Options come before PROGRAM. Remedies are tried in runs of at most 120 steps of the program
    itself, from the same seeds; what it prints goes to standard error. Exit status: 0 healthy,
    1 findings (notes do not count), 2 if it could not run to its end.
    """
    if benchmark is not None:
        return run_benchmark(
            Path(benchmark), as_json=as_json, try_all=try_all, jobs=jobs, seconds=seconds
        )
    if program is None:
        raise ArgumentError("doctor needs a script or a run folder", hint="train.py")
    path = Path(program)
    if path.is_dir():
        record = read_record(path)
        warn_unless_finished(status_of(record))
        report = examine_run(record, path)
    else:
        report = _examined(path, arguments, steps, try_all, not no_trials)
    if as_json:
        print_json(report.to_json())
    else:
        click.echo(text_of(report))
    if report.failure is not None:
        return 2
    return 0 if report.is_healthy else 1


def _examined(
    path: Path, arguments: Sequence[str], steps: int | None, try_all: bool, trials: bool
) -> Report:
    """Examine a script; its output goes to standard error."""
    if not path.is_file():
        raise DataError("there is no such program", got=str(path))

    def program() -> None:
        with contextlib.redirect_stdout(sys.stderr), _forgotten(path.resolve().parent):
            run_program(path, arguments)

    return examine(program, steps=steps, try_all=try_all, trials=trials)


@contextlib.contextmanager
def _forgotten(folder: Path) -> Iterator[None]:
    """Modules of the program's own that it imports in the block are imported anew next time."""
    before = set(sys.modules)
    try:
        yield
    finally:
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None)
            if file is not None and folder in Path(file).parents and "site-packages" not in file:
                del sys.modules[name]


def text_of(report: Report) -> str:
    """The report for people."""
    lines = []
    if report.failure is not None:
        lines += [f"the program ended with an error: {report.failure}", ""]
    for finding in report.findings:
        lines += [*_lines(finding), ""]
    if not report.findings and report.failure is None:
        lines.append("nothing found that is wrong")
    lines += report.notes
    lines.append(f"{count(report.steps, 'step')}, {count(report.samples, 'sample')} of gradients")
    return "\n".join(lines)


def _lines(finding: Finding) -> list[str]:
    where = f"{finding.place}" + (f"  {finding.layer}" if finding.layer else "")
    numbers = "   ".join(f"{k} {_short(v)}" for k, v in finding.evidence.items())
    lines = [
        f"{_MARK[finding.severity]} {finding.code}  {finding.severity}  {where}",
        *([f"    {finding.place.text}"] if finding.place.text else []),
        f"  cause     {finding.cause}",
        f"  product   {finding.factor}",
        f"  evidence  {numbers}",
        f"  remedy    {finding.remedy}",
    ]
    tried = finding.tried
    if tried is not None:
        verdict = "it helps" if tried.helped else "it did not help"
        lines.append(
            f"  tried     loss {tried.start:.4g} → {tried.before:.4g} as it is, "
            f"{tried.after:.4g} with the remedy, after {tried.steps} steps: {verdict}"
        )
    return lines


def _short(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:57] + "..."
