"""What this processor is, as LLVM names it; kept on disk, so that a warm start needs no LLVM."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from functools import cache
from typing import NamedTuple

from . import native
from .cache import Cache, default_folder

_DESCRIBED_BY = (
    "vendor_id", "cpu family", "model", "model name", "stepping", "flags",
    "CPU implementer", "CPU architecture", "CPU variant", "CPU part", "Features",
)  # fmt: skip
"""Lines of /proc/cpuinfo that say what a processor can do."""
_ENOUGH = 16_384
"""Bytes of /proc/cpuinfo that hold its first processor."""


class Host(NamedTuple):
    """LLVM's names for this processor, and its features."""

    triple: str
    cpu: str
    features: dict[str, bool]


@cache
def host() -> Host:
    """This processor. Raises ``ArgumentError`` if llvmlite is missing and nothing is kept."""
    description = _description()
    if description is None:
        return _asked()
    kept = Cache(default_folder())
    known = kept.get(description)
    found = None if known is None else _read(known)
    if found is None:
        found = _asked()
        kept.put(description, json.dumps(found._asdict()).encode())
    return found


def _asked() -> Host:
    llvm = native.binding()
    features = dict(llvm.get_host_cpu_features())
    return Host(llvm.get_process_triple(), llvm.get_host_cpu_name(), features)


def _description() -> bytes | None:
    """A digest of all that the answer depends on; None where the system does not say it."""
    try:
        with open("/proc/cpuinfo", "rb", buffering=0) as file:
            text = os.read(file.fileno(), _ENOUGH).decode(errors="replace")
    except OSError:
        return None
    first, *others = text.split("\n\n")
    if not others:
        return None
    lines = [line for line in first.splitlines() if line.split("\t")[0].strip() in _DESCRIBED_BY]
    parts = ["host", native.version(), platform.system(), platform.machine(), *lines]
    return hashlib.sha256("\n".join(parts).encode()).digest()


def _read(data: bytes) -> Host | None:
    """What ``host`` has kept; None for anything else."""
    try:
        kept = json.loads(data)
        found = Host(kept["triple"], kept["cpu"], kept["features"])
    except (ValueError, KeyError, TypeError):
        return None
    sound = isinstance(found.triple, str) and isinstance(found.cpu, str)
    return found if sound and isinstance(found.features, dict) else None
