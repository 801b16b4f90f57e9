"""Why there is no gradient: the line is found; why it is small: the factor is found."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import ArgumentError, GradientError
from chainrule.lens.why import why, why_none

W, V = cr.tensor([1.0, 2.0], requires_grad=True), cr.ones(2, requires_grad=True)


def detached() -> cr.Tensor:
    h = W * 2
    h = h.detach()  # here
    return (h * V).sum()


def without_recording() -> cr.Tensor:
    with cr.no_grad():
        h = W * 2  # here
    return (cr.tanh(h) * V).sum()


def largest() -> cr.Tensor:
    place = W.argmax()  # here
    return (place.float() * V).sum()


def compared() -> cr.Tensor:
    mask = W > 0  # here
    return (mask.float() * V).sum()


def number() -> cr.Tensor:
    factor = W.sum().item()  # here
    return (V * factor).sum()


def by_numpy() -> cr.Tensor:
    array = (W * 3).detach().numpy()  # here
    return (V * cr.tensor(np.sin(array))).sum()


def data() -> cr.Tensor:
    return (W.data * V).sum()  # here


def dropped() -> cr.Tensor:
    _ = W * 3  # here
    return V.sum()


def never() -> cr.Tensor:
    return V.sum()


def used() -> cr.Tensor:
    return (W * V).sum()


@pytest.mark.parametrize(
    ("code", "function"),
    [
        ("DETACHED", detached),
        ("NO_GRAD", without_recording),
        ("NO_DERIVATIVE", largest),
        ("NO_DERIVATIVE", compared),
        ("DETACHED", number),
        ("DETACHED", by_numpy),
        ("DETACHED", data),
        ("NOT_USED", dropped),
        ("NOT_USED", never),
        ("NOT_BACKWARD", used),
    ],
)
def test_the_line_where_a_gradient_is_lost_is_found(
    code: str, function: Callable[[], cr.Tensor]
) -> None:
    reason = why_none(W, function)
    assert reason.code == code
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    first = function.__code__.co_firstlineno
    marked = [n for n in range(first, first + 6) if lines[n - 1].endswith("# here")]
    body = [n for n in marked if n < first + len(function.__code__.co_code)]
    if code in ("NOT_BACKWARD",) or function is never:
        assert reason.site is None
    else:
        assert reason.site is not None
        assert reason.site.line == body[0]
        assert reason.site.source == lines[body[0] - 1].strip()
        assert f"test_why.py:{body[0]}" in str(reason)
    assert json.loads(json.dumps(reason.to_json()))["code"] == code


def test_what_a_tensor_shows_by_itself() -> None:
    x = cr.ones(2)
    assert why_none(x).code == "FROZEN"
    assert why_none(cr.tensor([1, 2])).code == "NO_DERIVATIVE"
    made = why_none(W * 2)
    assert made.code == "NOT_A_LEAF"
    assert made.site is not None
    assert why_none(W).code == "UNKNOWN"
    x.requires_grad_()
    (x * 3).sum().backward()
    assert why_none(x).code == "HAS_GRADIENT"
    assert "4.243" in why_none(x).cause


def test_a_finished_computation_tells_less_than_a_function() -> None:
    assert why_none(W, used()).code == "NOT_BACKWARD"
    assert why_none(W, never()).code == "NOT_USED"
    assert why_none(W, cr.ones(1)).code == "NO_GRAD"


def test_the_function_is_left_as_it_was() -> None:
    before = used().item()
    why_none(W, detached)
    assert used().item() == before
    assert W.grad is None


@pytest.mark.parametrize(
    ("make", "op", "needs"),
    [
        (lambda x: cr.relu(-x), "relu", "above 0"),
        (lambda x: cr.tanh(x * 20), "tanh", "nearer to 0"),
        (lambda x: cr.sigmoid(x * -30), "sigmoid", "nearer to 0"),
        (lambda x: x.clip(-0.1, 0.1), "clip", "between"),
        (lambda x: cr.sin(x) * 1e-5, "mul", "larger other factor"),
    ],
)
def test_the_smallest_factor_is_named(make: Callable[[Any], Any], op: str, needs: str) -> None:
    x = cr.tensor([1.0, 2.0], requires_grad=True)
    y = make(x).sum()
    found = why(x, y)
    y.backward()
    assert found.norm == pytest.approx(float(np.linalg.norm(x.grad.array)))
    assert found.weakest is not None
    assert found.weakest.entry.op == op
    assert needs in found.needs
    assert op in str(found)
    assert found.to_json()["weakest"] == found.steps.index(found.weakest)


def test_dead_units_are_counted() -> None:
    x = cr.tensor([-1.0, 2.0, -3.0], requires_grad=True)
    found = why(x, (cr.relu(x) * 2).sum())
    relu = next(s for s in found.steps if s.entry.op == "relu")
    assert relu.zeros == (2, 3)


def test_gains_of_a_chain_multiply_to_its_gradient() -> None:
    x = cr.tensor(0.7, requires_grad=True, dtype=cr.float64)
    found = why(x, cr.exp(cr.sin(cr.tanh(x) * 3)))
    product = np.prod([step.gain for step in found.steps])
    assert product == pytest.approx(found.norm, rel=1e-12)


def test_residual_networks_are_followed_along_one_way() -> None:
    cr.manual_seed(0)
    inner = nn.Linear(4, 4)
    x = cr.randn(3, 4)
    h = x + cr.tanh(inner(x))
    found = why(inner.weight, (h + cr.tanh(inner(h))).sum())
    assert [s.entry.op for s in found.steps].count("tanh") in (1, 2)


def test_bad_input_is_named() -> None:
    with pytest.raises(ArgumentError, match="needs a tensor"):
        why_none(3.0)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="function"):
        why_none(W, 3.0)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="return the loss"):
        why_none(W, lambda: 3.0)  # type: ignore[arg-type, return-value]
    with pytest.raises(GradientError, match="no recorded way"):
        why(W, V.sum())
