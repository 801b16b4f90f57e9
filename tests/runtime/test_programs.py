"""Programs on one and more threads: order, barriers, forks, exits, and what they cost in memory."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from small_kernels import EMPTY, add_index, reverse_add

from chainrule.errors import ArgumentError
from chainrule.runtime import threads
from chainrule.runtime.buffers import address, arena
from chainrule.runtime.code import Code
from chainrule.runtime.program import HostCall, Launch, Program, Timing

TILES = 37


@pytest.fixture(autouse=True)
def default_number_of_threads() -> Iterator[None]:
    before = threads.get_num_threads()
    yield
    threads.set_num_threads(before)


def chain(links: int, n: int | None) -> tuple[Program, np.ndarray, np.ndarray]:
    """x → y → x → …: every launch reads, in another order, what the one before it wrote."""
    x, y = np.zeros(TILES), np.zeros(TILES)
    code = reverse_add(TILES)
    steps = [Launch(code, (i % 2, 1 - i % 2), True, f"link {i}") for i in range(links)]
    program = Program(steps, 2, threads=n)
    program.set_pointer(0, address(x))
    program.set_pointer(1, address(y))
    return program, x, y


@pytest.mark.parametrize("n", [1, 2, 3, 4, 9])
def test_every_tile_is_done_once_on_any_number_of_threads(n: int) -> None:
    for tiles in (1, 2, 3, n, 64, 1000):
        y = np.zeros(tiles)
        program = Program([Launch(add_index(tiles, 1), (0,), False, "add")], 1, threads=n)
        program.set_pointer(0, address(y))
        for _ in range(20):
            program.run()
        assert np.array_equal(y, 20.0 * (np.arange(tiles) + 1))


@pytest.mark.parametrize(("n", "runs"), [(1, 3000), (2, 3000), (4, 1000), (8, 100)])
def test_a_launch_sees_all_that_the_launches_before_its_barrier_wrote(n: int, runs: int) -> None:
    program, x, y = chain(6, n)
    for i in range(1, runs + 1):
        program.run()
        assert x.min() == x.max() == 6 * i
        assert y.min() == y.max() == 6 * i - 1


@pytest.mark.parametrize("n", [1, 2, 4])
def test_one_tile_between_many_waits_and_is_waited_for(n: int) -> None:
    """Thread 0 alone does the middle launch; all read what it wrote."""
    y, one = np.zeros(TILES), np.zeros(1)
    single = Launch(add_index(1, 5), (1,), True, "one")
    many = Launch(add_index(TILES), (0,), True, "many")
    program = Program([many, single, many, single, single], 2, threads=n)
    program.table[0], program.table[1] = address(y), address(one)
    for _ in range(500):
        program.run()
    assert np.array_equal(y, 1000.0 * np.arange(TILES))
    assert one[0] == 7500.0


@pytest.mark.parametrize("n", [1, 2, 4])
def test_host_calls_come_between_the_launches_around_them(n: int) -> None:
    y = np.zeros(TILES)
    seen: list[float] = []
    add = Launch(add_index(TILES, 1), (0,), True, "add")
    look = HostCall(lambda: seen.append(y.sum()), "look")
    program = Program([look, add, add, look, look, add, look], 1, threads=n)
    program.set_pointer(0, address(y))
    program.run()
    total = (np.arange(TILES) + 1.0).sum()
    assert seen == [0.0, 2 * total, 2 * total, 3 * total]


def test_an_exception_in_a_host_call_ends_the_run_and_the_next_starts_anew() -> None:
    y = np.zeros(TILES)
    fail = [True]

    def maybe() -> None:
        if fail[0]:
            raise KeyError("on purpose")

    add = Launch(add_index(TILES, 1), (0,), True, "add")
    for n in (1, 2):
        y[:] = 0
        fail[0] = True
        program = Program([add, HostCall(maybe, "maybe"), add], 1, threads=n)
        program.set_pointer(0, address(y))
        with pytest.raises(KeyError):
            program.run()
        assert np.array_equal(y, np.arange(TILES) + 1.0)
        fail[0] = False
        program.run()
        assert np.array_equal(y, 3.0 * (np.arange(TILES) + 1))


def test_a_program_may_run_another_from_a_host_call() -> None:
    inner, x, _ = chain(2, 2)
    outer = Program([Launch(EMPTY, (), True, "empty"), HostCall(inner.run, "inner")], 1, threads=2)
    for _ in range(50):
        outer.run()
    assert x.max() == 100.0


@pytest.mark.parametrize("n", [1, 2, 4])
def test_a_launch_without_tiles_never_calls_its_kernel(n: int) -> None:
    """Its pointer is null, and this kernel would store there whatever it is called for."""
    text = """define void @kernel(ptr %table, ptr %slots, i64 %lo, i64 %hi) {
  %p = load ptr, ptr %table
  store i64 %hi, ptr %p
  ret void
}
"""
    y = np.zeros(TILES)
    none = Launch(Code(text, 0), (0,), True, "none")
    add = Launch(add_index(TILES, 1), (1,), True, "add")
    for steps in ([none], [none, add, none]):
        program = Program(steps, 2, threads=n)
        program.set_pointer(1, address(y))
        program.run()
    assert np.array_equal(y, np.arange(TILES) + 1.0)


def test_an_empty_program_and_a_launch_without_slots_run() -> None:
    Program([], 0).run()
    assert Program([], 0).profile() == []
    Program([Launch(EMPTY, (), True, "empty")], 0, threads=2).run()


def test_pointers_may_change_between_runs() -> None:
    program, x, y = chain(1, 2)
    program.run()
    z = np.zeros(TILES)
    program.set_pointer(1, address(z))
    x[:] = 5
    program.run()
    assert y.max() == 1.0
    assert z.min() == 6.0


@pytest.mark.parametrize("n", [1, 2, 4])
def test_a_profile_has_a_time_for_every_step_and_the_effect_of_its_runs(n: int) -> None:
    y = np.zeros(TILES)
    add = Launch(add_index(TILES, 1), (0,), False, "add", products=7, bytes=11)
    program = Program([add, HostCall(lambda: None, "host"), add, add], 1, threads=n)
    program.set_pointer(0, address(y))
    timings = program.profile(5)
    assert [t.label for t in timings] == ["add", "host", "add", "add"]
    assert timings[0] == Timing("add", timings[0].seconds, 7, 11)
    assert timings[1][2:] == (0, 0)
    assert all(0 <= t.seconds < 1 for t in timings)
    program.run()
    assert np.array_equal(y, 18.0 * (np.arange(TILES) + 1))


def test_a_profile_tells_long_from_short() -> None:
    y = np.zeros(2_000_000)
    short, long = (Launch(add_index(t), (0,), True, str(t)) for t in (10, 2_000_000))
    program = Program([short, long, short], 1, threads=1)
    program.set_pointer(0, address(y))
    a, b, c = (t.seconds for t in program.profile(20))
    assert b > 10 * max(a, c)


# Threads ------------------------------------------------------------------------------------------


def test_the_number_of_threads_is_that_of_usable_cores_or_what_was_set() -> None:
    if hasattr(os, "sched_getaffinity"):
        assert 1 <= threads.usable_cores() <= len(os.sched_getaffinity(0))
    threads.set_num_threads(3)
    assert threads.get_num_threads() == 3
    for wrong in (0, -1, 65, 1.0, True, "2"):
        with pytest.raises(ArgumentError):
            threads.set_num_threads(wrong)  # type: ignore[arg-type]
    assert threads.get_num_threads() == 3


@pytest.mark.parametrize(("text", "result"), [("2", "2"), ("0", "error"), ("many", "error")])
def test_the_environment_gives_the_number_of_threads(text: str, result: str) -> None:
    code = """
