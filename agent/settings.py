"""Settings by dotted name, from text or from TOML: typed, with a did-you-mean for what does not exist."""

import ast
import contextlib
import dataclasses
import os
import types
import typing
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from regoal.agent.agents import agent_config, agent_name, is_own
from regoal.agent.config import AgentConfig, TrainConfig, UnreadAgent
from regoal.errors import BadInput, did_you_mean

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Config = TypeVar("Config", bound="DataclassInstance")


def set_field(config: Any, name: str, text: str) -> Any:
    """A copy of a config with one field, `steps` or `agent.lr`, set from text.

    Raises:
        BadInput: no such field, or the text is not of its type.
    """
    names = _names(config)
    if name == "agent":
        raise BadInput("--set", "a setting that exists", repr(name), "The agent is chosen by --agent.")
    if name not in names:
        leaf = [known for known in names if known.endswith(f".{name}")]
        hint = f"Did you mean {leaf[0]}?" if leaf else did_you_mean(name, names)
        raise BadInput("--set", "a setting that exists", repr(name), hint + " `regoal settings` lists all.")
    return _replaced(config, name, name, text)


def with_texts(config: Config, texts: Mapping[str, str]) -> Config:
    """A copy of a config with several fields set, by their dotted names.

    Raises:
        BadInput: as for `set_field`.
    """
    for name, text in texts.items():
        config = set_field(config, name, str(text))
    return config


def _replaced(config: Any, path: str, name: str, text: str) -> Any:
    head, _, rest = path.partition(".")
    if rest:
        return dataclasses.replace(config, **{head: _replaced(getattr(config, head), rest, name, text)})
    kind = typing.get_type_hints(type(config))[head]
    return dataclasses.replace(config, **{head: typed(kind, value_of(text), name)})


def describe(config: TrainConfig) -> str:
    """All settings by their dotted names, with their values: a line each."""
    lines = []
    for name in _names(config):
        value: Any = config
        for part in name.split("."):
            value = getattr(value, part)
        shown = ",".join(map(str, value)) if isinstance(value, tuple) else value
        lines.append(f"{name}={shown}")
    return "\n".join(lines)


def _names(config: Any, prefix: str = "") -> list[str]:
    """Dotted names of all plain settings, in their order."""
    names = []
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        nested = dataclasses.is_dataclass(value)
        names += _names(value, f"{prefix}{field.name}.") if nested else [prefix + field.name]
    return names


def without_tuples(value: Any) -> Any:
    """A value as a TOML file gives it back: tuples are lists there, at any depth."""
    if isinstance(value, Mapping):
        return {name: without_tuples(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_tuples(one) for one in value]
    return value


def to_toml(config: TrainConfig) -> dict[str, Any]:
    """Plain values for a TOML file."""
    values = dataclasses.asdict(config)
    plain = config.agent.values if isinstance(config.agent, UnreadAgent) else values["agent"]
    values["agent"] = {"name": agent_name(config.agent)} | {
        key: list(value) if isinstance(value, tuple) else value for key, value in plain.items()
    }
    return values


def from_toml(values: Mapping[str, Any]) -> TrainConfig:
    """The config of a TOML file; a user's own agent stands in it as an `UnreadAgent`, nothing is imported.

    Raises:
        BadInput: an unknown key, a missing one, or a value of the wrong type.
    """
    plain = dict(values)
    agent_values = plain.pop("agent", {})
    if not isinstance(agent_values, Mapping):
        raise BadInput("agent", "a table of its settings", repr(agent_values)[:200])
    agent_values = dict(agent_values)
    unread = UnreadAgent(str(agent_values.pop("name", "ddpg")), agent_values)
    # What is not typed yet is an agent's settings in nothing but its place: `trust` sees to it.
    agent = cast(AgentConfig, unread) if is_own(unread.name) else read_agent(unread)
    fields = _typed_fields(TrainConfig, plain, "")
    for required in ("env", "out"):
        if required not in fields:
            raise BadInput("config", f"the key {required!r}", ", ".join(fields) or "nothing")
    return TrainConfig(agent=agent, **fields)


def read_agent(unread: UnreadAgent) -> AgentConfig:
    """The settings of an agent as its class has them; the module of a user's own is imported.

    Raises:
        BadInput: no such agent, an unknown setting, or a value of the wrong type.
    """
    agent = agent_config(unread.name)
    return dataclasses.replace(agent, **_typed_fields(type(agent), unread.values, "agent."))


def typed(kind: Any, value: Any, name: str) -> Any:
    """The value as the type, if it is one: no guessing beyond int for float and list for tuple."""
    if isinstance(kind, types.UnionType):  # something or None
        if value is None:
            return None
        (kind,) = (one for one in typing.get_args(kind) if one is not types.NoneType)
    origin = typing.get_origin(kind)
    if origin is tuple and isinstance(value, list | tuple | int):
        inner = typing.get_args(kind)[0]
        return tuple(typed(inner, item, name) for item in (value if not isinstance(value, int) else (value,)))
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):
            return float(value)
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if kind is str and isinstance(value, os.PathLike):
        return os.fspath(value)
    if kind is str and isinstance(value, int | float):
        with contextlib.suppress(ValueError):  # of thousands of digits
            return str(value)
    expected = origin or kind
    if isinstance(value, expected) and not (kind is int and isinstance(value, bool)):
        return value
    shown = getattr(kind, "__name__", str(kind)) if not isinstance(kind, types.GenericAlias) else str(kind)
    raise BadInput(name, f"a value of type {shown}", _shown(value))


def _shown(value: Any) -> str:
    try:
        return repr(value)[:200]
    except ValueError:  # a number of thousands of digits is not written out
        return "a number of thousands of digits"


def typed_fields(config: Config, prefix: str = "") -> Config:
    """A dataclass with every plain field as its declared type; nested ones are left as they are.

    Raises:
        BadInput: naming the field.
    """
    hints = typing.get_type_hints(type(config))
    plain = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    return dataclasses.replace(
        config,
        **{
            name: typed(hints[name], value, prefix + name)
            for name, value in plain.items()
            if not dataclasses.is_dataclass(value)
        },
    )


def _typed_fields(kind: type, values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    known = {f.name for f in dataclasses.fields(kind)}
    hints = typing.get_type_hints(kind)
    for key in values:
        if key not in known:
            raise BadInput("config", "a setting that exists", repr(prefix + key), did_you_mean(key, known))
    return {key: typed(hints[key], value, prefix + key) for key, value in values.items()}


def value_of(text: str) -> Any:
    """A number, a bool, a tuple, or else the text itself; `literal_eval` runs no code."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return text
