"""Each family proved by what happens in the env, never by reading a parameter back."""

from typing import Any

import gymnasium as gym
import mujoco
import numpy as np
import pytest
from numpy.typing import NDArray

from regoal.envs.make import Env, make
from regoal.envs.point_reach import PointReach
from regoal.envs.shift import Shift

Floats = NDArray[np.float64]
FETCH = ["FetchReach-v4", "FetchPush-v4", "FetchSlide-v4", "FetchPickAndPlace-v4"]
POINT = "regoal/PointReach-v0"


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


# --- goals --------------------------------------------------------------------------------------------


def _goals(env_id: str, shift: str) -> tuple[Floats, Env]:
    env = make(env_id, shift)
    return np.stack([env.reset(seed=seed)[0]["desired_goal"] for seed in range(20)]), env


@pytest.mark.parametrize("factor", [0.5, 1.2])
@pytest.mark.parametrize("env_id", [*FETCH, POINT])
def test_goal_region_scales_the_goals_of_the_same_seeds(env_id: str, factor: float) -> None:
    plain, plain_env = _goals(env_id, "")
    shifted, env = _goals(env_id, f"goal_region={factor}")
    base: Any = plain_env.unwrapped
    centre = np.zeros(2)
    if env_id != POINT:
        centre = base.initial_gripper_xpos[:2] + np.array([0.4 if "Slide" in env_id else 0, 0])
        np.testing.assert_array_equal(shifted[:, 2], plain[:, 2])
    np.testing.assert_allclose(shifted[:, :2] - centre, factor * (plain[:, :2] - centre), atol=1e-9)
    observation, reward, *_, info = env.step(_zero(env))
    np.testing.assert_array_equal(observation["desired_goal"], shifted[-1])
    assert reward == env.get_wrapper_attr("compute_reward")(observation["achieved_goal"], shifted[-1], info)
    plain_env.close()
    env.close()


def test_the_widest_goal_region_can_be_reached() -> None:
    env = make("FetchReach-v4", "goal_region=2")
    for seed in range(6):
        observation, info = env.reset(seed=seed)
        for _ in range(50):
            towards = (observation["desired_goal"] - observation["achieved_goal"]) * 10
            action = np.append(np.clip(towards, -1, 1), 0).astype(np.float32)
            observation, *_, info = env.step(action)
        assert info["is_success"]
    env.close()


# --- sensing ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("env_id", ["FetchReach-v4", POINT])
def test_noise_is_on_the_observation_only_white_and_of_the_right_size(env_id: str) -> None:
    plain, noisy = make(env_id), make(env_id, "observation_noise=0.02")
    actions = np.random.default_rng(0)
    errors = []
    for seed in range(3):
        true, seen = plain.reset(seed=seed)[0], noisy.reset(seed=seed)[0]
        for _ in range(40):
            assert seen["observation"].dtype == true["observation"].dtype
            np.testing.assert_array_equal(seen["achieved_goal"], true["achieved_goal"])
            np.testing.assert_array_equal(seen["desired_goal"], true["desired_goal"])
            errors.append(seen["observation"] - true["observation"])
            action = actions.uniform(-1, 1, plain.action_space.shape or ()).astype(np.float32)
            (true, *_, told), (seen, *_, told_noisy) = plain.step(action), noisy.step(action)
            assert told["is_success"] == told_noisy["is_success"]
    error = np.stack(errors)
    assert abs(error.std() - 0.02) < 0.002
    assert abs(error.mean()) < 0.003
    assert abs(np.corrcoef(error[1:].ravel(), error[:-1].ravel())[0, 1]) < 0.12
    plain.close()
    noisy.close()


# --- actions ------------------------------------------------------------------------------------------


def _travel(env_id: str, shift: str) -> Floats:
    """Where the achieved goal goes in x and y [m] when pushed along +x, then left to settle."""
    env = make(env_id, shift)
    options = {"reset_cell": np.array([1, 1])} if "Maze" in env_id else None
    start = env.reset(seed=3, options=options)[0]["achieved_goal"][:2].copy()
    push = _zero(env)
    push[0] = 0.4
    for step in range(14):
        observation, *_ = env.step(push if step < 6 else _zero(env))
    env.close()
    return np.asarray(observation["achieved_goal"][:2] - start)


