"""Exports, and the agents that come with the package: small run folders that play and start others."""

import dataclasses
import errno
import json
import re
import shlex
import shutil
import socket
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_docs import ROOT, run_page, success

from regoal import (
    BadInput,
    DDPGConfig,
    FinetuneConfig,
    Policy,
    SACConfig,
    TrainConfig,
    finetune,
    learning_commands,
    train,
)
from regoal.agent import evaluation, exporting, shipped, training
from regoal.agent.checkpoints import newest_checkpoint, save_checkpoint
from regoal.agent.evaluation import evaluate
from regoal.agent.exporting import portable, portable_command
from regoal.agent.finetuning import resolve
from regoal.agent.learner import state_of
from regoal.agent.run_folder import read_config
from regoal.agent.settings import to_toml
from regoal.agent.shipped import SHIPPED, agents, located, names, table
from regoal.agent.validation import validated
from regoal.benchmarks.statistics import wilson_interval
from regoal.cli import main
from regoal.envs.goal_spec import GoalSpec
from regoal.envs.recipe import EnvRecipe
from regoal.errors import SaveFault

POINT = "regoal/PointReach-v0"
QUICK: dict[str, Any] = {
    "hidden": (64, 64),
    "batch_size": 64,
    "lr": 3e-3,
    "gamma": 0.9,
    "updates_per_step": 1.0,
}
AGENTS = {"ddpg": DDPGConfig(random_share=0.8, **QUICK), "sac": SACConfig(**QUICK)}
EPISODES = ["--episodes", "30", "--seed", "7"]
MACHINE_PATH = re.compile(r"""(^|[\s"'=])[/~]""", re.MULTILINE)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run of each agent that has learned to reach some goals."""
    folder = tmp_path_factory.mktemp("runs")
    for name, agent in AGENTS.items():
        config = TrainConfig(
            POINT, str(folder / name), agent, shift="action_gain=0.8", steps=1_500, workers=0
        )
        train(
            dataclasses.replace(config, eval_interval=1_500, eval_episodes=2),
            notes={"preset": "none", "from": f"what lies in {folder}"},
        )
    return {name: folder / name for name in AGENTS}


@pytest.fixture(scope="module")
def exports(runs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The export of each."""
    folder = tmp_path_factory.mktemp("exports")
    for name, run in runs.items():
        assert main(["export", str(run), "--out", str(folder / name), *EPISODES]) == 0
    return {name: folder / name for name in AGENTS}


def _started(source: Path, **changes: Any) -> dict[str, Any]:
    """The arrays of a learner that starts from a source, before its first step."""
    config = resolve(source, FinetuneConfig("never", **{"mode": "naive", "steps": 300} | changes))
    spec = GoalSpec.of(POINT)
    try:
        return state_of(training.begin(training.validated(config), spec).learner)
    finally:
        spec.close()


