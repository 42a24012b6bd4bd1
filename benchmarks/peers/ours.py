"""Our side of each comparison, and the plain loops that we compare ourselves with."""

import gc
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import gymnasium_robotics
import numpy as np
import torch

from regoal.agent.agents import agent_config
from regoal.agent.config import DDPGConfig, SACConfig, TrainConfig
from regoal.agent.learner import Learner, make_learner
from regoal.agent.normaliser import Normaliser
from regoal.agent.player import Player
from regoal.agent.rollouts import Rollouts
from regoal.benchmarks.peers.data import ENV, STEPS, episodes, resident_bytes
from regoal.buffers.batch import Batch, BatchMemory
from regoal.buffers.episode import Episode
from regoal.buffers.hindsight import HindsightBuffer
from regoal.envs.goal_spec import GoalSpec

gym.register_envs(gymnasium_robotics)

CHUNK = 1_000_000  # transitions made up at a time


def filled(n_transitions: int, disk: Path | None = None, spec: GoalSpec | None = None) -> HindsightBuffer:
    """A full buffer."""
    spec = spec or GoalSpec.of(ENV)
    buffer = HindsightBuffer(spec, n_transitions, strategy="future", n_sampled_goal=4, disk=disk)
    for seed, begin in enumerate(range(0, n_transitions, CHUNK)):
        made = episodes(min(CHUNK, n_transitions - begin), seed)
        reward = made.reward
        for i in range(len(made.desired_goal)):
            buffer.add_episode(
                Episode(
                    observation=made.observation[i],
                    achieved_goal=made.achieved_goal[i],
                    desired_goal=made.desired_goal[i],
                    action=made.action[i],
                    reward=reward[i],
                    terminated=False,
                    success=reward[i] == 0,
                )
            )
    return buffer


def her_sample(n_transitions: int, batch_size: int) -> Callable[[], object]:
    """One batch, as the training loop takes it."""
    buffer = filled(n_transitions)
    return lambda: buffer.sample(batch_size, reuse=True)


def her_sample_on_disk(n_transitions: int, batch_size: int, cold: bool) -> Callable[[], object]:
    """One batch from a memory-mapped file; cold: when none of it is in memory."""
    import mmap

    buffer = filled(n_transitions, Path(tempfile.gettempdir()))
    mapped = buffer._storage.rows.base
    assert isinstance(mapped, mmap.mmap)
    mapped.flush()
    page_out = 21  # MADV_PAGEOUT of Linux, which Python does not name

    def sample() -> object:
        return buffer.sample(batch_size, reuse=True)

    def sample_cold() -> object:
        mapped.madvise(page_out)
        began = time.perf_counter()
        sample()
        return time.perf_counter() - began

    return sample_cold if cold else sample


def bytes_per_transition(n_transitions: int) -> float:
    """Growth of the resident memory by building and filling a buffer, by its transitions."""
    spec = GoalSpec.of(ENV)  # its env is not the buffer's
    filled(1_000, spec=spec)  # loads everything
    gc.collect()
    before = resident_bytes()
    buffer = filled(n_transitions, spec=spec)
    gc.collect()
    return (resident_bytes() - before) / len(buffer)


def fixed_batch(batch_size: int) -> Batch:
    """A batch that stays the same."""
    rng = np.random.default_rng(0)
    memory = BatchMemory(batch_size, 25, 3, 4)
    rows = memory.whole
    rows.ends[:] = rng.standard_normal(rows.ends.shape)
    rows.ends[..., -4:] = rng.uniform(-1, 1, (batch_size, 2, 4))
    rows.desired_goal[:] = rng.standard_normal((batch_size, 3))
    rows.reward[:], rows.terminated[:] = -1, False
    return memory.batch(0)


def sac(hidden: tuple[int, ...], spec: GoalSpec) -> Learner:
    """SAC as it is compared."""
    return make_learner(SACConfig(hidden=hidden, gamma=0.98), spec, Normaliser(25, 3), 0)


def sac_update(batch_size: int, width: int = 256) -> Callable[[], object]:
    """One gradient step of SAC with three hidden layers."""
    torch.set_num_threads(1)
    learner, batch = sac((width,) * 3, GoalSpec.of(ENV)), fixed_batch(batch_size)
    return lambda: learner.update(batch)


def sac_products(batch_size: int, width: int = 256) -> Callable[[], object]:
    """The matrix products of a SAC update alone, into memory that is there: what no update can beat.

    Actor forward at both ends; critics forward for the target, the regression and the actor; backward
    through the regression, from the least critic's value to the action, and through the actor.
    """
    torch.set_num_threads(1)
    inputs, both = 28, 32
    shapes: list[tuple[int, int, int, int]] = []  # stack, rows, inner, columns
    b, w = batch_size, width
    for rows, n in ((2 * b, 1), (b, 2), (b, 2), (b, 2)):
        first, last = (inputs, 8) if n == 1 else (both, 1)
        shapes += [(n, rows, first, w), (n, rows, w, w), (n, rows, w, w), (n, rows, w, last)]
    for n, first, last in ((2, both, 1), (1, inputs, 8)):
        shapes += [(n, first, b, w), (n, w, b, w), (n, w, b, w), (n, w, b, last)]  # of the weights
        shapes += [(n, b, w, w), (n, b, w, w), (n, b, last, w)]  # of the activations
    shapes += [(1, b, 1, w), (1, b, w, w), (1, b, w, w), (1, b, w, 4)]  # to the action: one critic a row
    made = {shape: _fastest_product(*shape) for shape in set(shapes)}
    products = [made[shape] for shape in shapes]

    def run() -> None:
        for product in products:
            product()

    return run


