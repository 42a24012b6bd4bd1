"""Early diagnosis: what keeps a run from learning is said with its figure, and nothing else is said."""

import dataclasses
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from fake_spec import point_spec

from regoal import DDPGConfig, SACConfig, TrainConfig, resume, train
from regoal.agent import diagnosis, loop
from regoal.agent.checkpoints import newest_checkpoint
from regoal.agent.diagnosis import Diagnosis, at_bounds, largest_move, most_common, saturated_share
from regoal.agent.learner import make_learner
from regoal.agent.networks import Ensemble
from regoal.agent.normaliser import Normaliser
from regoal.agent.rollout import play
from regoal.buffers.hindsight import HindsightBuffer
from regoal.envs.goal_spec import GoalSpec
from regoal.envs.point_reach import PointReach

TINY = DDPGConfig(hidden=(16,), batch_size=32)
BUSY = DDPGConfig(hidden=(16, 16), batch_size=32, updates_per_step=1.0)
# Learns in 2,000 steps, and so many updates.
LEARNS = DDPGConfig(
    hidden=(64, 64), batch_size=128, lr=3e-3, gamma=0.95, random_share=0.8, updates_per_step=1.0
)


class Unmoved(PointReach):
    """What is to come to the goal is a box that the point mass never touches."""

    def reset(self, **options: Any) -> Any:
        observation, _ = super().reset(**options)
        self._box = np.array(observation["achieved_goal"])
        return self._with_box(observation), {"is_success": self._reached()}

    def step(self, action: Any) -> Any:
        observation, _, _, _, _ = super().step(action)
        reward = float(self.compute_reward(self._box, observation["desired_goal"], {}))
        return self._with_box(observation), reward, False, False, {"is_success": self._reached()}

    def _with_box(self, observation: Any) -> Any:
        return {**observation, "achieved_goal": self._box.copy()}

    def _reached(self) -> bool:
        return bool(self.compute_reward(self._box, self._goal, {}) == 0)


if "diagnosis/Unmoved-v0" not in gym.registry:
    gym.register("diagnosis/Unmoved-v0", entry_point=Unmoved, max_episode_steps=50)


def _config(out: Path, **changes: Any) -> TrainConfig:
    usual = TrainConfig(
        env="regoal/PointReach-v0",
        out=str(out),
        agent=TINY,
        steps=2_000,
        eval_interval=100_000,
        eval_episodes=1,
        workers=0,
    )
    return dataclasses.replace(usual, **changes)


def _warnings(told: str) -> list[str]:
    return [line for line in told.splitlines() if "warning" in line]


# The figures, on arrays made by hand


def _path(*achieved: tuple[float, float], desired: tuple[float, float]) -> Any:
    return np.array(achieved, np.float32), np.array(desired, np.float32)


def test_the_largest_move_is_a_share_of_the_span_of_goals() -> None:
    still = _path((0.0, 1.0), (0.0, 1.0), desired=(4.0, 1.0))
    moved = _path((0.0, 0.0), (0.1, 0.0), (-0.1, 0.05), desired=(2.0, 1.0))
    assert largest_move([still, still], 0.01) == 0.0
    assert largest_move([still, moved], 1.0) == pytest.approx(0.2 / 4.0)  # from -0.1 to 0.1; goals in 0..4
    # All goals the same: what counts is how far away they are.
    assert largest_move([_path((0.0, 0.0), (0.5, 0.0), desired=(2.0, 0.0))], 1.0) == 0.25
    assert largest_move([_path((0.0, 0.0), (0.0, 0.0), desired=(0.0, 0.0))], 0.01) == 0.0


def test_the_search_for_a_move_ends_with_the_newest_episode_that_moved() -> None:
    far = _path((0.0, 0.0), (9.0, 0.0), desired=(1.0, 0.0))
    near = _path((0.0, 0.0), (0.2, 0.0), desired=(1.0, 0.0))
    assert largest_move([far, near], 0.1) == pytest.approx(0.2)


def test_the_most_common_reward_and_its_share() -> None:
    assert most_common(np.array([-1, 0, 0, -0.0, 0], np.float32)) == (0.0, 0.8)
    assert most_common(np.array([0.5, 0.25], np.float32))[1] == 0.5
    assert most_common(np.array([], np.float32)) == (0.0, 0.0)


