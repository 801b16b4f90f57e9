"""States of optimizers go from PyTorch to chainrule and back, for every entry of its own table.

Muon is compared at the precision of bfloat16, in which PyTorch makes its steps orthogonal.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.testing._internal.common_optimizers import optim_db

import chainrule as cr
from chainrule import optim

from .compare import rng_for
from .tally import TALLY

TOLERANCE = {"Muon": 1e-2}
SHAPES = {"Muon": ((3, 4), (6, 2))}
CASES = [
    pytest.param(info.optim_cls.__name__, case.kwargs, id=f"{info.optim_cls.__name__}-{case.desc}")
    for info in optim_db
    for case in info.optim_inputs_func(device="cpu")
]


def converted(value: Any) -> Any:
    """Options with PyTorch's tensors as ours."""
    if isinstance(value, torch.Tensor):
        return cr.tensor(value.numpy())
    return tuple(converted(v) for v in value) if isinstance(value, tuple) else value


def as_torch(value: Any) -> Any:
    """A state with our tensors as PyTorch's."""
    if isinstance(value, cr.Tensor):
        return torch.tensor(value.numpy())
    if isinstance(value, dict):
        return {k: as_torch(v) for k, v in value.items()}
    return type(value)(map(as_torch, value)) if isinstance(value, (list, tuple)) else value


class Pair:
    """Both optimizers, on the same losses."""

    def __init__(self, name: str, options: dict[str, Any], label: str) -> None:
        rng = rng_for(label)
        self.name, self.options = name, options
        shapes = SHAPES.get(name, ((3, 4), (5,), (2, 3, 4)))
        arrays = [rng.normal(size=shape) for shape in shapes]
        self.slopes = [rng.normal(size=shape) + 2 for shape in shapes]
        self.mine = [cr.tensor(a, requires_grad=True) for a in arrays]
        self.theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
        self.renew()

    def renew(self) -> None:
        """New optimizers over the same parameters."""
        own = {k: converted(v) for k, v in self.options.items()}
        self.ours = getattr(optim, self.name)(self.mine, **own)
        self.judge = getattr(torch.optim, self.name)(self.theirs, **self.options)

    def step(self) -> None:
        self.ours.step(self._closure)
        self.judge.step(self._judged)

    def _closure(self) -> Any:
        self.ours.zero_grad()
        parts = [
            (cr.sin(p * cr.tensor(a)) ** 2 + 0.1 * (p - 1) ** 4).sum()
            for p, a in zip(self.mine, self.slopes, strict=True)
        ]
        loss = sum(parts[1:], parts[0])
        loss.backward()
        return loss

    def _judged(self) -> Any:
        self.judge.zero_grad()
        parts = [
            (torch.sin(p * torch.tensor(a)) ** 2 + 0.1 * (p - 1) ** 4).sum()
            for p, a in zip(self.theirs, self.slopes, strict=True)
        ]
        loss = sum(parts[1:], parts[0])
        loss.backward()
        if self.name == "SparseAdam":
            for p in self.theirs:
                p.grad = p.grad.to_sparse(1)
        return loss

    def compare(self, what: str) -> None:
        limit = TOLERANCE.get(self.name, 1e-6)
        for i, (p, q) in enumerate(zip(self.mine, self.theirs, strict=True)):
            error = float(np.abs(p.detach().numpy() - q.detach().numpy()).max())
            TALLY.checks += 1
            assert error <= limit, f"{what}, parameter {i}: {error:.3g}"


@pytest.mark.parametrize(("name", "options"), [c for c in CASES if c.values[0] != "LBFGS"])
def test_states_are_exchanged(
    name: str, options: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    """Each goes on from what the other saved."""
    both = Pair(name, options, request.node.callspec.id)
    for _ in range(3):
        both.step()
    ours, theirs = both.ours.state_dict(), both.judge.state_dict()
    for number, cells in theirs["state"].items():
        present = {slot for slot, value in cells.items() if value is not None}
        assert present <= set(ours["state"].get(number, {})), "the layout of the state"
    both.renew()
    both.ours.load_state_dict(theirs)
    both.judge.load_state_dict(as_torch(ours))
    for step in range(3):
        both.step()
        both.compare(f"step {step} after loading")


def test_every_optimizer_of_the_table_is_here() -> None:
    absent = [i.optim_cls.__name__ for i in optim_db if not hasattr(optim, i.optim_cls.__name__)]
    assert not absent
    assert len(optim_db) >= 13
