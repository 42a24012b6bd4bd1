"""The ways to fine-tune: names for settings of the one training loop. Imports nothing heavy."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from regoal.errors import BadInput, did_you_mean

if TYPE_CHECKING:
    from regoal.agent.config import AgentConfig, TrainConfig

WARMUP_STEPS = 100  # env steps that the source policy plays before the first update of a warm start
# Env steps after that in which its critics alone learn: they come from another world, and an actor that
# follows them at once may lose in the first updates what it knew.
CRITIC_WARMUP_STEPS = 100

# Settings that say how a run starts from its source, as they are where nothing is asked for.
START: dict[str, Any] = {
    "fresh_networks": False,
    "critic_reset": False,
    "critic_warmup_steps": 0,
    "normaliser": "continue",
    "source_share": 0.0,
    "source_share_steps": 0,
    "anchor": 0.0,
    "anchor_steps": 0,
}
AT_ONCE = {"learning_starts": 0}  # modes with fresh networks keep the source's
# What the figure of a mode is and stays below; it is more than 0.
FIGURES = {"source_share": ("SHARE", 1.0), "anchor": ("WEIGHT", math.inf)}


@dataclass(frozen=True)
class Mode:
    """One way to fine-tune.

    Attributes:
        does: one line, for people.
        paper: where it comes from.
        settings: of the run, that differ from those of `START`.
        figure: the setting that `MODE=FIGURE` gives, if it takes one; a key of `FIGURES`.
        fades_over: share of the run's steps over which that figure falls linearly to nothing; it stays
            where this is 0.
        eases_in: whether the critics may warm up alone or start afresh.
        feeds: whether input statistics that are taken over are fed.
    """

    does: str
    paper: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    figure: str = ""
    fades_over: float = 0.0
    eases_in: bool = False
    feeds: bool = True

    @property
    def takes(self) -> set[str]:
        """Settings of `START` that are for the user to choose."""
        chosen = {self.figure, f"{self.figure}_steps"} if self.figure else set()
        chosen |= {"normaliser"} if self.feeds else set()
        return chosen | ({"critic_reset", "critic_warmup_steps"} if self.eases_in else set())


MODES: dict[str, Mode] = {
    "zero_shot": Mode(
        "the source policy as it is, evaluated once; nothing is collected or learned",
        "Taylor & Stone 2009",
        AT_ONCE,
        feeds=False,
    ),
    "scratch": Mode("fresh networks, nothing of the source but its settings", "the baseline", feeds=False),
    "naive": Mode(
        "keep weights, optimisers and input statistics, start with an empty buffer, learn at once",
        "the usual practice",
        AT_ONCE,
    ),
    "warm_start": Mode(
        "as naive, but the source policy first fills the buffer, input statistics stay and damp what is "
        "noisier than in the source, and the critics learn alone for a while",
        "after WSRL, Zhou 2024, arXiv 2412.07762",
        {"learning_starts": WARMUP_STEPS, "critic_warmup_steps": CRITIC_WARMUP_STEPS, "normaliser": "damp"},
        eases_in=True,
    ),
    "replay_mix": Mode(
        "keep everything; a share of each batch is the source's replay, falling to none over the run",
        "after RLPD, Ball 2023, arXiv 2302.02948",
        AT_ONCE | {"source_share": 0.5},
        figure="source_share",
        fades_over=1.0,
        eases_in=True,
    ),
    "rlpd": Mode(
        "fresh networks; half of each batch is the source's replay, to the end",
        "RLPD, Ball 2023, arXiv 2302.02948",
        {"source_share": 0.5, "fresh_networks": True},
        figure="source_share",
    ),
    "anchor": Mode(
        "keep everything; the actor is pulled to the source's actions, less and less over half the run",
        "after Nair 2018, arXiv 1709.10089, eq. 2",
        AT_ONCE | {"anchor": 1.0},
        figure="anchor",
        fades_over=0.5,
        eases_in=True,
    ),
}


def parse_mode(text: str) -> tuple[str, float | None]:
    """Name and figure of a text such as `naive` or `replay_mix=0.3`.

    Raises:
        BadInput: no such mode, a figure it does not take, or one that is no number or out of bounds.
    """
    name, equals, figure = (part.strip() for part in text.partition("="))
    if name not in MODES:
        raise BadInput("mode", f"one of {', '.join(MODES)}", repr(name), did_you_mean(name, MODES))
    if not equals:
        return name, None
    mode = MODES[name]
    if not mode.figure:
        takers = ", ".join(one for one, other in MODES.items() if other.figure)
        raise BadInput("mode", f"{name} alone", repr(text), f"It takes no figure; {takers} do.")
    what, below = FIGURES[mode.figure]
    try:
        value = float(figure)
    except ValueError:
        value = math.nan
    if not 0 < value < below:
        bounds = f"more than 0 and less than {below:g}" if below < math.inf else "more than 0, and finite"
        usual = f"{name} alone stands for {name}={mode.settings[mode.figure]:g}."
        raise BadInput("mode", f"{name}={what}, a number {bounds}", repr(text), usual)
    return name, value


def start_settings(text: str, steps: int) -> dict[str, Any]:
    """How a run of so many env steps starts in a mode: all settings of `START`, and what it is to learn."""
    name, figure = parse_mode(text)
    mode = MODES[name]
    settings = START | dict(mode.settings)
    if figure is not None:
        settings[mode.figure] = figure
    if mode.fades_over:
        settings[f"{mode.figure}_steps"] = max(round(mode.fades_over * steps), 1)
    return settings


def agent_that_learns(config: "TrainConfig") -> "AgentConfig":
    """The agent of a run, with the learning rate of its mode.

    Weights that are kept know more than a buffer of target episodes can tell them yet: at the rate at which
    they were learned they fit the few episodes and lose what they knew. Those that start afresh, critics
    that are reset among them (`give_fresh_critics_their_rate`), and agents without such a share have the
    rate of their settings.

    Raises:
        BadInput: the agent has such a share and no learning rate.
    """
    share = getattr(config.agent, "finetune_lr_share", 1.0)
    if not config.source or config.fresh_networks or share == 1.0:
        return config.agent
    if not hasattr(config.agent, "lr"):
        raise BadInput(
            "agent.finetune_lr_share",
            "1 of an agent that has no setting lr",
            f"{share:g}",
            "Call its learning rate lr, and make its optimisers with it.",
        )
    return replace(config.agent, lr=config.agent.lr * share)


def actor_begins(config: "TrainConfig") -> int:
    """Env steps after which the actor learns."""
    return config.learning_starts + config.critic_warmup_steps


def in_force(config: "TrainConfig", env_steps: int) -> dict[str, float]:
    """How strongly a run is held to its source at a point: columns of metrics.csv.

    Returns:
        `source_share`, of each batch; `anchor_weight`, of the pull, full until the actor begins to learn.
    """
    learning = max(env_steps - actor_begins(config), 0)
    return {
        "source_share": faded(config.source_share, env_steps, config.source_share_steps),
        "anchor_weight": faded(config.anchor, learning, config.anchor_steps),
    }


def faded(figure: float, env_steps: int, over: int) -> float:
    """Falls linearly from `figure` to nothing over so many env steps; stays where `over` is 0."""
    return figure if over == 0 else figure * max(1.0 - env_steps / over, 0.0)
