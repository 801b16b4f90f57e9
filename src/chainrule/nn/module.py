"""Module: a function with parameters, made of other modules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, Self

from ..core.observation import observation
from ..core.value import Scope, Value, configuration, tape
from ..creation import zeros_like
from ..errors import ArgumentError, DTypeError
from ..tensor import Tensor
from . import state
from .hooks import Hooked
from .parameter import Buffer, Parameter
from .placed import Placed
from .state import LoadResult


class Module(Hooked, Placed):
    """Base of all layers and networks.

    A subclass calls ``super().__init__()``, assigns its parameters and submodules to attributes and
    defines ``forward``. Parameters, buffers and submodules are found in the order of assignment.
    Calling the module runs its hooks and ``forward``; errors and the tape then know where they are
    (``Net.fc1``).

    >>> class Net(cr.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.fc1 = cr.nn.Linear(4, 8)
    ...         self.fc2 = cr.nn.Linear(8, 2)
    ...
    ...     def forward(self, x):
    ...         return self.fc2(self.fc1(x).tanh())
    >>> net = Net()
    >>> net
    Net(
      (fc1): Linear(in_features=4, out_features=8, bias=True)
      (fc2): Linear(in_features=8, out_features=2, bias=True)
    )
    >>> net(ones(5, 4)).shape
    (5, 2)
    """

    training: bool
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module | None]
    _unsaved: set[str]

    def __init__(self) -> None:
        self.__dict__.update(
            training=True, _parameters={}, _buffers={}, _modules={}, _unsaved=set()
        )

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; every subclass defines it."""
        raise NotImplementedError(f"{type(self).__name__} does not define forward()")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run ``forward`` inside the hooks."""
        outer = tape.scope
        tape.scope = Scope(self, outer)
        if tape.graph is not None:
            tape.graph.visit(self)
        if observation.by is not None:
            args = observation.by.module_call(self, args, kwargs) or args
        try:
            if self._hooks is None:
                return self.forward(*args, **kwargs)
            return self._hooks.run(self, args, kwargs)
        finally:
            tape.scope = outer

    # Attributes -----------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        for members in ("_parameters", "_buffers", "_modules"):
            held = self.__dict__.get(members)
            if held is not None and name in held:
                return held[name]
        raise AttributeError(
            f"{type(self).__name__} has no attribute {name!r}", name=name, obj=self
        )

    def __setattr__(self, name: str, value: object) -> None:
        if isinstance(value, Parameter):
            self._make_room(name, "_parameters")
            self.register_parameter(name, value)
        elif isinstance(value, Module):
            self._make_room(name, "_modules")
            self.register_module(name, value)
        elif isinstance(value, Buffer):
            self._make_room(name, "_buffers")
            self.register_buffer(name, value, value.persistent)
        elif (members := self._holder(name)) is None:
            if self.__dict__.get(name, _UNSET) is not value:
                configuration.version += 1
            object.__setattr__(self, name, value)
        elif value is None or (members is self._buffers and isinstance(value, Value)):
            if members[name] is not value:
                configuration.version += 1
            members[name] = value
        else:
            kind = {id(self._parameters): "parameter", id(self._buffers): "buffer"}
            raise DTypeError(
                f"{type(self).__name__}.{name} is a {kind.get(id(members), 'module')}: "
                f"cannot assign a {type(value).__name__} to it"
            )

    def __delattr__(self, name: str) -> None:
        members = self._holder(name)
        if members is None:
            object.__delattr__(self, name)
        else:
            del members[name]
            self._unsaved.discard(name)
        configuration.version += 1

    def __dir__(self) -> Iterable[str]:
        held = (self.__dict__.get(m, ()) for m in ("_parameters", "_buffers", "_modules"))
        return sorted({*super().__dir__(), *chain.from_iterable(held)})

    def _holder(self, name: str) -> dict[str, Any] | None:
        """The one of the three dictionaries of members that has this name."""
        for members in ("_parameters", "_buffers", "_modules"):
            held = self.__dict__.get(members)
            if held is not None and name in held:
                return held  # type: ignore[no-any-return]  # a dictionary of members
        return None

    def _make_room(self, name: str, members: str) -> None:
        """Drop what else has this name; a member of the same kind is replaced in its place."""
        if members not in self.__dict__:
            raise AttributeError(
                f"call super().__init__() in {type(self).__name__}.__init__ "
                f"before assigning {name!r}"
            )
        if name not in self.__dict__[members] and (
            name in self.__dict__ or self._holder(name) is not None
        ):
            delattr(self, name)

    def _check_name(self, name: str, kind: str) -> None:
        if not isinstance(name, str) or not name or "." in name:
            raise ArgumentError(
                f"{name!r} cannot name a {kind}", expected="a non-empty string without a dot"
            )
        if self._holder(name) is None and (name in self.__dict__ or hasattr(type(self), name)):
            raise ArgumentError(
                f"{type(self).__name__} has an attribute {name!r} already",
                hint=f"choose another name for the {kind}",
            )

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter, or None to say that there is none of this name."""
        self._check_name(name, "parameter")
        if param is not None and not isinstance(param, Parameter):
            raise DTypeError(
                f"parameter {name!r} must be an nn.Parameter", got=type(param).__name__
            )
        self._parameters[name] = param
        configuration.version += 1

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is part of the state but not trained, such as running statistics.

        With ``persistent=False`` it stays out of ``state_dict``.
        """
        self._check_name(name, "buffer")
        if tensor is not None and not isinstance(tensor, Value):
            raise DTypeError(f"buffer {name!r} must be a tensor", got=type(tensor).__name__)
        self._buffers[name] = tensor
        configuration.version += 1
        (self._unsaved.discard if persistent else self._unsaved.add)(name)

    def register_module(self, name: str, module: Module | None) -> None:
        """Add a submodule."""
        self._check_name(name, "module")
        if module is not None:
            require_module(module, f"module {name!r} of {type(self).__name__}")
        self._modules[name] = module
        configuration.version += 1

    add_module = register_module

    # Members --------------------------------------------------------------------------------------

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The direct submodules with their names, each once."""
        seen: set[int] = set()
        for name, module in self._modules.items():
            if module is not None and id(module) not in seen:
                seen.add(id(module))
                yield name, module

    def children(self) -> Iterator[Module]:
        """The direct submodules, each once."""
        return (module for _, module in self.named_children())

    def named_modules(
        self, memo: set[int] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module, under the name `prefix`, and all below it, with dotted names."""
        memo = set() if memo is None else memo
        if remove_duplicate:
            if id(self) in memo:
                return
            memo.add(id(self))
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                yield from module.named_modules(memo, _join(prefix, name), remove_duplicate)

    def modules(self) -> Iterator[Module]:
        """This module and all below it, each once."""
        return (module for _, module in self.named_modules())

    def _named_members(
        self, members: str, prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Any]]:
        where: Iterable[tuple[str, Module]] = [(prefix, self)]
        if recurse:
            where = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate)
        seen: set[int] = set()
        for path, module in where:
            for name, member in getattr(module, members).items():
                if member is None or (remove_duplicate and id(member) in seen):
                    continue
                seen.add(id(member))
                yield _join(path, name), member

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """All parameters with dotted names; a shared one appears once, under its first name."""
        return self._named_members("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All parameters, each once."""
        return (p for _, p in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """All buffers with dotted names."""
        return self._named_members("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """All buffers, each once."""
        return (b for _, b in self.named_buffers(recurse=recurse))

    def get_submodule(self, target: str) -> Module:
        """The module with a dotted name; the empty name is this module."""
        module = self
        for name in target.split(".") if target else ():
            module = getattr(module, name)
            if not isinstance(module, Module):
                raise AttributeError(f"{target!r} in {type(self).__name__} is not a module")
        return module

    def get_parameter(self, target: str) -> Parameter:
        """The parameter with a dotted name."""
        path, _, name = target.rpartition(".")
        found = getattr(self.get_submodule(path), name)
        if not isinstance(found, Parameter):
            raise AttributeError(f"{target!r} in {type(self).__name__} is not a parameter")
        return found

    def get_buffer(self, target: str) -> Tensor:
        """The buffer with a dotted name."""
        path, _, name = target.rpartition(".")
        owner = self.get_submodule(path)
        found: Tensor = getattr(owner, name)
        if name not in owner._buffers:
            raise AttributeError(f"{target!r} in {type(self).__name__} is not a buffer")
        return found

    def set_submodule(self, target: str, module: Module, strict: bool = False) -> None:
        """Put `module` in the place with a dotted name; with `strict`, only where one is."""
        path, _, name = target.rpartition(".")
        owner = self.get_submodule(path)
        if strict and name not in owner._modules:
            raise AttributeError(f"{target!r} in {type(self).__name__} is not a module")
        owner._make_room(name, "_modules")
        owner.register_module(name, module)

    # State ----------------------------------------------------------------------------------------

    def state_dict(
        self,
        destination: dict[str, Tensor] | None = None,
        prefix: str = "",
        keep_vars: bool = False,
    ) -> dict[str, Tensor]:
        """A snapshot of all parameters and persistent buffers, under dotted names.

        Training on does not change it. A shared parameter appears under each of its names. With
        `keep_vars` the tensors themselves are returned instead of copies. To change a copy in place
        changes the parameter too, as in PyTorch, while the two are still equal, and is an error
        afterwards: use ``load_state_dict``. A `destination` is added to, and returned.

        >>> list(cr.nn.Linear(3, 2).state_dict())
        ['weight', 'bias']
        """
        return state.saved(self, {} if destination is None else destination, prefix, keep_vars)

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> LoadResult:
        """Copy the values of `state_dict` (tensors or arrays) into the parameters and buffers.

        Nothing is changed unless everything fits. With `assign` they take the dtypes of the given
        ones too. Returns the missing and the unexpected keys.

        Raises StateError if shapes differ, or if names do and `strict` is True.
        """
        return state.load(self, state_dict, strict, assign)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or set them to zero."""
        for p in self.parameters():
            if p._grad is not None:
                p._grad = None if set_to_none else zeros_like(p._grad)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Compute gradients for all parameters, or for none of them."""
        for p in self.parameters():
            p.requires_grad_(requires_grad)
        return self

    def train(self, mode: bool = True) -> Self:
        """Set this module and all below it to training, or with False to evaluation."""
        if not isinstance(mode, bool):
            raise ArgumentError("train() takes True or False", got=repr(mode))
        self.training = mode
        for child in self.children():
            child.train(mode)
        return self

    def eval(self) -> Self:
        """Evaluation: dropout passes everything, batch norm uses its running statistics."""
        return self.train(False)

    def apply(self, fn: Callable[[Module], object]) -> Self:
        """Call `fn` with every submodule, children first, and with this module last."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def configuration(self) -> dict[str, Any]:
        """What a compiled function that calls this module depends on, besides tensors' numbers.

        These are the attributes, members and hooks of this module and all below it.
        """
        found: dict[str, Any] = {}
        for path, module in self.named_modules():
            own = {**vars(module)}
            for members in ("_parameters", "_buffers", "_modules"):
                own |= own.pop(members)
            hooks = own.pop("_hooks", None)
            own |= {} if hooks is None else hooks.named()
            del own["_unsaved"]
            found |= {_join(path, name): value for name, value in own.items()}
        return found

    # Display --------------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """What to show between the parentheses of the module's line."""
        return ""

    def _get_name(self) -> str:
        """How the module calls itself; PyTorch programs override it."""
        return type(self).__name__

    def __repr__(self) -> str:
        extra = self.extra_repr()
        children = [f"({name}): {module!r}" for name, module in self._modules.items()]
        return tree(self._get_name(), extra, children)


_UNSET = object()
"""What an attribute is before it is first assigned."""


def tree(head: str, extra: str, children: list[str]) -> str:
    """``Head(extra)`` on one line, or with one indented line per child."""
    if not children:
        return f"{head}({extra})"
    lines = [*([extra] if extra else []), *children]
    inside = "\n".join(lines).replace("\n", "\n  ")
    return f"{head}(\n  {inside}\n)"


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name


def require_module(module: object, what: str) -> None:
    """Raise DTypeError unless `module`, which the error calls `what`, is a Module."""
    if isinstance(module, Module):
        return
    hint = None
    if isinstance(module, type):
        hint = f"make an instance: {module.__name__}()"
    elif callable(module):
        hint = "functions have modules of their own, such as nn.ReLU() for relu"
    raise DTypeError(f"{what} must be an nn.Module", got=repr(module), hint=hint)
