"""Which hindsight goals transitions get, of all that a strategy draws: wanted ones, and such as teach."""

import numpy as np
from numpy.typing import NDArray

from regoal.buffers.numbering import Ints
from regoal.buffers.scores import GoalScorer, reached
from regoal.buffers.storage import Transitions
from regoal.buffers.strategies import Strategy

REDRAWS = 5  # of a goal that teaches nothing; late in an episode there may be no other


def choose_goals(
    strategy: Strategy,
    goal_spec: GoalScorer,
    at: Transitions,
    informative: NDArray[np.bool_] | None,
    candidates: int,
    rng: np.random.Generator,
) -> Ints:
    """Rows of hindsight goals (n,).

    Args:
        strategy: draws them.
        goal_spec: tells what counts as reached.
        at: the transitions (n,).
        informative: those of them (n,) that are to get a goal not yet achieved at t, if there is one; None
            where none is.
        candidates: goals that are drawn for each, of which the one with the lowest rank is taken.
        rng: to draw from.
    """
    if informative is None and candidates == 1:
        return strategy(at, rng)
    asked = np.empty(0, np.int64) if informative is None else np.flatnonzero(informative)
    rows, idle = _most_wanted(strategy, goal_spec, at, asked, candidates, rng)
    for _ in range(REDRAWS):
        if not len(idle):
            break
        again, all_of_them = at.of(idle), np.arange(len(idle))
        rows[idle], still = _most_wanted(strategy, goal_spec, again, all_of_them, candidates, rng)
        idle = idle[still]
    return rows


def _most_wanted(
    strategy: Strategy,
    goal_spec: GoalScorer,
    at: Transitions,
    asked: Ints,
    candidates: int,
    rng: np.random.Generator,
) -> tuple[Ints, Ints]:
    """Of so many goals, each time the one with the lowest rank; and where it teaches nothing.

    Returns:
        Rows of the goals (n,), and those of `asked` whose goal is achieved at t: nothing better was drawn.
    """
    drawn = np.stack([strategy(at, rng) for _ in range(candidates)])  # (candidates, n)
    achieved = np.zeros(drawn.shape, np.bool_)
    if len(asked):  # all candidates at once: it is the calls of compute_reward that take time
        of_all = _achieved_at_t(goal_spec, at.of(np.tile(asked, candidates)), drawn[:, asked].ravel())
        achieved[:, asked] = of_all.reshape(candidates, -1)
    if candidates == 1:
        return drawn[0], np.flatnonzero(achieved[0])
    assert at.storage.rank is not None
    # Negative rows are goals that were desired: neither more nor less wanted than others.
    ranks = np.where(drawn < 0, 1.0, at.storage.rank[drawn])
    ranks[achieved] = np.inf
    best, each = ranks.argmin(axis=0), np.arange(len(at))
    return drawn[best, each], np.flatnonzero(achieved[best, each])


def _achieved_at_t(goal_spec: GoalScorer, at: Transitions, rows: Ints) -> NDArray[np.bool_]:
    """Whether the goals in these rows (n,) are achieved where each transition begins."""
    storage = at.storage
    return reached(goal_spec, storage.achieved_goal[at.first_row + at.t], storage.goals(rows))
