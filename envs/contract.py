"""The goal contract: what a goal-conditioned env must offer, read from the env one aspect at a time.

An env keeps the contract when
- its observation is a Dict with flat float boxes `observation`, `achieved_goal`, `desired_goal`,
- its action space is a bounded Box,
- `compute_reward(achieved_goal, desired_goal, info)` needs neither the simulator's state nor info keys,
- `compute_terminated(achieved_goal, desired_goal, info)` does the same for termination, if it terminates,
- `info` of every step says whether the goal is reached, as `is_success` or `success`,
- episodes end: the time limit is known.

`compute_truncated` is never asked: truncation does not stop bootstrapping, so hindsight has no use for it.

Each function here reads one of these and raises `BadInput` with the place, what was expected, what came
and the fix. `GoalSpec` is what is left when all of them pass; `check` reports all that fail.
"""

import contextlib
import dis
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from regoal.envs.hang_watch import HangWatch, Hung
from regoal.envs.recipe import Env
from regoal.errors import BadInput, EnvFault, SpoiledEpisode

GOAL_KEYS = ("observation", "achieved_goal", "desired_goal")
SUCCESS_KEYS = ("is_success", "success")

# [s] of a reset or step where no run is there to say how long it may take; well below the silence after which
# a benchmark ends a cell, which could not tell why.
LONGEST_CALL = 300.0
LONGEST_CLOSE = 30.0  # [s]
_LARGE = 1e30  # no overflow on the way there, in single precision neither

Array = NDArray[Any]
PairScore = Callable[[Array, Array, dict[str, Any]], Any]


class EnvCrash(SpoiledEpisode):
    """The env raised an exception of its own."""


def name_of(env: Env) -> str:
    """The env's id, or its class where it has none."""
    return env.spec.id if env.spec else type(env.unwrapped).__name__


def key_list(mapping: Mapping[str, Any]) -> str:
    """The keys of a mapping in words."""
    return f"the keys {', '.join(mapping)}" if mapping else "no keys"


def observation_sizes(env: Env) -> tuple[int, int]:
    """Sizes of the observation and of a goal."""
    name, space = name_of(env), env.observation_space
    if not isinstance(space, gym.spaces.Dict):
        raise BadInput(
            f"{name} observation_space",
            f"a Dict with the keys {', '.join(GOAL_KEYS)}",
            str(space),
            "Return the goal beside the observation (see docs/bring_your_own_env.md).",
        )
    sizes = {}
    for key in GOAL_KEYS:
        if key not in space.spaces:
            raise BadInput(
                f"{name} observation_space",
                f"the key {key!r}",
                f"the keys {', '.join(space.spaces)}",
                f"Add {key!r} to the Dict.",
            )
        box = space.spaces[key]
        if isinstance(box, gym.spaces.Dict):
            raise BadInput(
                f"{name} observation_space[{key!r}]",
                "one flat Box",
                f"a nested Dict with the keys {', '.join(box.spaces)}",
                "Nested goals are not supported: flatten them into one vector in a wrapper.",
            )
        if not isinstance(box, gym.spaces.Box) or len(box.shape) != 1:
            raise BadInput(
                f"{name} observation_space[{key!r}]", "a Box of one dimension", str(box), "Flatten it."
            )
        if not np.issubdtype(box.dtype, np.floating):
            raise BadInput(
                f"{name} observation_space[{key!r}]", "a float dtype", str(box.dtype), "Cast it to float32."
            )
        sizes[key] = int(box.shape[0])
    if sizes["achieved_goal"] != sizes["desired_goal"]:
        raise BadInput(
            f"{name} observation_space['achieved_goal']",
            f"the shape of 'desired_goal' ({sizes['desired_goal']},)",
            f"({sizes['achieved_goal']},)",
            "Both must be points of one goal space.",
        )
    return sizes["observation"], sizes["achieved_goal"]


def action_bounds(env: Env) -> tuple[Array, Array]:
    """Lower and upper bounds of the action, each (action_size,) float32."""
    name, space = name_of(env), env.action_space
    if not isinstance(space, gym.spaces.Box) or len(space.shape) != 1:
        raise BadInput(
            f"{name} action_space",
            "a bounded Box of one dimension",
            str(space),
            "DDPG and SAC act in continuous spaces only.",
        )
    if not (
        np.isfinite(space.low).all() and np.isfinite(space.high).all() and (space.low < space.high).all()
    ):
        raise BadInput(
            f"{name} action_space",
            "finite bounds with low < high",
            f"low={space.low}, high={space.high}",
            "Bound it: gymnasium.wrappers.RescaleAction needs bounds too, so set them in the env.",
        )
    low, high = space.low.astype(np.float32), space.high.astype(np.float32)
    # 0.1 is a little more in single precision than in double: an action there would lie outside.
    low = np.where(low < space.low, np.nextafter(low, np.float32(np.inf)), low)
    high = np.where(high > space.high, np.nextafter(high, np.float32(-np.inf)), high)
    return low, high


