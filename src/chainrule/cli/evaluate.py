"""``chainrule evaluate RUN``: score a saved run, on a pair of IDX files or on a sequence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..data.mnist import read_images
from ..errors import ArgumentError
from ..nn import CrossEntropyLoss
from ..train import evaluate as score
from . import saved as sequences
from .output import count, print_json
from .run_folder import check_images, load_run, read_record, warn_unless_finished


@click.command(short_help="Score a saved run.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--images", type=click.Path(path_type=Path), help="IDX file, for a run on images.")
@click.option("--labels", type=click.Path(path_type=Path), help="IDX file, for a run on images.")
@click.option(
    "--data", type=click.Path(path_type=Path, dir_okay=False),
    help="For a run on a series or a text: another file to score. Default: what was held back.",
)  # fmt: skip
@click.option(
    "--batch-size", default=256, show_default=True, type=click.IntRange(min=1),
    help="Images scored at once.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def evaluate(
    run: Path,
    images: Path | None,
    labels: Path | None,
    data: Path | None,
    batch_size: int,
    as_json: bool,
) -> int:
    """Score the network saved in RUN: on images in IDX files, or on a series or a text.

    Of another series, the last 20 % of the years are scored; of another text, all of it.
    """
    if sequences.is_of_sequences(read_record(run)):
        if images is not None or labels is not None:
            raise ArgumentError("this is no run on images", expected="--data FILE, or nothing")
        scores, status = sequences.evaluated(run, data)
        line = _line(scores)
    else:
        if images is None or labels is None or data is not None:
            raise ArgumentError(
                "a run on images is scored on two IDX files", expected="--images and --labels"
            )
        scores, status = _on_images(run, images, labels, batch_size)
        line = (
            f"accuracy {scores['accuracy']:.2%}   loss {scores['loss']:.4f}   "
            f"on {count(scores['samples'], 'sample')}"
        )
    warn_unless_finished(status)
    if as_json:
        print_json(scores)
    else:
        click.echo(line)
    return 0


def _on_images(
    run: Path, images: Path, labels: Path, batch_size: int
) -> tuple[dict[str, Any], str]:
    saved = load_run(run)
    dataset = read_images(images, labels)
    check_images(dataset, saved.input_shape, "the images")
    scores = score(saved.model, CrossEntropyLoss(), dataset, "accuracy", batch_size=batch_size)
    return {
        "accuracy": scores["accuracy"], "loss": scores["loss"], "samples": len(dataset),
    }, saved.status  # fmt: skip


def _line(scores: dict[str, Any]) -> str:
    """The scores of a run on a text or a series."""
    if "nats_per_character" in scores:
        return (
            f"{scores['nats_per_character']:.4f} nats per character   "
            f"on {count(scores['characters'], 'character')}"
        )
    return (
        f"error {scores['rmse']['model']:.4g} one step ahead, {scores['ratio']:.2f} of the better "
        f"naive forecast's   on {count(scores['samples'], 'value')}"
    )
