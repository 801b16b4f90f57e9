"""The last screen of a training run: model table, accuracy, and gradient norms as sparklines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from ..train import Summary
from .output import count

_BLOCKS: Final = "▁▂▃▄▅▆▇█"
_ASCII_BLOCKS: Final = "_.:-=+*#"
_PREFIX: Final = "gradient_norm/"
_WIDEST: Final = 48
_FRAME: Final = 13
"""Columns that the borders of a table of four columns take."""


def sparkline(values: Sequence[float], width: int = _WIDEST, blocks: str = _BLOCKS) -> str:
    """Numbers as a row of bars, from the least to the largest; each bar is a mean of neighbours.

    A number that is not finite is shown as ``x``.

    >>> sparkline([1.0, 2.0, 3.0, 4.0], width=4)
    '▁▃▆█'
    """
    n = len(values)
    bins = min(n, width)
    means = []
    for i in range(bins):
        part = values[i * n // bins : (i + 1) * n // bins]
        means.append(sum(part) / len(part))
    finite = [m for m in means if math.isfinite(m)]
    if not finite:
        return "x" * bins
    low, span = min(finite), (max(finite) - min(finite)) or 1.0
    top = len(blocks) - 1
    return "".join(
        blocks[round((m - low) / span * top)] if math.isfinite(m) else "x" for m in means
    )


def print_result(folder: Path, record: dict[str, Any], model: Summary) -> None:
    """Show how a run ended."""
    console = Console(highlight=False, markup=False)
    console.print()
    console.print(model)
    console.print("gradient norm of each layer", style="italic", soft_wrap=True)
    console.print(_norms(record["gradient_norms"], console))
    test, train = record["test"], record["train"]
    if record["status"] != "finished":
        console.print(f"stopped early: {record['status']}", style="yellow", soft_wrap=True)
    trained = (
        f"{count(record['epochs'], 'epoch')}, {count(record['steps'], 'step')}, "
        f"{record['seconds']:.0f} s"
    )
    if "accuracy" in train:
        console.print(
            f"training   {train['accuracy']:.2%} of {count(train['samples'], 'image')}, "
            f"loss {train['loss']:.4f}   ({trained})"
        )
    else:
        console.print(f"training   {trained}")
    console.print(
        f"test       {test['accuracy']:.2%} of {count(test['samples'], 'image')}, "
        f"loss {test['loss']:.4f}",
        style="bold",
    )
    if "robust" in record:
        robust = record["robust"]
        console.print(
            f"attacked   {robust['fgsm']:.2%} under FGSM, {robust['pgd']:.2%} under PGD, "
            f"ε = {robust['eps']:g}, of {count(robust['samples'], 'image')}"
        )
    console.print(f"run        {folder}", soft_wrap=True)


def _norms(series: dict[str, list[float]], console: Console) -> Table:
    """The first and the last gradient norm of each layer, and a sparkline as wide as fits."""
    rows = [
        (name.removeprefix(_PREFIX), f"{values[0]:.3g}", values, f"{values[-1]:.3g}")
        for name, values in series.items()
        if name.startswith(_PREFIX) and values
    ]
    table = Table()
    for header, side in (("layer", "left"), ("first", "right"), ("", "left"), ("last", "right")):
        table.add_column(header, justify=side, no_wrap=True)  # type: ignore[arg-type]  # literals
    taken = [max((len(row[i]) for row in rows), default=0) for i in (0, 1, 3)]
    free = console.width - _FRAME - sum(max(5, width) for width in taken)
    blocks = _BLOCKS if _can_encode(console.encoding) else _ASCII_BLOCKS
    for layer, first, values, last in rows:
        table.add_row(layer, first, sparkline(values, max(1, min(_WIDEST, free)), blocks), last)
    return table


def _can_encode(encoding: str) -> bool:
    try:
        _BLOCKS.encode(encoding)
    except (UnicodeError, LookupError):
        return False
    return True
