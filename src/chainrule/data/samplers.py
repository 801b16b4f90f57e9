"""Samplers: in which order the samples of a data set are visited, epoch by epoch.

An order is a function of (seed, epoch) only: random keys from the counter-based generator of
``ops.philox`` are sorted. So training that is resumed at an epoch visits the samples as if it had
never stopped, and the order is the same with any number of workers and any release of NumPy.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any, Final, TypeAlias, cast, final

import numpy as np

from ..errors import ArgumentError
from ..ops import philox, random

Indices: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]

_STREAM: Final = 0x6F72646572  # "order"
"""Keeps these random numbers apart from those of a generator with the same seed."""


def shuffled(n: int, seed: int, epoch: int = 0) -> Indices:
    """The numbers 0 … n-1 in an order that depends on (seed, epoch) only.

    >>> shuffled(5, seed=0).tolist() == shuffled(5, seed=0).tolist()
    True
    """
    return cast(Indices, philox.permutation(*_place(seed, epoch), n))


def fold_seed(seed: int, number: int) -> int:
    """A new seed from a seed and a number, such as an epoch: both decide every bit of it."""
    low, high = philox.words(*_place(seed, number), 2)
    return int(low) | int(high) << 32


def draw_seed(generator: random.Generator | None) -> int:
    """A seed from the next numbers of a generator, of the default one if it is None."""
    key, counter = (generator or random.default_generator).next(1)
    return fold_seed(int(key), int(counter))


def _place(seed: int, number: int) -> tuple[int, int]:
    """Key and first block of the random numbers of (seed, number): 2⁴⁰ blocks are its own."""
    return (seed ^ _STREAM) & (2**64 - 1), (number << 40) & (2**64 - 1)


class Sampler(ABC):
    """Order in which samples are visited. Subclasses give ``order`` and ``__len__``.

    Iterating over a sampler gives one epoch after the other, each in its own order.
    """

    _epoch = 0

    @abstractmethod
    def order(self, epoch: int) -> Indices:
        """The indices to visit in this epoch."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of indices in an epoch."""

    def __iter__(self) -> Iterator[int]:
        epoch, self._epoch = self._epoch, self._epoch + 1
        return iter(self.order(epoch).tolist())


@final
class SequentialSampler(Sampler):
    """0, 1, 2, …

    >>> list(SequentialSampler("abc"))
    [0, 1, 2]
    """

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def order(self, epoch: int) -> Indices:
        return np.arange(len(self.data_source))

    def __len__(self) -> int:
        return len(self.data_source)


