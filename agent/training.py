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
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from regoal.agent.checkpoints import save_checkpoint
from regoal.agent.config import TrainConfig
from regoal.agent.evaluation import evaluate
from regoal.agent.interrupts import EvaluationLeft, Stopped, StopRequest
from regoal.agent.learner import make_learner, state_of
from regoal.agent.normaliser import Normaliser
from regoal.agent.policy import Policy
from regoal.agent.progress import Progress
from regoal.agent.rollout import collect
from regoal.agent.run_folder import RunLog, create_run_folder, nearest_folder
from regoal.agent.seeding import Stream, generator
from regoal.agent.source import load_source
from regoal.agent.validation import validated
from regoal.buffers.episode import Episode
from regoal.buffers.hindsight import HindsightBuffer, buffer_bytes
from regoal.envs.check import require_contract
from regoal.envs.goal_spec import GoalSpec
from regoal.envs.recipe import Env, EnvRecipe
from regoal.envs.shift import Shift
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
    # One text for one shift, however it was typed: it is what is written down and compared.
    config = dataclasses.replace(config, shift=str(Shift.parse(config.shift)))
    print(f"{config.out}: checking {config.env} ...", file=sys.stderr)
    spec = require_contract(EnvRecipe(config.env, config.shift, config.env_kwargs))
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
        mode = config.normaliser if config.source else "continue"
        self.normaliser = Normaliser(spec.observation_size, spec.goal_size, mode)
        self.learner = make_learner(config.agent, spec, self.normaliser, config.seed)
        if config.source:
            load_source(self.learner, spec, config)
        # A run never holds more than it collects.
        most = config.steps + config.block_episodes * spec.max_episode_steps
        self.buffer = HindsightBuffer(
            spec,
            max(min(config.capacity, most), spec.max_episode_steps),
            strategy=config.relabel,
            n_sampled_goal=config.n_sampled_goal,
            seed=generator(config.seed, Stream.REPLAY),
            disk=nearest_folder(Path(config.out)) if config.buffer_on_disk else None,
        )
        self.env_steps = self.gradient_steps = self.episodes = 0
        self.discarded_steps = 0  # played, but not learned from: their episode was faulty
        self.success = float("nan")
        self._steps_seen, self._updates_owed = 0, 0.0
        self._since_evaluation: dict[str, list[float]] = defaultdict(list)

    def run(self, stop: StopRequest) -> RunResult:
        """Collect, learn and evaluate until the steps are spent or a stop is asked for."""
        recipe, columns = self.spec.recipe, COLUMNS + UPDATE_COLUMNS[self.config.agent.name] + WALL_COLUMNS
        with contextlib.closing(recipe.build()) as env, contextlib.closing(recipe.build()) as eval_env:
            self.path = create_run_folder(self.config)
            self._announce()
            self._save()  # from now on the folder can be loaded, whatever happens
            with (
                RunLog(self.path, columns) as self._log,
                Progress(self.config.steps, self.config.out) as self._progress,
            ):
                try:
                    self._learn(env, eval_env, stop)
                except Exception as error:
                    self.discarded_steps += getattr(error, "discarded_steps", 0)
                    with contextlib.suppress(TrainingFault, OSError):  # the first error is the one to tell
                        self._save()
                    raise
            self._save()
        if stop.requested:
            raise Stopped(str(self.path), stop.signal)
        return RunResult(self.path, self.success, self.env_steps, self.gradient_steps)

    def _learn(self, env: Env, eval_env: Env, stop: StopRequest) -> None:
        config = self.config
        self._began = time.monotonic()
        self._evaluate(eval_env, stop)
        acting = self.learner.policy()
        while self.env_steps < config.steps and not stop.requested:
            before = self.env_steps
            self._add(self._collect(env, acting))
            acting = self.learner.policy()
            self._update()
            ended = self.env_steps >= config.steps
            if ended or self._passed(config.eval_interval, before):
                self._evaluate(eval_env, stop)
            if not ended and self._passed(config.checkpoint_interval, before):
                self._save()

    def _collect(self, env: Env, acting: Policy) -> Iterator[Episode]:
        indices = range(self.episodes, self.episodes + self.config.block_episodes)
        return collect(env, self.spec, acting, self.config.seed, indices)

    def _add(self, episodes: Iterable[Episode]) -> None:
        for episode in episodes:
            try:
                self.buffer.add_episode(episode)
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
        return np.concatenate([desired, episode.achieved_goal[1:]]) if self.buffer.relabels else desired

    def _update(self) -> None:
        """The updates that the steps collected since the last time have earned."""
        agent = self.config.agent
        fresh, self._steps_seen = self.env_steps - self._steps_seen, self.env_steps
        if self.env_steps > self.config.learning_starts:
            self._updates_owed += fresh * agent.updates_per_step
        while self._updates_owed >= 1:
            self._updates_owed -= 1
            for name, value in self.learner.update(self.buffer.sample(agent.batch_size, reuse=True)).items():
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

    def _evaluate(self, env: Env, stop: StopRequest) -> None:
        """Evaluate and write a row; a stop request leaves the row out."""
        config = self.config
        policy = self.learner.policy()
        try:
            found = evaluate(
                env,
                self.spec,
                policy,
                episodes=config.eval_episodes,
                seed=config.seed,
                tick=stop.leave_evaluation,
            )
        except EvaluationLeft:
            return
        self.success = found.success
        means = {name: float(np.mean(values)) for name, values in self._since_evaluation.items()}
        self._since_evaluation.clear()
        seconds = time.monotonic() - self._began
        self._log.evaluation(
            {
                "env_steps": self.env_steps,
                "gradient_steps": self.gradient_steps,
                "episodes": self.episodes,
                "discarded_steps": self.discarded_steps,
                "success": found.success,
                "success_any": found.success_any,
                "return": found.mean_return,
                "episode_length": found.mean_length,
                "eval_episodes": found.episodes,
                "wall_seconds": seconds,
                "wall_env_steps_per_second": self.env_steps / max(seconds, 1e-9),
            }
            | means
        )
        self._progress.evaluated(found.success)

    def _save(self) -> None:
        counters = {
            "env_steps": self.env_steps,
            "gradient_steps": self.gradient_steps,
            "episodes": self.episodes,
            "discarded_steps": self.discarded_steps,
        }
        save_checkpoint(self.path, self.learner.policy(), state_of(self.learner), counters)

    def _announce(self) -> None:
        size = buffer_bytes(self.spec, self.buffer.capacity)
        shown = f"{size / 1e6:,.1f} MB" if size >= 1e6 else f"{size / 1e3:,.0f} kB"
        where = "on disk" if self.config.buffer_on_disk else "in memory"
        print(
            f"{self.path}: replay buffer of up to {self.buffer.capacity:,} transitions, {shown} "
            f"when full, {where}",
            file=sys.stderr,
        )
