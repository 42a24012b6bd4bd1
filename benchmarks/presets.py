"""Presets: settings that were found to work in certain envs, a TOML file each. Imports nothing heavy.

    date = 2026-11-26               # when they were found
    does = "one line, for people"
    envs = ["FetchPush-v4"]         # that it is chosen for by itself; none: it is chosen by its name alone
    agent = "ddpg"
    [settings]                      # of the run, by dotted names as in --set
    [curves.FetchPush-v4]           # as measured: median success over seeds at env steps
    seeds = 3
    100_000 = 0.96

What whoever starts a run asks for wins over its preset.
"""

import datetime
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regoal.agent.agents import AGENTS, agent_config
from regoal.agent.config import TrainConfig
from regoal.agent.idle import without_idle
from regoal.agent.modes import START
from regoal.agent.settings import set_field, typed
from regoal.benchmarks.grid import Values
from regoal.benchmarks.settings_table import require_known, set_all, settings_of
from regoal.errors import BadInput, did_you_mean

PRESETS = Path(__file__).parent / "presets"
KEYS = ("date", "does", "envs", "agent", "settings", "curves")
AUTO, NONE = "auto", "none"
DEFAULT_AGENT = "ddpg"

# Settings that say what is learned and where it runs, and not how to learn well.
OF_THE_RUN = dict.fromkeys(
    (
        *("env", "env_kwargs", "shift", "out", "seed", "keep_replay"),
        *("workers", "threads", "device", "buffer_on_disk", "hang_seconds", "profile"),
    ),
    "It is for whoever starts the run to say.",
)
OF_A_SOURCE = dict.fromkeys((*START, "source", "mode"), "A preset is for learning from nothing.")


@dataclass(frozen=True)
class Measured:
    """How a preset learned an env, in its own evaluations.

    Attributes:
        seeds: how many runs there were.
        success: the median over them at env steps, in their order.
    """

    seeds: int
    success: Mapping[int, float]

    def __str__(self) -> str:
        return "one seed" if self.seeds == 1 else f"median of {self.seeds} seeds"


@dataclass(frozen=True)
class Preset:
    """Settings that were found to work.

    Attributes:
        name: of its file.
        date: when they were found.
        does: one line, for people.
        envs: ids of the envs that it is chosen for by itself.
        agent: that it is for, by name.
        settings: of the run, by dotted name.
        curves: what was measured, by env id.
    """

    name: str
    date: datetime.date
    does: str
    envs: tuple[str, ...]
    agent: str
    settings: Values
    curves: Mapping[str, Measured]


def presets() -> dict[str, Preset]:
    """All presets that come with the package, by name.

    Raises:
        BadInput: a file of theirs has a key or a value that it cannot have.
    """
    return {path.stem: _read(path) for path in sorted(PRESETS.glob("*.toml"))}


def preset_for(env_id: str) -> Preset | None:
    """The preset that an env has by itself, if it has one."""
    name = env_id.rpartition(":")[2]  # gymnasium imports what stands before it
    return next((one for one in presets().values() if name in one.envs), None)


def preset_named(name: str) -> Preset:
    """A preset by its name.

    Raises:
        BadInput: there is none.
    """
    known = presets()
    if name not in known:
        raise BadInput(
            "preset", f"a preset, {AUTO} or {NONE}", repr(name), did_you_mean(name, [*known, AUTO, NONE])
        )
    return known[name]


def chosen(name: str, env_id: str, agent: str | None = None) -> Preset | None:
    """The preset of a run, if it has one.

    Args:
        name: of a preset; `auto` for that of the env, where the agent is its own; or `none`.
        env_id: what is learned.
        agent: that is asked for by name; None for that of the preset.

    Raises:
        BadInput: there is none of that name, or it is for another agent.
    """
    if name == NONE:
        return None
    if name == AUTO:
        found = preset_for(env_id)
        return found if found is not None and agent in (None, found.agent) else None
    preset = preset_named(name)
    _require_agent(preset, agent)
    return preset


def configured(
    preset: Preset | None,
    env: str,
    out: str | os.PathLike[str],
    /,
    *,
    agent: str | None = None,
    env_kwargs: Mapping[str, Any] | None = None,
    **changes: Any,
) -> TrainConfig:
    """The settings of a run with a preset, or with the general defaults where it is None.

    Args:
        preset: what the others are under.
        env: what is learned.
        out: run folder.
        agent: by name; that of the preset if not given.
        env_kwargs: for `gymnasium.make`.
        changes: other settings by their dotted names, as in --set; they win. What they leave nothing to do
            is 0: without hindsight there is no informative share and no imitation.

    Raises:
        BadInput: another agent than the preset's, a setting that does not exist, or a value of another type.
    """
    if preset is not None:
        _require_agent(preset, agent)
    name = agent or (preset.agent if preset is not None else DEFAULT_AGENT)
    config = TrainConfig(env, os.fspath(out), agent_config(name), env_kwargs or {})
    if preset is not None:
        config = set_all(config, preset.settings, f"preset {preset.name}")
    return _changed(without_idle(_changed(config, changes)), changes)


