"""Where errors and warnings say they happened: at the user's line, never inside the package."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import chainrule as cr
import chainrule.nn.functional as F
from chainrule import nn
from chainrule.cli.main import commands
from chainrule.data import DataLoader, TensorDataset
from chainrule.errors import ChainruleError, ShapeError

X = cr.ones(2, 3)


class Holder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(3, 2)

    def forward(self, x: Any) -> Any:
        return self.inner(x.transpose(0, 7))


@pytest.mark.parametrize(
    "mistake",
    [
        lambda: cr.transpose(X, 0, 7),
        lambda: X.squeeze(5),
        lambda: F.pad(X, (1, 2, 3)),
        lambda: F.binary_cross_entropy(X * 3, X),
        lambda: F.binary_cross_entropy(X, X[0]),
        lambda: F.mse_loss(X, X, reduction="avg"),
        lambda: nn.MSELoss(reduction="avg"),
        lambda: nn.Linear(0, 3),
        lambda: cr.optim.SGD([], lr=0.1),
        lambda: cr.optim.SGD([X], lr=-0.1),
        lambda: DataLoader(TensorDataset(X), batch_size=0),
        lambda: nn.Linear(3, 2).load_state_dict({}),
        lambda: cr.matmul(X, X),
        lambda: cr.zeros(-1),
        lambda: Holder()(X),
    ],
)
def test_every_error_names_the_users_line(mistake: Callable[[], Any]) -> None:
    with pytest.raises(ChainruleError) as caught:
        mistake()
    assert caught.value.at is not None
    assert caught.value.at.startswith("test_errors.py:")


def test_an_error_inside_a_module_names_the_module() -> None:
    with pytest.raises(ChainruleError) as caught:
        Holder()(X)
    assert str(caught.value.at).endswith("return self.inner(x.transpose(0, 7))      (Holder)")


def test_an_error_in_a_command_names_no_line(tmp_path: Path) -> None:
    file = tmp_path / "images"
    file.write_bytes(b"nothing")
    arguments = ["evaluate", str(tmp_path), "--images", str(file), "--labels", str(file)]
    result = CliRunner().invoke(commands, arguments)
    assert isinstance(result.exception, ChainruleError)
    assert result.exception.at is None


def test_a_program_given_on_the_command_line_is_the_user() -> None:
    program = "import chainrule as cr\ntry: cr.zeros(-1)\nexcept ValueError as e: print(e.at)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "<string>:2"


def test_a_shape_error_is_not_preceded_by_numpys_traceback() -> None:
    with pytest.raises(ShapeError) as caught:
        X + cr.ones(4)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    with pytest.raises(IndexError) as missed:
        X[np.array([9])]
    assert missed.value.__context__ is None


@pytest.mark.parametrize(
    "noticed",
    [
        lambda: nn.Softmax()(X),
        lambda: F.log_softmax(X),
        lambda: nn.MSELoss()(X, X[:, :1]),
        lambda: F.l1_loss(X, X[0]),
        lambda: cr.gradcheck(cr.abs, cr.tensor([0.0, 1.0])),
    ],
)
def test_every_warning_points_at_the_users_line(noticed: Callable[[], Any]) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        noticed()
    assert [w.filename for w in caught] == [__file__]


@pytest.mark.parametrize(
    "too_large",
    [
        lambda: F.pad(cr.ones(2), (10**12, 0)),
        lambda: F.pad(cr.ones(2), (10**15, 0)),
        lambda: F.one_hot(cr.tensor([10**12])),
        lambda: nn.Linear(10**9, 10**9),
        lambda: cr.zeros(10**6, 10**6, 10**3),
        lambda: cr.full((2**46,), 1.0),
        lambda: cr.rand(10**15),
    ],
)
def test_what_does_not_fit_into_memory_is_a_shape_error(too_large: Callable[[], Any]) -> None:
    with pytest.raises(ShapeError, match="memory"):
        too_large()
