"""A run that was stopped or killed goes on to the numbers it would have had."""

import csv
import dataclasses
import os
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from regoal import (
    BadInput,
    DDPGConfig,
    FinetuneConfig,
    Policy,
    SACConfig,
    TrainConfig,
    finetune,
    resume,
    train,
)
from regoal.agent import loop
from regoal.agent.checkpoints import newest_checkpoint
from regoal.agent.ddpg import DDPG
from regoal.agent.inspection import inspect
from regoal.agent.interrupts import Stopped
from regoal.agent.replay_files import read_segments, write_segments
from regoal.agent.rollouts import Rollouts
from regoal.agent.run_folder import read_config
from regoal.agent.run_lock import RunLock
from regoal.agent.run_state import RunState
from regoal.envs.point_reach import PointReach
from regoal.errors import SaveFault

# A quarter of an update a step: what goes on is the same, and most of the time goes into updates.
SMALL = DDPGConfig(hidden=(16,), batch_size=16, updates_per_step=0.25)
ENSEMBLE = dataclasses.replace(SMALL, n_critics=4, target_critics=2, critic_layer_norm=True)
SMALL_SAC = SACConfig(hidden=(16,), batch_size=16, updates_per_step=0.25)


class Killed(BaseException):
    """Ends a run as SIGKILL does: nothing is saved any more."""


def config(out: Path, **changes: Any) -> TrainConfig:
    usual = TrainConfig(
        env="regoal/PointReach-v0",
        out=str(out),
        agent=SMALL,
        steps=600,
        seed=4,
        eval_interval=200,
        eval_episodes=3,
        checkpoint_interval=150,
        workers=0,
        keep_replay=True,
    )
    return dataclasses.replace(usual, **changes)


