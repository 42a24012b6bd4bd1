"""The env checker: finds each fault of the broken envs and none in the real ones."""

import time
from collections.abc import Iterator
from functools import cache
from typing import Any

import broken_envs
import gymnasium as gym
import numpy as np
import pytest

from regoal.envs import contract
from regoal.envs.check import Finding, check_env, failures, render, require_contract
from regoal.envs.goal_spec import GoalSpec
from regoal.envs.recipe import EnvRecipe
from regoal.errors import BadInput

REAL = [
    ("FetchReach-v4", {}),
    ("FetchReach-v4", {"reward_type": "dense"}),
    ("FetchPush-v4", {}),
    ("FetchSlide-v4", {}),
    ("FetchPickAndPlace-v4", {}),
    ("HandReach-v3", {}),
    ("PointMaze_UMaze-v3", {}),
    ("PointMaze_UMaze-v3", {"continuing_task": False}),
    ("PointMaze_UMaze-v3", {"reward_type": "dense"}),
    ("AntMaze_UMaze-v5", {}),
    ("regoal/PointReach-v0", {"terminate_on_success": False}),
    ("regoal/PointReach-v0", {"terminate_on_success": True}),
]

# env, finding that fails, and what its detail must say: where, expected, got
BROKEN = [
    (
        "MissingKey",
        "observation space",
        "observation_space",
        "the key 'achieved_goal'",
        "the keys desired_goal",
    ),
    (
        "DroppedKey",
        "observations",
        "'desired_goal' at step 5 of episode 0",
        "the key",
        "observation, achieved_goal",
    ),
    ("WrongShape", "observations", "'observation' at reset of episode 0", "shape (4,)", "shape (3,)"),
    ("IntegerGoal", "observations", "'achieved_goal' of reset of episode 0", "a float dtype", "int64"),
    ("NanObservation", "observations", "'observation' at step 20 of episode 0", "finite", "nan at index 1"),
    ("NanReward", "reward", "reward at step 20 of episode 0", "one finite number", "nan"),
    ("CrashPenalty", "reward", "reward at step 7 of episode 0", "-1.0", "-11.0 (5 of 250 steps differ)"),
    (
        "DenseCrashPenalty",
        "reward",
        "reward at step 7 of episode 0",
        "as compute_reward(next achieved_goal",
        "(5 of 250 steps differ)",
    ),
    ("ArrayReward", "reward of pairs", "compute_reward", "one number for one pair", "shape (2,) for a pair"),
    ("WritesIntoGoals", "reward of pairs", "compute_reward", "left as they are", "read-only"),
    ("TakesNoReadOnly", "reward of pairs", "compute_reward", "takes read-only arrays", "readonly array"),
    ("InfoReward", "reward of pairs", "compute_reward", "goal alone", "KeyError: 'cost'"),
    ("PoliteInfoReward", "reward", "reward at step 0", "0.0", "-0.5 (250 of 250 steps differ)"),
    (
        "SimulatorReward",
        "reward, again",
        "compute_reward of the goals at step 0",
        "simulator's state",
        "later",
    ),
    (
        "Aliasing",
        "returned arrays",
        "'achieved_goal' of reset of episode 0",
        "stays as it was",
        "writes into it",
    ),
    (
        "SimulatorTermination",
        "termination, again",
        "compute_terminated of the goals at step",
        "simulator's state",
        "later",
    ),
    ("ImageObservation", "observation space", "['observation']", "a Box of one dimension", "Box("),
    ("IntegerBox", "observation space", "['achieved_goal']", "a float dtype", "int64"),
    ("UnequalGoals", "observation space", "['achieved_goal']", "the shape of 'desired_goal' (3,)", "(2,)"),
    ("OneAction", "action space", "action_space", "finite bounds with low < high", "low=[0.5 0.5]"),
    ("DiscreteAction", "action space", "action_space", "a bounded Box", "Discrete(4)"),
    ("UnboundedAction", "action space", "action_space", "finite bounds", "low=[-inf -inf]"),
    (
        "NestedGoals",
        "observation space",
        "['achieved_goal']",
        "one flat Box",
        "nested Dict with the keys hand",
    ),
    (
        "InvertedSuccess",
        "success and reward",
        "info at step 0 of episode 0",
        "success False, as the reward -1 says",
        "True (",
    ),
    (
        "SuccessMostlyWrong",
        "success and reward",
        "info at step 0 of episode 0",
        "as the reward",
        "(150 of 250 steps differ)",
    ),
    ("NoSuccessKey", "success", "info", "'is_success' or 'success'", "the keys distance"),
    ("SuccessVanishes", "success", "info at step 10 of episode 0", "the key 'is_success'", "no keys"),
    ("SuccessAsText", "success", "info['is_success'] at step 0", "a bool", "'no'"),
    ("Raises", "reset and step", "at step 30 of episode 1", "returns", "RuntimeError: the gripper broke off"),
    ("FourResults", "reset and step", "at step 0 of episode 0", "returns", "expected 5, got 4"),
    ("SilentTermination", "termination", "terminated at step", "no compute_terminated", "True"),
    ("OtherTermination", "termination", "terminated at step 12 of episode 0", "False", "True (5 of 65"),
    ("UnseededReset", "seeded reset", "'desired_goal' at reset", "as the first time", "0."),
    ("LeftoverState", "seeded reset", "'observation' at step 0", "as the first time", "0."),
    ("MovingGoal", "desired goal", "'desired_goal' at step 15 of episode 0", "the goal of the reset", "["),
    ("NoTimeLimit", "time limit", "max_episode_steps", "a time limit", "none"),
    ("BrokenConstructor", "constructor", "constructor", "an env", "OSError: no such model file"),
]


