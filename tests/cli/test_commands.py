"""The command line, as a user runs it: results, JSON, exit statuses, and what bad input leaves."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import chainrule.data

SHIPPED = Path(chainrule.data.__file__).parent / "files" / "mnist"
FAST = ["--epochs", "1", "--limit", "320"]


def chainrule_command(*arguments: object, cwd: Path | None = None, **env: str):
    """Run the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", "from chainrule.cli.main import main; main()", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        cwd=cwd,
        env={**os.environ, **env},
    )


def write_idx(path: Path, array: np.ndarray) -> Path:
    header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    path.write_bytes(header + array.astype(np.uint8).tobytes())
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Path, dict]:
    """A run folder of a short training, and what ``--json`` printed."""
    folder = tmp_path_factory.mktemp("runs")
    done = chainrule_command("train", "mnist", *FAST, "--runs", folder, "--json")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    assert not done.stderr
    record = json.loads(done.stdout)
    return Path(record["run"]), record


def test_train_leaves_a_run_folder_and_reports_everything(trained) -> None:
    folder, record = trained
    assert sorted(p.name for p in folder.iterdir()) == ["run.json", "weights.safetensors"]
    assert folder.name.startswith("mnist-")
    assert record["parameters"] == 34_826
    assert record["train"]["samples"] == 320
    assert record["test"]["samples"] == 1000
    assert 0.1 < record["test"]["accuracy"] <= 1
    assert {"gradient_norm/conv1", "gradient_norm/conv2", "gradient_norm/dense"} <= record[
        "gradient_norms"
    ].keys()
    saved = json.loads((folder / "run.json").read_text())
    assert saved["result"]["status"] == "finished"
    assert saved["options"]["epochs"] == 1


def test_same_seed_gives_the_same_bits_in_another_process(trained, tmp_path: Path) -> None:
    folder, record = trained
    done = chainrule_command(
        "train", "mnist", *FAST, "--runs", tmp_path, "--json", PYTHONHASHSEED="7"
    )
    again = json.loads(done.stdout)
    assert again["gradient_norms"] == record["gradient_norms"]
    weights = [Path(r["run"], "weights.safetensors").read_bytes() for r in (record, again)]
    assert weights[0] == weights[1]
    assert folder != Path(again["run"])


def test_the_last_screen_shows_table_accuracy_sparklines_and_path(tmp_path: Path) -> None:
    done = chainrule_command("train", "mnist", *FAST, "--runs", tmp_path / "new", COLUMNS="100")
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "new").iterdir()
    for expected in ("(26, 26, 32)", "(1600,)", "34,826", "test", "%", "conv2", str(folder)):
        assert expected in done.stdout
    assert any(block in done.stdout for block in "▂▃▄▅▆▇")


@pytest.mark.parametrize("zipped", [False, True])
def test_evaluate_scores_any_idx_pair(trained, tmp_path: Path, zipped: bool) -> None:
    folder, record = trained
    files = []
    for name in ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
        source = SHIPPED / f"{name}.gz"
        if not zipped:
            (tmp_path / name).write_bytes(gzip.decompress(source.read_bytes()))
        files.append(source if zipped else tmp_path / name)
    done = chainrule_command(
        "evaluate", folder, "--images", files[0], "--labels", files[1], "--json"
    )
    assert done.returncode == 0, done.stderr
    scores = json.loads(done.stdout)
    assert scores["samples"] == 1000
    assert scores["accuracy"] == record["test"]["accuracy"]
    assert scores["loss"] == pytest.approx(record["test"]["loss"], rel=1e-6)


def test_evaluate_for_people(trained) -> None:
    folder, _ = trained
    images, labels = SHIPPED / "t10k-images-idx3-ubyte.gz", SHIPPED / "t10k-labels-idx1-ubyte.gz"
    done = chainrule_command("evaluate", folder, "--images", images, "--labels", labels)
    assert done.returncode == 0
    assert "accuracy" in done.stdout
    assert "1,000 samples" in done.stdout