def test_targets_sit_on_a_bound_where_they_cannot_be_right() -> None:
    bounds, rewards = (-50.0, 0.0), (-1.0, 0.0)
    target = np.array([-50, -49.6, -49, -25, -1, 0, 0.4, -0.4], np.float32)
    missed, met = np.full(8, -1.0, np.float32), np.zeros(8, np.float32)
    assert at_bounds(target, missed, bounds, rewards) == (2 / 8, 3 / 8)
    assert at_bounds(target, met, bounds, rewards) == (2 / 8, 0.0), "at the goal the greatest value is right"
    # Rewards of 0 and 1, as in mazes: a missed goal is worth 49 at most.
    target = np.array([0, 0.4, 49, 49.6, 52], np.float32)
    assert at_bounds(target, np.zeros(5, np.float32), (0.0, 50.0), (0.0, 1.0)) == (2 / 5, 2 / 5)
    assert at_bounds(target, np.ones(5, np.float32), (0.0, 50.0), (0.0, 1.0)) == (2 / 5, 0.0)
    assert at_bounds(target, np.zeros(5, np.float32), (-np.inf, np.inf), (-2.0, 0.0)) == (0.0, 0.0)


def test_saturated_actions_are_counted_by_component() -> None:
    assert saturated_share(np.array([[1.0, -0.995], [0.98, 0.0]], np.float32)) == 0.5


def test_where_a_critic_is_drawn_for_the_target_each_is_looked_at() -> None:
    """The least of four hides one that overestimates, and every fourth target is its."""
    agent, spec = dataclasses.replace(TINY, n_critics=4, target_critics=1), point_spec()
    learner = make_learner(agent, spec, Normaliser(spec.observation_size, spec.goal_size), 0)
    target_critic = learner.modules()["target_critic"]
    assert isinstance(target_critic, Ensemble)
    with torch.no_grad():
        target_critic.layers()[-1][1][2] += 1_000.0
    buffer = HindsightBuffer(spec, 100, strategy="future", seed=0)
    buffer.add_episode(play(spec.recipe.build(), spec, learner.policy(), seed=0))
    batch = buffer.sample(32)
    drawn, _ = diagnosis.values(learner, batch, spec, 0.9, drawn=True)
    least, _ = diagnosis.values(learner, batch, spec, 0.9)
    assert drawn is not None
    assert least is not None
    assert (drawn.shape, least.shape) == ((4, 32), (1, 32))
    bounds, reward = spec.value_bounds(0.9), batch.reward.numpy()
    assert at_bounds(least, reward, bounds, spec.reward_range)[1] == 0
    missed = float((reward < 0).mean())
    assert at_bounds(drawn, reward, bounds, spec.reward_range)[1] == pytest.approx(missed / 4)


@pytest.mark.parametrize(
    ("critics", "drawn", "advice"),
    [
        (1, 0, "Lower agent.lr, or --set agent.n_critics=2."),
        (2, 0, "Lower agent.lr."),
        (4, 1, "Lower agent.lr, or --set agent.target_critics=0, which takes the least of all critics."),
    ],
)
def test_what_is_tried_against_overestimation_is_not_what_is_there(
    tmp_path: Path, critics: int, drawn: int, advice: str
) -> None:
    config = _config(tmp_path, agent=dataclasses.replace(TINY, n_critics=critics, target_critics=drawn))
    told = Diagnosis(config, point_spec(), None, None)._at_bound(0.0, 0.9)  # type: ignore[arg-type]
    assert told.endswith(f"Q is overestimated. {advice}")


# Trainings


def test_a_goal_that_never_moves_is_told_once_and_not_in_two_ways(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(loop, "LOOK_EVERY", 400)
    train(_config(tmp_path / "run", env="diagnosis/Unmoved-v0", steps=1_000))
    (told,) = _warnings(capsys.readouterr().err)
    assert told.startswith(f"{tmp_path / 'run'}: warning at 400 env steps: the achieved goal never moved")
    assert "more than 0 of the span" in told
    assert "regoal check diagnosis/Unmoved-v0" in told


@pytest.fixture
def _looks_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "LOOK_EVERY", 500)
    monkeypatch.setattr(diagnosis, "UPDATES_BEFORE", 500)


@pytest.mark.usefixtures("_looks_early")
def test_an_object_that_rests_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(_config(tmp_path / "run", env="FetchPush-v4", steps=500))
    (told,) = _warnings(capsys.readouterr().err)
    assert re.search(r"(0\.9\d|1\.00) of the relabelled rewards are 0: what is to be moved rests", told)
    assert "--set informative_share=0.7" in told


def test_hindsight_goals_that_are_never_reached_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(_config(tmp_path / "run", relabel="random"))
    (told,) = _warnings(capsys.readouterr().err)
    assert "of the relabelled rewards are -1: hindsight goals are hardly ever reached" in told
    assert "--relabel future" in told


