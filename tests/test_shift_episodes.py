"""A shifted env over episodes: seeds, draws, identity, the goal contract, copies, refusals."""

import copy
import pickle
import re
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium_robotics.envs.fetch.push import MujocoFetchPushEnv
from shift_play import POINT, episode_bytes

from regoal.envs import GoalSpec
from regoal.envs.recipe import make
from regoal.envs.shift import Shift
from regoal.envs.shifted import Shifted
from regoal.errors import BadInput, EnvFault

EVERYTHING = (
    "friction=0.1..2,object_mass=1/5,gravity=0.5..1.5,joint_damping=1..5,start_region=0.5..1.2,"
    "goal_region=0.5..1.2,observation_bias=-0.1..0.1,observation_noise=0..0.01,observation_delay=0..2,"
    "action_gain=0.5..2,action_rotation=-90..90,action_bias=-0.1..0.1,action_noise=0..0.1,action_delay=0..3"
)


@pytest.mark.parametrize("shift", ["friction=0.1", "action_delay=2,observation_noise=0.1,goal_region=0.5..1"])
def test_start_of_the_episode_is_that_of_the_plain_env_for_the_same_seed(shift: str) -> None:
    plain, shifted = make("FetchPush-v4"), make("FetchPush-v4", shift)
    for seed in range(3):
        expected, got = plain.reset(seed=seed)[0], shifted.reset(seed=seed)[0]
        np.testing.assert_array_equal(got["achieved_goal"], expected["achieved_goal"])
    plain.close()
    shifted.close()


@pytest.mark.parametrize(("env_id", "shift"), [("FetchPush-v4", EVERYTHING), (POINT, "")])
def test_same_seed_gives_the_same_episode_whatever_happened_before(env_id: str, shift: str) -> None:
    shift = shift or EVERYTHING.split(",", 4)[4]
    fresh = [make(env_id, shift) for _ in range(3)]
    old = make(env_id, shift)
    for seed in (5, None, None, 6, None):
        episode_bytes(old, seed, steps=7, actions=9)
    for seed, env in enumerate(fresh):
        assert episode_bytes(old, seed) == episode_bytes(env, seed)
    assert episode_bytes(old, None) == episode_bytes(fresh[2], None)  # and unseeded resets go on alike
    for env in (*fresh, old):
        env.close()


def test_nominal_physics_comes_back_exactly_between_episodes() -> None:
    """An episode at the identity is the plain env's, even after episodes with other values."""
    plain = make("FetchPush-v4")
    shifted = make("FetchPush-v4", "friction=0.1/1,object_mass=1/8,gravity=0.5/1")
    identity = "friction=1,object_mass=1,gravity=1"
    found = 0
    for seed in range(40):
        episode = episode_bytes(shifted, seed, steps=4)
        if identity.encode() in episode:
            found += 1
            assert episode == episode_bytes(plain, seed, steps=4).replace(b"None", identity.encode())
    assert found >= 2
    plain.close()
    shifted.close()


def test_values_are_drawn_anew_for_each_episode_and_told() -> None:
    env = make(POINT, "action_delay=1/3,action_gain=0.5..2")
    told = [env.reset(seed=0)[1]["shift"]] + [env.reset()[1]["shift"] for _ in range(30)]
    assert len(set(told)) == 31
    drawn = [Shift.parse(text) for text in told]
    assert {shift.terms[1].values for shift in drawn} == {(1.0,), (3.0,)}
    assert all(0.5 <= shift.terms[0].values[0] <= 2 for shift in drawn)
    assert env.get_wrapper_attr("shift_this_episode") == drawn[-1]
    assert str(env.get_wrapper_attr("shift")) == "action_gain=0.5..2,action_delay=1/3"
    again = make(POINT, "action_delay=1/3,action_gain=0.5..2")
    assert [again.reset(seed=0)[1]["shift"]] + [again.reset()[1]["shift"] for _ in range(30)] == told


def test_noise_within_episodes_does_not_disturb_what_is_drawn_between_them() -> None:
    told = []
    for steps in (0, 20):
        env = make(POINT, "action_gain=0.5..2,observation_noise=0.1")
        env.reset(seed=0)
        for _ in range(steps):
            env.step(np.zeros(2, np.float32))
        told.append(env.reset()[1]["shift"])
    assert told[0] == told[1]


