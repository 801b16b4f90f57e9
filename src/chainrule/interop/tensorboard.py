"""Event files that TensorBoard reads: scalars, histograms and text, written without TensorFlow.

A file is a sequence of records, each a length, its checksum, an Event message and its checksum
(TensorFlow's record format; checksums are masked CRC-32C). Only the few fields that are needed of
the protocol buffers are written, by hand.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, Final, final

import numpy as np

from ..errors import ArgumentError
from ..train.callbacks import Callback, Fit

BINS: Final = 30
"""Bars of a histogram."""
_POLYNOMIAL: Final = 0x82F63B78
_MASK: Final = 0xA282EAD8
_WORD: Final = 0xFFFFFFFF
_VARINT, _DOUBLE, _BYTES, _FLOAT = 0, 1, 2, 5


@final
class SummaryWriter:
    """Writes what happens in a run into a folder; ``tensorboard --logdir`` shows it.

    Usable as a context. `step` is the number on the horizontal axis.
    """

    def __init__(self, log_dir: str | os.PathLike[str]) -> None:
        folder = Path(log_dir)
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}.{os.getpid()}"
        self.path = folder / name
        self._file = self.path.open("xb")
        self._write(_field(3, b"brain.Event:2"))

    def add_scalar(self, tag: str, value: Any, step: int = 0) -> None:
        """One number of a curve."""
        number = float(value.item() if hasattr(value, "item") else value)
        self._summary(tag, _tag(2, _FLOAT) + struct.pack("<f", number), step)

    def add_scalars(self, tag: str, values: dict[str, Any], step: int = 0) -> None:
        """Numbers of several curves, called ``tag/name``."""
        for name, value in values.items():
            self.add_scalar(f"{tag}/{name}", value, step)

    def add_histogram(self, tag: str, values: Any, step: int = 0, bins: int = BINS) -> None:
        """How numbers are distributed. Those that are not finite are left out.

        Raises ArgumentError if none is left.
        """
        x = np.asarray(values, np.float64).ravel()
        x = x[np.isfinite(x)]
        if not x.size:
            raise ArgumentError("a histogram needs finite numbers", got=f"{np.size(values)} values")
        counts, edges = np.histogram(x, bins)
        numbers = (x.min(), x.max(), x.size, x.sum(), (x * x).sum())
        message = b"".join(
            _tag(i + 1, _DOUBLE) + struct.pack("<d", float(n)) for i, n in enumerate(numbers)
        )
        message += _doubles(6, edges[1:]) + _doubles(7, counts)
        self._summary(tag, _field(5, message), step)

    def add_text(self, tag: str, text: str, step: int = 0) -> None:
        """Text, shown as Markdown."""
        strings = (
            _tag(1, _VARINT) + _varint(7) + _field(2, _field(2, _tag(1, _VARINT) + _varint(1)))
        )
        plugin = _field(9, _field(1, _field(1, b"text")))
        self._summary(tag, plugin + _field(8, strings + _field(8, text.encode())), step)

    def flush(self) -> None:
        """Have all that was added in the file."""
        self._file.flush()

    def close(self) -> None:
        """End the file."""
        self._file.close()

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _summary(self, tag: str, value: bytes, step: int) -> None:
        summary = _field(1, _field(1, tag.encode()) + value)
        self._write(_tag(2, _VARINT) + _varint(int(step)) + _field(5, summary))

    def _write(self, event: bytes) -> None:
        data = _tag(1, _DOUBLE) + struct.pack("<d", time.time()) + event
        length = struct.pack("<Q", len(data))
        self._file.write(length + _masked(length) + data + _masked(data))


@final
class TensorBoard(Callback):
    """Writes the series of a fit, each epoch: losses, metrics, learning rate, watched norms."""

    def __init__(self, log_dir: str | os.PathLike[str]) -> None:
        self.log_dir = log_dir
        self._writer: SummaryWriter | None = None

    def on_fit_start(self, fit: Fit) -> None:
        self._writer = SummaryWriter(self.log_dir)

    def on_epoch_end(self, fit: Fit) -> None:
        assert self._writer is not None
        for name, value in fit.metrics.items():
            self._writer.add_scalar(name, value, fit.epoch)
        self._writer.flush()

    def on_fit_end(self, fit: Fit) -> None:
        if self._writer is not None:
            self._writer.close()


# The format ---------------------------------------------------------------------------------------


def _varint(n: int) -> bytes:
    n &= 2**64 - 1
    found = bytearray()
    while n > 0x7F:
        found.append(n & 0x7F | 0x80)
        n >>= 7
    return bytes([*found, n])


def _tag(field: int, kind: int) -> bytes:
    return _varint(field << 3 | kind)


def _field(field: int, data: bytes) -> bytes:
    return _tag(field, _BYTES) + _varint(len(data)) + data


def _doubles(field: int, values: Iterable[float]) -> bytes:
    return _field(field, np.asarray(values, "<f8").tobytes())


@cache
def _table() -> list[int]:
    found = []
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (_POLYNOMIAL if n & 1 else 0)
        found.append(n)
    return found


def _masked(data: bytes) -> bytes:
    """The checksum of data: CRC-32C, turned and shifted as in TensorFlow's records."""
    table, crc = _table(), _WORD
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= _WORD
    return struct.pack("<I", ((crc >> 15 | crc << 17) + _MASK) & _WORD)
