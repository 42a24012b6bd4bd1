"""A goal spec: what learning needs to know of an env, and how it scores pairs of goals."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regoal.envs import contract
from regoal.envs.contract import Array
from regoal.envs.recipe import Env, EnvRecipe, build_again
from regoal.envs.shift import Shift
from regoal.errors import BadInput

PROBE_RESETS = 8
PROBE_STEPS = 4


@dataclass(frozen=True)
class GoalSpec:
    """Sizes, bounds and the env's own scoring of (achieved, desired) pairs.

    It pickles as a recipe: in another process the env is built once, on the first score, and its own
    `compute_reward` and `compute_terminated` are called. A shift that changes the reward therefore
    changes relabelling with it.

    Attributes:
        recipe: how to build the env.
        observation_size, goal_size, action_size: lengths of the vectors.
        action_low, action_high: bounds of the action, in the env's units.
        success_key: key in `info` of a step that says whether the goal is reached.
        reward_range: least and greatest reward seen while probing.
        sparse: whether exactly two rewards were seen.
        max_episode_steps: time limit [steps].
        can_terminate: whether the env has `compute_terminated`.
    """

    recipe: EnvRecipe
    observation_size: int
    goal_size: int
    action_size: int
    action_low: tuple[float, ...]
    action_high: tuple[float, ...]
    success_key: str
    reward_range: tuple[float, float]
    sparse: bool
    max_episode_steps: int
    can_terminate: bool
    _batched_reward: bool
    _batched_terminated: bool
    _never_terminates: bool
    _scorer: list[Env] = field(default_factory=list, compare=False, repr=False)

    @classmethod
    def of(cls, env_id: str, shift: str | Shift | None = None, **kwargs: Any) -> "GoalSpec":
        """Build the env and read its contract; see `from_recipe`."""
        return cls.from_recipe(EnvRecipe(env_id, str(shift or ""), kwargs))

    @classmethod
    def from_recipe(cls, recipe: EnvRecipe) -> "GoalSpec":
        """Build the env, read its contract and probe its scores.

        Raises:
            BadInput: the env does not keep the goal contract.
        """
        env = recipe.build()
        try:
            return cls._read(recipe, env)
        except BaseException:
            contract.close_in_time(env)
            raise

    @classmethod
    def _read(cls, recipe: EnvRecipe, env: Env) -> "GoalSpec":
        name = recipe.env_id
        observation_size, goal_size = contract.observation_sizes(env)
        low, high = contract.action_bounds(env)
        limit = contract.episode_limit(env)
        reward_function = contract.goal_function(
            env, "compute_reward", "Add compute_reward(achieved_goal, desired_goal, info) to the env."
        )
        achieved, desired, info = _probe_goals(env)
        key = contract.success_key(env, info)
        batched_reward = contract.takes_batches(f"{name} compute_reward", reward_function, achieved, desired)
        rewards = contract.score_one_by_one(reward_function, achieved, desired).astype(np.float64)
        if not np.isfinite(rewards).all():
            raise BadInput(f"{name} compute_reward", "finite rewards", str(rewards[~np.isfinite(rewards)][0]))
        contract.guarded_in_time(env, "probing, last reset", partial(env.reset, seed=PROBE_RESETS + 1))
        again = contract.score_one_by_one(reward_function, achieved, desired)
        if not np.array_equal(rewards, again):
            raise BadInput(
                f"{name} compute_reward",
                "the same reward for the same pair of goals, whatever the simulator's state",
                f"{rewards[rewards != again][0]} and then {again[rewards != again][0]}",
                "Hindsight needs a reward of the two goals alone: move what it reads into the goals.",
            )
        can_terminate = env.has_wrapper_attr("compute_terminated")
        batched_terminated = can_terminate and contract.takes_batches(
            f"{name} compute_terminated", env.get_wrapper_attr("compute_terminated"), achieved, desired
        )
        return cls(
            recipe=recipe,
            observation_size=observation_size,
            goal_size=goal_size,
            action_size=len(low),
            action_low=tuple(low.tolist()),
            action_high=tuple(high.tolist()),
            success_key=key,
            reward_range=(float(rewards.min()) + 0.0, float(rewards.max()) + 0.0),  # no -0.0
            sparse=len(np.unique(rewards)) == 2,
            max_episode_steps=limit,
            can_terminate=can_terminate,
            _batched_reward=batched_reward,
            _batched_terminated=batched_terminated,
            _never_terminates=not can_terminate
            or contract.constant_result(env.get_wrapper_attr("compute_terminated")) is False,
            _scorer=[env],
        )

    def reward(self, achieved_goal: Array, desired_goal: Array) -> NDArray[np.float32]:
        """Rewards (n,) of pairs (n, goal_size), by the env's own `compute_reward`."""
        scores = self._score("compute_reward", self._batched_reward, achieved_goal, desired_goal)
        return scores.astype(np.float32)

    def terminated(self, achieved_goal: Array, desired_goal: Array) -> NDArray[np.bool_]:
        """Whether reaching (n, goal_size) for (n, goal_size) ends the episode, (n,)."""
        if self._never_terminates:
            return np.zeros(len(achieved_goal), np.bool_)
        scores = self._score("compute_terminated", self._batched_terminated, achieved_goal, desired_goal)
        return scores.astype(np.bool_)

    def value_bounds(self, gamma: float) -> tuple[float, float]:
        """Least and greatest discounted return that the reward range allows.

        Episodes may end at any step, so a single reward is a return too. A dense reward was only
        sampled, which bounds nothing: (-inf, inf).
        """
        if not self.sparse:
            return -math.inf, math.inf
        low, high = self.reward_range
        horizon = 1.0 / (1.0 - gamma)
        return min(low, low * horizon), max(high, high * horizon)

    @property
    def ends_early(self) -> bool:
        """Whether reaching a goal may end an episode before its time limit."""
        return not self._never_terminates

    def close(self) -> None:
        """Close the env that does the scoring, if there is one."""
        while self._scorer:
            contract.close(self._scorer.pop())

    def _score(self, attribute: str, batched: bool, achieved_goal: Array, desired_goal: Array) -> Array:
        env = self._env()
        function = env.get_wrapper_attr(attribute)

        def call() -> Array:
            if batched:
                return contract.score_batch(function, achieved_goal, desired_goal)
            return contract.score_one_by_one(function, achieved_goal, desired_goal)

        scores: Array = contract.guarded(env, f"{attribute} of {len(achieved_goal)} pairs", call)
        return scores

    def _env(self) -> Env:
        if not self._scorer:
            self._scorer.append(build_again(self.recipe))
        return self._scorer[0]

    def __getstate__(self) -> Mapping[str, Any]:
        return self.__dict__ | {"_scorer": []}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)


def _probe_goals(env: Env) -> tuple[Array, Array, Mapping[str, Any]]:
    """Pairs of achieved and desired goals, reached and not, and the info of the last step."""
    sizes = contract.observation_sizes(env)
    actions = np.random.default_rng(0)
    low, high = contract.action_bounds(env)
    achieved, desired = [], []
    info: Mapping[str, Any] = {}
    for seed in range(PROBE_RESETS):
        observation, _ = contract.guarded_in_time(
            env, f"probing, reset {seed}", partial(env.reset, seed=seed)
        )
        for step in range(PROBE_STEPS):
            contract.check_observation(env, observation, sizes, f"probing, reset {seed}, step {step}")
            achieved.append(np.array(observation["achieved_goal"]))
            desired.append(np.array(observation["desired_goal"]))
            action = actions.uniform(low, high).astype(np.float32)
            observation, _, terminated, truncated, info = contract.guarded_in_time(
                env, f"probing, reset {seed}, step {step}", partial(env.step, action)
            )
            if terminated or truncated:
                break
    goals = np.stack(achieved)
    return np.concatenate([goals, goals]), np.concatenate([np.stack(desired), goals]), info
