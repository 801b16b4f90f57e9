"""What generators hand out, by thread: a log lets a function that runs again draw the same."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

from ..errors import GradientError

Pair: TypeAlias = tuple[Any, Any]
"""A key and the number of the first of the blocks that were handed out."""


class _Draws(threading.local):
    """What this thread draws: written into `logs`, and taken from `source` if there is one."""

    logs: tuple[list[Pair], ...] = ()
    source: Iterator[Pair] | None = None


_draws = _Draws()


@contextmanager
def logged_draws() -> Iterator[list[Pair]]:
    """A list that is filled with what all generators hand out to this thread in the block."""
    log: list[Pair] = []
    before = _draws.logs
    _draws.logs = (*before, log)
    try:
        yield log
    finally:
        _draws.logs = before


@contextmanager
def repeated_draws(log: Sequence[Pair]) -> Iterator[None]:
    """In the block, this thread draws again what was logged; generators do not move."""
    before = _draws.logs, _draws.source
    _draws.logs, _draws.source = (), iter(log)
    try:
        yield
    finally:
        _draws.logs, _draws.source = before


def handed_out(reserve: Callable[[], Pair]) -> Pair:
    """The next pair of the log that this thread repeats, or else of ``reserve()``.

    Raises GradientError at the end of the log.
    """
    pair = reserve() if _draws.source is None else next(_draws.source, None)
    if pair is None:
        raise GradientError(
            "a function that runs again in backward draws more random numbers than before",
            hint="checkpoint() and custom_vjp() need functions that do the same every time",
        )
    for log in _draws.logs:
        log.append(pair)
    return pair
