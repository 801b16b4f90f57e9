"""The programs of ``benchmarks/versus.py`` train in chainrule, and its processes answer."""

from __future__ import annotations

import importlib
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
NAMES = ("autoencoder", "cnn", "cnn-32", "gpt", "lstm", "mlp", "resnet20", "tiny")


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports a module of the benchmarks, which are programs and not a package."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


def test_every_workload_is_listed_here(benchmarks: Any) -> None:
    assert set(NAMES) == set(benchmarks("models.workloads").WORKLOADS)


@pytest.mark.parametrize("name", NAMES)
def test_workload_trains_eagerly(name: str, benchmarks: Any) -> None:
    workloads = benchmarks("models.workloads")
    workload = workloads.WORKLOADS[name]._replace(batch=4, lr=1e-4)
    data = workloads.batches(workload)
    program = benchmarks("models.with_chainrule").build(
        workload, data, workloads.weights(name), compiled=False
    )
    batch = program.batches[0]
    before = program.value(program.forward(batch))
    assert math.isclose(program.value(program.gradients(batch)), before, rel_tol=1e-6)
    losses = [program.value(program.step(batch)) for _ in range(2)]
    assert math.isclose(losses[0], before, rel_tol=1e-6)
    assert math.isfinite(losses[1])
    assert losses[1] < losses[0]


def test_start_is_the_same_for_all(benchmarks: Any, tmp_path: Path) -> None:
    workloads = benchmarks("models.workloads")
    workloads.save("tiny", tmp_path / "tiny.npz")
    data, weights = workloads.load(tmp_path / "tiny.npz")
    again = workloads.batches(workloads.WORKLOADS["tiny"])
    for (x, y), (x2, y2) in zip(data, again, strict=True):
        np.testing.assert_array_equal(x, x2)
        np.testing.assert_array_equal(y, y2)
    for key, value in workloads.weights("tiny").items():
        np.testing.assert_array_equal(weights[key], value)


@pytest.mark.parametrize(
    ("own", "agrees"), [([1.0, 2.0], True), ([1.0, 2.1], False), ([1.0, math.nan], False)]
)
def test_disagreement_is_seen(own: list[float], agrees: bool, benchmarks: Any) -> None:
    worst = benchmarks("versus").worst_difference(own, [1.0, 2.0])
    assert (worst <= 1e-3) == agrees


def test_one_workload_runs_through(tmp_path: Path) -> None:
    command = [
        sys.executable, str(BENCHMARKS / "versus.py"), "--models", "tiny", "--quick",
        "--skip", "torch,jax", "--threads", "1", "--rounds", "1", "--json", str(tmp_path / "out"),
    ]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env=dict(os.environ)
    )
    assert done.returncode == 0, done.stderr
    assert "chainrule-eager" in done.stdout
    (row,) = json.loads((tmp_path / "out").read_text())["rows"]
    failures = [r["failed"] for r in row["results"].values() if "failed" in r]
    assert all("has no compile" in failure for failure in failures)
    eager = row["results"]["chainrule-eager"]
    assert len(eager["losses"]) == 20
    assert eager["median_ms"] >= eager["best_ms"] > 0
    assert eager["peak_bytes"] > 0


def test_contestant_that_ends_is_reported(benchmarks: Any, tmp_path: Path) -> None:
    peers = benchmarks("peers")
    data = tmp_path / "tiny.npz"
    benchmarks("models.workloads").save("tiny", data)
    process = peers.Process("chainrule-eager", "tiny", data, 1, tmp_path)
    try:
        assert math.isfinite(process.start["loss"])
        with pytest.raises(peers.ContestantError, match="KeyError"):
            process.ask(do="run", what="step")
        process.child.wait()
        with pytest.raises(peers.ContestantError, match="ended with status 0"):
            process.ask(do="memory")
    finally:
        process.close()


def test_unknown_workload_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "versus.py"), "--models", "cnm"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "no such model: cnm; there are cnn," in done.stderr
