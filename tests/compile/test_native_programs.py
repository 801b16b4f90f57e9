"""Programs of all shapes in machine code: random ones, and those that once were wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from comparisons import compare, distinct_results, random_donations
from random_programs import RandomProgram
from schedules import launches

import chainrule as cr
from chainrule import nn, ops
from chainrule.compile import trace
from chainrule.compile.codegen import nest, tiling
from chainrule.compile.kernels import Contraction
from chainrule.compile.lower import builder, emit, memory, uses
from chainrule.compile.native import NativeExecutable
from chainrule.compile.passes import optimize
from chainrule.core.apply import apply
from chainrule.errors import ArgumentError
from chainrule.ops.convolution import ConvolutionInput
from chainrule.ops.window import make_window
from chainrule.runtime import native
from chainrule.runtime.target import check_host, target

pytestmark = pytest.mark.skipif(not native.available(), reason="needs llvmlite")

SEEDS = 72
"""Random programs: each of every target, dtype and size, half of them with small tiles."""


def runs_here(name: str) -> bool:
    """Whether this processor runs code for the target."""
    try:
        check_host(target(name))
    except ArgumentError:
        return False
    return True


TARGETS = [name for name in ("native", "avx2", "sse2") if native.available() and runs_here(name)]


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """Small kernels are cut into many tiles, and folds into parts, as large ones are."""
    monkeypatch.setenv("CHAINRULE_CACHE", "off")
    monkeypatch.setattr(tiling, "PRODUCTS", 200)
    monkeypatch.setattr(nest, "TILE_POINTS", 32)
    monkeypatch.setattr(emit, "_WORTH_CHUNKS", 64)
    monkeypatch.setattr(builder, "_MANY", 16)
    monkeypatch.setattr(uses, "LARGE", 16)


def check_random(seed: int) -> tuple[int, int, int]:
    """Make the program of a seed and compare it; its launches, barriers and most tiles."""
    rng = np.random.default_rng(seed)
    program = RandomProgram(
        seed, int(rng.integers(1, 25)), dtype=np.float32 if seed % 3 else np.float64,
        large=seed % 2 == 0,
    )  # fmt: skip
    graph = trace(program, *program.examples)
    distinct_results(graph)
    if not graph.outputs:
        return 0, 0, 0
    try:
        made = compare(
            graph, lambda k: program.draw(seed + k), rng, random_donations(graph, rng),
            target=target(TARGETS[seed // 4 % len(TARGETS)]), threads=4 if seed % 5 == 0 else None,
        )  # fmt: skip
    except Exception as failure:
        raise AssertionError(f"seed {seed}\n{program!r}\n{graph}") from failure
    return launches(made.program)


def test_random_programs_equal_the_interpreter() -> None:
    counts = np.array([check_random(seed) for seed in range(SEEDS // 2)])
    assert counts[:, 0].sum() > 3 * SEEDS
    assert counts[:, 1].sum() > SEEDS // 4


@pytest.mark.usefixtures("small_tiles")
def test_random_programs_of_many_tiles_equal_the_interpreter() -> None:
    counts = np.array([check_random(seed) for seed in range(1000, 1000 + SEEDS // 2)])
    assert (counts[:, 2] > 1).sum() > SEEDS // 4
    assert counts[:, 1].sum() > SEEDS


# What once was wrong ------------------------------------------------------------------------------


def check(
    fn: Callable[..., Any], *shapes: Sequence[int], donations: dict[int, int] | None = None
) -> NativeExecutable:
    """Compare a function of arrays of whole numbers, with these donations and without."""

    def draw(seed: int) -> list[Any]:
        rng = np.random.default_rng(seed)
        return [rng.integers(-3, 4, shape).astype(np.float32) for shape in shapes]

    graph = trace(fn, *draw(0))
    if donations:
        compare(graph, draw, np.random.default_rng(1), {})
    return compare(graph, draw, np.random.default_rng(0), donations or {})


def test_what_lies_between_parts_is_filled_before_the_parts_are_made() -> None:
    op = ConvolutionInput(make_window((1, 1), 2, 0, 1, 2), 1, (4, 3))
    check(lambda ct, w: apply(op, ct, w), (1, 2, 2, 2), (2, 2, 1, 1))


def test_numpy_reads_and_writes_parts_of_a_whole() -> None:
    def fn(x: Any, y: Any) -> Any:
        first = ops.relu(x * 2 + y)
        whole = ops.concatenate([x, first, y], 1)
        return whole, ops.sort(first, 0)[0], ops.concatenate([ops.sort(x, 0)[0], first], 0)

    check(fn, (5, 3), (5, 3))


def test_parts_of_a_part_are_made_in_place_only_if_they_are_dense_there() -> None:
    def fn(a: Any, b: Any, c: Any) -> Any:
        products = [(a @ b).reshape(4, 20, 1), (a @ b + 1).reshape(4, 20, 1)]
        inner = ops.concatenate(products, 0)
        return ops.concatenate([inner, c, inner * 2], 2)

    check(fn, (4, 7), (7, 20), (8, 20, 3))


@pytest.mark.parametrize("stride", [1, 2])
def test_windows_reach_beyond_an_image_that_is_a_view(stride: int) -> None:
    def fn(x: Any, w: Any) -> Any:
        part = x.reshape(-1)[3:75].reshape(2, 1, 6, 6)
        turned = ops.flip(part, 2).permute(0, 1, 3, 2)
        weight = w.reshape(2, 1, 2, 3)
        return (
            ops.conv2d(part, weight, stride=stride, padding=2),
            ops.conv2d(turned, weight, stride=stride, padding=1),
            ops.conv2d(x.reshape(-1)[:72].reshape(2, 1, 6, 6)[:, :, 1:5], weight, padding=1),
        )

    check(fn, (80,), (12,))


@pytest.mark.parametrize("channels", [1, 3, 24])
@pytest.mark.parametrize("out", [1, 2, 24])
def test_either_operand_of_a_convolution_may_have_the_columns(channels: int, out: int) -> None:
    def fn(x: Any, w: Any) -> Any:
        y = ops.conv2d(x.reshape(2, channels, 5, 4), w.reshape(out, channels, 2, 3), padding=1)
        return y, ops.pad(y, [(1, 2), (1, 1), (1, 0), (0, 2)]).permute(0, 3, 2, 1)

    check(fn, (2 * channels * 20,), (out * channels * 6,))


def test_memory_of_reshaped_results_is_not_used_again() -> None:
    def fn(x: Any, a: Any, b: Any) -> Any:
        joined = ops.concatenate([x, x], 0).reshape(1, 198, 1, 2)
        product = ops.relu(a @ b)
        return joined, product.transpose(0, 1) * 2 + 1, (product * 3).sum(0)

    check(fn, (66, 3), (50, 8), (8, 9))


def test_parts_of_other_sizes_do_not_share_the_zeros_around_them() -> None:
    def fn(x: Any, y: Any, w: Any) -> Any:
        first = ops.pad(ops.relu(x * 2 + 1), [(0, 26)]).reshape(17, 10)
        second = ops.pad(ops.relu(y * 3 - 1) @ w, [(0, 166)]).reshape(17, 10)
        a = ops.amax(first @ first.transpose(0, 1), 0, True)
        return (second @ second.transpose(0, 1)) * a

    check(fn, (144,), (5,), (5, 4))


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x.expand(3, 5, 4).reshape(5, 12),
        lambda x: x.permute(1, 0).reshape(5, 4),
        lambda x: ops.flip(x, 0).reshape(2, 10),
        lambda x: x[:, 1:3].reshape(5, 2),
        lambda x: x[1:, ::2].reshape(4, 2),
    ],
)
def test_reshaped_views_are_copies_of_the_view(view: Callable[[Any], Any]) -> None:
    check(lambda x: (view(x), view(x * 2) + 1), (5, 4))


def test_a_parameter_that_is_reshaped_keeps_its_layout() -> None:
    def fn(p: Any, x: Any, w: Any) -> Any:
        row = p.reshape(-1) @ w
        return row, x.permute(0, 2, 1) + x.permute(0, 2, 1).amax(2, True) * ops.sign(p)

    check(fn, (3, 4, 5), (3, 5, 4), (60, 4), donations={0: 1})


def test_an_element_is_broadcast() -> None:
    def fn(x: Any, y: Any, a: Any, b: Any) -> Any:
        return ops.where(y > 0, y, x[0] + 1), ops.relu(a @ b + (x[1] + 2))

    check(fn, (8,), (4,), (3, 5), (5, 20))


def test_a_constant_replaces_a_parameter_that_nothing_reads() -> None:
    def fn(p: Any, x: Any) -> Any:
        return x * 2, (p * 0.0 + 3 if False else x * 0 + 1), x - x.reshape(6)

    check(fn, (6,), (6,), donations={0: 1})
    graph = trace(lambda p, x: (x * 2, x + 1), np.zeros(6, np.float32), np.ones(6, np.float32))
    graph.outputs[1] = np.full(6, 7, np.float32)  # as simplification leaves it
    program = NativeExecutable(graph, {0: 1})
    memory = np.zeros(6, np.float32)
    arrays = [program.prepare(0, memory), program.prepare(1, np.ones(6, np.float32))]
    assert program(arrays)[1] is memory
    assert (memory == 7).all()


def test_the_old_value_of_a_parameter_may_be_a_result() -> None:
    check(lambda p, x: (p * 1, p - x, p.reshape(-1) * 1), (4, 3), (4, 3), donations={0: 1})
    check(lambda p, x: (p.permute(1, 0) * 1, p - x), (4, 3), (4, 3), donations={0: 1})


@pytest.mark.parametrize(
    "update",
    [
        lambda p: ops.pad(p[1:], [(0, 1), (0, 0)]),
        lambda p: ops.roll(p, 1, 0),
        lambda p: ops.flip(p, 0) * 2,
        lambda p: p + ops.flip(p.reshape(-1), 0).reshape(p.shape),
        lambda p: p - ops.amax(p),
        lambda p: p @ p.transpose(0, 1),
        lambda p: ops.cumsum(p, 0) + p,
        lambda p: ops.index_select(p, 0, np.arange(39, -1, -1)),
    ],
)
def test_a_parameter_is_not_overwritten_before_it_was_read(update: Callable[[Any], Any]) -> None:
    program = check(update, (40, 40), donations={0: 0})
    check(lambda p: (update(p), p * 2), (40, 40), donations={0: 0})
    del program


def test_parameters_may_change_places() -> None:
    check(lambda p, q: (q * 1, p * 1), (4, 5), (4, 5), donations={0: 0, 1: 1})
    check(lambda p, q: (q + 1, p - q), (4, 5), (4, 5), donations={0: 0, 1: 1})
    check(lambda p, q, r: (q + r, r + p, p + q), *[(40, 50)] * 3, donations={0: 0, 1: 1, 2: 2})


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_arguments_may_be_laid_out_in_any_order(order: tuple[int, int]) -> None:
    a, b = np.arange(30, dtype=np.float32).reshape(5, 6), np.eye(6, 40, 3, np.float32)
    graph = optimize(trace(lambda a, b: (a @ b, a.reshape(-1) * 2), a, b))
    program = NativeExecutable(graph, {}, orders={0: order, 1: order})
    for layout in "CF":
        given = [np.array(x, order=layout) for x in (a, b)]  # type: ignore[call-overload]
        product, flat = program([program.prepare(i, x) for i, x in enumerate(given)])
        np.testing.assert_array_equal(product, a @ b)
        np.testing.assert_array_equal(flat, a.reshape(-1) * 2)


def test_the_shuffler_sees_a_barrier_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison has teeth: without barriers, some order of tiles is wrong."""

    def draw(seed: int) -> list[Any]:
        rng = np.random.default_rng(seed)
        return [rng.integers(-3, 4, (256, 512)).astype(np.float32)]

    graph = trace(lambda x: ops.cumsum((x * 2).sum(0), 0) + ops.flip(x * 3, 1).amax(0), *draw(0))
    compare(graph, draw, np.random.default_rng(0), {})
    monkeypatch.setattr(memory, "_conflict", lambda *_: False)
    with pytest.raises(AssertionError, match="not equal"):
        compare(graph, draw, np.random.default_rng(0), {})


def test_a_gradient_has_fetched_what_is_summed_with_it() -> None:
    """In the gradient of a batch norm: its input, which was made far away."""
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 16, 3, padding=1),
    )

    @cr.compile
    def step(x: Any) -> Any:
        loss = (model(x) ** 2).sum()
        loss.backward()
        return loss

    step(cr.zeros(16, 3, 32, 32))
    (executable,) = [variant.executable for variant in step._variants]
    steps = [s for s in executable.planned if isinstance(s, emit.Step)]
    fetching = [s for s in steps if isinstance(s.kernel, Contraction) and s.kernel.later]
    assert [s.label for s in fetching] == ["contract+map 16x16x32x32"]
    (fetched,) = [s.buffers[a.slot] for s in fetching for a in s.kernel.later]
    assert fetched not in fetching[0].reads
    following = steps[steps.index(fetching[0]) + 1]
    assert fetched in following.reads
