"""Whole episodes in a ring of rows: every state is stored once.

An episode of T steps takes T + 1 consecutive rows, one for each state; row t also holds the action taken
there (the last row's is unused). Episodes leave whole, oldest first, when room is needed. Transition t of
an episode is the pair of rows (first_row + t, first_row + t + 1).

    rows     | 0 1 2 3 | 4 5 6 | 7 8 9 10 11 | ...
    episode  |    0    |   1   |      2      |          lengths 3, 2, 4: nine transitions in twelve rows
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regoal.buffers.episode import Episode
from regoal.errors import BadInput

Ints = NDArray[np.int64]
Shorts = NDArray[np.int32]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Transitions:
    """Where n transitions lie; what a relabelling strategy is given.

    Attributes:
        first_row: (n,) row of the first state of each transition's episode.
        length: (n,) number of steps T of that episode.
        t: (n,) position of the transition in it, 0 to T - 1.
        episode: (n,) slot of that episode in the table of episodes.
        storage: the storage they lie in.
    """

    first_row: Ints
    length: Ints
    t: Ints
    episode: Ints
    storage: "EpisodeStorage"

    def __len__(self) -> int:
        return len(self.t)

    def head(self, n: int) -> "Transitions":
        """The first n of them."""
        return Transitions(self.first_row[:n], self.length[:n], self.t[:n], self.episode[:n], self.storage)

    def anywhere(self, rng: np.random.Generator) -> "Transitions":
        """As many transitions, drawn uniformly from all that are stored."""
        return self.storage.draw(len(self), rng)


def rows_needed(capacity: int, longest: int) -> int:
    """Rows for `capacity` transitions in episodes of `longest` steps, and for one gap at the ring's end."""
    return capacity + -(-capacity // longest) + longest + 1


def slots_needed(rows: int) -> int:
    """Slots of the table of episodes: room for the shortest ones, two rows each, and a quarter to spare.

    The spare quarter lets live slots move along it, so that they are moved back only now and then.
    """
    return rows // 2 + max(rows // 8, 64)


def bytes_needed(capacity: int, longest: int, observation_size: int, goal_size: int, action_size: int) -> int:
    """Bytes that a full storage takes, whatever the length of its episodes."""
    rows = rows_needed(capacity, longest)
    per_row = 4 * (observation_size + goal_size + action_size)
    per_slot = 2 * 4 + 8 + 4 * goal_size
    return rows * per_row + slots_needed(rows) * per_slot


class EpisodeStorage:
    """A ring of episodes.

    Args:
        capacity: most transitions held. Episodes shorter than `longest` need more rows for as many
            transitions, so fewer may fit.
        longest: most steps of one episode.
        observation_size, goal_size, action_size: lengths of the vectors.
    """

    def __init__(
        self, capacity: int, longest: int, observation_size: int, goal_size: int, action_size: int
    ) -> None:
        if capacity < longest:
            raise BadInput(
                "buffer capacity", f"at least one episode, {longest} transitions", str(capacity), "Raise it."
            )
        self.capacity = capacity
        self.longest = longest
        rows = rows_needed(capacity, longest)
        self.observation: Floats = np.empty((rows, observation_size), np.float32)
        self.achieved_goal: Floats = np.empty((rows, goal_size), np.float32)
        self.action: Floats = np.empty((rows, action_size), np.float32)
        self._next_row = 0
        # The table of episodes: slots oldest..newest are live. `first_transition` counts all transitions
        # ever stored, so it rises with the slot and a transition's episode is found by bisection.
        self._oldest, self._end = 0, 0
        slots = slots_needed(rows)
        self.first_row: Shorts = np.empty(slots, np.int32)
        self.length: Shorts = np.empty(slots, np.int32)
        self.first_transition: Ints = np.empty(slots, np.int64)
        self.desired_goal: Floats = np.empty((slots, goal_size), np.float32)
        self._stored_ever = 0

    def __len__(self) -> int:
        """Transitions held now."""
        if self._oldest == self._end:
            return 0
        return self._stored_ever - int(self.first_transition[self._oldest])

    @property
    def n_episodes(self) -> int:
        """Episodes held now."""
        return self._end - self._oldest

    def slots(self) -> Iterator[int]:
        """Slots of the live episodes, oldest first."""
        return iter(range(self._oldest, self._end))

    def add(self, episode: Episode) -> None:
        """Store a copy of the episode, dropping the oldest ones where room is needed."""
        length = len(episode)
        self.check_length(length)
        first = self._make_room(length)
        self.observation[first : first + length + 1] = episode.observation
        self.achieved_goal[first : first + length + 1] = episode.achieved_goal
        self.action[first : first + length] = episode.action
        slot = self._new_slot()
        self.first_row[slot] = first
        self.length[slot] = length
        self.first_transition[slot] = self._stored_ever
        self.desired_goal[slot] = episode.desired_goal
        self._next_row = first + length + 1
        self._stored_ever += length

    def check_length(self, length: int) -> None:
        """That an episode of so many steps can be stored.

        Raises:
            BadInput: it is empty or longer than `longest`.
        """
        if not 1 <= length <= self.longest:
            raise BadInput("episode length", f"1 to {self.longest} steps", str(length))

    def holds(self, rows: Ints) -> NDArray[np.bool_]:
        """Whether a state of a live episode lies in each of the rows."""
        live = slice(self._oldest, self._end)
        order = np.argsort(self.first_row[live])
        first, length = self.first_row[live][order], self.length[live][order]
        at = np.searchsorted(first, rows, side="right") - 1
        inside: NDArray[np.bool_] = (at >= 0) & (rows <= first[at] + length[at])
        return inside

    def draw(self, n: int, rng: np.random.Generator) -> Transitions:
        """n transitions, each uniform over all that are stored (not over episodes)."""
        if not len(self):
            raise BadInput("buffer", "at least one episode to sample from", "an empty buffer", "Add one.")
        live = slice(self._oldest, self._end)
        number = rng.integers(self.first_transition[self._oldest], self._stored_ever, n)
        episode = np.searchsorted(self.first_transition[live], number, side="right") + (self._oldest - 1)
        t = number - self.first_transition[episode]
        first_row, length = self.first_row[episode], self.length[episode]
        return Transitions(first_row.astype(np.int64), length.astype(np.int64), t, episode, self)

    def _make_room(self, length: int) -> int:
        """The first of length + 1 consecutive rows that no live episode uses."""
        first, rows = self._next_row, len(self.observation)
        if first + length + 1 > rows:
            # It does not fit before the ring's end: episodes that still lie there go first, being oldest.
            while self.n_episodes and self.first_row[self._oldest] >= first:
                self._oldest += 1
            first = 0
        while self.n_episodes and (
            first <= self.first_row[self._oldest] < first + length + 1 or len(self) + length > self.capacity
        ):
            self._oldest += 1
        return first

    def _new_slot(self) -> int:
        """The next slot of the table; when its end is reached, live slots are moved to its start."""
        if self._end == len(self.length):
            live, n = slice(self._oldest, self._end), self.n_episodes
            for table in (self.first_row, self.length, self.first_transition, self.desired_goal):
                table[:n] = table[live]
            self._oldest, self._end = 0, n
        self._end += 1
        return self._end - 1
