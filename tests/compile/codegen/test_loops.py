"""Elementwise loops and reductions: the numbers, their order, and how loops are simplified."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from looping import BOOL, F16, F32, F64, I64, U8, Array, Compiled, Random, evaluated, run_by_numpy

from chainrule.compile.codegen import nest
from chainrule.compile.codegen.evaluate import Terms
from chainrule.compile.codegen.loops import loop
from chainrule.compile.kernels import Access, Apply, Const, Expr, Fold, Index, Load, Loop, Store
from chainrule.errors import ArgumentError
from chainrule.runtime import native
from chainrule.runtime.target import Target, check_host, target

pytestmark = pytest.mark.skipif(not native.available(), reason="needs llvmlite")
NAMES = ["native", "avx2", "sse2"]


@pytest.fixture(params=NAMES)
def chosen(request: pytest.FixtureRequest) -> Target:
    """Each target that this processor can run."""
    found = target(request.param)
    try:
        check_host(found)
    except ArgumentError as error:
        pytest.skip(str(error))
    return found


def elementwise(sizes: tuple[int, ...], stores: list[Store], slots: int) -> Loop:
    return Loop(sizes, (False,) * len(sizes), tuple(stores), (), slots)


def contiguous(slot: int, sizes: tuple[int, ...], dtype: np.dtype[Any] = F32) -> Access:
    strides = tuple(math.prod(sizes[d + 1 :]) for d in range(len(sizes)))
    return Access(slot, dtype, strides)


def float32(function: str, *args: Expr) -> Apply:
    return Apply(function, args, F32)


def folds_over(
    x: Array, reduced: tuple[bool, ...], kinds: list[str], chosen: Target
) -> list[Array]:
    """Several folds of a contiguous array in one kernel; results keep the reduced dimensions."""
    kept = tuple(1 if r else n for n, r in zip(x.shape, reduced, strict=True))
    strides = contiguous(1, kept).strides
    strides = tuple(0 if r else s for s, r in zip(strides, reduced, strict=True))
    value = Load(contiguous(0, x.shape, x.dtype))
    folds = [Fold(kind, Access(1 + i, x.dtype, strides), value) for i, kind in enumerate(kinds)]
    kernel = Loop(x.shape, reduced, (), tuple(folds), 1 + len(kinds))
    results = [np.zeros(kept, x.dtype) for _ in kinds]
    Compiled(kernel, chosen)([x, *results])
    return results


def fold_over(x: Array, reduced: tuple[bool, ...], kind: str, chosen: Target) -> Array:
    """One fold of a contiguous array."""
    return folds_over(x, reduced, [kind], chosen)[0]


# Against NumPy ------------------------------------------------------------------------------------


def assert_same(kernel: Loop, before: list[Array], got: list[Array], want: list[Array]) -> None:
    """Stores exactly, sums of floats up to rounding."""
    rounded = {f.access.slot: f for f in kernel.folds if f.kind in ("add", "mul")}
    for slot, (g, w) in enumerate(zip(got, want, strict=True)):
        if slot not in rounded or g.dtype.kind != "f":
            np.testing.assert_array_equal(g, w)
            continue
        eps = float(np.finfo(g.dtype).eps)
        size = np.abs(evaluated(rounded[slot].value, before, kernel.sizes).astype(F64)).sum()
        absolute = 40 * eps * size if rounded[slot].kind == "add" else 0.0
        np.testing.assert_allclose(g.astype(F64), w.astype(F64), rtol=40 * eps, atol=absolute)


@pytest.mark.parametrize("block", range(6))
def test_random_loops_do_what_numpy_does(block: int, chosen: Target) -> None:
    for seed in range(10 * block, 10 * block + 10):
        random = Random(seed)
        kernel = random.loop()
        got = [a.copy() for a in random.arrays]
        want = [a.copy() for a in random.arrays]
        run_by_numpy(kernel, want)
        Compiled(kernel, chosen)(got)
        assert_same(kernel, random.arrays, got, want)


def test_tiles_in_any_order_give_the_bits_of_one_tile(
    chosen: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = 0
    for seed in range(100, 125):
        random = Random(seed)
        kernel = random.loop()
        whole = [a.copy() for a in random.arrays]
        parts = [a.copy() for a in random.arrays]
        monkeypatch.setattr(nest, "TILE_POINTS", 1 << 60)
        one = Compiled(kernel, chosen)
        one(whole)
        monkeypatch.setattr(nest, "TILE_POINTS", (16, 100, 700)[seed % 3])
        many = Compiled(kernel, chosen)
        cuts = sorted(random.rng.choice(many.tiles + 1, 3))
        bounds = [0, *map(int, cuts), many.tiles]
        many(parts, [(bounds[i], bounds[i + 1]) for i in (2, 0, 3, 1)])
        most = max(most, many.tiles)
        assert one.tiles == 1
        for a, b in zip(whole, parts, strict=True):
            np.testing.assert_array_equal(a, b)
    assert most > 50


@pytest.mark.parametrize("dtype", [F32, F64, U8, BOOL, F16])
@pytest.mark.parametrize("shape", [(64, 64), (5, 128), (2, 33, 70)])
def test_transposed_copies_of_any_size(
    shape: tuple[int, ...], dtype: np.dtype[Any], chosen: Target
) -> None:
    x = (np.random.default_rng(0).integers(0, 99, shape) % 7).astype(dtype)
    order = (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2)
    y = np.ascontiguousarray(x.transpose(order))
    got = np.zeros_like(y)
    out = contiguous(1, y.shape, dtype)
    store = out._replace(strides=tuple(out.strides[d] for d in order))
    kernel = elementwise(shape, [Store(store, Load(contiguous(0, shape, dtype)))], 2)
    Compiled(kernel, chosen)([x, got])
    np.testing.assert_array_equal(got, y)


def test_a_transposed_array_may_be_changed_in_place(chosen: Target) -> None:
    x, y = np.random.default_rng(1).standard_normal((2, 70, 90)).astype(F32)
    want = x + y.reshape(90, 70).T
    here, there = contiguous(0, (70, 90)), Access(1, F32, (1, 70))
    kernel = elementwise((70, 90), [Store(here, float32("add", Load(here), Load(there)))], 2)
    Compiled(kernel, chosen)([x, y])
    np.testing.assert_array_equal(x, want)


@pytest.mark.parametrize("stride", [2, 3, 4, 5, -2])
@pytest.mark.parametrize("size", [7, 33, 100])
def test_elements_apart(stride: int, size: int, chosen: Target) -> None:
    x = np.arange(abs(stride) * (size - 1) + 1, dtype=F32)
    y = np.zeros(size, F32)
    first = 0 if stride > 0 else len(x) - 1
    kernel = elementwise(
        (size,), [Store(Access(1, F32, (1,)), Load(Access(0, F32, (stride,), first)))], 2
    )
    Compiled(kernel, chosen)([x, y])
    np.testing.assert_array_equal(y, x[::stride])


@pytest.mark.parametrize("size", [1, 3, 16, 63, 65, 1000])
def test_an_update_in_place_reads_before_it_writes(size: int, chosen: Target) -> None:
    rng = np.random.default_rng(size)
    p, g, m = rng.standard_normal((3, size)).astype(F32)
    rate = np.array([0.1], F32)
    at = [Access(slot, F32, (1,)) for slot in range(3)]
    mean = float32("add", float32("mul", Const(0.9, F32), Load(at[2])), Load(at[1]))
    down = float32("sub", Load(at[0]), float32("mul", Load(Access(3, F32, (0,))), mean))
    want_m = np.float32(0.9) * m + g
    want_p = p - rate * want_m
    Compiled(elementwise((size,), [Store(at[2], mean), Store(at[0], down)], 4), chosen)(
        [p, g, m, rate]
    )
    np.testing.assert_array_equal(m, want_m)
    np.testing.assert_array_equal(p, want_p)


def test_a_result_does_not_depend_on_its_lane(chosen: Target) -> None:
    x = np.full(77, 0.7, F32)
    for function in ("exp", "tanh", "log", "sqrt", "erf"):
        y = np.zeros_like(x)
        at = Access(0, F32, (1,))
        value = float32(function, float32("div", Load(at), Const(3.0, F32)))
        Compiled(elementwise((77,), [Store(Access(1, F32, (1,)), value)], 2), chosen)([x, y])
        alone = np.zeros(1, F32)
        Compiled(elementwise((1,), [Store(Access(1, F32, (1,)), value)], 2), chosen)([x, alone])
        assert set(y.view(np.uint32)) == set(alone.view(np.uint32))


# Folds --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "reduced"),
    [
        ((0, 5), (True, False)),
        ((5, 0), (False, True)),
        ((0, 5), (False, True)),
        ((0,), (True,)),
    ],
)
def test_a_fold_over_nothing_is_the_neutral_element(
    shape: tuple[int, ...], reduced: tuple[bool, ...], chosen: Target
) -> None:
    for kind, dtype, value in [
        ("add", F32, 0.0),
        ("mul", F64, 1.0),
        ("maximum", F32, -math.inf),
        ("minimum", F16, math.inf),
        ("maximum", I64, np.iinfo(I64).min),
        ("minimum", U8, 255),
        ("or", BOOL, False),
        ("and", BOOL, True),
    ]:
        got = fold_over(np.zeros(shape, dtype), reduced, kind, chosen)
        np.testing.assert_array_equal(got, np.full(got.shape, value, dtype))


@pytest.mark.parametrize("reduced", [(False, True), (True, False), (True, True)])
@pytest.mark.parametrize("dtype", [F32, F64, F16])
def test_nan_wins_wherever_it_is(
    reduced: tuple[bool, ...], dtype: np.dtype[Any], chosen: Target
) -> None:
    rng = np.random.default_rng(3)
    axes = tuple(d for d, r in enumerate(reduced) if r)
    for shape in [(3, 70), (40, 5)]:
        x = rng.standard_normal(shape).astype(dtype)
        x.reshape(-1)[rng.integers(x.size, size=3)] = math.nan, math.inf, -math.inf
        top, bottom = folds_over(x, reduced, ["maximum", "minimum"], chosen)
        np.testing.assert_array_equal(top, np.max(x, axis=axes, keepdims=True))
        np.testing.assert_array_equal(bottom, np.min(x, axis=axes, keepdims=True))


@pytest.mark.parametrize("shape", [(7, 130), (130, 7), (33, 33)])
@pytest.mark.parametrize("reduced", [(False, True), (True, False), (True, True)])
def test_folds_of_integers_and_truth_values(
    shape: tuple[int, ...], reduced: tuple[bool, ...], chosen: Target
) -> None:
    rng = np.random.default_rng(5)
    axes = tuple(d for d, r in enumerate(reduced) if r)
    kinds = {"add": np.add, "mul": np.multiply, "maximum": np.maximum, "minimum": np.minimum}
    for dtype in (I64, U8, np.dtype("int8")):
        x = rng.integers(0, 250, shape).astype(dtype)
        got = folds_over(x, reduced, list(kinds), chosen)
        for result, function in zip(got, kinds.values(), strict=True):
            want = function.reduce(x, axis=axes, keepdims=True, dtype=dtype)
            np.testing.assert_array_equal(result, want)
    for share in (0.01, 0.99):
        x = rng.random(shape) < share
        some, every = folds_over(x, reduced, ["or", "and"], chosen)
        np.testing.assert_array_equal(some, np.any(x, axis=axes, keepdims=True))
        np.testing.assert_array_equal(every, np.all(x, axis=axes, keepdims=True))


@pytest.mark.parametrize(
    ("shape", "reduced"),
    [
        ((1 << 20,), (True,)),
        ((40_000, 24), (True, False)),
        ((3, 300_001), (False, True)),
        ((64, 5, 1000), (True, False, True)),
    ],
)
def test_long_sums_are_as_accurate_as_pairwise_ones(
    shape: tuple[int, ...], reduced: tuple[bool, ...], chosen: Target
) -> None:
    """A chain of k additions costs about sqrt(k) roundings; chains here have at most 64 links."""
    rng = np.random.default_rng(7)
    axes = tuple(d for d, r in enumerate(reduced) if r)
    eps = float(np.finfo(F32).eps)
    for x in (rng.random(shape, F32), rng.standard_normal(shape, F32)):
        exact = x.sum(axis=axes, keepdims=True, dtype=F64)
        size = np.abs(x).sum(axis=axes, keepdims=True, dtype=F64)
        error = np.abs(fold_over(x, reduced, "add", chosen) - exact) / size
        flat = np.moveaxis(x, axes, range(-len(axes), 0))
        flat = np.ascontiguousarray(flat).reshape(*exact.shape, -1)
        pairwise = np.abs(flat.sum(-1) - exact) / size
        assert error.max() <= 4 * eps
        assert error.max() <= 4 * pairwise.max() + eps


def test_a_float16_is_summed_as_a_float32(chosen: Target) -> None:
    ones = np.ones((3, 5000), F16)
    np.testing.assert_array_equal(fold_over(ones, (False, True), "add", chosen), [[5000]] * 3)


def test_folds_and_stores_share_one_pass(chosen: Target) -> None:
    """Softmax's second pass: exponentials of what is left of the maximum, and their sums."""
    x = np.random.default_rng(2).standard_normal((50, 37)).astype(F32)
    top, e, total, largest = x.max(1), np.zeros_like(x), np.zeros(50, F32), np.zeros(50, F32)
    value = float32(
        "exp", float32("sub", Load(Access(0, F32, (37, 1))), Load(Access(1, F32, (1, 0))))
    )
    folds = [
        Fold("add", Access(3, F32, (1, 0)), value),
        Fold("maximum", Access(4, F32, (1, 0)), value),
    ]
    kernel = Loop(
        (50, 37), (False, True), (Store(Access(2, F32, (37, 1)), value),), tuple(folds), 5
    )
    Compiled(kernel, chosen)([x, top, e, total, largest])
    np.testing.assert_allclose(e, np.exp(x - top[:, None]), rtol=1e-6)
    np.testing.assert_allclose(total, e.sum(1), rtol=1e-6)
    np.testing.assert_array_equal(largest, e.max(1))