def _fastest_product(n: int, i: int, j: int, k: int) -> Callable[[], object]:
    """n products of (i, j) and (j, k) matrices in the way that is quickest here, by trying."""
    left, right, out = torch.randn(n, i, j), torch.randn(n, j, k), torch.empty(n, i, k)
    turned = torch.empty(n, k, i)
    each = list(zip(left, right, out, strict=True))
    each_turned = list(zip(right.mT, left.mT, turned, strict=True))
    ways: list[Callable[[], object]] = [
        lambda: torch.bmm(left, right, out=out),
        lambda: [torch.mm(a, b, out=c) for a, b, c in each],
        lambda: [torch.mm(b, a, out=c) for b, a, c in each_turned],
    ]
    if k == 1:
        ways.append(lambda: [torch.mv(a, b[:, 0], out=c[:, 0]) for a, b, c in each])
    if j == 1:
        ways.append(lambda: torch.mul(left, right, out=out))

    def seconds(way: Callable[[], object]) -> float:
        way()
        began = time.perf_counter()
        for _ in range(10):
            way()
        return time.perf_counter() - began

    return min(ways, key=lambda way: min(seconds(way) for _ in range(5)))


def inference(width: int = 256) -> Callable[[], object]:
    """The action for one observation, three hidden layers."""
    spec = GoalSpec.of(ENV)
    policy = make_learner(DDPGConfig(hidden=(width,) * 3), spec, Normaliser(25, 3), 0).policy()
    inputs = np.random.default_rng(0).standard_normal(28).astype(np.float32)
    return lambda: policy.mean_action(inputs)


def spec_and_learner(env: str, **settings: Any) -> tuple[GoalSpec, Learner]:
    """What an env looks like, and a DDPG learner with untrained networks for it, in one thread."""
    torch.set_num_threads(1)
    spec = GoalSpec.of(env)
    normaliser = Normaliser(spec.observation_size, spec.goal_size)
    return spec, make_learner(DDPGConfig(**settings), spec, normaliser, 0)


def one_player(env: str = ENV) -> Callable[[], object]:
    """An episode with the default agent, as a worker plays it."""
    spec, learner = spec_and_learner(env)
    player, policy, index = Player(spec, 0), learner.policy(), iter(range(10**9))
    return lambda: player.collect(policy, next(index))


def bare_loop(env: str = ENV) -> Callable[[], object]:
    """An episode of `env.step` with one constant action and nothing else; the env is gymnasium's own."""
    built: Any = gym.make(env, disable_env_checker=True)
    seed = iter(range(10**9))
    action = np.zeros(built.action_space.shape or (), np.float32)

    def play() -> None:
        built.reset(seed=next(seed))
        for _ in range(STEPS):
            built.step(action)

    return play


def collect(workers: int, block: int = 40, env: str = ENV) -> Callable[[], object]:
    """A block of episodes by workers alone; the run's own process waits."""
    spec, learner = spec_and_learner(env)
    policy, begin = learner.policy(), iter(range(0, 10**9, block))
    rollouts = Rollouts(spec, 0, policy, block_episodes=block, workers=workers, helps=False)
    rollouts.__enter__()

    def run() -> None:
        first = next(begin)
        rollouts.collect(policy, range(first, first + block))
        for _ in rollouts.episodes():
            pass

    return run


def seconds_to_success(
    agent: str,
    seed: int,
    success: float,
    eval_interval: int,
    most_steps: int,
    settings: Mapping[str, Any] | None = None,
) -> Any:
    """Wall clock of a run until an evaluation first showed the success.

    Args:
        agent: its shipped settings.
        seed: of the run.
        success: share of the episodes.
        eval_interval: env steps.
        most_steps: env steps after which it ends.
        settings: of the agent, that differ.

    Returns:
        Seconds and env steps; None where it never did.
    """
    import csv

    folder = tempfile.mkdtemp()
    config = TrainConfig(
        env="FetchReach-v4",
        out=f"{folder}/run",
        agent=replace(agent_config(agent), **settings or {}),
        steps=most_steps,
        seed=seed,
        eval_interval=eval_interval,
        eval_episodes=20,
    )
    from regoal.agent.training import train

    train(config)
    with open(f"{folder}/run/metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    shutil.rmtree(folder)
    for row in rows:
        if float(row["success"]) >= success:
            return float(row["wall_seconds"]), int(row["env_steps"])
    return None
