"""Data sets, samplers, loaders and optimizers that programs define in PyTorch's way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from chainrule import torch
from chainrule.errors import ArgumentError, StateError
from chainrule.torch.utils.data import (
    BatchSampler,
    ChainDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    Sampler,
    SequentialSampler,
    StackDataset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)


class Squares(Dataset[Any]):
    def __len__(self) -> int:
        return 5

    def __getitem__(self, i: int) -> dict[str, Any]:
        return {"x": torch.full((2,), float(i)), "i": i, "name": f"s{i}"}


class Counting(IterableDataset):
    def __iter__(self) -> Iterator[int]:
        return iter(range(5))


def test_a_data_set_of_dictionaries_is_collated() -> None:
    batches = list(DataLoader(Squares(), batch_size=2, num_workers=2, persistent_workers=True))
    assert [b["i"].tolist() for b in batches] == [[0, 1], [2, 3], [4]]
    assert batches[0]["x"].shape == (2, 2)
    assert batches[0]["name"] == ["s0", "s1"]


def test_an_iterable_data_set_is_loaded_as_it_comes() -> None:
    assert [b.tolist() for b in DataLoader(Counting(), 2)] == [[0, 1], [2, 3], [4]]
    assert [b.tolist() for b in DataLoader(Counting(), 2, drop_last=True)] == [[0, 1], [2, 3]]
    assert list(DataLoader(ChainDataset([Counting(), Counting()]), None)) == [*range(5)] * 2
    with pytest.raises(ArgumentError):
        DataLoader(Counting(), shuffle=True)


def test_stacked_data_sets_give_tuples_or_dictionaries() -> None:
    numbers, letters = [1, 2, 3], "abc"
    assert StackDataset(numbers, letters)[1] == (2, "b")
    assert StackDataset(n=numbers, c=letters)[2] == {"n": 3, "c": "c"}
    assert len(StackDataset(numbers)) == 3
    for parts in ([], [numbers, "ab"]):
        with pytest.raises(ArgumentError):
            StackDataset(*parts)


def test_what_a_subclass_does_not_define_is_an_error() -> None:
    with pytest.raises(TypeError, match="__len__"):
        len(Dataset())
    with pytest.raises(NotImplementedError, match="__getitem__"):
        Dataset()[0]
    with pytest.raises(NotImplementedError, match="__iter__"):
        iter(Sampler())


def test_a_sampler_of_ones_own_decides_the_order() -> None:
    class Backwards(Sampler):
        def __init__(self, n: int) -> None:
            self.n = n

        def __iter__(self) -> Iterator[int]:
            return iter(range(self.n - 1, -1, -1))

        def __len__(self) -> int:
            return self.n

    data = TensorDataset(torch.arange(4))
    loader = DataLoader(data, 2, sampler=Backwards(4))
    assert [x.tolist() for (x,) in loader] == [[3, 2], [1, 0]]
    batches = BatchSampler(SequentialSampler(range(4)), 3, False)
    assert [x.tolist() for (x,) in DataLoader(data, batch_sampler=batches)] == [[0, 1, 2], [3]]


@pytest.mark.parametrize(
    "sampler",
    [
        RandomSampler(range(50)),
        SubsetRandomSampler(range(50)),
        WeightedRandomSampler([1.0] * 50, 50),
    ],
    ids=lambda s: type(s).__name__,
)
def test_samplers_follow_manual_seed_and_differ_between_epochs(sampler: Any) -> None:
    torch.manual_seed(1)
    first, second = list(sampler), list(sampler)
    torch.manual_seed(1)
    assert list(sampler) == first != second
    assert len(sampler) == len(first) == 50


def test_shuffling_follows_manual_seed() -> None:
    loader = DataLoader(TensorDataset(torch.arange(50)), 50, shuffle=True)
    torch.manual_seed(2)
    ((first,),) = loader
    torch.manual_seed(2)
    ((again,),) = loader
    assert first.tolist() == again.tolist() != sorted(first.tolist())


class Momentum(torch.optim.Optimizer):
    """SGD with momentum, written as programs write it."""

    def __init__(self, params: Any, lr: float) -> None:
        super().__init__(params, {"lr": lr})

    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if len(state) == 0:
                    state["step"] = 0
                    state["velocity"] = torch.zeros_like(p.data)
                state["step"] += 1
                state["velocity"].mul_(0.9).add_(p.grad.data)
                p.data.add_(state["velocity"], alpha=-group["lr"])


def steps(optimizer: Any, p: Any, n: int) -> None:
    for _ in range(n):
        optimizer.zero_grad()
        (p * p).sum().backward()
        optimizer.step()


def test_an_optimizer_of_ones_own_runs_and_saves_its_state() -> None:
    p, q = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    mine, theirs = Momentum([p], 0.1), torch.optim.SGD([q], lr=0.1, momentum=0.9)
    steps(mine, p, 5)
    steps(theirs, q, 5)
    np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=1e-6)
    twin = torch.nn.Parameter(p.detach().clone())
    other = Momentum([twin], 0.5)
    other.load_state_dict(mine.state_dict())
    assert other.state[twin]["step"] == 5
    steps(mine, p, 1)
    steps(other, twin, 1)
    assert torch.equal(p, twin)
    with pytest.raises(StateError):
        Momentum([twin, p], 0.1).load_state_dict(mine.state_dict())


def test_every_optimizer_is_one_of_pytorchs() -> None:
    p = torch.nn.Parameter(torch.ones(1))
    assert isinstance(torch.optim.Adam([p]), torch.optim.Optimizer)
    assert isinstance(Momentum([p], 0.1), torch.optim.Optimizer)
    assert not isinstance(torch.optim.Adam([p]), Momentum)
    assert issubclass(torch.optim.SGD, torch.optim.Optimizer)
    schedule = torch.optim.lr_scheduler.StepLR(Momentum([p], 0.1), 1)
    assert isinstance(schedule, torch.optim.lr_scheduler._LRScheduler)


def test_a_mismatched_state_names_keys_and_shapes() -> None:
    state = torch.nn.Linear(3, 2).state_dict()
    state["extra"] = state.pop("bias")
    with pytest.raises(StateError) as failure:
        torch.nn.Linear(4, 2).load_state_dict(state)
    text = str(failure.value)
    for part in ("missing bias", "unexpected extra", "float32[2,4]", "float32[2,3]"):
        assert part in text
