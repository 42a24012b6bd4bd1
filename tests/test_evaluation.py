"""What counts as success, and that evaluations are the same episodes every time."""

import time
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from fake_spec import point_spec

from regoal.agent.evaluation import evaluate, play_outcomes
from regoal.agent.player import Player
from regoal.agent.policy import Exploration, Policy
from regoal.agent.rollout import play
from regoal.envs import contract
from regoal.envs.goal_spec import GoalSpec
from regoal.envs.recipe import EnvRecipe
from regoal.errors import SpoiledEpisode


def policy(weight: np.ndarray | None = None, random_share: float = 0.0, random_hold: int = 1) -> Policy:
    """A linear policy on PointReach: tanh(weight @ [x, y, vx, vy, goal x, goal y])."""
    return Policy(
        weights=((np.zeros((2, 6)) if weight is None else weight).astype(np.float32),),
        biases=(np.zeros(2, np.float32),),
        mean=np.zeros(6, np.float32),
        std=np.ones(6, np.float32),
        clip=5.0,
        head="deterministic",
        exploration=Exploration(0.2, random_share, random_hold),
        observation_size=4,
        action_low=-np.ones(2, np.float32),
        action_high=np.ones(2, np.float32),
    )


TOWARDS_GOAL = 10 * np.array([[-1, 0, -4, 0, 1, 0], [0, -1, 0, -4, 0, 1]])


class PassesThrough(gym.Wrapper[Any, Any, Any, Any]):
    """Says that the goal is reached at step 10 only."""

    def reset(self, **options: Any) -> Any:
        self.now = 0
        return self.env.reset(**options)

    def step(self, action: Any) -> Any:
        observation, reward, terminated, truncated, info = self.env.step(action)
        self.now += 1
        return observation, reward, terminated, truncated, {**info, "is_success": self.now == 10}


def test_success_is_that_of_the_last_step_and_any_step_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    spec, build = point_spec(), EnvRecipe.build
    monkeypatch.setattr(EnvRecipe, "build", lambda self: PassesThrough(build(self)))
    found = evaluate(spec, policy(), episodes=3, seed=0)
    assert (found.success, found.success_any, found.mean_length) == (0.0, 1.0, 50.0)


class Stumbles(gym.Wrapper[Any, Any, Any, Any]):
    """Raises at some of its steps."""

    def __init__(self, env: Any, *bad: int) -> None:
        super().__init__(env)
        self.bad, self.now = bad, 0

    def step(self, action: Any) -> Any:
        self.now += 1
        if not self.bad or self.now in self.bad:
            raise RuntimeError("the simulator tripped")
        return self.env.step(action)


