"""The training loop: collect a block of whole episodes, learn from all so far, evaluate now and then.

Block n is collected with the weights as they were before the updates on block n - 1. That costs one block
of delay and lets collection and updates run side by side, with the same numbers as one after the other.
"""

import contextlib
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from regoal.agent.agent_trial import require_agent_works
from regoal.agent.agents import agent_name, is_own
from regoal.agent.anchor import Anchor
from regoal.agent.averaging import PolicyAverage
from regoal.agent.checkpoints import save_checkpoint
from regoal.agent.clock import N_CLOCKS, Clock, timed
from regoal.agent.config import TrainConfig
from regoal.agent.diagnosis import LOOK_EVERY, Diagnosis
from regoal.agent.evaluating import begin_evaluation, evaluate, write_evaluation
from regoal.agent.experience import Experience
from regoal.agent.faults import FaultCount
from regoal.agent.imitation import require_critic
from regoal.agent.interrupts import Stopped, StopRequest
from regoal.agent.learner import make_learner, state_of
from regoal.agent.machine import learning_device, worker_count
from regoal.agent.metrics import columns_of
from regoal.agent.modes import actor_begins, agent_that_learns
from regoal.agent.normaliser import Normaliser
from regoal.agent.policy import Policy
from regoal.agent.profile import report as profile_report
from regoal.agent.progress import Progress
from regoal.agent.replay_files import Segment, sweep
from regoal.agent.resuming import progress_of, snapshots_of
from regoal.agent.rollouts import Rollouts
from regoal.agent.run_folder import RunLog, make_run_folder, write_settings, writing
from regoal.agent.run_lock import RunLock
from regoal.agent.run_state import RunState
from regoal.agent.source import give_fresh_critics_their_rate, load_source
from regoal.agent.updating import make_updates
from regoal.buffers.episode import Episode
from regoal.envs.goal_spec import GoalSpec
from regoal.errors import RunFault, SaveFault, TrainingFault

NOISY = 0.5  # a feature of which less than this is believed is worth telling of


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


