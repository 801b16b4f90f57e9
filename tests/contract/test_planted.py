"""The checkers are checked: wrong rules are planted in every op, and each must be caught."""

from __future__ import annotations

import zlib

import pytest
import window_oracles  # noqa: F401  registers its loops
from forward_oracles import disagreement
from planted_rules import Plant, differs, planted_sample, plants, source_plants

import chainrule
from chainrule.core.op import Op, registry
from chainrule.core.sampling import Sample
from chainrule.testing.cases import Case
from chainrule.testing.opcheck import run, samples_of

OPS = sorted(
    (
        cls
        for cls in registry.values()
        if cls.differentiable and cls.__module__.startswith(chainrule.__name__ + ".")
    ),
    key=lambda cls: cls.name,
)
MIN_PLANTED = 150
SOURCE_PLANTS = 8
"""Faults in the source of the rules, per op, at most."""

caught_by_op: dict[str, tuple[int, int]] = {}


def instructive(samples: list[Sample]) -> list[Sample]:
    """The samples with the most elements first, without the empty ones: faults show there."""

    def size(sample: Sample) -> int:
        sizes = [1]
        for draw in sample.inputs:
            n = 1
            for length in draw.shape:
                n *= length
            sizes.append(n)
        return 0 if 0 in sizes else sum(sizes)

    return sorted((s for s in samples if size(s)), key=size, reverse=True)


def is_caught(plant: Plant, sample: Sample) -> bool:
    broken = planted_sample(plant, sample)
    return not run([broken], needs=False).ok or bool(disagreement(Case(broken, seed=7)))


@pytest.mark.parametrize("cls", OPS, ids=lambda cls: cls.name)
def test_wrong_rules_planted_in_this_op_are_caught(cls: type[Op]) -> None:
    samples = instructive(samples_of(cls))
    planted, missed = 0, []
    for plant in [*plants(cls), *source_plants(cls, SOURCE_PLANTS)]:
        seed = zlib.crc32(plant.fault.encode())
        showing = next((s for s in samples if differs(plant, s, seed)), None)
        if showing is None:
            continue
        planted += 1
        rest = [s for s in samples if s is not showing]
        if not any(is_caught(plant, s) for s in [showing, *rest]):
            missed.append(plant.fault)
    caught_by_op[cls.name] = (planted, planted - len(missed))
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
    if len(caught_by_op) < len(OPS):
        pytest.skip("only some ops had wrong rules planted in this run")
    planted = sum(p for p, _ in caught_by_op.values())
    caught = sum(c for _, c in caught_by_op.values())
    contract_counts |= {"planted": planted, "caught": caught}
    assert planted >= MIN_PLANTED
    assert caught == planted


def test_planting_registers_nothing() -> None:
    before = dict(registry)
    for cls in OPS[:3]:
        list(plants(cls))
    assert registry == before
