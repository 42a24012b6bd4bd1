"""Stable-Baselines3: its HerReplayBuffer and its SAC."""

import gc
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, TextIO

import gymnasium as gym
import gymnasium_robotics
import numpy as np
import torch
from stable_baselines3 import SAC, HerReplayBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import configure
from stable_baselines3.common.type_aliases import DictReplayBufferSamples
from stable_baselines3.common.vec_env import DummyVecEnv

from regoal.agent.machine import cores
from regoal.benchmarks.peers.data import ENV, STEPS, Episodes, episodes, resident_bytes
from regoal.envs.contract import success_key
from regoal.envs.recipe import require_registered

NAME = "stable-baselines3"
gym.register_envs(gymnasium_robotics)


def label() -> str:
    """Name and version."""
    return f"{NAME} {version(NAME)}"


def filled(n_transitions: int, made: Episodes, env: DummyVecEnv | None = None) -> HerReplayBuffer:
    """A full buffer, its arrays written at once: adding a million one by one takes minutes.

    `tests/test_peers.py` holds it against one that `add` has filled.
    """
    env = env or DummyVecEnv([lambda: gym.make(ENV)])
    buffer = HerReplayBuffer(
        n_transitions, env.observation_space, env.action_space, env, n_sampled_goal=4, device="cpu"
    )
    for key in ("observation", "achieved_goal", "desired_goal"):
        buffer.observations[key][:, 0] = made.flat(key)
        buffer.next_observations[key][:, 0] = made.flat(key, after=True)
    buffer.actions[:, 0] = made.flat("action")
    buffer.rewards[:, 0] = made.reward.ravel()
    last = np.arange(n_transitions) % STEPS == STEPS - 1
    buffer.dones[:, 0], buffer.timeouts[:, 0] = last, last
    buffer.ep_start[:, 0] = np.arange(n_transitions) // STEPS * STEPS
    buffer.ep_length[:, 0] = STEPS
    buffer.pos, buffer.full = 0, True
    return buffer


def her_sample(n_transitions: int, batch_size: int) -> Callable[[], object]:
    """One batch."""
    torch.set_num_threads(1)
    buffer = filled(n_transitions, episodes(n_transitions))
    return lambda: buffer.sample(batch_size)


def bytes_per_transition(n_transitions: int) -> float:
    """Growth of the resident memory by building and filling a buffer, by its transitions."""
    env = DummyVecEnv([lambda: gym.make(ENV)])  # it is not the buffer's
    filled(1_000, episodes(1_000), env)  # loads everything
    made = episodes(n_transitions)
    gc.collect()
    before = resident_bytes()
    buffer = filled(n_transitions, made, env)
    gc.collect()
    grown = resident_bytes() - before
    return grown / buffer.size()


def sac_model(hidden: tuple[int, ...]) -> SAC:
    """SAC for FetchPush."""
    model = SAC(
        "MultiInputPolicy",
        gym.make(ENV),
        policy_kwargs={"net_arch": list(hidden)},
        gamma=0.98,
        learning_rate=1e-3,
        tau=0.02,
        ent_coef="auto_0.1",
        device="cpu",
        seed=0,
    )
    model.set_logger(configure(None, []))
    return model


class FixedBuffer:
    """Gives the same batch again and again, at no cost: the update alone is timed."""

    def __init__(self, batch: DictReplayBufferSamples) -> None:
        self.batch = batch

    def sample(self, *arguments: Any, **options: Any) -> DictReplayBufferSamples:
        """The batch."""
        return self.batch


def fixed_batch(batch_size: int) -> DictReplayBufferSamples:
    """The batch of `ours.fixed_batch`."""
    from regoal.benchmarks.peers.ours import fixed_batch as ours

    batch = ours(batch_size)
    achieved = torch.zeros(batch_size, 0)

    def observations(observation: torch.Tensor) -> dict[str, torch.Tensor]:
        shown = {"observation": observation.contiguous(), "desired_goal": batch.desired_goal}
        return shown | {"achieved_goal": achieved.new_zeros(batch_size, 3)}

    return DictReplayBufferSamples(
        observations=observations(batch.observation),
        actions=batch.action.contiguous(),
        next_observations=observations(batch.next_observation),
        dones=batch.terminated.float()[:, None],
        rewards=batch.reward[:, None],
    )


def sac_update(batch_size: int, width: int = 256) -> Callable[[], object]:
    """One gradient step of SAC with three hidden layers."""
    torch.set_num_threads(1)
    model: Any = sac_model((width,) * 3)
    model.replay_buffer = FixedBuffer(fixed_batch(batch_size))
    return lambda: model.train(gradient_steps=1, batch_size=batch_size)


def success_rate(model: SAC, env: Any, seeds: Iterable[int]) -> float:
    """Share of the episodes with these seeds whose goal is reached at the last step, without exploration."""
    last = []
    for seed in seeds:
        observation, _ = env.reset(seed=seed)
        ended = False
        while not ended:
            action, _ = model.predict(observation, deterministic=True)
            observation, _, terminated, truncated, info = env.step(action)
            ended = terminated or truncated
        last.append(info[success_key(env, info)])
    return float(np.mean(last))


