"""Learning to change what is achieved, before any goal: rewards by hand, when it ends, and that it works."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from regoal import train
from regoal.agent.checkpoints import newest_checkpoint
from regoal.agent.config import DDPGConfig, FinetuneConfig, TrainConfig
from regoal.agent.experience import DISCOVERY_EPISODES, Experience
from regoal.agent.finetuning import resolve
from regoal.agent.inspection import inspect
from regoal.agent.replay_files import read_segments
from regoal.agent.seeding import Stream
from regoal.agent.validation import validated
from regoal.buffers import Episode, HindsightBuffer
from regoal.envs.goal_spec import GoalSpec
from regoal.errors import BadInput

from .fake_spec import point_spec
from .reference import FakeScorer, origin, tagged_episode
from .test_informative import still_episode
from .test_resume import SMALL, Killed, _cut, config

LENGTH = 4
POINT = point_spec()


def moved_late(number: int) -> Any:
    """States 0 to 2 have achieved (number, 0), states 3 and 4 (number, 1)."""
    episode = tagged_episode(number, LENGTH)
    achieved = np.array(episode.achieved_goal)
    achieved[:, 1] = [0, 0, 0, 1, 1]
    return dataclasses.replace(episode, achieved_goal=achieved)


def buffer_of(*episodes: Any, seed: int = 0) -> HindsightBuffer:
    buffer = HindsightBuffer(FakeScorer(max_episode_steps=LENGTH), 1_000, seed=seed, marks=True)
    for episode in episodes:
        buffer.add_episode(episode)
    buffer.discovering = True
    return buffer


def test_a_transition_is_rewarded_where_an_earlier_achieved_goal_no_longer_counts() -> None:
    buffer = buffer_of(moved_late(0))
    batch = buffer.sample(40_000)
    t, left = origin(batch).t, batch.reward.numpy() == 0
    assert set(batch.reward.tolist()) == {-1.0, 0.0}
    assert np.array_equal(batch.terminated.numpy(), left)
    assert not left[t < 2].any()  # state 2 has achieved what was there before
    assert left[t == 2].all()
    # From state 3 on it stays: left is what states 0, 1, 2 of the four up to t have achieved.
    assert left[t == 3].mean() == pytest.approx(3 / 4, abs=0.02)


def test_goals_stay_as_they_were_desired() -> None:
    buffer = buffer_of(*(tagged_episode(number, LENGTH) for number in range(5)))
    buffer.tells_new_goals, buffer.discovering = True, False
    assert buffer.sample(200, reuse=True).new_goal.any()  # the memory that comes next has some
    buffer.discovering = True
    batch = buffer.sample(200, reuse=True)
    assert batch.n_relabelled == 0
    assert not batch.new_goal.any()
    assert np.array_equal(origin(batch).goal_number, origin(batch).number)
    assert np.array_equal(origin(batch).goal_t, np.full(200, -9))


def test_half_of_a_batch_comes_from_episodes_that_changed_anything() -> None:
    buffer = buffer_of(*(still_episode(number, LENGTH) for number in range(9)), moved_late(9))
    numbers = origin(buffer.sample(20_000)).number
    assert (numbers == 9).mean() == pytest.approx(0.5 + 0.5 / 10, abs=0.02)
    still = buffer_of(*(still_episode(number, LENGTH) for number in range(3)))
    assert (still.sample(100).reward == -1).all()


def test_the_share_counts_the_last_episodes_alone() -> None:
    buffer = buffer_of(*(still_episode(number, LENGTH) for number in range(6)), moved_late(6), moved_late(7))
    assert [buffer.share_that_left(last) for last in (2, 4, 8, 9)] == [1.0, 0.5, 0.25, 0.0]


def test_it_goes_on_where_it_was() -> None:
    buffer, other = (buffer_of(seed=seed) for seed in (0, 1))
    other.discovering = False
    other.restore(json.loads(json.dumps(buffer.state())), [])
    assert other.discovering


def episode_of(*, still: bool) -> Episode:
    """An episode of PointReach that crosses the table, or stays where it begins."""
    achieved = np.linspace([-0.5, 0.0], [-0.5, 0.0] if still else [0.5, 0.0], 51)
    desired = np.array([0.9, 0.9])
    return Episode(
        observation=np.concatenate([achieved, np.zeros((51, 2))], axis=1),
        achieved_goal=achieved,
        desired_goal=desired,
        action=np.zeros((50, 2), np.float32),
        reward=POINT.reward(achieved[1:], np.broadcast_to(desired, (50, 2))),
        terminated=False,
        success=np.zeros(50, np.bool_),
        index=0,
        env="regoal/PointReach-v0",
    )


def experience_of(tmp_path: Path, **changes: Any) -> Experience:
    settings = {"discovery": 0.8, "imitation": 2.0, "imitation_steps": 400} | changes
    config = TrainConfig(env="regoal/PointReach-v0", out=str(tmp_path / "run"), **settings)
    return Experience(config, POINT)


@pytest.mark.parametrize("terminates", [True, False])
def test_a_run_holds_all_it_collects_however_short_its_episodes(tmp_path: Path, terminates: bool) -> None:
    """They end at the goal, or are truncated before their time."""
    spec = GoalSpec.of("regoal/PointReach-v0", terminate_on_success=terminates)
    config = TrainConfig(env="regoal/PointReach-v0", out=str(tmp_path), steps=1_000)
    experience = Experience(config, spec)
    whole, at_goal = episode_of(still=True), np.array([-0.5, 0.0])
    short = dataclasses.replace(
        whole,
        observation=whole.observation[:2],
        achieved_goal=whole.achieved_goal[:2],
        desired_goal=at_goal,
        action=whole.action[:1],
        reward=spec.reward(at_goal[None], at_goal[None]),
        terminated=terminates,
        success=np.ones(1, np.bool_),
    )
    for index in range(config.steps):
        experience.add(dataclasses.replace(short, index=index))
    assert len(experience.own) == config.steps
    spec.close()


def test_a_buffer_that_the_machine_does_not_give_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("regoal.agent.experience.HindsightBuffer", none)
    with pytest.raises(
        BadInput, match="capacity: expected a replay buffer that fits into the machine's memory"
    ) as told:
        experience_of(tmp_path)
    assert "beside" not in str(told.value)


def test_buffers_must_fit_into_memory_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experience = experience_of(tmp_path)
    needed = experience._granted
    assert needed > 0
    monkeypatch.setattr("regoal.agent.experience.memory_bytes", lambda: 2 * needed - 1)
    experience = experience_of(tmp_path)
    with pytest.raises(BadInput, match=r"capacity: .* GB for .* transitions beside 0\.0 GB of another"):
        experience._buffer(2 * experience._likely, Stream.SOURCE_REPLAY, experience._likely)


def test_an_episode_is_not_stored_where_those_before_it_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("regoal.agent.experience.MOST_BYTES", 1)
    monkeypatch.setattr("regoal.agent.experience.write_segments", full)
    experience = experience_of(tmp_path)
    experience.add(episode_of(still=True))
    with pytest.raises(OSError, match="No space left"):
        experience.add(dataclasses.replace(episode_of(still=True), index=1))
    assert (experience.own.n_episodes, experience.state()["unwritten"]) == (1, 1)


def test_it_ends_when_enough_episodes_change_what_is_achieved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experience = experience_of(tmp_path)
    for number in range(DISCOVERY_EPISODES):
        experience.end_discovery_if_due(50 * number)
        assert experience.own.discovering
        experience.add(episode_of(still=number % 5 == 0))
    assert experience.imitation_weight(2_500) == 0
    experience.end_discovery_if_due(2_500)
    assert not experience.own.discovering
    assert "goals are learned after 2,500 env steps: 80% of episodes" in capsys.readouterr().err
    experience.add(episode_of(still=True))
    experience.end_discovery_if_due(2_550)
    assert not experience.own.discovering
    assert experience.goals_since == 2_500
    assert experience.sample(64, 2_550).n_relabelled > 0
    # The pull fades from when goals are learned, and is not more before learning starts.
    late = experience_of(tmp_path, discovery=0.0, learning_starts=1_000)
    assert [late.imitation_weight(steps) for steps in (0, 1_000, 1_100)] == [2.0, 2.0, 1.5]
    # Nor is it over before the actor learns.
    waiting = experience_of(tmp_path, discovery=0.0, learning_starts=100, critic_warmup_steps=900)
    assert [waiting.imitation_weight(steps) for steps in (500, 1_000, 1_100)] == [2.0, 2.0, 1.5]
    assert [experience.imitation_weight(2_500 + steps) for steps in (0, 100, 400, 500)] == [2.0, 1.5, 0, 0]


def test_a_strategy_that_is_broken_is_told_while_goals_do_not_matter_yet() -> None:
    def nowhere(at: Any, rng: np.random.Generator) -> Any:
        return np.full(len(at), 10**6)

    buffer = HindsightBuffer(FakeScorer(max_episode_steps=LENGTH), 100, strategy=nowhere, marks=True)
    buffer.add_episode(moved_late(0))
    buffer.discovering = True
    with pytest.raises(BadInput, match=r"relabel: expected \(16,\) integer rows .* got row 1000000"):
        buffer.sample(16)


def test_that_it_is_tried_changes_no_batch() -> None:
    drawn = []
    for k in (0, 4):
        buffer = HindsightBuffer(
            FakeScorer(max_episode_steps=LENGTH), 100, n_sampled_goal=k, marks=True, candidates=1 + k
        )
        buffer.add_episode(dataclasses.replace(moved_late(0), rank=np.ones(LENGTH + 1, np.float32)))
        buffer.discovering = True
        drawn.append([buffer.sample(16).reward.numpy() for _ in range(3)])
    np.testing.assert_array_equal(*drawn)


@pytest.mark.parametrize(("settings", "most"), [({"discovery_steps": 500}, 500), ({"steps": 3_000}, 1_500)])
def test_it_ends_after_its_steps(tmp_path: Path, settings: dict[str, int], most: int) -> None:
    experience = experience_of(tmp_path, **settings)
    experience.add(episode_of(still=True))
    experience.end_discovery_if_due(most - 1)
    assert experience.sample(64, most - 1).n_relabelled == 0
    experience.end_discovery_if_due(most)
    assert experience.sample(64, most).n_relabelled > 0


def test_nothing_of_it_without_asking(tmp_path: Path) -> None:
    assert not experience_of(tmp_path, discovery=0.0).own.discovering


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"discovery": 1.5}, "discovery"),
        ({"discovery": float("nan")}, "discovery"),
        ({"discovery": 0.9, "discovery_steps": -1}, "discovery_steps"),
        ({"discovery": 0.9, "steps": 3_000, "discovery_steps": 3_000}, "fewer than the 3,000 of the run"),
        ({"discovery": 0.9, "steps": 3_000, "learning_starts": 1_500}, "more than the 1,500 steps before"),
    ],
)
def test_bad_settings_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        validated(TrainConfig(env="FetchPush-v4", out="run", **changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"env": "FetchReachDense-v4"}, r"discovery: expected 0 where .* exactly two rewards.*--preset none"),
        (
            {"env": "FetchReach-v4", "capacity": 2_000},
            r"capacity: expected room for the 50 episodes .* 2,500",
        ),
    ],
)
def test_where_it_cannot_work_it_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        train(TrainConfig(out=str(tmp_path / "run"), discovery=0.9, **changes))
    assert not (tmp_path / "run").exists()


def test_it_cannot_be_rewarded_where_failing_pays(tmp_path: Path) -> None:
    config = TrainConfig(env="regoal/PointReach-v0", out=str(tmp_path / "run"), discovery=0.9)
    with pytest.raises(BadInput, match=r"the worse of them 0 or less, got .* gives 1 to 2"):
        Experience(config, point_spec(reward_range=(1.0, 2.0)))


def test_a_source_s_episodes_serve_it_too(tmp_path: Path) -> None:
    source = tmp_path / "source"
    train(config(source, agent=SMALL, discovery=0.9, keep_replay=True))
    settings = resolve(source, FinetuneConfig(out=str(tmp_path / "run"), mode="rlpd"))
    assert settings.discovery == 0.9
    experience = Experience(settings, POINT, newest_checkpoint(source).segments)
    experience.add(episode_of(still=True))
    batch = experience.sample(64, 50)
    assert (batch.n_source, batch.n_relabelled) == (32, 0)
    experience.end_discovery_if_due(settings.steps)
    assert experience.sample(64, settings.steps).n_relabelled > 32


def test_only_fresh_networks_discover(tmp_path: Path) -> None:
    source = tmp_path / "source"
    train(config(source, agent=SMALL, discovery=0.9, imitation=1.0))
    settled = {
        mode: resolve(source, FinetuneConfig(out=str(tmp_path / mode), mode=mode))
        for mode in ("warm_start", "naive", "scratch")
    }
    assert {mode: (one.discovery, one.imitation) for mode, one in settled.items()} == {
        "warm_start": (0.0, 0.0),
        "naive": (0.0, 0.0),
        "scratch": (0.9, 1.0),
    }
    without = FinetuneConfig(out="out", mode="scratch", relabel="none")
    assert resolve(source, without).imitation == 0


def test_inspect_shows_what_is_learned(tmp_path: Path) -> None:
    run = tmp_path / "run"
    _cut(lambda: train(config(run, discovery=1.0)), "_add", 3, Killed)
    found = inspect(run)
    assert found.discovering == found.to_json()["discovering"]
    assert found.discovering
    assert found.summary()["relabelled"] == 0


@pytest.mark.slow
def test_it_finds_the_object_where_chance_does_not(tmp_path: Path) -> None:
    agent = DDPGConfig(gamma=0.95, tau=0.005, updates_per_step=1.0, random_hold=4)

    def moved(discovery: float) -> float:
        """Share of the last episodes of FetchPush in which the object was moved from its start."""
        run = tmp_path / f"run-{discovery:g}"
        train(
            TrainConfig(
                env="FetchPush-v4", out=str(run), agent=agent, steps=20_000, discovery=discovery,
                informative_share=0.7, discovery_steps=19_999, eval_interval=20_000, keep_replay=True,
            )
        )  # fmt: skip
        achieved = [one.achieved_goal for one in read_segments(run, newest_checkpoint(run).segments)][-50:]
        return float(np.mean([np.linalg.norm(one - one[0], axis=1).max() > 0.05 for one in achieved]))

    assert moved(1.0) >= 0.8
    assert moved(0.0) <= 0.4
