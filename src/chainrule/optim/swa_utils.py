"""Averages of weights along training: stochastic weight averaging and exponential moving averages.

P. Izmailov et al., "Averaging weights leads to wider optima and better generalization",
arXiv:1803.05407.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from typing import Any, final

import numpy as np

from .. import ops
from ..core.value import recording
from ..creation import ones_like, zeros, zeros_like
from ..errors import ArgumentError
from ..grad_mode import no_grad
from ..nn.module import Module
from ..tensor import Tensor
from .optimizer import Optimizer
from .schedules import LRScheduler

__all__ = [
    "SWALR", "AveragedModel", "get_ema_avg_fn", "get_ema_multi_avg_fn", "get_swa_avg_fn",
    "get_swa_multi_avg_fn", "update_bn",
]  # fmt: skip

Average = Callable[[Tensor, Tensor, Any], Tensor]
"""The new average from the average, a new value and how many values it holds."""
Averages = Callable[[Sequence[Tensor], Sequence[Tensor], Any], None]
"""The same for many tensors; it changes the averages in place."""


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """a ← d a + (1 - d) θ.  Raises ArgumentError unless 0 <= d <= 1."""
    _check_decay(decay)

    def ema(average: Tensor, value: Tensor, number: Any) -> Tensor:
        return average * decay + value * (1.0 - decay)

    return ema


def get_swa_avg_fn() -> Average:
    """a ← a + (θ - a) / (n + 1): the plain mean."""

    def mean(average: Tensor, value: Tensor, number: Any) -> Tensor:
        share = (
            ops.cast(1.0 / (number + 1.0), average.dtype)
            if isinstance(number, Tensor)
            else (1.0 / (number + 1.0))
        )
        return average + (value - average) * share

    return mean


def get_ema_multi_avg_fn(decay: float = 0.999) -> Averages:
    """What ``get_ema_avg_fn`` does, for many tensors."""
    return _for_many(get_ema_avg_fn(decay))


def get_swa_multi_avg_fn() -> Averages:
    """What ``get_swa_avg_fn`` does, for many tensors."""
    return _for_many(get_swa_avg_fn())


def _for_many(rule: Average) -> Averages:
    def update(averages: Sequence[Tensor], values: Sequence[Tensor], number: Any) -> None:
        with recording(False):
            for average, value in zip(averages, values, strict=True):
                average.assign_(rule(average.detach(), value.detach(), number))

    return update


def _check_decay(decay: float) -> None:
    if not 0.0 <= decay <= 1.0:
        raise ArgumentError("a decay is a share", expected="0 <= decay <= 1", got=str(decay))


@final
class AveragedModel(Module):
    """A copy of a model whose parameters are averages of the model's, over calls of
    ``update_parameters``.

    The average is the plain mean, or what `avg_fn` (for one tensor) or `multi_avg_fn` (for all)
    says. The first call copies. With `use_buffers` floating-point buffers are averaged too, else
    they are copied. Updates compile with the step that they are called in.

    >>> net = cr.nn.Linear(1, 1, bias=False)
    >>> average = AveragedModel(net)
    >>> for value in (1.0, 2.0, 6.0):
    ...     _ = net.weight.data.fill_(value)
    ...     average.update_parameters(net)
    >>> average.module.weight.item()
    3.0
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Average | None = None,
        multi_avg_fn: Averages | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise ArgumentError("AveragedModel takes avg_fn or multi_avg_fn, not both")
        self.module = deepcopy(model)
        self.register_buffer("n_averaged", zeros((), dtype=np.dtype(np.int64)))
        self.multi_avg_fn = multi_avg_fn or _for_many(avg_fn or get_swa_avg_fn())
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the averaged model computes."""
        return self.module(*args, **kwargs)

    @no_grad
    def update_parameters(self, model: Module) -> None:
        """Take the model's present parameters into the average."""
        averages: list[Tensor] = list(self.module.parameters())
        values: list[Tensor] = list(model.parameters())
        buffers = zip(self.module.buffers(), model.buffers(), strict=True)
        for average, value in buffers:
            if self.use_buffers and average.dtype.kind == "f":
                averages.append(average)
                values.append(value)
            else:
                average.assign_(value)
        is_first = self.n_averaged == 0
        self.multi_avg_fn(averages, values, self.n_averaged)
        for average, value in zip(averages, values, strict=True):
            average.assign_(ops.where(is_first, value.detach(), average.detach()))
        self.n_averaged.assign_(self.n_averaged + 1)


@no_grad
def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Compute the running statistics of a model's batch normalisations anew, from all of `loader`.

    Batches are tensors, or sequences whose first entry is the model's input.
    """
    layers = [m for m in model.modules() if getattr(m, "running_mean", None) is not None]
    if not layers:
        return
    was_training = model.training
    momenta = [layer.momentum for layer in layers]
    model.train()
    for layer in layers:
        layer.running_mean.assign_(zeros_like(layer.running_mean))
        layer.running_var.assign_(ones_like(layer.running_var))
        if getattr(layer, "num_batches_tracked", None) is not None:
            layer.num_batches_tracked.assign_(zeros_like(layer.num_batches_tracked))
        layer.momentum = None  # the plain mean over all batches
    for batch in loader:
        model(batch[0] if isinstance(batch, (list, tuple)) else batch)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    model.train(was_training)


@final
class SWALR(LRScheduler):
    """From the optimizer's rate to `swa_lr` in `anneal_epochs` steps, and there it stays.

    η = η_swa α + η₀ (1 - α) with α the share of the way, straight (``"linear"``) or along a half
    cosine (``"cos"``).
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float | Sequence[float],
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        if anneal_strategy not in ("cos", "linear"):
            raise ArgumentError("no such strategy", expected="cos or linear", got=anneal_strategy)
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ArgumentError("anneal_epochs is a number of steps", got=repr(anneal_epochs))
        groups = optimizer.param_groups
        rates = [swa_lr] * len(groups) if isinstance(swa_lr, (int, float)) else list(swa_lr)
        if len(rates) != len(groups):
            raise ArgumentError("swa_lr is one number, or one for each group", got=str(len(rates)))
        for group, rate in zip(groups, rates, strict=True):
            group["swa_lr"] = float(rate)
        self.anneal_epochs = anneal_epochs
        self.anneal_strategy = anneal_strategy
        super().__init__(optimizer, last_epoch)

    def rate(self, lr: float, base: float, group: int) -> float:
        goal = self.optimizer.param_groups[group]["swa_lr"]
        step = max(1, self.last_epoch) if self.anneal_epochs == 0 else self.last_epoch
        before, now = self._share(step - 1), self._share(step)
        start = goal if before == 1 else (lr - before * goal) / (1 - before)
        return float(goal * now + start * (1 - now))

    first_rate = rate

    def _share(self, step: int) -> float:
        t = min(1.0, max(0.0, step / max(1, self.anneal_epochs)))
        return t if self.anneal_strategy == "linear" else (1 - math.cos(math.pi * t)) / 2
