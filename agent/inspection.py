"""A batch of a run as its learner sees it: what was desired, what is desired in hindsight, and since when."""

import dataclasses
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regoal.agent.checkpoints import Checkpoint, refuse_export, whole_checkpoints
from regoal.agent.config import TrainConfig
from regoal.agent.experience import Experience
from regoal.agent.replay_files import Segment, parsed_segments, read_segments
from regoal.agent.resuming import fault_of_episodes
from regoal.agent.run_folder import read_config
from regoal.agent.shipped import located
from regoal.agent.trust import require_trusted
from regoal.buffers.batch import Batch
from regoal.buffers.scores import reached
from regoal.buffers.trace import OWN, Trace
from regoal.envs.goal_spec import GoalSpec
from regoal.envs.recipe import EnvRecipe
from regoal.errors import BadInput

Bools = NDArray[np.bool_]
MOST_REWARDS = 6  # that are told one by one; a dense reward has as many as there are rows


@dataclass(frozen=True)
class Inspection:
    """A batch and where it came from; n rows.

    Attributes:
        run: its folder.
        checkpoint: the generation that the replay is of.
        env_steps: of the run at that checkpoint.
        config: settings of the run.
        batch: as the learner takes it.
        trace: where each row lies in the buffer of its domain.
        episode: (n,) index of the row's episode in the run that played it.
        goal_episode: (n,) index of the episode that the hindsight goal was achieved in, or desired in where
            `trace.goal_t` is `DESIRED`; `OWN` without one.
        shift: (n,) text of the shift that the row's episode was played under.
        reward_before, terminated_before: (n,) for the original goal.
        informative: (n,) whether the goal was not achieved yet at t.
        discovering: whether rewards are for leaving what is achieved (`buffers.discovery`).
    """

    run: Path
    checkpoint: str
    env_steps: int
    config: TrainConfig
    batch: Batch
    trace: Trace
    episode: NDArray[np.int64]
    goal_episode: NDArray[np.int64]
    shift: tuple[str, ...]
    reward_before: NDArray[np.float32]
    terminated_before: Bools
    informative: Bools
    discovering: bool

    def __len__(self) -> int:
        return len(self.batch)

    @property
    def distance(self) -> NDArray[np.int64]:
        """Steps from t to the state of each hindsight goal that was achieved in the row's own episode."""
        trace = self.trace
        same = trace.achieved & (trace.goal_episode == trace.episode)
        steps: NDArray[np.int64] = trace.goal_t[same] - trace.t[same]
        return steps

    def row(self, i: int) -> dict[str, Any]:
        """One row of the batch, for JSON."""
        batch, trace = self.batch, self.trace
        relabelled, achieved = bool(trace.relabelled[i]), bool(trace.achieved[i])
        return {
            "row": i,
            "domain": "source" if i < batch.n_source else "own",
            "episode": int(self.episode[i]),
            "shift": self.shift[i],
            "length": int(trace.length[i]),
            "t": int(trace.t[i]),
            "strategy": self.config.relabel if relabelled else "none",
            "goal_episode": int(self.goal_episode[i]) if relabelled else None,
            "goal_kind": ("achieved" if achieved else "desired") if relabelled else None,
            "goal_t": int(trace.goal_t[i]) if achieved else None,
            "achieved_goal": trace.achieved_goal[i].tolist(),
            "next_achieved_goal": trace.next_achieved_goal[i].tolist(),
            "original_goal": trace.original_goal[i].tolist(),
            "goal": batch.desired_goal[i].tolist(),
            "reward_before": float(self.reward_before[i]) + 0.0,  # no -0.0
            "reward": float(batch.reward[i]) + 0.0,
            "terminated_before": bool(self.terminated_before[i]),
            "terminated": bool(batch.terminated[i]),
            "informative": bool(self.informative[i]),
        }

    def summary(self) -> dict[str, Any]:
        """Shares of the batch, for JSON; None where there is nothing to take a share of."""
        relabelled, batch, k = self.trace.relabelled, self.batch, self.config.n_sampled_goal
        return {
            "rows": len(self),
            "relabelled": _mean(relabelled),
            "relabelled_asked_for": 0.0 if self.discovering or self.config.relabel == "none" else k / (k + 1),
            "source": batch.n_source / len(self),
            "informative": _mean(self.informative),
            "informative_relabelled": _mean(self.informative[relabelled]),
            "informative_real": _mean(self.informative[~relabelled]),
            "rewards_before": _rewards(self.reward_before),
            "rewards": _rewards(batch.reward.numpy()),
            "terminated_before": _mean(self.terminated_before),
            "terminated": _mean(batch.terminated.numpy()),
            "steps_to_goal": [int(q) for q in np.quantile(self.distance, (0, 0.5, 1), method="nearest")]
            if len(self.distance)
            else None,
        }

    def to_json(self) -> dict[str, Any]:
        """Everything, for JSON."""
        config = self.config
        return {
            "run": str(self.run),
            "checkpoint": self.checkpoint,
            "env_steps": self.env_steps,
            "env": config.env,
            "shift": config.shift,
            "source": config.source,
            "relabel": config.relabel,
            "n_sampled_goal": config.n_sampled_goal,
            "discovering": self.discovering,
            "summary": self.summary(),
            "batch": [self.row(i) for i in range(len(self))],
        }


