"""Who takes part in ``versus.py``, and the processes they run in."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import select
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from models.workloads import WORKLOADS

CHILD = Path(__file__).parent / "contestant.py"
TIMEOUT = 900.0
"""Seconds after which a contestant that does not answer is given up."""


class ContestantError(Exception):
    """A contestant could not start, or ended."""


class Peer(NamedTuple):
    """A library and how it is asked to run; `only` names the workloads it makes sense for."""

    library: str
    options: Mapping[str, bool]
    only: frozenset[str] | None = None


CONVOLUTIONAL = frozenset(name for name, w in WORKLOADS.items() if w.images)
PEERS: Mapping[str, Peer] = {
    "chainrule": Peer("chainrule", {"compiled": True}),
    "chainrule-eager": Peer("chainrule", {"compiled": False}),
    "torch": Peer("torch", {}),
    "torch-fused": Peer("torch", {"fused": True}),
    "torch-fused-explicit": Peer("torch", {"fused": True, "explicit": True}, frozenset({"gpt"})),
    "torch-fused-last": Peer("torch", {"fused": True, "channels_last": True}, CONVOLUTIONAL),
    "torch-compile": Peer("torch", {"fused": True, "compiled": True}),
    "torch-compile-last": Peer(
        "torch", {"fused": True, "compiled": True, "channels_last": True}, CONVOLUTIONAL
    ),
    "torch-compile-whole": Peer("torch", {"compiled": True, "whole": True}, frozenset({"tiny"})),
    "jax": Peer("jax", {}),
}
"""``torch`` is PyTorch as written; all others of its name are the ways of tuning it."""

TITLES = {"chainrule": "chainrule", "torch": "PyTorch", "jax": "JAX"}


def missing(skip: list[str]) -> dict[str, str]:
    """Libraries that are wanted and not installed, with what to say about it."""
    return {
        library: f"{title} is not installed: its columns are left out "
        "(pip install -r benchmarks/requirements.txt)"
        for library, title in TITLES.items()
        if library not in skip and importlib.util.find_spec(library) is None
    }


def taking_part(workload: str, skip: list[str]) -> dict[str, Peer]:
    """The peers for a workload, without those whose name is, or goes on from, one in `skip`."""

    def skipped(name: str) -> bool:
        return any(name == s or name.startswith(f"{s}-") for s in skip)

    return {
        name: peer
        for name, peer in PEERS.items()
        if not skipped(name) and (peer.only is None or workload in peer.only)
    }


def environment(threads: int, caches: Path) -> dict[str, str]:
    """Variables of every contestant: the same number of threads, and caches of their own.

    How threads wait is left as each library has it.
    """
    count = str(threads)
    return {
        **os.environ,
        "OMP_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
        "CHAINRULE_THREADS": count,
        "CHAINRULE_CACHE": str(caches / "chainrule"),
        "XDG_CACHE_HOME": str(caches / "xdg"),
        "TORCHINDUCTOR_CACHE_DIR": str(caches / "torch"),
        "JAX_COMPILATION_CACHE_DIR": str(caches / "jax"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        "JAX_PLATFORMS": "cpu",
        "PYTHONHASHSEED": "0",
    }


class Process:
    """A contestant's process: asked in JSON lines, silent and idle in between.

    Raises ContestantError with its last words when it ends or takes longer than `TIMEOUT`.
    """

    def __init__(self, name: str, workload: str, data: Path, threads: int, caches: Path) -> None:
        peer = PEERS[name]
        task = {
            "library": peer.library,
            "options": dict(peer.options),
            "workload": workload,
            "data": str(data),
            "threads": threads,
        }
        self.name = name
        self.log = data.parent / f"{workload}-{name}.log"
        with self.log.open("w") as log:
            self.child = subprocess.Popen(
                [sys.executable, str(CHILD), json.dumps(task)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment(threads, caches),
                text=True,
                preexec_fn=lambda: confine(threads),  # noqa: PLW1509  the parent has no threads
            )
        try:
            self.start = self._answer()
        except BaseException:
            self.close()
            raise

    def ask(self, **request: Any) -> dict[str, Any]:
        """The answer to one request."""
        assert self.child.stdin is not None
        try:
            self.child.stdin.write(json.dumps(request) + "\n")
            self.child.stdin.flush()
        except BrokenPipeError:
            raise ContestantError(self._last_words()) from None
        return self._answer()

    def time(self, what: str, steps: int) -> tuple[float, float, float]:
        """Milliseconds a step: wall clock, processor; and idle processor seconds before it."""
        reply = self.ask(do="run", what=what, steps=steps)
        return reply["seconds"] / steps * 1e3, reply["cpu"] / steps * 1e3, reply["idle"]

    def _answer(self) -> dict[str, Any]:
        assert self.child.stdout is not None
        if not select.select([self.child.stdout], [], [], TIMEOUT)[0]:
            raise ContestantError(f"no answer in {TIMEOUT:.0f} s")
        line = self.child.stdout.readline()
        if not line:
            raise ContestantError(self._last_words())
        reply: dict[str, Any] = json.loads(line)
        if "error" in reply:
            raise ContestantError(reply["error"].splitlines()[0])
        return reply

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return f"ended with status {self.child.wait()}: {lines[-1] if lines else 'silent'}"

    def close(self) -> None:
        """End the process, gently if it listens."""
        assert self.child.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.child.stdin.close()
        try:
            self.child.wait(10)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        assert self.child.stdout is not None
        self.child.stdout.close()


def confine(threads: int) -> None:
    """Run on as many processors as there are threads: XLA takes all that it is given."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
