"""Run folders without training: PointReach policies whose success is known."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from regoal.agent.checkpoints import save_checkpoint
from regoal.agent.config import TrainConfig
from regoal.agent.policy import Exploration, Policy
from regoal.agent.run_folder import make_run_folder, write_settings

POINT = "regoal/PointReach-v0"
STEERS = 10 * np.array([[-1, 0, -4, 0, 1, 0], [0, -1, 0, -4, 0, 1]])  # reaches every goal
SIDEWAYS = STEERS * [[1], [0]]  # along x alone: reaches few
STILL = 0 * STEERS  # reaches those it starts at


def one_by_one(function: Callable[[Any], Any], items: Sequence[Any], jobs: int, label: object) -> list[Any]:
    """Stands for `run_all`: calls in this process, for tests of what is done with the results."""
    return [function(item) for item in items]


def hand_made_run(path: Path, weight: np.ndarray = STEERS, env: str = POINT) -> Path:
    """A run of `env` with the linear policy tanh(weight @ [observation, goal]); the goal is of size 2."""
    config = TrainConfig(env=env, out=str(path))
    make_run_folder(config)
    write_settings(config)
    actions, inputs = weight.shape
    policy = Policy(
        weights=(weight.astype(np.float32),),
        biases=(np.zeros(actions, np.float32),),
        mean=np.zeros(inputs, np.float32),
        std=np.ones(inputs, np.float32),
        clip=5.0,
        head="deterministic",
        exploration=Exploration(),
        observation_size=inputs - 2,
        action_low=-np.ones(actions, np.float32),
        action_high=np.ones(actions, np.float32),
    )
    save_checkpoint(path, policy, {"nothing": np.zeros(1)}, {"env_steps": 0})
    return path
