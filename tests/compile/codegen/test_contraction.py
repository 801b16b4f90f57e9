"""The code of contractions gives NumPy's sums, for every shape, layout and target."""

from __future__ import annotations

import random
import re
from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from contractions import Array, Compiled, expected, parts, span, strides_of, view

from chainrule.compile.codegen import tiling
from chainrule.compile.codegen.contraction import contraction
from chainrule.compile.codegen.forms import simplify
from chainrule.compile.kernels import (
    Access,
    Apply,
    Const,
    Contraction,
    Expr,
    Frame,
    Load,
    Operand,
    Store,
    Total,
)
from chainrule.errors import ArgumentError
from chainrule.runtime import native
from chainrule.runtime.code import Code
from chainrule.runtime.target import Target, check_host, target

F32, F64, BOOL = np.dtype("float32"), np.dtype("float64"), np.dtype("bool")
GUARD = 40
"""Elements before and behind each array that no store may change."""


def runnable(name: str) -> Target:
    found = target(name)
    try:
        check_host(found)
    except ArgumentError as error:
        pytest.skip(str(error))
    return found


@pytest.fixture(params=["native", "avx2", "sse2"])
def machine(request: pytest.FixtureRequest) -> Target:
    return runnable(request.param)


# Random contractions ------------------------------------------------------------------------------


class Case:
    """A kernel and arrays that are large enough for it; all accesses begin at or after GUARD."""

    def __init__(self, kernel: Contraction, seed: int) -> None:
        k, rng = kernel, np.random.default_rng(seed)
        reach: dict[int, list[tuple[int, int]]] = {}
        dtypes = {k.left.slot: k.dtype, k.right.slot: k.dtype}
        out = (*k.batch, *k.rows, k.columns)
        for o, free in ((k.left, k.rows), (k.right, (k.columns,))):
            sizes = (*k.batch, *free, *k.depth)
            reach.setdefault(o.slot, []).append(span(0, sizes, (*o.batch, *o.free, *o.depth)))
        found = accesses_of(k)
        for a in found:
            dtypes[a.slot] = a.dtype
            reach.setdefault(a.slot, []).append(span(0, out, a.strides))
        starts = {slot: GUARD - min(low for low, _ in ends) for slot, ends in reach.items()}
        new = {a: a._replace(offset=a.offset + starts[a.slot]) for a in found}
        self.kernel = moved(k, new, starts)
        self.arrays: list[Array] = []
        for slot in range(k.slots):
            size = max(high for _, high in reach[slot]) + starts[slot] + 1 + GUARD
            values = rng.standard_normal(size)
            if dtypes[slot] == BOOL:
                values = values > 0
            self.arrays.append(values.astype(dtypes[slot]))


def accesses_of(kernel: Contraction) -> list[Access]:
    found: dict[Access, None] = {}

    def visit(expr: Expr) -> None:
        if isinstance(expr, Load):
            found[expr.access] = None
        elif isinstance(expr, Apply):
            for arg in expr.args:
                visit(arg)

    for s in kernel.stores:
        found[s.access] = None
        visit(s.value)
    return list(found)


def moved(k: Contraction, new: dict[Access, Access], starts: dict[int, int]) -> Contraction:
    def change(expr: Expr) -> Expr:
        if isinstance(expr, Load):
            return Load(new[expr.access])
        if isinstance(expr, Apply):
            return expr._replace(args=tuple(change(a) for a in expr.args))
        return expr

    stores = tuple(Store(new[s.access], change(s.value)) for s in k.stores)
    left = k.left._replace(offset=starts[k.left.slot])
    right = k.right._replace(offset=starts[k.right.slot])
    return k._replace(left=left, right=right, stores=stores)


def scattered(pick: random.Random, sizes: tuple[int, ...], gap: int = 1) -> tuple[int, ...]:
    """Strides under which no two points meet: a permuted array with gaps, some axes reversed."""
    order = list(range(len(sizes)))
    pick.shuffle(order)
    strides = [0] * len(sizes)
    step = gap
    for d in order:
        strides[d] = step * pick.choice([1, 1, -1])
        step *= max(1, sizes[d]) + pick.choice([0, 0, 1])
    return tuple(strides)


def any_strides(pick: random.Random, count: int) -> tuple[int, ...]:
    """Strides of what is only read: also 0, negative, and overlapping."""
    return tuple(pick.choice([0, 1, 1, 2, 3, 7, 16, 64, -1, -5]) for _ in range(count))


