"""Where everything of a drawing goes: open groups are drawn on their own, then placed as boxes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Final, NamedTuple, TypeAlias

from ..record import Record
from .groups import Group, Member
from .layers import Arrangement, Arrow, Box, arrange

BETWEEN: Final = 34.0
"""Between layers."""
HEADER: Final = 22.0
"""Above what is in a frame, for its name."""
PADDING: Final = 12.0

Size: TypeAlias = tuple[float, float]
Point: TypeAlias = tuple[float, float]


class Placed(NamedTuple):
    """An entry, a folded group, or the frame of an open one, with its left top corner."""

    member: Member
    x: float
    y: float
    width: float
    height: float
    depth: int
    """How many frames it is in."""
    name_at: float = 0.0
    """Of a frame, where its name begins: no line crosses it."""


class Path(NamedTuple):
    """A line from top to bottom: straight between points 0 and 1, curved to 2, and so on."""

    value: int
    """The entry whose value goes along it."""
    points: tuple[Point, ...]
    arrives: bool
    """Whether it ends at a box and not at a frame, where another one goes on."""


class Plan(NamedTuple):
    """A finished layout; frames come before what is in them."""

    boxes: list[Placed]
    paths: list[Path]
    width: float
    height: float


class _Block(NamedTuple):
    """A member as its surroundings see it: places of what goes in and out along its edges."""

    width: float
    height: float
    entries: Mapping[int, float]
    exits: Mapping[int, float]
    boxes: list[Placed]
    paths: list[Path]


def lay_out(record: Record, root: Group, size_of: Callable[[Member], Size]) -> Plan:
    """Place all that is visible of `root`; `size_of` gives the sizes of entries and folded groups,
    and the least one of a frame."""
    block = _Layout(record, size_of).inside(root, 0)
    return Plan(block.boxes, block.paths, block.width, block.height)


class _Layout:
    def __init__(self, record: Record, size_of: Callable[[Member], Size]) -> None:
        self.record, self.size_of = record, size_of
        self.users = [[user for user, _ in found] for found in record.users()]

    def _indices(self, member: Member) -> list[int]:
        return [e.index for e in member.entries()] if isinstance(member, Group) else [member.index]

    def _inputs(self, indices: Sequence[int]) -> list[int]:
        """The values of outside that a member uses, in the order in which it uses them."""
        own = set(indices)
        used = [v for i in indices for v in self.record.entries[i].inputs if v is not None]
        return [v for v in dict.fromkeys(used) if v not in own]

    def _outputs(self, indices: Sequence[int]) -> list[int]:
        """Its values that are used outside."""
        own = set(indices)
        return [i for i in indices if any(user not in own for user in self.users[i])]

    def _block(self, member: Member, depth: int) -> _Block:
        indices = self._indices(member)
        if isinstance(member, Group) and member.is_open:
            return self._frame(member, depth)
        width, height = self.size_of(member)
        entries, exits = self._inputs(indices), self._outputs(indices)
        box = Placed(member, 0.0, 0.0, width, height, depth)
        return _Block(
            width, height, _spread(entries, width), _spread(exits, width), [box], []
        )  # fmt: skip

    def _frame(self, group: Group, depth: int) -> _Block:
        """An open group with its frame and name, which has a place that no line crosses."""
        inner = self.inside(group, depth + 1)
        wide = self.size_of(group)[0]
        width = max(inner.width + 2 * PADDING, wide)
        left = (width - inner.width) / 2
        name_at = _gap([x + left for x in inner.entries.values()], wide, width)
        if name_at is None:
            name_at, moved = 0.0, wide - min(inner.entries.values()) - left
            left, width = left + moved, width + moved
        height = inner.height + HEADER + PADDING
        boxes = [_moved(box, left, HEADER) for box in inner.boxes]
        paths = [_shifted(path, left, HEADER) for path in inner.paths]
        entries = {v: x + left for v, x in inner.entries.items()}
        exits = {v: x + left for v, x in inner.exits.items()}
        paths += [Path(v, ((x, 0.0), (x, HEADER)), False) for v, x in entries.items()]
        paths += [Path(v, ((x, height - PADDING), (x, height)), False) for v, x in exits.items()]
        frame = Placed(group, 0.0, 0.0, width, height, depth, name_at)
        return _Block(width, height, entries, exits, [frame, *boxes], paths)

    def inside(self, group: Group, depth: int) -> _Block:
        """What is in a group, without a frame."""
        blocks = [self._block(member, depth) for member in group.members]
        contents = [self._indices(member) for member in group.members]
        owner = {i: k for k, indices in enumerate(contents) for i in indices}
        whole = [i for indices in contents for i in indices]
        entries, exits = self._inputs(whole), self._outputs(whole)
        boxes = [Box(block.width, block.height) for block in blocks]
        gate = {v: len(boxes) + k for k, v in enumerate(entries)}
        boxes += [Box(0.0, 0.0, -1)] * len(entries)
        door = {v: len(boxes) + k for k, v in enumerate(exits)}
        boxes += [Box(0.0, 0.0, 1)] * len(exits)
        arrows: list[Arrow] = []
        values: list[int] = []
        for k, indices in enumerate(contents):
            for v in self._inputs(indices):
                source = owner.get(v, gate.get(v, -1))
                leaves_at = blocks[source].exits[v] if v in owner else 0.0
                arrows.append(Arrow(source, k, leaves_at, blocks[k].entries[v]))
                values.append(v)
        for v in exits:
            arrows.append(Arrow(owner[v], door[v], blocks[owner[v]].exits[v], 0.0))
            values.append(v)
        found = arrange(boxes, arrows, BETWEEN)
        placed, paths = [], []
        for block, (x, y) in zip(blocks, found.corners, strict=False):
            placed += [_moved(box, x, y) for box in block.boxes]
            paths += [_shifted(path, x, y) for path in block.paths]
        for arrow, v, bends in zip(arrows, values, found.bends, strict=True):
            framed = arrow.target >= len(blocks) or len(blocks[arrow.target].boxes) > 1
            paths.append(Path(v, _points(boxes, found, arrow, bends), not framed))
        return _Block(
            found.width, found.height,
            {v: found.corners[k][0] for v, k in gate.items()},
            {v: found.corners[k][0] for v, k in door.items()},
            placed, paths,
        )  # fmt: skip


def _points(
    boxes: Sequence[Box], found: Arrangement, arrow: Arrow, bends: Sequence[tuple[float, ...]]
) -> tuple[Point, ...]:
    """Down to the end of the source's layer, through the layers between, to the target's top."""
    x, y = found.corners[arrow.source]
    start = x + arrow.leaves_at
    points = [(start, y + boxes[arrow.source].height), (start, found.bottoms[arrow.source])]
    for x, top, bottom in bends:
        points += [(x, top), (x, bottom)]
    x, y = found.corners[arrow.target]
    points.append((x + arrow.arrives_at, y))
    return tuple(points)


def _gap(lines: Sequence[float], wide: float, width: float) -> float | None:
    """Where something so wide fits between lines, left first, in a frame of some width."""
    edges = [0.0, *sorted(lines), width]
    return next((a for a, b in pairwise(edges) if b - a >= wide), None)


def _spread(values: Sequence[int], width: float) -> dict[int, float]:
    """Places next to each other along an edge."""
    return {v: width * (k + 1) / (len(values) + 1) for k, v in enumerate(values)}


def _moved(box: Placed, x: float, y: float) -> Placed:
    return box._replace(x=box.x + x, y=box.y + y)


def _shifted(path: Path, x: float, y: float) -> Path:
    return path._replace(points=tuple([(a + x, b + y) for a, b in path.points]))
