"""How much a goal is wanted: how seldom it was achieved so far for how often it is desired.

Hindsight shows what was achieved, and that is seldom what is desired: most of what happens to an object
happens on the table, and half of what is desired lies in the air above it. Goals that are drawn the more
often the more they are wanted come near to those that will be asked for. It is importance sampling of the
desired goals by the achieved ones, in its spirit: prioritising seldom achieved goals alone (Zhao 2019,
arXiv 1902.08039) leads to whatever is odd, an object on the floor for example, which nobody desires.
"""

import numpy as np
from numpy.typing import NDArray

from regoal.buffers.scores import GoalScorer, reached
from regoal.buffers.storage import EpisodeStorage, Transitions

WITNESSES = 500  # achieved and desired goals that each goal is held against
PRACTISED_OF = 100  # achieved goals of which the most wanted is practised
PRIOR = 0.5  # of them are taken to be like any goal, so that what was never seen has a rank too


def ranks_of(
    storage: EpisodeStorage, goal_spec: GoalScorer, goals: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Ranks of achieved goals (n,): the lower, the more they are wanted; 1 for all where nothing is stored.

    Args:
        storage: what was achieved and desired so far.
        goal_spec: tells what counts as reached.
        goals: (n, goal_size).
        rng: draws the witnesses.
    """
    if not len(storage):
        return np.ones(len(goals), np.float32)
    at = storage.draw(WITNESSES, rng)
    achieved = _counts(goal_spec, storage.goals(at.first_row + at.t + 1), goals).sum(axis=0)
    # An episode desires once, however soon its goal ended it.
    asked = storage.desired_goal[storage.draw_episodes(WITNESSES, rng)]
    desired = _counts(goal_spec, goals, asked).sum(axis=1)
    ranks: NDArray[np.float32] = ((achieved + PRIOR) / (desired + PRIOR)).astype(np.float32)
    return ranks


def draw_wanted(storage: EpisodeStorage, n: int, candidates: int, rng: np.random.Generator) -> Transitions:
    """n transitions of marked episodes: of so many, each time the one whose episode has the lowest rank."""
    drawn = storage.draw_marked(n * candidates, rng)
    if candidates == 1:
        return drawn
    best = storage.best_rank[drawn.episode].reshape(n, candidates).argmin(axis=1)
    return drawn.of(np.arange(n) * candidates + best)


def wanted_goal(
    storage: EpisodeStorage, goal_spec: GoalScorer, rng: np.random.Generator
) -> NDArray[np.float32] | None:
    """A goal (goal_size,) to practise: of those that an episode got to, one that is wanted most by now.

    It is drawn from marked episodes; None where there are none, or nothing that is drawn was new in its
    episode: where things lie at the start nobody got to. What is achieved seldom and can be achieved is
    where exploration should set out from (Pitis 2020, arXiv 2007.02832).
    """
    if not storage.marked:
        return None
    at = storage.draw_marked(PRACTISED_OF, rng)
    goals = storage.goals(at.first_row + at.t + 1)
    goals = goals[~reached(goal_spec, storage.achieved_goal[at.first_row], goals)]
    if not len(goals):
        return None
    chosen: NDArray[np.float32] = goals[ranks_of(storage, goal_spec, goals, rng).argmin()]
    return chosen


def _counts(
    goal_spec: GoalScorer, achieved: NDArray[np.float32], desired: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """Whether each of n achieved goals counts as each of m desired ones (n, m)."""
    n, m = len(achieved), len(desired)
    rewards = goal_spec.reward(np.repeat(achieved, m, axis=0), np.tile(desired, (n, 1))).reshape(n, m)
    counts: NDArray[np.bool_] = rewards >= goal_spec.reward(desired, desired)
    return counts
