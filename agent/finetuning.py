"""Fine-tuning: training that starts from a source run, in another world."""

import dataclasses
import os

from regoal.agent.config import MODES, FinetuneConfig, TrainConfig
from regoal.agent.run_folder import read_config
from regoal.agent.settings import set_field
from regoal.agent.training import RunResult, train
from regoal.errors import BadInput, did_you_mean

FINETUNE_MODES = tuple(mode for mode in MODES if mode != "scratch")


def finetune(run: str | os.PathLike[str], config: FinetuneConfig) -> RunResult:
    """Fine-tune a trained run in a shifted env.

    Args:
        run: the source's run folder, or the result of `train`.
        config: the target and the mode.

    Raises:
        BadInput: no such run, or settings that cannot work; nothing was written.
    """
    return train(resolve(run, config))


def resolve(run: str | os.PathLike[str], config: FinetuneConfig) -> TrainConfig:
    """The settings of the fine-tuning run: the source's, but for what `config` says."""
    if config.mode not in FINETUNE_MODES:
        raise BadInput(
            "mode",
            f"one of {', '.join(FINETUNE_MODES)}",
            repr(config.mode),
            "From scratch is `regoal train --shift`, zero-shot is `regoal evaluate --shift`."
            if config.mode in ("scratch", "zero_shot")
            else did_you_mean(config.mode, FINETUNE_MODES),
        )
    if config.warmup_steps < 0:
        raise BadInput("warmup_steps", "0 or more", str(config.warmup_steps))
    source = read_config(run)
    resolved = dataclasses.replace(
        source,
        out=config.out,
        shift=config.shift,
        relabel=config.relabel,
        n_sampled_goal=config.n_sampled_goal,
        steps=config.steps,
        seed=config.seed,
        learning_starts=config.warmup_steps if config.mode == "warm_start" else 0,
        eval_interval=config.eval_interval,
        eval_episodes=config.eval_episodes,
        device=config.device,
        workers=config.workers,
        buffer_on_disk=config.buffer_on_disk,
        profile=config.profile,
        source=os.fspath(run),
        mode=config.mode,
        normaliser=config.normaliser,
    )
    for name, text in config.overrides.items():
        resolved = set_field(resolved, name, text)
    return resolved
