"""Layered drawing of acyclic graphs: layers, the order in each, and coordinates.

After Sugiyama, Tagawa and Toda, "Methods for visual understanding of hierarchical system
structures" (IEEE Transactions on Systems, Man and Cybernetics 11, 1981): longest paths give the
layers, barycentres of neighbours the order. Coordinates are least-squares fits to neighbours that
keep boxes apart (pool adjacent violators). The same graph is always drawn the same way.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right, insort
from collections.abc import Sequence
from typing import Final, NamedTuple

SWEEPS: Final = 8
"""Passes down and up, for the order and for the coordinates."""
GAP: Final = 18.0
"""Between neighbours in a layer."""


class Box(NamedTuple):
    """A vertex: its size, and whether it is pulled to the top or the bottom layer."""

    width: float
    height: float
    pull: int = 0
    """-1: in the first layer; 1: in the last one."""


class Arrow(NamedTuple):
    """From box `source` down to box `target`, with offsets from their left sides."""

    source: int
    target: int
    leaves_at: float
    arrives_at: float


class Arrangement(NamedTuple):
    """Where everything is: the left top corner of each box, and the bends of each arrow."""

    corners: list[tuple[float, float]]
    bends: list[list[tuple[float, float, float]]]
    """For each layer that an arrow passes: x, and y where it enters and leaves the layer."""
    bottoms: list[float]
    """For each box, where its layer ends: no other box is between its bottom and there."""
    width: float
    height: float


class _Vertex(NamedTuple):
    layer: int
    width: float


def arrange(boxes: Sequence[Box], arrows: Sequence[Arrow], between: float) -> Arrangement:
    """Put boxes into layers `between` apart, each above those that its arrows lead to."""
    layer = _layers(boxes, arrows)
    vertices = [_Vertex(n, box.width) for n, box in zip(layer, boxes, strict=True)]
    chains: list[list[int]] = []
    for arrow in arrows:
        passed = range(layer[arrow.source] + 1, layer[arrow.target])
        chains.append(list(range(len(vertices), len(vertices) + len(passed))))
        vertices += [_Vertex(n, 0.0) for n in passed]
    hops: list[tuple[int, int, float, float]] = []
    for arrow, chain in zip(arrows, chains, strict=True):
        way = [arrow.source, *chain, arrow.target]
        for k, (a, b) in enumerate(itertools.pairwise(way)):
            start = arrow.leaves_at if k == 0 else 0.0
            end = arrow.arrives_at if k == len(way) - 2 else 0.0
            hops.append((a, b, start, end))
    rows: list[list[int]] = [[] for _ in range(1 + max((v.layer for v in vertices), default=0))]
    for i, vertex in enumerate(vertices):
        rows[vertex.layer].append(i)
    above, below = _neighbours(len(vertices), hops)
    rows = _order(rows, above, below)
    x = _coordinates(rows, vertices, above, below)
    tops, y = [], 0.0
    for row in rows:
        height = max([boxes[i].height for i in row if i < len(boxes)], default=0.0)
        tops.append((y, y + height))
        y += height + between
    return Arrangement(
        corners=[(x[i], tops[layer[i]][0]) for i in range(len(boxes))],
        bends=[[(x[i], *tops[vertices[i].layer]) for i in chain] for chain in chains],
        bottoms=[tops[n][1] for n in layer],
        width=max((x[i] + v.width for i, v in enumerate(vertices)), default=0.0),
        height=max(0.0, y - between),
    )


# Layers -------------------------------------------------------------------------------------------


def _layers(boxes: Sequence[Box], arrows: Sequence[Arrow]) -> list[int]:
    """The longest way to each box; what nothing leads to goes down to its nearest user."""
    after: list[list[int]] = [[] for _ in boxes]
    waiting = [0] * len(boxes)
    for arrow in arrows:
        after[arrow.source].append(arrow.target)
        waiting[arrow.target] += 1
    fed = [bool(n) for n in waiting]
    layer = [0 if box.pull < 0 else 1 for box in boxes]
    ready = [i for i, n in enumerate(waiting) if not n]
    order = []
    while ready:
        i = ready.pop()
        order.append(i)
        for j in after[i]:
            layer[j] = max(layer[j], layer[i] + 1)
            waiting[j] -= 1
            if not waiting[j]:
                ready.append(j)
    last = max((n for n, box in zip(layer, boxes, strict=True) if box.pull <= 0), default=0)
    for i in reversed(order):
        if boxes[i].pull > 0:
            layer[i] = last + 1
        elif not boxes[i].pull and not fed[i] and after[i]:
            layer[i] = min(layer[j] for j in after[i]) - 1
    used = {n: k for k, n in enumerate(sorted(set(layer)))}
    return [used[n] for n in layer]


_Near = list[list[tuple[int, float, float]]]
"""For each vertex its neighbours, with the offset there and the own one."""


def _neighbours(count: int, hops: Sequence[tuple[int, int, float, float]]) -> tuple[_Near, _Near]:
    above: _Near = [[] for _ in range(count)]
    below: _Near = [[] for _ in range(count)]
    for a, b, start, end in hops:
        above[b].append((a, start, end))
        below[a].append((b, end, start))
    return above, below


# Order --------------------------------------------------------------------------------------------


def _order(rows: list[list[int]], above: _Near, below: _Near) -> list[list[int]]:
    """The rows with few crossings: the best of several passes down and up."""
    best, fewest = rows, _crossings(rows, below)
    for sweep in range(SWEEPS):
        if not fewest:
            break
        down = sweep % 2 == 0
        rows = [list(row) for row in rows]
        near = above if down else below
        for n in range(1, len(rows)) if down else range(len(rows) - 2, -1, -1):
            place = {i: float(k) for k, i in enumerate(rows[n - 1 if down else n + 1])}
            own = {i: float(k) for k, i in enumerate(rows[n])}
            rows[n].sort(key=lambda i, p=place, o=own: (_mean(near[i], p, o[i]), o[i]))  # type: ignore[misc]
        crossings = _crossings(rows, below)
        if crossings < fewest:
            best, fewest = rows, crossings
    return best


def _mean(near: Sequence[tuple[int, float, float]], place: dict[int, float], own: float) -> float:
    """Where the neighbours are; offsets within a wide box count a little."""
    if not near:
        return own
    return sum(place[j] + 1e-4 * there for j, there, _ in near) / len(near)


def _crossings(rows: Sequence[Sequence[int]], below: _Near) -> int:
    """How many pairs of lines between neighbouring rows cross."""
    total = 0
    for upper, lower in itertools.pairwise(rows):
        place = {i: k for k, i in enumerate(lower)}
        ends = [
            (k, own, place[j], there)
            for k, i in enumerate(upper) for j, there, own in below[i] if j in place
        ]  # fmt: skip
        seen: list[tuple[int, float]] = []
        for _, _, *end in sorted(ends):
            total += len(seen) - bisect_right(seen, (end[0], end[1]))
            insort(seen, (int(end[0]), float(end[1])))
    return total


# Coordinates --------------------------------------------------------------------------------------


def _coordinates(
    rows: Sequence[Sequence[int]], vertices: Sequence[_Vertex], above: _Near, below: _Near
) -> list[float]:
    """Left sides: near the means of the neighbours, in order and apart."""
    x = [0.0] * len(vertices)
    for row in rows:
        at = 0.0
        for i in row:
            x[i] = at
            at += vertices[i].width + GAP
    for sweep in range(2 * SWEEPS):
        down = sweep % 2 == 0
        for row in rows if down else reversed(rows):
            wanted, weights = [], []
            for i in row:
                near = (above if down else below)[i] or (below if down else above)[i]
                goals = [x[j] + there - own for j, there, own in near]
                wanted.append(sum(goals) / len(goals) if goals else x[i])
                weights.append(1.0 if goals else 0.01)
            for i, at in zip(row, _apart(row, vertices, wanted, weights), strict=True):
                x[i] = at
    left = min(x, default=0.0)
    return [round(at - left, 2) for at in x]


def _apart(
    row: Sequence[int],
    vertices: Sequence[_Vertex],
    wanted: Sequence[float],
    weights: Sequence[float],
) -> list[float]:
    """The places nearest to those wanted, by weighted squares, that keep order and gaps."""
    shifts, at = [], 0.0
    for i in row:
        shifts.append(at)
        at += vertices[i].width + GAP
    pools: list[tuple[float, float, int]] = []  # mean, weight, members
    for goal, shift, weight in zip(wanted, shifts, weights, strict=True):
        pools.append((goal - shift, weight, 1))
        while len(pools) > 1 and pools[-2][0] >= pools[-1][0]:
            (a, v, m), (b, w, n) = pools[-2:]
            pools[-2:] = [((a * v + b * w) / (v + w), v + w, m + n)]
    means = [mean for mean, _, count in pools for _ in range(count)]
    return [mean + shift for mean, shift in zip(means, shifts, strict=True)]
