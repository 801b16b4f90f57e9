"""The progress of a fit: one line for each epoch that ended, a bar for the one in progress."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)


class Display(Protocol):
    """What a fit tells about its progress."""

    def start_epoch(self, epoch: int, epochs: int, steps: int | None) -> None:
        """An epoch begins, of so many steps if that is known."""

    def advance(self, loss: float) -> None:
        """A step has been taken."""

    def end_epoch(self, seconds: float, metrics: Mapping[str, float]) -> None:
        """The epoch is over."""

    def close(self) -> None:
        """The fit is over."""


class Silence:
    """A display that shows nothing."""

    def start_epoch(self, epoch: int, epochs: int, steps: int | None) -> None: ...

    def advance(self, loss: float) -> None: ...

    def end_epoch(self, seconds: float, metrics: Mapping[str, float]) -> None: ...

    def close(self) -> None: ...


class Lines:
    """A display on standard error that is no terminal: a plain line for each epoch."""

    def __init__(self) -> None:
        self._name = ""

    def start_epoch(self, epoch: int, epochs: int, steps: int | None) -> None:
        self._name = _name(epoch, epochs)

    def advance(self, loss: float) -> None: ...

    def end_epoch(self, seconds: float, metrics: Mapping[str, float]) -> None:
        print(_line(self._name, seconds, metrics), file=sys.stderr, flush=True)

    def close(self) -> None: ...


class Bar:
    """A display on a terminal."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]}"),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
        )
        self._task: TaskID | None = None
        self._name = ""

    def start_epoch(self, epoch: int, epochs: int, steps: int | None) -> None:
        self.close()
        self._name = _name(epoch, epochs)
        self._task = self._progress.add_task(self._name, total=steps, loss="…")
        self._progress.start()

    def advance(self, loss: float) -> None:
        if self._task is not None:
            self._progress.update(self._task, advance=1, loss=f"{loss:.4f}")

    def end_epoch(self, seconds: float, metrics: Mapping[str, float]) -> None:
        self.close()
        line = _line(self._name, seconds, metrics)
        self._progress.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def close(self) -> None:
        """Take the bar away."""
        if self._task is not None:
            self._progress.stop()
            self._progress.remove_task(self._task)
            self._task = None


def display(quiet: bool) -> Display:
    """A bar on the terminal that standard error is, plain lines if it is none, silence if `quiet`.

    Standard output stays free for results.
    """
    if quiet:
        return Silence()
    console = Console(stderr=True)
    return Bar(console) if console.is_terminal else Lines()


def _name(epoch: int, epochs: int) -> str:
    return f"epoch {epoch:{len(str(epochs))}}/{epochs}"


def _line(name: str, seconds: float, metrics: Mapping[str, float]) -> str:
    told = "  ".join(f"{metric} {value:.4f}" for metric, value in metrics.items())
    return f"{name}  {seconds:6.1f} s  {told}"
