"""The command: run the tables, print what they say, write the page."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .report import page, run_all, summary, write_json

PAGE = Path(__file__).parents[3] / "docs" / "torch_oracle.md"


def main() -> None:
    """See the package's docstring."""
    parser = argparse.ArgumentParser(prog="python -m tests.oracle.tables")
    parser.add_argument("--only", choices=["op", "module", "optimizer", "scheduler"])
    parser.add_argument("--match", default="", help="names that hold this")
    parser.add_argument("--json", type=Path, help="write every entry")
    parser.add_argument("--page", type=Path, help=f"write the table, for instance to {PAGE.name}")
    args = parser.parse_args()
    tables = run_all(args.only, args.match)
    print(summary(tables))
    for entry in tables.entries:
        if entry.status in ("wrong", "absent"):
            print(f"{entry.kind} {entry.name}: {entry.status}: {entry.failure}", file=sys.stderr)
    if args.json:
        write_json(tables, args.json)
    if args.page:
        args.page.write_text(page(tables), encoding="utf-8")


if __name__ == "__main__":
    main()
