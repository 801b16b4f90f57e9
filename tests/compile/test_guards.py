"""Guards: what a compiled function notices between calls, and how it says so."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.compile import trees
from chainrule.compile.guards import is_same
from chainrule.core.gate import Gate
from chainrule.data import DataLoader, Dataset

FACTOR = 2
MODE = "plain"


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Module-level names and the default dtype are as before after each test."""
    yield
    globals().update(FACTOR=2, MODE="plain")
    cr.set_default_dtype(np.float32)


def reasons(f: Any, *calls: tuple[Any, ...]) -> list[str]:
    for call in calls:
        f(*call)
    return f.why_recompiled()


ARGUMENTS = [
    (cr.ones(2), cr.ones(3), "argument 0: float32[2] became float32[3]"),
    (cr.ones(2), cr.ones(2, dtype=np.float64), "argument 0: float32[2] became float64[2]"),
    (cr.ones(2), np.ones(2, np.float32), "argument 0: float32[2] became array float32[2]"),
    (cr.ones(2), cr.ones(2, requires_grad=True),
     "argument 0: float32[2] became float32[2] (requires_grad)"),
    (None, 1, "argument 0: None became 1"),
    (1, True, "argument 0: 1 became True"),
    ("a", cr.ones(1), "argument 0: 'a' became float32[1]"),
    ([1, 2], [1, 3], "argument 0[1]: 2 became 3"),
    ({"k": 1}, {"k": 2}, "argument 0['k']: 1 became 2"),
    ([1, 2], [1, 2, 3], "the arguments are nested in another way"),
    ({"k": 1}, {"j": 1}, "the arguments are nested in another way"),
    (object(), object(), "argument 0: a object became another one"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after", "said"), ARGUMENTS, ids=lambda x: str(x)[:20])
def test_another_argument_is_named(before: Any, after: Any, said: str) -> None:
    f = cr.compile(lambda x: cr.ones(1))
    assert reasons(f, (before,), (before,), (after,), (before,), (after,)) == [said]
    assert f.traces == 2


def test_arguments_by_keyword_are_named() -> None:
    f = cr.compile(lambda x, flag=False: x + 1)
    f(cr.ones(1), flag=True)
    f(cr.ones(1), flag=False)
    assert f.why_recompiled() == ["argument flag: True became False"]


def test_numbers_of_closures_and_globals_are_guarded() -> None:
    shift = 1.0
    f = cr.compile(lambda x: next(x * FACTOR for _ in (0,)) + shift if MODE == "plain" else x)
    x = cr.ones(1)
    assert f(x).item() == 3.0
    shift = 5.0
    assert f(x).item() == 7.0
    globals()["FACTOR"] = 3
    assert f(x).item() == 8.0
    globals()["MODE"] = "other"
    assert f(x).item() == 1.0
    assert f.why_recompiled() == [
        "shift: 1.0 became 5.0", "FACTOR: 2 became 3", "MODE: 'plain' became 'other'",
    ]  # fmt: skip


def test_attributes_are_not_taken_for_globals() -> None:
    globals()["training"] = 0
    model = nn.Linear(1, 1)
    f = cr.compile(lambda x: model(x) if model.training else x)
    for n in range(3):
        globals()["training"] = n
        f(cr.ones(1, 1))
    del globals()["training"]
    assert f.traces == 1


def test_settings_of_modules_are_guarded() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = 2
            self.inner = nn.Dropout(0.0)

        def forward(self, x: Any) -> Any:
            return self.inner(x) * self.scale

    model = Scaled()
    f = cr.compile(lambda x: model(x))
    x = cr.ones(1)
    f(x)
    model.scale = 3
    assert f(x).item() == 3.0
    model.inner.p = 1.0
    assert f(x).item() == 0.0
    model.inner.eval()
    assert f(x).item() == 3.0
    with model.register_forward_hook(lambda module, args, y: y + 1):
        assert f(x).item() == 4.0
    assert f(x).item() == 3.0
    assert f.why_recompiled() == [
        "model.scale: 2 became 3",
        "model.inner.p: 0.0 became 1.0",
        "model.inner.training: True became False",
        next(s for s in f.why_recompiled() if "after hook" in s),
    ]


def test_a_module_passed_as_an_argument_is_guarded() -> None:
    model = nn.Dropout(1.0)
    f = cr.compile(lambda m, x: m(x))
    assert f(model, cr.ones(1)).item() == 0.0
    model.eval()
    assert f(model, cr.ones(1)).item() == 1.0
    assert f.why_recompiled() == ["Dropout.training: True became False"]


def test_setting_a_mode_that_is_set_already_costs_no_trace() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5))
    f = cr.compile(lambda x: model(x))
    for _ in range(3):
        model.train()
        f(cr.ones(1, 2))
    assert f.traces == 1


