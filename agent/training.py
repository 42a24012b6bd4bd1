"""The training loop: collect a block of whole episodes, learn from all so far, evaluate now and then.

Block n is collected with the weights as they were before the updates on block n - 1. That costs one block
of delay and lets collection and updates run side by side, with the same numbers as one after the other.
"""

import contextlib
import dataclasses
import math
import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from regoal.agent.anchor import Anchor
from regoal.agent.checkpoints import save_checkpoint
from regoal.agent.clock import N_CLOCKS, Clock, timed
from regoal.agent.config import TrainConfig
from regoal.agent.experience import Experience
from regoal.agent.interrupts import EvaluationLeft, Stopped, StopRequest
from regoal.agent.learner import make_learner, state_of
from regoal.agent.machine import learning_device, worker_count
from regoal.agent.modes import faded
from regoal.agent.normaliser import Normaliser
from regoal.agent.profile import report as profile_report
from regoal.agent.progress import Progress
from regoal.agent.rollouts import Rollouts
from regoal.agent.run_folder import RunLog, create_run_folder
from regoal.agent.source import load_source
from regoal.agent.validation import validated
from regoal.buffers.episode import Episode
from regoal.envs.check import require_contract
from regoal.envs.goal_spec import GoalSpec
from regoal.envs.recipe import EnvRecipe
from regoal.errors import RunFault, TrainingFault

UPDATE_COLUMNS = {
    "ddpg": ["critic_loss", "q_mean", "actor_loss", "action_square"],
    "sac": ["critic_loss", "q_mean", "actor_loss", "alpha", "entropy"],
}
COLUMNS = [
    "env_steps",
    "gradient_steps",
    "episodes",
    "discarded_steps",
    "success",
    "success_any",
    "return",
    "episode_length",
    "eval_episodes",
    "rollout_success",
    "rollout_return",
    "rollout_length",
]
WALL_COLUMNS = ["wall_seconds", "wall_env_steps_per_second"]


@dataclass(frozen=True)
class RunResult:
    """What a run ended with.

    Attributes:
        path: the run folder.
        success: success of the last evaluation.
        env_steps: env steps collected.
        gradient_steps: updates made.
    """

    path: Path
    success: float
    env_steps: int
    gradient_steps: int

    def __fspath__(self) -> str:
        return str(self.path)


def train(config: TrainConfig) -> RunResult:
    """Train an agent, from scratch or from the weights of `config.source`.

    Raises:
        BadInput: a setting or the env cannot work; nothing was written.
        RunFault: the env broke its contract while running, or learning diverged; the run folder holds the
            last good checkpoint, as it does after any other error.
        Stopped: Ctrl-C or SIGTERM; the run folder holds what was learned.
    """
    config = validated(config)
    torch.set_num_threads(config.threads)
    recipe = EnvRecipe(config.env, config.shift, config.env_kwargs)
    # One text for one shift, however it was typed: it is what is written down and compared.
    config = dataclasses.replace(config, shift=recipe.shift)
    print(f"{config.out}: checking {config.env} ...", file=sys.stderr)
    spec = require_contract(recipe)
    try:
        training = Training(config, spec)
        with StopRequest() as stop:
            return training.run(stop)
    finally:
        spec.close()


