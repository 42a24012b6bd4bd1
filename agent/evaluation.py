"""Success of a policy over episodes with fixed seeds."""

import itertools
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from regoal.agent.faults import MOST_HANGS, MOST_IN_A_ROW
from regoal.agent.policy import Policy
from regoal.agent.rollout import play
from regoal.agent.seeding import Stream, env_seed
from regoal.buffers.episode import Episode
from regoal.envs.contract import close, close_in_time, in_time
from regoal.envs.goal_spec import GoalSpec
from regoal.envs.hang_watch import Hung
from regoal.envs.recipe import build_again
from regoal.errors import SpoiledEpisode


@dataclass(frozen=True)
class Outcome:
    """How one evaluation episode went.

    Attributes:
        success: whether the goal was reached at the last step.
        success_any: whether it was reached at any step.
        total_reward: undiscounted sum of rewards.
        length: steps.
    """

    success: bool
    success_any: bool
    total_reward: float
    length: int

    @classmethod
    def of(cls, episode: Episode) -> "Outcome":
        """What came of an episode."""
        return cls(
            success=bool(episode.success[-1]),
            success_any=bool(episode.success.any()),
            total_reward=float(episode.reward.sum()),
            length=len(episode),
        )


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

    @classmethod
    def of(cls, outcomes: Sequence[Outcome]) -> "Evaluation":
        """Means over episodes."""
        return cls(
            success=float(np.mean([one.success for one in outcomes])),
            success_any=float(np.mean([one.success_any for one in outcomes])),
            mean_return=float(np.mean([one.total_reward for one in outcomes])),
            mean_length=float(np.mean([one.length for one in outcomes])),
            episodes=len(outcomes),
        )


def evaluate(
    spec: GoalSpec,
    policy: Policy,
    *,
    episodes: int,
    seed: int,
    tick: Callable[[], object] = lambda: None,
) -> Evaluation:
    """Means over the episodes of `play_outcomes`."""
    return Evaluation.of(play_outcomes(spec, policy, episodes=episodes, seed=seed, tick=tick))


def play_outcomes(
    spec: GoalSpec,
    policy: Policy,
    *,
    episodes: int,
    seed: int,
    tick: Callable[[], object] = lambda: None,
) -> list[Outcome]:
    """Play `episodes` without exploration; episode i of a seed is the same one whatever was played before.

    One that the env spoils is told of and played anew with another seed in another env, as in the evaluations
    of a run.

    Args:
        tick: called after every episode, to show progress or to stop by raising.

    Raises:
        SpoiledEpisode: too many attempts at an episode in a row.
        RunFault: the env broke its contract otherwise.
    """
    outcomes = []
    env = spec.recipe.build()
    try:
        for index in range(episodes):
            for attempt in itertools.count():
                attempt_seed = env_seed(seed, Stream.EVALUATION, index, attempt)
                try:
                    with in_time(env, f"episode {index}") as watch:
                        episode = play(env, spec, policy, seed=attempt_seed, index=index, tick=watch.tick)
                    break
                except SpoiledEpisode as fault:
                    most = MOST_HANGS if isinstance(fault.__cause__, Hung) else MOST_IN_A_ROW
                    if attempt + 1 >= most:
                        raise
                    print(f"{fault} The episode is discarded and played anew.", file=sys.stderr)
                    close_in_time(env)
                    # Whatever state it was left in, no other episode begins there.
                    env = build_again(spec.recipe)
            outcomes.append(Outcome.of(episode))
            tick()
    finally:
        close(env)
    return outcomes
