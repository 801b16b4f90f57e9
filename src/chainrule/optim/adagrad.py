"""Adagrad."""

from __future__ import annotations

from typing import Unpack, final

import numpy as np

from .. import ops
from ..core.aval import Data
from .hyper import Flags, Group, State, Update, factor, require_rates
from .optimizer import Optimizer, Params


@final
class Adagrad(Optimizer):
    """The gradient over the root of the sum of all its squares so far.

    s ← s + g²;  θ ← θ - lr / (1 + (t - 1) η) · g / (√s + ε),  with η the `lr_decay`.

    J. Duchi, E. Hazan, Y. Singer, "Adaptive subgradient methods for online learning and stochastic
    optimization", JMLR 12 (2011), the diagonal form.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
        **flags: Unpack[Flags],
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "lr_decay": lr_decay,
                "weight_decay": weight_decay,
                "initial_accumulator_value": initial_accumulator_value,
                "eps": eps,
                "maximize": maximize,
            },
            flags,
        )

    def check(self, group: Group) -> None:
        require_rates(group, "lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps")

    def slots(self, group: Group) -> tuple[str, ...]:
        return ("step", "sum")

    def start(self, slot: str, param: Data, group: Group) -> Data:
        if slot == "sum":
            return np.full(param.shape, group["initial_accumulator_value"], param.dtype)
        return super().start(slot, param, group)

    def update(self, param: Data, grad: Data, state: State, hyper: Group) -> Update:
        return adagrad(param, grad, state, hyper)


def adagrad(param: Data, grad: Data, state: State, hyper: Group) -> Update:
    """One step of Adagrad; see the class for the formula."""
    if hyper["maximize"]:
        grad = -grad
    if hyper["weight_decay"]:
        grad = grad + param * hyper["weight_decay"]
    total = state["sum"] + grad * grad
    rate = factor(hyper["lr"] / (state["step"] * hyper["lr_decay"] + 1.0), param)
    new = {"step": state["step"] + 1.0, "sum": total}
    return param - grad / (ops.sqrt(total) + hyper["eps"]) * rate, new
