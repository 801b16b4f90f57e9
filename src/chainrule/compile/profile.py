"""Where the time of a compiled function goes: each kernel, and how near it is to the machine."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import numpy as np

from ..core.aval import DType
from ..errors import ArgumentError
from ..runtime.program import Launch
from ..runtime.threads import get_num_threads
from .executable import Executable
from .limits import bytes_per_second, products_per_second
from .lower.emit import Step
from .native import NativeExecutable
from .origin import Origin, origin, traffic

_AFTER = 3
"""After so many runs, CHAINRULE_DEBUG=2 prints a profile."""
_DEBUG_REPEATS = 10


class Row(NamedTuple):
    """One kernel of a program, or one call of NumPy, with all of its launches for one purpose."""

    kernel: str
    """What it does: ``contract+map 64x32`` is a sum of products and a function of the results."""
    operations: str
    module: str
    """``Net.fc1``, if it was called in a module's forward."""
    line: str
    """The user's line that asked for it: ``train.py:41  loss.backward()``."""
    calls: int
    seconds: float
    """Of all calls together."""
    share: float
    """Of the sum of all rows."""
    gflops: float | None
    """Multiplications and additions in 10⁹ a second, if it is a sum of products."""
    gbytes: float | None
    """Bytes of the distinct elements that it reads and writes, in 10⁹ a second."""
    of_limit: float | None
    """The least time that this machine takes for the products, or for the bytes, in its own."""

    @property
    def what(self) -> str:
        """Operations, kernel, module or else line: ``matmul [contract 8x6] (Net.fc)``."""
        place = self.module or self.line
        return f"{self.operations} [{self.kernel}]{f' ({place})' if place else ''}"


@final
@dataclass(frozen=True)
class Profile:
    """The kernels of a compiled function in the order in which they run. It prints as a table.

    Kernels are timed one at a time, with all threads; in a step, one may begin while others end.
    """

    name: str
    rows: tuple[Row, ...]
    seconds: float
    """A whole run, as it is without a profile."""
    kernels: int
    """Launches in a run."""
    host_steps: int
    """Operations that NumPy computes in a run."""
    arena_bytes: int
    """Memory for intermediate values."""
    threads: int
    gflops: float
    """Sums of products in the whole run, in 10⁹ operations a second."""
    peak_gflops: float
    """What this machine reaches, in the dtype of most of the products."""

    @property
    def of_peak(self) -> float:
        """The share of the machine's peak that the whole run reaches."""
        return self.gflops / self.peak_gflops

    @property
    def slowest(self) -> list[Row]:
        """The rows, by time."""
        return sorted(self.rows, key=lambda row: -row.seconds)

    @property
    def summary(self) -> str:
        """The whole run, in a line."""
        host = f", {_count(self.host_steps, 'NumPy step')}" if self.host_steps else ""
        return (
            f"{self.name}: {1e3 * self.seconds:.3f} ms, {_count(self.kernels, 'kernel')}{host}, "
            f"{_count(self.threads, 'thread')}, arena {self.arena_bytes / 2**20:.1f} MiB, "
            f"{self.gflops:.0f} GFLOP/s = {self.of_peak:.0%} of the peak of {self.peak_gflops:.0f}"
        )

    def document(self) -> dict[str, Any]:
        """Everything as what JSON can say; times in ms."""
        return {
            "name": self.name,
            "ms": 1e3 * self.seconds,
            "kernels": self.kernels,
            "host_steps": self.host_steps,
            "arena_bytes": self.arena_bytes,
            "threads": self.threads,
            "gflops": self.gflops,
            "peak_gflops": self.peak_gflops,
            "of_peak": self.of_peak,
            "rows": [
                {"ms": 1e3 * row.seconds}
                | {k: v for k, v in row._asdict().items() if k != "seconds"}
                for row in self.rows
            ],
        }

    def __str__(self) -> str:
        lines = [
            f"{'ms':>8} {'share':>6} {'calls':>5} {'GFLOP/s':>8} {'GB/s':>7} {'limit':>6}  what"
        ]
        for row in self.slowest:
            ms, share, calls, gflops, gbytes, limit = cells(row)
            lines.append(
                f"{ms:>8} {share:>6} {calls:>5} {gflops:>8} {gbytes:>7} {limit:>6}  {row.what}"
            )
        return "\n".join([self.summary, *lines])


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'s' * (n != 1)}"


def cells(row: Row) -> list[str]:
    """A row's ms, share, calls, GFLOP/s, GB/s and share of the limit, as a table shows them."""
    return [
        f"{1e3 * row.seconds:.4f}",
        f"{row.share:.1%}",
        str(row.calls),
        "" if row.gflops is None else f"{row.gflops:.1f}",
        "" if row.gbytes is None else f"{row.gbytes:.1f}",
        "" if row.of_limit is None else f"{row.of_limit:.0%}",
    ]


