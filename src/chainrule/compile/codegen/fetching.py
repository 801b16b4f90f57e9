"""What tiles of a contraction fetch into the caches for those that come after them.

The processor sees by itself what lies in one long run. It does not see where the next window, the
next rows of a gradient of weights, or the next part of a long sum begin.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..kernels import Contraction, Sizes
from .micro import LINE, Dim, Fetch, Stream
from .text import Function, Val, memory_type
from .tiling import Section

FAR = 512
"""Bytes between steps of depth that the processor does not fetch ahead by itself."""
FETCHES = 96
"""Cache lines of `left` that a tile fetches for the next one, at most."""
NEXT = 640 * 1024
"""Bytes of both operands in one element of the batch, if the next one's are fetched meanwhile."""


def row_major(sizes: Sizes) -> Sizes:
    """Strides of a box whose last dimension is the innermost."""
    return tuple(math.prod(sizes[i + 1 :]) for i in range(len(sizes)))


def next_windows(
    f: Function,
    kernel: Contraction,
    s: Section,
    dims: Sequence[Dim],
    rows: Sequence[int],
    size: int,
    start: Val,
) -> list[Fetch]:
    """What the next tile reads of `left` and this one, which begins at `start`, does not.

    That is for windows, whose outermost loop of depth steps as the tiles do; their rows are
    too short for the processor to see a pattern. It makes a convolution of 13x13 images with
    64 channels from memory a third faster.
    """
    item = kernel.dtype.itemsize
    last = s.axis == len(kernel.rows) - 1
    if len(dims) < 2 or s.split or (last and not s.axis):
        return []
    step = kernel.left.free[s.axis - 1] if last else size * kernel.left.free[s.axis]
    outer, inner = dims[0], dims[1:]
    new, rest = divmod(step, outer.left) if outer.left else (0, 1)
    if rest or not 0 < abs(new) < outer.most:
        return []
    spread = [(d.most - 1) * d.left for d in inner]
    low = min(rows) + sum(min(0, e) for e in spread)
    high = max(rows) + sum(max(0, e) for e in spread)
    lines = (high - low) * item // LINE + 1
    if abs(new) * lines > min(FETCHES, len(rows) * math.prod(d.most for d in dims) // 16):
        return []
    found, element = [], memory_type(kernel.dtype)
    for turn in range(abs(new)):
        ahead = outer.left * (outer.most - 1 - turn if new > 0 else turn)
        found.append(Fetch(f.offset(start, element, step + ahead + low), range(lines)))
    return found


def next_rows(kernel: Contraction, s: Section, dims: Sequence[Dim], rows: int) -> list[int]:
    """Where in `left`, from its first row, a step of depth fetches what the next tile reads.

    That is for rows that are neighbours in memory where the steps of depth are far apart, as
    in the gradients of weights: the processor expects neither the one nor the other. From
    memory, such a product with 512 rows becomes a sixth faster.
    """
    item = kernel.dtype.itemsize
    last = s.axis == len(kernel.rows) - 1
    if not (dims and last) or kernel.left.free[-1] != 1 or rows == 1:
        return []
    if abs(dims[-1].left) * item < FAR:
        return []
    return list(range(2 * rows - 1, rows - 1, -(LINE // item)))


def next_batch(
    f: Function,
    kernel: Contraction,
    s: Section,
    dims: Sequence[Dim],
    rows: tuple[Val, int],
    before: Val,
) -> list[Stream]:
    """A tile's share of what the tiles of the batch's next element read.

    That is for the gradients of a convolution's weights, whose long sums are cut into elements of a
    batch. Its first tile would wait for all of an element to come from memory, and those after it
    would find it in the cache. From memory, that of 16x16 images becomes a sixth faster.

    `rows` are the number of the tile's first row and how many it has; that first one begins
    `before` elements behind the start of `left`.
    """
    first, count = rows
    steps = kernel.left.batch[-1:], kernel.right.batch[-1:]
    if len(dims) < 2 or s.split or s.late or not (all(steps) and steps[0][0] and steps[1][0]):
        return []
    item, total = kernel.dtype.itemsize, math.prod(kernel.rows)
    found, size = [], 0
    for operand in (kernel.left, kernel.right):
        turn, of_left = abs(operand.depth[-2]), operand is kernel.left
        size += turn * math.prod(kernel.depth[:-1]) * item
        share = f.binary("udiv", f.scale(first, turn), f.integer(total))
        shift = f.add(share, operand.batch[-1])
        if of_left:
            shift = f.binary("sub nsw", shift, before)
        found.append(Stream(of_left, shift, -(-turn * count * item // (total * LINE))))
    return found if size <= NEXT else []
