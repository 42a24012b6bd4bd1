"""A suite is read from its file, and what cannot be meant is refused by file, key and fix."""

import dataclasses
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from regoal import BadInput
from regoal.benchmarks import presets
from regoal.benchmarks.cells import cells_of
from regoal.benchmarks.suite import (
    SUITES,
    Suite,
    arms_of,
    baseline_of,
    load_suite,
    parse_suite,
    shipped,
    tasks_of,
)

WHOLE = """
name = "point"
seeds = "0..2"
steps = 600
eval_interval = 200

[pretrain]
steps = 1_000
shift = "action_gain=0.5..2"
relabel = "final"

[grid]
env = ["regoal/PointReach-v0"]
shift = ["action_rotation=90", "action_gain=hard"]
agent = ["ddpg", "sac"]
relabel = ["future", "none"]
mode = ["warm_start", "replay_mix=0.3", "scratch", "zero_shot"]

[settings]
agent.hidden = [32, 32]
"agent.batch_size" = 64
informative_share = 0.5

[[override]]
when = { agent = "sac" }
set = { steps = 900, "agent.lr" = 3e-4 }

[[override]]
when = { mode = "warm_start" }
set = { critic_warmup_steps = 150 }

[[skip]]
mode = "zero_shot"
relabel = "none"

[baseline]
mode = "scratch"
relabel = "future"
agent = "ddpg"
"""


def _values(text: str = WHOLE) -> dict[str, Any]:
    return tomllib.loads(text)


def _suite(text: str = WHOLE) -> Suite:
    return parse_suite(_values(text), "point.toml")


def test_arms_are_named_by_what_varies() -> None:
    suite = _suite()
    names = [arm.name for arm in arms_of(suite)]
    assert names[:4] == [
        "ddpg-future-warm_start",
        "ddpg-future-replay_mix=0.3",
        "ddpg-future-scratch",
        "ddpg-future-zero_shot",
    ]
    assert len(names) == len(set(names)) == 2 * (4 + 3)
    assert "ddpg-none-zero_shot" not in names
    baseline = baseline_of(suite)
    assert baseline is not None
    assert baseline.name == "ddpg-future-scratch"
    plain = _suite('name="a"\nseeds=[3]\nsteps=200\n[grid]\nenv=["regoal/PointReach-v0"]')
    assert [arm.name for arm in arms_of(plain)] == ["ddpg-future-scratch"]
    varied = _suite(
        'name="a"\nseeds=[3]\nsteps=200\n[grid]\nenv=["regoal/PointReach-v0"]\nn_sampled_goal=[2, 4]\n'
        '"agent.hidden"=[[16],[16,16]]'
    )
    assert [arm.name for arm in arms_of(varied)][:2] == [
        "n_sampled_goal=2-hidden=16",
        "n_sampled_goal=2-hidden=16,16",
    ]


def test_tasks_have_figures_for_levels() -> None:
    assert [task.name for task in tasks_of(_suite())] == [
        "regoal/PointReach-v0 action_rotation=90",
        "regoal/PointReach-v0 action_gain=0.1",
    ]
    no_shift = _suite('name="a"\nseeds=[3]\nsteps=200\n[grid]\nenv=["regoal/PointReach-v0"]')
    assert [(task.name, task.shift) for task in tasks_of(no_shift)] == [("regoal/PointReach-v0", "")]


def test_a_resolved_suite_reads_as_itself() -> None:
    for suite in (_suite(), *(load_suite(name) for name in shipped())):
        text = tomli_w.dumps(suite.to_toml())
        assert parse_suite(tomllib.loads(text), "suite.toml") == suite


