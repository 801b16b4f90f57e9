"""Trainer: learning, determinism, resuming, stopping, and everything that may go wrong."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim, train
from chainrule.compile import executable
from chainrule.data import DataLoader, TensorDataset
from chainrule.errors import ArgumentError, CheckpointError, TrainingError
from chainrule.train import Callback, Fit, History, Trainer

Arrays = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


def rings(n: int = 120, seed: int = 0) -> Arrays:
    """Points labelled by whether they lie outside a circle."""
    x = np.random.default_rng(seed).normal(size=(n, 2)).astype(np.float32)
    return x, ((x**2).sum(1) > 1.2).astype(np.int64)


def make_net(seed: int = 0, dropout: float = 0.2) -> nn.Module:
    cr.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(2, 16), nn.BatchNorm1d(16), nn.Tanh(), nn.Dropout(dropout), nn.Linear(16, 2)
    )


def make_trainer(net: nn.Module | None = None, lr: float = 0.02, **kwargs: Any) -> Trainer:
    net = make_net() if net is None else net
    optimizer = optim.Adam(net.parameters(), lr=lr)
    return Trainer(net, optimizer, nn.CrossEntropyLoss(), "accuracy", **kwargs)


def weights(trainer: Trainer) -> dict[str, Any]:
    return {name: t.array.copy() for name, t in trainer.model.state_dict().items()}


def assert_same_bits(a: dict[str, Any], b: dict[str, Any]) -> None:
    assert a.keys() == b.keys()
    for name, array in a.items():
        np.testing.assert_array_equal(array, b[name], strict=True)


class Do(Callback):
    """A callback that runs a function at one moment."""

    def __init__(self, moment: str, action: Callable[[Fit], Any]) -> None:
        setattr(self, moment, action)


@pytest.fixture
def interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled code is run by NumPy, whose bits are those of eager code."""
    monkeypatch.setattr(
        executable, "build", lambda graph, donations, *, results: executable.Interpreter(graph)
    )


# Learning -----------------------------------------------------------------------------------------


def test_a_network_learns_and_the_history_tells() -> None:
    trainer = make_trainer()
    history = trainer.fit(rings(400), rings(200, seed=1), epochs=30, seed=0)
    assert history.last["val_accuracy"] > 0.9
    assert history["loss"][-1] < history["loss"][0] / 2
    assert [e.number for e in history.epochs] == list(range(1, 31))
    assert all(e.steps == 13 for e in history.epochs)
    assert trainer.history is history
    assert history.stopped == ""


def test_losses_are_means_over_samples_not_batches() -> None:
    x = np.array([[0.0], [0.0], [6.0]], np.float32)
    net = nn.Linear(1, 1, bias=False)
    net.weight.array = np.ones((1, 1), np.float32)
    trainer = Trainer(net, optim.SGD(net.parameters(), lr=0.0), nn.MSELoss())
    loader = DataLoader(TensorDataset(x, np.zeros_like(x)), 2)
    assert trainer.fit(loader)["loss"] == [12.0]
    assert trainer.evaluate(loader) == {"loss": 12.0}


def test_evaluation_changes_nothing_and_uses_evaluation_mode() -> None:
    trainer = make_trainer()
    trainer.model[3].eval()  # frozen on purpose
    before = weights(trainer)
    first = trainer.evaluate(rings())
    assert trainer.evaluate(rings(), batch_size=7) == pytest.approx(first)
    assert_same_bits(weights(trainer), before)
    assert trainer.model.training
    assert not trainer.model[3].training
    assert set(first) == {"loss", "accuracy"}


def test_predictions_are_those_of_the_model_in_evaluation_mode() -> None:
    trainer = make_trainer()
    x, y = rings(50)
    trainer.model.eval()
    expected = trainer.model(cr.Tensor(x)).array
    trainer.model.train()
    for data in (x, cr.Tensor(x), (x, y), TensorDataset(x), DataLoader(TensorDataset(x, y), 9)):
        found = trainer.predict(data, batch_size=16)
        np.testing.assert_allclose(found.array, expected, rtol=1e-5, atol=1e-6)
    assert not found.requires_grad


def test_a_batch_of_one_entry_is_input_and_target() -> None:
    net = nn.Linear(3, 3)
    trainer = Trainer(net, optim.Adam(net.parameters(), lr=0.05), nn.MSELoss())
    x = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
    history = trainer.fit(TensorDataset(x), epochs=30, seed=0)
    assert history["loss"][-1] < 0.1


