"""IDX files: good ones are read exactly, all others are a DataError and cost no memory."""

from __future__ import annotations

import gzip
import os
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chainrule.data import read_idx
from chainrule.errors import DataError

CODES = {
    "uint8": 0x08, "int8": 0x09, "int16": 0x0B, "int32": 0x0C, "float32": 0x0D, "float64": 0x0E,
}  # fmt: skip

files = settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def encode(array: np.ndarray[Any, Any]) -> bytes:
    """An array as the bytes of an IDX file."""
    header = bytes([0, 0, CODES[array.dtype.name], array.ndim])
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    return header + sizes + array.astype(array.dtype.newbyteorder(">")).tobytes()


def claim(*sizes: int, code: int = 0x08) -> bytes:
    """A header only."""
    return bytes([0, 0, code, len(sizes)]) + struct.pack(f">{len(sizes)}I", *sizes)


def write(folder: Path, data: bytes) -> Path:
    path = folder / "file"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("dtype", CODES)
@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 3, 4), (0,), (4, 0, 2), (1, 1, 1, 1)])
def test_what_was_written_is_read(
    tmp_path: Path, dtype: str, shape: tuple[int, ...], zipped: bool
) -> None:
    array = (np.random.default_rng(0).normal(size=shape) * 50).astype(dtype)
    data = encode(array)
    found = read_idx(write(tmp_path, gzip.compress(data) if zipped else data))
    assert found.dtype == np.dtype(dtype)
    assert found.dtype.isnative
    np.testing.assert_array_equal(found, array)


SMALL = encode(np.arange(24, dtype=np.int16).reshape(2, 3, 4))


@pytest.mark.parametrize("length", range(len(SMALL)))
def test_truncation_at_every_byte_is_an_error(tmp_path: Path, length: int) -> None:
    with pytest.raises(DataError):
        read_idx(write(tmp_path, SMALL[:length]))


@pytest.mark.parametrize("length", range(len(gzip.compress(SMALL, mtime=0))))
def test_truncation_of_a_gzipped_file_at_every_byte_is_an_error(
    tmp_path: Path, length: int
) -> None:
    with pytest.raises(DataError):
        read_idx(write(tmp_path, gzip.compress(SMALL, mtime=0)[:length]))


@files
@given(where=st.integers(0, len(SMALL) - 1), value=st.integers(0, 255))
def test_any_changed_byte_gives_an_array_or_a_data_error(
    tmp_path: Path, where: int, value: int
) -> None:
    data = bytearray(SMALL)
    data[where] = value
    try:
        found = read_idx(write(tmp_path, bytes(data)))
    except DataError:
        assert where < 16
    else:
        assert found.nbytes == len(SMALL) - 16


@files
@given(st.binary(max_size=64) | st.binary(max_size=40).map(lambda b: b"\x1f\x8b\x08" + b))
def test_any_bytes_give_an_array_or_a_data_error(tmp_path: Path, data: bytes) -> None:
    try:
        found = read_idx(write(tmp_path, data))
    except DataError:
        return
    assert encode(found) == data


@files
@given(st.data())
def test_any_changed_byte_of_a_gzipped_file_gives_the_array_or_a_data_error(
    tmp_path: Path, data: st.DataObject
) -> None:
    raw = bytearray(gzip.compress(SMALL, mtime=0))
    where = data.draw(st.integers(0, len(raw) - 1))
    raw[where] ^= 1 << data.draw(st.integers(0, 7))
    try:
        found = read_idx(write(tmp_path, bytes(raw)))
    except DataError:
        return
    assert encode(found) == SMALL  # only in gzip's own header, say its time stamp


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not an IDX file"),
        (b"\x00\x00\x08", "not an IDX file"),
        (b"\x00\x01\x08\x01" + bytes(8), "not an IDX file"),
        (b"\x00\x00\x07\x01" + bytes(8), "not an IDX file"),
        (b"\x00\x00\x08\x00" + bytes(8), "not an IDX file"),
        (b"\x00\x00\x08\x09" + bytes(64), "not an IDX file"),
        (b"\x89PNG\r\n\x1a\n", "not an IDX file"),
        (claim(3, 3)[:9], "within its header"),
        (claim(5) + bytes(4), "truncated"),
        (claim(5) + bytes(6), "goes on after"),
        (claim(0) + bytes(1), "goes on after"),
        (claim(2**32 - 1, 2**32 - 1) + bytes(9), "more than may be read"),
        (claim(*[2**32 - 1] * 8, code=0x0E), "more than may be read"),
        (claim(2**30) + bytes(9), "truncated"),
        (gzip.compress(claim(2**30), mtime=0), "truncated"),
        (gzip.compress(claim(5) + bytes(9), mtime=0), "goes on after"),
        (gzip.compress(claim(5) + bytes(4), mtime=0), "truncated"),
        (gzip.compress(claim(5) + bytes(5), mtime=0) + b"rubbish", "damaged"),
        (gzip.compress(claim(5) + bytes(5), mtime=0)[:-1], "damaged"),
    ],
)
def test_each_kind_of_bad_file_is_named(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read_idx(write(tmp_path, data))


@pytest.mark.parametrize("zipped", [False, True])
def test_a_claim_of_gigabytes_allocates_nothing(tmp_path: Path, zipped: bool) -> None:
    data = claim(2**31 - 1)
    if zipped:  # enough compressed bytes that deflate could hold what is claimed
        data = gzip.compress(data + os.urandom(3 << 20), 1)
    path = write(tmp_path, data)
    tracemalloc.start()
    try:
        with pytest.raises(DataError):
            read_idx(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 32 << 20


def test_a_gzip_bomb_is_stopped_at_the_size_in_its_header(tmp_path: Path) -> None:
    path = write(tmp_path, gzip.compress(claim(1000) + bytes(64 << 20)))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="goes on after"):
            read_idx(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20


def test_the_caller_may_set_a_bound(tmp_path: Path) -> None:
    path = write(tmp_path, encode(np.zeros(100, np.uint8)))
    assert read_idx(path, max_bytes=100).shape == (100,)
    with pytest.raises(DataError, match="more than may be read"):
        read_idx(path, max_bytes=99)


def test_what_is_no_readable_file_is_a_data_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "absent", tmp_path, tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(DataError):
            read_idx(path)
