"""The market: wealth by hand, nothing of the future in what is seen, prices that are refused."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from chainrule.cli.train_trading import verdict
from chainrule.data import Prices, read_prices, stocks
from chainrule.errors import ArgumentError, DataError
from chainrule.uses import policy
from chainrule.uses.policy import PPO, Market, Trading, buy_and_hold, stay_out, trade
from chainrule.uses.policy.experience import greedy


def prices(*columns: list[float]) -> Prices:
    values = np.array(columns, np.float64).T
    days = tuple(date(2000, 1, 1) + timedelta(days=n) for n in range(len(values)))
    return Prices(days, tuple("ABCDE"[: len(columns)]), values)


def wobbling(n: int, seed: int = 0) -> list[float]:
    return list(np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.1, n))))


# Wealth -------------------------------------------------------------------------------------------


def test_wealth_is_what_the_prices_and_the_costs_make_of_it() -> None:
    series = [10.0, 11.0, 10.0, 12.0, 9.0, 18.0, 9.0, 12.0]
    market = Market(prices(series), window=1, cost=0.01, test_fraction=0.5)
    assert market.cut == 4
    decisions = iter([1, 0, 1, 1])  # at 12, 9, 18 and 9: the last price of the sample comes first
    found = trade(market, lambda seen: next(decisions), test=True)
    curve = [100, 100 * 0.99 * 9 / 12, 100 * 0.99**2 * 9 / 12]
    curve += [curve[-1] * 0.99 * 9 / 18, curve[-1] * 0.99 * 12 / 18]
    assert found.end == pytest.approx(curve[-1])
    assert found.largest_fall == pytest.approx(1 - min(curve) / 100)
    assert (found.invested, found.trades) == (0.75, 3)


def test_holding_pays_the_cost_once_and_staying_out_never() -> None:
    market = Market(stocks(), cost=0.02)
    for test in (False, True):
        ratios = []
        for i in range(5):
            times = market.times(i, test=test)
            ratios.append(
                market.prices.values[times.stop, i] / market.prices.values[times.start, i]
            )
        held = trade(market, buy_and_hold, test=test)
        assert held.end == pytest.approx(98 * np.mean(ratios))
        assert (held.invested, held.trades) == (1.0, 5)
        out = trade(market, stay_out, test=test)
        assert (out.end, out.largest_fall, out.invested, out.trades) == (100.0, 0.0, 0.0, 0)


def test_the_parts_meet_and_do_not_overlap() -> None:
    market = Market(stocks())
    for i in range(5):
        before, after = market.times(i, test=False), market.times(i, test=True)
        assert before.stop == after.start == market.cut - 1
        assert after.stop == len(market.prices) - 1


# The future ---------------------------------------------------------------------------------------


def test_what_is_seen_depends_on_no_later_price() -> None:
    series = wobbling(60)
    for changed in range(42, 59):
        other = [*series[: changed + 1], *[1.0] * (59 - changed)]
        seen = []
        for values in (series, other):
            world = Trading(Market(prices(values), window=3), stock=0, test=True)
            rows = [world.reset()]
            while world.begun[1] < changed:
                rows.append(world.step(1).observation)
            seen.append(rows)
        assert world.begun[1] == changed
        np.testing.assert_array_equal(*seen)


def test_training_knows_nothing_of_the_part_to_test_on() -> None:
    weights = []
    series = wobbling(60)
    for values in (series, [*series[:42], *wobbling(18, seed=1)]):
        trained = policy.train(Trading(Market(prices(values))), PPO(steps=64), episodes=12, seed=0)
        weights.append([p.array for p in trained.agent.parameters()])
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_market_with_a_pattern_is_beaten_out_of_sample() -> None:
    rng = np.random.default_rng(0)
    steps = np.tile([0.1, -0.1], 60) + rng.normal(0, 0.02, 120)
    market = Market(prices(list(10 * np.exp(np.cumsum(steps)))), window=2, cost=0.005)
    trained = policy.train(
        Trading(market), PPO(steps=240, discount=0.9, lr=3e-3), episodes=80, seed=0
    )
    choose = greedy(trained.agent)
    found = trade(market, lambda seen: choose(seen)[0], test=True)
    assert found.end > 1.5 * trade(market, buy_and_hold, test=True).end
    assert found.end > 150


def test_an_episode_is_cut_where_its_prices_end() -> None:
    world = Trading(Market(stocks()), length=5)
    world.reset(seed=3)
    ends = [world.step(1) for _ in range(5)]
    assert [e.truncated for e in ends] == [False] * 4 + [True]
    assert not any(e.terminated for e in ends)
    with pytest.raises(ArgumentError, match="not to be learnt from"):
        Trading(Market(stocks()), test=True)


def test_a_trade_that_made_money_becomes_more_probable() -> None:
    for seed in range(3):
        found = policy.lesson(Market(stocks()), seed=seed)
        assert found is not None
        assert found.dollars > 0
        assert found.before == pytest.approx(0.5, abs=0.05)
        assert found.before < found.after < 1
        assert found.bought < found.sold <= Market(stocks()).split
    falling = prices(list(np.linspace(100, 10, 60)))
    assert policy.lesson(Market(falling)) is None


def record(ends: list[float], hold: float, flat: float = 100.0) -> dict:
    n = len(ends)
    deviation = float(np.std(ends, ddof=1)) if n > 1 else 0.0
    found = {"mean": float(np.mean(ends)), "deviation": deviation}
    return {
        "seeds": [{}] * n,
        "policy": {"out_of_sample": found},
        "buy_and_hold": {"out_of_sample": {"end": hold}},
        "always_flat": {"out_of_sample": {"end": flat}},
    }


@pytest.mark.parametrize(
    ("ends", "hold", "better", "words"),
    [
        ([200.0, 210.0, 190.0], 150.0, True, "is better than buy-and-hold, in this one stretch"),
        ([200.0, 210.0, 190.0], 194.0, False, "is not shown to be better than buy-and-hold."),
        ([120.0, 110.0, 115.0], 150.0, False, "is not better than buy-and-hold."),
        ([90.0, 95.0, 92.0], 50.0, False, "is not better than staying out."),
        ([500.0], 150.0, False, "is not shown to be better than buy-and-hold."),
    ],
)
def test_the_sentence_says_what_the_numbers_support(ends, hold, better, words) -> None:
    found = verdict(record(ends, hold))
    assert found["better"] is better
    assert found["sentence"].count(words) == 1


# Prices that are refused --------------------------------------------------------------------------

MONTHS = [f"2001-{m:02d}-01" for m in range(1, 13)]
GOOD = [f"A,{when},{10 + i % 3}" for i, when in enumerate(MONTHS)]


def written(tmp_path: Path, rows: list[str], header: str = "symbol,date,price") -> Path:
    path = tmp_path / "prices.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_good_prices_are_read_in_any_order_and_with_either_kind_of_date(tmp_path: Path) -> None:
    later = [f"B,{row[2:]}" for row in GOOD[4:]]
    mixed = [*reversed(GOOD[1:]), *later, 'A,"Jan 1, 2001",10']
    found = read_prices(written(tmp_path, mixed))
    assert found.symbols == ("A", "B")
    assert (found.first(0), found.first(1)) == (0, 4)
    assert found.dates[0] == date(2001, 1, 1)
    np.testing.assert_array_equal(found.values[:3, 0], [10, 11, 12])
    assert np.isnan(found.values[:4, 1]).all()
    alone = read_prices(written(tmp_path, [row[2:] for row in GOOD], "Date,Close"))
    assert alone.symbols == ("",)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([*GOOD[:5], *GOOD[6:]], "gap in time"),
        ([*GOOD, *(f"B,{r[2:]}" for r in (*GOOD[:5], *GOOD[6:]))], "prices of B"),
        ([*GOOD[:5], "A,2001-06-01,", *GOOD[6:]], "has a gap"),
        ([*GOOD[:5], "A,2001-06-01,ten", *GOOD[6:]], "'ten' in row 7"),
        ([*GOOD[:5], "A,2001-06-01,nan", *GOOD[6:]], "no price"),
        ([*GOOD[:5], "A,2001-06-01,0", *GOOD[6:]], "no price"),
        ([*GOOD[:5], "A,2001-06-01,-3", *GOOD[6:]], "no price"),
        ([*GOOD, GOOD[3]], "twice"),
        ([*GOOD, "A,yesterday,3"], "dates"),
        ([*GOOD, "A,Jan 40 2001,3"], "dates"),
        ([*GOOD, "A,2001-12-31"], "2 in row 14"),
        ([f"A,{when},5" for when in MONTHS], "constant"),
        ([], "holds no prices"),
        (["A,2001-01-01,3"], "too short"),
    ],
)
def test_prices_that_cannot_be_used_are_refused(rows, words, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_prices(written(tmp_path, rows))
    assert words in str(caught.value)


def test_a_table_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no prices"):
        read_prices(written(tmp_path, GOOD, "a,b,c"))
    with pytest.raises(DataError):
        read_prices(tmp_path / "nowhere.csv")


def test_a_market_needs_prices_enough(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="too short"):
        Market(prices(wobbling(9)), window=6)
    with pytest.raises(DataError, match="too short"):
        Market(prices(wobbling(30)), test_fraction=0.001)
    with pytest.raises(DataError, match="do not vary"):
        Market(prices([5.0] * 30 + wobbling(12)), window=2)
    Market(prices(wobbling(20)), window=6)


@pytest.mark.parametrize(
    "setting", [{"window": 0}, {"cost": -0.1}, {"cost": 1.0}, {"test_fraction": 0.0},
                {"cost": float("nan")}, {"test_fraction": 1.0}],
)  # fmt: skip
def test_numbers_out_of_range_are_refused(setting: dict[str, float]) -> None:
    with pytest.raises(ArgumentError):
        Market(prices(wobbling(40)), **setting)
