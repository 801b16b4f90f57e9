"""Adam and AdamW."""

from __future__ import annotations

from typing import Unpack

from .. import ops
from ..core.aval import Data
from .hyper import Flags, Group, State, Update, factor, require_betas, require_rates
from .optimizer import Optimizer, Params


class Adam(Optimizer):
    """Steps along the running mean of gradients, scaled by the running mean of their squares.

    m ← β₁ m + (1 - β₁) g;  v ← β₂ v + (1 - β₂) g²;
    θ ← θ - lr m̂ / (√v̂ + ε)  with  m̂ = m / (1 - β₁ᵗ),  v̂ = v / (1 - β₂ᵗ).

    `weight_decay` adds a multiple of θ to g, or acts as in AdamW (`decoupled_weight_decay`); with
    `amsgrad`, v̂ uses the largest v so far; with `maximize`, uphill. D. Kingma, J. Ba, "Adam: a
    method for stochastic optimization",
    arXiv:1412.6980, algorithm 1; amsgrad: S. Reddi et al., "On the convergence of Adam and beyond"
    (ICLR 2018).

    >>> w = tensor([1.0, 1.0], requires_grad=True)
    >>> optimizer = cr.optim.Adam([w], lr=0.1)
    >>> (w * tensor([3.0, 0.01])).sum().backward()
    >>> optimizer.step()  # the first step has length lr, whatever the gradient
    >>> w
    tensor([0.9000, 0.9000], requires_grad=True)
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        **flags: Unpack[Flags],
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "amsgrad": amsgrad,
                "maximize": maximize,
                "decoupled_weight_decay": decoupled_weight_decay,
            },
            flags,
        )

    def check(self, group: Group) -> None:
        require_rates(group, "lr", "eps", "weight_decay")
        require_betas(group)

    def slots(self, group: Group) -> tuple[str, ...]:
        averages = ("step", "exp_avg", "exp_avg_sq")
        return (*averages, "max_exp_avg_sq") if group["amsgrad"] else averages

    def update(self, param: Data, grad: Data, state: State, hyper: Group) -> Update:
        return adam(param, grad, state, hyper)


class AdamW(Adam):
    """Adam with decoupled weight decay: θ ← (1 - lr λ) θ before the step, and g stays as it is.

    I. Loshchilov, F. Hutter, "Decoupled weight decay regularization", arXiv:1711.05101,
    algorithm 2.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        **flags: Unpack[Flags],
    ) -> None:
        super().__init__(
            params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize,
            decoupled_weight_decay=True, **flags,
        )  # fmt: skip


def adam(param: Data, grad: Data, state: State, hyper: Group) -> Update:
    """One step of Adam, or with decoupled weight decay of AdamW.

    Augmented assignments change only arrays made here: a third less time on large parameters than
    with a new array for each operation. On traced values they mean the plain operators.
    """
    beta1, beta2 = hyper["betas"]
    lr, weight_decay = hyper["lr"], hyper["weight_decay"]
    if hyper["maximize"]:
        grad = -grad
    if weight_decay:
        if hyper["decoupled_weight_decay"]:
            param = param * factor(1.0 - lr * weight_decay, param)
        else:
            grad = grad + param * weight_decay
    step = state["step"] + 1.0
    mean = grad - state["exp_avg"]
    mean *= 1.0 - beta1
    mean += state["exp_avg"]
    squares = grad * grad
    squares *= 1.0 - beta2
    squares += state["exp_avg_sq"] * beta2
    new: State = {"step": step, "exp_avg": mean, "exp_avg_sq": squares}
    if hyper["amsgrad"]:
        squares = new["max_exp_avg_sq"] = ops.maximum(state["max_exp_avg_sq"], squares)
    # Ops, not NumPy's scalars: their power differs in the last bit from that of arrays.
    rate = factor(lr / (1.0 - ops.pow(beta1, step)), param)
    spread = ops.sqrt(squares)
    spread /= factor(ops.sqrt(1.0 - ops.pow(beta2, step)), param)
    spread += hyper["eps"]
    change = mean / spread
    change *= rate
    return param - change, new
