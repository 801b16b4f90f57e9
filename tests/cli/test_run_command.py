"""``chainrule run``: programs run as Python runs them, and are refused before they start."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chainrule.errors import DataError
from chainrule.torch._census import take_census
from chainrule.torch._program import answering, run_program

Command = Callable[..., Any]
"""Runs a command in this process: see conftest."""

TRAINING = """
import sys
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import optim
from torch.utils.data import DataLoader, TensorDataset
from layers import Net

device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
torch.manual_seed(0)
x = torch.randn(64, 4, device=device)
y = (x.sum(dim=1) > 0).long()
net = Net().to(device)
optimizer = optim.Adam(net.parameters(), lr=0.05)
loader = DataLoader(TensorDataset(x, y), batch_size=16, shuffle=True)
for epoch in range(10):
    for inputs, labels in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(net(inputs), labels)
        loss.backward()
        optimizer.step()
accuracy = net(x).max(1)[1].eq(y).float().mean().item()
print(sys.argv[1:], __name__, accuracy > 0.9)
sys.exit(3)
"""
LAYERS = """
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super(Net, self).__init__()
        self.layers = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))

    def forward(self, x):
        return self.layers(x)
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    (tmp_path / "layers.py").write_text(LAYERS)
    path = tmp_path / "train.py"
    path.write_text(TRAINING)
    return path


def test_a_program_runs_unmodified_with_its_arguments_and_exit_status(
    command: Command, program: Path
) -> None:
    modules, places, argv = set(sys.modules), list(sys.path), list(sys.argv)
    done = command("run", program, "--epochs", 3, "a b")
    assert done.returncode == 3
    assert done.stdout == "['--epochs', '3', 'a b'] __main__ True\n"
    assert done.stderr == ""
    assert (sys.path, sys.argv) == (places, argv)
    assert not {m for m in set(sys.modules) - modules if m.startswith("torch")}
    sys.modules.pop("layers")


def test_a_gradient_of_a_program_is_explained_after_it(command: Command, program: Path) -> None:
    done = command("run", "--explain", "layers.0.weight[2,1]", program)
    assert done.returncode == 3
    assert done.stdout.startswith("[] __main__ True\nThe gradient of layers.0.weight[2,1]\n")
    assert "Checked in float64" in done.stdout
    for wrong, said in [("layers.0.weight[2,9]", "out of range"), ("other", "layers.2.bias")]:
        done = command("run", "--explain", wrong, program)
        assert done.returncode == 2
        assert said in done.stderr
    done = command("run", "--explain", "weight[", program)
    assert (done.returncode, done.stdout) == (2, "")
    sys.modules.pop("layers")


