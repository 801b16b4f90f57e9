"""``chainrule evaluate RUN``: score a saved run on a pair of IDX files."""

from __future__ import annotations

from pathlib import Path

import click

from ..data.mnist import read_images
from ..nn import CrossEntropyLoss
from ..train import evaluate as score
from .output import count, print_json
from .run_folder import FINISHED, check_images, load_run


@click.command(short_help="Score a saved run on IDX files.")
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
    saved = load_run(run)
    dataset = read_images(images, labels)
    check_images(dataset, saved.input_shape, "the images")
    if saved.status != FINISHED:
        click.echo(f"warning: this run did not finish; its status: {saved.status}", err=True)
    scores = score(saved.model, CrossEntropyLoss(), dataset, "accuracy", batch_size=batch_size)
    if as_json:
        print_json(
            {"accuracy": scores["accuracy"], "loss": scores["loss"], "samples": len(dataset)}
        )
    else:
        click.echo(
            f"accuracy {scores['accuracy']:.2%}   loss {scores['loss']:.4f}   "
            f"on {count(len(dataset), 'sample')}"
        )
    return 0