@pytest.mark.parametrize("env_id", ["FetchReach-v4", "PointMaze_UMaze-v3", POINT])
@pytest.mark.parametrize("gain", [0.5, 2.0])
def test_action_gain_scales_how_far_it_travels(env_id: str, gain: float) -> None:
    plain, shifted = _travel(env_id, ""), _travel(env_id, f"action_gain={gain}")
    assert plain[0] > 0.001
    assert shifted[0] / plain[0] == pytest.approx(gain, rel=0.06)


@pytest.mark.parametrize("env_id", ["FetchReach-v4", "PointMaze_UMaze-v3", POINT])
@pytest.mark.parametrize("angle", [45, 90, -30])
def test_action_rotation_turns_the_way_it_travels(env_id: str, angle: int) -> None:
    plain, shifted = _travel(env_id, ""), _travel(env_id, f"action_rotation={angle}")
    turned = np.degrees(np.arctan2(shifted[1], shifted[0]) - np.arctan2(plain[1], plain[0]))
    assert turned == pytest.approx(angle, abs=3)
    assert np.linalg.norm(shifted) / np.linalg.norm(plain) == pytest.approx(1, rel=0.05)


def test_action_delay_moves_the_trajectory_in_time() -> None:
    plain, delayed = make(POINT), make(POINT, "action_delay=3")
    actions = np.random.default_rng(1).uniform(-1, 1, (20, 2)).astype(np.float32)
    start = plain.reset(seed=0)[0]["achieved_goal"]
    delayed.reset(seed=0)
    first = [plain.step(action)[0]["achieved_goal"] for action in actions]
    later = [delayed.step(action)[0]["achieved_goal"] for action in actions]
    np.testing.assert_array_equal(later[:3], [start] * 3)
    np.testing.assert_array_equal(later[3:], first[:-3])


def test_a_delayed_gripper_first_does_what_it_does_without_action() -> None:
    idle, delayed = make("FetchReach-v4"), make("FetchReach-v4", "action_delay=2")
    idle.reset(seed=0)
    delayed.reset(seed=0)
    moved = []
    for _ in range(4):
        still = idle.step(_zero(idle))[0]["achieved_goal"]
        moved.append(np.linalg.norm(delayed.step(np.ones(4, np.float32))[0]["achieved_goal"] - still))
    assert moved[:2] == [0, 0]
    assert moved[2] > 0.001
    idle.close()
    delayed.close()


class Recorder(PointReach):
    """PointReach that notes the actions it is given."""

    def __init__(self, low: float = -1.0, high: float = 1.0) -> None:
        super().__init__()
        self.action_space = gym.spaces.Box(low, high, (2,), np.float32)
        self.received: list[Floats] = []

    def step(self, action: NDArray[np.float32]) -> Any:
        assert action.dtype == np.float32
        self.received.append(np.array(action))
        return super().step(action)


def _received(shift: str, actions: list[list[float]], low: float = -1.0, high: float = 1.0) -> Floats:
    recorder = Recorder(low, high)
    env = Shift.parse(shift).apply(recorder)
    env.reset(seed=0)
    for action in actions:
        env.step(np.array(action, np.float32))
    return np.stack(recorder.received)


def test_actions_are_scaled_then_turned_then_delayed_then_clipped() -> None:
    root = np.sqrt(0.5)
    got = _received("action_delay=1,action_rotation=45,action_gain=3", [[0.25, 0], [1, 1], [0, 0.2], [0, 0]])
    # Clipping before the turn would give (0, 1.41 -> 1) for [1, 1] too, but not (0.53, 0.53) for the first.
    np.testing.assert_allclose(
        got, [[0, 0], [0.75 * root, 0.75 * root], [0, 1], [-0.6 * root, 0.6 * root]], atol=1e-6
    )
    # Scaled to (3, 0) and only clipped after the turn: (2.12, 2.12) -> (1, 1), not (0.71, 0.71).
    np.testing.assert_allclose(_received("action_gain=3,action_rotation=45", [[1, 0]]), [[1, 1]])


def test_gain_and_delay_know_a_box_whose_centre_is_not_zero() -> None:
    got = _received("action_gain=0.5,action_delay=1", [[3, 1], [1, 1]], low=-1, high=3)
    np.testing.assert_allclose(got, [[1, 1], [2, 1]])


def test_what_is_asked_beyond_the_box_counts_as_its_edge() -> None:
    np.testing.assert_allclose(_received("action_gain=0.5", [[8, -8]]), [[0.5, -0.5]])