def test_cells_are_paired_and_share_their_sources(tmp_path: Path) -> None:
    suite = _suite()
    cells = {cell.name: cell for cell in cells_of(suite, tmp_path)}
    assert len(cells) == 2 * 3 + 2 * 14 * 3
    task = "regoal_PointReach-v0_action_rotation=90"
    warm, scratch = cells[f"{task}/ddpg-future-warm_start/seed-1"], cells[f"{task}/sac-none-scratch/seed-1"]
    source = cells["source-regoal_PointReach-v0/ddpg/seed-1"]
    assert warm.source is source
    assert cells["regoal_PointReach-v0_action_gain=0.1/ddpg-none-replay_mix=0.3/seed-1"].source == source
    assert warm.config.source == str(tmp_path / "cells" / source.name)
    assert scratch.source is None
    assert scratch.config.source == ""
    assert warm.columns["task"] == "regoal/PointReach-v0 action_rotation=90"


def test_what_stands_last_in_a_suite_wins(tmp_path: Path) -> None:
    cells = {cell.name: cell.config for cell in cells_of(_suite(), tmp_path)}
    task = "regoal_PointReach-v0_action_rotation=90"
    source = cells["source-regoal_PointReach-v0/sac/seed-0"]
    # Pretraining: its own budget, shift and strategy; settings of all; what is said of an agent, but steps.
    assert (source.steps, source.eval_interval, source.shift) == (1_000, 100, "action_gain=0.5..2")
    assert (source.relabel, source.agent.hidden, source.agent.lr) == ("final", (32, 32), 3e-4)
    assert source.keep_replay  # for replay_mix
    ddpg, sac = (cells[f"{task}/{agent}-future-warm_start/seed-0"] for agent in ("ddpg", "sac"))
    assert (ddpg.steps, sac.steps) == (600, 900)
    assert (ddpg.agent.lr, sac.agent.lr) == (1e-3, 3e-4)
    assert ddpg.learning_starts == 100
    assert ddpg.critic_warmup_steps == 150
    mix = cells[f"{task}/sac-future-replay_mix=0.3/seed-0"]
    assert (mix.source_share, mix.source_share_steps, mix.critic_warmup_steps) == (0.3, 900, 0)
    # It says what hindsight chooses, and goes with it.
    assert mix.informative_share == 0.5
    assert cells[f"{task}/sac-none-replay_mix=0.3/seed-0"].informative_share == 0
    zero_shot = cells[f"{task}/sac-future-zero_shot/seed-0"]
    assert (zero_shot.steps, zero_shot.eval_episodes) == (0, 20)


def test_a_source_has_nothing_of_what_is_said_of_arms_alone(tmp_path: Path) -> None:
    """Neither what is said of a mode, nor the budget of an agent's arms."""
    text = WHOLE.replace(
        "set = { steps = 900,", "set = { steps = 900, eval_interval = 50, eval_episodes = 7,"
    )
    text = text.replace("critic_warmup_steps = 150 }", 'critic_warmup_steps = 150, "agent.tau" = 0.5 }')
    cells = {cell.name: cell.config for cell in cells_of(_suite(text), tmp_path)}
    task = "regoal_PointReach-v0_action_rotation=90"
    for agent in ("ddpg", "sac"):
        warm = cells[f"{task}/{agent}-future-warm_start/seed-0"]
        source = cells[f"source-regoal_PointReach-v0/{agent}/seed-0"]
        assert warm.agent.tau == 0.5
        assert source.agent.tau != 0.5
        assert (source.steps, source.eval_interval, source.eval_episodes) == (1_000, 100, 20)
    assert (warm.steps, warm.eval_interval, warm.eval_episodes) == (900, 50, 7)


def test_what_is_said_of_arms_that_keep_weights_is_not_said_of_their_source(tmp_path: Path) -> None:
    text = WHOLE.replace(', "scratch", "zero_shot"', "").replace('mode = "scratch"', 'mode = "warm_start"')
    text = text.replace('[[skip]]\nmode = "zero_shot"\nrelabel = "none"\n', "")
    of_an_agent = '[[override]]\nwhen = { agent = "ddpg" }\nset = { normaliser = "freeze" }\n'
    cells = [cell for cell in cells_of(_suite(text + of_an_agent), tmp_path) if "ddpg" in cell.name]
    said = {(cell.source is not None, cell.config.normaliser) for cell in cells}
    assert said == {(True, "freeze"), (False, "continue")}


