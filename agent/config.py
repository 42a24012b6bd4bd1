"""All settings of a run, as frozen dataclasses that import nothing heavy."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from regoal.errors import BadInput, did_you_mean

MODES = ("scratch", "naive", "warm_start")
AUTO = -1  # workers: chosen by the cores of the machine
NORMALISER_MODES = ("freeze", "continue", "refit")


@dataclass(frozen=True)
class DDPGConfig:
    """Deep deterministic policy gradient (Lillicrap 2016) with the settings of Andrychowicz 2017."""

    name: ClassVar[str] = "ddpg"
    hidden: tuple[int, ...] = (128, 128, 128)  # widths of actor and critic
    lr: float = 1e-3  # Adam, actor and critic
    gamma: float = 0.98  # discount
    tau: float = 0.02  # weight of the online network in each target step
    batch_size: int = 256  # transitions an update
    updates_per_step: float = 0.5  # gradient steps for each env step
    n_critics: int = 1  # target is the least of their values
    critic_layer_norm: bool = False  # LayerNorm after every hidden layer of the critics
    action_l2: float = 0.1  # weight of the mean squared action in the actor's loss
    noise_std: float = 0.2  # Gaussian exploration noise, in units of half the action range
    random_share: float = 0.3  # share of exploratory actions drawn uniformly


@dataclass(frozen=True)
class SACConfig:
    """Soft actor-critic (Haarnoja 2018b) with automatic temperature."""

    name: ClassVar[str] = "sac"
    hidden: tuple[int, ...] = (128, 128, 128)  # widths of actor and critics
    lr: float = 1e-3  # Adam: actor, critics and temperature
    gamma: float = 0.98  # discount
    tau: float = 0.02  # weight of the online network in each target step
    batch_size: int = 256  # transitions an update
    updates_per_step: float = 0.5  # gradient steps for each env step
    n_critics: int = 2  # target is the least of their values
    critic_layer_norm: bool = False  # LayerNorm after every hidden layer of the critics
    initial_alpha: float = 0.1  # temperature at the start
    target_entropy: float = 0.0  # entropy aimed at [nats]; 0 stands for -action_size


AgentConfig = DDPGConfig | SACConfig
AGENTS: dict[str, type[DDPGConfig] | type[SACConfig]] = {"ddpg": DDPGConfig, "sac": SACConfig}


def agent_config(name: str) -> AgentConfig:
    """The default settings of an agent by its name."""
    if name not in AGENTS:
        raise BadInput("agent", f"one of {', '.join(AGENTS)}", repr(name), did_you_mean(name, AGENTS))
    return AGENTS[name]()


@dataclass(frozen=True)
class TrainConfig:
    """Everything a run depends on; what stands in its config.toml.

    Fine-tuning is training that starts from `source`: the modes differ in these values alone.
    """

    env: str  # gymnasium id, or module:namespace/Id-v0
    out: str  # run folder; must not exist
    agent: AgentConfig = field(default_factory=DDPGConfig)
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)  # for gymnasium.make
    shift: str = ""  # what differs from the env as it comes
    relabel: str = "future"  # future, final, episode, random, none, or module:function
    n_sampled_goal: int = 4  # hindsight goals for each real one
    steps: int = 5_000  # env steps to collect; the last episode is played to its end
    seed: int = 0
    capacity: int = 1_000_000  # transitions the replay buffer holds
    buffer_on_disk: bool = False  # keep them in a file beside the run folder's, for more than memory holds
    block_episodes: int = 2  # episodes collected between updates
    learning_starts: int = 0  # env steps before the first update
    eval_interval: int = 500  # env steps between evaluations
    eval_episodes: int = 20  # episodes an evaluation
    checkpoint_interval: int = 5_000  # env steps between checkpoints; one is written at the end in any case
    threads: int = 1  # torch threads; numbers are the same at the same count
    device: str = "cpu"  # that learns: cpu or cuda; the same numbers are promised on the cpu alone
    workers: int = AUTO  # processes that play beside the one that learns, -1 for auto; same numbers for any
    hang_seconds: float = 60.0  # a worker that takes no step for so long is replaced
    profile: bool = False  # say at the end where the time went
    source: str = ""  # run folder the weights come from
    mode: str = "scratch"  # scratch, naive, warm_start
    normaliser: str = "continue"  # of the source: freeze, continue, refit


@dataclass(frozen=True)
class FinetuneConfig:
    """How a trained agent goes on in a shifted env; all else is taken from the source's settings.

    Modes:
        naive: keep weights and optimisers, start with an empty buffer, update at once.
        warm_start: the source policy first fills the buffer for `warmup_steps` without updates, then
            goes on as naive (WSRL, arXiv 2412.07762).
    """

    out: str  # run folder; must not exist
    shift: str = ""  # the target's
    mode: str = "warm_start"  # naive, warm_start
    relabel: str = "future"
    n_sampled_goal: int = 4
    steps: int = 3_000  # env steps in the target
    seed: int = 0
    warmup_steps: int = 200  # env steps before the first update (warm_start)
    normaliser: str = "continue"  # freeze, continue, refit
    eval_interval: int = 500
    eval_episodes: int = 20
    device: str = "cpu"  # that learns
    workers: int = AUTO  # processes that play
    buffer_on_disk: bool = False
    profile: bool = False
    overrides: Mapping[str, str] = field(default_factory=dict)  # dotted settings of TrainConfig
