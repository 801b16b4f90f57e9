"""``chainrule study``: measure what the sources claim; a table, pictures, and one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ..errors import ArgumentError
from ..train import write_atomically
from ..uses.studies import STUDIES, Settings, Study, verdict
from .output import finite, print_json

Tell = Callable[[str], None]
_FILE_WIDTH = 120


@click.group(short_help="Measure what the sources claim, and draw it.")
def study() -> None:
    """Measure what the sources claim of backpropagation and training.

    Each study ends in a table, pictures (SVG), the verdict on each claim, and one sentence that is
    computed from the numbers. The pictures and NAME.json are written to a folder.
    """


def _command(subject: Study[Any]) -> click.Command:
    @click.option(
        "--data", type=click.Path(path_type=Path), help="Folder with MNIST's four IDX files."
    )
    @click.option(
        "--out", default="studies", show_default=True, type=click.Path(path_type=Path),
        metavar="DIR", help="Where the pictures and the figures go.",
    )  # fmt: skip
    @click.option("--quick", is_flag=True, help="A small version, in seconds.")
    @click.option("--seed", default=0, show_default=True, type=click.IntRange(0, 2**32 - 1))
    @click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
    def run(data: Path | None, out: Path, quick: bool, seed: int, as_json: bool) -> int:
        return _run(subject, Settings(data, quick, seed), out, as_json=as_json)

    help_text = (
        f"{subject.question}\n\nCtrl-C ends the study: the rows measured until then are kept in "
        f"{subject.name}.json. Exit status: 0, 2 for bad input, 130 after Ctrl-C."
    )
    return click.command(subject.name, help=help_text, short_help=subject.question)(run)


for _subject in STUDIES.values():
    study.add_command(_command(_subject))


def _run(subject: Study[Any], settings: Settings, out: Path, *, as_json: bool) -> int:
    """Measure, write and print; returns the exit status."""
    _make(out)
    rows: list[Any] = []
    finished = False
    with _progress(subject.parts(settings), quiet=as_json) as tell:
        try:
            for row in subject.measure(settings, tell):
                rows.append(row)
            finished = True
        except KeyboardInterrupt:
            pass
    document = subject.document(settings, rows, finished=finished)
    drawn = subject.draw(rows) if finished else {}
    document["pictures"] = [str(out / f"{name}.svg") for name in drawn]
    for name, picture in drawn.items():
        write_atomically(out / f"{name}.svg", picture.encode())
    text = json.dumps(finite(document), indent=1, allow_nan=False, ensure_ascii=False)
    write_atomically(out / f"{subject.name}.json", text.encode())
    if as_json:
        print_json(document)
    else:
        _print(subject, rows, document, out)
    return 0 if finished else 130


def _make(out: Path) -> None:
    """Make the folder. Raises ArgumentError, before anything is measured, if that is impossible."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as failure:
        raise ArgumentError(
            f"no folder for the study can be made: {failure.strerror or failure}",
            expected="a folder that may be written to",
            got=str(out)[:120],
            hint="choose another one with --out",
        ) from failure


@contextmanager
def _progress(parts: int, *, quiet: bool) -> Iterator[Tell]:
    """What is told goes to standard error: a bar on a terminal, else a line for each part."""
    console = Console(stderr=True, highlight=False, markup=False)
    if quiet:
        yield lambda what: None
    elif not console.is_terminal:
        yield lambda what: console.print(what, soft_wrap=True)
    else:
        columns = (
            TextColumn("{task.description}"), BarColumn(bar_width=28), MofNCompleteColumn(),
            TimeElapsedColumn(),
        )  # fmt: skip
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task("", total=parts)
            begun = 0

            def tell(what: str) -> None:
                nonlocal begun
                bar.update(task, description=what, completed=begun)
                begun += 1

            yield tell


def _print(subject: Study[Any], rows: list[Any], document: dict[str, Any], out: Path) -> None:
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:  # a file has room for all columns
        console = Console(highlight=False, markup=False, width=max(console.width, _FILE_WIDTH))
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for header, _ in subject.columns:
        table.add_column(header, justify="right", no_wrap=True)
    for cells in subject.table(rows):
        table.add_row(*cells)
    console.print(table)
    if document["sentence"] is None:
        console.print("interrupted: there is no conclusion from some of the rows", style="yellow")
        console.print(f"figures    {out / subject.name}.json", soft_wrap=True)
        return
    words = {True: "holds", False: "does not hold", None: "not told by these rows"}
    for claim in document["claims"]:
        console.print(f"{claim['source']}: “{claim['text']}”", soft_wrap=True)
        console.print(f"  {words[claim['holds']]}: {claim['evidence']}", soft_wrap=True)
    console.print()
    console.print(document["sentence"], style="bold", soft_wrap=True)
    console.print(verdict(subject.conclude(rows).claims), soft_wrap=True)
    for path in [*document["pictures"], f"{out / subject.name}.json"]:
        console.print(f"written    {path}", soft_wrap=True)
