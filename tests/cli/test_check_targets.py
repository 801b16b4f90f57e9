"""``check``: what it may be pointed at, how arguments are given, and how it fails."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., Any]


SOURCE = """
from __future__ import annotations
from dataclasses import dataclass
import sys
import chainrule as cr
from chainrule import nn

print("a line of the file's own")

@dataclass
class Settings:
    scale: float = 2.0

class Model:
    def __init__(self, scale=2.0):
        self.scale = scale
    def loss(self, x):
        print("called")
        return (x * self.scale).sum()
    @staticmethod
    def plain(x):
        return (x * x).sum()

class Needy:
    def __init__(self, must):
        pass
    def loss(self, x):
        return x.sum()

model = Model(3.0)
layer = nn.Linear(4, 2)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(3, 2)
    def forward(self, x):
        return self.inner(x).tanh()

def power(x, n):
    if type(n) is not int:
        raise TypeError(f"n is {type(n).__name__}")
    return (x ** n).sum()

def positional(x, /, w, *, k):
    return (x * w * k).sum()

def late(x):
    import neighbour
    return neighbour.square(x).sum()

def broken(x):
    return x.sum() + undefined_name

def misfit(x):
    return cr.matmul(x, cr.ones(7))

def leaves(x):
    sys.exit(0)

def kinked(x):
    return cr.relu(x).sum()

def infinite(x):
    return (x * float("inf")).sum()

def both(x, w):
    return (x * w).sum()

def pick(x, index):
    return x[index].sum()
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(SOURCE)
    (tmp_path / "neighbour.py").write_text("def square(x):\n    return x * x\n")
    return path


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("Model.loss", []),
        ("Model.plain", []),
        ("model.loss", []),
        ("layer", ["--shape", "input=5x4"]),
        ("Net", []),
        ("positional", []),
        ("late", []),
        ("power", ["--at", "n=3"]),
        ("power", ["--at", "n=3", "--at", "x=1.5,2.5"]),
        ("pick", ["--at", "index=0,2"]),
        ("kinked", ["--at", "x=1,-3"]),
    ],
)
def test_methods_modules_and_all_kinds_of_parameters_can_be_checked(
    name: str, options: list[str], command: Command, file: Path
) -> None:
    done = command("check", f"{file}:{name}", *options, "--json")
    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout)["checks"][0]["checked"] > 0
    assert "a line of the file's own" in done.stderr


def test_integers_are_noted_and_a_point_makes_a_number_differentiable(
    command: Command, file: Path
) -> None:
    done = command("check", f"{file}:both", "--at", "w=2")
    assert "w=2 was taken as an integer" in done.stdout
    assert "of 1 argument\n" in done.stdout
    for written in ("2.", "2.0", "2e0"):
        done = command("check", f"{file}:both", "--at", f"w={written}")
        assert "of 2 arguments\n" in done.stdout
        assert "note" not in done.stdout


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("leaves", [], ["sys.exit(0)", "mine.py:"]),
        ("broken", [], ["NameError", "mine.py:", "undefined_name"]),
        ("misfit", [], ["mine.py:", "cr.matmul(x, cr.ones(7))"]),
        ("Needy.loss", [], ["Needy", "without arguments"]),
        ("Model.absent", [], ["no function 'Model.absent'"]),
        ("both", ["--at", "x=1", "--shape", "x=3"], ["both --at and --shape"]),
        ("both", ["--at", "x=1", "--at", "x=2"], ["twice"]),
        ("both", ["--shape", "x=1000000x1000000x1000000"], ["too large"]),
        ("both", ["--shape", "x=" + "9" * 5000], ["--shape"]),
        ("both", ["--shape", "x=" + "x".join("1" * 70)], ["too large"]),
        ("both", ["--at", "x=" + "9" * 30], ["--at"]),
    ],
)
def test_failures_are_short_and_name_the_line(
    name: str, options: list[str], words: list[str], command: Command, file: Path
) -> None:
    done = command("check", f"{file}:{name}", *options)
    assert done.returncode == 2
    assert not done.stdout
    for word in words:
        assert word in done.stderr
    assert "core.py" not in done.stderr
    assert len(done.stderr.splitlines()) <= 10


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("import sys\nsys.exit(0)", "sys.exit(0)"),
        ("raise SystemExit", "sys.exit"),
        ("def f(x:\n", "SyntaxError"),
        ("x = 1\n1 / 0", "mine.py:2"),
    ],
)
def test_a_file_that_fails_is_bad_input(source, word, command: Command, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(source)
    done = command("check", f"{tmp_path}/mine.py:f", "--json")
    assert done.returncode == 2
    assert word in json.loads(done.stdout)["error"]["message"]


def test_a_file_may_do_as_it_likes_with_the_path(command: Command, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import sys\nsys.path = list(sys.path[1:])\ndef f(x): return x.sum()\n"
    )
    before, contents = sys.path, list(sys.path)
    assert command("check", f"{tmp_path}/mine.py:f").returncode == 0
    assert sys.path is before
    assert sys.path == contents
    assert not [name for name in sys.modules if name.startswith("checked_")]


def test_nothing_checked_is_not_a_pass(command: Command, file: Path) -> None:
    done = command("check", f"{file}:kinked", "--at", "x=0.0")
    assert done.returncode == 1
    assert "nothing was checked" in done.stdout
    assert "passed" not in done.stdout
    assert "kink" in done.stdout
    done = command("check", f"{file}:kinked", "--shape", "x=0", "--json")
    assert done.returncode == 1
    document = json.loads(done.stdout)
    assert not document["passed"]
    assert not document["checks"][0]["passed"]
    assert document["checks"][0]["problem"] == "nothing was checked"


def test_values_that_are_not_finite_are_valid_json(command: Command, file: Path) -> None:
    done = command("check", f"{file}:infinite", "--json")
    assert done.returncode == 1
    assert "NaN" not in done.stdout
    assert json.loads(done.stdout)["passed"] is False
