"""Random numbers: known answers, moments, independence of how they are asked for, dropout."""

from __future__ import annotations

import threading
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ArgumentError, CheckpointError, ShapeError
from chainrule.ops import philox
from chainrule.testing import gradcheck

KNOWN_ANSWERS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    (
        (0xFFFFFFFF,) * 4,
        (0xFFFFFFFF,) * 2,
        (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    ),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]
"""Counter, key and answer of philox4x32-10: the known-answer tests of the Random123 library."""


@pytest.fixture(autouse=True)
def _same_start() -> None:
    cr.manual_seed(1234)


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_philox_gives_the_known_answers(
    counter: tuple[int, ...], key: tuple[int, ...], answer: tuple[int, ...]
) -> None:
    even = np.array([[counter[0]], [counter[2]]], np.uint64)
    odd = np.array([[counter[1]], [counter[3]]], np.uint64)
    even, odd = philox.rounds(even, odd, np.empty_like(even), key[0] | key[1] << 32)
    found = [int(n) & 0xFFFFFFFF for n in (even[0, 0], odd[0, 0], even[1, 0], odd[1, 0])]
    assert found == list(answer)


def _reference_block(key: int, counter: int) -> list[int]:
    """Philox4x32-10 with Python's integers, as the paper writes it."""
    c = [counter & 0xFFFFFFFF, counter >> 32, 0, 0]
    k = [key & 0xFFFFFFFF, key >> 32]
    for _ in range(10):
        p, q = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [q >> 32 ^ c[1] ^ k[0], q & 0xFFFFFFFF, p >> 32 ^ c[3] ^ k[1], p & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


@pytest.mark.parametrize("counter", [0, 2**32 - 2, 2**64 - 2])
def test_words_equal_the_paper_also_where_the_counter_overflows(counter: int) -> None:
    key = 0x0123456789ABCDEF
    expected = [w for n in range(5) for w in _reference_block(key, (counter + n) % 2**64)]
    assert philox.words(key, counter, 18).tolist() == expected[:18]


def test_numbers_do_not_depend_on_how_many_are_computed_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    draws = [
        lambda: philox.uniform(5, 9, 1001, np.dtype(np.float32)),
        lambda: philox.uniform(5, 9, 1001, np.dtype(np.float64)),
        lambda: philox.normal(5, 9, 1001, np.dtype(np.float32)),
        lambda: philox.integers(5, 9, 1001, 7),
    ]
    whole = [draw() for draw in draws]
    for chunk in (1, 7, 100):
        monkeypatch.setattr(philox, "_CHUNK", chunk)
        for draw, expected in zip(draws, whole, strict=True):
            assert np.array_equal(draw(), expected)


def test_a_long_draw_starts_with_the_numbers_of_a_short_one() -> None:
    state = cr.default_generator.get_state()
    long = cr.randn(100_000)
    cr.default_generator.set_state(state)
    assert np.array_equal(cr.randn(10).numpy(), long.numpy()[:10])


DRAWS: dict[str, Any] = {
    "rand": lambda: cr.rand(3, 2),
    "randn": lambda: cr.randn(5),
    "float64": lambda: cr.randn(5, dtype=np.float64),
    "uniform": lambda: cr.uniform(-1, 1, (4,)),
    "normal": lambda: cr.normal(1.0, 2.0, (4,)),
    "randint": lambda: cr.randint(-5, 100, (6,)),
    "bernoulli": lambda: cr.bernoulli(cr.tensor(np.full(20, 0.5))),
    "permutation": lambda: cr.permutation(20),
    "dropout": lambda: cr.dropout(cr.ones(50), 0.5),
}


@pytest.mark.parametrize("name", DRAWS)
def test_a_seed_repeats_the_numbers_and_the_next_draw_is_another(name: str) -> None:
    first, second = DRAWS[name](), DRAWS[name]()
    assert isinstance(first, cr.Tensor)
    assert not np.array_equal(first.numpy(), second.numpy())
    cr.manual_seed(1234)
    assert np.array_equal(DRAWS[name]().numpy(), first.numpy())
    cr.manual_seed(1235)
    assert not np.array_equal(DRAWS[name]().numpy(), first.numpy())


def test_a_generator_of_ones_own_leaves_the_default_one_alone() -> None:
    mine = cr.Generator(7)
    state = cr.default_generator.get_state()
    a = cr.rand(3, generator=mine)
    assert np.array_equal(cr.default_generator.get_state(), state)
    assert np.array_equal(cr.rand(3, generator=cr.Generator(7)).numpy(), a.numpy())
    assert mine.initial_seed() == 7


@pytest.mark.parametrize("seed", [-1, 2**64, 2**100 + 3])
def test_any_integer_is_a_seed(seed: int) -> None:
    assert cr.rand(2, generator=cr.Generator(seed)).shape == (2,)


def test_a_state_can_be_kept_and_restored_and_nothing_else_can() -> None:
    g = cr.Generator(3)
    cr.rand(5, generator=g)
    state = g.get_state()
    a = cr.rand(5, generator=g)
    g.set_state(state)
    assert np.array_equal(cr.rand(5, generator=g).numpy(), a.numpy())
    for wrong in ([1, 2], np.zeros(3, np.uint64), "state"):
        with pytest.raises(CheckpointError):
            g.set_state(wrong)


def test_threads_never_get_the_same_block() -> None:
    g = cr.Generator(1)
    found: list[tuple[int, int]] = []

    def reserve() -> None:
        for n in range(1, 200):
            found.append((int(g.next(n)[1]), n))

    threads = [threading.Thread(target=reserve) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    found.sort()
    for (start, n), (following, _) in pairwise(found):
        assert start + n == following


def test_moments_of_the_uniform_numbers() -> None:
    for dtype in (np.float32, np.float64):
        u = cr.rand(400_000, dtype=dtype).numpy().astype(np.float64)
        assert 0.0 <= u.min() < 1e-4 < 1 - 1e-4 < u.max() < 1.0
        assert u.mean() == pytest.approx(1 / 2, abs=3e-3)
        assert u.var() == pytest.approx(1 / 12, abs=1e-3)
        counts = np.histogram(u, 100, (0.0, 1.0))[0]
        chi_squared = ((counts - 4000) ** 2 / 4000).sum()
        assert 50 < chi_squared < 170  # 99 degrees of freedom: far beyond 5 sigma outside


def test_moments_of_the_normal_numbers() -> None:
    for dtype in (np.float32, np.float64):
        z = cr.randn(400_001, dtype=dtype).numpy().astype(np.float64)
        assert z.mean() == pytest.approx(0.0, abs=8e-3)
        assert z.std() == pytest.approx(1.0, abs=6e-3)
        assert (z**3).mean() == pytest.approx(0.0, abs=3e-2)
        assert (z**4).mean() == pytest.approx(3.0, abs=8e-2)
        assert abs(np.mean(z[:-1:2] * z[1::2])) < 1e-2
        assert np.mean(np.abs(z) > 1.959964) == pytest.approx(0.05, abs=2e-3)


def test_uniform_and_normal_take_bounds() -> None:
    u = cr.uniform(-3.0, 5.0, (10_000,)).numpy()
    assert -3 <= u.min() < -2.9 < 4.9 < u.max() < 5
    z = cr.normal(10.0, 0.5, (10_000,)).numpy()
    assert z.mean() == pytest.approx(10.0, abs=0.05)
    assert z.std() == pytest.approx(0.5, abs=0.03)
    with pytest.raises(ArgumentError):
        cr.normal(0.0, -1.0, (2,))


@pytest.mark.parametrize(("low", "high"), [(0, 2), (-3, 4), (5, 6), (0, 2**32), (-(2**40), 2**40)])
def test_integers_are_within_bounds_and_centred(low: int, high: int) -> None:
    n = cr.randint(low, high, (20_000,)).numpy()
    assert n.dtype == np.int64
    assert low <= n.min() <= n.max() < high
    spread = (high - low) / np.sqrt(12 * n.size)
    assert abs(n.mean() - (low + high - 1) / 2) < 6 * spread
    if high - low < 10:
        assert set(n.tolist()) == set(range(low, high))


def test_integers_reach_the_limits_of_their_type_and_not_beyond() -> None:
    assert cr.randint(0, 256, (10,), dtype=np.uint8).dtype == np.uint8
    limits = np.iinfo(np.int64)
    cr.randint(limits.min, limits.max + 1, (10,))
    for low, high in [(0, 0), (3, 2), (0, 2**63 + 1)]:
        with pytest.raises(ArgumentError):
            cr.randint(low, high, (2,))
    with pytest.raises(ArgumentError):
        cr.randint(0, 257, (2,), dtype=np.uint8)


def test_bernoulli_has_the_given_means_and_no_gradient() -> None:
    p = cr.tensor(np.repeat([[0.0], [0.25], [1.0]], 20_000, 1), requires_grad=True)
    drawn = cr.bernoulli(p)
    assert not drawn.requires_grad
    assert drawn.numpy().mean(1) == pytest.approx([0.0, 0.25, 1.0], abs=0.02)


@pytest.mark.parametrize("n", [0, 1, 2, 1000])
def test_permutation_has_every_number_once(n: int) -> None:
    order = cr.permutation(n).numpy()
    assert order.dtype == np.int64
    assert sorted(order.tolist()) == list(range(n))


def test_permutations_are_uniform() -> None:
    seen: dict[tuple[int, ...], int] = {}
    for _ in range(1200):
        order = tuple(cr.permutation(3).tolist())
        seen[order] = seen.get(order, 0) + 1
    assert len(seen) == 6
    assert all(140 < count < 260 for count in seen.values())


@pytest.mark.parametrize("size", [(), (0,), (3,), (2, 0, 3), (2, 3, 4)])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_shapes_and_types(size: tuple[int, ...], dtype: type) -> None:
    for draw in (cr.rand, cr.randn):
        x = draw(size, dtype=dtype)
        assert x.shape == size
        assert x.dtype == dtype
        assert np.isfinite(x.numpy()).all()
    assert cr.rand(10_000, dtype=np.float16).numpy().max() < 1.0


def test_random_numbers_refuse_bad_sizes_and_types() -> None:
    with pytest.raises(ShapeError):
        cr.rand(-1)
    with pytest.raises(ArgumentError):
        cr.rand(3, dtype=np.int64)


# Dropout ------------------------------------------------------------------------------------------


def test_dropout_keeps_the_mean_and_drops_the_given_share() -> None:
    y = cr.dropout(cr.ones(100_000), 0.3).numpy()
    assert set(np.unique(y).tolist()) == {0.0, float(np.float32(1 / 0.7))}
    assert (y == 0).mean() == pytest.approx(0.3, abs=0.01)
    assert y.mean() == pytest.approx(1.0, abs=0.01)


def test_the_gradient_of_dropout_is_its_own_mask() -> None:
    x = cr.tensor(np.random.default_rng(0).normal(size=(50, 4)), requires_grad=True)
    y = cr.dropout(x, 0.5)
    y.backward(cr.tensor(np.ones((50, 4))))
    assert x.grad is not None
    np.testing.assert_array_equal(y.detach().numpy(), x.detach().numpy() * x.grad.numpy())
    assert set(np.unique(x.grad.numpy()).tolist()) == {0.0, 2.0}


def test_dropout_without_training_or_probability_is_exactly_the_input() -> None:
    x = cr.tensor([1.0, np.inf, np.nan, -0.0], requires_grad=True)
    for y in (cr.dropout(x, 0.5, training=False), cr.dropout(x, 0.0)):
        np.testing.assert_array_equal(y.detach().numpy(), x.detach().numpy())
        assert y is not x
        x.grad = None
        y.sum().backward()
        assert x.grad is not None
        assert x.grad.tolist() == [1.0] * 4


def test_dropout_of_everything_is_exactly_zero() -> None:
    x = cr.tensor([1.0, np.inf, -2.0], requires_grad=True)
    y = cr.dropout(x, 1.0)
    assert y.tolist() == [0.0, 0.0, 0.0]
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 0.0, 0.0]


def test_dropout_drops_the_same_elements_in_single_and_double_precision() -> None:
    single = cr.dropout(cr.ones(1000), 0.4)
    cr.manual_seed(1234)
    double = cr.dropout(cr.ones(1000, dtype=np.float64), 0.4)
    assert np.array_equal(single.numpy() == 0, double.numpy() == 0)


def test_dropout_passes_a_gradient_check_from_a_fixed_state() -> None:
    def frozen(x: Any) -> Any:
        return cr.dropout(x, 0.4, generator=cr.Generator(11)) ** 2

    gradcheck(frozen, np.random.default_rng(1).normal(size=(5, 4)))


def test_feature_dropout_drops_whole_channels() -> None:
    y = cr.feature_dropout(cr.ones(20, 10, 3, 3), 0.5).numpy()
    per_channel = y.reshape(200, 9)
    assert (per_channel == per_channel[:, :1]).all()
    assert 60 < (per_channel[:, 0] == 0).sum() < 140
    with pytest.raises(ShapeError):
        cr.feature_dropout(cr.ones(3), 0.5)


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_dropout_needs_a_probability(p: float) -> None:
    with pytest.raises(ArgumentError):
        cr.dropout(cr.ones(3), p)


def test_randint_takes_pytorchs_arguments() -> None:
    assert cr.randint(10, (3,)).shape == (3,)
    assert cr.randint(10, size=(3,)).shape == (3,)
    drawn = cr.randint(5, 7, (100,))
    assert sorted(set(drawn.tolist())) == [5, 6]
    assert cr.randint(4).shape == ()
    with pytest.raises(ArgumentError, match="integer bounds"):
        cr.randint(0, 1.5)  # type: ignore[arg-type]  # meant


def test_a_seed_that_is_no_integer_is_refused() -> None:
    with pytest.raises(ArgumentError, match="a seed is an integer"):
        cr.manual_seed("a")  # type: ignore[arg-type]  # meant