def test_a_variant_is_what_its_overrides_change(tmp_path: Path) -> None:
    text = 'name="a"\nseeds=[3]\nsteps=200\n[grid]\nenv=["regoal/PointReach-v0"]\n'
    text += 'variant=["whole", "wide", "slow"]\n[baseline]\nvariant="whole"\n'
    wide = '[[override]]\nwhen={variant="wide"}\nset={"agent.hidden"=[64]}\n'
    slow = '[[override]]\nwhen={variant="slow"}\nset={"agent.lr"=1e-4}\n'
    suite = _suite(text + wide + slow)
    assert [arm.name for arm in arms_of(suite)] == ["whole", "wide", "slow"]
    whole, wider, slower = (cell.config for cell in cells_of(suite, tmp_path))
    assert wider.agent == dataclasses.replace(whole.agent, hidden=(64,))
    assert slower.agent == dataclasses.replace(whole.agent, lr=1e-4)
    with pytest.raises(BadInput, match=r"variant: expected one that is like the rest, got whole, slow\."):
        _suite(text + wide)
    with pytest.raises(BadInput, match=r"when variant: .*Did you mean wide"):
        _suite(text + wide.replace("wide", "wied") + slow)
    formula = _suite((text + wide + slow).replace('"slow"', '"-slow"'))  # its table could not be read back
    with pytest.raises(BadInput, match=r"arm -slow in .*: arm: expected no formula of a spreadsheet"):
        cells_of(formula, tmp_path)


PRESET = """
date = 2026-01-31
does = "reaches a point"
envs = ["regoal/PointReach-v0"]
agent = "ddpg"
[settings]
steps = 5_000
eval_interval = 2_500
eval_episodes = 50
relabel = "episode"
discovery = 0.9
imitation = 2.0
informative_share = 0.7
agent.hidden = [8]
agent.batch_size = 16
agent.gamma = 0.9
"""


@pytest.fixture
def _preset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "presets"
    folder.mkdir()
    (folder / "point.toml").write_text(PRESET)
    monkeypatch.setattr(presets, "PRESETS", folder)


@pytest.mark.usefixtures("_preset")
def test_a_preset_lies_under_all_that_a_suite_says(tmp_path: Path) -> None:
    modes = '"warm_start", "rlpd", "anchor", "scratch", "zero_shot"'
    text = WHOLE.replace('"warm_start", "replay_mix=0.3", "scratch", "zero_shot"', modes)
    suite = _suite(text.replace("steps = 600", 'steps = 600\npreset = "auto"'))
    out = tmp_path / "out"
    cells = {cell.name: cell for cell in cells_of(suite, out)}
    source = cells["source-regoal_PointReach-v0/ddpg/seed-0"]
    arms = {
        mode: cells[f"regoal_PointReach-v0_action_rotation=90/ddpg-future-{mode}/seed-0"].config
        for mode in ("warm_start", "rlpd", "anchor", "scratch", "zero_shot")
    }
    for config in (source.config, *arms.values()):
        assert config.agent.gamma == 0.9  # of the preset alone
        assert (config.agent.hidden, config.agent.batch_size, config.informative_share) == ((32, 32), 64, 0.5)
    # Steps, evaluations and hindsight are the suite's; a source's are those of its own table.
    assert {(one.steps, one.eval_interval, one.eval_episodes) for one in arms.values() if one.steps} == {
        (600, 200, 20)
    }
    assert {one.relabel for one in arms.values()} == {"future"}
    assert (source.config.steps, source.config.eval_interval, source.config.relabel) == (1_000, 100, "final")
    # As in `regoal finetune`, weights that are kept know what to do with objects.
    assert (source.config.discovery, source.config.imitation) == (0.9, 2.0)
    assert {mode: (one.discovery, one.imitation) for mode, one in arms.items()} == {
        "warm_start": (0.0, 0.0),
        "rlpd": (0.9, 2.0),
        "anchor": (0.0, 0.0),
        "scratch": (0.9, 2.0),
        "zero_shot": (0.0, 0.0),
    }
    without = cells["regoal_PointReach-v0_action_rotation=90/ddpg-none-scratch/seed-0"].config
    assert (without.discovery, without.imitation, without.informative_share) == (0.9, 0.0, 0.0)
    # What is for another agent leaves an arm as it is without presets.
    bare = {cell.name: cell for cell in cells_of(_suite(text), out)}
    for name, cell in cells.items():
        assert (cell.preset == "point") == ("ddpg" in name) == (cell.config != bare[name].config)