class Training:
    """One run from its first block to its last; refuses bad settings before anything is written.

    Args:
        config: its settings.
        spec: of its env.
        source: files of the source's replay that are drawn from, if any are.

    Attributes:
        state: how far it is.
        acting: plays the block that comes next.
        average: of the policies that played so far, if the settings ask for one.
        evaluated: plays the evaluation that has no result yet, if `state.pending` says that there is one.
        log, progress, faults: what the run writes, shows and counts, while it runs.
        began: when it would have begun without a break [s of the monotonic clock].
    """

    def __init__(self, config: TrainConfig, spec: GoalSpec, source: Sequence[Segment] = ()) -> None:
        self.config, self.spec, self.source = config, spec, source
        self.path = Path(config.out)
        self.workers = worker_count(config, spec.recipe)
        self.device = learning_device(config.device)
        mode = config.normaliser if config.source else "continue"
        self.normaliser = Normaliser(spec.observation_size, spec.goal_size, mode)
        if is_own(agent_name(config.agent)):
            require_agent_works(config.agent, spec, config.seed, self.device, config.policy_delay)
        agent = agent_that_learns(config)
        self.learner = make_learner(agent, spec, self.normaliser, config.seed, self.device)
        give_fresh_critics_their_rate(self.learner, config)
        if config.imitation:
            require_critic(self.learner, agent_name(config.agent))
        self.anchor: Anchor | None = None
        self.experience = Experience(config, spec, source)
        self._diagnosis = Diagnosis(config, spec, self.experience, self.learner)
        self.state = RunState()
        self.acting = self.evaluated = self.learner.policy()
        self.average = PolicyAverage(self.acting, config.policy_average) if config.policy_average else None
        self.clocks = np.zeros(N_CLOCKS) if config.profile else None

    def start_from_source(self) -> None:
        """Take over what the mode takes from the source, which fits."""
        load_source(self.learner, self.config)
        if self.config.anchor:
            self.anchor = Anchor(self.learner.actor, self.normaliser, self.spec.action_size, self.device)
        self.acting = self.learner.policy()
        if self.average is not None:
            self.average.policy = self.acting

    def run(self, stop: StopRequest, notes: Mapping[str, str] | None = None) -> RunResult:
        """Make the run folder, and collect, learn and evaluate until the steps are spent.

        Args:
            stop: asks it to stop.
            notes: for run.toml.

        Raises:
            Stopped: a stop was asked for.
        """
        with self._rollouts() as rollouts:
            make_run_folder(self.config)
            with RunLock(self.path):
                write_settings(self.config, notes)
                return self._go_on(rollouts, stop, save_first=True)

    def resume(self, stop: StopRequest) -> RunResult:
        """Go on from what was restored; the lock of the run is held.

        Raises:
            Stopped: a stop was asked for.
        """
        with self._rollouts() as rollouts:
            return self._go_on(rollouts, stop, save_first=False)

    def _go_on(self, rollouts: Rollouts, stop: StopRequest, *, save_first: bool) -> RunResult:
        print(f"{self.path}: {self.experience.description}", file=sys.stderr)
        state = self.state
        self.faults = FaultCount(self.path, state)
        sat_down = time.monotonic()
        self.began = sat_down - state.wall_seconds
        with (
            RunLog(self.path, columns_of(self.config), state.log_bytes, state.env_steps) as self.log,
            Progress(self.config.steps, self.config.out, state.env_steps) as self.progress,
        ):
            if save_first:  # from now on the folder can be loaded, whatever happens
                self._save()
            try:
                self._learn(rollouts, stop)
            except Exception:
                with contextlib.suppress(TrainingFault, SaveFault):  # the first error is the one to tell
                    self._save(inside_block=True)
                raise
            self._save(finished=not stop.requested)
        if self.clocks is not None:
            seconds = time.monotonic() - sat_down  # of this sitting, as the clocks are
            print(profile_report(rollouts.seconds(), seconds, self.workers), file=sys.stderr)
        if stop.requested:
            raise Stopped(str(self.path), stop.signal)
        success = float("nan") if state.success is None else state.success
        return RunResult(self.path, success, state.env_steps, state.gradient_steps)

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
        config, state = self.config, self.state
        if state.pending is not None:
            begin_evaluation(self, rollouts)
        elif not state.evaluations:
            self._evaluate(rollouts, stop)
        if state.env_steps < config.steps:
            self._collect(rollouts)
        while state.block_began < config.steps and not stop.requested:
            before = state.block_began
            # After an error in the last block there are no more episodes, but what they have earned is due.
            whole = state.env_steps >= config.steps
            self._add(() if whole else rollouts.episodes(self.faults.in_training))
            ended = state.env_steps >= config.steps
            self.acting = self.learner.policy()
            if self.average is not None:
                self.average.update(self.acting, state.env_steps - state.steps_seen, self._learned_steps)
            if not (ended or stop.requested):
                self._collect(rollouts)
            self._update(rollouts)
            if self._passed(LOOK_EVERY, before):
                self._diagnosis.look(state.env_steps, state.gradient_steps)
            if ended or self._passed(config.eval_interval, before):
                self._evaluate(rollouts, stop)
            elif rollouts.evaluated:
                write_evaluation(self, rollouts, stop)
            state.block_began = state.env_steps
            if not ended and self._passed(config.checkpoint_interval, before):
                self._save()
        write_evaluation(self, rollouts, stop)

    def _collect(self, rollouts: Rollouts) -> None:
        """Begin the next block."""
        block = range(self.state.episodes, self.state.episodes + self.config.block_episodes)
        rollouts.collect(self.acting, block, self.experience.goal_to_practise)

    def _add(self, episodes: Iterable[Episode]) -> None:
        state, had_learned = self.state, self.actor_learns
        for episode in episodes:
            try:
                with writing(self.path):
                    self.experience.add(episode)
            except RunFault:
                state.discarded_steps += len(episode)
                raise
            state.env_steps += len(episode)
            state.episodes += 1
            state.failed_in_a_row = 0
            self.log.episode(episode, state.env_steps)
            state.note("rollout_success", float(episode.success[-1]))
            state.note("rollout_return", float(episode.reward.sum()))
            state.note("rollout_length", float(len(episode)))
            self.normaliser.update(episode.observation, self._goals_fed(episode))
            self.progress.advance(len(episode))
        self.experience.end_discovery_if_due(state.env_steps)
        # Until it learns the policy stays as it is: other statistics would make another one of it.
        if self.actor_learns:
            self.learner.inputs.refresh()
            if self.config.normaliser == "damp":
                if self.anchor is not None:  # what the source would do, were its sensors as they were
                    self.anchor.refresh()
                if not had_learned:
                    self._tell_of_noise()

    def _tell_of_noise(self) -> None:
        gain = self.normaliser.gain
        if n_noisy := np.count_nonzero(gain < NOISY):
            told = f"{n_noisy} of {len(gain)} features of the observation count for less than half"
            print(f"{self.path}: sensors look noisier than in the source: {told}", file=sys.stderr)

    def _goals_fed(self, episode: Episode) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        """Goals as the networks will see them: the real one and, with hindsight, those achieved."""
        desired = np.broadcast_to(episode.desired_goal, (len(episode), self.spec.goal_size))
        return (
            np.concatenate([desired, episode.achieved_goal[1:]]) if self.experience.own.relabels else desired
        )

    @property
    def policy(self) -> Policy:
        """What is evaluated and kept of what was learned so far."""
        return self.learner.policy() if self.average is None else self.average.policy

    @property
    def actor_learns(self) -> bool:
        """Whether the buffer is filled and the critics are warm, or will be in this block of updates."""
        return self._learned_steps > 0

    @property
    def _learned_steps(self) -> int:
        """Env steps since the actor began to learn; 0 or fewer while it does not."""
        return self.state.env_steps - actor_begins(self.config)

    def _update(self, rollouts: Rollouts) -> None:
        def poll() -> None:
            rollouts.poll()
            self.progress.busy("updating")

        make_updates(self, poll)

    def _passed(self, interval: int, before: int) -> bool:
        """Whether the last block reached another multiple of the interval."""
        return self.state.env_steps // interval > before // interval

    def _evaluate(self, rollouts: Rollouts, stop: StopRequest) -> None:
        evaluate(self, rollouts, stop)

    def _save(self, *, finished: bool = False, inside_block: bool = False) -> None:
        """Write a checkpoint.

        Args:
            finished: the run has come to its end; episodes that nobody asked to keep leave with it.
            inside_block: an error came between two block boundaries: what follows will not be bit-exact.
        """
        state = self.state
        state.wall_seconds = time.monotonic() - self.began
        keep = self.config.keep_replay or not finished
        with timed(self.clocks, Clock.SAVING), writing(self.path):
            state.log_bytes = self.log.sizes()
            complete = False
            try:
                self.experience.write()
                complete = True
            finally:  # weights are saved even where episodes cannot be
                save_checkpoint(
                    self.path,
                    self.policy,
                    state_of(self.learner),
                    progress_of(self) | {"inside_block": inside_block, "finished": finished and complete},
                    snapshots=snapshots_of(self),
                    replay=self.experience.segments if keep else (),
                    complete=complete,
                )
        if not keep:
            sweep(self.path, ())
