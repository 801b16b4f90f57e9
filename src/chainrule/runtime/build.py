"""From codes to kernels that can be called: memory first, then the disk, then LLVM."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple
from weakref import WeakValueDictionary

from .. import config
from . import cache, native
from .code import Code, Source
from .target import Target, check_host

_lock = threading.RLock()
_loaded: WeakValueDictionary[str, native.Library] = WeakValueDictionary()


class Kernel(NamedTuple):
    """A kernel in memory, and its tiles. Its address is good as long as its library is held."""

    address: int
    library: native.Library
    tiles: int


def build(codes: Sequence[Code], target: Target) -> list[Kernel]:
    """The kernels of the codes, in order. Equal texts are one kernel, in one process for good.

    Raises ``ArgumentError`` if this processor cannot run the target's code, and ``RuntimeError``
    with LLVM's words if a text is not valid.
    """
    return build_sources([Source(code.text, partial(_same, code)) for code in codes], target)


def build_sources(sources: Sequence[Source], target: Target) -> list[Kernel]:
    """The kernels of the sources, in order; see ``build``. Only what is in no cache is written."""
    check_host(target)
    distinct = {source.key: source for source in sources}
    keys = {key: cache.key(key, target) for key in distinct}
    symbols = {key: f"k_{digest[:16].hex()}" for key, digest in keys.items()}
    with _lock:
        held = {
            key: known for key, symbol in symbols.items()
            if (known := _loaded.get(symbol)) is not None
        }  # fmt: skip
        missing = {key: distinct[key] for key in distinct if key not in held}
        if missing:
            objects = _objects(missing, keys, symbols, target)
            library = native.load({symbols[key]: code for key, (_, code) in objects.items()})
            for key, (tiles, _) in objects.items():
                library.tiles[symbols[key]] = tiles
                held[key] = _loaded[symbols[key]] = library
    return [
        Kernel(
            held[key].address(symbols[key]), held[key], held[key].tiles[symbols[key]]
        )
        for key in (source.key for source in sources)
    ]  # fmt: skip


def _same(code: Code) -> Code:
    return code


def _objects(
    sources: dict[str, Source], keys: dict[str, bytes], symbols: dict[str, str], target: Target
) -> dict[str, tuple[int, bytes]]:
    """Tiles and object code by key: what the disk has, and what must be compiled."""
    start = time.perf_counter()
    kept = _disk(cache.default_folder())
    found = {
        key: (int.from_bytes(entry[:_TILES], "little"), entry[_TILES:])
        for key in sources
        if (entry := kept.get(keys[key])) is not None
    }
    # The longest first, so that no thread is left with one when the others are done.
    fresh = sorted(sources.keys() - found.keys(), key=len, reverse=True)
    if fresh:
        compiled = _compile([sources[key] for key in fresh], [symbols[k] for k in fresh], target)
        for key, (tiles, code) in zip(fresh, compiled, strict=True):
            kept.put(keys[key], tiles.to_bytes(_TILES, "little") + code)
            found[key] = tiles, code
        kept.trim()
    if config.debug_level() >= 1:
        took = 1e3 * (time.perf_counter() - start)
        print(
            f"chainrule: {len(sources)} kernels: {len(sources) - len(fresh)} from the cache, "
            f"{len(fresh)} compiled, {took:.1f} ms",
            file=sys.stderr,
        )
    return found


_MANY = 8
"""New kernels that are a whole program's: training is what comes next.

From then on LLVM rests after each build. That takes 5 ms, a quarter of the time for one kernel, so
a process that only ever asks for one at a time does without."""
_trains = threading.Event()
_TILES = 8
"""Bytes before the object code in the cache that hold the number of tiles."""


@lru_cache(maxsize=8)
def _disk(folder: Path | None) -> cache.Cache:
    return cache.Cache(folder)


def _compile(sources: list[Source], symbols: list[str], target: Target) -> list[tuple[int, bytes]]:
    """Tiles and object code of each source, on all cores."""
    native.binding()

    def one(source: Source, symbol: str) -> tuple[int, bytes]:
        code = source.write()
        return code.tiles, native.compile_text(
            code.text.replace(native.ENTRY, f"@{symbol}"), target
        )

    try:
        if len(sources) == 1:
            return [one(sources[0], symbols[0])]
        with ThreadPoolExecutor(min(len(sources), os.cpu_count() or 1)) as pool:
            return list(pool.map(one, sources, symbols))
    finally:
        if len(sources) >= _MANY:
            _trains.set()
        if _trains.is_set():
            native.rest()


if hasattr(os, "register_at_fork"):
    # A child must not inherit LLVM in the middle of its work in another thread.
    os.register_at_fork(
        before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release
    )
