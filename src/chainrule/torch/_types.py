"""Dtypes under PyTorch's names, which are NumPy's objects, and constants."""

from __future__ import annotations

import builtins
import math
from typing import Any, Final

import numpy as np

from ..config import get_default_dtype
from ..core.apply import warn
from ..core.aval import Aval, result_dtype
from ..facts import NO_BFLOAT16, Device, Size

__all__ = [
    "Size", "bfloat16", "bool", "can_cast", "channels_last", "channels_last_3d",
    "contiguous_format", "device", "double", "dtype", "e", "finfo", "float", "float16",
    "float32", "float64", "half", "iinfo", "inf", "int", "int8", "int16", "int32", "int64",
    "is_complex", "is_floating_point", "layout", "long",
    "memory_format", "nan", "newaxis", "pi", "preserve_format", "promote_types", "result_type",
    "short", "strided", "uint8", "uint16", "uint32", "uint64",
]  # fmt: skip

dtype = np.dtype
float16 = half = np.dtype("float16")
float32 = float = np.dtype("float32")
float64 = double = np.dtype("float64")
int8, int16, int32, int64 = (np.dtype(name) for name in ("int8", "int16", "int32", "int64"))
short, int, long = int16, int32, int64
uint8, uint16, uint32, uint64 = (np.dtype(n) for n in ("uint8", "uint16", "uint32", "uint64"))
bool = np.dtype("bool")

pi, e, inf, nan = math.pi, math.e, math.inf, math.nan
newaxis = None
device = Device

layout = memory_format = str
strided: Final = "torch.strided"
contiguous_format: Final = "torch.contiguous_format"
preserve_format: Final = "torch.preserve_format"
channels_last: Final = "torch.channels_last"
channels_last_3d: Final = "torch.channels_last_3d"


class _BFloat16:
    """Stands for a type that NumPy does not have: float32, which holds all its numbers, is used."""

    __slots__ = ()

    @property
    def dtype(self) -> Any:
        """float32, with a warning."""
        warn(NO_BFLOAT16)
        return float32

    def __repr__(self) -> str:
        return "torch.bfloat16"


bfloat16: Final = _BFloat16()


def finfo(type: Any = None) -> Any:
    """Limits of a floating-point type: ``eps``, ``max``, ``min``, ``tiny``; NumPy's object."""
    return np.finfo(get_default_dtype() if type is None else np.dtype(type))


def iinfo(type: Any) -> Any:
    """Limits of an integer type; NumPy's object."""
    return np.iinfo(np.dtype(type))


def result_type(tensor1: Any, tensor2: Any) -> Any:
    """The dtype that two operands, tensors or numbers, are computed in."""
    return result_dtype((tensor1, tensor2))


def promote_types(type1: Any, type2: Any) -> Any:
    """The dtype that tensors of two dtypes are computed in.

    >>> promote_types(int64, float16)
    dtype('float16')
    """
    return result_dtype([Aval((1,), np.dtype(kind)) for kind in (type1, type2)])


def can_cast(from_: Any, to: Any) -> builtins.bool:
    """Whether PyTorch's promotion allows it: never from floats to integers, nor from those to bool.

    >>> can_cast(int64, float16), can_cast(float16, int64)
    (True, False)
    """
    ranks = {"b": 0, "u": 1, "i": 1, "f": 2}
    return ranks[np.dtype(from_).kind] <= ranks[np.dtype(to).kind]


def is_floating_point(input: Any) -> builtins.bool:
    """Whether a tensor holds floating-point numbers."""
    return builtins.bool(input.dtype.kind == "f")


def is_complex(input: Any) -> builtins.bool:
    """Whether a tensor holds complex numbers."""
    return builtins.bool(input.dtype.kind == "c")
