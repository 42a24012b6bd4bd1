"""Goal envs with one fault each, to show that the checks find it; importing this registers them.

`broken_envs:broken/<Class>-v0` is the env of each class below. Those in KEEPS_THE_CONTRACT have no fault.
"""

import time
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np

from regoal.envs.point_reach import PointReach

KEEPS_THE_CONTRACT = (
    "Fine",
    "LoopableReward",
    "CostOfDistance",
    "SuccessAsFloat",
    "BlindToItself",
    "CloseRaises",
    "SuccessAtTimesWrong",
)
TIME_LIMIT = 50


class Fine(PointReach):
    """PointReach that counts its episodes and steps (from 0, as messages do), with a larger goal."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**({"distance_threshold": 0.5} | kwargs))
        self.episode, self.now = -1, -1

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        self.episode, self.now = self.episode + 1, -1
        return super().reset(seed=seed, options=options)

    def step(self, action: Any) -> Any:
        self.now += 1
        return super().step(action)


class MissingKey(Fine):
    """Declares and returns no achieved_goal."""

    def __init__(self) -> None:
        super().__init__()
        self.observation_space = gym.spaces.Dict(
            {key: box for key, box in self.observation_space.spaces.items() if key != "achieved_goal"}
        )

    def _observe(self) -> Any:
        return {key: value for key, value in super()._observe().items() if key != "achieved_goal"}


class DroppedKey(Fine):
    """Declares desired_goal and leaves it out at step 5."""

    def _observe(self) -> Any:
        observation = super()._observe()
        return {k: v for k, v in observation.items() if self.now != 5 or k != "desired_goal"}


class WrongShape(Fine):
    def _observe(self) -> Any:
        return super()._observe() | {"observation": np.zeros(3)}


class IntegerGoal(Fine):
    def _observe(self) -> Any:
        return super()._observe() | {"achieved_goal": np.zeros(2, np.int64)}


class NanObservation(Fine):
    """NaN at step 20 only, where a short probe does not come."""

    def _observe(self) -> Any:
        observation = super()._observe()
        if self.now == 20:
            observation["observation"][1] = np.nan
        return observation


class NanReward(Fine):
    def step(self, action: Any) -> Any:
        observation, reward, *rest = super().step(action)
        return observation, np.nan if self.now == 20 else reward, *rest


class CrashPenalty(Fine):
    """Step 7 of every episode costs 10, of which compute_reward knows nothing."""

    def step(self, action: Any) -> Any:
        observation, reward, *rest = super().step(action)
        return observation, reward - 10.0 * (self.now == 7), *rest


class DenseCrashPenalty(Fine):
    """The same of a dense reward."""

    def compute_reward(self, achieved_goal: Any, desired_goal: Any, info: Any) -> Any:
        return -np.linalg.norm(achieved_goal - desired_goal, axis=-1)

    def step(self, action: Any) -> Any:
        observation, reward, *rest = super().step(action)
        return observation, reward - 10.0 * (self.now == 7), *rest


class ArrayReward(gym.Wrapper[Any, Any, Any, Any]):
    """compute_reward is neither batched nor loopable: an array for one pair, nothing for a batch."""

    def compute_reward(self, achieved_goal: Any, desired_goal: Any, info: Any) -> Any:
        assert achieved_goal.ndim == 1, "one pair at a time"
        return -np.abs(achieved_goal - desired_goal)


class WritesIntoGoals(Fine):
    """compute_reward overwrites what does not count in the goal it is given; the step's own is a copy."""

    def compute_reward(self, achieved_goal: Any, desired_goal: Any, info: Any) -> Any:
        if achieved_goal is self._position:
            achieved_goal = achieved_goal.copy()
        achieved_goal[..., 1] = desired_goal[..., 1]
        return super().compute_reward(achieved_goal, desired_goal, info)

    def _is_near(self, position: Any) -> bool:
        return bool(self.compute_reward(position.copy(), self._goal, {}) == 0)


class TakesNoReadOnly(Fine):
    """compute_reward writes into nothing, and wants arrays that it could write into."""

    def compute_reward(self, achieved_goal: Any, desired_goal: Any, info: Any) -> Any:
        if not achieved_goal.flags.writeable:
            raise TypeError("no matching definition for argument type readonly array")
        return super().compute_reward(achieved_goal, desired_goal, info)


class CloseRaises(Fine):
    """No fault that learning would see: it cannot be closed."""

    def close(self) -> None:
        raise RuntimeError("the viewer is gone")


