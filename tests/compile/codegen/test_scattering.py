"""Computed places: reading there, writing there, and running sums, on every target, bit for bit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from looping import BOOL, F16, F32, F64, I64, U8, Array, Compiled, evaluated, run_by_numpy, view

from chainrule.compile.kernels import (
    Access,
    Apply,
    Const,
    Expr,
    Fold,
    Index,
    Load,
    Lookup,
    Loop,
    Scan,
    Scatter,
    Store,
)
from chainrule.errors import ArgumentError
from chainrule.runtime import native
from chainrule.runtime.target import Target, check_host, target

pytestmark = pytest.mark.skipif(not native.available(), reason="needs llvmlite")
GUARD = 16
"""Elements before and behind what a kernel may touch."""


@pytest.fixture(params=["native", "avx2", "sse2"])
def chosen(request: pytest.FixtureRequest) -> Target:
    """Each target that this processor can run."""
    found = target(request.param)
    try:
        check_host(found)
    except ArgumentError as error:
        pytest.skip(str(error))
    return found


def contiguous(slot: int, sizes: tuple[int, ...], dtype: np.dtype[Any]) -> Access:
    """Row-major, behind a guard."""
    strides = tuple(math.prod(sizes[d + 1 :]) for d in range(len(sizes)))
    return Access(slot, dtype, strides, GUARD)


def guarded(array: Array) -> Array:
    """The array flat, with guards that no result may show."""
    guard = np.full(GUARD, 99).astype(array.dtype)
    return np.concatenate([guard, array.reshape(-1), guard])


def some(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Random elements of any dtype."""
    array = rng.standard_normal(shape) * 4
    return (array > 0 if dtype == BOOL else np.abs(array) if dtype == U8 else array).astype(dtype)


def assert_same_bits(got: list[Array], want: list[Array]) -> None:
    for g, w in zip(got, want, strict=True):
        np.testing.assert_array_equal(g, w)
        if g.dtype.kind == "f":
            numbers = ~np.isnan(w)
            np.testing.assert_array_equal(np.signbit(g[numbers]), np.signbit(w[numbers]))


def run_each_way(kernel: Any, arrays: list[Array], chosen: Target) -> list[Array]:
    """What the kernel makes of copies; the same in one call, and tile by tile from the last."""
    compiled = Compiled(kernel, chosen)
    whole, parts = [a.copy() for a in arrays], [a.copy() for a in arrays]
    compiled(whole)
    compiled(parts, [(t, t + 1) for t in reversed(range(compiled.tiles))])
    for a, b in zip(whole, parts, strict=True):
        assert a.tobytes() == b.tobytes()
    return whole


# Scatters -----------------------------------------------------------------------------------------


def scattered(kernel: Scatter, arrays: list[Array]) -> None:
    """The same, element by element."""
    args = [evaluated(a, arrays, kernel.sizes) for a in kernel.args]
    values = [evaluated(s.value, arrays, kernel.sizes) for s in kernel.stores]
    for place in np.ndindex(*kernel.sizes):
        numbers = [int(a[place]) for a in args]
        if not all(0 <= n < limit for n, limit in zip(numbers, kernel.limits, strict=True)):
            continue
        for (access, _), value in zip(kernel.stores, values, strict=True):
            at = access.offset + sum(i * s for i, s in zip(place, access.strides, strict=True))
            at += sum(n * s for n, s in zip(numbers, kernel.steps, strict=True))
            memory = arrays[access.slot]
            with np.errstate(all="ignore"):
                added = memory[at] + value[place]
            memory[at] = added if kernel.kind == "add" else value[place]


def rows_kernel(
    kind: str, count: int, rows: int, width: int, dtype: np.dtype[Any], step: int = 1
) -> Scatter:
    """out[index[k], :] += x[k, :]: slots are x, index, out, whose columns are `step` apart."""
    sizes = (count, width)
    out = Access(2, dtype, (0, step), GUARD)
    value = Load(contiguous(0, sizes, dtype))
    index = Load(Access(1, I64, (1, 0), GUARD))
    store = Store(out, value)
    return Scatter(kind, sizes, (False, True), (store,), (index,), (width * step,), (rows,), 3)


@pytest.mark.parametrize("dtype", [F32, F64, F16, I64, U8, BOOL], ids=str)
@pytest.mark.parametrize("kind", ["add", "set"])
def test_rows_go_to_their_places_in_order(chosen: Target, kind: str, dtype: Any) -> None:
    rng = np.random.default_rng(0)
    for count, rows, width in ((1, 1, 1), (33, 4, 17), (20, 9, 100), (90, 2, 257), (0, 3, 4)):
        kernel = rows_kernel(kind, count, rows, width, dtype)
        x, out = some(rng, (count, width), dtype), some(rng, (rows, width), dtype)
        index = rng.integers(-2, rows + 2, count)
        arrays = [guarded(x), guarded(index), guarded(out)]
        want = [a.copy() for a in arrays]
        scattered(kernel, want)
        assert_same_bits(run_each_way(kernel, arrays, chosen), want)


