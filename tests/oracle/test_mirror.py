"""Lines of PyTorch programs, run by PyTorch and by the mirror: the same values, dtypes and shapes.

``mirror_expressions.txt`` has an expression a line; ``mirror_programs.txt`` a few lines that assign
``out``, with blank lines between. Both know the names of ``names_for``.
"""

from __future__ import annotations

import copy
import importlib
import io
import math
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from chainrule import torch as mirror

FOLDER = Path(__file__).parent
EXPRESSIONS = (FOLDER / "mirror_expressions.txt").read_text(encoding="utf-8").splitlines()
PROGRAMS = (FOLDER / "mirror_programs.txt").read_text(encoding="utf-8").strip().split("\n\n")
MODULES = ("distributions", "func", "nn", "nn.functional", "utils.checkpoint", "utils.data")

pytestmark = pytest.mark.filterwarnings("ignore")


def names_for(library: Any) -> dict[str, Any]:
    """What the lines may refer to: the library, and the same tensors made with it."""
    modules = {m: importlib.import_module(f"{library.__name__}.{m}") for m in MODULES}
    random = np.random.RandomState(0)
    return {
        "torch": library,
        "nn": modules["nn"],
        "F": modules["nn.functional"],
        "np": np,
        "math": math,
        "io": io,
        "copy": copy,
        "OrderedDict": OrderedDict,
        "x": library.tensor(random.randn(2, 3).astype("float32")),
        "a3": library.tensor(random.randn(2, 3, 4).astype("float32")),
        "n": library.tensor([1, 3, 2, 2]),
        "b": library.tensor([True, False, True]),
        "b2": library.tensor([[True, False, True], [False, False, True]]),
        "idx": library.tensor([[0], [2]]),
    }


def assert_same(got: Any, wanted: Any) -> None:
    """Nested results agree: tensors in dtype, shape and numbers, all else by equality."""
    if isinstance(wanted, (list, tuple)) and not isinstance(wanted, torch.Size):
        assert len(got) == len(wanted)
        for one, other in zip(got, wanted, strict=True):
            assert_same(one, other)
    elif isinstance(wanted, torch.Tensor):
        one, other = got.detach().numpy(), wanted.detach().numpy()
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=1e-6)
    elif isinstance(wanted, float):
        assert float(got) == pytest.approx(wanted, rel=1e-5, abs=1e-7, nan_ok=True)
    else:
        assert got == wanted


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_gives_what_pytorch_gives(expression: str) -> None:
    wanted = eval(expression, names_for(torch))
    assert_same(eval(expression, names_for(mirror)), wanted)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_few_lines_leave_what_pytorch_leaves(program: str) -> None:
    theirs, ours = names_for(torch), names_for(mirror)
    exec(program, theirs)
    exec(program, ours)
    assert_same(ours["out"], theirs["out"])


def test_there_are_many_lines() -> None:
    assert len(EXPRESSIONS) >= 700
    assert len(PROGRAMS) >= 110
