"""Playing whole episodes; imports no torch, so that worker processes stay small."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from regoal.agent.policy import Policy
from regoal.buffers.episode import Array, Episode
from regoal.envs.contract import check_observation, guarded
from regoal.envs.goal_spec import GoalSpec
from regoal.envs.recipe import Env
from regoal.envs.simulator import silent_reset
from regoal.errors import EnvFault, RunFault, SpoiledEpisode, TrainingFault


def play(
    env: Env,
    spec: GoalSpec,
    policy: Policy,
    *,
    seed: int,
    exploration: np.random.Generator | None = None,
    index: int = 0,
    asked: Array | None = None,
    tick: Callable[[], object] = lambda: None,
) -> Episode:
    """Play one episode to its end.

    Args:
        env: the env; it is reset with `seed`.
        spec: its goal spec.
        policy: acts; without exploration where no generator is given.
        seed: for `env.reset`.
        exploration: generator of the exploration noise.
        index: number of the episode, for messages and for the record.
        asked: goal (goal_size,) that the policy is shown in place of the desired one. The record is the same:
            rewards, success and the end of the episode are those of the desired goal.
        tick: called after the reset and after every step.

    Raises:
        SpoiledEpisode: the env raised, returned what is not finite, or its simulator reset itself.
        EnvFault: it left out a key, moved the goal, or does not end: it breaks its contract.
        TrainingFault: the policy's action is not finite.
    """
    when = f"reset of episode {index}"
    observation, info = guarded(env, when, lambda: env.reset(seed=seed))
    check_observation(env, observation, (spec.observation_size, spec.goal_size), when)
    shift = str(info.get("shift", ""))
    desired = np.array(observation["desired_goal"])
    shown = desired if asked is None else asked
    observations, achieved = [], []
    actions: list[Array] = []
    rewards, successes = [], []
    terminated = truncated = False
    act = policy.explorer(exploration) if exploration else policy.mean_action
    tick()
    while not (terminated or truncated):
        observations.append(np.array(observation["observation"]))
        achieved.append(np.array(observation["achieved_goal"]))
        inputs = np.concatenate([observation["observation"], shown]).astype(np.float32)
        action = act(inputs)
        actions.append(action)
        try:
            outcome = _checked_step(env, spec, policy, action, desired, len(actions), index)
        except RunFault as fault:
            fault.discarded_steps = len(actions)
            raise
        observation, reward, terminated, truncated, info = outcome
        rewards.append(reward)
        successes.append(bool(info[spec.success_key]))
        tick()
    why = silent_reset(env)
    if why is not None:
        reset = SpoiledEpisode(
            f"{spec.recipe.env_id} simulation in episode {index}",
            "one that stays finite",
            f"one that MuJoCo has reset by itself ({why})",
            "A smaller time step, or gentler actions, keep it stable.",
        )
        reset.discarded_steps = len(actions)
        raise reset
    observations.append(np.array(observation["observation"]))
    achieved.append(np.array(observation["achieved_goal"]))
    return Episode(
        observation=np.stack(observations),
        achieved_goal=np.stack(achieved),
        desired_goal=desired,
        action=np.stack(actions),
        reward=np.asarray(rewards, np.float32),
        terminated=bool(terminated),
        success=np.asarray(successes, np.bool_),
        index=index,
        shift=shift,
        env=spec.recipe.env_id,
    )


def _checked_step(
    env: Env, spec: GoalSpec, policy: Policy, action: Array, desired: Array, steps: int, index: int
) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
    """Take step number `steps`, counted from 1, of an episode; raises where anything is not as it must be."""
    when = f"step {steps - 1} of episode {index}"
    if not math.isfinite(action.dot(action)):
        raise TrainingFault(
            f"action for {when}", "finite numbers", str(action), "Learning diverged: lower agent.lr."
        )
    outcome = guarded(env, when, partial(env.step, policy.to_env(action)))
    observation, reward, terminated, truncated, info = outcome
    check_observation(env, observation, (spec.observation_size, spec.goal_size), when)
    _check_step(spec, desired, np.asarray(observation["desired_goal"]), _number(reward), info, when)
    if steps >= spec.max_episode_steps and not (terminated or truncated):
        raise EnvFault(
            f"{spec.recipe.env_id} episode {index}",
            f"an end after max_episode_steps = {spec.max_episode_steps}",
            "neither terminated nor truncated",
            "Wrap the env in gymnasium.wrappers.TimeLimit.",
        )
    return observation, reward, terminated, truncated, info


def _number(reward: Any) -> float:
    """The reward as a number; NaN, which is refused, where it is none."""
    try:
        return float(reward)
    except (TypeError, ValueError):
        return math.nan


def _check_step(
    spec: GoalSpec, desired: Array, desired_now: Array, reward: float, info: dict[str, object], when: str
) -> None:
    env_id = spec.recipe.env_id
    if not math.isfinite(reward):
        raise SpoiledEpisode(f"{env_id} reward at {when}", "a finite number", str(reward))
    low, high = spec.reward_range
    if spec.sparse and not low - 1e-6 <= reward <= high + 1e-6:
        raise EnvFault(
            f"{env_id} reward at {when}",
            f"compute_reward's {low:g} to {high:g}, seen while probing",
            str(reward),
            "A reward that follows from the two goals takes these values alone.",
        )
    if spec.success_key not in info:
        raise EnvFault(
            f"{env_id} info at {when}", f"the key {spec.success_key!r}", ", ".join(info) or "no keys"
        )
    if not (desired == desired_now).all():
        raise EnvFault(
            f"{env_id} 'desired_goal' at {when}",
            f"the goal of the reset, {desired}",
            str(desired_now),
            "A goal must stay for the whole episode.",
        )