from chainrule.errors import ArgumentError
from chainrule.runtime import threads
try:
    print(threads.get_num_threads())
except ArgumentError as error:
    assert "CHAINRULE_THREADS" in str(error)
    print("error")
"""
    environment = {**os.environ, "CHAINRULE_THREADS": text}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, check=False
    )
    assert done.stdout.decode().strip() == result


def test_one_thread_starts_no_workers_and_more_start_only_what_has_work() -> None:
    threads.stop()
    chain(3, 1)[0].run()
    one = Program([Launch(add_index(1), (0,), True, "one tile")], 1, threads=4)
    y = np.zeros(1)
    one.set_pointer(0, address(y))
    one.run()
    assert workers() == 0
    wide = Program([Launch(EMPTY, (), True, "eight tiles")], 1, threads=20)
    wide.run()
    assert workers() == 7
    threads.stop()
    assert workers() == 0
    wide.run()
    assert workers() == 7


def workers() -> int:
    return sum(t.name.startswith("chainrule-") for t in threading.enumerate())


def test_the_number_of_threads_may_change_between_runs() -> None:
    program, x, _ = chain(4, None)
    for i in range(1, 200):
        threads.set_num_threads(1 + i % 5)
        program.run()
        assert x.min() == x.max() == 4 * i


def test_programs_of_many_python_threads_do_not_mix() -> None:
    failures: list[BaseException] = []

    def work(n: int) -> None:
        try:
            program, x, _ = chain(4, n)
            for i in range(1, 200):
                program.run()
                assert x.min() == x.max() == 4 * i
        except BaseException as error:  # noqa: BLE001  shown below
            failures.append(error)

    running = [threading.Thread(target=work, args=(1 + k % 3,)) for k in range(8)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert not failures


def test_one_program_called_by_many_python_threads_runs_as_often_as_called() -> None:
    program, x, _ = chain(2, 2)
    running = [
        threading.Thread(target=lambda: [program.run() for _ in range(100)]) for _ in range(6)
    ]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert x.min() == x.max() == 1200.0


def test_without_more_threads_to_start_a_program_runs_on_those_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    threads.stop()
    program, x, _ = chain(4, 4)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        program.run()
    assert x.min() == x.max() == 4.0
    program.run()
    assert x.min() == x.max() == 8.0


def test_an_interrupt_leaves_a_program_that_runs_again() -> None:
    program, x, y = chain(200, 2)
    interrupted = 0
    for _ in range(20):
        timer = threading.Timer(0.002, os.kill, (os.getpid(), signal.SIGINT))
        try:
            timer.start()
            while True:
                program.run()
        except KeyboardInterrupt:
            interrupted += 1
        timer.join()
        assert x.min() == x.max() == y.max() + 1, "a run ends whole"
    assert interrupted == 20
    before = x[0]
    program.run()
    assert x.min() == x.max() == before + 200


def test_an_interrupt_while_workers_start_leaves_a_pool_that_works(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start = threading.Thread.start

    def interrupted_start(thread: threading.Thread) -> None:
        start(thread)
        if thread.name == "chainrule-2":
            raise KeyboardInterrupt

    threads.stop()
    program, x, _ = chain(4, 4)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", interrupted_start)
        for _ in range(3):
            with pytest.raises(KeyboardInterrupt):
                program.run()
    assert x.max() == 0.0
    for i in range(1, 101):
        program.run()
        assert x.min() == x.max() == 4 * i
    assert workers() == 3


# Processes ----------------------------------------------------------------------------------------

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")


@needs_fork
def test_a_forked_child_runs_programs_and_so_does_its_parent() -> None:
    program, x, _ = chain(4, 4)
    other, z, _ = chain(50, 2)
    ending = threading.Event()

    def keep_running() -> None:
        while not ending.is_set():
            other.run()

    busy = threading.Thread(target=keep_running)
    busy.start()
    try:
        for i in range(1, 31):
            program.run()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # The test's own thread.
                child = os.fork()
            if child == 0:
                os._exit(in_child(program, x, 4 * i, other))
            program_result = os.waitpid(child, 0)[1]
            assert os.waitstatus_to_exitcode(program_result) == 0
            assert x.min() == x.max() == 4 * i, "the child's memory is its own"
    finally:
        ending.set()
        busy.join()
    assert z.min() == z.max()


def in_child(program: Program, x: np.ndarray, before: int, other: Program) -> int:
    """Exit code of a child: 0 if programs, old and new, run there. It ends after 60 s at most."""
    signal.alarm(60)
    for _ in range(3):
        program.run()
        other.run()
    fresh, y, _ = chain(3, 3)
    fresh.run()
    fine = x.min() == x.max() == before + 12 and y.max() == 2.0
    return 0 if fine else 1


EXITING = """
import sys, threading
sys.path.insert(0, sys.argv[1])
import test_programs as t
program, x, _ = t.chain(20, 3)
program.run()
def forever():
    while True:
        program.run()