def refused(done, *words: str) -> None:
    """Exit status 2, a short message with these words, no traceback, nothing on stdout."""
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    assert not done.stdout
    assert len(done.stderr.splitlines()) <= 8
    for word in words:
        assert word in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fly"], ["fly"]),
        (["train"], ["DATASET"]),
        (["train", "cifar"], ["cifar", "mnist"]),
        (["train", "mnist", "--epochs", "0"], ["epochs"]),
        (["train", "mnist", "--lr", "-1"], ["learning rate"]),
        (["train", "mnist", "--lr", "nan"], ["learning rate"]),
        (["train", "mnist", "--data", "nowhere"], ["nowhere"]),
        (["evaluate", "nowhere", "--images", "a", "--labels", "b"], ["not a run folder"]),
        (["check", "nowhere.py:f"], ["no such file"]),
        (["check", "nowhere.py"], ["FILE:FUNCTION"]),
    ],
)
def test_bad_input_is_explained_and_nothing_is_written(arguments, words, tmp_path: Path) -> None:
    refused(chainrule_command(*arguments, cwd=tmp_path), *words)
    assert not list(tmp_path.iterdir())


def test_errors_with_json_are_one_object(tmp_path: Path) -> None:
    done = chainrule_command("train", "mnist", "--data", "nowhere", "--json", cwd=tmp_path)
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["type"] == "DataError"
    assert not done.stderr


NAMED = '{"format": 1, "network": %s}'


def damaged_images(folder: Path) -> dict[str, tuple[Path, Path, str]]:
    digits = np.zeros((3, 28, 28), np.uint8)
    good = write_idx(folder / "good", digits), write_idx(folder / "labels", np.array([1, 2, 3]))
    truncated = folder / "truncated"
    truncated.write_bytes(good[0].read_bytes()[:-5])
    garbage = folder / "garbage.gz"
    garbage.write_bytes(b"\x1f\x8bgarbage")
    return {
        "missing": (folder / "none", good[1], "none"),
        "truncated": (truncated, good[1], "truncated"),
        "garbage": (garbage, good[1], "garbage"),
        "labels for images": (good[1], good[1], "images"),
        "too few labels": (good[0], write_idx(folder / "two", np.array([1, 2])), "belong"),
        "label out of range": (good[0], write_idx(folder / "ten", np.array([1, 2, 10])), "range"),
        "no images": (
            write_idx(folder / "empty", np.zeros((0, 28, 28))),
            write_idx(folder / "nolabels", np.zeros(0)),
            "at least one",
        ),
        "wrong size": (write_idx(folder / "small", np.zeros((3, 8, 8))), good[1], "28"),
    }


@pytest.mark.parametrize(
    "case",
    [
        "missing", "truncated", "garbage", "labels for images", "too few labels",
        "label out of range", "no images", "wrong size",
    ],
)  # fmt: skip
def test_evaluate_refuses_damaged_files(case: str, trained, tmp_path: Path) -> None:
    images, labels, word = damaged_images(tmp_path)[case]
    folder, _ = trained
    done = chainrule_command("evaluate", folder, "--images", images, "--labels", labels)
    refused(done, word)


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (lambda run: (run / "run.json").write_text("{"), "damaged"),
        (lambda run: (run / "run.json").write_text('{"format": 99}'), "version"),
        (lambda run: (run / "run.json").write_text(NAMED % '"os.system"'), "not known"),
        (lambda run: (run / "run.json").write_text(NAMED % '["a"]'), "not known"),
        (lambda run: (run / "run.json").unlink(), "not a run folder"),
        (lambda run: (run / "weights.safetensors").unlink(), "weights"),
        (lambda run: os.truncate(run / "weights.safetensors", 5000), "weights"),
        (lambda run: (run / "weights.safetensors").write_bytes(b"x" * 100), "weights"),
    ],
)  # fmt: skip
def test_evaluate_refuses_damaged_runs(damage, word: str, trained, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained[0], run)
    damage(run)
    images, labels = SHIPPED / "t10k-images-idx3-ubyte.gz", SHIPPED / "t10k-labels-idx1-ubyte.gz"
    refused(chainrule_command("evaluate", run, "--images", images, "--labels", labels), word)


