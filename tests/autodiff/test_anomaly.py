"""Anomaly detection: a NaN that a backward pass makes is an error that names who made it."""

from __future__ import annotations

import math

import pytest

import chainrule as cr
from chainrule.autograd import detect_anomaly, is_anomaly_enabled, set_detect_anomaly
from chainrule.errors import GradientError


def bad(x: cr.Tensor) -> cr.Tensor:
    """sqrt'(0) · 0 is NaN."""
    return (cr.sqrt(x) * 0).sum()


def test_who_made_a_nan_is_named_in_the_block_only() -> None:
    x = cr.tensor([0.0, 1.0], requires_grad=True)
    with detect_anomaly():
        assert is_anomaly_enabled()
        (x * 2).sum().backward()
        with pytest.raises(RuntimeError, match="backward pass of sqrt gave NaN") as caught:
            bad(x).backward()
        assert "test_anomaly.py" in str(caught.value)
    assert not is_anomaly_enabled()
    bad(x).backward()
    assert math.isnan(x.grad[0])


def test_it_can_be_switched_on_and_off() -> None:
    x = cr.tensor([0.0], requires_grad=True)
    set_detect_anomaly(True)
    try:
        with set_detect_anomaly(False):
            bad(x).backward()
        assert is_anomaly_enabled()
        with pytest.raises(GradientError):
            bad(x).backward()
    finally:
        set_detect_anomaly(False)
    assert not is_anomaly_enabled()
    bad(x).backward()


def test_infinity_and_numbers_that_came_in_as_nan_pass() -> None:
    x = cr.tensor([0.0, math.nan], requires_grad=True)
    with detect_anomaly():
        cr.log(x[:1]).sum().backward()
        (x[1:] * 3).sum().backward()


def test_a_compiled_step_is_checked_too() -> None:
    x = cr.tensor([0.0], requires_grad=True)

    @cr.compile
    def step() -> cr.Tensor:
        y = bad(x)
        y.backward()
        return y

    step()
    with detect_anomaly(), pytest.raises(GradientError, match="sqrt"):
        step()
    step()


def test_nothing_stays_behind_on_the_parameters() -> None:
    x = cr.tensor([1.0], requires_grad=True)
    with detect_anomaly():
        for _ in range(3):
            (x * x).sum().backward()
    assert not x.node.hooks
