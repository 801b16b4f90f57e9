"""Leaves the tests of this directory out where torch is missing; sums them up where it is not."""

from __future__ import annotations

import importlib.util
from typing import Any

from .tally import TALLY

collect_ignore_glob = [] if importlib.util.find_spec("torch") else ["test_*.py"]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if TALLY.checks:
        terminalreporter.section("against PyTorch")
        terminalreporter.write_line(str(TALLY))
