"""In-place methods and augmented operators: each computes a new value and gives it to the cell."""

from __future__ import annotations

from typing import Any, Self

from . import ops
from .operators import Operators


class InPlace(Operators):
    """Mixin of what changes a cell. It holds nothing; the cell says what a change is."""

    __slots__ = ()

    def assign_(self, value: Any) -> Self:
        """Give this cell a new value, broadcast to its shape and cast to its dtype."""
        raise NotImplementedError

    def _adopt(self, new: Any) -> Self:
        """Take over `new`, a computed value that no other cell stands for."""
        raise NotImplementedError

    def _augmented(self, new: Any) -> Self:
        """What the left side of an augmented assignment becomes."""
        return self._adopt(new)

    # Augmented operators ----------------------------------------------------------------------

    def __iadd__(self, other: Any) -> Self:
        return self._augmented(self + other)

    def __isub__(self, other: Any) -> Self:
        return self._augmented(self - other)

    def __imul__(self, other: Any) -> Self:
        return self._augmented(self * other)

    def __itruediv__(self, other: Any) -> Self:
        return self._augmented(self / other)

    def __ifloordiv__(self, other: Any) -> Self:
        return self._augmented(self // other)

    def __imod__(self, other: Any) -> Self:
        return self._augmented(self % other)

    def __ipow__(self, other: Any) -> Self:
        return self._augmented(self**other)

    def __imatmul__(self, other: Any) -> Self:
        return self._augmented(self @ other)

    def __iand__(self, other: Any) -> Self:
        return self._augmented(self & other)

    def __ior__(self, other: Any) -> Self:
        return self._augmented(self | other)

    def __ixor__(self, other: Any) -> Self:
        return self._augmented(self ^ other)

    # Methods ----------------------------------------------------------------------------------

    def add_(self, other: Any, alpha: float = 1) -> Self:
        return self._adopt(self + (other if alpha == 1 else other * alpha))

    def sub_(self, other: Any, alpha: float = 1) -> Self:
        return self._adopt(self - (other if alpha == 1 else other * alpha))

    def mul_(self, other: Any) -> Self:
        return self._adopt(self * other)

    def div_(self, other: Any) -> Self:
        return self._adopt(self / other)

    def clamp_(self, min: Any = None, max: Any = None) -> Self:
        return self._adopt(ops.clip(self, min, max))

    clip_ = clamp_

    def copy_(self, source: Any) -> Self:
        return self.assign_(source)

    def fill_(self, value: Any) -> Self:
        return self.assign_(value)

    def zero_(self) -> Self:
        return self.assign_(0)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._adopt(ops.index_update(self, key, value))
