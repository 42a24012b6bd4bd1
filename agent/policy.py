"""A trained policy in numpy: what rollouts act with, and what users load without env or torch."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from regoal.agent.config import MOST_HOLD
from regoal.errors import BadInput

Floats = NDArray[np.float32]
LOG_STD_RANGE = (-5.0, 2.0)  # of the Gaussian's log standard deviation


@dataclass(frozen=True)
class Exploration:
    """How a deterministic policy explores (Andrychowicz 2017, appendix A).

    Attributes:
        noise_std: of Gaussian noise on the action, in units of half the action range.
        random_share: expected share of actions that are drawn uniformly instead, in the long run; with
            holds, which no episode begins in, it is a little less: 0.285 for 0.3 held for 8 of 50 steps.
        random_hold: steps for which such an action is held, at most to the end of the episode. Held ones
            go further than fresh ones, which cancel each other out.

    Raises:
        BadInput: no share, or no number of steps.
    """

    noise_std: float = 0.0
    random_share: float = 0.0
    random_hold: int = 1

    def __post_init__(self) -> None:
        share, hold = self.random_share, self.random_hold
        if not 0 <= share <= 1:
            raise BadInput("random_share", "in [0, 1]", repr(share))
        if type(hold) is not int or not 1 <= hold <= MOST_HOLD:
            fix = "1 draws each random action anew."
            raise BadInput("random_hold", f"1 to {MOST_HOLD:,} steps", repr(hold), fix)

    @property
    def hold_probability(self) -> float:
        """Of beginning to hold a random action, q, in a step in which none is held.

        Before each hold lie (1 - q) / q other steps in the mean, so that the share of random ones is
        hold / (hold + (1 - q) / q).
        """
        return self.random_share / (self.random_hold - (self.random_hold - 1) * self.random_share)


@dataclass(frozen=True)
class Policy:
    """An actor network, its input statistics and the action box it serves.

    Attributes:
        weights: one (outputs, inputs) matrix a layer; hidden layers are ReLU.
        biases: one (outputs,) vector a layer.
        mean, std: (observation_size + goal_size,) statistics of the input.
        clip: normalised inputs are cut off at this many standard deviations.
        head: "deterministic": tanh of the outputs; "gaussian": the first half is the mean, the second
            the log standard deviation, squashed by tanh.
        exploration: for a deterministic head.
        observation_size: where the goal begins in the input.
        action_low, action_high: (action_size,) bounds in the env's units.
    """

    weights: tuple[Floats, ...] = field(repr=False)
    biases: tuple[Floats, ...] = field(repr=False)
    mean: Floats = field(repr=False)
    std: Floats = field(repr=False)
    clip: float
    head: Literal["deterministic", "gaussian"]
    exploration: Exploration
    observation_size: int
    action_low: Floats
    action_high: Floats

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Policy":
        """Load the newest checkpoint of a run folder; no env is built and no code is run from it.

        Args:
            path: the run folder, or the name of a shipped agent: an existing path wins.

        Raises:
            BadInput: no run, or no checkpoint in it that is whole.
        """
        from regoal.agent.checkpoints import newest_checkpoint

        return newest_checkpoint(Path(path)).policy()

    @property
    def arrays(self) -> tuple[Floats, ...]:
        """Everything in it that learning changes."""
        return *self.weights, *self.biases, self.mean, self.std

    def with_arrays(self, arrays: Sequence[Floats]) -> "Policy":
        """The same kind of policy with other `arrays`."""
        *layers, mean, std = arrays
        n = len(layers) // 2
        return replace(self, weights=tuple(layers[:n]), biases=tuple(layers[n:]), mean=mean, std=std)

    @property
    def action_size(self) -> int:
        """Length of an action."""
        return len(self.action_low)

    def act(self, observation: Any, desired_goal: Any) -> Floats:
        """The action without exploration, in the env's units.

        Args:
            observation: (observation_size,) or (n, observation_size).
            desired_goal: (goal_size,) or (n, goal_size); one goal may serve all observations.

        Returns:
            (action_size,) or (n, action_size) float32, within the action box.

        Raises:
            BadInput: sizes do not fit.
        """
        observation, desired_goal = np.asarray(observation, np.float32), np.asarray(desired_goal, np.float32)
        goal_size = len(self.mean) - self.observation_size
        for name, value, size in (
            ("observation", observation, self.observation_size),
            ("desired_goal", desired_goal, goal_size),
        ):
            if value.ndim not in (1, 2) or value.shape[-1] != size:
                raise BadInput(name, f"shape ({size},) or (n, {size})", str(value.shape))
        leading = np.broadcast_shapes(observation.shape[:-1], desired_goal.shape[:-1])
        inputs = np.concatenate(
            [
                np.broadcast_to(observation, (*leading, self.observation_size)),
                np.broadcast_to(desired_goal, (*leading, goal_size)),
            ],
            axis=-1,
        )
        return self.to_env(self.mean_action(inputs))

    def mean_action(self, inputs: Floats) -> Floats:
        """Action in [-1, 1] for (..., observation_size + goal_size) inputs, without exploration."""
        outputs = self._network(inputs)
        action: Floats = np.tanh(outputs[..., : self.action_size])
        return action

    def explorer(self, rng: np.random.Generator) -> Callable[[Floats], Floats]:
        """What acts with exploration through one episode; each episode has its own.

        Returns:
            From one input (observation_size + goal_size,), step after step, to the action in [-1, 1].
        """
        if self.head == "gaussian":
            return lambda inputs: self._sampled(inputs, rng)
        noise_std, begins = self.exploration.noise_std, self.exploration.hold_probability
        held, steps_left = np.zeros(self.action_size, np.float32), 0

        def explore(inputs: Floats) -> Floats:
            nonlocal held, steps_left
            if steps_left == 0 and rng.random() < begins:
                held = rng.uniform(-1.0, 1.0, self.action_size).astype(np.float32)
                steps_left = self.exploration.random_hold
            if steps_left > 0:
                steps_left -= 1
                return held
            noise = noise_std * rng.standard_normal(self.action_size, np.float32)
            return _clipped(self.mean_action(inputs) + noise, -1.0, 1.0)

        return explore

    def to_env(self, action: Floats) -> Floats:
        """From [-1, 1] to the env's units."""
        scaled = self.action_low + (action + 1.0) * (0.5 * (self.action_high - self.action_low))
        return _clipped(scaled, self.action_low, self.action_high)

    def _sampled(self, inputs: Floats, rng: np.random.Generator) -> Floats:
        mean, log_std = np.split(self._network(inputs), 2)
        noise = rng.standard_normal(self.action_size, np.float32)
        action: Floats = np.tanh(mean + np.exp(np.clip(log_std, *LOG_STD_RANGE)) * noise)
        return action

    def _network(self, inputs: Floats) -> Floats:
        hidden = _clipped((inputs - self.mean) / self.std, -self.clip, self.clip)
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            hidden = np.maximum(hidden @ weight.T + bias, 0.0)
        return np.asarray(hidden @ self.weights[-1].T + self.biases[-1], np.float32)


def _clipped(values: Any, low: Any, high: Any) -> Floats:
    """`np.clip` to float32, without what it does around it: an action takes no longer than its network."""
    return np.asarray(np.minimum(np.maximum(values, low), high), np.float32)
