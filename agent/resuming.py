"""Going on with a run where it was, to the last bit: what checkpoints hold beyond weights, and its way back.

A checkpoint is taken between two blocks of episodes. It holds the policy that plays the block in flight,
which was fixed before the last updates, and that of an evaluation without a result: both are played again.
"""

import shlex
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tomli_w
import torch

from regoal.agent.anchor import Anchor
from regoal.agent.array_file import Arrays, require_alike
from regoal.agent.checkpoints import Checkpoint, refuse_export, whole_checkpoints
from regoal.agent.config import TrainConfig
from regoal.agent.learner import load_state
from regoal.agent.metrics import columns_of
from regoal.agent.policy import Policy
from regoal.agent.progress import say
from regoal.agent.replay_files import segments_fault, sweep
from regoal.agent.run_folder import last_sitting, read_config, rewrite_config, versions, writing
from regoal.agent.run_state import RunState
from regoal.agent.trust import require_trusted
from regoal.agent.validation import validated
from regoal.errors import BadInput

if TYPE_CHECKING:
    from regoal.agent.loop import Training

# Of what a checkpoint says of how far a run is, and of what kind each is.
PARTS = {
    "world": dict,
    "run": dict,
    "experience": dict,
    "source": list,
    "finished": bool,
    "inside_block": bool,
}
SEGMENT_FIELDS = ("name", "size", "sha256", "episodes", "transitions")


def resumed_config(
    run: Path, *, steps: int | None = None, workers: int | None = None, threads: int | None = None
) -> TrainConfig:
    """The settings of a run that goes on, where its folder lies now.

    Raises:
        BadInput: no such run, one that is an export, or a setting that cannot work.
    """
    config = read_config(run)
    refuse_export(run, "a run that can go on")
    config = require_trusted(config, str(run))
    asked: dict[str, Any] = {"steps": steps, "workers": workers, "threads": threads}
    if steps is not None and steps < config.steps:
        raise BadInput("steps", f"the {config.steps:,} the run was begun with, or more", f"{steps:,}")
    return validated(
        replace(config, out=str(run), **{name: value for name, value in asked.items() if value is not None})
    )


def resumable(run: Path, config: TrainConfig) -> Checkpoint:
    """The newest checkpoint that is whole, its episodes included.

    Raises:
        BadInput: there is none, or nothing is left to do.
    """
    for checkpoint in whole_checkpoints(run):
        progress = _progress(checkpoint)
        if progress["world"] != _world(config):
            raise BadInput(
                f"{run} config.toml",
                f"the world that the checkpoint was made in, {progress['world']}",
                str(_world(config)),
                "A run goes on where it was; to go on elsewhere, fine-tune from it.",
            )
        state = RunState.from_json(progress["run"])
        if progress["finished"] and not checkpoint.segments:
            sweep(run, ())  # in place of a process that was killed before it did
        if progress["finished"] and state.env_steps >= config.steps:
            kept = f"Give it more: --steps {2 * config.steps}, or fine-tune from it."
            more = kept if checkpoint.segments else "It has not kept its episodes: fine-tune from it."
            raise BadInput(
                "run", "one with steps left", f"{run}, which has all its {state.env_steps:,}", more
            )
        if progress["finished"] and not checkpoint.segments:
            raise BadInput(
                "run",
                "a run that has kept its episodes",
                f"{run}, which is finished and has not",
                "Train with --keep-replay to go on later, or fine-tune from it.",
            )
        fault = fault_of_episodes(checkpoint)
        if fault is None:
            return checkpoint
        warnings.warn(f"{checkpoint.path}: {fault}; falling back to the generation before", stacklevel=2)
    raise BadInput("run", "a checkpoint that is whole", f"none in {run}", "Train again, or copy it again.")


def fault_of_episodes(checkpoint: Checkpoint, *, damage_alone: bool = False) -> str | None:
    """What is wrong with the episodes that a run would go on with; None if nothing is.

    Args:
        checkpoint: of the run.
        damage_alone: as for `segments_fault`.
    """
    experience = _progress(checkpoint)["experience"]
    held, unwritten = experience["buffers"]["own"]["n_episodes"], experience.get("unwritten", 0)
    fault = segments_fault(checkpoint.path.parents[1], checkpoint.segments, damage_alone=damage_alone)
    # Where older episodes have left, their files hold as many as there are without the newest.
    if fault is None and (unwritten or held > sum(segment.episodes for segment in checkpoint.segments)):
        return "not all its episodes could be saved"
    return fault


def _progress(checkpoint: Checkpoint) -> dict[str, Any]:
    """How far a run is, as far as the form of it goes.

    Raises:
        BadInput: it is something else.
    """
    progress = checkpoint.state["progress"]
    try:
        kinds = [type(progress[name]) for name in PARTS]
        held = progress["experience"]["buffers"]["own"]["n_episodes"]
        if kinds != list(PARTS.values()) or type(held) is not int or held < 0:
            raise TypeError(f"{kinds}")
    except (KeyError, TypeError) as error:
        got = f"{type(error).__name__}: {error}"
        raise BadInput(f"{checkpoint.path}", "how far a run is", got[:200], "Copy it again.") from error
    return dict(progress)


