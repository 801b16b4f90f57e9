"""What the commands that train policies share: options, seeds, the run folder and the tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from ..errors import ArgumentError, ChainruleError
from ..train import checkpoint
from ..uses.policy import ALGORITHMS, Algorithm, Reinforce, Training
from . import run_folder

F = TypeVar("F", bound=Callable[..., Any])


def options(episodes: int) -> Callable[[F], F]:
    """The options of every command that trains a policy; `episodes` is the default of one."""
    shared = (
        click.option(
            "--algorithm", default="ppo", show_default=True, type=click.Choice(list(ALGORITHMS)),
            help="REINFORCE with baseline, advantage actor-critic, or PPO.",
        ),
        click.option(
            "--episodes", default=episodes, show_default=True, type=click.IntRange(min=1),
            help="Most episodes to train on, for each seed.",
        ),
        click.option(
            "--seeds", default=5, show_default=True, type=click.IntRange(1, 1000),
            help="Train so many times, with seeds 0, 1, 2 …",
        ),
        click.option("--lr", type=float, help="Adam's rate; each algorithm has its own default."),
        click.option(
            "--no-baseline", is_flag=True,
            help="REINFORCE without a baseline, to see what it is good for.",
        ),
        click.option(
            "--runs", default="runs", show_default=True, type=click.Path(path_type=Path),
            help="Where the run folder is made.",
        ),
        click.option(
            "--json", "as_json", is_flag=True, help="Print one JSON object and nothing else."
        ),
    )  # fmt: skip

    def decorate(command: F) -> F:
        for option in reversed(shared):
            command = option(command)
        return command

    return decorate


def configured(algorithm: Algorithm, lr: float | None, no_baseline: bool) -> Algorithm:
    """An algorithm with what the command line says. Raises ArgumentError for what it cannot be."""
    if no_baseline and not isinstance(algorithm, Reinforce):
        raise ArgumentError(
            "only REINFORCE works without a baseline", got="--no-baseline",
            hint="add --algorithm reinforce",
        )  # fmt: skip
    return replace(algorithm, baseline=not no_baseline, lr=algorithm.lr if lr is None else lr)


def trained(
    folder: run_folder.Folder,
    record: dict[str, Any],
    seeds: int,
    run: Callable[[int], tuple[Training, dict[str, Any]]],
    quiet: bool,
) -> Iterator[dict[str, Any]]:
    """The result of each seed. After each, its weights and all results so far are in the folder."""
    results: list[dict[str, Any]] = []

    def write(status: str) -> None:
        finish(folder, {**record, "status": status, "seeds": results})

    for seed in range(seeds):
        try:
            training, result = run(seed)
        except (ChainruleError, KeyboardInterrupt) as failure:
            if folder.keep:
                write("interrupted" if isinstance(failure, KeyboardInterrupt) else "failed")
            raise
        results.append({
            "seed": seed,
            **result,
            "episodes": len(training.returns),
            "steps": sum(training.lengths),
            "updates": training.updates,
            "seconds": round(training.seconds, 2),
        })  # fmt: skip
        checkpoint.save(folder.path / f"seed-{seed}.safetensors", training.agent)
        write("running")
        folder.keep = True
        if not quiet:
            mean = np.mean(training.returns[-100:])
            click.echo(
                f"seed {seed}   {len(training.returns)} episodes   "
                f"mean return of the last 100: {mean:.4g}   {training.seconds:.1f} s",
                err=True,
            )
        yield results[-1]


def finish(folder: run_folder.Folder, record: dict[str, Any]) -> None:
    """Write a record into the run folder."""
    run_folder.write_record(folder.path, run_folder.POLICY, {"result": record})


def spread(values: Sequence[float]) -> dict[str, float]:
    """Mean, standard deviation over the seeds (0 for one), least and largest.

    >>> spread([1.0, 3.0])
    {'mean': 2.0, 'deviation': 1.4142135623730951, 'least': 1.0, 'largest': 3.0}
    """
    return {
        "mean": float(np.mean(values)),
        "deviation": float(np.std(values, ddof=1)) if len(values) > 1 else 0.0,
        "least": float(min(values)),
        "largest": float(max(values)),
    }


def show(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table whose first column is of names and whose others are of numbers."""
    console = Console(highlight=False, markup=False)
    table = Table()
    for i, name in enumerate(header):
        table.add_column(name, justify="right" if i else "left")
    for row in rows:
        table.add_row(*row)
    console.print()
    console.print(title, style="italic", soft_wrap=True)
    console.print(table)


def settings(algorithm: Algorithm) -> Mapping[str, Any]:
    """What run.json says of an algorithm."""
    return {"name": type(algorithm).__name__, **algorithm.settings()}
