"""The checkers are checked: wrong rules are planted in every op, and each must be caught."""

from __future__ import annotations

import math
import zlib
from typing import NamedTuple

import pytest
import window_oracles  # noqa: F401  registers its loops
from forward_oracles import disagreement
from planted_rules import Plant, differs, planted_sample, plants, source_plants

import chainrule
from chainrule.core.op import Op, registry
from chainrule.core.sampling import Sample
from chainrule.ops import all_ops
from chainrule.testing.cases import Case
from chainrule.testing.opcheck import run, samples_of

OPS = sorted(
    (
        cls
        for cls in all_ops().values()
        if cls.differentiable and cls.__module__.startswith(chainrule.__name__ + ".")
    ),
    key=lambda cls: cls.name,
)
MIN_PLANTED = 150
MIN_SHOWING = 0.9
"""Share of the one-token faults in the rules' sources that change a result at the samples. The
others sit on conventions at single points (ties, 0 ** 0), which the tests of edges hold."""


class Count(NamedTuple):
    """Wrong rules planted in one op, how many were caught; one-token faults and how many show."""

    planted: int
    caught: int
    tokens: int
    showing: int


counts: dict[str, Count] = {}


def size(sample: Sample) -> int:
    """Number of elements drawn, 0 if one of the draws is empty."""
    sizes = [math.prod(draw.shape) for draw in sample.inputs]
    return 0 if 0 in sizes else sum(sizes)


def instructive(samples: list[Sample]) -> list[Sample]:
    """The samples with the most elements, up to 64, first: faults show there, and soon."""
    return sorted((s for s in samples if size(s)), key=lambda s: (size(s) > 64, -size(s)))


def is_caught(plant: Plant, sample: Sample) -> bool:
    broken = planted_sample(plant, sample)
    return not run([broken], needs=False).ok or bool(disagreement(Case(broken, seed=7)))


@pytest.mark.parametrize("cls", OPS, ids=lambda cls: cls.name)
def test_wrong_rules_planted_in_this_op_are_caught(cls: type[Op]) -> None:
    samples = instructive(samples_of(cls))
    tokens = list(source_plants(cls))
    planted, missed, showing = 0, [], 0
    for plant in [*plants(cls), *tokens]:
        seed = zlib.crc32(plant.fault.encode())
        first = next((s for s in samples if differs(plant, s, seed)), None)
        if first is None:
            continue
        planted += 1
        showing += plant in tokens
        if not any(is_caught(plant, s) for s in [first, *(s for s in samples if s is not first)]):
            missed.append(plant.fault)
    counts[cls.name] = Count(planted, planted - len(missed), len(tokens), showing)
    assert not missed
    assert planted >= 3


@pytest.mark.parametrize("cls", OPS, ids=lambda cls: cls.name)
def test_an_unchanged_subclass_is_not_caught(cls: type[Op]) -> None:
    twin = type(cls)(cls.__name__, (cls,), {"__doc__": "unchanged"}, abstract=True)
    samples = instructive(samples_of(cls))[:3]
    planted = [planted_sample(Plant(twin, "nothing", declared=False), s) for s in samples]
    result = run(planted, needs=False)
    assert result.ok, str(result)


def test_every_planted_rule_was_caught(contract_counts: dict[str, int]) -> None:
    if len(counts) < len(OPS):
        pytest.skip("only some ops had wrong rules planted in this run")
    planted, caught, tokens, showing = (
        sum(column) for column in zip(*counts.values(), strict=True)
    )
    contract_counts |= {"planted": planted, "caught": caught}
    assert planted >= MIN_PLANTED
    assert caught == planted
    assert showing >= MIN_SHOWING * tokens


def test_planting_registers_nothing() -> None:
    before = dict(registry)
    for cls in OPS[:3]:
        list(plants(cls))
    assert registry == before
