"""Event files are read by TensorBoard itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import ArgumentError
from chainrule.interop.tensorboard import SummaryWriter, TensorBoard

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def read(folder: Path) -> Any:
    found = EventAccumulator(str(folder), size_guidance={"scalars": 0, "histograms": 0})
    found.Reload()
    return found


def test_scalars_histograms_and_text_arrive(tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal(1000)
    with SummaryWriter(tmp_path) as writer:
        for step in range(300):
            writer.add_scalar("loss", 1 / (step + 1), step)
        writer.add_scalar("tensor", cr.tensor(2.5), 2**40)
        writer.add_scalars("norm", {"a": 1.0, "b": -2.0}, 3)
        writer.add_histogram("weights", np.append(values, np.nan), 7)
        writer.add_text("note", "été **∂**", 1)
    found = read(tmp_path)
    events = found.Scalars("loss")
    assert [e.step for e in events] == list(range(300))
    np.testing.assert_array_equal(
        [e.value for e in events], np.float32(1 / np.arange(1, 301, dtype=np.float64))
    )
    assert found.Scalars("tensor")[0].step == 2**40
    assert found.Scalars("norm/b")[0].value == -2.0
    (histogram,) = found.Histograms("weights")
    value = histogram.histogram_value
    assert value.num == 1000
    assert sum(value.bucket) == 1000
    assert value.min == values.min()
    assert value.sum == pytest.approx(values.sum())
    text = (
        found.Tensors("note/text_summary")
        if "note/text_summary" in found.Tags()["tensors"]
        else found.Tensors("note")
    )
    assert text[0].tensor_proto.string_val[0].decode() == "été **∂**"


def test_a_fit_writes_its_series(tmp_path: Path) -> None:
    cr.manual_seed(0)
    x = np.random.default_rng(0).standard_normal((64, 3)).astype(np.float32)
    model = nn.Linear(3, 1)
    trainer = cr.Trainer(model, optim.SGD(model.parameters(), lr=0.1), nn.MSELoss(), compile=False)
    history = trainer.fit((x, x.sum(1, keepdims=True)), epochs=4, callbacks=[TensorBoard(tmp_path)],
                          seed=0, quiet=True)  # fmt: skip
    found = read(tmp_path).Scalars("loss")
    want = [np.float32(epoch.metrics["loss"]) for epoch in history.epochs]
    assert [(e.step, e.value) for e in found] == list(enumerate(want, 1))


def test_a_histogram_of_nothing_is_an_error(tmp_path: Path) -> None:
    with SummaryWriter(tmp_path) as writer, pytest.raises(ArgumentError, match="finite"):
        writer.add_histogram("weights", [np.nan], 0)
