"""Adafactor."""

from __future__ import annotations

import math
from typing import Any, Unpack, final

import numpy as np

from .. import ops
from ..core.aval import Data
from .hyper import Flags, Group, State, Update, factor, require_rates
from .optimizer import Optimizer, Params


@final
class Adafactor(Optimizer):
    """Adam's scaling with the memory of a row and a column: mean squares are kept factored.

    v̂ = r cᵀ / mean(r), with r and c running means of the gradient's squares over columns and rows
    (of vectors, v itself), decayed by β₂ₜ = 1 - t^`beta2_decay`. The update u = g / √v̂ is divided
    by max(1, rms(u) / d), and the rate is min(lr, 1/√t) max(ε₂, rms(θ)). N. Shazeer, M. Stern,
    "Adafactor: adaptive learning rates with sublinear memory cost", arXiv:1804.04235, algorithm 5.

    `eps` is (ε₁, ε₂); ε₁ of None is the dtype's machine epsilon.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        **flags: Unpack[Flags],
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "beta2_decay": beta2_decay,
                "eps": eps,
                "d": d,
                "weight_decay": weight_decay,
                "maximize": maximize,
            },
            flags,
        )

    def check(self, group: Group) -> None:
        require_rates(group, "lr", "weight_decay")
        require_rates({"-beta2_decay": -group["beta2_decay"]}, "-beta2_decay")
        require_rates({"d - 1": group["d"] - 1}, "d - 1")
        rates = {"eps[0]": group["eps"][0] or 0.0, "eps[1]": group["eps"][1]}
        require_rates(rates, "eps[0]", "eps[1]")

    def slots(self, group: Group) -> tuple[str, ...]:
        return ("step", "row_var", "col_var")

    def slots_of(self, param: Data, group: Group) -> tuple[str, ...]:
        return self.slots(group) if param.ndim > 1 else ("step", "variance")

    def start(self, slot: str, param: Data, group: Group) -> Data:
        if slot == "row_var":
            return np.zeros((*param.shape[:-1], 1), param.dtype)
        if slot == "col_var":
            return np.zeros((*param.shape[:-2], 1, param.shape[-1]), param.dtype)
        return super().start(slot, param, group)

    def update(self, param: Data, grad: Data, state: State, hyper: Group) -> Update:
        return adafactor(param, grad, state, hyper)


def adafactor(param: Data, grad: Data, state: State, hyper: Group) -> Update:
    """One step of Adafactor; see the class for the formulas."""
    lr, (eps, least) = hyper["lr"], hyper["eps"]
    eps = float(np.finfo(param.dtype).eps) if eps is None else eps
    if hyper["maximize"]:
        grad = -grad
    step = state["step"] + 1.0
    new: State = {"step": step}
    share = factor(ops.pow(step, hyper["beta2_decay"]), param)
    rate = ops.minimum(1.0 / ops.sqrt(step), lr)
    scale = ops.cast(ops.maximum(_rms(param), least), step.dtype)
    if hyper["weight_decay"]:
        param = param * factor(1.0 - lr * hyper["weight_decay"], param)
    squares = grad * grad
    if grad.ndim > 1:
        rows = new["row_var"] = _moved(state["row_var"], ops.mean(squares, -1, True), share)
        columns = new["col_var"] = _moved(state["col_var"], ops.mean(squares, -2, True), share)
        variance = rows * columns / ops.maximum(ops.mean(rows, -2, True), eps)
    else:
        variance = new["variance"] = _moved(state["variance"], squares, share)
    change = grad * ops.rsqrt(ops.maximum(variance, eps * eps))
    cut = ops.maximum(_rms(change) / hyper["d"], 1.0)
    return param - change * (factor(rate * scale, param) / cut), new


def _moved(mean: Data, value: Data, share: Data) -> Data:
    return mean + (value - mean) * share


def _rms(x: Any) -> Data:
    """The root of the mean square."""
    return ops.sqrt(ops.sum(x * x) / float(max(1, math.prod(x.shape))))
