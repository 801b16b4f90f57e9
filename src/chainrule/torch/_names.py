"""Looking names up in a mirror module: its own, then those of the modules it mirrors."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterable
from types import FunctionType, ModuleType
from typing import Any

from ..errors import MissingNameError
from ..tensor import Tensor
from ._calls import adapted
from ._functions import RICHER, by_method

ROOT = __package__ or "chainrule.torch"


def mirrored(
    name: str, *sources: str, methods: bool = False
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` of the mirror module `name`.

    A name that the module does not define is looked for in the modules `sources`, by their full
    names, then among its submodules and, if `methods` count, among the methods of tensors.
    Functions are adapted to PyTorch's keyword arguments. What is found is kept in the module, so
    that it is looked up once.

    The function raises MissingNameError for anything else, with the nearest names that are there.
    """

    def lookup(attribute: str) -> Any:
        module = sys.modules[name]
        if attribute == "__all__":
            return [n for n in listed() if n not in _BUILT_IN]
        if attribute.startswith("__"):
            raise AttributeError(f"module {name!r} has no attribute {attribute!r}")
        found = by_method(attribute) if methods and attribute in RICHER else _NOTHING
        if found is _NOTHING:
            found = _in_sources(attribute, sources)
        if found is _NOTHING:
            found = _submodule(name, attribute)
        if found is _NOTHING and methods and callable(getattr(Tensor, attribute, None)):
            found = by_method(attribute)
        if found is _NOTHING:
            raise missing(shown(f"{name}.{attribute}"), listed())
        vars(module)[attribute] = found
        return found

    def listed() -> list[str]:
        own = {n for n, value in vars(sys.modules[name]).items() if _is_public(n, value)}
        found = own.union(*(_public(importlib.import_module(s)) for s in sources))
        return sorted(found | _methods() if methods else found)

    return lookup, listed


_NOTHING = object()
_BUILT_IN = frozenset({"bool", "float", "int"})
"""Dtypes that ``from torch import *`` leaves out: they would hide Python's types."""


def _in_sources(attribute: str, sources: Iterable[str]) -> Any:
    """The first public attribute of this name in the `sources`, functions adapted."""
    if attribute.startswith("_"):
        return _NOTHING
    for source in sources:
        found = getattr(importlib.import_module(source), attribute, _NOTHING)
        if found is _NOTHING or isinstance(found, ModuleType):
            continue
        return adapted(found) if isinstance(found, FunctionType) else found
    return _NOTHING


def _submodule(name: str, attribute: str) -> Any:
    full = f"{name}.{attribute}"
    try:
        spec = importlib.util.find_spec(full)
    except ModuleNotFoundError:
        spec = None
    return _NOTHING if spec is None else importlib.import_module(full)


def _methods() -> set[str]:
    """The names of the methods of tensors."""
    return {n for n in dir(Tensor) if not n.startswith("_") and callable(getattr(Tensor, n))}


def _public(module: ModuleType) -> set[str]:
    """The names that a module offers, without its submodules."""
    offered = getattr(module, "__all__", None) or dir(module)
    return {n for n in offered if _is_public(n, vars(module).get(n))}


def _is_public(name: str, value: Any) -> bool:
    """Whether a name of a module is meant for its users, rather than imported for its own use."""
    if name.startswith("_") or isinstance(value, ModuleType):
        return False
    origin = str(getattr(value, "__module__", ""))
    return origin.partition(".")[0] not in sys.stdlib_module_names and origin != __name__


def shown(name: str) -> str:
    """``torch.nn.Linear`` for ``chainrule.torch.nn.Linear``."""
    return "torch" + name.removeprefix(ROOT) if name.startswith(ROOT) else name


def nearest(name: str, names: Iterable[str], count: int = 3) -> list[str]:
    """The `names` that look most like `name`, the best first."""
    by_lower = {n.lower(): n for n in names}
    return [by_lower[n] for n in difflib.get_close_matches(name.lower(), by_lower, count, 0.6)]


def missing(dotted: str, names: Iterable[str]) -> MissingNameError:
    """The error for a name of PyTorch's that is not here; `names` are those beside it."""
    path, _, name = dotted.rpartition(".")
    close = nearest(name, names)
    return MissingNameError(
        f"{dotted} is not in chainrule",
        hint=f"the nearest: {', '.join(f'{path}.{n}' for n in close)}" if close else None,
    )
