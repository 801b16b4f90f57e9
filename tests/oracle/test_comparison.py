"""The judge is judged: errors planted in values, gradients and second derivatives are found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from .calls import Row, case, compare, exactly, real, row
from .compare import relative_error


def planted(slip: Any) -> Any:
    """torch.sin with a slip: a function of x and of the same x as a constant."""
    return lambda x: torch.sin(x) + slip(x, x.detach())


ROW = row("sin", planted(lambda x, c: 0 * x), case(real(2, 3)))
PLANTED = {
    "value": planted(lambda x, c: 1e-7 * c),
    "gradient": planted(lambda x, c: 1e-7 * (x - c)),
    "one element of the gradient": planted(lambda x, c: torch.eye(2, 3) * 1e-3 * (x - c)),
    "second derivative": planted(lambda x, c: 1e-7 * (x - c) ** 2),
    "shape": lambda x: torch.sin(x)[None],
    "type": lambda x: torch.sin(x).float(),
    "one output more": lambda x: (torch.sin(x), x),
    "no gradient": lambda x: torch.sin(x.detach()),
}


def test_a_right_counterpart_passes() -> None:
    compare(ROW, ROW.cases[0], "right")


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_slip_is_found(name: str) -> None:
    wrong = Row("sin", PLANTED[name], ROW.cases)
    with pytest.raises(AssertionError):
        compare(wrong, wrong.cases[0], f"slip in {name}")


@pytest.mark.parametrize("at", [1.0, -0.5])
def test_a_slip_at_one_awkward_number_is_found(at: float) -> None:
    wrong = row("sin", planted(lambda x, c: (c == at) * 1e-5 * (x - c)), case(exactly([0.0, at])))
    with pytest.raises(AssertionError):
        compare(wrong, wrong.cases[0], "slip at a number")


def test_the_relative_error_is_that_of_the_worst_element() -> None:
    judge = np.array([1.0, -2.0, 1e-3, 0.0])
    assert relative_error(judge, judge) == 0.0
    assert relative_error(judge * (1 + 1e-6), judge) == pytest.approx(1e-6)
    assert relative_error(np.array([1.0, -2.0, 1.1e-3, 0.0]), judge) == pytest.approx(0.1)
    assert relative_error(np.array([1.0, -2.0, 0.0, 0.0]), judge) == pytest.approx(1.0)
    assert relative_error(np.array([1.0, -2.0, 1e-3, 1e-8]), judge) > 1e-5
    assert relative_error(np.array([1e-15]), np.array([0.0])) == 0.0
    assert relative_error(np.array([1e-15]), np.array([0.0]), floor=0.0) == np.inf
    assert relative_error(np.array([1e-3]), np.array([0.0])) == np.inf


@pytest.mark.parametrize(
    ("mine", "judge"),
    [
        (np.nan, 1.0),
        (1.0, np.nan),
        (np.inf, 1.0),
        (np.inf, -np.inf),
        (1.0, np.inf),
        (np.nan, np.inf),
    ],
)
def test_what_is_not_finite_must_be_so_in_both(mine: float, judge: float) -> None:
    assert relative_error(np.array([mine, 1.0]), np.array([judge, 1.0])) == np.inf
    assert relative_error(np.array([judge, 1.0]), np.array([judge, 1.0])) == 0.0
