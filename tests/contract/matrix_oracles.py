"""Plain loops for linear algebra and transforms: elimination, and sums over elements.

Factors are held by what defines them: their product, and the form that each of them has.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from forward_oracles import oracle


def each(one: Callable[..., Any], shape: Any, *operands: Any) -> Any:
    """`one` of each matrix of a batch of `shape`, operands broadcast."""
    wide = [np.broadcast_to(x, (*shape, *x.shape[-2:])) for x in operands]
    found = [one(*[x[i] for x in wide]) for i in np.ndindex(*shape)]
    return found


def stacked(found: list[Any], shape: Any, dtype: Any = float) -> Any:
    """Results of a batch, as one array of `shape`."""
    return np.array(found, dtype).reshape(shape)


def solved(a: Any, b: Any) -> Any:
    """Gauss and Jordan's elimination with row exchanges, on lists."""
    n, k = len(a), b.shape[1]
    rows = [[*map(float, a[i]), *map(float, b[i])] for i in range(n)]
    for j in range(n):
        best = max(range(j, n), key=lambda i: abs(rows[i][j]))
        rows[j], rows[best] = rows[best], rows[j]
        rows[j] = [v / rows[j][j] for v in rows[j]]
        for i in range(n):
            if i != j:
                rows[i] = [v - rows[i][j] * w for v, w in zip(rows[i], rows[j], strict=True)]
    return [row[n : n + k] for row in rows]


def determinant(a: Any) -> float:
    """Leibniz's sum over permutations."""
    n = len(a)
    total = 0.0
    for order in itertools.permutations(range(n)):
        inversions = sum(order[i] > order[j] for i in range(n) for j in range(i + 1, n))
        total += (-1) ** inversions * math.prod(a[i][order[i]] for i in range(n))
    return total


def cofactor(a: Any) -> Any:
    """Signed determinants of what is left without a row and a column."""
    n = len(a)
    return [
        [(-1) ** (i + j) * determinant(np.delete(np.delete(a, i, 0), j, 1)) for j in range(n)]
        for i in range(n)
    ]


@oracle("solve")
def _(op: Any, a: Any, b: Any) -> Any:
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return stacked(each(solved, lead, a, b), (*lead, *b.shape[-2:]))


@oracle("singular")
def _(op: Any, a: Any) -> Any:
    return np.zeros(a.shape[:-2], np.int32)


@oracle("det")
def _(op: Any, a: Any) -> Any:
    return stacked(each(determinant, a.shape[:-2], a), a.shape[:-2])


@oracle("cofactors")
def _(op: Any, a: Any) -> Any:
    return stacked(each(cofactor, a.shape[:-2], a), a.shape)


@oracle("slog_det")
def _(op: Any, a: Any) -> Any:
    values = stacked(each(determinant, a.shape[:-2], a), a.shape[:-2])
    return np.sign(values), np.log(np.abs(values))


@oracle("cholesky")
def _(op: Any, a: Any) -> Any:
    def one(m: Any) -> Any:
        n = len(m)
        factor = np.zeros((n, n))
        for i in range(n):
            for j in range(i + 1):
                rest = m[i, j] - sum(factor[i, k] * factor[j, k] for k in range(j))
                factor[i, j] = math.sqrt(rest) if i == j else rest / factor[j, j]
        return factor

    return stacked(each(one, a.shape[:-2], a), a.shape)


@oracle("indefinite")
def _(op: Any, a: Any) -> Any:
    def one(m: Any) -> int:
        m = (m + m.T) / 2
        minors = [determinant(m[:k, :k]) for k in range(1, len(m) + 1)]
        return next((k for k, minor in enumerate(minors, 1) if minor <= 0), 0)

    return stacked(each(one, a.shape[:-2], a), a.shape[:-2], np.int32)


def eliminated(m: Any, pivot: bool) -> tuple[Any, list[int]]:
    """L and U in one, and the row that each step took."""
    m = [list(map(float, row)) for row in m]
    rows, columns = len(m), len(m[0]) if m else 0
    taken = []
    for j in range(min(rows, columns)):
        best = max(range(j, rows), key=lambda i: abs(m[i][j])) if pivot else j
        taken.append(best)
        m[j], m[best] = m[best], m[j]
        for i in range(j + 1, rows):
            m[i][j] /= m[j][j]
            for k in range(j + 1, columns):
                m[i][k] -= m[i][j] * m[j][k]
    return m, taken