def test_a_copy_shifts_its_own_simulation() -> None:
    env = make("FetchPush-v4", "friction=0.1,object_mass=3")
    expected = episode_bytes(env, 1)
    for twin in (copy.deepcopy(env), pickle.loads(pickle.dumps(env))):  # noqa: S301
        assert twin.unwrapped.model is not env.unwrapped.model  # type: ignore[attr-defined]
        assert episode_bytes(twin, 1) == expected
        twin.close()
    env.close()


def test_a_copy_must_be_reset_before_its_shift_is_in_force() -> None:
    env = make(POINT, "action_gain=0.1,observation_bias=5")
    env.reset(seed=0)
    env.step(np.ones(2, np.float32))
    twin = copy.deepcopy(env)
    with pytest.raises(EnvFault, match="step: expected an env that was reset"):
        twin.step(np.ones(2, np.float32))
    twin.reset(seed=0)
    twin.step(np.ones(2, np.float32))


def test_a_copy_scales_the_figures_of_the_plain_env() -> None:
    env = make(POINT, "start_region=1.5,goal_region=1.5,reward_threshold=0.5")
    expected = episode_bytes(env, 1)
    twin = copy.deepcopy(env)
    assert episode_bytes(twin, 1) == expected
    # So does a shift that is put on an env after another one was taken off.
    again = Shift.parse("goal_region=1.5").apply(twin.env)  # type: ignore[attr-defined]
    goal = again.reset(seed=1)[0]["desired_goal"]
    np.testing.assert_array_equal(goal, env.reset(seed=1)[0]["desired_goal"])


@pytest.mark.parametrize(
    ("env_id", "shift"),
    [("FetchPush-v4", "friction=0.1"), ("FetchPush-v4", EVERYTHING), (POINT, "goal_region=1.5")],
)
def test_the_goal_contract_holds_under_a_shift(env_id: str, shift: str) -> None:
    plain, spec = GoalSpec.of(env_id), GoalSpec.of(env_id, shift)
    assert spec.recipe.shift == shift
    assert (spec.observation_size, spec.goal_size) == (plain.observation_size, plain.goal_size)
    assert spec.success_key == plain.success_key
    goals = np.random.default_rng(0).normal(size=(2, 6, spec.goal_size))
    np.testing.assert_array_equal(spec.reward(*goals), plain.reward(*goals))
    env = make(env_id, shift)
    observation, _ = env.reset(seed=0)
    for _ in range(10):
        observation, reward, *_, info = env.step(np.ones(env.action_space.shape or (), np.float32))
        achieved, desired = observation["achieved_goal"], observation["desired_goal"]
        assert reward == env.get_wrapper_attr("compute_reward")(achieved, desired, {})
        assert bool(info[spec.success_key]) == (reward == 0)
    for thing in (plain, spec, env):
        thing.close()


def test_no_shift_is_no_wrapper() -> None:
    env = make(POINT)
    assert Shift.parse("").apply(env) is env
    assert not env.has_wrapper_attr("shift")


REFUSED = [
    ("FetchReach-v4", "friction=0.1", "nothing in it slides"),
    ("HandReach-v3", "friction=0.1", "nothing in it slides"),
    ("PointMaze_UMaze-v3", "friction=0.1", "nothing in it slides"),
    (POINT, "friction=0.1", "nothing in it slides"),
    ("HandManipulateBlock-v1", "friction=0.1", "lies in the hand"),
    ("FetchReach-v4", "object_mass=2", "no object"),
    ("AntMaze_UMaze-v5", "object_mass=2", "no object"),
    (POINT, "gravity=2", "not simulated by MuJoCo"),
    ("HandReach-v3", "action_rotation=45", "joint angles"),
    ("AntMaze_UMaze-v5", "action_rotation=45", "joint torques"),
    ("PointMaze_UMaze-v3", "goal_region=1.2", "cells of the maze"),
    ("HandReach-v3", "goal_region=1.2", "finger-tip positions"),
    ("FetchReach-v4", "start_region=1.2", "it starts in the same place every time"),
    ("HandReach-v3", "start_region=1.2", "it starts in the same place every time"),
    ("HandManipulateBlock-v1", "start_region=1.2", "it starts in the hand"),
    ("AntMaze_UMaze-v5", "start_region=1.2", "it starts in cells of the maze"),
    ("PointMaze_UMaze-v3", "reward_threshold=0.5", "fixed in its code"),
    ("HandManipulateBlock-v1", "reward_threshold=0.5", "two thresholds"),
    (POINT, "joint_damping=2", "it has no joints"),
]