# Text and plans -----------------------------------------------------------------------------------


def test_neon_text_is_valid() -> None:
    for seed in range(12):
        text = loop(Random(seed).loop(), target("neon")).text
        assert "kernel:" in native.assembly(text, target("neon"))


def test_the_same_kernel_is_the_same_text(chosen: Target) -> None:
    for seed in range(10):
        assert loop(Random(seed).loop(), chosen) == loop(Random(seed).loop(), chosen)


def test_equal_expressions_are_one_term() -> None:
    def square(scale: float) -> Expr:
        x = float32("mul", Load(Access(0, F32, (1,))), Const(scale, F32))
        return float32("mul", x, x)

    assert len(Terms([square(0.0), square(0.0)], 0).terms) == 4
    assert len(Terms([square(0.0), square(-0.0)], 0).terms) == 7


def test_a_deep_shared_expression_is_written_once() -> None:
    x: Expr = Load(Access(0, F32, (1,)))
    for _ in range(3000):
        x = float32("add", x, x)
    text = loop(elementwise((16,), [Store(Access(1, F32, (1,)), x)], 2), target("native")).text
    assert text.count("fadd") == 3000


def test_what_does_not_change_inside_is_computed_outside(chosen: Target) -> None:
    per_row = float32("div", Const(1.0, F32), Load(Access(1, F32, (1, 0))))
    sizes = (50, 4096)
    value = float32("mul", Load(contiguous(0, sizes)), per_row)
    text = loop(elementwise(sizes, [Store(contiguous(2, sizes), value)], 3), chosen).text
    assert text.count("fdiv float") == 1
    assert text.index("fdiv float") < text.rindex("phi")  # the inner loop's counter


