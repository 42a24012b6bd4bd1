"""Side by side with Stable-Baselines3: tables by hand, what is refused, and runs that end by the clock."""

import dataclasses
import os
import signal
import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hand_made_runs import SIDEWAYS, hand_made_run

import regoal
from regoal.agent.checkpoints import newest_checkpoint
from regoal.agent.evaluation import evaluate
from regoal.agent.machine import cores
from regoal.agent.policy import Policy
from regoal.agent.seeding import Stream, env_seed
from regoal.benchmarks import beside, presets
from regoal.benchmarks.beside_table import (
    COLUMNS,
    Row,
    as_table,
    by_side,
    curves_of,
    merged,
    newest,
    rows_of,
    verdict,
)
from regoal.benchmarks.tables import read_rows, write_rows
from regoal.envs.goal_spec import GoalSpec

ROOT = Path(__file__).parents[1]
POINT = "regoal/PointReach-v0"
OURS, THEIRS = "regoal 0.1.0", "stable-baselines3 2.9.2"
TINY = """
date = 2026-01-31
does = "reaches a point, badly"
envs = ["regoal/PointReach-v0"]
agent = "ddpg"

[settings]
eval_interval = 100
agent.hidden = [8]
agent.batch_size = 8
"""


def evaluations(*values: tuple[int, float, float]) -> list[dict[str, str]]:
    """As a run writes them: env steps, seconds, success."""
    names = ("env_steps", "wall_seconds", "success")
    return [dict(zip(names, map(str, one), strict=True)) for one in values]


def rows(
    side: str, *values: tuple[int, float, float], env: str = POINT, seed: int = 0
) -> list[dict[str, str]]:
    """As they stand in beside.csv, of a side that had six minutes."""
    return rows_of(side, evaluations(*values), env, seed, 360.0)


ours = rows(OURS, (0, 61.5, 0.02), (9_000, 119.0, 0.3), (20_000, 361.0, 0.9), (21_000, 361.1, 1.0))
theirs = rows(THEIRS, (0, 0.0, 0.1), (1_500, 60.04, 0.0), (4_000, 360.02, 0.5))


def test_the_table_shows_the_newest_evaluation_at_each_minute() -> None:
    # An evaluation within a second after a mark counts for it; those after the time do not count at all.
    assert as_table(ours + theirs, 6.0).splitlines() == [
        "| minutes | regoal 0.1.0 | env steps | stable-baselines3 2.9.2 | env steps |",
        "|---|---|---|---|---|",
        "| 1 |  |  | 0.00 | 1,500 |",
        "| 2 | 0.30 | 9,000 | 0.00 | 1,500 |",
        "| 5 | 0.30 | 9,000 | 0.00 | 1,500 |",
        "| 6 | 0.90 | 20,000 | 0.50 | 4,000 |",
    ]
    lines = as_table(ours + theirs, 30.0).splitlines()[2:]
    assert [line.split(" | ")[0] for line in lines] == [f"| {m}" for m in (1, 2, 5, 10, 15, 20, 25, 30)]


def test_the_guide_and_the_readme_tell_what_was_measured() -> None:
    measured = read_rows(ROOT / "benchmarks" / "results" / "beside.csv")
    shown = [row for row in measured if (row["env"], row["seed"]) == ("FetchPush-v4", "0")]
    assert as_table(shown, 30) in (ROOT / "docs" / "objects.md").read_text()
    ended = {side: newest(one, 30) for side, one in by_side(shown).items()}
    (ours, us), (theirs, them) = ended.items()
    assert us is not None
    assert them is not None
    told = (
        f"After 30 minutes {ours} is at {float(us['success']):.2f} of 50 episodes and {theirs} at "
        f"{float(them['success']):.2f}: it has made {int(them['env_steps']):,} env steps, an update for "
        f"each, and regoal {int(us['env_steps']):,}."
    )
    assert told in (ROOT / "README.md").read_text(), told


def test_misses_are_told() -> None:
    def told(success: float) -> str:
        return verdict(rows(OURS, (9, 9.0, success)) + theirs, 6.0)

    what = "after 6 minutes: regoal 0.1.0 {}, stable-baselines3 2.9.2 0.50: {} over 50 episodes of one seed"
    assert told(0.44) == what.format("0.44", "regoal is behind")
    assert told(0.5) == what.format("0.50", "both are level")
    assert told(0.52) == what.format("0.52", "regoal is ahead")
    assert verdict(theirs, 6.0).endswith("0.50; a side has no evaluation: no comparison")


