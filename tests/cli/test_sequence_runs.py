"""``train sunspots|elnino|shakespeare``, ``sample``: figures, run folders, resuming, bad input."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from chainrule.cli import sequence_runs
from chainrule.errors import DataError

Command = Callable[..., Any]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Sixty years of a noisy wave."""
    years = np.arange(60)
    values = 50 + 40 * np.sin(years * 2 * np.pi / 9) + np.random.default_rng(0).normal(size=60)
    path = tmp_path / "wave.csv"
    rows = [f"{1900 + y},{v:.3f}" for y, v in zip(years, values, strict=True)]
    path.write_text("\n".join(["year,height", *rows]))
    return path


@pytest.fixture
def quick(table: Path, tmp_path: Path) -> list[object]:
    """Options for a training on a series of a fraction of a second."""
    return ["--data", table, "--runs", tmp_path / "runs", "--epochs", 3, "--hidden", 4,
            "--window", 6, "--horizon", 2, "--eager"]  # fmt: skip


@pytest.fixture
def writing(tmp_path: Path) -> list[object]:
    """Options for a training on a text of a fraction of a second."""
    path = tmp_path / "own.txt"
    path.write_text("to be, or not to be, that is the question:\n" * 40)
    return ["--data", path, "--runs", tmp_path / "runs", "--epochs", 3, "--hidden", 8,
            "--embedding", 4, "--batch-size", 4, "--bptt", 16, "--lr", 0.03, "--eager"]  # fmt: skip


def run_in(folder: Path) -> Path:
    (run,) = (folder / "runs").iterdir()
    return run


def strict(text: str) -> dict:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


# Figures ------------------------------------------------------------------------------------------


def test_a_series_gives_errors_beside_naive_ones_and_the_reach_of_gradients(
    command: Command, quick: list[object], tmp_path: Path
) -> None:
    done = command("train", "sunspots", *quick, "--json", "--compare-bptt")
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    record = strict(done.stdout)
    test = record["test"]
    assert (test["samples"], test["from"]) == (12, "1948")
    better = min(test["rmse"]["last_value"], test["rmse"]["seasonal_naive"])
    assert test["ratio"] == pytest.approx(test["rmse"]["model"] / better)
    assert [row["steps_ahead"] for row in test["by_step"]] == [1, 2]
    assert [row["time"] for row in record["forecast"]] == ["1960", "1961"]
    assert [len(norms) for norms in record["gradient_by_step_back"].values()] == [6, 6]
    assert [row["bptt"] for row in record["truncation"]] == [1, 2, 4, 6]
    assert record["truncation"][-1]["cosine"] == pytest.approx(1)
    assert record["truncation"][-1]["rmse"] == pytest.approx(test["rmse"]["model"], rel=1e-4)
    assert record["compiled"] is False
    run = run_in(tmp_path)
    assert {p.name for p in run.iterdir()} == {
        "run.json", "weights.safetensors", "forecast.svg", "reach.svg",
    }  # fmt: skip
    assert strict((run / "run.json").read_text())["result"]["status"] == "finished"


def test_a_text_gives_nats_and_a_sample(
    command: Command, writing: list[object], tmp_path: Path
) -> None:
    done = command("train", "shakespeare", *writing, "--json")
    assert done.returncode == 0, done.stderr
    record = strict(done.stdout)
    test = record["test"]
    assert test["characters"] == 172
    assert test["nats_per_character"] < test["nats_of_frequencies"]
    assert test["bits_per_character"] == pytest.approx(test["nats_per_character"] / np.log(2))
    assert len(record["sample"]) == 300
    assert (run_in(tmp_path) / "reach.svg").read_text().startswith("<svg")


@pytest.mark.parametrize("options", [[], ["--direct"], ["--cell", "gru", "--bptt", 2]])
def test_the_screen_shows_tables(options, command: Command, quick: list[object]) -> None:
    done = command("train", "elnino", *quick, *options)
    assert done.returncode == 0, done.stderr
    for words in ("steps ahead", "season ago", "steps back", "cosine to full", "naive forecast's"):
        assert words in done.stdout
    assert done.stderr.startswith("epoch 1/3")


def test_the_step_is_compiled_unless_eager_is_asked_for(
    command: Command, quick: list[object]
) -> None:
    quick.remove("--eager")
    assert strict(command("train", "sunspots", *quick, "--json").stdout)["compiled"] is True


