"""Links object code into this process without LLVM: what makes a start from the cache fast.

Loading LLVM's library alone takes longer than a third of a warm start. The object code of a kernel
needs little: its sections next to each other, and differences of addresses written in. Only ELF
files for x86-64 are linked here, with the relocations that LLVM writes for position-independent
code of the small model (System V ABI, AMD64 supplement, section 4.4); LLVM links the others.
"""

from __future__ import annotations

import ctypes
import mmap
import platform
import struct
import sys
import weakref
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

_X86_64 = b"\x3e\x00"
_PROGBITS, _SYMTAB, _RELA, _NOBITS = 1, 2, 4, 8
_ALLOC, _EXECUTABLE = 2, 4
_ABSOLUTE, _PC32, _PLT32, _GOTPCREL, _GOTPCRELX, _REX_GOTPCRELX = 1, 2, 4, 9, 41, 42
_GOT = (_GOTPCREL, _GOTPCRELX, _REX_GOTPCRELX)
_RESERVED = 0xFF00
"""Indices of sections from here on have a special meaning."""
_JUMP = b"\xff\x25"
"""``jmp *offset(%rip)``"""
_SLOT = 8
_UNWINDING = b".eh_frame"
_NONSENSE = (struct.error, IndexError, KeyError, ValueError, OverflowError, StopIteration)
"""What reading a damaged file raises."""


class UnsupportedError(Exception):
    """Object code that is not linked here."""


class _Section(NamedTuple):
    name: int
    kind: int
    flags: int
    offset: int
    size: int
    link: int
    info: int
    align: int


class _Symbol(NamedTuple):
    name: str
    section: int
    value: int


class _Object:
    """The parts of one file that linking needs.

    Raises ``UnsupportedError`` if it is not object code for x86-64, and what Python raises at
    numbers that make no sense.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        if data[:6] != b"\x7fELF\x02\x01" or data[18:20] != _X86_64:
            raise UnsupportedError("not an ELF file for x86-64")
        (at,) = struct.unpack_from("<Q", data, 40)
        width, count, names = struct.unpack_from("<HHH", data, 58)
        self.sections = [self._section(at + i * width) for i in range(count)]
        self._names = self.sections[names].offset
        self.symbols = self._symbols()

    def _section(self, at: int) -> _Section:
        name, kind, flags, _, offset, size, link, info, align, _ = struct.unpack_from(
            "<IIQQQQIIQQ", self.data, at
        )
        return _Section(name, kind, flags, offset, size, link, info, max(1, align))

    def _symbols(self) -> list[_Symbol]:
        table = next(s for s in self.sections if s.kind == _SYMTAB)
        strings = self.sections[table.link].offset
        entries = struct.iter_unpack("<IBBHQQ", self.contents(table))
        return [
            _Symbol(self._string(strings + name), section, value)
            for name, _, _, section, value, _ in entries
        ]

    def _string(self, start: int) -> str:
        return self.data[start : self.data.index(b"\0", start)].decode()

    def contents(self, section: _Section) -> bytes:
        return self.data[section.offset : section.offset + section.size]

    def placed(self) -> list[int]:
        """The sections that go into memory."""
        found = []
        for i, section in enumerate(self.sections):
            start = self._names + section.name
            unwinding = self.data[start : start + len(_UNWINDING)] == _UNWINDING
            if section.flags & _ALLOC and section.size and not unwinding:
                if section.kind not in (_PROGBITS, _NOBITS):
                    raise UnsupportedError(f"a section of kind {section.kind}")
                found.append(i)
        return found


class _Image:
    """Sections of several objects, code first, then data on pages of its own, then addresses."""

    def __init__(self, objects: Mapping[str, bytes]) -> None:
        self.objects = [_Object(data) for data in objects.values()]
        self.size = 0
        self._places: dict[tuple[int, int], int] = {}
        self._stubs: dict[str, int] = {}
        self._slots: dict[str, int] = {}
        placed = [(k, i) for k, found in enumerate(self.objects) for i in found.placed()]
        self._place(placed, code=True)
        for name in self._outside():
            self._stubs[name] = self._take(_SLOT, _SLOT)
        self._take(0, mmap.PAGESIZE)
        self.code_size = self.size
        self._place(placed, code=False)
        for name in self._outside():
            self._slots[name] = self._take(_SLOT, _SLOT)
        self._take(0, mmap.PAGESIZE)

    def _place(self, placed: list[tuple[int, int]], *, code: bool) -> None:
        for k, i in placed:
            section = self.objects[k].sections[i]
            if bool(section.flags & _EXECUTABLE) == code:
                self._places[k, i] = self._take(section.size, section.align)

    def _take(self, size: int, align: int) -> int:
        start = -(-self.size // align) * align
        self.size = start + size
        return start

    def _outside(self) -> list[str]:
        """What the objects call that none of them defines."""
        names = {s.name for found in self.objects for s in found.symbols if s.section == 0}
        return sorted(names - {""})

    def bytes_at(self, base: int) -> bytearray:
        """The memory's contents, if it starts at the address `base`."""
        memory = bytearray(self.size)
        for (k, i), start in self._places.items():
            section = self.objects[k].sections[i]
            if section.kind == _PROGBITS:
                memory[start : start + section.size] = self.objects[k].contents(section)
        for name, slot in self._slots.items():
            struct.pack_into("<Q", memory, slot, _address_of(name))
            stub = self._stubs[name]
            struct.pack_into("<2si", memory, stub, _JUMP, slot - (stub + 6))
        for k in range(len(self.objects)):
            self._relocate(memory, k, base)
        return memory

    def _relocate(self, memory: bytearray, k: int, base: int) -> None:
        found = self.objects[k]
        for section in found.sections:
            place = self._places.get((k, section.info))
            if section.kind != _RELA or place is None:
                continue
            for offset, info, addend in struct.iter_unpack("<QQq", found.contents(section)):
                symbol, kind = found.symbols[info >> 32], info & 0xFFFFFFFF
                at = place + offset
                if kind in _GOT and symbol.section == 0:
                    struct.pack_into("<i", memory, at, self._slots[symbol.name] + addend - at)
                elif kind in (_PC32, _PLT32):
                    struct.pack_into("<i", memory, at, self._value(k, symbol) + addend - at)
                elif kind == _ABSOLUTE:
                    struct.pack_into("<Q", memory, at, base + self._value(k, symbol) + addend)
                else:
                    raise UnsupportedError(f"a relocation of kind {kind}")

    def _value(self, k: int, symbol: _Symbol) -> int:
        """Where a symbol is in the memory; for one of outside, the jump to it."""
        if symbol.section == 0:
            return self._stubs[symbol.name]
        place = self._places.get((k, symbol.section))
        if place is None or symbol.section >= _RESERVED:
            raise UnsupportedError(f"the symbol {symbol.name!r} is in no section")
        return place + symbol.value

    def entries(self, base: int, names: Mapping[str, bytes]) -> dict[str, int]:
        """The address of the function that each object was given for."""
        defined = {
            s.name: (k, s) for k, found in enumerate(self.objects)
            for s in found.symbols if s.section
        }  # fmt: skip
        return {name: base + self._value(*defined[name]) for name in names}


