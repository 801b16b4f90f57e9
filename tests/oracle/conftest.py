"""Leaves the tests of this directory out where torch is missing; sums them up where it is not."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from .tally import TALLY

NOTHING: tuple[Any, ...] = ([], [], 0, 0.0, "")

collect_ignore_glob = [] if importlib.util.find_spec("torch") else ["test_*.py"]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker process hands its tally over."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["tally"] = [
            sorted(TALLY.ops),
            sorted(TALLY.modules),
            TALLY.checks,
            TALLY.worst,
            TALLY.where,
        ]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    ops, modules, checks, worst, where = getattr(node, "workeroutput", {}).get("tally", NOTHING)
    TALLY.ops.update(ops)
    TALLY.modules.update(modules)
    TALLY.checks += checks
    TALLY.note(worst, where)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if TALLY.checks:
        terminalreporter.section("against PyTorch")
        terminalreporter.write_line(str(TALLY))
