"""Samplers: every sample as often as promised, in an order of (seed, epoch) only."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainrule.data import (
    BatchSampler,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from chainrule.data.samplers import fold_seed, shuffled
from chainrule.errors import ArgumentError

seeds = st.integers(-(2**70), 2**70)


@given(st.integers(0, 300), seeds, st.integers(0, 1000))
def test_a_permutation_holds_each_number_once(n: int, seed: int, epoch: int) -> None:
    order = shuffled(n, seed, epoch)
    assert sorted(order.tolist()) == list(range(n))
    np.testing.assert_array_equal(order, shuffled(n, seed, epoch))


def test_seeds_and_epochs_give_other_orders() -> None:
    orders = {tuple(shuffled(50, seed, epoch)) for seed in (-1, 0, 1, 2**32) for epoch in range(50)}
    assert len(orders) == 200


def test_the_order_is_the_same_in_every_release() -> None:
    assert shuffled(8, seed=0).tolist() == PINNED_ORDER
    assert fold_seed(0, 1) == PINNED_SEED


PINNED_ORDER = [0, 5, 7, 4, 6, 1, 2, 3]
PINNED_SEED = 16004466841906740833


def test_every_place_is_equally_likely() -> None:
    counts = np.zeros((6, 6))
    for epoch in range(3000):
        counts[np.arange(6), shuffled(6, 1, epoch)] += 1
    chi2 = ((counts - 500) ** 2 / 500).sum()
    assert chi2 < 60  # 25 degrees of freedom: beyond 60 in one of 10,000


def test_iterating_goes_on_to_the_next_epoch() -> None:
    sampler = RandomSampler(range(30), seed=4)
    first, second = list(sampler), list(sampler)
    assert first == shuffled(30, 4, 0).tolist()
    assert second == shuffled(30, 4, 1).tolist()
    assert len(sampler) == 30


def test_sequential_order_is_sequential() -> None:
    assert list(SequentialSampler("abcd")) == [0, 1, 2, 3]


@pytest.mark.parametrize("draws", [0, 3, 10, 25])
def test_more_draws_than_samples_go_round_again(draws: int) -> None:
    drawn = Counter(RandomSampler(range(10), num_samples=draws, seed=1))
    assert sum(drawn.values()) == draws
    assert all(draws // 10 <= drawn[i] <= -(-draws // 10) for i in range(10))


def test_draws_with_replacement_are_uniform() -> None:
    counts = Counter(RandomSampler(range(5), True, 20_000, seed=2))
    assert set(counts) == set(range(5))
    assert all(abs(n - 4000) < 300 for n in counts.values())


def test_a_subset_is_visited_once_each() -> None:
    sampler = SubsetRandomSampler([7, 3, 9], seed=0)
    assert sorted(sampler) == [3, 7, 9]
    assert len(sampler) == 3


def test_weights_are_frequencies() -> None:
    counts = Counter(WeightedRandomSampler([1.0, 0.0, 3.0], 20_000, seed=0))
    assert set(counts) == {0, 2}
    assert counts[2] / counts[0] == pytest.approx(3.0, rel=0.1)


def test_without_replacement_heavier_samples_tend_to_come_first() -> None:
    first: Counter[int] = Counter()
    for seed in range(4000):
        order = WeightedRandomSampler([1.0, 0.0, 3.0], 2, replacement=False, seed=seed).order(0)
        assert sorted(order.tolist()) == [0, 2]
        first[int(order[0])] += 1
    assert first[2] / 4000 == pytest.approx(0.75, abs=0.03)


def test_batches_of_a_sampler() -> None:
    batches = BatchSampler(range(7), 3, drop_last=False)
    assert list(batches) == [[0, 1, 2], [3, 4, 5], [6]]
    assert len(batches) == 3
    dropped = BatchSampler(range(7), 3, drop_last=True)
    assert list(dropped) == [[0, 1, 2], [3, 4, 5]]
    assert len(dropped) == 2


@pytest.mark.parametrize(
    "make",
    [
        lambda: RandomSampler([], num_samples=3),
        lambda: RandomSampler(range(3), num_samples=-1),
        lambda: WeightedRandomSampler([1.0, -1.0], 1),
        lambda: WeightedRandomSampler([0.0, 0.0], 1),
        lambda: WeightedRandomSampler([float("nan")], 1),
        lambda: WeightedRandomSampler([float("inf")], 1),
        lambda: WeightedRandomSampler([1.0, 0.0], 2, replacement=False),
        lambda: BatchSampler(range(3), 0, False),
        lambda: BatchSampler(range(3), 1.5, False),
        lambda: BatchSampler(range(3), True, False),
    ],
)
def test_impossible_samplers_are_an_error(make: Any) -> None:
    with pytest.raises(ArgumentError):
        make()