def inspect(run: Path) -> Inspection:
    """A batch from the replay of a run's newest checkpoint, drawn as its learner draws them.

    Args:
        run: its folder; it may be running, stopped, or finished with its replay kept.

    Raises:
        BadInput: no such run, none that has episodes, or one that names what was not trusted.
    """
    config = read_config(run)
    refuse_export(run, "a run whose episodes are there")
    config = dataclasses.replace(require_trusted(config, str(run)), out=str(run))
    checkpoint = _with_episodes(run, config)
    progress = checkpoint.state["progress"]
    env_steps, source = int(progress["run"]["env_steps"]), parsed_segments(progress["source"])
    spec = GoalSpec.from_recipe(EnvRecipe(config.env, config.shift, config.env_kwargs))
    try:
        experience = Experience(config, spec, source)
        experience.restore(progress["experience"], checkpoint.segments)
        batch, trace = experience.sample_traced(config.agent.batch_size, env_steps)
        files = {"own": (run, checkpoint.segments), "source": (located(config.source), source)}
        played = {name: _played(*files[name], one.n_episodes) for name, one in experience.buffers.items()}
        domain = ["source" if i < batch.n_source else "own" for i in range(len(batch))]
        episodes = [played[name][number] for name, number in zip(domain, trace.episode, strict=True)]
        # Where there is no hindsight goal, OWN stands for any episode, until it is put back.
        goals = [played[name][number].index for name, number in zip(domain, trace.goal_episode, strict=True)]
        achieved = trace.next_achieved_goal
        return Inspection(
            run=run,
            checkpoint=checkpoint.path.name,
            env_steps=env_steps,
            config=config,
            batch=batch,
            trace=trace,
            episode=np.array([one.index for one in episodes], np.int64),
            goal_episode=np.where(trace.relabelled, goals, OWN),
            shift=tuple(one.shift for one in episodes),
            reward_before=spec.reward(achieved, trace.original_goal),
            terminated_before=spec.terminated(achieved, trace.original_goal),
            informative=~reached(spec, trace.achieved_goal, batch.desired_goal.numpy()),
            discovering=experience.own.discovering,
        )
    finally:
        spec.close()


@dataclass(frozen=True)
class _Played:
    """An episode, as its run knows it."""

    index: int
    shift: str


def _played(run: Path, segments: Sequence[Segment], held: int) -> list[_Played]:
    """The newest episodes of a run's segments, as many as a buffer holds, oldest first."""
    return [_Played(one.index, one.shift) for one in read_segments(run, segments)][-held:]


def _with_episodes(run: Path, config: TrainConfig) -> Checkpoint:
    """The newest checkpoint whose episodes are there.

    Raises:
        BadInput: there is none.
    """
    for checkpoint in whole_checkpoints(run):
        if not checkpoint.segments:
            raise BadInput("run", "a run whose episodes are there", *_why_none(run, checkpoint, config))
        fault = fault_of_episodes(checkpoint)
        if fault is None:
            return checkpoint
        warnings.warn(f"{checkpoint.path}: {fault}; falling back to the generation before", stacklevel=3)
    raise BadInput("run", "a checkpoint that is whole", f"none in {run}", "Train again, or copy it again.")


def _why_none(run: Path, checkpoint: Checkpoint, config: TrainConfig) -> tuple[str, str]:
    """Why a checkpoint has no episodes, and what to do."""
    if checkpoint.state["progress"]["run"]["episodes"]:
        return f"{run}, which has finished without them", "Train with --keep-replay, or look while it runs."
    if not config.steps:
        return f"{run}, which collects none", "Look at its source."
    every = f"every {config.checkpoint_interval:,} env steps"
    fix = f"They are written with the checkpoints, {every}: wait, or lower checkpoint_interval."
    return f"{run}, which has none yet", fix


def _mean(values: Bools) -> float | None:
    return float(values.mean()) if len(values) else None


def _rewards(values: NDArray[np.float32]) -> dict[str, Any]:
    """How rewards are spread: the share of each, where there are few of them."""
    found, counts = np.unique(values + 0.0, return_counts=True)  # no -0.0
    shares = {f"{value:g}": count / len(values) for value, count in zip(found, counts, strict=True)}
    return {
        "least": float(found[0]),
        "median": float(np.median(values)) + 0.0,
        "greatest": float(found[-1]),
        "shares": shares if len(found) <= MOST_REWARDS else None,
    }
