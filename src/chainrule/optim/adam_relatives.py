"""Relatives of Adam: NAdam, RAdam, Adamax and SparseAdam."""

from __future__ import annotations

from typing import Unpack, final

import numpy as np

from .. import ops
from ..core.aval import Data
from .hyper import Flags, Group, State, Update, factor, require_betas, require_rates, with_decay
from .optimizer import Optimizer, Params


@final
class NAdam(Optimizer):
    """Adam with Nesterov's momentum, whose weight μₜ = β₁ (1 - ½ 0.96^(t ψ)) grows with time.

    θ ← θ - lr ((1 - μₜ) g / (1 - ∏ᵢ₌₁ᵗ μᵢ) + μₜ₊₁ m / (1 - ∏ᵢ₌₁ᵗ⁺¹ μᵢ)) / (√v̂ + ε), with m, v̂ of
    Adam and ψ the `momentum_decay`. T. Dozat, "Incorporating Nesterov momentum into Adam" (ICLR
    2016 workshop).
    """

    def __init__(
        self,
        params: Params,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
        **flags: Unpack[Flags],
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "momentum_decay": momentum_decay,
                "decoupled_weight_decay": decoupled_weight_decay,
                "maximize": maximize,
            },
            flags,
        )

    def check(self, group: Group) -> None:
        require_rates(group, "lr", "eps", "weight_decay", "momentum_decay")
        require_betas(group)

    def slots(self, group: Group) -> tuple[str, ...]:
        return ("step", "mu_product", "exp_avg", "exp_avg_sq")

    def start(self, slot: str, param: Data, group: Group) -> Data:
        return np.ones(()) if slot == "mu_product" else super().start(slot, param, group)

    def update(self, param: Data, grad: Data, state: State, hyper: Group) -> Update:
        return nadam(param, grad, state, hyper)


def nadam(param: Data, grad: Data, state: State, hyper: Group) -> Update:
    """One step of NAdam; see the class for the formula."""
    lr, (beta1, beta2), psi = hyper["lr"], hyper["betas"], hyper["momentum_decay"]
    param, grad = with_decay(param, grad, hyper)
    step = state["step"] + 1.0
    mu = beta1 * (1.0 - 0.5 * ops.pow(0.96, step * psi))
    mu_next = beta1 * (1.0 - 0.5 * ops.pow(0.96, (step + 1.0) * psi))
    product = state["mu_product"] * mu
    new = {"step": step, "mu_product": product, **averages(grad, state, beta1, beta2)}
    spread = new["exp_avg_sq"] / factor(1.0 - ops.pow(beta2, step), param)
    spread = ops.sqrt(spread) + hyper["eps"]
    now = factor(lr * (1.0 - mu) / (1.0 - product), param)
    ahead = factor(lr * mu_next / (1.0 - product * mu_next), param)
    return param - (grad * now + new["exp_avg"] * ahead) / spread, new