def test_a_model_may_take_several_inputs() -> None:
    class Adder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(cr.tensor([0.0]))

        def forward(self, a: Any, b: Any) -> Any:
            return (a + b) * self.w

    net = Adder()
    trainer = Trainer(net, optim.SGD(net.parameters(), lr=0.1), nn.MSELoss())
    a, b = np.ones((8, 1), np.float32), np.full((8, 1), 2, np.float32)
    trainer.fit((a, b, a + b), epochs=20, batch_size=4, quiet=True)
    assert net.w.item() == pytest.approx(1.0, abs=1e-3)


def test_any_iterable_of_batches_will_do() -> None:
    x, y = rings(20)
    batches = [(cr.Tensor(x[:10]), cr.Tensor(y[:10])), (x[10:], y[10:])]
    assert make_trainer().fit(batches, epochs=2).epochs[1].steps == 2


def test_gradients_are_clipped_by_norm_and_by_value() -> None:
    norms: list[float] = []

    def step(trainer: Trainer) -> None:
        grads = [p.grad.array.ravel() for p in trainer.model.parameters()]
        norms.append(float(np.linalg.norm(np.concatenate(grads))))

    for limits in ({"clip_norm": 0.01}, {"clip_value": 0.001}):
        trainer = make_trainer()
        watch = Do("on_step_end", lambda fit, t=trainer: step(t))
        trainer.fit(rings(32), callbacks=[watch], **limits)
    assert norms[0] == pytest.approx(0.01, rel=1e-3)
    assert norms[1] < 0.001 * math.sqrt(2 * 16 + 16 * 5 + 2 + 16)


# Determinism --------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bits() -> None:
    runs = []
    for seed in (5, 5, 6):
        trainer = make_trainer()
        history = trainer.fit(rings(), rings(30, 1), epochs=3, seed=seed)
        runs.append((weights(trainer), history["loss"], history["val_loss"]))
        cr.rand(17)  # what happens in between does not matter
    assert_same_bits(runs[0][0], runs[1][0])
    assert runs[0][1:] == runs[1][1:]
    assert runs[0][1] != runs[2][1]


def test_callbacks_and_validation_do_not_change_what_is_learnt() -> None:
    plain, watched = make_trainer(), make_trainer()
    plain.fit(rings(), epochs=2, seed=1)
    watched.fit(
        rings(), rings(30, 1), epochs=2, seed=1,
        callbacks=[train.GradientNorms(1), train.LearningRateLog()],
    )  # fmt: skip
    assert_same_bits(weights(plain), weights(watched))


def test_a_resumed_fit_ends_with_the_bits_of_an_uninterrupted_one(tmp_path: Path) -> None:
    def schedule(optimizer: optim.Optimizer) -> optim.LRScheduler:
        return optim.ExponentialLR(optimizer, 0.9)

    whole = make_trainer()
    whole.schedule = schedule(whole.optimizer)
    straight = whole.fit(rings(), rings(30, 1), epochs=6, seed=2)

    half = make_trainer()
    half.schedule = schedule(half.optimizer)
    half.fit(rings(), rings(30, 1), epochs=3, seed=2)
    file = tmp_path / "half.safetensors"
    state = {"history": half.history.to_record(), "schedule": half.schedule.state_dict()}
    train.save(file, half.model, half.optimizer, state=state)

    rest = make_trainer(make_net(seed=99))
    rest.schedule = schedule(rest.optimizer)
    state = train.load(file, rest.model, rest.optimizer)
    rest.schedule.load_state_dict(state["schedule"])
    cr.rand(5)
    history = History.from_record(state["history"])
    resumed = rest.fit(rings(), rings(30, 1), epochs=6, history=history)
    assert_same_bits(weights(rest), weights(whole))
    assert resumed["val_loss"] == straight["val_loss"]
    assert [e.number for e in resumed.epochs] == [1, 2, 3, 4, 5, 6]


# Compiling ----------------------------------------------------------------------------------------


