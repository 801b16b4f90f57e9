"""``train`` and ``evaluate``: what is left behind when something fails, and what is printed."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from rich.console import Console

from chainrule import train as training
from chainrule.cli import run_folder, screen
from chainrule.cli import train as train_module
from chainrule.errors import CheckpointError
from chainrule.nn.networks import NETWORKS
from chainrule.train import Trainer

Command = Callable[..., Any]


def runs_in(folder: Path) -> list[Path]:
    return list((folder / "runs").iterdir()) if (folder / "runs").exists() else []


def record_of(folder: Path) -> dict:
    (run,) = runs_in(folder)
    return json.loads((run / "run.json").read_text())["result"]


def strict(text: str) -> dict:
    """JSON as the standard has it: without NaN and Infinity."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


# What is left behind ------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [{"train": (8, 8)}, {"test": (8, 8)}])
def test_images_of_another_size_are_refused_before_anything_is_written(
    sizes, command: Command, make_data: Callable[..., Path], tmp_path: Path
) -> None:
    data = make_data(**sizes)
    done = command("train", "mnist", "--data", data, "--runs", tmp_path / "runs")
    assert done.returncode == 2
    assert "28×28" in done.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("deep", ["file", "file/below"])
def test_runs_that_is_a_file_is_refused(deep, command: Command, small, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    done = command("train", "mnist", *small, "--runs", tmp_path / deep)
    assert done.returncode == 2
    assert done.stderr.startswith("ArgumentError: no run folder can be made")
    assert "--runs" in done.stderr
    assert (tmp_path / "file").read_text() == "mine"


def test_too_long_a_name_is_refused(command: Command, small, tmp_path: Path) -> None:
    done = command("train", "mnist", *small, "--runs", tmp_path / ("x" * 300))
    assert done.returncode == 2
    assert "File name too long" in done.stderr
    assert "Errno" not in done.stderr


@pytest.mark.parametrize("file", ["weights.safetensors", "run.json"])
def test_a_full_disk_leaves_no_folder(file, command: Command, small, tmp_path, monkeypatch) -> None:
    def full(path, data) -> None:
        if Path(path).name == file:
            raise CheckpointError(f"cannot write {path}: No space left on device")
        Path(path).write_bytes(data)

    monkeypatch.setattr(training.storage, "write_atomically", full)
    monkeypatch.setattr(run_folder, "write_atomically", full)
    done = command("train", "mnist", *small, "--epochs", 1)
    assert done.returncode == 2
    assert "No space left" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_a_failure_in_the_first_epoch_leaves_no_folder(command: Command, small, tmp_path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "other").mkdir()
    done = command("train", "mnist", *small, "--lr", "1e38")
    assert done.returncode == 2
    assert "not finite" in done.stderr or "the loss is" in done.stderr
    assert "--lr" in done.stderr
    assert "step 2" in done.stderr
    assert [p.name for p in runs_in(tmp_path)] == ["other"]


def test_a_later_failure_is_recorded(command: Command, small, tmp_path, monkeypatch) -> None:
    def spoil(self, fit) -> None:
        if fit.epoch == 2:
            dense = fit.model.dense
            dense.weight.array = np.full_like(dense.weight.array, np.nan)

    monkeypatch.setattr(train_module._Keeper, "on_epoch_start", spoil)
    done = command("train", "mnist", *small, "--epochs", 3)
    assert done.returncode == 2
    assert "the loss is nan" in done.stderr
    result = record_of(tmp_path)
    assert result["status"] == "diverged"
    assert "loss is nan" in result["error"]
    (run,) = runs_in(tmp_path)
    assert str(run) in done.stderr
    stored = safetensors.numpy.load_file(run / "weights.safetensors")
    assert all(np.isfinite(a).all() for a in stored.values())


def test_a_diverged_run_is_no_success(command: Command, small, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(
        Trainer, "evaluate", lambda self, data: {"loss": float("nan"), "accuracy": 0.1}
    )
    done = command("train", "mnist", *small, "--epochs", 1, "--json")
    assert done.returncode == 1
    assert strict(done.stdout)["status"] == "diverged"
    assert strict(done.stdout)["test"]["loss"] == "nan"
    assert record_of(tmp_path)["status"] == "diverged"
    (run,) = runs_in(tmp_path)
    strict((run / "run.json").read_text())
    done = command("train", "mnist", *small, "--epochs", 1)
    assert done.returncode == 1
    assert "diverged" in done.stdout


def press_ctrl_c(fit) -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_an_interrupted_first_epoch_reports_its_steps(
    command: Command, small, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(train_module._Keeper, "on_gradients", lambda self, fit: press_ctrl_c(fit))
    done = command("train", "mnist", *small)
    assert done.returncode == 130
    assert "0 epochs, 1 step," in done.stdout
    assert record_of(tmp_path)["steps"] == 1


def test_a_second_ctrl_c_during_the_test_keeps_what_was_learnt(
    command: Command, small, tmp_path, monkeypatch
) -> None:
    weights = []

    def interrupt(self, data) -> None:
        weights.append(self.model.state_dict()["dense.weight"].array)
        raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "evaluate", interrupt)
    done = command("train", "mnist", *small, "--epochs", 1)
    assert done.returncode == 130
    assert "Traceback" not in done.stderr
    result = record_of(tmp_path)
    assert (result["status"], result["test"], result["steps"]) == ("finished", None, 2)
    (run,) = runs_in(tmp_path)
    stored = safetensors.numpy.load_file(run / "weights.safetensors")["dense.weight"]
    np.testing.assert_array_equal(stored, weights[0])


def test_an_interrupt_before_the_first_step_leaves_nothing(
    command: Command, small, tmp_path, monkeypatch
) -> None:
    def interrupt(self, fit) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(train_module._Keeper, "on_epoch_start", interrupt)
    assert command("train", "mnist", *small).returncode == 130
    assert not (tmp_path / "runs").exists()


# Evaluation ---------------------------------------------------------------------------------------


def evaluated(command: Command, tmp_path: Path, run: Path, *options: object):
    data = tmp_path / "data"
    return command(
        "evaluate", run, "--images", data / "t10k-images-idx3-ubyte",
        "--labels", data / "t10k-labels-idx1-ubyte", *options,
    )  # fmt: skip


@pytest.fixture
def finished(command: Command, small, tmp_path: Path) -> Path:
    assert command("train", "mnist", *small, "--epochs", 1, "--json").returncode == 0
    (run,) = runs_in(tmp_path)
    return run


def test_evaluating_a_run_that_did_not_finish_warns(
    command: Command, finished: Path, tmp_path: Path
) -> None:
    assert not evaluated(command, tmp_path, finished).stderr
    record = json.loads((finished / "run.json").read_text())
    record["result"] = {"status": "running"}
    (finished / "run.json").write_text(json.dumps(record))
    done = evaluated(command, tmp_path, finished, "--json")
    assert done.returncode == 0
    assert "running" in done.stderr
    assert strict(done.stdout).keys() == {"accuracy", "loss", "samples"}


def test_scores_that_are_not_finite_are_valid_json(
    command: Command, finished: Path, tmp_path: Path
) -> None:
    model = NETWORKS["mnist-cnn"].build()
    model.dense.bias.array = np.full(10, np.nan, np.float32)
    training.save(finished / "weights.safetensors", model)
    done = evaluated(command, tmp_path, finished, "--json")
    assert strict(done.stdout)["loss"] == "nan"


def test_weights_of_another_program_are_refused_without_advice_on_python(
    command: Command, finished: Path, tmp_path: Path
) -> None:
    path = finished / "weights.safetensors"
    safetensors.numpy.save_file(safetensors.numpy.load_file(path), path)
    done = evaluated(command, tmp_path, finished)
    assert done.returncode == 2
    assert "foreign" not in done.stderr
    assert "weights" in done.stderr


# Options ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["train", "check"])
@pytest.mark.parametrize("seed", [-1, 2**64])
def test_seeds_out_of_range_are_refused(name: str, seed: int, command: Command) -> None:
    done = command(name, "mnist", "--seed", seed)
    assert done.returncode == 2
    assert "seed" in done.stderr


def test_the_largest_seed_is_accepted(command: Command, small) -> None:
    done = command("train", "mnist", *small, "--epochs", 1, "--seed", 2**64 - 1, "--json")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("eager", [True, False])
def test_the_step_is_compiled_unless_eager_is_asked_for(
    eager: bool, command: Command, small, monkeypatch, tmp_path: Path
) -> None:
    made: list[Trainer] = []

    def spy(*args: Any, **kwargs: Any) -> Trainer:
        made.append(Trainer(*args, **kwargs))
        return made[-1]

    monkeypatch.setattr(train_module, "Trainer", spy)
    done = command("train", "mnist", *small, "--epochs", 1, *(["--eager"] if eager else []))
    assert done.returncode == 0
    assert made[0].steps().is_compiled is not eager
    (run,) = runs_in(tmp_path)
    assert json.loads((run / "run.json").read_text())["options"]["eager"] is eager


def test_errors_show_no_line_of_other_programs(command: Command, tmp_path: Path) -> None:
    done = command("evaluate", tmp_path, "--images", "a", "--labels", "b")
    assert "core.py" not in done.stderr


# Screens ------------------------------------------------------------------------------------------


def test_each_epoch_is_a_line_on_standard_error_unless_json_is_wanted(
    command: Command, small
) -> None:
    done = command("train", "mnist", *small, "--epochs", 2)
    assert [line[:9] for line in done.stderr.splitlines()] == ["epoch 1/2", "epoch 2/2"]
    assert not command("train", "mnist", *small, "--epochs", 1, "--json").stderr


def test_brackets_in_paths_are_shown_and_one_epoch_is_not_several(
    command: Command, small, tmp_path: Path
) -> None:
    done = command(
        "train", "mnist", *small, "--epochs", 1, "--limit", 1, "--runs", tmp_path / "[bold]x"
    )
    assert "[bold]x" in done.stdout
    assert "1 epoch, 1 step," in done.stdout
    assert "1 image," in done.stdout


def test_forty_columns_are_enough(command: Command, small, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    done = command("train", "mnist", *small, "--epochs", 1)
    lines = done.stdout.splitlines()
    assert all(len(line) <= 40 for line in lines if not line.startswith("run "))
    assert "gradient norm of each layer" in [line.strip() for line in lines]
    assert any(line.split()[:1] == ["MaxPool2d"] for line in lines)


def test_ascii_terminals_get_ascii_bars() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), "ascii")
    console = Console(file=stream, width=60)
    console.print(screen._norms({"gradient_norm/dense": [1.0, 2.0, 3.0]}, console))
    stream.seek(0)
    assert "_=#" in stream.read()


def in_a_process(*arguments: object, **options):
    return subprocess.run(
        [sys.executable, "-m", "chainrule", *map(str, arguments)],
        stderr=subprocess.PIPE, text=True, timeout=120, check=False, **options,
    )  # fmt: skip


def test_the_package_runs_as_a_module_with_ascii_streams(small) -> None:
    env = {**os.environ, "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    done = in_a_process("train", "mnist", *small, "--epochs", 1, env=env, stdout=subprocess.PIPE)
    assert done.returncode == 0, done.stderr
    assert "(26, 26, 32)" in done.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_an_output_that_cannot_be_written_is_a_short_error(options, small) -> None:
    with open("/dev/full", "w") as full:
        done = in_a_process("train", "mnist", *small, "--epochs", 1, *options, stdout=full)
    assert done.returncode == 2
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr
    assert len([x for x in done.stderr.splitlines() if not x.startswith("epoch")]) <= 4


def test_help_lines_are_whole(command: Command) -> None:
    assert "..." not in command("--help").stdout.replace("COMMAND [ARGS]...", "")
