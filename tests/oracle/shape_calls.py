"""Calls that compare movements: shapes, orders of elements, joining and cutting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from .calls import bools, case, edge, exactly, ints, real, row

NAN = np.nan


def _torch_widths(widths: Sequence[tuple[int, int]]) -> list[int]:
    """Pairs for each axis in the order torch wants: the last axis first."""
    return [w for pair in reversed(widths) for w in pair]


def _pad(x: Any, widths: Any, value: float = 0.0) -> Any:
    return F.pad(x, _torch_widths(widths), value=value)


def _pad_mode(x: Any, widths: Any, mode: str = "reflect", value: float = 0.0) -> Any:
    if mode == "constant":
        return _pad(x, widths, value)
    names = {"edge": "replicate", "wrap": "circular"}
    inner = [pair for pair in widths if pair != (0, 0)]
    lifted = x.reshape(1, 1, *x.shape) if x.ndim == len(inner) else x
    padded = F.pad(lifted, _torch_widths(inner), mode=names.get(mode, mode))
    return padded.reshape(padded.shape[lifted.ndim - x.ndim :])


def _slice(x: Any, starts: Any, sizes: Any, steps: Any = None) -> Any:
    steps = steps or (1,) * x.ndim
    for axis, (start, size, step) in enumerate(zip(starts, sizes, steps, strict=True)):
        places = [start + step * i for i in range(size)]
        x = torch.index_select(x, axis, torch.tensor(places, dtype=torch.int64))
    return x


def _flip(x: Any, *dims: Any) -> Any:
    dims = dims[0] if dims and isinstance(dims[0], tuple) else dims
    return torch.flip(x, dims or tuple(range(x.ndim)))


def _cast(x: Any, dtype: Any) -> Any:
    return x.to(getattr(torch, np.dtype(dtype).name))


SHAPES = (
    row("reshape", lambda x, *s: x.reshape(*s), case(real(2, 6), 3, 4), case(real(2, 6), (4, -1)),
        case(real(2, 3, 4), -1), case(real(1), ()), case(real(), 1, 1), case(real(0, 3), 3, 0),
        case(ints(0, 9, 2, 3), (3, 2)), case(bools(4), 2, 2)),
    row("permute", lambda x, *axes: x.permute(*axes), case(real(2, 3, 4), 2, 0, 1),
        case(real(2, 3, 4), (0, -1, 1)), case(real(2, 1, 3, 2), 3, 2, 1, 0), case(real(3), 0)),
    row("transpose", torch.transpose, case(real(2, 3), 0, 1), case(real(2, 3, 4), -1, 0),
        case(real(2, 3, 4), 1, 1)),
    row("movedim", torch.movedim, case(real(2, 3, 4), 0, -1), case(real(2, 3, 4), -1, 0),
        case(real(2, 3, 4, 5), (0, 1), (-1, -2))),
    row("squeeze", lambda x, dim=None: x.squeeze() if dim is None else x.squeeze(dim),
        case(real(1, 3, 1)), case(real(1, 3, 1), 0), case(real(1, 3, 1), -1),
        case(real(1, 3, 1), 1), case(real(1, 3, 1), (0, 2)), case(real(1, 1)), case(real())),
    row("unsqueeze", torch.unsqueeze, case(real(2, 3), 0), case(real(2, 3), -1),
        case(real(2, 3), 1), case(real(), 0), case(real(2), -2)),
    row("flatten", torch.flatten, case(real(2, 3, 4)), case(real(2, 3, 4), 1),
        case(real(2, 3, 4), 0, 1), case(real(2, 3, 4), -2, -1), case(real()),
        case(real(3), 0, 0)),
    row("unflatten", torch.unflatten, case(real(2, 6), 1, (2, 3)), case(real(6, 2), 0, (-1, 2)),
        case(real(2, 6), -1, (3, 1, 2))),
    row("expand", lambda x, *s: x.expand(*s), case(real(3), 2, 3), case(real(2, 1), (2, 4)),
        case(real(2, 1), -1, 5), case(real(), 2, 2), case(real(1, 3), (0, 3)),
        case(real(3, 1, 1), 2, -1, 4, 2)),
    row("broadcast_to", torch.broadcast_to, case(real(3), (2, 3)), case(real(2, 1), (4, 2, 3)),
        case(real(), (2,))),
    row("identity", torch.clone, case(real()), case(real(2, 3)), case(ints(0, 9, 3))),
    row("cast", _cast, case(real(2, 3), np.float64), case(ints(-9, 9, 4), np.float64),
        case(exactly([-1.7, 1.7, 0.0]), np.int64), case(exactly([0.0, -0.0, NAN, 2.0]), np.bool_),
        case(bools(4), np.float64), case(real(2, 3), np.float32)),
)  # fmt: skip

ORDER = (
    row("flip", _flip, case(real(3), 0), case(real(2, 3), -1), case(real(2, 3, 4), (0, 2)),
        case(real(2, 3, 4), 0, 1), case(real(2, 3)), case(real(0, 3), 0)),
    row("roll", torch.roll, case(real(5), 2), case(real(2, 3), 1), case(real(2, 3), 1, 0),
        case(real(2, 3), (1, -1), (0, 1)), case(real(3, 4), -5, -1), case(real(0, 2), 1)),
    row("slice_", _slice, case(real(5), (1,), (3,)), case(real(5), (4,), (3,), (-2,)),
        case(real(4, 6), (1, 5), (2, 3), (2, -2)), case(real(3, 4), (0, 2), (0, 2)),
        case(real(2, 3, 4), (0, 2, 0), (2, 3, 2), (1, -1, 3))),
    row("tril", torch.tril, case(real(3, 3)), case(real(2, 4), 1), case(real(4, 2), -1),
        case(real(2, 3, 3), -2), case(real(2, 2), 5)),
    row("triu", torch.triu, case(real(3, 3)), case(real(2, 4), 1), case(real(4, 2), -1),
        case(real(2, 3, 3), 2), case(real(2, 2), -5)),
    row("diagonal", torch.diagonal, case(real(3, 3)), case(real(2, 4), 1), case(real(4, 2), -1),
        case(real(2, 3, 4), 0, 1, 2), case(real(2, 3, 4), -1, -1, 0), case(real(2, 2), 2)),
    row("diag", torch.diag, case(real(3)), case(real(3), 1), case(real(2), -2), case(real(3, 4)),
        case(real(3, 4), 2), case(real(4, 3), -1)),
)  # fmt: skip

JOINING = (
    row("concatenate", torch.cat, case([real(2, 3), real(2, 3)]), case([real(2, 3), real(2, 1)], 1),
        case([real(2), real(0), real(3)]), case([real(1, 2, 3), real(1, 2, 2)], dim=-1),
        case([real(2)]), case([ints(0, 5, 2), real(3)]), case([ints(0, 5, 2), ints(0, 5, 1)])),
    row("stack", torch.stack, case([real(2, 3), real(2, 3)]), case([real(3), real(3)], 1),
        case([real(), real(), real()]), case([real(2, 3)] * 3, -1), case([real(2, 3)] * 2, dim=-2)),
    row("split", torch.split, case(real(5), 2), case(real(5, 2), [1, 4]), case(real(2, 6), 3, 1),
        case(real(2, 6), [1, 2, 3], -1), case(real(4), 4), case(real(3, 2), [0, 3])),
    row("chunk", torch.chunk, case(real(5), 2), case(real(7), 3), case(real(2, 6), 4, -1),
        case(real(2), 5), case(real(6, 2), 3, dim=0),
        case(real(0, 2), 3), case(real(2, 0), 2, 1)),
    row("unbind", torch.unbind, case(real(3)), case(real(2, 3)), case(real(2, 3), -1),
        case(real(2, 3, 4), 1)),
    row("tile", lambda x, *r: torch.tile(x, r[0] if isinstance(r[0], tuple) else r),
        case(real(3), 2), case(real(2, 3), 2, 3), case(real(2, 3), (2, 1, 2)), case(real(), 3),
        case(real(2, 3), 2), case(real(2), 0)),
    row("pad", _pad, case(real(3), ((1, 2),)), case(real(2, 3), ((0, 1), (2, 0)), 1.5),
        case(real(2, 3), ((-1, 0), (1, -1))), case(real(1, 2, 3), ((0, 0), (1, 1), (0, 2)), -2.0),
        case(real(2, 2, 2, 2), ((1, 0), (0, 1), (1, 1), (0, 0))),
        case(real(0, 2), ((1, 1), (0, 0))),
        case(ints(0, 9, 3), ((1, 1),)), edge(real(2), ((1, 0),), -np.inf)),
    row("pad_mode", _pad_mode,
        *[case(real(*shape), widths, mode)
          for mode in ("reflect", "replicate", "circular", "edge", "wrap")
          for shape, widths in (
              ((4,), ((2, 1),)), ((3, 4), ((1, 2), (3, 0))),
              ((2, 3, 5), ((0, 0), (0, 0), (1, 2))),
              ((2, 2, 3, 4), ((0, 0), (0, 0), (2, 1), (0, 3))))
          if mode not in ("circular", "wrap") or shape != (2, 2, 3, 4)],
        case(real(2, 2, 3, 4), ((0, 0), (0, 0), (2, 1), (1, 3)), "circular"),
        case(real(3), ((1, 1),), "constant", 2.0)),
)  # fmt: skip

COPIES = (
    row("detach_copy", torch.detach_copy, case(real(2, 3, grad=False))),
    row("select_copy", torch.select_copy, case(real(2, 3), 0, 1), case(real(2, 3), -1, -2)),
    row("split_copy", torch.split_copy, case(real(5), 2), case(real(2, 6), 3, 1)),
    row("native_channel_shuffle", torch.channel_shuffle,
        case(real(2, 6, 2, 2), 3), case(real(1, 4, 3, 1), 2)),
)  # fmt: skip

ROWS = (*SHAPES, *ORDER, *JOINING, *COPIES)
