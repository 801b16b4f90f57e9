"""The state of a module: what ``state_dict`` saves, how it is loaded, and dtype conversion."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from ..core.aval import DType, describe
from ..core.observation import observation
from ..core.value import Value
from ..errors import ArgumentError, DTypeError, StateError
from ..tensor import Tensor, View

if TYPE_CHECKING:
    from .module import Module


class LoadResult(NamedTuple):
    """What ``load_state_dict`` did not find, and what it did not use."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Saved(View):
    """An entry of ``state_dict()``: a copy; changed in place, it changes the parameter with it.

    Only while both are equal: after training on, such a change would mix the present with the past
    and is an error. A parameter that no longer lives is left alone.
    """

    __slots__ = ()

    def _is_part(self) -> bool:
        owner = self._bases[0]()
        return owner is not None and not _same(owner.array, self.array)

    def _take(self, new: Tensor) -> Self:
        self._check_reachable()
        owner = self._bases[0]()
        self.array = new.array
        if owner is not None:
            owner.array = new.array.copy()
        return self

    @property
    def data(self) -> Tensor:
        """This entry, which has no graph."""
        return self

    @data.setter
    def data(self, value: Any) -> None:
        self.array = value.array if isinstance(value, Tensor) else np.asarray(value)


def _same(a: np.ndarray[Any, DType], b: np.ndarray[Any, DType]) -> bool:
    """Whether two arrays are of one type and equal, NaNs too."""
    return (a.shape, a.dtype) == (b.shape, b.dtype) and np.array_equal(
        a, b, equal_nan=a.dtype.kind == "f"
    )


def saved(
    module: Module, destination: dict[str, Tensor], prefix: str, keep_vars: bool
) -> dict[str, Tensor]:
    """`destination` with the state of `module` and of all below it, each between its hooks."""
    hooks = module._hooks
    for hook in () if hooks is None else tuple(hooks.saving.values()):
        hook(module, prefix, keep_vars)
    for name, value in _own(module):
        destination[prefix + name] = value if keep_vars else Saved.of(value, value.array.copy())
    for name, child in module._modules.items():
        if child is not None:
            child.state_dict(destination, f"{prefix}{name}.", keep_vars)
    for hook in () if hooks is None else tuple(hooks.saved.values()):
        hook(module, destination, prefix, {})
    return destination


def _own(module: Module) -> Iterator[tuple[str, Tensor]]:
    """The parameters and persistent buffers of this one module."""
    for name, parameter in module._parameters.items():
        if parameter is not None:
            yield name, parameter
    for name, buffer in module._buffers.items():
        if buffer is not None and name not in module._unsaved:
            yield name, buffer


def load(module: Module, given: Mapping[str, Any], strict: bool, assign: bool) -> LoadResult:
    """Replace the values of all entries, or raise StateError and change nothing."""
    if not isinstance(given, Mapping):
        raise StateError(
            f"{type(module).__name__} loads a dictionary of tensors", got=type(given).__name__
        )
    given = dict(given)
    owners = list(module.named_modules(remove_duplicate=False))
    wanted: dict[str, Tensor] = {}
    for path, owner in owners:
        start = path + "." if path else ""
        for hook in () if owner._hooks is None else tuple(owner._hooks.loading.values()):
            hook(owner, given, start, {}, strict, [], [], [])
        wanted |= {start + name: value for name, value in _own(owner)}
    result = LoadResult(
        [name for name in wanted if name not in given],
        [name for name in given if name not in wanted],
    )
    for _, owner in owners:
        for hook in () if owner._hooks is None else tuple(owner._hooks.loaded.values()):
            hook(owner, result)
    arrays = {name: _array(name, given[name]) for name in wanted if name in given}
    misfits = [name for name, array in arrays.items() if array.shape != wanted[name].shape]
    if misfits or (strict and (result.missing_keys or result.unexpected_keys)):
        raise _mismatch(module, wanted, arrays, result, misfits)
    for name, array in arrays.items():
        replace(wanted[name], array.copy() if assign else array.astype(wanted[name].dtype))
    if observation.by is not None:
        observation.by.loaded(module, list(arrays), result.unexpected_keys)
    return result


def replace(cell: Tensor, array: np.ndarray[Any, DType]) -> None:
    """Give a parameter or buffer another array, of any shape and dtype."""
    cell.array = array
    if cell.node is not None:
        cell.node.shape, cell.node.dtype = array.shape, array.dtype


def _array(name: str, value: Any) -> np.ndarray[Any, DType]:
    array = value.array if isinstance(value, Value) else value
    if not isinstance(array, np.ndarray | np.generic) or array.dtype.kind not in "biuf":
        raise StateError(f"{name} is not a tensor or an array of numbers", got=repr(value)[:60])
    return np.asarray(array)


def _mismatch(
    module: Module,
    wanted: Mapping[str, Any],
    arrays: Mapping[str, Any],
    result: LoadResult,
    misfits: Sequence[str],
) -> StateError:
    """One error that names everything that does not fit."""
    missing, unexpected = result
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

    On the device ``meta``, which is for modules whose values are not read, values stay.

    Raises ArgumentError for a device other than the CPU, DTypeError for what is no float type.
    """
    unknown = kwargs.keys() - {"dtype", "device", "non_blocking", "copy", "memory_format"}
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
        if text in ("cpu", "meta") or text.startswith("cpu:"):
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
        replace(t, t.array.astype(to))
        if t._grad is not None:
            t._grad = type(t._grad).wrap(t._grad.array.astype(to))
