"""DataLoader: batches of a data set, in an order that depends on the seed and the epoch only."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from typing import Any, TypeAlias, cast

import numpy as np

from ..core.gate import tensors
from ..core.observation import observation
from ..errors import ArgumentError
from ..ops.random import Generator
from .dataset import Samples, fetch
from .samplers import Indices, Sampler, draw_seed, positive_batch_size, shuffled

Picks: TypeAlias = "Indices | slice"
"""Which samples make a batch: positions, or a slice where they follow one another."""

_AHEAD = 2  # batches that each worker prepares in advance


class DataLoader:
    """Iterating gives the batches of one epoch: tuples of tensors with a new first axis.

    Parameters: `dataset`, a Dataset or anything with a length and samples by index;
    `batch_size`, or None for single samples as they are; `shuffle`, every epoch in another order;
    `drop_last`, leave out an incomplete last batch; `sampler` or `batch_sampler`, an order of your
    own; `collate_fn(samples)`, how to make a batch of a list of samples; `num_workers`, threads
    that prepare batches in advance (the order and the numbers do not depend on how many);
    `worker_init_fn(worker)`, called once in each of them.

    With a `seed`, the order of epoch e is a function of (seed, e) only. Without, each epoch draws
    its order from `generator`, or from the one that ``manual_seed`` sets.

    In-memory data (TensorDataset and its subsets) are not visited sample by sample: a batch is one
    ``take`` per field, or a view if the order is sequential. An epoch of 60,000 MNIST images takes
    0.7 ms in order and 32 ms shuffled, 0.07 ms a batch; copying the same bytes in slices takes 7 to
    11 ms (benchmarks/loader.py, 2 cores).

    Raises ArgumentError for options that exclude one another.

    >>> data = cr.data.TensorDataset(tensor([[0.0], [1.0], [2.0]]), tensor([0, 1, 2]))
    >>> [y.tolist() for x, y in DataLoader(data, batch_size=2)]
    [[0, 1], [2]]
    """

    def __init__(
        self,
        dataset: Samples,
        batch_size: int | None = 1,
        shuffle: bool = False,
        sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[Sequence[int]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        worker_init_fn: Callable[[int], None] | None = None,
        generator: Generator | None = None,
        *,
        seed: int | None = None,
    ) -> None:
        _check_order(shuffle, sampler, batch_sampler, batch_size, drop_last)
        if batch_size is None and drop_last:
            raise ArgumentError("without batches there is no last batch to drop")
        if num_workers < 0:
            raise ArgumentError("num_workers is a number of threads", got=str(num_workers))
        self.dataset = dataset
        self.batch_size = None if batch_size is None else positive_batch_size(batch_size)
        self.shuffle = shuffle
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.num_workers = num_workers
        self.collate_fn = collate_fn
        self.pin_memory = pin_memory
        """Accepted for programs that set it; there is no other memory to copy to."""
        self.drop_last = drop_last
        self.worker_init_fn = worker_init_fn
        self.generator = generator
        self.seed = seed
        self._next_epoch = 0

    def __len__(self) -> int:
        """Number of batches in an epoch."""
        if self.batch_sampler is not None:
            return len(cast(Sized, self.batch_sampler))
        n = len(self.dataset if self.sampler is None else cast(Sized, self.sampler))
        size = self.batch_size or 1
        return n // size if self.drop_last else -(-n // size)

    def __iter__(self) -> Iterator[Any]:
        if observation.by is not None:
            observation.by.batches(self)
        epoch, self._next_epoch = self._next_epoch, self._next_epoch + 1
        return self.epoch(epoch)

    def epoch(self, number: int, *, seed: int | None = None) -> Iterator[Any]:
        """The batches of one epoch. Without a seed of its own, the loader uses `seed`.

        >>> loader = DataLoader(cr.data.TensorDataset(np.arange(9)), 4, shuffle=True, seed=1)
        >>> [x.tolist() for x, in loader.epoch(3)] == [x.tolist() for x, in loader.epoch(3)]
        True
        """
        picks = self._picks(number, self.seed if self.seed is not None else seed)
        if self.num_workers:
            return self._prefetched(picks)
        return map(self._load, picks)

    def _picks(self, epoch: int, seed: int | None) -> Iterator[Any]:
        """What each batch of an epoch is made of. The order is drawn now, not when it is used."""
        if self.batch_sampler is not None:
            return (np.asarray(batch, np.int64) for batch in self.batch_sampler)
        order: Indices | None = None
        n = len(self.dataset)
        if isinstance(self.sampler, Sampler):
            order = self.sampler.order(epoch)
        elif self.sampler is not None:
            order = np.fromiter(self.sampler, np.int64)
        elif self.shuffle:
            # Without a seed the draw alone decides, whatever the epoch.
            key = (draw_seed(self.generator), 0) if seed is None else (seed, epoch)
            order = shuffled(n, *key)
        if self.batch_size is None:
            return iter(range(n) if order is None else order.tolist())
        return self._cut(n if order is None else len(order), self.batch_size, order)

    def _cut(self, n: int, size: int, order: Indices | None) -> Iterator[Picks]:
        stop = n - n % size if self.drop_last else n
        for start in range(0, stop, size):
            here = slice(start, min(start + size, n))
            yield here if order is None else order[here]

    def _load(self, picks: Any) -> Any:
        if self.batch_size is None and self.batch_sampler is None:
            sample = self.dataset[picks]
            return sample if self.collate_fn is None else self.collate_fn(sample)
        if self.collate_fn is None:
            return fetch(self.dataset, picks)
        if isinstance(picks, slice):
            picks = np.arange(picks.start, picks.stop)
        return self.collate_fn([self.dataset[int(i)] for i in picks])

    def _load_apart(self, picks: Any) -> Any:
        """A batch, made beside what the main thread does, though not beside a trace."""
        with tensors.open():
            return self._load(picks)

    def _prefetched(self, picks: Iterator[Any]) -> Iterator[Any]:
        """Batches in order, made by threads. If one fails, its error surfaces at its place."""
        numbers = count()

        def start() -> None:
            if self.worker_init_fn is not None:
                self.worker_init_fn(next(numbers))

        pool = ThreadPoolExecutor(self.num_workers, "chainrule-loader", initializer=start)
        waiting: deque[Future[Any]] = deque()
        try:
            for pick in picks:
                waiting.append(pool.submit(self._load_apart, pick))
                if len(waiting) > _AHEAD * self.num_workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _check_order(
    shuffle: bool, sampler: object, batch_sampler: object, batch_size: int | None, drop_last: bool
) -> None:
    """Raise ArgumentError for options that exclude one another."""
    if sampler is not None and shuffle:
        raise ArgumentError("a sampler decides the order: shuffle=True would be ignored")
    if batch_sampler is not None and (shuffle or drop_last or sampler or batch_size != 1):
        raise ArgumentError(
            "a batch_sampler decides everything about batches",
            expected="no batch_size, shuffle, sampler or drop_last beside it",
        )
