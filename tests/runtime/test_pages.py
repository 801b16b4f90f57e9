"""Memory of mapped files goes back to the system, and only what the file still holds."""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from chainrule.runtime import build, native, pages
from chainrule.runtime.code import Code
from chainrule.runtime.target import target

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="other systems do not say which pages are a file's"
)
SIZE = 4096 * mmap.PAGESIZE
EMPTY = "define void @kernel(ptr %t, ptr %s, i64 %lo, i64 %hi) {\n  ret void\n}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "numbers"
    path.write_bytes(bytes(range(256)) * (SIZE // 256))
    return path


@pytest.fixture
def private(file: Path) -> Iterator[mmap.mmap]:
    """The file's bytes, as a loader maps them: changes stay in this process."""
    with file.open("rb") as source:
        area = mmap.mmap(source.fileno(), SIZE, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)
    yield area
    _protect(area, mmap.PROT_READ | mmap.PROT_WRITE)


def _protect(area: mmap.mmap, access: int) -> None:
    start = ctypes.addressof(ctypes.c_char.from_buffer(area))
    libc = ctypes.CDLL(None)
    assert libc.mprotect(ctypes.c_void_p(start), ctypes.c_size_t(SIZE), access) == 0


def _resident(field: str = "RssFile") -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise AssertionError(field)


def test_unchanged_pages_go_and_come_back(file: Path, private: mmap.mmap) -> None:
    expected = bytes(private)
    _protect(private, mmap.PROT_READ)
    before = _resident()
    assert pages.release(str(file)) == SIZE
    assert before - _resident() > SIZE // 2
    assert bytes(private) == expected


def test_a_changed_page_is_kept_and_so_are_its_neighbours(file: Path, private: mmap.mmap) -> None:
    private[5 * mmap.PAGESIZE + 7] = 99
    expected = bytes(private)
    _protect(private, mmap.PROT_READ)
    assert pages.release(str(file)) == 0
    assert bytes(private) == expected


def test_what_can_be_written_is_left_alone(file: Path, private: mmap.mmap) -> None:
    assert bytes(private)
    assert pages.release(str(file)) == 0


def test_a_file_that_is_not_mapped_is_nothing(tmp_path: Path) -> None:
    assert pages.release(str(tmp_path / "none")) == 0


def test_llvm_takes_little_memory_after_compiling_and_compiles_again() -> None:
    first = native.compile_text(EMPTY, target())
    full = _resident()
    native.rest()
    assert full - _resident() > 20 * 2**20
    assert native.compile_text(EMPTY, target()) == first


def test_building_a_program_lets_llvm_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path))
    monkeypatch.setattr(build, "_trains", threading.Event())
    rested: list[int] = []
    monkeypatch.setattr(native, "rest", lambda: rested.append(os.getpid()))
    build.build([Code(f"; {tmp_path} alone\n{EMPTY}", 1)], target())
    assert not rested
    codes = [Code(f"; {tmp_path} {i}\n{EMPTY}", 1) for i in range(8)]
    held = build.build(codes, target())
    again = build.build(codes, target())
    assert rested == [os.getpid()]
    assert [k.address for k in held] == [k.address for k in again]
    build.build([Code(f"; {tmp_path} later\n{EMPTY}", 1)], target())
    assert len(rested) == 2
