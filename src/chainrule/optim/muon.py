"""Muon."""

from __future__ import annotations

import math
from typing import final

from .. import ops
from ..core.aval import Data, describe
from ..errors import ArgumentError
from .hyper import Group, State, Update, factor, require, require_rates
from .optimizer import Optimizer, Params


@final
class Muon(Optimizer):
    """Momentum made orthogonal: for matrices, the step has all its singular values near one.

    b ← μ b + (1 - μ) g; the matrix b (with `nesterov`, μ b + (1 - μ) g) is divided by its norm and
    goes through `ns_steps` Newton-Schulz steps x ← a x + (b x xᵀ + c (x xᵀ)²) x, which drive its
    singular values towards one. `adjust_lr_fn` scales the rate of an m × n matrix by √max(1, m/n)
    (``"original"``) or 0.2 √max(m, n) (``"match_rms_adamw"``). Weight decay is decoupled.
    K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024).

    PyTorch does the Newton-Schulz steps in bfloat16; here they are in the parameter's dtype.
    Raises ArgumentError for a parameter that is no matrix.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "weight_decay": weight_decay,
                "momentum": momentum,
                "nesterov": nesterov,
                "ns_coefficients": ns_coefficients,
                "eps": eps,
                "ns_steps": ns_steps,
                "adjust_lr_fn": adjust_lr_fn,
            },
        )

    def check(self, group: Group) -> None:
        require_rates(group, "lr", "momentum", "weight_decay", "eps")
        known = (None, "original", "match_rms_adamw")
        require(group["adjust_lr_fn"] in known, f"adjust_lr_fn one of {known}",
                group["adjust_lr_fn"])  # fmt: skip
        for p in group["params"]:
            if not isinstance(p, int) and p.ndim != 2:
                raise ArgumentError(
                    "Muon is for matrices", got=describe(p), hint="give the others to AdamW"
                )

    def slots(self, group: Group) -> tuple[str, ...]:
        return ("momentum_buffer",)

    def update(self, param: Data, grad: Data, state: State, hyper: Group) -> Update:
        return muon(param, grad, state, hyper)


def muon(param: Data, grad: Data, state: State, hyper: Group) -> Update:
    """One step of Muon; see the class for the formulas."""
    momentum, lr, (m, n) = hyper["momentum"], hyper["lr"], param.shape
    mean = state["momentum_buffer"]
    mean = mean + (grad - mean) * (1.0 - momentum)
    along = grad + (mean - grad) * momentum if hyper["nesterov"] else mean
    step = _orthogonal(along, hyper["ns_coefficients"], hyper["ns_steps"], hyper["eps"])
    size = math.sqrt(max(1.0, m / n))
    if hyper["adjust_lr_fn"] == "match_rms_adamw":
        size = 0.2 * math.sqrt(max(m, n))
    if hyper["weight_decay"]:
        param = param * factor(1.0 - lr * hyper["weight_decay"], param)
    return param - step * factor(lr * size, param), {"momentum_buffer": mean}


def _orthogonal(x: Data, coefficients: tuple[float, ...], steps: int, eps: float) -> Data:
    """x with its singular values driven towards one."""
    a, b, c = coefficients
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = ops.transpose(x, 0, 1)
    x = x / ops.maximum(ops.sqrt(ops.sum(x * x)), eps)
    for _ in range(steps):
        gram = ops.matmul(x, ops.transpose(x, 0, 1))
        x = x * a + ops.matmul(gram * b + ops.matmul(gram, gram) * c, x)
    return ops.transpose(x, 0, 1) if tall else x
