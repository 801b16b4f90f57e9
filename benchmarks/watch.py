"""What ``watch`` and the non-finite check cost a compiled training step: paired and interleaved.

Two copies of a step, one of them watched, run in turns; the figure is the median of the ratios of
neighbouring runs.

    python benchmarks/watch.py [--steps 200]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import chainrule as cr
from chainrule.cli.profile import Rows
from chainrule.lens.watch import watch
from chainrule.lens.why_nan import Guarded
from chainrule.nn.functional import cross_entropy
from chainrule.nn.networks import mnist_cnn

BATCH = 128
MODELS: dict[str, Callable[[], Any]] = {"MNIST CNN": mnist_cnn, "LSTM": Rows}


def step_of(build: Callable[[], Any], extra: str) -> Callable[[Any, Any], Any]:
    """A compiled training step of a new model: plain, "watched" or "guarded"."""
    cr.manual_seed(0)
    model = build()
    optimizer = cr.optim.Adam(model.parameters())

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    if extra == "guarded":
        return Guarded(step, model, optimizer)
    compiled = cr.compile(step)
    if extra != "watched":
        return compiled
    health = watch(model, optimizer)

    def watched(x: Any, y: Any) -> Any:
        loss = compiled(x, y)
        health.advance(loss.item())
        return loss

    return watched


def seconds(run: Callable[[Any, Any], Any], x: Any, y: Any) -> float:
    """Time of one step, its loss read."""
    start = time.perf_counter()
    float(run(x, y).item())
    return time.perf_counter() - start


def main() -> None:
    """Print the cost of each, for both models."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=200)
    steps = parser.parse_args().steps
    rng = np.random.default_rng(0)
    x = cr.tensor(rng.random((BATCH, 1, 28, 28), np.float32))
    y = cr.tensor(rng.integers(0, 10, BATCH))
    for name, build in MODELS.items():
        for extra in ("watched", "guarded"):
            plain, other = step_of(build, ""), step_of(build, extra)
            for _ in range(5):
                plain(x, y), other(x, y)
            a, b = [], []
            for i in range(steps):
                pair = [(plain, a), (other, b)]
                for run, times in pair if i % 2 else pair[::-1]:
                    times.append(seconds(run, x, y))
            ratio = statistics.median(q / p for p, q in zip(a, b, strict=True))
            print(
                f"{name:12} {extra:9} {1e3 * min(a):7.3f} ms plain  {1e3 * min(b):7.3f} ms  "
                f"best {min(b) / min(a) - 1:+.1%}  median of pairs {ratio - 1:+.1%}"
            )


if __name__ == "__main__":
    main()
