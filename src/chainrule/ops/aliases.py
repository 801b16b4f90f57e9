"""Other names that PyTorch has for the same functions."""

from __future__ import annotations

from . import arithmetic, comparison, derived, elementwise, hyperbolic, scans, selection

__all__ = [
    "absolute", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "clamp",
    "conj", "conj_physical", "divide", "fix", "greater", "greater_equal", "less", "less_equal",
    "multiply", "negative", "not_equal", "resolve_conj", "resolve_neg", "sgn", "subtract", "trapz",
]  # fmt: skip

absolute, negative, divide, multiply, subtract = (
    arithmetic.abs, arithmetic.neg, arithmetic.div, arithmetic.mul, arithmetic.sub,
)  # fmt: skip
arccos, arcsin, arctan, arctan2 = (
    elementwise.acos, elementwise.asin, elementwise.atan, elementwise.atan2,
)  # fmt: skip
arccosh, arcsinh, arctanh = hyperbolic.acosh, hyperbolic.asinh, hyperbolic.atanh
greater, greater_equal, less, less_equal, not_equal = (
    comparison.gt, comparison.ge, comparison.lt, comparison.le, comparison.ne,
)  # fmt: skip
clamp, fix, trapz = selection.clip, comparison.trunc, scans.trapezoid
# Of real numbers, the sign in the complex plane and the conjugate are no more than these.
sgn = comparison.sign
conj = conj_physical = resolve_conj = resolve_neg = derived.real
