"""The threads that run compiled programs, and how many there are.

Thread 0 of a call is the caller; the others are workers, Python threads that stay inside the
generated ``work`` function. A worker spins for a short while after each call, then sleeps until
the next. One call runs on the pool at a time: others wait for it.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import threading
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from .. import config
from ..errors import ArgumentError
from . import driver, native
from .buffers import address, arena
from .build import build
from .code import Code
from .target import target

MAX_THREADS = 64
"""More threads than this are never used."""

PATIENCE_NS = 100_000
"""How long a worker spins after a call. Waking one that sleeps takes about half of that."""

TURNS = 30
"""How often a barrier looks before it offers its core to others: about 1 µs."""

Block = ctypes.Array[ctypes.c_int64]
"""The words that describe a call; see ``driver``."""


# How many -----------------------------------------------------------------------------------------


def usable_cores() -> int:
    """How many cores this process may use, by its affinity and its share of a container."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    try:
        with open("/sys/fs/cgroup/cpu.max", encoding="ascii") as file:
            quota, period = file.read().split()
        cores = min(cores, -(-int(quota) // int(period)))
    except (OSError, ValueError):
        pass
    return max(1, min(cores, MAX_THREADS))


@lru_cache(maxsize=1)
def _default_threads() -> int:
    text = config.environment("CHAINRULE_THREADS")
    if text is None:
        return usable_cores()
    return _checked(int(text) if text.isdecimal() else text, "CHAINRULE_THREADS")


def _checked(n: object, what: str) -> int:
    if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= MAX_THREADS:
        raise ArgumentError(
            f"{what} must be a number of threads", expected=f"1 to {MAX_THREADS}", got=repr(n)
        )
    return n


_chosen: int | None = None


def set_num_threads(n: int) -> None:
    """Let compiled programs use up to n threads, the caller included. Results do not change.

    Raises ``ArgumentError`` unless n is 1 to 64.
    """
    global _chosen  # noqa: PLW0603  one number for the process, as the pool is one
    _chosen = _checked(n, "set_num_threads")


def get_num_threads() -> int:
    """How many threads compiled programs use.

    By default what ``CHAINRULE_THREADS`` says, else the number of cores that may be used.
    """
    return _chosen or _default_threads()


# Running ------------------------------------------------------------------------------------------


class _Driver(NamedTuple):
    run: Callable[[Any], None]
    work: Callable[[int, int, int], None]
    libraries: tuple[native.Library, ...]


@lru_cache(maxsize=1)
def _driver() -> _Driver:
    """The two generated functions; kept for good, since workers may be inside them."""
    kernels = build([Code(text, 1) for text in driver.texts()], target("native"))
    run = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(kernels[0].address)
    work = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(
        kernels[1].address
    )
    return _Driver(run, work, tuple(kernel.library for kernel in kernels))


def native_run() -> Callable[[Any], None]:
    """The generated function that runs a block, given its address. It drops the GIL."""
    return _driver().run


class _Pool:
    """Workers and the memory that they share with whoever calls them."""

    def __init__(self) -> None:
        self._memory = arena(driver.CONTROL_BYTES)
        self.control = address(self._memory)
        self._libc: Any = ctypes.CDLL(None)
        self._mutex = ctypes.c_void_p(self.control + driver.MUTEX)
        self._condition = ctypes.c_void_p(self.control + driver.CONDITION)
        self._libc.pthread_mutex_init(self._mutex, None)
        self._libc.pthread_cond_init(self._condition, None)
        self._workers: list[threading.Thread] = []
        self._prepared = 1

    def prepare(self, threads: int) -> int:
        """Have workers for a call with so many threads; returns how many it can have."""
        if threads == self._prepared:
            return threads
        try:
            while len(self._workers) < threads - 1:
                self._start_worker()
        except RuntimeError:  # No more threads may be started: go on with those there are.
            threads = len(self._workers) + 1
        crowded = threads > usable_cores()
        self._word(driver.TURNS).value = 0 if crowded else TURNS
        self._word(driver.PATIENCE).value = 0 if crowded else PATIENCE_NS
        self._prepared = threads
        return threads

    def _start_worker(self) -> None:
        number = len(self._workers) + 1
        start = (self.control, number, self._word(driver.TICKET).value)
        worker = threading.Thread(
            target=_driver().work, args=start, name=f"chainrule-{number}", daemon=True
        )
        worker.start()
        self._workers.append(worker)

    def end(self) -> None:
        """Tell the workers to end. None may be in a call."""
        ticket = self._word(driver.TICKET)
        self._libc.pthread_mutex_lock(self._mutex)
        ticket.value = ((ticket.value >> 8) + 1) << 8
        self._libc.pthread_cond_broadcast(self._condition)
        self._libc.pthread_mutex_unlock(self._mutex)

    def join(self) -> None:
        """Wait until the workers have ended."""
        for worker in self._workers:
            worker.join()

    def _word(self, offset: int) -> ctypes.c_int64:
        return ctypes.c_int64.from_address(self.control + offset)


_lock = threading.RLock()
_pool: _Pool | None = None
_ending: list[_Pool] = []
"""Pools whose workers were told to end and are waited for before their memory is freed."""
_lost: list[_Pool] = []
"""Pools that may have a worker that nobody knows; their 2 KB are never freed."""


def run_block(block: Block, threads: int) -> None:
    """Run a block's launches on so many threads; returns when all are done.

    Calls from several Python threads run one after another.
    """
    global _pool  # noqa: PLW0603  the one pool of the process
    with _lock:
        if _pool is None:
            _pool = _Pool()
        try:
            threads = _pool.prepare(threads)
        except BaseException:
            # An interrupt may have come when a worker had started and was not counted yet.
            _lost.append(_pool)
            _pool.end()
            _pool = None
            raise
        block[driver.CONTROL] = _pool.control
        block[driver.THREADS] = threads
        _driver().run(ctypes.addressof(block))


def stop() -> None:
    """End all workers, when none is in a call. The next call starts new ones."""
    global _pool  # noqa: PLW0603  the one pool of the process
    with _lock:
        if _pool is not None:
            _ending.append(_pool)
            _pool.end()
            _pool = None
        while _ending:
            _ending[-1].join()
            _ending.pop()


def _before_fork() -> None:
    # A process forks alone: it waits for the call that is running, and no worker is left.
    _lock.acquire()
    stop()


atexit.register(stop)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_lock.release, after_in_child=_lock.release
    )
