"""Shifts of the physics, proved by what happens in the env, and not by reading a parameter back.

What a shift leaves alone, nobody sees happen: that is read in the model.
"""

import copy
from typing import Any

import gymnasium as gym
import mujoco
import numpy as np
import pytest
from gymnasium_robotics.envs.fetch.reach import MujocoFetchReachEnv
from numpy.typing import NDArray

from regoal.envs.physics_shifts import ObjectMass
from regoal.envs.recipe import Env, make
from regoal.errors import EnvFault


def _zero(env: Env) -> NDArray[np.float32]:
    return np.zeros(env.action_space.shape or (), np.float32)


def _place_object(env: Env, joint: str, position: list[float]) -> slice:
    """Put the object somewhere, upright and at rest; returns where its velocities are in `qvel`."""
    base: Any = env.unwrapped
    found = base.model.joint(joint)
    place, velocity = int(found.qposadr[0]), int(found.dofadr[0])
    base.data.qpos[place : place + 7] = [*position, 1, 0, 0, 0]
    base.data.qvel[velocity : velocity + 6] = 0
    mujoco.mj_forward(base.model, base.data)
    return slice(velocity, velocity + 6)


class SetsItsGravity(MujocoFetchReachEnv):
    """Draws the world anew at every reset, as many do for domain randomisation."""

    def reset(self, **kwargs: Any) -> Any:
        found = super().reset(**kwargs)
        self.model.opt.gravity[:] = (0, 0, -9.81)
        return found


class MakesItsModelAnew(MujocoFetchReachEnv):
    def reset(self, **kwargs: Any) -> Any:
        found = super().reset(**kwargs)
        self.model = copy.copy(self.model)
        return found


@pytest.mark.parametrize("env", [SetsItsGravity, MakesItsModelAnew])
def test_an_env_that_undoes_a_shift_of_physics_is_told(env: type[MujocoFetchReachEnv]) -> None:
    gym.register("undoing/Shift-v0", entry_point=env, max_episode_steps=5)
    try:
        undone = make("undoing/Shift-v0", "gravity=0.5..1")
        with pytest.raises(
            EnvFault, match="expected an env that keeps the figures of its model over a reset"
        ):
            undone.reset(seed=0)
        undone.close()
        plain = make("undoing/Shift-v0", "gravity=1")
        plain.reset(seed=0)
        plain.close()
    finally:
        del gym.registry["undoing/Shift-v0"]


# --- friction -----------------------------------------------------------------------------------------


def _slide(env_id: str, shift: str) -> float:
    """How far [m] the object slides at 0.5 m/s from the start, with the arm away."""
    env = make(env_id, shift)
    env.reset(seed=0)
    for _ in range(4):
        env.step(np.array([0, 0, 1, 0], np.float32))
    base: Any = env.unwrapped
    height = float(base.height_offset)
    velocity = _place_object(env, "object0:joint", [1.25, 0.55, height])
    base.data.qvel[velocity.start + 1] = 0.5
    for _ in range(25):
        env.step(_zero(env))
    assert abs(base.data.body("object0").xpos[2] - height) < 0.01, "it fell off the table"
    distance = float(base.data.body("object0").xpos[1]) - 0.55
    env.close()
    return distance


def test_friction_sets_how_far_an_object_slides() -> None:
    plain, half, tenth, twice = (
        _slide("FetchPush-v4", s) for s in ("", "friction=0.5", "friction=0.1", "friction=2")
    )
    assert plain == pytest.approx(0.5**2 / (2 * 9.81), rel=0.1)  # v^2 / (2 mu g), mu = 1
    assert half / plain == pytest.approx(2, rel=0.1)
    assert tenth / plain == pytest.approx(10, rel=0.15)
    assert twice < 0.6 * plain
    assert _slide("FetchSlide-v4", "friction=2") / _slide("FetchSlide-v4", "") == pytest.approx(0.5, rel=0.1)


def test_friction_sets_how_far_the_ant_slides() -> None:
    distances = []
    for shift in ("friction=0.1", "friction=0.5", "", "friction=2"):
        env = make("AntMaze_UMaze-v5", shift)
        env.reset(seed=0)
        for _ in range(60):
            env.step(_zero(env))
        data: Any = env.unwrapped.data  # type: ignore[attr-defined]
        start = float(data.qpos[0])
        data.qvel[:] = 0
        data.qvel[0] = 2.0 if start < 0 else -2.0
        for _ in range(30):
            env.step(_zero(env))
        distances.append(abs(float(data.qpos[0]) - start))
        env.close()
    assert distances == sorted(distances, reverse=True)
    assert distances[0] > 4 * distances[2]


