"""Playing an env with random actions and writing down everything the checks want to look at."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np

from regoal.envs import contract
from regoal.envs.contract import Array, EnvCrash, PairScore
from regoal.envs.recipe import Env
from regoal.errors import BadInput, EnvFault

FIRST_SEED = 1000
LONGEST_HOLD = 8
REPEATED_STEPS = 20

Observation = dict[str, Array]


@dataclass(frozen=True)
class Transition:
    """One step as it was when the env returned it (arrays are copies).

    Attributes:
        when: "step 3 of episode 1".
        observation: after the step, (observation_size,).
        achieved_goal: after the step, (goal_size,).
        desired_goal, first_desired_goal: after the step and after the reset, (goal_size,).
        reward, terminated, info: what the env returned.
        scored_reward, scored_terminated: what `compute_reward` and `compute_terminated` said at that
            moment with an empty info; `None` where there is no such method or it gave no single number.
    """

    when: str
    observation: Array
    achieved_goal: Array
    desired_goal: Array
    first_desired_goal: Array
    reward: Any
    terminated: Any
    info: Mapping[str, Any]
    scored_reward: float | None
    scored_terminated: float | None


@dataclass
class Recording:
    """All that was seen while playing.

    Attributes:
        name: the env's id.
        episodes: how many were begun.
        transitions: every step with a sound observation.
        bad_observations: the first fault of each episode.
        crash: the exception that ended the play.
        endless: an episode that went on past its time limit.
        returned: (what and when, the array itself, a copy made at once) of all arrays the env returned.
        opening: the first episode, (action that led there, observation); the first action is `None`.
    """

    name: str
    episodes: int = 0
    transitions: list[Transition] = field(default_factory=list)
    bad_observations: list[BadInput] = field(default_factory=list)
    crash: BadInput | None = None
    endless: BadInput | None = None
    returned: list[tuple[str, Array, Array]] = field(default_factory=list)
    opening: list[tuple[Array | None, Observation]] = field(default_factory=list)


def single_number(value: Any) -> float | None:
    """The value as one number; `None` where it is an array, a text or nothing."""
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        return None
    return float(array) if array.shape == () else None


def optional_score(env: Env, attribute: str) -> PairScore | None:
    """The env's `compute_reward` or `compute_terminated`, if it has one."""
    return env.get_wrapper_attr(attribute) if env.has_wrapper_attr(attribute) else None


def play(env: Env, sizes: tuple[int, int], episodes: int, steps: int, limit: int | None) -> Recording:
    """Play episodes of at most `steps` steps; the first exception of the env ends the play.

    Args:
        env: it is reset with the seeds FIRST_SEED, FIRST_SEED + 1, ...
        sizes: of the observation and of a goal.
        episodes: how many.
        steps: the most in one episode.
        limit: the time limit, if there is one.
    """
    recording = Recording(contract.name_of(env))
    for episode in range(episodes):
        recording.episodes += 1
        try:
            _play_episode(env, recording, sizes, episode, steps, limit)
        except EnvCrash as crash:
            recording.crash = crash
            break
        except EnvFault as fault:
            recording.bad_observations.append(fault)
    return recording


def first_difference(env: Env, recording: Recording) -> BadInput | None:
    """Play the start of the first episode again, after all that happened since.

    Returns:
        The first place where the same seed and actions gave something else; `None` if there is none.
    """
    for number, (action, before) in enumerate(recording.opening[: REPEATED_STEPS + 1]):
        when = "reset" if action is None else f"step {number - 1}"
        call = partial(_reset, env, FIRST_SEED) if action is None else partial(_step, env, action.copy())
        observation = contract.guarded_in_time(env, f"{when}, played again", call)[0]
        for key in contract.GOAL_KEYS:
            old, new = before[key], np.asarray(observation[key])
            if not np.array_equal(old, new, equal_nan=True):
                differ = np.flatnonzero(old != new)
                return BadInput(
                    f"{recording.name} {key!r} at {when} after a second reset with the same seed",
                    f"{old[differ[0]]} at index {differ[0]}, as the first time",
                    str(new[differ[0]]),
                    "Draw all that is random from self.np_random, which super().reset(seed=seed) seeds, "
                    "and put back all state in reset.",
                )
    return None


