"""``chainrule train DATASET``: train the sources' network and leave a run folder."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import click

from ..data import MNIST, DataLoader, FashionMNIST, Shifted, Subset
from ..data.mnist import ImageDataset
from ..errors import ArgumentError
from ..nn import CrossEntropyLoss
from ..nn.networks import NETWORKS
from ..ops.random import manual_seed
from ..optim import Adam, CosineAnnealingLR
from ..train import Callback, Fit, GradientNorms, History, Trainer, checkpoint, summary
from . import run_folder
from .screen import print_result

DATASETS: Final[dict[str, Callable[..., tuple[ImageDataset, ImageDataset]]]] = {
    "mnist": MNIST.splits,
    "fashion-mnist": FashionMNIST.splits,
}
NETWORK: Final = "mnist-cnn"


@dataclass(frozen=True)
class Options:
    """What decides the outcome of a run, bit for bit."""

    dataset: str
    data: str | None
    epochs: int
    batch_size: int
    lr: float
    shift: int
    seed: int
    limit: int | None


@click.command()
@click.argument("dataset", metavar="DATASET", type=click.Choice(sorted(DATASETS)))
@click.option("--epochs", default=20, show_default=True, type=click.IntRange(min=1))
@click.option("--batch-size", default=64, show_default=True, type=click.IntRange(min=1))
@click.option("--lr", default=2e-3, show_default=True, help="Adam's rate; falls to 0 as a cosine.")
@click.option(
    "--shift", default=1, show_default=True, type=click.IntRange(0, 8),
    help="Move each training image by up to so many pixels, anew each time.",
)  # fmt: skip
@click.option("--seed", default=0, show_default=True, help="Same seed, same bits.")
@click.option("--limit", type=click.IntRange(min=1), help="Train on the first so many images only.")
@click.option(
    "--data", type=click.Path(path_type=Path), help="Folder with the data set's four IDX files."
)
@click.option(
    "--runs", default="runs", show_default=True, type=click.Path(path_type=Path),
    help="Where the run folder is made.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def train(
    dataset: str,
    epochs: int,
    batch_size: int,
    lr: float,
    shift: int,
    seed: int,
    limit: int | None,
    data: Path | None,
    runs: Path,
    as_json: bool,
) -> int:
    """Train the convolutional network of the sources on DATASET: mnist or fashion-mnist.

    Conv 32 → pool → Conv 64 → pool → dropout 0.5 → dense 10, with Adam. The run folder holds the
    weights (safetensors) and run.json; `chainrule evaluate` scores it on other images. Ctrl-C ends
    the training early and keeps what was learnt.
    """
    if not 0 < lr < float("inf"):
        raise ArgumentError("the learning rate must be a positive number", got=f"--lr {lr}")
    folder_name = None if data is None else str(data)
    options = Options(dataset, folder_name, epochs, batch_size, lr, shift, seed, limit)
    training, test = DATASETS[dataset](root=data)
    folder = run_folder.create(runs, dataset)
    record = _run(options, training, test, folder, quiet=as_json)
    if as_json:
        click.echo(json.dumps(record))
    else:
        print_result(
            folder, record, summary(NETWORKS[NETWORK].build(), NETWORKS[NETWORK].input_shape)
        )
    return 130 if record["status"] == "interrupted" else 0


def _run(
    options: Options, training: ImageDataset, test: ImageDataset, folder: Path, *, quiet: bool
) -> dict[str, Any]:
    """Train, test and save; returns what the last screen and ``--json`` show."""
    start = time.perf_counter()
    manual_seed(options.seed)
    model = NETWORKS[NETWORK].build()
    optimizer = Adam(model.parameters(), lr=options.lr)
    count = min(options.limit or len(training), len(training))
    data = DataLoader(Shifted(Subset(training, range(count)), options.shift), options.batch_size,
                      shuffle=True)  # fmt: skip
    schedule = CosineAnnealingLR(optimizer, T_max=options.epochs * len(data))
    trainer = Trainer(
        model, optimizer, CrossEntropyLoss(), "accuracy", schedule=schedule, schedule_every="step"
    )
    keeper = _Keeper(folder, options)
    history = trainer.fit(
        data,
        epochs=options.epochs,
        seed=options.seed,
        callbacks=[GradientNorms(every=1), keeper],
        quiet=quiet,
    )
    scores = trainer.evaluate(test)
    record = {
        "run": str(folder),
        "status": history.stopped or "finished",
        "dataset": options.dataset,
        "test": {"accuracy": scores["accuracy"], "loss": scores["loss"], "samples": len(test)},
        "train": {**history.last, "samples": count},
        "epochs": len(history.epochs),
        "steps": history.steps,
        "parameters": sum(p.numel() for p in model.parameters()),
        "seconds": round(time.perf_counter() - start, 2),
    }
    checkpoint.save(folder / run_folder.WEIGHTS, model)
    keeper.write(history, record)
    series = {name: s.values for name, s in history.series.items()}
    return {**record, "gradient_norms": series}


class _Keeper(Callback):
    """Saves the weights and the record after every epoch, so that a killed run leaves its best."""

    def __init__(self, folder: Path, options: Options) -> None:
        self.folder = folder
        self.options = options

    def on_fit_start(self, fit: Fit) -> None:
        self._save(fit)

    def on_epoch_end(self, fit: Fit) -> None:
        self._save(fit)

    def _save(self, fit: Fit) -> None:
        checkpoint.save(self.folder / run_folder.WEIGHTS, fit.model)
        self.write(fit.history, {"status": "running"})

    def write(self, history: History, result: dict[str, Any]) -> None:
        """Write ``run.json``."""
        run_folder.write_record(
            self.folder,
            NETWORK,
            {"options": asdict(self.options), "result": result, "history": history.to_record()},
        )
