"""A training step compiled to machine code: the same numbers, its time beside eager, and why it is
traced again.

    python examples/compiled.py
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import chainrule as cr
from chainrule import nn, optim

Step = Callable[[Any, Any], Any]


def make_step() -> Step:
    """A small convolutional network with its optimizer, as the function that trains it."""
    cr.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dropout(0.5), nn.Linear(800, 10),
    )  # fmt: skip
    optimizer = optim.Adam(model.parameters(), lr=1e-3)

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


def milliseconds(step: Step, x: Any, y: Any, repeats: int = 20) -> float:
    """The shortest time of a step."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        step(x, y)
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


def main() -> None:
    """Train both ways on the same noise, and compare."""
    eager = make_step()
    compiled = cr.compile(make_step())
    cr.manual_seed(1)
    x, y = cr.rand(64, 1, 28, 28), cr.randint(0, 10, (64,))
    state = cr.default_generator.get_state()
    for step, name in ((eager, "eager"), (compiled, "compiled")):
        cr.default_generator.set_state(state)  # the same dropout in both
        losses = [step(x, y).item() for _ in range(5)]
        print(f"{name:9}", " ".join(f"{loss:.6f}" for loss in losses))

    before, after = milliseconds(eager, x, y), milliseconds(compiled, x, y)
    print(f"{before:.2f} ms eager, {after:.2f} ms compiled: {before / after:.1f} times faster")

    compiled(x[:32], y[:32])  # the last batch of an epoch, say: a graph of its own
    print("traced", compiled.traces, "times:", *compiled.why_recompiled())


if __name__ == "__main__":
    main()
