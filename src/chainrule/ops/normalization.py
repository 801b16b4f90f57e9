"""Normalisation: layer norm and batch norm, with gradients through mean and variance.

With x̂ = (x - m) r, r = 1/√(v + ε), and g the cotangent of x̂, for means over the n elements that
share m and v::

    x̄ = r (g - mean(g) - x̂ mean(g x̂))

The variance takes two passes, the second over x - m, so it is right far from zero too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from ..core.apply import apply
from ..core.aval import Aval, Axes, Data, Shape, describe, result_dtype, shape_of
from ..core.families import Fused
from ..core.op import Active, Cotangents, Needs
from ..core.sampling import Draw, Sample, floats
from ..core.value import recording
from ..errors import ShapeError
from . import elementwise, movement, reduce

V = TypeVar("V")

__all__ = ["batch_norm", "batch_norm_stats", "layer_norm"]


class LayerNorm(Fused):
    """y = (x - m) r w + b over the last `ndim` axes, r = 1/√(v + ε); and m and r.

    w and b, of the shape of those axes, may be left out. w̄ = Σ ȳ x̂, b̄ = Σ ȳ, x̄ as above.
    """

    ndim: int
    eps: float
    needs = Needs(inputs=(0, 1), output=True)
    n_out = 3
    promotes = True
    floating = True

    def infer(self, *xs: Any) -> tuple[Aval, Aval, Aval]:
        shape, dtype = shape_of(xs[0]), result_dtype(xs, floating=True)
        at = len(shape) - self.ndim
        if at < 0 or any(shape_of(p) != shape[at:] for p in xs[1:]):
            raise ShapeError(
                "layer_norm needs weights of the shape it normalises",
                expected=f"{tuple(shape[max(at, 0) :])}",
                got="   ".join(map(describe, xs)),
            )
        stat = Aval((*shape[:at], *(1,) * self.ndim), dtype)
        return Aval(shape, dtype), stat, stat

    def forward(self, *xs: Any) -> tuple[Any, Any, Any]:
        self.infer(*xs)
        x, axes = xs[0], self._axes(xs[0].ndim)
        mean = x.mean(axis=axes, keepdims=True)
        y = x - mean
        r = 1 / np.sqrt(np.square(y).mean(axis=axes, keepdims=True) + x.dtype.type(self.eps))
        y *= r
        return _scaled(y, xs), mean, r

    def _axes(self, ndim: int) -> Axes:
        return tuple(range(ndim - self.ndim, ndim))

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        x, axes = xs[0], self._axes(xs[0].ndim)
        _, mean, r = y
        n = float(math.prod(x.shape[a] for a in axes))
        normal = (x - mean) * r
        gx: Data = None
        if ct[0] is not None and active[0] is not None:
            g = ct[0] * xs[1] if len(xs) > 1 else ct[0]
            gx = g - reduce.mean(g, axes, True) - normal * reduce.mean(g * normal, axes, True)
            gx = gx * r
        if ct[1] is not None:
            gx = _plus(gx, movement.expand(ct[1] / n, x.shape))
        if ct[2] is not None:
            gx = _plus(gx, normal * (ct[2] * r * r / -n))
        return (gx, *_affine_cotangents(ct[0], normal, active))

    def reference(self, *xs: Data) -> tuple[Data, Data, Data]:
        x, axes = xs[0], self._axes(xs[0].ndim)
        mean = reduce.mean(x, axes, True)
        away = x - mean
        r = elementwise.rsqrt(reduce.mean(away * away, axes, True) + self.eps)
        return _scaled(away * r, xs), mean, r

    def expand(self, *xs: Data) -> Data:
        return self.reference(*xs)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape, ndim in (
            ((3,), 1), ((1,), 1), ((2, 3), 1), ((2, 3), 2), ((1, 4), 1), ((4, 1), 1), ((0, 3), 1),
            ((2, 2, 3), 1), ((2, 2, 3), 2), ((2, 1, 2, 3), 2), ((2, 1, 2, 1, 3), 3), ((2, 0, 3), 1),
        ):  # fmt: skip
            own = shape[len(shape) - ndim :]
            yield Sample(cls(ndim, 0.1), floats(shape))
            yield Sample(cls(ndim, 1e-2), floats(shape, own, own))
        yield Sample(cls(1, 0.1), floats((2, 3), (3,)))


class BatchNorm(Fused):
    """y = (x - m) w / √(v + ε) + b for each channel, axis 1; and m and the biased variance v.

    m and v are over all other axes. w and b (C) may be left out. w̄ = Σ ȳ x̂, b̄ = Σ ȳ, x̄ as above.
    """

    eps: float
    needs = Needs(inputs=(0, 1), output=True)
    n_out = 3
    promotes = True
    floating = True

    def infer(self, *xs: Any) -> tuple[Aval, Aval, Aval]:
        shape, dtype = shape_of(xs[0]), result_dtype(xs, floating=True)
        _check_channels(*xs)
        if _count(shape) < 2:
            raise ShapeError(
                "batch_norm in training needs more than one value for each channel",
                got=describe(xs[0]),
                hint="use a larger batch, or eval() for the running statistics",
            )
        stat = Aval((shape[1],), dtype)
        return Aval(shape, dtype), stat, stat

    def forward(self, *xs: Any) -> tuple[Any, Any, Any]:
        self.infer(*xs)
        x = xs[0]
        axes = _all_but_channels(x.ndim)
        mean = x.mean(axis=axes)
        y = x - _beside(mean, x.ndim)
        var = np.square(y).mean(axis=axes)
        scale = 1 / np.sqrt(var + x.dtype.type(self.eps))
        if len(xs) > 1:
            scale *= xs[1]
        y *= _beside(scale, x.ndim)
        if len(xs) > 2:
            y += _beside(xs[2], x.ndim)
        return y, mean, var

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        x, axes = xs[0], _all_but_channels(xs[0].ndim)
        _, mean, var = y
        n, ndim = float(_count(x.shape)), x.ndim
        r = elementwise.rsqrt(var + self.eps)
        away = x - _beside(mean, ndim)
        gx = gw = gb = None
        if ct[0] is not None:
            normal = away * _beside(r, ndim)
            gw, gb = reduce.sum(ct[0] * normal, axes), reduce.sum(ct[0], axes)
            if active[0] is not None:
                scale = r * xs[1] if len(xs) > 1 else r
                gx = ct[0] - _beside(gb / n, ndim) - normal * _beside(gw / n, ndim)
                gx = gx * _beside(scale, ndim)
        if ct[1] is not None:
            gx = _plus(gx, movement.expand(_beside(ct[1] / n, ndim), x.shape))
        if ct[2] is not None:
            gx = _plus(gx, away * _beside(ct[2] * (2.0 / n), ndim))
        return (gx, gw, gb)[: len(xs)]

    def reference(self, *xs: Data) -> tuple[Data, Data, Data]:
        x, axes = xs[0], _all_but_channels(xs[0].ndim)
        mean = reduce.mean(x, axes)
        away = x - _beside(mean, x.ndim)
        var = reduce.mean(away * away, axes)
        y = away / elementwise.sqrt(_beside(var + self.eps, x.ndim))
        return _scaled(y, (x, *(_beside(p, x.ndim) for p in xs[1:]))), mean, var

    def expand(self, *xs: Data) -> Data:
        x, axes, ndim = xs[0], _all_but_channels(xs[0].ndim), xs[0].ndim
        mean = reduce.mean(x, axes)
        away = x - _beside(mean, ndim)
        var = reduce.mean(away * away, axes)
        scale = elementwise.rsqrt(var + self.eps)
        if len(xs) > 1:
            scale = scale * xs[1]
        y = away * _beside(scale, ndim)
        return y + _beside(xs[2], ndim) if len(xs) > 2 else y, mean, var

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape in (
            (2, 1), (4, 3), (3, 2), (2, 3, 2), (1, 2, 3), (1, 1, 2), (3, 0), (2, 2, 2, 2),
            (1, 3, 2, 2), (3, 1, 1, 2), (2, 2, 1, 2, 2),
        ):  # fmt: skip
            own = (shape[1],)
            yield Sample(cls(0.1), (Draw(shape),))
            yield Sample(cls(1e-2), floats(shape, own, own))
        yield Sample(cls(0.1), floats((4, 3), (3,)))


def _plus(total: Data | None, term: Data) -> Data:
    return term if total is None else total + term


def _scaled(y: Data, xs: Sequence[Data]) -> Data:
    """y w + b, with what there is of w and b."""
    if len(xs) > 1:
        y = y * xs[1]
    return y + xs[2] if len(xs) > 2 else y


def _affine_cotangents(ct: Data | None, normal: Data, active: Active) -> list[Data | None]:
    """w̄ and b̄ before they are summed to their shapes, for as many as there are."""
    if ct is None:
        return [None] * (len(active) - 1)
    products = [
        None if a is None else ct * normal if i == 0 else ct for i, a in enumerate(active[1:])
    ]
    return products


def _all_but_channels(ndim: int) -> Axes:
    return (0, *range(2, ndim))


def _count(shape: Shape) -> int:
    """How many values each channel has."""
    return math.prod(n for axis, n in enumerate(shape) if axis != 1)


def _beside(channels: Data, ndim: int) -> Data:
    """One number for each channel, placed along axis 1 of an array of `ndim` axes."""
    return channels if ndim == 2 else movement.reshape(channels, (-1, *(1,) * (ndim - 2)))


def _check_channels(x: Any, *channels: Any) -> None:
    shape = shape_of(x)
    if len(shape) < 2 or any(p is not None and shape_of(p) != (shape[1],) for p in channels):
        raise ShapeError(
            "batch_norm needs channels, and one number for each",
            expected=f"x (N, C, …), the others ({shape[1]},)" if len(shape) > 1 else "x (N, C, …)",
            got="   ".join(describe(p) for p in (x, *channels) if p is not None),
        )


# Public functions ---------------------------------------------------------------------------------


def layer_norm(
    x: V,
    normalized_shape: int | Sequence[int],
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
) -> V:
    """(x - mean) / √(var + ε) · weight + bias over the last axes, of shape `normalized_shape`.

    The variance is the biased one. Raises ShapeError if the shapes of x, `weight` or `bias` do not
    end so. Source: Ba, Kiros and Hinton 2016, "Layer normalization", equations 3 and 4.

    >>> layer_norm(tensor([1.0, 2.0, 3.0]), 3)
    tensor([-1.2247,  0.0000,  1.2247])
    """
    own = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    given = [p for p in (weight, bias) if p is not None]
    ends = shape_of(x)[max(len(shape_of(x)) - len(own), 0) :]
    if not own or ends != own or any(shape_of(p) != own for p in given):
        raise ShapeError(
            "layer_norm needs operands that end with normalized_shape",
            expected=f"x (…, {', '.join(map(str, own))}), weight and bias {own}",
            got="   ".join(describe(p) for p in (x, *given)),
        )
    operands = given if weight is not None else []
    outputs: Any = apply(LayerNorm(len(own), float(eps)), x, *operands)
    y = outputs[0]
    return y + bias if weight is None and bias is not None else y  # type: ignore[no-any-return]


def group_norm(
    input: V, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> V:
    """``layer_norm`` of each group of channels of each sample of (N, C, …), then scale and shift.

    `weight` and `bias` have a number for each channel. Raises ShapeError unless `num_groups`
    divides the channels. Source: Wu and He 2018, "Group normalization", equation 7.

    >>> group_norm(tensor([[1.0, 3.0, 10.0, 30.0]]), 2)
    tensor([[-1.0000,  1.0000, -1.0000,  1.0000]])
    """
    shape = shape_of(input)
    if len(shape) < 2 or num_groups < 1 or shape[1] % num_groups:
        raise ShapeError(
            "group_norm needs channels in equal groups",
            expected=f"(N, C, …) with C a multiple of {num_groups}",
            got=describe(input),
        )
    each = math.prod(shape[1:]) // num_groups
    if 0 in shape:
        y: Any = input
    else:
        y = layer_norm(movement.reshape(input, (shape[0], num_groups, each)), each, eps=eps)
        y = movement.reshape(y, shape)
    wide = (shape[1], *(1,) * (len(shape) - 2))
    y = y if weight is None else y * movement.reshape(weight, wide)
    return y if bias is None else y + movement.reshape(bias, wide)  # type: ignore[no-any-return]


def batch_norm_stats(
    x: V,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> tuple[V, Any, Any]:
    """``batch_norm`` in training, with the new running statistics: (y, running mean, running var).

    new = (1 - momentum) old + momentum · of the batch, with the unbiased variance; None if there is
    no old one. They carry no derivative. Raises ShapeError for fewer than two values a channel.
    """
    _check_channels(x, running_mean, running_var, weight, bias)
    operands = [] if weight is None else [weight] if bias is None else [weight, bias]
    outputs: Any = apply(BatchNorm(float(eps)), x, *operands)
    y, mean, var = outputs
    if weight is None and bias is not None:
        y = y + _beside(bias, len(shape_of(x)))
    n = _count(shape_of(x))
    with recording(False):
        fresh = (mean, var * (n / (n - 1)))
        moved = [
            None if old is None else old * (1.0 - momentum) + new * momentum
            for old, new in zip((running_mean, running_var), fresh, strict=True)
        ]
    return y, moved[0], moved[1]


def batch_norm(
    x: V,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> V:
    """(x - mean) / √(var + ε) · weight + bias for each channel, axis 1 of x (N, C, …).

    In training, mean and (biased) variance are those of the batch, over all other axes; otherwise
    the running ones. They are not changed here: ``batch_norm_stats`` returns their new values.
    Raises ShapeError for statistics of another length, and in training for fewer than two values a
    channel. Source: Ioffe and Szegedy 2015, "Batch normalization", algorithm 1.

    >>> batch_norm(tensor([[1.0], [3.0]]), training=True, eps=0.0)
    tensor([[-1.],
            [ 1.]])
    """
    if training or running_mean is None or running_var is None:
        return batch_norm_stats(x, None, None, weight, bias, momentum, eps)[0]
    _check_channels(x, running_mean, running_var, weight, bias)
    ndim = len(shape_of(x))
    scale = elementwise.rsqrt(running_var + eps)
    if weight is not None:
        scale = scale * weight
    y: Any = (x - _beside(running_mean, ndim)) * _beside(scale, ndim)
    return y if bias is None else y + _beside(bias, ndim)  # type: ignore[no-any-return]