def test_the_default_dtype_is_guarded() -> None:
    f = cr.compile(lambda x: x + cr.ones(1))
    f(cr.tensor([1], np.int64))
    cr.set_default_dtype(np.float64)
    assert f(cr.tensor([1], np.int64)).dtype == np.float64
    assert f.why_recompiled() == ["default dtype: float32 became float64"]


def test_state_of_another_shape_is_traced_again() -> None:
    model = nn.Linear(2, 2, bias=False)
    f = cr.compile(lambda x: model(x))
    f(cr.ones(1, 2))
    model.weight.data = cr.ones(5, 2)
    assert f(cr.ones(1, 2)).shape == (1, 5)
    model.to(np.float64)
    assert f(cr.ones(1, 2, dtype=np.float64)).dtype == np.float64
    assert f.why_recompiled() == [
        "model.weight: float32[2,2] became float32[5,2]",
        "argument 0: float32[1,2] became float64[1,2]; "
        "model.weight: float32[5,2] became float64[5,2]",
    ]


def test_retraces_are_told_with_debugging_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CHAINRULE_DEBUG", "1")

    @cr.compile
    def double(x: Any) -> Any:
        return x * 2

    double(cr.ones(1))
    double(cr.ones(2))
    told = capsys.readouterr().err
    assert "double is traced again: argument 0: float32[1] became float32[2]" in told


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        (1, 1, True), (1, 1.0, False), (1, True, False), ("a", "a", True),
        ((1, "a"), (1, "a"), True),
        ((1,), (1, 2), False), ((1, 2), (1, 3), False), ([], [], False), (None, None, True),
        (np.float32(1), np.float32(1), True), (np.dtype("f4"), np.dtype("f4"), True),
        (float("nan"), 1.0, False),
    ],
)  # fmt: skip
def test_settings_are_the_same_if_equal_and_of_one_type(a: Any, b: Any, same: bool) -> None:
    assert is_same(a, b) is same


def test_trees_come_together_again() -> None:
    tree = ([1, (2, 3)], {"a": [], "b": {"c": None}}, "text")
    leaves, structure = trees.flatten(tree)
    assert leaves == [1, 2, 3, None, "text"]
    assert trees.unflatten(structure, leaves) == tree
    assert trees.paths(structure) == ["[0][0]", "[0][1][0]", "[0][1][1]", "[1]['b']['c']", "[2]"]


# Threads ------------------------------------------------------------------------------------------


def test_a_closed_gate_waits_for_those_inside_and_keeps_others_out() -> None:
    gate, order = Gate(), []
    inside, may_leave = threading.Event(), threading.Event()

    def reader(name: str) -> None:
        with gate.open(), gate.open():
            order.append(f"{name} in")
            inside.set()
            may_leave.wait(10)
            order.append(f"{name} out")

    first = threading.Thread(target=reader, args=("first",))
    first.start()
    inside.wait(10)
    threading.Timer(0.05, may_leave.set).start()
    with gate.closed(), gate.open(), gate.closed():
        order.append("closed")
        second = threading.Thread(target=reader, args=("second",))
        second.start()
        time.sleep(0.02)
        order.append("opened")
    first.join(10)
    second.join(10)
    assert order == ["first in", "first out", "closed", "opened", "second in", "second out"]


def test_workers_that_make_tensors_do_not_meet_a_trace() -> None:
    class Rows(Dataset):
        def __len__(self) -> int:
            return 200

        def __getitem__(self, index: int) -> Any:
            return cr.tensor(np.full(3, index, np.float32)) * 1.0

    sums = []
    for batch in DataLoader(Rows(), 10, num_workers=2):
        f = cr.compile(lambda x: x.sum())  # traced for each batch, beside the workers
        sums.append(f(batch).item())
    assert sum(sums) == 3 * sum(range(200))