def test_rows_of_other_envs_and_seeds_stay() -> None:
    other_env, other_seed = rows(OURS, (0, 1.0, 0.0), env="Another-v0"), rows(OURS, (0, 1.0, 0.0), seed=10)
    older = rows("regoal 0.0.9", (0, 1.0, 0.0))  # of the same seed: versions are not compared here
    second = rows(OURS, (0, 1.0, 0.0), seed=2)
    assert merged([*other_seed, *older, *other_env], [*ours, *theirs, *second]) == [
        *other_env, *ours, *theirs, *second, *other_seed,
    ]  # fmt: skip
    assert curves_of([*theirs, *rows(THEIRS, (9, 30.0, 0.25), seed=2)]) == {
        POINT: {THEIRS: [[(0.0, 0.1), (1.0, 0.0), (6.0, 0.5)], [(0.5, 0.25)]]}
    }


def test_ours_is_the_ordinary_run_with_the_time_as_its_end(tmp_path: Path) -> None:
    def config(env: str) -> tuple[regoal.TrainConfig, str]:
        cell = beside.our_side(env, 3, 30.0, tmp_path).item.cell
        return cell.config, cell.preset

    push, preset = config("FetchPush-v4")
    usual = regoal.preset("FetchPush-v4", push.out, seed=3)
    # Discovery may take half of the steps of the preset, and not of those that nobody will reach.
    assert (usual.steps, usual.discovery_steps, usual.eval_episodes) == (120_000, 0, 50)
    workers = min(cores() - 1, usual.block_episodes)
    longer = dataclasses.replace(usual, steps=18_000_000, discovery_steps=60_000, workers=workers)
    assert (push, preset) == (longer, "push")
    point, preset = config(POINT)
    assert (point.discovery_steps, point.agent, preset) == (0, regoal.DDPGConfig(), "")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--minutes", "0"], "minutes: expected more than 0, at most 10,000, got 0."),
        (["--minutes", "-1"], "minutes: expected more than 0"),
        (["--minutes", "nan"], "minutes: expected more than 0"),
        (["--minutes", "1e309"], "minutes: expected more than 0"),
        (["--env", "FetchPuhs-v4"], "Did you mean FetchPush-v4"),
        (["--seed", "-1"], "seed: expected 0 or more, got -1"),
        (["--env", POINT], "stable-baselines3: expected to be installed beside regoal"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_starts(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    told: str,
) -> None:
    def version(name: str) -> str:
        if name != "regoal":
            raise PackageNotFoundError(name)
        return "0.1.0"

    monkeypatch.setattr(beside, "version", version)
    monkeypatch.setattr(beside, "measure", lambda *arguments: pytest.fail("started"))
    assert beside.main([*arguments, "--out", str(tmp_path / "out")]) == 2
    assert told in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_table_of_something_else_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "version", lambda name: "1.0")
    monkeypatch.setattr(beside, "measure", lambda *arguments: pytest.fail("started"))
    (tmp_path / "beside.csv").write_text("what,else\n1,2\n")
    assert beside.main(["--env", POINT, "--out", str(tmp_path)]) == 2
    assert (tmp_path / "beside.csv").read_text() == "what,else\n1,2\n"


