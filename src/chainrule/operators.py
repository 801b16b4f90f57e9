"""Python's operators: shared by every class of values, and the same on each.

The four commonest go to the door themselves: a call less is a tenth of a small operation's cost.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

from . import ops
from .core.apply import apply
from .ops.arithmetic import ADD, DIV, MUL, SUB


class Operators:
    """Mixin with Python's operators, indexing and iteration. It holds nothing."""

    __slots__ = ()

    shape: Any
    dtype: Any
    ndim: Any

    def _view(self, result: Self) -> Self:
        """Hook for classes that want to know which results stand for a part of another value."""
        return result

    def _own(self, result: Any) -> Self:
        """A result whose first operand may not be a value: with this one among them, it is."""
        return result  # type: ignore[no-any-return]  # apply returns the class of its values

    def __add__(self, other: Any) -> Self:
        return apply(ADD, self, other)

    def __radd__(self, other: Any) -> Self:
        return self._own(apply(ADD, other, self))

    def __sub__(self, other: Any) -> Self:
        return apply(SUB, self, other)

    def __rsub__(self, other: Any) -> Self:
        return self._own(apply(SUB, other, self))

    def __mul__(self, other: Any) -> Self:
        return apply(MUL, self, other)

    def __rmul__(self, other: Any) -> Self:
        return self._own(apply(MUL, other, self))

    def __truediv__(self, other: Any) -> Self:
        return apply(DIV, self, other)

    def __rtruediv__(self, other: Any) -> Self:
        return self._own(apply(DIV, other, self))

    def __floordiv__(self, other: Any) -> Self:
        return ops.floor_divide(self, other)

    def __rfloordiv__(self, other: Any) -> Self:
        return self._own(ops.floor_divide(other, self))

    def __mod__(self, other: Any) -> Self:
        return ops.remainder(self, other)

    def __rmod__(self, other: Any) -> Self:
        return self._own(ops.remainder(other, self))

    def __pow__(self, other: Any) -> Self:
        return ops.pow(self, other)

    def __rpow__(self, other: Any) -> Self:
        return self._own(ops.pow(other, self))

    def __divmod__(self, other: Any) -> tuple[Self, Self]:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> tuple[Self, Self]:
        return other // self, other % self

    def __matmul__(self, other: Any) -> Self:
        return ops.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Self:
        return self._own(ops.matmul(other, self))

    def __neg__(self) -> Self:
        return ops.neg(self)

    def __pos__(self) -> Self:
        return self

    def __abs__(self) -> Self:
        return ops.abs(self)

    def __invert__(self) -> Self:
        return ops.bitwise_not(self)

    def __and__(self, other: Any) -> Self:
        return ops.bitwise_and(self, other)

    def __rand__(self, other: Any) -> Self:
        return self._own(ops.bitwise_and(other, self))

    def __or__(self, other: Any) -> Self:
        return ops.bitwise_or(self, other)

    def __ror__(self, other: Any) -> Self:
        return self._own(ops.bitwise_or(other, self))

    def __lshift__(self, other: Any) -> Self:
        return ops.bitwise_left_shift(self, other)  # type: ignore[no-any-return]  # as self

    def __rshift__(self, other: Any) -> Self:
        return ops.bitwise_right_shift(self, other)  # type: ignore[no-any-return]  # as self

    def __rlshift__(self, other: Any) -> Self:
        return self._own(ops.bitwise_left_shift(other, self))

    def __rrshift__(self, other: Any) -> Self:
        return self._own(ops.bitwise_right_shift(other, self))

    def __xor__(self, other: Any) -> Self:
        return ops.bitwise_xor(self, other)

    def __rxor__(self, other: Any) -> Self:
        return self._own(ops.bitwise_xor(other, self))

    def __eq__(self, other: Any) -> Self:  # type: ignore[override]  # elementwise, as in NumPy
        return NotImplemented if other is None else ops.eq(self, other)

    def __ne__(self, other: Any) -> Self:  # type: ignore[override]  # elementwise, as in NumPy
        return NotImplemented if other is None else ops.ne(self, other)

    def __lt__(self, other: Any) -> Self:
        return ops.lt(self, other)

    def __le__(self, other: Any) -> Self:
        return ops.le(self, other)

    def __gt__(self, other: Any) -> Self:
        return ops.gt(self, other)

    def __ge__(self, other: Any) -> Self:
        return ops.ge(self, other)

    __hash__ = object.__hash__

    def __getitem__(self, key: Any) -> Self:
        return self._view(ops.index(self, key))

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a zero-dimensional tensor has no length")
        return int(self.shape[0])

    def __iter__(self) -> Iterator[Self]:
        return iter(ops.unbind(self))
