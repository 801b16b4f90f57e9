"""A market to act in: hold a stock or hold cash, month by month, and pay for each change.

Wealth grows by the factor (1 - cost |p_t - p_{t-1}|) (1 + p_t r_{t+1}), with the position p either
0 (cash, which earns nothing) or 1 (all of it in the stock) and r the stock's return until the next
price. The reward is the logarithm of that factor, so that rewards add up as wealth multiplies. Who
decides at t has seen prices up to t, and trades at the price of t.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, final

import numpy as np

from ...data.prices import Prices
from ...errors import ArgumentError, DataError
from ...optim import SGD
from ...tensor import Tensor
from .agent import Agent
from .environment import Step
from .experience import Collector, sampled, seeded

START: Final = 100.0
"""Dollars in the beginning."""
_TRIES: Final = 100
Strategy: TypeAlias = Callable[[Any], int]
"""From an observation to a position: 0 or 1."""


@final
@dataclass(frozen=True, eq=False)
class Market:
    """Prices, split in time: what is learnt from comes before what is tested on.

    The last `test_fraction` of the times are out of sample. An observation is the last `window`
    logarithmic returns, in units of their deviation in sample, and the position. `cost` is what a
    change of position takes of the wealth.

    Raises ArgumentError for numbers out of range and DataError for a stock with too few prices.
    """

    prices: Prices
    window: int = 6
    cost: float = 0.001
    test_fraction: float = 0.3

    def __post_init__(self) -> None:
        if self.window < 1 or not 0 <= self.cost < 1 or not 0 < self.test_fraction < 1:
            raise ArgumentError(
                "a market needs a window of at least 1, a cost and a test fraction below 1",
                got=f"window {self.window}, cost {self.cost}, test fraction {self.test_fraction}",
            )
        for stock, symbol in enumerate(self.prices.symbols):
            seen = max(self.cut - self.prices.first(stock), 0)
            if seen < self.window + 2 or self.cut > len(self.prices) - 2:
                raise DataError(
                    f"the series of {symbol or 'the stock'} is too short",
                    expected=f"at least {self.window + 2} prices to learn from and 1 to test on",
                    got=f"{seen} before {self.split}, {len(self.prices)} times in all",
                    hint="use a smaller window or another test fraction, or leave this stock out",
                )
        before = np.log(self.prices.values[: self.cut])
        if not np.nanstd(np.diff(before, axis=0)) > 0:
            raise DataError("the prices do not vary in the part to learn from", got="constant")

    @property
    def cut(self) -> int:
        """The first time that is out of sample."""
        return round(len(self.prices) * (1 - self.test_fraction))

    @property
    def split(self) -> str:
        """Its date."""
        return str(self.prices.dates[min(self.cut, len(self.prices) - 1)])

    @property
    def scale(self) -> float:
        """The deviation of logarithmic returns in sample, of all stocks."""
        return float(np.nanstd(np.diff(np.log(self.prices.values[: self.cut]), axis=0)))

    def times(self, stock: int, *, test: bool) -> range:
        """When one decides, in a part: at the end of it there is nothing left to earn.

        The last price of the part in sample is the first decision's out of sample.
        """
        if test:
            return range(self.cut - 1, len(self.prices) - 1)
        return range(self.prices.first(stock) + self.window, self.cut - 1)


@final
class Trading:
    """The environment: episodes of `length` decisions in sample, with a stock and a start by lot.

    With `stock`, every episode is all that the stock has in the part: in sample, or out of sample
    with `test`. An episode is cut, not over, where its prices end: the market goes on.
    """

    actions = 2

    def __init__(
        self,
        market: Market,
        *,
        length: int = 24,
        stock: int | None = None,
        test: bool = False,
    ) -> None:
        if test and stock is None:
            raise ArgumentError("what is out of sample is not to be learnt from", got="test=True")
        self.market = market
        self.features = market.window + 1
        self._returns = np.diff(market.prices.values, axis=0) / market.prices.values[:-1]
        self._seen = np.log1p(self._returns) / market.scale
        self._length, self._only, self._test = length, stock, test
        self._chance = np.random.default_rng()
        self._stock, self._now, self._end, self._position = 0, 0, 0, 0

    def reset(self, seed: int | None = None) -> Any:
        """Begin with cash. With `seed`, the lots are drawn anew from it."""
        if seed is not None:
            self._chance = np.random.default_rng(seed)
        drawn = int(self._chance.integers(len(self.market.prices.symbols)))
        self._stock = drawn if self._only is None else self._only
        times = self.market.times(self._stock, test=self._test)
        self._now, self._end = times.start, times.stop
        if self._only is None and len(times) > self._length:
            self._now += int(self._chance.integers(len(times) - self._length + 1))
            self._end = self._now + self._length
        self._position = 0
        return self._observation()

    @property
    def begun(self) -> tuple[int, int]:
        """The stock of this episode and the time that it is now."""
        return self._stock, self._now

    def step(self, action: int) -> Step:
        """Hold the stock (1) or cash (0) until the next price."""
        paid = np.log1p(-self.market.cost * abs(action - self._position))
        earned = np.log1p(action * self._returns[self._now, self._stock])
        self._position = action
        self._now += 1
        return Step(self._observation(), float(paid + earned), False, self._now == self._end)

    def _observation(self) -> Any:
        seen = self._seen[self._now - self.market.window : self._now, self._stock]
        return np.append(seen, self._position).astype(np.float32)


@final
@dataclass(frozen=True, eq=False)
class Wealth:
    """What $100 in each stock became by a strategy, in the mean over the stocks."""

    end: float
    """Dollars at the end."""
    largest_fall: float
    """From a peak to the deepest point after it, as a share of the peak."""
    invested: float
    """Share of the decisions that held the stock."""
    trades: int
    """How often a position was changed, in all stocks."""


def buy_and_hold(observation: Any) -> int:
    """Holds the stock, always."""
    return 1


def stay_out(observation: Any) -> int:
    """Holds cash, always."""
    return 0


def trade(market: Market, strategy: Strategy, *, test: bool) -> Wealth:
    """Trade every stock by a strategy, in sample or out of sample (`test`)."""
    curves, positions, trades = [], [], 0
    for stock in range(len(market.prices.symbols)):
        world = Trading(market, stock=stock, test=test)
        seen, logs, held, done = world.reset(), [0.0], [0], False
        while not done:
            held.append(strategy(seen))
            seen, reward, _, done = world.step(held[-1])
            logs.append(logs[-1] + reward)
        curves.append(START * np.exp(logs))
        positions += held[1:]
        trades += int(np.abs(np.diff(held)).sum())
    longest = max(map(len, curves))
    waiting = [np.pad(c, (longest - len(c), 0), constant_values=START) for c in curves]
    total = np.mean(waiting, axis=0)
    fall = 1.0 - total / np.maximum.accumulate(total)
    return Wealth(float(total[-1]), float(fall.max()), float(np.mean(positions)), trades)


@final
@dataclass(frozen=True)
class Lesson:
    """One trade that made money, and how probable its decisions were before and after a step."""

    symbol: str
    bought: str
    sold: str
    dollars: float
    """What it made of $100, after costs."""
    before: float
    """Mean probability of holding the stock, over the decisions of the trade."""
    after: float
    """The same after one gradient step for this trade alone."""


def lesson(market: Market, *, seed: int = 0, lr: float = 1.0) -> Lesson | None:
    """The best trade of a new agent's first episode in sample, and what one step makes of it.

    "The trade made $100. Increase the probability of the actions that led to this." (document 001,
    4.2) It is a step of gradient ascent on dollars / 100 times the mean log probability of these
    actions. None if no trade of the first 100 episodes made money.
    """
    with seeded(seed):
        agent = Agent(market.window + 1, Trading.actions)
        world = Trading(market)
        collector = Collector(world, sampled(agent), seed)
        for _ in range(_TRIES):
            stock, start = world.begun
            episode = collector.steps(None, episodes=1)
            held = episode.actions
            edges = np.flatnonzero(np.diff(held, prepend=0, append=0))
            spans = edges.reshape(-1, 2).tolist()
            made = [START * float(np.expm1(episode.rewards[a:b].sum())) for a, b in spans]
            if made and max(made) > 0:
                break
        else:
            return None
    first, last = spans[int(np.argmax(made))]
    seen = Tensor(episode.observations[first:last])

    before = agent.distribution(seen)
    loss = -(max(made) / START) * before.log_prob(Tensor(held[first:last])).mean()
    loss.backward()
    SGD(agent.actor.parameters(), lr=lr).step()
    bought, sold = (str(market.prices.dates[start + t]) for t in (first, last))
    return Lesson(
        market.prices.symbols[stock], bought, sold, max(made),
        float(before.probs.detach().array[:, 1].mean()),
        float(agent.distribution(seen).probs.detach().array[:, 1].mean()),
    )  # fmt: skip