def test_a_shorter_comparison_does_not_take_the_place_of_a_longer_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(beside, "version", lambda name: "1.0")
    monkeypatch.setattr(beside, "measure", lambda *arguments: 15)
    rows = f"env,side,seed,env_steps,wall_seconds,success\n{POINT},ours,0,900,1800.4,1.0\n"
    (tmp_path / "beside.csv").write_text(rows)
    command = ["--env", POINT, "--out", str(tmp_path)]
    assert beside.main([*command, "--minutes", "2"]) == 2
    assert "minutes: expected at least the 30.0 that" in capsys.readouterr().err
    assert beside.main([*command, "--minutes", "30"]) == 143
    assert beside.main([*command, "--minutes", "2", "--seed", "1"]) == 143
    assert (tmp_path / "beside.csv").read_text() == rows


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another preset, and short evaluations."""
    folder = tmp_path / "presets"
    folder.mkdir()
    (folder / "tiny.toml").write_text(TINY)
    monkeypatch.setattr(presets, "PRESETS", folder)
    monkeypatch.setattr(beside, "EVAL_EPISODES", 2)


@pytest.mark.usefixtures("tiny")
def test_a_run_ends_at_its_time_goes_on_after_a_stop_and_is_not_measured_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = 5.0
    side = beside.our_side(POINT, 0, seconds / 60, tmp_path)
    run = side.file.parent
    told_of: list[object] = []

    def stop_once(label: str, row: object) -> None:  # a second signal would end at once
        if not told_of:
            os.kill(os.getpid(), signal.SIGINT)
        told_of.append(row)

    with monkeypatch.context() as patched:
        patched.setattr(beside, "tell", stop_once)
        patched.setattr(beside, "POLL_SECONDS", 0.1)
        assert beside.measure(side, seconds) == signal.SIGINT
    before = side.rows()
    assert before
    assert not beside.is_measured(before, seconds)
    assert beside.measure(side, seconds) == 0
    told = tomllib.loads((run / "run.toml").read_text())
    assert (told["notes"], len(told["resumed"])) == ({"preset": "tiny"}, 1)
    found = side.rows()
    assert found[: len(before)] == before
    # It was stopped by the first evaluations after its time, and can be gone on with.
    assert seconds <= float(found[-1]["wall_seconds"]) < seconds + 60
    progress = newest_checkpoint(run).state["progress"]
    assert (progress["finished"], progress["inside_block"]) == (False, False)
    monkeypatch.setattr(beside, "Processes", lambda *arguments: pytest.fail("measured twice"))
    assert beside.measure(beside.our_side(POINT, 0, seconds / 60, tmp_path), seconds) == 0
    with pytest.raises(
        regoal.BadInput, match=r"expected a run of the suite's settings, got seed=0 \(not 1\)"
    ):
        beside.our_side(POINT, 1, seconds / 60, tmp_path)


@pytest.mark.peer
def test_both_sides_are_evaluated_in_the_same_episodes(tmp_path: Path) -> None:
    pytest.importorskip("stable_baselines3")
    from regoal.benchmarks.peers.sb3 import success_rate

    policy = Policy.load(hand_made_run(tmp_path / "run", SIDEWAYS))  # reaches some goals

    class Model:
        """Acts as the policy does."""

        def predict(self, observation: dict[str, Any], deterministic: bool) -> tuple[np.ndarray, None]:
            assert deterministic
            return policy.act(observation["observation"], observation["desired_goal"]), None

    spec = GoalSpec.of(POINT)
    expected = evaluate(spec, policy, episodes=50, seed=7).success
    assert 0 < expected < 1
    seeds = [env_seed(7, Stream.EVALUATION, index) for index in range(50)]
    env: Any = regoal.make(POINT)
    assert success_rate(Model(), env, seeds) == pytest.approx(expected)  # type: ignore[arg-type]
    spec.close()


@pytest.mark.peer
def test_the_other_side_is_evaluated_in_mazes_too() -> None:
    """Their envs tell of success by another name."""
    pytest.importorskip("stable_baselines3")
    from regoal.benchmarks.peers.sb3 import success_rate

    class Still:
        def predict(self, observation: object, deterministic: bool) -> tuple[np.ndarray, None]:
            return np.zeros(2, np.float32), None

    env: Any = regoal.make("PointMaze_UMaze-v3")
    assert success_rate(Still(), env, [0]) == 0  # type: ignore[arg-type]
    env.close()


@pytest.mark.peer
@pytest.mark.usefixtures("tiny")
def test_both_sides_are_measured_and_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("stable_baselines3")
    results = tmp_path / "results"
    other = Row("Another-v0", OURS, 0, 0, 1.0, 0.5)
    write_rows(results / "beside.csv", Row, [other])
    command = ["--env", POINT, "--minutes", "0.1", "--out", str(tmp_path / "out"), "--results", str(results)]
    assert beside.main(command) == 0
    told = capfd.readouterr()
    assert "regoal is" in told.out or "both are level" in told.out
    table = read_rows(results / "beside.csv")
    assert tuple(table[0]) == COLUMNS
    assert table[0]["env"] == "Another-v0"
    ours, theirs = by_side([row for row in table if row["env"] == POINT]).values()
    assert {row["side"].split()[0] for row in theirs} == {"stable-baselines3"}
    assert int(ours[-1]["env_steps"]) >= 100
    # Theirs is evaluated at its start and at its end, whatever evaluations take.
    assert (theirs[0]["wall_seconds"], theirs[0]["env_steps"]) == ("0.0", "0")
    assert 6.0 <= float(theirs[-1]["wall_seconds"]) <= 7.0
    assert int(theirs[-1]["env_steps"]) > 1_000, "no update was made"
    assert (results / "beside.png").read_bytes()[:4] == b"\x89PNG"
    monkeypatch.setattr(beside, "Processes", lambda *arguments: pytest.fail("measured twice"))
    assert beside.main(command) == 0
    assert capfd.readouterr().out == told.out
