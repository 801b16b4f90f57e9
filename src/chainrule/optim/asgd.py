"""Averaged stochastic gradient descent."""

from __future__ import annotations

from typing import Unpack, final

import numpy as np

from .. import ops
from ..core.aval import Data
from .hyper import Flags, Group, State, Update, factor, require_rates, with_decay
from .optimizer import Optimizer, Params


@final
class ASGD(Optimizer):
    """Gradient descent with a falling rate, and beside it the mean of the parameters since step t₀.

    θ ← (1 - λ η) θ - η g;  a ← a + μ (θ - a);  η ← lr / (1 + λ lr t)^α;  μ ← 1 / max(1, t - t₀).

    The mean is the state ``ax``. B. Polyak, A. Juditsky, "Acceleration of stochastic approximation
    by averaging" (1992).
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        **flags: Unpack[Flags],
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "lambd": lambd,
                "alpha": alpha,
                "t0": t0,
                "weight_decay": weight_decay,
                "maximize": maximize,
            },
            flags,
        )

    def check(self, group: Group) -> None:
        require_rates(group, "lr", "lambd", "alpha", "t0", "weight_decay")

    def slots(self, group: Group) -> tuple[str, ...]:
        return ("step", "eta", "mu", "ax")

    def start(self, slot: str, param: Data, group: Group) -> Data:
        if slot in ("eta", "mu"):
            return np.array(float(group["lr"]) if slot == "eta" else 1.0)
        return super().start(slot, param, group)

    def update(self, param: Data, grad: Data, state: State, hyper: Group) -> Update:
        return asgd(param, grad, state, hyper)


def asgd(param: Data, grad: Data, state: State, hyper: Group) -> Update:
    """One step of ASGD; see the class for the formulas."""
    lr, lambd, eta, mu = hyper["lr"], hyper["lambd"], state["eta"], state["mu"]
    param, grad = with_decay(param, grad, hyper)
    step = state["step"] + 1.0
    param = param * factor(1.0 - eta * lambd, param) - grad * factor(eta, param)
    mean = state["ax"] + (param - state["ax"]) * factor(mu, param)
    new: State = {"step": step, "ax": ops.where(ops.eq(mu, 1.0), param, mean)}
    new["eta"] = lr / ops.pow(step * (lambd * lr) + 1.0, hyper["alpha"])
    new["mu"] = 1.0 / ops.maximum(step - hyper["t0"], 1.0)
    return param, new