def epilogue(pick: random.Random, dtype: Any, out: Access, before: int) -> tuple[list[Store], int]:
    """Stores at slot 2 and beyond, and the number of slots."""
    total = Total(dtype)
    bias = Load(Access(3, dtype, (0,) * before + (1,)))
    kind = pick.randrange(5)
    if kind == 0:
        return [Store(out, total)], 3
    relu = Apply("maximum", (Apply("add", (total, bias), dtype), Const(0.0, dtype)), dtype)
    if kind == 1:
        return [Store(out, relu)], 4
    if kind == 2:  # in place, twice the residual
        held = Load(out)
        return [Store(out, Apply("add", (total, Apply("add", (held, held), dtype)), dtype))], 3
    row = Load(Access(3, dtype, (*any_strides(pick, before), 0)))
    positive = Apply("gt", (total, row), BOOL)
    if kind == 3:
        value = Apply("where", (positive, Apply("mul", (total, row), dtype), total), dtype)
        return [Store(out, value), Store(out._replace(slot=4, dtype=BOOL), positive)], 5
    deep: Expr = total
    for _ in range(3):
        deep = Apply("tanh", (Apply("add", (deep, bias), dtype),), dtype)
    return [Store(out, deep), Store(out._replace(slot=4), relu)], 5


def random_case(seed: int) -> Case:
    pick = random.Random(seed)
    dtype = pick.choice([F32, F32, F64])
    small = [1, 2, 3, 4, 5, 7, 8, 11, 13, 16, 17]

    def box(most: int, limit: int) -> tuple[int, ...]:
        while True:
            sizes = tuple(pick.choice(small) for _ in range(pick.randrange(most + 1)))
            if np.prod(sizes) <= limit:
                return sizes

    batch, rows, depth = box(2, 24), box(3, 400), box(3, 500)
    columns = pick.choice([1, 1, 2, 3, 4, 7, 8, 10, 15, 16, 17, 31, 32, 33, 48, 64, 80, 97, 130])
    outer = (*batch, *rows)
    if columns == 1 and rows and pick.random() < 0.5:
        free = (*any_strides(pick, len(rows) - 1), 1)
        last = (1,)
    else:
        free, last = any_strides(pick, len(rows)), ()
    inner = any_strides(pick, len(depth))
    left = Operand(0, any_strides(pick, len(batch)), free, inner)
    inner = inner if columns == 1 and pick.random() < 0.5 else any_strides(pick, len(depth))
    batch_right = (0,) * len(batch) if pick.random() < 0.3 else any_strides(pick, len(batch))
    right = Operand(1, batch_right, (1,), inner)
    if last and pick.random() < 0.7:
        strides = (*scattered(pick, outer[:-1], rows[-1] + 1), 1, 1)
    else:
        strides = (*scattered(pick, outer, columns + pick.choice([0, 0, 3])), 1)
    stores, slots = epilogue(pick, dtype, Access(2, dtype, strides), len(outer))
    kernel = Contraction(dtype, batch, rows, columns, depth, left, right, tuple(stores), slots)
    return Case(kernel, seed)


def check(case: Case, machine: Target, *, ranges: int = 3) -> None:
    """Compare with NumPy, look for stray writes, and run the tiles again in another order."""
    kernel, before = case.kernel, [a.copy() for a in case.arrays]
    compiled = Compiled(contraction(kernel, machine), machine)
    arrays = [a.copy() for a in before]
    compiled.bind(arrays)(0, compiled.tiles)
    sizes = (*kernel.batch, *kernel.rows, kernel.columns)
    clean = [a.copy() for a in arrays]
    scale = 1.0 + np.sqrt(np.prod(kernel.depth))
    for s, wanted in zip(kernel.stores, expected(kernel, before), strict=True):
        a = s.access
        got = view(arrays[a.slot], a.offset, sizes, a.strides)
        if a.dtype == BOOL:
            assert np.mean(got != wanted) < 0.02 + 2 / max(1, got.size)
        else:
            bound = (2e-5 if a.dtype == F32 else 1e-12) * scale
            np.testing.assert_allclose(got, wanted, rtol=bound, atol=bound * 4)
        index = view(np.arange(arrays[a.slot].size), a.offset, sizes, a.strides)
        clean[a.slot][index] = before[a.slot][index]
    for now, then in zip(clean, before, strict=True):
        np.testing.assert_array_equal(now, then)
    again = [a.copy() for a in before]
    run = compiled.bind(again)
    for low, high in parts(compiled.tiles, ranges):
        run(low, high)
    for one, other in zip(arrays, again, strict=True):
        assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("seed", range(60))
