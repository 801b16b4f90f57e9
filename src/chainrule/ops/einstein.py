"""Einsum: sums of products over labelled axes, as a closed family of two-operand contractions.

``einsum`` reads the notation and reduces it to ops: diagonals for repeated labels, sums for labels
that only one operand has, and ``Einsum`` for what remains of two operands. Forward, Ā and B̄ are
the same op with the three terms in other roles, and each runs as one batched matrix product.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import combinations
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ..core.apply import apply
from ..core.aval import SCALARS, Aval, Axes, Data, describe, normalize_axis, result_dtype, shape_of
from ..core.families import Bilinear
from ..core.sampling import Sample, floats
from ..errors import ArgumentError, DTypeError, ShapeError
from . import diagonals, movement, reduce

V = TypeVar("V")

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

__all__ = ["einsum", "outer", "tensordot"]
Term = tuple[Any, str]
"""An operand and the label of each of its axes."""

_SPARE = 0x100
"""Characters from here on label axes that have no letter: those of an ellipsis or of tensordot."""


class Einsum(Bilinear):
    """y[out] = Σ a[…] b[…] over the labels that `out` lacks;  Ā = Σ Ȳ b and B̄ = Σ Ȳ a.

    In the equation every label stands at most once in a term and in at least two of the three
    terms, so they can change roles: ``ab,bc->ac`` has Ā = ``ac,bc->ab`` and B̄ = ``ac,ab->bc``.
    """

    equation: str
    promotes = True

    def infer(self, *xs: Any) -> Aval:
        plan = _plan(self.equation)
        sizes: dict[str, int] = {}
        for names, x in zip((plan.a, plan.b), xs, strict=True):
            shape = shape_of(x)
            if len(shape) != len(names) or any(
                sizes.setdefault(c, n) != n for c, n in zip(names, shape, strict=True)
            ):
                raise ShapeError(
                    f"the operands do not fit the contraction {self.equation}",
                    expected="one axis for each letter, and equal sizes for equal letters",
                    got=f"a: {describe(xs[0])}   b: {describe(xs[1])}",
                )
        return Aval(tuple(sizes[c] for c in plan.out), result_dtype(xs))

    def forward(self, *xs: Any) -> Any:
        plan = _plan(self.equation)
        a, b = np.asarray(xs[0]).transpose(plan.order_a), np.asarray(xs[1]).transpose(plan.order_b)
        batch, rows, inner = plan.cut(a.shape)
        columns = b.shape[len(batch) + len(inner) :]
        if b.shape[: len(batch) + len(inner)] != batch + inner:
            raise ValueError("sizes differ")  # which ones, ``infer`` says
        if not inner:
            a = a.reshape(batch + rows + (1,) * len(columns))
            return (a * b.reshape(batch + (1,) * len(rows) + columns)).transpose(plan.order_out)
        k = math.prod(inner)
        left = a.reshape(*batch, math.prod(rows), k)
        y = left @ b.reshape(*batch, k, math.prod(columns))
        return y.reshape(batch + rows + columns).transpose(plan.order_out)

    def transpose(self, i: int, ct: Data, xs: Sequence[Data]) -> Data:
        plan = _plan(self.equation)
        mine, other = (plan.a, plan.b) if i == 0 else (plan.b, plan.a)
        return apply(Einsum(canonical(plan.out, other, mine)), ct, xs[1 - i])

    def lower(self, k: Any, *xs: Any) -> Any:
        plan = _plan(self.equation)
        a, b = (k.cast(x, result_dtype(xs)) for x in xs)
        sizes = dict(zip(plan.a + plan.b, (*a.shape, *b.shape), strict=True))
        inner = [c for c in plan.a if c not in plan.out]
        unit = dict(zip([*plan.out, *inner], k.units(len(plan.out) + len(inner)), strict=True))
        shape = tuple(sizes[c] for c in plan.out)
        places = tuple(unit[c] for c in plan.a), tuple(unit[c] for c in plan.b)
        if not inner:
            return k.apply("mul", k.view(a, shape, places[0]), k.view(b, shape, places[1]))
        return k.dot(shape, tuple(sizes[c] for c in inner), a, b, places)

    def batch(self, size: int, batched: Sequence[bool], *xs: Data) -> Data:
        plan = _plan(self.equation)
        names = {*plan.a, *plan.b, *plan.out}
        new = next(c for c in map(chr, range(_SPARE, 2 * _SPARE)) if c not in names)
        a, b = (new * is_one + term for is_one, term in zip(batched, (plan.a, plan.b), strict=True))
        return apply(Einsum(canonical(a, b, new + plan.out)), *xs)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        sizes = {"a": 2, "b": 3, "c": 4, "d": 1, "e": 2}
        for equation in (
            ",->", "a,a->", "a,a->a", "a,->a", "a,b->ab", "a,b->ba", "ab,bc->ac", "ab,bc->ca",
            "ba,bc->ac", "ab,cb->ac", "abc,abd->acd", "abc,cb->a", "abc,dce->bade", "d,d->",
            "abcd,bdea->ce", "abcde,bd->eca",
        ):  # fmt: skip
            plan = _plan(equation)
            yield Sample(cls(equation), floats(*([sizes[c] for c in t] for t in (plan.a, plan.b))))
        for a, b in (((2, 0), (0, 3)), ((0, 2), (2, 3)), ((1, 1), (1, 1))):
            yield Sample(cls("ab,bc->ac"), floats(a, b))


class _Plan(NamedTuple):
    """How an equation becomes one batched matrix product of two rearranged operands."""

    a: str
    b: str
    out: str
    batch: int
    rows: int
    order_a: Axes
    order_b: Axes
    order_out: Axes

    def cut(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
        """The rearranged shape of a as its batch, row and contracted sizes."""
        end = self.batch + self.rows
        return shape[: self.batch], shape[self.batch : end], shape[end:]


@lru_cache(maxsize=1024)
def _plan(equation: str) -> _Plan:
    terms, out = equation.split("->")
    a, b = terms.split(",")
    batch = [c for c in out if c in a and c in b]
    rows = [c for c in out if c not in b]
    inner = [c for c in a if c not in out]
    columns = [c for c in out if c not in a]
    made = [*batch, *rows, *columns]
    return _Plan(
        a,
        b,
        out,
        len(batch),
        len(rows),
        tuple(a.index(c) for c in (*batch, *rows, *inner)),
        tuple(b.index(c) for c in (*batch, *inner, *columns)),
        tuple(made.index(c) for c in out),
    )


def canonical(a: str, b: str, out: str) -> str:
    """The equation with labels renamed a, b, c, … as they appear, so that equal ones compare equal.

    >>> canonical("ik", "kj", "ij")
    'ab,bc->ac'
    """
    seen = dict.fromkeys(a + b)
    if len(seen) > len(_LETTERS):
        raise ArgumentError("a contraction takes at most 52 different labels", got=f"{len(seen)}")
    names = str.maketrans(dict(zip(seen, _LETTERS, strict=False)))
    return f"{a},{b}->{out}".translate(names)


# The notation -------------------------------------------------------------------------------------


def einsum(equation: str, *operands: Any) -> Any:
    """Sum of products over labelled axes, in Einstein's notation as in NumPy and PyTorch.

    Labels that the part after ``->`` lacks are summed over. A label twice in one operand takes its
    diagonal; ``...`` stands for further axes, which broadcast; without ``->`` the result has the
    labels that appear once, in alphabetical order. Axes of size one broadcast. More than two
    operands are contracted in pairs, the pair with the smallest result first. They may come as one
    list, too.

    Raises ArgumentError for a malformed equation, ShapeError for operands that do not fit it.

    >>> a, b = tensor([[1.0, 2.0], [3.0, 4.0]]), tensor([1.0, 10.0])
    >>> einsum("ij,j->i", a, b)
    tensor([21., 43.])
    >>> einsum("ii", a)
    tensor(5.)
    """
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    for x in operands:
        if type(x) not in SCALARS and getattr(x, "shape", None) is None:
            raise DTypeError(
                "einsum takes tensors, arrays and numbers",
                got=type(x).__name__,
                hint="make it a tensor first: chainrule.tensor(x)",
            )
    inputs, out = _parse(equation, tuple(len(shape_of(x)) for x in operands))
    sizes = _sizes(equation, inputs, operands)
    terms = [_distinct(x, names, sizes) for x, names in zip(operands, inputs, strict=True)]
    for i, (x, names) in enumerate(terms):
        terms[i] = _summed(x, names, _labels_kept(terms, (i,), out))
    while len(terms) > 1:
        terms = _with_one_pair_contracted(terms, out, sizes)
    x, names = terms[0]
    return x if names == out else movement.permute(x, tuple(names.index(c) for c in out))


@lru_cache(maxsize=1024)
def _parse(equation: str, ndims: tuple[int, ...]) -> tuple[tuple[str, ...], str]:
    """One label for each axis of each operand, and those of the result."""
    text = equation.replace(" ", "")
    if not re.fullmatch(r"[A-Za-z.]*(,[A-Za-z.]*)*(->[A-Za-z.]*)?", text) or "." in re.sub(
        r"\.\.\.", "", text
    ):
        raise _malformed(equation, "letters, commas, at most one ... a term, and one ->")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(ndims):
        raise _malformed(equation, f"one term for each of the {len(ndims)} operands")
    extra = [
        n - len(t.replace("...", "")) if "..." in t else 0
        for t, n in zip(terms, ndims, strict=True)
    ]
    for t, n, more in zip(terms, ndims, extra, strict=True):
        if t.count("...") > 1 or more < 0 or len(t.replace("...", "")) + more != n:
            raise ShapeError(
                f"einsum({equation!r}): a term does not name the axes of its operand",
                expected=f"{n} labels for an operand of {n} dimensions",
                got=t or "none",
            )
    rest = "".join(chr(_SPARE + i) for i in range(max(extra, default=0)))
    inputs = tuple(
        t.replace("...", rest[len(rest) - more :]) for t, more in zip(terms, extra, strict=True)
    )
    if not arrow:
        count = Counter(left.replace("...", "").replace(",", ""))
        return inputs, rest + "".join(sorted(c for c, k in count.items() if k == 1))
    out = right.replace("...", rest)
    if len(set(out)) != len(out) or not set(out) <= set("".join(inputs)):
        raise _malformed(equation, "each label of the result once, and in some operand")
    return inputs, out


def _malformed(equation: str, expected: str) -> ArgumentError:
    return ArgumentError("einsum cannot read its equation", expected=expected, got=repr(equation))


def _sizes(equation: str, inputs: Sequence[str], operands: Sequence[Any]) -> dict[str, int]:
    """The size of each label: what its axes have in common, axes of size one aside."""
    sizes: dict[str, int] = {}
    for names, x in zip(inputs, operands, strict=True):
        for c, n in zip(names, shape_of(x), strict=True):
            if sizes.get(c, 1) == 1:
                sizes[c] = n
            elif n not in (1, sizes[c]):
                raise ShapeError(
                    f"einsum({equation!r}): axes with one label differ in size",
                    expected=f"size {sizes[c]} for {c if ord(c) < _SPARE else '...'}",
                    got="   ".join(map(describe, operands)),
                )
    return sizes


def _distinct(x: Any, names: str, sizes: dict[str, int]) -> Term:
    """x with each label once: diagonals taken, and axes that broadcast dropped."""
    for c, k in Counter(names).items():
        for _ in range(k - 1):
            i = names.index(c)
            j = names.index(c, i + 1)
            if shape_of(x)[i] != shape_of(x)[j]:
                raise ShapeError(
                    f"einsum: the axes {c}{c} of one operand have no diagonal",
                    expected="equal sizes",
                    got=describe(x),
                )
            x = diagonals.diagonal(x, 0, i, j)
            names = names[:i] + names[i + 1 : j] + names[j + 1 :] + c
    single = [i for i, c in enumerate(names) if shape_of(x)[i] == 1 != sizes[c]]
    if single:
        x = movement.squeeze(x, tuple(single))
        names = "".join(c for i, c in enumerate(names) if i not in single)
    return x, names


def _labels_kept(terms: Sequence[Term], used: Sequence[int], out: str) -> str:
    """The labels still needed once the terms `used` are gone."""
    return out + "".join(names for i, (_, names) in enumerate(terms) if i not in used)


def _summed(x: Any, names: str, kept: str) -> Term:
    """x summed over the axes whose label nothing else has."""
    axes = tuple(i for i, c in enumerate(names) if c not in kept)
    if not axes:
        return x, names
    return reduce.sum(x, axes), "".join(c for c in names if c in kept)


def _with_one_pair_contracted(terms: Sequence[Term], out: str, sizes: dict[str, int]) -> list[Term]:
    """The terms with the two of them whose product is smallest replaced by it."""

    def names_of_product(pair: tuple[int, int]) -> str:
        if len(terms) == 2:
            return out
        kept = _labels_kept(terms, pair, out)
        both = dict.fromkeys(terms[pair[0]][1] + terms[pair[1]][1])
        return "".join(c for c in both if c in kept)

    def growth(pair: tuple[int, int]) -> int:
        product = math.prod(sizes[c] for c in names_of_product(pair))
        return product - sum(math.prod(sizes[c] for c in terms[i][1]) for i in pair)

    i, j = pair = min(combinations(range(len(terms)), 2), key=growth)
    (x, a), (y, b) = terms[i], terms[j]
    names = names_of_product(pair)
    product = apply(Einsum(canonical(a, b, names)), x, y)
    return [(product, names), *(t for k, t in enumerate(terms) if k not in pair)]


# Contractions with a name of their own ------------------------------------------------------------


def outer(a: V, b: Any) -> V:
    """y[i, j] = aᵢ bⱼ of two vectors; other shapes are flattened first, as in NumPy.

    >>> outer(tensor([1.0, 2.0]), tensor([3.0, 4.0]))
    tensor([[3., 4.],
            [6., 8.]])
    """
    if len(shape_of(a)) != 1:
        a = movement.reshape(a, -1)
    if len(shape_of(b)) != 1:
        b = movement.reshape(b, -1)
    return apply(Einsum("a,b->ab"), a, b)


def tensordot(a: V, b: Any, dims: int | Sequence[Any] = 2) -> V:
    """Contract `dims` axes: the last of a with the first of b, or ``(axes of a, axes of b)``.

    The result has the remaining axes of a, then those of b. Raises ShapeError if sizes differ.

    >>> tensordot(tensor(np.ones((2, 3, 4))), tensor(np.ones((3, 4, 5)))).shape
    (2, 5)
    """
    m, n = len(shape_of(a)), len(shape_of(b))
    if isinstance(dims, int):
        if not 0 <= dims <= min(m, n):
            raise ShapeError(
                "tensordot contracts axes that both operands have",
                expected=f"0 <= dims <= {min(m, n)}",
                got=str(dims),
            )
        chosen: tuple[Any, Any] = (tuple(range(m - dims, m)), tuple(range(dims)))
    else:
        chosen = (dims[0], dims[1])
    left, right = (
        [normalize_axis(axis, k) for axis in ((axes,) if isinstance(axes, int) else axes)]
        for axes, k in zip(chosen, (m, n), strict=True)
    )
    if len(left) != len(right):
        raise ShapeError("tensordot contracts axes in pairs", got=f"{left} and {right}")
    for i, j in zip(left, right, strict=True):  # an axis of one stands for as many as its partner
        if shape_of(a)[i] == 1 != shape_of(b)[j]:
            b = reduce.sum(b, j, True)
        elif shape_of(b)[j] == 1 != shape_of(a)[i]:
            a = reduce.sum(a, i, True)
    names_a = [chr(_SPARE + i) for i in range(m)]
    names_b = [chr(_SPARE + m + j) for j in range(n)]
    for i, j in zip(left, right, strict=True):
        names_b[j] = names_a[i]
    out = [c for i, c in enumerate(names_a) if i not in left]
    out += [c for j, c in enumerate(names_b) if j not in right]
    return apply(Einsum(canonical("".join(names_a), "".join(names_b), "".join(out))), a, b)
