"""Gamma-distributed numbers and their derivative with respect to the shape parameter."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import ops
from ..autodiff import Function
from ..core.value import recording
from ..ops.special import igamma, igammac, lgamma
from ..tensor import Tensor
from .distribution import uniform_numbers

PROPOSALS = 8
"""How many candidates each number has. At least 95 % are accepted, so all are refused with a
probability below 4e-11; then the most likely value stands in."""


def standard_gamma(concentration: Tensor) -> Tensor:
    """One number of Gamma(a, 1) for each a; dz/da = -∂F(z; a)/∂a / p(z; a), implicitly.

    G. Marsaglia, W. Tsang, "A simple method for generating gamma variables" (2000), with a fixed
    number of candidates in place of a loop, so that it compiles. Below a = 1 a number for a + 1 is
    multiplied by u^(1/a).
    """
    with recording(False):
        drawn = _drawn(concentration.detach())
    return _Gamma.apply(concentration, drawn)


def _drawn(a: Tensor) -> Tensor:
    small = a < 1.0
    d = ops.where(small, a + 1.0, a) - 1.0 / 3.0
    c = 1.0 / (3.0 * d.sqrt())
    x = ops.randn((PROPOSALS, *a.shape), dtype=a.dtype)
    u = uniform_numbers((PROPOSALS, *a.shape), a)
    root = 1.0 + c * x
    v = ops.maximum(root, 1e-30) ** 3
    accepted = (root > 0) & (u.log() < 0.5 * x * x + d - d * v + d * v.log())
    chosen = ops.where(a > 0, 1.0, a)
    for i in reversed(range(PROPOSALS)):
        chosen = ops.where(accepted[i], v[i], chosen)
    boost = uniform_numbers(a.shape, a).log() / a
    return d * chosen * ops.where(small, boost.exp(), 1.0)


class _Gamma(Function):
    """A drawn number as a function of the shape parameter."""

    @staticmethod
    def forward(ctx: Any, concentration: Tensor, drawn: Tensor) -> Tensor:
        ctx.save_for_backward(concentration, drawn)
        return ops.identity(drawn)

    @staticmethod
    def backward(ctx: Any, ct: Tensor) -> Any:
        a, z = ctx.saved_tensors
        return ct * slope(a, z), None


def slope(concentration: Tensor, z: Tensor) -> Tensor:
    """dz/da of a number z of Gamma(a, 1) whose place in the distribution is held.

    ∂F/∂a is a difference of fourth order of the logarithm of whichever of F and 1 - F is smaller,
    in float64: about nine digits.
    """
    wide = np.dtype(np.float64)
    a, x = ops.cast(concentration, wide), ops.cast(z, wide)
    x = ops.maximum(x, 1e-300)
    h = ops.minimum(a, a.sqrt()) * 5e-3
    below = x < a
    shares = [_log_tail(a + h * k, x, below) for k in (-2.0, -1.0, 1.0, 2.0)]
    change = (shares[0] - 8.0 * shares[1] + 8.0 * shares[2] - shares[3]) / (12.0 * h)
    log_density = (a - 1.0) * x.log() - x - lgamma(a)
    ratio = (_log_tail(a, x, below) - log_density).exp()
    # deep in the lower tail F = xᵃ / Γ(a + 1) (1 + O(x)), which has no numbers to subtract
    ratio = ops.where(x < 1e-30, x / a, ratio)
    return ops.cast(ops.where(below, -1.0, 1.0) * ratio * change, concentration.dtype)


def _log_tail(a: Tensor, x: Tensor, below: Tensor) -> Tensor:
    """log F below the mean, log (1 - F) above."""
    series = a * x.log() - lgamma(a + 1.0)
    lower = ops.where(x < 1e-30, series, ops.maximum(igamma(a, x), 1e-300).log())
    return ops.where(below, lower, ops.maximum(igammac(a, x), 1e-300).log())
