"""Rprop."""

from __future__ import annotations

from typing import Unpack, final

import numpy as np

from .. import ops
from ..core.aval import Data
from .hyper import Flags, Group, State, Update, require, require_rates
from .optimizer import Optimizer, Params


@final
class Rprop(Optimizer):
    """Steps by the sign of the gradient only, each element with a step size of its own.

    The size grows by η₊ while the sign stays and shrinks by η₋ when it changes; then the element
    rests for one step. For gradients of all the data. M. Riedmiller, H. Braun, "A direct adaptive
    method for faster backpropagation learning: the RPROP algorithm" (ICNN 1993).
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50.0),
        *,
        maximize: bool = False,
        **flags: Unpack[Flags],
    ) -> None:
        super().__init__(
            params,
            {"lr": lr, "etas": etas, "step_sizes": step_sizes, "maximize": maximize},
            flags,
        )

    def check(self, group: Group) -> None:
        require_rates(group, "lr")
        minus, plus = group["etas"]
        require(0 < minus < 1 < plus, "0 < etas[0] < 1 < etas[1]", group["etas"])

    def slots(self, group: Group) -> tuple[str, ...]:
        return ("step", "prev", "step_size")

    def start(self, slot: str, param: Data, group: Group) -> Data:
        if slot == "step_size":
            return np.full(param.shape, float(group["lr"]), param.dtype)
        return super().start(slot, param, group)

    def update(self, param: Data, grad: Data, state: State, hyper: Group) -> Update:
        return rprop(param, grad, state, hyper)


def rprop(param: Data, grad: Data, state: State, hyper: Group) -> Update:
    """One step of Rprop; see the class for what it does."""
    (minus, plus), (least, most) = hyper["etas"], hyper["step_sizes"]
    if hyper["maximize"]:
        grad = -grad
    agreement = grad * state["prev"]
    turned = ops.lt(agreement, 0.0)
    size = state["step_size"]
    kept = ops.where(ops.gt(agreement, 0.0), size * plus, size)
    size = ops.minimum(ops.maximum(ops.where(turned, size * minus, kept), least), most)
    grad = ops.where(turned, 0.0, grad)
    new = {"step": state["step"] + 1.0, "prev": grad, "step_size": size}
    return param - ops.sign(grad) * size, new
