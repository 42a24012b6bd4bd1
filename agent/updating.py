"""The gradient steps that the env steps collected so far have earned."""

import contextlib
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from regoal.agent.agents import agent_name
from regoal.agent.anchor import Pull
from regoal.agent.clock import Clock, timed
from regoal.agent.imitation import imitation
from regoal.agent.learner import Info
from regoal.agent.modes import in_force
from regoal.agent.optimisation import without_denormals
from regoal.buffers.batch import Batch
from regoal.errors import TrainingFault

if TYPE_CHECKING:
    from regoal.agent.loop import Training


def make_updates(training: "Training", poll: Callable[[], object]) -> None:
    """Make those that are owed.

    Args:
        training: whose learner learns from its experience.
        poll: called before each of them: workers are kept busy.

    Raises:
        TrainingFault: a loss is not finite, or none that the agent has said that it returns.
    """
    config, agent, state = training.config, training.config.agent, training.state
    fresh, state.steps_seen = state.env_steps - state.steps_seen, state.env_steps
    if state.env_steps > config.learning_starts:
        state.updates_owed += fresh * agent.updates_per_step
    anchor_weight = in_force(config, state.env_steps)["anchor_weight"]
    imitation_weight = training.experience.imitation_weight(state.env_steps)

    def pull_of(batch: Batch) -> Pull | None:
        if training.anchor is not None and anchor_weight > 0:
            return training.anchor.pull(batch, anchor_weight)
        if imitation_weight > 0:
            return imitation(training.learner, batch, imitation_weight)
        return None

    # Counted in updates: a block of long episodes earns more of them at once than the critics are to have.
    critics_alone = config.critic_warmup_steps * agent.updates_per_step
    infos: list[Info] = []
    first = state.gradient_steps
    try:
        while state.updates_owed >= 1:
            poll()
            with timed(training.clocks, Clock.SAMPLING):
                batch = training.experience.sample(agent.batch_size, state.env_steps).to(training.device)
            warm = training.actor_learns and state.gradient_steps >= critics_alone
            actor_learns = warm and state.gradient_steps % config.policy_delay == 0
            with timed(training.clocks, Clock.UPDATE), without_denormals():
                pull = pull_of(batch) if actor_learns else None
                infos.append(training.learner.update(batch, actor_learns=actor_learns, pull=pull))
            state.updates_owed -= 1
            state.gradient_steps += 1
    except BaseException:
        with contextlib.suppress(Exception):  # the first error is the one to tell
            _note_all(training, first, infos)
        raise
    _note_all(training, first, infos)  # only now: to look at a loss is to wait for it


def _note_all(training: "Training", first: int, infos: Sequence[Info]) -> None:
    for number, info in enumerate(infos, first):
        _note(training, number, {name: float(value) for name, value in info.items()})


def _note(training: "Training", number: int, info: dict[str, float]) -> None:
    agent = training.config.agent
    for name, value in info.items():
        if not math.isfinite(value):
            raise TrainingFault(
                f"{name} of gradient step {number}",
                "a finite number",
                str(value),
                "Learning diverged: lower agent.lr.",
            )
        if name not in agent.columns:  # one that updates do not always return
            expected = f"one of its columns: {', '.join(agent.columns)}"
            raise TrainingFault(f"what {agent_name(agent)}.update returned", expected, repr(name))
        training.state.note(name, value)
