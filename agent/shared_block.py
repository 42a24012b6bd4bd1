"""Memory that a run shares with its rollout workers: policies go in, episodes come out.

It is a file without a name, mapped by every process: when the last of them ends, however it ends, nothing
is left. One part each is written by one side only, and read by the other after a message says so.

    beats     one counter a worker: steps and resets it has taken
    clocks    seconds a worker spent on each thing (`Clock`), for profiles
    policies  one flat copy of the weights for each purpose
    slots     one episode each
"""

import math
import mmap
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regoal.agent.clock import N_CLOCKS
from regoal.buffers.episode import Episode
from regoal.envs.goal_spec import GoalSpec

N_POLICIES = 2  # one to explore with, one to be evaluated
BYTES_A_NUMBER = 8  # the widest that envs use
FIELDS = ("observation", "achieved_goal", "desired_goal", "action", "reward", "success")

Header = tuple[list[tuple[tuple[int, ...], str]], bool, int, str, str]


@dataclass(frozen=True)
class BlockLayout:
    """Sizes of the parts.

    Attributes:
        n_workers: workers at a time.
        n_slots: episodes on their way at a time.
        policy_floats: numbers in a policy.
        slot_bytes: room for the longest episode.
    """

    n_workers: int
    n_slots: int
    policy_floats: int
    slot_bytes: int

    @property
    def size(self) -> int:
        """Bytes of all parts."""
        return self._slots_begin + self.n_slots * self.slot_bytes

    @property
    def _policies_begin(self) -> int:
        return 8 * self.n_workers * (1 + N_CLOCKS)

    @property
    def _slots_begin(self) -> int:
        return self._policies_begin + -(-N_POLICIES * 4 * self.policy_floats // 64) * 64


def slot_bytes(spec: GoalSpec) -> int:
    """Room for an episode of the greatest length, in the widest numbers."""
    steps = spec.max_episode_steps
    state = spec.observation_size + spec.goal_size
    numbers = (steps + 1) * state + spec.goal_size + steps * (spec.action_size + 2)
    return BYTES_A_NUMBER * (numbers + len(FIELDS))


class SharedBlock:
    """The mapped memory, seen as arrays.

    Args:
        layout: sizes of its parts.
        file: descriptor of a block that another process made; a new one is made if not given.
    """

    def __init__(self, layout: BlockLayout, file: int | None = None) -> None:
        self.layout = layout
        self.file = _nameless_file(layout.size) if file is None else file
        try:
            self._map = mmap.mmap(self.file, layout.size)
        except OSError:
            os.close(self.file)
            raise
        self.beats: NDArray[np.int64] = self._array(0, (layout.n_workers,), np.int64)
        self.clocks: NDArray[np.float64] = self._array(
            8 * layout.n_workers, (layout.n_workers, N_CLOCKS), np.float64
        )
        self.policies: NDArray[np.float32] = self._array(
            layout._policies_begin, (N_POLICIES, layout.policy_floats), np.float32
        )

    def write_policy(self, place: int, arrays: Sequence[NDArray[np.float32]]) -> None:
        """Put the arrays of a policy into one of the places."""
        np.concatenate([array.ravel() for array in arrays], out=self.policies[place])

    def read_policy(self, place: int, shapes: Sequence[tuple[int, ...]]) -> list[NDArray[np.float32]]:
        """Copies of the arrays in one of the places."""
        ends = np.cumsum([math.prod(shape) for shape in shapes])
        parts = np.split(self.policies[place].copy(), ends[:-1])
        return [part.reshape(shape).copy() for part, shape in zip(parts, shapes, strict=True)]

    def write_episode(self, slot: int, episode: Episode) -> Header:
        """Put an episode into a slot; returns what it takes to read it."""
        offset, end = self._slot(slot)
        shapes = []
        for name in FIELDS:
            value = np.ascontiguousarray(getattr(episode, name))
            if offset + value.nbytes > end:
                raise ValueError(
                    f"episode.{name}: numbers of more than {BYTES_A_NUMBER} bytes, {value.dtype}"
                )
            self._array(offset, value.shape, value.dtype)[...] = value
            shapes.append((value.shape, value.dtype.str))
            offset += _aligned(value.nbytes)
        return shapes, episode.terminated, episode.index, episode.shift, episode.env

    def read_episode(self, slot: int, header: Header) -> Episode:
        """A copy of the episode in a slot."""
        shapes, terminated, index, shift, env = header
        offset, _ = self._slot(slot)
        values = {}
        for name, (shape, dtype) in zip(FIELDS, shapes, strict=True):
            values[name] = self._array(offset, shape, np.dtype(dtype)).copy()
            offset += _aligned(values[name].nbytes)
        return Episode(**values, terminated=terminated, index=index, shift=shift, env=env)

    def close(self) -> None:
        """Close the descriptor; the memory goes when nothing looks at it any more."""
        os.close(self.file)

    def _slot(self, slot: int) -> tuple[int, int]:
        begin = self.layout._slots_begin + slot * self.layout.slot_bytes
        return begin, begin + self.layout.slot_bytes

    def _array(self, offset: int, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        return np.ndarray(shape, dtype, buffer=self._map, offset=offset)


def _aligned(size: int) -> int:
    return -(-size // BYTES_A_NUMBER) * BYTES_A_NUMBER


def _nameless_file(size: int) -> int:
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("regoal-rollouts")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, size)
    return descriptor
