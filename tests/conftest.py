"""The summary at the end of a test run: what the contract of the ops compared."""

from __future__ import annotations

from typing import Any

import pytest

summary_lines = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[summary_lines] = []


@pytest.fixture(scope="session")
def say_at_the_end(request: pytest.FixtureRequest) -> list[str]:
    """Lines appended to this list are printed after the last test."""
    return request.config.stash[summary_lines]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    lines = config.stash.get(summary_lines, [])
    if lines:
        terminalreporter.section("contract of the ops")
        for line in lines:
            terminalreporter.write_line(line)
