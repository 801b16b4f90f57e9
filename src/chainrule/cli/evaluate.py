"""``chainrule evaluate RUN``: score a saved run on a pair of IDX files."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ..data.mnist import read_images
from ..errors import DataError
from ..nn import CrossEntropyLoss
from ..train import evaluate as score
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
    model, input_shape = load_run(run)
    dataset = read_images(images, labels)
    if dataset.images.shape[1:] != input_shape:
        raise DataError(
            "the images are not of the size that the network was trained on",
            expected="×".join(map(str, input_shape[1:])),
            got="×".join(map(str, dataset.images.shape[2:])),
        )
    scores = score(model, CrossEntropyLoss(), dataset, "accuracy", batch_size=batch_size)
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
