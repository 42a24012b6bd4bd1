"""Stable-Baselines3: its HerReplayBuffer and its SAC."""

import gc
import os
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gymnasium as gym
import gymnasium_robotics
import numpy as np
import torch
from stable_baselines3 import SAC, HerReplayBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import configure
from stable_baselines3.common.type_aliases import DictReplayBufferSamples
from stable_baselines3.common.vec_env import DummyVecEnv

from regoal.benchmarks.peers.episodes import (
    ACTION,
    ENV,
    GOAL,
    OBSERVATION,
    STEPS,
    Episodes,
    Transitions,
    synthetic_episodes,
    transitions,
)

N_SAMPLED_GOAL = 4
TEST_SEED = 10_000  # of the first evaluation episode: training never resets with it
REACH = "FetchReach-v4"


def versions() -> dict[str, str]:
    """Name and version of the peer."""
    return {"stable_baselines3": version("stable_baselines3")}


def her_sampler(episodes: Episodes, n_transitions: int) -> Callable[[int], object]:
    """A full HerReplayBuffer; the function returned draws a batch of the given size from it.

    The reward env is FetchPush without the Monitor that SB3 would wrap around it, one call less. What
    comes out is float64, as the env's spaces are: SB3 casts in the networks, which is not counted here.
    """
    return full_buffer(transitions(episodes, n_transitions), fetch_push()).sample


def bytes_per_transition(n_transitions: int) -> float:
    """Growth of resident memory from building and filling the buffer, a transition; in a fresh process."""
    env = fetch_push()
    full_buffer(transitions(synthetic_episodes(STEPS), STEPS), env).sample(STEPS)  # loads what is lazy
    source = transitions(synthetic_episodes(n_transitions), n_transitions)
    gc.collect()
    before = resident_bytes()
    buffer = full_buffer(source, env)
    gc.collect()
    return (resident_bytes() - before) / buffer.size()


