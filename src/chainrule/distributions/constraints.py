"""Sets that parameters and values of distributions belong to: each can check a tensor."""

from __future__ import annotations

from typing import Any, ClassVar, final

from .. import ops
from ..tensor import Tensor


class Constraint:
    """A set. ``check`` says of each element, or of each event of `event_dim` axes, if it is in."""

    is_discrete: ClassVar[bool] = False
    event_dim: int = 0

    def check(self, value: Tensor) -> Any:
        """Whether the values are in the set; boolean."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return type(self).__name__.lstrip("_")


@final
class _Real(Constraint):
    def check(self, value: Tensor) -> Any:
        return ops.logical_not(ops.isnan(value))


class _Within(Constraint):
    """Numbers between bounds, which belong to the set or not."""

    def __init__(
        self, low: Any = None, high: Any = None, *, open_low: bool = False, open_high: bool = False
    ) -> None:
        self.lower_bound, self.upper_bound = low, high
        self._open = open_low, open_high

    def check(self, value: Tensor) -> Any:
        inside = ops.logical_not(ops.isnan(value))
        if self.lower_bound is not None:
            low = self.lower_bound
            inside = inside & ((value > low) if self._open[0] else (value >= low))
        if self.upper_bound is not None:
            high = self.upper_bound
            inside = inside & ((value < high) if self._open[1] else (value <= high))
        return inside

    def __repr__(self) -> str:
        low = "-inf" if self.lower_bound is None else _shown(self.lower_bound)
        high = "inf" if self.upper_bound is None else _shown(self.upper_bound)
        before, after = "(["[not self._open[0]], ")]"[not self._open[1]]
        return f"a number in {before}{low}, {high}{after}"


@final
class _Integer(_Within):
    is_discrete = True

    def check(self, value: Tensor) -> Any:
        return super().check(value) & (ops.floor(value) == value)

    def __repr__(self) -> str:
        return super().__repr__().replace("a number", "an integer")


@final
class _Simplex(Constraint):
    event_dim = 1

    def check(self, value: Tensor) -> Any:
        return (value >= 0).all(-1) & ((value.sum(-1) - 1).abs() < 1e-6 * max(1, value.shape[-1]))


@final
class _OneHot(Constraint):
    is_discrete = True
    event_dim = 1

    def check(self, value: Tensor) -> Any:
        return ((value == 0) | (value == 1)).all(-1) & (value.sum(-1) == 1)


@final
class _Counts(Constraint):
    """Vectors of counts that add up to a number."""

    is_discrete = True
    event_dim = 1

    def __init__(self, total: Any) -> None:
        self.upper_bound = total

    def check(self, value: Tensor) -> Any:
        return (value >= 0).all(-1) & (value.sum(-1) == self.upper_bound)


@final
class _LowerCholesky(Constraint):
    event_dim = 2

    def check(self, value: Tensor) -> Any:
        n = value.ndim
        triangular = (ops.tril(value) == value).all((n - 2, n - 1))
        return triangular & (ops.diagonal(value, 0, -2, -1) > 0).all(-1)


@final
class _PositiveDefinite(Constraint):
    event_dim = 2

    def check(self, value: Tensor) -> Any:
        n = value.ndim
        turned = ops.transpose(value, -1, -2)
        symmetric = ((value - turned).abs() <= 1e-6 * (1 + value.abs())).all((n - 2, n - 1))
        return symmetric & (ops.linalg.cholesky_ex(value).info == 0)


@final
class _Independent(Constraint):
    """A set of each element, that all elements of an event must be in."""

    def __init__(self, base: Constraint, reinterpreted_batch_ndims: int) -> None:
        self.base_constraint = base
        self.reinterpreted_batch_ndims = reinterpreted_batch_ndims
        self.event_dim = base.event_dim + reinterpreted_batch_ndims

    def check(self, value: Tensor) -> Any:
        inside = self.base_constraint.check(value)
        if self.reinterpreted_batch_ndims:
            inside = inside.all(tuple(range(-self.reinterpreted_batch_ndims, 0)))
        return inside

    def __repr__(self) -> str:
        return f"{self.base_constraint!r}, everywhere"


def _shown(bound: Any) -> str:
    return str(bound.tolist()) if isinstance(bound, Tensor) else str(bound)


def independent(base: Constraint, reinterpreted_batch_ndims: int) -> Constraint:
    """Events all of whose elements are in `base`."""
    return _Independent(base, reinterpreted_batch_ndims)


def interval(low: Any, high: Any) -> Constraint:
    """low <= x <= high."""
    return _Within(low, high)


def half_open_interval(low: Any, high: Any) -> Constraint:
    """low <= x < high."""
    return _Within(low, high, open_high=True)


def greater_than(low: Any) -> Constraint:
    """x > low."""
    return _Within(low, open_low=True)


def greater_than_eq(low: Any) -> Constraint:
    """x >= low."""
    return _Within(low)


def less_than(high: Any) -> Constraint:
    """x < high."""
    return _Within(None, high, open_high=True)


def integer_interval(low: Any, high: Any) -> Constraint:
    """Integers with low <= x <= high."""
    return _Integer(low, high)


def multinomial(total: Any) -> Constraint:
    """Vectors of counts that add up to `total`."""
    return _Counts(total)


real = _Real()
real_vector = _Independent(real, 1)
positive = greater_than(0.0)
nonnegative = greater_than_eq(0.0)
unit_interval = interval(0.0, 1.0)
boolean = integer_interval(0, 1)
nonnegative_integer = _Integer(0)
positive_integer = _Integer(1)
simplex = _Simplex()
one_hot = _OneHot()
lower_cholesky = _LowerCholesky()
positive_definite = _PositiveDefinite()
