"""Reading IDX files, plain or gzipped: the format of MNIST and Fashion-MNIST.

A file is the magic number (two zero bytes, an element type, the number of axes), one big-endian
uint32 per axis, then the elements, big-endian, the last axis fastest. Every field is checked
against the bytes that are really there before memory is asked for, and no file, however made, does
anything but give an array or raise DataError.
"""

from __future__ import annotations

import gzip
import math
import os
import stat
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeAlias

import numpy as np

from ..core.aval import DType, Shape
from ..errors import DataError

PathLike: TypeAlias = str | os.PathLike[str]

ELEMENT_TYPES: Final[dict[int, DType]] = {
    0x08: np.dtype(np.uint8),
    0x09: np.dtype(np.int8),
    0x0B: np.dtype(np.int16),
    0x0C: np.dtype(np.int32),
    0x0D: np.dtype(np.float32),
    0x0E: np.dtype(np.float64),
}
"""Element types by the third byte of the magic number."""

MAX_BYTES: Final = 2**31
"""Default bound on the size of an array that is read: 45 times the full MNIST."""

_MAX_NDIM: Final = 8
_GZIP_MAGIC: Final = b"\x1f\x8b"
_DEFLATE_MAX_RATIO: Final = 1032
"""No deflate stream expands further: 258 bytes from two bits (RFC 1951)."""
_CHUNK: Final = 1 << 20


def read_idx(path: PathLike, *, max_bytes: int = MAX_BYTES) -> np.ndarray[Any, DType]:
    """The array in an IDX file, in native byte order.

    Gzip is recognised by its first two bytes, not by the file's name. At most `max_bytes` are
    accepted for the array.

    Raises DataError for a file that is missing, unreadable, not IDX, truncated, longer than its
    header says, or larger than `max_bytes`.

    >>> import tempfile, pathlib
    >>> folder = tempfile.TemporaryDirectory()
    >>> file = pathlib.Path(folder.name, "labels")
    >>> _ = file.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]))
    >>> read_idx(file)
    array([7, 2, 1], dtype=uint8)
    >>> folder.cleanup()
    """
    path = Path(path)
    with opened(path) as (stream, size, zipped):
        if not zipped:
            return _parse(stream, path, room=size, room_is="bytes in the file", limit=max_bytes)
        return _parse(
            stream,
            path,
            room=size * _DEFLATE_MAX_RATIO,
            room_is=f"bytes that {size} gzipped ones can hold",
            limit=max_bytes,
        )


@contextmanager
def opened(path: Path) -> Iterator[tuple[BinaryIO, int, bool]]:
    """A regular file, unzipped if it is gzipped; the size of the file, and whether it is.

    Raises DataError for a file that cannot be read, also in the block.
    """
    try:
        with open(path, "rb", opener=_open_regular) as raw:
            size = os.fstat(raw.fileno()).st_size
            zipped = raw.read(2) == _GZIP_MAGIC
            raw.seek(0)
            if not zipped:
                yield raw, size, False
                return
            with gzip.GzipFile(fileobj=raw) as stream:
                yield stream, size, True  # type: ignore[misc]  # reads like a binary file
    except (gzip.BadGzipFile, zlib.error, EOFError) as failure:
        raise DataError(
            f"{path.name} is damaged: {failure}",
            expected="a complete gzip file",
            hint="fetch or copy the file again",
        ) from failure
    except OSError as failure:
        raise DataError(f"cannot read {path}: {failure.strerror or failure}") from failure


def _open_regular(path: str, flags: int) -> int:
    """Open a regular file; a pipe or a device could block for ever or never end."""
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise DataError(f"{path} is not a regular file")
    return descriptor


def _parse(
    stream: BinaryIO, path: Path, *, room: int, room_is: str, limit: int
) -> np.ndarray[Any, DType]:
    """Header, elements, and nothing after them."""
    dtype, shape, header = _read_header(stream, path)
    wanted = math.prod(shape) * dtype.itemsize
    described = f"{'×'.join(map(str, shape))} elements of {dtype} = {wanted} bytes"
    if wanted > limit:
        raise DataError(
            f"{path.name} holds more than may be read", expected=f"≤ {limit} bytes", got=described
        )
    if header + wanted > room:
        raise DataError(
            f"{path.name} is truncated, or not what its header says",
            expected=f"{described} after the header",
            got=f"at most {max(room - header, 0)} {room_is}",
        )
    data = _read_exactly(stream, wanted)
    if len(data) < wanted:
        raise DataError(f"{path.name} is truncated", expected=described, got=f"{len(data)} bytes")
    if stream.read(1):
        raise DataError(
            f"{path.name} goes on after its last element",
            expected=described,
            got="more bytes",
            hint="the header and the data do not belong together",
        )
    array = np.frombuffer(data, dtype.newbyteorder(">")).reshape(shape)
    return array.astype(dtype, copy=False)


def _read_header(stream: BinaryIO, path: Path) -> tuple[DType, Shape, int]:
    """Element type, shape and length of the header."""
    magic = stream.read(4)
    dtype = ELEMENT_TYPES.get(magic[2]) if len(magic) == 4 else None
    if dtype is None or magic[:2] != b"\0\0" or not 1 <= magic[3] <= _MAX_NDIM:
        raise DataError(
            f"{path.name} is not an IDX file",
            expected=f"0, 0, a known element type, then 1 to {_MAX_NDIM} axes",
            got=f"first bytes {magic.hex(' ')}" if magic else "an empty file",
        )
    ndim = magic[3]
    sizes = stream.read(4 * ndim)
    if len(sizes) < 4 * ndim:
        raise DataError(f"{path.name} ends within its header", got=f"{4 + len(sizes)} bytes")
    return dtype, struct.unpack(f">{ndim}I", sizes), 4 + 4 * ndim


def _read_exactly(stream: BinaryIO, wanted: int) -> bytearray:
    """Up to `wanted` bytes, in chunks: memory grows with what is there, not what is claimed."""
    data = bytearray()
    while len(data) < wanted:
        chunk = stream.read(min(_CHUNK, wanted - len(data)))
        if not chunk:
            break
        data += chunk
    return data
