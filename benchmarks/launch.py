"""What running a compiled program costs beside its arithmetic: calls, threads, barriers, memory.

Kernels that do nothing, so that all of it is overhead. Best and median of many runs; on a busy
machine only the best means much.

    python benchmarks/launch.py
"""

from __future__ import annotations

import mmap
import os
import statistics
import tempfile
import time
from collections.abc import Callable

import numpy as np

from chainrule.runtime import threads
from chainrule.runtime.buffers import HUGE_PAGE, address, arena
from chainrule.runtime.build import build
from chainrule.runtime.code import Code
from chainrule.runtime.program import Launch, Program
from chainrule.runtime.target import target

BARRIERS = 100
KERNELS = 30
LARGE = 256 * 2**20

_TEXT = """define void @kernel(ptr %table, ptr %slots, i64 %lo, i64 %hi) nounwind {{
  %unused = add i64 %lo, {number}
  ret void
}}
"""


def empty(number: int = 0) -> Code:
    """A kernel of 64 tiles that does nothing; texts differ by the number."""
    return Code(_TEXT.format(number=number), 64)


def microseconds(run: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Best and median time of a run."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return 1e6 * min(times), 1e6 * statistics.median(times)


def report(what: str, times: tuple[float, float], per: int = 1, unit: str = "µs") -> None:
    """One line: best and median."""
    best, median = (t / per for t in times)
    print(f"{what:<52} {best:9.2f} {median:9.2f} {unit}")


def running() -> None:
    """Calls of programs on one and more threads."""
    launch = Launch(empty(), (), True, "empty")
    for n in sorted({1, 2, os.cpu_count() or 1, 2 * (os.cpu_count() or 1)}):
        one = Program([launch], 1, threads=n)
        many = Program([launch] * (BARRIERS + 1), 1, threads=n)
        report(f"{n} threads: run of 1 launch", microseconds(one.run, 5000))
        times = microseconds(many.run, 1000)
        report(f"{n} threads: each launch" + " + barrier" * (n > 1), times, BARRIERS)
        threads.stop()
    program = Program([launch], 1, threads=2)

    def after_sleep() -> tuple[float, float]:
        times = []
        for _ in range(100):
            time.sleep(0.002)
            times.append(microseconds(program.run, 1)[0])
        return min(times), statistics.median(times)

    report("2 threads: run of 1 launch, worker asleep", after_sleep())
    one = Program([launch], 1, threads=1)
    report("set_pointer", microseconds(lambda: [one.set_pointer(0, 1)] * 1, 5000))
    array = np.zeros(3)
    report("address", microseconds(lambda: address(array), 5000))


def building() -> None:
    """Compiling and loading programs."""
    codes = [empty(1000 + i) for i in range(KERNELS)]
    before = os.environ.get("CHAINRULE_CACHE")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CHAINRULE_CACHE"] = os.path.join(folder, "objects")
        report(f"compile {KERNELS} empty kernels", microseconds(lambda: build(codes, target()), 1))
        times = microseconds(lambda: build(codes, target()), 20)
        report(f"load {KERNELS} kernels from the cache", times)
        held = build(codes, target())
        times = microseconds(lambda: build(codes, target()), 20)
        report(f"find {KERNELS} kernels in memory", times)
        del held
    os.environ.pop("CHAINRULE_CACHE")
    if before is not None:
        os.environ["CHAINRULE_CACHE"] = before


def memory() -> None:
    """Large pages or small: first touch, then reading a word of every 4 KiB page at random."""

    def small_pages() -> np.ndarray:
        pages = mmap.mmap(-1, LARGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        if hasattr(mmap, "MADV_NOHUGEPAGE"):
            pages.madvise(mmap.MADV_NOHUGEPAGE)
        return np.frombuffer(pages, np.uint8)

    order = np.random.default_rng(0).permutation(LARGE // 4096) * 4096
    for name, make in (("arena", lambda: arena(LARGE)), ("small pages", small_pages)):
        touched = []

        def touch(make: Callable[[], np.ndarray] = make, kept: list[np.ndarray] = touched) -> None:
            kept.clear()
            kept.append(make())
            kept[0][:] = 1

        report(f"{name}: first touch, per 2 MiB", microseconds(touch, 5), LARGE // HUGE_PAGE)
        words = touched[0]
        times = microseconds(lambda words=words: words[order], 20)
        report(f"{name}: random word, per 1000", times, LARGE // 4096 // 1000)


def main() -> None:
    print(f"{'':<52} {'best':>9} {'median':>9}")
    running()
    building()
    memory()


if __name__ == "__main__":
    main()
