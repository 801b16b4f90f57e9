"""``chainrule explain``: of expressions and of saved runs, with drawings, and bad input."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

Command = Callable[..., Any]


def test_a_saved_run_is_explained_and_drawn(
    command: Command, make_data: Callable[..., Path], tmp_path: Path
) -> None:
    data = make_data()
    done = command("train", "mnist", "--eager", "--epochs", 1, "--data", data, "--runs",
                   tmp_path / "runs")  # fmt: skip
    assert done.returncode == 0, done.stderr
    (run,) = (tmp_path / "runs").iterdir()
    picture = tmp_path / "loss.svg"
    done = command("explain", run, "--param", "conv2.weight[3,0,1,1]", "--sample", 2, "--json",
                   "--draw", picture)  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["parameter"], found["index"]) == ("conv2.weight", [3, 0, 1, 1])
    assert found["residuals"]["tape"] <= 1e-10
    assert found["paths"]["count"] == 1
    texts = [e.text for e in ElementTree.parse(picture).iter() if e.tag.endswith("text")]
    assert {"conv2.weight", "cross_entropy"} <= set(texts)
    layers = command("explain", run, "--sample", 2, "--split", "train").stdout
    assert all(name in layers for name in ("conv1", "pool2", "dense", "softmax(u)"))
    for options, said in [
        (["--param", "conv9.weight"], "conv2.weight"),
        (["--param", "conv2.weight[64,0,0,0]"], "out of range on axis 0"),
        (["--param", "conv2.weight[0]"], "4 integers"),
        (["--param", "conv2.weight[a]"], "NAME or NAME[INDEX"),
        (["--sample", 4], "0 to 3"),
        (["--sample", -1], "0 to 3"),
        (["--sample", 0, "--at", "x=1"], "an option of an expression"),
        (["--draw", tmp_path / "loss.png"], ".svg, .dot, .mmd"),
    ]:
        done = command("explain", run, *options)
        assert (done.returncode, done.stdout) == (2, ""), options
        assert said in done.stderr
    assert not (tmp_path / "loss.png").exists()


def test_expressions_are_drawn_with_their_steps(command: Command, tmp_path: Path) -> None:
    target = tmp_path / "sine.mmd"
    assert command("explain", "sin(x**2)", "--at", "x=1.3", "--draw", target).returncode == 0
    assert target.read_text(encoding="utf-8").splitlines() == [
        "flowchart TD",
        '  n0["x<br/>1.3<br/>∂ -0.3092"]',
        '  n1["u = square<br/>1.69<br/>∂ -0.1189"]',
        '  n2["z = sin<br/>0.9929<br/>∂ 1"]',
        "  n0 --> n1",
        "  n1 --> n2",
    ]
    picture = tmp_path / "steps.svg"
    command("explain", "u = 3*x + 2; y = u**2", "--at", "x=1", "--draw", picture)
    assert "step:1  u = 3 * x + 2" in picture.read_text(encoding="utf-8")
    done = command("explain", "x, x*2", "--at", "x=1", "--direction", "x=1", "--draw", target)
    assert (done.returncode, done.stdout) == (2, "")


def test_an_expression_may_begin_with_a_minus(command: Command) -> None:
    done = command("explain", "-x**2", "--at", "x=3", "--json")
    assert json.loads(done.stdout)["gradients"] == {"x": -6.0}


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("", "nothing to explain"),
        ("__import__('os')", "no function __import__"),
        ("tanhh(x)", "near: tanh"),
        ("sin + x", "sin(x)"),
        ("_x + x", "begins with a letter"),
        ("+".join(["x"] * 4000), "too long"),
        ("log(x - 1)", "u = x - 1 = 0.0"),
        ("9**9**9*x", "too large"),
    ],
)
def test_bad_expressions_are_explained(command: Command, expression: str, said: str) -> None:
    done = command("explain", expression, "--at", "x=1")
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) <= 5
    assert max(map(len, done.stderr.splitlines())) < 160


@pytest.mark.parametrize("option", [["--param", "w"], ["--sample", 0]])
def test_options_of_a_run_are_refused_with_an_expression(
    command: Command, option: list[object]
) -> None:
    ended = command("explain", "sin(x)", "--at", "x=1", *option)
    assert ended.returncode == 2
    assert f"{option[0]} is an option of a run folder" in ended.stderr


def test_json_is_one_object_even_if_the_picture_cannot_be_written(
    command: Command, tmp_path: Path
) -> None:
    ended = command("explain", "x", "--at", "x=1", "--json", "--draw", tmp_path / "no" / "a.svg")
    assert ended.returncode == 2
    assert "error" in json.loads(ended.stdout)
