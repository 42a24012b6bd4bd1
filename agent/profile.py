"""Where a run spends its time (`regoal train --profile`): stopwatches around env, physics and policy."""

import sys
import time
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from regoal.agent.clock import Clock, timed
from regoal.agent.policy import Floats, Policy
from regoal.envs.recipe import Env

Clocks = NDArray[np.float64]


class TimedEnv(gym.Wrapper[Any, Any, Any, Any]):
    """Adds the seconds of reset and step, and those of the physics inside them, to the clocks."""

    def __init__(self, env: Env, clocks: Clocks) -> None:
        super().__init__(env)
        self._clocks = clocks
        self._stop_timing_physics = _time_physics(clocks)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """Reset the env below."""
        with timed(self._clocks, Clock.ENV):
            return self.env.reset(seed=seed, options=options)

    def step(self, action: Any) -> Any:
        """Step the env below."""
        with timed(self._clocks, Clock.ENV):
            return self.env.step(action)

    def close(self) -> None:
        """Close the env below and stop measuring."""
        self._stop_timing_physics()
        super().close()


class TimedPolicy(Policy):
    """A policy that adds the seconds of its actions to the clocks."""

    untimed: Policy
    clocks: Clocks

    @classmethod
    def of(cls, policy: Policy, clocks: Clocks) -> "TimedPolicy":
        """The same policy, timed."""
        timed_policy = cls(**policy.__dict__)
        object.__setattr__(timed_policy, "untimed", policy)
        object.__setattr__(timed_policy, "clocks", clocks)
        return timed_policy

    def mean_action(self, inputs: Floats) -> Floats:
        """As `Policy.mean_action`."""
        with timed(self.clocks, Clock.INFERENCE):
            return super().mean_action(inputs)

    def explorer(self, rng: np.random.Generator) -> Callable[[Floats], Floats]:
        """As `Policy.explorer`."""
        explore = self.untimed.explorer(rng)  # not its own, whose mean actions would be timed twice

        def timed_explore(inputs: Floats) -> Floats:
            with timed(self.clocks, Clock.INFERENCE):
                return explore(inputs)

        return timed_explore


def _time_physics(clocks: Clocks) -> Callable[[], None]:
    """Put a stopwatch around `mujoco.mj_step`, through which all envs of gymnasium(-robotics) step.

    Returns:
        What takes it off again.
    """
    mujoco: Any = sys.modules.get("mujoco")
    if mujoco is None or mujoco.mj_step.__name__ == "timed_mj_step":  # on already, for another env
        return lambda: None
    untimed = mujoco.mj_step

    def timed_mj_step(*arguments: Any, **options: Any) -> None:
        began = time.perf_counter()
        untimed(*arguments, **options)
        clocks[Clock.PHYSICS] += time.perf_counter() - began

    mujoco.mj_step = timed_mj_step
    return lambda: setattr(mujoco, "mj_step", untimed)


def report(clocks: Clocks, seconds: float, workers: int) -> str:
    """Where the time went, as a table of seconds and shares of the wall clock.

    Args:
        clocks: seconds by `Clock`, of all processes.
        seconds: wall clock of the run.
        workers: rollout workers beside the run's own process.
    """
    physics, env, inference, rollout, sampling, update, evaluation, waiting, saving = map(float, clocks)
    lines = [
        ("physics (mj_step)", physics),
        ("env Python", env - physics),
        ("inference", inference),
        ("checks and records", rollout + evaluation - env - inference),
        ("sampling", sampling),
        ("update", update),
        ("waiting for workers", waiting),
        ("saving", saving),
    ]
    processes = f"{1 + workers} processes" if workers else "one process"
    text = [f"where the time went: {seconds:.1f} s of wall clock, {processes}"]
    text += [f"  {name:<22}{value:8.2f} s {value / seconds:6.0%}" for name, value in lines]
    text.append(f"  of playing, evaluation took {evaluation:.2f} s and collecting {rollout:.2f} s")
    if workers:
        text.append("  shares add up to more than 100 %: workers play while the run learns")
    return "\n".join(text)