def _play_episode(
    env: Env, recording: Recording, sizes: tuple[int, int], episode: int, steps: int, limit: int | None
) -> None:
    reward_function = optional_score(env, "compute_reward")
    terminated_function = optional_score(env, "compute_terminated")
    when = f"reset of episode {episode}"
    raw, _ = contract.guarded_in_time(env, when, partial(_reset, env, FIRST_SEED + episode))
    first = _keep(env, recording, raw, sizes, None, when)
    for step, action in zip(range(steps), _actions(env.action_space, episode), strict=False):
        when = f"step {step} of episode {episode}"
        given = action.copy() if isinstance(action, np.ndarray) else action
        raw, reward, terminated, truncated, info = contract.guarded_in_time(
            env, when, partial(_step, env, given)
        )
        observation = _keep(env, recording, raw, sizes, action, when)
        achieved, desired = observation["achieved_goal"], observation["desired_goal"]
        recording.transitions.append(
            Transition(
                when=when,
                observation=observation["observation"],
                achieved_goal=achieved,
                desired_goal=desired,
                first_desired_goal=first["desired_goal"],
                reward=reward,
                terminated=terminated,
                info=info,
                scored_reward=_score(reward_function, achieved, desired),
                scored_terminated=_score(terminated_function, achieved, desired),
            )
        )
        if terminated or truncated:
            return
    if limit is not None and steps >= limit:
        recording.endless = BadInput(
            f"{recording.name} episode {episode}",
            f"an end after max_episode_steps = {limit}",
            f"neither terminated nor truncated after {steps} steps",
            "Wrap it in gymnasium.wrappers.TimeLimit.",
        )


def _reset(env: Env, seed: int) -> tuple[Any, dict[str, Any]]:
    """A reset, unpacked here so that a wrong number of results is the env's crash, not ours."""
    observation, info = env.reset(seed=seed)
    return observation, dict(info)


def _step(env: Env, action: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
    observation, reward, terminated, truncated, info = env.step(action)
    return observation, reward, terminated, truncated, dict(info)


def _keep(
    env: Env, recording: Recording, raw: Any, sizes: tuple[int, int], action: Any, when: str
) -> Observation:
    """Hold on to the returned arrays, then check them; gives copies."""
    held = [(key, raw[key]) for key in contract.GOAL_KEYS if isinstance(raw, Mapping) and key in raw]
    recording.returned += [
        (f"{key!r} of {when}", array, array.copy()) for key, array in held if isinstance(array, np.ndarray)
    ]
    contract.check_observation(env, raw, sizes, when)
    observation = {key: np.array(raw[key]) for key in contract.GOAL_KEYS}
    if recording.episodes == 1:
        recording.opening.append((action, observation))
    return observation


def _score(function: PairScore | None, achieved: Array, desired: Array) -> float | None:
    """One pair scored with an empty info; what it raises is reported when the method itself is checked."""
    if function is None:
        return None
    try:
        return single_number(function(achieved.copy(), desired.copy(), {}))
    except Exception:  # noqa: BLE001  (the env's own code may raise anything)
        return None


def _actions(space: gym.Space[Any], seed: int) -> Iterator[Any]:
    """Random actions, each held for some steps: held ones go further than fresh ones."""
    rng = np.random.default_rng(seed)
    space.seed(seed)
    while True:
        action = space.sample()
        if isinstance(space, gym.spaces.Box) and space.is_bounded():
            action = rng.uniform(space.low, space.high).astype(space.dtype)
        for _ in range(rng.integers(1, LONGEST_HOLD + 1)):
            yield action
