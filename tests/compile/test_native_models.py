"""Whole training steps in machine code leave what eager ones leave, on any target and threads."""

from __future__ import annotations

import gc
import os
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from schedules import launches, run_shuffled
from small_models import MODELS, Training, apart, eager, executables

import chainrule as cr
from chainrule.compile.native import NativeExecutable
from chainrule.errors import ArgumentError
from chainrule.runtime import native
from chainrule.runtime.target import check_host, target
from chainrule.runtime.threads import set_num_threads
from chainrule.testing.layouts import LAYOUTS

pytestmark = [
    pytest.mark.skipif(not native.available(), reason="needs llvmlite"),
    pytest.mark.usefixtures("threads"),
]

STEPS = 10
BOUNDS = {
    "cnn": (1e-5, 4e-14),
    "mlp": (4e-6, 4e-15),
    "autoencoder": (2e-5, 5e-14),
    "lstm": (4e-5, 1e-14),
    "gru": (1e-4, 5e-13),
    "resnet": (4e-5, 1e-13),
    "transformer": (4e-3, 5e-12),  # keys' biases have no gradient but rounding, which Adam scales
    "tiny": (1e-5, 1e-13),
}
"""After ten steps, how far anything may be from eager training, relative to the largest element:
in float32, in float64."""


def native_program(training: Training) -> NativeExecutable:
    """The one executable that the training's step has."""
    (found,) = executables(training.step)
    assert isinstance(found, NativeExecutable)
    return found


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("name", MODELS)
def test_compiled_training_is_eager_training(name: str, dtype: Any) -> None:
    expected = eager(name, STEPS, dtype)
    compiled = Training(name, dtype, compiled=True).train(STEPS)
    worst, what = apart(compiled.state(), expected)
    limit = BOUNDS[name][dtype is np.float64]
    assert worst <= limit, f"{what} is {worst:.1e} off"
    assert native_program(compiled).program.steps
    assert compiled.step.traces == 1


@pytest.mark.parametrize("name", MODELS)
def test_large_eager_operations_in_machine_code_train_the_same(name: str) -> None:
    worst, what = apart(Training(name).train(STEPS).state(), eager(name, STEPS))
    assert worst <= BOUNDS[name][0], f"{what} is {worst:.1e} off"


@pytest.mark.parametrize("name", MODELS)
def test_the_number_of_threads_changes_no_bit(name: str) -> None:
    states = []
    for count in (1, 2, 4):
        set_num_threads(count)
        training = Training(name, compiled=True).train(STEPS)
        states.append(training.state())
        program = native_program(training).program
        widest = launches(program)[2]
        assert program.threads == 1 if name == "tiny" else widest > 1
    for state in states[1:]:
        for key, want in states[0].items():
            np.testing.assert_array_equal(state[key], want, err_msg=key, strict=True)


@pytest.mark.parametrize("name", MODELS)
def test_the_order_of_tiles_changes_no_bit(name: str) -> None:
    """Between barriers, tiles are done in random orders: a barrier that is missing shows."""
    expected = Training(name, compiled=True).train(6).state()
    training = Training(name, compiled=True).train(1)
    program = native_program(training).program
    rng = np.random.default_rng(0)
    program.run = lambda: run_shuffled(program, rng)  # type: ignore[method-assign]
    for x, y in training.batches(6)[1:]:
        training.losses.append(float(training.step(x, y).array))
    for key, want in training.state().items():
        np.testing.assert_array_equal(expected[key], want, err_msg=key, strict=True)


