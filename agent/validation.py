"""Settings that cannot work are refused before anything is built."""

import dataclasses
import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, get_type_hints

from regoal.agent.agents import require_agent
from regoal.agent.config import AUTO, MOST_HOLD, NORMALISER_MODES, AgentConfig, TrainConfig
from regoal.agent.modes import MODES, START, actor_begins
from regoal.agent.settings import typed_fields, without_tuples
from regoal.agent.shipped import located
from regoal.errors import BadInput, did_you_mean

MOST_CANDIDATES = 100
AT_LEAST_ONE = (
    "block_episodes",
    "capacity",
    "checkpoint_interval",
    "eval_episodes",
    "eval_interval",
    "policy_delay",
    "threads",
)
# Beyond these no machine goes: a file that asks for more is refused before it is tried.
AT_MOST = {
    "block_episodes": 10_000,
    "eval_episodes": 1_000_000,
    "hang_seconds": 10_000_000,  # of what a timer takes
    "policy_delay": 1_000,  # an agent of one's own is tried with it
    "threads": 1_024,
    "workers": 1_024,
}
MOST_BATCH, MOST_CRITICS = 1 << 20, 1_000
MOST_LAYERS, MOST_WEIGHTS = 100, 1 << 27  # of the critics' hidden layers, those of all critics together
HIDDEN = tuple[int, ...]
Bound = tuple[Any, Callable[[Any], bool], str]
POSITIVE: Bound = (float, lambda value: 0 < value < math.inf, "more than 0, and finite")
NOT_NEGATIVE: Bound = (float, lambda value: 0 <= value < math.inf, "0 or more, and finite")
# Settings of agents by name: type, whether a value is fine, and what is.
BOUNDS: dict[str, Bound] = {
    "lr": POSITIVE,
    "finetune_lr_share": POSITIVE,
    "updates_per_step": POSITIVE,
    "gamma": (float, lambda value: 0 <= value < 1, "in [0, 1)"),
    "tau": (float, lambda value: 0 < value <= 1, "in (0, 1]"),
    "batch_size": (int, lambda value: 1 <= value <= MOST_BATCH, f"1 to {MOST_BATCH:,}"),
    "n_critics": (int, lambda value: 1 <= value <= MOST_CRITICS, f"1 to {MOST_CRITICS:,}"),
    "hidden": (HIDDEN, lambda value: bool(value) and min(value) >= 1, "widths of 1 or more"),
    "action_l2": NOT_NEGATIVE,
    "noise_std": NOT_NEGATIVE,
    "random_share": (float, lambda value: 0 <= value <= 1, "in [0, 1]"),
    "initial_alpha": POSITIVE,
}
AT_LEAST_ZERO = (
    "seed",
    "n_sampled_goal",
    "informative_share_steps",
    "discovery_steps",
    "imitation_steps",
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
    require_agent(config.agent)
    config = dataclasses.replace(
        typed_fields(config),
        agent=typed_fields(config.agent, "agent."),
        env_kwargs=without_tuples(config.env_kwargs),  # so that the env gets the same when the run goes on
    )
    for name in AT_LEAST_ONE:
        _require(name, getattr(config, name), getattr(config, name) >= 1, "1 or more")
    for name in AT_LEAST_ZERO:
        _require(name, getattr(config, name), getattr(config, name) >= 0, "0 or more")
    for name, most in AT_MOST.items():
        _require(name, getattr(config, name), getattr(config, name) <= most, f"{most:,} or less")
    _require("workers", config.workers, config.workers >= AUTO, "0 or more, or -1 for auto")
    _require("policy_average", config.policy_average, 0 <= config.policy_average < 1, "in [0, 1)")
    _require("hang_seconds", config.hang_seconds, config.hang_seconds > 0, "more than 0")
    _check_agent(config.agent)
    _check_hindsight(config)
    _check_start(config)
    return config


def _check_agent(agent: AgentConfig) -> None:
    hints = get_type_hints(type(agent))
    for name, (kind, is_fine, expected) in BOUNDS.items():
        if hints.get(name) == kind:  # of whatever agent: what is called the same is the same
            value = getattr(agent, name)
            _require(f"agent.{name}", value, is_fine(value), expected)
    if hints.get("hidden") == HIDDEN:
        hidden, n_critics = vars(agent)["hidden"], vars(agent).get("n_critics", 1)
        weights = n_critics * sum(into * out for into, out in pairwise((1, *hidden)))
        fine = len(hidden) <= MOST_LAYERS and weights <= MOST_WEIGHTS
        expected = f"at most {MOST_LAYERS} layers, and {MOST_WEIGHTS:,} weights in all {n_critics} critics"
        _require("agent.hidden", hidden, fine, expected)
    if hints.get("target_critics") is int:
        drawn, n_critics = vars(agent)["target_critics"], vars(agent).get("n_critics", 1)
        expected = f"0 to {n_critics}, the critics that there are"
        _require("agent.target_critics", drawn, 0 <= drawn <= n_critics, expected)
    if hints.get("random_hold") is int:
        hold = vars(agent)["random_hold"]
        fix = "1 draws each random action anew."
        _require("agent.random_hold", hold, 1 <= hold <= MOST_HOLD, f"1 to {MOST_HOLD:,} steps", fix)


def _check_hindsight(config: TrainConfig) -> None:
    share = config.informative_share
    _require("informative_share", share, share <= 1, "in [0, 1]")
    few = 1 <= config.candidates <= MOST_CANDIDATES
    _require("candidates", config.candidates, few, f"1 to {MOST_CANDIDATES}")
    if config.candidates > 1 and (config.relabel == "none" or not config.n_sampled_goal):
        raise BadInput(
            "candidates",
            "1 where no goal is replaced",
            f"{config.candidates} with relabel={config.relabel!r}, n_sampled_goal={config.n_sampled_goal}",
            "It says which goals hindsight chooses: set it to 1, or relabel.",
        )
    for name, what in (
        ("informative_share", "says which transitions hindsight chooses"),
        ("imitation", "follows actions to where hindsight says that they led"),
        ("practice", "asks for goals that hindsight teaches"),
    ):
        value = getattr(config, name)
        _require(name, value, 0 <= value < math.inf, "0 or more, and finite")
        if value and (config.relabel == "none" or not config.n_sampled_goal):
            raise BadInput(
                name,
                "0 where no goal is replaced",
                f"{value:g} with relabel={config.relabel!r}, n_sampled_goal={config.n_sampled_goal}",
                f"It {what}: set it to 0, or relabel.",
            )
    _require("practice", config.practice, config.practice <= 1, "in [0, 1]")
    _require("discovery", config.discovery, 0 <= config.discovery <= 1, "in [0, 1]")
    most = config.discovery_steps or config.steps // 2
    if config.discovery and not config.learning_starts < most < config.steps:
        raise BadInput(
            "discovery_steps",
            f"more than the {config.learning_starts:,} steps before learning starts, "
            f"fewer than the {config.steps:,} of the run",
            f"{most:,}",
            "Half of the run is taken if it is 0; --set discovery=0 goes without.",
        )
    if config.imitation and config.anchor:
        raise BadInput(
            "imitation",
            "0 with an anchor: an actor is pulled one way at a time",
            f"{config.imitation:g} with anchor={config.anchor:g}",
            "Set one of them to 0.",
        )


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
    _check_mode(config)
    if config.mode == "zero_shot":
        _require("steps", config.steps, config.steps == 0, "0 for zero_shot, which collects nothing")
        _require(
            "keep_replay", config.keep_replay, not config.keep_replay, "no episodes to keep in zero_shot"
        )
        return
    _require("steps", config.steps, config.steps >= 1, "1 or more")
    if config.steps <= actor_begins(config):
        raise BadInput(
            "steps",
            f"more than the {actor_begins(config)} before the actor learns",
            str(config.steps),
            "Raise --steps, or lower --warmup-steps (learning_starts) or --critic-warmup-steps.",
        )


def _check_mode(config: TrainConfig) -> None:
    """That the settings are those of the mode: a run is what it is called."""
    mode = MODES[config.mode]
    for name, usual in START.items():
        value, expected = getattr(config, name), mode.settings.get(name, usual)
        if name not in mode.takes and value != expected:
            taken_by = ", ".join(one for one, other in MODES.items() if name in other.takes) or "rlpd"
            raise BadInput(
                name, f"{expected} in mode {config.mode!r}", str(value), f"It goes with {taken_by}."
            )
    if config.learning_starts and mode.settings.get("learning_starts") == 0:
        fix = "It goes with warm_start: --warmup-steps."
        raise BadInput("learning_starts", f"0 in mode {config.mode!r}", str(config.learning_starts), fix)
    if mode.figure:
        figure = getattr(config, mode.figure)
        _require(mode.figure, figure, figure > 0, f"more than 0 in mode {config.mode!r}")
    _require("source_share", config.source_share, 0 <= config.source_share < 1, "in [0, 1)")
    _require("anchor", config.anchor, math.isfinite(config.anchor), "a finite number")
    # Nor a folder that would have the name of a shipped agent from now on.
    sources = (located(config.source), Path(config.source)) if config.source else ()
    if any(Path(config.out).resolve().is_relative_to(one.resolve()) for one in sources):
        raise BadInput("out", "a folder outside the source's", config.out, "A source is never changed.")


def _require(name: str, value: Any, fine: bool, expected: str, fix: str = "") -> None:
    if not fine:
        raise BadInput(name, expected, repr(value), fix)
