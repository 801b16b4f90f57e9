"""The summary at the end of a test run: what the contract of the ops compared."""

from __future__ import annotations

from typing import Any

import pytest

counts_key = pytest.StashKey[dict[str, int]]()

SUMMARY = (
    ("ops", "ops registered {}"),
    ("gradients", "gradient checks {} (>= 3000)"),
    ("seconds", "second-order checks {}"),
    ("comparisons", "comparisons in all {}"),
    ("planted", "planted wrong rules {}"),
    ("caught", "caught {}"),
)


def pytest_configure(config: pytest.Config) -> None:
    config.stash[counts_key] = {}


@pytest.fixture(scope="session")
def contract_counts(request: pytest.FixtureRequest) -> dict[str, int]:
    """Counts put here under the names of ``SUMMARY`` are printed after the last test."""
    return request.config.stash[counts_key]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker process hands its counts over; each file of tests runs in one worker."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["contract"] = session.config.stash[counts_key]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    node.config.stash[counts_key].update(getattr(node, "workeroutput", {}).get("contract", {}))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    counts = config.stash.get(counts_key, {})
    said = [text.format(counts[name]) for name, text in SUMMARY if name in counts]
    if said:
        terminalreporter.section("contract of the ops")
        terminalreporter.write_line(", ".join(said))
