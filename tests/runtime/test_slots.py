"""Machine code that looks at slots of Python objects sees what Python would see."""

from __future__ import annotations

import gc
import random
import weakref
from sys import getrefcount
from typing import Any

import pytest

from chainrule.core.value import Value
from chainrule.runtime import slots
from chainrule.runtime.slots import Slots


class Thing:
    """Something to hold; it may hold something, too."""

    def __init__(self) -> None:
        self.other: Any = None


class Holder:
    """Two slots, as a tensor has them."""

    __slots__ = ("__weakref__", "first", "second")

    def __init__(self) -> None:
        self.first: Any = Thing()
        self.second: Any = Thing()


class Kind(Holder):
    """A subclass with more in it."""

    __slots__ = ("third",)


class Hidden:
    """Its slot is not what its name says."""

    __slots__ = ("_x",)

    @property
    def x(self) -> Any:
        """The slot."""
        return self._x


@pytest.fixture
def watched() -> tuple[Slots, list[Holder]]:
    """Slots of two holders, the first ones shareable."""
    holders: list[Holder] = [Holder(), Kind()]
    found = Slots(Holder, 4, watched=True)
    for k, holder in enumerate(holders):
        found.note(2 * k, holder, "first", holder.first)
        found.note(2 * k + 1, holder, "second", holder.second, 1)
    return found, holders


def test_this_interpreter_can_be_looked_at() -> None:
    assert slots._look(Value) is not None  # else all below would hold for a look that says no
    assert slots._look(Holder) is not None


def test_what_was_noted_is_unchanged(watched: tuple[Slots, list[Holder]]) -> None:
    found, holders = watched
    assert found.unchanged() == 1
    kept = holders[0].first, holders[1].first
    assert found.unchanged() == 1, kept


def test_another_object_is_a_change_and_the_old_one_is_none(
    watched: tuple[Slots, list[Holder]],
) -> None:
    found, holders = watched
    for holder in holders:
        for name in ("first", "second"):
            before = getattr(holder, name)
            setattr(holder, name, Thing())
            assert not found.unchanged()
            setattr(holder, name, before)
            del before
            assert found.unchanged()


def test_a_second_reference_is_a_change_where_that_was_asked(
    watched: tuple[Slots, list[Holder]],
) -> None:
    found, holders = watched
    kept = holders[1].second
    assert not found.unchanged()
    del kept
    assert found.unchanged()
    inside = Thing()
    inside.other = holders[0].second
    assert not found.unchanged()


@pytest.mark.parametrize("name", ["first", "second"])
def test_what_was_deleted_or_died_is_a_change(
    watched: tuple[Slots, list[Holder]], name: str
) -> None:
    found, holders = watched
    delattr(holders[1], name)
    assert not found.unchanged()
    for _ in range(100):  # some of them are where the old one was
        setattr(holders[1], name, Thing())
        assert not found.unchanged()
        assert not found.holds(2 if name == "first" else 3, getattr(holders[1], name))


def test_what_died_in_a_circle_is_a_change(watched: tuple[Slots, list[Holder]]) -> None:
    found, holders = watched
    a, b = holders[0].second, Thing()
    a.other, b.other = b, a
    holders[0].second = Thing()
    del a, b
    gc.collect()
    assert not found.unchanged()
    assert not found.holds(1, holders[0].second)


def test_records_that_nothing_was_noted_in_have_changed() -> None:
    found = Slots(Holder, 3, watched=True)
    assert not found.unchanged()
    assert not found.holds(1, None)
    assert Slots(Holder, 0, watched=True).unchanged()


def test_without_machine_code_everything_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    holder = Holder()
    unwatched = Slots(Holder, 1, watched=False)
    monkeypatch.setattr(slots.native, "available", lambda: False)
    slots._look.cache_clear()
    missing = Slots(Holder, 1, watched=True)
    slots._look.cache_clear()
    for found in (unwatched, missing):
        found.note(0, holder, "first", holder.first, 1)
        assert not found.unchanged()
        assert found.holds(0, holder.first)


def test_an_interpreter_that_counts_elsewhere_is_not_relied_on() -> None:
    assert not slots._sees(lambda _: 1, Holder)  # the counts never change
    assert not slots._sees(lambda _: 0, Holder)  # or are never one


def test_slots_that_are_not_found_are_not_relied_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "_offsets", lambda _: {})
    slots._look.cache_clear()
    assert slots._look(Holder) is None
    slots._look.cache_clear()


def test_it_agrees_with_python_after_random_moves() -> None:
    moves = random.Random(3)
    holders: list[Holder] = [Holder() for _ in range(6)]
    found = Slots(Holder, 6, watched=True)
    noted: list[Any] = [weakref.ref(Thing())] * 6
    elsewhere: list[Any] = []
    answers = []
    for _ in range(3000):
        holder = moves.choice(holders)
        move = moves.randrange(6)
        if move == 0:
            holder.first = Thing()
        elif move == 1:
            elsewhere.append(holder.first)
        elif move == 2:
            elsewhere.clear()
        elif move == 3:
            holder.first = moves.choice(holders).first
        else:
            elsewhere.clear()
            for k, each in enumerate(holders):
                if getrefcount(each.first) > ALONE:
                    each.first = Thing()
                found.note(k, each, "first", each.first, 1)
                noted[k] = weakref.ref(each.first)
        same = all(
            known() is each.first and getrefcount(each.first) == ALONE
            for each, known in zip(holders, noted, strict=True)
        )
        assert found.unchanged() == same
        answers.append(same)
    assert 500 < sum(answers) < 2500


_one = Holder()
ALONE = getrefcount(_one.first)