def test_a_compiled_fit_ends_with_the_bits_of_an_eager_one(interpreted: None) -> None:
    runs = []
    for compiled in (True, False):
        trainer = make_trainer(compile=compiled)
        trainer.schedule = optim.ExponentialLR(trainer.optimizer, 0.9)
        history = trainer.fit(rings(100), rings(30, 1), epochs=3, seed=0, clip_norm=0.5)
        runs.append((weights(trainer), history["loss"], history["val_loss"], trainer))
    assert_same_bits(runs[0][0], runs[1][0])
    assert runs[0][1:3] == runs[1][1:3]
    assert [run[3].steps().is_compiled for run in runs] == [True, False]


def test_hooks_are_called_in_each_step_of_a_fit() -> None:
    trainer = make_trainer()
    calls: list[int] = []
    trainer.model[0].register_forward_hook(lambda module, args, y: calls.append(1))
    trainer.fit(rings(64), epochs=2)
    assert len(calls) == 4


def test_a_model_that_cannot_be_traced_is_trained_eagerly_with_a_warning() -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 2)

        def forward(self, x: Any) -> Any:
            y = self.layer(x)
            return y if float(y.sum()) > 0 else y * 2

    class Counting(Branching):
        calls = 0

        def forward(self, x: Any) -> Any:
            self.calls += 1
            return self.layer(x)

    for kind, cause in ((Branching, "no numbers yet"), (Counting, "attributes of a module")):
        cr.manual_seed(0)
        trainer = make_trainer(kind())
        with pytest.warns(UserWarning, match=f"without compiling: .*{cause}"):
            trainer.fit(rings(64), epochs=2, seed=0)
        cr.manual_seed(0)
        eager = make_trainer(kind(), compile=False)
        eager.fit(rings(64), epochs=2, seed=0)
        assert_same_bits(weights(trainer), weights(eager))
        assert not trainer.steps().is_compiled
    assert trainer.model.calls == eager.model.calls + 1  # that of the trace


def test_another_optimizer_is_compiled_anew() -> None:
    trainer = make_trainer()
    trainer.fit(rings(64), seed=0)
    first = trainer.steps()
    assert trainer.steps() is first
    trainer.optimizer = optim.SGD(trainer.model.parameters(), lr=0.0)
    before = weights(trainer)
    trainer.fit(rings(64), seed=0)
    assert trainer.steps() is not first
    after = weights(trainer)
    assert_same_bits({"w": after["0.weight"]}, {"w": before["0.weight"]})


# Schedules ----------------------------------------------------------------------------------------


def test_a_schedule_steps_once_in_an_epoch_or_in_a_step() -> None:
    for every, power in (("epoch", 2), ("step", 8)):
        trainer = make_trainer(schedule_every=every)
        trainer.schedule = optim.ExponentialLR(trainer.optimizer, 0.5)
        trainer.fit(rings(128), epochs=2)
        assert trainer.optimizer.param_groups[0]["lr"] == pytest.approx(0.02 * 0.5**power)


def test_plateau_follows_the_validation_loss() -> None:
    trainer = make_trainer()
    trainer.schedule = optim.ReduceLROnPlateau(trainer.optimizer)
    history = trainer.fit(rings(), rings(30, 1), epochs=3, seed=0)
    assert trainer.schedule.best == min(history["val_loss"])


# Stopping -----------------------------------------------------------------------------------------


def test_callbacks_are_called_at_their_moments() -> None:
    told: list[str] = []
    moments = [
        "on_fit_start", "on_epoch_start", "on_gradients", "on_step_end", "on_epoch_end",
        "on_fit_end",
    ]  # fmt: skip
    callbacks = [
        Do(m, lambda fit, m=m: told.append(f"{m} {fit.epoch} {fit.step}")) for m in moments
    ]
    make_trainer().fit(rings(64), epochs=1, callbacks=callbacks)
    assert told == [
        "on_fit_start 0 0", "on_epoch_start 1 0", "on_gradients 1 0", "on_step_end 1 1",
        "on_gradients 1 1", "on_step_end 1 2", "on_epoch_end 1 2", "on_fit_end 1 2",
    ]  # fmt: skip


def test_ctrl_c_ends_the_fit_after_the_step_and_keeps_what_was_learnt() -> None:
    def press(fit: Fit) -> None:
        if fit.step == 6:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    trainer = make_trainer()
    ended: list[int] = []
    history = trainer.fit(
        rings(128), epochs=5, seed=0,
        callbacks=[Do("on_gradients", press), Do("on_fit_end", lambda fit: ended.append(fit.step))],
    )  # fmt: skip
    assert history.stopped == "interrupted"
    assert len(history.epochs) == 1
    assert ended == [7]  # the step in progress was finished
    assert signal.getsignal(signal.SIGINT) is before
    assert all(np.isfinite(a).all() for a in weights(trainer).values())


