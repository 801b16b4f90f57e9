"""The transcendental functions by name, and how accurate they are."""

from __future__ import annotations

from collections.abc import Callable

from . import error_functions, exponentials, trigonometry
from .lanes import Lanes

TRANSCENDENTAL: dict[str, Callable[..., Lanes]] = {
    "exp": exponentials.exp,
    "expm1": exponentials.expm1,
    "log": exponentials.log,
    "log1p": exponentials.log1p,
    "log2": exponentials.log2,
    "log10": exponentials.log10,
    "sigmoid": exponentials.sigmoid,
    "tanh": exponentials.tanh,
    "sinh": exponentials.sinh,
    "cosh": exponentials.cosh,
    "erf": error_functions.erf,
    "erfc": error_functions.erfc,
    "normal_cdf": error_functions.normal_cdf,
    "gelu_slope": error_functions.gelu_slope,
    "sin": trigonometry.sin,
    "cos": trigonometry.cos,
    "tan": trigonometry.tan,
    "asin": trigonometry.asin,
    "acos": trigonometry.acos,
    "atan": trigonometry.atan,
    "atan2": trigonometry.atan2,
    "hypot": trigonometry.hypot,
}
"""Functions of float32 and float64 values, scalars or vectors; all operands of one type."""

_SINGLE = {
    "exp": 1.0, "expm1": 2.0, "log": 1.0, "log1p": 1.5, "log2": 2.0, "log10": 2.0, "pow": 1.0,
    "sigmoid": 2.0, "tanh": 1.5, "sinh": 1.0, "cosh": 1.0, "erf": 2.0, "erfc": 5.0,
    "normal_cdf": 5.0, "sin": 1.5, "cos": 1.5, "tan": 1.0, "asin": 1.0, "acos": 1.0, "atan": 1.0,
    "atan2": 1.0, "hypot": 1.0,
}  # fmt: skip
_DOUBLE = {
    "exp": 1.0, "expm1": 2.0, "log": 1.0, "log1p": 1.5, "log2": 2.0, "log10": 2.0, "pow": 1.0,
    "sigmoid": 2.0, "tanh": 1.5, "sinh": 2.5, "cosh": 2.0, "erf": 1.5, "erfc": 2.5, "sin": 1.0,
    "cos": 1.0, "tan": 1.5, "asin": 1.0, "acos": 1.0, "atan": 1.0, "atan2": 1.5, "hypot": 1.0,
}  # fmt: skip
ULP: dict[tuple[str, str], float] = {
    **{(name, "float32"): bound for name, bound in _SINGLE.items()},
    **{(name, "float64"): bound for name, bound in _DOUBLE.items()},
}
"""How far results may be from the true value, in units in the last place, by name and dtype.

On every target, for every argument; where the true value is below the normal numbers, units are
those of the least normal number. The tests hold this. What has no entry: normal_cdf in float64 is
within x² rounding errors, gelu_slope within 3 rounding errors of one, also where it is small. In
float64, pow, sinh, cosh, erf, erfc, hypot and all of trigonometry are the C library's, and the
bounds are those of glibc.
"""
