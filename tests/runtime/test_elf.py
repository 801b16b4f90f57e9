"""Object code linked here does what LLVM links it to do, and what is damaged is refused."""

from __future__ import annotations

import ctypes
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from chainrule.runtime import elf, native
from chainrule.runtime.target import target

pytestmark = [
    pytest.mark.skipif(not native.available(), reason="needs llvmlite"),
    pytest.mark.skipif(not elf.possible(), reason="LLVM links on this system"),
]

TEXT = """
@numbers = private constant [4 x double] [double 1.5, double 2.5, double 4.5, double 8.5]
declare double @erf(double)
declare double @cosh(double)
define double @{name}(double %x, i64 %i) {{
  %place = getelementptr [4 x double], ptr @numbers, i64 0, i64 %i
  %number = load double, ptr %place
  %a = call double @erf(double %x)
  %b = call double @cosh(double %number)
  %c = fmul double %a, {factor}
  %y = fadd double %b, %c
  ret double %y
}}
"""


def objects() -> dict[str, bytes]:
    return {
        name: native.compile_text(TEXT.format(name=name, factor=factor), target())
        for name, factor in (("first", 3.25), ("second", -7.75))
    }


def call(library: native.Library, name: str) -> Callable[[float, int], float]:
    prototype = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double, ctypes.c_int64)
    return prototype(library.address(name))


def test_constants_tables_and_functions_of_c_are_reached_as_llvm_reaches_them() -> None:
    code = objects()
    memory = elf.Memory(code)
    ours, theirs = native.Library(memory.addresses, memory), native.load_by_llvm(code)
    results = []
    for name in code:
        for i in range(4):
            x = 0.3 * i - 0.4
            assert call(ours, name)(x, i) == call(theirs, name)(x, i)
            results.append(call(ours, name)(x, i))
    assert len(set(results)) == 8


def test_loading_uses_this_linker_and_frees_what_nobody_holds() -> None:
    library = native.load(objects())
    memory = library._memory
    assert isinstance(memory, elf.Memory)
    page = library.address("first") & -4096
    access = {
        line.split()[1] for line in Path("/proc/self/maps").read_text().splitlines()
        if int(line.split("-")[0], 16) <= page < int(line.split("-")[1].split()[0], 16)
    }  # fmt: skip
    assert access == {"r-xp"}, "code can be run, and not be written"


def test_a_function_that_is_nowhere_is_named() -> None:
    text = "declare void @nowhere()\ndefine void @f() {\n call void @nowhere()\n ret void\n}"
    with pytest.raises(RuntimeError, match="nowhere"):
        elf.Memory({"f": native.compile_text(text, target())})


def test_code_for_another_processor_is_refused() -> None:
    text = "define void @f() {\n ret void\n}"
    with pytest.raises(elf.UnsupportedError, match="x86-64"):
        elf.Memory({"f": native.compile_text(text, target("neon"))})


@pytest.mark.parametrize("seed", range(4))
def test_damaged_files_are_refused_or_linked_but_crash_nothing(seed: int) -> None:
    name, code = next(iter(objects().items()))
    rng = random.Random(seed)
    refused = 0
    for _ in range(100):
        damaged = bytearray(code)
        for _ in range(rng.randrange(1, 9)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        damaged = damaged[: rng.choice([len(damaged), rng.randrange(len(damaged))])]
        try:
            elf.Memory({name: bytes(damaged)})
        except (elf.UnsupportedError, RuntimeError, MemoryError):
            refused += 1
    assert refused > 20


def test_a_start_from_the_cache_does_not_load_llvm(tmp_path: Path) -> None:
    code = (
        "import sys, chainrule as cr\n"
        "f = cr.compile(lambda x: cr.tanh(x).sum())\n"
        "print(float(f(cr.ones(1000)).item()), 'llvmlite.binding' in sys.modules)"
    )
    environment = os.environ | {"CHAINRULE_CACHE": str(tmp_path)}
    runs = [
        subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.split()
        for _ in range(2)
    ]
    assert [run[1] for run in runs] == ["True", "False"]
    assert runs[0][0] == runs[1][0]
