"""What a loaded run may ask for: nothing but what whoever loads it has named as well.

To import a module is to run it, and an env may do anything with its arguments. A run folder that comes from
elsewhere therefore gets neither its modules nor its env kwargs for the asking.
"""

import dataclasses
import shlex
import sys
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from regoal.agent.agents import agent_name, is_own
from regoal.agent.config import AgentConfig, TrainConfig, UnreadAgent
from regoal.agent.settings import read_agent, without_tuples
from regoal.buffers.strategy_text import terms
from regoal.envs.user_module import import_user_module
from regoal.errors import BadInput

OURS = ("regoal", "gymnasium_robotics")  # imported in any case
WORLD = ("env", "shift")  # settings that may name a module and that are used where a policy only plays
ALL = (*WORLD, "relabel", "agent")
CALLED = ("relabel", "agent")  # something in their module is called by its name

_named_modules: set[str] = set()  # in this process
_given_kwargs: list[dict[str, Any]] = []


def trust(*modules: str, **env_kwargs: Any) -> None:
    """Allow loaded runs of this process to use modules, which are imported, and env kwargs.

    Args:
        modules: names of modules that register envs or shifts, or hold strategies or agents.
        env_kwargs: what such a run gives to `gymnasium.make`: all of it.

    Raises:
        BadInput: a module cannot be imported.
    """
    for module in modules:
        import_user_module(module, "modules")
    _note(modules, env_kwargs)


def trust_settings(config: TrainConfig) -> None:
    """Remember that the user, and not a file, has asked for what these settings name."""
    _note([text.partition(":")[0] for _, text in _modules_in(config)], config.env_kwargs)


def require_trusted(config: TrainConfig, where: str, used: Collection[str] = ALL) -> TrainConfig:
    """The settings of a loaded run, if they ask for nothing that was not named.

    Args:
        config: as it stands in the run's config.toml.
        where: the run, for messages.
        used: which of the settings that may name a module will be used; what others name does not matter,
            and is not imported.

    Returns:
        The same, with the settings of the agent typed if they are used.

    Raises:
        BadInput: they name a module or env kwargs of their own.
    """
    for setting, text in _modules_in(config):
        if setting in used:
            _require_named(setting, text, where)
    if config.env_kwargs and without_tuples(config.env_kwargs) not in _given_kwargs:
        typed = " ".join(shlex.quote(f"{name}={value}") for name, value in config.env_kwargs.items())
        raise BadInput(
            f"{where} env_kwargs",
            "none, or those that you give too: an env may do anything with them",
            str(dict(config.env_kwargs)),
            f"If you trust them: --env-kwargs {typed}, or regoal.trust(**{dict(config.env_kwargs)}).",
        )
    if "agent" in used and isinstance(config.agent, UnreadAgent):
        return dataclasses.replace(config, agent=read_agent(config.agent))
    return config


def trusted_agent(name: str, where: str) -> AgentConfig:
    """The default settings of an agent, its module imported if it was named.

    Raises:
        BadInput: no such agent, or a module that was not named.
    """
    if is_own(name):
        _require_named("agent", name, where)
    return read_agent(UnreadAgent(name))


def _require_named(setting: str, text: str, where: str) -> None:
    """That the module in a text is one that may be used.

    A module that is imported already runs nothing when an env or a shift of it is asked for; of a strategy
    or an agent something is called, so its module must have been named.
    """
    module, _, rest = text.partition(":")
    known = module in _named_modules or (setting not in CALLED and module in {*OURS, *sys.modules})
    if not known or ":" in rest:  # what is imported lies before the last colon
        raise BadInput(
            f"{where} {setting}",
            "no module, or one that you name too: to import it is to run it",
            repr(module if not known else text),
            f"If you trust it: --modules {shlex.quote(module)}, or regoal.trust({module!r})."
            if not known
            else "",
        )


def _note(modules: Iterable[str], env_kwargs: Mapping[str, Any]) -> None:
    _named_modules.update(modules)
    given = without_tuples(env_kwargs)
    if given and given not in _given_kwargs:
        _given_kwargs.append(given)


def _modules_in(config: TrainConfig) -> list[tuple[str, str]]:
    """Settings that name a module, and what they say."""
    texts = [("env", config.env), ("agent", agent_name(config.agent))]
    texts += [("relabel", strategy) for _, strategy in terms(config.relabel)]  # the parts of a mixture
    texts += [("shift", term.partition("=")[0]) for term in config.shift.split(",")]
    return [(setting, text.strip()) for setting, text in texts if ":" in text]
