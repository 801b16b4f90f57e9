"""Files of tensors: safetensors, written whole or not at all, and distrusted when they are read.

Nothing but safetensors and JSON is ever read, so loading cannot run code. A file is written beside
its place, flushed to the disk and renamed: a crash at any moment leaves the old file or the new.
A digest of names, shapes, numbers and notes goes along, because safetensors itself has none and a
flipped bit in a weight would pass unseen.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple, TypeAlias

import numpy as np
import safetensors
import safetensors.numpy

from ..core.aval import DType
from ..errors import CheckpointError

PathLike: TypeAlias = str | os.PathLike[str]
Arrays: TypeAlias = dict[str, np.ndarray[Any, DType]]

MAX_HEADER: Final = 16 << 20
MAX_ENTRIES: Final = 100_000
MAX_NAME: Final = 512
MAX_NDIM: Final = 32

_NOTE: Final = "chainrule"
"""The one key of the file's metadata: a JSON object with ``digest`` and ``notes``."""

_ITEMSIZE: Final = {
    "BOOL": 1, "U8": 1, "I8": 1, "U16": 2, "I16": 2, "F16": 2, "U32": 4, "I32": 4, "F32": 4,
    "U64": 8, "I64": 8, "F64": 8,
}  # fmt: skip


class Stored(NamedTuple):
    """What a file held: arrays by name, and the notes that were saved with them."""

    arrays: Arrays
    notes: dict[str, Any]


def save_arrays(
    path: PathLike, arrays: Mapping[str, Any], notes: Mapping[str, Any] | None = None
) -> None:
    """Write arrays, and `notes` that JSON can express, as one safetensors file, atomically.

    Raises CheckpointError if that is impossible; what was at `path` before is then still there.
    """
    # safetensors writes memory as it lies: an array in another order would come back transposed.
    plain = {name: np.asarray(a, order="C") for name, a in arrays.items()}
    try:
        text = json.dumps(dict(notes or {}), allow_nan=False, sort_keys=True)
    except (TypeError, ValueError) as failure:
        raise CheckpointError(f"JSON cannot express these notes: {failure}") from failure
    note = json.dumps({"digest": _digest(plain, text), "notes": text})
    try:
        data = safetensors.numpy.save(plain, {_NOTE: note})
    except (safetensors.SafetensorError, KeyError, ValueError) as failure:
        raise CheckpointError(f"safetensors cannot hold these arrays: {failure}") from failure
    write_atomically(path, data)


def load_arrays(path: PathLike, *, foreign: bool = False) -> Stored:
    """Read a file that ``save_arrays`` wrote, or with `foreign` any safetensors file.

    Raises CheckpointError for a file that is missing, truncated, changed in any bit, or beyond the
    bounds of this module. A foreign file has no digest: only its structure can be checked.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise CheckpointError(f"{path} is not a regular file")
    try:
        with path.open("rb") as file:
            metadata = _checked_header(file, path)
        arrays = safetensors.numpy.load_file(path)
    except OSError as failure:
        raise CheckpointError(f"cannot read {path}: {failure.strerror or failure}") from failure
    except (safetensors.SafetensorError, KeyError, ValueError) as failure:
        if isinstance(failure, CheckpointError):
            raise
        raise _damaged(path, str(failure)) from failure
    note = metadata.get(_NOTE)
    if note is None and not foreign:
        raise CheckpointError(
            f"{path.name} was not written by chainrule, or its note is damaged",
            expected=f"a note named {_NOTE!r} in its metadata",
            hint="pass foreign=True to read any safetensors file, unverified",
        )
    return Stored(arrays, {} if note is None else _verified_notes(note, arrays, path))


def write_atomically(path: PathLike, data: bytes) -> None:
    """Write a file whole or not at all, and see to it that it survives a loss of power.

    Raises CheckpointError if the folder is missing or full, or may not be written to.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
    except OSError as failure:
        raise CheckpointError(
            f"cannot write {path}: {failure.strerror or failure}",
            hint="nothing was changed",
        ) from failure