def episode_limit(env: Env) -> int:
    """The time limit of an episode in steps."""
    limit = env.spec.max_episode_steps if env.spec else None
    if limit is None and env.has_wrapper_attr("_max_episode_steps"):
        limit = env.get_wrapper_attr("_max_episode_steps")
    if limit is None:
        raise BadInput(
            f"{name_of(env)} max_episode_steps",
            "a time limit",
            "none",
            "Give max_episode_steps to gymnasium.register, or wrap in gymnasium.wrappers.TimeLimit.",
        )
    return int(limit)


def success_key(env: Env, info: Mapping[str, Any]) -> str:
    """The key under which `info` of a step says that the goal is reached."""
    for key in SUCCESS_KEYS:
        if key in info:
            return key
    raise BadInput(
        f"{name_of(env)} info",
        f"{' or '.join(repr(key) for key in SUCCESS_KEYS)} after every step",
        key_list(info),
        "Add info['is_success'] = bool(the goal is reached).",
    )


def goal_function(env: Env, attribute: str, fix: str) -> PairScore:
    """The env's own bound `compute_reward` or `compute_terminated`, past wrappers that hide it."""
    if not env.has_wrapper_attr(attribute):
        raise BadInput(f"{name_of(env)} {attribute}", "a method of the env", "none", fix)
    function: PairScore = env.get_wrapper_attr(attribute)
    return function


def score_batch(function: PairScore, achieved: Array, desired: Array) -> Array:
    """Shapes (n, goal) and (n, goal) to (n,), in one call; it cannot write into the goals."""
    return np.asarray(function(_read_only(achieved), _read_only(desired), {}))


def score_one_by_one(function: PairScore, achieved: Array, desired: Array) -> Array:
    """Shapes (n, goal) and (n, goal) to (n,), one call a pair; it cannot write into the goals."""
    pairs = zip(_read_only(achieved), _read_only(desired), strict=True)
    return np.asarray([function(a, d, {}) for a, d in pairs])


def _read_only(goals: Array) -> Array:
    """The same array, which raises where it is written into: others go on with what was scored."""
    view = goals.view()
    view.flags.writeable = False
    return view


def constant_result(function: PairScore) -> Any:
    """What a function returns whatever it is given, or None where that cannot be told.

    Its bytecode is read, not run: it loads a constant and returns it, and does nothing else. Such is the
    `compute_terminated` of Fetch and Hand, which would otherwise be asked pair by pair for ever.
    """
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    if code is None:
        return None
    instructions = [one for one in dis.get_instructions(code) if one.opname not in ("RESUME", "NOP")]
    match [one.opname for one in instructions]:
        case ["LOAD_CONST", "RETURN_VALUE"] | ["RETURN_CONST"]:
            return instructions[0].argval
    return None


def takes_batches(name: str, function: PairScore, achieved: Array, desired: Array) -> bool:
    """Whether the function scores a whole batch in one call, with the values that single calls give.

    Raises:
        BadInput: it reads `info`, or gives anything but one number a pair.
    """
    try:
        single = score_one_by_one(function, achieved, desired)
    except Exception as error:
        _require_no_writing(name, function, (achieved, desired), error)
        raise BadInput(
            name,
            "a score from the achieved and the desired goal alone",
            f"{type(error).__name__}: {error} with an empty info",
            "A hindsight goal has no info: compute what you need from the two goals.",
        ) from error
    if single.shape != (len(achieved),):
        raise BadInput(
            name,
            "one number for one pair of goals",
            f"shape {single.shape[1:]} for a pair",
            "Return a scalar for one pair and (n,) for n pairs: reduce with axis=-1.",
        )
    try:
        batched = score_batch(function, achieved, desired)
    except Exception:  # noqa: BLE001  (user code may raise anything; single calls are the fallback)
        return False
    return batched.shape == single.shape and bool(np.allclose(batched, single, rtol=1e-6, atol=1e-9))


def _require_no_writing(name: str, function: PairScore, goals: tuple[Array, Array], error: Exception) -> None:
    """That it was not for arrays that are read-only that a function raised an error.

    Raises:
        BadInput: it was, because it writes into them or does not take such.
    """
    copies = [one.copy() for one in goals]
    try:
        for achieved, desired in zip(*copies, strict=True):
            function(achieved, desired, {})
    except Exception:  # noqa: BLE001  (then it is something else)
        return
    writes = not all(np.array_equal(one, copy) for one, copy in zip(goals, copies, strict=True))
    raise BadInput(
        name,
        "goals that are left as they are" if writes else "a function that takes read-only arrays",
        f"{type(error).__name__}: {error}",
        "Replay hands out arrays of its own: copy them first, or compute anew.",
    ) from error


