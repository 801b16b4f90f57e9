"""``chainrule export RUN FILE``: a trained network for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np

from ..errors import ArgumentError
from ..interop.onnx import export_onnx
from ..train.storage import save_arrays
from .output import print_json
from .run_folder import load_run, warn_unless_finished


@click.command(short_help="Write a trained network as ONNX or safetensors.")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def export(run: Path, file: Path, as_json: bool) -> int:
    """Write the network of RUN to FILE; its suffix says how.

    .onnx is the network with its weights, for any batch size (needs chainrule[export]);
    .safetensors are its weights, named as PyTorch names them.
    """
    saved = load_run(run)
    warn_unless_finished(saved.status)
    kinds = {".onnx": _onnx, ".safetensors": _weights}
    if file.suffix not in kinds:
        raise ArgumentError(
            "the suffix says what to write", expected=" or ".join(kinds), got=repr(file.name)
        )
    kinds[file.suffix](saved, file)
    size = file.stat().st_size
    if as_json:
        print_json({"file": str(file), "bytes": size})
    else:
        click.echo(f"wrote {file} ({size:,} bytes)")
    return 0


def _onnx(saved: Any, file: Path) -> None:
    if not saved.input_shape:
        raise ArgumentError(
            "a network that reads text is exported as its weights only",
            expected="a file that ends in .safetensors", got=file.name,
        )  # fmt: skip
    example = np.zeros((2, *saved.input_shape), np.float32)
    export_onnx(saved.model, file, example, input_names=["input"], output_names=["output"])


def _weights(saved: Any, file: Path) -> None:
    save_arrays(file, {name: x.array for name, x in saved.model.state_dict().items()})