@pytest.mark.usefixtures("_preset")
def test_a_preset_is_refused_where_it_cannot_be_meant(tmp_path: Path) -> None:
    def named(preset: str) -> Suite:
        return _suite(WHOLE.replace("steps = 600", f"steps = 600\npreset = {preset}"))

    with pytest.raises(BadInput, match=r"point\.toml preset: .*Did you mean point"):
        named('"piont"')
    with pytest.raises(BadInput, match=r"point\.toml preset: expected a value of type str"):
        named("[]")
    with pytest.raises(BadInput, match=r"point\.toml .* preset: expected one for sac, got 'point'"):
        cells_of(named('"point"'), tmp_path)
    assert named('"none"') == _suite()
    assert "preset" not in _suite().to_toml()
    resolved = named('"point"')
    assert parse_suite(tomllib.loads(tomli_w.dumps(resolved.to_toml())), "suite.toml") == resolved


def test_a_hash_tells_settings_and_sources_apart_and_not_places(tmp_path: Path) -> None:
    def hashes(text: str, out: Path) -> dict[str, str]:
        return {cell.name: cell.config_hash for cell in cells_of(_suite(text), out)}

    here = hashes(WHOLE, tmp_path)
    assert len(set(here.values())) == len(here)
    assert all(len(one) == 12 for one in here.values())
    assert hashes(WHOLE, tmp_path / "elsewhere") == here
    # A younger setting tells runs apart, and is as if it were not there where it leaves them as they were.
    said = [
        hashes(WHOLE.replace("[settings]", f"[settings]\npolicy_average = {x}"), tmp_path) for x in (0.0, 0.1)
    ]
    assert said[0] == here
    assert not set(said[1].values()) & set(here.values())
    longer = hashes(WHOLE.replace("steps = 1_000", "steps = 2_000"), tmp_path)
    changed = {name for name in here if here[name] != longer[name]}
    assert changed == {name for name in here if "scratch" not in name}


