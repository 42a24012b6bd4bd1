"""Starting from another run: its weights, its input statistics, its replay."""

from pathlib import Path
from typing import TYPE_CHECKING

from regoal.agent.agents import is_own
from regoal.agent.checkpoints import newest_checkpoint
from regoal.agent.config import TrainConfig
from regoal.agent.modes import agent_that_learns
from regoal.agent.policy import Policy
from regoal.agent.replay_files import Segment
from regoal.agent.run_folder import read_config
from regoal.agent.settings import to_toml
from regoal.envs.goal_spec import GoalSpec
from regoal.errors import BadInput

if TYPE_CHECKING:
    from regoal.agent.learner import Learner

# Settings that shape the learner's arrays.
SHAPING = ("hidden", "n_critics", "critic_layer_norm")
ACTOR_SHAPING = ("hidden",)
# Stands in the names of the modules and optimisers that a reset of the critics leaves as they were made.
CRITIC = "critic"


def load_source(learner: "Learner", config: TrainConfig) -> None:
    """Take over from `config.source`, which fits, what the settings ask for.

    That is weights, optimisers and input statistics; of an export, whose optimisers start afresh and whose
    target networks are copies, weights and input statistics.

    Raises:
        BadInput: there are no critics to reset, or other settings have given the agent other networks.
    """
    # Here and not above: who ranks or evaluates policies needs no torch.
    from regoal.agent.learner import load_state, set_actor
    from regoal.agent.networks import Ensemble

    checkpoint = newest_checkpoint(Path(config.source))
    names = (*learner.modules(), *learner.optimisers())
    critics = [name for name in names if CRITIC in name] if config.critic_reset else []
    if config.critic_reset and not critics:
        fix = "Name them so in modules() and optimisers()."
        raise BadInput("critic_reset", f"networks with {CRITIC!r} in their names", ", ".join(names), fix)
    try:
        load_state(
            learner,
            checkpoint.learner_arrays(),
            names if config.fresh_networks else critics,
            exported=checkpoint.exported,
        )
    except BadInput as error:
        theirs, ours = (to_toml(one)["agent"] for one in (read_config(config.source), config))
        others = [
            f"agent.{key} {ours[key]}, not {theirs.get(key)}" for key in ours if ours[key] != theirs.get(key)
        ]
        if not others or not is_own(ours["name"]):  # what shapes ours has been looked at
            raise
        fix = "Leave alone what gives networks their shape."
        raise BadInput("agent", "networks of the source's shape", "; ".join(others), fix) from error
    if not config.fresh_networks and read_config(config.source).policy_average:
        for actor in (learner.actor, learner.modules().get("target_actor")):
            if isinstance(actor, Ensemble):
                set_actor(actor, checkpoint.policy())  # what was kept is not the newest


def kept_shapes(config: TrainConfig) -> tuple[str, ...]:
    """Settings that cannot differ between a run and its source: those that shape what it keeps of it."""
    if config.fresh_networks:
        return ()
    return ACTOR_SHAPING if config.critic_reset else SHAPING


def give_fresh_critics_their_rate(learner: "Learner", config: TrainConfig) -> None:
    """Let critics that start afresh learn at `agent.lr`, and not at the rate of weights that are kept."""
    if config.critic_reset and agent_that_learns(config) is not config.agent:
        for name, optimiser in learner.optimisers().items():
            if CRITIC in name:
                optimiser.lr = config.agent.lr  # type: ignore[attr-defined]


def require_source_fits(config: TrainConfig, spec: GoalSpec) -> None:
    """That a run can start from `config.source`.

    Raises:
        BadInput: the source is another agent, or was trained for other sizes.
    """
    source = read_config(config.source)
    if not config.fresh_networks:
        _require_same_shape(source, config)
    policy = newest_checkpoint(Path(config.source)).policy()
    require_sizes(policy, spec, config.source, f"It was trained in {source.env}.")


def source_replay(config: TrainConfig) -> list[Segment]:
    """The newest files of the source's replay: about as many transitions as the run's buffers hold.

    Raises:
        BadInput: it kept none.
    """
    if not config.source_share:
        return []
    segments = newest_checkpoint(Path(config.source)).segments
    if not segments:
        raise BadInput(
            f"mode {config.mode!r}",
            "a source that kept its replay",
            f"{config.source}, which did not",
            "Train it with --keep-replay.",
        )
    after = [sum(later.transitions for later in segments[i + 1 :]) for i in range(len(segments))]
    return [segment for segment, more in zip(segments, after, strict=True) if more < config.capacity]


def require_sizes(policy: Policy, spec: GoalSpec, where: str, fix: str = "") -> None:
    """That a policy can act in an env.

    Raises:
        BadInput: a size differs.
    """
    for what, theirs, ours in (
        ("observation size", policy.observation_size, spec.observation_size),
        ("goal size", len(policy.mean) - policy.observation_size, spec.goal_size),
        ("action size", policy.action_size, spec.action_size),
    ):
        if theirs != ours:
            raise BadInput(f"{where} {what}", f"that of {spec.recipe.env_id}, {ours}", str(theirs), fix)


def _require_same_shape(source: TrainConfig, config: TrainConfig) -> None:
    # As text and numbers: the module of a user's own agent need not be imported for the source's.
    theirs, ours = to_toml(source)["agent"], to_toml(config)["agent"]
    if theirs["name"] != ours["name"]:
        expected = f"the source's, {theirs['name']!r}"
        raise BadInput("agent", expected, repr(ours["name"]), "Leave it out to keep it.")
    for name in kept_shapes(config):
        if theirs.get(name) != ours.get(name):
            fix = "The weights of the source have its shape."
            raise BadInput(f"agent.{name}", f"the source's, {theirs.get(name)}", str(ours.get(name)), fix)
