"""Clipping of gradients by norm and by value."""

from __future__ import annotations

import math

import numpy as np
import pytest

import chainrule as cr
from chainrule import optim
from chainrule.errors import TrainingError


def with_gradients(*grads: object) -> list[cr.Tensor]:
    tensors = []
    for g in grads:
        t = cr.zeros(np.shape(g), requires_grad=True)
        t.grad = cr.Tensor(np.asarray(g, np.float32))
        tensors.append(t)
    return tensors


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0, math.inf])
def test_the_total_norm_is_that_of_all_elements_together(p: float) -> None:
    rng = np.random.default_rng(1)
    arrays = [rng.normal(size=s) for s in [(3, 4), (), (5,), (0,)]]
    together = np.concatenate([a.ravel() for a in arrays])
    norm = optim.get_total_norm([cr.Tensor(a) for a in arrays], p)
    assert norm.item() == pytest.approx(np.linalg.norm(together, p), rel=1e-12)


def test_the_norm_of_nothing_is_zero() -> None:
    assert optim.get_total_norm([]).item() == 0.0
    assert optim.clip_grad_norm_([cr.zeros(2, requires_grad=True)], 1.0).item() == 0.0


def test_gradients_are_scaled_together_to_the_largest_norm_allowed() -> None:
    tensors = with_gradients([30.0], [[0.0, 40.0]])
    assert optim.clip_grad_norm_(tensors, 1.0).item() == pytest.approx(50.0)
    assert tensors[0].grad.tolist() == pytest.approx([0.6], rel=1e-5)
    assert tensors[1].grad.tolist()[0] == pytest.approx([0.0, 0.8], rel=1e-5)
    assert tensors[0].grad.dtype == np.float32


def test_small_gradients_are_left_as_they_are() -> None:
    (w,) = with_gradients([0.3, 0.4])
    before = w.grad.array
    optim.clip_grad_norm_(w, 1.0)
    np.testing.assert_array_equal(w.grad.array, before)


def test_clipping_by_value_limits_each_element() -> None:
    (w,) = with_gradients([-3.0, 0.5, 2.0])
    optim.clip_grad_value_([w, cr.zeros(1, requires_grad=True)], 1.0)
    assert w.grad.tolist() == [-1.0, 0.5, 1.0]


def test_a_norm_that_is_not_finite_is_an_error_if_asked_for() -> None:
    (w,) = with_gradients([math.nan, 1.0])
    assert math.isnan(optim.clip_grad_norm_(w, 1.0).item())
    (w,) = with_gradients([math.inf, 1.0])
    with pytest.raises(TrainingError, match="not finite"):
        optim.clip_grad_norm_(w, 1.0, error_if_nonfinite=True)
    assert w.grad.tolist() == [math.inf, 1.0]
