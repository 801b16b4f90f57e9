"""Ten thousand compiled steps: memory before and after.

    python benchmarks/endurance.py [--steps 10000]

Prints the resident memory of the process after a tenth of the steps and after all of them, for a
small convolutional network with dropout and a recurrent one, and what Python allocated in between.
"""

from __future__ import annotations

import argparse
import gc
import tracemalloc
from pathlib import Path

import numpy as np

import chainrule as cr
from chainrule import nn, optim

PAGE = 4096


class Reader(nn.Module):
    """An LSTM whose last hidden state is classified."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTM(8, 16, batch_first=True)
        self.out = nn.Linear(16, 4)

    def forward(self, x: cr.Tensor) -> cr.Tensor:
        return self.out(self.cell(x)[0][:, -1])


def resident() -> int:
    """Bytes of this process in memory (Linux)."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * PAGE


def run(name: str, model: nn.Module, shape: tuple[int, ...], steps: int) -> None:
    """Train for so many steps and print what became of memory."""
    rng = np.random.default_rng(0)
    optimizer = optim.Adam(model.parameters())

    @cr.compile
    def step(x: cr.Tensor, y: cr.Tensor) -> cr.Tensor:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    batches = [
        (cr.tensor(rng.standard_normal(shape).astype(np.float32)),
         cr.tensor(rng.integers(0, 4, shape[0])))
        for _ in range(8)
    ]  # fmt: skip
    for i in range(steps // 10):
        step(*batches[i % 8])
    gc.collect()
    first = resident()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for i in range(steps - steps // 10):
        step(*batches[i % 8])
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    print(
        f"{name}: {steps} steps, resident {first / 2**20:.1f} -> {resident() / 2**20:.1f} MiB, "
        f"Python's own {grown} bytes more"
    )


def main() -> None:
    """Run both networks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=10_000)
    steps = parser.parse_args().steps
    cr.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.5),
        nn.Linear(8 * 7 * 7, 4),
    )  # fmt: skip
    run("convolutions and dropout", network, (16, 1, 16, 16), steps)
    run("LSTM of 8 steps", Reader(), (16, 8, 8), steps)


if __name__ == "__main__":
    main()
