"""`regoal inspect`: a batch as the learner sees it, and where each row of it came from."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from regoal import BadInput, DDPGConfig, FinetuneConfig, TrainConfig, cli, finetune, train
from regoal.agent import loop
from regoal.agent.checkpoints import newest_checkpoint
from regoal.agent.experience import Experience
from regoal.agent.inspection import Inspection, inspect
from regoal.agent.replay_files import read_segments
from regoal.agent.run_folder import read_config
from regoal.buffers import HindsightBuffer, MixedReplay
from regoal.buffers.storage import DESIRED
from regoal.buffers.strategies import NAMES
from regoal.buffers.trace import OWN
from regoal.envs.goal_spec import GoalSpec

from .reference import NEVER, FakeScorer, origin, tagged_episode

LONGEST = 6
SMALL = DDPGConfig(hidden=(16,), batch_size=64)


def _config(out: Path, **changes: Any) -> TrainConfig:
    usual = TrainConfig(
        env="regoal/PointReach-v0",
        out=str(out),
        agent=SMALL,
        steps=300,
        seed=3,
        eval_interval=1_000,
        eval_episodes=1,
        checkpoint_interval=100,
        workers=0,
        keep_replay=True,
    )
    return dataclasses.replace(usual, **changes)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run that kept its replay."""
    path = tmp_path_factory.mktemp("inspected") / "run"
    train(_config(path))
    return path


# What the buffer tells


