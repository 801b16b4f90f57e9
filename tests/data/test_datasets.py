"""Data sets, their parts and combinations, and collation."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

import chainrule as cr
from chainrule.data import ConcatDataset, Dataset, Subset, TensorDataset, collate, random_split
from chainrule.errors import ArgumentError, IndexRangeError, ShapeError


class Squares(Dataset):
    """Computed samples: there is nothing in memory."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> tuple[float, int]:
        return float(index * index), index


def test_samples_of_a_tensor_dataset_are_tuples_of_tensors() -> None:
    data = TensorDataset(cr.tensor([[1.0, 2.0], [3.0, 4.0]]), np.array([5, 6]))
    x, y = data[1]
    assert (x.tolist(), y.item(), len(data)) == ([3.0, 4.0], 6, 2)
    assert data.tensors[1].tolist() == [5, 6]
    assert [s[1].item() for s in data] == [5, 6]


@pytest.mark.parametrize("dataset", [TensorDataset(np.arange(9.0), np.arange(9)), Squares(9)])
@pytest.mark.parametrize("indices", [np.array([3, 1, 1]), slice(2, 5), slice(0, 9)])
def test_a_batch_is_the_samples_stacked(dataset: Dataset, indices: Any) -> None:
    x, y = dataset.batch(indices)
    picked = np.arange(9)[indices]
    assert y.tolist() == picked.tolist()
    assert x.tolist() == [dataset[int(i)][0] for i in picked]


def test_a_subset_of_a_subset_and_of_a_list() -> None:
    data = TensorDataset(np.arange(10))
    inner = Subset(Subset(data, [9, 7, 5, 3]), [3, 0])
    assert [int(x) for (x,) in inner] == [3, 9]
    assert inner.batch(np.array([1, 0]))[0].tolist() == [9, 3]
    assert Subset([10, 20, 30], [2, 1]).batch(slice(0, 2)).tolist() == [30, 20]


def test_concatenated_data_sets_keep_their_order() -> None:
    joined = TensorDataset(np.arange(3)) + TensorDataset(np.arange(10, 12))
    assert [int(x) for (x,) in joined] == [0, 1, 2, 10, 11]
    assert int(joined[-1][0]) == 11
    assert joined.batch(np.array([4, 0]))[0].tolist() == [11, 0]
    with pytest.raises(IndexRangeError):
        joined[5]


def test_a_random_split_shares_out_every_sample_once() -> None:
    parts = random_split(range(100), [50, 30, 20], seed=1)
    assert [len(p) for p in parts] == [50, 30, 20]
    assert sorted(i for part in parts for i in part.indices) == list(range(100))
    again = random_split(range(100), [50, 30, 20], seed=1)
    np.testing.assert_array_equal(parts[0].indices, again[0].indices)
    other = random_split(range(100), [50, 30, 20], seed=2)
    assert parts[0].indices != other[0].indices


def test_a_split_without_a_seed_follows_the_generator() -> None:
    def draw() -> list[int]:
        return random_split(range(20), [10, 10])[0].indices

    cr.manual_seed(3)
    first, second = draw(), draw()
    cr.manual_seed(3)
    assert [first, second] == [draw(), draw()]
    assert first != second
    own = cr.ops.random.Generator(5)
    with_own = random_split(range(20), [10, 10], own)[0].indices
    own.manual_seed(5)
    np.testing.assert_array_equal(random_split(range(20), [10, 10], own)[0].indices, with_own)


@pytest.mark.parametrize(
    ("fractions", "sizes"),
    [([0.75, 0.25], [8, 2]), ([1.0], [10]), ([0.1, 0.2, 0.7], [1, 2, 7]), ([1 / 3] * 3, [4, 3, 3])],
)
def test_fractions_are_rounded_and_the_rest_shared_out(
    fractions: list[float], sizes: list[int]
) -> None:
    assert [len(p) for p in random_split(range(10), fractions, seed=0)] == sizes


class Pair(NamedTuple):
    x: float
    y: int


def test_collation_follows_the_structure_of_a_sample() -> None:
    assert collate([1, 2]).dtype == np.int64
    assert collate([True, False]).dtype == np.bool_
    assert collate([1.0, 2.0]).dtype == np.float32
    assert collate([np.float64(1.0)] * 2).dtype == np.float64
    assert collate([np.zeros(3), np.ones(3)]).shape == (2, 3)
    assert collate(["a", "b"]) == ["a", "b"]
    named = collate([Pair(1.0, 2), Pair(3.0, 4)])
    assert isinstance(named, Pair)
    assert named.y.tolist() == [2, 4]
    nested = collate([{"a": (1, [2.0])}, {"a": (3, [4.0])}])
    assert nested["a"][0].tolist() == [1, 3]
    assert nested["a"][1][0].tolist() == [2.0, 4.0]


@pytest.mark.parametrize(
    "samples",
    [[np.zeros(2), np.zeros(3)], [(1, 2), (1,)], [{"a": 1}, {"b": 1}]],
)
def test_samples_that_differ_cannot_be_collated(samples: list[Any]) -> None:
    with pytest.raises(ShapeError, match="differ"):
        collate(samples)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (TensorDataset, ArgumentError),
        (lambda: TensorDataset(np.zeros(2), np.zeros(3)), ShapeError),
        (lambda: TensorDataset(np.float64(1.0)), ShapeError),
        (lambda: TensorDataset(np.array(["a"])), ArgumentError),
        (lambda: Subset(range(3), [3]), IndexRangeError),
        (lambda: Subset(range(3), [-1]), IndexRangeError),
        (lambda: ConcatDataset([]), ArgumentError),
        (lambda: random_split(range(10), [5, 4]), ArgumentError),
        (lambda: random_split(range(10), [0.5, 0.4]), ArgumentError),
        (lambda: random_split(range(10), [11, -1]), ArgumentError),
        (lambda: random_split(range(10), []), ArgumentError),
    ],
)
def test_data_sets_that_make_no_sense_are_an_error(make: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        make()
