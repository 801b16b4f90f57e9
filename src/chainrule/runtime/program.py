"""Programs: launches of kernels and calls into Python, in order, prepared to run at little cost."""

from __future__ import annotations

import ctypes
import os
import threading
import time
from array import array
from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby, islice
from typing import NamedTuple, TypeAlias
from weakref import WeakSet

import numpy as np

from . import driver
from .buffers import address
from .build import Kernel, build
from .code import Code
from .target import Target
from .target import target as default_target
from .threads import Block, get_num_threads, native_run, run_block


class Launch(NamedTuple):
    """One call of a kernel on all of its tiles.

    Its slot s uses the pointer ``table[slots[s]]``. With `barrier`, everything before it is
    finished when it starts; without, it may run beside what is before it.
    """

    code: Code | Kernel
    """What it runs: loaded already, or yet to be compiled."""
    slots: tuple[int, ...]
    barrier: bool
    label: str
    products: int = 0
    """Multiplications (and additions) it does, for its profile."""
    bytes: int = 0
    """Bytes it reads and writes, for its profile."""


class HostCall(NamedTuple):
    """A call into Python between launches; all before it is finished, nothing after it begun."""

    function: Callable[[], None]
    label: str


Step: TypeAlias = Launch | HostCall


class Timing(NamedTuple):
    """How long a step took."""

    label: str
    seconds: float
    products: int
    bytes: int


class _Segment:
    """Launches that follow each other, as the tables that one native call runs."""

    def __init__(self, launches: list[Launch], kernels: list[Kernel], table: int) -> None:
        self.launches = launches
        self._slots = np.array([s for launch in launches for s in launch.slots] or [0], np.int32)
        self._records = np.zeros((len(launches), driver.RECORD_WORDS), np.int64)
        at = address(self._slots)
        for i, (launch, kernel) in enumerate(zip(launches, kernels, strict=True)):
            # Nothing comes before the first launch, so it has nothing to wait for.
            barrier = launch.barrier and i > 0
            self._records[i] = kernel.address, at, launch.code.tiles, barrier
            at += self._slots.itemsize * len(launch.slots)
        self._table = table
        self._widest = max(launch.code.tiles for launch in launches)
        self._alone, self._shared = self._block(), self._block()
        self.pointer = ctypes.c_void_p(ctypes.addressof(self._alone))
        """Where the block is that one thread runs, without any other."""

    def _block(self) -> Block:
        block: Block = (ctypes.c_int64 * driver.BLOCK_WORDS)()
        block[driver.RECORDS] = address(self._records)
        block[driver.COUNT] = len(self.launches)
        block[driver.TABLE] = self._table
        block[driver.THREADS] = 1
        return block

    def threads_with_work(self, n: int) -> int:
        """How many of n threads get tiles."""
        return max(1, min(n, self._widest))

    def run(self, n: int) -> None:
        """Run the launches on up to n threads."""
        n = self.threads_with_work(n)
        if n == 1:
            native_run()(self.pointer)
        else:
            run_block(self._shared, n)

    def profile(self, n: int) -> list[float]:
        """Seconds of each launch, all threads working on one at a time."""
        times = np.zeros(len(self.launches) + 1, np.int64)
        block = self._block()
        block[driver.TIMES] = address(times)
        n = self.threads_with_work(n)
        if n == 1:
            native_run()(ctypes.addressof(block))
        else:
            run_block(block, n)
        return [float(t) for t in np.diff(times) * 1e-9]


class Program:
    """Steps that can be run again and again, on the pointers of one table.

    `threads` says how many threads run it, the caller included; None means ``get_num_threads()``
    each time. With one, nobody is woken. Results are the same for any number. Calls from several
    Python threads run one after another.

    Raises what ``build`` raises.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        table_size: int,
        *,
        target: Target | None = None,
        threads: int | None = None,
    ) -> None:
        self.steps = tuple(steps)
        self.threads = threads
        self.table = array("Q", bytes(8 * max(1, table_size)))
        """The pointers: ``table[slot] = address``. Setting one takes effect at the next run."""
        self._lock = threading.RLock()
        self._parts = self._cut(target or default_target())
        self._alone = threads == 1 or all(
            isinstance(part, HostCall) or part.threads_with_work(2) == 1 for part in self._parts
        )
        self._calls = [
            part.function if isinstance(part, HostCall) else partial(native_run(), part.pointer)
            for part in self._parts
        ]
        """What one thread does: nothing is looked up and no argument is made when it runs."""
        _programs.add(self)

    def _cut(self, target: Target) -> list[_Segment | HostCall]:
        """The steps with launches that follow each other put together."""
        launches = [step for step in self.steps if isinstance(step, Launch)]
        assert all(0 <= s < len(self.table) for launch in launches for s in launch.slots)
        # The kernels' code stays in memory as long as this list.
        fresh = iter(build([x.code for x in launches if isinstance(x.code, Code)], target))
        self._kernels = [next(fresh) if isinstance(x.code, Code) else x.code for x in launches]
        kernels = iter(self._kernels)
        parts: list[_Segment | HostCall] = []
        table = self.table.buffer_info()[0]
        for is_host, group in groupby(self.steps, lambda step: isinstance(step, HostCall)):
            if is_host:
                parts.extend(step for step in group if isinstance(step, HostCall))
            else:
                run = [step for step in group if isinstance(step, Launch)]
                parts.append(_Segment(run, list(islice(kernels, len(run))), table))
        return parts

    def set_pointer(self, slot: int, address: int) -> None:
        """Let a slot of the table point to an address."""
        self.table[slot] = address

    def run(self) -> None:
        """Do all steps, in order.

        What a HostCall raises ends the run there; the next run starts from the first step.
        """
        with self._lock:
            if self._alone or (n := self.threads or get_num_threads()) == 1:
                for call in self._calls:
                    call()
                return
            for part in self._parts:
                if isinstance(part, _Segment):
                    part.run(n)
                else:
                    part.function()

    def profile(self, repeats: int = 10) -> list[Timing]:
        """The shortest time of each step in so many runs, every launch behind a barrier.

        The runs have the effects of ``run``.
        """
        n = self.threads or get_num_threads()
        best = [float("inf")] * len(self.steps)
        with self._lock:
            for _ in range(repeats):
                best = list(map(min, best, self._timed(n)))
        return [
            Timing(step.label, seconds, step.products, step.bytes)
            if isinstance(step, Launch)
            else Timing(step.label, seconds, 0, 0)
            for step, seconds in zip(self.steps, best, strict=True)
        ]

    def _timed(self, n: int) -> list[float]:
        """Seconds of each step in one run."""
        seconds: list[float] = []
        for part in self._parts:
            if isinstance(part, _Segment):
                seconds += part.profile(n)
            else:
                start = time.perf_counter()
                part.function()
                seconds.append(time.perf_counter() - start)
        return seconds

    def _unlock(self) -> None:
        self._lock = threading.RLock()


_programs: WeakSet[Program] = WeakSet()


def _after_fork() -> None:
    # A lock that another thread held at the fork would never be released in the child.
    for program in list(_programs):
        program._unlock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
