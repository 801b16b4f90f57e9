"""summary: the sources' table, and models of other kinds."""

from __future__ import annotations

from io import StringIO
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import chainrule as cr
from chainrule import nn
from chainrule.errors import ArgumentError, ChainruleError
from chainrule.train import summary


def sources_network() -> nn.Module:
    """The network of document 002."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.5), nn.Linear(1600, 10),
    )  # fmt: skip


def test_the_table_of_the_sources() -> None:
    table = summary(sources_network(), (1, 28, 28))
    assert table.input_shape == (28, 28, 1)
    shapes = [row.shape for row in table.rows if not row.layer.startswith("ReLU")]
    assert shapes == [
        (26, 26, 32), (13, 13, 32), (11, 11, 64), (5, 5, 64), (1600,), (1600,), (10,),
    ]  # fmt: skip
    counts = [row.parameters for row in table.rows if row.parameters]
    assert counts == [320, 18_496, 16_010]
    assert (table.parameters, table.trainable) == (34_826, 34_826)


def test_it_prints_as_text_and_as_a_rich_table() -> None:
    table = summary(sources_network(), (1, 28, 28))
    text = str(table)
    assert "(26, 26, 32)" in text
    assert text.splitlines()[-1] == "34,826 parameters"
    assert len({len(line) for line in text.splitlines()[1:-1]}) == 1
    console = Console(width=100, file=StringIO())
    with console.capture() as capture:
        console.print(table)
    assert "18,496" in capture.get()


def test_a_narrow_terminal_sees_kinds_shapes_and_parameters() -> None:
    console = Console(width=40, file=StringIO())
    with console.capture() as capture:
        console.print(summary(sources_network(), (1, 28, 28)))
    lines = capture.get().splitlines()
    assert all(len(line) <= 40 for line in lines)
    assert any(line.split() == ["Conv2d", "(26,", "26,", "32)", "320"] for line in lines)
    assert "…" not in capture.get()


def test_one_parameter_is_not_several() -> None:
    assert summary(nn.Linear(1, 1, bias=False), (1,)).total == "1 parameter"


def test_the_model_is_left_as_it_was() -> None:
    net = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Dropout(0.5))
    net[1].eval()
    generator = cr.ops.random.default_generator
    before = generator.get_state().tolist()
    state = {name: t.array for name, t in net.state_dict(keep_vars=True).items()}
    summary(net, (3,))
    assert [m.training for m in net] == [True, False, True]
    assert generator.get_state().tolist() == before
    for name, t in net.state_dict(keep_vars=True).items():
        assert t.array is state[name]
    assert all(m._hooks is None or not m._hooks.after for m in net.modules())


def test_frozen_and_shared_parameters() -> None:
    layer = nn.Linear(4, 4)
    net = nn.Sequential(layer, nn.Tanh(), layer)
    layer.bias.requires_grad_(False)
    table = summary(net, (4,))
    assert [row.parameters for row in table.rows] == [20, 0, 0]
    assert table.parameters == 20
    assert table.total == "20 parameters, 16 trained"


def test_paths_of_nested_modules_and_parameters_beside_layers() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(cr.ones(4))
            self.inner = nn.Sequential(nn.Linear(4, 4))

        def forward(self, x: Any) -> Any:
            return self.inner(x) * self.scale

    table = summary(nn.Sequential(Block()), (4,))
    assert [(row.path, row.parameters) for row in table.rows] == [("0.inner.0", 20), ("0", 4)]


def test_sequences_and_integers() -> None:
    net = nn.Sequential(nn.Embedding(10, 6), nn.Linear(6, 2))
    table = summary(net, (7,), dtype=np.int64)
    assert [row.shape for row in table.rows] == [(7, 6), (7, 2)]


def test_channels_first_and_several_inputs() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(2, 3, 1)

        def forward(self, a: Any, b: Any) -> Any:
            return self.conv(a + b)

    table = summary(Two(), [(2, 5, 4), (2, 5, 4)], channels_last=False)
    assert table.rows[0].shape == (3, 5, 4)
    assert table.input_shape == (2, 5, 4)


def test_an_input_that_does_not_fit_is_an_error_and_leaves_no_hooks() -> None:
    net = sources_network()
    with pytest.raises(ChainruleError):
        summary(net, (3, 28, 28))
    assert all(m._hooks is None or not m._hooks.after for m in net.modules())
    assert net.training
    with pytest.raises(ArgumentError):
        summary(net, (-1, 28, 28))
