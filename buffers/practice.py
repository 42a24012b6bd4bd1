"""Goals to practise: what was achieved before, and seldom.

Where desired goals are out of reach, episodes that ask for them teach nothing but that nothing matters. An
episode that asks for the least common of what was achieved so far starts from what the policy nearly can
do, and goes on from its border: maximum entropy gain exploration (MEGA, Pitis 2020, arXiv 2007.02832), with
the env's own `compute_reward` in place of a density model.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from regoal.buffers.episode import Episode
from regoal.buffers.scores import GoalScorer, reached
from regoal.buffers.storage import EpisodeStorage

CANDIDATES = 100  # achieved goals, of which the least common one is asked for
WITNESSES = 300  # achieved goals that tell how common each of them is


def seldom_achieved(
    storage: EpisodeStorage, goal_spec: GoalScorer, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Of some achieved goals the one that counts as reached least often (goal_size,).

    Args:
        storage: of episodes; candidates are drawn from marked ones, if any are.
        goal_spec: tells what counts as reached.
        rng: draws candidates and witnesses, and settles ties.
    """
    drawn = storage.draw_marked(CANDIDATES, rng) if storage.marked else storage.draw(CANDIDATES, rng)
    candidates = storage.goals(drawn.first_row + drawn.t + 1)  # (candidates, goal_size)
    others = storage.draw(WITNESSES, rng)
    witnesses = storage.goals(others.first_row + others.t + 1)
    pairs = np.tile(witnesses, (CANDIDATES, 1)), np.repeat(candidates, WITNESSES, axis=0)
    common = reached(goal_spec, *pairs).reshape(CANDIDATES, WITNESSES).sum(axis=1)
    least = np.flatnonzero(common == common.min())
    goal: NDArray[np.float32] = candidates[least[rng.integers(len(least))]]
    return goal


def asked_for(goal_spec: GoalScorer, episode: Episode, goal: tuple[float, ...]) -> Episode:
    """An episode as it would have been had the env wanted another goal: other scores, perhaps an earlier end.

    Where the env ended it for its own goal it is cut short, as by a time limit.

    Args:
        goal_spec: of the env.
        episode: as it was played.
        goal: (goal_size,).
    """
    desired = np.array(goal, episode.desired_goal.dtype)
    achieved = episode.achieved_goal[1:]
    wanted = np.broadcast_to(desired, achieved.shape)
    terminated = goal_spec.terminated(achieved, wanted)
    length = int(terminated.argmax()) + 1 if terminated.any() else len(episode)
    achieved, wanted = achieved[:length], wanted[:length]
    return replace(
        episode,
        observation=episode.observation[: length + 1],
        achieved_goal=episode.achieved_goal[: length + 1],
        desired_goal=desired,
        action=episode.action[:length],
        reward=goal_spec.reward(achieved, wanted),
        terminated=bool(terminated.any()),
        success=reached(goal_spec, achieved, wanted),
    )
