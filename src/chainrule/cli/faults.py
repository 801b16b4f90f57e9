"""The benchmark of seeded faults: every program examined in a process of its own, and counted."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click

from ..errors import DataError
from ..lens.doctor import CODES
from .output import print_json

_FAILED = "failed"
"""Stands among the findings of a healthy program that could not be examined to its end."""


def run_benchmark(where: Path, *, as_json: bool, try_all: bool, jobs: int, seconds: float) -> int:
    """Examine every program that the manifests at `where` list; 1 if a verdict is wrong."""
    entries = [(path, entry) for path in _manifests(where) for entry in _entries(path)]
    rows = []
    with ThreadPoolExecutor(jobs) as pool:
        made = pool.map(lambda found: _row(where, found[0], found[1], try_all, seconds), entries)
        for row in made:
            rows.append(row)
            click.echo(_line(row), err=as_json)
    by_split: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_split.setdefault(row["split"], []).append(row)
    splits = {name: scores(part) for name, part in by_split.items()}
    total = scores(rows)
    if as_json:
        print_json({"splits": splits, "all": total, "programs": rows})
    else:
        click.echo("\n".join(_summary(splits, total)))
    return 0 if not total["wrong"] else 1


def _manifests(where: Path) -> list[Path]:
    """A manifest, or those of a folder and of its subfolders."""
    found = [where] if where.is_file() else []
    if where.is_dir():
        found = sorted(where.glob("manifest.json")) + sorted(where.glob("*/manifest.json"))
    if not found:
        raise DataError("there is no such manifest", got=str(where))
    return found


def _entries(manifest: Path) -> list[dict[str, Any]]:
    """The programs that a manifest lists. Raises DataError for any other file."""
    try:
        entries = json.loads(manifest.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as failure:
        raise DataError(f"the manifest is not JSON: {failure}"[:200], got=str(manifest)) from None
    if not isinstance(entries, list) or not all(map(_is_entry, entries)):
        raise DataError(
            "this is no manifest", got=str(manifest),
            expected="a list of objects with file, kind and, for a fault, codes",
        )  # fmt: skip
    return entries


def _is_entry(entry: Any) -> bool:
    return isinstance(entry, dict) and {"file", "kind"} <= entry.keys()


def _row(
    where: Path, manifest: Path, entry: Mapping[str, Any], try_all: bool, seconds: float
) -> dict[str, Any]:
    """Examine one program, and compare what was found with what is there."""
    report = _examined(manifest.parent / entry["file"], try_all, seconds)
    held = manifest.parent.resolve() != (where if where.is_dir() else where.parent).resolve()
    return {"split": manifest.parent.name if held else "open", **judged(entry, report)}


def _examined(program: Path, try_all: bool, seconds: float) -> dict[str, Any]:
    """The doctor's JSON on a program; without findings if it gave none in time."""
    command = [sys.executable, "-m", "chainrule", "doctor", "--json", *(["--try"] * try_all)]
    failure = ""
    try:
        done = subprocess.run(
            [*command, str(program)], capture_output=True, text=True, timeout=seconds, check=False
        )
        return dict(json.loads(done.stdout))
    except subprocess.TimeoutExpired:
        failure = f"no verdict within {seconds:g} s"
    except json.JSONDecodeError:
        failure = (done.stderr.strip().splitlines() or ["no verdict"])[-1]
    return {"findings": [], "error": failure}


def judged(entry: Mapping[str, Any], report: Mapping[str, Any]) -> dict[str, Any]:
    """What was expected of a program, found, missed, and found though it is not there."""
    expected, also = set(entry.get("codes", ())), set(entry.get("also", ()))
    counted = [f for f in report["findings"] if f["severity"] != "note"]
    found = {f["code"] for f in counted}
    healthy = entry["kind"] == "healthy"
    if healthy and report["error"] is not None:
        found.add(_FAILED)
    tried = [f["tried"] for f in counted if f["tried"] and f["code"] in expected | also]
    return {
        "file": entry["file"], "kind": entry["kind"], "expected": sorted(expected),
        "found": sorted(found), "missed": sorted(expected - found),
        "extra": sorted(found - expected - also),
        "errors": sorted(f["code"] for f in counted if f["severity"] == "error"),
        "tried": len(tried), "helped": sum(t["helped"] for t in tried), "error": report["error"],
    }  # fmt: skip


def scores(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Precision, recall and confusions; a finding that also holds counts for neither."""
    right = sum(len(r["expected"]) - len(r["missed"]) for r in rows)
    missed = sum(len(r["missed"]) for r in rows)
    extra = sum(len(r["extra"]) for r in rows)
    healthy = [r for r in rows if r["kind"] == "healthy"]
    confusion: dict[str, dict[str, int]] = {}
    for row in rows:
        for expected in row["expected"] or ["healthy"]:
            counts = confusion.setdefault(expected, {})
            for found in row["found"] or ["nothing"]:
                counts[found] = counts.get(found, 0) + 1
    return {
        "faulty": len(rows) - len(healthy), "healthy": len(healthy),
        "precision": right / max(1, right + extra), "recall": right / max(1, right + missed),
        "false_alarms": [r["file"] for r in rows if r["extra"]],
        "false_errors": [r["file"] for r in healthy if r["errors"]],
        "remedies_tried": sum(r["tried"] for r in rows),
        "remedies_helped": sum(r["helped"] for r in rows),
        "wrong": [r["file"] for r in rows if r["missed"] or r["extra"]], "confusion": confusion,
    }  # fmt: skip


def _line(row: Mapping[str, Any]) -> str:
    verdict = "ok" if not (row["missed"] or row["extra"]) else "WRONG"
    missed = f"   missed: {', '.join(row['missed'])}" if row["missed"] else ""
    found = ", ".join(row["found"]) or "nothing"
    return f"{verdict:6}{row['split'] + '/' + row['file']:46} {found}{missed}"


def _summary(splits: Mapping[str, Mapping[str, Any]], total: Mapping[str, Any]) -> Iterator[str]:
    """The scores of each split and of all, and what was found where what was there."""
    yield ""
    named = [*splits.items()] if len(splits) > 1 else []
    for name, part in [*named, ("all", total)]:
        yield (
            f"{name:8} {part['faulty']} faulty, {part['healthy']} healthy: precision "
            f"{part['precision']:.1%}, recall {part['recall']:.1%}, "
            f"{len(part['false_alarms'])} with a false alarm, "
            f"{len(part['false_errors'])} healthy with an error"
        )
        if part["remedies_tried"]:
            yield (f"{'':8} remedies tried: {part['remedies_tried']}, of which "
                   f"{part['remedies_helped']} helped")  # fmt: skip
    order = ["healthy", *CODES]
    for name in sorted(total["confusion"], key=order.index):
        found = total["confusion"][name]
        told = ", ".join(f"{k} {v}" for k, v in sorted(found.items(), key=lambda kv: -kv[1]))
        yield f"  {name:18} {told}"
