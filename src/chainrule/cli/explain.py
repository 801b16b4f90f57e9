"""``chainrule explain``: the derivation of an expression, or of a gradient of a saved network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click
import numpy as np
from rich.console import Console

from ..core.value import recording
from ..errors import ArgumentError, IndexRangeError
from ..lens.capture import parse_parameter
from ..lens.derived import explain_expression
from ..lens.drawing import draw, suffix_of
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
from . import saved as sequences
from .output import print_json
from .run_images import images_of

_FORMATS: Final = ("terminal", *RENDERERS, "json")


@click.command(
    short_help="Derive a gradient step by step.",
    context_settings={"ignore_unknown_options": True},  # an expression may begin with a minus
)
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
    help="Of a RUN: the image, window or stretch of text, from 0. Default: 0.",
)  # fmt: skip
@click.option(
    "--split", default="test", show_default=True, type=click.Choice(["test", "train"]),
    help="Of a RUN: which part of the data.",
)  # fmt: skip
@click.option(
    "--data", type=click.Path(path_type=Path),
    help="Of a RUN: folder with the four IDX files, or the file; default: as in training.",
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
@click.option(
    "--draw", "drawing", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="Also draw the graph with values and gradients: FILE.svg, .dot or .mmd (Mermaid).",
)  # fmt: skip
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
    drawing: Path | None,
) -> int:
    """Explain a gradient as the chain-rule product that made it.

    \b
    chainrule explain "sin(x**2)" --at x=1.3
    chainrule explain "x = cos(t); y = exp(t); x**2 * y" --at t=0.4
    chainrule explain runs/mnist-… --param conv2.weight[3,0,1,1] --sample 17
    chainrule explain runs/mnist-… --sample 17 --draw loss.svg

    Each explanation is multiplied back and compared with backward and with a finite difference. If
    they do not agree, that is an error and nothing is shown. Exit status: 0, or 2 for bad input.
    """
    of_run = param is not None or sample is not None
    is_run = (of_run or not at) if _is_folder(what) else (of_run and not at)
    kind = "json" if as_json else kind
    if drawing is not None:
        suffix_of(drawing)
    found: Explanation
    if is_run:
        _refuse({"--at": at, "--let": lets, "--direction": direction}, "an expression")
        loss, found = _of_run(Path(what), param, sample or 0, split, data, top)
        picture = None if drawing is None else draw(loss)
    else:
        _refuse({"--param": param, "--data": data}, "a run folder")
        _refuse({"--sample": sample is not None}, "a run folder")
        given = _numbers(at, "--at")
        towards = _numbers(direction, "--direction") if direction else None
        found = explain_expression("; ".join([*lets, what]), given, direction=towards)
        picture = None if drawing is None else found.draw()
    if drawing is not None and picture is not None:
        picture.save(drawing)
    _show(found, kind)
    return 0


def _is_folder(text: str) -> bool:
    try:
        return bool(text) and Path(text).is_dir()
    except OSError:  # too long to be a path
        return False


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
                raise ArgumentError(
                    f"{option} takes finite numbers", expected=f"{option} {name}=1.3",
                    got=part[:80],
                )  # fmt: skip
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
) -> tuple[Tensor, Explanation]:
    """A saved network's loss on one image, window or stretch of text, and its explanation."""
    wanted = None if param is None else parse_parameter(param)
    if sequences.is_of_sequences(run_folder.read_record(folder)):
        loss, model, status = sequences.sample_loss(folder, sample, split, data)
    else:
        loss, model, status = _image_loss(folder, sample, split, data)
    run_folder.warn_unless_finished(status)
    if wanted is None:
        return loss, explain_layers(loss)
    parameter = _parameter(model, wanted[0])
    return loss, explain_tape(loss, parameter, index=wanted[1], heaviest=top)


def _image_loss(
    folder: Path, sample: int, split: str, data: Path | None
) -> tuple[Tensor, Module, str]:
    """The loss of a saved network on one image, with its graph; the network, and its status."""
    saved = run_folder.load_run(folder)
    images = images_of(folder, split, data)
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
    return loss, saved.model, saved.status


def _parameter(model: Module, name: str) -> Tensor:
    named = dict(model.named_parameters())
    if name not in named:
        raise ArgumentError(
            f"the network has no parameter {name!r}", expected=", ".join(named), got=name
        )
    return named[name]
