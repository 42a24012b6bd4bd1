"""Fine-tuning: training that starts from a source run, in another world."""

import dataclasses
import os

from regoal.agent.config import FinetuneConfig, TrainConfig
from regoal.agent.idle import without_idle
from regoal.agent.loop import RunResult
from regoal.agent.modes import parse_mode, start_settings
from regoal.agent.progress import say
from regoal.agent.run_folder import read_config
from regoal.agent.settings import typed_fields, with_texts
from regoal.agent.training import train
from regoal.agent.trust import require_trusted
from regoal.errors import BadInput


def finetune(run: str | os.PathLike[str], config: FinetuneConfig) -> RunResult:
    """Fine-tune a trained run in a shifted env.

    Args:
        run: the source's run folder, the result of `train`, or the name of a shipped agent.
        config: the target and the mode.

    Raises:
        BadInput: no such run, or settings that cannot work; nothing was written.
    """
    return train(resolve(run, config))


def resolve(run: str | os.PathLike[str], config: FinetuneConfig) -> TrainConfig:
    """The settings of the fine-tuning run: the source's, but for what `config` says."""
    config = typed_fields(config)
    mode, _ = parse_mode(config.mode)
    _check(config, mode)
    # Neither the source's shift nor its strategy is taken over.
    source = require_trusted(read_config(run), os.fspath(run), ("env", "agent"))
    steps = 0 if mode == "zero_shot" else config.steps
    starts = start_settings(config.mode, steps)
    if config.warmup_steps is not None:
        starts["learning_starts"] = config.warmup_steps
    if config.critic_warmup_steps is not None:
        starts["critic_warmup_steps"] = config.critic_warmup_steps
    if config.normaliser is not None:
        starts["normaliser"] = config.normaliser
    starts["critic_reset"] = config.critic_reset
    resolved = dataclasses.replace(
        source,
        out=config.out,
        shift=config.shift,
        relabel=config.relabel,
        n_sampled_goal=config.n_sampled_goal,
        steps=steps,
        seed=config.seed,
        eval_interval=config.eval_interval,
        eval_episodes=config.eval_episodes,
        device=config.device,
        workers=config.workers,
        buffer_on_disk=config.buffer_on_disk,
        profile=config.profile,
        keep_replay=config.keep_replay,
        source="" if mode == "scratch" else os.fspath(run),
        mode=mode,
        **starts,
    )
    if source.source and (mode == "scratch" or resolved.fresh_networks):
        # Without discovery, imitation and practice, where its own source had them.
        told = f"{os.fspath(run)} was fine-tuned and has other settings than for networks that start afresh"
        say(f"{config.out}: {told}: name its source, {source.source}")
    # Twice: what they leave idle is 0, and what they ask for themselves is refused where it is idle.
    return with_texts(without_idle(with_texts(resolved, config.overrides)), config.overrides)


def _check(config: FinetuneConfig, mode: str) -> None:
    """What only shows before the settings are put together; `validation` looks at the rest."""
    if config.steps < 1:
        raise BadInput("steps", "1 or more", str(config.steps))
    if config.warmup_steps is not None and mode != "warm_start":
        raise BadInput("warmup_steps", "mode 'warm_start', which fills the buffer first", f"mode {mode!r}")
    if config.warmup_steps is not None and config.warmup_steps < 0:
        raise BadInput("warmup_steps", "0 or more", str(config.warmup_steps))
    for name in ("mode", "steps", "source"):  # others follow from them
        if name in config.overrides:
            fix = "It is the run that is named first." if name == "source" else f"Use --{name}."
            raise BadInput("--set", "a setting without an option of its own", repr(name), fix)
