"""Scalar expressions as text: each distinct value once, a register of lanes at a time.

Loops and the epilogues of contractions share it. `Terms` numbers the distinct expressions of a
kernel, arguments first; `evaluate` writes those whose loop counters are known. Calling it at each
level of a nest of loops therefore computes what does not change inside before the inner loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from ...core.aval import DType
from ...runtime.target import Target
from ..kernels import Access, Apply, Const, Expr, Index, Load, Lookup, Total
from . import scalar
from .casts import register_type
from .text import Function, Val, constant, memory_type, number, vector

NEAR = 4
"""Elements that are at most so far apart are read together with those between them."""


def ordered(roots: Iterable[Expr]) -> list[Expr]:
    """All expressions under `roots`, each object once, arguments before what uses them."""
    out: list[Expr] = []
    done: set[int] = set()
    stack = [(root, False) for root in roots][::-1]
    while stack:
        expr, ready = stack.pop()
        if id(expr) in done:
            continue
        args = expr.args if isinstance(expr, (Apply, Lookup)) else ()
        if ready or not args:
            done.add(id(expr))
            out.append(expr)
        else:
            stack.append((expr, True))
            stack.extend((arg, False) for arg in args[::-1])
    return out


class Term(NamedTuple):
    """One distinct expression: its arguments are numbers of terms."""

    expr: Expr
    args: tuple[int, ...]
    needs: int
    """Bit d is set if the value changes along loop d; all are for a Total."""
    dtype: DType


class Terms:
    """The distinct expressions under `roots`; lanes run along the loop `across`, if any.

    Expressions that are built twice alike are one term. ``roots[i]`` is the i-th root's number.
    """

    def __init__(self, roots: Iterable[Expr], across: int | None) -> None:
        self.terms: list[Term] = []
        self.lane_bit = 0 if across is None else 1 << across
        roots = list(roots)
        seen: dict[int, int] = {}
        numbers: dict[object, int] = {}
        for expr in ordered(roots):
            key, term = self._describe(expr, seen)
            if key not in numbers:
                numbers[key] = len(self.terms)
                self.terms.append(term)
            seen[id(expr)] = numbers[key]
        self.roots = [seen[id(root)] for root in roots]
        self._wide = set(self.roots)
        for term in self.terms:
            if term.needs & self.lane_bit and not isinstance(term.expr, Lookup):
                self._wide.update(term.args)

    def _describe(self, expr: Expr, seen: dict[int, int]) -> tuple[object, Term]:
        """What makes the expression distinct, and its term."""
        match expr:
            case Load(access):
                bits = sum(1 << d for d, stride in enumerate(access.strides) if stride)
                return expr, Term(expr, (), bits, access.dtype)
            case Const(value, dtype):
                text = number(value, register_type(dtype))  # 0.0 == -0.0, but not as text
                return (text, dtype), Term(expr, (), 0, dtype)
            case Index(dim):
                return expr, Term(expr, (), 1 << dim, np.dtype(np.int64))
            case Total(dtype):
                return expr, Term(expr, (), -1, dtype)
            case Apply(function, args, dtype):
                numbers = tuple(seen[id(arg)] for arg in args)
                needs = 0
                for n in numbers:
                    needs |= self.terms[n].needs
                return (function, numbers, dtype), Term(expr, numbers, needs, dtype)
            case Lookup(access, args, steps, limits):
                numbers = tuple(seen[id(arg)] for arg in args)
                needs = sum(1 << d for d, stride in enumerate(access.strides) if stride)
                for n in numbers:
                    needs |= self.terms[n].needs
                return (access, numbers, steps, limits), Term(expr, numbers, needs, access.dtype)
        raise AssertionError(f"no expression: {expr!r}")

    def is_spread(self, n: int) -> bool:
        """Whether term n is one number, but wanted in all lanes."""
        return n in self._wide and not self.terms[n].needs & self.lane_bit


def value(terms: Terms, known: dict[int, Val], n: int, *, wide: bool = True) -> Val:
    """Term n as `evaluate` left it in `known`; in all lanes unless ``wide=False``."""
    return known.get(~n, known[n]) if wide else known[n]


def evaluate(
    f: Function,
    target: Target,
    terms: Terms,
    known: dict[int, Val],
    lanes: int,
    *,
    load: Callable[[Access], Val],
    index: Callable[[int], Val] | None = None,
    total: Callable[[], Val] | None = None,
    lookup: Callable[[Lookup, Sequence[Val]], Val] | None = None,
    bound: int = -1,
) -> None:
    """Write all terms that need no other loop counters than the bits of `bound`, into `known`.

    ``load(access)`` and ``total()`` give values in register types (`load_lanes` does), with
    `lanes` lanes if they change along the lanes, else one; ``index(dim)`` gives i64 likewise, and
    ``lookup(expr, args)`` what is found at computed places.
    A copy of `known` carries what is computed before a loop into it.
    """
    for n, term in enumerate(terms.terms):
        if n in known or term.needs & ~bound:
            continue
        wide = bool(term.needs & terms.lane_bit)
        match term.expr:
            case Load(access):
                result = load(access)
            case Const(wanted, _):
                type_ = register_type(term.dtype)
                result = constant(wanted, type_)
                if terms.is_spread(n):
                    known[~n] = constant(wanted, vector(type_, lanes))
            case Index(dim):
                assert index is not None, "an Index in a place without counters"
                result = index(dim)
            case Total():
                assert total is not None, "a Total outside of an epilogue"
                result = total()
            case Apply(function, _, dtype):
                args = [value(terms, known, a, wide=wide) for a in term.args]
                operands = [terms.terms[a].dtype for a in term.args]
                result = scalar.emit(f, target, function, args, operands, dtype)
            case Lookup():
                assert lookup is not None, "a Lookup in an epilogue"
                result = lookup(term.expr, [known[a] for a in term.args])
        known[n] = result
        if terms.is_spread(n) and ~n not in known:
            known[~n] = f.splat(result, lanes)


# Lanes in memory ----------------------------------------------------------------------------------


def load_lanes(
    f: Function, target: Target, pointer: Val, dtype: DType, stride: int, lanes: int, active: int
) -> Val:
    """`lanes` elements, `stride` elements apart, in register types; one if the stride is 0.

    Only the first `active` are read; the others are zero.
    """
    if stride == 0 or lanes == 1:
        raw = f.load(pointer, memory_type(dtype), dtype.itemsize)
    elif stride == 1:
        raw = _row(f, target, pointer, dtype, lanes, active)
    elif stride == -1 and active == lanes:
        last = f.offset(pointer, memory_type(dtype), 1 - lanes)
        raw = _reversed(f, _row(f, target, last, dtype, lanes, lanes))
    elif 1 < stride <= NEAR and (target.masks or active == lanes):
        raw = _picked(f, target, pointer, dtype, stride, lanes, active)
    else:
        raw = _gathered(f, pointer, dtype, stride, lanes, active)
    if dtype.kind != "b":
        return raw
    return f.compare("icmp ne", raw, constant(0, raw.type))


def store_lanes(
    f: Function, target: Target, val: Val, pointer: Val, dtype: DType, stride: int, active: int
) -> None:
    """Write the first `active` lanes of a value in register types, `stride` elements apart."""
    element = memory_type(dtype)
    if dtype.kind == "b":
        val = f.convert("zext", val, "i8")
    if val.lanes == 1 or (stride == 1 and active == val.lanes):
        f.store(val, pointer, dtype.itemsize)
    elif stride == 1 and target.masks:
        bits = f.convert("bitcast", val, "i16") if element == "half" else val
        f.masked_store(bits, pointer, dtype.itemsize, active)
    elif stride == -1 and active == val.lanes:
        f.store(_reversed(f, val), f.offset(pointer, element, 1 - val.lanes), dtype.itemsize)
    else:
        for i in range(active):
            one = f.emit(element, f"extractelement {val}, i32 {i}")
            f.store(one, f.offset(pointer, element, i * stride), dtype.itemsize)


def shuffle(f: Function, a: Val, b: Val, order: Iterable[int]) -> Val:
    """Lanes picked by number from those of a followed by those of b."""
    chosen = list(order)
    picks = ", ".join(f"i32 {i}" for i in chosen)
    type_ = f"<{len(chosen)} x {a.element}>"
    return f.emit(type_, f"shufflevector {a}, {b}, <{len(chosen)} x i32> <{picks}>")


def _reversed(f: Function, a: Val) -> Val:
    return shuffle(f, a, Val(a.type, "poison"), range(a.lanes - 1, -1, -1))


def _row(f: Function, target: Target, pointer: Val, dtype: DType, lanes: int, active: int) -> Val:
    """The first `active` lanes from neighbouring elements."""
    element = memory_type(dtype)
    if active == lanes:
        return f.load(pointer, vector(element, lanes), dtype.itemsize)
    if not target.masks:
        return _gathered(f, pointer, dtype, 1, lanes, active)
    bits = f"i{8 * dtype.itemsize}" if element == "half" else element
    raw = f.masked_load(pointer, vector(bits, lanes), dtype.itemsize, active)
    return f.convert("bitcast", raw, element) if element == "half" else raw


def _picked(
    f: Function,
    target: Target,
    pointer: Val,
    dtype: DType,
    stride: int,
    lanes: int,
    active: int,
) -> Val:
    """Elements near to each other, out of whole vectors; nothing behind the last is read."""
    element = memory_type(dtype)
    span = (active - 1) * stride + 1
    out = Val(vector(element, lanes), "zeroinitializer")
    for first in range(0, span, lanes):
        start = first if target.masks else min(first, span - lanes)
        count = min(lanes, span - start)
        part = _row(f, target, f.offset(pointer, element, start), dtype, lanes, count)
        places = [i * stride - start if i < active else -1 for i in range(lanes)]
        order = [lanes + p if first - start <= p < lanes else i for i, p in enumerate(places)]
        out = shuffle(f, out, part, order)
    return out


def _gathered(f: Function, pointer: Val, dtype: DType, stride: int, lanes: int, active: int) -> Val:
    """Elements far apart, inserted one by one."""
    element = memory_type(dtype)
    type_ = vector(element, lanes)
    out = Val(type_, "poison" if active == lanes else "zeroinitializer")
    for i in range(active):
        one = f.load(f.offset(pointer, element, i * stride), element, dtype.itemsize)
        out = f.emit(type_, f"insertelement {out}, {one}, i32 {i}")
    return out
