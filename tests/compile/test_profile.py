"""Profiles: what they say of known kernels, that nothing changes by them, and the DEBUG ladder."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.compile import limits
from chainrule.compile.kernels import (
    Access,
    Apply,
    Const,
    Contraction,
    Fold,
    Load,
    Loop,
    Operand,
    Store,
    Total,
)
from chainrule.compile.listing import described
from chainrule.compile.profile import Profile
from chainrule.errors import ArgumentError
from chainrule.runtime import native

pytestmark = pytest.mark.skipif(not native.available(), reason="needs llvmlite")

F32 = np.dtype(np.float32)


@pytest.fixture(autouse=True)
def native_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHAINRULE_BACKEND", raising=False)


def training(seed: int = 0) -> tuple[Any, nn.Module, Any]:
    """A compiled step with dropout, its model and optimizer."""
    cr.manual_seed(seed)
    model = nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 3))
    optimizer = optim.Adam(model.parameters(), lr=0.01)

    @cr.compile
    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step, model, optimizer


def batch() -> tuple[Any, Any]:
    rng = np.random.default_rng(5)
    return cr.tensor(rng.normal(size=(6, 12)).astype(np.float32)), cr.tensor(rng.integers(0, 3, 6))


def state(model: nn.Module, optimizer: Any) -> list[Any]:
    """All numbers that a step could change; None where there is no gradient."""
    found: list[Any] = [cr.default_generator.get_state()]
    for p in model.parameters():
        found += [p.array.copy(), None if p.grad is None else p.grad.array.copy()]
        found += [cell.array.copy() for cell in optimizer.state.get(p, {}).values()]
    return found


def assert_equal(a: list[Any], b: list[Any]) -> None:
    assert len(a) == len(b)
    for x, y in zip(a, b, strict=True):
        assert (x is None) is (y is None)
        if x is not None:
            np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("cleared", [False, True])
def test_a_profile_changes_no_state_and_no_later_step(cleared: bool) -> None:
    def train(*, profiled: bool) -> tuple[list[float], list[Any]]:
        step, model, optimizer = training()
        x, y = batch()
        losses = [step(x, y).item() for _ in range(3)]
        if cleared:
            optimizer.zero_grad()
        if profiled:
            before = state(model, optimizer)
            places = [id(p.array) for p in model.parameters()]
            step.profile(x, y, repeats=3)
            assert_equal(state(model, optimizer), before)
            assert [id(p.array) for p in model.parameters()] == places
        losses += [step(x, y).item() for _ in range(3)]
        assert step.traces == 1
        return losses, state(model, optimizer)

    plain, profiled = train(profiled=False), train(profiled=True)
    assert profiled[0] == plain[0]
    assert_equal(profiled[1], plain[1])


def test_a_profile_before_the_first_call_traces_for_it() -> None:
    plain, model, optimizer = training()
    x, y = batch()
    expected = [plain(x, y).item() for _ in range(3)]
    step, model, optimizer = training()
    step.profile(x, y, repeats=1)
    assert all(p.grad is None for p in model.parameters())
    assert [step(x, y).item() for _ in range(3)] == expected
    assert step.traces == 1
    assert step.why_recompiled() == []
    assert_equal(state(model, optimizer)[:1], [cr.default_generator.get_state()])


def test_another_shape_is_profiled_as_itself() -> None:
    @cr.compile
    def double(x: Any) -> Any:
        return x * 2

    double(cr.ones(4))
    small, large = double.profile(cr.ones(4), repeats=1), double.profile(cr.ones(9), repeats=1)
    assert double.traces == 2
    assert small.rows[0].kernel == "map 4"
    assert large.rows[0].kernel == "map 9"


def profiled(fn: Callable[..., Any], *args: Any) -> Profile:
    return cr.compile(fn).profile(*args, repeats=2)


def test_products_and_bytes_of_a_matrix_product_are_counted() -> None:
    found = profiled(lambda a, b: cr.relu(a @ b), cr.ones(40, 30), cr.ones(30, 50))
    (row,) = found.rows
    assert row.operations == "matmul + relu"
    assert row.gflops == pytest.approx(2e-9 * 40 * 30 * 50 / row.seconds)
    assert row.gbytes == pytest.approx(1e-9 * 4 * (40 * 30 + 30 * 50 + 40 * 50) / row.seconds)
    assert row.share == pytest.approx(1.0)
    assert row.of_limit is not None
    assert row.of_limit > 0
    assert found.kernels == 1
    assert found.host_steps == 0
    assert found.gflops == pytest.approx(2e-9 * 40 * 30 * 50 / found.seconds)
    assert found.of_peak == pytest.approx(found.gflops / found.peak_gflops)


@pytest.mark.parametrize(
    ("fn", "elements"),
    [
        (lambda x: x * 2 + x, 2 * 600),
        (lambda x: x + x.sum(0), None),
        (lambda x: x[::2] * 2, 2 * 300),
        (lambda x: x + cr.tensor(np.arange(30, dtype=np.float32)), 2 * 600 + 30),
        (lambda x: x[:-1] + x[1:], 600 + 570),
    ],
)
def test_bytes_are_those_of_distinct_elements(fn: Any, elements: int | None) -> None:
    found = profiled(fn, cr.ones(20, 30))
    row = max(found.rows, key=lambda r: r.kernel.startswith("map"))
    assert row.gflops is None
    assert row.gbytes is not None
    if elements is not None:
        assert row.gbytes * row.seconds * 1e9 == pytest.approx(4 * elements)


def test_a_convolutions_windows_count_its_image_once() -> None:
    x, w = cr.ones(2, 3, 12, 12), cr.ones(4, 3, 3, 3)
    found = profiled(lambda x, w: nn.functional.conv2d(x, w), x, w)
    row = next(r for r in found.rows if r.gflops is not None)
    assert row.gbytes is not None
    nbytes = row.gbytes * row.seconds * 1e9
    assert nbytes == pytest.approx(4 * (2 * 3 * 144 + 4 * 27 + 2 * 4 * 100))


def test_rows_say_module_and_line() -> None:
    step, _, _ = training()
    found = step.profile(*batch(), repeats=2)
    first = next(r for r in found.rows if r.operations.startswith("matmul"))
    assert first.module == "Sequential.0"
    assert first.line.startswith(f"{Path(__file__).name}:")
    assert "model(x)" in first.line
    assert any("optimizer.step()" in row.line for row in found.rows)
    assert any("random" in row.operations and row.module == "Sequential.2" for row in found.rows)
    assert sum(row.share for row in found.rows) == pytest.approx(1.0)
    assert sum(row.calls for row in found.rows) == found.kernels


def test_equal_launches_of_one_purpose_are_one_row() -> None:
    cell = nn.LSTM(8, 16, batch_first=True)

    def run(x: Any) -> Any:
        with cr.no_grad():
            return cell(x)[0]

    found = profiled(run, cr.ones(4, 10, 8))
    assert max(row.calls for row in found.rows) >= 8
    assert len(found.rows) < found.kernels


def test_numpy_steps_are_counted() -> None:
    found = profiled(lambda x: cr.sort(x * 2, dim=0)[0] + 1, cr.ones(16))
    assert found.host_steps == 1
    row = next(r for r in found.rows if r.kernel.startswith("numpy"))
    assert row.gbytes is None
    assert row.seconds > 0
    assert ", 1 NumPy step, " in found.summary


def test_a_profile_prints_as_a_table_and_as_a_document() -> None:
    step, _, _ = training()
    found = step.profile(*batch(), repeats=2)
    text = str(found)
    assert found.summary in text
    assert len(text.splitlines()) == 2 + len(found.rows)
    times = [row.seconds for row in found.slowest]
    assert times == sorted(times, reverse=True)
    document = found.document()
    assert document["kernels"] == found.kernels
    assert document["rows"][0]["ms"] == 1e3 * found.rows[0].seconds
    assert document["rows"][0]["operations"] == found.rows[0].operations


def test_what_numpy_runs_has_no_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAINRULE_BACKEND", "numpy")
    with pytest.raises(ArgumentError, match="NumPy runs it"):
        cr.compile(lambda x: x + 1).profile(cr.ones(3))


def test_a_profile_takes_one_run_at_least() -> None:
    with pytest.raises(ArgumentError, match="repeats=0"):
        cr.compile(lambda x: x + 1).profile(cr.ones(3), repeats=0)


def test_limits_are_measured_once_unless_a_kernel_does_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rates = iter([10.0, 8.0, 12.0, 99.0])
    monkeypatch.setattr(limits, "_peaks", {})
    monkeypatch.setattr(limits, "_products_measured", lambda dtype, threads: next(rates))
    assert limits.products_per_second(F32, 1) == 10.0
    assert limits.products_per_second(F32, 1) == 10.0
    assert limits.products_per_second(F32, 1, 11.0) == 12.0
    assert limits.products_per_second(F32, 1) == 12.0


@pytest.mark.parametrize("threads", [1, 2])
def test_measured_limits_are_rates(threads: int) -> None:
    assert limits.products_per_second(F32, threads) > 1e6
    assert limits.products_per_second(np.dtype(np.float64), threads) > 1e6
    assert limits.bytes_per_second(1000, threads) > 1e6
    assert limits.bytes_per_second(10**6, threads) > 1e6


# Listings -----------------------------------------------------------------------------------------


def test_a_loop_is_listed_in_full() -> None:
    x = Load(Access(0, F32, (4, 1)))
    value = Apply("add", (x, Const(1.0, F32)), F32)
    kernel = Loop(
        (3, 4),
        (False, True),
        (Store(Access(1, F32, (4, 1), 7), value),),
        (Fold("add", Access(2, F32, (1, 0)), x),),
        3,
    )
    assert described(kernel) == [
        "for i < 3, j < 4:",
        "    s1[i*4 + j + 7] = (s0[i*4 + j] + 1.0)",
        "    s2[i] = add over j of s0[i*4 + j]",
    ]


def test_a_contraction_is_listed_as_its_sum() -> None:
    out = Store(Access(2, F32, (5, 1)), Apply("maximum", (Total(F32), Const(0.0, F32)), F32))
    kernel = Contraction(
        F32, (), (3,), 5, (4,), Operand(0, (), (4,), (1,)), Operand(1, (), (), (5,)), (out,), 3
    )
    assert described(kernel) == [
        "contraction of float32, 60 products",
        "for i < 3, j < 5:",
        "    Σ = sum of s0[i*4 + k] * s1[j + k*5] for k < 4",
        "    s2[i*5 + j] = maximum(Σ, 0.0)",
    ]


# CHAINRULE_DEBUG ----------------------------------------------------------------------------------

PROGRAM = """
import chainrule as cr
from chainrule import nn, optim
cr.manual_seed(0)
model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
@cr.compile
def step(x, y):
    optimizer.zero_grad()
    loss = nn.functional.mse_loss(model(x), y)
    loss.backward()
    optimizer.step()
    return loss
