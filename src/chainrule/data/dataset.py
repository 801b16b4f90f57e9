"""Data sets: a length, and samples by index; whole batches at once where the data are in memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any, Protocol, final

import numpy as np

from ..core.aval import SCALARS, describe
from ..errors import ArgumentError, IndexRangeError, ShapeError
from ..ops.random import Generator
from ..tensor import Tensor
from .samplers import Indices, draw_seed, fold_seed, shuffled


class Samples(Protocol):
    """Whatever has a length and samples by index: a Dataset, a list."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


class Dataset(ABC):
    """Samples by index. Subclasses give ``__len__`` and ``__getitem__``.

    A subclass that can fetch many samples faster than one by one overrides ``batch`` as well.
    """

    @abstractmethod
    def __len__(self) -> int:
        """Number of samples."""

    @abstractmethod
    def __getitem__(self, index: int) -> Any:
        """One sample: usually a tuple of an input and a target."""

    def batch(self, indices: Indices | slice) -> Any:
        """The samples at `indices`, stacked field by field along a new first axis."""
        if isinstance(indices, slice):
            indices = np.arange(len(self))[indices]
        return collate([self[int(i)] for i in indices])

    def __iter__(self) -> Iterator[Any]:
        return iter([self[i] for i in range(len(self))])

    def __add__(self, other: Dataset) -> ConcatDataset:
        return ConcatDataset([self, other])