class Training:
    """One run from its first block to its last; refuses bad settings before anything is written."""

    def __init__(self, config: TrainConfig, spec: GoalSpec) -> None:
        self.config, self.spec = config, spec
        self.workers = worker_count(config, spec.recipe)
        self.device = learning_device(config.device)
        mode = config.normaliser if config.source else "continue"
        self.normaliser = Normaliser(spec.observation_size, spec.goal_size, mode)
        self.learner = make_learner(config.agent, spec, self.normaliser, config.seed, self.device)
        self.anchor: Anchor | None = None
        if config.source:
            load_source(self.learner, spec, config)
            if config.anchor:
                self.anchor = Anchor(self.learner.actor, self.normaliser, spec.action_size, self.device)
        self.experience = Experience(config, spec)
        self.env_steps = self.gradient_steps = self.episodes = 0
        self.discarded_steps = 0  # played, but not learned from: their episode was faulty
        self.success = float("nan")
        self._steps_seen, self._updates_owed = 0, 0.0
        self._since_evaluation: dict[str, list[float]] = defaultdict(list)
        self._evaluated_row: dict[str, float] | None = None  # of the evaluation that is being played
        self.clocks = np.zeros(N_CLOCKS) if config.profile else None

    def run(self, stop: StopRequest) -> RunResult:
        """Collect, learn and evaluate until the steps are spent or a stop is asked for."""
        columns = COLUMNS + UPDATE_COLUMNS[self.config.agent.name] + WALL_COLUMNS
        with self._rollouts() as rollouts:
            self.path = create_run_folder(self.config)
            print(f"{self.path}: {self.experience.description}", file=sys.stderr)
            self._save()  # from now on the folder can be loaded, whatever happens
            with (
                RunLog(self.path, columns) as self._log,
                Progress(self.config.steps, self.config.out) as self._progress,
            ):
                try:
                    self._learn(rollouts, stop)
                except Exception as error:
                    self.discarded_steps += getattr(error, "discarded_steps", 0)
                    with contextlib.suppress(TrainingFault, OSError):  # the first error is the one to tell
                        self._save()
                    raise
            self._save()
        if self.clocks is not None:
            print(profile_report(self.clocks, time.monotonic() - self._began, self.workers), file=sys.stderr)
        if stop.requested:
            raise Stopped(str(self.path), stop.signal)
        return RunResult(self.path, self.success, self.env_steps, self.gradient_steps)

    def _rollouts(self) -> Rollouts:
        config = self.config
        return Rollouts(
            self.spec,
            config.seed,
            self.learner.policy(),
            block_episodes=config.block_episodes,
            workers=self.workers,
            hang_seconds=config.hang_seconds,
            clocks=self.clocks,
        )

    def _learn(self, rollouts: Rollouts, stop: StopRequest) -> None:
        config = self.config
        self._began = time.monotonic()
        self._evaluate(rollouts, stop)
        if config.steps:
            rollouts.collect(self.learner.policy(), self._next_block())
        while self.env_steps < config.steps and not stop.requested:
            before = self.env_steps
            self._add(rollouts.episodes())
            ended = self.env_steps >= config.steps
            if not (ended or stop.requested):
                rollouts.collect(self.learner.policy(), self._next_block())
            self._update(rollouts)
            if ended or self._passed(config.eval_interval, before):
                self._evaluate(rollouts, stop)
            elif rollouts.evaluated:
                self._write_evaluation(rollouts, stop)
            if not ended and self._passed(config.checkpoint_interval, before):
                self._save()
        self._write_evaluation(rollouts, stop)

    def _next_block(self) -> range:
        return range(self.episodes, self.episodes + self.config.block_episodes)

    def _add(self, episodes: Iterable[Episode]) -> None:
        for episode in episodes:
            try:
                self.experience.add(episode)
            except RunFault as fault:
                fault.discarded_steps = len(episode)
                raise
            self.env_steps += len(episode)
            self.episodes += 1
            self._log.episode(episode, self.env_steps)
            self._note("rollout_success", float(episode.success[-1]))
            self._note("rollout_return", float(episode.reward.sum()))
            self._note("rollout_length", float(len(episode)))
            self.normaliser.update(episode.observation, self._goals_fed(episode))
            self._progress.advance(len(episode))
        self.learner.refresh()

    def _goals_fed(self, episode: Episode) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        """Goals as the networks will see them: the real one and, with hindsight, those achieved."""
        desired = np.broadcast_to(episode.desired_goal, (len(episode), self.spec.goal_size))
        return (
            np.concatenate([desired, episode.achieved_goal[1:]]) if self.experience.own.relabels else desired
        )

    def _update(self, rollouts: Rollouts) -> None:
        """The updates that the steps collected since the last time have earned."""
        config, agent = self.config, self.config.agent
        fresh, self._steps_seen = self.env_steps - self._steps_seen, self.env_steps
        if self.env_steps > config.learning_starts:
            self._updates_owed += fresh * agent.updates_per_step
        actor_begins = config.learning_starts + config.critic_warmup_steps
        actor_learns = self.env_steps > actor_begins
        weight = faded(config.anchor, self.env_steps - actor_begins, config.anchor_steps)
        infos = []
        while self._updates_owed >= 1:
            self._updates_owed -= 1
            rollouts.poll()
            with timed(self.clocks, Clock.SAMPLING):
                batch = self.experience.sample(agent.batch_size, self.env_steps).to(self.device)
            with timed(self.clocks, Clock.UPDATE):
                pulled = self.anchor is not None and actor_learns and weight > 0
                pull = self.anchor.pull(batch, weight) if self.anchor and pulled else None
                infos.append(self.learner.update(batch, actor_learns=actor_learns, pull=pull))
        for info in infos:
            self._note_update({name: float(value) for name, value in info.items()})

    def _note_update(self, info: dict[str, float]) -> None:
        for name, value in info.items():
            if not math.isfinite(value):
                raise TrainingFault(
                    f"{name} of gradient step {self.gradient_steps}",
                    "a finite number",
                    str(value),
                    "Learning diverged: lower agent.lr.",
                )
            self._note(name, value)
        self.gradient_steps += 1

    def _note(self, name: str, value: float) -> None:
        self._since_evaluation[name].append(value)

    def _passed(self, interval: int, before: int) -> bool:
        """Whether the last block reached another multiple of the interval."""
        return self.env_steps // interval > before // interval

    def _evaluate(self, rollouts: Rollouts, stop: StopRequest) -> None:
        """Begin an evaluation of what is learned so far; workers play it while learning goes on."""
        self._write_evaluation(rollouts, stop)
        rollouts.evaluate(self.learner.policy(), self.config.eval_episodes)
        self._evaluated_row = {
            "env_steps": self.env_steps,
            "gradient_steps": self.gradient_steps,
            "episodes": self.episodes,
            "discarded_steps": self.discarded_steps,
        } | {name: float(np.mean(values)) for name, values in self._since_evaluation.items()}
        self._since_evaluation.clear()
        if not rollouts.has_workers:
            self._write_evaluation(rollouts, stop)

    def _write_evaluation(self, rollouts: Rollouts, stop: StopRequest) -> None:
        """Wait for the evaluation, if one was begun, and write its row; a stop request leaves it out."""
        if self._evaluated_row is None:
            return
        row, self._evaluated_row = self._evaluated_row, None
        try:
            found = rollouts.evaluation(stop.leave_evaluation)
        except EvaluationLeft:
            return
        self.success = found.success
        seconds = time.monotonic() - self._began
        self._log.evaluation(
            row
            | {
                "success": found.success,
                "success_any": found.success_any,
                "return": found.mean_return,
                "episode_length": found.mean_length,
                "eval_episodes": found.episodes,
                "wall_seconds": seconds,
                "wall_env_steps_per_second": self.env_steps / max(seconds, 1e-9),
            }
        )
        self._progress.evaluated(found.success)

    def _save(self) -> None:
        counters = {
            "env_steps": self.env_steps,
            "gradient_steps": self.gradient_steps,
            "episodes": self.episodes,
            "discarded_steps": self.discarded_steps,
        }
        try:
            self.experience.write()
        finally:  # weights are saved even where episodes cannot be
            policy, learner = self.learner.policy(), state_of(self.learner)
            save_checkpoint(self.path, policy, learner, counters, self.experience.segments)
