"""Success of a policy over episodes with fixed seeds."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from regoal.agent.policy import Policy
from regoal.agent.rollout import play
from regoal.agent.seeding import Stream, env_seed
from regoal.envs.goal_spec import GoalSpec
from regoal.envs.recipe import Env


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
        success: share of episodes whose goal was reached at the last step.
        success_any: share in which it was reached at any step.
        mean_return: mean undiscounted sum of rewards.
        mean_length: mean steps of an episode.
        episodes: how many were played.
    """

    success: float
    success_any: float
    mean_return: float
    mean_length: float
    episodes: int


def evaluate(
    env: Env,
    spec: GoalSpec,
    policy: Policy,
    *,
    episodes: int,
    seed: int,
    tick: Callable[[], object] = lambda: None,
) -> Evaluation:
    """Play `episodes` without exploration; episode i of a seed is the same one whatever was played before.

    Args:
        tick: called after every episode, to show progress or to stop by raising.
    """
    last, ever, returns, lengths = [], [], [], []
    for index in range(episodes):
        episode = play(env, spec, policy, seed=env_seed(seed, Stream.EVALUATION, index), index=index)
        last.append(episode.success[-1])
        ever.append(episode.success.any())
        returns.append(float(episode.reward.sum()))
        lengths.append(len(episode))
        tick()
    return Evaluation(
        success=float(np.mean(last)),
        success_any=float(np.mean(ever)),
        mean_return=float(np.mean(returns)),
        mean_length=float(np.mean(lengths)),
        episodes=episodes,
    )
