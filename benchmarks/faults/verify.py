"""Are the seeded faults faults, do their remedies help, and do the healthy programs learn?

Runs the programs of the manifests, each faulty one also as the patch in its entry (`cure`) mends
it, and compares what they print last: a loss, an error or an accuracy. Needs PyTorch, or
`--chainrule`.

    python benchmarks/faults/verify.py [--chainrule] [--only WORD] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
MANIFESTS = (FOLDER / "manifest.json", FOLDER / "heldout" / "manifest.json")
SECONDS = 120
"""The longest a program may run."""
CURED = 0.8
"""A remedy must bring the error below this share of the faulty program's."""
LEARNT = 0.6
"""A healthy program's error must be below this share of the trivial answer's."""


def run(text: str, name: str, with_chainrule: bool) -> tuple[float, str]:
    """The last number that the program prints, and its error; infinity and NaN are as printed."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / name
        program.write_text(text, encoding="utf-8")
        command = ["-m", "chainrule", "run"] if with_chainrule else []
        done = subprocess.run(
            [sys.executable, *command, str(program)],
            capture_output=True, text=True, timeout=SECONDS, check=False,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )  # fmt: skip
    if done.returncode:
        return math.nan, done.stderr.strip().splitlines()[-1]
    numbers = re.findall(r"-?(?:\d+\.?\d*(?:e[+-]?\d+)?|inf|nan)\b", done.stdout.splitlines()[-1])
    return float(numbers[-1]), ""


def cured(entry: dict[str, Any], text: str) -> str:
    """The program with its patch; each old text must stand in it exactly once."""
    for old, new in entry["cure"]:
        if text.count(old) != 1:
            raise SystemExit(f"{entry['file']}: the cure does not fit: {old!r}")
        text = text.replace(old, new)
    return text


def error_of(entry: dict[str, Any], value: float) -> float:
    """What is to become small: the loss, or the share of wrong answers; NaN counts as infinite."""
    error = 1 - value if entry["measure"] == "accuracy" else value
    return math.inf if math.isnan(error) else error


def verify(folder: Path, entry: dict[str, Any], with_chainrule: bool) -> dict[str, Any]:
    """Run one program, and its cured twin if it has one."""
    text = (folder / entry["file"]).read_text(encoding="utf-8")
    value, failure = run(text, entry["file"], with_chainrule)
    trivial = error_of(entry, entry["trivial"])
    row = {"file": entry["file"], "kind": entry["kind"], "codes": entry["codes"],
           "measure": entry["measure"], "value": value, "failure": failure}  # fmt: skip
    if entry["kind"] == "healthy":
        row["ok"] = not failure and error_of(entry, value) <= LEARNT * trivial
        return row
    row["cured"], row["cured_failure"] = run(cured(entry, text), entry["file"], with_chainrule)
    after = error_of(entry, row["cured"])
    before = error_of(entry, value)
    row["ok"] = not row["cured_failure"] and after < trivial
    row["ok"] &= before > 0 and after <= CURED * before
    return row


def line(row: dict[str, Any]) -> str:
    """One line of the table."""
    twin = f" → {row['cured']:.4g}" if "cured" in row else ""
    failures = " ".join(row[k] for k in ("failure", "cured_failure") if row.get(k))
    told = f"{row['measure']} {row['value']:.4g}{twin}"
    codes = ", ".join(row["codes"]) or "healthy"
    return f"{'ok' if row['ok'] else 'WRONG':6}{row['file']:34}{codes:19}{told}  {failures}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chainrule", action="store_true", help="run them on chainrule's mirror")
    parser.add_argument("--only", default="", help="programs whose name holds this word")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    arguments = parser.parse_args()
    rows = []
    for manifest in MANIFESTS:
        for entry in json.loads(manifest.read_text(encoding="utf-8")):
            if arguments.only in entry["file"] and "measure" in entry:
                rows.append(verify(manifest.parent, entry, arguments.chainrule))
                print(line(rows[-1]), flush=True)
    wrong = [row["file"] for row in rows if not row["ok"]]
    print(f"{len(rows)} programs, {len(wrong)} not as they should be", *wrong)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
