"""Whole episodes in a ring of rows: every state is stored once.

An episode of T steps takes T + 1 consecutive rows, one for each state; row t also holds the action taken
there (the last row's is unused). Episodes leave whole, oldest first, when room is needed. Transition t of
an episode is the pair of rows (first_row + t, first_row + t + 1).

    rows     | 0 1 2 3 | 4 5 6 | 7 8 9 10 11 | ...
    episode  |    0    |   1   |      2      |          lengths 3, 2, 4: nine transitions in twelve rows

A row is [observation | achieved goal | action], so that both ends of a transition lie side by side in
memory and are read in one go.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regoal.buffers.disk import array_on_disk
from regoal.buffers.episode import Episode
from regoal.buffers.numbering import Ints, Numbering
from regoal.buffers.sizes import rows_needed, slots_needed
from regoal.errors import BadInput

Floats = NDArray[np.float32]
Shorts = NDArray[np.int32]
DESIRED = -2  # in place of a state: the goal is one that an episode desired


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
        return self.of(slice(n))

    def of(self, which: "slice | NDArray[np.int64] | NDArray[np.bool_]") -> "Transitions":
        """Some of them, by anything that indexes an array."""
        return Transitions(
            self.first_row[which], self.length[which], self.t[which], self.episode[which], self.storage
        )

    def anywhere(self, rng: np.random.Generator) -> "Transitions":
        """As many transitions, drawn uniformly from all that are stored."""
        return self.storage.draw(len(self), rng)


def joined(first: Transitions, second: Transitions) -> Transitions:
    """Those of both, of one storage."""
    return Transitions(
        np.concatenate([first.first_row, second.first_row]),
        np.concatenate([first.length, second.length]),
        np.concatenate([first.t, second.t]),
        np.concatenate([first.episode, second.episode]),
        first.storage,
    )


class EpisodeStorage:
    """A ring of episodes.

    Args:
        capacity: most transitions held. Episodes shorter than `longest` need more rows for as many
            transitions, so fewer may fit.
        longest: most steps of one episode.
        observation_size, goal_size, action_size: lengths of the vectors.
        disk: folder in whose file system the rows are kept, in a file without a name; in memory if not
            given.
        marks: whether some episodes will be marked, to be drawn from on their own.
        ranks: whether what was achieved has ranks.

    Attributes:
        numbering: of all transitions held.
        marked: of those in marked episodes; None without `marks`.
        rank: (rows,) of what each state achieved; None without `ranks`.
        best_rank: (slots,) the lowest of what was new in each episode.
    """

    def __init__(
        self,
        capacity: int,
        longest: int,
        observation_size: int,
        goal_size: int,
        action_size: int,
        disk: Path | None = None,
        *,
        marks: bool = False,
        ranks: bool = False,
    ) -> None:
        if capacity < longest:
            raise BadInput(
                "buffer capacity", f"at least one episode, {longest} transitions", str(capacity), "Raise it."
            )
        self.capacity = capacity
        self.longest = longest
        rows = rows_needed(capacity, longest)
        shape = rows, observation_size + goal_size + action_size
        self.rows: Floats = np.empty(shape, np.float32) if disk is None else array_on_disk(disk, shape)
        self._goal_column = observation_size
        self._action_column = observation_size + goal_size
        self._next_row = 0
        # The table of episodes is a ring too: episode e, numbered as they come, has slot e % n_slots.
        self._oldest, self._end = 0, 0
        slots = slots_needed(rows)
        self.first_row: Shorts = np.empty(slots, np.int32)
        self.length: Shorts = np.empty(slots, np.int32)
        self.is_marked: NDArray[np.bool_] = np.zeros(slots, np.bool_)
        self.desired_goal: Floats = np.empty((slots, goal_size), np.float32)
        self.numbering = Numbering(capacity, slots)
        self.marked = Numbering(capacity, slots) if marks else None
        self.rank: Floats | None = np.ones(rows, np.float32) if ranks else None
        self.best_rank: Floats = np.ones(slots if ranks else 0, np.float32)

    def __len__(self) -> int:
        """Transitions held now."""
        return len(self.numbering)

    @property
    def n_episodes(self) -> int:
        """Episodes held now."""
        return self._end - self._oldest

    @property
    def observation(self) -> Floats:
        """(rows, observation_size) view."""
        return self.rows[:, : self._goal_column]

    @property
    def achieved_goal(self) -> Floats:
        """(rows, goal_size) view."""
        return self.rows[:, self._goal_column : self._action_column]

    @property
    def action(self) -> Floats:
        """(rows, action_size) view."""
        return self.rows[:, self._action_column :]

    def slots(self) -> Iterator[int]:
        """Slots of the live episodes, oldest first."""
        return (number % len(self.length) for number in range(self._oldest, self._end))

    def marked_share(self, last: int) -> float:
        """Share of marked ones among the last so many episodes; 0 where fewer are held."""
        if self.n_episodes < last:
            return 0.0
        return float(self.is_marked[np.arange(self._end - last, self._end) % len(self.length)].mean())

    def add(self, episode: Episode, new: NDArray[np.bool_] | None = None) -> None:
        """Store a copy of the episode, dropping the oldest ones where room is needed.

        Args:
            episode: what happened.
            new: states (T + 1,) that achieved what was not achieved at the start; if there are any, the
                episode is marked: `draw_marked` may draw from it.
        """
        length = len(episode)
        self.check_length(length)
        mark = new is not None and bool(new.any())
        first = self._make_room(length)
        self.observation[first : first + length + 1] = episode.observation
        self.achieved_goal[first : first + length + 1] = episode.achieved_goal
        self.action[first : first + length] = episode.action
        self.action[first + length] = 0.0  # unused, but read along with the rest of the row
        slot = self._end % len(self.length)
        self._end += 1
        self.first_row[slot] = first
        self.length[slot] = length
        self.is_marked[slot] = mark
        self.desired_goal[slot] = episode.desired_goal
        self._next_row = first + length + 1
        self.numbering.add(slot, length)
        if self.rank is not None and episode.rank is not None:
            self.rank[first : first + length + 1] = episode.rank
            self.best_rank[slot] = episode.rank[new].min() if mark else 1.0
        if mark:
            assert self.marked is not None
            self.marked.add(slot, length)

    @property
    def oldest_row(self) -> int:
        """Row at which the oldest episode begins; where the next one will, if there is none."""
        return int(self.first_row[self._oldest_slot]) if self.n_episodes else self._next_row

    def begin_at(self, row: int) -> None:
        """Let an empty ring fill from a row on: what is added in the same order lies where it lay.

        Raises:
            BadInput: the ring has no such row, or is not empty.
        """
        if self.n_episodes or not 0 <= row <= len(self.rows):
            raise BadInput("row", f"0 to {len(self.rows)} of an empty ring", str(row))
        self._next_row = row

    def check_length(self, length: int) -> None:
        """That an episode of so many steps can be stored.

        Raises:
            BadInput: it is empty or longer than `longest`.
        """
        if not 1 <= length <= self.longest:
            raise BadInput("episode length", f"1 to {self.longest} steps", str(length))

    def goals(self, rows: Ints) -> Floats:
        """The goals (n, goal_size) that a strategy means by its rows (n,).

        What was achieved in row r; of -1 - e, what the episode in slot e desired.
        """
        # Whole rows are read faster than pieces of them. That of -1 - e is one counted from the end.
        goals = self.rows.take(rows, axis=0)[:, self._goal_column : self._action_column]
        # The quickest way to ask: most strategies mean nothing but achieved goals.
        if len(rows) and rows[rows.argmin()] < 0:
            desired = rows < 0
            goals[desired] = self.desired_goal[-1 - rows[desired]]
        return goals

    def holds(self, rows: Ints) -> NDArray[np.bool_]:
        """Whether each of a strategy's rows is that of a live episode's state, or -1 - e of its slot e."""
        slot, t = self._found(rows)
        state = (t >= 0) & (t <= self.length[slot])
        desiring = -1 - rows  # negative for states
        known = (desiring >= 0) & (desiring < len(self.length))
        held: NDArray[np.bool_] = state | (known & (self.numbers(desiring) < self.n_episodes))
        return held

    def places(self, rows: Ints) -> tuple[Ints, Ints]:
        """Where the goals of a strategy's rows are from.

        Numbers of the live episodes (n,), 0 the oldest, and states in them (n,); `DESIRED` in place of a
        state where the goal is the one that the episode desired.
        """
        slot, t = self._found(rows)
        desired = rows < 0
        return self.numbers(np.where(desired, -1 - rows, slot)), np.where(desired, DESIRED, t)

    def numbers(self, slot: Ints) -> Ints:
        """Numbers of live episodes, 0 the oldest, by their slots."""
        return (slot - self._oldest) % len(self.length)

    def _found(self, rows: Ints) -> tuple[Ints, Ints]:
        """Slot of the last live episode that begins at or before each row, and how far behind that it lies.

        Where none does, how far is negative.
        """
        live = np.arange(self._oldest, self._end) % len(self.length)
        if len(live):  # each lies behind the one before, but for the one that began the ring anew
            live = np.roll(live, -int(self.first_row[live].argmin()))
        first = self.first_row[live].astype(np.int64)
        slot = live[np.maximum(np.searchsorted(first, rows, side="right") - 1, 0)]
        return slot, rows - self.first_row[slot]

    def draw(self, n: int, rng: np.random.Generator) -> Transitions:
        """n transitions, each uniform over all that are stored (not over episodes)."""
        if not len(self):
            raise BadInput("buffer", "at least one episode to sample from", "an empty buffer", "Add one.")
        return self._at(*self.numbering.draw(n, rng))

    def draw_episodes(self, n: int, rng: np.random.Generator) -> Ints:
        """Slots (n,) of live episodes, each uniform over all of them, of which there must be some."""
        return rng.integers(self._oldest, self._end, n) % len(self.length)

    def draw_marked(self, n: int, rng: np.random.Generator) -> Transitions:
        """n transitions, each uniform over those in marked episodes, of which there must be some."""
        assert self.marked is not None
        return self._at(*self.marked.draw(n, rng))

    def _at(self, episode: Ints, t: Ints) -> Transitions:
        first_row = self.first_row.take(episode).astype(np.int64)
        length = self.length.take(episode).astype(np.int64)
        return Transitions(first_row, length, t, episode, self)

    @property
    def _oldest_slot(self) -> int:
        return self._oldest % len(self.length)

    def _drop_oldest(self) -> None:
        slot = self._oldest_slot
        self.numbering.drop(int(self.length[slot]))
        if self.is_marked[slot]:
            assert self.marked is not None
            self.marked.drop(int(self.length[slot]))
        self._oldest += 1

    def _make_room(self, length: int) -> int:
        """The first of length + 1 consecutive rows that no live episode uses."""
        first, rows = self._next_row, len(self.observation)
        if first + length + 1 > rows:
            # It does not fit before the ring's end: episodes that still lie there go first, being oldest.
            while self.n_episodes and self.first_row[self._oldest_slot] >= first:
                self._drop_oldest()
            first = 0
        while self.n_episodes and (
            first <= self.first_row[self._oldest_slot] < first + length + 1
            or len(self) + length > self.capacity
        ):
            self._drop_oldest()
        return first
