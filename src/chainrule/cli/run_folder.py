"""Run folders: what a training run leaves behind, and how it is read again.

``run.json`` holds the name of the network, options, scores and history; ``weights.safetensors`` the
weights. A network is rebuilt by its name from ``nn.networks`` and ``uses.sequences`` only, from
settings that are checked, so no folder can run code.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import click

from .. import __version__
from ..data.mnist import ImageDataset
from ..errors import ArgumentError, CheckpointError, DataError
from ..nn.module import Module
from ..nn.networks import NETWORKS
from ..train import checkpoint, write_atomically
from ..uses.sequences import CharacterModel, Forecaster
from .output import finite

FORMAT: Final = 1
RECORD: Final = "run.json"
WEIGHTS: Final = "weights.safetensors"
SIZED: Final[Mapping[str, Callable[..., Module]]] = {
    "forecaster": Forecaster,
    "characters": CharacterModel,
}
"""The networks whose sizes are in ``run.json``, under ``settings``."""
POLICY: Final = "policy"
"""The network of a run of ``train cartpole`` or ``train trading``: one policy for each seed."""
FINISHED: Final = "finished"
"""The status of a run that ended as it should; see ``load_run`` for the others."""
_MAX_RECORD_BYTES: Final = 64 * 2**20


@dataclass
class Folder:
    """A run folder in the making."""

    path: Path
    keep: bool = False
    """Whether it holds something that is worth keeping if the run fails."""


@contextmanager
def new(parent: Path, name: str) -> Iterator[Folder]:
    """A new folder ``name-DATE-TIME`` below `parent`; a number is added if that is taken.

    If the block fails and `keep` is not set, the folder is removed, and so are the folders above it
    that were made for it.

    Raises ArgumentError if no folder can be made there.
    """
    missing = [p for p in (parent, *parent.parents) if not p.exists()]
    folder: Folder | None = None
    try:
        folder = Folder(_create(parent, name))
        yield folder
    except BaseException:
        if folder is None or not folder.keep:
            _remove(folder, missing)
        raise


def _create(parent: Path, name: str) -> Path:
    stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    try:
        parent.mkdir(parents=True, exist_ok=True)
        for suffix in ("", *(f"-{n}" for n in range(2, 1000))):
            path = parent / f"{name}-{stamp}{suffix}"
            with suppress(FileExistsError):
                path.mkdir()
                return path
    except OSError as failure:
        raise ArgumentError(
            f"no run folder can be made: {failure.strerror or failure}",
            expected="a folder that may be written to",
            got=str(parent)[:120],
            hint="choose another one with --runs",
        ) from failure
    raise ArgumentError("no free name for a run folder", got=str(parent / f"{name}-{stamp}"))


def _remove(folder: Folder | None, made: list[Path]) -> None:
    if folder is not None:
        shutil.rmtree(folder.path, ignore_errors=True)
    for path in made:  # innermost first; another run may use one by now
        with suppress(OSError):
            path.rmdir()


def write_record(folder: Path, network: str, record: Mapping[str, Any]) -> None:
    """Write ``run.json``, whole or not at all. Raises CheckpointError if that is impossible."""
    document = {"format": FORMAT, "chainrule": __version__, "network": network, **record}
    text = json.dumps(finite(document), indent=1, allow_nan=False)
    write_atomically(folder / RECORD, text.encode())


class SavedRun(NamedTuple):
    """A trained network in evaluation mode, the shape of its input, and how its run ended.

    The shape is empty for a network that reads text: it takes any length.
    """

    model: Module
    input_shape: tuple[int, ...]
    status: str


def load_run(folder: Path) -> SavedRun:
    """The network saved in a run folder.

    A run that did not finish can be loaded too, with the weights it had last: its `status` is then
    ``running`` (or killed), ``interrupted``, ``diverged`` or ``failed``.

    Raises CheckpointError for a folder that is missing, damaged or of another version.
    """
    record = read_record(folder)
    model, shape = _built(record)
    try:
        checkpoint.load(folder / WEIGHTS, model)
    except CheckpointError as failure:
        raise CheckpointError(
            f"the weights of this run cannot be used: {failure.cause}",
            expected=failure.expected,
            got=failure.got,
            hint="restore the folder from a copy, or train again",
        ) from failure
    return SavedRun(model.eval(), shape, status_of(record))


def status_of(record: Mapping[str, Any]) -> str:
    """How the run of a record ended."""
    result = record.get("result")
    status = result.get("status") if isinstance(result, dict) else None
    return str(status or "unknown")[:80]


def _built(record: Mapping[str, Any]) -> tuple[Module, tuple[int, ...]]:
    """The network that a record names, with new weights, and the shape of its input."""
    name, settings = record.get("network"), record.get("settings")
    if isinstance(name, str) and name in NETWORKS:
        return NETWORKS[name].build(), NETWORKS[name].input_shape
    if not isinstance(name, str) or name not in SIZED:
        raise CheckpointError(
            "the run names a network that is not known here",
            expected=", ".join(sorted([*NETWORKS, *SIZED])),
            got=repr(name)[:80],
        )
    window = record.get("window")
    shape = (window, 1) if type(window) is int and window > 0 else ()
    try:
        if isinstance(settings, dict):
            return SIZED[name](**settings), shape
    except (TypeError, ArgumentError) as failure:
        raise CheckpointError(
            f"the settings of this network are not possible: {failure}"[:200],
        ) from failure
    raise CheckpointError("the run does not say how large its network is")


def warn_unless_finished(status: str) -> None:
    """Say on standard error that a run did not end as it should."""
    if status != FINISHED:
        click.echo(f"warning: this run did not finish; its status: {status}", err=True)


def read_record(folder: Path) -> dict[str, Any]:
    """The contents of ``run.json``.

    Raises CheckpointError if it is not one of ours, or holds policies: commands take no such run.
    """
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
    if record.get("network") == POLICY:
        raise CheckpointError(
            "this run holds policies, which no other command takes",
            expected="a run on images, a series or a text",
            got=str(folder),
            hint=f"the scores of its policies are in its {RECORD}",
        )
    return record


def check_images(dataset: ImageDataset, shape: tuple[int, ...], name: str) -> None:
    """Raise DataError unless the images are of a network's input shape."""
    found = dataset.images.shape[1:]
    if found != shape:
        raise DataError(
            f"{name} are not of the size that the network takes",
            expected="×".join(map(str, shape[1:])),
            got="×".join(map(str, found[1:])),
        )
