"""Episodes kept with a run: what is written is read, written once, and safe to load."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regoal import BadInput, DDPGConfig, TrainConfig, train
from regoal.agent import replay_files
from regoal.agent.checkpoints import newest_checkpoint
from regoal.agent.replay_files import read_segments, write_segments
from regoal.buffers.episode import Episode


def _episode(rng: np.random.Generator, length: int, index: int) -> Episode:
    return Episode(
        observation=rng.normal(size=(length + 1, 4)).astype(np.float32),
        achieved_goal=rng.normal(size=(length + 1, 2)).astype(np.float32),
        desired_goal=rng.normal(size=2).astype(np.float32),
        action=rng.uniform(-1, 1, (length, 2)).astype(np.float32),
        reward=rng.integers(-1, 1, length).astype(np.float32),
        terminated=bool(rng.integers(2)),
        success=rng.integers(0, 2, length).astype(np.bool_),
        index=index,
        shift=f"action_gain={index + 0.5}",
        env="regoal/PointReach-v0",
    )


def _same(one: Episode, other: Episode) -> bool:
    return all(
        np.array_equal(getattr(one, field.name), getattr(other, field.name))
        for field in dataclasses.fields(Episode)
    )


@given(lengths=st.lists(st.integers(1, 30), min_size=1, max_size=12), seed=st.integers(0, 9))
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], seed: int
) -> None:
    run, rng = tmp_path_factory.mktemp("run"), np.random.default_rng(seed)
    episodes = [_episode(rng, length, i) for i, length in enumerate(lengths)]
    segments = write_segments(run, episodes)
    assert sum(segment.transitions for segment in segments) == sum(lengths)
    assert write_segments(run, episodes) == segments  # again: the same files
    assert len(list((run / "replay").iterdir())) == len(segments)
    back = list(read_segments(run, segments))
    assert len(back) == len(episodes)
    assert all(map(_same, episodes, back))


def test_large_replays_are_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_files, "MOST_BYTES", 2_000)
    rng = np.random.default_rng(0)
    episodes = [_episode(rng, 10, i) for i in range(20)]
    segments = write_segments(tmp_path, episodes)
    assert len(segments) >= 5
    assert max(segment.size for segment in segments) < 2_000 + 1_000
    assert all(map(_same, episodes, read_segments(tmp_path, segments)))
    assert sorted(one.name for one in segments) == [one.name for one in segments]


@pytest.mark.parametrize("harm", ["gone", "changed", "elsewhere"])
def test_a_damaged_or_foreign_segment_is_refused(tmp_path: Path, harm: str) -> None:
    (segment,) = write_segments(tmp_path, [_episode(np.random.default_rng(0), 5, 0)])
    path = tmp_path / "replay" / segment.name
    if harm == "gone":
        path.unlink()
    elif harm == "changed":
        path.write_bytes(path.read_bytes()[:-1] + b"!")
    else:
        path.rename(tmp_path / "elsewhere")
        segment = dataclasses.replace(segment, name="../elsewhere")
    with pytest.raises(BadInput, match="Copy the run again"):
        list(read_segments(tmp_path, [segment]))


def test_a_run_writes_each_episode_once_and_only_if_asked(tmp_path: Path) -> None:
    config = TrainConfig(
        env="regoal/PointReach-v0",
        out=str(tmp_path / "run"),
        agent=DDPGConfig(hidden=(8,), batch_size=8),
        shift="action_gain=0.5..2",
        steps=400,
        checkpoint_interval=100,
        eval_interval=1_000,
        eval_episodes=1,
        keep_replay=True,
        workers=0,
    )
    train(config)
    checkpoint = newest_checkpoint(tmp_path / "run")
    segments = checkpoint.segments
    assert [segment.episodes for segment in segments] == [2, 2, 2, 2]
    assert {path.name for path in (tmp_path / "run" / "replay").iterdir()} == {
        segment.name for segment in segments
    }
    episodes = list(read_segments(tmp_path / "run", segments))
    assert {episode.env for episode in episodes} == {"regoal/PointReach-v0"}
    assert [episode.index for episode in episodes] == list(range(8))
    recorded = (tmp_path / "run" / "episodes.csv").read_text().splitlines()[1:]
    assert [episode.shift for episode in episodes] == [line.split(",")[-1] for line in recorded]
    train(dataclasses.replace(config, out=str(tmp_path / "other"), keep_replay=False, steps=100))
    assert not (tmp_path / "other" / "replay").exists()
    assert not newest_checkpoint(tmp_path / "other").segments
