"""Where the rows of a batch came from, for whoever wants to look: sampling itself keeps indices alone."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from regoal.buffers.numbering import Ints
from regoal.buffers.storage import Transitions

OWN = -1  # in place of an episode and a state: the row was not relabelled, its goal is its episode's own


@dataclass(frozen=True)
class Trace:
    """The origin of each of n rows.

    Attributes:
        episode: (n,) number of the episode among those the buffer holds, 0 the oldest.
        length: (n,) steps of it.
        t: (n,) position of the transition in it.
        goal_episode, goal_t: (n,) episode and state whose achieved goal is the desired one of the row;
            in place of the state `storage.DESIRED` where it is the desired goal of that episode; `OWN` for
            both where the row was not relabelled.
        achieved_goal, next_achieved_goal: (n, goal_size) at t and at t + 1.
        original_goal: (n, goal_size) that the episode was played for.
    """

    episode: Ints
    length: Ints
    t: Ints
    goal_episode: Ints
    goal_t: Ints
    achieved_goal: NDArray[np.float32]
    next_achieved_goal: NDArray[np.float32]
    original_goal: NDArray[np.float32]

    @property
    def relabelled(self) -> NDArray[np.bool_]:
        """(n,) whether the row carries a hindsight goal."""
        found: NDArray[np.bool_] = self.goal_t != OWN
        return found

    @property
    def achieved(self) -> NDArray[np.bool_]:
        """(n,) whether that goal was achieved in some state, and is not one that an episode desired."""
        found: NDArray[np.bool_] = self.goal_t >= 0
        return found


@dataclass(frozen=True)
class Drawn:
    """What a buffer has written into a batch.

    Attributes:
        at: the transitions.
        goal_row: (n_relabelled,) the strategy's rows for the first ones: see `EpisodeStorage.goals`.
    """

    at: Transitions
    goal_row: Ints

    @property
    def n_relabelled(self) -> int:
        """How many of the transitions, from the first, carry a hindsight goal."""
        return len(self.goal_row)

    def trace(self) -> Trace:
        """Where they came from; right until the next episode is stored."""
        at, storage = self.at, self.at.storage
        row = at.first_row + at.t
        goal_episode, goal_t = np.full((2, len(at)), OWN)
        goal_episode[: self.n_relabelled], goal_t[: self.n_relabelled] = storage.places(self.goal_row)
        return Trace(
            episode=storage.numbers(at.episode),
            length=at.length,
            t=at.t,
            goal_episode=goal_episode,
            goal_t=goal_t,
            achieved_goal=storage.achieved_goal[row],
            next_achieved_goal=storage.achieved_goal[row + 1],
            original_goal=storage.desired_goal[at.episode],
        )


def joined_traces(first: Trace, second: Trace) -> Trace:
    """The rows of both."""
    columns = (
        np.concatenate([getattr(first, field.name), getattr(second, field.name)]) for field in fields(Trace)
    )
    return Trace(*columns)
