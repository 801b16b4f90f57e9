"""One form for all contractions: the fewest loops that address the same memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ..kernels import Access, Apply, Contraction, Expr, Load, Operand, Sizes


def map_accesses(expr: Expr, change: Callable[[Access], Access]) -> Expr:
    """The expression with other addresses."""
    if isinstance(expr, Load):
        return Load(change(expr.access))
    if isinstance(expr, Apply):
        return expr._replace(args=tuple(map_accesses(a, change) for a in expr.args))
    return expr


def loads(expr: Expr) -> Iterator[Access]:
    """The addresses an expression loads from."""
    if isinstance(expr, Load):
        yield expr.access
    elif isinstance(expr, Apply):
        for arg in expr.args:
            yield from loads(arg)


def accesses(kernel: Contraction) -> list[Access]:
    """The distinct addresses of the epilogue: of stores, of what they load, of what is fetched."""
    found = dict.fromkeys(a for s in kernel.stores for a in (s.access, *loads(s.value)))
    return list(found | dict.fromkeys(kernel.later))


def simplify(kernel: Contraction) -> Contraction:
    """The same contraction with as few loops as its strides allow, and at least one of rows.

    Loops of the batch that `right` does not depend on become loops of rows. A product with one
    column is turned around if the rows are neighbours in memory: they become the columns.
    """
    if kernel.later:
        # What is only fetched must not keep loops apart.
        whole, alone = _simplified(kernel), _simplified(kernel._replace(later=()))
        return whole if (whole.batch, whole.rows) == (alone.batch, alone.rows) else alone
    return _simplified(kernel)


def _simplified(kernel: Contraction) -> Contraction:
    kernel = _turned(kernel)
    left, right, found = kernel.left, kernel.right, accesses(kernel)
    cut = len(kernel.batch)
    while cut and (right.batch[cut - 1] == 0 or kernel.batch[cut - 1] == 1):
        cut -= 1
    batch, (batch_left, batch_right, *batch_others) = _merge(
        kernel.batch[:cut],
        [left.batch[:cut], right.batch[:cut], *(a.strides[:cut] for a in found)],
    )
    frames, still = kernel.frames, (0,) * (len(kernel.batch) - cut)
    rows, (rows_left, *rows_others) = _merge(
        kernel.batch[cut:] + kernel.rows,
        [
            left.batch[cut:] + left.free,
            *(a.strides[cut:-1] for a in found),
            *(still + frame.rows for frame in frames),
        ],
    )
    depth, (depth_left, depth_right, *depth_frames) = _merge(
        kernel.depth, [left.depth, right.depth, *(frame.depth for frame in frames)]
    )
    rows_others, rows_frames = rows_others[: len(found)], rows_others[len(found) :]
    if not rows:
        rows, rows_left, rows_others = (1,), (0,), [(0,) for _ in found]
    frames = tuple(
        frame._replace(rows=r, depth=d)
        for frame, r, d in zip(frames, rows_frames, depth_frames, strict=True)
        if any(r) and any(d)  # else that loop has one turn
    )
    places = zip(found, batch_others, rows_others, strict=True)
    return _moved(
        kernel._replace(
            batch=batch,
            rows=rows,
            depth=depth,
            left=left._replace(batch=batch_left, free=rows_left, depth=depth_left),
            right=right._replace(batch=batch_right, free=(1,), depth=depth_right),
            frames=frames,
        ),
        {a: a._replace(strides=(*b, *r, a.strides[-1])) for a, b, r in places},
    )


def _moved(kernel: Contraction, new: dict[Access, Access]) -> Contraction:
    """The contraction with other addresses in its epilogue."""
    stores = tuple(
        s._replace(access=new[s.access], value=map_accesses(s.value, new.__getitem__))
        for s in kernel.stores
    )
    return kernel._replace(stores=stores, later=tuple(new[a] for a in kernel.later))


def _merge(sizes: Sizes, strides: Sequence[Sizes]) -> tuple[Sizes, list[Sizes]]:
    """Drop dimensions of size 1, and join neighbours that are one run for all strides."""
    kept: list[tuple[int, Sizes]] = []
    for d, size in enumerate(sizes):
        here = tuple(s[d] for s in strides)
        if size == 1:
            continue
        if kept and all(o == i * size for o, i in zip(kept[-1][1], here, strict=True)):
            kept[-1] = (kept[-1][0] * size, here)
        else:
            kept.append((size, here))
    return tuple(k[0] for k in kept), [tuple(k[1][n] for k in kept) for n in range(len(strides))]


def _turned(kernel: Contraction) -> Contraction:
    """A product of matrices with a vector as one of the vector with the matrices, if it can be.

    One loop of rows becomes the columns: `left` and all stores must have stride 1 along it, loads
    of the epilogue 1 or 0. The other loops of rows become loops of the batch.
    """
    if kernel.columns != 1:
        return kernel
    left, right, found, before = kernel.left, kernel.right, accesses(kernel), len(kernel.batch)
    stored = {s.access for s in kernel.stores}
    for d, size in enumerate(kernel.rows):
        here = [(a.strides[before + d], a in stored) for a in found]
        if size > 1 and left.free[d] == 1 and all(s == 1 or (s == 0 and not w) for s, w in here):
            break
    else:
        return kernel

    def without(sizes: Sizes) -> Sizes:
        return sizes[:d] + sizes[d + 1 :]

    others = without(kernel.rows)
    vector = Operand(right.slot, right.batch + (0,) * len(others), (), right.depth, right.offset)
    matrix = Operand(left.slot, left.batch + without(left.free), (1,), left.depth, left.offset)
    places = {
        a: a._replace(
            strides=a.strides[:before] + without(a.strides[before:-1]) + (a.strides[before + d],)
        )
        for a in found
    }
    turned = kernel._replace(
        batch=kernel.batch + others, rows=(), columns=size, left=vector, right=matrix, frames=()
    )
    return _moved(turned, places)
