"""Sorting, choosing and running sums at the awkward points: ties, NaN, too many asked for."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import IndexRangeError

INF, NAN = math.inf, math.nan
RNG = np.random.default_rng(0)


def slope(f: Callable[[Any], Any], x: Any, weights: Any = 1.0) -> tuple[Any, Any]:
    """The value of f at x, and the gradient of the sum of f weighted by `weights`, as lists."""
    t = cr.tensor(np.asarray(x, np.float64), requires_grad=True)
    y = f(t)
    cr.sum(y * cr.tensor(np.asarray(weights, np.float64))).backward()
    return y.tolist(), t.grad.tolist()


def test_nan_sorts_last_and_first_in_descending_order() -> None:
    x = cr.tensor([NAN, 1.0, -INF, INF])
    assert cr.sort(x).indices.tolist() == [2, 1, 3, 0]
    assert cr.sort(x, descending=True).indices.tolist() == [0, 3, 1, 2]


def test_sorting_is_stable_in_both_directions() -> None:
    x = cr.tensor([2.0, 1.0, 2.0, 1.0])
    assert cr.sort(x).indices.tolist() == [1, 3, 0, 2]
    assert cr.sort(x, descending=True).indices.tolist() == [0, 2, 1, 3]
    assert cr.argsort(x, 0, True).tolist() == [0, 2, 1, 3]


def test_the_gradient_of_a_sort_goes_back_to_where_each_element_was() -> None:
    value, gradient = slope(lambda t: cr.sort(t).values, [3.0, 1.0, 2.0], [10.0, 20.0, 30.0])
    assert (value, gradient) == ([1.0, 2.0, 3.0], [30.0, 10.0, 20.0])


def test_topk_is_in_order_and_its_gradient_reaches_the_chosen_only() -> None:
    x = [[1.0, 4.0, 2.0], [9.0, 7.0, 8.0]]
    value, gradient = slope(lambda t: cr.topk(t, 2).values, x, [[1.0, 2.0], [3.0, 4.0]])
    assert value == [[4.0, 2.0], [9.0, 8.0]]
    assert gradient == [[0.0, 1.0, 2.0], [3.0, 0.0, 4.0]]
    least = cr.topk(cr.tensor(x), 1, 0, largest=False)
    assert (least.values.tolist(), least.indices.tolist()) == ([[1.0, 4.0, 2.0]], [[0, 0, 0]])


def test_topk_of_none_is_empty_and_of_more_than_there_are_is_refused() -> None:
    x = cr.ones(2, 3)
    assert cr.topk(x, 0).values.shape == (2, 0)
    for k in (4, -1):
        with pytest.raises(IndexRangeError, match="more elements than there are"):
            cr.topk(x, k)


def test_a_running_sum_pulls_back_a_running_sum_from_the_end() -> None:
    value, gradient = slope(lambda t: cr.cumsum(t, 0), [1.0, 2.0, 3.0], [1.0, 10.0, 100.0])
    assert (value, gradient) == ([1.0, 3.0, 6.0], [111.0, 110.0, 100.0])


def test_positions_and_truth_carry_no_derivative() -> None:
    x = cr.tensor([1.0, 2.0], requires_grad=True)
    for y in (cr.argmax(x), cr.sort(x).indices, cr.max(x, 0).indices, cr.any(x), cr.all(x)):
        assert not y.requires_grad
