"""Containers: modules that hold others in order or by name."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self, overload

from ..errors import ArgumentError, DTypeError, IndexRangeError
from ..tensor import Tensor
from .module import Module, require_module, tree
from .parameter import Parameter


class _Numbered(Module):
    """Modules under the names "0", "1", …: what Sequential and ModuleList share."""

    def _listed(self) -> list[Module]:
        return list(self._modules.values())  # type: ignore[arg-type]  # a list holds no None

    def _renumber(self, modules: Iterable[Module]) -> None:
        """Hold exactly these modules, in this order."""
        chosen = list(modules)
        for module in chosen:
            require_module(module, f"a module of {type(self).__name__}")
        self._modules.clear()
        self._modules.update({str(i): module for i, module in enumerate(chosen)})

    def _position(self, index: int) -> int:
        n = len(self)
        if not -n <= index < n:
            raise IndexRangeError(f"{type(self).__name__} has {n} modules", got=f"index {index}")
        return index % n

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._listed())

    def __bool__(self) -> bool:
        return True

    def __contains__(self, module: object) -> bool:
        return any(held is module for held in self._modules.values())

    def __setitem__(self, index: int, module: Module) -> None:
        name = list(self._modules)[self._position(index)]
        setattr(self, name, module)

    def __delitem__(self, index: int | slice) -> None:
        modules = self._listed()
        if not isinstance(index, slice):
            self._position(index)
        del modules[index]
        self._renumber(modules)

    def append(self, module: Module) -> Self:
        """Add a module at the end."""
        self.register_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add modules at the end."""
        for module in list(modules):
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> Self:
        """Insert a module before position `index`."""
        modules = self._listed()
        modules.insert(index, module)
        self._renumber(modules)
        return self

    def pop(self, index: int = -1) -> Module:
        """Take out a module and return it."""
        module = self._listed()[self._position(index)]
        del self[index]
        return module


class Sequential(_Numbered):
    """Calls its modules one after the other, each with what the one before returned.

    Modules are given one by one, or as one mapping of names to modules.

    >>> net = cr.nn.Sequential(cr.nn.Linear(2, 3), cr.nn.Sigmoid(), cr.nn.Linear(3, 1))
    >>> net(ones(5, 2)).shape, len(net[:2])
    ((5, 1), 2)
    """

    def __init__(self, *modules: Any) -> None:
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            for name, module in modules[0].items():
                self.register_module(name, module)
        else:
            for i, module in enumerate(modules):
                self.register_module(str(i), module)

    def forward(self, x: Any) -> Any:
        for module in self._modules.values():
            x = module(x)  # type: ignore[misc]  # a list holds no None
        return x

    @overload
    def __getitem__(self, index: int) -> Any: ...

    @overload
    def __getitem__(self, index: slice) -> Sequential: ...

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return Sequential(OrderedDict(list(self._modules.items())[index]))
        return self._listed()[self._position(index)]

    def __add__(self, other: Sequential) -> Sequential:
        return Sequential(*self, *other)


class ModuleList(_Numbered):
    """A list of modules that the surrounding module knows of. It has no forward pass of its own.

    >>> layers = cr.nn.ModuleList(cr.nn.Linear(4, 4) for _ in range(3))
    >>> layers
    ModuleList(
      (0-2): 3 x Linear(in_features=4, out_features=4, bias=True)
    )
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__()
        self.extend(modules)

    @overload
    def __getitem__(self, index: int) -> Any: ...

    @overload
    def __getitem__(self, index: slice) -> ModuleList: ...

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return ModuleList(self._listed()[index])
        return self._listed()[self._position(index)]

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return ModuleList([*self, *other])

    def __iadd__(self, other: Iterable[Module]) -> Self:
        return self.extend(other)

    def __repr__(self) -> str:
        groups: list[tuple[int, int, str]] = []
        for i, text in enumerate(map(repr, self)):
            if groups and groups[-1][2] == text:
                groups[-1] = (groups[-1][0], i, text)
            else:
                groups.append((i, i, text))
        children = [
            f"({a}): {text}" if a == b else f"({a}-{b}): {b - a + 1} x {text}"
            for a, b, text in groups
        ]
        return tree(type(self).__name__, "", children)


class ModuleDict(Module):
    """Modules by name that the surrounding module knows of, in the order of insertion.

    >>> heads = cr.nn.ModuleDict({"mean": cr.nn.Linear(4, 1), "scale": cr.nn.Linear(4, 1)})
    >>> list(heads), heads["mean"](ones(2, 4)).shape
    (['mean', 'scale'], (2, 1))
    """

    def __init__(
        self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None
    ) -> None:
        super().__init__()
        self.update(modules or {})

    def __getitem__(self, name: str) -> Any:
        if name not in self._modules:
            raise IndexRangeError(
                f"ModuleDict has no module {name!r}", expected=", ".join(self._modules) or None
            )
        return self._modules[name]

    def __setitem__(self, name: str, module: Module) -> None:
        self.register_module(name, module)

    def __delitem__(self, name: str) -> None:
        del self._modules[name]

    def __len__(self) -> int:
        return len(self._modules)

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._modules))

    def __contains__(self, name: object) -> bool:
        return name in self._modules

    def keys(self) -> Iterable[str]:
        """The names."""
        return list(self._modules)

    def values(self) -> Iterable[Any]:
        """The modules."""
        return list(self._modules.values())

    def items(self) -> Iterable[tuple[str, Any]]:
        """Names and modules."""
        return list(self._modules.items())

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Add or replace modules, given as a mapping or as pairs."""
        for name, module in modules.items() if isinstance(modules, Mapping) else modules:
            self[name] = module

    def pop(self, name: str) -> Any:
        """Take out a module and return it."""
        module = self[name]
        del self[name]
        return module

    def clear(self) -> None:
        """Take out all modules."""
        self._modules.clear()


