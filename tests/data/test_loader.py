"""DataLoader: coverage, order, workers, and options that exclude one another."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import chainrule as cr
from chainrule.data import BatchSampler, DataLoader, RandomSampler, Subset, TensorDataset
from chainrule.errors import ArgumentError


def numbers(n: int) -> TensorDataset:
    return TensorDataset(np.arange(n), np.arange(n) * 10)


def seen(loader: Any) -> list[list[int]]:
    batches = []
    for x, y in loader:
        assert (y.array == x.array * 10).all()
        batches.append(x.tolist())
    return batches


def flat(batches: list[list[int]]) -> list[int]:
    return [i for batch in batches for i in batch]


@given(
    n=st.integers(0, 40), size=st.integers(1, 12), shuffle=st.booleans(), seed=st.integers(0, 99)
)
def test_an_epoch_holds_every_sample_exactly_once(
    n: int, size: int, shuffle: bool, seed: int
) -> None:
    loader = DataLoader(numbers(n), size, shuffle=shuffle, seed=seed)
    batches = seen(loader)
    assert sorted(flat(batches)) == list(range(n))
    assert len(loader) == len(batches) == -(-n // size)
    assert all(len(batch) == size for batch in batches[:-1])


def test_an_incomplete_last_batch_can_be_dropped() -> None:
    loader = DataLoader(numbers(10), 4, drop_last=True)
    assert seen(loader) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert len(loader) == 2


def test_the_order_is_a_function_of_seed_and_epoch_only() -> None:
    one = DataLoader(numbers(50), 8, shuffle=True, seed=3)
    two = DataLoader(numbers(50), 5, shuffle=True, seed=3)
    first, second = seen(one), seen(one)
    assert first != second
    assert flat(seen(two)) == flat(first)
    assert seen(one.epoch(1)) == second
    assert seen(one.epoch(0)) == first
    assert seen(DataLoader(numbers(50), 8, shuffle=True, seed=4)) != first


def test_without_a_seed_the_order_follows_manual_seed() -> None:
    loader = DataLoader(numbers(50), 8, shuffle=True)
    cr.manual_seed(0)
    first, second = seen(loader), seen(loader)
    cr.manual_seed(0)
    assert [seen(loader), seen(loader)] == [first, second]
    assert first != second
    assert seen(loader.epoch(2, seed=9)) == seen(loader.epoch(2, seed=9))


def test_a_generator_of_its_own_is_used() -> None:
    def run() -> list[list[int]]:
        own = cr.ops.random.Generator(1)
        return seen(DataLoader(numbers(20), 4, shuffle=True, generator=own))

    assert run() == run()


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_workers_change_neither_order_nor_numbers(workers: int) -> None:
    plain = DataLoader(numbers(61), 7, shuffle=True, seed=1)
    loader = DataLoader(numbers(61), 7, shuffle=True, seed=1, num_workers=workers)
    assert seen(loader) == seen(plain)


def test_workers_are_started_and_an_error_of_theirs_comes_at_its_place() -> None:
    started: list[int] = []

    class Broken:
        def __len__(self) -> int:
            return 6

        def __getitem__(self, index: int) -> int:
            if index == 4:
                raise OSError("unreadable")
            return index

    loader = DataLoader(Broken(), 2, num_workers=1, worker_init_fn=started.append)
    batches = iter(loader)
    assert [next(batches).tolist(), next(batches).tolist()] == [[0, 1], [2, 3]]
    with pytest.raises(OSError, match="unreadable"):
        next(batches)
    assert started == [0]


def test_an_epoch_left_early_leaves_no_threads() -> None:
    before = threading.active_count()
    batches = iter(DataLoader(numbers(100), 1, num_workers=3))
    next(batches)
    batches.close()  # type: ignore[attr-defined]  # it is a generator
    assert threading.active_count() == before


def test_in_memory_batches_are_not_copied_when_in_order() -> None:
    data = numbers(10)
    batch = next(iter(DataLoader(data, 4)))[0]
    assert np.shares_memory(batch.array, data.arrays[0])


def test_batches_of_a_subset_come_at_once_too() -> None:
    class Watched(TensorDataset):
        def __getitem__(self, index: int) -> Any:
            raise AssertionError("one by one")

    data = Watched(np.arange(20), np.arange(20) * 10)
    loader = DataLoader(Subset(data, range(5, 15)), 5, shuffle=True, seed=0)
    assert sorted(flat(seen(loader))) == list(range(5, 15))


def test_any_sequence_of_samples_will_do() -> None:
    loader = DataLoader([(1.0, 2), (3.0, 4), (5.0, 6)], 2)
    assert [(x.tolist(), y.tolist()) for x, y in loader] == [([1.0, 3.0], [2, 4]), ([5.0], [6])]


def test_samplers_decide_the_order() -> None:
    assert seen(DataLoader(numbers(5), 2, sampler=[4, 0, 2])) == [[4, 0], [2]]
    sampler = RandomSampler(range(9), seed=1)
    loader = DataLoader(numbers(9), 4, sampler=sampler)
    assert flat(seen(loader.epoch(5))) == sampler.order(5).tolist()
    batches = DataLoader(numbers(5), batch_sampler=BatchSampler([4, 3, 1], 2, False))
    assert seen(batches) == [[4, 3], [1]]
    assert len(batches) == 2


def test_a_collate_function_gets_the_list_of_samples() -> None:
    loader = DataLoader(numbers(5), 3, collate_fn=lambda samples: [int(x) for x, _ in samples])
    assert list(loader) == [[0, 1, 2], [3, 4]]


def test_without_batches_samples_come_as_they_are() -> None:
    assert list(DataLoader(["a", "b"], batch_size=None)) == ["a", "b"]
    assert list(DataLoader([1, 2], batch_size=None, collate_fn=lambda s: s * 10)) == [10, 20]


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 0},
        {"batch_size": 2.0},
        {"shuffle": True, "sampler": [1]},
        {"batch_sampler": [[1]], "batch_size": 2},
        {"batch_sampler": [[1]], "shuffle": True},
        {"batch_size": None, "drop_last": True},
        {"num_workers": -1},
    ],
)
def test_options_that_make_no_sense_are_an_error(options: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError):
        DataLoader(numbers(4), **options)