def test_columns_that_are_apart_are_added_one_by_one(chosen: Target) -> None:
    rng = np.random.default_rng(1)
    kernel = rows_kernel("add", 30, 4, 19, F32, step=3)
    arrays = [guarded(some(rng, s, F32)) for s in ((30, 19), (1,), (4, 57))]
    arrays[1] = guarded(rng.integers(0, 4, 30))
    want = [a.copy() for a in arrays]
    scattered(kernel, want)
    assert_same_bits(run_each_way(kernel, arrays, chosen), want)


def test_the_sum_of_rows_is_numpys_bit_for_bit(chosen: Target) -> None:
    rng = np.random.default_rng(2)
    x, index = some(rng, (2048, 128), F32), rng.integers(0, 50, 2048)
    kernel = rows_kernel("add", 2048, 50, 128, F32)
    arrays = [guarded(x), guarded(index), guarded(np.zeros((50, 128), F32))]
    assert Compiled(kernel, chosen).tiles > 1
    out = run_each_way(kernel, arrays, chosen)[2]
    want = np.zeros((50, 128), F32)
    np.add.at(want, index, x)
    np.testing.assert_array_equal(out[GUARD:-GUARD].reshape(50, 128), want)


def test_numbers_far_out_of_range_touch_nothing(chosen: Target) -> None:
    limits = np.iinfo(np.int64)
    index = np.array([limits.min, limits.max, -1, 3, 2**32, 2**32 + 1, limits.min + 1, 1])
    kernel = rows_kernel("add", 8, 3, 5, F64)
    arrays = [guarded(np.ones((8, 5))), guarded(index), guarded(np.zeros((3, 5)))]
    out = run_each_way(kernel, arrays, chosen)[2]
    want = guarded(np.zeros((3, 5)))
    want[GUARD + 5 : GUARD + 10] = 1.0
    np.testing.assert_array_equal(out, want)


@pytest.mark.parametrize("seed", range(12))
def test_random_scatters(seed: int, chosen: Target) -> None:
    """Any mixture of kept axes and computed ones, some with numbers that change along kept ones."""
    rng = np.random.default_rng(seed)
    dtype = np.dtype(rng.choice([F32, F64, F16, I64, U8]))
    shape = [int(n) for n in rng.choice([1, 2, 3, 5, 17], rng.integers(1, 4))]
    strides = [math.prod(shape[a + 1 :]) for a in range(len(shape))]
    computed = [a for a in range(len(shape)) if rng.random() < 0.6]
    dims: list[int | None] = [a for a in range(len(shape)) if a not in computed]
    for _ in range(int(rng.integers(0, 3))):
        dims.insert(int(rng.integers(len(dims) + 1)), None)
    sizes = tuple(int(rng.choice([1, 3, 20])) if a is None else shape[a] for a in dims)
    args: list[Expr] = []
    arrays = [guarded(some(rng, sizes, dtype)), guarded(some(rng, tuple(shape), dtype))]
    for a in computed:
        access = contiguous(len(arrays), sizes, I64)
        if rng.random() < 0.7:  # the same along kept axes
            moves = [s if d is None else 0 for s, d in zip(access.strides, dims, strict=True)]
            access = access._replace(strides=tuple(moves))
        args.append(Load(access))
        arrays.append(guarded(rng.integers(-1, shape[a] + 1, sizes)))
    value: Expr = Load(contiguous(0, sizes, dtype))
    if rng.random() < 0.5:
        value = Apply("mul", (value, Const(3, dtype)), dtype)
    out = Access(1, dtype, tuple(0 if a is None else strides[a] for a in dims), GUARD)
    kernel = Scatter(
        str(rng.choice(["add", "set"])), sizes, tuple(a is not None for a in dims),
        (Store(out, value),), tuple(args), tuple(strides[a] for a in computed),
        tuple(shape[a] for a in computed), len(arrays),
    )  # fmt: skip
    want = [a.copy() for a in arrays]
    scattered(kernel, want)
    assert_same_bits(run_each_way(kernel, arrays, chosen), want)


# Lookups ------------------------------------------------------------------------------------------


def table_kernel(count: int, rows: int, width: int, dtype: np.dtype[Any]) -> Loop:
    """y[k, :] = table[index[k], :]: slots are table, index, y."""
    sizes = (count, width)
    index = Load(Access(1, I64, (1, 0), GUARD))
    found = Lookup(Access(0, dtype, (0, 1), GUARD), (index,), (width,), (rows,))
    store = Store(contiguous(2, sizes, dtype), found)
    return Loop(sizes, (False, False), (store,), (), 3)


@pytest.mark.parametrize("dtype", [F32, F64, F16, I64, U8, BOOL], ids=str)
def test_rows_of_a_table_and_nothing_outside_of_it(chosen: Target, dtype: Any) -> None:
    rng = np.random.default_rng(3)
    for count, rows, width in ((1, 1, 1), (9, 3, 1), (40, 5, 16), (33, 4, 17), (7, 3, 300)):
        table, index = some(rng, (rows, width), dtype), rng.integers(-2, rows + 2, count)
        kernel = table_kernel(count, rows, width, dtype)
        arrays = [guarded(table), guarded(index), guarded(np.zeros((count, width), dtype))]
        out = run_each_way(kernel, arrays, chosen)[2][GUARD:-GUARD].reshape(count, width)
        nothing = np.full((), math.nan if dtype.kind == "f" else 0).astype(dtype)
        inside = (index >= 0) & (index < rows)
        want = np.where(inside[:, None], table[np.clip(index, 0, rows - 1)], nothing)
        np.testing.assert_array_equal(out, want)