class ParameterList(Module):
    """A list of parameters that the surrounding module knows of; tensors become parameters.

    >>> biases = cr.nn.ParameterList([zeros(2), zeros(3)])
    >>> [p.shape for p in biases]
    [(2,), (3,)]
    """

    def __init__(self, values: Iterable[Any] = ()) -> None:
        super().__init__()
        self.extend(values)

    def append(self, value: Any) -> Self:
        """Add a parameter at the end."""
        self.register_parameter(str(len(self)), _parameter(value))
        return self

    def extend(self, values: Iterable[Any]) -> Self:
        """Add parameters at the end."""
        for value in list(values):
            self.append(value)
        return self

    def __len__(self) -> int:
        return len(self._parameters)

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[Parameter]:
        return iter(list(self._parameters.values()))  # type: ignore[arg-type]  # holds no None

    @overload
    def __getitem__(self, index: int) -> Parameter: ...

    @overload
    def __getitem__(self, index: slice) -> ParameterList: ...

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return ParameterList(list(self)[index])
        return self._parameters[self._name(index)]

    def __setitem__(self, index: int, value: Any) -> None:
        self._parameters[self._name(index)] = _parameter(value)

    def __iadd__(self, values: Iterable[Any]) -> Self:
        return self.extend(values)

    def _name(self, index: int) -> str:
        n = len(self)
        if not -n <= index < n:
            raise IndexRangeError(f"ParameterList has {n} parameters", got=f"index {index}")
        return str(index % n)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise ArgumentError("a ParameterList holds parameters, it cannot be called")

    def __repr__(self) -> str:
        children = [f"({i}): {_described(p)}" for i, p in enumerate(self)]
        return tree(type(self).__name__, "", children)


class ParameterDict(Module):
    """Parameters by name that the surrounding module knows of; tensors become parameters.

    >>> scales = cr.nn.ParameterDict({"left": ones(2), "right": zeros(3)})
    >>> list(scales), scales["right"].shape
    (['left', 'right'], (3,))
    """

    def __init__(
        self,
        parameters: Mapping[str, Any] | ParameterDict | Iterable[tuple[str, Any]] | None = None,
    ) -> None:
        super().__init__()
        self.update(parameters or {})

    def __getitem__(self, name: str) -> Any:
        if name not in self._parameters:
            raise IndexRangeError(
                f"ParameterDict has no parameter {name!r}",
                expected=", ".join(self._parameters) or None,
            )
        return self._parameters[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self.register_parameter(name, _parameter(value))

    def __delitem__(self, name: str) -> None:
        delattr(self, name)

    def __len__(self) -> int:
        return len(self._parameters)

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._parameters))

    def __contains__(self, name: object) -> bool:
        return name in self._parameters

    def __or__(self, other: ParameterDict) -> ParameterDict:
        return ParameterDict([*self.items(), *other.items()])

    def __ior__(self, other: ParameterDict) -> Self:
        self.update(other.items())
        return self

    def keys(self) -> Iterable[str]:
        """The names."""
        return list(self._parameters)

    def values(self) -> Iterable[Any]:
        """The parameters."""
        return list(self._parameters.values())

    def items(self) -> Iterable[tuple[str, Any]]:
        """Names and parameters."""
        return list(self._parameters.items())

    def get(self, name: str, default: Any = None) -> Any:
        """A parameter, or `default` if there is none of this name."""
        return self._parameters.get(name, default)

    def setdefault(self, name: str, default: Any = None) -> Any:
        """A parameter, which is `default` from now on if there was none of this name."""
        if name not in self:
            self[name] = default
        return self[name]

    def update(
        self, parameters: Mapping[str, Any] | ParameterDict | Iterable[tuple[str, Any]]
    ) -> None:
        """Add or replace parameters, given as a mapping or as pairs."""
        if isinstance(parameters, (Mapping, ParameterDict)):
            parameters = parameters.items()
        for name, value in parameters:
            self[name] = value

    def pop(self, name: str) -> Any:
        """Take out a parameter and return it."""
        value = self[name]
        del self[name]
        return value

    def popitem(self) -> tuple[str, Any]:
        """Take out the last parameter and return it with its name."""
        name = list(self._parameters)[-1]
        return name, self.pop(name)

    def copy(self) -> ParameterDict:
        """Another dictionary of the same parameters."""
        return ParameterDict(self.items())

    def clear(self) -> None:
        """Take out all parameters."""
        for name in self:
            del self[name]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise ArgumentError("a ParameterDict holds parameters, it cannot be called")

    def __repr__(self) -> str:
        children = [f"({name}): {_described(p)}" for name, p in self.items()]
        return tree(type(self).__name__, "", children)


def _described(p: Parameter) -> str:
    return f"Parameter containing: [{p.dtype} of size {'x'.join(map(str, p.shape))}]"


def _parameter(value: Any) -> Parameter:
    if isinstance(value, Parameter):
        return value
    if isinstance(value, Tensor):
        return Parameter(value)
    raise DTypeError("only parameters and tensors can be held here", got=type(value).__name__)