def test_any_shape_and_layout_gives_the_sums_of_numpy(seed: int, machine: Target) -> None:
    check(random_case(seed), machine)


@pytest.mark.parametrize("columns", [1, 3, 10, 16, 40, 64])
@pytest.mark.parametrize("rows", [(), (1,), (5,), (29,), (3, 5), (2, 3, 13)])
def test_remainders_of_rows_and_columns(
    rows: tuple[int, ...], columns: int, machine: Target
) -> None:
    depth = (3, 9)
    left = Operand(0, (), strides_of((*rows, 27))[:-1], (9, 1))
    right = Operand(1, (), (1,), (9 * columns, columns))
    store = Store(Access(2, F32, strides_of((*rows, columns))), Total(F32))
    check(Case(Contraction(F32, (), rows, columns, depth, left, right, (store,), 3), 0), machine)


# Operations ---------------------------------------------------------------------------------------


def product(m: int, k: int, n: int, dtype: Any = F32, *, bias: bool = False) -> Contraction:
    value: Expr = Total(dtype)
    if bias:
        value = Apply("add", (value, Load(Access(3, dtype, (0, 1)))), dtype)
    left, right = Operand(0, (), (k,), (1,)), Operand(1, (), (1,), (n,))
    store = Store(Access(2, dtype, (n, 1)), value)
    return Contraction(dtype, (), (m,), n, (k,), left, right, (store,), 4 if bias else 3)


@pytest.mark.parametrize("bias", [False, True])
def test_a_long_depth_is_summed_in_blocks(
    bias: bool, machine: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiling, "NEAR", 16 * 1024)
    kernel = product(130, 3001, 21, bias=bias)
    plan = tiling.choose(simplify(kernel), machine)
    assert any(s.late for s in plan)
    check(Case(kernel, 1), machine, ranges=5)


def test_the_gradient_of_a_convolution_is_summed_in_blocks_of_images(
    machine: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiling, "NEAR", 16 * 1024)
    n, size, ci, co, k = 9, 20, 5, 33, 3
    out = size - k + 1
    left = Operand(
        0, (n * size * size * ci,), (size * ci, ci, 1), (size * size * ci, size * ci, ci)
    )
    right = Operand(1, (n * out * out * co,), (1,), (out * out * co, out * co, co))
    store = Store(Access(2, F32, strides_of((2, k, k, ci, co))), Total(F32))
    kernel = Contraction(F32, (2,), (k, k, ci), co, (n, out, out), left, right, (store,), 3)
    assert any(s.late for s in tiling.choose(simplify(kernel), machine))
    check(Case(kernel, 2), machine)


