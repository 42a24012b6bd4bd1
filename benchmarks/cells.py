"""The cells of a suite: runs that are put together and validated before any of them is begun.

A cell is an ordinary run folder, DIR/cells/TASK/ARM/seed-K. What several arms of a seed start from is a cell
of its own, a source: DIR/cells/source-ENV/AGENT/seed-K.
"""

import dataclasses
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomli_w

from regoal.agent.agents import agent_config, agent_name
from regoal.agent.config import TrainConfig
from regoal.agent.idle import without_idle
from regoal.agent.modes import MODES, START, parse_mode, start_settings
from regoal.agent.settings import to_toml, typed
from regoal.agent.source import SHAPING, kept_shapes
from regoal.agent.trust import require_trusted, trusted_agent
from regoal.agent.validation import validated
from regoal.benchmarks.grid import (
    ARM_DIMENSIONS,
    TASK_DIMENSIONS,
    Arm,
    Suite,
    Task,
    Values,
    arms_of,
    label_of,
    matches,
    placed,
    shift_of,
    tasks_of,
)
from regoal.benchmarks.presets import Preset, chosen
from regoal.benchmarks.results import require_tabular
from regoal.benchmarks.settings_table import set_all
from regoal.benchmarks.suite_tables import BUDGET
from regoal.buffers.strategies import strategy_named
from regoal.errors import BadInput

SHAPES = tuple(f"agent.{name}" for name in SHAPING)
LONGEST_NAME = 100  # of a folder: file systems take 255 bytes

# Settings that are younger than the table of transfer-push, and the value with which runs are as they were
# before: left out there, so that its hashes still hold. Older tables have hashes of their own time.
LATER = {"policy_average": 0.0, "practice": 0.0}
LATER_OF_AGENTS = {"ddpg": {"target_critics": 0}}
OF_ARMS = {*BUDGET, *START}  # settings that sources do not take over from them


@dataclass(frozen=True)
class Cell:
    """One run of a suite.

    Attributes:
        name: TASK/ARM/seed-K, its folder below DIR/cells.
        config: its settings, validated.
        source: the cell it starts from, if it does not start from scratch.
        columns: what is the same in all its rows of results.csv; empty for a source.
        preset: name of the one under its settings, if there is one.
    """

    name: str
    config: TrainConfig
    source: "Cell | None" = None
    columns: Mapping[str, Any] = field(default_factory=dict)
    preset: str = ""

    @property
    def path(self) -> Path:
        """Its run folder."""
        return Path(self.config.out)

    @property
    def log(self) -> Path:
        """What it printed."""
        return self.path.with_name(f"{self.path.name}.log")

    @property
    def config_hash(self) -> str:
        """Hash of all that its numbers depend on, its source's settings included: 12 hex digits."""
        text = tomli_w.dumps(self.identity(self.config))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def identity(self, config: TrainConfig) -> dict[str, Any]:
        """Settings as TOML, without what says where it is run; a source stands there by its hash."""
        values = to_toml(config) | {"source": self.source.config_hash if self.source else ""}
        values["agent"] = _older(values["agent"], LATER_OF_AGENTS.get(values["agent"]["name"], {}))
        del values["out"], values["workers"]
        return _older(values, LATER)


def cells_of(suite: Suite, out: Path) -> list[Cell]:
    """Put together all runs of a suite: sources first, then tasks, arms and seeds in their order.

    Args:
        suite: what is compared.
        out: DIR, the folder of the benchmark.

    Raises:
        BadInput: a run that cannot work, naming the suite's file, the arm and the setting.
    """
    for agent in suite.grid["agent"]:
        trusted_agent(agent, f"{suite.file} [grid]")
    tasks, arms = tasks_of(suite), arms_of(suite)
    if not tasks:
        raise BadInput(f"{suite.file} [[skip]]", "a task that is left", "all of them skipped")
    sources: dict[str, Cell] = {}
    cells = []
    for task in tasks:
        for arm in arms:
            for seed in suite.seeds:
                source = None
                if suite.pretrain is not None and _mode(arm) != "scratch":
                    source = _source(suite, task, arm, seed, out)
                    source = sources.setdefault(source.name, source)
                cells.append(_cell(suite, task, arm, seed, source, out))
    everything = [*sources.values(), *cells]
    _require_different_folders(everything, suite.file)
    return everything