@final
class RAdam(Optimizer):
    """Adam that scales by √v̂ only once the variance of that scale is finite, and corrects for it.

    With ρ∞ = 2 / (1 - β₂) - 1 and ρₜ = ρ∞ - 2 t β₂ᵗ / (1 - β₂ᵗ): while ρₜ <= 5, θ ← θ - lr m̂; then
    θ ← θ - lr m̂ r / √v̂ with r² = (ρₜ - 4)(ρₜ - 2) ρ∞ / ((ρ∞ - 4)(ρ∞ - 2) ρₜ). L. Liu et al.,
    "On the variance of the adaptive learning rate and beyond", arXiv:1908.03265, algorithm 2.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
        **flags: Unpack[Flags],
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "decoupled_weight_decay": decoupled_weight_decay,
                "maximize": maximize,
            },
            flags,
        )

    def check(self, group: Group) -> None:
        require_rates(group, "lr", "eps", "weight_decay")
        require_betas(group)

    def slots(self, group: Group) -> tuple[str, ...]:
        return ("step", "exp_avg", "exp_avg_sq")

    def update(self, param: Data, grad: Data, state: State, hyper: Group) -> Update:
        return radam(param, grad, state, hyper)


def radam(param: Data, grad: Data, state: State, hyper: Group) -> Update:
    """One step of RAdam; see the class for the formulas."""
    beta1, beta2 = hyper["betas"]
    param, grad = with_decay(param, grad, hyper)
    step = state["step"] + 1.0
    new = {"step": step, **averages(grad, state, beta1, beta2)}
    decay = ops.pow(beta2, step)
    limit = 2.0 / (1.0 - beta2) - 1.0
    length = limit - 2.0 * step * decay / (1.0 - decay)
    known = ops.maximum(length, 5.0)  # what is chosen where the variance is not finite must be
    r = (known - 4.0) * (known - 2.0) * limit / (known * ((limit - 4.0) * (limit - 2.0)))
    scale = factor(ops.sqrt(r * (1.0 - decay)), param)
    rectified = scale / (ops.sqrt(new["exp_avg_sq"]) + hyper["eps"])
    rate = factor(hyper["lr"] / (1.0 - ops.pow(beta1, step)), param)
    return param - new["exp_avg"] * rate * ops.where(ops.gt(length, 5.0), rectified, 1.0), new


@final
class Adamax(Optimizer):
    """Adam with the largest decayed gradient in place of the root of the mean square.

    u ← max(β₂ u, |g| + ε);  θ ← θ - lr / (1 - β₁ᵗ) · m / u. arXiv:1412.6980, algorithm 2.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        **flags: Unpack[Flags],
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "maximize": maximize,
            },
            flags,
        )

    def check(self, group: Group) -> None:
        require_rates(group, "lr", "eps", "weight_decay")
        require_betas(group)

    def slots(self, group: Group) -> tuple[str, ...]:
        return ("step", "exp_avg", "exp_inf")

    def update(self, param: Data, grad: Data, state: State, hyper: Group) -> Update:
        return adamax(param, grad, state, hyper)


def adamax(param: Data, grad: Data, state: State, hyper: Group) -> Update:
    """One step of Adamax; see the class for the formulas."""
    beta1, beta2 = hyper["betas"]
    param, grad = with_decay(param, grad, hyper)
    step = state["step"] + 1.0
    mean = state["exp_avg"] + (grad - state["exp_avg"]) * (1.0 - beta1)
    largest = ops.maximum(state["exp_inf"] * beta2, ops.abs(grad) + hyper["eps"])
    rate = factor(hyper["lr"] / (1.0 - ops.pow(beta1, step)), param)
    return param - mean / largest * rate, {"step": step, "exp_avg": mean, "exp_inf": largest}


@final
class SparseAdam(Optimizer):
    """Adam that leaves alone the rows of a parameter whose gradient is zero, with their means.

    Rows are along the first axis, as in an embedding's table. Gradients are stored densely; a row
    takes part in a step if its gradient has an element that is not zero.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "maximize": maximize})

    def check(self, group: Group) -> None:
        require_rates(group, "lr", "eps")
        require_betas(group)

    def slots(self, group: Group) -> tuple[str, ...]:
        return ("step", "exp_avg", "exp_avg_sq")

    def update(self, param: Data, grad: Data, state: State, hyper: Group) -> Update:
        return sparse_adam(param, grad, state, hyper)


def sparse_adam(param: Data, grad: Data, state: State, hyper: Group) -> Update:
    """One step of SparseAdam; see the class for what it does."""
    beta1, beta2 = hyper["betas"]
    if hyper["maximize"]:
        grad = -grad
    present = ops.ne(grad, 0.0)
    if grad.ndim > 1:
        present = ops.any(present, tuple(range(1, grad.ndim)), True)
    step = state["step"] + 1.0
    moved = averages(grad, state, beta1, beta2)
    new = {"step": step, **{k: ops.where(present, x, state[k]) for k, x in moved.items()}}
    rate = ops.sqrt(1.0 - ops.pow(beta2, step)) / (1.0 - ops.pow(beta1, step)) * hyper["lr"]
    change = moved["exp_avg"] / (ops.sqrt(moved["exp_avg_sq"]) + hyper["eps"])
    return param - ops.where(present, change * factor(rate, param), 0.0), new


def averages(grad: Data, state: State, beta1: Data, beta2: Data) -> State:
    """The running means of gradients and of their squares, one step on."""
    mean, squares = state["exp_avg"], state["exp_avg_sq"]
    return {
        "exp_avg": mean + (grad - mean) * (1.0 - beta1),
        "exp_avg_sq": squares * beta2 + grad * grad * (1.0 - beta2),
    }
