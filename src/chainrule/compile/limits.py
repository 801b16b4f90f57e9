"""What this machine can do at most, measured with generated kernels: products and bytes a second.

The measured peak is what the processor does at this moment with so many threads, its clock and its
neighbours included, so the share of it that a kernel reaches says something about the kernel.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cache

import numpy as np

from ..core.aval import DType
from ..runtime.buffers import address, arena
from ..runtime.code import Code
from ..runtime.program import Launch, Program
from ..runtime.target import Target
from ..runtime.target import target as default_target
from .codegen.text import Function, Val, constant, memory_type, vector

_TURNS = 2_000
"""Turns of the loop that is all products, in each tile."""
_TILES = 16
"""Tiles for each thread, so that it does not matter if one begins late."""
_SIZES = tuple(2**n for n in range(15, 28, 2))
"""Working sets, in bytes: 32 KiB to 128 MiB."""
_SECONDS = 0.05
"""How long each is measured: the fastest of many short runs is one that nothing disturbed."""
_RUNS = 5
_TRIES = 8
_ELEMENT = np.dtype(np.float32)


_peaks: dict[tuple[DType, int], float] = {}


def products_per_second(dtype: DType, threads: int, reached: float = 0.0) -> float:
    """Multiplications with an addition each, a second, of registers that depend on no other.

    It is measured once. If a kernel has `reached` more, something disturbed that, and it is
    measured again, a few times at most.
    """
    key = dtype, threads
    for _ in range(_TRIES):
        if _peaks.get(key, 0.0) > reached:
            break
        _peaks[key] = max(_peaks.get(key, 0.0), _products_measured(dtype, threads))
    return _peaks[key]


def _products_measured(dtype: DType, threads: int) -> float:
    target = default_target()
    tiles = _TILES * threads
    program = Program([Launch(_products(target, dtype, tiles), (0,), True, "products")], 1,
                      target=target, threads=threads)  # fmt: skip
    results = arena(tiles * target.vector_bytes)
    program.set_pointer(0, address(results))
    return tiles * _TURNS * _accumulators(target) * target.lanes(dtype) / _best(program)


def bytes_per_second(nbytes: int, threads: int) -> float:
    """How fast a copy reads and writes so many bytes in all: in caches, or in memory."""
    size = next((size for size in _SIZES if size >= nbytes), _SIZES[-1])
    return _copied(size, threads)


@cache
def _copied(size: int, threads: int) -> float:
    target = default_target()
    tiles = max(1, min(_TILES * threads, size // _SMALLEST))
    elements = size // (2 * tiles * _ELEMENT.itemsize)
    launch = Launch(_copy(target, elements, tiles), (0, 1), True, "copy")
    program = Program([launch], 2, target=target, threads=threads)
    nbytes = elements * tiles * _ELEMENT.itemsize
    source, result = arena(nbytes), arena(nbytes)
    source[:] = 1
    program.set_pointer(0, address(source))
    program.set_pointer(1, address(result))
    return 2.0 * nbytes / _best(program)


def _best(program: Program) -> float:
    """Seconds of the fastest run of a program of one kernel, timed as a profile times kernels."""
    best = float("inf")
    end = time.perf_counter() + _SECONDS
    while time.perf_counter() < end:
        (timing,) = program.profile(_RUNS)
        best = min(best, timing.seconds)
    return best


# The kernels --------------------------------------------------------------------------------------

_UNROLLED = 4
_SMALLEST = 8192
"""Bytes that a tile reads and writes at least."""


def _kernel() -> Function:
    arguments = [Val("ptr", "%table"), Val("ptr", "%slots"), Val("i64", "%lo"), Val("i64", "%hi")]
    return Function("kernel", arguments)


def _pointer(f: Function, slot: int) -> Val:
    """The pointer of a slot."""
    table, slots, _, _ = f.arguments
    number = f.load(f.offset(slots, "i32", slot), "i32", 4)
    return f.load(f.offset(table, "ptr", f.convert("sext", number, "i64")), "ptr", 8)


def _accumulators(target: Target) -> int:
    """As many sums as there are registers for, with some left for the factors."""
    return target.registers * 3 // 4


def _products(target: Target, dtype: DType, tiles: int) -> Code:
    """Tiles that only multiply and add; the sums are stored at the end."""
    f = _kernel()
    lanes = target.lanes(dtype)
    element = memory_type(dtype)
    type_ = vector(element, lanes)
    factor, summand = constant(0.9999, type_), constant(0.5, type_)
    out = _pointer(f, 0)

    def turn(_: Val, *sums: Val) -> Sequence[Val]:
        if target.fma:
            return [f.intrinsic("fma", s, factor, summand) for s in sums]
        return [f.binary("fadd", f.binary("fmul", s, factor), summand) for s in sums]

    def tile(t: Val) -> None:
        starts = [constant(float(j), type_) for j in range(_accumulators(target))]
        total, *sums = f.loop(0, _TURNS, 1, turn, starts)
        for s in sums:
            total = f.binary("fadd", total, s)
        f.store(total, f.offset(out, element, f.scale(t, lanes)), dtype.itemsize)

    f.loop(f.arguments[2], f.arguments[3], 1, tile)
    return Code(f.finish(), tiles)


def _copy(target: Target, elements: int, tiles: int) -> Code:
    """Tiles that copy so many elements each."""
    f = _kernel()
    lanes = target.lanes(_ELEMENT)
    type_ = vector("float", lanes)
    source, result = _pointer(f, 0), _pointer(f, 1)

    def tile(t: Val) -> None:
        first = f.scale(t, elements)
        froms, tos = (f.offset(p, "float", first) for p in (source, result))

        def move(i: Val) -> None:
            places = [f.add(i, lane * lanes) for lane in range(_UNROLLED)]
            loaded = [f.load(f.offset(froms, "float", at), type_, 4) for at in places]
            for value, at in zip(loaded, places, strict=True):
                f.store(value, f.offset(tos, "float", at), 4)

        f.loop(0, elements, _UNROLLED * lanes, move)

    f.loop(f.arguments[2], f.arguments[3], 1, tile)
    return Code(f.finish(), tiles)