def test_contiguous_dimensions_become_one() -> None:
    sizes = (4, 1, 5, 6)
    copy = elementwise(sizes, [Store(contiguous(1, sizes), Load(contiguous(0, sizes)))], 2)
    simple = nest.simplify(copy)
    assert simple.sizes == (120,)
    assert simple.stores[0].access.strides == (1,)


def test_dimensions_that_a_broadcast_separates_stay_apart() -> None:
    sizes = (4, 5, 6)
    bias = Load(Access(2, F32, (0, 1, 0)))
    value = float32("add", Load(contiguous(0, sizes)), bias)
    assert nest.simplify(elementwise(sizes, [Store(contiguous(1, sizes), value)], 3)).sizes == sizes


def test_a_counter_that_is_asked_for_keeps_its_dimension(chosen: Target) -> None:
    sizes = (3, 1, 40)
    store = Store(contiguous(0, sizes, I64), Apply("mul", (Index(0), Index(2)), I64))
    other = Store(contiguous(1, sizes, I64), Index(1))
    got = [np.full(sizes, -1), np.full(sizes, -1)]
    Compiled(elementwise(sizes, [store, other], 2), chosen)(got)
    np.testing.assert_array_equal(got[0][:, 0], np.arange(3)[:, None] * np.arange(40))
    np.testing.assert_array_equal(got[1], np.zeros(sizes))


