"""RMSprop."""

from __future__ import annotations

from typing import Unpack, final

from .. import ops
from ..core.aval import Data
from .hyper import Flags, Group, State, Update, factor, require_rates
from .optimizer import Optimizer, Params


@final
class RMSprop(Optimizer):
    """The gradient over the root of the running mean of its square.

    v ← α v + (1 - α) g²;  θ ← θ - lr g / (√v + ε).

    `centered` subtracts the square of the running mean of g from v: an estimate of the variance.
    With `momentum` μ, b ← μ b + g / (√v + ε) and θ ← θ - lr b. T. Tieleman, G. Hinton, Coursera
    "Neural Networks for Machine Learning", lecture 6.5 (2012); centred: A. Graves,
    arXiv:1308.0850, equations 38–41.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
        **flags: Unpack[Flags],
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "alpha": alpha,
                "eps": eps,
                "weight_decay": weight_decay,
                "momentum": momentum,
                "centered": centered,
                "maximize": maximize,
            },
            flags,
        )

    def check(self, group: Group) -> None:
        require_rates(group, "lr", "alpha", "eps", "weight_decay", "momentum")

    def slots(self, group: Group) -> tuple[str, ...]:
        wanted = {
            "step": True,
            "square_avg": True,
            "momentum_buffer": group["momentum"] > 0,
            "grad_avg": group["centered"],
        }
        return tuple(slot for slot, kept in wanted.items() if kept)

    def update(self, param: Data, grad: Data, state: State, hyper: Group) -> Update:
        return rmsprop(param, grad, state, hyper)


def rmsprop(param: Data, grad: Data, state: State, hyper: Group) -> Update:
    """One step of RMSprop; see the class for the formulas."""
    alpha = hyper["alpha"]
    if hyper["maximize"]:
        grad = -grad
    if hyper["weight_decay"]:
        grad = grad + param * hyper["weight_decay"]
    squares = state["square_avg"] * alpha + grad * grad * (1.0 - alpha)
    new: State = {"step": state["step"] + 1.0, "square_avg": squares}
    if hyper["centered"]:
        mean = state["grad_avg"]
        mean = new["grad_avg"] = mean + (grad - mean) * (1.0 - alpha)
        squares = squares - mean * mean
    change = grad / (ops.sqrt(squares) + hyper["eps"])
    if hyper["momentum"]:
        change = new["momentum_buffer"] = state["momentum_buffer"] * hyper["momentum"] + change
    return param - change * factor(hyper["lr"], param), new
