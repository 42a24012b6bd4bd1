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
    asked = np.empty(0, np.int64) if informative is None else np.flatnonzero(informative)
    rows = _most_wanted(strategy, goal_spec, at, asked, candidates, rng)
    for _ in range(REDRAWS):
        if len(asked):
            asked = asked[_achieved_at_t(goal_spec, at.of(asked), rows[asked])]
        if not len(asked):
            break
        again = at.of(asked)
        rows[asked] = _most_wanted(strategy, goal_spec, again, np.arange(len(asked)), candidates, rng)
    return rows


def _most_wanted(
    strategy: Strategy,
    goal_spec: GoalScorer,
    at: Transitions,
    asked: Ints,
    candidates: int,
    rng: np.random.Generator,
) -> Ints:
    """Of so many goals, each time the one with the lowest rank."""
    rows = strategy(at, rng)
    if candidates == 1:
        return rows
    ranks = _ranks(goal_spec, at, rows, asked)
    for _ in range(candidates - 1):
        other = strategy(at, rng)
        others = _ranks(goal_spec, at, other, asked)
        better = others < ranks
        rows, ranks = np.where(better, other, rows), np.where(better, others, ranks)
    return rows


def _ranks(goal_spec: GoalScorer, at: Transitions, rows: Ints, asked: Ints) -> NDArray[np.float64]:
    """Ranks (n,) of goals; for those that are asked for something new, what is achieved at t comes last."""
    assert at.storage.rank is not None
    # Negative rows are goals that were desired: neither more nor less wanted than others.
    ranks = np.where(rows < 0, 1.0, at.storage.rank[rows])
    if len(asked):
        ranks[asked[_achieved_at_t(goal_spec, at.of(asked), rows[asked])]] = np.inf
    return ranks


def _achieved_at_t(goal_spec: GoalScorer, at: Transitions, rows: Ints) -> NDArray[np.bool_]:
    """Whether the goals in these rows (n,) are achieved where each transition begins."""
    storage = at.storage
    return reached(goal_spec, storage.achieved_goal[at.first_row + at.t], storage.goals(rows))