def _changed(env_id: str, shift: str, figures: str) -> dict[str, NDArray[Any]]:
    """What a shift makes of figures of the model that are not 0, by the name of their body or joint."""
    plain, shifted = make(env_id), make(env_id, shift)
    shifted.reset(seed=0)
    model, other = (env.unwrapped.model for env in (plain, shifted))  # type: ignore[attr-defined]
    before, after = getattr(model, figures), getattr(other, figures)
    found = {}
    for row in np.flatnonzero((before != after).reshape(len(before), -1).any(axis=1)):
        if figures == "geom_friction":
            name = model.body(model.geom_bodyid[row]).name
        else:
            name = model.joint(model.dof_jntid[row]).name
        found[name] = after[row] / before[row]
    plain.close()
    shifted.close()
    return found


def test_the_fingers_keep_their_friction() -> None:
    found = _changed("FetchPickAndPlace-v4", "friction=0.3", "geom_friction")
    assert set(found) == {"object0", "table0"}
    for name, ratios in found.items():
        np.testing.assert_allclose(ratios, [0.3] * 3, err_msg=name)  # sliding, torsional, rolling


def test_hinges_alone_are_damped() -> None:
    found = _changed("FetchPickAndPlace-v4", "joint_damping=4", "dof_damping")
    env: Any = make("FetchPickAndPlace-v4").unwrapped
    hinges = {
        env.model.joint(joint).name
        for joint in range(env.model.njnt)
        if env.model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_HINGE
    }
    assert set(found) == hinges
    assert len(hinges) > 7
    np.testing.assert_allclose(np.array(list(found.values())), 4.0)
    env.close()


# --- mass ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("env_id", "body", "joint"),
    [
        ("FetchPush-v4", "object0", "object0:joint"),
        ("HandManipulateBlock-v1", "object", "object:joint"),
    ],
)
def test_object_mass_divides_the_acceleration_under_a_fixed_force_and_torque(
    env_id: str, body: str, joint: str
) -> None:
    gained = {}
    for shift in ("", "object_mass=0.5", "object_mass=5"):
        env = make(env_id, shift)
        env.reset(seed=0)
        base: Any = env.unwrapped
        velocity = _place_object(env, joint, [1.0, 0.75, 3.0])  # in the air, far from everything
        base.data.body(body).xfrc_applied[:] = [0.2, 0, 0, 0, 0, 1e-5]
        mujoco.mj_forward(base.model, base.data)  # at rest: the joint's damping has no say yet
        gained[shift] = base.data.qacc[velocity][[0, 5]]  # along x, about z
        env.close()
    assert (gained[""] > 0).all()
    np.testing.assert_allclose(gained["object_mass=0.5"] / gained[""], 2, rtol=0.1)
    np.testing.assert_allclose(gained["object_mass=5"] / gained[""], 0.2, rtol=0.1)


def test_contacts_know_of_the_new_mass() -> None:
    weights = []
    for shift in ("", "object_mass=10"):
        env = make("FetchPush-v4", shift)
        env.reset(seed=0)
        model: Any = env.unwrapped.model  # type: ignore[attr-defined]
        weights.append(model.body_invweight0[model.body("object0").id].copy())
        env.close()
    np.testing.assert_allclose(weights[0] / weights[1], 10.0, rtol=1e-6)


def test_a_heavier_object_is_still_pushed_but_slows_the_arm() -> None:
    """The contact weights that MuJoCo derives follow the mass: pushing 10 times the mass stays sound."""
    pushed = {}
    for shift in ("", "object_mass=10"):
        env = make("FetchPush-v4", shift)
        env.reset(seed=0)
        base: Any = env.unwrapped
        grip = np.array(base.initial_gripper_xpos)
        _place_object(env, "object0:joint", [grip[0] + 0.08, grip[1], base.height_offset])
        for _ in range(10):
            observation, *_ = env.step(np.array([0.5, 0, -0.05, 0], np.float32))
        assert np.isfinite(observation["observation"]).all()
        pushed[shift] = float(observation["achieved_goal"][0]) - grip[0] - 0.08
        env.close()
    assert pushed[""] > 0.01
    assert 0 < pushed["object_mass=10"] < pushed[""]


