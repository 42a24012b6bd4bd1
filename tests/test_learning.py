"""Learning proofs: what we claim works, and its baseline fails."""

import ast
import dataclasses
import re
import time
from pathlib import Path

import pytest

from regoal import DDPGConfig, FinetuneConfig, SACConfig, TrainConfig, finetune, train
from regoal.agent.evaluation import evaluate
from regoal.agent.policy import Policy
from regoal.benchmarks.reach import SEEDS, STEPS, measure
from regoal.envs.goal_spec import GoalSpec

POINT = "regoal/PointReach-v0"
# Learns PointReach with hindsight in half the steps of the defaults, whatever the seed: it explores more.
QUICK = DDPGConfig(hidden=(64, 64), batch_size=128, lr=3e-3, gamma=0.95, random_share=0.8)


def learned(config: TrainConfig) -> float:
    """Success over 100 fresh episodes after training."""
    run = train(config)
    spec = GoalSpec.of(config.env, **config.env_kwargs)
    return evaluate(spec, Policy.load(run.path), episodes=100, seed=1_000).success


@pytest.mark.parametrize(
    "agent",
    [QUICK, SACConfig(hidden=(64, 64), batch_size=128, lr=3e-3)],
    ids=["ddpg", "sac"],
)
def test_hindsight_solves_point_reach_and_its_absence_does_not(
    tmp_path: Path, agent: DDPGConfig | SACConfig
) -> None:
    began = time.monotonic()
    plain = TrainConfig(
        env=POINT, out=str(tmp_path / "her"), agent=agent, steps=2_000, eval_interval=2_000, workers=0
    )
    assert learned(plain) >= 0.95
    without = dataclasses.replace(plain, out=str(tmp_path / "none"), relabel="none")
    assert learned(without) <= 0.3
    assert time.monotonic() - began < 60


def test_hindsight_learns_where_success_terminates(tmp_path: Path) -> None:
    # Success is scored at the last step, which is the step that reached the goal.
    config = TrainConfig(
        env=POINT,
        env_kwargs={"terminate_on_success": True},
        out=str(tmp_path / "her"),
        agent=QUICK,
        steps=2_000,
        eval_interval=2_000,
        workers=0,
    )
    assert learned(config) >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("agent", sorted(STEPS))
def test_fetch_reach_is_learned_within_the_budget(tmp_path: Path, agent: str, seed: int) -> None:
    row = measure(agent, seed, tmp_path)
    assert row.success >= 0.95
    if agent == "ddpg":
        assert row.wall_seconds <= 60


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["naive", "warm_start", "replay_mix", "anchor"])
def test_fine_tuning_solves_a_shifted_fetch_reach_before_scratch_begins_to(
    reach_source: Path, tmp_path: Path, mode: str
) -> None:
    target = FinetuneConfig(out="", shift="action_rotation=90,action_gain=0.6", steps=800, eval_interval=800)

    def success(other: str) -> float:
        return finetune(
            reach_source, dataclasses.replace(target, out=str(tmp_path / other), mode=other)
        ).success

    assert success("zero_shot") <= 0.2
    assert success("scratch") <= 0.4
    assert success(mode) >= 0.8


@pytest.mark.slow
def test_a_maze_is_learned_turned_and_learned_again_before_scratch_begins_to(tmp_path: Path) -> None:
    source, target = tmp_path / "source", "action_rotation=90"
    train(TrainConfig(env="PointMaze_UMaze-v3", out=str(source), steps=20_000, eval_interval=20_000))

    def success(run: Path, shift: str = target) -> float:
        spec = GoalSpec.of("PointMaze_UMaze-v3", shift)
        return evaluate(spec, Policy.load(run), episodes=100, seed=1_000).success

    def tuned(mode: str) -> float:
        run = tmp_path / mode
        finetune(
            source, FinetuneConfig(out=str(run), shift=target, mode=mode, steps=6_000, eval_interval=6_000)
        )
        return success(run)

    assert success(source, "") >= 0.7
    assert success(source) <= 0.3
    assert tuned("warm_start") >= 0.6
    assert tuned("scratch") <= 0.3


@pytest.mark.parametrize("folder", ["agent", "buffers"])
def test_no_learning_code_knows_an_env_by_name(folder: str) -> None:
    files = sorted((Path(__file__).parents[1] / folder).glob("*.py"))
    assert files
    code = {file.name: ast.unparse(ast.parse(file.read_text())) for file in files}  # without comments
    named = [name for name, text in code.items() if re.search("Fetch|Maze|HandReach|PointReach", text)]
    assert named == []


@pytest.fixture(scope="module")
def reach_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A FetchReach policy that kept its replay."""
    run = tmp_path_factory.mktemp("source") / "run"
    train(TrainConfig(env="FetchReach-v4", out=str(run), steps=2_500, eval_interval=2_500, keep_replay=True))
    return run