class ManyFaults(broken_envs.DiscreteAction):
    """No bounded action, no time limit, no success key, and a reward that compute_reward does not know."""

    def step(self, action: Any) -> Any:
        observation, reward, *ends, _ = super().step(action)
        return observation, reward - 3.0, *ends, {}


class Endless(broken_envs.Fine):
    """Claims a time limit that nobody keeps."""

    _max_episode_steps = 30


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    """These two only while a test of this file runs."""
    gym.register("broken/ManyFaults-v0", entry_point=ManyFaults)
    gym.register("broken/Endless-v0", entry_point=Endless)
    yield
    del gym.registry["broken/ManyFaults-v0"], gym.registry["broken/Endless-v0"]


def recipe_of(name: str) -> EnvRecipe:
    return EnvRecipe(f"broken_envs:broken/{name}-v0")


@cache
def failures_of(name: str) -> list[Finding]:
    """What the check finds in a broken env; the same check finds the same, so that it runs once."""
    return failures(check_env(recipe_of(name)))


@pytest.mark.parametrize(
    ("name", "finding", "where", "expected", "got"), BROKEN, ids=[row[0] for row in BROKEN]
)
def test_a_broken_env_is_found_out(name: str, finding: str, where: str, expected: str, got: str) -> None:
    found = {failure.name: failure for failure in failures_of(name)}
    assert finding in found
    detail = found[finding].detail
    place, rest = detail.split(": expected ", 1)
    assert f"broken/{name}-v0" in place
    assert where in place
    wanted, came = rest.split(", got ", 1)
    assert expected in wanted
    assert got in came
    assert found[finding].fix


@pytest.mark.parametrize("name", [row[0] for row in BROKEN])
def test_training_would_refuse_it(name: str) -> None:
    with pytest.raises(BadInput, match=f"regoal check broken_envs:broken/{name}-v0"):
        require_contract(recipe_of(name))


def test_what_training_refuses_is_found_again_with_the_same_arguments() -> None:
    recipe = EnvRecipe("broken_envs:broken/NanReward-v0", kwargs={"max_episode_steps": 30})
    with pytest.raises(BadInput, match=r"`regoal check .*NanReward-v0 --env-kwargs max_episode_steps=30`"):
        require_contract(recipe)


def test_the_list_of_broken_envs_is_complete() -> None:
    registered = {env_id.split("/")[1][:-3] for env_id in gym.registry if env_id.startswith("broken/")}
    here = {"ManyFaults", "Endless", "Waits"}
    assert registered - here == {row[0] for row in BROKEN} | set(broken_envs.KEEPS_THE_CONTRACT)


@pytest.mark.parametrize("name", broken_envs.KEEPS_THE_CONTRACT)
def test_what_is_unusual_but_right_passes(name: str) -> None:
    assert not failures(check_env(recipe_of(name)))
    require_contract(recipe_of(name)).close()


def test_success_that_is_wrong_at_times_is_a_note() -> None:
    (told,) = [one for one in check_env(recipe_of("SuccessAtTimesWrong")) if one.name == "success and reward"]
    assert (told.verdict, told.detail) == ("note", "differ at 50 of 250 steps")


def test_a_goal_that_cannot_be_seen_is_a_note() -> None:
    found = {finding.name: finding for finding in check_env(recipe_of("BlindToItself"))}["achieved goal"]
    assert found.verdict == "note"
    assert "components [0, 1] of it are none of the observation" in found.detail
    assert "append them" in found.fix
    for env_id in ("AntMaze_UMaze-v5", "regoal/PointReach-v0"):
        (seen,) = [one for one in check_env(EnvRecipe(env_id), episodes=1) if one.name == "achieved goal"]
        assert (seen.verdict, seen.detail) == ("pass", "stands in the observation")
    shifted = EnvRecipe("regoal/PointReach-v0", "observation_noise=0.1")
    assert "achieved goal" not in {finding.name for finding in check_env(shifted, episodes=1)}


def test_a_reward_that_must_be_looped_over_is_a_note() -> None:
    found = {finding.name: finding.verdict for finding in check_env(recipe_of("LoopableReward"))}
    assert found["reward of pairs"] == "note"