def resident_bytes() -> int:
    """Memory of this process that is in use."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def fetch_push() -> DummyVecEnv:
    """The env whose `compute_reward` the buffer calls, as SB3 holds it."""
    gym.register_envs(gymnasium_robotics)
    return DummyVecEnv([lambda: gym.make(ENV)])


def empty_buffer(n_transitions: int, env: DummyVecEnv) -> HerReplayBuffer:
    """The buffer as it is before the first step."""
    return HerReplayBuffer(
        n_transitions,
        env.observation_space,
        env.action_space,
        env,
        device="cpu",
        n_sampled_goal=N_SAMPLED_GOAL,
        goal_selection_strategy="future",
    )


def full_buffer(source: Transitions, env: DummyVecEnv) -> HerReplayBuffer:
    """The state that `add`, called for one transition after the other, leaves: a million take minutes."""
    n = len(source.last)
    buffer = empty_buffer(n, env)
    for stored, observation, achieved in (
        (buffer.observations, source.observation, source.achieved_goal),
        (buffer.next_observations, source.next_observation, source.next_achieved_goal),
    ):
        stored["observation"][:, 0] = observation
        stored["achieved_goal"][:, 0] = achieved
        stored["desired_goal"][:, 0] = source.desired_goal
    buffer.actions[:, 0] = source.action
    buffer.rewards[:, 0] = source.reward
    buffer.dones[:, 0] = source.last
    buffer.timeouts[:, 0] = source.last
    buffer.ep_start[:, 0] = np.arange(n) // STEPS * STEPS
    buffer.ep_length[:] = STEPS
    buffer.full = True  # and `pos` is 0 again
    return buffer


class OneBatch:
    """In the place of a replay buffer: the same batch at no cost."""

    def __init__(self, batch: DictReplayBufferSamples) -> None:
        self._batch = batch

    def sample(self, *_: Any, **__: Any) -> DictReplayBufferSamples:
        """The batch."""
        return self._batch


def sac_update(batch_size: int, hidden: tuple[int, ...] = (256, 256, 256)) -> Callable[[], object]:
    """One gradient step of SAC for FetchPush a call, without sampling.

    The batch is float32 already, which spares SB3 the cast that it does in a real run. MultiInputPolicy
    feeds the networks the achieved goal too: 31 inputs.
    """
    model = sac_model(batch_size, hidden)
    return lambda: model.train(gradient_steps=1, batch_size=batch_size)


def sac_model(batch_size: int, hidden: tuple[int, ...]) -> SAC:
    """SAC whose replay buffer has but one batch."""
    model: Any = SAC(
        "MultiInputPolicy",
        fetch_push(),
        policy_kwargs={"net_arch": list(hidden)},
        ent_coef="auto",
        gamma=0.98,
        buffer_size=STEPS,  # its own buffer is thrown away
        device="cpu",
        seed=0,
    )
    model.set_logger(configure(None, []))  # `learn` would
    model.replay_buffer = OneBatch(made_up_batch(batch_size))
    made: SAC = model
    return made


def made_up_batch(batch_size: int) -> DictReplayBufferSamples:
    """Numbers of the shapes that HerReplayBuffer samples."""
    generator = torch.Generator().manual_seed(0)

    def normal(size: int) -> torch.Tensor:
        return torch.randn(batch_size, size, generator=generator)

    desired = normal(GOAL)
    return DictReplayBufferSamples(
        observations={
            "achieved_goal": normal(GOAL),
            "desired_goal": desired,
            "observation": normal(OBSERVATION),
        },
        actions=torch.rand(batch_size, ACTION, generator=generator) * 2 - 1,
        next_observations={
            "achieved_goal": normal(GOAL),
            "desired_goal": desired,
            "observation": normal(OBSERVATION),
        },
        dones=torch.zeros(batch_size, 1),
        rewards=-torch.ones(batch_size, 1),
    )


def seconds_to_success(
    seed: int,
    success: float = 0.95,
    eval_interval: int = 500,
    eval_episodes: int = 20,
    most_steps: int = 30_000,
) -> tuple[float, int]:
    """Train SAC + HER on FetchReach-v4 until an evaluation shows the success.

    What is not given here is SB3's default: one env, one update a step, no normalised inputs. Building
    the model and its buffer is not counted, evaluations are.

    Returns:
        Wall seconds and env steps; steps are -1 where `most_steps` did not suffice.
    """
    gym.register_envs(gymnasium_robotics)
    model = SAC(
        "MultiInputPolicy",
        gym.make(REACH),
        replay_buffer_class=HerReplayBuffer,
        replay_buffer_kwargs={
            "n_sampled_goal": N_SAMPLED_GOAL,
            "goal_selection_strategy": "future",
        },
        policy_kwargs={"net_arch": [256, 256]},
        batch_size=256,
        gamma=0.95,
        learning_rate=1e-3,
        buffer_size=1_000_000,
        learning_starts=100,
        device="cpu",
        seed=seed,
    )
    watch = UntilSuccess(gym.make(REACH), success, eval_interval, eval_episodes)
    watch.began = time.monotonic()
    model.learn(most_steps, callback=watch)
    return watch.reached or (time.monotonic() - watch.began, -1)


class UntilSuccess(BaseCallback):
    """Evaluates every `interval` steps and ends training at the first evaluation that is good enough."""

    def __init__(self, env: gym.Env[Any, Any], success: float, interval: int, episodes: int) -> None:
        super().__init__()
        self.began = 0.0
        self.reached: tuple[float, int] | None = None
        self._env = env
        self._success = success
        self._interval = interval
        self._episodes = episodes

    def _on_step(self) -> bool:
        if self.num_timesteps % self._interval:
            return True
        found = float(np.mean([self._succeeds(TEST_SEED + i) for i in range(self._episodes)]))
        seconds = time.monotonic() - self.began
        print(f"SB3: {self.num_timesteps} steps, {seconds:.1f} s, success {found:.2f}", file=sys.stderr)
        if found >= self._success:
            self.reached = seconds, self.num_timesteps
        return self.reached is None

    def _succeeds(self, seed: int) -> bool:
        """Whether the goal is held at the last step."""
        observation, _ = self._env.reset(seed=seed)
        while True:
            action, _ = self.model.predict(observation, deterministic=True)
            observation, _, terminated, truncated, info = self._env.step(action)
            if terminated or truncated:
                return bool(info["is_success"])
