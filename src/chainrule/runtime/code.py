"""Generated code, before it is compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Code(NamedTuple):
    """The text of a module with one function ``@kernel(table, slots, lo, hi)``, and its tiles.

    A call does the tiles lo … hi-1 of `tiles`. Tiles write to places of their own, so any thread
    may do any tile; what a tile computes does not depend on how many threads there are.
    """

    text: str
    tiles: int


class Source(NamedTuple):
    """Code that need not be written if it is in the cache.

    Equal keys stand for equal code: the key says all that the code is written from.
    """

    key: str
    write: Callable[[], Code]