def test_the_same_seed_gives_the_same_figures(command: Command, quick: list[object]) -> None:
    found = [
        strict(command("train", "sunspots", *quick, "--json", "--seed", seed).stdout)["test"]
        for seed in (5, 5, 6)
    ]
    assert found[0] == found[1]
    assert found[0] != found[2]


# Using a run --------------------------------------------------------------------------------------


def test_a_run_on_a_series_is_evaluated_explained_and_exported(
    command: Command, quick: list[object], table: Path, tmp_path: Path
) -> None:
    record = strict(command("train", "sunspots", *quick, "--json").stdout)
    run = run_in(tmp_path)
    again = strict(command("evaluate", run, "--json").stdout)
    assert again == record["test"]
    text = table.read_text().replace("1959,", "1959,1")
    other = tmp_path / "other.csv"
    other.write_text(text)
    scored = strict(command("evaluate", run, "--data", other, "--json").stdout)
    assert scored["rmse"]["model"] > record["test"]["rmse"]["model"]
    done = command("explain", run, "--sample", 2, "--json")
    assert done.returncode == 0, done.stderr
    assert "recurrent" in done.stdout
    assert command("explain", run, "--sample", 99).returncode == 2
    assert command("export", run, tmp_path / "w.safetensors").returncode == 0
    assert "recurrent.weight_ih_l0" in safetensors.numpy.load_file(tmp_path / "w.safetensors")
    assert command("sample", run).returncode == 2
    assert command("evaluate", run, "--images", table, "--labels", table).returncode == 2


def test_a_run_on_a_text_is_evaluated_explained_and_sampled(
    command: Command, writing: list[object], tmp_path: Path
) -> None:
    record = strict(command("train", "shakespeare", *writing, "--json").stdout)
    run = run_in(tmp_path)
    again = strict(command("evaluate", run, "--json").stdout)
    assert again["nats_per_character"] == record["test"]["nats_per_character"]
    line = command("evaluate", run, "--data", tmp_path / "own.txt").stdout
    assert "on 1,720 characters" in line
    assert command("explain", run, "--sample", 1).returncode == 0
    done = command("sample", run, "--prompt", "to be", "--length", 20, "--temperature", 0)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout) == len("to be") + 20 + 1
    first, same, other = (
        strict(command("sample", run, "--seed", s, "--top-k", 5, "--json").stdout)["text"]
        for s in (1, 1, 2)
    )
    assert first == same != other
    done = command("sample", run, "--prompt", "XYZ")
    assert (done.returncode, "'X', 'Y', 'Z'" in done.stderr) == (2, True)
    assert command("export", run, tmp_path / "x.onnx").returncode == 2


@pytest.mark.parametrize("kind", ["sunspots", "shakespeare"])
def test_an_interrupted_run_goes_on_to_the_same_end(
    kind: str, command: Command, quick, writing, tmp_path: Path, monkeypatch
) -> None:
    options = quick if kind == "sunspots" else writing
    whole = strict(command("train", kind, *options, "--json").stdout)

    def interrupt(self, fit) -> None:
        if fit.epoch == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patched:
        patched.setattr(sequence_runs._Keeper, "on_gradients", interrupt)
        runs = tmp_path / "interrupted"
        done = command("train", kind, *options, "--runs", runs, "--json")
    assert done.returncode == 130
    record = strict(done.stdout)
    assert (record["status"], record["epochs"]) == ("interrupted", 1)
    (run,) = runs.iterdir()
    scored = command("evaluate", run, "--json")
    assert "did not finish" in scored.stderr
    assert strict(scored.stdout)["loss"] == record["test"]["loss"]
    done = command("train", kind, "--resume", run, "--json")
    assert done.returncode == 0, done.stderr
    resumed = strict(done.stdout)
    assert resumed["epochs"] == whole["epochs"]
    assert resumed["steps"] == whole["steps"]
    assert resumed["test"] == whole["test"]
    assert [p.name for p in runs.iterdir()] == [run.name]
    again = command("train", kind, "--resume", run)
    assert (again.returncode, "has finished" in again.stderr) == (2, True)