@final
class RandomSampler(Sampler):
    """Every sample once, in random order; or `num_samples` drawn with replacement."""

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        *,
        seed: int = 0,
    ) -> None:
        self.data_source = data_source
        self.replacement = replacement
        self.num_samples = len(data_source) if num_samples is None else num_samples
        self.seed = seed
        if self.num_samples < 0 or (self.num_samples > 0 and not len(data_source)):
            raise ArgumentError(
                "a sampler cannot draw that many samples",
                expected="num_samples >= 0, from a data set that is not empty",
                got=f"num_samples={self.num_samples} of {len(data_source)} samples",
            )

    def order(self, epoch: int) -> Indices:
        n = len(self.data_source)
        if self.replacement:
            return _uniform_indices(n, self.num_samples, self.seed, epoch)
        first = shuffled(n, self.seed, epoch)
        if self.num_samples <= n:
            return first[: self.num_samples]
        turns = range(1, -(-self.num_samples // n))
        others = [shuffled(n, fold_seed(self.seed, turn), epoch) for turn in turns]
        return np.concatenate([first, *others])[: self.num_samples]

    def __len__(self) -> int:
        return self.num_samples


@final
class SubsetRandomSampler(Sampler):
    """The given indices, each once, in random order."""

    def __init__(self, indices: Sequence[int], *, seed: int = 0) -> None:
        self.indices = np.asarray(indices, np.int64)
        self.seed = seed

    def order(self, epoch: int) -> Indices:
        order: Indices = self.indices[shuffled(len(self.indices), self.seed, epoch)]
        return order

    def __len__(self) -> int:
        return len(self.indices)


@final
class WeightedRandomSampler(Sampler):
    """`num_samples` draws, sample i with a probability proportional to ``weights[i]``.

    Without replacement, an order is drawn by Efraimidis and Spirakis's exponential keys,
    "Weighted random sampling with a reservoir", Information Processing Letters 97 (2006).

    Raises ArgumentError for weights that are negative, not finite or all zero, and for more draws
    without replacement than there are samples of positive weight.
    """

    def __init__(
        self,
        weights: Sequence[float],
        num_samples: int,
        replacement: bool = True,
        *,
        seed: int = 0,
    ) -> None:
        self.weights = np.asarray(weights, np.float64)
        self.num_samples = num_samples
        self.replacement = replacement
        self.seed = seed
        usable = int(np.count_nonzero(self.weights > 0))
        bad = self.weights.ndim != 1 or not np.isfinite(self.weights.sum())
        if bad or (self.weights < 0).any() or not usable:
            raise ArgumentError(
                "these weights are not probabilities",
                expected="a sequence of finite numbers >= 0, not all zero",
            )
        if num_samples < 0 or (not replacement and num_samples > usable):
            raise ArgumentError(
                "cannot draw that many samples without replacement",
                expected=f"0 <= num_samples <= {usable}",
                got=str(num_samples),
            )

    def order(self, epoch: int) -> Indices:
        if self.replacement:
            total = np.cumsum(self.weights)
            draws = _uniform(self.num_samples, self.seed, epoch) * total[-1]
            # Rounding may give total[-1] itself, which is beyond the last sample.
            last = int(np.flatnonzero(self.weights)[-1])
            chosen: Indices = np.minimum(np.searchsorted(total, draws, side="right"), last)
            return chosen
        u = _uniform(len(self.weights), self.seed, epoch)
        arrival = np.full(len(u), np.inf)
        positive = self.weights > 0
        arrival[positive] = -np.log1p(-u[positive]) / self.weights[positive]
        return np.argsort(arrival, kind="stable")[: self.num_samples]

    def __len__(self) -> int:
        return self.num_samples


@final
class BatchSampler:
    """Lists of `batch_size` indices from a sampler; the last one is shorter, or dropped.

    >>> list(BatchSampler(SequentialSampler(range(5)), 2, drop_last=False))
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        self.sampler = sampler
        self.batch_size = positive_batch_size(batch_size)
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list[int]]:
        batch: list[int] = []
        for index in self.sampler:
            batch.append(index)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch

    def __len__(self) -> int:
        n = len(self.sampler)  # type: ignore[arg-type]  # PyTorch's too needs a sized sampler here
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)


def positive_batch_size(batch_size: Any) -> int:
    """`batch_size`, which must be a whole number of at least one, else ArgumentError."""
    if isinstance(batch_size, bool) or not isinstance(batch_size, (int, np.integer)):
        raise ArgumentError(
            "batch_size is a number of samples", expected="an int >= 1", got=repr(batch_size)
        )
    if batch_size < 1:
        raise ArgumentError("a batch has at least one sample", got=f"batch_size={batch_size}")
    return int(batch_size)


def _uniform(n: int, seed: int, epoch: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """n numbers uniform on [0, 1), 53 random bits each."""
    drawn: np.ndarray[Any, np.dtype[np.float64]]
    drawn = philox.uniform(*_place(seed, epoch), n, np.float64)
    return drawn


def _uniform_indices(high: int, n: int, seed: int, epoch: int) -> Indices:
    drawn: Indices = np.minimum((_uniform(n, seed, epoch) * high).astype(np.int64), high - 1)
    return drawn
