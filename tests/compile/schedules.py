"""Runs programs in orders that threads might take: tiles between two barriers in any order."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from chainrule.runtime import driver
from chainrule.runtime.program import HostCall, Program

_KERNEL = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)


def run_shuffled(program: Program, rng: np.random.Generator) -> None:
    """Do all steps; between barriers, tiles come in a random order, mixed across launches.

    Launches of one tile keep their order among themselves, since one thread does them all.
    """
    for part in program._parts:
        if isinstance(part, HostCall):
            part.function()
            continue
        units: list[Any] = []
        for kernel, slots, tiles, barrier in part._records.tolist():
            if barrier:
                _run(units, program, rng)
                units = []
            units.append((kernel, slots, tiles))
        _run(units, program, rng)


def _run(launches: list[Any], program: Program, rng: np.random.Generator) -> None:
    table = program.table.buffer_info()[0]
    alone = [(kernel, slots, 0, tiles) for kernel, slots, tiles in launches if tiles <= 1]
    shared = [
        (kernel, slots, tile, tile + 1)
        for kernel, slots, tiles in launches
        for tile in range(tiles)
        if tiles > 1
    ]
    order = rng.integers(0, 3)
    if order == 0:
        rng.shuffle(shared)
    elif order == 1:
        shared.reverse()
    first = int(rng.integers(0, len(alone) + 1))
    for kernel, slots, low, high in [*alone[:first], *shared, *alone[first:]]:
        _KERNEL(kernel)(table, slots, low, high)


def launches(program: Program) -> tuple[int, int, int]:
    """Of a program: launches, barriers that threads wait at, and the most tiles of a launch."""
    records = [
        record
        for part in program._parts
        if not isinstance(part, HostCall)
        for record in part._records.tolist()
    ]
    barriers = sum(bool(record[3]) for record in records)
    return len(records), barriers, max((record[2] for record in records), default=0)


assert driver.RECORD_WORDS == 4
