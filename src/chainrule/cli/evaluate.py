"""``chainrule evaluate RUN``: score a saved run on a pair of IDX files."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ..data import DataLoader
from ..data.mnist import read_images
from ..nn import CrossEntropyLoss
from ..train import Trainer
from .run_folder import load_run


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--images", required=True, type=click.Path(path_type=Path), help="IDX file of images.")
@click.option("--labels", required=True, type=click.Path(path_type=Path), help="IDX file of labels.")
@click.option("--batch-size", default=256, show_default=True, help="Images scored at once.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def evaluate(run: Path, images: Path, labels: Path, batch_size: int, as_json: bool) -> int:
    """Score the network saved in RUN on IDX files, plain or gzipped."""
    model = load_run(run)
    dataset = read_images(images, labels)
    trainer = Trainer(model, loss=CrossEntropyLoss(), metrics=("accuracy",))
    scores = trainer.evaluate(DataLoader(dataset, batch_size=batch_size))
    result = {
        "accuracy": scores["accuracy"],
        "loss": scores["loss"],
        "samples": len(dataset),
    }
    if as_json:
        click.echo(json.dumps(result))
    else:
        click.echo(
            f"accuracy {result['accuracy']:.2%}   loss {result['loss']:.4f}   "
            f"on {result['samples']:,} samples"
        )
    return 0