x, y = cr.rand(6, 4), cr.rand(6, 1)
print([step(x, y).item() for _ in range(5)])
print(step(x[:3], y[:3]).item())
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[str, str]]:
    """What PROGRAM prints at a level of CHAINRULE_DEBUG, to standard output and error."""
    cache = tmp_path_factory.mktemp("cache")
    known: dict[str, tuple[str, str]] = {}

    def run(level: str) -> tuple[str, str]:
        if level not in known:
            env = {k: v for k, v in os.environ.items() if k != "CHAINRULE_BACKEND"}
            done = subprocess.run(
                [sys.executable, "-c", PROGRAM],
                capture_output=True, text=True, timeout=240, check=True,
                env={**env, "CHAINRULE_DEBUG": level, "CHAINRULE_CACHE": str(cache)},
            )  # fmt: skip
            known[level] = done.stdout, done.stderr
        return known[level]

    return run


def test_level_0_is_silent(run: Callable[[str], tuple[str, str]]) -> None:
    out, err = run("0")
    assert len(out.splitlines()) == 2
    assert err == ""


@pytest.mark.parametrize("level", ["1", "2", "3", "4"])
def test_no_level_changes_a_bit(level: str, run: Callable[[str], tuple[str, str]]) -> None:
    assert run(level)[0] == run("0")[0]


