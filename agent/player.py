"""Plays the episodes of a run, in the process of the run or in a worker's: the same ones in both."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from regoal.agent.clock import Clock, timed
from regoal.agent.evaluation import Outcome
from regoal.agent.policy import Policy
from regoal.agent.rollout import play
from regoal.agent.seeding import Stream, env_seed, generator
from regoal.buffers.episode import Episode
from regoal.envs.contract import close
from regoal.envs.goal_spec import GoalSpec
from regoal.envs.recipe import Env, build_again
from regoal.errors import SpoiledEpisode


class Player:
    """Envs of its own, built when they are first needed: evaluations leave no trace where it collects.

    Args:
        spec: what to build and how to check it.
        run_seed: seed of the run; episode i of either kind has the same seeds wherever it is played.
        tick: called at every reset and step.
        clocks: seconds are added here; nothing is measured if not given.
    """

    def __init__(
        self,
        spec: GoalSpec,
        run_seed: int,
        tick: Callable[[], object] = lambda: None,
        clocks: NDArray[np.float64] | None = None,
    ) -> None:
        self._spec, self._seed, self._tick, self._clocks = spec, run_seed, tick, clocks
        self._envs: dict[str, Env] = {}

    def collect(
        self, policy: Policy, index: int, attempt: int = 0, asked: NDArray[np.float32] | None = None
    ) -> Episode:
        """Play training episode `index`, with exploration.

        Args:
            policy: acts.
            index: number of the episode.
            attempt: how often the env has spoiled it before; another attempt has other seeds.
            asked: goal (goal_size,) that the policy is shown in place of the desired one.
        """
        with timed(self._clocks, Clock.ROLLOUT):
            seed = env_seed(self._seed, Stream.ENV, index, attempt)
            exploration = generator(self._seed, Stream.EXPLORATION, index, attempt)
            return self._play("collect", policy, seed, exploration, index, asked)

    def evaluate(self, policy: Policy, index: int, attempt: int = 0) -> Outcome:
        """Play evaluation episode `index`, without exploration."""
        with timed(self._clocks, Clock.EVALUATION):
            seed = env_seed(self._seed, Stream.EVALUATION, index, attempt)
            return Outcome.of(self._play("evaluate", policy, seed, None, index))

    def env(self, purpose: str) -> Env:
        """The env for a purpose, "collect" or "evaluate".

        Raises:
            EnvFault: it cannot be built any more.
        """
        if purpose not in self._envs:
            env = build_again(self._spec.recipe)
            if self._clocks is not None:
                from regoal.agent.profile import TimedEnv

                env = TimedEnv(env, self._clocks)
            self._envs[purpose] = env
        return self._envs[purpose]

    def forget(self, purpose: str) -> None:
        """Let an env go, whatever state it is in: no other episode is to begin with it."""
        env = self._envs.pop(purpose, None)
        if env is not None:
            close(env)

    def close(self) -> None:
        """Close the envs."""
        while self._envs:
            close(self._envs.popitem()[1])

    def _play(
        self,
        purpose: str,
        policy: Policy,
        seed: int,
        exploration: np.random.Generator | None,
        index: int,
        asked: NDArray[np.float32] | None = None,
    ) -> Episode:
        env = self.env(purpose)
        if self._clocks is not None:
            from regoal.agent.profile import TimedPolicy

            policy = TimedPolicy.of(policy, self._clocks)
        try:
            return play(
                env,
                self._spec,
                policy,
                seed=seed,
                exploration=exploration,
                index=index,
                asked=asked,
                tick=self._tick,
            )
        except SpoiledEpisode:
            self.forget(purpose)
            raise