class UntilSuccess(BaseCallback):
    """Evaluates every so many steps and stops when the success is reached."""

    def __init__(self, env: Any, success: float, interval: int, n_episodes: int) -> None:
        super().__init__()
        self.env, self.success, self.interval, self.n_episodes = env, success, interval, n_episodes
        self.reached: tuple[float, int] | None = None
        self.began = time.monotonic()

    def _on_step(self) -> bool:
        if self.num_timesteps % self.interval:
            return True
        found = success_rate(self.model, self.env, range(10_000, 10_000 + self.n_episodes))
        seconds = time.monotonic() - self.began
        print(f"SB3: {self.num_timesteps} steps, {seconds:.0f} s, {found:.2f}", file=sys.stderr)
        if found >= self.success:
            self.reached = seconds, self.num_timesteps
        return self.reached is None


def seconds_to_success(seed: int, success: float, eval_interval: int, most_steps: int) -> Any:
    """Wall clock of SAC + HER until an evaluation of 20 episodes first shows the success.

    Returns:
        Seconds and env steps; None where it never does.
    """
    torch.set_num_threads(quickest_threads())  # before its clock starts; ours has a worker beside it
    model = SAC(
        "MultiInputPolicy",
        gym.make("FetchReach-v4"),
        replay_buffer_class=HerReplayBuffer,
        replay_buffer_kwargs={"n_sampled_goal": 4, "goal_selection_strategy": "future"},
        policy_kwargs={"net_arch": [256, 256]},
        batch_size=256,
        gamma=0.95,
        learning_rate=1e-3,
        device="cpu",
        seed=seed,
    )
    watch = UntilSuccess(gym.make("FetchReach-v4"), success, eval_interval, 20)
    model.learn(most_steps, callback=watch)
    return watch.reached


class OnTheClock(BaseCallback):
    """Evaluates now and then, and stops after so many seconds of training; evaluations do not count.

    Args:
        env: to evaluate in.
        seeds: of the evaluation's episodes.
        seconds: of training.
        interval: between evaluations [s of training].
        file: that gets a line an evaluation: env steps, seconds of training, success.
    """

    def __init__(self, env: Any, seeds: Sequence[int], seconds: float, interval: float, file: TextIO) -> None:
        super().__init__()
        self.env, self.seeds, self.seconds, self.interval, self.file = env, seeds, seconds, interval, file
        self.began = self.due = 0.0

    def _on_training_start(self) -> None:
        self.began = time.monotonic()
        self._on_step()

    def _on_step(self) -> bool:
        now = time.monotonic()
        trained = now - self.began
        if trained >= self.due:
            found = success_rate(self.model, self.env, self.seeds)
            print(f"{self.num_timesteps},{trained},{found:.4g}", file=self.file, flush=True)
            self.due = min((trained // self.interval + 1) * self.interval, self.seconds)
            self.began += time.monotonic() - now
        return trained < self.seconds


def quickest_threads() -> int:
    """Torch threads that make an update quickest here: one, or as many as there are cores."""
    update = sac_update(256)

    def seconds(threads: int) -> float:
        torch.set_num_threads(threads)
        update()
        began = time.perf_counter()
        for _ in range(20):
            update()
        return time.perf_counter() - began

    return min((1, cores()), key=lambda threads: min(seconds(threads) for _ in range(5)))


def learn_on_the_clock(
    env: str, seed: int, seconds: float, interval: float, seeds: Sequence[int], path: Path
) -> None:
    """SAC + HER with 3 x 256 for so many seconds of training; writes its evaluations as they are made.

    Args:
        env: id.
        seed: of the run.
        seconds: of training, evaluations not counted.
        interval: between evaluations [s].
        seeds: of the evaluation's episodes.
        path: CSV of env_steps, wall_seconds and success.
    """
    threads = quickest_threads()
    torch.set_num_threads(threads)
    print(f"{label()}: {threads} torch threads, which are quickest here", file=sys.stderr)
    require_registered(env)
    model = SAC(
        "MultiInputPolicy",
        gym.make(env, disable_env_checker=True),
        replay_buffer_class=HerReplayBuffer,
        replay_buffer_kwargs={"n_sampled_goal": 4, "goal_selection_strategy": "future"},
        policy_kwargs={"net_arch": [256, 256, 256]},
        learning_starts=1_000,
        batch_size=256,
        gamma=0.95,
        tau=0.05,
        learning_rate=1e-3,
        train_freq=1,
        gradient_steps=1,
        device="cpu",
        seed=seed,
    )
    with path.open("w") as file:
        print("env_steps,wall_seconds,success", file=file, flush=True)
        evaluated_in = gym.make(env, disable_env_checker=True)
        model.learn(10**9, callback=OnTheClock(evaluated_in, seeds, seconds, interval, file))