@oracle("lu")
def _(op: Any, a: Any) -> Any:
    return stacked(each(lambda m: eliminated(m, False)[0], a.shape[:-2], a), a.shape)


@oracle("pivots")
def _(op: Any, a: Any) -> Any:
    shape = (*a.shape[:-2], min(a.shape[-2:]))
    found = each(lambda m: [i + 1 for i in eliminated(m, True)[1]], a.shape[:-2], a)
    return stacked(found, shape, np.int32)


@oracle("permutation")
def _(op: Any, pivots: Any) -> Any:
    def one(taken: Any) -> list[int]:
        order = list(range(op.rows))
        for j, pivot in enumerate(taken):
            order[j], order[pivot - 1] = order[pivot - 1], order[j]
        return order

    lead = pivots.shape[:-1]
    found = [one(pivots[i]) for i in np.ndindex(*lead)]
    return stacked(found, (*lead, op.rows), np.int64)


def reflected(a: Any) -> tuple[Any, Any, Any]:
    """Householder's vectors below R, their coefficients, and the square Q."""
    r = np.array(a, float)
    m, n = r.shape
    q, taus, saved = np.eye(m), [], r.copy()
    for j in range(min(m, n)):
        x = r[j:, j].copy()
        size = math.sqrt(float(np.sum(x * x)))
        beta = -math.copysign(size, x[0])
        if len(x) == 1 or not np.any(x[1:]):
            taus.append(0.0)
            continue
        tau = (beta - x[0]) / beta
        v = x / (x[0] - beta)
        v[0] = 1.0
        full = np.zeros(m)
        full[j:] = v
        h = np.eye(m) - tau * np.outer(full, full)
        r, q = h @ r, q @ h
        r[j + 1 :, j] = v[1:]
        taus.append(tau)
        for column in range(j):  # what is stored below R is no part of it
            r[:, column] = saved[:, column]
        saved = r.copy()
    return r, np.array(taus), q


@oracle("reflectors")
def _(op: Any, a: Any) -> Any:
    lead, k = a.shape[:-2], min(a.shape[-2:])
    found = each(reflected, lead, a)
    return stacked([f[0] for f in found], a.shape), stacked([f[1] for f in found], (*lead, k))


@oracle("qr")
def _(op: Any, a: Any) -> Any:
    lead, k = a.shape[:-2], min(a.shape[-2:])
    found = each(reflected, lead, a)
    q = stacked([f[2][:, :k] for f in found], (*lead, a.shape[-2], k))
    r = stacked([np.triu(f[0][:k]) for f in found], (*lead, k, a.shape[-1]))
    return q, r


@oracle("complement")
def _(op: Any, q: Any) -> Any:
    lead, (m, k) = q.shape[:-2], q.shape[-2:]
    found = each(lambda m: reflected(m)[2][:, k:], lead, q)
    return stacked(found, (*lead, m, m - k))


def rotated(a: Any) -> tuple[Any, Any]:
    """Eigenvalues in ascending order and eigenvectors of a symmetric matrix, by Jacobi."""
    a = (a + a.T) / 2
    n = len(a)
    v = np.eye(n)
    for _ in range(30):
        for p in range(n):
            for q in range(p + 1, n):
                if abs(a[p, q]) < 1e-300:
                    continue
                angle = 0.5 * math.atan2(2 * a[p, q], a[q, q] - a[p, p])
                turn = np.eye(n)
                turn[p, p] = turn[q, q] = math.cos(angle)
                turn[p, q], turn[q, p] = math.sin(angle), -math.sin(angle)
                a, v = turn.T @ a @ turn, v @ turn
    order = np.argsort(np.diag(a))
    return np.diag(a)[order], v[:, order]


def signs(v: Any, like: Any) -> Any:
    """The columns with the signs of those of `like`: which of the two there are is free."""
    return v * np.where((v * like).sum(-2, keepdims=True) < 0, -1.0, 1.0)


