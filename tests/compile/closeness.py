"""How far compiled results are from the interpreter's, in units in the last place."""

from __future__ import annotations

from typing import Any

import numpy as np


def ulps(got: Any, want: Any, least: float = 0.0) -> float:
    """The largest difference, in units in the last place of the largest finite number expected.

    What is not a float must be equal, and so must the places of NaN and of each infinity: else the
    distance is infinite. `least` is how large the largest number is taken to be at least.
    """
    got, want = np.asarray(got), np.asarray(want)
    if (got.shape, got.dtype) != (want.shape, want.dtype):
        return np.inf
    if want.dtype.kind != "f":
        return 0.0 if np.array_equal(got, want) else np.inf
    finite = np.isfinite(want)
    if not np.array_equal(np.where(finite, 0, want), np.where(finite, 0, got), equal_nan=True):
        return np.inf
    a, b = got[finite], want[finite]
    if not np.isfinite(a).all():
        return np.inf
    apart = np.abs(a.astype(np.longdouble) - b.astype(np.longdouble)).max(initial=0.0)
    about = np.finfo(b.dtype)
    largest = np.abs(b).max(initial=max(least, float(about.tiny)))
    unit = np.ldexp(about.eps.astype(np.longdouble), np.frexp(largest)[1] - 1)
    return float(apart / unit)
