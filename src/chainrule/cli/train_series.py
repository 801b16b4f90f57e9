"""``chainrule train sunspots|elnino``: forecasts of a time series, held against naive ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, final

import click
from rich.console import Console
from rich.table import Table

from ..data.series import TimeSeries, el_nino, sunspots
from ..errors import ArgumentError
from ..ops.random import manual_seed
from ..uses.sequences import (
    CELLS,
    Forecaster,
    ForecastErrors,
    ForecastTask,
    ForecastTraining,
    forecast_reach,
    forecast_truncations,
    reach_chart,
    reached,
)
from ..uses.sequences.reach import powers
from ..uses.studies.chart import Axis, Curve, line_chart
from . import run_folder, sequence_runs
from .output import count, print_json

SERIES: Final[Mapping[str, Callable[..., TimeSeries]]] = {"sunspots": sunspots, "elnino": el_nino}
NETWORK: Final = "forecaster"


@dataclass(frozen=True)
class Options:
    """What decides the outcome of a run, bit for bit."""

    dataset: str
    data: str | None
    cell: str
    hidden: int
    layers: int
    dropout: float
    window: int | None
    horizon: int | None
    direct: bool
    bptt: int | None
    compare_bptt: bool
    epochs: int
    batch_size: int
    lr: float
    seed: int
    eager: bool = False


@click.command(short_help="Forecasts by a recurrent network.")
@click.option(
    "--cell", default="lstm", show_default=True, type=click.Choice(list(CELLS)),
    help="Kind of recurrent layer.",
)  # fmt: skip
@click.option(
    "--hidden", default=32, show_default=True, type=click.IntRange(1, 4096), help="Its size."
)
@click.option(
    "--layers", default=1, show_default=True, type=click.IntRange(1, 16), help="How many of them."
)
@click.option(
    "--dropout", default=0.1, show_default=True, type=click.FloatRange(0, 1, max_open=True),
    help="Share of its outputs that is left out in training.",
)  # fmt: skip
@click.option(
    "--window", type=click.IntRange(min=1),
    help="Steps of the past that the network reads. Default: two seasons, 22 years or 24 months.",
)  # fmt: skip
@click.option(
    "--horizon", type=click.IntRange(min=1),
    help="Steps ahead to forecast. Default: one season, 11 years or 12 months.",
)  # fmt: skip
@click.option(
    "--direct", is_flag=True,
    help="One network gives all steps at once, instead of reading its own forecasts.",
)  # fmt: skip
@click.option(
    "--bptt", type=click.IntRange(min=1),
    help="Let gradients go back so many steps only. Default: the whole window.",
)  # fmt: skip
@click.option(
    "--compare-bptt", is_flag=True, help="Train again with 1, 2, 4 … steps, and show all errors."
)
@click.option(
    "--epochs", default=60, show_default=True, type=click.IntRange(min=1),
    help="Passes over the training part.",
)  # fmt: skip
@click.option(
    "--batch-size", default=32, show_default=True, type=click.IntRange(min=1),
    help="Windows in a step.",
)  # fmt: skip
@click.option("--lr", default=5e-3, show_default=True, help="AdamW's rate; falls to 0 as a cosine.")
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(0, 2**64 - 1), metavar="INTEGER",
    help="Same seed, same bits.",
)  # fmt: skip
@click.option(
    "--data", type=click.Path(path_type=Path, dir_okay=False),
    help="A CSV file of years and numbers, instead of the series that comes with the package.",
)  # fmt: skip
@click.option(
    "--runs", default="runs", show_default=True, type=click.Path(path_type=Path),
    help="Where the run folder is made.",
)  # fmt: skip
@click.option(
    "--resume", type=click.Path(path_type=Path), metavar="RUN",
    help="Go on with a run that was interrupted, with its own options.",
)  # fmt: skip
@click.option("--eager", is_flag=True, help="Do not compile the training step.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
@click.pass_context
def series(
    context: click.Context,
    /,
    data: Path | None,
    runs: Path,
    resume: Path | None,
    as_json: bool,
    **others: Any,
) -> int:
    """Forecast yearly sunspot numbers or monthly temperatures of the Pacific by an LSTM or GRU.

    The last 20 % of the years are held back: scale and weights come from the years before. Errors
    stand beside those of two naive forecasts: the last value, and the value one season ago. Shown
    as well: how far back in time the gradient reaches, and what truncation makes of it. The run
    folder holds weights, run.json and pictures (SVG).

    Exit status: 0 if the training finished, 1 if it diverged, 2 for bad input and for a loss that
    is not finite, 130 after Ctrl-C.
    """
    dataset = str(context.info_name)
    if resume is not None:
        sequence_runs.refuse_options(context)
        saved = sequence_runs.saved_options(resume, NETWORK, dataset)
        work = SeriesWork.of(sequence_runs.rebuilt(Options, saved))
        sequence_runs.go_on(work, resume)
        folder = run_folder.Folder(resume, keep=True)
        record = sequence_runs.execute(work, folder, quiet=as_json)
    else:
        root = None if data is None else str(data)
        work = SeriesWork.of(Options(dataset=dataset, data=root, **others))
        with run_folder.new(runs, dataset) as folder:
            record = sequence_runs.execute(work, folder, quiet=as_json)
    if as_json:
        print_json(record)
    else:
        _print_result(record)
    return sequence_runs.EXIT_STATUS[record["status"]]


@final
@dataclass(frozen=True, eq=False)
class SeriesWork:
    """A training on a series: its options, what it forecasts, and how."""

    choice: Options
    task: ForecastTask
    model: Forecaster
    training: ForecastTraining
    untrained: list[float]
    """The reach of the gradient before the first step."""
    network: str = NETWORK

    @classmethod
    def of(cls, choice: Options) -> SeriesWork:
        """Read and check everything. Raises DataError or ArgumentError before anything is made."""
        if not 0 < choice.lr < float("inf"):
            raise ArgumentError(
                "the learning rate must be a positive number", got=f"--lr {choice.lr}"
            )
        task = task_of(choice, SERIES[choice.dataset](choice.data))
        if choice.bptt is not None and choice.bptt > task.window:
            raise ArgumentError(
                "gradients cannot go back further than the window",
                expected=f"--bptt 1 to {task.window}", got=f"--bptt {choice.bptt}",
            )  # fmt: skip
        manual_seed(choice.seed)
        model, training = _prepared(choice, task, choice.bptt)
        return cls(choice, task, model, training, forecast_reach(model, task.training()))

    @property
    def options(self) -> dict[str, Any]:
        return asdict(self.choice)

    @property
    def facts(self) -> dict[str, Any]:
        return {
            "settings": self.model.settings,
            "scale": asdict(self.task.scale),
            "window": self.task.window,
        }

    def score(self) -> dict[str, Any]:
        task, windows = self.task, self.task.training()
        history = self.training.trainer.history
        truncated = forecast_truncations(self.model, windows, powers(task.window))
        reach = forecast_reach(self.model, windows)
        errors = self._errors_by_bptt() if self.choice.compare_bptt else {}
        return {
            "cell": self.choice.cell,
            "test": scores(task, self.model),
            "train": {**history.last, "samples": len(windows)},
            "forecast": [
                {"time": task.series.time(len(task.series) + k), "value": float(v)}
                for k, v in enumerate(task.future(self.model))
            ],
            "gradient_by_step_back": {"before": self.untrained, "after": reach},
            "steps_reached": {"before": reached(self.untrained), "after": reached(reach)},
            "truncation": [
                {**t._asdict(), **({"rmse": errors[t.bptt]} if errors else {})} for t in truncated
            ],
        }

    def _errors_by_bptt(self) -> dict[int, float]:
        """One-step errors of networks that are trained with time cut after so many steps."""
        found = {}
        for bptt in powers(self.task.window):
            manual_seed(self.choice.seed)
            model, training = _prepared(self.choice, self.task, bptt)
            training.fit(seed=self.choice.seed)
            found[bptt] = ForecastErrors.of(self.task, model).model[0]
        return found

    def pictures(self, figures: Mapping[str, Any]) -> dict[str, str]:
        task, name = self.task, self.task.series.name
        years = [task.series.start + i / task.series.per_year for i in range(len(task.series))]
        held_back = years[task.cut :]
        curves = [
            Curve("truth", held_back, task.series.values[task.cut :].tolist()),
            Curve("forecast", held_back, task.forecasts(self.model)[:, 0].tolist()),
        ]
        norms = figures["gradient_by_step_back"]
        return {
            "forecast.svg": line_chart(
                f"{name}: one step ahead, held back", Axis("year"), Axis(name), curves
            ),
            "reach.svg": reach_chart(
                f"{name}: how far back the gradient reaches",
                {"untrained": norms["before"], "trained": norms["after"]},
            ),
        }


def task_of(choice: Options, data: TimeSeries) -> ForecastTask:
    """What a run forecasts of a series."""
    horizon = data.season if choice.horizon is None else choice.horizon
    return ForecastTask.of(data, window=choice.window, horizon=horizon, iterated=not choice.direct)


def _prepared(
    choice: Options, task: ForecastTask, bptt: int | None
) -> tuple[Forecaster, ForecastTraining]:
    model = Forecaster(
        task.outputs, choice.cell, choice.hidden, choice.layers, choice.dropout, bptt
    )
    training = ForecastTraining(
        task, model, epochs=choice.epochs, batch_size=choice.batch_size, lr=choice.lr,
        compile=not choice.eager,
    )  # fmt: skip
    return model, training


def scores(task: ForecastTask, model: Forecaster) -> dict[str, Any]:
    """Errors on the part that is held back, beside the naive ones."""
    errors = ForecastErrors.of(task, model)
    rows = zip(errors.model, errors.last_value, errors.seasonal_naive, errors.ratios, strict=True)
    by_step = [
        {"steps_ahead": k, "model": m, "last_value": a, "seasonal_naive": b, "ratio": r}
        for k, (m, a, b, r) in enumerate(rows, start=1)
    ]
    first = by_step[0]
    return {
        "loss": first["model"] ** 2,
        "rmse": {name: first[name] for name in ("model", "last_value", "seasonal_naive")},
        "ratio": first["ratio"],
        "samples": len(task.series) - task.cut,
        "from": task.series.time(task.cut),
        "by_step": by_step,
    }


def _print_result(record: Mapping[str, Any]) -> None:
    """Show how a run on a series ended."""
    console = Console(highlight=False, markup=False)
    test = record["test"]
    if record["status"] != run_folder.FINISHED:
        console.print(f"stopped early: {record['status']}", style="yellow", soft_wrap=True)
    console.print()
    _print_errors(console, test)
    print_reach(console, record)
    console.print(
        f"training   {count(record['epochs'], 'epoch')}, {count(record['steps'], 'step')}, "
        f"{record['train_seconds']:.0f} s, {record['parameters']:,} parameters"
    )
    console.print(
        f"test       error {test['rmse']['model']:.4g} one step ahead, "
        f"{test['ratio']:.2f} of the better naive forecast's",
        style="bold",
    )
    console.print(f"run        {record['run']}", soft_wrap=True)


def _print_errors(console: Console, test: Mapping[str, Any]) -> None:
    """The errors for each number of steps ahead."""
    console.print(
        f"root mean square error on {count(test['samples'], 'held-back value')}, "
        f"from {test['from']}",
        style="italic", soft_wrap=True,
    )  # fmt: skip
    table = Table()
    for header in ("steps ahead", "network", "last value", "season ago", "ratio"):
        table.add_column(header, justify="right")
    for row in test["by_step"]:
        numbers = (row["model"], row["last_value"], row["seasonal_naive"])
        table.add_row(
            str(row["steps_ahead"]), *(f"{n:.4g}" for n in numbers), f"{row['ratio']:.2f}"
        )
    console.print(table)


def print_reach(console: Console, record: Mapping[str, Any]) -> None:
    """Gradient norms by steps back, and gradients with time cut there."""
    norms, rows = record["gradient_by_step_back"], record["truncation"]
    back = {0, *(row["bptt"] for row in rows)} & set(range(len(norms["after"])))
    console.print("how far back the gradient reaches", style="italic", soft_wrap=True)
    table = Table()
    for header in ("steps back", "norm untrained", "norm trained"):
        table.add_column(header, justify="right")
    for k in sorted(back | {len(norms["after"]) - 1}):
        table.add_row(str(k), f"{norms['before'][k]:.3g}", f"{norms['after'][k]:.3g}")
    console.print(table)
    console.print("the gradient of the weights, with time cut", style="italic", soft_wrap=True)
    table = Table()
    headers = ["steps", "norm", "cosine to full"] + ["error"] * ("rmse" in rows[0])
    for header in headers:
        table.add_column(header, justify="right")
    for row in rows:
        error = [f"{row['rmse']:.4g}"] if "rmse" in row else []
        table.add_row(str(row["bptt"]), f"{row['norm']:.3g}", f"{row['cosine']:.3f}", *error)
    console.print(table)
