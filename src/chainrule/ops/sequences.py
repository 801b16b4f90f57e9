"""What recurrent layers share: their sizes, their gates, and how their rules run back over time.

On arrays the backward loop is an op, in NumPy; on tensors (create_graph=True) it is the same loop
made of ops, which can be differentiated again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.apply import apply
from ..core.aval import Data, describe, shape_of
from ..core.families import Constant
from ..core.value import Value
from ..errors import ShapeError
from . import contract, joining, movement

SIZES = (
    (1, 1, 1), (1, 2, 3), (2, 1, 2), (3, 2, 1), (3, 2, 2), (4, 1, 3), (2, 3, 2), (5, 1, 1),
    (2, 0, 2), (2, 4, 1), (4, 2, 2), (1, 1, 4),
)  # fmt: skip
"""Steps, batch and hidden units to sample recurrent ops at."""


class Backward(Constant, abstract=True):
    """A loop backward over time, on arrays. Tensors take ``reference``, which is differentiable.

    `given` says which outputs of the layer have a cotangent; those come first among the operands.
    """

    given: tuple[bool, ...]
    promotes = True
    floating = True

    def cotangents(self, xs: Sequence[Any]) -> tuple[list[Any], Sequence[Any]]:
        """The cotangents, None for those not given, and the other operands."""
        rest = list(xs)
        return [rest.pop(0) if given else None for given in self.given], rest


def through_time(op: Backward, cts: Sequence[Data | None], residuals: Sequence[Data]) -> Any:
    """Run `op` for the cotangents that are given: as one op on arrays, as many ops on tensors."""
    operands = [*(ct for ct in cts if ct is not None), *residuals]
    if any(isinstance(x, Value) for x in operands):
        return op.reference(*operands)
    return apply(op, *operands)


def check_sizes(
    name: str, gates: int, z: Any, states: Sequence[Any], w: Any
) -> tuple[int, int, int]:
    """Steps T, batch N, hidden units H of z (T, N, gates·H), states (N, H) and w (gates·H, H)."""
    shape, wanted = shape_of(z), shape_of(states[0])
    if (
        len(shape) != 3
        or shape[0] == 0
        or len(wanted) != 2
        or shape[1:] != (wanted[0], gates * wanted[1])
        or any(shape_of(s) != wanted for s in states)
        or shape_of(w) != (gates * wanted[1], wanted[1])
    ):
        raise ShapeError(
            f"{name} needs a sequence of at least one step, and states and weights that fit",
            expected=f"states (N, H), projected inputs (T, N, {gates}H), weights ({gates}H, H)",
            got="   ".join(map(describe, (*states, z, w))),
        )
    return shape[0], wanted[0], wanted[1]


def cut(gates: Data, count: int) -> list[Data]:
    """The gates of one step (N, count·H), cut into (N, H) each."""
    hidden = gates.shape[1] // count
    return [gates[:, k * hidden : (k + 1) * hidden] for k in range(count)]


def plus(total: Data | None, term: Data | None, like: Data) -> Data:
    """The sum of what there is of two terms; zeros of the shape of `like` if there is neither."""
    if total is None:
        return np.zeros(like.shape, like.dtype) if term is None else term
    return total if term is None else total + term


def weight_cotangent(dz: Data, first: Data, states: Data) -> Data:
    """W̄ = Σ_t z̄_tᵀ h_{t-1}, as one matrix product over all steps."""
    steps, batch, width = dz.shape
    before = joining.concatenate([movement.unsqueeze(first, 0), states[: steps - 1]], 0)
    left = movement.reshape(dz, (steps * batch, width))
    right = movement.reshape(before, (steps * batch, first.shape[1]))
    return apply(contract.MatMul(True, False), left, right)
