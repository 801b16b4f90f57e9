"""LLVM: from text to addresses, for every target."""

from __future__ import annotations

import ctypes
import gc
import math
import os
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest
from small_kernels import add_index, call, halves

from chainrule.errors import ArgumentError
from chainrule.runtime import native
from chainrule.runtime.buffers import address
from chainrule.runtime.build import build
from chainrule.runtime.code import Code
from chainrule.runtime.target import TARGETS, check_host, target

RUNNABLE = [name for name in ("native", "avx2", "sse2") if target("native").vector_bytes >= 32]


def run(code: Code, *arrays: np.ndarray, on: str = "native") -> None:
    """All tiles of a kernel, through ctypes."""
    (kernel,) = build([code], target(on))
    table = np.array([address(a) for a in arrays], np.uint64)
    slots = np.arange(len(arrays), dtype=np.int32)
    prototype = ctypes.CFUNCTYPE(
        None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64
    )
    prototype(kernel.address)(address(table), address(slots), 0, code.tiles)


# Targets ------------------------------------------------------------------------------------------


def test_targets_are_made_once_and_say_what_vectors_hold() -> None:
    assert target("avx2") is target("avx2")
    assert target("avx2").lanes(np.dtype(np.float32)) == 8
    assert target("sse2")[4:] == (16, 16, False, False)
    assert target("avx2")[4:] == (32, 16, True, True)
    assert target("neon")[4:] == (16, 32, True, False)


def test_the_native_target_has_the_vectors_that_the_processor_has() -> None:
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8") if sys.platform == "linux" else ""
    here = target("native")
    if "flags" not in flags:
        pytest.skip("this system does not list its processor's features")
    words = flags.split("flags", 1)[1].split("\n", 1)[0].split()
    expected = 64 if "avx512vl" in words and "avx512bw" in words else 32 if "avx2" in words else 16
    assert here.vector_bytes == expected
    assert here.registers == (32 if expected == 64 else 16)
    assert here.fma == ("fma" in words)


def test_an_unknown_target_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(ArgumentError, match="no such target") as error:
        target("avx1024")
    assert "neon" in str(error.value)


def test_the_default_target_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert target() is target("native")
    monkeypatch.setenv("CHAINRULE_TARGET", "sse2")
    assert target() is target("sse2")
    monkeypatch.setenv("CHAINRULE_TARGET", "mmx")
    with pytest.raises(ArgumentError) as error:
        target()
    assert "CHAINRULE_TARGET" in str(error.value)


def test_code_for_another_processor_is_refused_before_it_runs() -> None:
    other = "neon" if target("native").triple.startswith("x86") else "sse2"
    with pytest.raises(ArgumentError, match="cannot run"):
        build([add_index(4)], target(other))
    check_host(target("native"))


# Compiling and loading ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", TARGETS)
def test_every_target_compiles_to_object_code_and_to_assembly(name: str) -> None:
    text = add_index(4).text
    assert native.compile_text(text, target(name))[1:4] == b"ELF"
    assert "kernel" in native.assembly(text, target(name))


def test_wide_vectors_become_the_target_s_registers() -> None:
    text = """define void @kernel(ptr %a, ptr %b, i64 %lo, i64 %hi) {
  %x = load <16 x float>, ptr %a, align 4
  %y = load <16 x float>, ptr %b, align 4
  %z = call <16 x float> @llvm.fma.v16f32(<16 x float> %x, <16 x float> %y, <16 x float> %y)
  store <16 x float> %z, ptr %a, align 4
  ret void
}
declare <16 x float> @llvm.fma.v16f32(<16 x float>, <16 x float>, <16 x float>)
"""
    assert "ymm" in native.assembly(text, target("avx2"))
    assert "zmm" not in native.assembly(text, target("avx2"))
    assert "fmla" in native.assembly(text, target("neon"))


@pytest.mark.parametrize("name", RUNNABLE)
def test_a_kernel_computes(name: str) -> None:
    y = np.random.default_rng(0).normal(size=100)
    expected = y + (np.arange(100) + 3)
    run(add_index(100, 3), y, on=name)
    assert np.array_equal(y, expected)


@pytest.mark.parametrize("function", ["exp", "tanh", "erf", "lgamma"])
def test_functions_of_the_c_library_are_found(function: str) -> None:
    y = np.random.default_rng(1).uniform(0.1, 3, size=10)
    expected = [getattr(math, function)(v) for v in y]
    run(call(function, 10), y)
    assert np.allclose(y, expected, rtol=1e-15)


@pytest.mark.parametrize("name", RUNNABLE)
def test_float16_is_converted_on_every_target(name: str) -> None:
    x = np.random.default_rng(2).normal(size=1000).astype(np.float16)
    y = np.zeros_like(x)
    try:
        run(halves(), x, y, on=name)
    except RuntimeError:
        if name != "sse2":
            raise
        pytest.skip("libgcc has no float16 conversions here")
    wide = x.astype(np.float32)
    assert np.array_equal(y, (wide * wide * wide).astype(np.float16))


def test_a_function_that_does_not_exist_is_an_error_not_a_crash() -> None:
    with pytest.raises(RuntimeError):
        build([call("no_such_function_anywhere", 1)], target())


@pytest.mark.parametrize(
    "text", ["define void @kernel(", "nonsense", "define i32 @kernel() { ret void }"]
)
def test_text_that_llvm_rejects_is_an_error(text: str) -> None:
    with pytest.raises(RuntimeError):
        build([Code(text, 1)], target())


def test_equal_texts_are_one_kernel_in_order() -> None:
    first, second = add_index(5, 11), add_index(5, 12)
    kernels = build([first, second, first, first._replace(tiles=3)], target())
    addresses = [k.address for k in kernels]
    assert addresses[0] == addresses[2] == addresses[3] != addresses[1]
    assert build([second], target())[0].address == addresses[1]


def test_code_is_freed_when_nobody_holds_it() -> None:
    kernels = build([add_index(5, 77)], target())
    library = weakref.ref(kernels[0].library)
    assert library() is not None
    del kernels
    gc.collect()
    assert library() is None
    y = np.zeros(5)
    run(add_index(5, 77), y)
    assert np.array_equal(y, np.arange(5) + 77)


def test_several_threads_build_at_once() -> None:
    failures: list[BaseException] = []

    def work(k: int) -> None:
        try:
            for i in range(5):
                y = np.zeros(6)
                run(add_index(6, 1000 + (k + i) % 6), y)
                assert np.array_equal(y, np.arange(6) + 1000 + (k + i) % 6)
        except BaseException as error:  # noqa: BLE001  shown below
            failures.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


WITHOUT_LLVMLITE = """
import sys
sys.modules["llvmlite"] = None
sys.modules["llvmlite.binding"] = None
import chainrule
from chainrule.runtime import build, buffers, cache, native, program, target, threads
from chainrule.errors import ArgumentError
assert not native.available()
assert threads.get_num_threads() >= 1
assert len(buffers.arena(100)) == 100
for name in target.TARGETS[:1]:
    try:
        target.target(name)
    except ArgumentError as error:
        assert "llvmlite" in str(error)
    else:
        raise AssertionError
"""


def test_the_package_imports_without_llvmlite() -> None:
    subprocess.run([sys.executable, "-c", WITHOUT_LLVMLITE], check=True, env=os.environ.copy())


def test_importing_the_runtime_does_not_load_llvmlite() -> None:
    code = "import sys, chainrule.runtime.program; assert 'llvmlite' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert native.available()
