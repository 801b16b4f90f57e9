"""Fourier transforms between real numbers: those whose result is real for a real operand.

There are no complex numbers here. A transform from half a spectrum to a signal (``irfft``, ``hfft``
and their forms along several axes) takes a real spectrum to a real signal: it is linear, and its
transpose is the real part of the transform back, the frequencies that stand for two counted twice.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..core.apply import apply
from ..core.aval import Aval, Axes, Data, Shape, normalize_axis, shape_of
from ..core.families import Linear
from ..core.op import shifted
from ..core.sampling import Sample, floats
from ..errors import ArgumentError, ShapeError
from . import movement, slicing

_NORMS = ("forward", "backward", "ortho")


class SignalOfSpectrum(Linear):
    """y = factor · Σ over the frequencies, negative ones too, of x times cosines, along `axes`.

    x holds the frequencies 0 … n/2 along the last of the axes and all of them along the others; n
    is its size in the signal.
    """

    batching = (("axes", shifted),)
    axes: Axes
    n: int
    factor: float

    def infer(self, *xs: Any) -> Aval:
        shape, last = shape_of(xs[0]), self.axes[-1]
        if shape[last] != self.n // 2 + 1:
            raise ShapeError(
                "the spectrum does not fit the signal",
                expected=f"{self.n // 2 + 1} frequencies along axis {last}",
                got=str(shape),
            )
        return Aval((*shape[:last], self.n, *shape[last + 1 :]), xs[0].dtype)

    def forward(self, *xs: Any) -> Any:
        y = self.infer(*xs)
        sizes = [y.shape[a] for a in self.axes]
        with np.errstate(all="ignore"):  # NumPy's frames are not silent: docs/design/001
            found = np.fft.irfftn(xs[0].astype(np.float64), sizes, self.axes, norm="forward")
        return (found * self.factor).astype(y.dtype, copy=False)

    def transpose(self, ct: Data, x: Data, *constants: Data) -> Data:
        return apply(SpectrumOfSignal(self.axes, self.n, self.factor), ct)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape, axes, n in _SIGNALS:
            last = axes[-1]
            yield Sample(
                cls(axes, n, 1 / n), floats((*shape[:last], n // 2 + 1, *shape[last + 1 :]))
            )


class SpectrumOfSignal(Linear):
    """The transpose of ``SignalOfSpectrum``: the real part of a spectrum, pairs counted twice."""

    batching = (("axes", shifted),)
    axes: Axes
    n: int
    factor: float

    def infer(self, *xs: Any) -> Aval:
        shape, last = shape_of(xs[0]), self.axes[-1]
        if shape[last] != self.n:
            raise ShapeError("the signal has another size", expected=str(self.n), got=str(shape))
        return Aval((*shape[:last], self.n // 2 + 1, *shape[last + 1 :]), xs[0].dtype)

    def forward(self, *xs: Any) -> Any:
        y = self.infer(*xs)
        with np.errstate(all="ignore"):  # NumPy's frames are not silent: docs/design/001
            found = np.fft.rfftn(xs[0].astype(np.float64), axes=self.axes).real
        frequency = np.arange(self.n // 2 + 1)
        twice = np.where((frequency > 0) & (2 * frequency != self.n), 2.0, 1.0) * self.factor
        wide = twice.reshape(-1, *(1,) * (len(y.shape) - self.axes[-1] - 1))
        return (found * wide).astype(y.dtype, copy=False)

    def transpose(self, ct: Data, x: Data, *constants: Data) -> Data:
        return apply(SignalOfSpectrum(self.axes, self.n, self.factor), ct)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape, axes, n in _SIGNALS:
            yield Sample(cls(axes, n, 0.5), floats((*shape[: axes[-1]], n, *shape[axes[-1] + 1 :])))


_SIGNALS: tuple[tuple[Shape, Axes, int], ...] = (
    ((1,), (0,), 1), ((1,), (0,), 2), ((1,), (0,), 3), ((1,), (0,), 4), ((1,), (0,), 7),
    ((2, 1), (1,), 5), ((1, 3), (0,), 4), ((3, 1), (0, 1), 4), ((1, 2), (1, 0), 3),
    ((4, 1), (0, 1), 5), ((2, 3, 1), (0, 1, 2), 4), ((2, 1, 2), (0, 2, 1), 6),
)  # fmt: skip


def _factor(norm: str | None, count: int, backward: str) -> float:
    """What a transform over `count` elements is multiplied by; `backward` names what divides."""
    chosen = norm or "backward"
    if chosen not in _NORMS:
        raise ArgumentError("no such norm", expected=", ".join(_NORMS), got=repr(norm))
    if chosen == "ortho":
        return 1 / math.sqrt(count)
    return 1 / count if chosen == backward else 1.0


def _signal(
    input: Any, s: Sequence[int] | None, dim: Sequence[int] | None, norm: str | None, divides: str
) -> Any:
    x = input if input.dtype.kind == "f" else movement.cast(input, np.float32)
    shape = shape_of(x)
    if dim is None:
        dim = range(-len(s), 0) if s is not None else range(len(shape))
    axes = tuple(normalize_axis(d, len(shape)) for d in dim)
    if not axes or len(set(axes)) != len(axes) or (s is not None and len(s) != len(axes)):
        raise ArgumentError("a transform needs distinct axes", got=f"s={s}, dim={tuple(dim)}")
    wanted = [-1] * len(axes) if s is None else list(s)
    sizes = [shape[a] if n == -1 else int(n) for n, a in zip(wanted, axes, strict=True)]
    if wanted[-1] == -1:
        sizes[-1] = 2 * (shape[axes[-1]] - 1)
    if min(sizes) < 1:
        raise ArgumentError("a signal has one element or more", got=f"sizes {sizes}")
    widths = [(0, 0)] * len(shape)
    for axis, n in zip(axes, (*sizes[:-1], sizes[-1] // 2 + 1), strict=True):
        widths[axis] = (0, n - shape[axis])
    factor = _factor(norm, math.prod(sizes), divides)
    if any(after for _, after in widths):
        x = slicing.pad(x, widths)
    return apply(SignalOfSpectrum(axes, sizes[-1], factor), x)


def _one(n: int | None) -> tuple[int] | None:
    return None if n is None else (n,)


def irfft(input: Any, n: int | None = None, dim: int = -1, norm: str | None = None) -> Any:
    """The real signal of n elements, by default 2 (m - 1), with the m frequencies from 0 up given.

    The spectrum is cut or filled with zeros to n/2 + 1 frequencies. `norm` "backward" divides by n,
    "ortho" by √n, "forward" by nothing.

    >>> irfft(tensor([1.0, 0.0, 0.0]))
    tensor([0.2500, 0.2500, 0.2500, 0.2500])
    """
    return _signal(input, _one(n), (dim,), norm, "backward")


def irfft2(
    input: Any, s: Sequence[int] | None = None, dim: Any = (-2, -1), norm: str | None = None
) -> Any:
    """``irfftn`` along two axes."""
    return _signal(input, s, _tuple(dim), norm, "backward")


def irfftn(
    input: Any,
    s: Sequence[int] | None = None,
    dim: Sequence[int] | None = None,
    norm: str | None = None,
) -> Any:
    """``irfft`` along the last of several axes, and the transform back along the others."""
    return _signal(input, s, _tuple(dim), norm, "backward")


def hfft(input: Any, n: int | None = None, dim: int = -1, norm: str | None = None) -> Any:
    """The real spectrum of a signal that is its own mirror image, of which one half is given.

    It is ``irfft`` but for the norm: "backward" divides by nothing, "forward" by n.
    """
    return _signal(input, _one(n), (dim,), norm, "forward")


def hfft2(
    input: Any, s: Sequence[int] | None = None, dim: Any = (-2, -1), norm: str | None = None
) -> Any:
    """``hfftn`` along two axes."""
    return _signal(input, s, _tuple(dim), norm, "forward")


def hfftn(
    input: Any,
    s: Sequence[int] | None = None,
    dim: Sequence[int] | None = None,
    norm: str | None = None,
) -> Any:
    """``hfft`` along the last of several axes, and the transform along the others."""
    return _signal(input, s, _tuple(dim), norm, "forward")


def _tuple(dim: Any) -> Any:
    """An axis as a tuple of one; axes and None as they are."""
    return (dim,) if isinstance(dim, int) else dim


# Order of frequencies -----------------------------------------------------------------------------


def _rolled(input: Any, dim: Any, back: bool) -> Any:
    shape = shape_of(input)
    axes = tuple(range(len(shape))) if dim is None else movement.dims((dim,))
    shifts = tuple((shape[a] + back) // 2 for a in axes)
    return slicing.roll(input, shifts, axes) if axes else movement.identity(input)


def fftshift(input: Any, dim: Any = None) -> Any:
    """The frequencies in ascending order, 0 in the middle, along `dim` or all axes.

    >>> fftshift(tensor([0.0, 1.0, -1.0]))
    tensor([-1.,  0.,  1.])
    """
    return _rolled(input, dim, back=False)


def ifftshift(input: Any, dim: Any = None) -> Any:
    """The inverse of ``fftshift``."""
    return _rolled(input, dim, back=True)
