"""The same seed gives the same episode, whatever was played before: every shipped env, plain and shifted."""

import random
from pathlib import Path
from typing import Any

import numpy as np

from regoal.benchmarks.torture.tally import Tally
from regoal.envs.recipe import Env, make
from regoal.envs.shift_families import families_for

ENVS = (
    "regoal/PointReach-v0",
    "FetchReach-v4",
    "FetchPush-v4",
    "FetchSlide-v4",
    "FetchPickAndPlace-v4",
    "HandReach-v3",
    "PointMaze_UMaze-v3",
    "AntMaze_UMaze-v5",
)
# Ranges that stay within what every env can reach; only families that apply to an env are taken.
RANGES = {
    "friction": "0.5..1.5",
    "object_mass": "1/3",
    "gravity": "0.8..1.2",
    "joint_damping": "1..2",
    "start_region": "0.8..1.1",
    "goal_region": "0.8..1.1",
    "observation_bias": "-0.05..0.05",
    "observation_noise": "0..0.01",
    "observation_delay": "0..2",
    "action_gain": "0.5..1.5",
    "action_rotation": "-45..45",
    "action_bias": "-0.1..0.1",
    "action_noise": "0..0.1",
    "action_delay": "0..2",
}
STEPS = 5  # of an episode that is compared


def resets(folder: Path, tries: int, seed: int = 0) -> Tally:
    """So many seeds for every env and shift, in two envs with histories of their own."""
    tally = Tally()
    worlds = [(env_id, shift) for env_id in ENVS for shift in shifts_of(env_id)]
    for env_id, shift in worlds:
        rng = random.Random(seed)
        seeds = [rng.randrange(1 << 31) for _ in range(tries)]
        first = _episodes(env_id, shift, seeds, random.Random(seed + 1))
        second = _episodes(env_id, shift, seeds[::-1], random.Random(seed + 2))
        differing = [one for one in seeds if first[one] != second[one]]
        tally.tries += tries
        tally.failures += [f"{env_id} with {shift or 'no shift'}, seed {one}" for one in differing]
    tally.note = f"{len(worlds)} worlds of {len(ENVS)} envs"
    return tally


def shifts_of(env_id: str) -> list[str]:
    """No shift, each family that applies, drawn anew for every episode, and all of them at once."""
    env = make(env_id)
    applying = set(families_for(env))
    env.close()
    terms = [f"{name}={values}" for name, values in RANGES.items() if name in applying]
    return ["", *terms, ",".join(terms)]


def _episodes(env_id: str, shift: str, seeds: list[int], rng: random.Random) -> dict[int, bytes]:
    """What is seen in the episode of each seed, with other episodes of any length in between."""
    env = make(env_id, shift)
    found = {}
    for seed in seeds:
        if rng.random() < 0.5:
            _play(env, rng.randrange(1 << 31), rng.randrange(3 * STEPS), rng.randrange(99))
        found[seed] = _play(env, seed, STEPS, 0)
    env.close()
    return found


def _play(env: Env, seed: int, steps: int, actions: int) -> bytes:
    rng, seen = np.random.default_rng(actions), []
    observation, info = env.reset(seed=seed)
    seen += [_bytes(observation), str(info.get("shift")).encode()]
    low, high = env.action_space.low, env.action_space.high  # type: ignore[attr-defined]
    for _ in range(steps):
        observation, reward, terminated, truncated, _ = env.step(rng.uniform(low, high).astype(np.float32))
        seen += [_bytes(observation), repr((float(reward), bool(terminated), bool(truncated))).encode()]
    return b"|".join(seen)


def _bytes(observation: dict[str, Any]) -> bytes:
    return b"".join(np.ascontiguousarray(observation[key]).tobytes() for key in sorted(observation))
