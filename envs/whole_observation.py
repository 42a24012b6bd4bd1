"""An observation that says where the robot is, for envs that leave it to the achieved goal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np

from regoal.envs.shift_scenes import scene_of

if TYPE_CHECKING:
    from regoal.envs.recipe import Env

Observation = dict[str, Any]


class WholeObservation(
    gym.ObservationWrapper[Observation, Any, Observation], gym.utils.RecordConstructorArgs
):
    """Append the achieved goal to the observation: policies and critics see nothing else of it.

    AntMaze's observation leaves out where the ant is; with the desired goal alone nobody could tell which
    way to go.
    """

    def __init__(self, env: Env) -> None:
        gym.utils.RecordConstructorArgs.__init__(self)
        gym.ObservationWrapper.__init__(self, env)
        spaces: Any = env.observation_space
        seen, achieved = spaces["observation"], spaces["achieved_goal"]
        whole = gym.spaces.Box(
            np.concatenate([seen.low, achieved.low]),
            np.concatenate([seen.high, achieved.high]),
            dtype=seen.dtype.type,
        )
        self.observation_space = gym.spaces.Dict({**spaces.spaces, "observation": whole})

    def observation(self, observation: Observation) -> Observation:
        """The same with a longer `observation`."""
        seen, achieved = observation["observation"], observation["achieved_goal"]
        return {**observation, "observation": np.concatenate([seen, achieved]).astype(seen.dtype)}


def observed_whole(env: Env) -> Env:
    """The env, with an observation that says what it has to."""
    scene = scene_of(env)
    return WholeObservation(env) if scene is not None and scene.hides_achieved else env