@pytest.mark.parametrize(("env_id", "shift", "reason"), REFUSED)
def test_a_shift_that_cannot_apply_is_refused_with_the_reason(env_id: str, shift: str, reason: str) -> None:
    with pytest.raises(BadInput) as caught:
        make(env_id, f"action_gain=0.5,{shift}")
    error = caught.value
    assert env_id in error.where
    assert shift.partition("=")[0] in error.where
    assert reason in error.got
    assert "Here these apply: " in error.fix
    assert "action_gain" in error.fix
    assert shift.partition("=")[0] not in error.fix


class InOtherUnits(gym.ObservationWrapper[Any, Any, Any]):
    def observation(self, observation: Any) -> Any:
        return {key: 10 * value for key, value in observation.items()}


@pytest.mark.parametrize("shift", ["start_region=0.8", "goal_region=0.8"])
def test_what_is_read_anew_below_a_wrapper_of_ones_own_is_refused(shift: str) -> None:
    gym.register("mine/Push-v0", entry_point=lambda: InOtherUnits(MujocoFetchPushEnv()), max_episode_steps=5)
    try:
        with pytest.raises(BadInput, match="its wrapper InOtherUnits may change what it returns"):
            make("mine/Push-v0", shift)
        make("mine/Push-v0", "friction=0.5").close()
    finally:
        del gym.registry["mine/Push-v0"]


class PointReach(gym.Env[Any, Any]):
    """No relation of ours."""

    action_space = gym.spaces.Box(-1, 1, (2,))
    observation_space = gym.spaces.Dict({"observation": gym.spaces.Box(-1, 1, (2,))})


def test_a_class_of_somebody_elses_that_has_a_known_name_is_not_known() -> None:
    gym.register("mine/Point-v0", entry_point=PointReach, max_episode_steps=5)
    try:
        for shift in ("goal_region=0.5", "action_rotation=45"):
            with pytest.raises(BadInput, match="is not known for this env"):
                make("mine/Point-v0", shift)
    finally:
        del gym.registry["mine/Point-v0"]


@pytest.mark.parametrize(
    ("env_id", "too_far", "greatest"),
    [
        ("FetchPush-v4", "goal_region=1.3", "1.24"),
        ("FetchSlide-v4", "goal_region=0.5..2", "1.49"),
        (POINT, "goal_region=1/1.6", "1.5"),
        ("FetchPickAndPlace-v4", "start_region=1.5", "1.38"),
        (POINT, "start_region=1..1.6", "1.5"),
    ],
)
def test_regions_out_of_reach_are_refused_with_a_figure_that_works(
    env_id: str, too_far: str, greatest: str
) -> None:
    family, figures = too_far.split("=")
    with pytest.raises(BadInput) as caught:
        make(env_id, too_far)
    assert f"a value <= {greatest} in this env" in caught.value.expected
    assert caught.value.got == re.split(r"\.\.|/", figures)[-1]
    make(env_id, f"{family}={greatest}").close()


def test_a_second_shift_is_refused_and_told_how_to_write_both() -> None:
    env = make(POINT, "action_gain=0.5")
    with pytest.raises(BadInput, match=re.escape("action_gain=0.5,action_delay=1")):
        Shift.parse("action_delay=1").apply(gym.wrappers.TimeLimit(env, 10))
    with pytest.raises(BadInput):
        Shifted(env, "action_gain=2")


def test_an_env_that_is_not_in_the_table_takes_what_needs_no_table() -> None:
    class Plain(gym.Env[dict[str, Any], Any]):
        action_space = gym.spaces.Box(-1, 1, (2,), np.float32)
        observation_space = gym.spaces.Dict(
            {
                key: gym.spaces.Box(-1, 1, (2,), np.float32)
                for key in ("observation", "achieved_goal", "desired_goal")
            }
        )

        def reset(
            self, *, seed: int | None = None, options: Any = None
        ) -> tuple[dict[str, Any], dict[str, Any]]:
            super().reset(seed=seed)
            return {key: np.ones(2, np.float32) for key in self.observation_space}, {}

    text = "observation_bias=1,observation_noise=5,observation_delay=1,action_gain=mild,action_bias=0.1,"
    env = Shift.parse(text + "action_noise=0.1,action_delay=1").apply(Plain())
    observation, _ = env.reset(seed=0)
    assert env.observation_space.contains(observation)  # noise stays within declared bounds, float32
    with pytest.raises(BadInput, match="not known for this env"):
        Shift.parse("action_rotation=45").apply(Plain())
