"""Whole training steps beside PyTorch and JAX: same data, same first weights, same threads.

    python benchmarks/versus.py [--models cnn,gpt] [--skip jax,torch-compile] [--threads 2]
                                [--rounds 15] [--quick] [--json FILE]

A step is zero_grad, forward, loss, backward and the optimizer's update. Every contestant lives in a
process of its own and is stepped in turn, so that thread pools never meet. The losses of 20 steps
must agree before anything is timed. Ratios are medians over rounds of neighbouring turns.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from models import workloads
from models.workloads import WORKLOADS
from peers import ContestantError, Process, missing, taking_part
from versus_table import render

AGREEING_STEPS = 20
REFERENCES = ("torch", "chainrule-eager", "chainrule", "jax")
"""Whose losses the others' are held against: the first of these that runs."""


class Settings(NamedTuple):
    """How long to measure."""

    threads: int
    rounds: int
    turn: float
    """Seconds of one turn."""
    pause: float
    """Seconds between turns, in which the threads of the last one go to sleep."""


Row = dict[str, Any]


def say(message: str) -> None:
    """Progress, on standard error."""
    print(message, file=sys.stderr, flush=True)


class Contest:
    """The contestants of one workload and their figures; who fails is named and drops out."""

    def __init__(self, name: str, settings: Settings, skip: list[str], folder: Path) -> None:
        self.name = name
        self.settings = settings
        self.data = folder / f"{name}.npz"
        workloads.save(name, self.data)
        self.results: dict[str, Row] = {peer: {} for peer in taking_part(name, skip)}
        self.caches = {peer: folder / "caches" / name / peer for peer in self.results}
        for cache in self.caches.values():
            cache.mkdir(parents=True, mode=0o700)
        self.running: dict[str, Process] = {}

    def say(self, peer: str, message: str) -> None:
        """Progress of one contestant, on standard error."""
        say(f"{self.name}: {peer}: {message}")

    def launch(self, peer: str) -> Process:
        """A new process of a contestant, after its first step."""
        return Process(peer, self.name, self.data, self.settings.threads, self.caches[peer])

    def drop(self, peer: str, reason: str) -> None:
        """Send a contestant away."""
        self.results[peer]["failed"] = reason
        self.say(peer, reason)
        if peer in self.running:
            self.running.pop(peer).close()

    def each(self, what: Callable[[str], None], order: list[str] | None = None) -> None:
        """Do something with every contestant that is still there."""
        for peer in order or list(self.running):
            try:
                what(peer)
            except ContestantError as failure:
                self.drop(peer, str(failure))

    def close(self) -> None:
        """End all processes."""
        for process in self.running.values():
            process.close()

    # The parts of a measurement, in their order ---------------------------------------------------

    def begin(self, peer: str) -> None:
        """First step, with an empty cache."""
        process = self.running[peer] = self.launch(peer)
        self.results[peer].update(cold_seconds=cold(process), setup=process.start)
        self.say(peer, f"first step {cold(process):.2f} s")

    def compare(self) -> None:
        """Hold the losses of the first steps against the reference's."""
        losses: dict[str, list[float]] = {}

        def take(peer: str) -> None:
            process = self.running[peer]
            rest = process.ask(do="losses", steps=AGREEING_STEPS - 1)["losses"]
            losses[peer] = [process.start["loss"], *rest]

        self.each(take)
        reference = next((peer for peer in REFERENCES if peer in losses), None)
        for peer, own in losses.items():
            assert reference is not None
            worst = worst_difference(own, losses[reference])
            self.results[peer].update(losses=own, reference=reference, worst_difference=worst)
            if worst > WORKLOADS[self.name].tolerance:
                self.drop(peer, f"losses differ from {reference}'s by {worst:.1e}: not timed")
            else:
                self.say(peer, f"agrees with {reference} within {worst:.1e}")

    def interleave(self) -> dict[str, list[float]]:
        """Turns of all, round after round: milliseconds a step of those who reach the end."""
        steps: dict[str, int] = {}
        turns: dict[str, list[tuple[float, float, float]]] = {peer: [] for peer in self.running}

        def calibrate(peer: str) -> None:
            time.sleep(self.settings.pause)
            once = min(self.running[peer].time("step", 2)[0] for _ in range(3))
            steps[peer] = max(1, round(self.settings.turn * 1e3 / once))

        def turn(peer: str) -> None:
            time.sleep(self.settings.pause)
            turns[peer].append(self.running[peer].time("step", steps[peer]))

        self.each(calibrate)
        for number in range(self.settings.rounds):
            self.each(turn, list(self.running)[:: 1 if number % 2 == 0 else -1])
            say(f"{self.name}: round {number + 1} of {self.settings.rounds}")
        walls = {}
        for peer in self.running:
            wall, cpu, idle = (list(column) for column in zip(*turns[peer], strict=True))
            walls[peer] = wall
            self.results[peer].update(
                median_ms=statistics.median(wall),
                best_ms=min(wall),
                cpu_ms=statistics.median(cpu),
                idle_cpu_seconds=max(idle),
                steps_a_turn=steps[peer],
                rounds_ms=wall,
            )
        return walls

    def take_memory(self, peer: str) -> None:
        """Peak memory, before anything but training has run."""
        reply = self.running[peer].ask(do="memory")
        self.results[peer].update(peak_bytes=reply["bytes"], total_bytes=reply["total_bytes"])

    def share(self, peer: str) -> None:
        """(forward and backward - forward) / forward, from neighbouring turns."""
        process = self.running[peer]
        steps = max(1, self.results[peer]["steps_a_turn"] // 2)
        process.time("forward", 1)
        process.time("gradients", 1)
        shares = []
        for _ in range(max(3, 2 * self.settings.rounds)):
            forward = process.time("forward", steps)[0]
            shares.append(process.time("gradients", steps)[0] / forward - 1)
        self.results[peer]["backward_to_forward"] = statistics.median(shares)

    def warm(self, peer: str) -> None:
        """First step and peak memory of a second process, which finds what the first one cached."""
        process = self.launch(peer)
        process.time("step", AGREEING_STEPS)
        total = process.ask(do="memory")["total_bytes"]
        process.close()
        self.results[peer].update(
            warm_seconds=cold(process),
            warm_step_seconds=process.start["first_seconds"],
            warm_total_bytes=total,
        )
        self.say(peer, f"first step of a second process {cold(process):.2f} s")


def measure(name: str, settings: Settings, skip: list[str], folder: Path) -> Row:
    """One workload: every contestant's figures, or why it has none, and the ratios."""
    contest = Contest(name, settings, skip, folder)
    try:
        contest.each(contest.begin, list(contest.results))
        contest.compare()
        walls = contest.interleave()
        contest.each(contest.take_memory)
        contest.each(contest.share)
        contest.each(contest.warm)
    finally:
        contest.close()
    workload = WORKLOADS[name]
    return {
        "workload": name,
        "results": contest.results,
        "ratios": ratios(walls),
        "must": {"as_written": workload.must_as_written, "tuned": workload.must_tuned},
    }


def cold(process: Process) -> float:
    """Seconds to build the model and make its first step, compiling included."""
    return float(process.start["build_seconds"] + process.start["first_seconds"])


def worst_difference(own: list[float], expected: list[float]) -> float:
    """Largest relative difference of two series; infinite if one has a value that is not finite."""
    if not all(map(math.isfinite, [*own, *expected])):
        return math.inf
    return max(abs(a - b) / abs(b) for a, b in zip(own, expected, strict=True))


def ratios(walls: dict[str, list[float]]) -> dict[str, Any]:
    """How many times longer than chainrule's step the others' are: medians over the rounds.

    "tuned" is the fastest of PyTorch's variants, "best_peer" the fastest of all peers, by median.
    """

    def fastest(peers: list[str]) -> str | None:
        return min(peers, key=lambda peer: statistics.median(walls[peer]), default=None)

    def ratio(peer: str | None, own: str) -> float | None:
        if peer not in walls or own not in walls:
            return None
        return statistics.median(
            theirs / ours for theirs, ours in zip(walls[peer], walls[own], strict=True)
        )

    torch = [peer for peer in walls if peer.startswith("torch")]
    tuned, best = fastest(torch), fastest([*torch, *({"jax"} & walls.keys())])
    return {
        "as_written": ratio("torch", "chainrule"),
        "tuned": ratio(tuned, "chainrule"),
        "jax": ratio("jax", "chainrule"),
        "best_peer": ratio(best, "chainrule"),
        "eager": ratio("torch", "chainrule-eager"),
        "tuned_is": tuned,
        "best_peer_is": best,
        "all_peers": {"torch", "torch-compile", "jax"} <= walls.keys(),
    }


def machine(threads: int) -> Row:
    """What the figures depend on."""
    versions = {}
    for package in ("chainrule", "numpy", "llvmlite", "torch", "jax", "jaxlib"):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = None
    return {
        "processors": os.cpu_count(),
        "threads": threads,
        "load_before": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "versions": versions,
    }


def names(text: str) -> list[str]:
    """A comma-separated list."""
    return [name.strip() for name in text.split(",") if name.strip()]


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", type=names, default=list(WORKLOADS), metavar="A,B",
                        help=f"some of {', '.join(WORKLOADS)}")  # fmt: skip
    parser.add_argument("--skip", type=names, default=[], metavar="A,B",
                        help="leave out jax, torch, torch-compile, …")  # fmt: skip
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--quick", action="store_true", help="3 short rounds: no figures to quote")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured")
    options = parser.parse_args()
    unknown = [name for name in options.models if name not in WORKLOADS]
    if unknown:
        parser.error(f"no such model: {', '.join(unknown)}; there are {', '.join(WORKLOADS)}")
    if options.threads < 1 or options.rounds < 1:
        parser.error("--threads and --rounds are at least 1")
    return options


def main() -> None:
    options = arguments()
    settings = Settings(options.threads, options.rounds, turn=0.3, pause=0.3)
    if options.quick:
        settings = settings._replace(rounds=min(3, options.rounds), turn=0.1, pause=0.1)
    absent = missing(options.skip)
    for message in absent.values():
        say(message)
    document: Row = {"machine": machine(options.threads), "settings": settings._asdict()}
    document["rows"] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in options.models:
            row = measure(name, settings, [*options.skip, *absent], Path(folder))
            document["rows"].append(row)
            if options.json:
                options.json.write_text(json.dumps(document, indent=1) + "\n")
    print(render(document["rows"]))


if __name__ == "__main__":
    main()