def profile(name: str, executable: Executable, arrays: Sequence[Any], repeats: int) -> Profile:
    """Time a program's kernels, on copies of the state that it would change.

    Another program like it is made for that, so the state stays as it is even if the profile is
    interrupted. Raises ArgumentError if NumPy runs the function.
    """
    if isinstance(executable, Watched):
        executable = executable.watched
    if not isinstance(executable, NativeExecutable):
        raise ArgumentError(
            f"{name} has no kernels: NumPy runs it",
            hint="pip install llvmlite, and leave CHAINRULE_BACKEND alone",
        )
    if repeats < 1:
        raise ArgumentError("a profile takes one run at least", got=f"repeats={repeats}")
    twin = NativeExecutable(executable.graph, executable.donations)
    inputs = [
        twin.prepare(i, x.copy(order="K") if i in executable.donations else x)
        for i, x in enumerate(arrays)
    ]
    timings = twin.profile(inputs, repeats)
    seconds = min(_seconds(twin, inputs) for _ in range(repeats))
    threads = twin.program.threads or get_num_threads()
    return _profile(name, twin, [t.seconds for t in timings], seconds, threads)


def _seconds(executable: NativeExecutable, arrays: Sequence[Any]) -> float:
    start = time.perf_counter()
    executable(arrays)
    return time.perf_counter() - start


def _profile(
    name: str, executable: NativeExecutable, times: list[float], seconds: float, threads: int
) -> Profile:
    equations = executable.graph.equations
    groups: dict[Any, list[int]] = {}
    steps = list(zip(executable.planned, executable.program.steps, strict=True))
    origins = [origin(step, executable.starts, equations) for step, _ in steps]
    for i, (_, run) in enumerate(steps):
        kernel = run.code if isinstance(run, Launch) else None
        key = kernel, run.label, origins[i].operations, origins[i].module, origins[i].line
        groups.setdefault(key, []).append(i)
    products: dict[DType, int] = {}
    for o, (_, run), t in zip(origins, steps, times, strict=True):
        if o.dtype is not None and isinstance(run, Launch) and t > 0:
            products[o.dtype] = products.get(o.dtype, 0) + run.products
            products_per_second(o.dtype, threads, run.products / t)
    total = sum(times) or 1.0
    rows = [
        _row([steps[i] for i in group], origins[group[0]],
             [times[i] for i in group], total, threads)
        for group in groups.values()
    ]  # fmt: skip
    main = max(products, key=products.__getitem__, default=np.dtype(np.float32))
    hosted = sum(not isinstance(run, Launch) for _, run in steps)
    return Profile(
        name, tuple(rows), seconds, len(steps) - hosted, hosted, executable.arena_bytes, threads,
        2e-9 * sum(products.values()) / seconds, 2e-9 * products_per_second(main, threads),
    )  # fmt: skip


def _row(
    steps: Sequence[tuple[Any, Any]],
    source: Origin,
    times: Sequence[float],
    total: float,
    threads: int,
) -> Row:
    """Several launches of one kernel."""
    step, run = steps[0]
    seconds = sum(times)
    gflops = gbytes = of_limit = None
    if isinstance(step, Step) and seconds > 0:
        nbytes = traffic(step)
        gbytes = 1e-9 * nbytes * len(steps) / seconds
        least = nbytes / bytes_per_second(nbytes, threads)
        if source.dtype is not None:
            gflops = 2e-9 * run.products * len(steps) / seconds
            least = max(least, run.products / products_per_second(source.dtype, threads))
        of_limit = least * len(steps) / seconds
    return Row(
        run.label, source.operations, source.module, source.line, len(steps), seconds,
        seconds / total, gflops, gbytes, of_limit,
    )  # fmt: skip


@final
class Watched:
    """An executable that prints its profile, once, after it has run a few times."""

    def __init__(self, name: str, watched: Executable) -> None:
        self.name = name
        self.watched = watched
        self.in_place = watched.in_place
        self.run_alone: Callable[[], Any] | None = None
        self.prepare = watched.prepare
        self._runs = 0

    def __call__(self, arrays: Sequence[Any]) -> Sequence[Any]:
        """The outputs."""
        self._runs += 1
        if self._runs == _AFTER and isinstance(self.watched, NativeExecutable):
            print(profile(self.name, self.watched, arrays, _DEBUG_REPEATS), file=sys.stderr)
        return self.watched(arrays)
