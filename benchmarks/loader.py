"""How long an epoch of in-memory MNIST takes, next to copying the same bytes in slices.

Run: python benchmarks/loader.py
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from chainrule.data import DataLoader, TensorDataset

IMAGES = 60_000
BATCH = 128
ROUNDS = 7


def best(run: Callable[[], object]) -> float:
    """The fastest of several runs, in milliseconds."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


def main() -> None:
    """Print the three times."""
    x = np.random.default_rng(0).random((IMAGES, 1, 28, 28), dtype=np.float32)
    y = np.arange(IMAGES)
    data = TensorDataset(x, y)

    def copy_slices() -> None:
        for i in range(0, IMAGES, BATCH):
            x[i : i + BATCH].copy()
            y[i : i + BATCH].copy()

    def walk(loader: DataLoader) -> None:
        for _ in loader:
            pass

    print(f"copying slices    {best(copy_slices):7.2f} ms")
    for shuffle in (False, True):
        loader = DataLoader(data, BATCH, shuffle=shuffle, seed=0)
        name = "shuffled loader" if shuffle else "loader in order"
        print(f"{name}   {best(lambda loader=loader: walk(loader)):7.2f} ms")


if __name__ == "__main__":
    main()