def preset(
    env: str,
    out: str | os.PathLike[str],
    *,
    name: str = AUTO,
    agent: str | None = None,
    env_kwargs: Mapping[str, Any] | None = None,
    **changes: Any,
) -> TrainConfig:
    """The settings of a run as `regoal train` would choose them: with the env's preset, if it has one.

    >>> config = preset("FetchPush-v4", out="runs/push", seed=1, **{"agent.lr": 3e-4})

    Args:
        env: what is learned.
        out: run folder.
        name: of another preset, or `none` for the general defaults.
        agent: by name; that of the preset if not given. With another one an env has no preset by itself.
        env_kwargs: for `gymnasium.make`.
        changes: other settings by their dotted names; they win over the preset.

    Raises:
        BadInput: as for `chosen` and `configured`.
    """
    if agent is not None and not isinstance(agent, str):
        fix = 'Its settings are changed one by one: preset(..., agent="sac", **{"agent.lr": 3e-4}).'
        raise BadInput("agent", "the name of an agent", repr(agent)[:200], fix)
    return configured(chosen(name, env, agent), env, out, agent=agent, env_kwargs=env_kwargs, **changes)


def expected(preset: Preset, env_id: str) -> str:
    """What runs came to in an env half-way and at their end, for people; empty if none was measured."""
    measured = preset.curves.get(env_id.rpartition(":")[2])
    if measured is None:
        return ""
    curve, last = measured.success, max(measured.success)
    half = min(curve, key=lambda steps: abs(steps - last / 2))
    steps = f"{curve[half]:.2f} after {half:,} env steps and {curve[last]:.2f} after {last:,}"
    return f"success as measured in its evaluations, {measured}: {steps}"


def curves_as_text(preset: Preset) -> str:
    """All that was measured, for people, a line an env."""
    lines = []
    for env, measured in preset.curves.items():
        points = ", ".join(f"{success:.2f} after {steps:,}" for steps, success in measured.success.items())
        lines.append(f"success as measured in {env}, {measured}, by env steps: {points}")
    return "\n".join(lines)


def listing() -> str:
    """All presets with their envs, in a line."""
    shown = [f"{one.name} ({', '.join(one.envs) or 'by name alone'})" for one in presets().values()]
    return f"presets: {', '.join(shown)}"


def _changed(config: TrainConfig, changes: Values) -> TrainConfig:
    for name, value in changes.items():
        config = set_field(config, name, str(value))
    return config


def _require_agent(preset: Preset, agent: str | None) -> None:
    if agent not in (None, preset.agent):
        fix = f"Leave the agent out, or the preset: --preset {NONE}."
        raise BadInput("preset", f"one for {agent}", f"{preset.name!r}, which is for {preset.agent}", fix)


def _read(path: Path) -> Preset:
    """A preset from its file.

    Raises:
        BadInput: naming the file and the key.
    """
    file = path.name
    try:
        values = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise BadInput(str(path), "a readable TOML file", str(error)) from error
    require_known(values, KEYS, file, "a key of a preset")
    for key in KEYS:
        if key not in values and key != "curves":  # there is none before it was measured
            raise BadInput(file, f"the key {key!r}", ", ".join(values) or "nothing")
    date, envs, table = values["date"], values["envs"], values["settings"]
    if type(date) is not datetime.date:
        raise BadInput(f"{file} date", "a day, 2026-11-26", repr(date))
    if not isinstance(envs, list) or not all(isinstance(one, str) for one in envs):
        raise BadInput(f"{file} envs", "a list of ids", repr(envs), 'envs = ["..."]')
    if not isinstance(table, dict):
        raise BadInput(f"{file} settings", "a table", repr(table), "[settings]")
    agent = typed(str, values["agent"], f"{file} agent")
    require_known([agent], AGENTS, f"{file} agent", "an agent of ours")
    return Preset(
        name=path.stem,
        date=date,
        does=typed(str, values["does"], f"{file} does"),
        envs=tuple(envs),
        agent=agent,
        settings=settings_of(table, [agent], f"{file} [settings]", OF_THE_RUN | OF_A_SOURCE),
        curves=_curves(values.get("curves", {}), f"{file} [curves]"),
    )


def _curves(values: Any, place: str) -> dict[str, Measured]:
    """Curves by env from their tables.

    Raises:
        BadInput: naming the place.
    """
    if not isinstance(values, dict) or not all(isinstance(points, dict) for points in values.values()):
        raise BadInput(place, "a table for each env", repr(values), "[curves.FetchPush-v4]")
    try:
        return {env: _measured(dict(points)) for env, points in values.items()}
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(place, "seeds = 3, and lines such as 100_000 = 0.96", str(error)) from error


def _measured(points: dict[str, Any]) -> Measured:
    seeds = int(points.pop("seeds"))
    if not points:
        raise ValueError("no line")
    return Measured(seeds, {int(steps): float(success) for steps, success in points.items()})
