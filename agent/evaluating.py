"""The evaluations of a run: begun with what is learned so far, written when their episodes are played."""

import time
from typing import TYPE_CHECKING

from regoal.agent.interrupts import EvaluationLeft, StopRequest
from regoal.agent.modes import in_force
from regoal.agent.rollouts import Rollouts

if TYPE_CHECKING:
    from regoal.agent.loop import Training


def evaluate(training: "Training", rollouts: Rollouts, stop: StopRequest) -> None:
    """Begin an evaluation; workers play it while learning goes on.

    The one before is waited for, even where a stop was asked for: there is room for one that has no row yet.
    """
    write_evaluation(training, rollouts)
    config, state = training.config, training.state
    training.evaluated = training.policy
    begin_evaluation(training, rollouts)
    state.evaluations += 1
    state.pending = state.counters() | state.means()
    if config.source:
        state.pending |= in_force(config, state.env_steps)
    if config.imitation:
        state.pending["imitation_weight"] = training.experience.imitation_weight(state.env_steps)
    state.sums = {}
    state.block_began = state.env_steps  # it was begun, and is no longer due
    if not rollouts.has_workers:
        write_evaluation(training, rollouts, stop)


def begin_evaluation(training: "Training", rollouts: Rollouts) -> None:
    """Let the episodes of the evaluation be played, from the first one."""
    rollouts.evaluate(training.evaluated, training.config.eval_episodes)
    training.faults.evaluation = 0


def write_evaluation(training: "Training", rollouts: Rollouts, stop: StopRequest | None = None) -> None:
    """Wait for the evaluation, if one was begun, and write its row; a stop leaves it for later, if given."""
    state = training.state
    if state.pending is None:
        return

    def tick() -> None:
        training.progress.busy("evaluating")
        if stop:
            stop.leave_evaluation()

    try:
        found = rollouts.evaluation(training.faults.in_evaluation, tick)
    except EvaluationLeft:
        return
    row, state.pending = state.pending, None
    state.success = found.success
    seconds = time.monotonic() - training.began
    training.log.evaluation(
        row
        | {
            "success": found.success,
            "success_any": found.success_any,
            "return": found.mean_return,
            "episode_length": found.mean_length,
            "eval_episodes": found.episodes,
            "eval_failed_episodes": training.faults.evaluation,
            "wall_seconds": seconds,
            "wall_env_steps_per_second": state.env_steps / max(seconds, 1e-9),
        }
    )
    training.progress.evaluated(found.success, int(row["env_steps"]))
