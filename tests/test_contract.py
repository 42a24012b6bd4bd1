"""GoalSpec: scores as the env does, here and in another process, and says what it needs to."""

import dataclasses
import math
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from regoal.envs.contract import action_bounds, constant_result
from regoal.envs.goal_spec import GoalSpec
from regoal.envs.recipe import EnvRecipe, make
from regoal.errors import BadInput

TESTS = str(Path(__file__).parent)
SOURCE = str(Path(__file__).parents[1] / "src")

ENVS = [
    ("FetchReach-v4", {}),
    ("FetchPush-v4", {}),
    ("FetchReach-v4", {"reward_type": "dense"}),
    ("PointMaze_UMaze-v3", {}),
    ("PointMaze_UMaze-v3", {"continuing_task": False}),
    ("AntMaze_UMaze-v5", {}),
    ("regoal/PointReach-v0", {"terminate_on_success": True}),
    ("broken_envs:broken/LoopableReward-v0", {}),
]


def in_fresh_process(code: str, *arguments: str) -> str:
    """Standard output of the code, run where nothing is imported yet."""
    path = os.pathsep.join([TESTS, SOURCE])
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, env=os.environ | {"PYTHONPATH": path}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def play(recipe: EnvRecipe, steps: int = 60) -> dict[str, np.ndarray]:
    """Real transitions: (steps, goal) achieved and desired, (steps,) reward and terminated."""
    env = recipe.build()
    rng = np.random.default_rng(0)
    rows: dict[str, list[Any]] = {"achieved": [], "desired": [], "reward": [], "terminated": []}
    env.reset(seed=5)
    for _ in range(steps):
        action = rng.uniform(env.action_space.low, env.action_space.high).astype(np.float32)
        observation, reward, terminated, truncated, _ = env.step(action)
        rows["achieved"].append(observation["achieved_goal"])
        rows["desired"].append(observation["desired_goal"])
        rows["reward"].append(reward)
        rows["terminated"].append(terminated)
        if terminated or truncated:
            env.reset()
    env.close()
    return {key: np.asarray(value) for key, value in rows.items()}


@pytest.mark.parametrize(("env_id", "kwargs"), ENVS)
def test_scores_are_those_of_the_env(env_id: str, kwargs: dict[str, Any]) -> None:
    spec = GoalSpec.of(env_id, **kwargs)
    seen = play(spec.recipe)
    reward = spec.reward(seen["achieved"], seen["desired"])
    assert reward.dtype == np.float32
    np.testing.assert_array_equal(reward, seen["reward"].astype(np.float32))
    np.testing.assert_array_equal(spec.terminated(seen["achieved"], seen["desired"]), seen["terminated"])
    # A goal that is its own target is reached: the best reward there is.
    reached = spec.reward(seen["achieved"], seen["achieved"])
    np.testing.assert_array_equal(reached, np.float32(spec.reward_range[1]))
    spec.close()


def test_relabelled_pairs_end_where_the_env_would_end() -> None:
    spec = GoalSpec.of("PointMaze_UMaze-v3", continuing_task=False)
    achieved = np.array([[0.0, 0.0], [0.0, 0.0]])
    np.testing.assert_array_equal(
        spec.terminated(achieved, np.array([[0.4, 0.0], [0.5, 0.0]])), [True, False]
    )


def test_sizes_and_keys_of_fetch_push() -> None:
    spec = GoalSpec.of("FetchPush-v4")
    assert (spec.observation_size, spec.goal_size, spec.action_size) == (25, 3, 4)
    assert (spec.action_low, spec.action_high) == ((-1.0,) * 4, (1.0,) * 4)
    assert (spec.success_key, spec.max_episode_steps) == ("is_success", 50)
    assert (spec.reward_range, spec.sparse) == ((-1.0, 0.0), True)


def test_actions_stay_within_bounds_that_single_precision_has_no_numbers_for() -> None:
    env = gym.make("regoal/PointReach-v0")
    for low, high in ((-0.1, 0.1), (0.1, 0.7), (-0.7, -0.1), (-1.0, 1.0)):
        env.action_space = gym.spaces.Box(low, high, (2,), np.float64)
        bounds = action_bounds(env)
        for bound, exact in zip(bounds, (low, high), strict=True):
            assert bound.dtype == np.float32
            assert (low <= bound.astype(np.float64)).all()
            assert (bound.astype(np.float64) <= high).all()
            assert np.allclose(bound, exact, rtol=2e-7)


def test_the_mazes_call_it_success() -> None:
    spec = GoalSpec.of("PointMaze_UMaze-v3")
    assert (spec.success_key, spec.reward_range) == ("success", (0.0, 1.0))


