"""Files of tensors: whole or absent, and never believed when they are read."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chainrule.errors import CheckpointError
from chainrule.train import load_arrays, save_arrays, storage, write_atomically

ARRAYS = {
    "weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "bias": np.array([1.5, -2.0]),
    "count": np.array(7, np.int64),
    "none": np.zeros((0, 3), np.float32),
    "mask": np.array([True, False, True]),
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "x.safetensors"
    save_arrays(path, ARRAYS, {"step": 3, "name": "é"})
    return path


def test_arrays_and_notes_come_back_as_they_were(file: Path) -> None:
    stored = load_arrays(file)
    assert stored.notes == {"step": 3, "name": "é"}
    assert stored.arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert stored.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(stored.arrays[name], array)


def test_views_in_any_memory_order_are_saved_as_they_look(tmp_path: Path) -> None:
    base = np.arange(24.0).reshape(2, 3, 4)
    views = {"t": base.T, "f": np.asfortranarray(base[0]), "s": base[:, ::-1, ::2]}
    save_arrays(tmp_path / "x", views)
    for name, array in load_arrays(tmp_path / "x").arrays.items():
        np.testing.assert_array_equal(array, views[name])


def test_the_same_contents_give_the_same_bytes(file: Path, tmp_path: Path) -> None:
    save_arrays(tmp_path / "y", dict(reversed(ARRAYS.items())), {"name": "é", "step": 3})
    assert (tmp_path / "y").read_bytes() == file.read_bytes()


def test_other_programs_can_read_the_file(file: Path) -> None:
    loaded = safetensors.numpy.load_file(file)
    np.testing.assert_array_equal(loaded["weight"], ARRAYS["weight"])


def test_files_of_other_programs_are_read_if_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "x"
    safetensors.numpy.save_file({"w": np.ones(3)}, path)
    with pytest.raises(CheckpointError, match="not written by chainrule"):
        load_arrays(path)
    stored = load_arrays(path, foreign=True)
    assert stored.arrays["w"].tolist() == [1.0, 1.0, 1.0]
    assert stored.notes == {}


# Damage -------------------------------------------------------------------------------------------


def test_truncation_at_every_byte_is_noticed(file: Path) -> None:
    for length in reversed(range(file.stat().st_size)):
        os.truncate(file, length)
        with pytest.raises(CheckpointError):
            load_arrays(file)


def test_every_flipped_bit_is_noticed(file: Path) -> None:
    data = file.read_bytes()
    with file.open("r+b", buffering=0) as raw:
        for where, byte in enumerate(data):
            for bit in range(8):
                os.pwrite(raw.fileno(), bytes([byte ^ 1 << bit]), where)
                with pytest.raises(CheckpointError):
                    load_arrays(file)
            os.pwrite(raw.fileno(), bytes([byte]), where)
    load_arrays(file)


def test_bytes_at_the_end_are_noticed(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"\0")
    with pytest.raises(CheckpointError):
        load_arrays(file)


@settings(
    deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.binary(max_size=200), st.integers(0, 300))
def test_any_bytes_are_a_checkpoint_error(tmp_path: Path, data: bytes, length: int) -> None:
    path = tmp_path / "x"
    path.write_bytes(length.to_bytes(8, "little") + data)
    with pytest.raises(CheckpointError):
        load_arrays(path)


def with_header(path: Path, header: Any, payload: bytes = b"") -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + payload)
    return path


def entry(shape: Any = (2,), offsets: Any = (0, 8), dtype: Any = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


@pytest.mark.parametrize(
    ("header", "payload"),
    [
        ([], b""),
        (b'{"a": {}, "a": {}}', b""),
        (b"{" * 100_000, b""),
        (b"\xff\xfe", b""),
        ({"a": 1}, b""),
        ({"a": entry()}, b""),
        ({"a": entry()}, bytes(9)),
        ({"a": entry(dtype="F99")}, bytes(8)),
        ({"a": entry(dtype=None)}, bytes(8)),
        ({"a": entry(shape=[2.0])}, bytes(8)),
        ({"a": entry(shape=[True, 2])}, bytes(8)),
        ({"a": entry(shape=[-1, -2])}, bytes(8)),
        ({"a": entry(shape=None)}, bytes(8)),
        ({"a": entry(shape=[2**40, 2**40])}, bytes(8)),
        ({"a": entry(shape=[1] * 40 + [2])}, bytes(8)),
        ({"a": entry(offsets=[8, 0])}, bytes(8)),
        ({"a": entry(offsets=[0])}, bytes(8)),
        ({"a": entry(offsets=[0, 8, 9])}, bytes(8)),
        ({"a": entry(offsets=[1, 9])}, bytes(9)),
        ({"a": entry(), "b": entry()}, bytes(8)),
        ({"a": entry(), "b": entry(offsets=[9, 17])}, bytes(17)),
        ({"n" * 600: entry()}, bytes(8)),
        ({"__metadata__": {"a": 1}, "a": entry()}, bytes(8)),
        ({"__metadata__": [], "a": entry()}, bytes(8)),
        ({"__metadata__": {"chainrule": "{}"}, "a": entry()}, bytes(8)),
        ({"__metadata__": {"chainrule": "[]"}, "a": entry()}, bytes(8)),
        ({"__metadata__": {"chainrule": "{"}, "a": entry()}, bytes(8)),
    ],
)
def test_each_kind_of_bad_header_is_refused(tmp_path: Path, header: Any, payload: bytes) -> None:
    with pytest.raises(CheckpointError):
        load_arrays(with_header(tmp_path / "x", header, payload), foreign=True)


def test_headers_and_entries_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_arrays(tmp_path / "x", {f"a{i}": np.zeros(1) for i in range(5)})
    monkeypatch.setattr(storage, "MAX_ENTRIES", 4)
    with pytest.raises(CheckpointError, match="5 tensors"):
        load_arrays(tmp_path / "x")
    monkeypatch.setattr(storage, "MAX_HEADER", 100)
    with pytest.raises(CheckpointError, match="header"):
        load_arrays(tmp_path / "x")


def test_what_is_no_file_is_a_checkpoint_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "absent", tmp_path, tmp_path / "pipe"):
        with pytest.raises(CheckpointError):
            load_arrays(path)


# Writing ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arrays", "notes"),
    [
        ({"a": np.array(["text"])}, {}),
        ({"a": np.zeros(2)}, {"x": float("nan")}),
        ({"a": np.zeros(2)}, {"x": object()}),
    ],
)
def test_what_cannot_be_expressed_is_refused_before_anything_is_written(
    tmp_path: Path, arrays: Any, notes: Any
) -> None:
    with pytest.raises(CheckpointError):
        save_arrays(tmp_path / "x", arrays, notes)
    assert not list(tmp_path.iterdir())


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot write"):
        save_arrays(tmp_path / "absent" / "x", ARRAYS)


@pytest.mark.parametrize("call", ["fsync", "replace", "write"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(
    file: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    before = file.read_bytes()

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if call == "fsync":
        monkeypatch.setattr(os, "fsync", fail)
    elif call == "replace":
        monkeypatch.setattr(Path, "replace", fail)
    else:
        monkeypatch.setattr(Path, "open", fail_on_write(Path.open, fail))
    with pytest.raises(CheckpointError, match="No space left"):
        save_arrays(file, {"w": np.zeros(3)})
    monkeypatch.undo()
    assert file.read_bytes() == before
    assert [p.name for p in file.parent.iterdir()] == [file.name]


def fail_on_write(original: Callable[..., Any], fail: Callable[..., None]) -> Callable[..., Any]:
    """An `open` whose files for writing are full after half of the bytes."""

    class Full:
        def __init__(self, file: Any) -> None:
            self.file = file

        def write(self, data: bytes) -> None:
            self.file.write(data[: len(data) // 2])
            fail()

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()

    def opened(path: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        file = original(path, mode, *args, **kwargs)
        return Full(file) if "x" in mode else file

    return opened


def test_an_interrupt_while_writing_leaves_the_old_file(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = file.read_bytes()

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(file, b"new")
    monkeypatch.undo()
    assert file.read_bytes() == before
    assert len(list(file.parent.iterdir())) == 1


KILLED = """
import sys
import numpy as np
from chainrule.train import save_arrays
number = 0
while True:
    number += 1
    save_arrays(sys.argv[1], {"w": np.full(200_000, number, np.float32)}, {"number": number})
    print(number, flush=True)
"""


def test_a_process_killed_while_saving_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    rng = np.random.default_rng(0)
    for _ in range(6):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for _ in range(rng.integers(1, 8)):
            process.stdout.readline()
        process.kill()  # while it saves the next file
        process.communicate()
        stored = load_arrays(path)
        assert (stored.arrays["w"] == stored.notes["number"]).all()
