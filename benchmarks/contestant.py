"""One library on one workload, in a process of its own that ``versus.py`` starts and directs.

One JSON object a line goes each way: the task on the command line, then requests on standard input
and answers on standard output.

    {"do": "losses", "steps": 19}                 -> {"losses": [2.3, ...]}
    {"do": "run", "what": "step", "steps": 10}    -> {"seconds": 0.1, "cpu": 0.2, "idle": 0.0}
    {"do": "memory"}                              -> {"bytes": 1234567, "total_bytes": 12345678}

An answer may also be {"error": "..."}. The process ends when its standard input does.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import itertools
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

STATUS = Path("/proc/self/status")


def memory(field: str) -> int:
    """Bytes in use now (VmRSS) or at the peak (VmHWM) of this process.

    Without /proc it is the peak in both cases.
    """
    if STATUS.exists():
        line = next(s for s in STATUS.read_text().splitlines() if s.startswith(field))
        return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


class Contestant:
    """A program of one library and its batches, stepped on request."""

    def __init__(self, task: dict[str, Any]) -> None:
        start = time.perf_counter()
        from models import workloads  # NumPy

        if task["library"] == "torch":
            import torch

            torch.set_num_threads(task["threads"])
        library = importlib.import_module(f"models.with_{task['library']}")
        imported = time.perf_counter()
        workload = workloads.WORKLOADS[task["workload"]]
        data, weights = workloads.load(Path(task["data"]))
        self.baseline = memory("VmRSS")
        ready = time.perf_counter()
        self.program = library.build(workload, data, weights, **task["options"])
        del data, weights
        self.batches: Iterator[Any] = itertools.cycle(self.program.batches)
        built = time.perf_counter()
        loss = self.run_step()
        self.report = {
            "import_seconds": imported - start,
            "build_seconds": built - ready,
            "first_seconds": time.perf_counter() - built,
            "loss": loss,
        }
        self.cpu = time.process_time()

    def run_step(self) -> float:
        """One training step, and its loss as a number."""
        return self.program.value(self.program.step(next(self.batches)))

    def losses(self, steps: int) -> dict[str, Any]:
        """The losses of so many steps."""
        return {"losses": [self.run_step() for _ in range(steps)]}

    def run(self, what: str, steps: int) -> dict[str, Any]:
        """Wall-clock and processor seconds of so many steps, waiting for the last one only.

        `idle` is the processor time that this process took since it was last asked: threads that
        spin while another contestant is timed.
        """
        fn = getattr(self.program, what)
        batches = list(itertools.islice(self.batches, steps))
        idle = time.process_time() - self.cpu
        gc.collect()
        cpu = time.process_time()
        start = time.perf_counter()
        out = None
        for batch in batches:
            out = fn(batch)
        loss = out[0] if isinstance(out, tuple) else out
        value = self.program.value(loss)
        seconds = time.perf_counter() - start
        cpu, self.cpu = time.process_time() - cpu, time.process_time()
        return {"seconds": seconds, "cpu": cpu, "idle": idle, "loss": value}

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """What one request asks for."""
        if request["do"] == "losses":
            reply = self.losses(request["steps"])
        elif request["do"] == "run":
            return self.run(request["what"], request["steps"])
        else:
            peak = memory("VmHWM")
            reply = {"bytes": peak - self.baseline, "total_bytes": peak}
        self.cpu = time.process_time()
        return reply


def own_stdout() -> TextIO:
    """The pipe to the parent; what libraries print goes to standard error instead."""
    pipe = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    return pipe


def main() -> None:
    pipe = own_stdout()

    def say(reply: dict[str, Any]) -> None:
        pipe.write(json.dumps(reply) + "\n")

    try:
        contestant = Contestant(json.loads(sys.argv[1]))
        say(contestant.report)
        for line in sys.stdin:
            say(contestant.answer(json.loads(line)))
    except KeyboardInterrupt:
        pass
    except Exception as error:  # noqa: BLE001  whatever a library raises is one line of the table
        with contextlib.suppress(BrokenPipeError):
            say({"error": f"{type(error).__name__}: {str(error).strip() or repr(error)}"})


if __name__ == "__main__":
    main()
