"""Guards: what must be as it was when a function was traced, and in words what is not."""

from __future__ import annotations

import dis
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import CodeType, FunctionType, MethodType
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..core.aval import Aval, DType, Shape
from ..core.value import Configured, Value
from .recording import Kind
from .trace import Reading

Reasons: TypeAlias = list[str]
"""One sentence for each thing that changed, such as ``model.training: True became False``."""

_PLAIN = frozenset({int, float, bool, str, bytes, type(None), complex})
_MISSING = object()


def is_same(a: Any, b: Any) -> bool:
    """Whether two settings are one object, or equal plain values; tuples entry by entry.

    >>> is_same((1, "same"), (1, "same")), is_same(1, 1.0), is_same([], [])
    (True, False, False)
    """
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if type(a) is tuple:
        return len(a) == len(b) and all(map(is_same, a, b))
    return bool((type(a) in _PLAIN or isinstance(a, (np.dtype, np.generic))) and a == b)


def shown(x: Any) -> str:
    """A setting in a reason: plain values as they are, of others the type."""
    if type(x) in _PLAIN or type(x) is tuple:
        return repr(x)
    return "nothing" if x is _MISSING else f"a {type(x).__name__}"


# Arguments ----------------------------------------------------------------------------------------


def tracked(cell: Value) -> str:
    """How a tensor is part of a tape: not at all (an empty string), as a leaf, or computed."""
    node = cell.node
    if node is None:
        return ""
    return "requires_grad" if node.op is None else "computed, requires_grad"


class LeafGuard(NamedTuple):
    """What a leaf of the arguments must be; for a STATIC one, `value` is its value."""

    kind: Kind
    shape: Shape
    dtype: DType | None
    wants: str
    value: Any

    @classmethod
    def of(cls, kind: Kind, leaf: Any) -> LeafGuard:
        """The guard of a leaf that was traced as `kind`."""
        if kind is Kind.TENSOR:
            return cls(kind, leaf.array.shape, leaf.array.dtype, tracked(leaf), None)
        if kind is Kind.ARRAY:
            return cls(kind, leaf.shape, leaf.dtype, "", None)
        return cls(kind, (), None, "", leaf if kind is Kind.STATIC else None)

    def reason(self, leaf: Any) -> str | None:
        """What changed: ``float32[8,2] became float32[4,2]``."""
        now = describe_leaf(leaf)
        if self.kind is Kind.STATIC:
            if is_same(self.value, leaf):
                return None
            before = describe_leaf(self.value)
            return f"{before} became {'another one' if before == now else now}"
        if self.kind is Kind.NUMBER:
            return None if isinstance(leaf, (float, np.floating)) else f"a float became {now}"
        before = f"{Aval(self.shape, self.dtype)!r}"  # type: ignore[arg-type]  # not None here
        if self.kind is Kind.ARRAY:
            before = f"array {before}"
        elif self.wants:
            before = f"{before} ({self.wants})"
        return None if before == now else f"{before} became {now}"


def argument_name(path: str) -> str:
    """``argument 0['x']`` for the path of a leaf in (args, kwargs)."""
    place, _, rest = path.removeprefix("[").partition("]")
    first, _, inner = rest.removeprefix("[").partition("]")
    return f"argument {first.strip(chr(39)) if place == '1' else first}{inner}"


def describe_leaf(leaf: Any) -> str:
    """``float32[2,3]`` for a tensor, with whether it wants a gradient; plain values themselves."""
    if isinstance(leaf, Value):
        wants = tracked(leaf)
        aval = repr(Aval(leaf.shape, leaf.dtype))
        return f"{aval} ({wants})" if wants else aval
    if isinstance(leaf, np.ndarray):
        return f"array {Aval(leaf.shape, leaf.dtype)!r}"
    return shown(leaf)


# Names --------------------------------------------------------------------------------------------


class NameGuard(NamedTuple):
    """A plain number or string that the function reads from a closure or from its globals."""

    name: str
    read: Callable[[], Any]
    value: Any


