"""The state of a module: what ``state_dict`` saves, how it is loaded, and dtype conversion."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..core.aval import DType, describe
from ..core.value import Value
from ..errors import ArgumentError, DTypeError, StateError

if TYPE_CHECKING:
    from ..tensor import Tensor
    from .module import Module


class LoadResult(NamedTuple):
    """What ``load_state_dict`` did not find, and what it did not use."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def entries(module: Module, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """Parameters and persistent buffers with dotted names, shared ones under each name."""
    for path, owner in module.named_modules(prefix=prefix.rstrip("."), remove_duplicate=False):
        start = path + "." if path else ""
        for name, parameter in owner._parameters.items():
            if parameter is not None:
                yield start + name, parameter
        for name, buffer in owner._buffers.items():
            if buffer is not None and name not in owner._unsaved:
                yield start + name, buffer


def load(module: Module, given: Mapping[str, Any], strict: bool) -> LoadResult:
    """Replace the values of all entries, or raise StateError and change nothing."""
    if not isinstance(given, Mapping):
        raise StateError(
            f"{type(module).__name__} loads a dictionary of tensors", got=type(given).__name__
        )
    wanted = dict(entries(module))
    missing = [name for name in wanted if name not in given]
    unexpected = [name for name in given if name not in wanted]
    arrays = {name: _array(name, given[name]) for name in wanted if name in given}
    misfits = [name for name, array in arrays.items() if array.shape != wanted[name].shape]
    if misfits or (strict and (missing or unexpected)):
        raise _mismatch(module, wanted, arrays, missing, unexpected, misfits)
    for name, array in arrays.items():
        wanted[name].array = array.astype(wanted[name].dtype)
    return LoadResult(missing, unexpected)


def _array(name: str, value: Any) -> np.ndarray[Any, DType]:
    array = value.array if isinstance(value, Value) else value
    if not isinstance(array, np.ndarray | np.generic) or array.dtype.kind not in "biuf":
        raise StateError(f"{name} is not a tensor or an array of numbers", got=repr(value)[:60])
    return np.asarray(array)


def _mismatch(
    module: Module,
    wanted: Mapping[str, Any],
    arrays: Mapping[str, Any],
    missing: Sequence[str],
    unexpected: Sequence[str],
    misfits: Sequence[str],
) -> StateError:
    """One error that names everything that does not fit."""
    wrong = []
    if missing:
        wrong.append(f"missing {_some(missing)}")
    if unexpected:
        wrong.append(f"unexpected {_some(unexpected)}")
    if misfits:
        wrong.append("shapes " + _some([f"{n}: {describe(arrays[n])}" for n in misfits]))
    names_only = not misfits
    return StateError(
        f"the state does not fit {type(module).__name__}",
        expected=_some([f"{n}: {describe(wanted[n])}" for n in [*misfits, *missing]])
        or f"only the {len(wanted)} names of its state_dict()",
        got="; ".join(wrong),
        hint="pass strict=False to load what fits by name" if names_only else None,
    )


def _some(items: Sequence[str], limit: int = 6) -> str:
    shown = ", ".join(items[:limit])
    return shown if len(items) <= limit else f"{shown} and {len(items) - limit} more"


def target_dtype(args: tuple[Any, ...], kwargs: dict[str, Any]) -> DType | None:
    """The dtype among the arguments of ``Module.to``: a dtype, a device, or a tensor to follow.

    Raises ArgumentError for a device other than the CPU, DTypeError for what is no float type.
    """
    unknown = kwargs.keys() - {"dtype", "device", "non_blocking", "copy"}
    if unknown:
        raise ArgumentError("to() takes dtype and device", got=", ".join(sorted(unknown)))
    chosen: DType | None = None
    for given in (*args, kwargs.get("dtype"), kwargs.get("device")):
        if given is None or isinstance(given, bool):
            continue
        if isinstance(given, Value):
            chosen = given.dtype
            continue
        text = str(given)
        if text == "cpu" or text.startswith("cpu:"):
            continue
        try:
            chosen = np.dtype(given)
        except TypeError:
            raise ArgumentError(
                "to() takes a dtype or the device 'cpu'",
                got=repr(given),
                hint="chainrule computes on the CPU",
            ) from None
    return chosen


def convert(tensors: Iterable[Tensor], dtype: Any) -> None:
    """Convert the floating-point ones among `tensors`, and their gradients, in their cells.

    Raises DTypeError unless `dtype` is a floating-point type.
    """
    to = np.dtype(dtype)
    if to.kind != "f":
        raise DTypeError("a module is converted to floating-point types only", got=str(to))
    for t in tensors:
        if t.dtype.kind != "f" or t.dtype == to:
            continue
        t.array = t.array.astype(to)
        if t.node is not None:
            t.node.dtype = to
        if t._grad is not None:
            t._grad = type(t._grad).wrap(t._grad.array.astype(to))
