"""The tables that ``versus.py`` prints, in Markdown."""

from __future__ import annotations

from typing import Any

Row = dict[str, Any]


def render(rows: list[Row]) -> str:
    """Ratios beside what they must be, then the figures of every contestant, then what failed."""
    parts = [ratio_table(rows), *(details(row) for row in rows)]
    return "\n\n".join(parts)


def table(head: list[str], lines: list[list[str]]) -> str:
    """Columns as wide as their widest cell: the first to the left, the others to the right."""
    widths = [max(len(line[i]) for line in [head, *lines]) for i in range(len(head))]

    def show(cells: list[str]) -> str:
        first, *rest = (
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return "| " + " | ".join([first, *rest]) + " |"

    rule = "|" + "|".join("-" * (width + 1) + (":" if i else "-") for i, width in enumerate(widths))
    return "\n".join([show(head), rule + "|", *map(show, lines)])


def number(value: float | None, unit: str = "") -> str:
    """Three significant digits, or a dash."""
    if value is None:
        return "-"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:.{digits}f}{unit}"


def megabytes(count: int | None) -> str:
    """Bytes as megabytes."""
    return number(None if count is None else count / 1e6)


def ratio_table(rows: list[Row]) -> str:
    """How many times faster chainrule is."""
    head = [
        "chainrule is faster than", "PyTorch as written", "PyTorch tuned", "JAX", "best peer",
        "must", "holds", "eager: PyTorch eager",
    ]  # fmt: skip
    lines = []
    for row in rows:
        ratios = row["ratios"]
        cells = [number(ratios[key], "×") for key in ("as_written", "tuned", "jax", "best_peer")]
        lines.append([row["workload"], *cells, must(row), holds(row), number(ratios["eager"], "×")])
    return table(head, lines)


def must(row: Row) -> str:
    """The factors to reach, over PyTorch as written and over the best of all tuned peers."""
    named = {"as_written": "as written", "tuned": "best peer"}
    wanted = [f"{row['must'][k]:g}× {text}" for k, text in named.items() if row["must"][k]]
    return ", ".join(wanted) or "-"


def holds(row: Row) -> str:
    """Whether all factors are reached; a dash if there are none, or a peer did not take part."""
    pairs = [(row["must"]["as_written"], row["ratios"]["as_written"]),
             (row["must"]["tuned"], row["ratios"]["best_peer"])]  # fmt: skip
    asked = [(goal, measured) for goal, measured in pairs if goal is not None]
    measured_all = all(measured is not None for _, measured in asked)
    if not asked or not measured_all or not row["ratios"]["all_peers"]:
        return "-"
    return "yes" if all(measured >= goal for goal, measured in asked) else "no"


def details(row: Row) -> str:
    """The figures of one workload, and a line for each contestant that has none."""
    head = [
        row["workload"], "median ms", "best ms", "CPU ms", "peak MB", "process MB",
        "second process MB", "build, first step s", "from cache s", "the step alone s",
        "backward : forward", "losses differ",
    ]  # fmt: skip
    lines, notes = [], []
    for peer, result in row["results"].items():
        if "failed" in result:
            notes.append(f"{row['workload']}: {peer}: {result['failed']}")
        if "median_ms" not in result:
            continue
        lines.append(
            [
                peer,
                number(result["median_ms"]),
                number(result["best_ms"]),
                number(result["cpu_ms"]),
                megabytes(result.get("peak_bytes")),
                megabytes(result.get("total_bytes")),
                megabytes(result.get("warm_total_bytes")),
                number(result["cold_seconds"]),
                number(result.get("warm_seconds")),
                number(result.get("warm_step_seconds")),
                number(result.get("backward_to_forward")),
                f"{result['worst_difference']:.0e}",
            ]
        )
    text = table(head, lines) if lines else ""
    return "\n".join(part for part in (text, *notes) if part)