@pytest.mark.usefixtures("_looks_early")
def test_a_discount_that_sees_nothing_puts_q_on_its_bound(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(_config(tmp_path / "run", agent=dataclasses.replace(BUSY, gamma=0.3), steps=500))
    (told,) = _warnings(capsys.readouterr().err)
    assert "targets sit on the lower bound, -1.43: with agent.gamma=0.3 it sees 1.4 steps ahead" in told


@pytest.mark.usefixtures("_looks_early")
def test_an_absurd_learning_rate_saturates_the_actions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(_config(tmp_path / "run", agent=dataclasses.replace(BUSY, lr=1.0), steps=500))
    (told,) = _warnings(capsys.readouterr().err)
    assert "1.00 of the policy's actions are beyond 0.99 of their range" in told
    assert "Lower agent.lr (now 1), or raise agent.action_l2" in told


@pytest.mark.parametrize("env", ["regoal/PointReach-v0", "FetchReach-v4"])
def test_a_run_that_learns_is_told_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], env: str
) -> None:
    result = train(_config(tmp_path / "run", env=env, agent=LEARNS, eval_episodes=10))
    assert result.gradient_steps >= diagnosis.UPDATES_BEFORE
    assert result.success >= 0.5, "it learns"
    assert not _warnings(capsys.readouterr().err)


# That looking is all it does


@pytest.fixture
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "LOOK_EVERY", 100)
    monkeypatch.setattr(diagnosis, "UPDATES_BEFORE", 0)


@pytest.mark.usefixtures("_looks_often")
@pytest.mark.parametrize("agent", [TINY, SACConfig(hidden=(16,), batch_size=32)], ids=["ddpg", "sac"])
def test_numbers_are_the_same_whether_it_looks_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, agent: DDPGConfig | SACConfig
) -> None:
    changes: dict[str, Any] = {"steps": 600, "agent": agent, "informative_share": 0.5}
    train(_config(tmp_path / "looked", **changes))
    monkeypatch.setattr(loop, "LOOK_EVERY", 10**9)
    train(_config(tmp_path / "not", **changes))
    one, other = (newest_checkpoint(tmp_path / name) for name in ("looked", "not"))
    arrays, others = one.learner_arrays(), other.learner_arrays()
    assert all(np.array_equal(arrays[name], others[name]) for name in arrays)
    assert one.state["progress"]["experience"] == other.state["progress"]["experience"]


class _Cut(BaseException):
    """Ends a run as SIGKILL does."""


@pytest.mark.usefixtures("_looks_often")
def test_a_resumed_run_is_told_what_it_would_have_been_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: dict[int, list[tuple[str, str]]] = {}

    def looked(self: Diagnosis, env_steps: int, gradient_steps: int) -> None:
        found[env_steps] = list(self.found(env_steps, gradient_steps))
        if cut and env_steps == 500:
            raise _Cut

    monkeypatch.setattr(Diagnosis, "look", looked)
    agent = dataclasses.replace(TINY, gamma=0.3)
    changes: dict[str, Any] = {"relabel": "random", "agent": agent, "checkpoint_interval": 100, "steps": 800}
    cut = False
    train(_config(tmp_path / "whole", **changes))
    whole, found = found, {}
    cut = True
    with pytest.raises(_Cut):
        train(_config(tmp_path / "cut", **changes))
    cut = False
    resume(tmp_path / "cut")
    assert found == whole
    assert sorted(found) == list(range(100, 900, 100))
    assert {name for one in found.values() for name, _ in one} >= {"same rewards", "bounds"}


class _AtRest:
    """An experience in which nothing moves in ten rows, whose real goals lie at a distance."""

    own = SimpleNamespace(goals=lambda: [(np.eye(2, dtype=np.float32), np.ones(2))])

    def __init__(self, distance: float) -> None:
        self.goal = np.full((10, 2), distance, np.float32)

    def sample_traced(self, *arguments: Any) -> Any:
        trace = SimpleNamespace(
            next_achieved_goal=np.zeros((10, 2), np.float32),
            original_goal=self.goal,
            relabelled=np.ones(10, bool),
        )
        return SimpleNamespace(reward=torch.zeros(10)), trace


def test_a_task_that_is_solved_may_have_the_same_reward_everywhere(tmp_path: Path) -> None:
    """Whoever stays at the goal achieves nothing else: all hindsight goals are achieved already."""
    spec = GoalSpec.of("regoal/PointReach-v0")
    found = {
        (distance, share): list(
            Diagnosis(_config(tmp_path, informative_share=share), spec, _AtRest(distance), None).found(400, 0)
        )
        for distance in (0.0, 1.0)
        for share in (0.0, 0.7)
    }
    spec.close()
    assert found[0.0, 0.0] == found[0.0, 0.7] == []
    ((name, told),), ((_, told_again),) = found[1.0, 0.0], found[1.0, 0.7]
    assert name == "same rewards"
    assert "1.00 of the relabelled rewards are 0" in told
    assert "--set informative_share=0.7" in told
    assert "although informative_share is 0.7" in told_again
    assert "--set agent.random_share=0.5" in told_again