def test_a_keyboard_interrupt_from_anywhere_ends_the_fit_too() -> None:
    def interrupt(fit: Fit) -> None:
        raise KeyboardInterrupt

    history = make_trainer().fit(rings(32), epochs=3, callbacks=[Do("on_epoch_end", interrupt)])
    assert history.stopped == "interrupted"
    assert len(history.epochs) == 1


def test_a_callback_may_stop_the_fit_within_an_epoch() -> None:
    stop = Do("on_step_end", lambda fit: fit.stop("enough") if fit.step == 2 else None)
    history = make_trainer().fit(rings(128), epochs=3, callbacks=[stop])
    assert history.stopped == "enough"
    assert history.steps == 2


# Errors -------------------------------------------------------------------------------------------


def loader_with(bad: Callable[[Arrays], Any]) -> Any:
    """Three batches, the second of which is spoilt."""

    def batches() -> Iterator[Any]:
        for i in range(3):
            x, y = rings(10, i)
            yield bad((x, y)) if i == 1 else (x, y)

    return list(batches())


def spoil_input(arrays: Arrays) -> Arrays:
    arrays[0][3, 1] = np.nan
    return arrays


def test_a_nan_in_the_data_is_named_with_step_and_batch() -> None:
    trainer = make_trainer()
    after_first: list[dict[str, Any]] = []
    note = Do("on_step_end", lambda fit: after_first.append(weights(trainer)))
    with pytest.raises(TrainingError) as caught:
        trainer.fit(loader_with(spoil_input), epochs=2, callbacks=[note])
    text = str(caught.value)
    assert "loss is nan" in text
    assert "step 2, batch 2 of epoch 1" in text
    assert "input 0 of the batch holds nan at (3, 1)" in text
    assert len(after_first) == 1
    trainable = [name for name, _ in trainer.model.named_parameters()]
    now = weights(trainer)
    assert_same_bits({n: now[n] for n in trainable}, {n: after_first[0][n] for n in trainable})


def test_after_an_error_buffers_are_as_before_the_step_too() -> None:
    trainer = make_trainer()
    after_first: list[dict[str, Any]] = []
    note = Do("on_step_end", lambda fit: after_first.append(weights(trainer)))
    with pytest.raises(TrainingError):
        trainer.fit(loader_with(spoil_input), callbacks=[note])
    assert_same_bits(weights(trainer), after_first[0])


def test_the_hint_for_bad_data_does_not_blame_the_learning_rate() -> None:
    with pytest.raises(TrainingError) as caught:
        make_trainer().fit(loader_with(spoil_input))
    assert "clean the data" in str(caught.value)
    assert "lower" not in str(caught.value)


@pytest.mark.parametrize("limits", [{}, {"clip_norm": 1.0}, {"clip_value": 1.0}])
def test_a_gradient_that_is_not_finite_is_found_before_the_update(limits: dict[str, float]) -> None:
    net = nn.Linear(2, 2)
    trainer = Trainer(
        net,
        optim.SGD(net.parameters(), lr=0.1),
        lambda out, y: (out * 0.0).sum().sqrt() + out.sum() * 0.0,  # slope of sqrt at 0: inf · 0
    )
    before = weights(trainer)
    with pytest.raises(TrainingError, match="gradient is not finite") as caught:
        trainer.fit(rings(32), **limits)
    assert "the gradient of weight holds nan at (0, 0)" in str(caught.value)
    assert "step 1, batch 1 of epoch 1" in str(caught.value)
    assert_same_bits(weights(trainer), before)


def test_a_large_but_finite_gradient_is_no_error() -> None:
    net = nn.Linear(2, 2)
    trainer = Trainer(net, optim.SGD(net.parameters(), lr=1e-30), lambda out, y: out.sum() * 1e25)
    trainer.fit(rings(32), quiet=True)


@pytest.mark.parametrize(
    "loss", [lambda out, y: 0.5, lambda out, y: out, lambda out, y: out.detach().numpy().sum()]
)
def test_a_loss_that_is_not_one_tensor_of_one_element_is_an_error(loss: Any) -> None:
    net = nn.Linear(2, 2)
    trainer = Trainer(net, optim.SGD(net.parameters()), loss)
    for use in (trainer.fit, trainer.evaluate):
        with pytest.raises(ArgumentError, match="loss function"):
            use(rings(32))


