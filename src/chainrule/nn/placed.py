"""Where a module is and of which type: conversion of its parameters and buffers."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ..facts import dtype_of_type, require_cpu
from . import state

if TYPE_CHECKING:
    from ..tensor import Tensor
    from .parameter import Parameter


class Placed:
    """Mixin of what PyTorch's modules can be told of devices and types. It holds nothing."""

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All parameters, each once."""
        raise NotImplementedError

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """All buffers, each once."""
        raise NotImplementedError

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Convert floating-point parameters and buffers to a dtype; a device must be the CPU.

        >>> cr.nn.Linear(2, 2).to(np.float64).weight.dtype
        dtype('float64')
        """
        dtype = state.target_dtype(args, kwargs)
        return self if dtype is None else self.type(dtype)

    def type(self, dst_type: Any) -> Self:
        """Convert floating-point parameters and buffers to a dtype or ``"torch.DoubleTensor"``."""
        state.convert(chain(self.parameters(), self.buffers()), dtype_of_type(dst_type))
        return self

    def float(self) -> Self:
        """Convert to float32."""
        return self.type(np.float32)

    def double(self) -> Self:
        """Convert to float64."""
        return self.type(np.float64)

    def half(self) -> Self:
        """Convert to float16."""
        return self.type(np.float16)

    def cpu(self) -> Self:
        """This module: everything is on the CPU."""
        return self

    def cuda(self, device: Any = None) -> Self:
        """Raises ArgumentError: there is one device, the CPU."""
        require_cpu("cuda")
        return self

    def to_empty(self, *, device: Any = None, recurse: bool = True) -> Self:
        """This module. Raises ArgumentError for a device other than the CPU."""
        require_cpu(device)
        return self

    def share_memory(self) -> Self:
        """This module: threads share all memory."""
        return self

    def compile(self, *args: Any, **options: Any) -> None:
        """Compile ``forward``, as ``chainrule.compile`` does; PyTorch's options have no effect."""
        importlib.import_module("chainrule.compile.step").compile(self)
