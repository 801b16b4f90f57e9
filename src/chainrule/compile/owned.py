"""The state of a variant between its calls: arrays that its program reads, and some that it writes.

An array is a value: whoever holds one must never see it change. So memory that is to be written
belongs to one cell alone, which is made sure of before each run.
"""

from __future__ import annotations

from collections.abc import Callable
from sys import getrefcount
from typing import TYPE_CHECKING, final

import numpy as np

from ..core.aval import Aval
from ..core.value import Value
from ..runtime.slots import Slots
from ..tensor import Tensor
from .layout import Layout

if TYPE_CHECKING:
    from .executable import Array


@final
class Owned:
    """The arrays of a layout's cells, and of the gradients in whose memory new ones are written.

    `prepare` is that of the variant's executable. One that does not work `in_place` writes none.
    """

    def __init__(
        self, layout: Layout, prepare: Callable[[int, Array], Array], *, in_place: bool
    ) -> None:
        self.cells = layout.cells
        self.buffers = layout.buffers if in_place else []
        count = len(self.cells) + len(self.buffers)
        self.avals = [v.aval for v in layout.inputs[:count]]
        self._prepare = prepare
        self._first = len(self.cells) - layout.replaced if in_place else count
        """The number of the first array that is written, as all behind it are."""
        self._slots = Slots(Value, count + len(self.buffers), watched=in_place)
        self.unchanged = self._slots.unchanged
        """Whether all is as ``settle`` left it; a cheap question. If it says no, ``settle``."""

    def arrays(self) -> list[Array]:
        """The arrays as they are now: those of the cells, and those of the gradients."""
        state = [cell.array for cell in self.cells]
        if self.buffers:
            state += [p._grad.array for p in self.buffers]
        return state

    def settle(self) -> bool:
        """Take the arrays as they are now; False if one of a cell has another shape or dtype.

        Memory that is to be written and that somebody else holds, too, is replaced by a copy, a
        gradient that somebody holds by a new one.
        """
        if not all(fits(x.array, aval) for x, aval in zip(self.cells, self.avals, strict=False)):
            return False
        for i, cell in enumerate(self.cells):
            self._take(i, i, cell)
        count = len(self.cells)
        for n, p in enumerate(self.buffers):
            i, k = count + n, count + 2 * n
            aval = self.avals[i]
            if p._grad is None or getrefcount(p._grad) != _ALONE:
                p._grad = Tensor.wrap(np.zeros(aval.shape, aval.dtype))
            elif not fits(p._grad.array, aval):
                p._grad.array = np.zeros(aval.shape, aval.dtype)
            self._take(i, k + 1, p._grad)
            self._slots.note(k, p, "_grad", alone=True)
        return True

    def _take(self, i: int, k: int, holder: Value) -> None:
        """Let a cell's array be input i, prepared and its own if it is written; record k knows."""
        written = i >= self._first
        alone = getrefcount(holder.array) == _ALONE
        if self._slots.holds(k, holder.array) and (alone or not written):
            return
        array = holder.array
        ready = self._prepare(i, array)
        own = alone and array.base is None and array.flags.writeable
        if ready is array and written and not own:
            ready = self._prepare(i, array.copy(order="K"))
        holder.array = ready
        self._slots.note(k, holder, "array", alone=written)


def fits(array: Array, aval: Aval) -> bool:
    """Whether an array has a shape and a dtype."""
    return bool(array.shape == aval.shape and array.dtype == aval.dtype)


_cell = Value.wrap(np.zeros(1))
_ALONE = getrefcount(_cell.array)
"""What getrefcount says of what a cell alone holds."""
