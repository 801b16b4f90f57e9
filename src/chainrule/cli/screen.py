"""The last screen of a training run: model table, accuracy, and gradient norms as sparklines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from ..train import Summary

_BLOCKS: Final = "▁▂▃▄▅▆▇█"
_PREFIX: Final = "gradient_norm/"


def sparkline(values: Sequence[float], width: int = 48) -> str:
    """Numbers as a row of bars, from the least to the largest; each bar is a mean of neighbours.

    A number that is not finite is shown as ``×``.

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
        return "×" * bins
    low, span = min(finite), (max(finite) - min(finite)) or 1.0
    top = len(_BLOCKS) - 1
    return "".join(
        _BLOCKS[round((m - low) / span * top)] if math.isfinite(m) else "×" for m in means
    )


def print_result(folder: Path, record: dict[str, Any], model: Summary) -> None:
    """Show how a run ended."""
    console = Console(highlight=False)
    console.print()
    console.print(model)
    norms = Table(title="gradient norm of each layer over training", title_justify="left")
    for header, side in (("layer", "left"), ("first", "right"), ("", "left"), ("last", "right")):
        norms.add_column(header, justify=side, no_wrap=True)  # type: ignore[arg-type]  # literals
    width = max(8, min(48, console.width - 44))
    for name, values in record["gradient_norms"].items():
        if name.startswith(_PREFIX) and values:
            line = sparkline(values, width)
            layer = name.removeprefix(_PREFIX)
            norms.add_row(layer, f"{values[0]:.3g}", line, f"{values[-1]:.3g}")
    console.print(norms)
    test, train = record["test"], record["train"]
    if record["status"] != "finished":
        console.print(f"[yellow]stopped early: {record['status']}[/yellow]")
    trained = f"{record['epochs']} epochs, {record['steps']} steps, {record['seconds']:.0f} s"
    if "accuracy" in train:
        console.print(
            f"training   {train['accuracy']:.2%} of {train['samples']:,} images, "
            f"loss {train['loss']:.4f}   ({trained})"
        )
    console.print(
        f"[bold]test       {test['accuracy']:.2%} of {test['samples']:,} images[/bold], "
        f"loss {test['loss']:.4f}"
    )
    console.print(f"run        {folder}", soft_wrap=True)
