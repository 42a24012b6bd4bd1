"""Runs that are killed two to four times and resumed, held against the same run left in peace."""

import csv
import random
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from regoal.agent.checkpoints import newest_checkpoint
from regoal.agent.config import DDPGConfig, SACConfig, TrainConfig
from regoal.agent.replay_files import read_segments
from regoal.benchmarks.torture.children import Child, resume_aloud, train_aloud
from regoal.benchmarks.torture.tally import Tally

AGENTS: dict[str, DDPGConfig | SACConfig] = {
    "ddpg": DDPGConfig(hidden=(16,), batch_size=16),
    "sac": SACConfig(hidden=(16,), batch_size=16),
}
# Env and its arguments: episodes of the maze are short, so that there are as many blocks as elsewhere.
ENVS: dict[str, dict[str, Any]] = {
    "regoal/PointReach-v0": {},
    "FetchReach-v4": {},
    "PointMaze_UMaze-v3": {"max_episode_steps": 50},
    "FetchPush-v4": {},
}
STEPS = 600


@dataclass(frozen=True)
class Chain:
    """One run that is killed.

    Attributes:
        agent: its name.
        env: its id.
        workers: in its sittings, in turn.
    """

    agent: str
    env: str
    workers: tuple[int, ...]


# Without workers, with one, and for some with another number in every sitting.
CHAINS = [Chain(*one) for one in product(AGENTS, ENVS, ((0,), (1,)))]
CHAINS += [Chain(agent, env, (1, 0, 2)) for agent, env in product(AGENTS, list(ENVS)[:2])]


def chains(folder: Path, tries: int, seed: int = 0) -> Tally:
    """Each of the chains, or as many of them as are asked for."""
    rng, tally = random.Random(seed), Tally()
    whole: dict[Any, Path] = {}
    n_kills = 0
    chosen = rng.sample(CHAINS, tries) if tries < len(CHAINS) else CHAINS
    for number, chain in enumerate(chosen):
        tally.tries += 1
        key, log = (chain.agent, chain.env), folder / "chains.log"
        if key not in whole:
            whole[key] = folder / f"whole-{len(whole)}"
            Child(train_aloud, _config(chain, whole[key]), log=log).ended()
        run = folder / f"chain-{number}"
        kills, ended = _killed_again_and_again(chain, run, rng, log)
        n_kills += kills
        name = f"{chain}, killed {kills} times"
        if ended != 0 or kills < 2:
            tally.failures.append(f"{name}: ended with exit code {ended}")
            continue
        if differing := differences(whole[key], run):
            tally.failures.append(f"{name}: {', '.join(differing)} differ")
    tally.note = f"{n_kills} kills"
    return tally


def _config(chain: Chain, out: Path) -> TrainConfig:
    return TrainConfig(
        env=chain.env,
        out=str(out),
        env_kwargs=ENVS[chain.env],
        agent=AGENTS[chain.agent],
        steps=STEPS,
        seed=3,
        eval_interval=200,
        eval_episodes=2,
        checkpoint_interval=100,
        block_episodes=1,
        workers=0,
        keep_replay=True,
    )


def _killed_again_and_again(chain: Chain, run: Path, rng: random.Random, log: Path) -> tuple[int, int | None]:
    """Kill it at two to four moments, one after the other; how often, and the exit code at the end."""
    config = replace(_config(chain, run), workers=chain.workers[0])
    child = Child(train_aloud, config, log=log)
    moments = sorted(rng.sample(range(2, STEPS // 50), rng.randint(2, 4)))  # in blocks
    kills = 0
    for moment in moments:
        while (told := child.told()) is not None and (told[0] != "steps" or told[1] < 50 * moment):
            pass
        if told is None:  # it has ended: the moment was too close to it
            break
        child.told(rng.uniform(0.0, 0.02))  # somewhere in the updates, the save, or the next block
        child.kill()
        kills += 1
        workers = chain.workers[kills % len(chain.workers)]
        child = Child(resume_aloud, run, workers, ENVS[chain.env], log=log)
    return kills, child.ended()


def differences(run: Path, other: Path) -> list[str]:
    """What is not the same in two runs that have ended, but for wall-clock columns."""
    one, two = _contents(run), _contents(other)
    return sorted(name for name in one.keys() | two.keys() if not _same(one.get(name), two.get(name)))


def _contents(run: Path) -> dict[str, Any]:
    checkpoint = newest_checkpoint(run)
    progress = checkpoint.state["progress"]
    with (run / "metrics.csv").open(newline="") as file:
        rows = [{k: v for k, v in row.items() if not k.startswith("wall_")} for row in csv.DictReader(file)]
    found = {
        "metrics": rows,
        "episodes.csv": (run / "episodes.csv").read_text(),
        "counters": {k: v for k, v in progress["run"].items() if k not in ("wall_seconds", "log_bytes")},
        "generators": progress["experience"],
    }
    for episode in read_segments(run, checkpoint.segments):
        found |= {f"episode {episode.index} {name}": value for name, value in vars(episode).items()}
    return found | checkpoint.learner_arrays() | checkpoint.snapshots()


def _same(one: Any, two: Any) -> bool:
    if isinstance(one, np.ndarray) and isinstance(two, np.ndarray):
        return one.dtype == two.dtype and np.array_equal(one, two)
    return bool(one == two)
