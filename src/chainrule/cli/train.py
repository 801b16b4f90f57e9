"""``chainrule train DATASET``: train the sources' network and leave a run folder."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import click

from ..data import MNIST, DataLoader, FashionMNIST, Shifted, Subset
from ..data.mnist import ImageDataset
from ..errors import ArgumentError, ChainruleError, CheckpointError, TrainingError
from ..nn import CrossEntropyLoss
from ..nn.networks import NETWORKS
from ..ops.random import manual_seed
from ..optim import Adam, CosineAnnealingLR
from ..train import Callback, Fit, GradientNorms, History, Trainer, checkpoint, summary
from . import run_folder
from .output import print_json
from .screen import print_result

DATASETS: Final[dict[str, Callable[..., tuple[ImageDataset, ImageDataset]]]] = {
    "mnist": MNIST.splits,
    "fashion-mnist": FashionMNIST.splits,
}
NETWORK: Final = "mnist-cnn"
_EXIT_STATUS: Final = {run_folder.FINISHED: 0, "diverged": 1, "interrupted": 130}


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
    eager: bool = False


@click.command(short_help="Train on MNIST or Fashion-MNIST.")
@click.argument("dataset", metavar="DATASET", type=click.Choice(sorted(DATASETS)))
@click.option(
    "--epochs", default=20, show_default=True, type=click.IntRange(min=1),
    help="Passes over the training images.",
)  # fmt: skip
@click.option(
    "--batch-size", default=64, show_default=True, type=click.IntRange(min=1),
    help="Images in a step.",
)  # fmt: skip
@click.option("--lr", default=2e-3, show_default=True, help="Adam's rate; falls to 0 as a cosine.")
@click.option(
    "--shift", default=1, show_default=True, type=click.IntRange(0, 8),
    help="Move each training image by up to so many pixels, anew each time; 0: plain images.",
)  # fmt: skip
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(0, 2**64 - 1), metavar="INTEGER",
    help="Same seed, same bits: on the same machine, with the same number of BLAS threads "
    "(OPENBLAS_NUM_THREADS).",
)  # fmt: skip
@click.option("--limit", type=click.IntRange(min=1), help="Train on the first so many images only.")
@click.option(
    "--data", type=click.Path(path_type=Path), help="Folder with the data set's four IDX files."
)
@click.option(
    "--runs", default="runs", show_default=True, type=click.Path(path_type=Path),
    help="Where the run folder is made.",
)  # fmt: skip
@click.option("--eager", is_flag=True, help="Do not compile the training step.")
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
    eager: bool,
    as_json: bool,
) -> int:
    """Train the convolutional network of the sources on DATASET: mnist or fashion-mnist.

    Conv 32 → pool → Conv 64 → pool → dropout 0.5 → dense 10, with Adam, a rate that falls as a
    cosine, and images shifted by a pixel. The run folder holds the weights (safetensors) and
    run.json; `chainrule evaluate` scores it on other images. Ctrl-C ends the training early and
    keeps what was learnt.

    Exit status: 0 if the training finished, 1 if it diverged, 2 for bad input and for a loss that
    is not finite, 130 after Ctrl-C.
    """
    if not 0 < lr < float("inf"):
        raise ArgumentError("the learning rate must be a positive number", got=f"--lr {lr}")
    folder_name = None if data is None else str(data)
    options = Options(dataset, folder_name, epochs, batch_size, lr, shift, seed, limit, eager)
    training, test = DATASETS[dataset](root=data)
    shape = NETWORKS[NETWORK].input_shape
    run_folder.check_images(training, shape, "the training images")
    run_folder.check_images(test, shape, "the test images")
    with run_folder.new(runs, dataset) as folder:
        record = _run(options, training, test, folder, quiet=as_json)
    if as_json:
        print_json(record)
    else:
        print_result(folder.path, record, summary(NETWORKS[NETWORK].build(), shape))
    return _EXIT_STATUS[record["status"]]


def _run(
    options: Options,
    training: ImageDataset,
    test: ImageDataset,
    folder: run_folder.Folder,
    *,
    quiet: bool,
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
        model, optimizer, CrossEntropyLoss(), "accuracy", schedule=schedule, schedule_every="step",
        compile=not options.eager,
    )  # fmt: skip
    keeper = _Keeper(folder, options)
    history = _fitted(trainer, data, options, keeper, quiet)
    record: dict[str, Any] = {
        "run": str(folder.path),
        "status": history.stopped or run_folder.FINISHED,
        "dataset": options.dataset,
        "test": None,
        "train": {**history.last, "samples": count},
        "epochs": len(history.epochs),
        "steps": keeper.steps,
        "parameters": sum(p.numel() for p in model.parameters()),
        "seconds": round(time.perf_counter() - start, 2),
    }
    # Before the test, so that another Ctrl-C there costs the scores only.
    checkpoint.save(folder.path / run_folder.WEIGHTS, model)
    keeper.write(history, record)
    folder.keep = True
    scores = trainer.evaluate(test)
    record["test"] = {
        "accuracy": scores["accuracy"], "loss": scores["loss"], "samples": len(test),
    }  # fmt: skip
    if not math.isfinite(scores["loss"]):
        record["status"] = "diverged"
    record["seconds"] = round(time.perf_counter() - start, 2)
    keeper.write(history, record)
    series = {name: s.values for name, s in history.series.items()}
    return {**record, "gradient_norms": series}


def _fitted(
    trainer: Trainer, data: DataLoader, options: Options, keeper: _Keeper, quiet: bool
) -> History:
    """Train. A failure after the first epoch is noted in the run folder.

    Raises KeyboardInterrupt if training was interrupted before its first step.
    """
    try:
        history = trainer.fit(
            data,
            epochs=options.epochs,
            seed=options.seed,
            callbacks=[GradientNorms(every=1), keeper],
            quiet=quiet,
        )
    except (ChainruleError, OSError, MemoryError) as failure:
        if isinstance(failure, TrainingError):
            failure.hint = "try a smaller --lr"
        if keeper.folder.keep:
            status = "diverged" if isinstance(failure, TrainingError) else "failed"
            with suppress(CheckpointError):  # on a full disk, the record of the last epoch stays
                keeper.write(trainer.history, {"status": status, "error": str(failure)})
            click.echo(f"the last full epoch is saved in {keeper.folder.path}", err=True)
        raise
    if not keeper.steps:
        raise KeyboardInterrupt
    return history


class _Keeper(Callback):
    """Saves the weights and the record after every epoch, so that a killed run leaves its best."""

    def __init__(self, folder: run_folder.Folder, options: Options) -> None:
        self.folder = folder
        self.options = options
        self.steps = 0
        """Steps taken, those of an unfinished epoch included."""

    def on_fit_start(self, fit: Fit) -> None:
        self._save(fit)

    def on_step_end(self, fit: Fit) -> None:
        self.steps = fit.step

    def on_epoch_end(self, fit: Fit) -> None:
        self._save(fit)
        self.folder.keep = True

    def _save(self, fit: Fit) -> None:
        checkpoint.save(self.folder.path / run_folder.WEIGHTS, fit.model)
        self.write(fit.history, {"status": "running"})

    def write(self, history: History, result: dict[str, Any]) -> None:
        """Write ``run.json``."""
        run_folder.write_record(
            self.folder.path,
            NETWORK,
            {"options": asdict(self.options), "result": result, "history": history.to_record()},
        )
