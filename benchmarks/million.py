"""Backward through chains of 10,000 to 1,000,000 scalar operations: time per operation is flat.

python benchmarks/million.py [--json]
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import chainrule as cr


def run(length: int) -> dict[str, Any]:
    """Forward and backward of y = x (1 + 1e-9)^length, one multiplication at a time."""
    x = cr.tensor(1.0, dtype=cr.float64, requires_grad=True)
    start = time.perf_counter()
    y = x
    for _ in range(length):
        y = y * (1 + 1e-9)
    middle = time.perf_counter()
    y.backward()
    end = time.perf_counter()
    assert x.grad is not None
    expected = (1 + 1e-9) ** length
    assert abs(x.grad.item() - expected) < 1e-6 * expected
    return {
        "length": length,
        "forward_us_per_op": round((middle - start) / length * 1e6, 3),
        "backward_us_per_op": round((end - middle) / length * 1e6, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = [run(n) for n in (10_000, 100_000, 1_000_000)]
    if options.json:
        print(json.dumps({"rows": rows}))
        return
    for row in rows:
        print("   ".join(f"{key} {value}" for key, value in row.items()))


if __name__ == "__main__":
    main()
