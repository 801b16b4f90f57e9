"""PyTorch's arguments as arguments of the mirror, and PyTorch's test functions bound to it."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import chainrule as cr
import chainrule.torch as mirror

from .entry import SampleSkippedError

_FLAGS = (torch.memory_format, torch.layout)


def converted(value: Any, made: list[tuple[Any, Any]] | None = None) -> Any:
    """`value` for the mirror; tensors that want gradients are noted in `made` as (ours, theirs).

    Raises SampleSkippedError for what is outside the surface: complex, quantised, sparse and
    bfloat16 tensors.
    """
    if isinstance(value, torch.Tensor):
        return _tensor(value, made)
    if isinstance(value, torch.dtype):
        return _dtype(value)
    if isinstance(value, torch.device):
        return "cpu"
    if isinstance(value, torch.Generator):
        return mirror.Generator().manual_seed(value.initial_seed())
    if isinstance(value, _FLAGS):
        return getattr(mirror, str(value).removeprefix("torch."))
    if isinstance(value, torch.nn.Module):
        return bound_module(value)
    if isinstance(value, torch.Size):
        return tuple(value)
    if isinstance(value, slice):
        return slice(*(converted(v, made) for v in (value.start, value.stop, value.step)))
    if isinstance(value, torch.nn.utils.rnn.PackedSequence):
        packed = (converted(part, made) for part in value)
        return mirror.nn.utils.rnn.PackedSequence(*packed)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return tuple(converted(v, made) for v in value)
    if isinstance(value, tuple | list):
        return type(value)(converted(v, made) for v in value)
    if isinstance(value, dict):
        return {k: converted(v, made) for k, v in value.items()}
    if isinstance(value, types.FunctionType | types.BuiltinFunctionType | functools.partial):
        return bound(value)
    return value


def _tensor(value: torch.Tensor, made: list[tuple[Any, Any]] | None) -> cr.Tensor:
    for ours, theirs in made or ():
        if theirs is value:
            return ours
    if value.is_sparse or value.layout != torch.strided:
        raise SampleSkippedError("sparse tensor")
    if value.is_quantized:
        raise SampleSkippedError("quantised tensor")
    if value.is_complex():
        raise SampleSkippedError("complex tensor")
    if value.dtype == torch.bfloat16:
        raise SampleSkippedError("bfloat16 tensor")
    kind = mirror.nn.Parameter if isinstance(value, torch.nn.Parameter) else mirror.tensor
    array = np.array(value.detach().numpy())
    built = mirror.tensor(array, requires_grad=value.requires_grad)
    if kind is mirror.nn.Parameter:
        built = kind(built.detach(), requires_grad=value.requires_grad)
    if made is not None and value.requires_grad:
        made.append((built, value))
    return built


def _dtype(value: torch.dtype) -> Any:
    name = str(value).removeprefix("torch.")
    if value.is_complex:
        raise SampleSkippedError("complex dtype")
    if name in ("bfloat16", "complex32") or name.startswith("float8"):
        raise SampleSkippedError(f"{name} dtype")
    return getattr(mirror, name)


def named(path: str) -> Any:
    """The mirror's answer for a dotted name; None if there is none."""
    found: Any = mirror
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except (AttributeError, ImportError):
            return None
    return found


def bound_module(module: torch.nn.Module) -> Any:
    """The mirror's module of the same class, built with the same settings.

    Raises SampleSkippedError if there is none, or for a class that no sample gives as an argument.
    """
    name = type(module).__name__
    found = named(f"nn.{name}")
    if found is None or name not in _SETTINGS:
        raise SampleSkippedError(f"a module as argument: {name}")
    return found(**_SETTINGS[name](module))


_SETTINGS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "PairwiseDistance": lambda m: {"p": m.norm, "eps": m.eps, "keepdim": m.keepdim},
    "TransformerEncoderLayer": lambda m: {
        "d_model": m.self_attn.embed_dim,
        "nhead": m.self_attn.num_heads,
        "dim_feedforward": m.linear1.out_features,
        "dropout": m.dropout.p,
        "activation": bound(m.activation),
        "layer_norm_eps": m.norm1.eps,
        "batch_first": m.self_attn.batch_first,
        "norm_first": m.norm_first,
        "bias": m.linear1.bias is not None,
    },
}


def bound(fn: Callable[..., Any]) -> Callable[..., Any]:
    """`fn`, a function of PyTorch or one that its tests wrote, with `torch` meaning the mirror.

    Raises SampleSkippedError if it leans on something that the mirror has no counterpart of.
    """
    if isinstance(fn, functools.partial):
        return functools.partial(bound(fn.func), *converted(fn.args), **converted(fn.keywords))
    if isinstance(fn, types.MethodDescriptorType | types.WrapperDescriptorType):
        return getattr(cr.Tensor, fn.__name__)  # type: ignore[no-any-return]
    module = getattr(fn, "__module__", None) or "torch"
    if isinstance(fn, types.FunctionType) and not module.startswith("torch.nn"):
        return _rebound(fn)
    path = f"{module}.{fn.__name__}".removeprefix("torch.").removeprefix("_C._nn.")
    found = named(path) or named(fn.__name__)
    if found is None:
        raise SampleSkippedError(f"a function as argument: {path}")
    return found  # type: ignore[no-any-return]


def _rebound(fn: types.FunctionType) -> Callable[..., Any]:
    scope = {"__builtins__": __builtins__, "np": np}
    for name in _names_used(fn.__code__):
        if name in fn.__globals__:
            scope[name] = _counterpart(fn.__globals__[name])
    cells = tuple(types.CellType(_counterpart(cell.cell_contents)) for cell in fn.__closure__ or ())
    again = types.FunctionType(fn.__code__, scope, fn.__name__, fn.__defaults__, cells)
    again.__kwdefaults__ = fn.__kwdefaults__
    return again


def _names_used(code: types.CodeType) -> set[str]:
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _names_used(constant)
    return names


def _counterpart(value: Any) -> Any:
    if value is torch:
        return mirror
    if value is torch.Tensor:
        return cr.Tensor
    if isinstance(value, types.ModuleType):
        found = named(value.__name__.removeprefix("torch."))
        return value if found is None or not value.__name__.startswith("torch") else found
    if isinstance(value, type) and value.__module__.startswith("torch."):
        found = named(f"{value.__module__.removeprefix('torch.')}.{value.__name__}")
        if found is None:
            raise SampleSkippedError(f"a class as argument: {value.__name__}")
        return found
    if isinstance(value, types.FunctionType | types.BuiltinFunctionType):
        own = (getattr(value, "__module__", None) or "torch").startswith("torch")
        return bound(value) if own else value
    if isinstance(value, torch.Tensor | torch.dtype | tuple | list | dict):
        return converted(value)
    return value