@oracle("eigh")
def _(op: Any, a: Any) -> Any:
    found = each(rotated, a.shape[:-2], a)
    v = stacked([f[1] for f in found], a.shape)
    return stacked([f[0] for f in found], a.shape[:-1]), signs(v, op.forward(a)[1])


@oracle("svd")
def _(op: Any, a: Any) -> Any:
    lead, (m, n) = a.shape[:-2], a.shape[-2:]
    k = min(m, n)

    def one(x: Any) -> Any:
        w, v = rotated(x.T @ x if n <= m else x @ x.T)
        s, v = np.sqrt(w[::-1]), v[:, ::-1]
        return (x @ v / s, s, v.T) if n <= m else (v, s, (v / s).T @ x)

    found = each(one, lead, a)
    u = stacked([f[0] for f in found], (*lead, m, k))
    vt = stacked([f[2] for f in found], (*lead, k, n))
    s = stacked([f[1] for f in found], (*lead, k))
    if 0 in a.shape:
        return u, s, vt
    flip = np.where((u * op.forward(a)[0]).sum(-2) < 0, -1.0, 1.0)
    return u * flip[..., None, :], s, vt * flip[..., :, None]


@oracle("matrix_exp")
def _(op: Any, a: Any) -> Any:
    def one(x: Any) -> Any:
        halvings = 12
        small, term, total = x / 2.0**halvings, np.eye(len(x)), np.eye(len(x))
        small, term, total = (v.astype(np.longdouble) for v in (small, term, total))
        for k in range(1, 20):
            term = term @ small / k
            total = total + term
        for _ in range(halvings):
            total = total @ total
        return total

    return stacked(each(one, a.shape[:-2], a), a.shape)


@oracle("pinv")
def _(op: Any, a: Any) -> Any:
    lead, (m, n) = a.shape[:-2], a.shape[-2:]

    def one(x: Any) -> Any:
        if m >= n:
            return solved(x.T @ x, x.T)
        return np.array(solved(x @ x.T, x)).T

    return stacked(each(one, lead, a), (*lead, n, m))


@oracle("is_in")
def _(op: Any, x: Any, among: Any) -> Any:
    found = [any(v == w for w in among.reshape(-1).tolist()) for v in x.reshape(-1).tolist()]
    return np.array(found, np.bool_).reshape(x.shape)


@oracle("scatter_reduce")
def _(op: Any, x: Any, src: Any, index: Any) -> Any:
    combine = {"prod": lambda a, b: a * b, "amax": max, "amin": min}[op.kind]
    y = np.array(x)
    for i in np.ndindex(*index.shape):
        place = (*i[: op.axis], int(index[i]), *i[op.axis + 1 :])
        y[place] = combine(y[place], src[i])
    return y


def cosines(op: Any, spectrum: Any, signal: Any) -> Any:
    """Coefficient, place in the spectrum and place in the signal, of every term."""
    axes = op.axes
    for k in np.ndindex(*spectrum):
        for j in np.ndindex(*signal):
            if any(k[a] != j[a] for a in range(len(k)) if a not in axes):
                continue
            turn = sum(k[a] * j[a] / signal[a] for a in axes)
            f = k[axes[-1]]
            twice = 2 if f > 0 and 2 * f != op.n else 1
            yield op.factor * twice * math.cos(2 * math.pi * turn), k, j


@oracle("signal_of_spectrum")
def _(op: Any, x: Any) -> Any:
    y = np.zeros(op.infer(x).shape)
    for weight, k, j in cosines(op, x.shape, y.shape):
        y[j] += weight * x[k]
    return y


@oracle("spectrum_of_signal")
def _(op: Any, x: Any) -> Any:
    y = np.zeros(op.infer(x).shape)
    for weight, k, j in cosines(op, y.shape, x.shape):
        y[k] += weight * x[j]
    return y


@oracle("triangle_above_mean")
def _(op: Any, a: Any) -> Any:
    y = np.zeros(a.shape)
    for *batch, i, j in np.ndindex(*a.shape):
        row, column = (max(i, j), min(i, j)) if op.below else (min(i, j), max(i, j))
        y[(*batch, i, j)] = a[(*batch, row, column)] - (a[(*batch, i, j)] + a[(*batch, j, i)]) / 2
    return y
