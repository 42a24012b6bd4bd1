"""PointReach that ends, or halts, the process it runs in: for workers, which must be replaced."""

import os
import time
from functools import partial
from typing import Any

import gymnasium as gym

from regoal.envs.point_reach import PointReach


class Unpicklable(Exception):
    """An exception that does not cross a process boundary."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


def die() -> None:
    os._exit(7)


def hang() -> None:
    time.sleep(3600)


def refuse() -> None:
    raise Unpicklable(1, 2)


class Deadly(PointReach):
    """Does the deed where the file in DEADLY_FILE holds more than nothing, and takes one byte off it."""

    def __init__(self, deed: Any) -> None:
        super().__init__()
        self._deed = deed

    def step(self, action: Any) -> Any:
        path = os.environ.get("DEADLY_FILE", "")
        if path and (left := os.path.getsize(path)):
            os.truncate(path, left - 1)
            self._deed()
        return super().step(action)


class SlowToBuild(PointReach):
    def __init__(self) -> None:
        super().__init__()
        time.sleep(float(os.environ.get("BUILDING_SECONDS", "0")))


if "deadly/SlowToBuild-v0" not in gym.registry:
    gym.register("deadly/SlowToBuild-v0", entry_point=SlowToBuild, max_episode_steps=50)
for _deed in (die, hang, refuse):
    name = f"deadly/{_deed.__name__.capitalize()}-v0"
    if name not in gym.registry:
        gym.register(name, entry_point=partial(Deadly, deed=_deed), max_episode_steps=50)
