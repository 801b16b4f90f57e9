"""Stochastic gradient descent, with momentum and Nesterov's variant."""

from __future__ import annotations

from types import MappingProxyType
from typing import Unpack, final

from .. import ops
from ..core.aval import Data
from .hyper import Flags, Group, State, Update, factor, require, require_rates
from .optimizer import Optimizer, Params


@final
class SGD(Optimizer):
    """θ ← θ - lr g, or with momentum b ← μ b + (1 - τ) g, θ ← θ - lr b (the first b is g).

    g is the gradient plus `weight_decay` times θ; τ is `dampening`. With `nesterov`, the step is
    along g + μ b. With `maximize`, uphill. Momentum: B. Polyak, "Some methods of speeding up the
    convergence of iteration methods" (1964); Nesterov's in the form of I. Sutskever et al., "On the
    importance of initialization and momentum in deep learning" (ICML 2013), as PyTorch writes both.

    >>> w = tensor([1.0], requires_grad=True)
    >>> optimizer = cr.optim.SGD([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.8000], requires_grad=True)
    """

    implied = MappingProxyType({"step": 1.0})

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        **flags: Unpack[Flags],
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
                "maximize": maximize,
            },
            flags,
        )

    def check(self, group: Group) -> None:
        require_rates(group, "lr", "momentum", "weight_decay")
        if group["nesterov"]:
            require(
                group["momentum"] > 0 and group["dampening"] == 0,
                "momentum > 0 and dampening = 0 with nesterov",
                f"momentum={group['momentum']}, dampening={group['dampening']}",
            )

    def slots(self, group: Group) -> tuple[str, ...]:
        if not group["momentum"]:
            return ()
        return ("step", "momentum_buffer") if group["dampening"] else ("momentum_buffer",)

    def update(self, param: Data, grad: Data, state: State, hyper: Group) -> Update:
        return sgd(param, grad, state, hyper)


def sgd(param: Data, grad: Data, state: State, hyper: Group) -> Update:
    """One step of SGD; see the class for the formulas."""
    momentum = hyper["momentum"]
    if hyper["maximize"]:
        grad = -grad
    if hyper["weight_decay"]:
        grad = grad + param * hyper["weight_decay"]
    new: State = {}
    if momentum:
        fresh = grad
        if hyper["dampening"]:
            # The first gradient enters whole: then the step count is 0 and nothing is taken off.
            damping = ops.minimum(state["step"], 1.0) * hyper["dampening"]
            fresh = grad * factor(1.0 - damping, param)
            new["step"] = state["step"] + 1.0
        buffer = new["momentum_buffer"] = state["momentum_buffer"] * momentum + fresh
        grad = grad + buffer * momentum if hyper["nesterov"] else buffer
    return param - grad * factor(hyper["lr"], param), new