def test_level_1_tells_of_the_cache_and_of_retraces(run: Callable[[str], tuple[str, str]]) -> None:
    run("0")  # fills the cache
    _, err = run("1")
    assert "from the cache, 0 compiled" in err
    assert "step is traced again: argument 0: float32[6,4] became float32[3,4]" in err
    assert "operations became" in err
    assert "GFLOP/s" not in err
    assert all(line.startswith("chainrule: ") for line in err.splitlines())


def test_level_2_prints_one_profile(run: Callable[[str], tuple[str, str]]) -> None:
    _, err = run("2")
    assert err.count("% of the peak of") == 1
    assert "matmul" in err
    assert "(Sequential.0)" in err
    assert "def graph(" not in err


def test_level_3_prints_graphs_and_kernels(run: Callable[[str], tuple[str, str]]) -> None:
    _, err = run("3")
    assert "# after expand" in err
    assert "def graph(" in err
    assert err.count("contraction of float32, 192 products") == 2  # forward, and its weight
    assert "steps for the target" in err
    assert "contraction of float32, 192 products" in err
    assert "Σ = sum of s0[" in err
    assert "define void @kernel" not in err


def test_level_4_prints_code(run: Callable[[str], tuple[str, str]]) -> None:
    _, err = run("4")
    assert "define void @kernel(" in err
    assert err.count("; assembly of [") == err.count("; LLVM IR of [") > 3
    assert "ret" in err.split("; assembly of [")[1]