def names_read(fn: Any) -> list[NameGuard]:
    """Guards of the plain values among what the names in the code of `fn` stand for now."""
    return [
        NameGuard(name, read, value)
        for name, read, value in _bound_names(fn)
        if type(value) in _PLAIN and value is not None
    ]


def objects_read(fn: Any) -> dict[int, str]:
    """By their ids, what the names in the code of `fn` stand for now."""
    return {id(value): name for name, _, value in _bound_names(fn)}


def _bound_names(fn: Any) -> Iterator[tuple[str, Callable[[], Any], Any]]:
    if isinstance(fn, MethodType):
        fn = fn.__func__
    if not isinstance(fn, FunctionType):
        return
    for name, cell in zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True):
        read = _cell_reader(cell)
        yield name, read, read()
    names = fn.__globals__
    for name in _global_names(fn.__code__):
        if name in names:
            yield name, _global_reader(names, name), names[name]


def _global_names(code: CodeType) -> set[str]:
    # Not co_names: attributes are among those, and ``optimizer.step`` reads no global ``step``.
    found = {i.argval for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL"}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= _global_names(constant)
    return found


def _cell_reader(cell: Any) -> Callable[[], Any]:
    def read() -> Any:
        try:
            return cell.cell_contents
        except ValueError:  # not assigned yet
            return _MISSING

    return read


def _global_reader(names: Mapping[str, Any], name: str) -> Callable[[], Any]:
    return lambda: names.get(name, _MISSING)


# Settings of modules and optimizers ---------------------------------------------------------------


class PartGuard:
    """The settings of a module or an optimizer that took part."""

    def __init__(self, label: str, part: Configured) -> None:
        self.label = label
        self.part = part
        self._settings = part.configuration()
        self.dicts = [x for x in self._settings.values() if type(x) is dict]
        """Looked at in each call, for a change of size is no assignment."""

    def inside(self) -> set[int]:
        """Ids of what it consists of, such as submodules, whose settings are among its own."""
        return {id(x) for x in self._settings.values() if isinstance(x, Configured)}

    def reasons(self) -> Reasons:
        """What changed."""
        before, now = self._settings, self.part.configuration()
        names = [*before, *[name for name in now if name not in before]]
        found = []
        for name in names:
            old, new = before.get(name, _MISSING), now.get(name, _MISSING)
            if not is_same(old, new):
                was, became = shown(old), shown(new)
                became = "another one" if was == became else became
                found.append(f"{self.label}.{name}: {was} became {became}")
        return found


class GroupGuard:
    """The numbers of a parameter group: some are inputs of the graph, others part of it."""

    def __init__(self, label: str, group: dict[str, Any], readings: Sequence[Reading]) -> None:
        self.label = label
        self.group = group
        self.readings = readings
        self.snapshot = dict(group)
        self._known = self._fixed(group)

    def _fixed(self, group: Mapping[str, Any]) -> dict[str, Any]:
        """What may not change: numbers that are inputs count as zero or not, ``lr`` as a number."""
        found: dict[str, Any] = {}
        for key, value in group.items():
            if key == "params":
                continue
            parts = value if type(value) is tuple else (value,)
            dynamic = {r.place or 0 for r in self.readings if r.key == key}
            for i, x in enumerate(parts):
                name = f"{key}[{i}]" if type(value) is tuple else key
                if i not in dynamic:
                    found[name] = x.item() if isinstance(x, np.generic) else x
                elif isinstance(x, (int, float)) and (key == "lr" or x):
                    found[name] = "a number"
                else:
                    found[name] = x
        return found

    def reasons(self) -> Reasons:
        """What changed. If nothing did, later calls compare with the group as it is now."""
        now = self._fixed(self.group)
        found = [
            f"{self.label}.{name}: {shown(old)} became {shown(now.get(name, _MISSING))}"
            for name, old in self._known.items()
            if not is_same(old, now.get(name, _MISSING))
        ]
        if not found:
            self.snapshot = dict(self.group)
        return found
