"""LLVM, through llvmlite: text to object code, and object code to callable addresses.

llvmlite guards each of its calls with one lock for the whole process. The two calls that take
nearly all of the time, optimisation and code generation, work on a context, module and target
machine of their own here, so they are made without that lock and compile in parallel.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import importlib.util
import os
import weakref
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from ..errors import ArgumentError
from . import elf, pages

if TYPE_CHECKING:
    from .target import Target

PASSES = ("instruction_combine", "simplify_cfg")
"""What runs over the text before code generation.

They take 0 to 3 ms a kernel and gain 2 % in elementwise kernels; GVN gains nothing beyond them, and
the pipelines O1 and O2 double the time to compile for nothing: benchmarks/passes.py."""

CODEGEN_LEVEL = 2
"""LLVM's effort in code generation, 0 to 3. At 3 no kernel is faster than at 2."""

RECIPE = f"{','.join(PASSES)};{CODEGEN_LEVEL};pic;small"
"""How text becomes object code. It is part of the cache's key, so it must change when that does."""

ENTRY = "@kernel"
"""The function of a kernel's text. Loaded code calls it after its digest, so names never clash."""


@cache
def available() -> bool:
    """Whether code can be generated and run: llvmlite is installed, threads are POSIX threads."""
    if os.name != "posix":
        return False
    try:
        return importlib.util.find_spec("llvmlite") is not None
    except (ImportError, ValueError):
        return False


def _llvmlite(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except (ImportError, OSError) as error:
        raise ArgumentError(
            "generating machine code needs llvmlite",
            got=str(error),
            hint="pip install llvmlite",
        ) from error


@cache
def binding() -> Any:
    """The module ``llvmlite.binding`` with all targets ready; loaded when first asked for."""
    llvm = _llvmlite("llvmlite.binding")
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    return llvm


@cache
def version() -> str:
    """The version of llvmlite, which brings its LLVM with it; LLVM itself is not loaded."""
    return f"llvmlite {_llvmlite('llvmlite').__version__}"


@cache
def _unlocked(name: str) -> Callable[..., Any]:
    """A function of llvmlite's library that does not take llvmlite's lock."""
    library = binding().ffi.lib
    locked = getattr(library, name)
    function = getattr(ctypes.CDLL(library._name), name)
    function.argtypes, function.restype = locked.argtypes, locked.restype
    return function  # type: ignore[no-any-return]


# Compiling ----------------------------------------------------------------------------------------


def compile_text(text: str, target: Target) -> bytes:
    """Object code of a module. Several threads may compile at once.

    Raises ``RuntimeError`` with LLVM's words if the text is not valid.
    """
    return _generate(text, target, as_object=True)


def assembly(text: str, target: Target) -> str:
    """The assembler text of what ``compile_text`` makes, to be read."""
    return _generate(text, target, as_object=False).decode()


def _generate(text: str, target: Target, *, as_object: bool) -> bytes:
    llvm = binding()
    module = llvm.parse_assembly(text, llvm.create_context())
    module.verify()
    machine = _machine(target)
    module.triple, module.data_layout = target.triple, str(machine.target_data)
    _optimise(module, machine)
    with llvm.ffi.OutputString() as message:
        buffer = _unlocked("LLVMPY_TargetMachineEmitToMemory")(machine, module, as_object, message)
        if not buffer:
            raise RuntimeError(str(message))
    library = llvm.ffi.lib
    try:
        start, size = library.LLVMPY_GetBufferStart(buffer), library.LLVMPY_GetBufferSize(buffer)
        return ctypes.string_at(start, size)
    finally:
        library.LLVMPY_DisposeMemoryBuffer(buffer)


def rest() -> None:
    """Give back the memory of LLVM's own code, some 70 MB, until something is compiled again."""
    pages.release(os.path.realpath(binding().ffi.lib._name))


def _machine(target: Target) -> Any:
    """Code generator for a target: position-independent, data reached from the code's address."""
    found = binding().Target.from_triple(target.triple)
    return found.create_target_machine(
        cpu=target.cpu,
        features=target.features,
        opt=CODEGEN_LEVEL,
        reloc="pic",
        codemodel="small",
        jit=True,
    )


def _optimise(module: Any, machine: Any) -> None:
    llvm = binding()
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(1))
    passes = llvm.create_new_function_pass_manager()
    for name in PASSES:
        getattr(passes, f"add_{name}_pass")()
    for function in module.functions:
        if not function.is_declaration:
            _unlocked("LLVMPY_RunNewFunctionPassManager")(passes, function, builder)


# Loading ------------------------------------------------------------------------------------------


class Library:
    """Code in memory. It stays there as long as this object; whoever calls the code holds it."""

    def __init__(self, addresses: Mapping[str, int], memory: Any) -> None:
        self._addresses, self._memory = addresses, memory
        self.tiles: dict[str, int] = {}
        """How many tiles each function does, if that is known."""

    def address(self, symbol: str) -> int:
        """Where the function starts."""
        return self._addresses[symbol]


def load(objects: Mapping[str, bytes]) -> Library:
    """Link object code, given by the symbol that each defines, into this process.

    Functions that the code calls, such as ``expf``, are found in the process. Raises
    ``RuntimeError`` if one is not there.
    """
    if elf.possible():
        with contextlib.suppress(elf.UnsupportedError):
            memory = elf.Memory(objects)
            return Library(memory.addresses, memory)
    return load_by_llvm(objects)


class _Linked:
    """What LLVM has linked, until nobody holds it."""

    def __init__(self, tracker: Any, linker: Any) -> None:
        # At the interpreter's end nothing is freed: other threads may still be in the code.
        weakref.finalize(self, _free, tracker, linker).atexit = False


def _free(tracker: Any, linker: Any) -> None:
    tracker.close()
    linker.close()


@cache
def _find_c_libraries() -> None:
    """Have C's mathematics at hand, and float16 for processors without it."""
    llvm = binding()
    for symbol, library in (("expf", "libm.so.6"), ("__extendhfsf2", "libgcc_s.so.1")):
        if not llvm.address_of_symbol(symbol):
            with contextlib.suppress(RuntimeError):
                llvm.load_library_permanently(library)


def load_by_llvm(objects: Mapping[str, bytes]) -> Library:
    """``load`` by LLVM's linker, on every system that LLVM knows."""
    llvm = binding()
    _find_c_libraries()
    builder = llvm.JITLibraryBuilder()
    for symbol, code in objects.items():
        builder.add_object_img(code).export_symbol(symbol)
    builder.add_current_process()
    # A linker of its own for each library: one linker keeps 9 KB for each that it ever had.
    linker = llvm.create_lljit_compiler(_host_machine(), use_jit_link=True)
    tracker = builder.link(linker, "kernels")
    return Library({s: int(tracker[s]) for s in objects}, _Linked(tracker, linker))


def _host_machine() -> Any:
    llvm = binding()
    return llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine(
        cpu=llvm.get_host_cpu_name(), reloc="pic", codemodel="small", jit=True
    )
