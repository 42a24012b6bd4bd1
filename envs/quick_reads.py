"""Reading a robot's joints in one go, which the Fetch and Hand envs do at every step.

gymnasium-robotics looks every joint up by its name at every step. The joints never move in the model, so
their places are looked up once; the numbers read are the same to the last bit (`tests/test_quick_reads.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from regoal.envs.shift_scenes import has_mujoco_model

if TYPE_CHECKING:
    from regoal.envs.recipe import Env

Array = NDArray[Any]


class QuickReads:
    """Stands in for the module `gymnasium_robotics.utils.mujoco_utils` in one env.

    Args:
        utils: the module; everything but `robot_get_obs` is left to it.
        model: the MjModel of the env.
        joint_names: all joints, as the env passes them.
    """

    def __init__(self, utils: Any, model: Any, joint_names: Any) -> None:
        self._utils, self._model = utils, model
        joints = [model.joint(name) for name in joint_names if name.startswith("robot")]
        self._qpos = np.array([joint.qposadr[0] for joint in joints])
        self._qvel = np.array([joint.dofadr[0] for joint in joints])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._utils, name)

    def robot_get_obs(self, model: Any, data: Any, joint_names: Any) -> tuple[Array, Array]:
        """Positions and velocities of the joints whose names begin with "robot"."""
        if model is not self._model:
            found: tuple[Array, Array] = self._utils.robot_get_obs(model, data, joint_names)
            return found
        return data.qpos[self._qpos], data.qvel[self._qvel]


def read_quickly(env: Env) -> None:
    """Let the env read its joints in one go, if it is one that would look them up by name."""
    unwrapped: Any = env.unwrapped
    utils: Any = getattr(unwrapped, "_utils", None)
    names: Any = getattr(unwrapped, "_model_names", None)
    if not (has_mujoco_model(env) and hasattr(utils, "robot_get_obs") and hasattr(names, "joint_names")):
        return
    robot = [name for name in names.joint_names if name.startswith("robot")]
    model = unwrapped.model
    hinge_or_slide = 2  # mjtJoint: free and ball joints, of several numbers each, come before them
    if len(robot) > 1 and all(model.joint(name).type[0] >= hinge_or_slide for name in robot):
        unwrapped._utils = QuickReads(utils, model, names.joint_names)
