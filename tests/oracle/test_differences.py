"""Where chainrule decides otherwise than PyTorch: what each gives, so that a change is noticed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import chainrule as cr

NAN, INF = np.nan, np.inf
Called = Callable[[Any], Any]


def value(m: Any, fn: Callable[..., Any], *xs: Any) -> Any:
    """What a function gives, as nested lists."""
    return fn(*[m.tensor(x, dtype=m.float64) for x in xs]).tolist()


def gradient(m: Any, fn: Callable[..., Any], *xs: Any) -> Any:
    """The gradient of the sum of what a function gives, for its first operand."""
    operands = [m.tensor(x, dtype=m.float64, requires_grad=True) for x in xs]
    fn(*operands).sum().backward()
    return operands[0].grad.tolist()


DIFFERENCES: dict[str, tuple[Called, Any, Any]] = {
    "the sign of NaN is NaN, as in NumPy": (
        lambda m: value(m, m.sign, [NAN]), [NAN], [0.0]),
    "the slope of abs at NaN is NaN": (
        lambda m: gradient(m, m.abs, [NAN]), [NAN], [0.0]),
    "the slope of relu at NaN is 0: NaN > 0 is false": (
        lambda m: gradient(m, m.relu, [NAN]), [0.0], [1.0]),
    "a maximum with NaN passes no gradient: neither operand is the greater": (
        lambda m: gradient(m, m.maximum, [1.0, NAN], [NAN, 1.0]), [0.0, 0.0], [1.0, 1.0]),
    "a reduction that meets NaN passes no gradient": (
        lambda m: gradient(m, m.amax, [1.0, NAN]), [0.0, 0.0], [NAN, NAN]),
    "a norm does not overflow before its result does": (
        lambda m: value(m, lambda x: x.norm(), [3e200, 4e200]), 5e200, INF),
    "an integer beside an index array is an index array, as in NumPy": (
        lambda m: list(m.zeros(3, 4, 5)[None, m.tensor([0, 1]), None, 2].shape),
        [2, 1, 1, 5], [1, 2, 1, 5]),
}  # fmt: skip


@pytest.mark.parametrize("name", DIFFERENCES)
def test_decided_differences(name: str) -> None:
    call, mine, judged = DIFFERENCES[name]
    np.testing.assert_allclose(call(cr), mine, rtol=1e-12)
    np.testing.assert_allclose(call(torch), judged, rtol=1e-12)


def test_binary_cross_entropy_has_the_slope_of_what_it_computes() -> None:
    """torch bounds its logarithms by -100 but keeps (p - t) / max(p (1 - p), 1e-12) as slope."""
    for m, functional, expected in (
        (cr, cr.nn.functional, [-1.0, 1.0, 0.0, 0.0]),
        (torch, torch.nn.functional, [0.0, 0.0, 1e12, -1e12]),
    ):
        p = m.tensor([1.0, 0.0, 1.0, 0.0], dtype=m.float64, requires_grad=True)
        t = m.tensor([1.0, 0.0, 0.0, 1.0], dtype=m.float64)
        loss = functional.binary_cross_entropy(p, t, reduction="none")
        assert loss.tolist() == [0.0, 0.0, 100.0, 100.0]
        loss.sum().backward()
        np.testing.assert_allclose(p.grad.tolist(), expected)


def test_leaves_are_reached_last() -> None:
    """torch runs the hooks of a leaf as soon as its gradient is complete."""
    orders = []
    for m in (cr, torch):
        seen: list[str] = []
        x = m.tensor(2.0, requires_grad=True)
        w = m.tensor(3.0, requires_grad=True)
        h = x * x
        y = h * w
        for name, t in (("x", x), ("w", w), ("h", h), ("y", y)):
            t.register_hook(lambda _, name=name, seen=seen: seen.append(name))
        y.backward()
        orders.append(seen)
    assert orders == [["y", "h", "w", "x"], ["y", "w", "h", "x"]]


def test_reflection_may_go_around_more_than_once() -> None:
    x = [1.0, 2.0, 3.0]
    padded = cr.nn.functional.pad(cr.tensor(x), (5, 0), mode="reflect")
    assert padded.tolist() == [2.0, 1.0, 2.0, 3.0, 2.0, 1.0, 2.0, 3.0]
    with pytest.raises((RuntimeError, NotImplementedError)):
        torch.nn.functional.pad(torch.tensor([x]), (5, 0), mode="reflect")
