"""How long ``import chainrule`` takes beyond ``import numpy``: CPU time of processes, interleaved.

python benchmarks/import_time.py [--repeats 15] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys

ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
"""Byte code is written, as it is when a package is installed."""


def once(statement: str) -> float:
    """Milliseconds of CPU time that a fresh process takes for one statement."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", statement], check=True, env=ENVIRONMENT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    once("import chainrule")  # so that byte code is on disk
    differences, numpy_times = [], []
    for _ in range(options.repeats):
        numpy_ms = once("import numpy")
        differences.append(once("import chainrule") - numpy_ms)
        numpy_times.append(numpy_ms)
    result = {
        "numpy_ms": round(statistics.median(numpy_times), 1),
        "chainrule_beyond_numpy_ms": round(statistics.median(differences), 1),
    }
    print(json.dumps(result) if options.json else "\n".join(f"{k}: {v}" for k, v in result.items()))


if __name__ == "__main__":
    main()
