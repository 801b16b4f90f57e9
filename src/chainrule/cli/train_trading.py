"""``chainrule train trading``: a policy that trades stocks, against holding them or cash."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import click

from ..data.prices import stocks
from ..uses.policy import (
    PPO,
    ActorCritic,
    Algorithm,
    Market,
    Reinforce,
    Trading,
    Training,
    Wealth,
    buy_and_hold,
    lesson,
    stay_out,
    trade,
    train,
)
from ..uses.policy.experience import greedy
from . import policies, run_folder
from .output import print_json

SETTINGS: Final[Mapping[str, Algorithm]] = {
    "reinforce": Reinforce(lr=3e-3, episodes=10, discount=0.9, entropy_weight=0.01),
    "a2c": ActorCritic(lr=1e-3, steps=240, discount=0.9, entropy_weight=0.01, normalize=True),
    "ppo": PPO(lr=1e-3, steps=240, discount=0.9, entropy_weight=0.01),
}
"""The algorithms, set for episodes of two years in which a decision bears on the next month."""
_PARTS: Final = {"in_sample": False, "out_of_sample": True}
_CERTAIN: Final = 2.0
"""Standard errors of the mean over seeds that a policy must be ahead by to be called better."""


@click.command(short_help="A policy trades stocks, against holding them.")
@policies.options(episodes=1000)
@click.option(
    "--data", type=click.Path(path_type=Path),
    help="CSV file with columns date, price and symbol (default: the five stocks that come along).",
)  # fmt: skip
@click.option("--cost", default=0.001, show_default=True, help="Share of wealth a change costs.")
@click.option(
    "--window", default=6, show_default=True, type=click.IntRange(1, 1000),
    help="How many returns the policy sees.",
)  # fmt: skip
@click.option(
    "--test-fraction", default=0.3, show_default=True,
    help="The last share of the times, which training does not see.",
)  # fmt: skip
def trading(
    algorithm: str,
    episodes: int,
    seeds: int,
    lr: float | None,
    no_baseline: bool,
    runs: Path,
    as_json: bool,
    data: Path | None,
    cost: float,
    window: int,
    test_fraction: float,
) -> int:
    """Train a policy that holds a stock or cash, and compare it with doing always the same.

    "The trade made $100. Increase the probability of the actions that led to this." It learns from
    the first part of the prices, pays --cost for each change of position, and is tested on the
    rest, which it never saw. $100 are put into each stock; what they became is the mean over the
    stocks.
    """
    chosen = policies.configured(SETTINGS[algorithm], lr, no_baseline)
    market = Market(stocks(data), window=window, cost=cost, test_fraction=test_fraction)
    fixed = {
        name: {part: asdict(trade(market, strategy, test=test)) for part, test in _PARTS.items()}
        for name, strategy in (("buy_and_hold", buy_and_hold), ("always_flat", stay_out))
    }
    record: dict[str, Any] = {
        "symbols": list(market.prices.symbols), "from": str(market.prices.dates[0]),
        "split": market.split, "to": str(market.prices.dates[-1]), "cost": cost, "window": window,
        "algorithm": policies.settings(chosen), **fixed,
    }  # fmt: skip
    first = lesson(market)
    record["lesson"] = None if first is None else asdict(first)
    with run_folder.new(runs, "trading") as folder:
        record = {"run": str(folder.path), **record}
        results = list(
            policies.trained(
                folder, record, seeds, lambda seed: _run(chosen, market, episodes, seed), as_json
            )
        )
        policy = {part: policies.spread([r[part]["end"] for r in results]) for part in _PARTS}
        record |= {"status": run_folder.FINISHED, "seeds": results, "policy": policy}
        record |= verdict(record)
        policies.finish(folder, record)
    if as_json:
        print_json(record)
    else:
        _print(record)
    return 0


def _run(
    algorithm: Algorithm, market: Market, episodes: int, seed: int
) -> tuple[Training, dict[str, Any]]:
    training = train(Trading(market), algorithm, episodes=episodes, seed=seed)
    choose = greedy(training.agent)
    wealth: dict[str, Wealth] = {
        part: trade(market, lambda seen: choose(seen)[0], test=test)
        for part, test in _PARTS.items()
    }
    return training, {part: asdict(w) for part, w in wealth.items()}


def verdict(record: Mapping[str, Any]) -> dict[str, Any]:
    """Whether the policy is better out of sample than both fixed strategies, and a sentence.

    It is called better if it is ahead of the better one by more than two standard errors of its
    mean over the seeds, and never by one seed alone.
    """
    part = "out_of_sample"
    hold, flat = (record[name][part]["end"] for name in ("buy_and_hold", "always_flat"))
    found = record["policy"][part]
    n = len(record["seeds"])
    ahead = found["mean"] - max(hold, flat)
    is_better = n > 1 and ahead > _CERTAIN * found["deviation"] / math.sqrt(n)
    rival = "buy-and-hold" if hold >= flat else "staying out"
    judged = "is better than" if is_better else "is not shown to be better than"
    if ahead <= 0:
        judged = "is not better than"
    spread = f" ± {found['deviation']:.0f}" if n > 1 else ""
    sentence = (
        f"Out of sample, $100 became ${found['mean']:.0f}{spread} with the policy "
        f"({n} seed{'s' * (n > 1)}), ${hold:.0f} with buy-and-hold and ${flat:.0f} when always "
        f"flat: the policy {judged} {rival}"
    )
    sentence += ", in this one stretch of one market." if is_better else "."
    return {"better": is_better, "sentence": sentence}


def _print(record: dict[str, Any]) -> None:
    rows = [
        [f"seed {r['seed']}", *(text for part in _PARTS for text in _row(r[part]))]
        for r in record["seeds"]
    ]
    if len(rows) > 1:
        spreads = (record["policy"][part] for part in _PARTS)
        ends = [f"{s['mean']:.0f} ± {s['deviation']:.0f}" for s in spreads]
        rows.append(["mean", ends[0], "", "", ends[1], "", ""])
    for name in ("buy_and_hold", "always_flat"):
        both = (text for part in _PARTS for text in _row(record[name][part]))
        rows.append([name.replace("_", " "), *both])
    policies.show(
        f"what $100 became in sample ({record['from']} to {record['split']}) and out of sample "
        f"(to {record['to']}), in the mean over the stocks, with changes at {record['cost']:.2%}",
        ["policy", "in: $", "held", "fall", "out: $", "held", "fall"], rows,
    )  # fmt: skip
    if first := record["lesson"]:
        click.echo(_taught(first))
    click.echo(record["sentence"])
    click.echo(f"run        {record['run']}")


def _taught(first: Mapping[str, Any]) -> str:
    return (
        f"A first lesson: {first['symbol'] or 'the stock'}, held from {first['bought']} to "
        f"{first['sold']}, made ${first['dollars']:.0f}; one gradient step for that raised the "
        f"probability of holding it then from {first['before']:.3f} to {first['after']:.3f}."
    )


def _row(wealth: Mapping[str, float]) -> list[str]:
    return [f"{wealth['end']:.0f}", f"{wealth['invested']:.0%}", f"{wealth['largest_fall']:.0%}"]