def test_a_failure_shows_the_programs_own_traceback(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "fails.py"
    path.write_text("import torch\n\ndef f(x):\n    return x @ torch.ones(3)\n\nf(torch.ones(2))\n")
    done = command("run", path)
    assert done.returncode == 1
    assert done.stderr.startswith(f'Traceback (most recent call last):\n  File "{path}", line 6')
    assert "runpy" not in done.stderr
    assert "ShapeError" in done.stderr
    path.write_text("raise ValueError('mine')\n")
    assert command("run", path).stderr.endswith("ValueError: mine\n")
    path.write_text("import sys\nsys.exit('stopped')\n")
    with pytest.raises(SystemExit, match="stopped"):
        run_program(path)
    path.write_text("x = (\n")
    done = command("run", path)
    assert (done.returncode, "SyntaxError" in done.stderr) == (1, True)


def test_a_program_with_missing_names_is_not_started(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "absent.py"
    path.write_text(
        "import torch\nprint('started')\nx = torch.randn(3)\nx.to_sparse()\n"
        "torch.nn.Linnear(1, 2)\n"
    )
    done = command("run", path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Tensor.to_sparse" in done.stderr
    assert "torch.nn.Linnear" in done.stderr
    assert "nearest: torch.nn.Linear" in done.stderr
    assert "absent.py:5" in done.stderr
    done = command("run", "--anyway", path)
    assert (done.returncode, done.stdout) == (1, "started\n")
    assert "to_sparse" in done.stderr


def test_packages_that_need_pytorch_are_refused_with_what_to_use(
    command: Command, tmp_path: Path
) -> None:
    path = tmp_path / "images.py"
    path.write_text("from torchvision import datasets\n")
    done = command("run", path)
    assert done.returncode == 1
    assert "torchvision" in done.stderr
    assert "chainrule.data has MNIST" in done.stderr
    done = command("run", "--anyway", path)
    assert "ModuleNotFoundError: torchvision needs PyTorch itself" in done.stderr


def test_census_lists_every_name_with_its_place(command: Command, program: Path) -> None:
    done = command("run", "--census", program)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0].startswith("train.py uses ")
    assert any("torch.nn.functional.cross_entropy" in line for line in lines)
    assert any("torch.nn.Sequential" in line and "layers.py:7" in line for line in lines)
    assert any("Tensor.max" in line or "Tensor.eq" in line for line in lines)
    done = command("run", "--census", "--json", program)
    found = json.loads(done.stdout)
    assert found["program"] == "train.py"
    assert {use["verdict"] for use in found["uses"]} == {"present"}


def verdicts(source: str, tmp_path: Path) -> dict[str, str]:
    path = tmp_path / "source.py"
    path.write_text(source)
    return {use.name: use.verdict for use in take_census(path).uses}


def test_census_sees_through_every_kind_of_import(tmp_path: Path) -> None:
    found = verdicts(
        "import torch as t, torch.nn.functional as F\n"
        "from torch import nn as layers\nfrom torch.optim import Adam as A, Nothing\n"
        "from torch.nn import *\n"
        "t.absent_function; F.absent; layers.Absent; Linear; t.float32.itemsize\n",
        tmp_path,
    )
    assert {name for name, verdict in found.items() if verdict == "missing"} == {
        "torch.absent_function", "torch.nn.functional.absent", "torch.nn.Absent",
        "torch.optim.Nothing",
    }  # fmt: skip
    assert found["torch.optim.Adam"] == found["torch.nn.Linear"] == "present"
    assert found["torch.float32"] == "present"


def test_names_behind_a_guard_or_hidden_by_others_are_doubtful(tmp_path: Path) -> None:
    found = verdicts(
        "import torch\nfrom torch import fx\n"
        "if torch.cuda.is_available():\n    torch.cuda.nccl.all_reduce\n"
        "x = torch.cuda.Stream() if torch.cuda.is_available() else None\n"
        "if not torch.cuda.is_available():\n    pass\nelse:\n    torch.cuda.graph\n"
        "try:\n    torch.absent\nexcept AttributeError:\n    torch.gone\n"
        "def f(fx):\n    return fx.a\n",
        tmp_path,
    )
    assert {n for n, v in found.items() if v == "doubtful"} == {
        "torch.cuda.nccl", "torch.cuda.Stream", "torch.cuda.graph", "torch.absent", "torch.fx",
    }  # fmt: skip
    assert found["torch.gone"] == "missing"


def test_methods_count_as_missing_only_if_they_are_surely_a_tensors(tmp_path: Path) -> None:
    found = verdicts(
        "import torch\nclass Mine:\n    def coalesce(self): pass\n"
        "x = torch.ones(2)\nx.to_sparse(); x.view(-1).to_mkldnn(); other.sparse_mask(1)\n"
        "Mine().coalesce(); other.map_(len); frame.mode(); frame.rename('a')\n",
        tmp_path,
    )
    assert {n for n, v in found.items() if v == "missing"} == {
        "Tensor.to_sparse", "Tensor.to_mkldnn", "Tensor.map_",
    }  # fmt: skip
    assert found["Tensor.sparse_mask"] == "doubtful"
    assert "Tensor.coalesce" not in found
    assert "Tensor.mode" not in found


def test_a_missing_program_is_an_error(command: Command, tmp_path: Path) -> None:
    for options in ([], ["--anyway"], ["--census"]):
        done = command("run", *options, tmp_path / "none.py")
        assert done.returncode == 2
        assert "no such program" in done.stderr
    with pytest.raises(DataError):
        run_program(tmp_path / "none.py")


def test_what_was_imported_as_torch_before_comes_back() -> None:
    before = {name: module for name, module in sys.modules.items() if name.startswith("torch")}
    with answering():
        import torch

        assert torch.__name__ == "chainrule.torch"
        from torch.nn.modules.conv import Conv2d

        assert Conv2d is torch.nn.Conv2d
    after = {name: module for name, module in sys.modules.items() if name.startswith("torch")}
    assert after == before
