"""Shifts of goals, sensing and actions, proved by what happens in the env."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from numpy.typing import NDArray
from shift_play import FETCH, POINT, no_action

from regoal.envs.point_reach import PointReach
from regoal.envs.recipe import Env, make
from regoal.envs.shift import Shift
from regoal.envs.shift_scenes import POINT_REACH_WALL
from regoal.errors import EnvFault

Floats = NDArray[np.float64]


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
    observation, reward, *_, info = env.step(no_action(env))
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
    np.testing.assert_allclose(error.std(axis=0), 0.02, rtol=0.3)
    assert np.abs(np.corrcoef(error.T) - np.eye(error.shape[1])).max() < 0.5  # each has its own
    plain.close()
    noisy.close()


# --- actions ------------------------------------------------------------------------------------------


def _travel(env_id: str, shift: str) -> Floats:
    """Where the achieved goal goes in x and y [m] when pushed along +x, then left to settle."""
    env = make(env_id, shift)
    options = {"reset_cell": np.array([1, 1])} if "Maze" in env_id else None
    start = env.reset(seed=3, options=options)[0]["achieved_goal"][:2].copy()
    push = no_action(env)
    push[0] = 0.4
    for step in range(14):
        observation, *_ = env.step(push if step < 6 else no_action(env))
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
        still = idle.step(no_action(idle))[0]["achieved_goal"]
        moved.append(np.linalg.norm(delayed.step(np.ones(4, np.float32))[0]["achieved_goal"] - still))
    assert moved[:2] == [0, 0]
    assert moved[2] > 0.001
    idle.close()
    delayed.close()


@pytest.mark.parametrize("bias", [0.2, -0.4])
def test_action_bias_moves_it_as_that_action_would(bias: float) -> None:
    plain, biased = make(POINT), make(POINT, f"action_bias={bias}")
    plain.reset(seed=0)
    biased.reset(seed=0)
    for _ in range(10):
        pushed, left_alone = (
            plain.step(np.full(2, bias, np.float32))[0],
            biased.step(np.zeros(2, np.float32))[0],
        )
        np.testing.assert_array_equal(left_alone["observation"], pushed["observation"])


def _reaching(env: Env, actions: NDArray[np.float32]) -> Floats:
    """What reaches the env below a shift."""
    base: Any = env.unwrapped
    received, step = [], base.step

    def recorded(action: NDArray[np.float32]) -> Any:
        received.append(np.array(action, np.float64))
        return step(action)

    base.step = recorded
    for index, action in enumerate(actions):
        if index % 50 == 0:
            env.reset(seed=index)
        env.step(action)
    env.close()
    return np.stack(received)


@pytest.mark.parametrize(
    ("shift", "expected"),
    [
        ("action_rotation=90", [-0.2, 0.1, 0.3, 0.4]),  # x and y alone turn
        ("action_gain=0.5", [0.05, 0.1, 0.15, 0.2]),
        ("action_bias=0.2", [0.3, 0.4, 0.5, 0.6]),
    ],
)
def test_every_component_of_an_action_is_shifted(shift: str, expected: list[float]) -> None:
    action = np.array([[0.1, 0.2, 0.3, 0.4]], np.float32)
    (received,) = _reaching(make("FetchPush-v4", shift), action)
    np.testing.assert_allclose(received, expected, atol=1e-6)


def test_every_component_of_an_action_has_noise_of_its_own() -> None:
    noise = _reaching(make("FetchPush-v4", "action_noise=0.2"), np.zeros((300, 4), np.float32))
    np.testing.assert_allclose(noise.std(axis=0), 0.2, rtol=0.2)
    assert np.abs(np.corrcoef(noise.T) - np.eye(4)).max() < 0.25


def test_what_a_seed_draws_for_a_shift_has_nothing_to_do_with_what_the_env_draws() -> None:
    """Or hard worlds would have starts and goals of their own."""
    env = make(POINT, "action_gain=0.5..2")
    drawn = []
    for seed in range(400):
        observation, info = env.reset(seed=seed)
        gain = float(info["shift"].removeprefix("action_gain="))
        drawn.append([gain, *observation["achieved_goal"], *observation["desired_goal"]])
    correlations = np.corrcoef(np.array(drawn).T)[0, 1:]
    assert np.abs(correlations).max() < 0.2
    generators = [env.get_wrapper_attr(name).bit_generator for name in ("_draws", "_noise")]
    keys = [one.seed_seq.spawn_key for one in generators]
    assert len({(), *keys}) == 3  # the env's own generator has none


def test_the_point_stops_at_its_wall() -> None:
    env = make(POINT)
    env.reset(seed=0)
    for _ in range(50):
        observation, *_ = env.step(np.ones(2, np.float32))
    np.testing.assert_array_equal(observation["achieved_goal"], [POINT_REACH_WALL] * 2)


def test_action_bias_makes_the_gripper_drift_in_proportion() -> None:
    drift = {}
    for bias in (-0.2, 0.2, 0.4):
        env = make("FetchReach-v4", f"action_bias={bias}")
        start = env.reset(seed=0)[0]["achieved_goal"]
        for _ in range(5):
            observation, *_ = env.step(no_action(env))
        drift[bias] = (observation["achieved_goal"] - start)[:2]
        env.close()
    np.testing.assert_allclose(drift[0.4] / drift[0.2], 2, rtol=0.15)
    np.testing.assert_allclose(drift[-0.2] / drift[0.2], -1, rtol=0.15)
    assert (drift[0.2] > 0.01).all()


def test_action_noise_makes_it_wander_in_proportion() -> None:
    """In a linear world twice the noise, drawn alike, leads twice as far from where it would have come."""
    strayed = {}
    for std in (0.05, 0.1):
        env = make(POINT, f"action_noise={std}")
        ends = []
        for seed in range(100):
            start = env.reset(seed=seed)[0]["achieved_goal"]
            for _ in range(20):
                observation, *_ = env.step(np.zeros(2, np.float32))
            ends.append(observation["achieved_goal"] - start)
        strayed[std] = np.stack(ends)
    np.testing.assert_allclose(strayed[0.1], 2 * strayed[0.05], rtol=1e-4, atol=1e-7)
    # Each push of 0.05 std comes to move it by (1 - 0.5^n) / 0.5 times that, n being the steps left.
    expected = 0.05 * 0.1 * np.sqrt(sum((2 * (1 - 0.5**n)) ** 2 for n in range(1, 21)))
    assert strayed[0.1].std() == pytest.approx(expected, rel=0.12)
    assert abs(strayed[0.1].mean()) < 0.2 * expected


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


def test_action_noise_is_white_apart_for_every_component_and_new_in_every_episode() -> None:
    recorder = Recorder(-9, 9)
    env = Shift.parse("action_noise=0.3").apply(recorder)
    for seed in (0, 1, 0):
        env.reset(seed=seed)
        for _ in range(500):
            env.step(np.zeros(2, np.float32))
    first, second, again = np.split(np.stack(recorder.received), 3)
    np.testing.assert_array_equal(first, again)
    noise = np.concatenate([first, second])
    np.testing.assert_allclose(noise.std(axis=0), 0.3, rtol=0.08)
    assert np.abs(noise.mean(axis=0)).max() < 0.03
    for one, other in (
        (noise[1:, 0], noise[:-1, 0]),
        (noise[:, 0], noise[:, 1]),
        (first[:, 0], second[:, 0]),
    ):
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.12


def test_actions_are_scaled_then_turned_then_offset_then_delayed_then_clipped() -> None:
    got = _received("action_bias=0.1,action_delay=1,action_rotation=90,action_gain=0.5", [[0.4, 0], [1, 1]])
    np.testing.assert_allclose(got, [[0.0, 0.0], [0.1, 0.3]], atol=1e-6)
    np.testing.assert_allclose(_received("action_bias=0.5", [[0.8, -0.8]]), [[1.0, -0.3]], atol=1e-6)


def test_actions_are_scaled_then_turned_then_delayed_then_clipped() -> None:
    root = np.sqrt(0.5)
    got = _received("action_delay=1,action_rotation=45,action_gain=3", [[0.25, 0], [1, 1], [0, 0.2], [0, 0]])
    # Clipping before the turn would give (0, 1.41 -> 1) for [1, 1] too, but not (0.53, 0.53) for the first.
    np.testing.assert_allclose(
        got, [[0, 0], [0.75 * root, 0.75 * root], [0, 1], [-0.6 * root, 0.6 * root]], atol=1e-6
    )
    # Scaled to (3, 0) and only clipped after the turn: (2.12, 2.12) -> (1, 1), not (0.71, 0.71).
    np.testing.assert_allclose(_received("action_gain=3,action_rotation=45", [[1, 0]]), [[1, 1]])


def test_gain_and_delay_know_that_to_ask_for_nothing_is_0_or_what_is_nearest_to_it() -> None:
    got = _received("action_gain=0.5,action_delay=1", [[3, 1], [1, 1]], low=-1, high=3)
    np.testing.assert_allclose(got, [[0, 0], [1.5, 0.5]])
    thrust = _received("action_gain=0.5,action_delay=1", [[0, 1], [1, 1]], low=0, high=1)
    np.testing.assert_allclose(thrust, [[0, 0], [0, 0.5]])  # weaker motors do not push harder
    np.testing.assert_allclose(_received("action_delay=1", [[4, 3]], low=2, high=5), [[2, 2]])


def test_an_action_of_another_shape_is_not_spread_over_the_robot() -> None:
    env = make("regoal/PointReach-v0", "action_gain=0.5")
    env.reset(seed=0)
    for action in (np.array([0.3]), np.zeros((1, 2)), np.float32(0.3)):
        with pytest.raises(EnvFault, match=r"step: expected an action of shape \(2,\), got shape"):
            env.step(action)


def test_what_is_asked_beyond_the_box_counts_as_its_edge() -> None:
    np.testing.assert_allclose(_received("action_gain=0.5", [[8, -8]]), [[0.5, -0.5]])
