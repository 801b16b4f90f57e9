"""What random programs are made of: each move appends operations on values that are there."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

import chainrule as cr
from chainrule import ops

if TYPE_CHECKING:
    from random_programs import RandomProgram

_FACTOR = 8.0
"""So large may factors of products be."""


def _unary(p: RandomProgram) -> None:
    k = p.pick()
    if k is None:
        return
    b = p.made[k].bound
    name, fn, bound = [
        ("neg", lambda x: -x, b),
        ("abs", lambda x: x.abs(), b),
        ("relu", ops.relu, b),
        ("clip", lambda x: x.clip(-4, 5), 5.0),
        ("sign", ops.sign, 1.0),
        ("double", lambda x: x * 2, 2 * b),
        ("shift", lambda x: 3 - x, b + 3),
        ("halve and floor", lambda x: ops.floor(x / 2), b),
        ("round tanh", lambda x: ops.round(ops.tanh(x) * 4), 4.0),
        ("round exp", lambda x: ops.round(ops.exp(x.clip(-2, 2))), 8.0),
        ("round root", lambda x: ops.round(ops.sqrt(x.clip(-4, 4).abs() + 1) * 2), 5.0),
        ("leaky", lambda x: ops.leaky_relu(x, 0.5), b),
    ][p.integer(0, 12)]  # fmt: skip
    p.add(lambda v: fn(v[k]), bound, f"{name} {k}")


def _broadcastable(p: RandomProgram, k: int, limit: float) -> int:
    """A value whose shape broadcasts with that of k, made to fit if there is none."""
    found = p.pick(limit=limit)
    assert found is not None
    j: int = found
    a, b = p.shape(k), p.shape(j)
    try:
        np.broadcast_shapes(a, b)
    except ValueError:
        want = tuple(1 if p.chance(0.3) else n for n in a[p.integer(0, len(a) + 1) :])
        total = math.prod(want)
        size = math.prod(b)
        if size >= total:
            return p.add(lambda v: v[j].reshape(-1)[:total].reshape(want), p.made[j].bound,
                         f"fit {j}")  # fmt: skip
        return p.add(lambda v: v[k] * 0 + 2, 2.0, f"two like {k}")
    return j


def _binary(p: RandomProgram) -> None:
    k = p.pick(limit=64)
    if k is None:
        return
    j = _broadcastable(p, k, 64)
    a, b = p.made[k].bound, p.made[j].bound
    which = p.integer(0, 8)
    if which == 0:
        p.add(lambda v: v[k] * v[j], a * b, f"mul {k} {j}")
    elif which == 1:
        p.add(lambda v: v[k] - v[j], a + b, f"sub {k} {j}")
    elif which == 2:
        p.add(lambda v: ops.maximum(v[k], v[j]), max(a, b), f"maximum {k} {j}")
    elif which == 3:
        p.add(lambda v: ops.where(v[k] > v[j], v[j], v[k] + 1), max(a + 1, b), f"where {k} {j}")
    elif which == 4:
        p.add(lambda v: v[j] * (v[k] > 0), b, f"mask {j} {k}")
    else:
        p.add(lambda v: v[k] + v[j], a + b, f"add {k} {j}")


def _factors(rng: np.random.Generator, n: int, parts: int) -> tuple[int, ...]:
    out = []
    for _ in range(parts - 1):
        divisors = [d for d in range(1, n + 1) if n % d == 0]
        d = int(rng.choice(divisors))
        out.append(d)
        n //= d
    order = rng.permutation(parts)
    whole = [*out, n]
    return tuple(whole[i] for i in order)


def _reshape(p: RandomProgram) -> None:
    k = p.pick()
    if k is not None:
        shape = _factors(p.rng, math.prod(p.shape(k)), p.integer(1, 5))
        p.add(lambda v: v[k].reshape(shape), p.made[k].bound, f"reshape {k}")


def _permute(p: RandomProgram) -> None:
    k = p.pick(2)
    if k is not None:
        axes = tuple(int(a) for a in p.rng.permutation(len(p.shape(k))))
        p.add(lambda v: v[k].permute(axes), p.made[k].bound, f"permute {axes} {k}")


def _slice(p: RandomProgram) -> None:
    k = p.pick(1)
    if k is None:
        return
    key: list[Any] = []
    for n in p.shape(k):
        which = p.integer(0, 6)
        if which == 0 and n > 1:
            key.append(p.integer(-n, n))
        elif which == 1:
            key.append(slice(None, None, -1))
        elif which == 2 and n > 2:
            key.append(slice(p.integer(0, 2), None, 2))
        elif which == 3 and n > 2:
            key.append(slice(n - 1 - p.integer(0, 2), None, -2))
        elif which == 4 and n > 1:
            start = p.integer(0, n)
            key.append(slice(start, p.integer(start + 1, n + 1)))
        else:
            key.append(slice(None))
    p.add(lambda v: v[k][tuple(key)], p.made[k].bound, f"slice {key} {k}")


def _expand(p: RandomProgram) -> None:
    k = p.pick(most_rank=4)
    if k is None:
        return
    shape = p.shape(k)
    if p.chance(0.5):
        at = p.integer(0, len(shape) + 1)
        p.add(lambda v: ops.unsqueeze(v[k], at), p.made[k].bound, f"unsqueeze {at} {k}")
    else:
        new = tuple(p.integer(2, 5) if n == 1 else n for n in (1, *shape))
        p.add(lambda v: v[k].expand(new), p.made[k].bound, f"expand {k}")


def _join(p: RandomProgram) -> None:
    k = p.pick(1)
    if k is None:
        return
    parts, bound = [k], p.made[k].bound
    axis = p.integer(0, len(p.shape(k)))
    for other, v in enumerate(p.made):
        shape = p.shape(other)
        same = [n for a, n in enumerate(shape) if a != axis] == [
            n for a, n in enumerate(p.shape(k)) if a != axis
        ]
        fits = len(shape) == len(p.shape(k)) and same and v.example.dtype == p.dtype
        if fits and other != k and len(parts) < 4 and p.chance(0.7):
            parts.append(other)
            bound = max(bound, v.bound)
    if p.chance(0.3):
        flipped = p.add(lambda v: v[k].flip(axis) + 1, p.made[k].bound + 1, f"flip {axis} {k}")
        parts.append(flipped)
        bound = max(bound, p.made[flipped].bound)
    if len(parts) == 1:
        parts = parts * p.integer(1, 3)
    p.rng.shuffle(parts)
    equal = all(p.shape(j) == p.shape(k) for j in parts)
    if equal and len(p.shape(k)) < 5 and p.chance(0.5):
        at = p.integer(0, len(p.shape(k)) + 1)
        p.add(lambda v: ops.stack([v[j] for j in parts], at), bound, f"stack {at} {parts}")
    else:
        p.add(lambda v: ops.concatenate([v[j] for j in parts], axis), bound, f"cat {axis} {parts}")


def _pad(p: RandomProgram) -> None:
    k = p.pick(1, most_rank=4)
    if k is not None:
        widths = [(p.integer(0, 3), p.integer(0, 3)) for _ in p.shape(k)]
        value = float(p.rng.choice([0, 0, 0, 2]))
        p.add(lambda v: ops.pad(v[k], widths, value), max(p.made[k].bound, 2), f"pad {widths} {k}")


def _reduce(p: RandomProgram) -> None:
    k = p.pick(1, limit=64)
    if k is None:
        return
    shape, b = p.shape(k), p.made[k].bound
    count = p.integer(1, len(shape) + 1)
    axes = tuple(sorted(int(a) for a in p.rng.permutation(len(shape))[:count]))
    keepdim = p.chance(0.4)
    n = math.prod(shape[a] for a in axes)
    which = p.integer(0, 5)
    if which == 0:
        p.add(lambda v: ops.amax(v[k], axes, keepdim), b, f"amax {axes} {k}")
    elif which == 1:
        p.add(lambda v: ops.amin(v[k], axes, keepdim), b, f"amin {axes} {k}")
    else:
        p.add(lambda v: v[k].sum(axes, keepdim), b * n, f"sum {axes} {keepdim} {k}")


def _softly(p: RandomProgram) -> None:
    """Minus the maximum along an axis, as softmax does; the result is rounded."""
    k = p.pick(1, limit=32)
    if k is not None:
        axis = p.integer(0, len(p.shape(k)))

        def make(v: list[Any]) -> Any:
            e = ops.round(ops.exp(v[k] - ops.amax(v[k], axis, True)) * 8)
            return e - ops.amax(e, axis, True)

        p.add(make, 8.0, f"softly {axis} {k}")


def _matmul(p: RandomProgram) -> None:
    k = p.pick(2, limit=_FACTOR, most_rank=4)
    if k is None:
        return
    depth = p.shape(k)[-1]
    j = next(
        (
            j
            for j in map(int, p.rng.permutation(len(p.made)))
            if len(p.shape(j)) >= 2
            and depth in p.shape(j)[-2:]
            and p.made[j].example.dtype == p.dtype
            and (len(p.shape(j)) == 2 or p.shape(j)[:-2] == p.shape(k)[:-2])
        ),
        None,
    )
    if j is None:
        return
    j = p.within(j, _FACTOR)
    turned = p.shape(j)[-2] != depth
    bound = _FACTOR * _FACTOR * depth

    def make(v: list[Any]) -> Any:
        b = v[j].transpose(-1, -2) if turned else v[j]
        return v[k] @ b

    made = p.add(make, bound, f"matmul {k} {j} {turned}")
    if p.chance(0.5):
        bias = p.whole(p.shape(made)[-1:])
        p.add(lambda v: ops.relu(v[made] + cr.tensor(bias)), bound + 2, f"bias {made}")


def _outer(p: RandomProgram) -> None:
    k = p.pick(1, limit=_FACTOR, most_rank=3)
    if k is None:
        return
    n = p.shape(k)[-1]
    weight = p.whole((n, p.size()))
    equation = ["...i,ij->...j", "...i,ij->j...", "...i,ij->..."][p.integer(0, 3)]
    if equation.endswith("j..."):
        equation = {1: "i,ij->j", 2: "ai,ij->ja", 3: "abi,ij->jab"}[len(p.shape(k))]
    elif equation.endswith(">..."):
        equation = {1: "i,ij->", 2: "ai,ij->a", 3: "abi,ij->ab"}[len(p.shape(k))]
    else:
        equation = {1: "i,ij->j", 2: "ai,ij->aj", 3: "abi,ij->baj"}[len(p.shape(k))]
    bound = _FACTOR * 2 * weight.size
    p.add(lambda v: ops.einsum(equation, v[k], cr.tensor(weight)), bound, f"{equation} {k}")


def _images(p: RandomProgram) -> int | None:
    """A value of four axes with room for windows."""
    k = p.pick(2, limit=_FACTOR, most_rank=5)
    if k is None:
        return None
    shape = p.shape(k)
    if len(shape) != 4:
        n = math.prod(shape)
        side = next((s for s in (6, 5, 4, 3) if n >= 2 * s * s), None)
        if side is None:
            return None
        size = n // (side * side) // 2 * 2 * side * side
        new = (2, size // (2 * side * side), side, side)
        k2 = k
        k = p.add(lambda v: v[k2].reshape(-1)[:size].reshape(new), p.made[k].bound, f"images {k2}")
    if p.shape(k)[1] > 20 or min(p.shape(k)[2:]) < 2 or p.shape(k)[0] > 20:
        return None
    return k


def _convolution(p: RandomProgram) -> None:
    k = _images(p)
    if k is None:
        return
    channels, h, w = p.shape(k)[1:]
    groups = channels if p.chance(0.2) else 1
    out = groups * p.integer(1, 4) if groups > 1 else p.size()
    kernel = (p.integer(1, min(4, h) + 1), p.integer(1, min(4, w) + 1))
    weight = p.whole((out, channels // groups, *kernel))
    stride, padding = p.integer(1, 4), p.integer(0, 3)
    dilation = 1
    if p.chance(0.2) and all(2 * (n - 1) + 1 <= m for n, m in zip(kernel, (h, w), strict=True)):
        dilation = 2
    bias = cr.tensor(p.whole((out,))) if p.chance(0.5) else None
    bound = _FACTOR * 2 * weight.size / out + 2
    made = p.add(
        lambda v: ops.conv2d(v[k], cr.tensor(weight), bias, stride=stride, padding=padding,
                             dilation=dilation, groups=groups),
        bound, f"conv {weight.shape} s{stride} p{padding} d{dilation} g{groups} {k}",
    )  # fmt: skip
    if p.chance(0.5):
        p.add(lambda v: ops.relu(v[made]), bound, f"relu {made}")


def _two_factors(p: RandomProgram) -> None:
    """A convolution or product of two values that are computed, so that both get gradients."""
    k = _images(p)
    if k is None:
        return
    channels, h, w = p.shape(k)[1:]
    j = p.pick(1, limit=_FACTOR)
    kernel = (min(2, h), min(3, w))
    need = 2 * channels * kernel[0] * kernel[1]
    if j is None or math.prod(p.shape(j)) < need:
        return
    chosen: int = j
    stride, padding = p.integer(1, 3), p.integer(0, 2)
    p.add(
        lambda v: ops.conv2d(
            v[k], v[chosen].reshape(-1)[:need].reshape(2, channels, *kernel),
            stride=stride, padding=padding,
        ),
        _FACTOR * _FACTOR * need / 2, f"conv of values s{stride} p{padding} {k} {chosen}",
    )  # fmt: skip


def _pool(p: RandomProgram) -> None:
    k = _images(p)
    if k is None:
        return
    size = min(2 + p.integer(0, 2), *p.shape(k)[2:])
    stride = p.integer(1, 4)
    padding = p.integer(0, size // 2 + 1)
    b = p.made[k].bound
    if p.chance(0.7):
        p.add(lambda v: ops.max_pool2d(v[k], size, stride, padding), b,
              f"max_pool {size} s{stride} p{padding} {k}")  # fmt: skip
    else:
        p.add(lambda v: ops.avg_pool2d(v[k], 2, stride) * 4, 4 * b, f"avg_pool s{stride} {k}")


def _hosted(p: RandomProgram) -> None:
    """Ops of indices and orders, some of which NumPy computes between kernels."""
    k = p.pick(1, limit=32)
    if k is None:
        return
    axis = p.integer(0, len(p.shape(k)))
    n = p.shape(k)[axis]
    b = p.made[k].bound
    which = p.integer(0, 4)
    rows = p.rng.integers(0, n, p.integer(1, 6))
    if which == 0:
        p.add(lambda v: ops.cumsum(v[k], axis), b * n, f"cumsum {axis} {k}")
    elif which == 1:
        p.add(lambda v: ops.sort(v[k], axis)[0], b, f"sort {axis} {k}")
    elif which == 2:
        p.add(lambda v: ops.index_select(v[k], axis, rows), b, f"select {axis} {k}")
    else:
        p.add(lambda v: ops.roll(v[k], 1, axis), b, f"roll {axis} {k}")


def _several(p: RandomProgram) -> None:
    """Parts of a value, changed, and put together again."""
    k = p.pick(1, limit=64)
    if k is None:
        return
    axis = p.integer(0, len(p.shape(k)))
    n = p.shape(k)[axis]
    if n < 2:
        return
    at = p.integer(1, n)
    b = p.made[k].bound

    def make(v: list[Any]) -> Any:
        x, y = ops.split(v[k], [at, n - at], axis)
        return ops.concatenate([y * 2, x - 1, ops.relu(y)], axis)

    p.add(make, 2 * b + 1, f"parts {axis} {k}")


def _update(p: RandomProgram) -> None:
    """A part of a value replaced."""
    k = p.pick(1, limit=64)
    if k is None:
        return
    n = p.shape(k)[0]
    at = p.integer(0, n)

    def make(v: list[Any]) -> Any:
        y = v[k] + 0
        y[at:] = v[k][at:] * 2
        return y

    p.add(make, 2 * p.made[k].bound, f"update {at} {k}")


MOVES: list[Callable[[RandomProgram], None]] = [
    _unary, _unary, _unary, _binary, _binary, _binary, _binary, _reshape, _reshape, _permute,
    _permute, _slice, _slice, _slice, _expand, _join, _join, _join, _pad, _pad, _reduce, _reduce,
    _softly, _matmul, _matmul, _matmul, _outer, _convolution, _convolution, _two_factors, _pool,
    _hosted, _several, _update,
]  # fmt: skip
