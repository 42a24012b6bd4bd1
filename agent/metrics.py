"""The columns of a run's metrics.csv."""

from regoal.agent.config import TrainConfig

COLUMNS = [
    "env_steps",
    "gradient_steps",
    "episodes",
    "discarded_steps",
    "failed_episodes",
    "success",
    "success_any",
    "return",
    "episode_length",
    "eval_episodes",
    "eval_failed_episodes",
    "rollout_success",
    "rollout_return",
    "rollout_length",
]
SOURCE_COLUMNS = ["source_share", "anchor_weight"]  # of runs with a source
IMITATION_COLUMNS = ["imitation_weight"]  # of runs that imitate; 0 while goals are not learned yet
WALL_COLUMNS = ["wall_seconds", "wall_env_steps_per_second"]
OURS = frozenset(COLUMNS + SOURCE_COLUMNS + IMITATION_COLUMNS + WALL_COLUMNS)  # an agent has others


def columns_of(config: TrainConfig) -> list[str]:
    """Those of a run with these settings, in their order."""
    of_source = SOURCE_COLUMNS if config.source else []
    imitates = IMITATION_COLUMNS if config.imitation else []
    return [*COLUMNS, *of_source, *imitates, *config.agent.columns, *WALL_COLUMNS]
