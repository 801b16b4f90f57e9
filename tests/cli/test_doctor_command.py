"""``chainrule doctor`` and ``chainrule lint``: exit status, JSON, and what they refuse."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.lens.schema import errors

Command = Callable[..., Any]

SCRIPT = """
import torch
from torch import nn, optim
from torch.nn import functional as F

torch.manual_seed(0)
y = torch.randint(0, 3, (128,))
x = 2 * torch.randn(3, 8)[y] + torch.randn(128, 8)
model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3){end})
optimizer = optim.SGD(model.parameters(), lr=0.1)
for _ in range(6):
    for i in torch.randperm(128).reshape(8, 16):
        {zero}
        loss = F.cross_entropy(model(x[i]), y[i])
        loss.backward()
        optimizer.step()
print("the program's own words")
"""


def script(folder: Path, *, end: str = "", zero: str = "optimizer.zero_grad()") -> Path:
    path = folder / "train.py"
    path.write_text(SCRIPT.format(end=end, zero=zero))
    return path


def test_a_healthy_script_ends_with_0(command: Command, tmp_path: Path) -> None:
    ended = command("doctor", script(tmp_path))
    assert ended.returncode == 0
    assert "nothing found" in ended.stdout
    assert "own words" not in ended.stdout


def test_findings_end_with_1_and_are_one_json_object(command: Command, tmp_path: Path) -> None:
    ended = command("doctor", "--json", "--try", script(tmp_path, end=", nn.Softmax(1)"))
    assert ended.returncode == 1
    document = json.loads(ended.stdout)
    assert not errors(document, "findings.json")
    (finding,) = document["findings"]
    assert finding["code"] == "DOUBLE_SOFTMAX"
    assert finding["file"].endswith("train.py")
    assert finding["line"] > 0
    assert finding["tried"]["helped"]
    assert document["steps"] == 48


def test_the_text_names_line_cause_and_remedy(command: Command, tmp_path: Path) -> None:
    ended = command("doctor", script(tmp_path, zero="pass"))
    assert ended.returncode == 1
    assert "MISSING_ZERO_GRAD  warning  train.py:" in ended.stdout  # for it learns all the same
    assert "optimizer.zero_grad()" in ended.stdout


def test_a_crash_ends_with_2(command: Command, tmp_path: Path) -> None:
    path = script(tmp_path)
    path.write_text(path.read_text() + "raise RuntimeError('boom')\n")
    ended = command("doctor", "--json", path)
    assert ended.returncode == 2
    assert json.loads(ended.stdout)["error"] == "RuntimeError: boom"


@pytest.mark.parametrize("name", ["missing.py", "empty"])
def test_what_is_no_program_ends_with_2(command: Command, tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    assert command("doctor", tmp_path / name).returncode == 2


def test_without_a_program_it_is_a_mistake(command: Command) -> None:
    assert command("doctor").returncode == 2


def test_the_benchmark_counts_verdicts(command: Command, tmp_path: Path) -> None:
    healthy, faulty = tmp_path / "healthy", tmp_path / "faulty"
    healthy.mkdir()
    faulty.mkdir()
    script(healthy)
    script(faulty, end=", nn.Softmax(1)")
    (tmp_path / "manifest.json").write_text(json.dumps([
        {"file": "healthy/train.py", "kind": "healthy", "codes": [], "also": []},
    ]))  # fmt: skip
    (faulty / "manifest.json").write_text(json.dumps([
        {"file": "train.py", "kind": "faulty", "codes": ["DOUBLE_SOFTMAX"], "also": []},
    ]))  # fmt: skip
    ended = command("doctor", "--json", "--jobs", "2", "--benchmark", tmp_path)
    document = json.loads(ended.stdout)
    assert list(document["splits"]) == ["open", "faulty"]
    assert (document["splits"]["open"]["healthy"], document["splits"]["faulty"]["faulty"]) == (1, 1)
    total = document["all"]
    assert (total["precision"], total["recall"], total["false_errors"]) == (1.0, 1.0, [])
    assert total["confusion"] == {
        "healthy": {"nothing": 1},
        "DOUBLE_SOFTMAX": {"DOUBLE_SOFTMAX": 1},
    }
    assert ended.returncode == 0


@pytest.mark.parametrize("kind", ["healthy", "faulty"])
def test_a_program_of_the_benchmark_that_gets_no_verdict_counts_as_wrong(
    command: Command, tmp_path: Path, kind: str
) -> None:
    (tmp_path / "train.py").write_text("import time\ntime.sleep(60)\n")
    codes = [] if kind == "healthy" else ["LR_TOO_LOW"]
    (tmp_path / "manifest.json").write_text(
        json.dumps([{"file": "train.py", "kind": kind, "codes": codes, "also": []}])
    )
    ended = command("doctor", "--json", "--seconds", "1", "--benchmark", tmp_path)
    assert ended.returncode == 1
    document = json.loads(ended.stdout)
    (row,) = document["programs"]
    assert row["error"] == "no verdict within 1 s"
    assert row["missed"] == codes
    assert row["extra"] == (["failed"] if kind == "healthy" else [])
    assert document["all"]["recall"] == 0.0


def test_lint_runs_nothing(command: Command, tmp_path: Path) -> None:
    path = script(tmp_path, end=", nn.Softmax(1)")
    path.write_text(path.read_text() + "raise RuntimeError('boom')\n")
    ended = command("lint", "--json", path)
    assert ended.returncode == 1
    document = json.loads(ended.stdout)
    assert not errors(document, "findings.json")
    assert [f["code"] for f in document["findings"]] == ["DOUBLE_SOFTMAX"]
    assert command("lint", script(tmp_path)).returncode == 0
    assert command("lint", tmp_path / "missing.py").returncode == 2


@pytest.mark.parametrize("text", ["", "{}", '[{"file": "a.py"}]', "[" * 100_000])
def test_a_damaged_manifest_ends_with_2(command: Command, tmp_path: Path, text: str) -> None:
    manifest = tmp_path / "manifest.json"
    manifest.write_text(text)
    ended = command("doctor", "--benchmark", manifest)
    assert ended.returncode == 2
    assert "manifest" in ended.stderr