@pytest.mark.parametrize("seed", range(16))
def test_random_lookups_in_loops(seed: int, chosen: Target) -> None:
    """Stores and folds of what is found, with numbers of places of every kind."""
    rng = np.random.default_rng(seed)
    sizes = tuple(int(n) for n in rng.choice([1, 2, 5, 16, 33], rng.integers(1, 4)))
    reduced = tuple(bool(rng.random() < 0.4) for _ in sizes)
    dtype = np.dtype(rng.choice([F32, F64, F16, I64, BOOL]))
    arrays: list[Array] = []

    def place() -> Expr:
        pick = rng.random()
        if pick < 0.15:
            return Index(int(rng.integers(len(sizes))))
        strides = tuple(s * int(rng.random() < 0.6) for s in contiguous(0, sizes, I64).strides)
        arrays.append(guarded(rng.integers(-2, 7, sizes)))
        load = Load(Access(len(arrays) - 1, I64, strides, GUARD))
        return load if pick < 0.7 else Apply("add", (load, Const(1, I64)), I64)

    def found() -> Expr:
        strides = tuple(int(rng.choice([0, 1, 3])) for _ in sizes)
        args = tuple(place() for _ in range(int(rng.integers(1, 3))))
        steps, limits = (7, 40)[: len(args)], (5, 4)[: len(args)]
        reach = sum(s * (n - 1) for s, n in zip(strides, sizes, strict=True))
        reach += sum(s * (n - 1) for s, n in zip(steps, limits, strict=True))
        arrays.append(guarded(some(rng, (reach + 1,), dtype)))
        return Lookup(Access(len(arrays) - 1, dtype, strides, GUARD), args, steps, limits)

    one, two = found(), found()
    if dtype != BOOL:
        two = Apply("mul", (two, Const(2, dtype)), dtype)
    stores, folds = [], []
    arrays.append(guarded(np.zeros(sizes, dtype)))
    stores.append(Store(contiguous(len(arrays) - 1, sizes, dtype), one))
    kept = tuple(1 if r else n for n, r in zip(sizes, reduced, strict=True))
    arrays.append(guarded(np.zeros(kept, dtype)))
    strides = contiguous(0, kept, dtype).strides
    access = Access(
        len(arrays) - 1, dtype,
        tuple(0 if r else s for s, r in zip(strides, reduced, strict=True)), GUARD,
    )  # fmt: skip
    folds.append(Fold("or" if dtype == BOOL else "maximum", access, two))
    kernel = Loop(sizes, reduced, tuple(stores), tuple(folds), len(arrays))
    want = [a.copy() for a in arrays]
    run_by_numpy(kernel, want)
    assert_same_bits(run_each_way(kernel, arrays, chosen), want)


# Scans --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["add", "mul"])
@pytest.mark.parametrize("dtype", [F32, F16, I64], ids=str)
def test_running_results_are_numpys_bit_for_bit(chosen: Target, kind: str, dtype: Any) -> None:
    rng = np.random.default_rng(4)
    accumulate: Any = {"add": np.add, "mul": np.multiply}[kind].accumulate
    for sizes in ((1,), (5,), (0, 3), (7, 33), (4, 5, 17), (2000, 70)):
        for dim in range(len(sizes)):
            x = some(rng, sizes, dtype)
            if x.size and dtype.kind == "f":
                x.reshape(-1)[0] = -0.0
            arrays = [guarded(x), guarded(np.zeros(sizes, dtype))]
            store = Store(contiguous(1, sizes, dtype), Load(contiguous(0, sizes, dtype)))
            kernel = Scan(kind, sizes, dim, (store,), 2)
            out = run_each_way(kernel, arrays, chosen)[1]
            with np.errstate(all="ignore"):
                want = accumulate(x, axis=dim, dtype=dtype)
            assert_same_bits([out], [guarded(want)])


def test_a_scan_may_go_backwards_through_what_it_reads(chosen: Target) -> None:
    rng = np.random.default_rng(5)
    x = some(rng, (9, 20), F32)
    for dim in (0, 1):
        turned = contiguous(0, x.shape, F32)
        last = turned.strides[dim] * (x.shape[dim] - 1)
        strides = tuple(-s if d == dim else s for d, s in enumerate(turned.strides))
        load = Load(turned._replace(strides=strides, offset=GUARD + last))
        kernel = Scan("add", x.shape, dim, (Store(contiguous(1, x.shape, F32), load),), 2)
        arrays = [guarded(x), guarded(np.zeros_like(x))]
        out = run_each_way(kernel, arrays, chosen)[1]
        want = np.add.accumulate(np.flip(x, dim), axis=dim)
        np.testing.assert_array_equal(view([out], contiguous(0, x.shape, F32), x.shape), want)
