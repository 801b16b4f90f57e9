"""``torch.save`` and ``torch.load``: structures come back; pickles and objects are refused."""

from __future__ import annotations

import argparse
import io
import math
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from chainrule import torch
from chainrule.errors import ArgumentError, CheckpointError


def returned(obj: Any, path: Path) -> Any:
    torch.save(obj, path)
    return torch.load(path)


def test_a_checkpoint_comes_back(tmp_path: Path) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1, betas=(0.5, 0.9))
    model(torch.randn(4, 3)).sum().backward()
    optimizer.step()
    saved = {
        "epoch": 3,
        "model_state_dict": model.state_dict(),
        "optimizer_state_dict": optimizer.state_dict(),
        "best": math.inf,
        "history": [(1, 0.5), (2, 0.25)],
        "args": {"name": "a", "flag": True, "none": None, 5: "number"},
    }
    loaded = returned(saved, tmp_path / "checkpoint.pt")
    assert {k: loaded[k] for k in ("epoch", "best", "history", "args")} == {
        k: saved[k] for k in ("epoch", "best", "history", "args")
    }
    twin = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    twin.load_state_dict(loaded["model_state_dict"])
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(twin.state_dict()[name].numpy(), value.numpy())
    other = torch.optim.Adam(twin.parameters())
    other.load_state_dict(loaded["optimizer_state_dict"])
    assert other.param_groups[0]["betas"] == (0.5, 0.9)


@pytest.mark.parametrize(
    "value",
    [
        None, 1, -2.5, "text", True, [], {}, (1, (2, [3])), {1, 2}, OrderedDict(b=1, a=2),
        2**70, float("-inf"), torch.device("cpu"), torch.float64,
    ],
    ids=repr,
)  # fmt: skip
def test_plain_values_come_back_as_they_were(value: Any, tmp_path: Path) -> None:
    loaded = returned(value, tmp_path / "x")
    assert loaded == value
    assert type(loaded) is type(value)


def test_arrays_and_tensors_keep_their_kinds(tmp_path: Path) -> None:
    leaf = torch.ones(2, requires_grad=True)
    given = [leaf, leaf * 2, torch.nn.Parameter(torch.zeros(1)), np.arange(3), np.float32(2.5),
             torch.zeros(0, 3), torch.tensor(True)]  # fmt: skip
    back = returned(given, tmp_path / "x")
    assert back[0].requires_grad
    assert back[0].is_leaf
    assert not back[1].requires_grad
    assert isinstance(back[2], torch.nn.Parameter)
    assert isinstance(back[3], np.ndarray)
    assert back[4] == np.float32(2.5)
    assert isinstance(back[4], np.float32)
    assert back[5].shape == (0, 3)
    assert back[6].dtype == torch.bool


def test_names_that_collide_are_kept_apart(tmp_path: Path) -> None:
    given = {"a/b": torch.zeros(1), "a": {"b": torch.ones(1)}}
    back = returned(given, tmp_path / "x")
    assert back["a/b"].tolist() == [0.0]
    assert back["a"]["b"].tolist() == [1.0]


def test_a_state_dict_is_a_plain_safetensors_file(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 1).state_dict(), tmp_path / "x")
    assert set(safetensors.numpy.load_file(tmp_path / "x")) == {"weight", "bias"}
    safetensors.numpy.save_file({"w": np.ones(2, np.float32)}, tmp_path / "y")
    assert torch.load(tmp_path / "y")["w"].tolist() == [1.0, 1.0]


def test_files_in_memory(tmp_path: Path) -> None:
    file = io.BytesIO()
    torch.save({"x": torch.ones(1)}, file)
    file.seek(0)
    assert torch.load(file, map_location="cpu", weights_only=True)["x"].tolist() == [1.0]


def test_map_location_accepts_the_cpu_only(tmp_path: Path) -> None:
    torch.save(1, tmp_path / "x")
    for place in ("cpu", torch.device("cpu"), lambda storage, location: storage):
        assert torch.load(tmp_path / "x", map_location=place) == 1
    with pytest.raises(ArgumentError, match="CPU"):
        torch.load(tmp_path / "x", map_location="cuda:0")


@pytest.mark.parametrize("start", [pickle.dumps({"a": 1}), b"PK\x03\x04rest of an archive"])
def test_a_pickle_is_refused_with_the_reason(start: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(start)
    with pytest.raises(CheckpointError, match="runs whatever code") as failure:
        torch.load(tmp_path / "model.pt")
    assert "safetensors" in str(failure.value)


def test_modules_and_objects_are_refused_with_the_remedy(tmp_path: Path) -> None:
    model = torch.nn.Linear(1, 1)
    with pytest.raises(ArgumentError) as failure:
        torch.save(model, tmp_path / "x")
    assert "state_dict()" in str(failure.value)
    with pytest.raises(ArgumentError, match="optimizer") as failure:
        torch.save({"optimizer": torch.optim.SGD(model.parameters(), 0.1)}, tmp_path / "x")
    assert "state_dict()" in str(failure.value)
    with pytest.raises(ArgumentError) as failure:
        torch.save({"args": argparse.Namespace(lr=1)}, tmp_path / "x")
    assert "vars(args)" in str(failure.value)
    assert not (tmp_path / "x").exists()


def test_a_damaged_or_missing_file_is_an_error(tmp_path: Path) -> None:
    torch.save({"x": torch.ones(4)}, tmp_path / "x")
    data = bytearray((tmp_path / "x").read_bytes())
    data[-1] ^= 1
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(CheckpointError, match="damaged"):
        torch.load(tmp_path / "x")
    with pytest.raises(CheckpointError, match="cannot read"):
        torch.load(tmp_path / "none")


def test_a_summary_writer_takes_pytorchs_arguments(tmp_path: Path) -> None:
    with torch.utils.tensorboard.SummaryWriter(log_dir=tmp_path / "run") as writer:
        writer.add_scalar("loss", torch.tensor(0.5), global_step=3)
        writer.add_scalars("both", {"a": 1.0, "b": 2.0}, 4)
        writer.add_histogram("weights", torch.nn.Linear(3, 2).weight, 4, bins="tensorflow")
        writer.add_text("note", "**done**")
    (file,) = Path(writer.get_logdir()).iterdir()
    content = file.read_bytes()
    assert all(tag in content for tag in (b"loss", b"both/a", b"weights", b"**done**"))