def _killed_before(name: str, count: int, error: type[BaseException] = Killed) -> Any:
    """A method of the loop that is called `count - 1` times and then ends the run."""
    method, calls = getattr(loop.Training, name), 0

    def counted(self: loop.Training, *arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == count:
            if error is Killed:
                raise Killed
            signal.raise_signal(signal.SIGTERM)
        return method(self, *arguments, **options)

    return counted


def _cut(start: Callable[[], object], name: str, count: int, error: type[BaseException]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop.Training, name, _killed_before(name, count, error))
        with pytest.raises(error):
            start()


def outcome(run: Path) -> dict[str, Any]:
    """All that must be the same: weights and all, metrics but for wall-clock columns, episodes, replay."""
    checkpoint = newest_checkpoint(run)
    with (run / "metrics.csv").open(newline="") as file:
        rows = [
            {key: value for key, value in row.items() if not key.startswith("wall_")}
            for row in csv.DictReader(file)
        ]
    progress = checkpoint.state["progress"]
    counted = {
        key: value for key, value in progress["run"].items() if key not in ("wall_seconds", "log_bytes")
    }
    return {
        "metrics": rows,
        "episodes": (run / "episodes.csv").read_text(),
        "arrays": checkpoint.learner_arrays() | checkpoint.snapshots(),
        "counters": counted,
        "generators": progress["experience"],
        "replay": list(read_segments(run, checkpoint.segments)),
    }


def assert_same(run: Path, other: Path) -> None:
    one, two = outcome(run), outcome(other)
    for name in ("metrics", "episodes", "counters", "generators"):
        assert one[name] == two[name], name
    assert one["arrays"].keys() == two["arrays"].keys()
    for name, array in one["arrays"].items():
        np.testing.assert_array_equal(array, two["arrays"][name], err_msg=name)
    assert len(one["replay"]) == len(two["replay"])
    for episode, same in zip(one["replay"], two["replay"], strict=True):
        for name, value in vars(episode).items():
            np.testing.assert_array_equal(value, getattr(same, name), err_msg=name)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A run that nothing disturbed, trained once for each set of changes."""
    folder, made = tmp_path_factory.mktemp("whole"), {}

    def run(**changes: Any) -> Path:
        key = repr(sorted(changes.items()))
        if key not in made:
            made[key] = folder / str(len(made))
            train(config(made[key], **changes))
        return made[key]

    return run


@pytest.mark.parametrize("error", [Killed, Stopped])
@pytest.mark.parametrize(("place", "count"), [("_add", 1), ("_add", 4), ("_update", 4), ("_evaluate", 3)])
@pytest.mark.parametrize("agent", [SMALL, ENSEMBLE, SMALL_SAC], ids=["ddpg", "ensemble", "sac"])
def test_a_run_goes_on_to_the_same_bits_wherever_it_was_cut(
    tmp_path: Path,
    whole: Callable[..., Path],
    agent: DDPGConfig | SACConfig,
    place: str,
    count: int,
    error: type[BaseException],
) -> None:
    run = tmp_path / "run"
    _cut(lambda: train(config(run, agent=agent)), place, count, error)
    resume(run)
    assert_same(run, whole(agent=agent))


def test_the_actor_learns_in_every_third_update_wherever_the_run_was_cut(
    tmp_path: Path, whole: Callable[..., Path]
) -> None:
    run = tmp_path / "run"
    _cut(lambda: train(config(run, policy_delay=3)), "_update", 5, Killed)
    resume(run)
    assert_same(run, whole(policy_delay=3))
    arrays = newest_checkpoint(run).learner_arrays()
    assert (arrays["critic_optimiser.0.step"], arrays["actor_optimiser.0.step"]) == (150, 50)


def test_a_chain_of_kills_with_changing_workers_gives_the_same_bits(
    tmp_path: Path, whole: Callable[..., Path]
) -> None:
    run = tmp_path / "run"
    _cut(lambda: train(config(run)), "_add", 4, Killed)
    for number, workers in enumerate((1, 0, 2)):
        _cut(lambda workers=workers: resume(run, workers=workers), "_update", 1 + number % 2, Killed)
    resume(run, workers=1)
    assert_same(run, whole())


@pytest.mark.parametrize(
    "changes",
    [
        # Episodes of any length in a buffer that has gone round, on disk.
        {
            "env": "PointMaze_UMaze-v3",
            "env_kwargs": {"max_episode_steps": 40, "continuing_task": False},
            "capacity": 200,
        },
        {
            "env": "PointMaze_UMaze-v3",
            "env_kwargs": {"max_episode_steps": 40},
            "buffer_on_disk": True,
            "capacity": 300,
        },
        {"informative_share": 0.5, "informative_share_steps": 500, "relabel": "episode"},
        {"shift": "action_gain=0.5..2", "relabel": "none"},
        {"informative_share": 0.5, "relabel": "4*future+4*desired+1*random", "capacity": 300},
        {"discovery": 1.0, "discovery_steps": 150, "imitation": 2.0, "imitation_steps": 600},
        {"discovery": 1.0},  # cut within it
        {"candidates": 4, "informative_share": 0.5, "capacity": 300},
        {"practice": 0.5, "discovery": 1.0, "discovery_steps": 150},
    ],
    ids=[
        "ring",
        "disk",
        "informative",
        "domains",
        "mixture",
        "discovered",
        "discovering",
        "wanted",
        "practised",
    ],
)
def test_every_kind_of_replay_goes_on(
    tmp_path: Path, whole: Callable[..., Path], changes: dict[str, Any]
) -> None:
    run = tmp_path / "run"
    _cut(lambda: train(config(run, **changes)), "_add", 6, Killed)
    resume(run)
    assert_same(run, whole(**changes))


@pytest.mark.parametrize("normaliser", ["refit", "damp"])
@pytest.mark.parametrize("mode", ["replay_mix", "anchor", "warm_start"])
def test_fine_tuning_goes_on_even_where_the_source_has_changed(
    tmp_path: Path, whole: Callable[..., Path], mode: str, normaliser: str
) -> None:
    source = tmp_path / "source"
    shutil.copytree(whole(), source)
    tuned = FinetuneConfig(
        out="", mode=mode, shift="action_gain=0.5", steps=450, seed=1, normaliser=normaliser,
        eval_interval=200, eval_episodes=3, workers=0, keep_replay=True,
        overrides={"checkpoint_interval": "150", "agent.finetune_lr_share": "0.25"},
        critic_reset=mode == "warm_start",  # fresh critics have the whole rate
    )  # fmt: skip
    start = lambda name: finetune(source, dataclasses.replace(tuned, out=str(tmp_path / name)))  # noqa: E731
    start("whole")
    _cut(lambda: start("cut"), "_update", 4, Killed)
    for checkpoint in (source / "checkpoints").iterdir():  # its weights are no longer there
        shutil.rmtree(checkpoint)
    resume(tmp_path / "cut")
    assert_same(tmp_path / "cut", tmp_path / "whole")


def test_a_finished_run_goes_on_if_it_is_given_more_steps(
    tmp_path: Path, whole: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    train(config(run, steps=300))
    with pytest.raises(BadInput, match=r"has all its 300.*--steps 600"):
        resume(run)
    with pytest.raises(BadInput, match="the 300 the run was begun with, or more, got 200"):
        resume(run, steps=200)
    assert "bit-exact" not in capsys.readouterr().err
    resume(run, steps=600, threads=2)
    assert "2 threads instead of 1: no longer bit-exact" in capsys.readouterr().err
    assert read_config(run).steps == 600
    # One thread or two, in so small a network: the same course, but the evaluation at the first end.
    longer = [row["env_steps"] for row in outcome(run)["metrics"]]
    assert sorted({*longer} - {"300"}, key=int) == [row["env_steps"] for row in outcome(whole())["metrics"]]
    assert "[[resumed]]" in (run / "run.toml").read_text()
    resume(run, steps=700)  # with two, as in its settings since
    assert "bit-exact" not in capsys.readouterr().err


def test_other_threads_than_in_the_sitting_before_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    _cut(lambda: train(config(run, steps=2_000)), "_update", 3, Killed)
    _cut(lambda: resume(run, threads=2), "_update", 4, Killed)
    assert "2 threads instead of 1: no longer bit-exact" in capsys.readouterr().err
    _cut(lambda: resume(run), "_update", 4, Killed)
    assert "1 threads instead of 2: no longer bit-exact" in capsys.readouterr().err
    _cut(lambda: resume(run, threads=2), "_add", 1, Killed)  # it saves nothing
    assert "2 threads instead of 1: no longer bit-exact" in capsys.readouterr().err
    resume(run)
    assert "bit-exact" not in capsys.readouterr().err


def test_a_run_goes_on_where_its_env_was_given_a_tuple(tmp_path: Path) -> None:
    gym.register("resume/Sized-v0", entry_point=_Sized, max_episode_steps=50)
    run = tmp_path / "run"
    sized = dataclasses.replace(config(run, steps=200), env="resume/Sized-v0", env_kwargs={"size": (2, [3])})
    train(sized)
    assert read_config(run).env_kwargs == {"size": [2, [3]]}
    resume(run, steps=300)
    assert outcome(run)["metrics"][-1]["env_steps"] == "300"
    del gym.registry["resume/Sized-v0"]


class _Sized(PointReach):
    """Gets the same in every sitting."""

    def __init__(self, size: Any) -> None:
        assert size == [2, [3]]
        super().__init__()


def test_torch_has_as_many_threads_as_before(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        train(config(tmp_path / "run", steps=100))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_episodes_leave_with_the_end_of_a_run_unless_they_are_kept(tmp_path: Path) -> None:
    run = tmp_path / "run"
    _cut(lambda: train(config(run, keep_replay=False)), "_add", 6, Killed)
    assert list((run / "replay").iterdir())
    resume(run)
    assert not (run / "replay").exists()
    with pytest.raises(BadInput, match="It has not kept its episodes: fine-tune from it"):
        resume(run)
    with pytest.raises(BadInput, match="--keep-replay"):
        resume(run, steps=2_000)
    assert Policy.load(run)


def test_what_a_killed_run_wrote_after_its_checkpoint_is_written_again(
    tmp_path: Path, whole: Callable[..., Path]
) -> None:
    run = tmp_path / "run"
    _cut(lambda: train(config(run)), "_add", 5, Killed)
    with (run / "metrics.csv").open("a") as file:
        file.write("600,300,12,0,0,0.25")  # a row that the disk has half of
    (run / "replay" / "00000099-0123456789abcdef.safetensors").write_bytes(b"of no checkpoint")
    (run / "checkpoints" / ".stage-1").mkdir()
    resume(run)
    assert_same(run, whole())
    assert {path.name for path in (run / "replay").iterdir()} == {
        segment.name for segment in newest_checkpoint(run).segments
    }
    assert not list((run / "checkpoints").glob(".stage-*"))
    assert not (run / ".lock").exists()


@pytest.mark.parametrize(
    "damaged", ["learner.safetensors", "snapshots.safetensors", "manifest.json", "replay"]
)
def test_a_damaged_generation_or_replay_falls_back_loudly(
    tmp_path: Path, whole: Callable[..., Path], damaged: str
) -> None:
    run = tmp_path / "run"
    _cut(lambda: train(config(run)), "_add", 6, Killed)
    newest = newest_checkpoint(run)
    path = newest.path / damaged
    if damaged == "replay":
        path = run / "replay" / newest.segments[-1].name
    contents = bytearray(path.read_bytes())
    contents[len(contents) // 2] ^= 1
    path.write_bytes(contents)
    with pytest.warns(UserWarning, match="falling back"):
        resume(run)
    assert_same(run, whole())


def test_two_processes_never_write_one_run(tmp_path: Path) -> None:
    run = tmp_path / "run"
    _cut(lambda: train(config(run)), "_add", 3, Killed)
    with RunLock(run), pytest.raises(BadInput, match=f"held by process {os.getpid()}"):
        resume(run)
    # The file that a killed process left is no lock.
    (run / ".lock").write_text("process 99999 on another machine\n")
    resume(run)


def test_a_stopped_run_says_how_it_goes_on(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop.Training, "_add", _killed_before("_add", 3, Stopped))
        with pytest.raises(Stopped, match=re.escape(f"regoal resume {tmp_path / 'run'}")):
            train(config(tmp_path / "run"))


def test_an_evaluation_in_flight_is_played_again(tmp_path: Path, whole: Callable[..., Path]) -> None:
    """With a worker an evaluation may end long after it began; the run dies in between."""
    run = tmp_path / "run"

    def never(self: Rollouts) -> bool:
        return False

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rollouts, "evaluated", property(never))
        patch.setattr(loop.Training, "_add", _killed_before("_add", 6, Killed))
        with pytest.raises(Killed):
            train(config(run, workers=1))
    assert newest_checkpoint(run).state["progress"]["run"]["pending"] is not None
    resume(run, workers=0)
    assert_same(run, whole())


def test_a_stop_loses_no_evaluation_where_the_next_is_due(tmp_path: Path, whole: Callable[..., Path]) -> None:
    """The evaluation at 200 steps has no row yet when the block that ends at 400 is asked to be the last."""
    run = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rollouts, "evaluated", property(lambda self: False))
        patch.setattr(loop.Training, "_add", _killed_before("_add", 4, Stopped))
        with pytest.raises(Stopped):
            train(config(run, workers=1))
    resume(run, workers=0)
    assert_same(run, whole())


def _breaks(name: str, call: int) -> Any:
    """A method of the loop that does its work, and at its n-th call an exception follows."""
    method, calls = getattr(loop.Training, name), 0

    def counted(self: loop.Training, *arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        done = method(self, *arguments, **options)
        if calls == call:
            raise RuntimeError("by hand")
        return done

    return counted


@pytest.mark.parametrize(
    ("place", "call", "evaluated"),
    [
        ("_add", 6, [0, 200, 400, 600]),
        ("_update", 6, [0, 200, 400, 600]),
        ("_add", 2, [0, 300, 400, 600]),  # what was due at 200 is made up for after the next block
        ("_update", 2, [0, 300, 400, 600]),
    ],
)
def test_what_a_block_owes_is_made_up_for_after_an_error_in_it(
    tmp_path: Path, whole: Callable[..., Path], place: str, call: int, evaluated: list[int]
) -> None:
    run = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop.Training, place, _breaks(place, call))
        with pytest.raises(RuntimeError, match="by hand"):
            train(config(run))
    assert newest_checkpoint(run).state["progress"]["run"]["env_steps"] == 100 * call
    found = resume(run)
    told = outcome(run)
    assert [int(row["env_steps"]) for row in told["metrics"]] == evaluated
    assert found.gradient_steps == outcome(whole())["counters"]["gradient_steps"]
    assert found.success == float(told["metrics"][-1]["success"])


@pytest.mark.parametrize("call", [2, 4])
def test_an_evaluation_that_broke_is_made_once(tmp_path: Path, whole: Callable[..., Path], call: int) -> None:
    """The second of four, or the last."""
    play, calls = Rollouts.evaluation, 0

    def broken(self: Rollouts, *arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            raise RuntimeError("by hand")
        return play(self, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rollouts, "evaluation", broken)
        with pytest.raises(RuntimeError, match="by hand"):
            train(config(tmp_path / "run"))
    resume(tmp_path / "run")
    assert_same(tmp_path / "run", whole())


def test_a_block_began_before_it_is_and_between_blocks_where_nobody_says() -> None:
    said = RunState(env_steps=200, block_began=100).to_json()
    assert RunState.from_json(said).block_began == 100
    with pytest.raises(BadInput, match="block_began: expected at most env_steps, 200, got 300"):
        RunState.from_json(said | {"block_began": 300})
    del said["block_began"]
    assert RunState.from_json(said).block_began == 200


def test_updates_that_were_made_before_an_error_are_counted(tmp_path: Path) -> None:
    made, update = 0, DDPG.update

    def twenty(self: DDPG, *arguments: Any, **options: Any) -> Any:
        nonlocal made
        if made == 20:
            raise RuntimeError("by hand")
        made += 1
        return update(self, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DDPG, "update", twenty)
        with pytest.raises(RuntimeError, match="by hand"):
            train(config(tmp_path / "run"))
    state = newest_checkpoint(tmp_path / "run").state["progress"]["run"]
    assert (state["gradient_steps"], state["env_steps"], state["updates_owed"]) == (20, 100, 5.0)


def test_a_generation_without_its_newest_episodes_is_told_where_older_ones_have_left(
    tmp_path: Path, whole: Callable[..., Path]
) -> None:
    """Its files hold as many episodes as the buffer does, and others."""
    run, writes = tmp_path / "run", 0

    def full(*arguments: Any) -> Any:
        nonlocal writes
        writes += 1
        if writes > 2:
            raise OSError(28, "No space left on device")
        return write_segments(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("regoal.agent.experience.write_segments", full)
        with pytest.raises(SaveFault):
            train(config(run, capacity=200))
    broken = newest_checkpoint(run)
    held = broken.state["progress"]["experience"]["buffers"]["own"]["n_episodes"]
    assert held <= sum(segment.episodes for segment in broken.segments)
    with pytest.warns(UserWarning, match="not all its episodes could be saved; falling back"):
        inspect(run)
    with pytest.warns(UserWarning, match="not all its episodes could be saved; falling back"):
        resume(run)
    assert_same(run, whole(capacity=200))


def test_a_run_does_not_go_on_in_another_world(tmp_path: Path) -> None:
    run = tmp_path / "run"
    _cut(lambda: train(config(run)), "_add", 3, Killed)
    text = (run / "config.toml").read_text()
    (run / "config.toml").write_text(text.replace('shift = ""', 'shift = "action_gain=0.5"'))
    with pytest.raises(BadInput, match=r"the world that the checkpoint was made in.*fine-tune from it"):
        resume(run)
