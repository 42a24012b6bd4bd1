"""Presets: which one a run has, what wins over it, and what is refused; how well they learn."""

import dataclasses
import os
import shutil
import signal
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hand_made_runs import one_by_one

import regoal
from regoal import BadInput, DDPGConfig, TrainConfig, learning_commands
from regoal.agent import rollouts
from regoal.agent.interrupts import Stopped
from regoal.agent.machine import cores
from regoal.agent.run_folder import RunLog, read_config
from regoal.agent.validation import validated
from regoal.benchmarks import ablation, learning, presets
from regoal.benchmarks.cells import cells_of
from regoal.benchmarks.curves import Curve, draw_medians
from regoal.benchmarks.parallel import RunFailed
from regoal.benchmarks.presets import Measured, chosen, configured, expected, preset_for, preset_named
from regoal.benchmarks.report_data import read_findings
from regoal.benchmarks.report_text import headline
from regoal.benchmarks.tables import read_rows, write_rows
from regoal.cli import main
from regoal.envs.recipe import require_registered

ROOT = Path(__file__).parents[1]
POINT, MAZE = "regoal/PointReach-v0", "PointMaze_UMaze-v3"
TINY = """
date = 2026-01-31
does = "reaches a point, badly"
envs = ["regoal/PointReach-v0"]
agent = "ddpg"

[settings]
steps = 200
eval_interval = 100
eval_episodes = 2
informative_share = 0.5
discovery = 0.2
imitation = 2.0
agent.hidden = [8]
agent.batch_size = 8
agent.gamma = 0.9

[curves."regoal/PointReach-v0"]
seeds = 2
0 = 0.1
90 = 0.5
200 = 0.75
"""
AS_MEASURED = "success as measured in its evaluations, median of 2 seeds"
NAMED = TINY.replace('["regoal/PointReach-v0"]', "[]").replace('"ddpg"', '"sac"')


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of other presets: one for PointReach, and one that is chosen by its name alone."""
    folder = tmp_path / "presets"
    folder.mkdir()
    (folder / "tiny.toml").write_text(TINY)
    (folder / "other.toml").write_text(NAMED)
    monkeypatch.setattr(presets, "PRESETS", folder)
    return folder


def test_shipped_presets_can_be_run_and_no_env_has_two() -> None:
    shipped = presets.presets().values()
    envs = [env for one in shipped for env in one.envs]
    assert len(set(envs)) == len(envs)
    for env in envs:
        require_registered(env)
    for one in shipped:
        config = validated(configured(one, one.envs[0] if one.envs else POINT, "out"))
        assert dataclasses.replace(config, eval_interval=0, eval_episodes=0) != TrainConfig(config.env, "out")
        assert "\n" not in one.does
        assert set(one.envs) <= set(one.curves)
        assert one.curves


@pytest.mark.usefixtures("tiny")
def test_what_a_preset_was_measured_to_do_is_known_by_env() -> None:
    ours = preset_named("tiny")
    assert ours.curves == {POINT: Measured(2, {0: 0.1, 90: 0.5, 200: 0.75})}
    told = f"{AS_MEASURED}: 0.50 after 90 env steps and 0.75 after 200"
    assert expected(ours, POINT) == expected(ours, f"some_module:{POINT}") == told
    assert expected(ours, MAZE) == ""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("curves = 3", r"tiny\.toml \[curves\]: expected a table for each env, got 3"),
        ("[curves]\nEnv = 0.5", r"expected a table for each env"),
        ("[curves.Env]\nseeds = 1\nmany = 0.5", r"lines such as 100_000 = 0\.96, got .*many"),
        ("[curves.Env]\nseeds = 1\n10 = [1]", r"lines such as"),
        ("[curves.Env]\n10 = 0.5", r"expected seeds = 3, and lines .*got 'seeds'"),
        ("[curves.Env]\nseeds = 1", r"got no line"),
    ],
)
def test_a_curve_that_is_none_is_refused(tiny: Path, text: str, told: str) -> None:
    settings, _, _ = TINY.partition("[curves")
    begun = settings if text.startswith("[") else f"{text}\n{settings}"
    (tiny / "tiny.toml").write_text(begun + (text if text.startswith("[") else ""))
    with pytest.raises(BadInput, match=told):
        presets.presets()


def test_the_files_of_presets_show_the_measured_curves() -> None:
    rows = read_rows(ROOT / "benchmarks" / "results" / "learning.csv")
    for name in presets.presets():
        told = learning.for_preset(rows, name)
        text = (ROOT / "benchmarks" / "presets" / f"{name}.toml").read_text()
        assert text.endswith(f"\n\n{told}\n"), f"{name}.toml is to end with:\n{told}"


@pytest.mark.usefixtures("tiny")
def test_an_env_has_its_preset_where_the_agent_is_its_own() -> None:
    ours = preset_named("tiny")
    assert preset_for(POINT) == ours
    assert preset_for(f"some_module:{POINT}") == ours
    assert preset_for(MAZE) is None
    assert chosen("auto", POINT) == chosen("auto", POINT, "ddpg") == chosen("tiny", MAZE) == ours
    assert chosen("auto", POINT, "sac") is chosen("auto", MAZE) is chosen("none", POINT) is None
    assert chosen("other", POINT, "sac") == preset_named("other")
    with pytest.raises(BadInput, match=r"expected one for sac, got 'tiny', which is for ddpg\. .*none"):
        chosen("tiny", POINT, "sac")
    with pytest.raises(BadInput, match="Did you mean tiny"):
        chosen("tinny", POINT)


@pytest.mark.usefixtures("tiny")
def test_what_is_asked_for_wins_over_a_preset() -> None:
    config = regoal.preset(POINT, "out", seed=3, eval_episodes=7, **{"agent.gamma": 0.8})
    agent = DDPGConfig(hidden=(8,), batch_size=8, gamma=0.8)
    assert config == TrainConfig(
        POINT, "out", agent, steps=200, seed=3, eval_interval=100, eval_episodes=7,
        informative_share=0.5, discovery=0.2, imitation=2.0,
    )  # fmt: skip
    assert regoal.preset(MAZE, "out") == TrainConfig(MAZE, "out")
    assert regoal.preset(POINT, "out", name="none") == TrainConfig(POINT, "out")
    assert regoal.preset(MAZE, "out", name="tiny").agent == dataclasses.replace(agent, gamma=0.9)
    assert regoal.preset(POINT, "out", agent="sac") == TrainConfig(POINT, "out", regoal.SACConfig())
    with pytest.raises(BadInput, match="agent: expected the name of an agent"):
        regoal.preset(POINT, "out", agent=regoal.SACConfig())  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="Did you mean steps"):
        regoal.preset(POINT, "out", step=3)


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("without", [{"relabel": "none"}, {"n_sampled_goal": 0}])
def test_what_goes_with_hindsight_goes_with_it(without: dict[str, Any]) -> None:
    config = validated(regoal.preset(POINT, "out", **without))
    assert (config.informative_share, config.imitation, config.discovery) == (0.0, 0.0, 0.2)
    with pytest.raises(BadInput, match="imitation: expected 0 where no goal is replaced"):  # it was asked for
        validated(regoal.preset(POINT, "out", imitation=1.0, **without))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('does = "', 'dose = "', r"tiny\.toml dose: .*Did you mean does"),
        ('agent = "ddpg"', "", r"tiny\.toml: expected the key 'agent'"),
        ('agent = "ddpg"', 'agent = "ddgp"', r"tiny\.toml agent ddgp: .*Did you mean ddpg"),
        ("2026-01-31", '"yesterday"', r"tiny\.toml date: expected a day"),
        ('["regoal/PointReach-v0"]', '"regoal/PointReach-v0"', r"tiny\.toml envs: expected a list of ids"),
        ("steps = 200", "step = 200", r"\[settings\] step: .*Did you mean steps"),
        ("steps = 200", "seed = 2", r"\[settings\] seed: .*for whoever starts the run"),
        ("steps = 200", "anchor = 2.0", r"\[settings\] anchor: .*learning from nothing"),
        ("agent.gamma", "agent.gama", r"\[settings\] agent.gama: .*Did you mean agent.gamma"),
        ("agent.gamma = 0.9", "agent.initial_alpha = 1", "initial_alpha: expected a setting that exists"),
        ("imitation = 2.0", 'imitation = "much"', r"\[settings\] imitation: expected a value of type float"),
        ("imitation = 2.0", "imitation =", r"tiny\.toml: expected a readable TOML file"),
    ],
)  # fmt: skip
def test_what_a_file_cannot_mean_is_refused(tiny: Path, old: str, new: str, told: str) -> None:
    assert old in TINY
    (tiny / "tiny.toml").write_text(TINY.replace(old, new, 1))
    with pytest.raises(BadInput, match=told):
        presets.presets()


def _begun(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[TrainConfig, Any]:
    """What `regoal train` would run, and its notes."""
    begun: list[Any] = []
    monkeypatch.setattr(
        learning_commands,
        "train_all",
        lambda configs, jobs, notes=None: begun.append((configs[0], notes)) or 0,
    )
    assert main(["train", POINT, "--out", "out", *arguments]) == 0
    (found,) = begun
    return found  # type: ignore[no-any-return]


@pytest.mark.usefixtures("tiny")
def test_train_takes_what_is_given_over_the_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    config, notes = _begun(monkeypatch)
    assert (config.steps, config.imitation, config.agent.gamma) == (200, 2.0, 0.9)
    assert notes == {"preset": "tiny"}
    given = ["--steps", "300", "--relabel", "none", "--set", "agent.gamma=0.7", "discovery=0"]
    config, notes = _begun(monkeypatch, "--agent", "ddpg", *given)
    assert (config.steps, config.relabel, config.imitation, config.discovery) == (300, "none", 0.0, 0.0)
    assert (config.agent.gamma, config.agent.batch_size, notes) == (0.7, 8, {"preset": "tiny"})
    config, _ = _begun(monkeypatch, "--set", "relabel=none")
    assert (config.relabel, config.imitation, config.informative_share) == ("none", 0.0, 0.0)
    config, _ = _begun(monkeypatch, "--set", "relabel=none", "imitation=1")  # for validation to refuse
    assert config.imitation == 1.0
    config, _ = _begun(monkeypatch, "--n-sampled-goal", "2", "--shift", "action_gain=0.5", "--workers", "0")
    assert (config.n_sampled_goal, config.shift, config.workers) == (2, "action_gain=0.5", 0)
    for general in (["--preset", "none"], ["--agent", "sac"]):
        config, notes = _begun(monkeypatch, *general)
        assert (config.steps, config.relabel, config.n_sampled_goal, config.imitation, notes) == (
            5_000, "future", 4, 0.0, None,
        )  # fmt: skip
    config, notes = _begun(monkeypatch, "--preset", "other", "--agent", "sac")
    assert (config.agent, notes) == (
        regoal.SACConfig(hidden=(8,), batch_size=8, gamma=0.9),
        {"preset": "other"},
    )


@pytest.mark.usefixtures("tiny")
def test_a_run_says_once_which_preset_it_has(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "runs"
    assert main(["train", POINT, "--out", str(out), "--seeds", "0..1"]) == 0
    told = "preset tiny of 2026-01-31: reaches a point, badly; --preset none leaves it out\n"
    measured = f"{AS_MEASURED}: 0.50 after 90 env steps and 0.75 after 200\n"
    assert capfd.readouterr().err.count(told + measured) == 1
    for seed in (0, 1):
        run = out / f"seed-{seed}"
        assert tomllib.loads((run / "run.toml").read_text())["notes"] == {"preset": "tiny"}
        assert read_config(run) == regoal.preset(POINT, run, seed=seed)
    assert main(["train", POINT, "--out", str(out), "--preset", "tiny", "--agent", "sac"]) == 2
    assert "error: preset: expected one for sac, got 'tiny'" in capfd.readouterr().err
    assert main(["train", POINT, "--out", str(tmp_path / "shifted"), "--shift", "action_gain=0.5"]) == 0
    err = capfd.readouterr().err
    assert "preset tiny of" in err
    assert "as measured" not in err


@pytest.mark.usefixtures("tiny")
def test_settings_lists_presets_and_their_values(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["settings"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {"steps=5000", "agent.hidden=128,128,128"} <= set(lines)
    assert lines[-1] == "presets: other (by name alone), tiny (regoal/PointReach-v0)"
    assert not any(line.startswith("success as measured") for line in lines)
    assert main(["settings", "--preset", "other"]) == 0
    measured = (
        f"success as measured in {POINT}, median of 2 seeds, by env steps: 0.10 after 0, 0.50 after 90, "
    )
    assert {"steps=200", "agent.hidden=8", "agent.initial_alpha=0.1", f"{measured}0.75 after 200"} <= set(
        capsys.readouterr().out.splitlines()
    )


def _learning(tmp_path: Path, *arguments: str) -> int:
    places = ["--out", str(tmp_path / "runs"), "--results", str(tmp_path / "results")]
    return learning.main([*arguments, *places, "--jobs", "1"])


@pytest.mark.usefixtures("tiny")
def test_learning_keeps_what_is_finished_and_goes_on_with_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learning, "run_all", one_by_one)  # its processes are tested in test_benchmarks.py
    table, run = tmp_path / "results" / "learning.csv", tmp_path / "runs/tiny/regoal_PointReach-v0/seed-1"
    assert _learning(tmp_path, "--seeds", "0") == 0
    first = read_rows(table)
    assert [(row["env"], row["preset"], row["seed"], row["env_steps"]) for row in first] == [
        (POINT, "tiny", "0", str(steps)) for steps in (0, 100, 200)
    ]
    assert [bool(row["test_success"]) for row in first] == [False, False, True]
    assert (tmp_path / "results" / "learning.png").read_bytes()[:4] == b"\x89PNG"

    def stopped(log: RunLog, row: Any, write: Any = RunLog.evaluation) -> None:
        write(log, row)
        os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patched:
        patched.setattr(RunLog, "evaluation", stopped)
        with pytest.raises(Stopped):
            _learning(tmp_path, "--seeds", "0..1")
    assert len(read_rows(run / "metrics.csv")) < 3
    assert _learning(tmp_path, "--seeds", "0..1") == 0
    told = tomllib.loads((run / "run.toml").read_text())
    assert (told["notes"], len(told["resumed"])) == ({"preset": "tiny"}, 1)
    assert [row for row in read_rows(table) if row["seed"] == "0"] == first
    assert len(read_rows(table)) == 6
    # In a process of its own a run would have no workers, so they are counted before.
    assert read_config(run).workers == min(cores() - 1, TrainConfig.block_episodes)
    # Nothing is left to do, and other envs stay.
    monkeypatch.setattr(rollouts.Rollouts, "collect", lambda *arguments: pytest.fail("played"))
    before = table.read_text()
    table.write_text(f"{before}{POINT},tiny,7,0,1.0,0.5,0.5,0\nOther-v0,tiny,0,0,1.0,0.5,0.5,0\n")
    assert _learning(tmp_path, "--env", POINT, "--seeds", "1") == 0
    head, *lines = before.splitlines()
    # The seed that had other settings has gone, the one that has those of the preset stays.
    assert table.read_text().splitlines() == [head, "Other-v0,tiny,0,0,1.0,0.5,0.5,0", *lines]


@pytest.mark.usefixtures("tiny")
def test_learning_says_what_it_cannot_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for arguments, told in (
        (["--env", MAZE], "env: expected an env that has a preset, got 'PointMaze_UMaze-v3'"),
        (["--preset", "other"], "preset: expected one that has envs, got 'other'. Name one: --env ENV."),
        (["--preset", "tinny"], "Did you mean tiny"),
        (["--seeds", "1..0"], "seeds: expected"),
        (["--preset", "tiny", "--seeds", "1000"], "seeds: expected any but 1,000"),
    ):
        assert _learning(tmp_path, *arguments) == 2
        assert told in capsys.readouterr().err
    named = learning.cells_of(learning.asked_for([MAZE], ["tiny", "other"]), [4], tmp_path)
    assert [cell.name for cell in named] == [
        "tiny/PointMaze_UMaze-v3/seed-4",
        "other/PointMaze_UMaze-v3/seed-4",
    ]
    assert [cell.config.agent for cell in named] == [
        configured(preset_named(name), MAZE, "out").agent for name in ("tiny", "other")
    ]
    # A run that fails takes no rows away, and rows of two settings are not mixed.
    row = dict(zip(learning.COLUMNS, (POINT, "tiny", "0", "200", "1.0", "0.5", "0.25", "0"), strict=True))
    pairs, table = learning.asked_for([], ["tiny"]), tmp_path / "results" / "learning.csv"
    hashes = {seed: learning.cells_of(pairs, [int(seed)], tmp_path)[0].config_hash for seed in "0125"}
    row["config_hash"] = hashes["0"]
    alike = [row | {"seed": seed, "success": "0.1", "config_hash": hashes[seed]} for seed in "0125"]
    others = [one | {"config_hash": "0"} for one in alike]
    monkeypatch.setattr(learning, "run_all", lambda function, cells, jobs, label: [[row], RunFailed("broke")])
    for before, after in ((alike, [row, *alike[1:]]), (others, others)):
        write_rows(table, learning.Row, before)
        assert _learning(tmp_path, "--seeds", "0..1") == 1
        assert read_rows(table) == after
    assert "tiny: the table keeps its rows of other settings" in capsys.readouterr().err
    # Where all are well, those of other settings go.
    monkeypatch.setattr(learning, "run_all", lambda function, cells, jobs, label: [[row]])
    assert _learning(tmp_path, "--seeds", "0") == 0
    monkeypatch.setattr(learning, "run_all", lambda function, cells, jobs, label: [RunFailed("broke")])
    assert _learning(tmp_path, "--seeds", "0") == 1
    assert read_rows(table) == [row]
    # What others have written in the meantime stays.

    def meanwhile(function: object, cells: object, jobs: int, label: object) -> list[list[dict[str, str]]]:
        write_rows(table, learning.Row, [row, row | {"env": "Other-v0"}])
        return [[row]]

    monkeypatch.setattr(learning, "run_all", meanwhile)
    assert _learning(tmp_path, "--seeds", "0") == 0
    assert [one["env"] for one in read_rows(table)] == ["Other-v0", POINT]


def test_more_than_three_envs_are_drawn_in_rows(tmp_path: Path) -> None:
    curve = Curve(np.array([0, 100]), np.array([[0.0, 0.5], [0.1, 1.0]]))

    def size(envs: int) -> tuple[int, int]:
        draw_medians(tmp_path / "a.png", {f"Env-{i}": {"tiny": curve} for i in range(envs)}, "title")
        header = (tmp_path / "a.png").read_bytes()[16:24]  # of a PNG: width and height, four bytes each
        return int.from_bytes(header[4:]), int.from_bytes(header[:4])

    (height, width), one, four = size(3), size(1), size(4)
    assert one == (height, width // 3)
    assert four == (2 * height, width)


def test_medians_are_those_of_the_seeds_wherever_a_preset_was_evaluated() -> None:
    def row(preset: str, seed: int, steps: int, success: float, env: str = POINT) -> dict[str, str]:
        values = (env, preset, str(seed), str(steps), "1.0", str(success), "", "0")
        return dict(zip(learning.COLUMNS, values, strict=True))

    rows = [row("tiny", seed, 200, success) for seed, success in enumerate((0.1, 0.9, 0.25))]
    rows += [row("tiny", 0, 100, 0.5), row("other", 0, 200, 0.75), row("other", 0, 300, 1.0)]
    rows += [row("tiny", 0, 200, 0.0, env=MAZE)]
    assert learning.medians(rows, POINT).splitlines() == [
        "| env steps | tiny | other |",
        "|---|---|---|",
        "| 100 | 0.50 |  |",
        "| 200 | 0.25 | 0.75 |",
        "| 300 |  | 1.00 |",
    ]
    assert learning.for_preset(rows, "tiny").splitlines() == [
        f'[curves."{POINT}"]  # success at env steps, median over seeds: learning.csv',
        "seeds = 3",
        "100 = 0.50",
        "200 = 0.25",
        "",
        f"[curves.{MAZE}]  # success at env steps, median over seeds: learning.csv",
        "seeds = 1",
        "200 = 0.00",
    ]


def test_notes_that_are_no_texts_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="notes: expected texts by name, got 'preset': None"):
        regoal.train(TrainConfig(env=POINT, out=str(tmp_path / "run")), notes={"preset": None})
    assert not (tmp_path / "run").exists()


def test_the_guide_tells_what_presets_were_measured_to_do() -> None:
    rows = read_rows(ROOT / "benchmarks" / "results" / "learning.csv")
    text = (ROOT / "docs" / "objects.md").read_text()
    assert learning.as_markdown(rows) in text
    assert learning.medians(rows, "FetchPush-v4") in text
    for name, env, seed, config_hash in {
        (row["preset"], row["env"], row["seed"], row["config_hash"]) for row in rows
    }:
        (cell,) = learning.cells_of([(preset_named(name), env)], [int(seed)], Path("runs"))
        assert cell.config_hash == config_hash, f"{name} is not as it was measured at seed {seed}"


def test_the_guide_tells_what_each_ingredient_was_measured_to_be_worth(tmp_path: Path) -> None:
    shutil.copy(ROOT / "benchmarks" / "suites" / "push-ablation.toml", tmp_path / "suite.toml")
    shutil.copy(ROOT / "benchmarks" / "results" / "push-ablation.csv", tmp_path / "results.csv")
    found, text = read_findings(tmp_path), (ROOT / "docs" / "objects.md").read_text()
    assert ablation.table(found) in text
    assert headline(found) in text
    planned = {cell.config_hash for cell in cells_of(found.suite, tmp_path)}
    assert {row["config_hash"] for row in found.results.rows} <= planned


def test_the_readme_tells_what_presets_were_measured_to_do() -> None:
    text = (ROOT / "README.md").read_text()
    # In the envs that presets are for; they are tried in others, too.
    envs = {"sample-efficient": ("FetchPush-v4",), "ant": ("AntMaze_UMaze-v5",)} | {
        one.name: one.envs for one in presets.presets().values() if one.envs
    }
    ends: dict[str, list[dict[str, str]]] = {}
    for row in read_rows(ROOT / "benchmarks" / "results" / "learning.csv"):
        if row["test_success"] and row["env"] in envs.get(row["preset"], ()):
            ends.setdefault(row["preset"], []).append(row)

    def told(name: str, form: str) -> str:
        *first, last = (f"{float(row['test_success']):.2f}" for row in ends[name])
        success = f"{', '.join(first)} and {last}" if first else last
        minutes = [float(row["wall_seconds"]) / 60 for row in ends[name]]
        steps = f"{int(ends[name][0]['env_steps']):,}"
        return form.format(success=success, steps=steps, least=min(minutes), most=max(minutes))

    for name, form in (
        ("push", "{success} over 100 episodes at seeds 0 to 2, after {steps} env steps"),
        ("push", "in {least:.1f} to {most:.1f} minutes, evaluations included"),
        ("sample-efficient", "fewer steps, {success} after {steps}."),
        (
            "pick",
            "ends at {success} after {steps} env steps, in {least:.0f} to {most:.0f} minutes on one core",
        ),
        ("slide", "at {success} after {steps}, in {least:.0f} to {most:.0f} minutes on one core"),
        ("hand", "that of HandReach ends at {success} at seeds 0 to 2;"),
        ("ant", "begins to walk in AntMaze_UMaze ({success} after {steps} steps, one seed)"),
        ("maze", "{success} at seeds 0 to 2 after {steps} env steps in {least:.0f} to {most:.0f} minutes"),
    ):
        assert told(name, form) in text, told(name, form)
