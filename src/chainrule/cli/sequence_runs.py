"""Runs on sequences: training with a run folder that can be resumed, and using what it holds."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol, final

import click

from ..errors import ArgumentError, ChainruleError, CheckpointError, TrainingError
from ..nn.module import Module
from ..train import Callback, Fit, GradientNorms, History, Trainer, checkpoint, write_atomically
from . import run_folder

EXIT_STATUS: Final = {run_folder.FINISHED: 0, "diverged": 1, "interrupted": 130}
_KEPT: Final = ("resume", "as_json")
"""Parameters that may be given beside --resume."""


class Training(Protocol):
    """A training that is set up, as ``uses.sequences`` has them."""

    @property
    def trainer(self) -> Trainer:
        """What it trains with; its history is what was trained so far."""

    def fit(
        self,
        *,
        seed: int | None = ...,
        callbacks: Sequence[Callback] = ...,
        history: History | None = ...,
        quiet: bool = ...,
    ) -> History: ...


class Work(Protocol):
    """What one kind of run has of its own."""

    @property
    def network(self) -> str:
        """The name in ``run.json`` by which the network is built again."""

    @property
    def model(self) -> Module:
        """The network."""

    @property
    def training(self) -> Training:
        """How it is trained."""

    @property
    def options(self) -> dict[str, Any]:
        """The options of the command, from which the work can be set up again."""

    @property
    def facts(self) -> dict[str, Any]:
        """What is needed to use the network: its settings, and what its numbers mean."""

    def score(self) -> dict[str, Any]:
        """The figures of the trained network, ``test`` and ``train`` among them."""

    def pictures(self, figures: Mapping[str, Any]) -> dict[str, str]:
        """SVG by the names of files."""


def execute(work: Work, folder: run_folder.Folder, *, quiet: bool) -> dict[str, Any]:
    """Train, score and save; returns what the last screen and ``--json`` show."""
    start = time.perf_counter()
    keeper = _Keeper(folder, work)
    history = _fitted(work, keeper, quiet)
    record: dict[str, Any] = {
        "run": str(folder.path),
        "status": history.stopped or run_folder.FINISHED,
        "dataset": work.options["dataset"],
        "seed": work.options["seed"],
        "epochs": len(history.epochs),
        "steps": history.steps,
        "parameters": sum(p.numel() for p in work.model.parameters()),
        "compiled": work.training.trainer.steps().is_compiled,
        "train_seconds": round(time.perf_counter() - start, 2),
    }
    if history.stopped:  # what is scored is what is saved, from where the run can go on
        checkpoint.load(folder.path / run_folder.WEIGHTS, work.model)
    keeper.write(history, record)  # before the scores: another Ctrl-C there costs them only
    folder.keep = True
    record |= work.score()
    if not math.isfinite(record["test"]["loss"]):
        record["status"] = "diverged"
    pictures = work.pictures(record)
    for name, svg in pictures.items():
        write_atomically(folder.path / name, svg.encode())
    record["pictures"] = sorted(pictures)
    record["seconds"] = round(time.perf_counter() - start, 2)
    keeper.write(history, record)
    return record


def _fitted(work: Work, keeper: _Keeper, quiet: bool) -> History:
    """Train. A failure after the first epoch is noted in the run folder.

    Raises KeyboardInterrupt if training was interrupted before the end of its first epoch.
    """
    trainer = work.training.trainer
    known = trainer.history if trainer.history.epochs else None
    try:
        history = work.training.fit(
            seed=work.options["seed"], callbacks=[GradientNorms(every=10), keeper], history=known,
            quiet=quiet,
        )  # fmt: skip
    except (ChainruleError, OSError, MemoryError) as failure:
        if isinstance(failure, TrainingError):
            failure.hint = "try a smaller --lr"
        if keeper.folder.keep:
            status = "diverged" if isinstance(failure, TrainingError) else "failed"
            with suppress(CheckpointError):  # on a full disk, the record of the last epoch stays
                keeper.write(trainer.history, {"status": status, "error": str(failure)})
            click.echo(f"the last full epoch is saved in {keeper.folder.path}", err=True)
        raise
    if not history.epochs:
        click.echo("interrupted in the first epoch: nothing is kept", err=True)
        raise KeyboardInterrupt
    return history


@final
class _Keeper(Callback):
    """Saves weights, optimizer and record after every epoch: a killed run can go on from there."""

    def __init__(self, folder: run_folder.Folder, work: Work) -> None:
        self.folder = folder
        self.work = work

    def on_fit_start(self, fit: Fit) -> None:
        self._save(fit)

    def on_epoch_end(self, fit: Fit) -> None:
        self._save(fit)
        self.folder.keep = True

    def _save(self, fit: Fit) -> None:
        schedule = self.work.training.trainer.schedule
        state = {"history": fit.history.to_record(), "schedule": schedule.state_dict()}
        checkpoint.save(
            self.folder.path / run_folder.WEIGHTS, fit.model, fit.optimizer, state=state
        )
        self.write(fit.history, {"status": "running"})

    def write(self, history: History, result: dict[str, Any]) -> None:
        """Write ``run.json``."""
        run_folder.write_record(
            self.folder.path,
            self.work.network,
            {
                "options": self.work.options,
                **self.work.facts,
                "result": result,
                "history": history.to_record(),
            },
        )


def refuse_options(context: click.Context) -> None:
    """Raise ArgumentError if options of a training are given beside --resume."""
    given = [
        name
        for name in context.params
        if name not in _KEPT
        and context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT
    ]
    if given:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise ArgumentError(
            "a resumed run goes on with the options it began with",
            expected="--resume RUN and nothing else",
            got=options,
        )


def saved_options(folder: Path, network: str, dataset: str) -> dict[str, Any]:
    """The options of a run that is to go on.

    Raises CheckpointError for the folder of another network or data set, and if it has finished.
    """
    record = run_folder.read_record(folder)
    options, result = record.get("options"), record.get("result")
    if record.get("network") != network or not isinstance(options, dict):
        raise CheckpointError(
            "this is a run of another kind", expected=network, got=repr(record.get("network"))[:60]
        )
    if options.get("dataset") != dataset:
        raise CheckpointError(
            "this is a run on another data set", expected=dataset,
            got=repr(options.get("dataset"))[:60],
        )  # fmt: skip
    if isinstance(result, dict) and result.get("status") == run_folder.FINISHED:
        raise CheckpointError("this run has finished", got=str(folder))
    return options


def rebuilt(kind: type[Any], options: Mapping[str, Any]) -> Any:
    """The options of a run as the class that holds them. Raises CheckpointError if they differ."""
    try:
        return kind(**options)
    except TypeError as failure:
        raise CheckpointError(
            "the options of this run are not those of this version",
            got=", ".join(map(str, options))[:200],
        ) from failure


def go_on(work: Work, folder: Path) -> None:
    """Take over weights, optimizer, schedule and history of an unfinished run."""
    trainer = work.training.trainer
    state = checkpoint.load(folder / run_folder.WEIGHTS, trainer.model, trainer.optimizer)
    schedule = state.get("schedule")
    if not isinstance(schedule, dict):
        raise CheckpointError("this run did not save where its schedule was", got=str(folder))
    trainer.schedule.load_state_dict(schedule)
    trainer.history = History.from_record(state.get("history"))