@cache
def _c_libraries() -> list[ctypes.CDLL]:
    found = [ctypes.CDLL(None)]
    for name in ("libm.so.6", "libgcc_s.so.1"):
        try:
            found.append(ctypes.CDLL(name))
        except OSError:
            continue
    return found


def _address_of(name: str) -> int:
    for library in _c_libraries():
        try:
            function = getattr(library, name)
        except AttributeError:
            continue
        return ctypes.cast(function, ctypes.c_void_p).value or 0
    raise RuntimeError(f"the function {name!r}, which compiled code calls, is not in this process")


# Memory -------------------------------------------------------------------------------------------


@cache
def _c() -> Any:
    library = ctypes.CDLL(None, use_errno=True)
    library.mmap.restype = ctypes.c_void_p
    library.mmap.argtypes = [
        ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long,
    ]  # fmt: skip
    library.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    library.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    return library


class Memory:
    """Linked code. It stays in memory as long as this object; whoever calls it holds it.

    Raises ``UnsupportedError`` for what is not linked here, and ``RuntimeError`` for a function of
    outside that is not in this process.
    """

    def __init__(self, objects: Mapping[str, bytes]) -> None:
        try:
            self._fill(_Image(objects), objects)
        except _NONSENSE as error:
            raise UnsupportedError(f"a damaged file: {error}") from error

    def _fill(self, image: _Image, objects: Mapping[str, bytes]) -> None:
        base = _c().mmap(
            None, image.size, mmap.PROT_READ | mmap.PROT_WRITE,
            mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0,
        )  # fmt: skip
        if base in (None, ctypes.c_void_p(-1).value):
            raise MemoryError(f"no memory for {image.size} bytes of code")
        # At the interpreter's end nothing is freed: other threads may still be in the code.
        weakref.finalize(self, _c().munmap, base, image.size).atexit = False
        ctypes.memmove(base, bytes(image.bytes_at(base)), image.size)
        self._protect(base, image.code_size, mmap.PROT_READ | mmap.PROT_EXEC)
        self._protect(base + image.code_size, image.size - image.code_size, mmap.PROT_READ)
        self.addresses = image.entries(base, objects)
        """Where the function of each object starts."""

    def _protect(self, start: int, size: int, access: int) -> None:
        if size and _c().mprotect(start, size, access):
            raise UnsupportedError("this system does not let code be made executable")


def possible() -> bool:
    """Whether this process is one that code can be linked into here."""
    return sys.platform == "linux" and platform.machine().lower() in ("x86_64", "amd64")