def test_a_shape_of_networks_in_the_grid_has_sources_of_its_own(tmp_path: Path) -> None:
    text = (
        WHOLE.replace("agent.hidden = [32, 32]\n", "")
        .replace("[settings]", '"agent.hidden" = [[16], [32, 32]]\n[settings]')
        .replace('agent = "ddpg"', 'agent = "ddpg"\n"agent.hidden" = [16]')
    )
    cells = {cell.name: cell for cell in cells_of(_suite(text), tmp_path)}
    arm = cells["regoal_PointReach-v0_action_rotation=90/ddpg-future-warm_start-hidden=32,32/seed-0"]
    assert arm.source is cells["source-regoal_PointReach-v0/ddpg-hidden=32,32/seed-0"]
    assert arm.source.config.agent.hidden == arm.config.agent.hidden == (32, 32)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("steps = 600", "step = 600", "point.toml step: .*Did you mean steps"),
        ("steps = 600", "", "point.toml: expected the key 'steps'"),
        ("steps = 600", 'steps = "many"', "point.toml steps: expected a value of type int"),
        ('"0..2"', '"2..0"', "point.toml seeds"),
        ('"0..2"', "[0, 0]", "point.toml seeds"),
        ('"point"', '"a/b"', "point.toml name"),
        ('agent = ["ddpg", "sac"]', 'agnet = ["ddpg"]', r"\[grid\] agnet: .*Did you mean"),
        ('agent = ["ddpg", "sac"]', 'agent = ["ddgp", "sac"]', r"\[grid\] agent: .*Did you mean ddpg"),
        ('agent = ["ddpg", "sac"]', 'agent = "ddpg"', r"\[grid\] agent: expected a list"),
        ('agent = ["ddpg", "sac"]', 'agent = ["sac", "sac"]', r"\[grid\] agent: expected different"),
        ("relabel = [", "lr = [1e-3]\nrelabel = [", r"\[grid\] lr: .*Did you mean agent.lr"),
        ("relabel = [", "seed = [1]\nrelabel = [", r"\[grid\] seed: .*Write seeds at the top"),
        ('"warm_start",', '"warmstart",', r"\[grid\] mode: .*Did you mean warm_start"),
        ('"replay_mix=0.3"', '"replay_mix=3"', r"\[grid\] mode: .*less than 1"),
        ("[pretrain]\nsteps = 1_000", "[pretrain]", r"\[pretrain\]: expected the key 'steps'"),
        ('relabel = "final"', 'relable = "final"', r"\[pretrain\] relable: .*Did you mean relabel"),
        ('relabel = "final"', 'agent = "sac"', r"\[pretrain\] agent: .*has the agent of its arms"),
        ("informative_share = 0.5", "steps = 5", r"\[settings\] steps: .*at the top of the file"),
        ("informative_share = 0.5", "anchor = 1.0", r"\[settings\] anchor: .*goes with a mode"),
        ("informative_share = 0.5", 'capacity = "x"', r"\[settings\] capacity: expected .* int"),
        ("set = { steps", "sets = { steps", r"\[\[override\]\] 1 sets: .*Did you mean set"),
        ("critic_warmup_steps = 150", 'relabel = "final"', r"\[\[override\]\] 2 set relabel: .*dimension"),
        ('when = { agent = "sac" }', 'when = { agent = "sca" }', r"1 when agent: .*Did you mean sac"),
        ('when = { agent = "sac" }', 'when = { agents = "sac" }', r"1 when agents: .*Did you mean agent"),
        ('mode = "zero_shot"', 'shift = "action_rotation=90"', r"\[\[skip\]\] 1: expected every arm in"),
        ('relabel = "future"\nagent', "agent", r"\[baseline\]: .*got 2: ddpg-future-scratch, ddpg-none-"),
        ('mode = "scratch"\n', 'mode = "scrach"\n', r"\[baseline\] mode: .*Did you mean scratch"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_by_file_key_and_fix(old: str, new: str, told: str) -> None:
    assert old in WHOLE
    with pytest.raises(BadInput, match=told):
        _suite(WHOLE.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('relabel = ["future"', 'relabel = ["futur"', "arm .*-futur-.* relabel: .*Did you mean future"),
        ('relabel = ["future"', 'relabel = ["4*future+1*rnadom"', "relabel: .*Did you mean random"),
        ('relabel = ["future"', 'relabel = ["4*future+0*random"', "positive weight .* for 'random'"),
        ('relabel = "final"', 'relabel = "future+final"', r"\[pretrain\] in .* relabel: .* positive weight"),
        ('"action_rotation=90"', '"action_rotaton=90"', r"\[grid\] shift: .*Did you mean action_rotation"),
        ('"action_rotation=90"', '"action_gain=0.1"', r"\[grid\] shift: expected different tasks"),
        ('"action_gain=0.5..2"', '"action_gain=2..0.5"', r"\[pretrain\] in .* shift 'action_gain'"),
        ("steps = 900,", "steps = 250,", "arm sac-.*-warm_start in .* steps: expected more than the 250"),
        ('mode = "warm_start" }', 'mode = "scratch" }', "scratch in .* critic_warmup_steps: .*warm_start"),
        ('relabel = "final"', "keep_replay = false", r"\[pretrain\] in .* keep_replay: .*replay_mix"),
        ('relabel = "final"', '"agent.hidden" = [8]', "agent.hidden: expected the source's"),
        ('"agent.batch_size" = 64', '"agent.noise_std" = 0.1', "agent.noise_std: expected a setting of sac"),
        ('"agent.batch_size" = 64', '"agent.gamma" = 2', "agent.gamma: expected in"),
        ('env = ["regoal/PointReach-v0"]', 'env = ["mine:my/Env-v0"]', r"\[grid\] env: .*--modules mine"),
        ('relabel = ["future"', 'relabel = ["mine:strategy"', "its relabel: .*--modules mine"),
        ('relabel = ["future"', 'relabel = ["1*future+1*mine:strategy"', "its relabel: .*--modules mine"),
    ],
)  # fmt: skip
def test_runs_that_cannot_work_are_refused_before_any_is_begun(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    assert old in WHOLE
    suite = _suite(WHOLE.partition("[baseline]")[0].replace(old, new, 1))
    with pytest.raises(BadInput, match=rf"(?s)point\.toml .*{told}"):
        cells_of(suite, tmp_path)
    assert not list(tmp_path.iterdir())


def test_modes_need_pretraining_and_pretraining_needs_modes() -> None:
    without = WHOLE.replace(
        '[pretrain]\nsteps = 1_000\nshift = "action_gain=0.5..2"\nrelabel = "final"\n', ""
    )
    with pytest.raises(BadInput, match=r"\[grid\] mode: expected a \[pretrain\] table"):
        _suite(without)
    values = _values()
    values["grid"]["mode"] = ["scratch"]
    with pytest.raises(BadInput, match=r"\[pretrain\]: expected an arm that starts from it"):
        parse_suite(values, "point.toml")
    del values["grid"]["mode"]
    with pytest.raises(BadInput, match=r"\[grid\]: expected the key 'mode'"):
        parse_suite(values, "point.toml")


def test_a_file_wins_over_a_shipped_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_suite("smoke").name == "smoke"
    (tmp_path / "smoke").mkdir()  # a folder is no suite
    assert load_suite("smoke") == load_suite(SUITES / "smoke.toml")
    (tmp_path / "smoke").rmdir()
    (tmp_path / "smoke").write_text(WHOLE)
    assert load_suite("smoke").name == "point"
    with pytest.raises(BadInput, match="Did you mean smoke"):
        load_suite("smoek")
    (tmp_path / "broken.toml").write_text("name = ")
    with pytest.raises(BadInput, match=r"broken\.toml: expected a readable TOML file"):
        load_suite("broken.toml")


@pytest.mark.parametrize("name", shipped())
def test_shipped_suites_can_be_run(tmp_path: Path, name: str) -> None:
    suite = load_suite(name)
    cells = cells_of(suite, tmp_path)
    assert baseline_of(suite) is not None
    assert suite.name == name
    assert len({cell.config_hash for cell in cells}) == len(cells)


def test_the_shipped_suites_are_those_that_are_promised() -> None:
    assert shipped() == [
        "push-ablation",
        "relabel",
        "smoke",
        "strategies-k",
        "transfer",
        "transfer-levels",
        "transfer-push",
    ]


def test_the_suite_of_the_guide_can_be_run(tmp_path: Path) -> None:
    guide = (Path(__file__).parent.parent / "docs" / "benchmarks.md").read_text()
    (text,) = re.findall(r"^```toml\n(.*?)^```", guide, re.MULTILINE | re.DOTALL)
    suite = _suite(text)
    names = {arm.name for arm in arms_of(suite)}
    assert "ddpg-future-warm_start-informative_share=0" in names
    assert set(re.findall(r'"(\S+share=0)"', guide)) <= names
    assert cells_of(suite, tmp_path)


def test_reading_a_suite_loads_nothing_heavy() -> None:
    code = (
        "import sys; from regoal.benchmarks.suite import load_suite, arms_of; arms_of(load_suite('smoke')); "
        "print([name for name in ('torch', 'mujoco', 'gymnasium', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