def test_a_termination_that_never_comes_slows_nothing_down() -> None:
    """That of the Fetch and Hand envs takes one pair alone, and is not asked."""
    findings = {one.name: one for one in check_env(EnvRecipe("FetchReach-v4"), episodes=1)}
    told = findings["termination of pairs"]
    assert (told.verdict, told.detail) == ("pass", "always False, so nobody asks")


@pytest.mark.parametrize(("env_id", "kwargs"), REAL)
def test_real_envs_pass(env_id: str, kwargs: dict[str, Any]) -> None:
    findings = check_env(EnvRecipe(env_id, kwargs=kwargs), episodes=2)
    assert not failures(findings), render(failures(findings))
    require_contract(EnvRecipe(env_id, kwargs=kwargs)).close()


def test_a_maze_that_moves_its_goal_is_told_just_that() -> None:
    findings = check_env(EnvRecipe("PointMaze_UMaze-v3", kwargs={"reset_target": True}))
    assert [failure.name for failure in failures(findings)] == ["desired goal"]


def test_franka_kitchen_is_refused_with_the_reason() -> None:
    with pytest.raises(
        BadInput, match=r"nested Dict with the keys bottom burner.* Nested goals are not supported"
    ):
        require_contract(EnvRecipe("FrankaKitchen-v1"))


def test_findings_are_collected_not_cut_off_at_the_first() -> None:
    names = [failure.name for failure in failures(check_env(EnvRecipe("broken/ManyFaults-v0")))]
    assert names == ["action space", "time limit", "success", "reward"]


def test_the_refusal_counts_the_other_failures() -> None:
    with pytest.raises(
        BadInput, match=r"3 more failed \(time limit, success, reward\); see `regoal check"
    ) as error:
        require_contract(EnvRecipe("broken/ManyFaults-v0"))
    assert error.value.where == "broken/ManyFaults-v0 action_space"
    assert error.value.got == "Discrete(4)"


def test_an_episode_past_its_limit_is_found() -> None:
    found = failures(check_env(EnvRecipe("broken/Endless-v0")))
    assert [failure.name for failure in found] == ["episode end"]
    assert "an end after max_episode_steps = 30" in found[0].detail


def test_an_env_that_does_not_come_back_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract, "LONGEST_CALL", 1.0)
    found = failures(check_env(recipe_of("Waits")))
    assert "reset and step" in [failure.name for failure in found]
    fault = next(failure for failure in found if failure.name == "reset and step")
    assert "at step 10 of episode 1: expected a reset or step that returns within 1 s" in fault.detail
    assert "none yet, in step of broken_envs.py" in fault.detail
    # Until the hand holds the block gymnasium-robotics resets it: for ever where it cannot be held.
    monkeypatch.setattr(contract, "LONGEST_CALL", 5.0)
    dropped = EnvRecipe("HandManipulateBlock-v1", "gravity=3,object_mass=100")
    with pytest.raises(BadInput, match=r"a reset or step that returns within 5 s.* try a milder one"):
        GoalSpec.from_recipe(dropped)


def test_the_env_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []
    monkeypatch.setattr(broken_envs.Fine, "close", lambda self: closed.append(type(self).__name__))
    check_env(recipe_of("Fine"))
    check_env(recipe_of("Raises"))
    check_env(recipe_of("MissingKey"))
    assert closed == ["Fine", "Raises", "MissingKey"]


def test_an_unknown_id_is_bad_input_and_no_finding() -> None:
    with pytest.raises(BadInput, match="Did you mean FetchReach-v4"):
        check_env(EnvRecipe("FetchReech-v4"))


def test_the_same_check_twice_finds_the_same() -> None:
    recipe = EnvRecipe("regoal/PointReach-v0")
    assert check_env(recipe) == check_env(recipe)


def test_the_quick_check_is_quick() -> None:
    recipe = EnvRecipe("FetchReach-v4")
    GoalSpec.from_recipe(recipe).close()  # imports and caches
    before = time.process_time()
    check_env(recipe, episodes=2, steps=50)
    assert time.process_time() - before < 0.5


def test_lines_are_aligned_and_the_fix_has_its_own() -> None:
    findings = [
        Finding("reward", "pass", "equal"),
        Finding("time limit", "fail", "none", "Give one."),
        Finding("pairs", "note", "slow"),
    ]
    assert render(findings).splitlines() == [
        "ok    reward      equal",
        "FAIL  time limit  none",
        "                  fix: Give one.",
        "note  pairs       slow",
    ]
    assert render([]) == ""


def test_messages_fit_on_a_screen() -> None:
    for name, *_ in BROKEN:
        for finding in failures_of(name):
            assert len(finding.detail) < 260
            assert "\n" not in finding.detail + finding.fix


def test_nothing_global_is_reseeded() -> None:
    np.random.seed(7)
    expected = np.random.random()
    np.random.seed(7)
    check_env(EnvRecipe("regoal/PointReach-v0"))
    assert np.random.random() == expected
