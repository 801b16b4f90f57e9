"""Calls that compare reductions, orderings and running sums."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from .calls import Case, Draw, Row, between, bools, case, distinct, edge, exactly, ints, real, row

INF, NAN = np.inf, np.nan


def over(draw: Callable[..., Draw], *, several: bool = True) -> list[Case]:
    """A reduction over every kind of axis, with and without the axes kept."""
    calls = [
        case(draw()), case(draw(3)), case(draw(2, 3)), case(draw(2, 3), 0), case(draw(2, 3), -1),
        case(draw(2, 1, 3), 1, keepdim=True), case(draw(2, 3, 4), -2, keepdim=True),
        case(draw(2, 3, 2, 2), 0), case(draw(1, 1)), case(draw(1, 3, 1), dim=2), case(draw(), 0),
        case(draw(), -1),
    ]  # fmt: skip
    if several:
        calls += [
            case(draw(2, 3, 4), (0, 2)), case(draw(2, 3, 4), (-1, 0), keepdim=True),
            case(draw(2, 3), (0, 1)), case(draw(2, 3, 2, 2), (1, 3), keepdim=True),
            case(draw(2, 3), None, keepdim=True),
        ]  # fmt: skip
    return calls


def reduction(name: str, counterpart: Any, *more: Case, draw: Any = real, **how: Any) -> Row:
    """A reduction that takes several axes."""
    return row(name, counterpart, *over(draw), *more, **how)


def _all_axes(fn: Callable[..., Any]) -> Callable[..., Any]:
    """A torch function that wants `dim` left out rather than None."""

    def called(x: Any, dim: Any = None, keepdim: bool = False, **options: Any) -> Any:
        if dim is not None:
            return fn(x, dim, keepdim=keepdim, **options)
        return (
            fn(x, tuple(range(x.ndim)), keepdim=keepdim, **options) if keepdim else fn(x, **options)
        )

    return called


def _prod(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    if dim is None:
        return torch.prod(x).reshape((1,) * x.ndim if keepdim else ())
    for axis in sorted((a % max(x.ndim, 1) for a in np.atleast_1d(dim)), reverse=True):
        x = torch.prod(x, int(axis), keepdim=keepdim)
    return x


def _moment(fn: Callable[..., Any]) -> Callable[..., Any]:
    def called(x: Any, dim: Any = None, keepdim: bool = False, correction: float = 1) -> Any:
        return fn(x, dim, correction=correction, keepdim=keepdim)

    return called


def _logsumexp(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    return torch.logsumexp(x, tuple(range(x.ndim)) if dim is None else dim, keepdim=keepdim)


def _extreme(fn: Callable[..., Any]) -> Callable[..., Any]:
    def called(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
        if isinstance(dim, int):
            return fn(x, dim, keepdim=keepdim)
        return fn(x) if dim is None else fn(x, dim)

    return called


def _arg(fn: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, dim=None, keepdim=False: fn(x, dim, keepdim=keepdim)


def _sort(x: Any, dim: int = -1, descending: bool = False) -> Any:
    return torch.sort(x, dim=dim, descending=descending, stable=True)


TIES = exactly([[2.0, 5.0, 5.0, 1.0], [5.0, 5.0, 0.0, 5.0], [-1.0, -1.0, -1.0, -1.0]])
SPREAD = [
    c
    for c in over(lambda *shape: real(*[n + 2 for n in shape]))
    if c.args[0].make(np.random.default_rng(0)).ndim
]
"""Three elements or more: of two, the standard deviation is linear and its curvature all noise."""
WITH_NAN = exactly([[1.0, NAN, 3.0], [4.0, 5.0, 6.0], [INF, NAN, NAN]])
ALONG = [
    case(distinct(5)), case(distinct(3, 4)), case(distinct(3, 4), 0), case(distinct(3, 4), -1),
    case(distinct(2, 3, 4), 1), case(distinct(2, 3, 4), -3), case(distinct(1, 3), 0),
    case(distinct()),
]  # fmt: skip

SUMS = (
    reduction("sum", torch.sum, case(ints(-5, 5, 3, 4), 1), case(bools(3, 4)), case(real(0, 3), 0),
              case(real(0, 3), 1), case(real(0)), edge(exactly([INF, 1.0])),
              edge(exactly([INF, -INF]))),
    reduction("mean", torch.mean, edge(exactly([1.0, INF]))),
    reduction("prod", _prod, case(ints(-5, 5, 3, 4), 1), case(real(0, 3), 0),
              case(exactly([[2.0, 0.0, 3.0], [0.0, 0.0, 1.0], [1.0, 2.0, 3.0]]), 1),
              case(exactly([[2.0, 0.0, 3.0], [0.0, 0.0, 1.0]])), case(exactly([2.0, 0.0, 3.0])),
              case(real(3, 4), 1), draw=lambda *shape: between(0.5, 2.0, *shape)),
    reduction("logsumexp", _logsumexp, draw=lambda *shape: between(-3, 3, *shape)),
    row("logsumexp", _logsumexp, edge(exactly([1e4, 1e4, -1e4])), edge(exactly([-INF, 1.0]))),
    row("var", _moment(torch.var), *SPREAD,
        case(real(3, 4), 1, correction=0), case(real(3, 4), correction=2),
        case(real(2, 5, 3), (0, 1), correction=0, keepdim=True), case(real(1), correction=0),
        edge(exactly([1e8, 1e8 + 1.0, 1e8 + 2.0]))),
    row("std", _moment(torch.std), *SPREAD,
        case(real(3, 4), 1, correction=0), case(real(3, 4), correction=2),
        case(real(2, 5, 3), (0, 1), correction=0, keepdim=True),
        edge(exactly([[2.0, 2.0, 2.0], [1.0, 2.0, 4.0]]), 1), edge(exactly([3.0, 3.0]))),
    row("cumsum", torch.cumsum, case(real(4), 0), case(real(3, 4), 0), case(real(3, 4), -1),
        case(real(2, 3, 4), -2), case(real(0, 3), 0), case(ints(-4, 5, 3, 4), 1), case(real(), 0),
        case(bools(5), 0)),
    row("sum_to", lambda x, shape: x.sum_to_size(shape), case(real(2, 3), (3,)),
        case(real(2, 3), (2, 1)), case(real(2, 3), ()), case(real(2, 3, 4), (1, 3, 1)),
        case(real(2, 3), (2, 3)), case(real(2, 0, 3), (1, 3)), case(ints(0, 5, 2, 3), (3,))),
)  # fmt: skip

NORM = row(
    "norm", torch.linalg.vector_norm,
    *[Case((c.args[0], p, *c.args[1:]), c.options)
      for p in (2, 1, 3.5) for c in SPREAD],
    case(real(3, 4)), case(real(3, 4), INF), case(real(3, 4), -INF, 1), case(real(3, 4), 0),
    case(between(0.5, 2, 3, 4), -1.5, 1), case(between(0.5, 2, 4), 0.5), case(real(0, 3), 2, 0),
    edge(real()), edge(real(), 3, 0), edge(real(2, 1), 2, 1), edge(real(3, 1, 2), 1, (0, 1)),
    edge(exactly([0.0, 0.0])), edge(exactly([0.0, 0.0]), 1), edge(exactly([0.0, 0.0]), 3),
    edge(exactly([[0.0, 3.0, -4.0], [0.0, 0.0, 0.0]]), 2, 1), edge(exactly([0.0, 2.0, -3.0]), 1),
    edge(exactly([0.0, 2.0, -3.0]), 3), edge(exactly([-3.0, 3.0, 1.0]), INF),
)  # fmt: skip

EXTREMES = (
    *[row(n, _all_axes(getattr(torch, n)), *over(distinct), case(ints(0, 50, 3, 4), 1),
          edge(TIES), edge(TIES, 1), edge(TIES, 0), edge(exactly([INF, -INF])))
      for n in ("amax", "amin")],
    *[row(n, _extreme(getattr(torch, n)), *over(distinct, several=False),
          case(ints(0, 50, 3, 4), 1), edge(TIES), edge(TIES, 1), edge(TIES, 0, True),
          edge(WITH_NAN, 0), case(distinct(3, 4), real(4)))
      for n in ("max", "min")],
    *[row(n, _arg(getattr(torch, n)), *over(distinct, several=False), edge(TIES), edge(TIES, 1),
          edge(WITH_NAN, 1), case(ints(0, 50, 6)))
      for n in ("argmax", "argmin")],
    *[row(n, _all_axes(getattr(torch, n)), *over(bools), case(exactly([0.0, NAN])),
          case(ints(0, 2, 3, 3), 1), case(real(0, 2), 0)) for n in ("any", "all")],
)  # fmt: skip

ORDERINGS = (
    row("sort", _sort, *ALONG, *[Case((c.args[0], *(c.args[1:] or (-1,)), True)) for c in ALONG],
        edge(TIES, 1), edge(TIES, 1, True), case(exactly([2.0, NAN, 1.0, INF])),
        case(exactly([2.0, NAN, 1.0, INF]), descending=True), case(ints(0, 5, 9))),
    row("argsort", lambda x, dim=-1, descending=False: _sort(x, dim, descending)[1], *ALONG,
        case(distinct(3, 4), 0, True), edge(TIES, 1)),
    row("topk", torch.topk, case(distinct(5), 2), case(distinct(3, 4), 2, 0),
        case(distinct(3, 4), 3, -1, False), case(distinct(2, 3, 4), 1, 1), case(distinct(3), 0),
        case(distinct(3, 4), 4), case(distinct(2, 5), k=2, dim=1, largest=False, sorted=True)),
)  # fmt: skip

# PyTorch has no second derivative of these.
SEGMENTS = row(
    "segment_reduce", torch.segment_reduce,
    *[replace(call, second=False) for call in (
        *[case(distinct(7), kind, lengths=exactly([3, 1, 3], np.int64))
          for kind in ("sum", "mean", "max", "min", "prod")],
        case(real(5, 2), "sum", lengths=exactly([2, 3], np.int64), initial=1.5),
        case(real(5, 2), "mean", offsets=exactly([0, 2, 5], np.int64)))],
)  # fmt: skip

ROWS = (*SUMS, NORM, SEGMENTS, *EXTREMES, *ORDERINGS)
