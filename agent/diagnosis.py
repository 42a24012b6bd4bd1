"""Early diagnosis: says on stderr what keeps a run from learning, while it has not taken hours yet.

What is found follows from the replay and the learner alone, with a generator that nothing else draws from:
a run has the same numbers whether it is looked at or not, and a resumed one is told the same.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from regoal.agent.config import TrainConfig
from regoal.agent.seeding import Stream, generator
from regoal.buffers.batch import Batch
from regoal.envs.goal_spec import GoalSpec

if TYPE_CHECKING:
    from regoal.agent.experience import Experience
    from regoal.agent.learner import Learner

Floats = NDArray[np.float32]

LOOK_EVERY = 2_000  # env steps, forty episodes of Fetch: where nothing has moved by then, it is no accident
ROWS = 1_024  # of the batch that is looked at: shares to within 2 points
# A share of the spread of the goals. Objects that rest move by less than 1e-5 of it, an arm that waves
# about by more than 1; what moves by less than this will not cross the space of goals in one episode.
STILL = 0.01
# Of one reward among the relabelled rows: 0.97 in the first thousands of steps of FetchPush, 0.8 at most
# in runs of FetchReach, PointReach and PointMaze that learned.
SAME_REWARDS = 0.95
# Of transitions that reach their real goal, above which all is well: whoever stays at the goal achieves
# nothing else. It is 0.05 in FetchPush, where some goals lie at the object, and 0.4 in a FetchReach that
# has just been learned.
SOLVED = 0.25
# Earlier the networks still come from their initial weights: the actor of a PointMaze that is learned
# later is saturated to 0.99 after 1,200 updates and to 0.35 after 4,200.
UPDATES_BEFORE = 2_000
# Of critic targets. Real goals that are never reached end at the lower bound, a fifth of a batch at k = 4;
# runs that learned had 0.
AT_BOUND = 0.5
SATURATED = 0.99  # |action| of the mean policy, of which tanh's gradient is 2 % of its greatest
SATURATED_SHARE = 0.95  # of action components; 0.9 was seen to recover, and all learned runs were below 0.55


class Diagnosis:
    """Looks at a run now and then, and tells each warning once a sitting.

    Args:
        config: of the run.
        spec: of its env.
        experience: its replay.
        learner: what learns.
    """

    def __init__(
        self, config: TrainConfig, spec: GoalSpec, experience: "Experience", learner: "Learner"
    ) -> None:
        self._config, self._spec = config, spec
        self._experience, self._learner = experience, learner
        self._has_moved = False
        self._told: set[str] = set()

    def look(self, env_steps: int, gradient_steps: int) -> None:
        """Print what is wrong after so many env steps and updates, if anything is."""
        for name, text in self.found(env_steps, gradient_steps):
            if name not in self._told:
                self._told.add(name)
                where = f"{Path(self._config.out)}: warning at {env_steps:,} env steps"
                print(f"{where}: {text}", file=sys.stderr, flush=True)

    def found(self, env_steps: int, gradient_steps: int) -> Iterator[tuple[str, str]]:
        """All that is wrong: its name, and a text with the figure and what to try."""
        rng = generator(self._config.seed, Stream.DIAGNOSIS, env_steps)
        batch, trace = self._experience.sample_traced(ROWS, env_steps, rng)
        move = 1.0 if self._has_moved else largest_move(self._experience.own.goals(), STILL)
        self._has_moved = move > STILL
        reached = self._spec.reward(trace.next_achieved_goal, trace.original_goal)
        solved = float(np.mean(reached >= self._spec.reward_range[1]))
        value, share = most_common(batch.reward.numpy()[trace.relabelled])
        if not self._has_moved:
            yield "still", self._still(move)
        elif share > SAME_REWARDS and solved < SOLVED:
            yield "same rewards", self._same_rewards(value, share)
        if gradient_steps < UPDATES_BEFORE:
            return
        agent = self._config.agent
        drawn = getattr(agent, "target_critics", 0) > 0
        target, action = values(self._learner, batch, self._spec, agent.gamma, drawn=drawn)
        if target is not None:
            low, high = at_bounds(target, batch.reward.numpy(), self._bounds, self._spec.reward_range)
            if max(low, high) > AT_BOUND:
                yield "bounds", self._at_bound(low, high)
        share = saturated_share(action)
        if share > SATURATED_SHARE:
            yield "saturated", self._saturated(share)

    @property
    def _bounds(self) -> tuple[float, float]:
        return self._spec.value_bounds(self._config.agent.gamma)

    def _still(self, move: float) -> str:
        return (
            f"the achieved goal never moved: in no episode did it cross more than {move:.2g} of the span of "
            f"the goals, so hindsight has nothing to teach. Do the actions reach what is to be moved? "
            f"{self._explore}; `regoal check {self._spec.recipe.env_id}` looks at the env."
        )

    def _same_rewards(self, value: float, share: float) -> str:
        config = self._config
        same = f"{share:.2f} of the relabelled rewards are {value:g}"
        if value < self._spec.reward_range[1]:
            nearer = "--relabel future" if config.relabel != "future" else "a strategy of your own"
            return (
                f"{same}: hindsight goals are hardly ever reached. Choose nearer ones: {nearer} "
                "(docs/strategies.md)."
            )
        if config.informative_share:
            return (
                f"{same}, although informative_share is {config.informative_share:g}: hardly anything is "
                f"achieved that was not achieved before. {self._explore}."
            )
        return (
            f"{same}: what is to be moved rests, and its goals are achieved already. "
            "--set informative_share=0.7 draws from episodes that teach something, once there are any, and "
            "--set discovery=0.9 first learns to move it (docs/objects.md)."
        )

    def _at_bound(self, low: float, high: float) -> str:
        least, most = self._bounds
        if high > low:
            more = self._safer_target
            return (
                f"{high:.2f} of the critic's targets sit on the upper bound, {most:.3g}, where the goal is "
                f"not reached: Q is overestimated. Lower {self._rate}{more}."
            )
        same = f"{low:.2f} of the critic's targets sit on the lower bound, {least:.3g}"
        horizon, longest = 1 / (1 - self._config.agent.gamma), self._spec.max_episode_steps
        if horizon < longest / 5:
            return (
                f"{same}: with agent.gamma={self._config.agent.gamma:g} it sees {horizon:.2g} steps ahead, "
                f"and an episode has {longest}. Raise agent.gamma; 0.98 is usual."
            )
        hindsight = "" if self._experience.own.relabels else " Use hindsight: --relabel future."
        return f"{same}, as if no goal could be reached.{hindsight} {self._explore}."

    def _saturated(self, share: float) -> str:
        price = self._advice({"action_l2": ", or raise agent.action_l2, the price of actions"})
        rate = getattr(self._config.agent, "lr", None)
        now = f" (now {rate:g})" if isinstance(rate, float) else ""
        return (
            f"{share:.2f} of the policy's actions are beyond {SATURATED:g} of their range: the actor has no "
            f"gradient left there. Lower {self._rate}{now}{price}."
        )

    @property
    def _safer_target(self) -> str:
        agent = self._config.agent
        if getattr(agent, "target_critics", 0):
            return ", or --set agent.target_critics=0, which takes the least of all critics"
        return ", or --set agent.n_critics=2" if getattr(agent, "n_critics", 0) == 1 else ""

    @property
    def _explore(self) -> str:
        settings = {name: f": --set agent.{name}=0.5" for name in ("random_share", "initial_alpha")}
        return f"Explore more{self._advice(settings)}"

    @property
    def _rate(self) -> str:
        return self._advice({"lr": "agent.lr"}) or "the learning rate"

    def _advice(self, of: Mapping[str, str]) -> str:
        """Advice by setting: that of the first one which the agent has; a user's own may have none."""
        return next((text for name, text in of.items() if hasattr(self._config.agent, name)), "")