def _world(config: TrainConfig) -> dict[str, str]:
    """Where a run plays."""
    kwargs = ", ".join(f"{name}={value!r}" for name, value in sorted(config.env_kwargs.items()))
    return {"env": config.env, "env_kwargs": kwargs, "shift": config.shift}


def _require_columns(state: RunState, config: TrainConfig) -> None:
    """That what was noted for metrics.csv has a column there, and what every row has was noted.

    Raises:
        BadInput: it has none, or was not.
    """
    noted, columns = {*state.sums, *(state.pending or {})}, set(columns_of(config))
    missing = set(state.counters()) - set(state.pending) if state.pending is not None else set()
    for name in (noted - columns) | missing:
        raise BadInput("checkpoint progress", "columns of metrics.csv", repr(name)[:200], "Copy it again.")


def note_resumed(run: Path, config: TrainConfig, env_steps: int, *, inside_block: bool) -> None:
    """Write down that and how the run goes on, and say what keeps its numbers from being the same."""
    (told_threads, before), now = last_sitting(run, env_steps), versions()
    if inside_block:
        say(f"{run}: its checkpoint was saved after an error, between two blocks: no longer bit-exact")
    if config.threads != told_threads:
        say(f"{run}: {config.threads} threads instead of {told_threads}: no longer bit-exact")
    for name in sorted(now):
        if before.get(name, now[name]) != now[name]:
            say(f"{run}: {name} {now[name]} instead of {before[name]}: perhaps not the same numbers")
    entry = {
        "env_steps": env_steps,
        "threads": config.threads,
        "command": shlex.join(sys.argv),
        "versions": now,
    }
    with writing(run):
        with (run / "run.toml").open("a") as file:
            file.write("\n" + tomli_w.dumps({"resumed": [entry]}, multiline_strings=False))
        if read_config(run).steps != config.steps:
            rewrite_config(run, config)


def progress_of(training: "Training") -> dict[str, Any]:
    """How far a run is, for JSON."""
    return {
        "world": _world(training.config),
        "run": training.state.to_json(),
        "experience": training.experience.state(),
        "source": [{name: getattr(one, name) for name in SEGMENT_FIELDS} for one in training.source],
    }


def snapshots_of(training: "Training") -> Arrays:
    """Arrays beside the learner's own."""
    mean, std = training.learner.inputs.statistics()
    arrays = {"inputs.mean": mean.cpu().numpy().copy(), "inputs.std": std.cpu().numpy().copy()}
    arrays |= _named("acting", training.acting)
    if training.state.pending is not None:
        arrays |= _named("evaluated", training.evaluated)
    if training.average is not None:
        arrays |= _named("average", training.average.policy)
    if training.anchor is not None:
        arrays |= {f"anchor.{key}": value for key, value in training.anchor.state().items()}
    for name, generator in training.learner.generators().items():
        arrays[f"generator.{name}"] = generator.get_state().numpy().copy()
    return arrays


def restore(training: "Training", checkpoint: Checkpoint) -> None:
    """Put a run that was just built where it was.

    Raises:
        BadInput: the checkpoint does not belong to its settings, or a file of its episodes is missing.
    """
    progress, arrays = checkpoint.state["progress"], checkpoint.snapshots()
    training.state = RunState.from_json(progress["run"])
    load_state(training.learner, checkpoint.learner_arrays())
    if training.state.episodes:
        training.normaliser.had_rows()
    training.experience.restore(progress["experience"], checkpoint.segments)
    _require_columns(training.state, training.config)
    template = training.learner.policy()
    try:
        if training.config.anchor:
            training.anchor = Anchor(
                training.learner.actor, training.normaliser, training.spec.action_size, training.device
            )
        require_alike(arrays, snapshots_of(training))
        mean, std = (torch.from_numpy(arrays[f"inputs.{name}"].copy()) for name in ("mean", "std"))
        training.learner.inputs.set_statistics(mean, std)
        training.acting = _policy("acting", template, arrays)
        if training.state.pending is not None:
            training.evaluated = _policy("evaluated", template, arrays)
        if training.average is not None:
            training.average.policy = _policy("average", template, arrays)
        if training.anchor is not None:
            training.anchor.load_state(_below("anchor", arrays))
        for name, generator in training.learner.generators().items():
            generator.set_state(torch.from_numpy(arrays[f"generator.{name}"].copy()))
    except (KeyError, RuntimeError, ValueError, TypeError) as error:
        raise BadInput(
            f"{checkpoint.path}",
            "snapshots of this run",
            f"{type(error).__name__}: {error}",
            "Copy it again.",
        ) from error


def _named(name: str, policy: Policy) -> Arrays:
    return {f"{name}.{i}": np.array(array, order="C") for i, array in enumerate(policy.arrays)}


def _policy(name: str, template: Policy, arrays: Arrays) -> Policy:
    return template.with_arrays([arrays[f"{name}.{i}"] for i in range(len(template.arrays))])


def _below(name: str, arrays: Arrays) -> Arrays:
    return {
        key.removeprefix(f"{name}."): value for key, value in arrays.items() if key.startswith(f"{name}.")
    }
