"""Starting from another run's weights."""

from pathlib import Path

from regoal.agent.checkpoints import newest_checkpoint
from regoal.agent.config import TrainConfig
from regoal.agent.learner import Learner, load_state
from regoal.agent.run_folder import read_config
from regoal.envs.goal_spec import GoalSpec
from regoal.errors import BadInput

# Settings that shape the learner's arrays: they cannot differ between source and target.
SHAPING = ("hidden", "n_critics", "critic_layer_norm")


def load_source(learner: Learner, spec: GoalSpec, config: TrainConfig) -> None:
    """Take over weights, optimisers and input statistics of `config.source`.

    Raises:
        BadInput: the source is another agent, or was trained for other sizes.
    """
    source = read_config(config.source)
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
    load_state(learner, checkpoint.learner_arrays())
