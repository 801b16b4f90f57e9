"""The command line within this process: fast, on data of a few images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from chainrule.cli.main import main


class Ended(NamedTuple):
    """How a command ended, named as by subprocess."""

    returncode: int
    stdout: str
    stderr: str


Command = Callable[..., Ended]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command in this process."""

    def run(*arguments: object) -> Ended:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(a) for a in arguments])
        return Ended(int(ended.value.code or 0), *capsys.readouterr())

    return run


def write_idx(path: Path, array: np.ndarray) -> Path:
    header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    path.write_bytes(header + array.astype(np.uint8).tobytes())
    return path


@pytest.fixture
def make_data(tmp_path: Path) -> Callable[..., Path]:
    """Write a data set of 16 and 4 images of noise, of two sizes."""

    def make(train: tuple[int, int] = (28, 28), test: tuple[int, int] = (28, 28)) -> Path:
        folder = tmp_path / "data"
        folder.mkdir()
        rng = np.random.default_rng(0)
        for prefix, n, size in (("train", 16, train), ("t10k", 4, test)):
            write_idx(folder / f"{prefix}-images-idx3-ubyte", rng.integers(0, 256, (n, *size)))
            write_idx(folder / f"{prefix}-labels-idx1-ubyte", rng.integers(0, 10, n))
        return folder

    return make


@pytest.fixture
def small(tmp_path: Path, make_data: Callable[..., Path]) -> list[object]:
    """Options for a training of a fraction of a second: two steps in each epoch."""
    return ["--data", make_data(), "--runs", tmp_path / "runs", "--batch-size", 8]
