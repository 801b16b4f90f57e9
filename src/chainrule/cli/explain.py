"""``chainrule explain``: the derivation of an expression, or of a gradient of a saved network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click
import numpy as np
from rich.console import Console

from ..core.value import recording
from ..data.mnist import ImageDataset
from ..errors import ArgumentError, IndexRangeError
from ..lens.capture import parse_parameter
from ..lens.derived import explain_expression
from ..lens.explanation import Explanation
from ..lens.expression import compute, parse
from ..lens.network import explain_layers
from ..lens.render import RENDERERS
from ..lens.terminal import show
from ..lens.views import explain as explain_tape
from ..nn.functional import cross_entropy
from ..nn.module import Module
from ..tensor import Tensor, tensor
from . import run_folder
from .output import print_json
from .train import DATASETS

_FORMATS: Final = ("terminal", *RENDERERS, "json")


@click.command(short_help="Derive a gradient step by step.")
@click.argument("what", metavar="EXPRESSION|RUN")
@click.option(
    "--at", "at", multiple=True, metavar="NAME=NUMBER",
    help="Value of a variable: a number, or constants such as log(0.1). Several with commas.",
)  # fmt: skip
@click.option(
    "--let", "lets", multiple=True, metavar="NAME=EXPRESSION",
    help="An intermediate variable; also as \"u = x**2; sin(u)\".",
)  # fmt: skip
@click.option(
    "--direction", multiple=True, metavar="NAME=NUMBER",
    help="Multiply the Jacobian by this vector; other variables have 0.",
)  # fmt: skip
@click.option(
    "--param", metavar="NAME[INDEX]",
    help="Of a RUN: the parameter, such as conv2.weight[3,0,1,1]. Without it: layer by layer.",
)  # fmt: skip
@click.option(
    "--sample", type=int, metavar="N",
    help="Of a RUN: the image, from 0. Default: 0.",
)  # fmt: skip
@click.option(
    "--split", default="test", show_default=True, type=click.Choice(["test", "train"]),
    help="Of a RUN: which images.",
)  # fmt: skip
@click.option(
    "--data", type=click.Path(path_type=Path),
    help="Of a RUN: folder with the data set's four IDX files; default: as in training.",
)  # fmt: skip
@click.option(
    "--top", default=8, show_default=True, type=click.IntRange(1, 100),
    help="Of a RUN: list so many of the heaviest paths.",
)  # fmt: skip
@click.option(
    "--format", "kind", default="terminal", show_default=True, type=click.Choice(_FORMATS),
    help="How it is written.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
def explain(
    what: str,
    at: Sequence[str],
    lets: Sequence[str],
    direction: Sequence[str],
    param: str | None,
    sample: int | None,
    split: str,
    data: Path | None,
    top: int,
    kind: str,
    as_json: bool,
) -> int:
    """Explain a gradient as the chain-rule product that made it.

    \b
    chainrule explain "sin(x**2)" --at x=1.3
    chainrule explain "x = cos(t); y = exp(t); x**2 * y" --at t=0.4
    chainrule explain runs/mnist-… --param conv2.weight[3,0,1,1] --sample 17

    Each explanation is multiplied back and compared with backward and with a finite difference. If
    they do not agree, that is an error and nothing is shown. Exit status: 0, or 2 for bad input.
    """
    is_run = param is not None or sample is not None or Path(what).is_dir()
    kind = "json" if as_json else kind
    if is_run:
        _refuse({"--at": at, "--let": lets, "--direction": direction}, "an expression")
        _show(_of_run(Path(what), param, sample or 0, split, data, top), kind)
        return 0
    _refuse({"--data": data}, "a run folder")
    text = "; ".join([*lets, what])
    given = _numbers(at, "--at")
    towards = _numbers(direction, "--direction") if direction else None
    _show(explain_expression(text, given, direction=towards), kind)
    return 0


def _refuse(options: dict[str, Any], of: str) -> None:
    for name, value in options.items():
        if value:
            raise ArgumentError(f"{name} is an option of {of}")


def _show(explanation: Explanation, kind: str) -> None:
    if kind == "json":
        print_json(explanation.to_json())
    elif kind == "terminal":
        show(explanation.document(), Console(highlight=False, markup=False))
    else:
        click.echo(RENDERERS[kind](explanation.document()), nl=False)


def _numbers(texts: Sequence[str], option: str) -> dict[str, float]:
    """``x=1.3,y=log(2)``: numbers by name. Raises ArgumentError for anything else."""
    found: dict[str, float] = {}
    for text in texts:
        for part in _parts(text):
            name, equals, body = (piece.strip() for piece in part.partition("="))
            if not equals or not name.isidentifier():
                raise ArgumentError(
                    f"{option} takes NAME=NUMBER", got=part[:80], hint=f"{option} x=1.3"
                )
            if name in found:
                raise ArgumentError(f"{option} gives {name} twice", got=text[:80])
            program = parse(body)
            if program.variables or program.is_vector or len(program.statements) != 1:
                raise ArgumentError(f"{option} takes numbers", got=part[:80])
            with np.errstate(all="ignore"):
                found[name] = float(compute(program.outputs[0], {}))
    return found


def _parts(text: str) -> list[str]:
    """A list cut at the commas that are not inside brackets."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "([") - (letter in ")]")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def _of_run(
    folder: Path, param: str | None, sample: int, split: str, data: Path | None, top: int
) -> Explanation:
    """The explanation of a saved network's loss on one image."""
    saved = run_folder.load_run(folder)
    if saved.status != run_folder.FINISHED:
        click.echo(f"warning: this run did not finish; its status: {saved.status}", err=True)
    wanted = None if param is None else parse_parameter(param)
    parameter = None if wanted is None else _parameter(saved.model, wanted[0])
    images = _images(folder, split, data)
    run_folder.check_images(images, saved.input_shape, "the images")
    if not 0 <= sample < len(images):
        raise IndexRangeError(
            "there is no such sample",
            expected=f"0 to {len(images) - 1} of the {split} images",
            got=f"--sample {sample}",
        )
    with recording(True):
        image = images.images[sample : sample + 1]
        loss = cross_entropy(saved.model(tensor(image)), tensor(images.labels[sample : sample + 1]))
    if parameter is None or wanted is None:
        return explain_layers(loss)
    return explain_tape(loss, parameter, index=wanted[1], heaviest=top)


def _parameter(model: Module, name: str) -> Tensor:
    named = dict(model.named_parameters())
    if name not in named:
        raise ArgumentError(
            f"the network has no parameter {name!r}", expected=", ".join(named), got=name
        )
    return named[name]


def _images(folder: Path, split: str, data: Path | None) -> ImageDataset:
    """The images that the run was trained or tested on."""
    options = run_folder.read_record(folder).get("options")
    options = options if isinstance(options, dict) else {}
    name = options.get("dataset")
    if name not in DATASETS:
        raise ArgumentError("the run names a data set that is not known here", got=repr(name)[:80])
    root = data if data is not None else options.get("data")
    training, test = DATASETS[name](root=None if root is None else Path(str(root)))
    return test if split == "test" else training
