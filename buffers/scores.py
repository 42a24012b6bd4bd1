"""How pairs of goals are scored, and that an episode agrees with it."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from regoal.buffers.episode import Array, Episode
from regoal.buffers.sizes import Sizes
from regoal.errors import BadInput, EnvFault, TrainingFault


class GoalScorer(Sizes, Protocol):
    """What the buffer needs of a goal spec: sizes, and scores of pairs of goals."""

    @property
    def max_episode_steps(self) -> int: ...
    @property
    def can_terminate(self) -> bool: ...
    @property
    def reward_range(self) -> tuple[float, float]: ...
    def reward(self, achieved_goal: Array, desired_goal: Array, /) -> NDArray[np.float32]: ...
    def terminated(self, achieved_goal: Array, desired_goal: Array, /) -> NDArray[np.bool_]: ...


def reached(goal_spec: GoalScorer, achieved_goal: Array, desired_goal: Array) -> NDArray[np.bool_]:
    """Whether what was achieved is as good as the goal itself (n,), for pairs (n, goal_size)."""
    first = np.concatenate([achieved_goal, desired_goal])  # one call takes less time than two
    rewards = goal_spec.reward(first, np.concatenate([desired_goal, desired_goal]))
    return np.asarray(rewards[: len(achieved_goal)] >= rewards[len(achieved_goal) :], np.bool_)


def require_shapes(goal_spec: GoalScorer, episode: Episode) -> None:
    """That vectors have the sizes of the spec and are finite, and actions lie in [-1, 1].

    Raises:
        BadInput: a shape does not fit, or an action is out of range.
        RunFault: a number is not finite in single precision.
    """
    spec, length = goal_spec, len(episode)
    expected = {
        "observation": (length + 1, spec.observation_size),
        "achieved_goal": (length + 1, spec.goal_size),
        "desired_goal": (spec.goal_size,),
        "action": (length, spec.action_size),
        "reward": (length,),
    }
    if episode.rank is not None:
        expected["rank"] = (length + 1,)
    for name, shape in expected.items():
        value = np.asarray(getattr(episode, name))
        if value.shape != shape:
            raise BadInput(f"episode.{name}", f"shape {shape}", f"shape {value.shape}")
        beyond = ~(np.abs(value) <= np.finfo(np.float32).max)  # True for NaN too
        if beyond.any():
            where = f"{_name_of(goal_spec, episode)} {name} at {np.argwhere(beyond)[0].tolist()}"
            fault = TrainingFault if name == "action" else EnvFault
            raise fault(
                where, "a finite float32 number", str(value[beyond][0]), "The episode was not stored."
            )
    if np.abs(episode.action).max() > 1 + 1e-5:
        raise BadInput(
            f"{_name_of(goal_spec, episode)} action",
            "numbers in [-1, 1], the agent's units",
            f"{float(np.abs(episode.action).max()):g}",
            "Scale the env's actions to [-1, 1] before they are stored.",
        )


def require_scores(goal_spec: GoalScorer, episode: Episode) -> None:
    """That reward and termination follow from the goals: hindsight is only right where they do.

    Raises:
        EnvFault: one does not.
    """
    where = _name_of(goal_spec, episode)
    achieved = episode.achieved_goal[1:]
    desired = np.broadcast_to(episode.desired_goal, achieved.shape)
    reward = goal_spec.reward(achieved, desired)
    wrong = np.flatnonzero(~_alike(reward, episode.reward))
    wrong = wrong[~_by_rounding(goal_spec.reward, achieved[wrong], desired[wrong], episode.reward[wrong])]
    if len(wrong):
        raise EnvFault(
            f"{where} reward at step {wrong[0]}",
            f"compute_reward(next achieved goal, desired goal) = {reward[wrong[0]]:g}",
            f"{episode.reward[wrong[0]]:g}",
            "The reward must follow from the two goals alone; `regoal check` shows more.",
        )
    ends = goal_spec.terminated(achieved, desired)
    told = np.zeros(len(episode), np.bool_)
    told[-1] = episode.terminated
    wrong = np.flatnonzero(ends != told)
    wrong = wrong[~_by_rounding(goal_spec.terminated, achieved[wrong], desired[wrong], told[wrong])]
    if len(wrong):
        raise EnvFault(
            f"{where} terminated at step {wrong[0]}",
            f"compute_terminated(next achieved goal, desired goal) = {bool(ends[wrong[0]])}",
            str(bool(told[wrong[0]])),
            "Give the env a compute_terminated that says when reaching a goal ends the episode."
            if not goal_spec.can_terminate
            else "Termination must follow from the two goals alone.",
        )


def _alike(one: Array, other: Array) -> NDArray[np.bool_]:
    return np.isclose(one, other, rtol=1e-5, atol=1e-6)


def _by_rounding(
    score: Callable[[Array, Array], Array], achieved: Array, desired: Array, told: Array
) -> NDArray[np.bool_]:
    """(n,) whether a score is what the env told where goals are as much nearer, or farther, as rounding does.

    An env that scores in double precision what it returns in single differs at the edge of its threshold,
    once in millions of steps; goals in double precision have no such excuse. What is learned from is scored
    anew in any case.
    """
    if not len(told) or achieved.dtype.kind != "f" or achieved.dtype.itemsize > 4:
        return np.zeros(len(told), np.bool_)
    size = np.maximum(np.abs(achieved), np.abs(desired))  # each component is rounded by itself
    step = np.sign(desired - achieved) * size * (8 * np.finfo(achieved.dtype).eps)
    near, far = (score((achieved + one).astype(achieved.dtype), desired) for one in (step, -step))
    return np.asarray(_alike(near, told) | _alike(far, told), np.bool_)


def _name_of(goal_spec: GoalScorer, episode: Episode) -> str:
    env_id = getattr(getattr(goal_spec, "recipe", None), "env_id", "env")
    return f"{env_id} episode {episode.index}"
