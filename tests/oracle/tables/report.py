"""Running all tables, and what is said about them: a summary, JSON, a page for the docs."""

from __future__ import annotations

import json
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from . import modules, ops, optimizers
from .entry import Entry

KINDS = ("op", "module", "optimizer", "scheduler")


@dataclass
class Tables:
    """All entries, and how many names are left out of each table for which reason."""

    entries: list[Entry] = field(default_factory=list)
    left_out: dict[str, Counter[str]] = field(default_factory=dict)

    def of(self, kind: str) -> list[Entry]:
        """The entries of one table."""
        return [entry for entry in self.entries if entry.kind == kind]

    def count(self, kind: str, *statuses: str) -> int:
        """How many entries have one of these statuses."""
        return sum(entry.status in statuses for entry in self.of(kind))


def run_all(only: str | None = None, match: str = "") -> Tables:
    """Run the tables; `only` one of KINDS, names that hold `match`."""
    runners: dict[str, tuple[tuple[list[str], Counter[str]], Callable[[str], Entry]]] = {
        "op": (ops.names(), ops.run),
        "module": (modules.names(), modules.run),
        "optimizer": (optimizers.names(), optimizers.run),
        "scheduler": ((list(optimizers.SCHEDULERS), Counter()), optimizers.run_scheduler),
    }
    tables = Tables()
    for kind, ((names, left_out), run) in runners.items():
        tables.left_out[kind] = left_out
        if only in (None, kind):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tables.entries += [run(name) for name in names if match in name]
    return tables


def line(tables: Tables, kind: str) -> str:
    """One table in one line."""
    entries = tables.of(kind)
    worst = max(entries, key=lambda entry: entry.worst, default=None)
    return (
        f"{kind}s: {len(entries)} counted, {len(entries) - tables.count(kind, 'absent')} present, "
        f"{tables.count(kind, 'right')} right, {tables.count(kind, 'random')} random (shape, "
        f"dtype and range agree), {tables.count(kind, 'wrong')} wrong, "
        f"{sum(e.samples for e in entries)} samples, "
        f"{sum(e.checks for e in entries)} checks"
        + (f", worst error {worst.worst:.1e} ({worst.name})" if worst else "")
    )


def skips(tables: Tables) -> Counter[str]:
    """Samples left out, by reason."""
    return sum((entry.skipped for entry in tables.entries), Counter())


def summary(tables: Tables) -> str:
    """What the tables say, for a terminal."""
    lines = []
    for kind in KINDS:
        lines.append(line(tables, kind))
        left_out = tables.left_out.get(kind)
        if left_out:
            reasons = ", ".join(f"{count} {why}" for why, count in left_out.most_common())
            lines.append(f"  not counted: {reasons}")
        for status in ("absent", "wrong"):
            found = [entry.name for entry in tables.of(kind) if entry.status == status]
            if found:
                lines.append(f"  {status}: {', '.join(found)}")
    left = ", ".join(f"{why}: {count}" for why, count in skips(tables).most_common())
    lines.append(f"samples left out: {left or 'none'}")
    refused = sum(entry.refused for entry in tables.entries)
    lines.append(f"samples that PyTorch itself refuses: {refused}")
    return "\n".join(lines)


def write_json(tables: Tables, path: Path) -> None:
    """Every entry with its counts and its first failure."""
    entries = [{**vars(entry), "skipped": dict(entry.skipped)} for entry in tables.entries]
    data = {"entries": entries, "left_out": tables.left_out}
    path.write_text(json.dumps(data, indent=1), encoding="utf-8")


def counts(tables: Tables) -> str:
    """The table of counts of the page: what a test holds against a run."""
    rows = [
        "| table | counted | present | right | random, in range | wrong | absent |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind in KINDS:
        total, absent = len(tables.of(kind)), tables.count(kind, "absent")
        rows.append(
            f"| {kind}s | {total} | {total - absent} | {tables.count(kind, 'right')} "
            f"| {tables.count(kind, 'random')} | {tables.count(kind, 'wrong')} | {absent} |"
        )
    return "\n".join(rows)


def page(tables: Tables) -> str:
    """``docs/torch_oracle.md``."""
    parts = [
        "# PyTorch's own cases",
        "PyTorch tests itself with tables of cases: OpInfo, ModuleInfo and OptimizerInfo. This page"
        " is what they say about `chainrule.torch`, in float64: values and gradients along random"
        " cotangents, as function, method, operator and in place; modules in training and in"
        " evaluation with the same weights; ten steps of every optimizer configuration and every"
        " scheduler. Right means that every sample which PyTorch itself accepts agrees to 1e-6."
        " Random results agree in shape, element type and range, and count apart. Made by"
        " `python -m tests.oracle.tables --page docs/torch_oracle.md`.",
        counts(tables),
        "What does not count:",
        "\n".join(
            f"- {kind}s: " + ", ".join(f"{n} {why}" for why, n in sorted(left_out.items()))
            for kind, left_out in tables.left_out.items()
            if left_out
        ),
        "Samples left out of entries that count: "
        + (", ".join(f"{why} ({n})" for why, n in sorted(skips(tables).items())) or "none")
        + ".",
    ]
    for status in ("absent", "wrong"):
        parts.append(f"## {status.capitalize()}")
        for kind in KINDS:
            found = [f"`{e.name}`" for e in tables.of(kind) if e.status == status]
            if found:
                parts.append(f"{kind.capitalize()}s: {', '.join(found)}.")
    return "\n\n".join(parts) + "\n"
