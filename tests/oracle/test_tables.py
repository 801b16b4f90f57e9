"""PyTorch's tables of cases: how much of them is present and right, and that the docs say so."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
import torch

import chainrule.torch as mirror

from .tables import ops
from .tables.entry import Entry, MismatchError
from .tables.report import Tables, counts, run_all, summary, write_json

PAGE = Path(__file__).parents[2] / "docs" / "torch_oracle.md"
AT_LEAST = {"op": 420, "module": 85, "optimizer": 13, "scheduler": 15}
COUNTED = {"op": 577, "module": 108, "optimizer": 13, "scheduler": 15}


@pytest.fixture(scope="module")
def tables(pytestconfig: pytest.Config) -> Tables:
    found = run_all()
    if wanted := os.environ.get("ORACLE_JSON"):
        write_json(found, Path(wanted))
    reporter = pytestconfig.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        reporter.write_line("")
        reporter.write_line(summary(found))
    return found


@pytest.mark.parametrize("kind", AT_LEAST)
def test_enough_of_the_table_is_right(tables: Tables, kind: str) -> None:
    assert len(tables.of(kind)) == COUNTED[kind]
    assert tables.count(kind, "right") >= AT_LEAST[kind], summary(tables)


def test_page_has_the_counts_of_this_run(tables: Tables) -> None:
    assert counts(tables) in PAGE.read_text(encoding="utf-8"), (
        "python -m tests.oracle.tables --page docs/torch_oracle.md brings it up to date"
    )


def test_every_sample_is_compared_or_has_a_reason(tables: Tables) -> None:
    for entry in tables.entries:
        if entry.status in ("right", "random"):
            assert entry.samples > 0
            assert entry.checks >= entry.samples
    reasons = {reason for entry in tables.entries for reason in entry.skipped}
    assert all(any(word in reason for word in ops.REASONS) for reason in reasons), reasons


@pytest.mark.parametrize(
    ("name", "order", "exact"),
    [("special.bessel_j0", 0, mpmath.besselj), ("special.bessel_y1", 1, mpmath.bessely)],
)
def test_wider_tolerances_are_for_errors_of_pytorch(name: str, order: int, exact: Any) -> None:
    x = np.linspace(0.1, 9.0, 400)
    truth = np.array([float(exact(order, v)) for v in x])
    judge = getattr(torch.special, name.removeprefix("special."))(torch.from_numpy(x))
    mine = getattr(mirror.special, name.removeprefix("special."))(mirror.tensor(x))
    assert np.abs(mine.numpy() - truth).max() < 1e-13
    assert np.abs(judge.numpy() - truth).max() > 1e-10
    assert set(ops.TOLERANCES) == {"special.bessel_j0", "special.bessel_y1"}


class TestJudge:
    """The comparison itself: it must be able to fail."""

    @staticmethod
    def judged(name: str, monkeypatch: pytest.MonkeyPatch, wrong: object) -> Entry:
        monkeypatch.setattr(ops, "named", lambda _: wrong)
        return ops.run(name)

    def test_wrong_value_is_found(self, monkeypatch: pytest.MonkeyPatch) -> None:
        entry = self.judged("tanh", monkeypatch, lambda x: x.tanh() * (1 + 1e-5))
        assert entry.status == "wrong"
        assert "value" in entry.failure

    def test_wrong_gradient_is_found(self, monkeypatch: pytest.MonkeyPatch) -> None:
        entry = self.judged("tanh", monkeypatch, lambda x: x.detach() + x.tanh() - x.detach())
        assert entry.status == "right"
        entry = self.judged("tanh", monkeypatch, lambda x: x.tanh() + 1e-3 * (x - x.detach()))
        assert entry.status == "wrong"
        assert "gradient" in entry.failure

    def test_wrong_dtype_is_found(self, monkeypatch: pytest.MonkeyPatch) -> None:
        entry = self.judged("argmax", monkeypatch, lambda x, *a, **k: x.argmax(*a, **k).int())
        assert "int32" in entry.failure

    def test_error_is_found(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*args: object) -> None:
            raise ValueError("no")

        entry = self.judged("tanh", monkeypatch, refuse)
        assert entry.failures == entry.samples
        assert "ValueError: no" in entry.failure

    def test_absent_name_is_absent(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ops, "_function", lambda op: None)
        assert ops.run("tanh").status == "absent"

    def test_different_number_of_results_is_a_mismatch(self) -> None:
        with pytest.raises(MismatchError, match="2 results, PyTorch 1"):
            Entry("op", "x").same((1.0, 2.0), (1.0,), "x")
