"""Formulas are evaluated safely, exactly, and only if they are formulas."""

from __future__ import annotations

import math

import mpmath
import pytest

from chainrule.errors import ArgumentError
from chainrule.testing.formula import evaluate, names


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("{0} + 2 * {1}", 7.0),
        ("-{0} ** 2", -1.0),
        ("where({0} > {1}, log(-1), {alpha})", 0.5),
        ("maximum({0}, {1}) - minimum({0}, {1})", 2.0),
        ("sign({0} - 2) + abs(-{1})", 2.0),
        ("1 / (1 + exp(-{0})) - sigmoid({0})", 0.0),
        ("({0} != 0) & ({1} == 3)", True),
        ("({0} < 0) | (not {1})", False),
        ("rsqrt(4) + round(2.5) + floor(-0.5)", 1.5),
        ("erf(0) + pi - pi", 0.0),
        ("{0} if {1} >= 3 else 0", 1.0),
    ],
)
def test_values(formula: str, value: float) -> None:
    assert evaluate(formula, {"0": 1.0, "1": 3.0, "alpha": 0.5}) == pytest.approx(value)


def test_any_number_of_digits() -> None:
    with mpmath.workdps(50):
        got = evaluate("exp({0}) - 1", {"0": mpmath.mpf("1e-40")}, mpmath.mp)
        assert abs(got / mpmath.mpf("1e-40") - 1) < mpmath.mpf("1e-9")


def test_the_edges_are_those_of_floating_point() -> None:
    assert evaluate("1 / {0}", {"0": 0.0}) == math.inf
    assert evaluate("-1 / {0}", {"0": 0.0}) == -math.inf
    assert math.isnan(evaluate("0 / {0}", {"0": 0.0}))
    assert math.isnan(evaluate("{0} ** 0.5", {"0": -1.0}))
    assert evaluate("{0} ** -1", {"0": 0.0}) == math.inf
    assert math.isnan(evaluate("maximum({0}, 1)", {"0": math.nan}))


@pytest.mark.parametrize(
    "attack",
    [
        "__import__('os')", "{0}.real", "open('x')", "[1, 2]", "lambda: 1", "'text'", "{0}[0]",
        "exp(x=1)", "(1).__class__", "x", "1 if", "exp", "0 < {0} < 1",
    ],
)  # fmt: skip
def test_nothing_but_formulas(attack: str) -> None:
    with pytest.raises(ArgumentError):
        evaluate(attack, {"0": 1.0})


def test_a_name_that_is_missing_is_said() -> None:
    with pytest.raises(ArgumentError, match="does not have") as caught:
        evaluate("{beta} * {0}", {"0": 1.0})
    assert "{beta}" in str(caught.value)


def test_names() -> None:
    assert names("{0} * {alpha} + exp({0})") == {"0", "alpha"}
