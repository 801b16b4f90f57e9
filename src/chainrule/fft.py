"""Fourier transforms with PyTorch's names: those whose result is real. See ``ops.fourier``.

There are no complex numbers: a transform with a complex result is an AttributeError that says so.

>>> cr.fft.fftshift(tensor([0.0, 1.0, -1.0]))
tensor([-1.,  0.,  1.])
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import config
from .ops.fourier import (
    fftshift,
    hfft,
    hfft2,
    hfftn,
    ifftshift,
    irfft,
    irfft2,
    irfftn,
)
from .tensor import Tensor

__all__ = [
    "fftfreq", "fftshift", "hfft", "hfft2", "hfftn", "ifftshift", "irfft", "irfft2", "irfftn",
    "rfftfreq",
]  # fmt: skip

_COMPLEX = frozenset(
    {"fft", "fft2", "fftn", "ifft", "ifft2", "ifftn", "rfft", "rfft2", "rfftn", "ihfft", "ihfft2",
     "ihfftn"}
)  # fmt: skip


def fftfreq(n: int, d: float = 1.0, *, dtype: Any = None) -> Tensor:
    """The frequencies of a transform of n elements `d` apart, in its order.

    >>> cr.fft.fftfreq(4)
    tensor([ 0.0000,  0.2500, -0.5000, -0.2500])
    """
    return Tensor(np.fft.fftfreq(n, d).astype(dtype or config.get_default_dtype()))


def rfftfreq(n: int, d: float = 1.0, *, dtype: Any = None) -> Tensor:
    """The frequencies from 0 up of a transform of n real elements `d` apart."""
    return Tensor(np.fft.rfftfreq(n, d).astype(dtype or config.get_default_dtype()))


def __getattr__(name: str) -> Any:
    if name in _COMPLEX:
        raise AttributeError(
            f"fft.{name} gives complex numbers, which there are none of here; transforms with a "
            "real result are irfft, irfft2, irfftn, hfft, hfft2 and hfftn"
        )
    raise AttributeError(f"module 'chainrule.fft' has no attribute {name!r}")
