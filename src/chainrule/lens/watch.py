"""``watch``: one line that measures the health of a model in a user's own loop."""

from __future__ import annotations

from ..nn.module import Module
from ..optim.optimizer import Optimizer
from ..train.watching import Reading, Watch

__all__ = ["Reading", "Watch", "watch"]


def watch(model: Module, optimizer: Optimizer) -> Watch:
    """Measure every step of `optimizer` from now on, eager or compiled; see ``Watch``.

    Call ``advance(loss)`` after a step to keep its numbers; ``detach()`` ends it. A step that was
    compiled before is traced once more.

    >>> model = cr.nn.Sequential(cr.nn.Linear(2, 4), cr.nn.ReLU(), cr.nn.Linear(4, 1))
    >>> optimizer = cr.optim.SGD(model.parameters(), lr=0.1)
    >>> health = watch(model, optimizer)
    >>> loss = model(ones(3, 2)).mean()
    >>> loss.backward()
    >>> optimizer.step()
    >>> health.advance(loss.item())
    >>> sorted(health.reading().ratio)
    ['0.bias', '0.weight', '2.bias', '2.weight']
    """
    return Watch(model, optimizer)
