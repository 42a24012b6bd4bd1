"""Tianshou: its HERReplayBuffer."""

from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import gymnasium as gym
import gymnasium_robotics
import numpy as np
import torch
from tianshou.data import Batch, HERReplayBuffer

from regoal.benchmarks.peers.episodes import ENV, STEPS, Episodes, Transitions, transitions

# Tianshou relabels 1 - 1 / future_k of the episodes in a batch: 5 gives the share that k = 4 gives elsewhere.
FUTURE_K = 5.0


def versions() -> dict[str, str]:
    """Name and version of the peer."""
    return {"tianshou": version("tianshou")}


def her_sampler(episodes: Episodes, n_transitions: int) -> Callable[[int], object]:
    """A full HERReplayBuffer; the function returned draws a batch of the given size from it.

    Tianshou relabels whole episodes of the buffer in place and puts them back before the next batch;
    that is part of its sampling. Only what an update needs is then turned into float32 tensors, by the
    call with which tianshou's networks do it.
    """
    buffer = full_buffer(transitions(episodes, n_transitions))

    def sample(batch_size: int) -> object:
        batch, _ = buffer.sample(batch_size)
        return {
            "obs": {key: tensor(value) for key, value in batch.obs.items()},
            "act": tensor(batch.act),
            "rew": tensor(batch.rew),
            "terminated": tensor(batch.terminated),
            "obs_next": {key: tensor(value) for key, value in batch.obs_next.items()},
        }

    return sample


def tensor(value: Any) -> torch.Tensor:
    """As `tianshou.utils.net` has it."""
    return torch.as_tensor(value, dtype=torch.float32)


def empty_buffer(n_transitions: int) -> HERReplayBuffer:
    """The buffer as it is before the first step."""
    gym.register_envs(gymnasium_robotics)
    env: Any = gym.make(ENV).unwrapped

    def reward(achieved_goal: np.ndarray, desired_goal: np.ndarray) -> np.ndarray:
        return env.compute_reward(achieved_goal, desired_goal, {})  # type: ignore[no-any-return]

    return HERReplayBuffer(n_transitions, compute_reward_fn=reward, horizon=STEPS, future_k=FUTURE_K)


def full_buffer(source: Transitions) -> HERReplayBuffer:
    """The state that `add`, called for one transition after the other, leaves: a million take minutes."""
    n = len(source.last)
    buffer: Any = empty_buffer(n)
    buffer.add(step(source, 0))  # makes the arrays, in the library's own dtypes
    stored = buffer._meta
    for side, observation, achieved in (
        (stored.obs, source.observation, source.achieved_goal),
        (stored.obs_next, source.next_observation, source.next_achieved_goal),
    ):
        side.observation[:] = observation
        side.achieved_goal[:] = achieved
        side.desired_goal[:] = source.desired_goal
    stored.act[:] = source.action
    stored.rew[:] = source.reward
    stored.truncated[:] = source.last
    stored.done[:] = source.last
    buffer._size = n
    buffer._insertion_idx = 0
    buffer.last_index[0] = n - 1
    buffer._ep_return, buffer._ep_len, buffer._ep_start_idx = 0.0, 0, 0  # all episodes are over
    full: HERReplayBuffer = buffer
    return full


def step(source: Transitions, i: int) -> Batch:
    """What `add` takes."""
    return Batch(
        obs=Batch(
            observation=source.observation[i],
            achieved_goal=source.achieved_goal[i],
            desired_goal=source.desired_goal[i],
        ),
        act=source.action[i],
        rew=source.reward[i],
        terminated=np.False_,
        truncated=source.last[i],
        obs_next=Batch(
            observation=source.next_observation[i],
            achieved_goal=source.next_achieved_goal[i],
            desired_goal=source.desired_goal[i],
        ),
    )
