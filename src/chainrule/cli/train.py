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
from ..data.dataset import Dataset
from ..data.mnist import ImageDataset
from ..errors import ArgumentError, ChainruleError, CheckpointError, TrainingError
from ..nn import CrossEntropyLoss
from ..nn.module import Module
from ..nn.networks import NETWORKS
from ..ops.random import manual_seed
from ..optim import Adam, CosineAnnealingLR
from ..train import Callback, Fit, GradientNorms, History, Trainer, checkpoint, summary
from ..uses.adversarial import FGSM, PGD, AdversarialExamples, GradientAttack, robust_accuracy
from . import run_folder
from .output import print_json
from .screen import print_result

DATASETS: Final[dict[str, Callable[..., tuple[ImageDataset, ImageDataset]]]] = {
    "mnist": MNIST.splits,
    "fashion-mnist": FashionMNIST.splits,
}
NETWORK: Final = "mnist-cnn"
TRAINED_AGAINST: Final[dict[str, Callable[[Module, float], GradientAttack]]] = {
    "fgsm": lambda model, eps: FGSM(model, eps, random_start=True),
    "pgd": lambda model, eps: PGD(model, eps, steps=7),
}
_ATTACKED: Final = 1000
"""Test images that a network trained against an attack is tested on under attack."""
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
    adversarial: str | None = None
    eps: float | None = None


class _Group(click.Group):
    """Commands that are named by what they train on."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command of a name. Raises click.UsageError that lists all for any other."""
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            known = ", ".join(self.list_commands(ctx))
            raise click.UsageError(f"{name!r} is no DATASET. One of: {known}", ctx)
        return super().resolve_command(ctx, args)


@click.group(
    cls=_Group, short_help="Train on images, series, text or an environment.",
    subcommand_metavar="DATASET", no_args_is_help=False,
)  # fmt: skip
def train() -> None:
    """Train on DATASET and report how good the result is.

    --json on each prints one JSON object and nothing else.
    """


@click.command(short_help="The sources' network on pictures.")
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
@click.option(
    "--adversarial", type=click.Choice(sorted(TRAINED_AGAINST)),
    help="Train on images that this attack has moved, and test under attack.",
)  # fmt: skip
@click.option(
    "--eps", default=0.2, show_default=True, type=click.FloatRange(0, 1, min_open=True),
    help="How far --adversarial moves each pixel, of 1.",
)  # fmt: skip
@click.option("--eager", is_flag=True, help="Do not compile the training step.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
@click.pass_context
def images(
    context: click.Context,
    epochs: int,
    batch_size: int,
    lr: float,
    shift: int,
    seed: int,
    limit: int | None,
    data: Path | None,
    runs: Path,
    adversarial: str | None,
    eps: float,
    eager: bool,
    as_json: bool,
) -> int:
    """Train the convolutional network of the sources on mnist or fashion-mnist.

    Conv 32 → pool → Conv 64 → pool → dropout 0.5 → dense 10, with Adam, a rate that falls as a
    cosine, and images shifted by a pixel. The run folder holds the weights (safetensors) and
    run.json; `chainrule evaluate` scores it on other images. Ctrl-C ends the training early and
    keeps what was learnt.

    Exit status: 0 if the training finished, 1 if it diverged, 2 for bad input and for a loss that
    is not finite, 130 after Ctrl-C.
    """
    if not 0 < lr < float("inf"):
        raise ArgumentError("the learning rate must be a positive number", got=f"--lr {lr}")
    dataset = str(context.info_name)
    folder_name = None if data is None else str(data)
    options = Options(
        dataset, folder_name, epochs, batch_size, lr, shift, seed, limit, eager, adversarial,
        eps if adversarial else None,
    )  # fmt: skip
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


for _name in DATASETS:
    train.add_command(images, _name)


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
    images: Dataset = Shifted(Subset(training, range(count)), options.shift)
    if options.adversarial is not None:
        assert options.eps is not None
        attack = TRAINED_AGAINST[options.adversarial](model, options.eps)
        images = AdversarialExamples(images, attack)
    data = DataLoader(images, options.batch_size, shuffle=True)
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
    elif options.eps is not None:
        record["robust"] = _robustness(model, test, options.eps)
    record["seconds"] = round(time.perf_counter() - start, 2)
    keeper.write(history, record)
    series = {name: s.values for name, s in history.series.items()}
    return {**record, "gradient_norms": series}


def _robustness(model: Module, test: ImageDataset, eps: float) -> dict[str, Any]:
    """Accuracy of test images under attack, in evaluation mode."""
    images, labels = test.batch(slice(0, _ATTACKED))
    found = robust_accuracy(model.eval(), images, labels, [eps], steps=20)
    accuracy = {name: values[-1] for name, values in found.accuracy.items()}
    return {"eps": eps, **accuracy, "samples": found.samples}


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
