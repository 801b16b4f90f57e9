"""Tables of pandas, polars and others that follow them, as arrays of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..errors import DataError


class Table(NamedTuple):
    """The columns of a frame as float32, ready for a TensorDataset or ``Trainer.fit``."""

    inputs: Any
    """(rows, columns)."""
    targets: Any
    """(rows,), float32 or, for whole numbers, int64; None if no target was named."""
    columns: tuple[str, ...]
    """Names of the columns of `inputs`."""


def from_frame(
    frame: Any, target: str | None = None, *, columns: Sequence[str] | None = None
) -> Table:
    """The numbers of a frame; `target` is the column to predict, `columns` those to predict from.

    Raises DataError for columns that are not there, hold anything but numbers, or have gaps: it
    names each of them.

    >>> from_frame({"a": [1.0, 2.0], "b": [3, 4], "y": [0, 1]}, "y").inputs.shape
    (2, 2)
    """
    names = _names(frame)
    wanted = [name for name in names if name != target] if columns is None else list(columns)
    missing = [n for n in (*wanted, *([] if target is None else [target])) if n not in names]
    if missing:
        raise DataError(
            "the frame has no such column", expected=", ".join(names), got=", ".join(missing)
        )
    if not wanted:
        raise DataError("no column is left to predict from", got=", ".join(names) or "no columns")
    found = {n: _numbers(frame[n]) for n in (*wanted, *([] if target is None else [target]))}
    wrong = [f"{name}: {problem}" for name, x in found.items() if (problem := _problem(x))]
    if wrong:
        raise DataError(
            "not every column holds a number in each row",
            got="; ".join(wrong),
            hint="leave these columns out (columns=…), fill their gaps, or encode them as numbers",
        )
    inputs = np.stack([found[name].astype(np.float32) for name in wanted], axis=1)
    targets = None if target is None else found[target]
    if targets is not None:
        targets = targets.astype(np.int64 if targets.dtype.kind in "biu" else np.float32)
    return Table(inputs, targets, tuple(wanted))


def _names(frame: Any) -> list[str]:
    columns = frame if isinstance(frame, dict) else getattr(frame, "columns", None)
    if columns is None:
        raise DataError("this is not a frame: it has no columns", got=type(frame).__name__)
    return [str(name) for name in columns]


def _numbers(column: Any) -> Any:
    to_numpy = getattr(column, "to_numpy", None)
    return np.asarray(column if to_numpy is None else to_numpy())


def _problem(x: Any) -> str:
    """What is wrong with a column; empty if nothing is."""
    if x.dtype.kind not in "biuf":
        return f"values of type {x.dtype}"
    gaps = int(np.isnan(x).sum()) if x.dtype.kind == "f" else 0
    return f"{gaps} gaps in {len(x)} rows" if gaps else ""
