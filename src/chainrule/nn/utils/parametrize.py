"""Parametrized tensors: a weight that is computed from others whenever it is read.

``register_parametrization(layer, "weight", p)`` makes ``layer.weight`` the value of p(original),
where `original` is the parameter that is now trained. Several may be chained on one tensor.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

from ...core.aval import describe
from ...core.value import recording
from ...errors import ArgumentError, ShapeError, StateError
from ...tensor import Tensor
from ..containers import ModuleDict, ModuleList
from ..module import Module
from ..parameter import Parameter
from ..state import replace


class ParametrizationList(ModuleList):
    """The parametrizations of one tensor, in order, and the originals that they start from.

    ``original`` is a parameter or buffer; ``original0``, ``original1``, … if the first
    parametrization's ``right_inverse`` returns several.
    """

    def __init__(self, modules: Sequence[Module], original: Tensor) -> None:
        super().__init__(modules)
        value: Any = original
        with recording(False):
            for module in reversed(list(self)):
                value = _inverse(module, value)
        self.is_tensor = not isinstance(value, (tuple, list))
        self.ntensors = 1 if self.is_tensor else len(value)
        for name, part in zip(self._names(), [value] if self.is_tensor else value, strict=True):
            if isinstance(original, Parameter):
                kept = original if part is original else Parameter(part, original.requires_grad)
                self.register_parameter(name, kept)
            else:
                self.register_buffer(name, part)

    def _names(self) -> list[str]:
        if self.is_tensor:
            return ["original"]
        return [f"original{i}" for i in range(self.ntensors)]

    def originals(self) -> list[Tensor]:
        """The tensors that are trained."""
        return [getattr(self, name) for name in self._names()]

    def right_inverse(self, value: Any) -> None:
        """Set the originals so that the tensor becomes `value`."""
        with recording(False):
            for module in reversed(list(self)):
                value = _inverse(module, value)
            for cell, part in zip(
                self.originals(), [value] if self.is_tensor else value, strict=True
            ):
                replace(cell, part.array.astype(cell.dtype))

    def forward(self) -> Any:
        first, *others = self
        y = first(*self.originals())
        for module in others:
            y = module(y)
        return y


class Parametrized(Module):
    """Mixin of the classes of modules with computed tensors, which are properties of the class."""

    original_class: ClassVar[type[Module]]

    def __setattr__(self, name: str, value: object) -> None:
        if name != "parametrizations" and is_parametrized(self, name):
            self.parametrizations[name].right_inverse(value)
        else:
            super().__setattr__(name, value)


_caches: list[dict[int, Any]] = []
"""For each ``cached()`` block we are in, the computed tensors by the identity of their list."""


@contextmanager
def cached() -> Iterator[None]:
    """Compute each parametrized tensor once inside the block, however often it is read."""
    _caches.append(_caches[-1] if _caches else {})
    try:
        yield
    finally:
        _caches.pop()


def _computed(name: str) -> property:
    def read(module: Parametrized) -> Any:
        parametrizations = module.parametrizations[name]
        if not _caches:
            return parametrizations()
        key = id(parametrizations)
        if key not in _caches[-1]:
            _caches[-1][key] = parametrizations()
        return _caches[-1][key]

    return property(read)


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """Compute ``module.<tensor_name>`` by `parametrization` from now on; returns the module.

    Its optional method ``right_inverse`` says which original gives a value that is assigned, and
    the value at first. The module's class becomes a subclass of it; its state has the keys
    ``parametrizations.<name>.original`` and those of the parametrization's own tensors.

    Raises ArgumentError for a name that is no parameter or buffer, ShapeError if the value has
    another shape or dtype than the tensor had, unless `unsafe`.

    >>> class Symmetric(cr.nn.Module):
    ...     def forward(self, x):
    ...         return (x + x.T) / 2
    >>> layer = register_parametrization(cr.nn.Linear(3, 3), "weight", Symmetric())
    >>> bool((layer.weight == layer.weight.T).all())
    True
    """
    if is_parametrized(module, tensor_name):
        parametrizations = module.parametrizations[tensor_name]
        before = getattr(module, tensor_name)
        _check(parametrization, before, parametrization(before), unsafe)
        originals = parametrizations.originals()
        if hasattr(parametrization, "right_inverse") and len(originals) == 1:
            with recording(False):
                replace(originals[0], parametrization.right_inverse(originals[0]).array)
        parametrizations.append(parametrization)
        return module
    if tensor_name not in module._parameters and tensor_name not in module._buffers:
        raise ArgumentError(
            f"{type(module).__name__} has no parameter or buffer {tensor_name!r}",
            expected=", ".join([*module._parameters, *module._buffers]) or None,
        )
    original = getattr(module, tensor_name)
    made = ParametrizationList([parametrization], original)
    _check(parametrization, original, made(), unsafe)
    delattr(module, tensor_name)
    cls = type(module)
    if not isinstance(module, Parametrized):
        members = {"original_class": cls, "__doc__": cls.__doc__}
        module.__class__ = type(f"Parametrized{cls.__name__}", (Parametrized, cls), members)
        module.parametrizations = ModuleDict()
    setattr(type(module), tensor_name, _computed(tensor_name))
    module.parametrizations[tensor_name] = made
    return module


def remove_parametrizations(
    module: Module, tensor_name: str, leave_parametrized: bool = True
) -> Module:
    """Make ``module.<tensor_name>`` an ordinary parameter again; returns the module.

    It keeps its value, or with ``leave_parametrized=False`` becomes the original, where there is
    one. Raises ArgumentError if it is not parametrized.
    """
    if not is_parametrized(module, tensor_name):
        raise ArgumentError(f"{type(module).__name__}.{tensor_name} is not parametrized")
    parametrizations = module.parametrizations[tensor_name]
    originals = parametrizations.originals()
    if not leave_parametrized and len(originals) > 1:
        raise ArgumentError(
            f"{tensor_name} has {len(originals)} originals", hint="pass leave_parametrized=True"
        )
    original = originals[0]
    with recording(False):
        value = getattr(module, tensor_name) if leave_parametrized else original
    if len(originals) == 1:
        replace(original, value.array)
    elif isinstance(original, Parameter):
        original = Parameter(value, any(t.requires_grad for t in originals))
    else:
        original = value.detach()
    del module.parametrizations[tensor_name]
    left = module.parametrizations
    delattr(type(module), tensor_name)
    if not len(left):
        cls = type(module).original_class  # type: ignore[attr-defined]  # Parametrized
        del module.parametrizations
        module.__class__ = cls
    if isinstance(original, Parameter):
        module.register_parameter(tensor_name, original)
    else:
        module.register_buffer(tensor_name, original)
    return module


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether the module, or one tensor of it, is computed by parametrizations."""
    if not isinstance(module, Parametrized):
        return False
    held = module._modules.get("parametrizations")
    return isinstance(held, ModuleDict) and (tensor_name is None or tensor_name in held)


def type_before_parametrizations(module: Module) -> type[Module]:
    """The module's class without regard to parametrizations."""
    return module.original_class if isinstance(module, Parametrized) else type(module)


def _inverse(module: Module, value: Any) -> Any:
    """What `module` must be given to return `value`; the value itself unless it says otherwise."""
    right_inverse = getattr(module, "right_inverse", None)
    return value if right_inverse is None else right_inverse(value)


def _check(parametrization: Module, before: Any, after: Any, unsafe: bool) -> None:
    """Raise ShapeError if a parametrization changes shape or dtype."""
    if not isinstance(parametrization, Module):
        raise StateError("a parametrization is an nn.Module", got=type(parametrization).__name__)
    if not unsafe and (after.shape, after.dtype) != (before.shape, before.dtype):
        raise ShapeError(
            f"{type(parametrization).__name__} does not keep the tensor's shape and dtype",
            expected=describe(before),
            got=describe(after),
            hint="pass unsafe=True if that is meant",
        )
