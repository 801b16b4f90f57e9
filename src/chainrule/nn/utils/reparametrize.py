"""Weight norm and spectral norm in their old form: the originals are the module's own."""

from __future__ import annotations

from typing import Any

from ... import ops
from ...core.value import recording
from ...errors import ArgumentError
from ...tensor import Tensor
from ..functional.distances import normalize
from ..hooks import RemovableHandle
from ..module import Module
from ..parameter import Parameter
from .parametrizations import (
    as_matrix,
    largest_singular_value,
    length,
    output_axis,
    power_iteration,
)


class _Computed(Tensor):
    """A weight that the next call computes anew, so a deep copy of it needs no graph."""

    __slots__ = ()

    def __deepcopy__(self, memo: dict[int, object]) -> Tensor:
        return Tensor.wrap(self.array)


class _Recomputed:
    """A forward pre-hook that sets a weight of a module from its originals before each call."""

    handle: RemovableHandle

    def __init__(self, name: str) -> None:
        self.name = name

    def compute(self, module: Module) -> Any:
        """The weight."""
        raise NotImplementedError

    def originals(self) -> tuple[str, ...]:
        """The names of the parameters and buffers that stand for the weight."""
        raise NotImplementedError

    def __call__(self, module: Module, args: Any) -> None:
        # Not through __setattr__, which counts assignments as changes of configuration.
        weight = self.compute(module)
        module.__dict__[self.name] = _Computed.wrap(weight.array, weight.node)

    def attach(self, module: Module) -> None:
        """Compute the weight now and before each call."""
        if any(h.name == self.name for h in _attached(module)):
            raise ArgumentError(f"{type(module).__name__}.{self.name} is normalised already")
        self.handle = module.register_forward_pre_hook(self)
        self(module, ())

    def detach(self, module: Module) -> None:
        """Make the weight a parameter again, with the value it has."""
        with recording(False):
            value = self.compute(module)
        self.handle.remove()
        del module.__dict__[self.name]
        for name in self.originals():
            delattr(module, name)
        module.register_parameter(self.name, Parameter(value))


def _attached(module: Module) -> list[_Recomputed]:
    hooks = () if module._hooks is None else module._hooks.before.values()
    return [hook for hook, _ in hooks if isinstance(hook, _Recomputed)]


class _WeightNorm(_Recomputed):
    """w = g v / ‖v‖."""

    def __init__(self, name: str, dim: int | None) -> None:
        super().__init__(name)
        self.dim = dim

    def originals(self) -> tuple[str, ...]:
        return f"{self.name}_g", f"{self.name}_v"

    def compute(self, module: Module) -> Any:
        g, v = (getattr(module, name) for name in self.originals())
        return v * (g / length(v, self.dim))


class _SpectralNorm(_Recomputed):
    """w / σ(w); one call is `steps` power iterations while training."""

    def __init__(self, name: str, steps: int, dim: int, eps: float) -> None:
        super().__init__(name)
        self.steps = steps
        self.dim = dim
        self.eps = eps

    def originals(self) -> tuple[str, ...]:
        return f"{self.name}_orig", f"{self.name}_u", f"{self.name}_v"

    def compute(self, module: Module) -> Any:
        weight, u, v = (getattr(module, name) for name in self.originals())
        matrix = as_matrix(weight, self.dim)
        if module.training:
            # v first, as PyTorch's old form goes: u is what it started from.
            power_iteration(ops.transpose(matrix, 0, 1), v, u, self.steps, self.eps)
        return weight / largest_singular_value(matrix, u, v)


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Make a weight w = g v / ‖v‖ of parameters ``<name>_g`` and ``<name>_v``; returns the module.

    The norm is over all axes but `dim`, or over all. The weight is computed before each call; see
    ``parametrizations.weight_norm`` for the newer form. Source: Salimans & Kingma 2016, eq. 2.
    """
    weight = _weight(module, name)
    with recording(False):
        g = length(weight, dim)
    delattr(module, name)
    module.register_parameter(f"{name}_g", Parameter(g))
    module.register_parameter(f"{name}_v", Parameter(weight))
    _WeightNorm(name, dim).attach(module)
    return module


def remove_weight_norm(module: Module, name: str = "weight") -> Module:
    """Undo ``weight_norm``; the weight keeps its value. Raises ArgumentError if there is none."""
    return _removed(module, name, _WeightNorm)


def spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Module:
    """Make a weight w / σ(w) of a parameter ``<name>_orig``; returns the module.

    u and v of the power iteration are buffers ``<name>_u`` and ``<name>_v``, one step of which is
    taken at each call while training. See ``parametrizations.spectral_norm`` for the newer form.
    Source: Miyato et al. 2018, algorithm 1.
    """
    weight = _weight(module, name)
    axis = output_axis(module) if dim is None else dim
    matrix = as_matrix(weight, axis)
    delattr(module, name)
    module.register_parameter(f"{name}_orig", Parameter(weight, weight.requires_grad))
    for suffix, size in zip("uv", matrix.shape, strict=True):
        start = normalize(ops.randn((size,), dtype=weight.dtype), dim=0, eps=eps)
        module.register_buffer(f"{name}_{suffix}", start)
    _SpectralNorm(name, n_power_iterations, axis, eps).attach(module)
    return module


def remove_spectral_norm(module: Module, name: str = "weight") -> Module:
    """Undo ``spectral_norm``; the weight keeps its value. Raises ArgumentError if there is none."""
    return _removed(module, name, _SpectralNorm)


def _weight(module: Module, name: str) -> Parameter:
    weight = module._parameters.get(name)
    if weight is None:
        raise ArgumentError(
            f"{type(module).__name__} has no parameter {name!r}",
            expected=", ".join(module._parameters) or None,
        )
    return weight


def _removed(module: Module, name: str, kind: type[_Recomputed]) -> Module:
    for hook in _attached(module):
        if isinstance(hook, kind) and hook.name == name:
            hook.detach(module)
            return module
    raise ArgumentError(f"{type(module).__name__}.{name} is not normalised so")
