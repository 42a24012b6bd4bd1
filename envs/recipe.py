"""From an env id (and a shift) to a gymnasium env."""

import contextlib
import importlib
import io
import re
import traceback
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym

from regoal.envs.quick_reads import read_quickly
from regoal.envs.shift import Shift
from regoal.envs.user_module import import_user_module
from regoal.envs.whole_observation import observed_whole
from regoal.errors import BadInput, EnvFault, did_you_mean

ALWAYS_REGISTERED = ("regoal", "gymnasium", "gymnasium_robotics")  # packages whose envs any process knows

Env = gym.Env[dict[str, Any], Any]


class BrokenConstructor(BadInput):
    """An env that is known and cannot be built."""


@dataclass(frozen=True)
class EnvRecipe:
    """All it takes to build the same env again, in this process or in another.

    Attributes:
        env_id: a gymnasium id, `FetchReach-v4`, or `module:namespace/Id-v0` for an env that `module`
            registers when it is imported.
        shift: text of a `Shift`, which becomes the canonical one with figures for levels; empty for the env
            as it comes.
        kwargs: keyword arguments for `gymnasium.make`.

    Raises:
        BadInput: the shift is unknown, or a level of it is not offered in this env.
    """

    env_id: str
    shift: str = ""
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shift", str(Shift.parse(self.shift).resolved(self.env_id)))

    def build(self, render_mode: str | None = None) -> Env:
        """Build the env.

        Raises:
            BadInput: the id is unknown, its module cannot be imported, or the shift does not apply.
            BrokenConstructor: the env's own code raised something.
        """
        shift = Shift.parse(self.shift)
        require_registered(self.env_id)
        kwargs = dict(self.kwargs) | ({"render_mode": render_mode} if render_mode else {})
        try:
            env: Env = gym.make(self.env_id, disable_env_checker=True, **kwargs)
            read_quickly(env)
            env = observed_whole(env)
        except gym.error.UnregisteredEnv as error:
            raise _unknown_id(self.env_id, str(error)) from error
        except gym.error.Error as error:  # the env's own, such as a dependency that is not installed
            raise BadInput(self.env_id, "an env that can be built", str(error)) from error
        except Exception as error:  # the env's own code may raise anything
            if isinstance(error, AssertionError) and _mujoco_too_new():
                raise BadInput(
                    self.env_id,
                    "mujoco >= 3.3, < 3.12",
                    "a newer mujoco, which gymnasium-robotics 1.4.2 cannot drive",
                    "Run: pip install 'mujoco<3.12' (see `regoal doctor`).",
                ) from error
            got = f"{type(error).__name__}: {error}"
            line = traceback.extract_tb(error.__traceback__)[-1]
            fix = f"Look at {line.filename}, line {line.lineno}; try gymnasium.make with the same arguments."
            raise BrokenConstructor(f"{self.env_id} constructor", "an env", got, fix) from error
        try:
            return shift.apply(env)
        except BadInput:
            env.close()
            raise
        except Exception as error:  # a user's effect may raise anything
            env.close()
            line = traceback.extract_tb(error.__traceback__)[-1]
            fix = f"Look at {line.filename}, line {line.lineno}."
            got = f"{type(error).__name__}: {error}"
            raise BadInput(f"{self.env_id} shift '{shift}'", "effects that can be built", got, fix) from error


def build_again(recipe: EnvRecipe) -> Env:
    """An env that could be built before, while a run goes on.

    Raises:
        EnvFault: it cannot be now.
    """
    try:
        return recipe.build()
    except BrokenConstructor as fault:
        raise EnvFault(fault.where, fault.expected, fault.got, fault.fix) from fault


def buildable_elsewhere(recipe: EnvRecipe) -> bool:
    """Whether another process, which has not run the user's script, knows the env and its shift by name."""
    if any(term.record.module in ("__main__", "__mp_main__") for term in Shift.parse(recipe.shift).terms):
        return False
    module = recipe.env_id.rpartition(":")[0]
    if module:
        return module != "__main__"
    register()
    spec = gym.registry.get(recipe.env_id)
    entry = spec.entry_point if spec else ""
    # What is not registered yet comes with gymnasium_robotics, which is imported on demand.
    return spec is None or (isinstance(entry, str) and entry.partition(".")[0] in ALWAYS_REGISTERED)


def make(
    env_id: str, shift: "str | Shift | None" = None, *, render_mode: str | None = None, **kwargs: Any
) -> Env:
    """Build a goal-conditioned env, shifted or not.

    Args:
        env_id: a gymnasium id or `module:namespace/Id-v0`.
        shift: for example `"friction=0.1,action_delay=2"` or `"friction=hard"`; `None` for the env as it
            comes.
        render_mode: `"rgb_array"` to render frames.
        kwargs: passed on to `gymnasium.make`.

    Raises:
        BadInput: unknown id, or a shift that is unknown or does not apply to this env.
    """
    return EnvRecipe(env_id, str(shift or ""), kwargs).build(render_mode)


def register() -> None:
    """Register our own envs; safe to call again."""
    if "regoal/PointReach-v0" not in gym.registry:
        gym.register(
            "regoal/PointReach-v0",
            entry_point="regoal.envs.point_reach:PointReach",
            max_episode_steps=50,
        )


def require_registered(env_id: str) -> None:
    """See to it that gymnasium knows the id, importing what registers it.

    Raises:
        BadInput: it does not. An id without version is none: gymnasium would take the newest of the day.
    """
    register()
    module, _, name = env_id.rpartition(":")
    if module:
        import_user_module(module, env_id)
    elif name not in gym.registry:
        # It prints notices about envs nobody asked for.
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            importlib.import_module("gymnasium_robotics")
    if name not in gym.registry:
        raise _unknown_id(env_id, "not registered")


def _unknown_id(env_id: str, detail: str) -> BadInput:
    known, name = [known for known in gym.registry if known != env_id], env_id.rpartition(":")[2]
    versions = [
        int(one.rpartition("-v")[2]) for one in known if re.fullmatch(rf"{re.escape(name)}-v\d+", one)
    ]
    hint = f"Did you mean {env_id}-v{max(versions)}?" if versions else did_you_mean(name, known)
    got = repr(env_id) if hint else f"{env_id!r} ({detail})"
    if ":" not in env_id and not hint:
        hint = "Name the module that registers an env of your own: module:namespace/Id-v0."
    return BadInput("env", "a registered env id, or module:namespace/Id-v0", got, hint)


def _mujoco_too_new() -> bool:
    from importlib.metadata import version

    major, minor = (int(part) for part in version("mujoco").split(".")[:2])
    return (major, minor) >= (3, 12)
