"""``torch.utils.data``: data sets, samplers and loaders in PyTorch's terms.

The library's samplers take a seed; PyTorch's draw from a generator. Those here do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from typing import Any

from .... import data
from ....data.dataset import collate
from ....data.samplers import draw_seed
from ....errors import ArgumentError
from ..._names import mirrored

__getattr__, __dir__ = mirrored(__name__, "chainrule.data")

default_collate = collate


class Dataset(data.Dataset):
    """Samples by index. Subclasses define ``__getitem__`` and ``__len__``."""

    def __class_getitem__(cls, item: Any) -> Any:
        return cls

    def __len__(self) -> int:
        raise TypeError(f"{type(self).__name__} does not define __len__()")

    def __getitem__(self, index: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define __getitem__()")


class IterableDataset(Dataset):
    """Samples one after the other. Subclasses define ``__iter__``."""

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} does not define __iter__()")


class ChainDataset(IterableDataset):
    """The samples of several iterable data sets, one set after the other."""

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)

    def __iter__(self) -> Iterator[Any]:
        for dataset in self.datasets:
            yield from dataset


class StackDataset(Dataset):
    """Sample i is the i-th sample of each data set: a tuple, or by name a dictionary."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.datasets: Any = kwargs or args
        parts = list(kwargs.values()) or list(args)
        if not parts or (args and kwargs) or len({len(part) for part in parts}) != 1:
            raise ArgumentError(
                "a StackDataset needs data sets of one length, all by name or none",
                got=f"lengths {[len(part) for part in (*args, *kwargs.values())]}",
            )
        self._parts = parts

    def __len__(self) -> int:
        return len(self._parts[0])

    def __getitem__(self, index: Any) -> Any:
        samples = [part[index] for part in self._parts]
        if isinstance(self.datasets, dict):
            return dict(zip(self.datasets, samples, strict=True))
        return tuple(samples)


# Samplers -----------------------------------------------------------------------------------------


class Sampler:
    """An order of samples. Subclasses define ``__iter__``, and ``__len__`` if it is known."""

    def __init__(self, data_source: Any = None) -> None:
        self.data_source = data_source

    def __class_getitem__(cls, item: Any) -> Any:
        return cls

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} does not define __iter__()")


class SequentialSampler(Sampler):
    """0, 1, 2, …"""

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler):
    """Every sample once in random order, or `num_samples` drawn with replacement."""

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Any = None,
    ) -> None:
        super().__init__(data_source)
        self.replacement = replacement
        self.num_samples = len(data_source) if num_samples is None else num_samples
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        seed = draw_seed(self.generator)
        return iter(
            data.RandomSampler(self.data_source, self.replacement, self.num_samples, seed=seed)
        )

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler):
    """The given indices in random order."""

    def __init__(self, indices: Sequence[int], generator: Any = None) -> None:
        self.indices = indices
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        return iter(data.SubsetRandomSampler(self.indices, seed=draw_seed(self.generator)))

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler):
    """`num_samples` draws with probabilities proportional to `weights`."""

    def __init__(
        self, weights: Any, num_samples: int, replacement: bool = True, generator: Any = None
    ) -> None:
        self.weights = weights
        self.num_samples = num_samples
        self.replacement = replacement
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        seed = draw_seed(self.generator)
        return iter(
            data.WeightedRandomSampler(self.weights, self.num_samples, self.replacement, seed=seed)
        )

    def __len__(self) -> int:
        return self.num_samples


# Loaders ------------------------------------------------------------------------------------------


class DataLoader(data.DataLoader):
    """``chainrule.data.DataLoader`` with all of PyTorch's options, and of iterable data sets too.

    Workers are threads, so what is said about processes is accepted and has no effect.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[Sequence[Any]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: Any = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        if isinstance(dataset, IterableDataset) and (shuffle or sampler or batch_sampler):
            raise ArgumentError(
                "an iterable data set comes in its own order",
                expected="no shuffle, sampler or batch_sampler",
            )
        super().__init__(
            dataset, batch_size, bool(shuffle), sampler, batch_sampler, num_workers, collate_fn,
            pin_memory, drop_last, worker_init_fn, generator,
        )  # fmt: skip

    def __class_getitem__(cls, item: Any) -> Any:
        return cls

    def __iter__(self) -> Iterator[Any]:
        if isinstance(self.dataset, IterableDataset):
            return self._streamed(self.dataset)
        return super().__iter__()

    def _streamed(self, samples: Iterable[Any]) -> Iterator[Any]:
        """Batches of what comes, as it comes."""
        made = self.collate_fn or (collate if self.batch_size is not None else lambda x: x)
        if self.batch_size is None:
            yield from map(made, samples)
            return
        batch: list[Any] = []
        for sample in samples:
            batch.append(sample)
            if len(batch) == self.batch_size:
                yield made(batch)
                batch = []
        if batch and not self.drop_last:
            yield made(batch)


def get_worker_info() -> None:
    """None: workers are threads, which share the data set."""
