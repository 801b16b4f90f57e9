"""Run folders: what a training run leaves behind, and how it is read again.

``run.json`` holds the name of the network, options, scores and history; ``weights.safetensors`` the
weights. A network is rebuilt by its name from ``nn.networks`` only, so no folder can run code.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from .. import __version__
from ..errors import CheckpointError
from ..nn.module import Module
from ..nn.networks import NETWORKS
from ..train import checkpoint

FORMAT: Final = 1
RECORD: Final = "run.json"
WEIGHTS: Final = "weights.safetensors"
_MAX_RECORD_BYTES: Final = 64 * 2**20


def create(parent: Path, name: str) -> Path:
    """A new folder ``name-DATE-TIME`` below `parent`; a number is added if that is taken."""
    stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    parent.mkdir(parents=True, exist_ok=True)
    for suffix in ("", *(f"-{n}" for n in range(2, 1000))):
        folder = parent / f"{name}-{stamp}{suffix}"
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise CheckpointError("no free name for a run folder", got=str(parent / f"{name}-{stamp}"))


def write_record(folder: Path, network: str, record: Mapping[str, Any]) -> None:
    """Write ``run.json``, whole or not at all."""
    document = {"format": FORMAT, "chainrule": __version__, "network": network, **record}
    unfinished = folder / f".{RECORD}.{os.getpid()}"
    with unfinished.open("w", encoding="utf-8") as stream:
        json.dump(document, stream, indent=1)
        stream.flush()
        os.fsync(stream.fileno())
    unfinished.replace(folder / RECORD)


def load_run(folder: Path) -> tuple[Module, tuple[int, ...]]:
    """The trained network saved in a run folder, in evaluation mode, and the shape of its input.

    Raises CheckpointError for a folder that is missing, unfinished, damaged or of another version.
    """
    record = read_record(folder)
    name = record.get("network")
    network = NETWORKS.get(name) if isinstance(name, str) else None
    if network is None:
        raise CheckpointError(
            "the run names a network that is not known here",
            expected=", ".join(sorted(NETWORKS)),
            got=repr(name)[:80],
        )
    model = network.build()
    checkpoint.load(folder / WEIGHTS, model)
    return model.eval(), network.input_shape


def read_record(folder: Path) -> dict[str, Any]:
    """The contents of ``run.json``. Raises CheckpointError if it is not one of ours."""
    path = folder / RECORD
    if not folder.is_dir() or not path.is_file():
        raise CheckpointError(
            "this is not a run folder",
            expected=f"a folder with {RECORD} and {WEIGHTS}",
            got=str(folder),
            hint="`chainrule train mnist` prints the path of the folder it makes",
        )
    if path.stat().st_size > _MAX_RECORD_BYTES:
        raise CheckpointError(f"{RECORD} is too large", got=f"{path.stat().st_size} bytes")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as failure:
        raise CheckpointError(f"{RECORD} is damaged: {failure}", got=str(path)) from failure
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise CheckpointError(
            f"{RECORD} is not of a version that is known here", expected=f"format {FORMAT}"
        )
    return record
