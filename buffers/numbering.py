"""Transitions numbered as they come, so that one is drawn uniformly over all of them in no time."""

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def numbering_bytes(capacity: int, slots: int) -> int:
    """Bytes that the numbering of so many transitions takes, in a table of so many episodes."""
    return 4 * capacity + 8 * slots


class Numbering:
    """Numbers the transitions of episodes, which come and leave whole and in order.

    Numbers go up for ever: transition i has its episode's slot at i % capacity.

    Args:
        capacity: most transitions at a time.
        slots: of the table of episodes.
    """

    def __init__(self, capacity: int, slots: int) -> None:
        self._slot_of = np.empty(capacity, np.int32)
        self.first: Ints = np.empty(slots, np.int64)  # number of each episode's first transition
        self._begin = self._end = 0

    def __len__(self) -> int:
        """Transitions numbered now."""
        return self._end - self._begin

    def add(self, slot: int, length: int) -> None:
        """Number the `length` transitions of the episode in a slot."""
        self.first[slot] = self._end
        capacity = len(self._slot_of)
        begin = self._end % capacity
        end = begin + length
        self._slot_of[begin:end] = slot
        if end > capacity:
            self._slot_of[: end - capacity] = slot
        self._end += length

    def drop(self, length: int) -> None:
        """The oldest episode leaves, with its `length` transitions."""
        self._begin += length

    def draw(self, n: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
        """n transitions, each uniform over all: slots of their episodes (n,), positions in them (n,)."""
        number = rng.integers(self._begin, self._end, n)
        # "wrap" takes one round off in less time than a division does, but each round that is left in turn.
        whole_rounds = self._begin - self._begin % len(self._slot_of)
        # The type that numpy indexes by: otherwise each use of it converts it anew.
        slot = self._slot_of.take(number - whole_rounds, mode="wrap").astype(np.int64)
        return slot, number - self.first.take(slot)
