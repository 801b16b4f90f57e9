"""Which of LLVM's passes are worth their time on generated kernels: time to compile, time to run.

python benchmarks/passes.py
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.compile.codegen.contraction import contraction
from chainrule.compile.codegen.loops import loop
from chainrule.compile.kernels import Access, Apply, Contraction, Load, Loop, Operand, Store, Total
from chainrule.runtime import native
from chainrule.runtime.buffers import address, arena
from chainrule.runtime.code import Code
from chainrule.runtime.target import target

ROUNDS = 5
RUNS = 30
F32 = np.dtype(np.float32)
PASSES: dict[str, tuple[str, ...] | int] = {
    "none": (),
    "simplify_cfg": ("simplify_cfg",),
    "instruction_combine": ("instruction_combine",),
    "both": ("instruction_combine", "simplify_cfg"),
    "both and GVN": ("new_gvn", "instruction_combine", "simplify_cfg"),
    "O1": 1,
    "O2": 2,
}


def product(m: int, k: int, n: int) -> Code:
    """An (m, k) by (k, n) matrix product."""
    store = Store(Access(2, F32, (n, 1)), Total(F32))
    left, right = Operand(0, (), (k,), (1,)), Operand(1, (), (1,), (n,))
    return contraction(Contraction(F32, (), (m,), n, (k,), left, right, (store,), 3), target())


def elementwise(n: int) -> Code:
    """tanh and exp of n numbers."""
    x = Load(Access(0, F32, (1,)))
    stores = tuple(
        Store(Access(slot, F32, (1,)), Apply(function, (x,), F32))
        for slot, function in ((1, "tanh"), (2, "exp"))
    )
    return loop(Loop((n,), (False,), stores, (), 3), target())


def pipeline(level: int) -> Callable[[Any, Any], None]:
    """LLVM's own pipeline of a level, without what would rewrite our loops."""

    def run(module: Any, machine: Any) -> None:
        llvm = native.binding()
        options = llvm.create_pipeline_tuning_options(level)
        options.loop_vectorization = options.slp_vectorization = options.loop_unrolling = False
        builder = llvm.create_pass_builder(machine, options)
        builder.getModulePassManager().run(module, builder)

    return run


def choose(passes: tuple[str, ...] | int, ours: Callable[[Any, Any], None]) -> None:
    """Let the compiler run these passes instead of its own."""
    if isinstance(passes, int):
        native._optimise = pipeline(passes)
    else:
        native._optimise, native.PASSES = ours, passes


def measure(code: Code) -> tuple[float, float]:
    """Seconds to compile, and to run all tiles."""
    start = time.perf_counter()
    compiled = native.compile_text(code.text, target())
    compiling = time.perf_counter() - start
    library = native.load({"kernel": compiled})
    buffers = [arena(2**23) for _ in range(3)]
    for buffer in buffers:
        buffer.view(np.float32)[:] = np.random.default_rng(0).random(2**21, np.float32)
    table = np.array([address(buffer) for buffer in buffers], np.uint64)
    slots = np.arange(3, dtype=np.int32)
    prototype = ctypes.CFUNCTYPE(
        None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64
    )
    kernel = prototype(library.address("kernel"))
    running = []
    for _ in range(RUNS):
        start = time.perf_counter()
        kernel(address(table), address(slots), 0, code.tiles)
        running.append(time.perf_counter() - start)
    return compiling, min(running)


def main() -> None:
    codes = {
        "product 256×784×512": product(256, 784, 512),
        "product 100×300×70": product(100, 300, 70),
        "tanh and exp of 65536": elementwise(2**16),
    }
    ours = native._optimise
    for what, code in codes.items():
        best = {name: (float("inf"), float("inf")) for name in PASSES}
        for _ in range(ROUNDS):
            for name, passes in PASSES.items():
                choose(passes, ours)
                compiling, running = measure(code)
                best[name] = min(best[name][0], compiling), min(best[name][1], running)
        print(what)
        for name, (compiling, running) in best.items():
            print(f"  {name:<22} compile {1e3 * compiling:6.1f} ms   run {1e6 * running:8.1f} µs")


if __name__ == "__main__":
    main()
