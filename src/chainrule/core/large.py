"""Where operations on large arrays go: the seam for the compiler, which is above this package."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .op import Op

_ndarray = np.ndarray


class Large:
    """Who computes operations, and rules, on large arrays.

    The compiler, which is above this in the import ladder, puts its own functions here.
    """

    @staticmethod
    def run(op: Op, arrays: list[Any]) -> Any:
        """``op.forward(*arrays)``."""
        return op.forward(*arrays)

    @staticmethod
    def run_rule(op: Op, ct: Any, xs: Any, y: Any, active: Sequence[object]) -> Sequence[Any]:
        """``op.vjp(ct, xs, y, active)``."""
        return op.vjp(ct, xs, y, active)


large = Large()


def is_large(op: Op, arrays: Iterable[Any]) -> bool:
    """Whether one of the operands is a large array, for this op."""
    for a in arrays:  # noqa: SIM110  any() of a generator takes three times as long
        if type(a) is _ndarray and a.size > op.large:
            return True
    return False


def rule(op: Op, ct: Any, xs: Any, y: Any, active: Sequence[object]) -> Sequence[Any]:
    """``op.vjp(ct, xs, y, active)``, for what ``large`` makes of it if it is large."""
    if is_large(op, ct if op.n_out is not None else (ct,)):
        return large.run_rule(op, ct, xs, y, active)
    return op.vjp(ct, xs, y, active)