def _older(values: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    """Settings without those that are younger and at the value with which runs are as they were."""
    return {name: value for name, value in values.items() if name not in later or value != later[name]}


def _cell(suite: Suite, task: Task, arm: Arm, seed: int, source: Cell | None, out: Path) -> Cell:
    name = f"{folder_name(task.name)}/{folder_name(arm.name)}/seed-{seed}"
    place = f"{suite.file} arm {arm.name} in {task.name}:"
    preset = _preset(suite, task.env, arm, place)
    config = _arm_config(suite, task, arm, preset, place)
    config = dataclasses.replace(
        config, seed=seed, out=str(out / "cells" / name), source=str(source.path) if source else ""
    )
    config = _sound(config, place)
    if source is not None:
        _require_shape(config, source.config, place)
    columns = {
        "suite": suite.name,
        "task": task.name,
        "arm": arm.name,
        "env": task.env,
        "shift": task.shift,
        "mode": arm.values["mode"],
        "relabel": config.relabel,
        "agent": agent_name(config.agent),
        "seed": seed,
        "zero_shot": int(config.mode == "zero_shot"),
    }
    require_tabular(columns, place, "Write it another way: what begins with a letter or a figure is fine.")
    return Cell(name, config, source, columns, preset.name if preset else "")


def _arm_config(suite: Suite, task: Task, arm: Arm, preset: Preset | None, place: str) -> TrainConfig:
    """The settings of an arm; what stands last wins: its preset, those of all, its mode, its own."""
    own: dict[str, Any] = {name: value for name, value in arm.values.items() if name in _others(suite)}
    for override in suite.overrides:
        if matches(override.when, {**task.values, **arm.values}):
            own |= override.set
    mode = _mode(arm)
    config = TrainConfig(
        env=task.env,
        out="",
        shift=task.shift,
        agent=agent_config(arm.values["agent"]),
        relabel=arm.values["relabel"],
        steps=suite.steps,
        eval_interval=suite.eval_interval,
        eval_episodes=suite.eval_episodes,
        workers=0,  # cells use the cores by running side by side
        mode=mode,
    )
    config = _set_shared(config, suite, preset, place)
    steps = typed(int, own.get("steps", suite.steps), f"{place} steps")
    config = dataclasses.replace(config, **start_settings(arm.values["mode"], steps))
    config = _set_own(config, own, place)
    if mode == "zero_shot":
        config = dataclasses.replace(config, steps=0, keep_replay=False)
    return config


def _source(suite: Suite, task: Task, arm: Arm, seed: int, out: Path) -> Cell:
    """What an arm starts from: trained in its env, with its agent and its shape of networks."""
    assert suite.pretrain is not None
    shape = {name: arm.values[name] for name in SHAPES if name in arm.values}
    known = {"env": task.env, "agent": arm.values["agent"], **shape}
    label = "-".join([arm.values["agent"], *(label_of(name, value) for name, value in shape.items())])
    name = f"source-{folder_name(task.env)}/{folder_name(label)}/seed-{seed}"
    place = f"{suite.file} [pretrain] in {task.env}:"
    preset = _preset(suite, task.env, arm, place)
    own = dict(suite.pretrain)
    replay = any(MODES[_mode(one)].figure == "source_share" for one in arms_of(suite))
    steps = typed(int, own["steps"], f"{place} steps")
    config = TrainConfig(
        env=task.env,
        out=str(out / "cells" / name),
        shift=shift_of(task.env, typed(str, own.pop("shift", ""), f"{place} shift"), place),
        agent=agent_config(arm.values["agent"]),
        seed=seed,
        eval_interval=max(steps // 10, 1),
        eval_episodes=suite.eval_episodes,
        keep_replay=replay,
        workers=0,
    )
    config = _set_shared(config, suite, preset, place)
    for override in suite.overrides:  # of an agent or an env as a whole, and so of what it starts from
        if set(override.when) <= set(known) and matches(override.when, known):
            config = set_all(config, {k: v for k, v in override.set.items() if k not in OF_ARMS}, place)
    config = _set_own(config, shape | own, place)
    if replay and not config.keep_replay:
        fix = "Leave it out: the modes replay_mix and rlpd learn from it."
        raise BadInput(f"{place} keep_replay", "a source that keeps its replay", "false", fix)
    return Cell(name, _sound(config, place), preset=preset.name if preset else "")


def _preset(suite: Suite, env: str, arm: Arm, place: str) -> Preset | None:
    """What an arm or its source has under the settings of all, if it has anything."""
    try:
        return chosen(suite.preset, env, arm.values["agent"])
    except BadInput as error:
        raise placed(place, error) from error


def _set_shared(config: TrainConfig, suite: Suite, preset: Preset | None, place: str) -> TrainConfig:
    """The preset, but for what a suite says in any case, and then the settings of all."""
    if preset is not None:
        known = {name: value for name, value in preset.settings.items() if name not in (*BUDGET, "relabel")}
        config = set_all(config, known, place)
    return set_all(config, suite.settings, place)


def _set_own(config: TrainConfig, own: Values, place: str) -> TrainConfig:
    """What is said of this run alone; of what it shares with others, what that leaves nothing to do is 0."""
    return set_all(without_idle(set_all(config, own, place)), own, place)


def _sound(config: TrainConfig, place: str) -> TrainConfig:
    try:
        require_trusted(config, "its")
        strategy_named(config.relabel)
        return validated(config)
    except BadInput as error:
        raise placed(place, error) from error


def _require_shape(config: TrainConfig, source: TrainConfig, place: str) -> None:
    for name in kept_shapes(config):
        theirs, ours = getattr(source.agent, name, None), getattr(config.agent, name, None)
        if theirs != ours:
            fix = "Write it into [settings] or [grid], for both, and not into one alone."
            raise BadInput(f"{place} agent.{name}", f"the source's, {theirs}", str(ours), fix)


def _require_different_folders(cells: list[Cell], file: str) -> None:
    seen = set()
    for cell in cells:
        if cell.name.lower() in seen:  # some file systems do not tell a from A
            raise BadInput(f"{file} [grid]", "cells with folders of their own", f"two in {cell.name}")
        seen.add(cell.name.lower())


def _others(suite: Suite) -> set[str]:
    return set(suite.grid) - {*TASK_DIMENSIONS, *ARM_DIMENSIONS}


def _mode(arm: Arm) -> str:
    return parse_mode(arm.values["mode"])[0]


def folder_name(text: str) -> str:
    """A text as the name of a folder."""
    name = re.sub(r"[^\w.,=+-]", "_", text)
    if not name.strip("."):
        name = f"_{name}"  # .. is another folder
    if len(name) > LONGEST_NAME:
        name = f"{name[:LONGEST_NAME]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    return name
