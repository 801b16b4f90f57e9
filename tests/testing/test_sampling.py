"""What the checks draw: the kinds that ops ask for, the same in every run, and read-only."""

from __future__ import annotations

import numpy as np
import pytest

from chainrule.core.sampling import Draw
from chainrule.errors import ArgumentError
from chainrule.testing.sampling import direction, draw


def generator() -> np.random.Generator:
    return np.random.default_rng(1)


def test_the_same_seed_draws_the_same() -> None:
    spec = Draw((3, 4), -1.0, 2.0)
    assert np.array_equal(draw(spec, generator()), draw(spec, generator()))


def test_floats_stay_in_their_range_and_are_read_only() -> None:
    x = draw(Draw((50,), -1.0, 2.0), generator())
    assert x.dtype == np.float64
    assert x.min() >= -1.0
    assert x.max() <= 2.0
    with pytest.raises(ValueError, match="read-only"):
        x[0] = 0.0


def test_integers_exclude_the_upper_end() -> None:
    x = draw(Draw((200,), -2, 3, "int"), generator())
    assert x.dtype == np.int64
    assert set(x.tolist()) == {-2, -1, 0, 1, 2}
    assert draw(Draw((0,), 0, 0, "int"), generator()).shape == (0,)


def test_booleans_are_both() -> None:
    assert set(draw(Draw((50,), kind="bool"), generator()).tolist()) == {True, False}


@pytest.mark.parametrize("shape", [(), (1,), (2, 3), (200,), (0, 3)])
def test_distinct_numbers_are_apart_and_shuffled(shape: tuple[int, ...]) -> None:
    x = draw(Draw(shape, kind="distinct"), generator())
    assert x.shape == shape
    assert np.all(np.diff(np.sort(x.reshape(-1))) >= 0.05)
    if x.size > 3:
        assert not np.all(np.diff(x.reshape(-1)) > 0)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ArgumentError, match="no such kind"):
        draw(Draw((2,), kind="odd"), generator())  # type: ignore[arg-type]  # meant


def test_a_direction_is_nowhere_near_zero() -> None:
    d = direction(np.zeros((100,)), generator())
    assert np.abs(d).min() >= 0.5
    assert {-1.0, 1.0} == set(np.sign(d).tolist())
