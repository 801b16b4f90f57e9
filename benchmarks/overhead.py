"""What one recorded operation costs: forward + backward, beside HIPS/autograd and PyTorch.

Small arrays, so that the cost is the library's own and not the arithmetic's. Every program is
written once and runs under each library with its own functions; gradients must agree before
anything is timed. Repeats are interleaved; the figure is the median of the ratios of neighbouring
runs, so that drift of the machine cancels.

    python benchmarks/overhead.py [--repeats 31] [--json]
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import chainrule as cr

LENGTH = 400
SHAPES: tuple[tuple[int, ...], ...] = ((), (3,), (32, 16))


class Library(NamedTuple):
    """How a library is driven: its functions, and gradient(program, x0) -> array."""

    name: str
    functions: Any
    gradient: Callable[[Callable[[Any, Any], Any], Any], Any]


def chain(f: Any, x: Any) -> Any:
    """Two ops per step, one after the other."""
    y = x
    for _ in range(LENGTH // 2):
        y = f.tanh(y * 1.01)
    return f.sum(y)


def branches(f: Any, x: Any) -> Any:
    """Four ops per step, with reuse: every value is used twice."""
    y = x
    for _ in range(LENGTH // 4):
        y = f.sin(y) * x + y
        y = y * 0.5
    return f.sum(y)


PROGRAMS = {"chain": chain, "branches": branches}


def chainrule_gradient(program: Any, x0: Any) -> Any:
    x = cr.tensor(x0, requires_grad=True)
    program(cr, x).backward()
    return x.grad


def libraries() -> list[Library]:
    found = [Library("chainrule", cr, chainrule_gradient)]
    try:
        import autograd
        import autograd.numpy as anp

        found.append(Library("autograd", anp, lambda p, x0: autograd.grad(lambda x: p(anp, x))(x0)))
    except ImportError:
        print("HIPS/autograd is not installed: pip install autograd", file=sys.stderr)
    try:
        import torch

        def torch_gradient(program: Any, x0: Any) -> Any:
            x = torch.tensor(x0, requires_grad=True)
            program(torch, x).backward()
            return x.grad

        torch.set_num_threads(1)
        found.append(Library("PyTorch", torch, torch_gradient))
    except ImportError:
        print("PyTorch is not installed: its column is left out", file=sys.stderr)
    return found


def measure(repeats: int) -> list[dict[str, Any]]:
    libs = libraries()
    rows = []
    for name, program in PROGRAMS.items():
        for shape in SHAPES:
            x0 = np.random.default_rng(0).uniform(0.2, 0.8, shape)
            results = [np.asarray(lib.gradient(program, x0)) for lib in libs]
            for lib, result in zip(libs, results, strict=True):
                np.testing.assert_allclose(result, results[0], rtol=1e-10, err_msg=lib.name)
            times: list[list[float]] = [[] for _ in libs]
            for _ in range(repeats):
                for k, lib in enumerate(libs):
                    gc.collect()
                    start = time.perf_counter()
                    lib.gradient(program, x0)
                    times[k].append((time.perf_counter() - start) / LENGTH * 1e6)
            row: dict[str, Any] = {"program": name, "shape": list(shape)}
            for lib, own in zip(libs, times, strict=True):
                row[f"{lib.name} us/op"] = round(statistics.median(own), 2)
            for lib, own in zip(libs[1:], times[1:], strict=True):
                ratios = [ours / theirs for ours, theirs in zip(times[0], own, strict=True)]
                row[f"ratio to {lib.name}"] = round(statistics.median(ratios), 3)
            rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=31)
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object and nothing else"
    )
    options = parser.parse_args()
    rows = measure(options.repeats)
    if options.json:
        print(json.dumps({"ops_per_program": LENGTH, "rows": rows}))
        return
    columns = list(rows[0])
    print("  ".join(f"{c:>18}" for c in columns))
    for row in rows:
        print("  ".join(f"{row[c]!s:>18}" for c in columns))


if __name__ == "__main__":
    main()