@torch.no_grad()
def values(
    learner: "Learner", batch: Batch, spec: GoalSpec, gamma: float, *, drawn: bool = False
) -> tuple[Floats | None, Floats]:
    """Critic targets (k, n) before they are clamped, and the mean policy's actions (n, action_size).

    The least of all critics makes the target, and k is 1; where critics are drawn for it each has its own.

    The target critic is a mean over the last 1 / tau updates, so that one look sees many of them. An agent
    without a module of that name has no targets to look at.
    """
    batch = batch.to(str(learner.actor.flat.device))
    x, next_x = learner.inputs.both_ends(batch).chunk(2)
    action, next_action = (learner.actor(one)[0][:, : spec.action_size].tanh() for one in (x, next_x))
    critic = learner.modules().get("target_critic")
    if critic is None:
        return None, action.cpu().numpy()
    next_q = critic(next_x, next_action).squeeze(-1)
    if not drawn:
        next_q = next_q.amin(dim=0, keepdim=True)
    target = batch.reward + gamma * ~batch.terminated * next_q
    return target.cpu().numpy(), action.cpu().numpy()


def largest_move(paths: Iterable[tuple[Floats, Floats]], enough: float) -> float:
    """The largest range of an achieved goal within an episode, as a share of the span of all goals.

    Args:
        paths: of each episode the achieved goals (T + 1, goal_size) and the desired one (goal_size,).
        enough: a share from which on the search may end.

    Returns:
        The largest range over episodes and dimensions, by the largest span over dimensions of what was
        desired and what was achieved at the start; 0 if there is no span.
    """
    paths = list(paths)
    ends = np.stack([goal for achieved, desired in paths for goal in (achieved[0], desired)])
    span = float(np.ptp(ends, axis=0).max())
    largest = 0.0
    for achieved, _ in reversed(paths):  # later episodes move more
        largest = max(largest, float(np.ptp(achieved, axis=0).max()))
        if largest > enough * span:
            break
    return largest / span if span else 0.0


def most_common(values: Floats) -> tuple[float, float]:
    """The value that stands most often in (n,), and its share; a share of 0 if there is none."""
    if not len(values):
        return 0.0, 0.0
    found, counts = np.unique(values, return_counts=True)
    most = int(counts.argmax())
    return float(found[most]) + 0.0, float(counts[most] / len(values))  # no -0.0


def at_bounds(
    target: Floats, reward: Floats, bounds: tuple[float, float], reward_range: tuple[float, float]
) -> tuple[float, float]:
    """Shares of critic targets that sit on the least and on the greatest value there can be.

    Within half a step between the two rewards of a bound, or beyond it. A target at the upper bound is
    right where the goal is reached, and counts only where it is not: there it should lie a step below.

    Args:
        target: (..., n) reward + gamma * next value.
        reward: (n,).
        bounds: of values; where they are not finite nothing sits on them.
        reward_range: least and greatest reward.
    """
    if not np.isfinite(bounds).all():
        return 0.0, 0.0
    step = reward_range[1] - reward_range[0]
    missed = reward < reward_range[1] - step / 2
    low = target <= bounds[0] + step / 2
    high = missed & (target >= bounds[1] - step / 2)
    return float(low.mean()), float(high.mean())


def saturated_share(action: Floats) -> float:
    """Share of the components of actions (n, action_size) in [-1, 1] that are at the end of their range."""
    return float(np.mean(np.abs(action) > SATURATED))