@pytest.mark.parametrize("asked", [0, 1])
def test_only_the_counter_that_is_asked_for_matters(asked: int, chosen: Target) -> None:
    sizes = (6, 50)
    got = np.full(sizes, -1)
    store = Store(contiguous(0, sizes, I64), Index(asked))
    Compiled(elementwise(sizes, [store], 1), chosen)([got])
    np.testing.assert_array_equal(got, np.indices(sizes)[asked])


def test_what_all_walk_backwards_is_walked_forwards(chosen: Target) -> None:
    x = np.arange(60, dtype=F32)
    y = np.zeros(64, F32)
    back = [Access(0, F32, (-1,), 59), Access(1, F32, (-1,), 61)]
    kernel = elementwise((60,), [Store(back[1], Load(back[0]))], 2)
    assert nest.simplify(kernel).stores[0].access == Access(1, F32, (1,), 2)
    Compiled(kernel, chosen)([x, y])
    np.testing.assert_array_equal(y, [0, 0, *x, 0, 0])


def test_a_bool_is_stored_as_zero_or_one(chosen: Target) -> None:
    x = np.random.default_rng(0).standard_normal(75).astype(F32)
    got = np.zeros(75, BOOL)
    positive = Apply("gt", (Load(Access(0, F32, (1,))), Const(0.0, F32)), BOOL)
    Compiled(elementwise((75,), [Store(Access(1, BOOL, (1,)), positive)], 2), chosen)([x, got])
    np.testing.assert_array_equal(got.view(U8), (x > 0).view(U8))


