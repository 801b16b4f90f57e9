"""Reading at computed places, and whether they are within their limits."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ...core.aval import DType
from ...runtime.target import Target
from .casts import register_type
from .evaluate import load_lanes
from .text import Function, Val, constant, memory_type, vector


def inside(f: Function, args: Sequence[Val], limits: Sequence[int]) -> Val:
    """Whether all of `args`, i64, are from 0 to their limit - 1; lanes if one of them has lanes."""
    lanes = max(a.lanes for a in args)
    tests = [
        _wide(f, f.compare("icmp ult", a, constant(n, a.type)), lanes)
        for a, n in zip(args, limits, strict=True)
    ]
    found = tests[0]
    for test in tests[1:]:
        found = f.binary("and", found, test)
    return found


def displacement(f: Function, args: Sequence[Val], steps: Sequence[int]) -> Val:
    """Σ steps[k] · args[k], i64; lanes if one of the args has lanes."""
    lanes = max(a.lanes for a in args)
    total = constant(0, vector("i64", lanes))
    for n, (a, step) in enumerate(zip(args, steps, strict=True)):
        a = _wide(f, a, lanes)
        term = a if step == 1 else f.binary("mul", a, constant(step, a.type))
        total = term if n == 0 else f.binary("add", total, term)
    return total


def look_up(
    f: Function,
    target: Target,
    pointer: Val,
    dtype: DType,
    stride: int,
    lanes: int,
    active: int,
    args: Sequence[Val],
    steps: Sequence[int],
    limits: Sequence[int],
) -> Val:
    """What is Σ steps · args elements behind `pointer`, whose lanes are `stride` elements apart.

    In register types; NaN, or 0 if it is no float, where an arg is outside of its limits: there
    nothing is read but what is at `pointer`. Only the first `active` lanes are read. One number if
    neither the stride nor an arg makes lanes.
    """
    found = inside(f, args, limits)
    place = displacement(f, args, steps)
    place = f.select(found, place, constant(0, place.type))
    element = memory_type(dtype)
    if place.lanes == 1:
        raw = load_lanes(f, target, f.offset(pointer, element, place), dtype, stride, lanes, active)
    else:
        raw = Val(vector(element, lanes), "poison" if active == lanes else "zeroinitializer")
        for i in range(active):
            at = f.emit("i64", f"extractelement {place}, i32 {i}")
            source = f.offset(f.offset(pointer, element, i * stride), element, at)
            one = f.load(source, element, dtype.itemsize)
            raw = f.emit(raw.type, f"insertelement {raw}, {one}, i32 {i}")
        if dtype.kind == "b":
            raw = f.compare("icmp ne", raw, constant(0, raw.type))
    nothing = math.nan if dtype.kind == "f" else 0
    return f.select(found, raw, constant(nothing, vector(register_type(dtype), raw.lanes)))


def _wide(f: Function, a: Val, lanes: int) -> Val:
    return a if a.lanes == lanes else f.splat(a, lanes)
