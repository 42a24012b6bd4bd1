"""Starting from another run: its weights, its input statistics, its replay."""

from collections.abc import Iterator
from pathlib import Path

from regoal.agent.checkpoints import newest_checkpoint
from regoal.agent.config import TrainConfig
from regoal.agent.learner import Learner, load_state
from regoal.agent.run_folder import read_config
from regoal.buffers.episode import Episode
from regoal.envs.goal_spec import GoalSpec
from regoal.errors import BadInput

# Settings that shape the learner's arrays: they cannot differ between source and target.
SHAPING = ("hidden", "n_critics", "critic_layer_norm")


CRITICS = ("critic", "target_critic", "critic_optimiser")


def load_source(learner: Learner, spec: GoalSpec, config: TrainConfig) -> None:
    """Take over from `config.source` what the settings ask for: weights, optimisers, input statistics.

    Raises:
        BadInput: the source is another agent, or was trained for other sizes.
    """
    source = read_config(config.source)
    if not config.fresh_networks:
        _require_same_shape(source, config)
    checkpoint = newest_checkpoint(Path(config.source))
    policy = checkpoint.policy()
    for what, theirs, ours in (
        ("observation size", policy.observation_size, spec.observation_size),
        ("goal size", len(policy.mean) - policy.observation_size, spec.goal_size),
        ("action size", policy.action_size, spec.action_size),
    ):
        if theirs != ours:
            raise BadInput(
                f"{config.env} {what}",
                f"the source's, {theirs}",
                str(ours),
                f"{config.source} was trained in {source.env}.",
            )
    networks = (*learner.modules(), *learner.optimisers())
    left_out = networks if config.fresh_networks else CRITICS if config.critic_reset else ()
    load_state(learner, checkpoint.learner_arrays(), left_out)


def source_replay(config: TrainConfig) -> Iterator[Episode]:
    """The episodes that the source has kept.

    Raises:
        BadInput: it kept none, or a file of them is damaged.
    """
    checkpoint = newest_checkpoint(Path(config.source))
    if not checkpoint.keeps_replay:
        raise BadInput(
            "source_share",
            "a source that kept its replay",
            f"{config.source}, which did not",
            "Train it with --keep-replay.",
        )
    return checkpoint.replay()


def _require_same_shape(source: TrainConfig, config: TrainConfig) -> None:
    if source.agent.name != config.agent.name:
        raise BadInput(
            "agent",
            f"the source's, {source.agent.name!r}",
            repr(config.agent.name),
            "Leave it out to keep it.",
        )
    for name in SHAPING:
        if getattr(source.agent, name) != getattr(config.agent, name):
            raise BadInput(
                f"agent.{name}",
                f"the source's, {getattr(source.agent, name)}",
                str(getattr(config.agent, name)),
                "The weights of the source have its shape.",
            )
