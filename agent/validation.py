"""Settings that cannot work are refused before anything is built."""

import dataclasses
import typing
from typing import Any

from regoal.agent.config import AUTO, NORMALISER_MODES, DDPGConfig, SACConfig, TrainConfig
from regoal.agent.modes import MODES, START
from regoal.agent.settings import typed
from regoal.errors import BadInput, did_you_mean

AT_LEAST_ONE = (
    "block_episodes",
    "capacity",
    "checkpoint_interval",
    "eval_episodes",
    "eval_interval",
    "threads",
)
AT_LEAST_ZERO = (
    "seed",
    "n_sampled_goal",
    "learning_starts",
    "critic_warmup_steps",
    "source_share_steps",
    "anchor",
    "anchor_steps",
)


def validated(config: TrainConfig) -> TrainConfig:
    """The config with every value of its declared type.

    Raises:
        BadInput: naming the field.
    """
    if not isinstance(config, TrainConfig):
        raise BadInput("config", "a regoal.TrainConfig", repr(config))
    if callable(config.relabel):
        raise BadInput("relabel", "a name, or the text module:function for your own", repr(config.relabel))
    if not isinstance(config.agent, DDPGConfig | SACConfig):
        raise BadInput(
            "agent", "a DDPGConfig or SACConfig", repr(config.agent), "For example agent=regoal.SACConfig()."
        )
    config = dataclasses.replace(_typed(config, ""), agent=_typed(config.agent, "agent."))
    for name in AT_LEAST_ONE:
        _require(name, getattr(config, name), getattr(config, name) >= 1, "1 or more")
    for name in AT_LEAST_ZERO:
        _require(name, getattr(config, name), getattr(config, name) >= 0, "0 or more")
    _require("workers", config.workers, config.workers >= AUTO, "0 or more, or -1 for auto")
    _require("hang_seconds", config.hang_seconds, config.hang_seconds > 0, "more than 0")
    _check_agent(config.agent)
    _check_start(config)
    return config


def _check_agent(agent: DDPGConfig | SACConfig) -> None:
    bounds: dict[str, tuple[bool, str]] = {
        "lr": (agent.lr > 0, "more than 0"),
        "updates_per_step": (agent.updates_per_step > 0, "more than 0"),
        "gamma": (0 <= agent.gamma < 1, "in [0, 1)"),
        "tau": (0 < agent.tau <= 1, "in (0, 1]"),
        "batch_size": (agent.batch_size >= 1, "1 or more"),
        "n_critics": (agent.n_critics >= 1, "1 or more"),
        "hidden": (bool(agent.hidden) and min(agent.hidden) >= 1, "widths of 1 or more"),
    }
    if isinstance(agent, DDPGConfig):
        bounds |= {
            "action_l2": (agent.action_l2 >= 0, "0 or more"),
            "noise_std": (agent.noise_std >= 0, "0 or more"),
            "random_share": (0 <= agent.random_share <= 1, "in [0, 1]"),
        }
    else:
        bounds["initial_alpha"] = agent.initial_alpha > 0, "more than 0"
    for name, (fine, expected) in bounds.items():
        _require(f"agent.{name}", getattr(agent, name), fine, expected)


def _check_start(config: TrainConfig) -> None:
    for name, value, known in (
        ("mode", config.mode, MODES),
        ("normaliser", config.normaliser, NORMALISER_MODES),
    ):
        if value not in known:
            raise BadInput(name, f"one of {', '.join(known)}", repr(value), did_you_mean(value, known))
    if bool(config.source) == (config.mode == "scratch"):
        source = f"with source {config.source!r}" if config.source else "without one"
        got = f"mode {config.mode!r} {source}"
        raise BadInput("mode", "a source for every mode but scratch, and none for scratch", got)
    _check_source_settings(config)
    if config.mode == "zero_shot":
        _require("steps", config.steps, config.steps == 0, "0 for zero_shot, which learns nothing")
        return
    _require("steps", config.steps, config.steps >= 1, "1 or more")
    if config.steps <= config.learning_starts + config.critic_warmup_steps:
        raise BadInput(
            "steps",
            f"more than the {config.learning_starts + config.critic_warmup_steps} before the actor's first "
            "update",
            str(config.steps),
            "Raise --steps, or lower --warmup-steps (learning_starts) or --critic-warmup-steps.",
        )


def _check_source_settings(config: TrainConfig) -> None:
    """Settings that ask something of a source, or that contradict each other."""
    _require("source_share", config.source_share, 0 <= config.source_share < 1, "in [0, 1)")
    asked = [name for name in START if name != "learning_starts" and getattr(config, name)]
    if asked and not config.source:
        raise BadInput(asked[0], "a source to start from", "none", "Fine-tune a run: regoal finetune RUN.")
    of_weights = [name for name in ("critic_reset", "critic_warmup_steps", "anchor") if name in asked]
    if config.fresh_networks and of_weights:
        raise BadInput(of_weights[0], "the source's weights", "fresh_networks", "Leave one of the two out.")
    if config.fresh_networks and not config.source_share:
        raise BadInput(
            "source_share", "more than 0 with fresh_networks", "0", "From scratch is the mode for that."
        )


def _typed(config: Any, prefix: str) -> Any:
    hints = typing.get_type_hints(type(config))
    plain = [f.name for f in dataclasses.fields(config) if f.name != "agent"]
    return dataclasses.replace(
        config, **{name: typed(hints[name], getattr(config, name), prefix + name) for name in plain}
    )


def _require(name: str, value: Any, fine: bool, expected: str) -> None:
    if not fine:
        raise BadInput(name, expected, repr(value))
