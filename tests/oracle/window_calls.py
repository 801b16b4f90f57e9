"""Calls that compare products, convolutions, pooling and windows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from .calls import Case, Row, case, distinct, edge, exactly, ints, real, row

EQUATIONS = (
    ("ij,jk->ik", (2, 3), (3, 4)), ("ij,jk", (2, 3), (3, 4)), ("i,i->", (3,), (3,)),
    ("i,j->ij", (3,), (2,)), ("ii->", (3, 3)), ("ii->i", (3, 3)), ("ij->ji", (2, 3)),
    ("ij->", (2, 3)), ("ij->j", (2, 3)), ("bij,bjk->bik", (2, 3, 4), (2, 4, 2)),
    ("...ij,...jk->...ik", (2, 2, 3), (2, 3, 4)), ("...ij,jk->...ik", (5, 2, 3), (3, 4)),
    ("ij,ij->ij", (2, 3), (2, 3)), ("ij,kl->", (2, 3), (2, 2)), ("bhqd,bhkd->bhqk", (2, 2, 3, 4),
     (2, 2, 5, 4)), ("ij,jk,kl->il", (2, 3), (3, 4), (4, 2)), ("i,i,i->i", (3,), (3,), (3,)),
    ("abc,cd,bd->a", (2, 3, 4), (4, 5), (3, 5)), ("i->", (4,)), ("ij,j->i", (2, 3), (3,)),
    ("bii->bi", (2, 3, 3)), ("...->...", (2, 3)), ("ji,jk->ik", (3, 2), (3, 4)),
)  # fmt: skip
PRODUCTS = (
    row("chain_matmul", torch.chain_matmul, case(real(2, 3)), case(real(2, 3), real(3, 2)),
        case(real(2, 4), real(4, 3), real(3, 5), real(5, 1))),
    row("matmul", torch.matmul,
        *[case(real(*a), real(*b)) for a, b in (
            ((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 4)), ((2, 3), (3, 4)), ((2, 2, 3), (3, 4)),
            ((2, 3), (5, 3, 4)), ((2, 1, 2, 3), (4, 3, 2)), ((3,), (2, 3, 4)), ((2, 2, 3), (3,)),
            ((2, 2, 3), (2, 3, 1)), ((0, 3), (3, 2)), ((2, 0), (0, 3)), ((1, 1), (1, 1)),
            ((3, 1, 2, 2), (2, 2, 2)), ((1, 2, 0), (0, 3)), ((2, 0, 3), (3, 2)),
            ((2, 2, 3), (3, 0)), ((2, 1, 2, 0), (0, 1)))],
        case(ints(-4, 5, 2, 3), ints(-4, 5, 3, 2))),
    row("einsum", torch.einsum,
        *[case(eq, *[real(*s) for s in shapes]) for eq, *shapes in EQUATIONS]),
    row("dot", torch.dot, case(real(3), real(3)), case(real(0), real(0)),
        case(ints(0, 5, 3), ints(0, 5, 3))),
    row("outer", torch.outer, case(real(3), real(2)), case(real(1), real(4)),
        case(real(0), real(2))),
    row("tensordot", lambda a, b, dims=2: torch.tensordot(a, b, dims),
        case(real(2, 3, 4), real(3, 4, 5)), case(real(2, 3), real(3, 4), 1),
        case(real(2), real(3), 0), case(real(2, 3, 4), real(4, 5, 2), ([2, 0], [0, 2])),
        case(real(2, 3), real(4, 3), ([1], [1]))),
    row("linear", F.linear, case(real(2, 3), real(4, 3)), case(real(2, 3), real(4, 3), real(4)),
        case(real(3), real(4, 3), real(4)), case(real(2, 5, 3), real(4, 3), real(4)),
        case(real(0, 3), real(4, 3), real(4)), case(real(2, 3), real(1, 3))),
)  # fmt: skip

CONV1D = (
    ((2, 3, 8), (4, 3, 3), {}), ((2, 3, 8), (4, 3, 3), {"stride": 2, "padding": 1}),
    ((1, 2, 9), (2, 2, 2), {"dilation": 3}), ((2, 4, 7), (6, 2, 3), {"groups": 2, "padding": 2}),
    ((2, 4, 7), (4, 1, 2), {"groups": 4}), ((3, 8), (2, 3, 3), {}),
    ((2, 3, 7), (4, 3, 4), {"padding": "same"}), ((2, 3, 7), (4, 3, 3), {"padding": "valid"}),
    ((2, 1, 5), (1, 1, 1), {"stride": 3}),
    ((1, 2, 9), (3, 2, 3), {"padding": "same", "dilation": 2}),
    ((2, 2, 10), (2, 2, 3), {"stride": 3, "padding": 2, "dilation": 2}),
    ((0, 3, 8), (4, 3, 3), {}),
)  # fmt: skip
CONV2D = (
    ((2, 3, 6, 7), (4, 3, 3, 3), {}), ((2, 3, 6, 7), (4, 3, 3, 2), {"stride": 2, "padding": 1}),
    ((1, 2, 7, 8), (3, 2, 2, 3), {"dilation": 2}), ((2, 3, 5, 5), (2, 3, 1, 1), {}),
    ((2, 3, 6, 7), (4, 3, 2, 4), {"stride": (1, 3), "padding": (0, 2), "dilation": (2, 1)}),
    ((2, 4, 5, 6), (6, 2, 3, 3), {"groups": 2, "padding": 1}),
    ((1, 4, 5, 5), (8, 1, 3, 3), {"groups": 4, "stride": 2}), ((3, 5, 6), (2, 3, 3, 3), {}),
    ((2, 2, 5, 6), (3, 2, 3, 2), {"padding": "same"}), ((1, 1, 3, 3), (1, 1, 3, 3), {}),
    ((2, 2, 5, 6), (3, 2, 2, 3), {"padding": "valid", "stride": 2}),
    ((1, 2, 6, 6), (2, 2, 3, 3), {"padding": "same", "dilation": 2, "groups": 1}),
    ((2, 1, 6, 6), (3, 1, 5, 5), {"padding": 2, "stride": 3}), ((0, 3, 6, 7), (4, 3, 3, 3), {}),
)  # fmt: skip
TRANSPOSED1D = (
    ((2, 3, 5), (3, 4, 3), {}), ((2, 3, 5), (3, 4, 3), {"stride": 2, "padding": 1}),
    ((2, 3, 5), (3, 4, 3), {"stride": 3, "output_padding": 2}), ((3, 5), (3, 2, 2), {}),
    ((2, 4, 5), (4, 3, 3), {"groups": 2, "dilation": 2}),
    ((1, 2, 4), (2, 2, 4), {"stride": 2, "padding": 1, "output_padding": 1, "dilation": 2}),
)  # fmt: skip
TRANSPOSED2D = (
    ((2, 3, 4, 5), (3, 4, 3, 2), {}), ((2, 3, 4, 5), (3, 4, 3, 3), {"stride": 2, "padding": 1}),
    ((2, 3, 4, 5), (3, 2, 3, 3), {"stride": (2, 3), "output_padding": (1, 2)}),
    ((2, 4, 3, 3), (4, 2, 2, 2), {"groups": 2, "stride": 2}), ((3, 4, 4), (3, 2, 3, 3), {}),
    ((1, 2, 4, 4), (2, 3, 3, 3), {"dilation": 2, "padding": 1}),
    ((2, 4, 3, 4), (4, 1, 3, 3), {"groups": 4, "padding": (1, 0), "stride": (1, 2)}),
)  # fmt: skip


def convolution(
    name: str, counterpart: Callable[..., Any], calls: Any, bias_axis: int, groups_scale: bool
) -> Row:
    """Each call with and without a bias."""
    cases = []
    for x, w, options in calls:
        out = w[bias_axis] * (options.get("groups", 1) if groups_scale else 1)
        cases.append(case(real(*x), real(*w), real(out), **options))
        cases.append(case(real(*x), real(*w), None, **options))
    return row(name, counterpart, *cases)


MAX1D = (
    ((2, 3, 8), 2, {}), ((2, 3, 9), 3, {"stride": 2}), ((2, 9), 3, {"stride": 1, "padding": 1}),
    ((1, 2, 9), 2, {"dilation": 3}), ((2, 3, 7), 2, {"ceil_mode": True}),
    ((2, 3, 8), 3, {"stride": 3, "padding": 1, "ceil_mode": True}),
    ((2, 3, 8), 2, {"return_indices": True}),
)  # fmt: skip
MAX2D = (
    ((2, 3, 6, 6), 2, {}), ((2, 3, 6, 7), (2, 3), {}), ((2, 2, 7, 7), 3, {"stride": 2}),
    ((2, 2, 5, 6), 3, {"stride": 1, "padding": 1}), ((3, 6, 5), 2, {}),
    ((1, 2, 7, 8), 2, {"dilation": 2}), ((1, 2, 7, 8), (2, 3), {"dilation": (3, 1), "stride": 1}),
    ((2, 2, 5, 7), 2, {"ceil_mode": True}), ((1, 1, 1, 1), 1, {}),
    ((2, 2, 7, 5), 3, {"stride": 2, "padding": 1, "ceil_mode": True}),
    ((2, 2, 5, 6), (3, 2), {"stride": (2, 1), "padding": (1, 0), "return_indices": True}),
    ((1, 1, 6, 6), 3, {"stride": 3, "ceil_mode": True, "return_indices": True}),
)  # fmt: skip
AVG1D = (
    ((2, 3, 8), 2, {}), ((2, 3, 9), 3, {"stride": 2}), ((2, 9), 3, {"stride": 1, "padding": 1}),
    ((2, 3, 7), 2, {"ceil_mode": True}), ((2, 3, 7), 4, {"padding": 2, "count_include_pad": False}),
    ((2, 3, 8), 3, {"stride": 3, "padding": 1, "ceil_mode": True}),
    ((2, 3, 8), 3, {"stride": 3, "padding": 1, "ceil_mode": True, "count_include_pad": False}),
)  # fmt: skip
AVG2D = (
    ((2, 3, 6, 6), 2, {}), ((2, 3, 6, 7), (2, 3), {}), ((2, 2, 7, 7), 3, {"stride": 2}),
    ((2, 2, 5, 6), 3, {"stride": 1, "padding": 1}), ((3, 6, 5), 2, {}),
    ((2, 2, 5, 7), 2, {"ceil_mode": True}),
    ((2, 2, 5, 5), 3, {"padding": 1, "count_include_pad": False}),
    ((2, 2, 7, 5), 3, {"stride": 2, "padding": 1, "ceil_mode": True}),
    ((2, 2, 6, 5), 3, {"stride": 2, "padding": 1, "ceil_mode": True, "count_include_pad": False}),
    ((2, 2, 5, 5), 2, {"divisor_override": 3}),
    ((2, 2, 6, 6), 3, {"ceil_mode": True, "stride": 3, "divisor_override": 1}),
)  # fmt: skip
ADAPTIVE1D = (((2, 3, 8), 4), ((2, 3, 7), 3), ((2, 3, 3), 5), ((3, 7), 2), ((2, 3, 4), 1))
ADAPTIVE2D = (
    ((2, 3, 6, 6), 2), ((2, 3, 7, 5), (3, 2)), ((2, 3, 3, 4), (5, 4)), ((3, 7, 6), 3),
    ((2, 3, 7, 5), (None, 2)), ((2, 2, 4, 4), 1), ((1, 2, 5, 6), (1, 6)),
)  # fmt: skip


def pooling(name: str, counterpart: Callable[..., Any], calls: Any) -> Row:
    """Pooling with every option."""
    return row(name, counterpart, *[case(distinct(*x), k, **o) for x, k, o in calls])


TIED = exactly(np.array([[[1.0, 2.0, 2.0, 1.0], [2.0, 2.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]]))
WINDOWS: tuple[tuple[tuple[int, ...], Any, dict[str, Any], tuple[int, int], int], ...] = (
    ((2, 3, 5, 6), (2, 3), {}, (5, 6), 16),
    ((2, 2, 5, 6), 3, {"padding": 1, "stride": 2}, (5, 6), 9),
    ((1, 2, 7, 7), 2, {"dilation": 3, "stride": 2}, (7, 7), 4), ((2, 5, 6), (2, 2), {}, (5, 6), 20),
    ((1, 2, 5, 6), (3, 2), {"padding": (1, 0), "stride": (2, 1)}, (5, 6), 15),
)  # fmt: skip


def _folds() -> list[Case]:
    calls = []
    for x, kernel, options, size, windows in WINDOWS:
        area = kernel**2 if isinstance(kernel, int) else int(np.prod(kernel))
        calls.append(case(real(*x[:-3], x[-3] * area, windows), size, kernel, **options))
    return calls


SLIDING = (
    convolution("conv1d", F.conv1d, CONV1D, 0, False),
    convolution("conv2d", F.conv2d, CONV2D, 0, False),
    convolution("conv_transpose1d", F.conv_transpose1d, TRANSPOSED1D, 1, True),
    convolution("conv_transpose2d", F.conv_transpose2d, TRANSPOSED2D, 1, True),
    pooling("max_pool1d", F.max_pool1d, MAX1D), pooling("max_pool2d", F.max_pool2d, MAX2D),
    row("max_pool2d", F.max_pool2d, edge(TIED, 2, 1, return_indices=True),
        edge(exactly(np.full((1, 3, 3), -np.inf)), 3, padding=1)),
    pooling("avg_pool1d", F.avg_pool1d, AVG1D), pooling("avg_pool2d", F.avg_pool2d, AVG2D),
    *[row(f"adaptive_{kind}_pool{n}d", getattr(F, f"adaptive_{kind}_pool{n}d"),
          *[case(distinct(*x), size) for x, size in calls],
          *([case(distinct(*x), size, return_indices=True) for x, size in calls]
            if kind == "max" else []))
      for kind in ("avg", "max") for n, calls in ((1, ADAPTIVE1D), (2, ADAPTIVE2D))],
    row("unfold", F.unfold, *[case(real(*x), k, **o) for x, k, o, _, _ in WINDOWS]),
    row("fold", F.fold, *_folds()),
    row("grid_sampler", torch.grid_sampler,
        *[case(real(1, 2, 3, 4), real(1, 2, 3, 2), mode, padding, aligned)
          for mode in (0, 2) for padding in (0, 1, 2) for aligned in (False, True)]),
)  # fmt: skip

ROWS = (*PRODUCTS, *SLIDING)
