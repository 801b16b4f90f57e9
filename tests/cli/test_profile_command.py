"""``chainrule profile``: the table, the document, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chainrule.runtime import native
from chainrule.runtime.threads import get_num_threads

Command = Callable[..., Any]

pytestmark = pytest.mark.skipif(not native.available(), reason="needs llvmlite")


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.delenv("CHAINRULE_BACKEND", raising=False)


@pytest.fixture
def fast(make_data: Callable[..., Path]) -> list[object]:
    """Options for a profile of little work."""
    return ["--data", make_data(), "--batch", 4, "--repeats", 2]


@pytest.mark.parametrize("model", ["cnn", "lstm", "mlp"])
def test_json_is_one_object_with_a_row_for_every_kernel(
    model: str, command: Command, fast: list[object]
) -> None:
    done = command("profile", "mnist", "--model", model, "--json", *fast)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    found = json.loads(done.stdout)
    assert (found["dataset"], found["model"], found["batch"]) == ("mnist", model, 4)
    assert sum(row["calls"] for row in found["rows"]) == found["kernels"] + found["host_steps"]
    assert sum(row["share"] for row in found["rows"]) == pytest.approx(1.0)
    assert found["host_steps"] == 0
    assert 0 < found["of_peak"] < 2
    assert any(row["gflops"] for row in found["rows"])
    assert not any(row["line"] for row in found["rows"])


def test_the_table_shows_the_slowest_and_sums_up_the_others(
    command: Command, fast: list[object]
) -> None:
    done = command("profile", "--model", "mlp", "--top", "3", *fast)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert sum("%" in line for line in lines[:-1]) == 4
    for expected in ("share", "GFLOP/s", "limit", "others"):
        assert expected in done.stdout
    assert lines[-1].startswith("mlp, batch 4: ")
    assert "of the peak of" in lines[-1]


def test_threads_are_as_asked_and_as_before_afterwards(
    command: Command, fast: list[object]
) -> None:
    before = get_num_threads()
    done = command("profile", "--threads", "1", "--json", *fast)
    assert json.loads(done.stdout)["threads"] == 1
    assert get_num_threads() == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["cifar"], ["cifar", "mnist"]),
        (["--model", "transformer"], ["transformer", "cnn"]),
        (["--batch", "0"], ["batch"]),
        (["--batch", "17"], ["at most 16", "17"]),
        (["--threads", "0"], ["threads"]),
        (["--data", "nowhere"], ["nowhere"]),
    ],
)
def test_bad_input_is_explained(
    arguments: list[object], words: list[str], command: Command, make_data: Callable[..., Path]
) -> None:
    done = command("profile", "--data", make_data(), *arguments)
    assert done.returncode == 2
    assert not done.stdout
    for word in words:
        assert word in done.stderr


def test_without_kernels_there_is_nothing_to_profile(
    command: Command, fast: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHAINRULE_BACKEND", "numpy")
    done = command("profile", "--json", *fast)
    assert done.returncode == 2
    assert "NumPy runs it" in json.loads(done.stdout)["error"]["message"]


def test_help_names_the_command_and_its_options(command: Command) -> None:
    assert "profile" in command("--help").stdout
    shown = command("profile", "--help").stdout
    assert all(option in shown for option in ("--model", "--batch", "--threads", "--top", "--json"))