def test_an_interrupt_in_the_first_epoch_leaves_nothing(
    command: Command, quick, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(
        sequence_runs._Keeper, "on_gradients", lambda self, fit: os.kill(os.getpid(), signal.SIGINT)
    )
    done = command("train", "sunspots", *quick)
    assert (done.returncode, "nothing is kept" in done.stderr) == (130, True)
    assert not (tmp_path / "runs").exists()


def test_a_later_failure_is_recorded(command: Command, quick, tmp_path, monkeypatch) -> None:
    def spoil(self, fit) -> None:
        if fit.epoch == 2:
            fit.model.output.bias.array = np.full_like(fit.model.output.bias.array, np.nan)

    monkeypatch.setattr(sequence_runs._Keeper, "on_epoch_start", spoil)
    done = command("train", "sunspots", *quick)
    assert (done.returncode, str(run_in(tmp_path)) in done.stderr) == (2, True)
    result = json.loads((run_in(tmp_path) / "run.json").read_text())["result"]
    assert result["status"] == "diverged"
    assert "loss is nan" in result["error"]


def test_a_run_goes_on_only_as_it_began(command: Command, quick, tmp_path: Path) -> None:
    command("train", "sunspots", *quick)
    run = run_in(tmp_path)
    record = json.loads((run / "run.json").read_text())
    record["result"]["status"] = "interrupted"
    (run / "run.json").write_text(json.dumps(record))
    done = command("train", "sunspots", "--resume", run, "--epochs", 9)
    assert (done.returncode, "--epochs" in done.stderr) == (2, True)
    assert "another data set" in command("train", "elnino", "--resume", run).stderr
    assert "another kind" in command("train", "shakespeare", "--resume", run).stderr
    assert "not a run folder" in command("train", "sunspots", "--resume", tmp_path).stderr


@pytest.mark.parametrize(
    ("field", "value", "word"),
    [("settings", {"hidden": 10**9}, "hidden"), ("settings", {"size": 3}, "size"),
     ("settings", None, "how large"), ("scale", {"mean": 0}, "scale"),
     ("scale", {"mean": 0, "deviation": 0, "root": True}, "scale"), ("network", "x", "x"),
     ("options", {"dataset": "moon"}, "data set"), ("options", {"dataset": "elnino"}, "version")],
)  # fmt: skip
def test_a_damaged_record_is_refused(
    field: str, value: object, word: str, command: Command, quick, tmp_path: Path
) -> None:
    command("train", "sunspots", *quick)
    run = run_in(tmp_path)
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**record, field: value}))
    done = command("evaluate", run, *([] if field != "network" else ["--images", 1, "--labels", 1]))
    assert done.returncode == 2
    assert done.stderr.startswith("CheckpointError")
    assert word in done.stderr


# Bad input ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "word"),
    [(("1930,", "1931,"), "gap in time"), (("height", "a,height"), "header"),
     (("1930,", "1930,high"), "numbers")],
)  # fmt: skip
def test_bad_series_are_refused_before_anything_is_written(
    change: tuple[str, str], word: str, command: Command, quick, table: Path, tmp_path: Path
) -> None:
    table.write_text(table.read_text().replace(*change, 1))
    done = command("train", "sunspots", *quick)
    assert done.returncode == 2
    assert done.stderr.startswith("DataError")
    assert word in done.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    "options",
    [["--window", 60], ["--horizon", 20], ["--bptt", 7], ["--lr", 0], ["--lr", "nan"],
     ["--data", "none.csv"], ["--cell", "grid"], ["--dropout", 1], ["--hidden", 0]],
)  # fmt: skip
def test_impossible_options_are_refused_before_anything_is_written(
    options: list[object], command: Command, quick, tmp_path: Path
) -> None:
    done = command("train", "sunspots", *quick, *options)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("text", "word"), [("", "alphabet"), ("aaaa", "alphabet"), ("abc", "too short"),
                       ("ab" * 30, "--bptt")]
)  # fmt: skip
def test_texts_that_are_too_short_are_refused(
    text: str, word: str, command: Command, writing, tmp_path: Path
) -> None:
    (tmp_path / "own.txt").write_text(text)
    done = command("train", "shakespeare", *writing)
    assert (done.returncode, word in done.stderr) == (2, True)
    assert not (tmp_path / "runs").exists()


def test_a_rate_that_is_too_large_is_reported(command: Command, quick, tmp_path: Path) -> None:
    done = command("train", "sunspots", *quick, "--lr", "1e38", "--batch-size", 4)
    assert done.returncode == 2
    assert "--lr" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_a_full_disk_leaves_no_folder(command: Command, quick, tmp_path, monkeypatch) -> None:
    def full(*args: object, **options: object) -> None:
        raise DataError("No space left on device")

    monkeypatch.setattr(sequence_runs.checkpoint, "save", full)
    done = command("train", "sunspots", *quick)
    assert (done.returncode, "No space left" in done.stderr) == (2, True)
    assert not (tmp_path / "runs").exists()
