"""The programs in ``examples/`` run, and say what they should."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda p: p.stem)
def test_example_runs(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert not done.stderr


@pytest.mark.parametrize("sizes", [[2, 3, 1], [4, 5, 3, 2], [1, 1]])
def test_hand_written_network_and_engine_agree(sizes: list[int]) -> None:
    example = runpy.run_path(str(EXAMPLES / "numpy_network.py"))
    rng = np.random.default_rng(3)
    x = rng.normal(size=(sizes[0], 20))
    y = rng.integers(0, 2, (sizes[-1], 20)).astype(float)
    network = example["NeuralNetwork"](sizes, seed=5)
    network.forward(x)
    by_engine = example["engine_gradients"](network, x, y)
    for hand, engine in zip(network.backward(y), by_engine, strict=True):
        np.testing.assert_allclose(engine[0], hand[0], rtol=1e-12, atol=1e-16)
        np.testing.assert_allclose(engine[1], hand[1], rtol=1e-12, atol=1e-16)