class TensorDataset(Dataset):
    """Tensors or arrays that share their first axis; sample i is a tuple of their i-th entries.

    Arrays are not copied, so changing one changes the data set. A batch costs one ``take`` per
    field, or nothing at all if its samples follow one another.

    Raises ShapeError if the first axes differ, ArgumentError without any array.

    >>> data = TensorDataset(tensor([[1.0], [2.0], [3.0]]), tensor([0, 1, 0]))
    >>> data[1]
    (tensor([2.]), tensor(1))
    """

    def __init__(self, *fields: Any) -> None:
        if not fields:
            raise ArgumentError("a TensorDataset needs at least one tensor or array")
        self.arrays = tuple([_as_field(field) for field in fields])
        if any(a.ndim == 0 or len(a) != len(self.arrays[0]) for a in self.arrays):
            raise ShapeError(
                "the fields of a data set have one entry per sample",
                expected="first axes of one length",
                got="   ".join(describe(a) for a in self.arrays),
            )

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The fields as tensors."""
        return tuple([_tensor(a) for a in self.arrays])

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        return tuple([_tensor(np.asarray(a[index])) for a in self.arrays])

    def batch(self, indices: Indices | slice) -> tuple[Tensor, ...]:
        if isinstance(indices, slice):
            return tuple([_tensor(a[indices]) for a in self.arrays])
        # take copies whole rows and is up to three times as fast as a[indices] on short ones.
        return tuple([_tensor(a.take(indices, axis=0)) for a in self.arrays])


@final
class Subset(Dataset):
    """The samples of another data set at the given indices.

    Raises IndexRangeError for an index beyond the data set.

    >>> [int(x) for x, in Subset(TensorDataset(tensor([5, 6, 7])), [2, 0])]
    [7, 5]
    """

    def __init__(self, dataset: Samples, indices: Sequence[int] | Indices) -> None:
        self.dataset = dataset
        self._order: Indices = np.asarray(indices, np.int64)
        self.indices: list[int] = self._order.tolist()
        outside = self._order[(self._order < 0) | (self._order >= len(dataset))]
        if outside.size:
            raise IndexRangeError(
                "a subset names a sample that the data set does not have",
                expected=f"0 <= index < {len(dataset)}",
                got=str(outside[0]),
            )

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[int(self._order[index])]

    def batch(self, indices: Indices | slice) -> Any:
        return fetch(self.dataset, self._order[indices])


@final
class ConcatDataset(Dataset):
    """Data sets one after the other.

    >>> len(ConcatDataset([TensorDataset(tensor([1, 2])), TensorDataset(tensor([3]))]))
    3
    """

    def __init__(self, datasets: Sequence[Samples]) -> None:
        if not datasets:
            raise ArgumentError("a ConcatDataset needs at least one data set")
        self.datasets = list(datasets)
        self.ends = list(accumulate(len(d) for d in self.datasets))

    def __len__(self) -> int:
        return self.ends[-1]

    def __getitem__(self, index: int) -> Any:
        n = len(self)
        if not -n <= index < n:
            raise IndexRangeError("no such sample", expected=f"{-n} <= index < {n}", got=str(index))
        which = bisect_right(self.ends, index % n)
        return self.datasets[which][index % n - (self.ends[which - 1] if which else 0)]


def random_split(
    dataset: Samples,
    lengths: Sequence[int] | Sequence[float],
    generator: Generator | None = None,
    *,
    seed: int | None = None,
) -> list[Subset]:
    """Cut a data set at random into parts that share no sample.

    `lengths` are numbers of samples that add up to the whole, or fractions that add up to one;
    what rounding leaves over goes to the first parts, one sample each. With a `seed`, the split
    depends on it only; without, on `generator` or on the one that ``manual_seed`` sets.

    Raises ArgumentError if the lengths do not add up.

    >>> [len(part) for part in random_split(range(10), [0.75, 0.25])]
    [8, 2]
    """
    n = len(dataset)
    counts = _counts(n, lengths)
    # Folded, so that a loader with the same seed does not visit the part in this very order.
    order = shuffled(n, draw_seed(generator) if seed is None else fold_seed(seed, n))
    starts = [0, *accumulate(counts)]
    return [Subset(dataset, order[a:b]) for a, b in pairwise(starts)]


def _counts(n: int, lengths: Sequence[int] | Sequence[float]) -> list[int]:
    if all(isinstance(k, (int, np.integer)) for k in lengths):
        counts = [int(k) for k in lengths]
    elif abs(sum(lengths) - 1) <= 1e-6:
        counts = [int(n * f) for f in lengths]
        for i in range(n - sum(counts)):
            counts[i % len(counts)] += 1
    else:
        counts = []
    if not counts or min(counts) < 0 or sum(counts) != n:
        raise ArgumentError(
            "the parts do not add up to the data set",
            expected=f"numbers of samples that add up to {n}, or fractions that add up to 1",
            got=str(list(lengths)),
        )
    return counts


def fetch(dataset: Samples, indices: Indices | slice) -> Any:
    """A batch from any data set: by its own ``batch``, or collated from single samples."""
    if isinstance(dataset, Dataset):
        return dataset.batch(indices)
    if isinstance(indices, slice):
        indices = np.arange(len(dataset))[indices]
    return collate([dataset[int(i)] for i in indices])


def collate(samples: Sequence[Any]) -> Any:
    """Samples stacked into a batch: numbers, arrays and tensors become tensors with a new first
    axis; tuples, lists and mappings are collated entry by entry; anything else becomes a list.

    Raises ShapeError if the samples differ in shape or structure.

    >>> collate([(1.0, 2), (3.0, 4)])
    (tensor([1., 3.]), tensor([2, 4]))
    """
    first = samples[0]
    if isinstance(first, (Tensor, np.ndarray, np.generic)):
        return _stack(samples)
    if type(first) in SCALARS:
        return Tensor(list(samples))
    if isinstance(first, Mapping):
        _check_alike(samples, [set(s) for s in samples], "keys")
        return {key: collate([s[key] for s in samples]) for key in first}
    if isinstance(first, (tuple, list)):
        _check_alike(samples, [len(s) for s in samples], "lengths")
        columns = [collate(column) for column in zip(*samples, strict=True)]
        return tuple(columns) if type(first) in (tuple, list) else type(first)(*columns)
    return list(samples)


def _stack(samples: Sequence[Any]) -> Tensor:
    arrays = [s.array if isinstance(s, Tensor) else np.asarray(s) for s in samples]
    _check_alike(samples, [a.shape for a in arrays], "shapes")
    return _tensor(np.stack(arrays))


def _check_alike(samples: Sequence[Any], traits: list[Any], word: str) -> None:
    for trait in traits:
        if trait != traits[0]:
            raise ShapeError(
                f"the samples of a batch differ in their {word}",
                expected=str(traits[0]),
                got=str(trait),
                hint="pad them in the data set, or pass collate_fn= to the DataLoader",
            )


def _as_field(field: Any) -> np.ndarray[Any, Any]:
    array = field.array if isinstance(field, Tensor) else np.asarray(field)
    if array.dtype.kind not in "biuf":
        raise ArgumentError("the fields of a TensorDataset hold numbers", got=str(array.dtype))
    return array


def _tensor(array: Any) -> Tensor:
    return Tensor.wrap(array)
