"""Playing shifted envs: what several tests of shifts need."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from regoal.envs import GoalSpec
from regoal.envs.recipe import Env
from regoal.envs.shift import Shift, Term
from regoal.envs.shift_families import families_for, find_family
from regoal.envs.shift_levels import levels

POINT = "regoal/PointReach-v0"
FETCH = ["FetchReach-v4", "FetchPush-v4", "FetchSlide-v4", "FetchPickAndPlace-v4"]
ALL_ENVS = [*FETCH, "HandReach-v3", "PointMaze_UMaze-v3", "AntMaze_UMaze-v5", POINT]


def as_bytes(observation: dict[str, NDArray[Any]]) -> bytes:
    return b"".join(observation[key].tobytes() for key in sorted(observation))


def episode_bytes(env: Env, seed: int | None, steps: int = 15, actions: int = 0) -> bytes:
    """All that an agent sees in an episode, as bytes."""
    rng = np.random.default_rng(actions)
    observation, info = env.reset(seed=seed)
    seen = [as_bytes(observation), str(info.get("shift")).encode()]
    low, high = env.action_space.low, env.action_space.high  # type: ignore[attr-defined]
    for _ in range(steps):
        observation, reward, terminated, truncated, _ = env.step(rng.uniform(low, high).astype(np.float32))
        seen += [as_bytes(observation), str((float(reward), terminated, truncated)).encode()]
    return b"|".join(seen)


def reward_of(spec: GoalSpec, achieved_goal: NDArray[Any], desired_goal: NDArray[Any]) -> NDArray[Any]:
    """For another process, which imports this module and no torch."""
    return spec.reward(achieved_goal, desired_goal)


def no_action(env: Env) -> NDArray[np.float32]:
    return np.zeros(env.action_space.shape or (), np.float32)


def identity(env: Env) -> Shift:
    """Every family that applies, at the value that changes nothing."""
    return Shift(tuple(Term(name, (find_family(name).identity,)) for name in families_for(env)))


def everything(env: Env, env_id: str) -> Shift:
    """Every family that applies, in a range wherever it takes one, up to its hard level."""
    terms = []
    for name in families_for(env):
        family = find_family(name)
        greatest = family.greatest(env) if family.greatest else family.high
        hard = (levels(env_id, name) or (0.0, 0.0, min(2.0, greatest)))[2]
        if family.fixed:
            terms.append(Term(name, (hard,)))
        else:
            low, high = sorted((family.identity, hard))
            terms.append(Term(name, (low, high), is_range=True))
    return Shift(tuple(terms))
