"""A gate between a trace, during which all tensors hold symbols, and threads that read tensors."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Gate:
    """Any number of threads are inside ``open``, or one is inside ``closed``.

    A thread that is inside already is not held up, so blocks may be nested.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside: dict[int, int] = {}
        """How many blocks each thread is inside of."""
        self._closer: int | None = None

    @contextmanager
    def open(self) -> Iterator[None]:
        """Keep the gate open while the block runs."""
        me = threading.get_ident()
        with self._changed:
            while self._closer not in (None, me) and me not in self._inside:
                self._changed.wait()
            self._inside[me] = self._inside.get(me, 0) + 1
        try:
            yield
        finally:
            with self._changed:
                self._inside[me] -= 1
                if not self._inside[me]:
                    del self._inside[me]
                    self._changed.notify_all()

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Wait until no other thread is inside, and let none in while the block runs."""
        me = threading.get_ident()
        with self._changed:
            while self._closer not in (None, me):
                self._changed.wait()
            before, self._closer = self._closer, me
            while self._inside.keys() - {me}:
                self._changed.wait()
        try:
            yield
        finally:
            with self._changed:
                self._closer = before
                self._changed.notify_all()


tensors = Gate()
"""Closed while tensors hold symbols; threads of ours that read tensors keep it open."""
