"""The workloads in chainrule, compiled or eager."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import chainrule as cr
from chainrule import nn, optim

from .workloads import MOMENTUM, WEIGHT_DECAY, Arrays, Batch, Program, Workload


class UnavailableError(Exception):
    """This version of chainrule cannot compile."""


def build(workload: Workload, data: list[Batch], weights: Arrays, *, compiled: bool) -> Program:
    """The training step, written as for PyTorch; `compiled` passes it to ``chainrule.compile``."""
    model = workload.network(nn, attention)
    model.load_state_dict(weights)
    parameters = list(model.parameters())
    optimizer: Any
    if workload.optimizer == "SGD":
        optimizer = optim.SGD(
            parameters, lr=workload.lr, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY
        )
    else:
        optimizer = optim.Adam(parameters, lr=workload.lr)
    loss_of = getattr(nn.functional, workload.loss)

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = loss_of(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    def forward(x: Any, y: Any) -> Any:
        with cr.no_grad():
            return loss_of(model(x), y)

    def gradients(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = loss_of(model(x), y)
        loss.backward()
        return loss

    make = compiler() if compiled else lambda fn: fn
    functions = [make(fn) for fn in (step, forward, gradients)]
    tensors = [(cr.tensor(x), cr.tensor(y)) for x, y in data]
    return Program(tensors, *(spread(fn) for fn in functions), lambda loss: float(loss.item()))


def compiler() -> Callable[[Any], Any]:
    """``chainrule.compile``. Raises UnavailableError where there is none."""
    made: Any = getattr(cr, "compile", None)
    if not callable(made):
        made = getattr(made, "compile", None)
    if made is None:
        raise UnavailableError("this version of chainrule has no compile")
    return made  # type: ignore[no-any-return]


def spread(fn: Callable[..., Any]) -> Callable[[Any], Any]:
    """`fn` of a pair."""
    return lambda batch: fn(*batch)


def attention(q: Any, k: Any, v: Any) -> Any:
    """Softmax of scaled products over the positions up to one's own, times the values."""
    fused = getattr(nn.functional, "scaled_dot_product_attention", None)
    if fused is not None:
        return fused(q, k, v, is_causal=True)
    context, width = q.shape[-2:]
    later = np.triu(np.ones((context, context), bool), 1)
    scores = (q @ k.transpose(-2, -1)) * (1 / math.sqrt(width))
    return nn.functional.softmax(scores.masked_fill(later, -math.inf), -1) @ v
