"""The cache of object code on disk: one file per kernel, checked before its code is loaded.

A file is a magic line, the key it was written for, the SHA-256 of the code, and the code. A file
that is anything else, or that another user could have written, counts as missing. Nothing here
raises: without a usable folder the cache is empty and stays so.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import chainrule

from .. import config
from . import native

if TYPE_CHECKING:
    from .target import Target

MAGIC = b"chainrule object code 2\n"
LIMIT = 512 * 2**20
"""Bytes that the folder may hold. Beyond it, the files used longest ago are removed."""

_KEY_BYTES = 32
_HEADER_BYTES = len(MAGIC) + 2 * _KEY_BYTES
_LARGEST_FILE = 64 * 2**20
_SUFFIX = ".o"
_TEMPORARY = ".part"
_STALE_SECONDS = 3600.0


def key(text: str, target: Target) -> bytes:
    """SHA-256 of all that the object code depends on: text, target, LLVM and this package."""
    parts = (
        text, target.triple, target.cpu, target.features,
        native.version(), native.RECIPE, chainrule.__version__,
    )  # fmt: skip
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode()
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.digest()


def default_folder() -> Path | None:
    """Where compiled code is kept, by ``CHAINRULE_CACHE`` or the user's cache folder; or None."""
    chosen = config.environment("CHAINRULE_CACHE")
    if chosen == "off":
        return None
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "chainrule"
    except RuntimeError:
        return None


class Cache:
    """Object code by key, in a folder that only this user can write.

    Any number of processes may use a folder at once: files appear whole or not at all.
    """

    def __init__(self, folder: Path | None, limit: int = LIMIT) -> None:
        self.folder = folder if folder is not None and _prepare(folder) else None
        self._limit = limit
        self._written = limit
        """Bytes since the folder was looked through; it has not been yet."""

    def get(self, key: bytes) -> bytes | None:
        """The code kept under a key, or None. A damaged or foreign file is removed."""
        if self.folder is None:
            return None
        path = self._path(key)
        try:
            data = _read_own(path)
        except OSError:
            return None
        code = None if data is None else _checked(data, key)
        with contextlib.suppress(OSError):
            if code is None:
                path.unlink()
            else:
                os.utime(path)
        return code

    def put(self, key: bytes, code: bytes) -> None:
        """Keep code under a key, if the folder can be written."""
        if self.folder is None:
            return
        data = b"".join((MAGIC, key, hashlib.sha256(code).digest(), code))
        temporary = None
        try:
            descriptor, temporary = tempfile.mkstemp(suffix=_TEMPORARY, dir=self.folder)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            os.replace(temporary, self._path(key))
            self._written += len(data)
        except OSError:
            if temporary is not None:
                with contextlib.suppress(OSError):
                    os.unlink(temporary)

    def trim(self) -> None:
        """Remove what was used longest ago until nine tenths of the limit are left.

        The folder is looked through when a sixteenth of the limit has been written since it last
        was: with thousands of files that takes as long as compiling a few kernels.
        """
        if self.folder is None or self._written < self._limit // 16:
            return
        self._written = 0
        with contextlib.suppress(OSError):
            files = []
            for path, status in _ours(self.folder):
                if path.endswith(_SUFFIX):
                    files.append((status.st_mtime, status.st_size, path))
                elif status.st_mtime < time.time() - _STALE_SECONDS:
                    _unlink(path)
            total = sum(size for _, size, _ in files)
            if total <= self._limit:
                return
            for _, size, path in sorted(files):
                _unlink(path)
                total -= size
                if total <= self._limit * 9 // 10:
                    return

    def _path(self, key: bytes) -> Path:
        assert self.folder is not None
        return self.folder / (key.hex() + _SUFFIX)


def _unlink(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


def _ours(folder: Path) -> list[tuple[str, os.stat_result]]:
    """Files that this module wrote: other names in the folder are left alone."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith((_SUFFIX, _TEMPORARY)):
                with contextlib.suppress(OSError):
                    found.append((entry.path, entry.stat(follow_symlinks=False)))
    return found


def _prepare(folder: Path) -> bool:
    """Make the folder if need be; False, with a warning if it is unsafe, when it cannot serve."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        status = folder.stat()
    except OSError:
        return False
    if not stat.S_ISDIR(status.st_mode):
        return False
    if _is_private(status):
        return True
    warnings.warn(
        f"compiled code is not cached: others can write to {folder}; "
        "make it yours alone with chmod go-w, or name another folder in CHAINRULE_CACHE",
        RuntimeWarning,
        stacklevel=2,
    )
    return False


def _is_private(status: os.stat_result) -> bool:
    """Whether only this user (and root) can write to it."""
    if os.name == "nt":
        return True
    return status.st_uid == os.geteuid() and not status.st_mode & 0o022


def _read_own(path: Path) -> bytes | None:
    """A file's bytes; None if it is not a plain file that only this user can write."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(path, flags | getattr(os, "O_BINARY", 0))
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or not _is_private(status):
            return None
        return file.read() if status.st_size <= _LARGEST_FILE else None


def _checked(data: bytes, key: bytes) -> bytes | None:
    """The code in a file's bytes, if they are what was written under the key."""
    code = data[_HEADER_BYTES:]
    expected = MAGIC + key + hashlib.sha256(code).digest()
    return code if data[:_HEADER_BYTES] == expected else None