def _measured(run: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert main(["evaluate", str(run), *EPISODES, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert found.pop("run") == str(run)
    return found


# ---------------------------------------------------------------- what an export is


@pytest.mark.parametrize("agent", AGENTS)
def test_an_export_plays_as_its_run_does_and_says_how_well(
    runs: dict[str, Path], exports: dict[str, Path], capsys: pytest.CaptureFixture[str], agent: str
) -> None:
    found = _measured(runs[agent], capsys)
    assert found["mean_return"] > -45  # of an episode without success it is -50
    assert _measured(exports[agent], capsys) == found
    told = tomllib.loads((exports[agent] / "evaluation.toml").read_text())
    assert {key: told[key] for key in found if key in told} == {
        key: value for key, value in found.items() if key != "mean_length"
    }
    assert (told["env"], told["shift"], told["episodes"], told["seed"]) == (POINT, "action_gain=0.8", 30, 7)


@pytest.mark.parametrize("agent", AGENTS)
def test_an_export_holds_the_curve_the_settings_and_networks_and_nothing_else(
    runs: dict[str, Path], exports: dict[str, Path], agent: str
) -> None:
    run, export = runs[agent], exports[agent]
    checkpoint = {"manifest.json", "actor.safetensors", "learner.safetensors", "snapshots.safetensors"}
    files = {path.relative_to(export).as_posix() for path in export.rglob("*") if path.is_file()}
    assert files == {"config.toml", "run.toml", "metrics.csv", "evaluation.toml"} | {
        f"checkpoints/000001/{name}" for name in checkpoint | {"state.json"}
    }
    assert (export / "metrics.csv").read_bytes() == (run / "metrics.csv").read_bytes()
    assert read_config(export) == dataclasses.replace(read_config(run), out=f"runs/{agent}")
    arrays = newest_checkpoint(export).learner_arrays()
    parts = {name.partition(".")[0] for name in arrays}
    assert parts == {"normaliser", "actor", "critic"} | ({"temperature"} if agent == "sac" else set())
    full = newest_checkpoint(run).learner_arrays()
    assert all(np.array_equal(array, full[name]) for name, array in arrays.items())


def test_an_export_has_the_curve_up_to_its_checkpoint_and_no_further(
    runs: dict[str, Path], tmp_path: Path
) -> None:
    run = shutil.copytree(runs["ddpg"], tmp_path / "run")
    whole = (run / "metrics.csv").read_text()
    (run / "metrics.csv").write_text(
        whole + whole.splitlines()[-1] + "\n"
    )  # killed before the next checkpoint
    assert main(["export", str(run), "--out", str(tmp_path / "export"), *EPISODES]) == 0
    assert (tmp_path / "export" / "metrics.csv").read_text() == whole


def test_an_export_says_nothing_of_its_machine(exports: dict[str, Path]) -> None:
    for path in exports["ddpg"].rglob("*"):
        if path.suffix in (".toml", ".csv", ".json"):
            assert not MACHINE_PATH.search(path.read_text()), path
    notes = tomllib.loads((exports["ddpg"] / "run.toml").read_text())["notes"]
    assert notes["preset"] == "none"
    assert notes["from"].startswith("what lies in runs/")


@pytest.mark.parametrize(
    ("command", "typed"),
    [
        (
            "/opt/x/bin/regoal train A-v0 --seed 0 --out /data/reach",
            "regoal train A-v0 --seed 0 --out runs/best",
        ),
        ("regoal train A-v0 --out runs/gamma=0.95 --seed 1", "regoal train A-v0 --out runs/best --seed 1"),
        (".venv/bin/regoal train A-v0 --out=reach", "regoal train A-v0 --out=runs/best"),
        ("/x/regoal/__main__.py finetune /data/src --out b", "regoal finetune runs/src --out runs/best"),
        ("/x/regoal/cli.py finetune fetch-push --out b", "regoal finetune fetch-push --out runs/best"),
        ("/home/me/train.py ../her/file runs/x", "train.py runs/file runs/x"),
        (
            "regoal train A-v0 --env-kwargs xml=/home/me/a.xml n=2",
            "regoal train A-v0 --env-kwargs xml=runs/a.xml n=2",
        ),
        (
            "regoal train A-v0 --relabel '4*future+1*random'",
            "regoal train A-v0 --relabel '4*future+1*random'",
        ),
        ("", "''"),
    ],
)
def test_a_command_becomes_one_that_anyone_could_type(command: str, typed: str) -> None:
    assert portable_command(command, "runs/best") == typed


def test_a_source_elsewhere_becomes_one_below_runs() -> None:
    paths = (
        "",
        "fetch-push",
        "runs/a",
        "/data/a",
        "~/a",
        "../a",
        "./../../a",
        "a=b=/data/a",
        "['/data/a', 3]",
    )
    assert [portable(path) for path in paths] == [
        *("", "fetch-push", "runs/a", "runs/a", "runs/a", "runs/a", "runs/a", "a=b=runs/a", "['runs/a', 3]")
    ]


# ---------------------------------------------------------------- what it is for


@pytest.mark.parametrize("agent", AGENTS)
def test_an_export_starts_others_as_its_run_does_but_for_optimisers_and_targets(
    runs: dict[str, Path], exports: dict[str, Path], agent: str
) -> None:
    full, small = _started(runs[agent]), _started(exports[agent])
    assert full.keys() == small.keys()
    for name, array in small.items():
        module, _, key = name.partition(".")
        if module.endswith("_optimiser"):
            assert not array.any()
        elif module.startswith("target_"):
            assert np.array_equal(array, small[f"{module.removeprefix('target_')}.{key}"])
        else:
            assert np.array_equal(array, full[name])
    # All of it makes a difference.
    assert full["critic_optimiser.0.step"] > 0
    assert not np.array_equal(full["target_critic.flat"], small["target_critic.flat"])


def test_critics_that_start_afresh_do_so_from_an_export_too(exports: dict[str, Path]) -> None:
    started = _started(exports["sac"], mode="warm_start", critic_reset=True)
    scratch = _started(exports["sac"], mode="scratch")
    kept = newest_checkpoint(exports["sac"]).learner_arrays()
    assert np.array_equal(started["actor.flat"], kept["actor.flat"])
    for name in ("critic.flat", "target_critic.flat"):
        assert np.array_equal(started[name], scratch[name])


@pytest.mark.parametrize("mode", ["replay_mix", "rlpd"])
def test_modes_that_need_its_episodes_are_refused(exports: dict[str, Path], mode: str) -> None:
    with pytest.raises(BadInput, match=r"a source that kept its replay, got .*, which did not"):
        _started(exports["ddpg"], mode=mode)


@pytest.mark.parametrize("command", ["resume", "inspect", "export"])
def test_what_only_a_whole_run_can_do_is_refused_in_one_line(
    exports: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    export = exports["ddpg"]
    before = sorted(export.rglob("*"))
    more = ["--out", str(tmp_path / "out")] if command == "export" else []
    assert main([command, str(export), *more]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{export}, an export: networks without optimisers and episodes." in line
    assert ("Copy its folder." if command == "export" else "the command in its run.toml.") in line
    assert sorted(export.rglob("*")) == before


# ---------------------------------------------------------------- damage


@pytest.mark.parametrize("damage", ["flip", "truncate"])
def test_a_damaged_export_is_refused(exports: dict[str, Path], tmp_path: Path, damage: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(exports["ddpg"], copy)
    for path in (copy / "checkpoints" / "000001").iterdir():
        whole = path.read_bytes()
        harmed = bytearray(whole)
        harmed[len(harmed) // 2] ^= 4
        path.write_bytes(harmed if damage == "flip" else whole[: len(whole) // 2])
        with pytest.warns(UserWarning, match="000001"), pytest.raises(BadInput, match="that is whole"):
            Policy.load(copy)
        path.write_bytes(whole)
    assert Policy.load(copy)


def _with_arrays(source: Path, out: Path, arrays: dict[str, Any], *, exported: bool) -> Path:
    """A run whose checkpoint holds these arrays and is whole, as far as its hashes go."""
    shutil.copytree(source, out)
    policy, progress = Policy.load(source), newest_checkpoint(source).state["progress"]
    save_checkpoint(out, policy, arrays, progress | ({"exported": True} if exported else {}))
    return out


def test_parts_may_lack_in_exports_alone_and_only_as_a_whole(runs: dict[str, Path], tmp_path: Path) -> None:
    full = newest_checkpoint(runs["ddpg"]).learner_arrays()
    lacking = {name: array for name, array in full.items() if not name.startswith("actor_optimiser.")}
    ordinary = _with_arrays(runs["ddpg"], tmp_path / "ordinary", lacking, exported=False)
    with pytest.raises(BadInput, match=r"expected the arrays of an agent .* 'actor_optimiser\.0\.step'"):
        _started(ordinary)
    exported = _with_arrays(runs["ddpg"], tmp_path / "exported", lacking, exported=True)
    started = _started(exported)
    assert not started["actor_optimiser.0.exp_avg"].any()
    assert np.array_equal(started["critic_optimiser.0.exp_avg"], full["critic_optimiser.0.exp_avg"])
    for name in ("actor_optimiser.0.step", "critic.flat", "normaliser.goal.mean"):
        half = {key: array for key, array in full.items() if key != name}
        with pytest.raises(BadInput, match=re.escape(name)):
            _started(_with_arrays(runs["ddpg"], tmp_path / name, half, exported=True))


# ---------------------------------------------------------------- written whole or not at all


def test_nothing_is_ever_overwritten(runs: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "there").write_text("mine")
    for out, told in ((tmp_path / "there", "overwritten"), (runs["ddpg"] / "x", "outside the run's")):
        with pytest.raises(BadInput, match=told):
            exporting.prepare(runs["ddpg"], out)
    prepared = exporting.prepare(runs["ddpg"], tmp_path / "late")
    (tmp_path / "late").mkdir()
    with pytest.raises(BadInput, match="overwritten"):
        exporting.write(prepared, {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["late", "there"]
    assert list((tmp_path / "late").iterdir()) == []


def test_what_cannot_be_written_leaves_nothing(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    prepared = exporting.prepare(runs["ddpg"], tmp_path / "out")
    monkeypatch.setattr(exporting, "save_checkpoint", full)
    with pytest.raises(SaveFault, match=r"No space left on device\. Free space"):
        exporting.write(prepared, {})
    assert list(tmp_path.iterdir()) == []


def test_a_stop_while_episodes_are_played_leaves_nothing(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluation, "evaluate", stopped)
    assert main(["export", str(runs["ddpg"]), "--out", str(tmp_path / "out")]) == 130
    assert list(tmp_path.iterdir()) == []


def test_a_run_is_not_measured_by_the_episodes_it_has_evaluated_itself_in(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = str(read_config(runs["ddpg"]).seed)
    assert main(["export", str(runs["ddpg"]), "--out", str(tmp_path / "out"), "--seed", own]) == 2
    assert f"seed: expected another than the run's, {own}" in capsys.readouterr().err


# ---------------------------------------------------------------- agents that are shipped


def test_an_existing_path_wins_over_the_name_of_an_agent(
    exports: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert located("fetch-reach") == located("fetch-reach/") == SHIPPED / "fetch-reach"
    assert read_config("fetch-reach").env == "FetchReach-v4"
    for other in ("fetch-rech", "x/fetch-reach", "..", ".", "fetch-reach/checkpoints", "a" * 5_000):
        assert located(other) == Path(other)
    shutil.copytree(exports["ddpg"], "fetch-reach")
    assert located("fetch-reach") == Path("fetch-reach")
    assert read_config("fetch-reach").env == POINT
    assert Policy.load("fetch-reach").observation_size == Policy.load(exports["ddpg"]).observation_size


@pytest.mark.parametrize("command", ["evaluate", "finetune", "rank"])
def test_a_name_that_no_agent_has_is_answered_by_those_there_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    more = ["--out", str(tmp_path / "out")] if command == "finetune" else []
    assert main([command, "fetch-rech", *more]) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert "fetch-rech, which does not exist" in told
    assert "Did you mean the shipped fetch-reach" in told
    assert main([command, str(tmp_path / "nothing"), *more]) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert "fetch-reach (FetchReach-v4, success 1.00)" in told


def test_commands_call_an_agent_by_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "fetch-reach", "--episodes", "2"]) == 0
    assert capsys.readouterr().out.startswith("fetch-reach: success 1.00 ")
    assert main(["rank", "fetch-reach", str(SHIPPED / "fetch-reach")]) == 2
    assert "each run once, got the run fetch-reach again" in capsys.readouterr().err
    out = tmp_path / "out"
    tuned = ["--mode", "naive", "--steps", "100", "--workers", "0", "--seeds", "3"]
    small = ["--set", "eval_episodes=2", "agent.batch_size=32"]
    assert main(["finetune", "fetch-reach", "--out", str(out), *tuned, *small]) == 0
    assert read_config(out / "seed-3").source == "fetch-reach"
    for inside in (SHIPPED / "fetch-reach" / "x", "fetch-reach"):  # the second would hide what it comes from
        with pytest.raises(BadInput, match="a folder outside the source's"):
            finetune("fetch-reach", FinetuneConfig(str(inside)))


@pytest.mark.parametrize("name", names())
def test_a_shipped_agent_does_what_it_says(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: Any, **__: Any) -> None:
        raise OSError("no network")

    monkeypatch.setattr(socket.socket, "connect", offline)
    monkeypatch.setattr(socket, "getaddrinfo", offline)
    folder = SHIPPED / name
    told = tomllib.loads((folder / "evaluation.toml").read_text())
    config = read_config(folder)
    assert (told["env"], told["shift"], told["episodes"]) == (config.env, config.shift, 1_000)
    spec = GoalSpec.from_recipe(EnvRecipe(config.env, config.shift, config.env_kwargs))
    found = evaluate(spec, Policy.load(name), episodes=20, seed=told["seed"])
    spec.close()
    low, high = wilson_interval(round(20 * found.success), 20)
    assert low <= told["success_interval"][1]
    assert high >= told["success_interval"][0]


@pytest.mark.parametrize("name", names())
def test_the_command_of_a_shipped_agent_still_asks_for_its_settings(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tomllib.loads((SHIPPED / name / "run.toml").read_text())
    asked: list[tuple[TrainConfig, Any]] = []
    monkeypatch.setattr(
        learning_commands, "train_all", lambda configs, jobs, notes=None: asked.append((configs[0], notes))
    )
    main(shlex.split(told["command"])[1:])
    ((config, notes),) = asked
    assert to_toml(validated(config)) == to_toml(read_config(SHIPPED / name))
    assert (notes or {}) == told.get("notes", {})


@pytest.mark.parametrize("name", names())
def test_a_shipped_agent_says_nothing_of_the_machine_it_was_trained_on(name: str) -> None:
    folder = SHIPPED / name
    for path in folder.rglob("*"):
        if path.suffix in (".toml", ".csv", ".json"):
            assert not MACHINE_PATH.search(path.read_text()), path
    config = read_config(folder)
    assert config.out == f"runs/{name}"
    command = tomllib.loads((folder / "run.toml").read_text())["command"]
    assert re.fullmatch(rf"regoal train {config.env} .*--out runs/{name}.*", command)
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 1_000_000


def test_all_shipped_agents_together_are_small_enough_for_the_wheel() -> None:
    assert sum(path.stat().st_size for path in SHIPPED.rglob("*") if path.is_file()) < 5_000_000


# ---------------------------------------------------------------- the guide


def test_the_guide_runs_as_it_stands(tmp_path: Path) -> None:
    printed = run_page(ROOT / "docs" / "agents.md", tmp_path)
    assert success(printed[0]) >= 0.95
    before, tuned, *_ = printed[1].splitlines()
    assert success(before) <= 0.3
    assert success(tuned) >= 0.8
    assert "reached: True" in printed[2]
    exported, evaluated = map(success, printed[3].splitlines())
    assert min(exported, evaluated) >= 0.8
    command = tomllib.loads((tmp_path / "agents" / "turned" / "run.toml").read_text())["command"]
    assert command.startswith("regoal finetune fetch-reach --shift action_rotation=90 ")


def test_the_guide_shows_what_is_shipped() -> None:
    assert table(shipped.agents()) in (ROOT / "docs" / "agents.md").read_text()
    assert [one.name for one in agents()] == names()
