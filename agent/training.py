"""Training from scratch, from a source, or from where a run was stopped: built, checked, and set going."""

import contextlib
import dataclasses
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

from regoal.agent.config import TrainConfig
from regoal.agent.interrupts import StopRequest
from regoal.agent.loop import RunResult, Training
from regoal.agent.modes import agent_that_learns
from regoal.agent.replay_files import parsed_segments
from regoal.agent.resuming import (
    note_resumed,
    restore,
    resumable,
    resumed_config,
)
from regoal.agent.run_folder import require_new
from regoal.agent.run_lock import RunLock
from regoal.agent.source import require_source_fits, source_replay
from regoal.agent.trust import trust_settings
from regoal.agent.validation import validated
from regoal.envs.check import require_contract
from regoal.envs.goal_spec import GoalSpec
from regoal.envs.recipe import EnvRecipe
from regoal.errors import BadInput


def train(config: TrainConfig, *, notes: Mapping[str, str] | None = None) -> RunResult:
    """Train an agent, from scratch or from the weights of `config.source`.

    Args:
        config: all that its numbers depend on.
        notes: written into run.toml beside the command, such as the name of the preset that was taken.

    Raises:
        BadInput: a setting or the env cannot work; nothing was written.
        RunFault: the env broke its contract again and again, or learning diverged; the run folder holds the
            last good checkpoint, as it does after any other error.
        Stopped: Ctrl-C or SIGTERM; the run folder holds what was learned, for `resume` to go on from.
    """
    config = validated(config)
    for name, note in (notes or {}).items():
        if not (isinstance(name, str) and isinstance(note, str)):
            raise BadInput("notes", "texts by name", f"{name!r}: {note!r}")
    trust_settings(config)
    require_new(Path(config.out))  # now, and not after the env was checked
    recipe = EnvRecipe(config.env, config.shift, config.env_kwargs)
    # One text for one shift, however it was typed: it is what is written down and compared.
    config = dataclasses.replace(config, shift=recipe.shift)
    with _checked(config, recipe) as spec:
        training = begin(config, spec)
        with StopRequest() as stop:
            return training.run(stop, notes)


def begin(config: TrainConfig, spec: GoalSpec) -> Training:
    """A run before its first step, with what its mode takes from its source.

    Raises:
        BadInput: the source does not fit; nothing was written.
    """
    if not config.source:
        return Training(config, spec)
    require_source_fits(config, spec)
    training = Training(config, spec, source_replay(config))
    training.start_from_source()
    rate = getattr(agent_that_learns(config), "lr", None)
    if config.steps and rate != getattr(config.agent, "lr", None):
        told = f"{config.out}: weights that are kept learn at {rate:g}, agent.lr x agent.finetune_lr_share"
        print(told, file=sys.stderr)
    return training


@contextlib.contextmanager
def _checked(config: TrainConfig, recipe: EnvRecipe) -> Iterator[GoalSpec]:
    """The goal spec of an env that keeps the contract."""
    print(f"{config.out}: checking {config.env} with {config.shift or 'no shift'} ...", file=sys.stderr)
    spec = require_contract(recipe)
    before = torch.get_num_threads()
    torch.set_num_threads(config.threads)
    try:
        yield spec
    finally:
        torch.set_num_threads(before)
        spec.close()


def resume(
    run: str | os.PathLike[str],
    *,
    steps: int | None = None,
    workers: int | None = None,
    threads: int | None = None,
) -> RunResult:
    """Go on with a run that was stopped or killed, from its newest checkpoint, to the same numbers.

    Args:
        run: its folder.
        steps: env steps to reach, if more than the run was begun with.
        workers: processes that play, if others than before; numbers do not depend on them.
        threads: torch threads, if others than before; numbers depend on them in the last digits.

    Raises:
        BadInput: no such run, one that another process works on, one that has finished, or no checkpoint
            that is whole.
    """
    path = Path(run)
    config = resumed_config(path, steps=steps, workers=workers, threads=threads)
    recipe = EnvRecipe(config.env, config.shift, config.env_kwargs)
    with RunLock(path), _checked(config, recipe) as spec:
        checkpoint = resumable(path, config)
        training = Training(config, spec, parsed_segments(checkpoint.state["progress"]["source"]))
        restore(training, checkpoint)
        inside_block = bool(checkpoint.state["progress"]["inside_block"])
        note_resumed(path, config, training.state.env_steps, inside_block=inside_block)
        with StopRequest() as stop:
            return training.resume(stop)
