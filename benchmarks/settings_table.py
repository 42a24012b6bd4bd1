"""A table of settings in TOML: read, refused where it cannot be meant, and set. Imports nothing heavy."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from regoal.agent.agents import AGENTS, agent_config, agent_name, is_own
from regoal.agent.config import TrainConfig
from regoal.agent.settings import describe, set_field
from regoal.benchmarks.grid import Values, placed
from regoal.errors import BadInput, did_you_mean


def settings_of(
    table: Values, agents: Collection[str], place: str, refused: Mapping[str, str]
) -> dict[str, Any]:
    """Settings by their dotted names, all of them known and typed.

    Args:
        table: as in TOML.
        agents: that runs with them have.
        place: of the table, for messages.
        refused: settings that do not stand here, each with what to do instead.

    Raises:
        BadInput: naming the place and the setting.
    """
    settings = _flat(table)
    require_settings(settings, agents, place, refused)
    for name, value in settings.items():
        require_type(name, value, agents, place)
    return settings


def require_settings(
    settings: Iterable[str], agents: Collection[str], place: str, refused: Mapping[str, str]
) -> None:
    """That all of these names are settings of runs with these agents, and may stand here.

    Raises:
        BadInput: one is not, or may not.
    """
    ours = [agent for agent in agents if not is_own(agent)]
    names = setting_names(ours or AGENTS)
    for name in settings:
        if name in refused:
            raise BadInput(f"{place} {name}", "a setting that stands here", repr(name), refused[name])
        # What a user's own agent has is known when runs are put together, its module having been named.
        may_be_its = len(ours) < len(agents) and name.startswith("agent.")
        if name not in names and not may_be_its:
            raise BadInput(f"{place} {name}", "a setting that exists", repr(name), _nearest(name, names))


def require_type(name: str, value: Any, agents: Iterable[str], place: str) -> None:
    """That a value is of its setting's type, for all of these agents that are ours and have it.

    Raises:
        BadInput: it is not.
    """
    for agent in agents:
        if not is_own(agent) and name in setting_names([agent]):
            try:
                set_field(TrainConfig(env="", out="", agent=agent_config(agent)), name, str(value))
            except BadInput as error:
                raise placed(place, error) from error


def set_all(config: TrainConfig, settings: Values, place: str) -> TrainConfig:
    """The config with these settings.

    Raises:
        BadInput: its agent has none of that name, or the value is not of its type: the place.
    """
    names = {line.partition("=")[0] for line in describe(config).splitlines()}
    for name, value in settings.items():
        if name not in names:
            fix = f"{did_you_mean(name, names)} What only others have goes with when = {{ agent = ... }}."
            raise BadInput(
                f"{place} {name}", f"a setting of {agent_name(config.agent)}", repr(name), fix.strip()
            )
        try:
            config = set_field(config, name, str(value))
        except BadInput as error:
            raise placed(place, error) from error
    return config


def require_known(values: Iterable[str], known: Iterable[str], place: str, expected: str) -> None:
    """That all names are known.

    Raises:
        BadInput: one is not.
    """
    for name in values:
        if name not in known:
            raise BadInput(f"{place} {name}", expected, repr(name), did_you_mean(name, known))


def setting_names(agents: Iterable[str]) -> list[str]:
    """Dotted names of all settings that runs of these agents, all of them ours, have."""
    names: dict[str, None] = {}
    for agent in agents:
        described = describe(TrainConfig(env="", out="", agent=agent_config(agent)))
        names |= dict.fromkeys(line.partition("=")[0] for line in described.splitlines())
    return list(names)


def _nearest(name: str, names: Sequence[str]) -> str:
    leaf = [known for known in names if known.endswith(f".{name}")]
    hint = f"Did you mean {leaf[0]}?" if leaf else did_you_mean(name, names)
    return f"{hint} `regoal settings` lists all.".strip()


def _flat(table: Values) -> dict[str, Any]:
    """`agent.lr = 1e-3` means the same with quotes and without: TOML makes a table of the latter."""
    flat: dict[str, Any] = {}
    for name, value in table.items():
        nested = name == "agent" and isinstance(value, Mapping)
        flat |= {f"agent.{key}": one for key, one in value.items()} if nested else {name: value}
    return flat