def test_interrupted_training_keeps_what_was_learnt(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", "from chainrule.cli.main import main; main()", "train", "mnist",
         "--epochs", "1000", "--limit", "128", "--runs", str(tmp_path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        records = list(tmp_path.glob("*/run.json"))
        if records and json.loads(records[0].read_text())["history"]["epochs"]:
            break
        time.sleep(0.05)  # waits for the first epoch to be on disk, whatever the machine's speed
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "interrupted" in out
    (run,) = tmp_path.iterdir()
    assert json.loads((run / "run.json").read_text())["result"]["status"] == "interrupted"
    images, labels = SHIPPED / "t10k-images-idx3-ubyte.gz", SHIPPED / "t10k-labels-idx1-ubyte.gz"
    done = chainrule_command("evaluate", run, "--images", images, "--labels", labels, "--json")
    assert json.loads(done.stdout)["samples"] == 1000


FUNCTIONS = """
import numpy as np
import chainrule as cr

def good(x, w=0.5):
    return (cr.sin(x) * w).sum()

class Wrong(cr.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x
    @staticmethod
    def backward(ctx, ct):
        (x,) = ctx.saved_tensors
        return ct * x * 2.001

def wrong(x):
    return Wrong.apply(x).sum()

def kinked(x):
    return cr.relu(x).sum()

def matrix(a, b):
    return cr.matmul(a, b)

def raises(x):
    raise RuntimeError("on purpose")

def nothing():
    return cr.ones(1)

constant = 3
"""


@pytest.fixture
def functions(tmp_path: Path) -> Path:
    path = tmp_path / "functions.py"
    path.write_text(FUNCTIONS)
    return path


def test_check_passes_a_right_gradient(functions: Path) -> None:
    done = chainrule_command("check", f"{functions}:good", "--second")
    assert done.returncode == 0, done.stderr
    assert "passed" in done.stdout
    assert "w" in done.stdout


def test_check_fails_a_wrong_gradient_and_names_the_worst_element(functions: Path) -> None:
    done = chainrule_command("check", f"{functions}:wrong", "--at", "x=1,-3", "--json")
    assert done.returncode == 1
    document = json.loads(done.stdout)
    assert not document["passed"]
    worst = document["checks"][0]["worst"]
    assert worst["argument"] == "x"
    assert worst["analytic"] == pytest.approx(worst["numeric"] * 1.0005, rel=1e-6)


def test_check_takes_shapes_and_values(functions: Path) -> None:
    done = chainrule_command("check", f"{functions}:matrix", "--shape", "a=2x3", "--shape", "b=3x4")
    assert done.returncode == 0, done.stderr
    assert "(2, 3)" in done.stdout


def test_check_notes_a_kink(functions: Path) -> None:
    done = chainrule_command("check", f"{functions}:kinked", "--at", "x=0,1,-1")
    assert done.returncode == 0
    assert "kink" in done.stdout


@pytest.mark.parametrize(
    ("target", "options", "word"),
    [
        ("raises", [], "on purpose"),
        ("nothing", [], "no argument"),
        ("constant", [], "no function"),
        ("absent", [], "good"),
        ("good", ["--at", "y=1"], "no argument 'y'"),
        ("good", ["--at", "x=one"], "numbers"),
        ("good", ["--shape", "x=2,2"], "sizes"),
        ("matrix", ["--shape", "a=2x4"], "--shape"),
    ],
)
def test_check_explains_bad_input(functions: Path, target: str, options, word: str) -> None:
    refused(chainrule_command("check", f"{functions}:{target}", *options), word)


def test_help_names_every_command_and_version_works() -> None:
    done = chainrule_command("--help")
    assert all(name in done.stdout for name in ("train", "evaluate", "check"))
    assert "chainrule" in chainrule_command("--version").stdout
    for command in ("train", "evaluate", "check"):
        assert "--json" in chainrule_command(command, "--help").stdout
