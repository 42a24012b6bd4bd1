"""PointReach in which one episode in fifty is spoiled, and a worker hangs when it is told to.

Importing this registers `torture/Faulty-v0`. Which episodes are spoiled follows from their seeds. Nothing
happens before the file `armed` exists in the folder that FAULTY_FOLDER names.
"""

import os
import time
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from regoal.envs.point_reach import PointReach

FOLDER, LEARNER = "FAULTY_FOLDER", "FAULTY_LEARNER"  # environment variables; the second is a process id
EPISODE_STEPS = 50
SHARE = 0.01  # of episodes that raise, and of those with NaN


class Faulty(PointReach):
    """Raises, or returns NaN, or hangs."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        self._folder = Path(os.environ.get(FOLDER, "/nowhere"))
        self._seed, self._fault, self._left = seed, "", -1
        if seed is not None and (self._folder / "armed").exists():
            rng = np.random.default_rng([seed, 0xFA17])
            kind = rng.random()
            self._fault = "raise" if kind < SHARE else "nan" if kind < 2 * SHARE else ""
            self._left = int(rng.integers(EPISODE_STEPS))
        return super().reset(seed=seed, options=options)

    def step(self, action: Any) -> Any:
        self._hang_if_told()
        observation, *rest = super().step(action)
        if self._fault and self._left == 0:
            with (self._folder / "faults").open("a") as file:
                file.write(f"{self._seed}\n")
            if self._fault == "raise":
                raise RuntimeError("the simulator fell over")
            observation["observation"] = observation["observation"] * np.nan
        self._left -= 1
        return observation, *rest

    def _hang_if_told(self) -> None:
        """In a worker alone: the run's own process is not watched by anybody."""
        if os.environ.get(LEARNER) not in (None, str(os.getpid())):
            try:
                (self._folder / "hang").unlink()
            except OSError:
                return
            time.sleep(3600)


if "torture/Faulty-v0" not in gym.registry:
    gym.register("torture/Faulty-v0", entry_point=f"{__name__}:Faulty", max_episode_steps=EPISODE_STEPS)
