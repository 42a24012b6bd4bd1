"""What a loaded run may ask for: nothing but what whoever loads it has named as well.

To import a module is to run it, and an env may do anything with its arguments. A run folder that comes from
elsewhere therefore gets neither its modules nor its env kwargs for the asking.
"""

import sys
from collections.abc import Mapping
from typing import Any

from regoal.agent.config import TrainConfig
from regoal.envs.user_module import import_user_module
from regoal.errors import BadInput

OURS = ("regoal", "gymnasium_robotics")  # imported in any case

_given_kwargs: list[dict[str, Any]] = []  # in this process


def trust(*modules: str, **env_kwargs: Any) -> None:
    """Allow loaded runs of this process to use modules, which are imported, and env kwargs.

    Args:
        modules: names of modules that register envs or hold strategies.
        env_kwargs: what such a run gives to `gymnasium.make`: all of it.

    Raises:
        BadInput: a module cannot be imported.
    """
    for module in modules:
        import_user_module(module, "modules")
    if env_kwargs:
        give_kwargs(env_kwargs)


def give_kwargs(env_kwargs: Mapping[str, Any]) -> None:
    """Remember that the user, and not a file, has said so."""
    if dict(env_kwargs) not in _given_kwargs:
        _given_kwargs.append(dict(env_kwargs))


def require_trusted(config: TrainConfig, where: str) -> TrainConfig:
    """The settings of a loaded run, if they ask for nothing that was not named.

    A module that is imported already runs nothing when it is asked for.

    Args:
        config: as it stands in the run's config.toml.
        where: the run, for messages.

    Raises:
        BadInput: they name a module or env kwargs of their own.
    """
    named = [("env", config.env), ("relabel", config.relabel)]
    named += [("shift", term.partition("=")[0]) for term in config.shift.split(",")]
    for setting, text in named:
        module, colon, _ = text.strip().partition(":")
        if colon and module.partition(".")[0] not in OURS and module not in sys.modules:
            raise BadInput(
                f"{where} {setting}",
                "no module, or one that you name too: to import it is to run it",
                repr(module),
                f"If you trust it: --modules {module}, or regoal.trust({module!r}).",
            )
    if config.env_kwargs and dict(config.env_kwargs) not in _given_kwargs:
        typed = " ".join(f"{name}={value}" for name, value in config.env_kwargs.items())
        raise BadInput(
            f"{where} env_kwargs",
            "none, or those that you give too: an env may do anything with them",
            str(dict(config.env_kwargs)),
            f"If you trust them: --env-kwargs {typed}, or regoal.trust(**{dict(config.env_kwargs)}).",
        )
    return config