@given(
    lengths=st.lists(st.integers(1, LONGEST), min_size=1, max_size=40),
    strategy=st.sampled_from(NAMES),
    share=st.sampled_from([0.0, 0.5]),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_trace_says_of_each_row_what_its_tags_say(
    lengths: list[int], strategy: str, share: float, seed: int
) -> None:
    """States of tagged episodes spell (number, t), and so do goals; the ring has gone round."""
    scorer = FakeScorer(max_episode_steps=LONGEST)
    buffer = HindsightBuffer(scorer, 40, strategy=strategy, seed=seed, informative_share=share)
    for number, length in enumerate(lengths):
        buffer.add_episode(tagged_episode(number, length, scorer))
    batch, trace = buffer.sample_traced(60)
    rows, oldest = origin(batch), len(lengths) - buffer.n_episodes
    hindsight = trace.relabelled
    assert hindsight.tolist() == [i < batch.n_relabelled for i in range(60)]
    assert (trace.episode + oldest).tolist() == rows.number.tolist()
    assert trace.t.tolist() == rows.t.tolist()
    assert trace.length.tolist() == [lengths[number] for number in rows.number]
    assert (trace.goal_episode[hindsight] + oldest).tolist() == rows.goal_number[hindsight].tolist()
    of_states = [DESIRED if t == NEVER else t for t in rows.goal_t[hindsight]]
    assert trace.goal_t[hindsight].tolist() == of_states
    assert trace.achieved[hindsight].tolist() == [t != DESIRED for t in of_states]
    assert set(trace.goal_episode[~hindsight].tolist()) | set(trace.goal_t[~hindsight].tolist()) <= {OWN}
    for moment, t in ((trace.achieved_goal, rows.t), (trace.next_achieved_goal, rows.next_t)):
        assert moment.astype(int).tolist() == np.stack([rows.number, t], axis=1).tolist()
    assert trace.original_goal[:, 0].astype(int).tolist() == rows.number.tolist()


def _two_buffers(seed: int) -> MixedReplay:
    scorer = FakeScorer(max_episode_steps=LONGEST)
    source, target = (HindsightBuffer(scorer, 100, seed=seed + i) for i in range(2))
    for number in range(8):
        source.add_episode(tagged_episode(number, 5, scorer))
        target.add_episode(tagged_episode(number + 50, 4, scorer))
    return MixedReplay(target, source, np.random.default_rng(seed))


def test_tracing_draws_what_sampling_draws_unless_it_is_given_a_generator() -> None:
    plain, traced, looked_at = (_two_buffers(7) for _ in range(3))
    looked_at.sample_traced(32, 0.3, np.random.default_rng(1))
    for _ in range(3):
        batch, (other, trace) = plain.sample(32, 0.3), traced.sample_traced(32, 0.3)
        for value in (other, looked_at.sample(32, 0.3)):
            assert torch.equal(batch.observation, value.observation)
            assert torch.equal(batch.desired_goal, value.desired_goal)
            assert batch.n_source == value.n_source
        of_source = np.arange(32) < batch.n_source
        number = origin(other).number
        assert (trace.episode + np.where(of_source, 0, 50)).tolist() == number.tolist()
        assert trace.relabelled.sum() == batch.n_relabelled


# Runs


def test_every_row_is_a_step_of_the_episode_that_it_names(run: Path) -> None:
    found = inspect(run)
    episodes = {one.index: one for one in read_segments(run, newest_checkpoint(run).segments)}
    assert len(found) == 64
    assert found.env_steps == 300
    _assert_rows_belong(found, {"own": episodes})
    again = inspect(run)
    assert again.to_json() == found.to_json(), "looking changes nothing"


def _assert_rows_belong(found: Inspection, episodes: dict[str, dict[int, Any]]) -> None:
    config = found.config
    spec = GoalSpec.of(config.env, config.shift)
    for row in found.to_json()["batch"]:
        episode, i = episodes[row["domain"]][row["episode"]], row["row"]
        assert row["achieved_goal"] == episode.achieved_goal[row["t"]].tolist()
        assert row["next_achieved_goal"] == episode.achieved_goal[row["t"] + 1].tolist()
        assert row["original_goal"] == episode.desired_goal.tolist()
        assert found.batch.action[i].tolist() == episode.action[row["t"]].tolist()
        if row["goal_kind"] is None:
            assert row["goal"] == row["original_goal"]
            assert (row["strategy"], row["goal_episode"], row["goal_t"]) == ("none", None, None)
        else:
            elsewhere = episodes[row["domain"]][row["goal_episode"]]
            achieved = row["goal_kind"] == "achieved"
            meant = elsewhere.achieved_goal[row["goal_t"]] if achieved else elsewhere.desired_goal
            assert row["goal"] == meant.tolist()
            assert achieved or (row["goal_kind"], row["goal_t"]) == ("desired", None)
        assert (row["length"], row["shift"]) == (len(episode), episode.shift)
        # By the definition of the env: 0 within 10 cm.
        for goal, reward in (("original_goal", "reward_before"), ("goal", "reward")):
            miss = np.linalg.norm(np.subtract(row["next_achieved_goal"], row[goal])) - 0.1
            assert row[reward] == (0.0 if miss <= 0 else -1.0) or abs(miss) < 1e-6
        miss = np.linalg.norm(np.subtract(row["achieved_goal"], row["goal"])) - 0.1
        assert row["informative"] == (miss > 0) or abs(miss) < 1e-6
    spec.close()


def test_it_is_the_batch_that_the_learner_would_draw(run: Path) -> None:
    found, checkpoint = inspect(run), newest_checkpoint(run)
    spec = GoalSpec.of("regoal/PointReach-v0")
    experience = Experience(read_config(run), spec)
    experience.restore(checkpoint.state["progress"]["experience"], checkpoint.segments)
    batch = experience.sample(64, 300)
    spec.close()
    for name in ("observation", "desired_goal", "action", "reward", "terminated"):
        assert torch.equal(getattr(batch, name), getattr(found.batch, name)), name


def test_the_summary_counts_the_rows(run: Path) -> None:
    facts = inspect(run).to_json()
    rows, summary = facts["batch"], facts["summary"]
    relabelled = [row for row in rows if row["goal_t"] is not None]
    assert summary["relabelled"] == len(relabelled) / 64
    assert summary["relabelled_asked_for"] == 0.8
    assert summary["informative"] == sum(row["informative"] for row in rows) / 64
    assert summary["informative_relabelled"] == pytest.approx(np.mean([r["informative"] for r in relabelled]))
    for name, key in (("rewards_before", "reward_before"), ("rewards", "reward")):
        assert summary[name]["shares"]["-1"] == sum(row[key] == -1 for row in rows) / 64
    ahead = sorted(row["goal_t"] - row["t"] for row in relabelled)
    assert summary["steps_to_goal"][::2] == [ahead[0], ahead[-1]]
    assert ahead[0] >= 1


def test_rows_of_a_mixed_batch_name_episodes_of_both_runs(run: Path, tmp_path: Path) -> None:
    tuned = FinetuneConfig(
        out=str(tmp_path / "tuned"), mode="replay_mix=0.5", shift="action_gain=0.5..0.9", steps=200, seed=1,
        relabel="rfaab", eval_interval=1_000, eval_episodes=1, workers=0, keep_replay=True,
        overrides={"source_share_steps": "0"},
    )  # fmt: skip
    finetune(run, tuned)
    found = inspect(tmp_path / "tuned")
    episodes = {
        name: {one.index: one for one in read_segments(path, newest_checkpoint(path).segments)}
        for name, path in (("own", tmp_path / "tuned"), ("source", run))
    }
    _assert_rows_belong(found, episodes)
    rows = found.to_json()["batch"]
    assert {row["shift"] for row in rows if row["domain"] == "source"} == {""}
    assert all(row["shift"].startswith("action_gain=0.") for row in rows if row["domain"] == "own")
    assert found.summary()["source"] == pytest.approx(0.5, abs=1 / 64)
    assert any(row["goal_t"] and row["goal_episode"] != row["episode"] for row in rows), "random"
    assert any(row["goal_t"] and row["goal_episode"] == row["episode"] for row in rows), "future"
    for domain in ("own", "source"):
        assert any(row["goal_kind"] == "desired" and row["domain"] == domain for row in rows)
    own = found.trace.achieved & (found.trace.goal_episode == found.trace.episode)
    assert len(found.distance) == own.sum(), "what was desired lies no steps ahead"


def test_a_ring_that_went_round_names_the_episodes_it_still_holds(tmp_path: Path) -> None:
    train(_config(tmp_path / "run", capacity=120))
    found = inspect(tmp_path / "run")
    episodes = {
        one.index: one
        for one in read_segments(tmp_path / "run", newest_checkpoint(tmp_path / "run").segments)
    }
    assert set(found.episode.tolist()) == {4, 5}, "of six, two of 50 steps fit"
    _assert_rows_belong(found, {"own": episodes})


class _Cut(BaseException):
    """Ends a run as SIGKILL does."""


def _killed(out: Path, block: int, **changes: Any) -> None:
    add, calls = loop.Training._add, 0

    def counted(self: loop.Training, *arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == block:
            raise _Cut
        return add(self, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop.Training, "_add", counted)
        with pytest.raises(_Cut):
            train(_config(out, **changes))


def test_a_run_that_was_killed_is_shown_as_of_its_last_checkpoint(tmp_path: Path) -> None:
    _killed(tmp_path / "run", 3, keep_replay=False)
    before = sorted(path.name for path in (tmp_path / "run").rglob("*"))
    assert inspect(tmp_path / "run").env_steps == 200
    assert sorted(path.name for path in (tmp_path / "run").rglob("*")) == before
    newest = newest_checkpoint(tmp_path / "run")
    (tmp_path / "run" / "replay" / newest.segments[-1].name).unlink()
    with pytest.warns(UserWarning, match="falling back"):
        assert inspect(tmp_path / "run").env_steps == 100


def test_runs_without_episodes_say_what_to_do(run: Path, tmp_path: Path) -> None:
    train(_config(tmp_path / "finished", keep_replay=False, steps=50))
    with pytest.raises(BadInput, match=r"finished without them\. Train with --keep-replay"):
        inspect(tmp_path / "finished")
    _killed(tmp_path / "begun", 1)
    with pytest.raises(BadInput, match=r"has none yet\. .* every 100 env steps"):
        inspect(tmp_path / "begun")
    finetune(run, FinetuneConfig(out=str(tmp_path / "zero"), mode="zero_shot", eval_episodes=1, workers=0))
    with pytest.raises(BadInput, match="collects none"):
        inspect(tmp_path / "zero")
    with pytest.raises(BadInput, match="does not exist"):
        inspect(tmp_path / "nothing")


@pytest.mark.parametrize("asked", ["antigravity:geohash", "4*future + 1* antigravity:geohash"])
def test_a_foreign_run_gets_no_module_for_the_asking(run: Path, tmp_path: Path, asked: str) -> None:
    shutil.copytree(run, tmp_path / "foreign")
    settings = tmp_path / "foreign" / "config.toml"
    settings.write_text(settings.read_text().replace('relabel = "future"', f'relabel = "{asked}"'))
    with pytest.raises(BadInput, match="antigravity"):
        inspect(tmp_path / "foreign")


# The command


def test_the_command_prints_a_table_and_draws_a_picture(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "pictures" / "batch.png"
    assert cli.main(["inspect", str(run), "--rows", "4", "--out", str(picture)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{run}: a batch of 64 as the learner sees it after 300 env steps (checkpoint 000004)"
    assert lines[1] == "regoal/PointReach-v0 with no shift; hindsight: future, 4 for each real goal"
    first, *_, last = lines[4:8]  # spread over the batch: hindsight goals come first, real ones last
    assert first.startswith("0 ")
    assert "future: state" in first
    assert last.startswith("63 ")
    assert "its own" in last
    assert any(line.startswith("relabelled   0.8") for line in lines)
    assert picture.read_bytes()[:4] == b"\x89PNG"


def test_the_command_gives_json(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["inspect", str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(inspect(run).to_json()))


def test_the_command_tells_goals_that_an_episode_desired(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, picture = tmp_path / "run", tmp_path / "batch.png"
    train(_config(run, relabel="2*future+2*desired"))
    assert cli.main(["inspect", str(run), "--rows", "64", "--out", str(picture)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "hindsight: 2*future+2*desired, 4 for each real goal" in lines[1]
    shown = [line for line in lines[4:68] if ": desired in episode " in line]
    facts = inspect(run).to_json()["batch"]
    assert len(shown) == sum(row["goal_kind"] == "desired" for row in facts) > 10
    (first,) = (row for row in facts if f"{row['row']} " == shown[0][: len(str(row["row"])) + 1])
    assert f"2*future+2*desired: desired in episode {first['goal_episode']} " in shown[0]
    assert picture.read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("options", "told"), [(["--rows", "0"], "1 or more"), (["--out", "batch.txt"], "ends in .png or .svg")]
)
def test_the_command_refuses_what_it_cannot_show(
    run: Path, capsys: pytest.CaptureFixture[str], options: list[str], told: str
) -> None:
    assert cli.main(["inspect", str(run), *options]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("goal_size", [1, 2, 7])
def test_pictures_and_tables_are_made_of_goals_of_any_size_and_of_dense_rewards(
    run: Path, tmp_path: Path, goal_size: int
) -> None:
    from regoal.benchmarks.inspection import as_text, draw

    found, rng = inspect(run), np.random.default_rng(0)
    goals = lambda: rng.normal(size=(64, goal_size)).astype(np.float32)  # noqa: E731
    reward = rng.normal(size=64).astype(np.float32)
    dense = dataclasses.replace(
        found,
        trace=dataclasses.replace(
            found.trace, achieved_goal=goals(), next_achieved_goal=goals(), original_goal=goals()
        ),
        batch=dataclasses.replace(
            found.batch, desired_goal=torch.from_numpy(goals()), reward=torch.from_numpy(reward)
        ),
        reward_before=reward - 1,
    )
    draw(tmp_path / "dense.svg", dense)
    assert b"<svg" in (tmp_path / "dense.svg").read_bytes()
    assert f"{reward.min():.3g} to {reward.max():.3g}, median {np.median(reward):.3g}," in as_text(dense, 3)