if sys.argv[2] == "busy":
    threading.Thread(target=forever, daemon=True).start()
    import time
    time.sleep(0.05)
"""


@pytest.mark.parametrize("how", ["idle", "busy"])
def test_the_interpreter_exits_clean(how: str) -> None:
    command = [sys.executable, "-c", EXITING, str(Path(__file__).parent), how]
    for _ in range(5):
        done = subprocess.run(command, capture_output=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, b"")


# Memory -------------------------------------------------------------------------------------------


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("n", [1, 2])
def test_running_again_and_again_takes_no_memory(n: int) -> None:
    program, x, _ = chain(2, n)
    for _ in range(1000):
        program.run()
    gc.collect()
    before = resident()
    for _ in range(10_000):
        program.run()
    gc.collect()
    assert resident() - before < 2**20
    assert x.max() == 22_000


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_programs_that_come_and_go_take_no_memory() -> None:
    def once(i: int) -> None:
        y = np.zeros(8)
        program = Program([Launch(add_index(8, 2000 + i % 50), (0,), True, "")], 1, threads=2)
        program.set_pointer(0, address(y))
        program.run()
        assert y[0] == 2000 + i % 50

    for i in range(200):
        once(i)
    gc.collect()
    before = resident()
    for i in range(1000):
        once(i)
    gc.collect()
    assert resident() - before < 2**21


@pytest.mark.parametrize("nbytes", [0, 1, 63, 64, 4096, 2**21 - 1, 2**21, 2**21 + 1, 5 * 10**6])
def test_an_arena_is_aligned_writable_zeros(nbytes: int) -> None:
    memory = arena(nbytes)
    assert memory.shape == (nbytes,)
    assert memory.dtype == np.uint8
    if nbytes:
        assert address(memory) % (2**21 if nbytes >= 2**21 else 64) == 0
    assert not memory.any()
    memory[:] = 7
    view = memory[nbytes // 2 :]
    del memory
    gc.collect()
    assert (view == 7).all(), "a view keeps the arena"


@needs_fork
def test_a_fork_has_its_own_copy_of_an_arena() -> None:
    memory = arena(2**21)
    child = os.fork()
    if child == 0:
        memory[:] = 1
        os._exit(0)
    os.waitpid(child, 0)
    assert not memory.any()


def test_the_address_of_an_array_is_numpy_s_own() -> None:
    base = np.arange(24, dtype=np.float32).reshape(4, 6)
    frozen = base.copy()
    frozen.flags.writeable = False
    arrays = [base, base.T, base[1:, ::-2], base[:0], np.zeros(()), frozen]
    for array in [*arrays, np.zeros(3, np.bool_), np.zeros(0), np.frombuffer(b"abcd", np.uint8)]:
        assert address(array) == array.__array_interface__["data"][0]
    with pytest.raises(TypeError):
        address(np.float64(3))  # type: ignore[arg-type]
