"""The state of a variant between its calls: arrays that its program reads, and some that it writes.

An array is a value: whoever holds one must never see it change. So memory that is to be written
belongs to one cell alone, which is made sure of before each run.
"""

from __future__ import annotations

from collections.abc import Callable
from sys import getrefcount
from typing import TYPE_CHECKING, Any, final

import numpy as np

from ..core.aval import Aval
from ..core.value import Value
from ..runtime.slots import HELD_ONCE, Slots
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
        self._first_written = len(self.cells) - layout.replaced if in_place else count
        """The number of the first array that is written, as all behind it are."""
        self._slots = Slots(Value, count + len(self.buffers), watched=in_place)
        self._unchanged = self._slots.unchanged

    def take(self) -> list[Array] | None:
        """The arrays of the cells and of the gradients, put in order; None if one has changed kind.

        Whoever runs the program must hold them: another thread may put others in their place.
        """
        arrays = [cell.array for cell in self.cells]
        if self.buffers:
            try:
                arrays += [p._grad.array for p in self.buffers]
            except AttributeError:  # there is no gradient
                arrays = []
        if self._unchanged():
            return arrays
        arrays.clear()  # they would count as somebody who holds them
        return self._settle()

    def _settle(self) -> list[Array] | None:
        """Take the arrays as they are now; None if one of a cell has another shape or dtype.

        Memory that is to be written and that somebody else holds, too, is replaced by a copy, a
        gradient that somebody holds by a new one.
        """
        arrays = []
        for i, cell in enumerate(self.cells):
            array = self._taken(i, i, cell)
            if array is None:
                return None
            arrays.append(array)
        count = len(self.cells)
        for n, p in enumerate(self.buffers):
            i, k, gradient = count + n, count + 2 * n, p._grad
            aval = self.avals[i]
            if gradient is None or getrefcount(gradient) != HELD_ONCE:
                gradient = p._grad = Tensor.wrap(np.zeros(aval.shape, aval.dtype))
            array = self._taken(i, k + 1, gradient)
            if array is None:
                gradient.array = np.zeros(aval.shape, aval.dtype)
                array = self._taken(i, k + 1, gradient)
            arrays.append(array)
            self._slots.note(k, p, "_grad", gradient, 1)
        return arrays

    def _taken(self, i: int, k: int, holder: Value) -> Any:
        """A cell's array as input i, its own if it is written, None if unfit; record k knows it."""
        array, written = holder.array, i >= self._first_written
        alone = getrefcount(array) == HELD_ONCE
        if not fits(array, self.avals[i]):
            return None
        if self._slots.holds(k, array) and (alone or not written):
            return array
        ready = self._prepare(i, array)
        own = alone and array.base is None and array.flags.writeable
        if ready is array and written and not own:
            ready = self._prepare(i, array.copy(order="K"))
        holder.array = ready
        self._slots.note(k, holder, "array", ready, _HELD if written else 0)
        return ready


def fits(array: Array, aval: Aval) -> bool:
    """Whether an array has a shape and a dtype."""
    return bool(array.shape == aval.shape and array.dtype == aval.dtype)


_HELD = 2
"""References to an array that a cell holds, and the list of what is about to be run with."""
