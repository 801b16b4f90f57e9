"""Index keys for a batch: the key that does for all examples at once what a key does for one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..core.aval import Axes, Data, Shape, broadcast_shapes
from . import keys, movement
from .keys import ARRAY, Pattern


class BatchedKey(NamedTuple):
    """A pattern and its arrays for operands with a batch axis in front, and where axes end up.

    The axes `found` of what the pattern reads are the axes `wanted` of the batch of results.
    """

    pattern: Pattern
    arrays: list[Data]
    found: Axes
    wanted: Axes

    def brought(self, y: Data) -> Data:
        """What was read, with the batch axis in front and all others in their order."""
        return movement.movedim(y, self.found, self.wanted)

    def taken(self, x: Data) -> Data:
        """A batch of what one example would read, in the order in which the pattern reads."""
        return movement.movedim(x, self.wanted, self.found)


def batched_key(
    pattern: Pattern, size: int, batched: Sequence[bool], arrays: Sequence[Data]
) -> BatchedKey:
    """The key for a batch of `size`, of index arrays of which some are `batched`."""
    lead = len(broadcast_shapes(*array_shapes(batched, arrays)))
    if not any(batched):
        whole: Pattern = ((0, size, 1), *pattern)
        together = keys.is_basic(pattern) or keys.place_of_arrays(whole) > 0
        return BatchedKey(whole, list(arrays), (0 if together else lead,), (0,))
    examples = np.arange(size).reshape(size, *(1,) * lead)
    aligned = [
        movement.reshape(a, (size, *(1,) * (lead + 1 - a.ndim), *a.shape[1:])) if is_one else a
        for a, is_one in zip(arrays, batched, strict=True)
    ]
    at = 1 + keys.place_of_arrays(pattern)
    found, wanted = tuple(range(1, 1 + lead)), tuple(range(at, at + lead))
    return BatchedKey((ARRAY, *pattern), [examples, *aligned], found, wanted)


def array_shapes(batched: Sequence[bool], arrays: Sequence[Any]) -> list[Shape]:
    """The shapes of index arrays for one example."""
    return [a.shape[1:] if is_one else a.shape for a, is_one in zip(arrays, batched, strict=True)]


def whole(x: Data, size: int, batched: bool) -> Data:
    """An operand with a batch axis in front."""
    return x if batched else movement.expand(x, (size, *x.shape))