def test_the_input_gradient_of_a_convolution_walks_backwards(machine: Target) -> None:
    n, size, ci, co, k = 2, 13, 16, 32, 3
    wide = size + k - 1
    left = Operand(
        0, (), (wide * wide * co, wide * co, co), (-wide * co, -co, 1), (k - 1) * (wide + 1) * co
    )
    right = Operand(1, (), (1,), (k * co * ci, co * ci, ci))
    store = Store(Access(2, F32, strides_of((n, size, size, ci))), Total(F32))
    kernel = Contraction(F32, (), (n, size, size), ci, (k, k, co), left, right, (store,), 3)
    check(Case(kernel, 3), machine)


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize(
    ("k", "stride", "dilation", "pad"),
    [(3, 1, 1, 1), (3, 1, 1, 2), (5, 2, 1, 2), (3, 1, 3, 3), (2, 3, 2, 5), (4, 1, 1, 9)],
)
def test_steps_in_the_padding_are_left_out(
    k: int, stride: int, dilation: int, pad: int, backwards: bool, machine: Target
) -> None:
    """Padding above and below the images may be NaN: it is never read, and no bit is missing."""
    n, size, co, ci = 2, 12, 32, 16
    high = (size + 2 * pad - dilation * (k - 1) - 1) // stride + 1
    wide = size + dilation * (k - 1)
    step = dilation * wide * ci
    left = Operand(0, (), ((size + 2 * pad) * wide * ci, stride * wide * ci, ci), (step, ci, 1))
    frame = Frame((0, stride, 0), (dilation, 0, 0), -pad, size)
    if backwards:
        left = left._replace(depth=(-step, ci, 1), offset=(k - 1) * step)
        frame = frame._replace(depth=(-dilation, 0, 0), offset=dilation * (k - 1) - pad)
    right = Operand(1, (), (1,), (k * ci * co, ci * co, co))
    sizes = (n, high, size, co)
    store = Store(Access(2, F32, strides_of(sizes)), Total(F32))
    whole = Contraction(F32, (), sizes[:3], co, (k, k, ci), left, right, (store,), 3)
    framed = whole._replace(frames=(frame,))
    assert framed.products < whole.products
    rng = np.random.default_rng(0)
    images = rng.normal(size=(n, size + 2 * pad, wide, ci)).astype(np.float32)
    weights = rng.normal(size=k * k * ci * co).astype(np.float32)
    found = []
    for kernel, around in ((whole, 0.0), (framed, np.nan)):
        images[:, :pad] = images[:, size + pad :] = around
        out = np.full(sizes, 7.0, np.float32)
        compiled = Compiled(contraction(kernel, machine), machine)
        compiled.bind([images.ravel(), weights, out])(0, compiled.tiles)
        found.append(out)
    np.testing.assert_array_equal(found[1], found[0])
    inside = [at for at in range(high * k) if 0 <= _coordinate(frame, *divmod(at, k)) < size]
    assert framed.products == whole.products * len(inside) // (high * k)


@pytest.mark.parametrize(("k", "stride", "pad"), [(3, 1, 1), (5, 2, 2), (3, 1, 3)])
def test_lines_in_the_padding_add_nothing_to_a_weight(
    k: int, stride: int, pad: int, machine: Target
) -> None:
    n, size, co, ci = 2, 28, 32, 8
    high = (size + 2 * pad - k) // stride + 1
    wide, line = high + k - 1, (high + k - 1) * ci
    tall = size + 2 * pad
    left = Operand(0, (), (line, ci, 1), (tall * line, stride * line, ci))
    right = Operand(1, (), (1,), (high * high * co, high * co, co))
    store = Store(Access(2, F32, strides_of((k, k, ci, co))), Total(F32))
    kernel = Contraction(
        F32, (), (k, k, ci), co, (n, high, high), left, right, (store,), 3,
        (Frame((1, 0, 0), (0, stride, 0), -pad, size),),
    )  # fmt: skip
    rng = np.random.default_rng(0)
    images = rng.integers(-4, 5, (n, tall, wide, ci)).astype(np.float32)
    slopes = rng.integers(-4, 5, n * high * high * co).astype(np.float32)
    images[:, :pad] = images[:, size + pad :] = 0
    (want,) = expected(kernel, [images.ravel(), slopes, np.empty(0, np.float32)])
    images[:, :pad] = images[:, size + pad :] = np.nan
    out = np.full(want.shape, 7.0, np.float32)
    compiled = Compiled(contraction(kernel, machine), machine)
    compiled.bind([images.ravel(), slopes, out])(0, compiled.tiles)
    np.testing.assert_array_equal(out, want)


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize(
    ("k", "stride", "pad"), [(3, 1, 1), (3, 1, 2), (5, 1, 2), (3, 2, 1), (2, 1, 1), (4, 3, 2)]
)
def test_columns_in_the_padding_are_left_out_of_tiles_of_whole_lines(
    k: int, stride: int, pad: int, backwards: bool, machine: Target
) -> None:
    """Padding beside the images may be NaN."""
    n, size, co, ci = 3, 4, 8, 5
    side, wide = (size + 2 * pad - k) // stride + 1, size + 2 * pad
    line = wide * ci
    free, depth = (wide * line, stride * line, stride * ci), (line, ci, 1)
    left = Operand(0, (), free, depth)
    frames = [Frame(r, d, -pad, size) for r, d in (((0, stride, 0), (1, 0, 0)),
                                                  ((0, 0, stride), (0, 1, 0)))]  # fmt: skip
    if backwards:
        left = left._replace(depth=(-line, -ci, 1), offset=(k - 1) * (line + ci))
        frames = [f._replace(depth=tuple(-d for d in f.depth), offset=k - 1 - pad) for f in frames]
    right = Operand(1, (), (1,), (k * ci * co, ci * co, co))
    sizes = (n, side, side, co)
    store = Store(Access(2, F32, strides_of(sizes)), Total(F32))
    whole = Contraction(F32, (), sizes[:3], co, (k, k, ci), left, right, (store,), 3)
    framed = whole._replace(frames=tuple(frames))
    rng = np.random.default_rng(0)
    images = rng.normal(size=(n, wide, wide, ci)).astype(np.float32)
    weights = rng.normal(size=k * k * ci * co).astype(np.float32)
    inside = np.zeros((wide, wide), bool)
    inside[pad : pad + size, pad : pad + size] = True
    images[:, ~inside] = 0.0
    found = []
    for kernel, beside in ((whole, 0.0), (framed, np.nan)):
        images[:, :, :pad] = images[:, :, pad + size :] = beside
        out = np.full(sizes, 7.0, np.float32)
        compiled = Compiled(contraction(kernel, machine), machine)
        compiled.bind([images.ravel(), weights, out])(0, compiled.tiles)
        found.append(out)
    np.testing.assert_array_equal(found[1], found[0])
    counts = [
        sum(inside[stride * y + i, stride * x + j] for i in range(k) for j in range(k))
        for y in range(side) for x in range(side)
    ]  # fmt: skip
    assert framed.products == sum(counts) * n * ci * co


