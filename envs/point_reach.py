"""A point mass in the plane that must come to a goal: a goal env for tests and first steps."""

from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class PointReach(gym.Env[dict[str, Any], NDArray[np.float32]]):
    """`regoal/PointReach-v0`: push a point mass to a goal in a square table of 2 m x 2 m.

    Observation (4,): position [m] and velocity [m/step]. Achieved goal (2,): the position.
    Action (2,): acceleration in [-1, 1], 0.05 m/step^2 at full scale; the velocity halves every step.
    Reward: 0 within `distance_threshold` of the goal, else -1.

    Args:
        terminate_on_success: end the episode when the goal is reached.
        distance_threshold: how near counts as reached [m].
        render_mode: `"rgb_array"` or `None`.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012 (gymnasium's own form)

    def __init__(
        self,
        terminate_on_success: bool = False,
        distance_threshold: float = 0.1,
        render_mode: str | None = None,
    ) -> None:
        self.terminate_on_success = terminate_on_success
        self.distance_threshold = distance_threshold
        self.render_mode = render_mode
        self.start_range = 1.0  # positions at the start are drawn from [-start_range, start_range]^2
        self.goal_range = 1.0  # and goals from [-goal_range, goal_range]^2
        plane = gym.spaces.Box(-np.inf, np.inf, (2,), np.float64)
        self.observation_space = gym.spaces.Dict(
            observation=gym.spaces.Box(-np.inf, np.inf, (4,), np.float64),
            achieved_goal=plane,
            desired_goal=plane,
        )
        self.action_space = gym.spaces.Box(-1.0, 1.0, (2,), np.float32)
        self._position = np.zeros(2)
        self._velocity = np.zeros(2)
        self._goal = np.zeros(2)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Floats], dict[str, Any]]:
        super().reset(seed=seed)
        self._position = self.np_random.uniform(-self.start_range, self.start_range, 2)
        self._velocity = np.zeros(2)
        self._goal = self.np_random.uniform(-self.goal_range, self.goal_range, 2)
        return self._observe(), {"is_success": self._is_near(self._position)}

    def step(
        self, action: NDArray[np.float32]
    ) -> tuple[dict[str, Floats], float, bool, bool, dict[str, Any]]:
        push = np.clip(np.asarray(action, np.float64), -1.0, 1.0)
        self._velocity = 0.5 * self._velocity + 0.05 * push
        self._position = np.clip(self._position + self._velocity, -1.5, 1.5)
        reward = float(self.compute_reward(self._position, self._goal, {}))
        terminated = bool(self.compute_terminated(self._position, self._goal, {}))
        return self._observe(), reward, terminated, False, {"is_success": self._is_near(self._position)}

    def compute_reward(self, achieved_goal: Floats, desired_goal: Floats, info: Any) -> Floats:
        """Shapes (..., 2) and (..., 2) to (...): 0 where the goal is reached, else -1."""
        distance = np.linalg.norm(achieved_goal - desired_goal, axis=-1)
        return np.asarray(-(distance > self.distance_threshold).astype(np.float64))

    def compute_terminated(self, achieved_goal: Floats, desired_goal: Floats, info: Any) -> NDArray[np.bool_]:
        """Shapes as for the reward: where the episode ends because the goal is reached."""
        reached: NDArray[np.bool_] = self.compute_reward(achieved_goal, desired_goal, info) == 0
        return reached & self.terminate_on_success

    def compute_truncated(self, achieved_goal: Floats, desired_goal: Floats, info: Any) -> bool:
        """Never: the time limit truncates."""
        return False

    def render(self) -> NDArray[np.uint8] | None:
        """A 240 x 240 picture: the goal in green, the point mass in blue."""
        if self.render_mode != "rgb_array":
            return None
        picture = np.full((240, 240, 3), 245, np.uint8)
        for place, colour, half in ((self._goal, (40, 160, 80), 6), (self._position, (40, 80, 200), 4)):
            column, row = (np.clip((place * [1, -1] + 1.5) / 3.0, 0, 1) * 239).astype(int)
            picture[max(row - half, 0) : row + half, max(column - half, 0) : column + half] = colour
        return picture

    def _is_near(self, position: Floats) -> bool:
        return bool(np.linalg.norm(position - self._goal) <= self.distance_threshold)

    def _observe(self) -> dict[str, Floats]:
        return {
            "observation": np.concatenate([self._position, self._velocity]),
            "achieved_goal": self._position.copy(),
            "desired_goal": self._goal.copy(),
        }
