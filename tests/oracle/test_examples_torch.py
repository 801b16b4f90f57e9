"""The programs of ``examples/torch`` under PyTorch and under ``chainrule run``, as they stand."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "examples" / "torch"
PROGRAMS = sorted(path for path in FOLDER.glob("*.py") if path.stem != "common")
RTOL = 1e-3
_NAMED_TEXT = (
    "regression mnist_cnn mnist_rnn sequence_prediction reinforce actor_critic vae gan wgan_gp "
    "siamese char_rnn gru small_gpt transformer_encoder tcn resnet graph_convolution "
    "custom_function jacobians bilstm_crf"
)
NAMED = frozenset(_NAMED_TEXT.split())


def last_line(*command: str) -> dict[str, Any]:
    """What a program prints at its end, as JSON."""
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


def test_every_program_that_was_asked_for_is_there() -> None:
    assert not NAMED - {path.stem for path in PROGRAMS}


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_same_loss_under_both(path: Path) -> None:
    judge = last_line(str(path))
    mine = last_line("-m", "chainrule", "run", str(path))
    assert mine["steps"] == judge["steps"] > 0
    assert math.isfinite(judge["loss"])
    for key in ("first", "loss"):
        assert mine[key] == pytest.approx(judge[key], rel=RTOL, abs=RTOL), (mine, judge)
    assert judge["loss"] != pytest.approx(judge["first"], rel=RTOL), "nothing was learned"


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_program_imports_torch_numpy_and_the_standard_library_only(path: Path) -> None:
    allowed = {"torch", "numpy", "common", *sys.stdlib_module_names}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith(("import ", "from ")):
            assert line.split()[1].partition(".")[0] in allowed, line