def test_a_long_line_is_a_loop(machine: Target) -> None:
    """The gradient of a kernel of 9 over 4,000 places: few of them miss some of its rows."""
    n, places, k, co = 2, 4000, 9, 16
    line = places + k - 1
    left = Operand(0, (), (1,), (line, 1))
    right = Operand(1, (), (1,), (places * co, co))
    store = Store(Access(2, F32, strides_of((k, co))), Total(F32))
    frame = Frame((1,), (0, 1), -(k // 2), places)
    kernel = Contraction(F32, (), (k,), co, (n, places), left, right, (store,), 3, (frame,))
    code = contraction(kernel, machine)
    assert len(code.text) < 40_000
    rng = np.random.default_rng(0)
    images = np.pad(rng.integers(-3, 4, (n, places)), ((0, 0), (k // 2, k // 2)))
    slopes = rng.integers(-3, 4, (n, places, co))
    out = np.full((k, co), 7.0, np.float32)
    compiled = Compiled(code, machine)
    arrays = [images.ravel().astype(np.float32), slopes.ravel().astype(np.float32), out]
    compiled.bind(arrays)(0, compiled.tiles)
    want = [np.einsum("np,npo->o", images[:, i : i + places], slopes) for i in range(k)]
    np.testing.assert_array_equal(out, want)


def test_two_frames_of_one_loop_leave_out_what_the_first_does(machine: Target) -> None:
    left, right = Operand(0, (), (8,), (8, 1)), Operand(1, (), (1,), (8 * 16, 16))
    store = Store(Access(2, F32, (16, 1)), Total(F32))
    frame = Frame((1,), (1, 0), -24, 40)
    kernel = Contraction(F32, (), (40,), 16, (9, 8), left, right, (store,), 3)
    rng = np.random.default_rng(0)
    values, weights = (rng.normal(size=n).astype(np.float32) for n in (48 * 8, 72 * 16))
    found = []
    for frames in ((frame,), (frame, frame)):
        out = np.full((40, 16), 7.0, np.float32)
        compiled = Compiled(contraction(kernel._replace(frames=frames), machine), machine)
        compiled.bind([values, weights, out])(0, compiled.tiles)
        found.append(out)
    np.testing.assert_array_equal(found[1], found[0])


def _coordinate(frame: Frame, row: int, step: int) -> int:
    return frame.offset + frame.rows[1] * row + frame.depth[0] * step


@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize(("m", "k"), [(1, 100), (37, 100), (64, 1000), (5, 3), (1, 0)])
def test_a_matrix_times_a_vector(m: int, k: int, dtype: Any, machine: Target) -> None:
    check(Case(product(m, k, 1, dtype), 4), machine)
    left, right = Operand(0, (), (1,), (m,)), Operand(1, (), (1,), (1,))
    store = Store(Access(2, dtype, (1, 1)), Total(dtype))
    turned = Contraction(dtype, (), (m,), 1, (k,), left, right, (store,), 3)
    check(Case(turned, 5), machine)


def test_no_depth_gives_zero_and_no_elements_give_nothing(machine: Target) -> None:
    check(Case(product(7, 0, 19, bias=True), 6), machine)
    for m, n in ((0, 5), (5, 0)):
        kernel = product(m, 3, n)
        code = contraction(kernel, machine)
        assert code.tiles == 1
        arrays = [np.full(64, 3.0, np.float32) for _ in range(3)]
        Compiled(code, machine).bind(arrays)(0, 1)
        assert all((a == 3.0).all() for a in arrays)


def test_nan_and_infinity_reach_exactly_the_rows_they_are_in(machine: Target) -> None:
    case = Case(product(23, 40, 35), 7)
    case.arrays[0][GUARD + 3 * 40 + 5] = np.nan
    case.arrays[0][GUARD + 9 * 40 + 39] = np.inf
    compiled = Compiled(contraction(case.kernel, machine), machine)
    compiled.bind(case.arrays)(0, compiled.tiles)
    out = case.arrays[2][GUARD : GUARD + 23 * 35].reshape(23, 35)
    assert np.isnan(out[3]).all()
    assert np.isinf(out[9]).all()
    assert np.isfinite(np.delete(out, [3, 9], 0)).all()


# Tiles --------------------------------------------------------------------------------------------


def test_large_work_is_cut_into_many_even_tiles() -> None:
    machine = runnable("native")
    for kernel in (product(128, 784, 512), product(256, 256, 784), product(3584, 28, 512)):
        assert 16 <= contraction(kernel, machine).tiles <= 128
    assert contraction(product(32, 16, 16), machine).tiles == 1


@pytest.mark.parametrize("dtype", [F32, F64])
def test_a_product_read_across_fetches_the_next_rows(dtype: Any, machine: Target) -> None:
    """As in a weight's gradient; one that is read along its rows needs nothing."""
    along = product(512, 128, 128, dtype)
    across = along._replace(left=along.left._replace(free=(1,), depth=(512,)))
    assert "prefetch" in contraction(across, machine).text
    assert "prefetch" not in contraction(along, machine).text


def weight_gradient(chunks: int, images: int, size: int, channels: int) -> Contraction:
    """Of a convolution of 3x3, its long sum in chunks; `left` has a margin around each image."""
    line = (size + 2) * channels
    image = (size + 2) * line
    left = Operand(0, (images * image,), (line, channels, 1), (image, line, channels))
    right = Operand(1, (images * image,), (1,), (image, line, channels))
    strides = (9 * channels**2, 3 * channels**2, channels**2, channels, 1)
    store = Store(Access(2, F32, strides), Total(F32))
    return Contraction(
        F32, (chunks,), (3, 3, channels), channels, (images, size, size), left, right, (store,), 3
    )


def test_the_gradient_of_a_weight_fetches_the_next_images_once(machine: Target) -> None:
    """Over its tiles every line of the next element of the batch, if those of two fit a cache."""
    small, large = weight_gradient(4, 2, 6, 16), weight_gradient(4, 64, 14, 16)
    assert "prefetch" in contraction(small, machine).text
    assert "prefetch" not in contraction(large, machine).text
    check(Case(small, 3), machine)
    alone = small._replace(
        batch=(), left=small.left._replace(batch=()), right=small.right._replace(batch=())
    )
    alone = alone._replace(
        stores=(alone.stores[0]._replace(access=Access(2, F32, (768, 256, 16, 1))),)
    )
    assert "prefetch" not in contraction(alone, machine).text


NOTE = """
define internal void @note(ptr %p) {{
  %n = load i64, ptr inttoptr (i64 {log} to ptr)
  %next = add i64 %n, 1
  store i64 %next, ptr inttoptr (i64 {log} to ptr)
  %at = getelementptr i64, ptr inttoptr (i64 {log} to ptr), i64 %next
  %address = ptrtoint ptr %p to i64
  store i64 %address, ptr %at
  ret void
}}
"""


def fetched(kernel: Contraction, machine: Target, arrays: list[Any], share: float) -> set[int]:
    """The addresses that the first tiles of a kernel have fetched, instead of fetching them."""
    code, log = contraction(kernel, machine), np.zeros(200_000, np.int64)
    text, count = re.subn(
        r"call void @llvm.prefetch.p0\((ptr %\w+),.*\)", r"call void @note(\1)", code.text
    )
    assert count
    noting = Compiled(Code(text + NOTE.format(log=log.ctypes.data), code.tiles), machine)
    noting.bind(arrays)(0, round(code.tiles * share))
    return {*log[1 : 1 + log[0]].tolist()}


def test_the_tiles_of_a_batch_fetch_what_the_next_ones_read(machine: Target) -> None:
    kernel = weight_gradient(4, 2, 6, 16)
    image = 8 * 8 * 16
    arrays = [np.zeros(4 * 2 * image + 64, np.float32) for _ in range(2)]
    addresses = fetched(kernel, machine, [*arrays, np.zeros(4 * 9 * 256, np.float32)], 1 / 4)
    for array in arrays:
        starts = {(a - array.ctypes.data) // 4 for a in addresses}
        mine = {at for at in starts if 0 <= at < array.size}
        assert min(mine) >= 2 * image  # of the second element of the batch, hardly of the third
        assert max(mine) < 4 * image + 128
        covered = {n for at in mine for n in range(at, at + 16)}
        for i in (2, 3):
            lines = range(i * image, i * image + 6 * 128)
            assert covered.issuperset(lines)


def test_what_is_read_later_is_fetched_and_changes_nothing(machine: Target) -> None:
    kernel = product(300, 64, 48)
    later = kernel._replace(later=(Access(3, F32, (48, 1)),), slots=4)
    text = contraction(kernel, machine).text, contraction(later, machine).text
    assert [t.count("call void @llvm.prefetch") > 0 for t in text] == [False, True]
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=n).astype(np.float32) for n in ((300, 64), (64, 48)))
    found = []
    for k in (kernel, later):
        out, beside = np.zeros((300, 48), np.float32), np.full((300, 48), np.nan, np.float32)
        compiled = Compiled(contraction(k, machine), machine)
        compiled.bind([a, b, out, beside][: k.slots])(0, compiled.tiles)
        found.append(out)
    np.testing.assert_array_equal(found[1], found[0])


def test_a_product_with_few_tiles_of_rows_still_has_eight_units() -> None:
    machine = runnable("native")
    left, right = Operand(0, (), (1,), (512,)), Operand(1, (), (1,), (1,))
    store = Store(Access(2, F32, (1, 1)), Total(F32))
    kernel = Contraction(F32, (), (512,), 1, (512,), left, right, (store,), 3)
    assert contraction(kernel, machine).tiles >= 8


def test_a_long_epilogue_is_a_loop_over_rows() -> None:
    machine, kernel = runnable("native"), product(64, 40, 64)
    value: Expr = Total(F32)
    for _ in range(4):
        value = Apply("tanh", (value,), F32)
    deep = kernel._replace(stores=(Store(kernel.stores[0].access, value),))
    check(Case(deep, 8), machine)
    assert contraction(deep, machine).text.count("\n") < 2000


@pytest.mark.parametrize("name", ["native", "avx2", "sse2", "neon"])
@pytest.mark.parametrize("columns", [1, 5, 16, 64, 100, 784])
@pytest.mark.parametrize("rows", [1, 7, 128])
def test_tiles_cover_all_and_fit_the_registers(name: str, columns: int, rows: int) -> None:
    machine = target(name)
    kernel = simplify(product(rows, 50, columns))
    column = 0
    for s in tiling.choose(kernel, machine):
        assert s.column == column
        column += s.panels * s.width
        assert sum(count * size for count, size in s.tiles) == kernel.rows[s.axis]
        sums = len(s.vectors) * max(size for _, size in s.tiles)
        assert sums + len(s.vectors) < machine.registers
    assert column == kernel.columns


@pytest.mark.parametrize("seed", range(8))
def test_code_for_neon_is_valid(seed: int) -> None:
    machine = target("neon")
    native.compile_text(contraction(random_case(seed).kernel, machine).text, machine)


def test_the_loop_of_a_product_stays_in_registers() -> None:
    machine = runnable("native")
    if not machine.fma:
        pytest.skip("no fused multiplication and addition")
    text = native.assembly(contraction(product(128, 512, 512), machine).text, machine)
    assert "vfmadd" in text or "fmla" in text
    assert not re.search(r"mm\d+, -?\d*\(%rsp\)|-?\d*\(%rsp\), %[xyz]mm", text)