@pytest.mark.parametrize(
    ("env_id", "kwargs", "expected"),
    [
        ("FetchReach-v4", {}, (-50.0, 0.0)),  # -1 for ever at gamma 0.98: -1 / 0.02
        ("PointMaze_UMaze-v3", {}, (0.0, 50.0)),
        ("FetchReach-v4", {"reward_type": "dense"}, (-math.inf, math.inf)),
    ],
)
def test_value_bounds(env_id: str, kwargs: dict[str, Any], expected: tuple[float, float]) -> None:
    assert GoalSpec.of(env_id, **kwargs).value_bounds(gamma=0.98) == pytest.approx(expected)


def test_value_bounds_hold_for_an_episode_that_ends_at_once() -> None:
    """Rewards of 1 and 2 at gamma 0.5: a single 1 is the least, 2 for ever (2 / 0.5) the most."""
    spec = dataclasses.replace(GoalSpec.of("regoal/PointReach-v0"), reward_range=(1.0, 2.0))
    assert spec.value_bounds(0.5) == (1.0, 4.0)


@pytest.mark.parametrize("env_id", ["FetchReach-v4", "regoal/PointReach-v0", "broken_envs:broken/Fine-v0"])
def test_it_is_rebuilt_in_another_process(env_id: str, tmp_path: Path) -> None:
    spec = GoalSpec.of(env_id)
    seen = play(spec.recipe, 20)
    (tmp_path / "spec").write_bytes(pickle.dumps((spec, seen["achieved"], seen["desired"])))
    code = (
        "import pickle, sys; spec, achieved, desired = pickle.load(open(sys.argv[1], 'rb'));"
        "print(spec.reward(achieved, desired).tolist(), spec.recipe.env_id)"
    )
    told = in_fresh_process(code, str(tmp_path / "spec"))
    assert told == f"{spec.reward(seen['achieved'], seen['desired']).tolist()} {env_id}"


def test_a_pickle_carries_no_env() -> None:
    spec = GoalSpec.of("regoal/PointReach-v0")
    copy = pickle.loads(pickle.dumps(spec))  # noqa: S301  (our own bytes)
    assert copy == spec
    assert not copy._scorer
    assert spec._scorer


def test_an_env_whose_dependency_is_missing_says_so_and_is_not_called_unknown() -> None:
    def refuse() -> None:
        raise gym.error.DependencyNotInstalled("pip install pybullet")

    gym.register("needs/Bullet-v0", entry_point=refuse, max_episode_steps=5)
    try:
        with pytest.raises(BadInput, match=r"expected an env that can be built, got pip install pybullet"):
            make("needs/Bullet-v0")
    finally:
        del gym.registry["needs/Bullet-v0"]


def test_a_misspelt_id_is_told_the_right_one() -> None:
    with pytest.raises(BadInput, match=r"Did you mean .*PointMaze_UMaze-v3"):
        GoalSpec.of("PointMaze_Umase-v3")


def test_a_module_that_is_not_there_is_named() -> None:
    with pytest.raises(BadInput, match=r"a module 'no_such_module' that can be imported"):
        GoalSpec.of("no_such_module:ns/Env-v0")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("ArrayReward", r"one number for one pair of goals, got shape \(2,\)"),
        ("InfoReward", "KeyError: 'cost' with an empty info"),
        ("SimulatorReward", "whatever the simulator's state"),
        ("NoSuccessKey", "'is_success' or 'success' after every step, got the keys distance"),
        ("NestedGoals", "Nested goals are not supported"),
        ("WrongShape", r"expected shape \(4,\), got shape \(3,\)"),
        ("FourResults", "at probing, reset 0, step 0: .* not enough values to unpack"),
    ],
)
def test_reading_a_broken_env_says_what_is_wrong(name: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        GoalSpec.of(f"broken_envs:broken/{name}-v0")


def test_envs_never_import_torch() -> None:
    code = (
        "import sys; from regoal.envs.goal_spec import GoalSpec; from regoal.envs import check;"
        "GoalSpec.of('regoal/PointReach-v0'); GoalSpec.of('FetchReach-v4');"
        "print('torch' in sys.modules)"
    )
    assert in_fresh_process(code) == "False"


def says_no(achieved_goal: Any, desired_goal: Any, info: Any) -> bool:
    """Never ends."""
    return False


def looks_first(achieved_goal: Any, desired_goal: Any, info: Any) -> bool:
    return False if info is None else achieved_goal is desired_goal


def calls(achieved_goal: Any, desired_goal: Any, info: Any) -> bool:
    print(end="")
    return False


class Says:
    def method(self, achieved_goal: Any, desired_goal: Any, info: Any) -> bool:
        return False


@pytest.mark.parametrize(
    ("function", "constant"),
    [(says_no, False), (Says().method, False), (looks_first, None), (calls, None), (np.equal, None)],
)
def test_a_function_that_returns_a_constant_is_known_by_its_code(function: Any, constant: object) -> None:
    assert constant_result(function) is constant


def test_fetch_is_never_asked_pair_by_pair_whether_it_terminates() -> None:
    for env_id, never in (("FetchPush-v4", True), ("PointMaze_UMaze-v3", False)):
        spec = GoalSpec.of(env_id)
        assert spec.can_terminate
        assert spec._never_terminates is never
        spec.close()
