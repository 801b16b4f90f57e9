"""The record of a run: queries, and JSON there and back."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from chainrule.errors import ArgumentError, CheckpointError
from chainrule.train import Epoch, History


def make_history(*losses: float) -> History:
    history = History(seed=3)
    for i, loss in enumerate(losses, start=1):
        history.epochs.append(Epoch(i, 10, 0.5, {"loss": loss, "accuracy": 0.1 * i}))
    return history


def test_metrics_are_read_over_the_epochs() -> None:
    history = make_history(3.0, 1.0, 2.0)
    assert history["loss"] == [3.0, 1.0, 2.0]
    assert history.best("loss").number == 2
    assert history.best("accuracy", "max").number == 3
    assert history.last["loss"] == 2.0
    assert history.steps == 30


def test_nan_is_never_the_best() -> None:
    assert make_history(math.nan, 5.0, math.nan).best("loss").number == 2
    assert make_history(math.nan, -5.0).best("loss", "max").number == 2


def test_an_unknown_metric_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(ArgumentError) as caught:
        make_history(1.0)["val_loss"]
    assert "loss, accuracy" in str(caught.value)
    with pytest.raises(ArgumentError):
        History().best("loss")
    assert History()["loss"] == []
    assert History().last == {}


def test_json_there_and_back() -> None:
    history = make_history(1.0, 0.5)
    history.sample("gradient_norm/fc", 0, 2.0)
    history.sample("gradient_norm/fc", 10, math.inf)
    history.stopped = "early stopping"
    assert History.from_json(history.to_json()) == history


def test_numbers_that_are_not_finite_survive_as_valid_json() -> None:
    text = make_history(math.nan, math.inf, -math.inf).to_json()
    json.loads(text, parse_constant=pytest.fail)
    loaded = History.from_json(text)["loss"]
    assert math.isnan(loaded[0])
    assert loaded[1:] == [math.inf, -math.inf]


def change(**changes: Any) -> str:
    record = {**make_history(1.0).to_record(), **changes}
    return json.dumps(record)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "{" * 100_000,
        change(format=2),
        change(seed="0"),
        change(stopped=None),
        change(epochs={}),
        change(epochs=[1]),
        change(epochs=[{"number": 1, "steps": 1, "seconds": 1, "metrics": {"loss": "low"}}]),
        change(epochs=[{"number": True, "steps": 1, "seconds": 1, "metrics": {}}]),
        change(series={"a": {"steps": [1], "values": []}}),
        change(series={"a": {"steps": [1.5], "values": [1]}}),
        change(series=[]),
    ],
)
def test_other_json_is_a_checkpoint_error(text: str) -> None:
    with pytest.raises(CheckpointError):
        History.from_json(text)
