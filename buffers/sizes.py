"""Sizes of vectors, and how much memory a ring of episodes takes."""

from typing import Protocol

from regoal.buffers.numbering import numbering_bytes


class Sizes(Protocol):
    """What a batch's memory must know of a goal spec."""

    @property
    def observation_size(self) -> int: ...
    @property
    def goal_size(self) -> int: ...
    @property
    def action_size(self) -> int: ...


def rows_needed(capacity: int, longest: int) -> int:
    """Rows for `capacity` transitions in episodes of `longest` steps, and for one gap at the ring's end."""
    return capacity + -(-capacity // longest) + longest + 1


def slots_needed(rows: int) -> int:
    """Slots of the table of episodes: room for the shortest ones, two rows each."""
    return rows // 2 + 1


def bytes_needed(
    capacity: int,
    longest: int,
    observation_size: int,
    goal_size: int,
    action_size: int,
    *,
    marks: bool = False,
    ranks: bool = False,
) -> int:
    """Bytes that a full storage takes, whatever the length of its episodes."""
    rows = rows_needed(capacity, longest)
    slots = slots_needed(rows)
    per_row = 4 * (observation_size + goal_size + action_size)
    per_slot = 2 * 4 + 1 + 4 * goal_size
    if ranks:
        per_row, per_slot = per_row + 4, per_slot + 4
    numberings = (2 if marks else 1) * numbering_bytes(capacity, slots)
    return rows * per_row + slots * per_slot + numberings
