"""The workloads in PyTorch: as its tutorials write them, and with each of its ways to go faster."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from .workloads import MOMENTUM, WEIGHT_DECAY, Arrays, Batch, Program, Workload


def build(
    workload: Workload,
    data: list[Batch],
    weights: Arrays,
    *,
    compiled: bool = False,
    channels_last: bool = False,
    fused: bool = False,
    whole: bool = False,
    explicit: bool = False,
) -> Program:
    """The training step.

    `compiled` puts ``torch.compile`` around model and loss, `channels_last` changes the layout of
    images and convolutions, `fused` asks for the one-kernel optimizer, `whole` compiles the
    optimizer as well, and `explicit` writes attention out instead of calling
    ``scaled_dot_product_attention``.
    """
    model = workload.network(nn, explicit_attention if explicit else attention)
    model.load_state_dict({key: torch.from_numpy(value) for key, value in weights.items()})
    layout = torch.channels_last if channels_last else torch.contiguous_format
    model = model.to(memory_format=layout)
    parameters = list(model.parameters())
    options = {"fused": True} if fused else {}
    # A rate that is a number would be compiled into the update.
    lr = torch.tensor(workload.lr) if whole else workload.lr
    optimizer: torch.optim.Optimizer
    if workload.optimizer == "SGD":
        optimizer = torch.optim.SGD(
            parameters, lr=lr, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY, **options
        )
    else:
        optimizer = torch.optim.Adam(parameters, lr=lr, **options)
    criterion = getattr(F, workload.loss)

    def loss_of(x: Any, y: Any) -> Any:
        return criterion(model(x), y)

    update = optimizer.step
    if compiled:
        loss_of = torch.compile(loss_of)
    if whole:
        update = torch.compile(update)

    def step(batch: Any) -> Any:
        optimizer.zero_grad()
        loss = loss_of(*batch)
        loss.backward()
        update()
        return loss.detach()

    def forward(batch: Any) -> Any:
        with torch.no_grad():
            return loss_of(*batch)

    def gradients(batch: Any) -> Any:
        optimizer.zero_grad()
        loss = loss_of(*batch)
        loss.backward()
        return (loss.detach(),)

    tensors = []
    for x, y in data:
        image = torch.from_numpy(x)
        if workload.images:
            image = image.to(memory_format=layout)
        tensors.append((image, torch.from_numpy(y)))
    return Program(tensors, step, forward, gradients, lambda loss: loss.item())


def attention(q: Any, k: Any, v: Any) -> Any:
    """Causal attention by PyTorch's own function."""
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


def explicit_attention(q: Any, k: Any, v: Any) -> Any:
    """Causal attention written out."""
    context, width = q.shape[-2:]
    later = torch.ones(context, context, dtype=torch.bool).triu(1)
    scores = (q @ k.transpose(-2, -1)) * (1 / math.sqrt(width))
    return scores.masked_fill(later, -math.inf).softmax(-1) @ v
