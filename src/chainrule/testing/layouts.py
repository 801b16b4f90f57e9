"""The same numbers, stored differently: orders, strides and alignments that an op must not mind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..core.sampling import Draw

Array: TypeAlias = NDArray[Any]


def _strided(x: Array) -> Array:
    """x as every second element of a larger array, along every axis."""
    wide = np.zeros(tuple(2 * n for n in x.shape), x.dtype)
    view = wide[(slice(None, None, 2),) * x.ndim]
    view[...] = x
    return view


def _reversed(x: Array) -> Array:
    """x with negative strides along every axis."""
    back = (slice(None, None, -1),) * x.ndim
    return np.ascontiguousarray(x[back])[back]


def _zero_stride(x: Array) -> Array:
    """The first slice of x along its last axis, broadcast: its strides are zero there."""
    return np.broadcast_to(x[..., :1], x.shape) if x.size else x


def _unaligned(x: Array) -> Array:
    """x at an odd address."""
    raw = np.zeros(x.nbytes + 1, np.uint8)
    view = raw[1:].view(x.dtype) if x.nbytes else np.zeros(0, x.dtype)
    view = view.reshape(x.shape)
    view[...] = x
    return view


LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "Fortran": np.asfortranarray,
    "reversed": _reversed,
    "strided": _strided,
    "zero stride": _zero_stride,
    "unaligned": _unaligned,
}
"""By name; each takes an array with at least one axis."""


def layouts_for(draws: Sequence[Draw]) -> list[tuple[str, Callable[[Array], Array]]]:
    """The layouts that leave inputs in their domain: equal columns would make a matrix singular."""
    matrices = any(draw.kind in ("regular", "definite") for draw in draws)
    return [(n, arrange) for n, arrange in LAYOUTS.items() if not matrices or n != "zero stride"]