@pytest.mark.parametrize("where", ["avx2", "sse2"])
@pytest.mark.parametrize("name", MODELS)
def test_other_targets_train_the_same(
    name: str, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        check_host(target(where))
    except ArgumentError as error:
        pytest.skip(str(error))
    expected = eager(name, STEPS)
    monkeypatch.setenv("CHAINRULE_TARGET", where)
    training = Training(name, compiled=True).train(STEPS)
    worst, what = apart(training.state(), expected)
    assert worst <= BOUNDS[name][0], f"{what} is {worst:.1e} off"


@pytest.mark.parametrize("name", MODELS)
def test_the_interpreter_trains_as_eager_does_to_the_bit(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHAINRULE_BACKEND", "numpy")
    expected = eager(name, STEPS)
    training = Training(name, compiled=True).train(STEPS)
    assert not isinstance(executables(training.step)[0], NativeExecutable)
    for key, found in training.state().items():
        np.testing.assert_array_equal(found, expected[key], err_msg=key, strict=True)


# Long runs ----------------------------------------------------------------------------------------


def resident() -> int:
    """Bytes of memory that this process has."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc")
@pytest.mark.parametrize("name", ["tiny", "mlp", "lstm"])
def test_thousands_of_steps_take_no_more_memory(name: str) -> None:
    training = Training(name, compiled=True)
    batches = training.batches(8)

    def steps(count: int) -> None:
        for i in range(count):
            training.step(*batches[i % len(batches)])

    steps(200)
    gc.collect()
    tracemalloc.start()
    steps(20)
    before, resident_before = tracemalloc.get_traced_memory()[0], resident()
    steps(2000)
    gc.collect()
    after, resident_after = tracemalloc.get_traced_memory()[0], resident()
    tracemalloc.stop()
    assert after - before < 20_000
    assert resident_after - resident_before < 2 * 2**20
    assert all(np.isfinite(p.array).all() for p in training.model.parameters())


# Memory of others ---------------------------------------------------------------------------------


def foreign(x: Any, which: str, folder: Path) -> Any:
    """The numbers of x in memory that must not be written to, or in an unusual layout."""
    if which == "file":
        path = folder / f"{len(list(folder.iterdir()))}.npy"
        np.save(path, x)
        return np.load(path, mmap_mode="r")
    if which == "read-only":
        x = x.copy()
        x.flags.writeable = False
        return x
    if which == "bytes":
        return np.frombuffer(x.tobytes(), x.dtype).reshape(x.shape)
    if which == "broadcast":
        return np.broadcast_to(x[:1], x.shape)
    return LAYOUTS[which](x)


@pytest.mark.parametrize("which", ["file", "read-only", "bytes", "broadcast", *LAYOUTS])
def test_parameters_may_begin_in_memory_of_others(which: str, tmp_path: Path) -> None:
    trainings = [Training("autoencoder"), Training("autoencoder", compiled=True)]
    for training in trainings:
        for parameter in training.model.parameters():
            parameter.array = foreign(parameter.array, which, tmp_path)
    given = [p.array for p in trainings[1].model.parameters()]
    before = [x.copy() for x in given]
    batch = [cr.tensor(foreign(x.array, which, tmp_path)) for x in trainings[0].batches(1)[0]]
    for training in trainings:
        for _ in range(3):
            training.losses.append(float(training.step(*batch).array))
    for x, old in zip(given, before, strict=True):
        np.testing.assert_array_equal(x, old)
    worst, what = apart(trainings[1].state(), trainings[0].state())
    assert worst <= BOUNDS["autoencoder"][0], f"{what} is {worst:.1e} off"


def test_arrays_that_somebody_holds_keep_their_numbers() -> None:
    training = Training("mlp", compiled=True).train(3)
    (x, y), *_ = training.batches(1)
    held = []
    for _ in range(3):
        parameters = list(training.model.parameters())
        arrays = [p.array[..., 1:] for p in parameters] + [p.grad.array.T for p in parameters]
        arrays.append(training.step(x, y).array.reshape(1))
        held.append((arrays, [array.copy() for array in arrays]))
        training.step(x, y)
    for arrays, copies in held:
        for array, old in zip(arrays, copies, strict=True):
            np.testing.assert_array_equal(array, old)


# Processes and threads ----------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
@pytest.mark.parametrize("name", ["mlp", "lstm"])
def test_parent_and_child_of_a_fork_both_go_on(name: str) -> None:
    set_num_threads(2)
    expected = Training(name, compiled=True).train(6).state()
    training = Training(name, compiled=True)
    batches = training.batches(6)
    for x, y in batches[:3]:
        training.losses.append(float(training.step(x, y).array))

    def rest() -> bool:
        for x, y in batches[3:]:
            training.losses.append(float(training.step(x, y).array))
        return all(np.array_equal(v, expected[k]) for k, v in training.state().items())

    child = os.fork()
    if child == 0:
        status = 3
        try:
            status = 0 if rest() else 1
        finally:
            os._exit(status)
    assert rest()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_two_python_threads_may_call_one_function() -> None:
    weight = cr.randn(64, 64)

    @cr.compile
    def apply(x: cr.Tensor) -> cr.Tensor:
        return cr.ops.tanh(x @ weight) * 2 + 1

    rng = np.random.default_rng(0)
    xs = [cr.tensor(rng.normal(size=(96, 64)).astype(np.float32)) for _ in range(4)]
    expected = [apply(x).array.copy() for x in xs]
    failures: list[str] = []

    def call(k: int) -> None:
        for i in range(300):
            found = apply(xs[(i + k) % 4]).array
            if not np.array_equal(found, expected[(i + k) % 4]):
                failures.append(f"call {i} of thread {k}")

    workers = [threading.Thread(target=call, args=(k,)) for k in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failures, failures[:3]


def test_two_python_threads_may_train_two_networks() -> None:
    set_num_threads(2)
    names = ("autoencoder", "gru")
    expected = [Training(name, compiled=True).train(60).state() for name in names]
    trainings = [Training(name, compiled=True).train(1) for name in names]  # traced before

    def rest(training: Training) -> None:
        for x, y in training.batches(60)[1:]:
            training.losses.append(float(training.step(x, y).array))

    workers = [threading.Thread(target=rest, args=(training,)) for training in trainings]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for training, wanted in zip(trainings, expected, strict=True):
        found = training.state()
        for key in wanted.keys() - {"generator"}:
            np.testing.assert_array_equal(found[key], wanted[key], err_msg=key, strict=True)
