"""Memory of mapped files that can be given back to the system, because the file still holds it."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import sys
from collections.abc import Iterator

import numpy as np

_PRESENT, _SWAPPED, _OF_FILE = (np.uint64(1 << bit) for bit in (63, 62, 61))
"""Bits of a page in /proc/self/pagemap."""
_ENTRY = 8
_DONTNEED = 4
"""``MADV_DONTNEED`` of Linux."""


def release(path: str) -> int:
    """Give back the pages of a mapped file that nothing has changed; bytes that were looked at.

    Whoever needs them again gets them from the file (from the system's cache of it, as a rule), so
    code may even be running there. Does nothing, and returns 0, on systems other than Linux.
    """
    if not sys.platform.startswith("linux"):
        return 0
    released = 0
    with contextlib.suppress(OSError, ValueError), open("/proc/self/pagemap", "rb", 0) as pages:
        for start, end in list(_unwritten(path)):
            if _unchanged(pages.fileno(), start, end) and _madvise(start, end - start):
                released += end - start
    return released


def _unwritten(path: str) -> Iterator[tuple[int, int]]:
    """Where the file is mapped so that it cannot be written."""
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            place, access, _, _, _, *name = line.rstrip("\n").split(maxsplit=5)
            if name == [path] and "w" not in access:
                start, end = place.split("-")
                yield int(start, 16), int(end, 16)


def _unchanged(pagemap: int, start: int, end: int) -> bool:
    """Whether all pages in memory are the file's: a relocation that was written makes its own."""
    first, count = start // mmap.PAGESIZE, (end - start) // mmap.PAGESIZE
    data = os.pread(pagemap, count * _ENTRY, first * _ENTRY)
    flags = np.frombuffer(data, np.uint64)
    there = (flags & (_PRESENT | _SWAPPED)) != 0
    return len(flags) == count and bool(((flags & _OF_FILE) != 0)[there].all())


def _madvise(start: int, size: int) -> bool:
    done: int = ctypes.CDLL(None).madvise(
        ctypes.c_void_p(start), ctypes.c_size_t(size), ctypes.c_int(_DONTNEED)
    )
    return done == 0