class LoopableReward(Fine):
    """No fault: takes one pair at a time, and gives one number for it."""

    def compute_reward(self, achieved_goal: Any, desired_goal: Any, info: Any) -> Any:
        return 0.0 if float(np.sum((achieved_goal - desired_goal) ** 2)) < 0.25 else -1.0


class CostOfDistance(Fine):
    """No fault: a dense reward, returned with float32 noise."""

    def compute_reward(self, achieved_goal: Any, desired_goal: Any, info: Any) -> Any:
        return -np.linalg.norm(achieved_goal - desired_goal, axis=-1)

    def step(self, action: Any) -> Any:
        observation, reward, *rest = super().step(action)
        return observation, np.float32(reward) * np.float32(1 + 1e-7), *rest


class SuccessAsFloat(Fine):
    """No fault: the mazes' key, as a number."""

    def step(self, action: Any) -> Any:
        *rest, info = super().step(action)
        return *rest, {"success": np.float32(info["is_success"])}


class InfoReward(gym.Wrapper[Any, Any, Any, Any]):
    """compute_reward asks info for a key."""

    def cost(self, info: Any) -> float:
        return float(info["cost"])

    def compute_reward(self, achieved_goal: Any, desired_goal: Any, info: Any) -> Any:
        reached = PointReach.compute_reward(self.unwrapped, achieved_goal, desired_goal, info)  # type: ignore[arg-type]
        return reached - self.cost(info)

    def step(self, action: Any) -> Any:
        observation, _, *ends, info = self.env.step(action)
        info["cost"] = 0.5
        reward = self.compute_reward(observation["achieved_goal"], observation["desired_goal"], info)
        return observation, float(reward), *ends, info


class PoliteInfoReward(InfoReward):
    """compute_reward reads info where there is one, and does without where there is none."""

    def cost(self, info: Any) -> float:
        return float(info.get("cost", 0.0))


class SimulatorReward(Fine):
    """compute_reward subtracts the speed, which is in no goal."""

    def compute_reward(self, achieved_goal: Any, desired_goal: Any, info: Any) -> Any:
        return super().compute_reward(achieved_goal, desired_goal, info) - np.abs(self._velocity).sum()


class SimulatorTermination(Fine):
    """Ends at the goal where it is quick, too, and the speed is in no goal."""

    def __init__(self) -> None:
        super().__init__(distance_threshold=3.0)  # it is there all the time

    def compute_terminated(self, achieved_goal: Any, desired_goal: Any, info: Any) -> Any:
        reached = self.compute_reward(achieved_goal, desired_goal, info) == 0
        return reached & bool(self._velocity[0] > 0.05)


