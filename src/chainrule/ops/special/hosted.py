"""What special functions have in common: NumPy computes them, in float64, compiled or not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeAlias

import numpy as np

from ...core.aval import result_dtype
from ...core.families import Elementwise, Unary

Doubles: TypeAlias = "np.ndarray[Any, np.dtype[np.float64]]"


class HostedFunction(Elementwise, abstract=True):
    """An elementwise function computed by ``numeric``, from float64 arrays to a float64 array."""

    floating = True
    numeric: ClassVar[Callable[..., Doubles]]

    def forward(self, *xs: Any) -> Any:
        dtype = result_dtype(xs, floating=True)
        wide = np.broadcast_arrays(*[np.asarray(x, np.float64) for x in xs])
        y = type(self).numeric(*[x.reshape(-1) for x in wide])
        return y.reshape(wide[0].shape).astype(dtype, copy=False)

    def lower(self, k: Any, *xs: Any) -> Any:
        return None


class HostedUnary(HostedFunction, Unary, abstract=True):
    """A hosted function of one number: subclasses give ``numeric`` and ``slope``."""


def horner(x: Doubles, coefficients: Sequence[float]) -> Doubles:
    """Σ cₖ xᵏ, the coefficients from the constant term up."""
    y = np.full_like(x, coefficients[-1])
    for c in coefficients[-2::-1]:
        y = y * x + c
    return y
