"""Made-up episodes of FetchPush-v4's shapes, the same for every peer."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regoal.errors import BadInput

ENV = "FetchPush-v4"
STEPS = 50  # of every episode: the env's time limit, and it never terminates
THRESHOLD = 0.05  # within which a goal counts as reached [m]
OBSERVATION, GOAL, ACTION = 25, 3, 4
CUBE = 0.3  # edge of the volume that goals start in [m]
STEP = 0.006  # deviation of a goal's move along each axis: about a centimetre in all [m]

Doubles = NDArray[np.float64]
Singles = NDArray[np.float32]


@dataclass(frozen=True)
class Episodes:
    """n episodes of 50 steps, in the precision in which the env gives them.

    Attributes:
        observation: (n, 51, 25).
        achieved_goal: (n, 51, 3).
        desired_goal: (n, 3).
        action: (n, 50, 4).
    """

    observation: Doubles
    achieved_goal: Doubles
    desired_goal: Doubles
    action: Singles


@dataclass(frozen=True)
class Transitions:
    """The same, one row a step, as most libraries store them.

    Attributes:
        observation: (n, 25).
        achieved_goal: (n, 3).
        desired_goal: (n, 3).
        action: (n, 4).
        reward: (n,) -1, or 0 where the achieved goal after the step is within the threshold.
        next_observation: (n, 25).
        next_achieved_goal: (n, 3).
        last: (n,) bool, whether the episode's time limit is reached.
    """

    observation: Doubles
    achieved_goal: Doubles
    desired_goal: Doubles
    action: Singles
    reward: Singles
    next_observation: Doubles
    next_achieved_goal: Doubles
    last: NDArray[np.bool_]


def synthetic_episodes(n_transitions: int, seed: int = 0) -> Episodes:
    """Achieved goals that walk about a centimetre a step, from anywhere in a cube of 30 cm."""
    n = n_transitions // STEPS
    rng = np.random.default_rng(seed)
    walk = rng.normal(0, STEP, (n, STEPS + 1, GOAL))
    walk[:, 0] = rng.uniform(0, CUBE, (n, GOAL))
    np.cumsum(walk, axis=1, out=walk)
    return Episodes(
        observation=rng.standard_normal((n, STEPS + 1, OBSERVATION)),
        achieved_goal=walk,
        desired_goal=rng.uniform(0, CUBE, (n, GOAL)),
        action=rng.uniform(-1, 1, (n, STEPS, ACTION)).astype(np.float32),
    )


def transitions(episodes: Episodes, n_transitions: int) -> Transitions:
    """The first so many, in the order in which they were played."""
    n = n_transitions // STEPS
    if n_transitions < STEPS or n_transitions % STEPS or n > len(episodes.desired_goal):
        raise BadInput(
            "n_transitions",
            f"a multiple of {STEPS}, at most {STEPS * len(episodes.desired_goal)}",
            str(n_transitions),
        )
    observation, achieved, action = (
        value[:n] for value in (episodes.observation, episodes.achieved_goal, episodes.action)
    )
    desired = np.repeat(episodes.desired_goal[:n], STEPS, axis=0)
    next_achieved = achieved[:, 1:].reshape(-1, GOAL)
    return Transitions(
        observation=observation[:, :-1].reshape(-1, OBSERVATION),
        achieved_goal=achieved[:, :-1].reshape(-1, GOAL),
        desired_goal=desired,
        action=action.reshape(-1, ACTION),
        reward=-(np.linalg.norm(next_achieved - desired, axis=-1) > THRESHOLD).astype(np.float32),
        next_observation=observation[:, 1:].reshape(-1, OBSERVATION),
        next_achieved_goal=next_achieved,
        last=np.arange(n_transitions) % STEPS == STEPS - 1,
    )
