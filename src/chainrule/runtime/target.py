"""Targets: what a processor's vectors are like, as far as code generation needs to know."""

from __future__ import annotations

import platform
from functools import cache
from typing import NamedTuple

import numpy as np

from .. import config
from ..core.aval import DType
from ..errors import ArgumentError
from .host import host

TARGETS = ("native", "avx2", "sse2", "neon")
"""Names that ``target`` knows."""

_X86 = ("x86_64", "amd64")
_ARM = ("aarch64", "arm64")
_AVX2 = ("avx", "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe")
_AVX512 = ("avx512f", "avx512bw", "avx512dq", "avx512vl")


class Target(NamedTuple):
    """A processor to generate code for."""

    name: str
    triple: str
    cpu: str
    features: str
    vector_bytes: int
    registers: int
    """How many vector registers there are."""
    fma: bool
    """Whether a multiplication and an addition are one instruction."""
    masks: bool
    """Whether loads and stores of the first few lanes cost what whole ones do."""

    def lanes(self, dtype: DType) -> int:
        """How many elements of a dtype a vector register holds."""
        return self.vector_bytes // np.dtype(dtype).itemsize


def target(name: str | None = None) -> Target:
    """The target called `name`; by default the one in ``CHAINRULE_TARGET``, or this processor.

    Raises ``ArgumentError`` if there is none of that name, or llvmlite is missing.
    """
    chosen = name or config.environment("CHAINRULE_TARGET") or "native"
    if chosen not in TARGETS:
        raise ArgumentError(
            "there is no such target",
            expected=" or ".join(TARGETS),
            got=repr(chosen),
            hint=None if name else "the environment variable CHAINRULE_TARGET names it",
        )
    return _make(chosen)


@cache
def _make(name: str) -> Target:
    if name == "native":
        return _host()
    if name == "neon":
        triple = _triple(_ARM, "aarch64-unknown-linux-gnu")
        return Target(name, triple, "generic", "+neon", 16, 32, True, False)
    triple = _triple(_X86, "x86_64-unknown-linux-gnu")
    if name == "avx2":
        return Target(name, triple, "x86-64-v3", "", 32, 16, True, True)
    return Target(name, triple, "x86-64", "", 16, 16, False, False)


def _triple(machines: tuple[str, ...], otherwise: str) -> str:
    """This process's triple if it runs on one of the machines."""
    if platform.machine().lower() in machines:
        return host().triple
    return otherwise


def _host() -> Target:
    """This processor, with vectors as long as its features allow."""
    features = host().features
    text = ",".join(f"{'+' if on else '-'}{name}" for name, on in sorted(features.items()))
    vector_bytes, registers, fma, masks = 16, 16, False, False
    if platform.machine().lower() in _ARM:
        registers, fma = 32, True
    elif _has(_AVX2):
        fma = masks = True
        vector_bytes, registers = (64, 32) if _has(_AVX512) else (32, 16)
    return Target(
        "native", host().triple, host().cpu, text, vector_bytes, registers, fma, masks
    )  # fmt: skip


def _has(features: tuple[str, ...]) -> bool:
    return all(host().features.get(name, False) for name in features)


def check_host(chosen: Target) -> None:
    """Raise ``ArgumentError`` unless this processor can run the target's code."""
    if chosen.name == "native":
        return
    machines = _ARM if chosen.name == "neon" else _X86
    machine = platform.machine().lower()
    missing = [f for f in _AVX2 if not _has((f,))] if chosen.name == "avx2" else []
    if machine in machines and not missing:
        return
    raise ArgumentError(
        f"this processor cannot run code for the target {chosen.name!r}",
        expected=f"{machines[0]} with {', '.join(_AVX2)}" if missing else machines[0],
        got=f"{machine} without {', '.join(missing)}" if missing else machine,
        hint="code for it can be generated and printed here, but not run; use target 'native'",
    )
