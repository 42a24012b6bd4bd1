"""Shifts of MuJoCo's physics: friction, mass of the object, gravity, damping of the joints.

`mj_resetData` leaves the model as it is, so a change made before a reset holds for the episode. Values
are always applied to the nominal figures saved at construction: nothing accumulates over episodes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from regoal.envs.shift_effect import Effect, Observation, nominal
from regoal.envs.shift_scenes import has_mujoco_model, model_of, object_body, scene_of
from regoal.errors import EnvFault

if TYPE_CHECKING:
    from regoal.envs.recipe import Env

_SLIDE, _HINGE = 2, 3  # mjtJoint


def why_no_friction(env: Env) -> str | None:
    """Why sliding friction cannot be shifted here; None where it can."""
    scene = scene_of(env)
    if scene is not None and scene.label == "HandManipulate":
        return "the object lies in the hand itself, and friction of the fingers is not shifted"
    if scene is not None and (scene.label == "AntMaze" or (scene.label == "Fetch" and object_body(env))):
        return None
    return "nothing in it slides on anything" if scene else "what slides on what is not known for this env"


def why_no_object_mass(env: Env) -> str | None:
    """Why the object's mass cannot be shifted here; None where it can."""
    return None if object_body(env) else "it has no object to move"


def why_no_gravity(env: Env) -> str | None:
    """Why gravity cannot be shifted here; None where it can."""
    return None if has_mujoco_model(env) else "it is not simulated by MuJoCo"


def why_no_joint_damping(env: Env) -> str | None:
    """Why the damping of the joints cannot be shifted here; None where it can."""
    scene = scene_of(env)
    if scene is None:
        return "which joints are the robot's is not known for this env"
    return None if has_mujoco_model(env) else "it has no joints"


class ModelEffect(Effect):
    """A change to the figures of the env's model.

    Args:
        env: the env below the shift.
    """

    def __init__(self, env: Env) -> None:
        super().__init__(env)
        self._model: Any = model_of(env)

    def figures(self) -> NDArray[Any]:
        """Those that are changed, as the model has them now."""
        raise NotImplementedError

    def change(self, value: float) -> None:
        """Put a value in force."""
        raise NotImplementedError

    def begin(self, value: float) -> None:
        super().begin(value)
        self.change(value)
        self._changed = self.figures().copy()

    def after_reset(self, observation: Observation) -> Observation:
        """That the change is still there.

        Raises:
            EnvFault: the env has made a model anew in its reset, or has set the figures itself.
        """
        kept = model_of(self.env) is self._model and np.array_equal(self.figures(), self._changed)
        if not kept:
            raise EnvFault(
                f"shift of physics, {type(self).__name__}",
                "an env that keeps the figures of its model over a reset",
                "one whose reset sets them, or makes the model anew",
                "Shift it where it does: a family of your own, docs/shifts.md.",
            )
        return observation


class Friction(ModelEffect):
    """Scale the friction of what slides and of what it slides on.

    Two touching geoms of equal priority have the larger friction of the two, so both are scaled: the
    object and the table (Fetch), the ant and the floor (AntMaze). The fingers are not; a grasp keeps
    the fingers' friction unless the object's becomes larger than it.

    All three columns (sliding, torsional, rolling) are scaled: they belong to one pair of surfaces, and a
    slippery object that still resists spinning would be another kind of surface, not a slippery one.
    """

    def __init__(self, env: Env) -> None:
        super().__init__(env)
        self._geoms = _sliding_geoms(env, self._model)
        self._nominal = nominal(env, "geom_friction", self._model.geom_friction[self._geoms].copy())

    def figures(self) -> NDArray[Any]:
        return np.asarray(self._model.geom_friction[self._geoms])

    def change(self, value: float) -> None:
        self._model.geom_friction[self._geoms] = self._nominal * value


def _sliding_geoms(env: Env, model: Any) -> list[int]:
    body = object_body(env)
    if body is not None:
        bodies = {model.body(body).id, model.body("table0").id}
        return [geom for geom in range(model.ngeom) if int(model.geom_bodyid[geom]) in bodies]
    # The ant is all that moves in its maze: every geom that is not fixed to the world, and the floor.
    ant = [geom for geom in range(model.ngeom) if model.body_weldid[model.geom_bodyid[geom]] != 0]
    return [int(model.geom("floor").id), *ant]


class ObjectMass(ModelEffect):
    """Scale mass and inertia of the object, as if it were of a denser material."""

    def __init__(self, env: Env) -> None:
        super().__init__(env)
        self._body = int(self._model.body(object_body(env)).id)
        self._mass = nominal(env, "object_mass", float(self._model.body_mass[self._body]))
        self._inertia = nominal(env, "object_inertia", self._model.body_inertia[self._body].copy())
        self._applied = float(self._model.body_mass[self._body]) / self._mass

    def figures(self) -> NDArray[Any]:
        return np.array([self._model.body_mass[self._body], *self._model.body_inertia[self._body]])

    def change(self, value: float) -> None:
        if value == self._applied:
            return
        import mujoco

        self._model.body_mass[self._body] = self._mass * value
        self._model.body_inertia[self._body] = self._inertia * value
        # What MuJoCo derives from masses (inverse weights of contacts, ...) must follow. It is computed
        # in the model's reference pose, in scratch data, so that the live state is not touched.
        mujoco.mj_setConst(self._model, mujoco.MjData(self._model))
        self._applied = value


class Gravity(ModelEffect):
    """Scale gravity; 0 is weightless. FetchReach hardly notices: the gripper moves by 2-4 mm."""

    def __init__(self, env: Env) -> None:
        super().__init__(env)
        self._nominal = nominal(env, "gravity", np.array(self._model.opt.gravity))

    def figures(self) -> NDArray[Any]:
        return np.asarray(self._model.opt.gravity)

    def change(self, value: float) -> None:
        self._model.opt.gravity[:] = self._nominal * value


class JointDamping(ModelEffect):
    """Scale the damping of the robot's joints: a robot that is slower to move and sooner at rest.

    Hinges only: what else moves on joints is the base of the Fetch robot, held in place by a damping of
    1e11, its fingers, and free objects. The point of PointMaze has slides and nothing else.
    """

    def __init__(self, env: Env) -> None:
        super().__init__(env)
        scene = scene_of(env)
        kind = _SLIDE if scene is not None and scene.label == "PointMaze" else _HINGE
        self._dofs = self._model.jnt_dofadr[self._model.jnt_type == kind]
        self._nominal = nominal(env, "dof_damping", self._model.dof_damping[self._dofs].copy())

    def figures(self) -> NDArray[Any]:
        return np.asarray(self._model.dof_damping[self._dofs])

    def change(self, value: float) -> None:
        self._model.dof_damping[self._dofs] = self._nominal * value
