"""``chainrule attribute RUN``: what in its input a saved network's output depends on."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final, NamedTuple

import click

from ..errors import ArgumentError, IndexRangeError
from ..nn.module import Module
from ..uses.attribution import METHODS, Comparison, Scores, explain_all
from . import run_folder
from .output import print_json
from .run_images import image_model, images_of
from .saved import forecast_sample
from .train_series import NETWORK as FORECASTER

_BRIGHTEST: Final = 1e6
"""The largest baseline: an input as large is far from all that a network was trained on."""


class _Sample(NamedTuple):
    """A network, one input (1, ...), the output to explain, and what to call them."""

    model: Module
    x: Any
    target: Any
    name: str
    label: Any


@click.command(short_help="Say what in an input an output depends on.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--sample", default=0, show_default=True, type=click.IntRange(min=0), metavar="N",
    help="Number of the image, or of the window of a series.",
)  # fmt: skip
@click.option("--split", default="test", show_default=True, type=click.Choice(["test", "train"]))
@click.option(
    "--method", "methods", default=["all"], multiple=True,
    type=click.Choice(["all", *METHODS]), help="All by default; may be given several times.",
)  # fmt: skip
@click.option(
    "--target", type=click.IntRange(min=0),
    help="The class or output to explain. Default: the predicted class, or the first step.",
)  # fmt: skip
@click.option(
    "--baseline", default=0.0, show_default=True,
    help="What integrated gradients start from and occlusion covers with.",
)  # fmt: skip
@click.option("--data", type=click.Path(path_type=Path), help="Other data than the run's own.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for pictures (SVG).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def attribute(
    run: Path,
    sample: int,
    split: str,
    methods: tuple[str, ...],
    target: int | None,
    baseline: float,
    data: Path | None,
    out: Path | None,
    as_json: bool,
) -> int:
    """Attribute one output of the network saved in RUN to the elements of one of its inputs.

    For each method: whether its values add up to the change of the score from the baseline
    (completeness), and how far it ranks parts of the input as covering them does (occlusion, which
    uses no gradient). --out writes a picture of each and an overview.

    Exit status: 0, or 1 if integrated gradients are not complete to 1 %.
    """
    if abs(baseline) > _BRIGHTEST or math.isnan(baseline):
        raise ArgumentError(
            "the baseline is not a number that an input could be",
            expected=f"-{_BRIGHTEST:g} to {_BRIGHTEST:g}; inputs are of the order of 1",
            got=f"--baseline {baseline}",
        )
    chosen = _sample(run, sample, split, data, target)
    scores = Scores(chosen.model, chosen.x, chosen.target)
    names = tuple(METHODS) if "all" in methods else methods
    found = explain_all(scores, methods=names, baseline=baseline)
    score = float(next(iter(found.attributions.values())).scores[0])
    title = f"{chosen.name}, output {scores.target}: {score:.4g}"
    pictures = [] if out is None else [str(path) for path in found.save(out, title)]
    if as_json:
        print_json({
            "run": str(run), "sample": sample, "split": split, "label": chosen.label,
            "target": scores.target, "score": score, **found.to_json(), "pictures": pictures,
        })  # fmt: skip
    else:
        _show(title, found, pictures)
    exact = found.attributions.get("integrated_gradients")
    return int(exact is not None and exact.completeness is not None
               and not exact.completeness.holds)  # fmt: skip


def _sample(run: Path, number: int, split: str, data: Path | None, target: int | None) -> _Sample:
    """A sample of a run on images or on a series. Raises IndexRangeError if it is not there."""
    if run_folder.read_record(run).get("network") == FORECASTER:
        forecaster, x, count = forecast_sample(run, number, split, data)
        return _Sample(forecaster, x, target or 0, f"{split} window {number} of {count}", None)
    images = images_of(run, split, data)
    model = image_model(run, images)
    if number >= len(images):
        raise IndexRangeError(
            "there is no such sample",
            expected=f"0 to {len(images) - 1} of the {split} images", got=f"--sample {number}",
        )  # fmt: skip
    label = int(images.labels.array[number])
    name = f"{split} image {number}, label {type(images).classes[label]}"
    return _Sample(model, images.images.array[number : number + 1], target, name, label)


def _show(title: str, found: Comparison, pictures: list[str]) -> None:
    click.echo(f"{title}\n\n{'method':22}agreement with occlusion   completeness")
    for name, one in found.attributions.items():
        rank = found.agreement.get(name, [math.nan])[0]
        told = "-" if math.isnan(rank) else f"{rank:+.3f}"
        click.echo(f"{name:22}{told:>10}{'':17}{one.completeness or '-'}")
    for name, reason in found.skipped.items():
        click.echo(f"{name:22}skipped: {reason}")
    for path in pictures:
        click.echo(f"wrote {path}")