def test_a_parameter_that_is_not_finite_is_named() -> None:
    trainer = make_trainer()
    trainer.model[4].bias.array = np.array([0.0, np.inf], np.float32)
    with pytest.raises(TrainingError, match=r"the loss is") as caught:
        trainer.fit(rings(32))
    assert "parameter 4.bias holds inf at (1,)" in str(caught.value)


def test_the_first_module_whose_output_is_not_finite_is_named() -> None:
    class Logarithm(nn.Module):
        def forward(self, x: Any) -> Any:
            return (x * 0.0).log()

    cr.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), Logarithm(), nn.Linear(3, 2))
    trainer = make_trainer(net)
    with pytest.raises(TrainingError) as caught:
        trainer.fit(rings(32))
    assert "the output of 2 (Logarithm) holds -inf at (0, 0)" in str(caught.value)
    assert net[1].num_batches_tracked.item() == 0
    assert net._hooks is None or not net._hooks.after


def test_a_loss_function_that_is_not_finite_by_itself_is_named() -> None:
    net = nn.Linear(2, 2)
    trainer = Trainer(
        net, optim.SGD(net.parameters()), lambda out, y: (out * 0.0).sum() / 0.0 * 0.0
    )
    with pytest.raises(TrainingError) as caught:
        trainer.fit(rings(32))
    assert "the loss function itself" in str(caught.value)


@pytest.mark.parametrize("bad", [lambda a: (a[0][:0], a[1][:0]), lambda a: ()])
def test_an_empty_batch_is_named(bad: Callable[[Arrays], Any]) -> None:
    with pytest.raises(TrainingError, match="batch is empty") as caught:
        make_trainer().fit(loader_with(bad))
    assert "step 2, batch 2 of epoch 1" in str(caught.value)


def test_no_data_at_all_is_an_error() -> None:
    trainer = make_trainer()
    x, y = rings(0)
    with pytest.raises(TrainingError, match="nothing to train on"):
        trainer.fit((x, y))
    with pytest.raises(TrainingError, match="no samples to evaluate"):
        trainer.evaluate((x, y))
    with pytest.raises(TrainingError, match="no samples to predict"):
        trainer.predict(x)
    exhausted = iter([rings(10)])
    with pytest.raises(TrainingError, match="epoch 2"):
        trainer.fit(exhausted, epochs=2)


def test_an_error_leaves_history_mode_and_signals_as_they_were() -> None:
    trainer = make_trainer()
    trainer.model.eval()
    handler = signal.getsignal(signal.SIGINT)
    data = [rings(10), rings(10)]

    def fail(fit: Fit) -> None:
        if fit.epoch == 2:
            raise CheckpointError("disk full")

    with pytest.raises(CheckpointError):
        trainer.fit(data, epochs=3, callbacks=[Do("on_epoch_end", fail)])
    assert len(trainer.history.epochs) == 2
    assert not trainer.model.training
    assert signal.getsignal(signal.SIGINT) is handler


def test_settings_that_make_no_sense_are_an_error() -> None:
    with pytest.raises(ArgumentError):
        make_trainer(schedule_every="day")
    with pytest.raises(ArgumentError):
        make_trainer().fit(3)
    with pytest.raises(ArgumentError):
        make_trainer().fit(np.zeros((3, 2)))


# Display ------------------------------------------------------------------------------------------


def test_without_a_terminal_each_epoch_is_a_plain_line_on_standard_error(
    capfd: pytest.CaptureFixture[str],
) -> None:
    make_trainer().fit(rings(32), epochs=2)
    shown = capfd.readouterr()
    assert shown.out == ""
    lines = shown.err.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["epoch 1/2", "epoch 2/2"]
    assert "\x1b" not in shown.err
    make_trainer().fit(rings(32), epochs=2, quiet=True)
    assert capfd.readouterr() == ("", "")


def test_the_bar_goes_to_standard_error_one_line_an_epoch(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    make_trainer().fit(rings(32), epochs=2)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "epoch 1/2" in shown.err
    assert "accuracy" in shown.err
    make_trainer().fit(rings(32), epochs=2, quiet=True)
    assert capsys.readouterr() == ("", "")
