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
from ..lens.doctor import CODES, Finding, Report, examine
from ..lens.doctor.of_run import examine_run
from ..torch._program import run_program
from .output import count, print_json
from .run_folder import read_record

_MARK: Final = {"error": "✗", "warning": "!", "note": "·"}
_FAULTS: Final = "benchmarks/faults/manifest.json"


@click.command(
    short_help="Say what is wrong with a training program.",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.option("--try", "try_all", is_flag=True, help="Try every remedy, and show both losses.")
@click.option("--no-trials", is_flag=True, help="Run the program once only; fewer verdicts.")
@click.option("--steps", type=click.IntRange(min=1), help="End the program after so many steps.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
@click.option(
    "--benchmark", is_flag=False, flag_value=_FAULTS, metavar="[MANIFEST]",
    help="Run the seeded faults that MANIFEST lists; print precision, recall and confusions.",
)  # fmt: skip
@click.argument("program", required=False, type=click.Path())
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def doctor(
    try_all: bool,
    no_trials: bool,
    steps: int | None,
    as_json: bool,
    benchmark: str | None,
    program: str | None,
    arguments: tuple[str, ...],
) -> int:
    """Run PROGRAM, a PyTorch or chainrule script, with ARGUMENTS, watched; or read a run folder.

    Options come before PROGRAM. Remedies are tried in runs of at most 120 steps of the program
    itself, from the same seeds; what it prints goes to standard error. Exit status: 0 healthy,
    1 findings (notes do not count), 2 if it could not run to its end.
    """
    if benchmark is not None:
        return _benchmark(Path(benchmark), as_json, try_all)
    if program is None:
        raise ArgumentError("doctor needs a script or a run folder", hint="train.py")
    path = Path(program)
    if path.is_dir():
        report = examine_run(read_record(path), path)
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
    if not report.findings:
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


# The benchmark ----------------------------------------------------------------------------------


def _benchmark(manifest: Path, as_json: bool, try_all: bool) -> int:
    """Examine every program of a manifest and count right and wrong verdicts."""
    if manifest.is_dir():
        manifest = manifest / "manifest.json"
    if not manifest.is_file():
        raise DataError("there is no such manifest", got=str(manifest))
    rows = []
    for entry in json.loads(manifest.read_text(encoding="utf-8")):
        with contextlib.redirect_stderr(None):
            report = _examined(manifest.parent / entry["file"], (), None, try_all, True)
        rows.append(_judged(entry, report))
        if not as_json:
            click.echo(_row(rows[-1]))
    document = _scores(rows)
    if as_json:
        print_json({**document, "programs": rows})
    else:
        click.echo(_summary(document))
    return 0 if not document["wrong"] else 1


def _judged(entry: dict[str, Any], report: Report) -> dict[str, Any]:
    expected, also = set(entry.get("codes", ())), set(entry.get("also", ()))
    found = report.codes
    tried = [f.tried for f in report.findings if f.tried is not None and f.code in expected | also]
    return {
        "file": entry["file"], "kind": entry["kind"], "expected": sorted(expected),
        "found": sorted(found), "missed": sorted(expected - found),
        "extra": sorted(found - expected - also),
        "errors": sorted(f.code for f in report.findings if f.severity == "error"),
        "tried": len(tried), "helped": sum(t.helped for t in tried), "error": report.failure,
    }  # fmt: skip


def _scores(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    right = sum(len(r["expected"]) - len(r["missed"]) for r in rows)
    missed = sum(len(r["missed"]) for r in rows)
    extra = sum(len(r["extra"]) for r in rows)
    confusion: dict[str, dict[str, int]] = {}
    for row in rows:
        for expected in row["expected"] or ["healthy"]:
            counts = confusion.setdefault(expected, {})
            for found in row["found"] or ["nothing"]:
                counts[found] = counts.get(found, 0) + 1
    tried = sum(r["tried"] for r in rows)
    return {
        "precision": right / max(1, right + extra), "recall": right / max(1, right + missed),
        "healthy": sum(r["kind"] == "healthy" for r in rows),
        "faulty": sum(r["kind"] != "healthy" for r in rows),
        "false_errors": [r["file"] for r in rows if r["kind"] == "healthy" and r["errors"]],
        "remedies_tried": tried, "remedies_helped": sum(r["helped"] for r in rows),
        "wrong": [r["file"] for r in rows if r["missed"] or r["extra"]], "confusion": confusion,
    }  # fmt: skip


def _row(row: dict[str, Any]) -> str:
    verdict = "ok" if not (row["missed"] or row["extra"]) else "WRONG"
    return f"{verdict:6}{row['file']:36} {', '.join(row['found']) or 'nothing'}"


def _summary(document: dict[str, Any]) -> str:
    """The scores and the table of confusions: what was there, and what was found."""
    lines = [
        "",
        f"{document['faulty']} faulty programs, {document['healthy']} healthy ones: "
        f"precision {document['precision']:.1%}, recall {document['recall']:.1%}, "
        f"{len(document['false_errors'])} healthy with an error",
    ]
    if document["remedies_tried"]:
        lines.append(
            f"remedies tried: {document['remedies_tried']}, of which "
            f"{document['remedies_helped']} helped"
        )
    order = ["healthy", *CODES]
    for name in sorted(document["confusion"], key=order.index):
        found = document["confusion"][name]
        told = ", ".join(f"{k} {v}" for k, v in sorted(found.items(), key=lambda kv: -kv[1]))
        lines.append(f"  {name:18} {told}")
    return "\n".join(lines)