def test_an_episode_that_the_env_spoils_is_played_anew(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec, build = point_spec(), EnvRecipe.build
    expected = play_outcomes(spec, policy(TOWARDS_GOAL), episodes=3, seed=0)
    steps = iter((60, 10_000))  # the second env is sound
    monkeypatch.setattr(EnvRecipe, "build", lambda self: Stumbles(build(self), next(steps)))
    found = play_outcomes(spec, policy(TOWARDS_GOAL), episodes=3, seed=0)  # tenth step of the second
    assert (found[0], found[2]) == (expected[0], expected[2])
    assert found[1] != expected[1]  # another start and another goal
    told = capsys.readouterr().err
    assert "the simulator tripped" in told
    assert "played anew" in told


def test_an_episode_that_cannot_be_played_ends_the_evaluation_and_many_with_accidents_do_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec, build = point_spec(), EnvRecipe.build
    monkeypatch.setattr(EnvRecipe, "build", lambda self: Stumbles(build(self)))
    with pytest.raises(SpoiledEpisode, match="the simulator tripped"):
        play_outcomes(spec, policy(), episodes=3, seed=0)
    assert capsys.readouterr().err.count("played anew") == 9
    # Every env is sound for three episodes: of 40 some thirteen are spoiled, and no two attempts at one.
    monkeypatch.setattr(EnvRecipe, "build", lambda self: Stumbles(build(self), 151))
    assert len(play_outcomes(spec, policy(), episodes=40, seed=0)) == 40
    assert capsys.readouterr().err.count("played anew") == 13


class Stays(gym.Wrapper[Any, Any, Any, Any]):
    """Never comes back from its first reset."""

    def reset(self, **options: Any) -> Any:
        while True:
            time.sleep(0.01)


def test_an_env_that_hangs_is_spoiled_as_one_that_raises(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec, build = point_spec(), EnvRecipe.build
    monkeypatch.setattr(contract, "LONGEST_CALL", 0.2)
    envs = iter((Stays, lambda env: env))
    monkeypatch.setattr(EnvRecipe, "build", lambda self: next(envs)(build(self)))
    assert len(play_outcomes(spec, policy(TOWARDS_GOAL), episodes=2, seed=0)) == 2
    told = capsys.readouterr().err
    assert (
        "at episode 0: expected a reset or step that returns within 0.2 s, got none yet, in reset of" in told
    )
    assert "played anew" in told


def test_an_env_that_always_hangs_is_given_up_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    spec, build = point_spec(), EnvRecipe.build
    monkeypatch.setattr(contract, "LONGEST_CALL", 0.1)
    built = []
    monkeypatch.setattr(EnvRecipe, "build", lambda self: built.append(Stays(build(self))) or built[-1])
    with pytest.raises(SpoiledEpisode, match="returns within"):
        play_outcomes(spec, policy(), episodes=1, seed=0)
    assert len(built) == 3


class Slow(gym.Wrapper[Any, Any, Any, Any]):
    """Takes its time, step by step."""

    def step(self, action: Any) -> Any:
        time.sleep(0.02)
        return self.env.step(action)


def test_an_episode_may_take_longer_than_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    spec, build = point_spec(), EnvRecipe.build
    monkeypatch.setattr(contract, "LONGEST_CALL", 0.5)
    monkeypatch.setattr(EnvRecipe, "build", lambda self: Slow(build(self)))
    assert len(play_outcomes(spec, policy(), episodes=1, seed=0)) == 1  # 50 steps


def test_success_is_scored_on_true_state_under_sensing_noise() -> None:
    plain = GoalSpec.of("regoal/PointReach-v0")
    noisy = GoalSpec.of("regoal/PointReach-v0", "observation_noise=0.3")
    env, noisy_env = plain.recipe.build(), noisy.recipe.build()
    # A policy that ignores what it sees moves alike in both worlds: so must be what is scored.
    blind = policy()
    one = play(env, plain, blind, seed=3)
    other = play(noisy_env, noisy, blind, seed=3)
    np.testing.assert_array_equal(one.achieved_goal, other.achieved_goal)
    np.testing.assert_array_equal(one.success, other.success)
    assert not np.array_equal(one.observation, other.observation)


def test_an_evaluation_with_the_same_seed_is_the_same() -> None:
    spec = point_spec()
    steering = policy(TOWARDS_GOAL)
    first = evaluate(spec, steering, episodes=8, seed=5)
    assert evaluate(spec, steering, episodes=8, seed=5) == first
    assert first.success == 1.0
    assert evaluate(spec, steering, episodes=8, seed=6).mean_return != first.mean_return


def test_an_evaluation_is_the_mean_of_its_outcomes() -> None:
    spec = point_spec()
    sideways = policy(TOWARDS_GOAL * [[1], [0]])
    ticks: list[int] = []
    outcomes = play_outcomes(spec, sideways, episodes=30, seed=1, tick=lambda: ticks.append(1))
    found = evaluate(spec, sideways, episodes=30, seed=1)
    assert len(outcomes) == len(ticks) == found.episodes == 30
    assert 0 < found.success < 1
    assert found.success == sum(one.success for one in outcomes) / 30
    assert found.mean_return == pytest.approx(sum(one.total_reward for one in outcomes) / 30)
    # Fewer episodes are the first of them.
    assert play_outcomes(spec, sideways, episodes=9, seed=1) == outcomes[:9]


@pytest.mark.parametrize("random_hold", [1, 30])  # of 50 steps: most episodes end in the middle of a hold
def test_episode_i_is_the_same_wherever_it_is_played(random_hold: int) -> None:
    spec = point_spec()
    one, other = Player(spec, 7), Player(spec, 7)
    exploring = policy(random_share=0.3, random_hold=random_hold)
    together = [one.collect(exploring, index) for index in range(4)]
    alone = [other.collect(exploring, 2)]
    np.testing.assert_array_equal(together[2].observation, alone[0].observation)
    np.testing.assert_array_equal(together[2].action, alone[0].action)
    assert not np.array_equal(together[1].action, together[2].action)


def test_actions_reach_the_env_in_its_own_units() -> None:
    stretched = Policy(
        **policy(TOWARDS_GOAL).__dict__
        | {"action_low": np.array([0.0, -4.0], np.float32), "action_high": np.array([2.0, 4.0], np.float32)}
    )
    np.testing.assert_allclose(stretched.to_env(np.array([-1, 1], np.float32)), [0, 4])
    np.testing.assert_allclose(stretched.to_env(np.array([0, 0.5], np.float32)), [1, 2])


def test_an_evaluation_plays_the_episodes_that_a_run_of_its_seed_is_evaluated_in() -> None:
    spec = point_spec()
    player = Player(spec, 7)
    played = play_outcomes(spec, policy(TOWARDS_GOAL), episodes=5, seed=7)
    assert played == [player.evaluate(policy(TOWARDS_GOAL), index) for index in range(5)]
    assert played != play_outcomes(spec, policy(TOWARDS_GOAL), episodes=5, seed=8)
    player.close()


def test_evaluation_episodes_are_not_those_of_training() -> None:
    spec = point_spec()
    env, seen = spec.recipe.build(), []

    class Watch(gym.Wrapper[Any, Any, Any, Any]):
        def reset(self, **options: Any) -> Any:
            seen.append(options["seed"])
            return self.env.reset(**options)

    player = Player(spec, 0)
    player._envs = {purpose: Watch(env) for purpose in ("collect", "evaluate")}
    for index in range(5):
        player.evaluate(policy(), index)
        player.collect(policy(), index)
    assert len(set(seen)) == 10
