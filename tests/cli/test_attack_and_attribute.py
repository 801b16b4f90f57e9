"""``attribute``, ``attack`` and ``train --adversarial``: figures, pictures, exit status."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.cli import run_folder
from chainrule.nn.networks import NETWORKS
from chainrule.train import checkpoint
from chainrule.uses.attribution import METHODS

Command = Callable[..., Any]


@pytest.fixture
def run(tmp_path: Path, make_data: Callable[..., Path]) -> Path:
    """A run folder of an untrained network; its data are images of noise."""
    folder = tmp_path / "run"
    folder.mkdir()
    options = {"dataset": "mnist", "data": str(make_data())}
    checkpoint.save(folder / "weights.safetensors", NETWORKS["mnist-cnn"].build())
    record = {"options": options, "result": {"status": "finished"}}
    run_folder.write_record(folder, "mnist-cnn", record)
    return folder


def test_all_methods_are_printed_and_drawn(command: Command, run: Path, tmp_path: Path) -> None:
    out = tmp_path / "pictures"
    done = command("attribute", run, "--sample", 3, "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert set(document["methods"]) == set(METHODS)
    assert max(document["methods"]["integrated_gradients"]["completeness"]["residual"]) <= 0.01
    assert -1 <= document["methods"]["integrated_gradients"]["agreement"][0] <= 1
    assert {p.name for p in out.iterdir()} == {"overview.svg", *(f"{m}.svg" for m in METHODS)}
    for path in document["pictures"]:
        ET.fromstring(Path(path).read_text())


def test_one_method_is_shown_for_people(command: Command, run: Path) -> None:
    done = command(
        "attribute", run, "--method", "integrated_gradients", "--split", "train", "--target", 7
    )
    assert done.returncode == 0
    assert "train image 0" in done.stdout
    assert "output 7" in done.stdout
    assert "complete: Σ attributions" in done.stdout
    assert "smoothgrad" not in done.stdout


def test_a_window_of_a_series_is_attributed(command: Command, tmp_path: Path) -> None:
    sizes = ["--epochs", 1, "--hidden", 4, "--window", 6]
    trained = command("train", "sunspots", *sizes, "--runs", tmp_path / "runs", "--json")
    assert trained.returncode == 0, trained.stderr
    done = command("attribute", json.loads(trained.stdout)["run"], "--sample", 2, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["methods"]["integrated_gradients"]["shape"] == [1, 6, 1]
    assert set(document["skipped"]) == {"grad_cam", "guided_backprop"}
    assert command("attribute", json.loads(trained.stdout)["run"], "--sample", 999).returncode == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--sample", 4], "0 to 3 of the test images"),
        (["--target", 10], "there is no such output"),
        (["--method", "lime"], "lime"),
    ],
)
def test_a_sample_or_target_that_is_not_there_is_refused(
    options, words, command: Command, run: Path
) -> None:
    done = command("attribute", run, *options)
    assert done.returncode == 2
    assert words in done.stderr


@pytest.mark.parametrize("name", ["attribute", "attack"])
def test_a_folder_that_is_no_run_on_images_is_refused(
    name, command: Command, run: Path, tmp_path: Path
) -> None:
    assert "not a run folder" in command(name, tmp_path).stderr
    record = json.loads((run / "run.json").read_text())
    record["options"]["dataset"] = "cartpole"
    (run / "run.json").write_text(json.dumps(record))
    done = command(name, run)
    assert done.returncode == 2
    assert "not one on images" in done.stderr


@pytest.mark.parametrize("method", ["fgsm", "bim", "pgd", "deepfool"])
def test_attacks_print_their_figures(method, command: Command, run: Path, tmp_path: Path) -> None:
    done = command(
        "attack", run, "--method", method, "--eps", 0.1, "--steps", 2, "--out", tmp_path / "o",
        "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["method"] == method
    assert document["samples"] == 4
    assert 0 <= document["robust_accuracy"] <= document["clean_accuracy"] or method == "fgsm"
    assert (tmp_path / "o" / "examples.svg").exists()


def test_the_table_and_the_check_for_masking_are_printed(
    command: Command, run: Path, tmp_path: Path
) -> None:
    labels = tmp_path / "data" / "t10k-labels-idx1-ubyte"
    model = NETWORKS["mnist-cnn"].build().eval()
    checkpoint.load(run / "weights.safetensors", model)
    images = np.fromfile(tmp_path / "data" / "t10k-images-idx3-ubyte", np.uint8)[16:]
    x = images.reshape(4, 1, 28, 28).astype(np.float32) / 255
    predicted = model(cr.tensor(x)).detach().numpy().argmax(1)
    labels.write_bytes(labels.read_bytes()[:8] + predicted.astype(np.uint8).tobytes())
    options = ["--norm", "l2", "--method", "bim", "--steps", 2, "--table", "--masking"]
    done = command("attack", run, *options, "--out", tmp_path / "o", "--json")
    document = json.loads(done.stdout)
    assert document["clean_accuracy"] == 1
    assert document["table"]["eps"] == [0, 0.5, 1.0, 1.5, 2.0, 3.0]
    assert set(document["table"]["accuracy"]) == {"fgsm", "bim"}
    assert len(document["masking"]["signs"]) == 6
    ET.fromstring((tmp_path / "o" / "accuracy.svg").read_text())


@pytest.mark.parametrize("attack", ["fgsm", "pgd"])
def test_training_against_an_attack_is_recorded(attack, command: Command, small) -> None:
    done = command("train", "mnist", *small, "--epochs", 1, "--adversarial", attack, "--eps", 0.1,
                   "--json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["robust"]["eps"] == 0.1
    assert document["robust"]["samples"] == 4
    options = json.loads((Path(document["run"]) / "run.json").read_text())["options"]
    assert (options["adversarial"], options["eps"]) == (attack, 0.1)


def test_an_epsilon_outside_the_pixels_is_refused(command: Command, small) -> None:
    done = command("train", "mnist", *small, "--adversarial", "fgsm", "--eps", 2)
    assert done.returncode == 2
    assert "--eps" in done.stderr


def test_an_attack_without_room_is_refused(command: Command, run: Path) -> None:
    assert command("attack", run, "--eps", 0).returncode == 2
    done = command("attack", run, "--method", "deepfool", "--target", 3)
    assert done.returncode == 2
    assert "takes no target" in done.stderr
