"""All settings of a run, as frozen dataclasses that import nothing heavy."""

from collections.abc import Mapping
from dataclasses import Field, dataclass, field
from typing import Any, ClassVar, Protocol

AUTO = -1  # workers: chosen by the cores of the machine
NORMALISER_MODES = ("freeze", "continue", "refit", "damp")
MOST_HOLD = 1_000_000  # steps for which a random action is held: no episode is as long


class AgentConfig(Protocol):
    """Settings of an agent: a frozen dataclass of plain fields, each of them a setting `agent.*` of a run.

    Attributes:
        learner: module:Class of what learns with them; imported where it learns.
        columns: of metrics.csv, that its updates fill.
        gamma: discount, in [0, 1).
        batch_size: transitions an update.
        updates_per_step: gradient steps for each env step.
    """

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    learner: ClassVar[str]
    columns: ClassVar[tuple[str, ...]]

    @property
    def gamma(self) -> float: ...

    @property
    def batch_size(self) -> int: ...

    @property
    def updates_per_step(self) -> float: ...


@dataclass(frozen=True)
class DDPGConfig:
    """Deep deterministic policy gradient (Lillicrap 2016) with the settings of Andrychowicz 2017."""

    learner: ClassVar[str] = "regoal.agent.ddpg:DDPG"
    columns: ClassVar[tuple[str, ...]] = ("critic_loss", "q_mean", "actor_loss", "action_square")
    hidden: tuple[int, ...] = (128, 128, 128)  # widths of actor and critic
    lr: float = 1e-3  # Adam, actor and critic
    finetune_lr_share: float = 1.0  # of lr, with which weights that are kept from a source go on
    gamma: float = 0.98  # discount
    tau: float = 0.02  # weight of the online network in each target step
    batch_size: int = 256  # transitions an update
    updates_per_step: float = 0.5  # gradient steps for each env step
    n_critics: int = 1  # target is the least of their values
    target_critics: int = 0  # of so many, drawn for each update; the actor follows the mean of all. 0: of all
    critic_layer_norm: bool = False  # LayerNorm after every hidden layer of the critics
    action_l2: float = 0.1  # weight of the mean squared action in the actor's loss
    noise_std: float = 0.2  # Gaussian exploration noise, in units of half the action range
    random_share: float = 0.3  # share of exploratory actions drawn uniformly
    random_hold: int = 1  # steps for which a random action is held


@dataclass(frozen=True)
class SACConfig:
    """Soft actor-critic (Haarnoja 2018b) with automatic temperature."""

    learner: ClassVar[str] = "regoal.agent.sac:SAC"
    columns: ClassVar[tuple[str, ...]] = ("critic_loss", "q_mean", "actor_loss", "alpha", "entropy")
    hidden: tuple[int, ...] = (128, 128, 128)  # widths of actor and critics
    lr: float = 1e-3  # Adam: actor, critics and temperature
    finetune_lr_share: float = 1.0  # of lr, with which weights that are kept from a source go on
    gamma: float = 0.98  # discount
    tau: float = 0.02  # weight of the online network in each target step
    batch_size: int = 256  # transitions an update
    updates_per_step: float = 0.5  # gradient steps for each env step
    n_critics: int = 2  # target is the least of their values
    target_critics: int = 0  # of so many, drawn for each update; the actor follows the mean of all. 0: of all
    critic_layer_norm: bool = False  # LayerNorm after every hidden layer of the critics
    initial_alpha: float = 0.1  # temperature at the start
    target_entropy: float = 0.0  # entropy aimed at [nats]; 0 stands for -action_size


