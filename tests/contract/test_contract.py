"""The contract: every op in the registry, every sample, every check. A new op adds no test code."""

from __future__ import annotations

from collections import Counter

import matrix_oracles  # noqa: F401  registers its loops
import numpy as np
import pytest
import window_oracles  # noqa: F401  registers its loops
from forward_oracles import disagreement, has_oracle

import chainrule
from chainrule.core.families import Linear, Unary
from chainrule.core.op import Op
from chainrule.core.sampling import Sample, floats
from chainrule.errors import ArgumentError, GradientCheckError
from chainrule.ops import all_ops, random
from chainrule.testing import opcheck
from chainrule.testing.cases import Case
from chainrule.testing.opcheck import OpcheckResult, samples_of

OPS = sorted(
    (cls for cls in all_ops().values() if cls.__module__.startswith(chainrule.__name__ + ".")),
    key=lambda cls: cls.name,
)
MIN_OPS = 90
MIN_SAMPLES = 12
MIN_CONSTANT_SAMPLES = 6
MIN_GRADIENT_CHECKS = 3_000
MIN_SECOND_ORDER_CHECKS = 1_000

results: dict[str, OpcheckResult] = {}


@pytest.mark.parametrize("cls", OPS, ids=lambda cls: cls.name)
def test_op_keeps_the_contract(cls: type[Op]) -> None:
    result = opcheck(cls, raise_on_failure=False)
    results[cls.name] = result
    assert result.ok, str(result)


@pytest.mark.parametrize("cls", OPS, ids=lambda cls: cls.name)
def test_op_is_sampled_at_enough_shapes(cls: type[Op]) -> None:
    distinct = {(sample.op, sample.inputs) for sample in samples_of(cls)}
    assert len(distinct) >= (MIN_SAMPLES if cls.differentiable else MIN_CONSTANT_SAMPLES)


@pytest.mark.parametrize("cls", OPS, ids=lambda cls: cls.name)
def test_op_computes_what_an_independent_oracle_says(cls: type[Op]) -> None:
    """Differences share the forward with the rule: a wrong forward would pass them."""
    if cls.__module__ == random.__name__:
        return  # held by published vectors of the generator
    assert has_oracle(cls), "give the op an expr, a reference, or loops in forward_oracles.py"
    for sample in samples_of(cls):
        assert not disagreement(Case(sample, seed=7)), repr(sample)


def test_the_contract_was_checked_often_enough(contract_counts: dict[str, int]) -> None:
    if len(results) < len(OPS):
        pytest.skip("only some ops were checked in this run")
    counts: Counter[str] = Counter()
    for result in results.values():
        counts.update(result.counts)
    gradients = sum(r.gradient_checks for r in results.values())
    seconds = sum(r.second_order_checks for r in results.values())
    contract_counts |= {
        "ops": len(OPS),
        "gradients": gradients,
        "seconds": seconds,
        "comparisons": sum(counts.values()),
    }
    assert len(OPS) >= MIN_OPS
    assert gradients >= MIN_GRADIENT_CHECKS
    assert seconds >= MIN_SECOND_ORDER_CHECKS


def test_an_op_without_samples_fails() -> None:
    class Unsampled(Linear, abstract=True):
        """An op that says nowhere how it may be sampled."""

    with pytest.raises(ArgumentError, match="says nowhere how it may be sampled"):
        opcheck(Unsampled)


def test_a_users_own_op_can_be_checked() -> None:
    class Cube(Unary, abstract=True):
        """y = x³."""

        expr = "{0} ** 3"
        math = ("3 * {0} ** 2",)

        def forward(self, *xs):  # type: ignore[no-untyped-def]
            return xs[0] ** 3

        def slope(self, x, y):  # type: ignore[no-untyped-def]
            return 3.0 * x * x

    result = opcheck(Cube)
    assert result.ok
    assert result.gradient_checks >= 20
    assert "opcheck cube passed" in str(result)


def test_what_breaks_the_contract_is_named() -> None:
    class WrongCube(Unary, abstract=True):
        """y = x³ with the slope of x²."""

        expr = "{0} ** 3"
        math = ("3 * {0} ** 2",)

        def forward(self, *xs):  # type: ignore[no-untyped-def]
            return xs[0] ** 3

        def slope(self, x, y):  # type: ignore[no-untyped-def]
            return 2.0 * x

    with pytest.raises(GradientCheckError, match="wrong_cube breaks the contract"):
        opcheck(WrongCube)
    result = opcheck(WrongCube, raise_on_failure=False)
    assert "FAILED" in str(result)
    assert any("vjp (input 0) of wrong_cube of float64[3]" in f for f in result.failures)


def test_an_op_that_writes_into_its_operand_is_caught() -> None:
    class InPlace(Unary, abstract=True):
        """y = 2 x, written into x."""

        expr = "2 * {0}"
        math = ("2",)

        def forward(self, *xs):  # type: ignore[no-untyped-def]
            xs[0][...] *= 2.0
            return xs[0]

        def slope(self, x, y):  # type: ignore[no-untyped-def]
            return 2.0

    assert not opcheck(InPlace, raise_on_failure=False).ok


def test_an_op_that_keeps_what_no_rule_reads_is_caught() -> None:
    class Hoarder(Unary, abstract=True):
        """y = -x, keeping x for nothing."""

        expr = "-{0}"
        math = ("-1",)

        def forward(self, *xs):  # type: ignore[no-untyped-def]
            return np.negative(xs[0])

        def slope(self, x, y):  # type: ignore[no-untyped-def]
            return -1.0

    failures = opcheck(Hoarder, raise_on_failure=False).failures
    assert failures == ("needs: keeps ['0'] for nothing",)


def test_a_linear_op_that_is_not_linear_is_caught() -> None:
    class Bent(Linear, abstract=True):
        """y = x + x³/1000, said to be linear."""

        def infer(self, *xs):  # type: ignore[no-untyped-def]
            return chainrule.core.aval.aval_of(xs[0])

        def forward(self, *xs):  # type: ignore[no-untyped-def]
            return xs[0] + xs[0] ** 3 / 1000

        def transpose(self, ct, x, *constants):  # type: ignore[no-untyped-def]
            return ct

        @classmethod
        def samples(cls):  # type: ignore[no-untyped-def]
            yield Sample(cls(), floats((3,)))

    failures = opcheck(Bent, raise_on_failure=False).failures
    assert any(failure.startswith("linear") for failure in failures)
