"""The agents there are: ours by their names, a user's own as module:Class of their settings.

    @dataclass(frozen=True)
    class TD3:
        learner: ClassVar[str] = "td3:TD3Learner"
        columns: ClassVar[tuple[str, ...]] = ("critic_loss", "actor_loss")
        gamma: float = 0.98
        batch_size: int = 256
        updates_per_step: float = 0.5

in a module td3 is the agent `td3:TD3`. Ours are such classes too. Imports nothing heavy by itself.
"""

import dataclasses
import importlib
import typing
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from regoal.agent.config import AgentConfig, DDPGConfig, SACConfig, UnreadAgent
from regoal.agent.metrics import OURS
from regoal.envs.user_module import import_user_module
from regoal.errors import BadInput, did_you_mean

if TYPE_CHECKING:
    from regoal.agent.learner import Learner

AGENTS: dict[str, type[AgentConfig]] = {"ddpg": DDPGConfig, "sac": SACConfig}
METHODS = ("update", "policy", "modules", "optimisers", "generators")  # of a learner
NEEDED = {"gamma": float, "batch_size": int, "updates_per_step": float}  # settings that training looks at
PLAIN = (bool, int, float, str)  # what a setting may be, or a tuple of one of them


def agent_config(name: str) -> AgentConfig:
    """The default settings of an agent: `ddpg`, `sac`, or module:Class, whose module is imported.

    Raises:
        BadInput: no such agent, or settings or a learner that training could not use.
    """
    if name in AGENTS:
        return AGENTS[name]()
    if ":" not in name:
        expected = f"one of {', '.join(AGENTS)}, or module:Class of your own settings"
        raise BadInput("agent", expected, repr(name), did_you_mean(name, AGENTS))
    kind: Any = _named(name, "agent")
    _require_settings(kind, name)
    _require_learner(kind, name)
    config: AgentConfig = kind()
    return config


def agent_name(config: AgentConfig | UnreadAgent) -> str:
    """The name of an agent by its settings; what `agent_config` takes."""
    if isinstance(config, UnreadAgent):
        return config.name
    kind = type(config)
    ours = [name for name, one in AGENTS.items() if one is kind]
    return ours[0] if ours else f"{kind.__module__}:{kind.__qualname__}"


def is_own(name: str) -> bool:
    """Whether an agent of this name is a user's own."""
    return ":" in name


def require_agent(config: object) -> None:
    """That settings, as they come from Python, are those of an agent.

    Raises:
        BadInput: they are not.
    """
    if type(config) in AGENTS.values():
        return
    if not dataclasses.is_dataclass(config) or isinstance(config, type | UnreadAgent):
        expected = "settings of an agent: a DDPGConfig, a SACConfig, or an instance of your own class"
        raise BadInput("agent", expected, repr(config)[:200], "For example agent=regoal.SACConfig().")
    name = f"{type(config).__module__}:{type(config).__qualname__}"
    if name.startswith(("__main__:", "__mp_main__:")):
        fix = "Put it into a module of its own and import it: runs are resumed and compared elsewhere."
        raise BadInput("agent", "a class in a module that can be imported", name, fix)
    if type(agent_config(name)) is not type(config):
        got = f"another class of the name {name}"
        raise BadInput("agent", "the class that its module has now", got, "Make the settings anew.")


def learner_class(config: AgentConfig) -> "Callable[..., Learner]":
    """What learns with these settings, imported."""
    learner: Callable[..., Learner] = _named(config.learner, f"agent {agent_name(config)} learner")
    return learner


def _named(name: str, where: str) -> Any:
    """The class that module:Class names.

    Raises:
        BadInput: there is none.
    """
    module, _, rest = name.partition(":")
    if not (module and rest.isidentifier()):
        raise BadInput(where, "module:Class, a class at the top of a module", repr(name))
    import_user_module(module, where)
    found = getattr(importlib.import_module(module), rest, None)
    if not isinstance(found, type):
        there = vars(importlib.import_module(module))
        classes = [
            one for one, value in there.items() if isinstance(value, type) and value.__module__ == module
        ]
        got = f"a {type(found).__name__}" if rest in there else "none of that name"
        raise BadInput(where, f"a class {rest!r} in module {module!r}", got, did_you_mean(rest, classes))
    return found


def _require_settings(kind: Any, name: str) -> None:
    """That a class is one of settings that can be typed, written down and compared."""
    where = f"agent {name}"
    parameters = vars(kind).get("__dataclass_params__")
    if not getattr(parameters, "frozen", False):
        got = "a dataclass that is not frozen" if parameters else "another class"
        fix = "Name the class of its settings and write @dataclass(frozen=True) above it."
        raise BadInput(where, "a frozen dataclass of settings", got, fix)
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        hint, place = hints[field.name], f"{where} {field.name}"
        if not _is_plain(hint):
            expected = "a field of type bool, int, float or str, or of several such as tuple[int, ...]"
            raise BadInput(place, expected, str(getattr(hint, "__name__", hint)))
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise BadInput(place, "a default", "none", f"{field.name}: ... = ...")
        if field.name == "name":
            raise BadInput(place, "another name", "that of the agent itself in config.toml", "Rename it.")
    for needed, usual in NEEDED.items():
        if hints.get(needed) is not usual:
            got = f"none in {', '.join(hints)}" if needed not in hints else str(hints[needed])
            fix = f"Write {needed}: {usual.__name__} = {getattr(DDPGConfig, needed)}."
            raise BadInput(where, f"a field {needed!r} of type {usual.__name__}", got, fix)
    _require_columns(getattr(kind, "columns", None), where)


def _require_columns(columns: object, where: str) -> None:
    fix = 'For example columns: ClassVar[tuple[str, ...]] = ("critic_loss", "actor_loss").'
    if not isinstance(columns, tuple) or not all(isinstance(one, str) and one for one in columns):
        raise BadInput(f"{where} columns", "a tuple of what its updates return", repr(columns), fix)
    for column in columns:
        if column in OURS or columns.count(column) > 1:
            got = f"{column!r}, which every run has" if column in OURS else f"{column!r} twice"
            raise BadInput(f"{where} columns", "names of its own for metrics.csv", got, "Rename it.")


def _require_learner(kind: Any, name: str) -> None:
    """That settings name a class that has what training calls."""
    where = f"agent {name}"
    learner = getattr(kind, "learner", None)
    if not isinstance(learner, str):
        fix = f'learner: ClassVar[str] = "{name.partition(":")[0]}:Learner", for example.'
        raise BadInput(f"{where} learner", "the text module:Class of what learns", repr(learner), fix)
    found = _named(learner, f"{where} learner")
    missing = [method for method in METHODS if not callable(getattr(found, method, None))]
    if missing:
        fix = "regoal.agent.learner.Learner says what each is to do."
        raise BadInput(f"{where} learner", f"the methods {', '.join(METHODS)}", f"no {_all(missing)}", fix)


def _is_plain(hint: Any) -> bool:
    arguments = typing.get_args(hint)
    several = typing.get_origin(hint) is tuple and len(arguments) == 2 and arguments[1] is Ellipsis
    return hint in PLAIN or (several and arguments[0] in PLAIN)


def _all(names: list[str]) -> str:
    return " and no ".join(names)
