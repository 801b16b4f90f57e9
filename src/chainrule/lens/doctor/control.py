"""The control of a verdict on labels: the same run, with labels drawn at random."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...core.apply import apply
from ...core.op import Op
from ...core.value import Value
from ...tensor import Tensor
from .cures import Trial
from .evidence import digest
from .places import here
from .reading import LAYERS, rows_of


class Relabel(Trial):
    """A control: each sample gets a label drawn for it, the same one every time it comes.

    `labels` are drawn from; a program that learns its own labels no better than these learns
    nothing from its inputs that it could use on others.
    """

    comparable = False

    def __init__(self, labels: Any) -> None:
        super().__init__()
        self.labels = labels
        self.relabelled = False
        """Whether it has found inputs and labels to do so."""
        self._data: list[Any] = []
        self._last: tuple[Any, Any] = (None, None)

    def replaced(self, op: Op, operands: Sequence[Any]) -> Any:
        arrays = [x.array if isinstance(x, Value) else x for x in operands]
        if op.name in LAYERS:
            self._data += [
                a
                for a, x in zip(arrays, operands, strict=True)
                if isinstance(a, np.ndarray) and not (isinstance(x, Value) and x.node is not None)
            ]
            return None
        _, loss = here()
        target = None if loss is None else loss.f_locals.get("target")
        if not isinstance(target, Value) or not any(x is target.array for x in arrays):
            return None
        labels = self._labels(target.array)
        if labels is None:
            return None
        return apply(op, *(
            Tensor.wrap(labels) if array is target.array else x
            for x, array in zip(operands, arrays, strict=True)
        ))  # fmt: skip

    def _labels(self, target: Any) -> Any:
        """Other labels for a batch, and the same ones each time that a loss asks for them."""
        if self._last[0] is not target:
            found = (rows_of(x, len(target)) for x in self._data if target.ndim)
            rows = next((x for x in found if x is not None), None)
            self._data.clear()
            if rows is None or self.labels.shape[1:] != target.shape[1:]:
                return None
            drawn = [int.from_bytes(digest(row), "big") % len(self.labels) for row in rows]
            self._last = (target, self.labels[drawn].astype(target.dtype))
            self.relabelled = True
        return self._last[1]
