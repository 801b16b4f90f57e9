"""Convolution and its two gradients, three bilinear ops that are each other's transposes.

All come from one trilinear form over images x, kernels w and outputs y (written for one axis)::

    T(x, w, y) = Σ x[n, c, s·p + d·k - lo] w[o, c, k] y[n, o, p]

``Convolution`` is ∂T/∂y, ``ConvolutionInput`` ∂T/∂x and ``ConvolutionKernel`` ∂T/∂w, so the
derivative of each is the other two, to any order. ``lowering`` computes them as matrix products.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..core.apply import apply
from ..core.aval import Aval, Data, Shape, describe, result_dtype, shape_of
from ..core.families import Bilinear
from ..core.op import Op
from ..core.sampling import Sample, floats
from ..errors import ShapeError
from . import lowering, movement
from .window import Window


def _batched(
    op: Op, size: int, batched: Sequence[bool], xs: Sequence[Data], kernels: Sequence[bool]
) -> Data:
    """A batch of convolutions as one with more groups, or, of images only, with more images.

    `kernels` says which of the operands, and last whether the result, are kernels: their axis 0
    holds the channels' groups, that of images axis 1.
    """
    if tuple(batched) == (True, False) and not any((kernels[0], kernels[2])):
        folded = movement.reshape(xs[0], (size * xs[0].shape[1], *xs[0].shape[2:]))
        y: Any = apply(op, folded, xs[1])
        return movement.reshape(y, (size, xs[0].shape[1], *y.shape[1:]))
    operands = []
    for x, is_one, kernel in zip(xs, batched, kernels, strict=False):
        whole = x if is_one else movement.expand(x, (size, *x.shape))
        if not kernel:
            whole = movement.movedim(whole, 0, 1)
        at = 0 if kernel else 1
        shape = (*whole.shape[:at], size * whole.shape[at + 1], *whole.shape[at + 2 :])
        operands.append(movement.reshape(whole, shape))
    change = {"groups": op.groups * size}  # type: ignore[attr-defined]  # all three have groups
    fields = [change.get(f, value) for f, value in zip(op.fields, op.parameters, strict=True)]
    y = apply(type(op)(*fields), *operands)
    at = 0 if kernels[2] else 1
    y = movement.reshape(y, (*y.shape[:at], size, y.shape[at] // size, *y.shape[at + 1 :]))
    return movement.movedim(y, at, 0)


class Convolution(Bilinear):
    """y[n, o, p] = Σ_{c,k} x[n, c, s·p + d·k - lo] w[o, c, k], within each group of channels.

    x (N, C, *size) and w (O, C/groups, *kernel) give y (N, O, *out).
    """

    window: Window
    groups: int
    promotes = True

    def infer(self, *xs: Any) -> Aval:
        x, w = shape_of(xs[0]), shape_of(xs[1])
        _check_rank(self.window, xs, ("x", "weight"))
        _check_kernel(self.window, w[2:], xs, ("x", "weight"))
        if x[1] != w[1] * self.groups or w[0] % self.groups:
            raise ShapeError(
                "the channels do not fit the kernels",
                expected=f"{w[1] * self.groups} channels of x (weight.shape[1] × groups), "
                f"and outputs that {self.groups} groups share evenly",
                got=_operands(xs, ("x", "weight")),
            )
        return Aval((x[0], w[0], *self.window.output(x[2:])), result_dtype(xs))

    def forward(self, *xs: Any) -> Any:
        y = self.infer(*xs)
        return lowering.correlate(xs[0], xs[1], y.shape[2:], self.window, self.groups)

    def transpose(self, i: int, ct: Data, xs: Sequence[Data]) -> Data:
        if i == 0:
            size = tuple(xs[0].shape[2:])
            return apply(ConvolutionInput(self.window, self.groups, size), ct, xs[1])
        return apply(ConvolutionKernel(self.window, self.groups), xs[0], ct)

    def lower(self, k: Any, *xs: Any) -> Any:
        x, w = (k.cast(a, result_dtype(xs)) for a in xs)
        rank, y = self.window.rank, self.infer(x, w)
        x, w = _grouped(k, x, 1, self.groups), _grouped(k, w, 0, self.groups)
        lead = len(x.shape) - rank
        # the box: n, groups, o, *p, then c, *k
        unit = k.units(lead + 2 * rank + 1)
        groups, o, c = unit[1 : lead - 1], unit[lead - 1], unit[lead + rank]
        windows = k.windows(self.window, len(unit), 0, lead + rank + 1, lead)
        make = k.dot if not groups or w.shape[1] >= _NARROW else k.products
        made = make(
            (*x.shape[: lead - 1], w.shape[lead - 2], *y.shape[2:]),
            (w.shape[lead - 1], *self.window.kernel), x, w,
            ((unit[0], *groups, c, *windows), (*groups, o, c, *unit[lead + rank + 1 :])),
        )  # fmt: skip
        return k.reshape(made, y.shape)

    def batch(self, size: int, batched: Sequence[bool], *xs: Data) -> Data:
        return _batched(self, size, batched, xs, (False, True, False))

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for w, groups, x, kernel, _ in _samples():
            yield Sample(cls(w, groups), floats(x, kernel))


class ConvolutionInput(Bilinear):
    """x[n, c, i] = Σ_{o,k,p} y[n, o, p] w[o, c, k] where s·p + d·k - lo = i.

    The transposed convolution: y (N, O, *out) and w (O, C/groups, *kernel) give x (N, C, *size).
    """

    window: Window
    groups: int
    size: Shape
    promotes = True

    def infer(self, *xs: Any) -> Aval:
        y, w = shape_of(xs[0]), shape_of(xs[1])
        _check_rank(self.window, xs, ("x", "weight"))
        _check_kernel(self.window, w[2:], xs, ("x", "weight"))
        if y[1] != w[0] or w[0] % self.groups or y[2:] != self.window.output(self.size):
            raise ShapeError(
                "a transposed convolution does not fit its input",
                expected=f"{w[0]} channels (weight.shape[0]), a multiple of {self.groups} groups, "
                f"and sizes {self.window.output(self.size)}",
                got=_operands(xs, ("x", "weight")),
            )
        return Aval((y[0], w[1] * self.groups, *self.size), result_dtype(xs))

    def forward(self, *xs: Any) -> Any:
        self.infer(*xs)
        return lowering.spread(xs[0], xs[1], self.size, self.window, self.groups)

    def transpose(self, i: int, ct: Data, xs: Sequence[Data]) -> Data:
        if i == 0:
            return apply(Convolution(self.window, self.groups), ct, xs[1])
        return apply(ConvolutionKernel(self.window, self.groups), ct, xs[0])

    def lower(self, k: Any, *xs: Any) -> Any:
        ct, w = (k.cast(a, result_dtype(xs)) for a in xs)
        x = self.infer(ct, w)
        ct, w = _grouped(k, ct, 1, self.groups), _grouped(k, w, 0, self.groups)
        return k.reshape(k.transposed(self.window, self.size, ct, w), x.shape)

    def batch(self, size: int, batched: Sequence[bool], *xs: Data) -> Data:
        return _batched(self, size, batched, xs, (False, True, False))

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for w, groups, x, kernel, y in _samples():
            yield Sample(cls(w, groups, x[2:]), floats(y, kernel))


class ConvolutionKernel(Bilinear):
    """w[o, c, k] = Σ_{n,p} x[n, c, s·p + d·k - lo] y[n, o, p]: images correlated with outputs.

    x (N, C, *size) and y (N, O, *out) give w (O, C/groups, *kernel).
    """

    window: Window
    groups: int
    promotes = True

    def infer(self, *xs: Any) -> Aval:
        x, y = shape_of(xs[0]), shape_of(xs[1])
        _check_rank(self.window, xs, ("x", "y"))
        if x[1] % self.groups or y[1] % self.groups or y[0] != x[0]:
            raise ShapeError("images and outputs do not fit", got=_operands(xs, ("x", "y")))
        if y[2:] != self.window.output(x[2:]):
            raise ShapeError(
                "the outputs do not fit the images",
                expected=f"sizes {self.window.output(x[2:])}",
                got=_operands(xs, ("x", "y")),
            )
        return Aval((y[1], x[1] // self.groups, *self.window.kernel), result_dtype(xs))

    def forward(self, *xs: Any) -> Any:
        self.infer(*xs)
        return lowering.correlate_kernel(xs[0], xs[1], self.window, self.groups)

    def transpose(self, i: int, ct: Data, xs: Sequence[Data]) -> Data:
        if i == 0:
            size = tuple(xs[0].shape[2:])
            return apply(ConvolutionInput(self.window, self.groups, size), xs[1], ct)
        return apply(Convolution(self.window, self.groups), xs[0], ct)

    def lower(self, k: Any, *xs: Any) -> Any:
        x, ct = (k.cast(a, result_dtype(xs)) for a in xs)
        rank, w = self.window.rank, self.infer(x, ct)
        x, ct = _grouped(k, x, 1, self.groups), _grouped(k, ct, 1, self.groups)
        lead = len(x.shape) - rank
        # the box: groups, o, c, *k, then n, *p
        unit = k.units(lead + 2 * rank + 1)
        groups, o, c, n = unit[: lead - 2], unit[lead - 2], unit[lead - 1], unit[lead + rank]
        windows = k.windows(self.window, len(unit), 0, lead, lead + rank + 1)
        outputs, channels = ct.shape[lead - 1], x.shape[lead - 1]
        make = k.dot if not groups or max(outputs, channels) >= _NARROW else k.products
        made = make(
            (*x.shape[1 : lead - 1], outputs, channels, *self.window.kernel),
            (x.shape[0], *ct.shape[lead:]), x, ct,
            ((n, *groups, c, *windows), (n, *groups, o, *unit[lead + rank + 1 :])),
        )  # fmt: skip
        return k.reshape(made, w.shape)

    def batch(self, size: int, batched: Sequence[bool], *xs: Data) -> Data:
        return _batched(self, size, batched, xs, (False, False, True))

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for w, groups, x, _, y in _samples():
            yield Sample(cls(w, groups), floats(x, y))


_NARROW = 8
"""With fewer channels than this in each group, the compiler folds products, without lanes of them.
"""


def _grouped(k: Any, x: Any, axis: int, groups: int) -> Any:
    """For the compiler: an axis of channels as one of groups and one of channels in a group."""
    if groups == 1:
        return x
    return k.reshape(
        x, (*x.shape[:axis], groups, -(-x.shape[axis] // groups), *x.shape[axis + 1 :])
    )


def _check_rank(window: Window, xs: Sequence[Any], names: tuple[str, str]) -> None:
    rank = window.rank
    if any(len(shape_of(x)) != rank + 2 for x in xs):
        raise ShapeError(
            f"conv{rank}d needs a batch of images and a set of kernels",
            expected=f"{names[0]} (N, C, {', '.join('DHW'[3 - rank :])}) and "
            f"{names[1]} (O, C, {', '.join(('kd', 'kh', 'kw')[3 - rank :])})",
            got=_operands(xs, names),
        )


def _check_kernel(window: Window, kernel: Shape, xs: Sequence[Any], names: tuple[str, str]) -> None:
    if kernel != window.kernel:
        raise ShapeError(
            "the kernels are not of the size the op was made for",
            expected=f"{window.kernel}",
            got=_operands(xs, names),
        )


def _operands(xs: Sequence[Any], names: tuple[str, str]) -> str:
    return "   ".join(f"{name}: {describe(x)}" for name, x in zip(names, xs, strict=True))


def _samples() -> Iterator[tuple[Window, int, Shape, Shape, Shape]]:
    """Window, groups, and the shapes of x, w and y."""
    for n, channels, size, outputs, groups, kernel, stride, dilation, padding in (
        (2, 2, (4,), 3, 1, (3,), (1,), (1,), ((1, 1),)),
        (1, 4, (5,), 2, 2, (2,), (2,), (1,), ((0, 1),)),
        (1, 1, (3,), 1, 1, (1,), (1,), (1,), ((0, 0),)),
        (0, 1, (3,), 2, 1, (2,), (1,), (1,), ((0, 0),)),
        (2, 2, (4, 4), 3, 1, (3, 3), (1, 1), (1, 1), ((0, 0), (0, 0))),
        (1, 3, (4, 5), 2, 1, (2, 3), (1, 2), (1, 1), ((1, 1), (0, 2))),
        (2, 2, (3, 3), 2, 1, (1, 1), (1, 1), (1, 1), ((0, 0), (0, 0))),
        (1, 2, (4, 3), 2, 1, (1, 1), (2, 2), (1, 1), ((0, 0), (0, 0))),
        (1, 4, (4, 4), 4, 2, (2, 2), (2, 2), (1, 1), ((0, 0), (0, 0))),
        (2, 3, (3, 4), 3, 3, (2, 2), (1, 1), (1, 1), ((1, 0), (0, 0))),
        (1, 8, (4, 3), 2, 1, (2, 2), (1, 1), (1, 1), ((0, 0), (1, 1))),
        (1, 16, (3, 5), 4, 2, (2, 2), (1, 2), (2, 1), ((1, 1), (0, 0))),
        (1, 2, (5, 5), 1, 1, (3, 2), (2, 1), (2, 3), ((2, 1), (1, 1))),
        (1, 1, (5, 4), 2, 1, (2, 2), (3, 3), (1, 1), ((0, 0), (0, 0))),
        (1, 0, (3, 3), 2, 1, (2, 2), (1, 1), (1, 1), ((0, 0), (0, 0))),
        (1, 2, (2, 3, 2), 2, 1, (2, 2, 1), (1, 1, 1), (1, 1, 1), ((0, 0), (1, 0), (0, 0))),
    ):
        w = Window(kernel, stride, dilation, padding)
        shapes = (outputs, channels // groups, *kernel), (n, outputs, *w.output(size))
        yield w, groups, (n, channels, *size), *shapes
