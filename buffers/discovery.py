"""Batches for learning to change what is achieved at all, before any goal is learned.

Where objects must be moved, a policy that learns goals at once learns first that nothing it does matters:
nearly all its episodes say so. To move the object, no matter where to, is learned in some hundred episodes
(the auxiliary tasks TOUCH and MOVE of SAC-X, Riedmiller 2018, arXiv 1802.10567, without knowing of objects).
"""

import numpy as np

from regoal.buffers.batch import BatchRows
from regoal.buffers.scores import GoalScorer, reached
from regoal.buffers.storage import EpisodeStorage, Transitions, joined

MARKED_SHARE = 0.5  # of a batch, from episodes that left what was achieved at their start, once there are any


def draw_for_discovery(storage: EpisodeStorage, n: int, rng: np.random.Generator) -> Transitions:
    """n transitions, half of them from marked episodes."""
    n_marked = int(n * MARKED_SHARE) if storage.marked else 0
    others = storage.draw(n - n_marked, rng)
    return joined(storage.draw_marked(n_marked, rng), others) if n_marked else others


def score_leaving(goal_spec: GoalScorer, at: Transitions, rows: BatchRows, rng: np.random.Generator) -> None:
    """Reward transitions for what they leave: the task ends where an earlier achieved goal no longer counts.

    Args:
        goal_spec: of an env with two rewards; its `reward` tells what still counts.
        at: n transitions.
        rows: where they were written to; their reward and termination are overwritten.
        rng: draws what is to be left: achieved at some state of the episode up to t, uniformly.
    """
    earlier = (rng.random(len(at)) * (at.t + 1)).astype(np.int64)
    start = at.storage.goals(at.first_row + earlier)
    left = ~reached(goal_spec, rows.next_achieved_goal, start)
    worst, best = goal_spec.reward_range
    rows.reward[:] = np.where(left, best, worst)
    rows.terminated[:] = left
