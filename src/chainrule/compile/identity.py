"""Which objects were where in the last call: asked in every call, so in one comparison for all."""

from __future__ import annotations

import ctypes
import sys
import weakref
from collections.abc import Callable
from typing import Any, TypeAlias, final

Objects: TypeAlias = tuple[Any, ...]

_WORD = ctypes.sizeof(ctypes.c_void_p)
_HEAD = tuple.__basicsize__
"""Bytes of a tuple before the pointers to what it holds."""


def _number(x: object) -> bytes:
    return id(x).to_bytes(_WORD, sys.byteorder)


def _by_asking(count: int) -> Callable[[Objects], bytes]:
    return lambda objects: b"".join(map(_number, objects))


def _by_looking(count: int) -> Callable[[Objects], bytes]:
    pointers = (ctypes.c_char * (count * _WORD)).from_address
    return lambda objects: pointers(id(objects) + _HEAD).raw


def _reader() -> Callable[[int], Callable[[Objects], bytes]]:
    """How to read the identities of a tuple's objects: from CPython's tuple itself, if that works.

    For 24 objects this takes 0.15 µs, where ``[*map(id, objects)]`` and a comparison take 0.8 µs.
    """
    probe = object(), object(), object()
    if sys.implementation.name == "cpython" and _by_looking(3)(probe) == _by_asking(3)(probe):
        return _by_looking
    return _by_asking


_reader_of = _reader()


@final
class Known:
    """The object at each of `count` places, as last noted; none of them is kept alive by it."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._read = _reader_of(count)
        self._numbers = bytearray(count * _WORD)
        self._references: list[Any] = [None] * count

    def are(self, objects: Objects) -> bool:
        """Whether each of `count` objects is the one noted in its place."""
        assert len(objects) == self._count  # what lies behind them in memory is nobody's
        return self._read(objects) == self._numbers

    def is_at(self, k: int, x: object) -> bool:
        """Whether `x` is the object noted at place k."""
        return self._numbers[k * _WORD : (k + 1) * _WORD] == _number(x)

    def note(self, k: int, x: object) -> None:
        """`x` is at place k, until it dies: another object may get its number then."""
        numbers, place = self._numbers, slice(k * _WORD, (k + 1) * _WORD)
        numbers[place] = _number(x)
        self._references[k] = weakref.ref(x, lambda _: numbers.__setitem__(place, bytes(_WORD)))