def test_changing_the_mass_leaves_the_running_simulation_where_it_is() -> None:
    env = make("FetchPush-v4")
    env.reset(seed=0)
    for _ in range(3):
        env.step(np.ones(4, np.float32))
    data: Any = env.unwrapped.data  # type: ignore[attr-defined]
    before = [np.array(part) for part in (data.qpos, data.qvel, data.xpos, data.mocap_pos, data.time)]
    ObjectMass(env).begin(5.0)
    after = (data.qpos, data.qvel, data.xpos, data.mocap_pos, data.time)
    assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))
    env.close()


# --- gravity ------------------------------------------------------------------------------------------


def _fall(shift: str) -> float:
    """How far [m] a lifted object falls in 0.1 s."""
    env = make("FetchPush-v4", shift)
    env.reset(seed=0)
    base: Any = env.unwrapped
    _place_object(env, "object0:joint", [1.3, 0.45, 0.9])
    while base.data.time < base.initial_time + 0.1 - 1e-9:
        mujoco.mj_step(base.model, base.data)
    fallen = 0.9 - float(base.data.body("object0").xpos[2])
    env.close()
    return fallen


def test_gravity_sets_how_far_an_object_falls() -> None:
    plain = _fall("")
    assert plain == pytest.approx(0.5 * 9.81 * 0.1**2, rel=0.05)
    assert _fall("gravity=0.5") / plain == pytest.approx(0.5, rel=0.02)
    assert _fall("gravity=2") / plain == pytest.approx(2, rel=0.02)
    assert abs(_fall("gravity=0")) < 1e-6


def test_gravity_hardly_matters_to_fetch_reach() -> None:
    places = []
    for shift in ("", "gravity=0.5", "gravity=2"):
        env = make("FetchReach-v4", shift)
        env.reset(seed=0)
        for _ in range(15):
            observation, *_ = env.step(np.array([0.5, 0.5, 0.2, 0], np.float32))
        places.append(observation["achieved_goal"])
        env.close()
    for place in places[1:]:
        assert 1e-4 < np.linalg.norm(place - places[0]) < 0.01


# --- damping of the joints ----------------------------------------------------------------------------


def _travelled(env_id: str, factor: float, action: float, steps: int) -> float:
    """How far the joints (Hand, Ant), the gripper or the point [m] come under a constant action."""
    env = make(env_id, f"joint_damping={factor}")
    env.reset(seed=3, options={"reset_cell": np.array([1, 1])} if "Maze" in env_id else None)
    base: Any = env.unwrapped

    def where() -> NDArray[np.float64]:
        if env_id.startswith("Fetch"):
            return np.array(base._utils.get_site_xpos(base.model, base.data, "robot0:grip"))
        return np.array(base.data.qpos[7:] if env_id.startswith("Ant") else base.data.qpos)

    start = where()
    push = _zero(env)
    push[: 1 if "Fetch" in env_id or "Point" in env_id else None] = action
    for _ in range(steps):
        env.step(push)
    env.close()
    return float(np.linalg.norm(where() - start))


def test_joint_damping_slows_the_fingers_in_proportion() -> None:
    """Position servos against dampers: the way of the first step goes with 1 / damping."""
    plain, five, fifty = (_travelled("HandReach-v3", factor, 0.5, 1) for factor in (1, 5, 50))
    assert plain / five > 2.5
    assert five / fifty == pytest.approx(10, rel=0.2)


def test_joint_damping_slows_the_legs_of_the_ant() -> None:
    less, plain, ten, fifty = (_travelled("AntMaze_UMaze-v5", factor, 0.5, 2) for factor in (0.1, 1, 10, 50))
    assert less > plain
    assert ten / plain == pytest.approx(0.77, abs=0.05)
    assert fifty / plain == pytest.approx(0.53, abs=0.08)


def test_joint_damping_makes_the_point_of_the_maze_lag_behind() -> None:
    """Its speed tends to force / damping with a time constant of mass / damping."""
    mass, force, seconds = 1000 * 4 / 3 * np.pi * 0.1**3, 10.0, 0.4
    for factor in (1, 10, 50):
        lag = mass / factor
        expected = force / factor * (seconds - lag * (1 - np.exp(-seconds / lag)))
        assert _travelled("PointMaze_UMaze-v3", factor, 0.1, 40) == pytest.approx(expected, rel=0.05)


def test_joint_damping_shortens_the_way_of_the_gripper_a_little() -> None:
    plain, ten, hundred = (_travelled("FetchReach-v4", factor, 0.5, 5) for factor in (1, 10, 100))
    assert ten / plain == pytest.approx(0.93, abs=0.03)
    assert hundred / plain == pytest.approx(0.69, abs=0.05)
