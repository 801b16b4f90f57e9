"""Callbacks: early stopping, checkpoints, logs of rates and gradients."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim, train
from chainrule.errors import ArgumentError, CheckpointError, DataError
from chainrule.train import (
    Callback,
    CSVLog,
    EarlyStopping,
    Epoch,
    Fit,
    GradientNorms,
    History,
    LearningRateLog,
    ModelCheckpoint,
    Trainer,
)
from chainrule.train.callbacks import epochs_since_best


def make_trainer(lr: float = 0.1) -> Trainer:
    cr.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))
    return Trainer(net, optim.SGD(net.parameters(), lr=lr), nn.MSELoss())


def data(n: int = 24) -> tuple[Any, Any]:
    x = np.random.default_rng(0).normal(size=(n, 2)).astype(np.float32)
    return x, x.sum(1, keepdims=True)


class Script(Callback):
    """Replaces the validation loss by given numbers and gives each epoch weights of its own."""

    def __init__(self, losses: list[float]) -> None:
        self.losses = losses

    def on_epoch_end(self, fit: Fit) -> None:
        last = fit.history.epochs[-1]
        metrics = {**last.metrics, "val_loss": self.losses[last.number - 1]}
        fit.history.epochs[-1] = Epoch(last.number, last.steps, last.seconds, metrics)
        for p in fit.model.parameters():
            p.array = np.full_like(p.array, last.number)


def run(losses: list[float], *callbacks: Callback, **kwargs: Any) -> tuple[Trainer, History]:
    trainer = make_trainer()
    history = trainer.fit(
        data(), epochs=len(losses), callbacks=[Script(losses), *callbacks], **kwargs
    )
    return trainer, history


def first_weight(trainer: Trainer) -> float:
    return float(next(iter(trainer.model.parameters())).array.flat[0])


def test_early_stopping_waits_for_patience_and_restores_the_best() -> None:
    trainer, history = run([3, 2, 2.5, 2.1, 9, 1], EarlyStopping(patience=3))
    assert len(history.epochs) == 5
    assert "val_loss has not improved for 3 epochs" in history.stopped
    assert first_weight(trainer) == 2.0


def test_early_stopping_may_leave_the_last_weights() -> None:
    trainer, history = run([1, 2, 3, 4], EarlyStopping(patience=1, restore_best=False))
    assert len(history.epochs) == 2
    assert first_weight(trainer) == 2.0


def test_small_improvements_do_not_count() -> None:
    _, history = run([3, 2.95, 2.9, 1], EarlyStopping(patience=2, min_delta=0.5))
    assert len(history.epochs) == 3
    _, history = run([3, 2.6, 2.2, 1], EarlyStopping(patience=2, min_delta=0.5))
    assert len(history.epochs) == 4  # measured from the best that counted, not step by step


def test_larger_may_be_better_and_nan_never_is() -> None:
    assert epochs_since_best([1.0, 3.0, 2.0], "max") == 1
    assert epochs_since_best([math.nan, 3.0, math.nan], "min") == 1
    assert epochs_since_best([math.nan, math.nan], "min") == 2
    assert EarlyStopping("val_accuracy").mode == "max"
    assert EarlyStopping("loss").mode == "min"


def test_without_the_monitored_metric_there_is_an_error_that_lists_the_others() -> None:
    with pytest.raises(ArgumentError, match="no such metric") as caught:
        make_trainer().fit(data(), epochs=2, callbacks=[EarlyStopping()])
    assert "loss" in str(caught.value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: EarlyStopping(patience=0),
        lambda: EarlyStopping(min_delta=-1.0),
        lambda: EarlyStopping("perplexity"),
        lambda: EarlyStopping(mode="best"),
        lambda: GradientNorms(0),
        lambda: LearningRateLog(0),
        lambda: ModelCheckpoint("x", "perplexity"),
    ],
)
def test_callbacks_that_make_no_sense_are_an_error(make: Any) -> None:
    with pytest.raises(ArgumentError):
        make()


def test_a_checkpoint_of_every_epoch(tmp_path: Path) -> None:
    callback = ModelCheckpoint(tmp_path / "{epoch}.safetensors")
    run([1, 2], callback)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["1.safetensors", "2.safetensors"]
    assert callback.saved == tmp_path / "2.safetensors"
    again = make_trainer()
    state = train.load(tmp_path / "1.safetensors", again.model, again.optimizer)
    assert first_weight(again) == 1.0
    assert (state["epoch"], state["step"]) == (1, 1)
    assert len(History.from_record(state["history"]).epochs) == 1


def test_only_the_best_epoch_is_saved_if_a_metric_is_watched(tmp_path: Path) -> None:
    run([3, 1, 2], ModelCheckpoint(tmp_path / "best", "val_loss"))
    again = make_trainer()
    assert train.load(tmp_path / "best", again.model)["epoch"] == 2
    assert first_weight(again) == 2.0


def test_a_checkpoint_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot write"):
        run([1], ModelCheckpoint(tmp_path / "absent" / "x"))


def test_learning_rates_are_recorded_by_step() -> None:
    trainer = make_trainer(lr=0.1)
    trainer.schedule = optim.ExponentialLR(trainer.optimizer, 0.5)
    history = trainer.fit(data(24), epochs=2, batch_size=6, callbacks=[LearningRateLog(2)])
    series = history.series["learning_rate"]
    assert series.steps == [0, 2, 4, 6]
    assert series.values == pytest.approx([0.1, 0.1, 0.05, 0.05])


def test_learning_rates_of_several_groups_have_series_of_their_own() -> None:
    trainer = make_trainer()
    first, second = trainer.model[0], trainer.model[2]
    trainer.optimizer = optim.SGD(
        [{"params": first.parameters()}, {"params": second.parameters(), "lr": 0.5}], lr=0.1
    )
    history = trainer.fit(data(), callbacks=[LearningRateLog()])
    assert history.series["learning_rate/1"].values == [0.5]


def test_gradient_norms_are_those_of_each_layer_before_clipping() -> None:
    seen: list[dict[str, float]] = []

    class Own(Callback):
        def on_gradients(self, fit: Fit) -> None:
            named = {}
            for name in ("0", "2"):
                layer = fit.model.get_submodule(name)
                grads = [p.grad.array.ravel() for p in layer.parameters()]
                named[name] = float(np.linalg.norm(np.concatenate(grads).astype(np.float64)))
            seen.append(named)

    trainer = make_trainer()
    history = trainer.fit(
        data(24), batch_size=4, callbacks=[Own(), GradientNorms(3)], clip_norm=1e-4, seed=0
    )
    assert set(history.series) == {"gradient_norm/0", "gradient_norm/2"}
    for layer in ("0", "2"):
        series = history.series[f"gradient_norm/{layer}"]
        assert series.steps == [0, 3]
        assert series.values == pytest.approx([seen[0][layer], seen[3][layer]])


def test_gradient_norms_of_a_lone_layer_are_named_by_its_class() -> None:
    net = nn.Linear(2, 1)
    net(cr.ones(3, 2)).sum().backward()
    assert list(train.gradient_norms(net)) == ["Linear"]
    net.zero_grad()
    assert train.gradient_norms(net) == {}


def test_a_csv_log_has_a_line_for_each_epoch(tmp_path: Path) -> None:
    trainer = make_trainer()
    history = trainer.fit(data(), data(), epochs=3, callbacks=[CSVLog(tmp_path / "log.csv")])
    with (tmp_path / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert float(rows[2]["val_loss"]) == history["val_loss"][2]
    with pytest.raises(DataError, match="cannot write"):
        make_trainer().fit(data(), callbacks=[CSVLog(tmp_path / "absent" / "log.csv")])
