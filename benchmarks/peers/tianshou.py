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
    buffer.add(step(made, 0))  # makes the arrays, in the library's own types
    stored = buffer._meta
    for key in ("observation", "achieved_goal", "desired_goal"):
        stored.obs[key][:] = made.flat(key)
        stored.obs_next[key][:] = made.flat(key, after=True)
    stored.act[:], stored.rew[:] = made.flat("action"), made.reward.ravel()
    last = np.arange(n_transitions) % STEPS == STEPS - 1
    stored.truncated[:], stored.done[:] = last, last
    buffer._size, buffer._insertion_idx = n_transitions, 0
    buffer.last_index = np.array([n_transitions - 1])
    buffer._ep_return, buffer._ep_len, buffer._ep_start_idx = 0.0, 0, 0
    return buffer


def step(made: Episodes, i: int) -> Batch:
    """Transition i, as `add` takes it."""
    episode, t = divmod(i, STEPS)
    ends = [
        Batch(
            observation=made.observation[episode, at],
            achieved_goal=made.achieved_goal[episode, at],
            desired_goal=made.desired_goal[episode],
        )
        for at in (t, t + 1)
    ]
    return Batch(
        obs=ends[0],
        obs_next=ends[1],
        act=made.action[episode, t],
        rew=made.reward[episode, t],
        terminated=np.False_,
        truncated=np.bool_(t == STEPS - 1),
    )


def her_sample(n_transitions: int, batch_size: int) -> Callable[[], object]:
    """One batch, as tensors."""
    torch.set_num_threads(1)
    buffer = filled(n_transitions, episodes(n_transitions))

    def sample() -> object:
        batch, _ = buffer.sample(batch_size)
        wanted = Batch(obs=batch.obs, obs_next=batch.obs_next, act=batch.act)
        wanted.update(rew=batch.rew, terminated=batch.terminated)
        return to_torch(wanted, torch.float32)

    return sample