class Aliasing(Fine):
    """Returns its own array and moves it along in place."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = np.zeros(2)

    def _observe(self) -> Any:
        self.shared[:] = self._position
        return super()._observe() | {"achieved_goal": self.shared}


class DiscreteAction(Fine):
    def __init__(self) -> None:
        super().__init__()
        self.action_space = gym.spaces.Discrete(4)

    def step(self, action: Any) -> Any:
        return super().step([[1, 0], [-1, 0], [0, 1], [0, -1]][int(action)])


class ImageObservation(Fine):
    """Declares a picture."""

    def __init__(self) -> None:
        super().__init__()
        picture = gym.spaces.Box(0.0, 1.0, (2, 2))
        self.observation_space = gym.spaces.Dict(
            dict(self.observation_space.spaces) | {"observation": picture}
        )


class IntegerBox(Fine):
    """Declares goals on a grid."""

    def __init__(self) -> None:
        super().__init__()
        grid = gym.spaces.Box(-9, 9, (2,), np.int64)
        self.observation_space = gym.spaces.Dict(
            dict(self.observation_space.spaces) | {"achieved_goal": grid}
        )


class UnequalGoals(Fine):
    """Declares that three numbers are desired where two are achieved."""

    def __init__(self) -> None:
        super().__init__()
        goal = gym.spaces.Box(-1.0, 1.0, (3,))
        self.observation_space = gym.spaces.Dict(dict(self.observation_space.spaces) | {"desired_goal": goal})


class OneAction(Fine):
    """Its box of actions is a point."""

    def __init__(self) -> None:
        super().__init__()
        self.action_space = gym.spaces.Box(0.5, 0.5, (2,), np.float32)


class UnboundedAction(Fine):
    def __init__(self) -> None:
        super().__init__()
        self.action_space = gym.spaces.Box(-np.inf, np.inf, (2,), np.float32)


class NestedGoals(Fine):
    def __init__(self) -> None:
        super().__init__()
        goal = gym.spaces.Dict({"hand": gym.spaces.Box(-1.0, 1.0, (2,))})
        self.observation_space = gym.spaces.Dict(
            dict(self.observation_space.spaces) | {"achieved_goal": goal, "desired_goal": goal}
        )


class NoSuccessKey(Fine):
    def step(self, action: Any) -> Any:
        *rest, _ = super().step(action)
        return *rest, {"distance": 0.0}


class InvertedSuccess(Fine):
    """A reward of -1 or 0, as a bool."""

    def step(self, action: Any) -> Any:
        observation, reward, *rest, info = super().step(action)
        return observation, reward, *rest, info | {"is_success": bool(reward)}


class SuccessAtTimesWrong(Fine):
    """No fault, but odd: every fifth step tells the contrary."""

    def step(self, action: Any) -> Any:
        *rest, info = super().step(action)
        return *rest, {"is_success": bool(info["is_success"]) != (self.now % 5 == 4)}


class SuccessMostlyWrong(Fine):
    """Three of five steps tell the contrary."""

    def step(self, action: Any) -> Any:
        *rest, info = super().step(action)
        return *rest, {"is_success": bool(info["is_success"]) != (self.now % 5 < 3)}


class BlindToItself(Fine):
    """Sees how fast it is, and not where."""

    def _observe(self) -> Any:
        observation = super()._observe()
        return observation | {"observation": np.concatenate([np.zeros(2), observation["observation"][2:]])}


class SuccessVanishes(Fine):
    """Tells success up to step 9 and then no more."""

    def step(self, action: Any) -> Any:
        *rest, info = super().step(action)
        return *rest, info if self.now < 10 else {}


class SuccessAsText(Fine):
    def step(self, action: Any) -> Any:
        *rest, _ = super().step(action)
        return *rest, {"is_success": "no"}


class Raises(Fine):
    """Raises at step 30, from the second episode on."""

    def step(self, action: Any) -> Any:
        result = super().step(action)
        if self.episode >= 1 and self.now == 30:
            raise RuntimeError("the gripper broke off")
        return result


class FourResults(Fine):
    """Steps in the old form, without truncated."""

    def step(self, action: Any) -> Any:
        observation, reward, terminated, _, info = super().step(action)
        return observation, reward, terminated, info


class SilentTermination(gym.Wrapper[Any, Any, Any, Any]):
    """Ends the episode at the goal and has no compute_terminated."""

    def has_wrapper_attr(self, name: str) -> bool:
        return name != "compute_terminated" and super().has_wrapper_attr(name)

    def step(self, action: Any) -> Any:
        observation, reward, _, _, info = self.env.step(action)
        return observation, reward, info["is_success"], False, info


class OtherTermination(Fine):
    """Ends the episode at step 12, whatever compute_terminated says."""

    def step(self, action: Any) -> Any:
        observation, reward, _, _, info = super().step(action)
        return observation, reward, self.now == 12, False, info


class UnseededReset(Fine):
    """Draws the goal from a generator that no seed reaches."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        _, info = super().reset(seed=seed, options=options)
        self._goal = np.random.default_rng().uniform(-1.0, 1.0, 2)
        return self._observe(), info


class LeftoverState(Fine):
    """Same first observation, but the steps depend on how many episodes were played before."""

    def step(self, action: Any) -> Any:
        return super().step(np.asarray(action) * 0.9**self.episode)


class MovingGoal(Fine):
    """A new goal at step 15."""

    def step(self, action: Any) -> Any:
        if self.now == 14:
            self._goal = -self._goal
        return super().step(action)


class Waits(Fine):
    """Step 10 of the second episode never returns."""

    def step(self, action: Any) -> Any:
        while self.episode == 1 and self.now == 9:  # step 10 is to come
            time.sleep(0.01)
        return super().step(action)


class NoTimeLimit(Fine):
    pass


class BrokenConstructor(Fine):
    def __init__(self) -> None:
        raise OSError("no such model file")


def _register() -> None:
    for env in [Fine, *Fine.__subclasses__()]:
        _register_one(env.__name__, env)
    for wrapper in (ArrayReward, InfoReward, PoliteInfoReward, SilentTermination):
        _register_one(wrapper.__name__, partial(_wrapped, wrapper))


def _wrapped(wrapper: Any, **kwargs: Any) -> Any:
    return wrapper(Fine(**({"distance_threshold": 1.0} | kwargs)))  # wide, so that goals are reached


def _register_one(name: str, entry_point: Any) -> None:
    if f"broken/{name}-v0" not in gym.registry:
        limit = None if name == "NoTimeLimit" else TIME_LIMIT
        gym.register(f"broken/{name}-v0", entry_point=entry_point, max_episode_steps=limit)


_register()
