"""Shifts of sensing: what the agent sees, what it does to a controller, and what stays true."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from numpy.typing import NDArray
from shift_play import POINT

from regoal.envs.recipe import Env, make
from regoal.envs.shift import Shift

Floats = NDArray[np.float64]
SENSING = ["observation_bias=0.05", "observation_noise=0.05", "observation_delay=3"]


def _seen(env: Env, seed: int = 0, steps: int = 30) -> Floats:
    """The observations of an episode of random actions, (steps + 1, size)."""
    actions = np.random.default_rng(0)
    seen = [env.reset(seed=seed)[0]["observation"]]
    for _ in range(steps):
        action = actions.uniform(-1, 1, env.action_space.shape or ()).astype(np.float32)
        seen.append(env.step(action)[0]["observation"])
    return np.stack(seen)


@pytest.mark.parametrize("env_id", ["FetchPush-v4", "HandReach-v3", "AntMaze_UMaze-v5", POINT])
def test_reward_success_and_goals_stay_on_the_true_state(env_id: str) -> None:
    """The same actions give the same episode in all but the observation."""
    plain, shifted = make(env_id), make(env_id, ",".join(SENSING))
    actions = np.random.default_rng(0)
    for seed in range(2):
        true, seen = plain.reset(seed=seed)[0], shifted.reset(seed=seed)[0]
        for _ in range(20):
            assert seen["observation"].dtype == true["observation"].dtype
            assert (seen["observation"] != true["observation"]).all()
            for key in ("achieved_goal", "desired_goal"):
                np.testing.assert_array_equal(seen[key], true[key])
            action = actions.uniform(-1, 1, plain.action_space.shape or ()).astype(np.float32)
            (true, *expected, told), (seen, *got, told_shifted) = plain.step(action), shifted.step(action)
            assert got == expected
            assert {key: told_shifted[key] for key in told if "success" in key} == {
                key: told[key] for key in told if "success" in key
            }
    plain.close()
    shifted.close()


def test_an_env_that_goes_beyond_its_own_bounds_is_not_cut_off_by_a_shift() -> None:
    plain, biased = make(POINT), make(POINT, "observation_bias=0.0001")
    for env in (plain, biased):
        box = gym.spaces.Box(-0.01, 0.01, (4,), np.float64)
        spaces = {**env.unwrapped.observation_space.spaces, "observation": box}  # type: ignore[attr-defined]
        env.unwrapped.observation_space = gym.spaces.Dict(spaces)
    true, seen = _seen(plain), _seen(biased)
    assert np.abs(true).max() > 0.1
    assert np.abs(seen - true).max() <= 0.0001 + 1e-12


def test_an_ant_is_told_where_it_is_and_sensors_err_in_that_too() -> None:
    env, noisy = make("AntMaze_UMaze-v5"), make("AntMaze_UMaze-v5", "observation_noise=0.1")
    assert env.observation_space["observation"].shape == (107,)  # type: ignore[index]
    starts = []
    for seed in range(3):
        observation, _ = env.reset(seed=seed)
        assert env.observation_space.contains(observation)
        np.testing.assert_array_equal(observation["observation"][-2:], observation["achieved_goal"])
        starts.append(observation["observation"])
        seen, _ = noisy.reset(seed=seed)
        np.testing.assert_array_equal(seen["achieved_goal"], observation["achieved_goal"])
        assert (seen["observation"][-2:] != observation["achieved_goal"]).all()
    assert len(np.unique(starts, axis=0)) == 3
    again = gym.make(gym.envs.registration.EnvSpec.from_json(env.spec.to_json()))  # type: ignore[union-attr]
    np.testing.assert_array_equal(again.reset(seed=2)[0]["observation"], starts[2])
    for one in (env, noisy, again):
        one.close()


# --- bias ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bias", [0.02, -0.3])
def test_bias_is_on_every_component_at_every_step(bias: float) -> None:
    for env_id in ("FetchReach-v4", POINT):
        plain, biased = make(env_id), make(env_id, f"observation_bias={bias}")
        np.testing.assert_allclose(_seen(biased) - _seen(plain), bias, atol=1e-12)


def _steered(shift: str, seed: int) -> Floats:
    """Position minus goal [m] at every step of a controller that goes by what it sees, (50, 2)."""
    env = make(POINT, shift)
    observation, _ = env.reset(seed=seed)
    error = []
    for _ in range(50):
        position, velocity = observation["observation"][:2], observation["observation"][2:]
        push = np.clip(4 * (observation["desired_goal"] - position) - 4 * velocity, -1, 1)
        observation, *_ = env.step(push.astype(np.float32))
        error.append(observation["achieved_goal"] - observation["desired_goal"])
    return np.stack(error)


@pytest.mark.parametrize("bias", [0.1, -0.2])
def test_a_controller_stops_on_the_other_side_of_the_goal_by_twice_the_bias(bias: float) -> None:
    """At rest 4 * (goal - position - bias) - 4 * bias = 0: half of it is the position's, half the speed's."""
    np.testing.assert_allclose(_steered(f"observation_bias={bias}", 0)[-1], -2 * bias, atol=0.002)


def test_the_longer_the_delay_the_farther_a_controller_overshoots() -> None:
    plain, two, four = (
        np.mean([np.abs(_steered(f"observation_delay={k}", seed)[-10:]).max() for seed in range(5)])
        for k in (0, 3, 6)
    )
    assert plain < 0.02
    assert 2 * plain + 0.01 < two < 0.7 * four


# --- delay --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [1, 4])
def test_delay_shows_what_was_true_so_many_steps_ago(steps: int) -> None:
    for env_id in ("FetchReach-v4", POINT):
        true, seen = _seen(make(env_id)), _seen(make(env_id, f"observation_delay={steps}"))
        np.testing.assert_array_equal(seen[steps:], true[:-steps])
        np.testing.assert_array_equal(seen[:steps], [true[0]] * steps)


def test_a_delayed_reading_keeps_the_noise_and_the_bias_it_was_taken_with() -> None:
    at_once = _seen(make(POINT, "observation_bias=0.1,observation_noise=0.1"))
    later = _seen(make(POINT, "observation_bias=0.1,observation_noise=0.1,observation_delay=2"))
    np.testing.assert_array_equal(later[2:], at_once[:-2])


def test_each_episode_starts_with_its_own_first_reading() -> None:
    env = make(POINT, "observation_delay=5")
    for seed in range(3):
        observation, _ = env.reset(seed=seed)
        np.testing.assert_array_equal(observation["observation"][:2], observation["achieved_goal"])
        observation["observation"][:] = 9.0  # what was handed out is the agent's own
        assert env.step(np.ones(2, np.float32))[0]["observation"][0] != 9.0


def test_bounded_observations_stay_within_their_bounds() -> None:
    class Narrow(gym.ObservationWrapper[Any, Any, Any]):
        def __init__(self, env: Env) -> None:
            super().__init__(env)
            box = gym.spaces.Box(-1.0, 1.0, (4,), np.float32)
            spaces = env.observation_space.spaces  # type: ignore[attr-defined]
            self.observation_space = gym.spaces.Dict({**spaces, "observation": box})

        def observation(self, observation: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
            small = np.clip(observation["observation"], -1, 1).astype(np.float32)
            return {**observation, "observation": small}

    env = Shift.parse("observation_bias=0.5,observation_noise=0.5,observation_delay=1").apply(
        Narrow(make(POINT))
    )
    seen = _seen(env)
    assert seen.max() == 1.0
    assert env.observation_space.contains(env.reset(seed=1)[0])
