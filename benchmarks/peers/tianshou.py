"""Tianshou: its HERReplayBuffer."""

from collections.abc import Callable
from importlib.metadata import version

import gymnasium as gym
import gymnasium_robotics
import numpy as np
import torch
from tianshou.data import Batch, HERReplayBuffer, to_torch

from regoal.benchmarks.peers.data import ENV, STEPS, Episodes, episodes

NAME = "tianshou"
gym.register_envs(gymnasium_robotics)


def label() -> str:
    """Name and version."""
    return f"{NAME} {version(NAME)}"


def filled(n_transitions: int, made: Episodes) -> HERReplayBuffer:
    """A full buffer, its arrays given at once: adding a million one by one takes minutes.

    `tests/test_peers.py` holds it against one that `add` has filled.
    """
    env = gym.make(ENV).unwrapped

    def reward(achieved_goal: np.ndarray, desired_goal: np.ndarray) -> np.ndarray:
        return env.compute_reward(achieved_goal, desired_goal, {})  # type: ignore[attr-defined,no-any-return]

    # future_k = 5 relabels 1 - 1/5 of the episodes: as many as k = 4 does elsewhere.
    buffer = HERReplayBuffer(n_transitions, reward, horizon=STEPS, future_k=5.0)
    keys = ("observation", "achieved_goal", "desired_goal")
    last = np.arange(n_transitions) % STEPS == STEPS - 1
    buffer.set_batch(
        Batch(
            obs=Batch({key: made.flat(key) for key in keys}),
            obs_next=Batch({key: made.flat(key, after=True) for key in keys}),
            act=made.flat("action"),
            rew=made.reward.ravel(),
            terminated=np.zeros(n_transitions, bool),
            truncated=last,
            done=last,
            info=Batch(),
        )
    )
    buffer._size, buffer._insertion_idx = n_transitions, 0
    buffer.last_index = np.array([n_transitions - 1])
    return buffer


def her_sample(n_transitions: int, batch_size: int) -> Callable[[], object]:
    """One batch, as tensors."""
    torch.set_num_threads(1)
    buffer = filled(n_transitions, episodes(n_transitions))

    def sample() -> object:
        batch, _ = buffer.sample(batch_size)
        return to_torch(batch, torch.float32)

    return sample
