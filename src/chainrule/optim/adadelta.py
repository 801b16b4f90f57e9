"""Adadelta."""

from __future__ import annotations

from typing import Unpack, final

from .. import ops
from ..core.aval import Data
from .hyper import Flags, Group, State, Update, factor, require, require_rates, with_decay
from .optimizer import Optimizer, Params


@final
class Adadelta(Optimizer):
    """The gradient in units of the parameter: over its running size, times that of past changes.

    v ← ρ v + (1 - ρ) g²;  Δ = √(u + ε) / √(v + ε) · g;  u ← ρ u + (1 - ρ) Δ²;  θ ← θ - lr Δ.

    M. Zeiler, "ADADELTA: an adaptive learning rate method", arXiv:1212.5701, algorithm 1.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        **flags: Unpack[Flags],
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "rho": rho,
                "eps": eps,
                "weight_decay": weight_decay,
                "maximize": maximize,
            },
            flags,
        )

    def check(self, group: Group) -> None:
        require_rates(group, "lr", "rho", "eps", "weight_decay")
        require(group["rho"] <= 1, "0 <= rho <= 1", group["rho"])

    def slots(self, group: Group) -> tuple[str, ...]:
        return ("step", "square_avg", "acc_delta")

    def update(self, param: Data, grad: Data, state: State, hyper: Group) -> Update:
        return adadelta(param, grad, state, hyper)


def adadelta(param: Data, grad: Data, state: State, hyper: Group) -> Update:
    """One step of Adadelta; see the class for the formulas."""
    rho, eps = hyper["rho"], hyper["eps"]
    param, grad = with_decay(param, grad, hyper)
    squares = state["square_avg"] * rho + grad * grad * (1.0 - rho)
    change = ops.sqrt(state["acc_delta"] + eps) / ops.sqrt(squares + eps) * grad
    changes = state["acc_delta"] * rho + change * change * (1.0 - rho)
    new = {"step": state["step"] + 1.0, "square_avg": squares, "acc_delta": changes}
    return param - change * factor(hyper["lr"], param), new
