"""Policy gradients against exact ones, and policies against the best ones of tiny worlds."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tiny_worlds import Branches, Broken, Corridor, Spring, played

import chainrule as cr
from chainrule.errors import ArgumentError, ChainruleError, DataError, TrainingError
from chainrule.nn.utils import parameters_to_vector
from chainrule.ops.random import default_generator
from chainrule.uses import policy
from chainrule.uses.policy import PPO, ActorCritic, Agent, Estimator, Experience, Reinforce

SEQUENCES = tuple(itertools.product((0, 1), repeat=3))


def experience(n: int, seed: int = 0, ends: float = 0.2) -> Experience:
    rng = np.random.default_rng(seed)
    kind = rng.random(n)
    return Experience(
        rng.normal(size=(n, 2)).astype(np.float32), rng.integers(0, 2, n),
        np.full(n, np.log(0.5), np.float32), rng.normal(size=n),
        rng.normal(size=(n, 2)).astype(np.float32), kind < ends / 2,
        (kind >= ends / 2) & (kind < ends),
    )  # fmt: skip


# The gradient -------------------------------------------------------------------------------------


def restless(seed: int) -> Agent:
    """An agent whose actions are not equally likely, and whose critic is wrong."""
    cr.manual_seed(seed)
    agent = Agent(Branches.features, Branches.actions, hidden=(5,))
    agent.actor[2].weight.array = 2 * np.random.default_rng(seed).normal(size=(2, 5)).astype("f4")
    return agent


def exact_gradient(agent: Agent, discount: float) -> np.ndarray:
    """∇ Σ_τ p(τ) R(τ), by backpropagation through the probabilities of all eight episodes."""
    expected = cr.tensor(0.0)
    for actions in SEQUENCES:
        episode = played(Branches(), actions)
        log_probs = agent.distribution(cr.tensor(episode.observations)).log_prob(
            cr.tensor(episode.actions)
        )
        value = float((episode.rewards * discount ** np.arange(3)).sum())
        expected = expected + log_probs.sum().exp() * value
    agent.zero_grad()
    expected.backward()
    found = parameters_to_vector([p.grad for p in agent.actor.parameters()]).numpy()
    agent.zero_grad()
    return found


def expectation(
    agent: Agent, estimate: Callable[[Experience], np.ndarray]
) -> tuple[np.ndarray, float]:
    """Mean and total variance of an estimate, by its value for every episode there is."""
    estimates, chances = [], []
    for actions in SEQUENCES:
        episode = played(Branches(), actions)
        chosen = agent.distribution(cr.tensor(episode.observations)).log_prob(
            cr.tensor(episode.actions)
        )
        estimates.append(estimate(episode))
        chances.append(float(chosen.sum().exp()))
    assert sum(chances) == pytest.approx(1, abs=1e-5)
    mean = np.average(estimates, axis=0, weights=chances)
    squares = ((np.array(estimates) - mean) ** 2).sum(1)
    return mean, float(np.average(squares, weights=chances))


@pytest.mark.parametrize("discount", [1.0, 0.7])
@pytest.mark.parametrize("estimator", Estimator)
def test_the_expected_estimate_is_the_exact_gradient(estimator: Estimator, discount: float) -> None:
    agent = restless(3)
    exact = exact_gradient(agent, discount)
    mean, _ = expectation(
        agent, lambda e: policy.episode_gradient(agent, e, estimator, discount=discount)
    )
    assert np.linalg.norm(exact) > 0.1
    np.testing.assert_allclose(mean, exact, atol=2e-5 * np.abs(exact).max())


def test_an_estimate_that_leaves_out_the_first_reward_is_caught() -> None:
    agent = restless(3)
    exact = exact_gradient(agent, 1.0)

    def wrong(episode: Experience) -> np.ndarray:
        episode.rewards[0] = 0.0
        return policy.episode_gradient(agent, episode, Estimator.TO_GO, discount=1.0)

    mean, _ = expectation(agent, wrong)
    assert np.abs(mean - exact).max() > 1e-2 * np.abs(exact).max()


def test_sampled_noise_is_that_of_all_episodes() -> None:
    agent = restless(3)
    noise = policy.gradient_noise(agent, Branches(), episodes=600, discount=1.0, seed=5)
    for estimator, found in noise.items():
        mean, variance = expectation(
            agent,
            lambda e, kind=estimator: policy.episode_gradient(agent, e, kind, discount=1.0),
        )
        assert found.variance == pytest.approx(variance, rel=0.2)
        assert found.mean_norm == pytest.approx(float(np.linalg.norm(mean)), rel=0.2)
        assert found.episodes == 600


def test_a_trained_baseline_takes_noise_away() -> None:
    class Generous(Branches):
        pays = tuple(pay + 5 for pay in Branches.pays)

    trained = policy.train(Generous(), PPO(discount=0.9, steps=64), episodes=100, seed=0)
    noise = policy.gradient_noise(trained.agent, Generous(), episodes=64, discount=0.9, seed=1)
    assert noise[Estimator.BASELINE].variance < 0.2 * noise[Estimator.TO_GO].variance
    assert noise[Estimator.TO_GO].variance < noise[Estimator.WHOLE].variance


def test_a_variance_takes_two_episodes() -> None:
    with pytest.raises(ArgumentError, match="at least two"):
        policy.gradient_noise(restless(0), Branches(), episodes=1, discount=1.0, seed=0)


# Advantages ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("trace", [0.0, 0.5, 1.0])
def test_advantages_are_the_sum_they_are_defined_as(trace: float) -> None:
    steps = experience(40)
    rng = np.random.default_rng(1)
    values, following = rng.normal(size=40), rng.normal(size=40)
    found = policy.advantages(steps, values, following, discount=0.9, trace=trace)
    assert steps.terminated.any()
    assert steps.truncated.any()
    for t in range(40):
        total, weight = 0.0, 1.0
        for k in range(t, 40):
            ahead = 0.0 if steps.terminated[k] else following[k]
            total += weight * (steps.rewards[k] + 0.9 * ahead - values[k])
            weight *= 0.9 * trace
            if steps.terminated[k] or steps.truncated[k]:
                break
        assert found[t] == pytest.approx(total)


def test_a_cut_episode_is_completed_by_the_value_of_what_comes_next() -> None:
    one = np.ones((1, 1), np.float32)

    def gain(terminated: bool, truncated: bool) -> float:
        step = Experience(one, np.zeros(1, int), np.zeros(1), np.ones(1), one,
                          np.array([terminated]), np.array([truncated]))  # fmt: skip
        return float(policy.advantages(step, [5.0], [7.0], discount=0.9, trace=0.95)[0])

    assert gain(True, False) == pytest.approx(1 - 5)
    assert gain(False, True) == gain(False, False) == pytest.approx(1 + 0.9 * 7 - 5)
    assert gain(True, True) == gain(True, False)


# Learning -----------------------------------------------------------------------------------------

QUICK = {
    "reinforce": Reinforce(discount=0.9, episodes=4),
    "a2c": ActorCritic(discount=0.9),
    "ppo": PPO(discount=0.9, steps=64),
}


@pytest.mark.parametrize("name", QUICK)
def test_the_best_policy_of_a_corridor_is_learnt(name: str) -> None:
    trained = policy.train(Corridor(), QUICK[name], episodes=200, seed=0)
    (found,) = policy.evaluate(trained.agent, Corridor(), episodes=1, seed=0)
    assert found == pytest.approx(Corridor.best)
    assert np.mean(trained.returns[:20]) < np.mean(trained.returns[-20:])
    assert sum(trained.lengths) >= len(trained.lengths) == len(trained.returns) == 200


@pytest.mark.parametrize("name", QUICK)
def test_an_episode_that_is_cut_is_not_taken_for_one_that_is_over(name: str) -> None:
    goes_on = {}
    for cut in (True, False):
        trained = policy.train(Spring(cut=cut), QUICK[name], episodes=400, seed=1)
        probability = trained.agent.distribution(cr.ones(1)).probs[0]
        goes_on[cut] = float(probability)
    assert goes_on[True] > 0.75
    assert goes_on[False] < 0.25


def test_training_stops_when_the_goal_is_reached() -> None:
    trained = policy.train(Corridor(), QUICK["ppo"], episodes=1000, seed=0, goal=0.7)
    assert trained.solved is not None
    assert 100 <= trained.solved == len(trained.returns) < 1000
    assert policy.moving_average(trained.returns) >= 0.7
    assert np.isnan(policy.moving_average(trained.returns[:99]))


def test_the_same_seed_gives_the_same_bits_and_leaves_the_default_generator() -> None:
    state = default_generator.get_state()
    runs = [policy.train(Corridor(), QUICK["ppo"], episodes=20, seed=s) for s in (4, 4, 5)]
    assert runs[0].returns == runs[1].returns != runs[2].returns
    for a, b in zip(runs[0].agent.parameters(), runs[1].agent.parameters(), strict=True):
        np.testing.assert_array_equal(a.array, b.array)
    policy.evaluate(runs[0].agent, Corridor(), episodes=2, seed=0, sample=True)
    np.testing.assert_array_equal(default_generator.get_state(), state)


def test_ppo_goes_no_further_than_its_clip() -> None:
    ratio = cr.tensor([0.5, 0.5, 1.0, 2.0, 2.0])
    log_probs = ratio.log().detach().requires_grad_()
    gains = cr.tensor([1.0, -1.0, 1.0, 1.0, -1.0])
    objective = PPO(clip=0.2).objective(log_probs, cr.zeros(5), gains)
    np.testing.assert_allclose(objective.detach().numpy(), [0.5, -0.8, 1.0, 1.2, -2.0], rtol=1e-6)
    objective.sum().backward()
    np.testing.assert_allclose(log_probs.grad.numpy(), [0.5, 0, 1, 0, -2], atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "setting"),
    [
        (PPO, {"lr": 0.0}), (PPO, {"lr": float("nan")}), (ActorCritic, {"discount": 1.5}),
        (Reinforce, {"trace": -0.1}), (Reinforce, {"episodes": 0}), (PPO, {"steps": 0}),
        (PPO, {"clip": 0.0}), (PPO, {"entropy_weight": float("inf")}),
    ],
)  # fmt: skip
def test_settings_out_of_range_are_refused(kind: Any, setting: dict[str, float]) -> None:
    with pytest.raises(ArgumentError, match=next(iter(setting))):
        kind(**setting)


def test_no_episodes_are_refused() -> None:
    with pytest.raises(ArgumentError, match="at least one episode"):
        policy.train(Corridor(), PPO(), episodes=0)


def test_a_loss_that_is_not_finite_stops_training() -> None:
    with pytest.raises(TrainingError, match="the loss is"):
        policy.train(Corridor(), PPO(lr=1e30, steps=8, clip_norm=1e30), episodes=50)


# Bad environments ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "at", "words"),
    [
        ("reward", 3, "nan at step 1 of episode 2"),
        ("observation", 1, "inf in place 1 at step 1 of episode 1"),
        ("observation", 0, "inf in place 1 at the start of episode 1"),
        ("shape", 0, "(3,) at the start of episode 1"),
    ],
)
def test_what_is_not_a_number_is_named_with_its_step(what: str, at: int, words: str) -> None:
    with pytest.raises(DataError) as caught:
        policy.train(Broken(what, at), PPO(), episodes=10)
    assert words in str(caught.value)


def test_without_gymnasium_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    with pytest.raises(ArgumentError, match="not installed") as caught:
        policy.gymnasium("CartPole-v1")
    assert "chainrule[rl]" in str(caught.value)


def test_environments_that_are_unknown_or_unfit_are_refused() -> None:
    pytest.importorskip("gymnasium")
    with pytest.raises(ArgumentError, match="cannot make"):
        policy.gymnasium("NoSuchWorld-v1")
    box = SimpleNamespace(shape=(3,))
    unfit = SimpleNamespace(action_space=box, observation_space=box, spec=None)
    with pytest.raises(ChainruleError, match="discrete"):
        policy.gymnasium(unfit)


def test_cart_pole_is_begun_to_be_learnt() -> None:
    pytest.importorskip("gymnasium")
    world = policy.gymnasium("CartPole-v1")
    assert (world.features, world.actions, world.threshold) == (4, 2, 475.0)
    trained = policy.train(world, PPO(), episodes=50, seed=0)
    assert np.mean(trained.returns[-10:]) > 1.5 * np.mean(trained.returns[:10])
