"""``train cartpole`` and ``train trading``: what they print, keep and refuse."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chainrule import train as training
from chainrule.cli import run_folder, train_trading
from chainrule.uses.policy import Agent

Command = Callable[..., Any]


def kept(tmp_path: Path) -> Path:
    (run,) = (tmp_path / "runs").iterdir()
    return run


@pytest.mark.parametrize("algorithm", ["reinforce", "a2c", "ppo"])
def test_trading_reports_every_seed_and_both_rivals(
    algorithm: str, command: Command, tmp_path: Path
) -> None:
    done = command("train", "trading", "--algorithm", algorithm, "--episodes", 12, "--seeds", 2,
                   "--runs", tmp_path / "runs", "--json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    record = json.loads(done.stdout)
    assert [r["seed"] for r in record["seeds"]] == [0, 1]
    assert [r["episodes"] for r in record["seeds"]] == [12, 12]
    for part in ("in_sample", "out_of_sample"):
        assert record["always_flat"][part]["end"] == 100
        ends = [r[part]["end"] for r in record["seeds"]]
        assert record["policy"][part]["mean"] == pytest.approx(sum(ends) / 2)
    assert record["buy_and_hold"]["out_of_sample"]["end"] == pytest.approx(193.4, abs=0.1)
    assert isinstance(record["better"], bool)
    assert "better than" in record["sentence"]
    assert record["lesson"]["before"] < record["lesson"]["after"]
    saved = json.loads((kept(tmp_path) / "run.json").read_text())
    assert saved["result"] == record
    training.load(kept(tmp_path) / "seed-1.safetensors", Agent(7, 2))


def test_trading_prints_a_table_and_a_sentence(command: Command, tmp_path: Path) -> None:
    done = command("train", "trading", "--episodes", 4, "--seeds", 2, "--runs", tmp_path / "runs")
    assert done.returncode == 0, done.stderr
    for words in ("seed 1", "mean", "buy and hold", "always flat", "A first lesson", "better than"):
        assert words in done.stdout
    assert [line[:6] for line in done.stderr.splitlines()] == ["seed 0", "seed 1"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--data", "nowhere.csv"], "nowhere.csv"),
        (["--cost", "2"], "cost"),
        (["--test-fraction", "0"], "test fraction"),
        (["--window", "70"], "too short"),
        (["--no-baseline"], "--algorithm reinforce"),
        (["--lr", "-1"], "lr of PPO"),
        (["--seeds", "0"], "--seeds"),
        (["--algorithm", "sarsa"], "sarsa"),
    ],
)
def test_trading_refuses_before_it_begins(
    options: list[str], words: str, command: Command, tmp_path: Path
) -> None:
    done = command("train", "trading", *options, "--runs", tmp_path / "runs")
    assert done.returncode == 2
    assert words in done.stderr
    assert not (tmp_path / "runs").exists()


def test_gaps_in_the_prices_are_refused_before_training(command: Command, tmp_path: Path) -> None:
    rows = [f"A,{2000 + m // 12}-{m % 12 + 1:02d}-01,{9 + m % 5}" for m in range(60)]
    (tmp_path / "prices.csv").write_text("\n".join(["symbol,date,price", *rows[:30], *rows[32:]]))
    done = command("train", "trading", "--data", tmp_path / "prices.csv", "--runs",
                   tmp_path / "runs", "--json")  # fmt: skip
    assert done.returncode == 2
    error = json.loads(done.stdout)["error"]
    assert error["type"] == "DataError"
    assert "gap in time" in error["message"]
    assert "2002-06-01 and 2002-09-01" in error["message"]
    assert not (tmp_path / "runs").exists()


def test_cartpole_without_gymnasium_names_the_extra(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    done = command("train", "cartpole", "--runs", tmp_path / "runs")
    assert done.returncode == 2
    assert "chainrule[rl]" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_cartpole_prints_both_means_and_the_noise(command: Command, tmp_path: Path) -> None:
    pytest.importorskip("gymnasium")
    options = ["--episodes", 3, "--seeds", 1, "--algorithm", "reinforce", "--no-baseline"]
    done = command("train", "cartpole", *options, "--runs", tmp_path / "runs", "--json")
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    (one,) = record["seeds"]
    assert one["moving_average"] == "nan"  # of fewer than 100 episodes
    assert one["evaluation"]["episodes"] == 100
    assert one["solved_after"] is None
    assert record["algorithm"]["baseline"] is False
    assert (record["threshold"], record["solved"]) == (475.0, 0)
    noise = one["gradient_noise"]["late"]["variance"]
    assert noise["reward to go"] < noise["whole return"]
    done = command("train", "cartpole", *options, "--runs", tmp_path / "runs")
    assert "0 of 1 seed" in done.stdout
    assert "reward to go - V" in done.stdout


def test_what_was_learnt_before_ctrl_c_is_kept(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = train_trading._run

    def interrupted(algorithm, market, episodes, seed):
        if seed == 1:
            raise KeyboardInterrupt
        return run(algorithm, market, episodes, seed)

    monkeypatch.setattr(train_trading, "_run", interrupted)
    done = command("train", "trading", "--episodes", 2, "--runs", tmp_path / "runs")
    assert done.returncode == 130
    result = json.loads((kept(tmp_path) / "run.json").read_text())["result"]
    assert result["status"] == "interrupted"
    assert [r["seed"] for r in result["seeds"]] == [0]
    assert (kept(tmp_path) / "seed-0.safetensors").is_file()


@pytest.mark.parametrize("name", ["evaluate", "explain", "doctor", "attack", "attribute", "sample"])
def test_other_commands_say_that_a_run_holds_policies(
    name: str, command: Command, tmp_path: Path
) -> None:
    run_folder.write_record(tmp_path, run_folder.POLICY, {"result": {"status": "finished"}})
    done = command(name, tmp_path)
    assert done.returncode == 2
    assert "this run holds policies" in done.stderr
