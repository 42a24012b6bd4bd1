"""Fine-tuning: training that starts from a source run, in another world."""

import dataclasses
import os
from typing import Any

from regoal.agent.config import FinetuneConfig, TrainConfig
from regoal.agent.modes import MODES, parse_mode, start_settings
from regoal.agent.run_folder import read_config
from regoal.agent.settings import set_field
from regoal.agent.training import RunResult, train
from regoal.errors import BadInput


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
    name, _ = parse_mode(config.mode)
    _check_options(config, name)
    source = read_config(run)
    steps = 0 if name == "zero_shot" else config.steps
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
        source="" if name == "scratch" else os.fspath(run),
        mode=name,
        normaliser=config.normaliser,
        **start_settings(config.mode, steps) | _eased_in(config, name),
    )
    for name, text in config.overrides.items():
        resolved = set_field(resolved, name, text)
    return resolved


def _eased_in(config: FinetuneConfig, mode: str) -> dict[str, Any]:
    """What the options of the modes that ease in say."""
    eased: dict[str, Any] = {"learning_starts": config.warmup_steps} if mode == "warm_start" else {}
    if MODES[mode].eases_in:
        eased |= {"critic_warmup_steps": config.critic_warmup_steps, "critic_reset": config.critic_reset}
    return eased


def _check_options(config: FinetuneConfig, mode: str) -> None:
    if config.warmup_steps < 0:
        raise BadInput("warmup_steps", "0 or more", str(config.warmup_steps))
    asked = [name for name in ("critic_warmup_steps", "critic_reset") if getattr(config, name)]
    if asked and not MODES[mode].eases_in:
        eased = [name for name, one in MODES.items() if one.eases_in]
        raise BadInput(asked[0], f"a mode it goes with, {', '.join(eased)}", f"mode {mode!r}")
    if mode == "scratch" and config.normaliser != "continue":
        raise BadInput(
            "normaliser", "statistics of a source", "mode 'scratch', which takes none", "Leave it out."
        )