def _sync_folder(folder: Path) -> None:
    """Make the renaming itself durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _digest(arrays: Arrays, notes: str) -> str:
    """SHA-256 over the notes and, in order of their names, all arrays."""
    sha = hashlib.sha256(notes.encode())
    for name in sorted(arrays):
        a = arrays[name]
        sha.update(json.dumps([name, a.dtype.name, a.shape]).encode())
        sha.update(a.reshape(-1).view(np.uint8).data)
    return sha.hexdigest()


def _verified_notes(note: str, arrays: Arrays, path: Path) -> dict[str, Any]:
    held = _json_object(note, path)
    digest, text = held.get("digest"), held.get("notes")
    if not isinstance(text, str) or digest != _digest(arrays, text):
        raise CheckpointError(
            f"{path.name} is damaged: its contents are not those that were saved",
            expected=f"SHA-256 {str(digest)[:16]}…",
            got="another one",
            hint="go back to an earlier checkpoint",
        )
    return _json_object(text, path)


def _checked_header(file: BinaryIO, path: Path) -> dict[str, str]:
    """Check every field of the header against the bytes really there; returns the metadata."""
    size = os.fstat(file.fileno()).st_size
    start = file.read(8)
    length = int.from_bytes(start, "little")
    if len(start) < 8 or length > size - 8:
        raise _damaged(path, f"{size} bytes cannot hold its header")
    if length > MAX_HEADER:
        raise _damaged(path, f"its header of {length} bytes exceeds {MAX_HEADER}")
    header = _json_object(file.read(length), path)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise _damaged(path, "its metadata are not strings")
    if len(header) > MAX_ENTRIES:
        raise _damaged(path, f"{len(header)} tensors exceed {MAX_ENTRIES}")
    spans = sorted(_span(name, entry, path) for name, entry in header.items())
    end = 0
    for begin, stop in spans:
        if begin != end:
            raise _damaged(path, "its tensors overlap or leave holes")
        end = stop
    if end != size - 8 - length:
        raise _damaged(path, f"its tensors take {end} bytes of {size - 8 - length}")
    return metadata


def _span(name: str, entry: Any, path: Path) -> tuple[int, int]:
    """First byte of a tensor and the one after its last, if shape and dtype agree with them."""
    if not isinstance(entry, dict) or len(name.encode("utf-8", "replace")) > MAX_NAME:
        raise _damaged(path, "an entry of its header is not what it should be")
    shape, offsets = _counts(entry.get("shape")), _counts(entry.get("data_offsets"))
    itemsize = _ITEMSIZE.get(str(entry.get("dtype")))
    if itemsize is None:
        raise _damaged(path, f"{name[:80]} is of an unknown type {str(entry.get('dtype'))[:20]}")
    if shape is None or offsets is None or len(shape) > MAX_NDIM or len(offsets) != 2:
        raise _damaged(path, f"{name[:80]} has no proper shape and place")
    begin, stop = offsets
    if stop - begin != math.prod(shape) * itemsize:
        raise _damaged(path, f"{name[:80]} does not fill its place")
    return begin, stop


def _counts(values: Any) -> list[int] | None:
    """`values` if it is a list of whole numbers from 0 to 2⁶³, else None."""
    fits = isinstance(values, list) and all(type(v) is int and 0 <= v < 2**63 for v in values)
    return values if fits else None


def _json_object(text: str | bytes, path: Path) -> dict[str, Any]:
    try:
        found = json.loads(text, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as failure:
        raise _damaged(path, f"its header is not JSON: {failure}") from failure
    if not isinstance(found, dict):
        raise _damaged(path, "its header is not a JSON object")
    return found


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name appears twice")
    return found


def _damaged(path: Path, cause: str) -> CheckpointError:
    return CheckpointError(
        f"{path.name} is not a complete safetensors file: {cause}"[:300],
        hint="it may be truncated; go back to an earlier checkpoint",
    )
