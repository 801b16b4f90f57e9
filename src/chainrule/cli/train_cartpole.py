"""``chainrule train cartpole``: policy gradients on Gymnasium's CartPole-v1, over several seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click
import numpy as np

from ..uses.policy import (
    ALGORITHMS,
    Algorithm,
    Estimator,
    Training,
    evaluate,
    gradient_noise,
    gymnasium,
    moving_average,
    train,
)
from . import policies, run_folder
from .output import count, print_json

ENVIRONMENT: Final = "CartPole-v1"
_NOISY: Final = 50
"""After so many episodes, the noise of the gradient is measured for the first time."""
_EVALUATED: Final = 100
_FRESH: Final = 10_000
"""Added to a seed where new episodes are played that training did not see."""


@click.command(short_help="Policy gradients balance a pole (needs chainrule[rl]).")
@policies.options(episodes=400)
def cartpole(
    algorithm: str,
    episodes: int,
    seeds: int,
    lr: float | None,
    no_baseline: bool,
    runs: Path,
    as_json: bool,
) -> int:
    """Train a policy on Gymnasium's CartPole-v1: balance a pole for 500 steps.

    For each seed, training ends when the mean return of 100 consecutive training episodes reaches
    475, Gymnasium's definition of solved, or after --episodes. Then the policy plays 100 new
    episodes, each with the likeliest action. The noise of the gradient is that of its estimate from
    one episode, over 32 new episodes, with and without a baseline.
    """
    chosen = policies.configured(ALGORITHMS[algorithm](), lr, no_baseline)
    threshold = gymnasium(ENVIRONMENT).threshold or 0.0
    record: dict[str, Any] = {
        "environment": ENVIRONMENT, "algorithm": policies.settings(chosen),
        "most_episodes": episodes, "threshold": threshold,
    }  # fmt: skip
    with run_folder.new(runs, "cartpole") as folder:
        record = {"run": str(folder.path), **record}
        results = list(
            policies.trained(
                folder, record, seeds,
                lambda seed: _run(chosen, episodes, seed, threshold), as_json,
            )
        )  # fmt: skip
        solved = sum(r["solved_after"] is not None for r in results)
        reached = sum(r["evaluation"]["mean"] >= threshold for r in results)
        record |= {
            "status": run_folder.FINISHED, "seeds": results, "solved": solved, "reached": reached,
            "sentence": _sentence(algorithm, episodes, threshold, solved, reached, seeds),
        }  # fmt: skip
        policies.finish(folder, record)
    if as_json:
        print_json(record)
    else:
        _print(record)
    return 0


def _run(
    algorithm: Algorithm, episodes: int, seed: int, threshold: float
) -> tuple[Training, dict[str, Any]]:
    """Train with one seed, measure the noise on the way and at the end, and play new episodes."""
    noise: dict[str, Any] = {}

    def measure(name: str, training: Training) -> None:
        found = gradient_noise(
            training.agent, gymnasium(ENVIRONMENT), discount=algorithm.discount,
            seed=seed + _FRESH,
        )  # fmt: skip
        noise[name] = {
            "episodes": len(training.returns),
            "variance": {estimator.value: n.variance for estimator, n in found.items()},
            "mean_norm": {estimator.value: n.mean_norm for estimator, n in found.items()},
        }

    def early(training: Training) -> None:
        if not noise and len(training.returns) >= _NOISY:
            measure("early", training)

    training = train(
        gymnasium(ENVIRONMENT), algorithm, episodes=episodes, seed=seed, goal=threshold,
        after_episode=early,
    )  # fmt: skip
    measure("late", training)
    played = evaluate(
        training.agent, gymnasium(ENVIRONMENT), episodes=_EVALUATED, seed=seed + _FRESH
    )
    mean = moving_average(training.returns)
    return training, {
        "solved_after": training.solved,
        "moving_average": mean,
        "evaluation": {**policies.spread(played), "episodes": len(played)},
        "gradient_noise": noise,
        "returns": training.returns,
    }


def _sentence(
    algorithm: str, episodes: int, threshold: float, solved: int, reached: int, seeds: int
) -> str:
    return (
        f"Within {episodes} training episodes, {algorithm} reaches a moving average of "
        f"{threshold:g} over 100 of them with {solved} of {count(seeds, 'seed')}, and afterwards a "
        f"mean of {threshold:g} over {_EVALUATED} new episodes with {reached} of {seeds}."
    )


def _print(record: dict[str, Any]) -> None:
    rows = [
        [
            str(r["seed"]),
            "no" if r["solved_after"] is None else f"{r['solved_after']} episodes",
            f"{r['moving_average']:.1f}",
            f"{r['evaluation']['mean']:.1f} ± {r['evaluation']['deviation']:.1f}",
            f"{r['steps']:,}",
            f"{r['seconds']:.1f} s",
        ]
        for r in record["seeds"]
    ]
    header = ["seed", "solved after", "moving average", "100 new episodes", "steps", "time"]
    policies.show("mean return of 100 episodes, in training and afterwards", header, rows)
    when = [name for name in ("early", "late") if all(name in r["gradient_noise"]
                                                      for r in record["seeds"])]  # fmt: skip
    rows = [
        [estimator.value, *(f"{_relative(record, name, estimator):.3g}" for name in when)]
        for estimator in Estimator
    ]
    names = {"early": f"after {_NOISY} episodes or the next update", "late": "after training"}
    policies.show(
        "variance of the gradient from one episode, relative to that without a baseline",
        ["each action is praised for", *(names[name] for name in when)], rows,
    )  # fmt: skip
    click.echo(record["sentence"])
    click.echo(f"run        {record['run']}")


def _relative(record: dict[str, Any], when: str, estimator: Estimator) -> float:
    """A variance relative to that of the whole return: the geometric mean over the seeds."""
    found = [r["gradient_noise"][when]["variance"] for r in record["seeds"]]
    with np.errstate(divide="ignore"):
        logs = [np.log(v[estimator.value]) - np.log(v[Estimator.WHOLE.value]) for v in found]
    return float(np.exp(np.mean(logs)))