@dataclass(frozen=True)
class UnreadAgent:
    """Settings of a user's own agent as a file has them: their types stand in a module, not imported yet.

    Attributes:
        name: module:Class of the settings.
        values: from TOML, by name.
    """

    name: str
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainConfig:
    """Everything a run depends on; what stands in its config.toml.

    Fine-tuning is training that starts from `source`: the modes differ in the last settings alone.
    """

    env: str  # gymnasium id, or module:namespace/Id-v0
    out: str  # run folder; must not exist
    agent: AgentConfig = field(default_factory=DDPGConfig)
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)  # for gymnasium.make
    shift: str = ""  # what differs from the env as it comes
    relabel: str = "future"  # a name in strategies.NAMES, module:function, or a mixture: 4*future+1*random
    n_sampled_goal: int = 4  # hindsight goals for each real one
    informative_share: float = 0.0  # share of a batch drawn where hindsight teaches something; see buffers
    informative_share_steps: int = 0  # env steps over which that share falls linearly to 0; 0: it stays
    candidates: int = 1  # hindsight goals that each one is chosen from: the most wanted; see buffers.wanted
    practice: float = 0.0  # share of episodes in which the policy is asked for the most wanted goal achieved
    discovery: float = 0.0  # first learn to change what is achieved, until this share of episodes does
    discovery_steps: int = 0  # env steps that this takes at most; 0: half of the run
    imitation: float = 0.0  # weight of the squared distance to better actions taken, in the actor's loss
    imitation_steps: int = 0  # env steps, once the actor learns goals, over which it falls to 0; 0: it stays
    steps: int = 5_000  # env steps to collect; the last block of episodes is played to its end
    seed: int = 0
    capacity: int = 1_000_000  # transitions the replay buffer holds
    buffer_on_disk: bool = False  # keep them in a file beside the run folder's, for more than memory holds
    block_episodes: int = 2  # episodes collected between updates
    policy_delay: int = 1  # updates of the critics for each one of the actor (TD3)
    learning_starts: int = 0  # env steps before the first update
    policy_average: float = 0.0  # share of the run so far over which what is evaluated and kept is averaged
    eval_interval: int = 500  # env steps between evaluations
    eval_episodes: int = 20  # episodes an evaluation
    checkpoint_interval: int = 5_000  # env steps between checkpoints; one is written at the end in any case
    threads: int = 1  # torch threads; numbers are the same at the same count
    device: str = "cpu"  # that learns: cpu or cuda; the same numbers are promised on the cpu alone
    workers: int = AUTO  # processes that play beside the one that learns, -1 for auto; same numbers for any
    hang_seconds: float = 60.0  # an env, or its worker, that takes no step for so long is replaced
    profile: bool = False  # say at the end where the time went
    keep_replay: bool = False  # keep the episodes with the checkpoints, to fine-tune from them
    source: str = ""  # run folder that is started from
    mode: str = "scratch"  # what the settings below add up to; see modes.py
    normaliser: str = "continue"  # input statistics of the source: freeze, continue, refit, damp
    fresh_networks: bool = False  # leave the source's weights and take its replay and statistics alone
    critic_reset: bool = False  # take the source's actor, and fresh critics
    critic_warmup_steps: int = 0  # env steps after learning_starts in which the critics alone learn
    source_share: float = 0.0  # share of each batch that is drawn from the source's replay
    source_share_steps: int = 0  # env steps over which that share falls linearly to 0; 0: it stays
    anchor: float = 0.0  # weight of the squared distance to the source's actions in the actor's loss
    anchor_steps: int = 0  # env steps, once the actor learns, over which it falls to 0; 0: it stays


@dataclass(frozen=True)
class FinetuneConfig:
    """How a trained agent goes on in a shifted env; all else is taken from the source's settings."""

    out: str  # run folder; must not exist
    shift: str = ""  # the target's
    mode: str = "warm_start"  # a name in modes.MODES; replay_mix=0.3, rlpd=0.5 and anchor=2 give a figure
    relabel: str = "future"
    n_sampled_goal: int = 4
    steps: int = 3_000  # env steps in the target
    seed: int = 0
    warmup_steps: int | None = None  # env steps before the first update (warm_start; 100 if not given)
    critic_warmup_steps: int | None = None  # after that the critics alone learn (warm_start: 100; else 0)
    critic_reset: bool = False  # start with fresh critics
    normaliser: str | None = None  # freeze, continue, refit, damp (warm_start: damp; else continue)
    keep_replay: bool = False  # keep the episodes with the checkpoints
    eval_interval: int = 500
    eval_episodes: int = 20
    device: str = "cpu"  # that learns
    workers: int = AUTO  # processes that play
    buffer_on_disk: bool = False
    profile: bool = False
    overrides: Mapping[str, str] = field(default_factory=dict)  # dotted settings of TrainConfig