@pytest.mark.parametrize(
    "sizes", [(100,), (1 << 14,), (1 << 16,), (1 << 24,), (300, 1000), (64, 7, 4000)]
)
def test_tiles_are_large_and_at_most_256(sizes: tuple[int, ...]) -> None:
    copy = elementwise(sizes, [Store(contiguous(1, sizes), Load(contiguous(0, sizes)))], 2)
    tiles = nest.plan(copy, target("native")).tiles
    assert tiles == min(256, max(1, math.prod(sizes) // 16384))


def test_reduced_loops_are_never_cut() -> None:
    one = Access(1, F32, (0,))
    total = Loop((1 << 24,), (True,), (), (Fold("add", one, Load(Access(0, F32, (1,)))),), 2)
    assert nest.plan(total, target("native")).tiles == 1


@pytest.mark.parametrize(
    "turns", [[1], [64], [65], [5000], [3, 100], [100, 3], [70, 1, 90], [9, 1 << 20]]
)
def test_chains_are_short_and_cover_all_turns(turns: list[int]) -> None:
    length = 1
    loops = [loop for dim in nest.chains(turns, 64) for loop in dim]
    extents = []
    for count, dim in zip(turns, nest.chains(turns, 64), strict=True):
        spans = [span for span, _ in dim]
        extents += [-(-e // s) for e, s in zip([count, *spans[:-1]], spans, strict=True)]
        assert spans[-1] == 1
    for (_, fresh), here in reversed(list(zip(loops, extents, strict=True))):
        assert here <= 64
        length = here if fresh else length * here
        assert length <= 64
