"""What is drawn of a record: entries in the calls of modules, folded so that few are visible."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import Final, Literal, TypeAlias

from ...core.value import Item, Scope
from ..record import Entry, Record

RUNS: Final = 30
"""Operations that no module holds together are put into at most so many boxes, where they are too
many to show."""

Member: TypeAlias = "Group | Entry"


@dataclass
class Group:
    """The entries of one module call, which folds; or of a run of operations, or of one operation
    with several outputs, which are one box."""

    name: str
    members: list[Member] = field(default_factory=list)
    """In an order in which each comes behind what it uses."""
    kind: Literal["call", "run", "outputs"] = "call"
    module: str = ""
    """The class of the module that was called."""
    is_open: bool = False

    @property
    def index(self) -> int:
        """That of its first entry."""
        return next(iter(self.entries())).index

    def entries(self) -> Iterator[Entry]:
        """All entries in it, at any depth."""
        stack: list[Member] = [self]
        while stack:
            member = stack.pop()
            if isinstance(member, Group):
                stack.extend(reversed(member.members))
            else:
                yield member


def visible(group: Group) -> list[Member]:
    """What is drawn of an open group: entries, folded groups, and what is in open ones."""
    found: list[Member] = []
    for member in group.members:
        if isinstance(member, Group) and member.is_open:
            found += visible(member)
        else:
            found.append(member)
    return found


def grouped(record: Record, most: int, folded: Collection[str]) -> Group:
    """The record as an open group of which at most `most` boxes and entries are visible.

    Modules are opened from the outside in, as long as there is room, but for those called as in
    `folded`.
    """
    root = Group("")
    groups: dict[Scope, Group] = {}
    wholes: dict[int, Group] = {}
    chains = _chains(record)
    for entry in record.entries:
        whole = entry.inputs[0] if type(entry.node.op) is Item else None
        if whole is not None:
            wholes[whole].members.append(entry)
            continue
        at = root
        for scope in chains[entry.index]:
            if scope not in groups:
                groups[scope] = Group(scope.path(), module=type(scope.module).__name__)
                at.members.append(groups[scope])
            at = groups[scope]
        if entry.shape is None:
            wholes[entry.index] = Group(entry.name, [entry], "outputs")
        at.members.append(wholes.get(entry.index, entry))
    users = {e.index: [user for user, _ in found] for e, found in
             zip(record.entries, record.users(), strict=True)}  # fmt: skip
    _arrange(root, users)
    _gather(root, most)
    _unfold(root, most, frozenset(folded))
    return root


def _chains(record: Record) -> list[tuple[Scope, ...]]:
    """The calls that each entry belongs to, outermost first; a leaf is where its users are."""
    chains: list[tuple[Scope, ...]] = []
    for entry in record.entries:
        chain: list[Scope] = []
        scope = entry.scope
        while scope is not None:
            chain.append(scope)
            scope = scope.outer
        chains.append(tuple(chain[::-1]))
    for entry, users in zip(record.entries, record.users(), strict=True):
        if entry.is_leaf and users:
            chains[entry.index] = _common([chains[user] for user, _ in users])
    return chains


def _common(chains: Sequence[tuple[Scope, ...]]) -> tuple[Scope, ...]:
    first, *others = chains
    length = len(first)
    for other in others:
        same = [a is b for a, b in zip(first[:length], other, strict=False)]
        length = same.index(False) if False in same else len(same)
    return first[:length]


# Orders -------------------------------------------------------------------------------------------


def _arrange(group: Group, users: Mapping[int, Sequence[int]]) -> None:
    """Put members behind what they use. Groups in a circle with others are dissolved.

    That is for values which leave a module call and return into it, by hooks for example.
    """
    while True:
        ordered, stuck = _ordered(group.members, users)
        if not stuck:
            break
        circle = next(m for m in stuck if isinstance(m, Group) and m.kind == "call")
        at = group.members.index(circle)
        group.members[at : at + 1] = circle.members
    group.members = ordered
    for member in group.members:
        if isinstance(member, Group):
            _arrange(member, users)


def _ordered(
    members: Sequence[Member], users: Mapping[int, Sequence[int]]
) -> tuple[list[Member], list[Member]]:
    """Members behind what they use, else by first entry; and those that are in circles."""
    after = links(members, users)
    waiting = [0] * len(members)
    for targets in after:
        for target in targets:
            waiting[target] += 1
    ready = [(members[k].index, k) for k, n in enumerate(waiting) if not n]
    heapify(ready)
    ordered: list[Member] = []
    while ready:
        _, k = heappop(ready)
        ordered.append(members[k])
        for target in after[k]:
            waiting[target] -= 1
            if not waiting[target]:
                heappush(ready, (members[target].index, target))
    return ordered, [members[k] for k, n in enumerate(waiting) if n]


def links(members: Sequence[Member], users: Mapping[int, Sequence[int]]) -> list[list[int]]:
    """For each member the numbers of the others that use something of it."""
    owner = {e.index: k for k, member in enumerate(members) for e in _entries(member)}
    found = []
    for k, member in enumerate(members):
        targets = {owner[u] for e in _entries(member) for u in users[e.index] if u in owner}
        found.append(sorted(targets - {k}))
    return found


def _entries(member: Member) -> Iterator[Entry]:
    return member.entries() if isinstance(member, Group) else iter([member])


# Folding ------------------------------------------------------------------------------------------


def _gather(group: Group, most: int) -> None:
    """Put runs of members into boxes until at most `most` are left."""
    for member in group.members:
        if isinstance(member, Group) and member.kind == "call":
            _gather(member, most)
    if len(group.members) > most:
        run = -(-len(group.members) // min(most, RUNS))
        group.members = [
            _run(group.members[i : i + run]) for i in range(0, len(group.members), run)
        ]


def _run(members: list[Member]) -> Member:
    if len(members) == 1:
        return members[0]
    box = Group("", members, "run")
    indices = [entry.index for entry in box.entries()]
    box.name = f"operations {min(indices)} to {max(indices)}"
    return box


def _unfold(root: Group, most: int, folded: Collection[str]) -> None:
    """Open groups from the outside in, if what is visible then is not too much."""
    root.is_open = True
    count, level = len(root.members), [root]
    while level:
        inner = [m for group in level for m in group.members if isinstance(m, Group)]
        level = []
        for group in inner:
            more = len(group.members) - 1
            if group.kind == "call" and group.name not in folded and count + more <= most:
                group.is_open = True
                count += more
                level.append(group)