def guarded(env: Env, when: str, call: Callable[[], Any]) -> Any:
    """The result of a call of `env.reset` or `env.step`.

    Raises:
        EnvCrash: what the env raised, at which step, and where in its code.
    """
    try:
        return call()
    except EnvFault as fault:  # which says for itself what is wrong
        raise EnvCrash(f"{fault.where} at {when}", fault.expected, fault.got, fault.fix) from fault
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        raise EnvCrash(
            f"{name_of(env)} at {when}",
            "a reset or step that returns",
            f"{type(error).__name__}: {error}",
            f"Look at {frame.name} in {Path(frame.filename).name}, line {frame.lineno}.",
        ) from error


def guarded_in_time(env: Env, when: str, call: Callable[[], Any]) -> Any:
    """As `guarded`, for `LONGEST_CALL` at most: where no run is there to replace an env that hangs.

    Raises:
        EnvCrash: what the env raised, or that it did not come back.
    """
    with in_time(env, when):
        return guarded(env, when, call)


@contextlib.contextmanager
def in_time(env: Env, when: str) -> Iterator[HangWatch]:
    """A watch over calls of an env, of which each may take `LONGEST_CALL`: tick after each.

    Raises:
        EnvCrash: one did not come back.
    """
    try:
        with HangWatch(LONGEST_CALL) as watch:
            yield watch
    except Hung as hung:
        frame = traceback.extract_tb(hung.__traceback__)[-2]  # the last one is where the watch raised it
        raise EnvCrash(
            f"{name_of(env)} at {when}",
            f"a reset or step that returns within {LONGEST_CALL:g} s",
            f"none yet, in {frame.name} of {Path(frame.filename).name}, line {frame.lineno}",
            "Look at what it waits for. Some envs draw their start again until it is sound, which a shift "
            "can make impossible: try a milder one.",
        ) from hung


def close(env: Env) -> None:
    """Close an env, or say why it could not be: what was found or learned with it stays."""
    try:
        env.close()
    except Exception as error:  # noqa: BLE001  (the env's own code may raise anything)
        print(f"{name_of(env)} could not be closed: {type(error).__name__}: {error}", file=sys.stderr)


def close_in_time(env: Env) -> None:
    """As `close`, of an env that may hang, too."""
    try:
        with HangWatch(LONGEST_CLOSE):
            close(env)
    except Hung:
        print(f"{name_of(env)} could not be closed within {LONGEST_CLOSE:g} s", file=sys.stderr)


def _sound(observation: Any, sizes: tuple[int, int]) -> bool:
    """Whether an observation is plainly as it must be; the check of every step, so a quick one.

    A no is not final: the slow check looks closer. A sum of squares is finite only if every number is.
    """
    if type(observation) is not dict or len(observation) < len(GOAL_KEYS):
        return False
    for key, size in zip(GOAL_KEYS, (sizes[0], sizes[1], sizes[1]), strict=True):
        value = observation.get(key)
        if type(value) is not np.ndarray or value.shape != (size,) or value.dtype.kind != "f":
            return False
        if not -_LARGE < value.dot(value) < _LARGE:
            return False
    return True


def check_observation(env: Env, observation: Any, sizes: tuple[int, int], when: str) -> None:
    """That what the env returned has the keys and shapes it declares, and finite numbers.

    Raises:
        EnvFault: naming env, key and `when` it happened ("reset", "step 3 of episode 7").
    """
    if _sound(observation, sizes):
        return
    for key, size in zip(GOAL_KEYS, (sizes[0], sizes[1], sizes[1]), strict=True):
        value = (
            np.asarray(observation[key]) if isinstance(observation, Mapping) and key in observation else None
        )
        where = f"{name_of(env)} {key!r} at {when}"
        if value is None:
            got = key_list(observation) if isinstance(observation, Mapping) else type(observation).__name__
            raise EnvFault(where, f"the key {key!r}", got, "Return all keys at every reset and step.")
        if value.shape != (size,):
            raise EnvFault(where, f"shape ({size},)", f"shape {value.shape}", "Keep to observation_space.")
        if not np.issubdtype(value.dtype, np.number):
            raise EnvFault(where, "numbers", f"dtype {value.dtype}", "Keep to observation_space.")
        if not np.isfinite(value).all():
            bad = int(np.flatnonzero(~np.isfinite(value))[0])
            got = f"{value[bad]} at index {bad}"
            raise SpoiledEpisode(where, "finite numbers", got, "Look at the simulation.")
