"""``chainrule evaluate RUN``: score a saved run on a pair of IDX files."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ..data.mnist import read_images
from ..nn import CrossEntropyLoss
from ..optim import SGD
from ..train import Trainer
from .run_folder import load_run


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--images", required=True, type=click.Path(path_type=Path), help="IDX file.")
@click.option("--labels", required=True, type=click.Path(path_type=Path), help="IDX file.")
@click.option(
    "--batch-size", default=256, show_default=True, type=click.IntRange(min=1),
    help="Images scored at once.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def evaluate(run: Path, images: Path, labels: Path, batch_size: int, as_json: bool) -> int:
    """Score the network saved in RUN on IDX files, plain or gzipped."""
    model = load_run(run)
    dataset = read_images(images, labels)
    optimizer = SGD(model.parameters(), lr=0.0)  # a Trainer has one; evaluating never steps it
    trainer = Trainer(model, optimizer, CrossEntropyLoss(), metrics=("accuracy",))
    scores = trainer.evaluate(dataset, batch_size=batch_size)
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
