"""A user's own agent, tried before a run begins: what it does that would only show when hours are lost.

Some learners of the same seed are made for it, updated with one batch of noise, and thrown away.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from regoal.agent.agents import agent_name
from regoal.agent.anchor import Pull
from regoal.agent.array_file import require_savable
from regoal.agent.config import AgentConfig
from regoal.agent.diagnosis import Floats, values
from regoal.agent.inputs import NormalisedInput
from regoal.agent.learner import Info, Learner, load_state, make_learner, state_of
from regoal.agent.networks import Ensemble
from regoal.agent.normaliser import Normaliser
from regoal.agent.optimisation import Adam
from regoal.agent.policy import Policy
from regoal.agent.saved_policy import arrays_of
from regoal.agent.seeding import Stream, generator
from regoal.agent.source import require_sizes
from regoal.buffers.batch import Batch
from regoal.envs.goal_spec import GoalSpec
from regoal.errors import BadInput

# Updates of the critics alone, then of all. An actor that learns at every tenth is seen to; 23 in all is
# prime, so that no count of updates that begins anew is in step with one that goes on.
WARMUP, UPDATES = 10, 13
CLOSE = 1e-4  # between actions of the policy, in numpy, and of the actor, in torch


def require_agent_works(
    config: AgentConfig, spec: GoalSpec, run_seed: int, device: str, policy_delay: int = 1
) -> None:
    """That an agent keeps what `learner.Learner` promises; errors of its own code come as they are.

    Args:
        config: its settings.
        spec: of the env.
        run_seed: of the run.
        device: that it will learn on.
        policy_delay: the actor's turn comes with one of so many updates.

    Raises:
        BadInput: it does not: what, and the fix.
    """
    name = f"agent {agent_name(config)}"
    learner, restored, pulled, spared = (_made(config, spec, run_seed, device) for _ in range(4))
    batch = _batch(config.batch_size, spec, run_seed).to(device)
    _require_parts(learner, name)
    _require_critic(learner, batch, name)
    _require_policy(learner, batch, spec, name)
    _require_updates(learner, batch, config, name)
    require_savable(state_of(learner), f"{name} state")
    _require_policy(learner, batch, spec, name)
    for other in (restored, pulled, spared):
        load_state(other, state_of(learner))
        for key, one in other.generators().items():
            one.set_state(learner.generators()[key].get_state())
    _require_same(learner, restored, batch, name)
    pull = Pull(torch.zeros_like(batch.action), weight=1.0)
    for _ in range(UPDATES):
        pulled.update(batch, pull=pull)
        spared.update(
            batch, pull=replace(pull, rows=torch.zeros(len(batch), dtype=torch.bool, device=device))
        )
    if not np.allclose(_actor(learner), _actor(spared), atol=1e-6):
        raise BadInput(
            f"{name} update",
            "a pull of no row to leave the actor as it is (imitation)",
            "one that moves it",
            "Add pull.loss(action) as it is: it knows which rows pull.",
        )
    if np.array_equal(_actor(learner), _actor(pulled)):
        fix = "if pull is not None: loss = loss + pull.loss(action)"
        raise BadInput(
            f"{name} update", "a pull that moves the actor (mode anchor)", "one without effect", fix
        )
    if policy_delay > 1:
        _require_turns(_made(config, spec, run_seed, device), batch, policy_delay, name)


def _made(config: AgentConfig, spec: GoalSpec, run_seed: int, device: str) -> Learner:
    normaliser = Normaliser(spec.observation_size, spec.goal_size, "continue")
    return make_learner(config, spec, normaliser, run_seed, device)


def _batch(n: int, spec: GoalSpec, run_seed: int) -> Batch:
    """A batch of noise."""
    rng = generator(run_seed, Stream.TRIAL)

    def noise(size: int) -> torch.Tensor:
        return torch.from_numpy(rng.standard_normal((n, size), np.float32))

    return Batch(
        observation=noise(spec.observation_size),
        next_observation=noise(spec.observation_size),
        desired_goal=noise(spec.goal_size),
        action=noise(spec.action_size).clamp(-1.0, 1.0),
        reward=torch.from_numpy(rng.choice(np.array(spec.reward_range, np.float32), n)),
        terminated=torch.zeros(n, dtype=torch.bool),
        new_goal=torch.zeros(n, dtype=torch.bool),
        n_relabelled=0,
    )


def _require_parts(learner: Learner, name: str) -> None:
    """That it has all attributes, and its networks, optimisers and generators by name."""
    for attribute, kind in (("normaliser", Normaliser), ("inputs", NormalisedInput), ("actor", Ensemble)):
        value = getattr(learner, attribute, None)
        if not isinstance(value, kind):
            expected = f"an attribute {attribute!r}, a regoal.agent.{kind.__name__}"
            raise BadInput(f"{name} learner", expected, repr(value)[:200])
    parts: dict[str, type] = {"modules": nn.Module, "optimisers": Adam, "generators": torch.Generator}
    for method, part in parts.items():
        found = getattr(learner, method)()
        if not isinstance(found, Mapping) or not all(isinstance(one, part) for one in found.values()):
            raise BadInput(f"{name} {method}", f"every {part.__name__} by its name", repr(found)[:200])
    if learner.modules().get("actor") is not learner.actor:
        got = ", ".join(learner.modules()) or "nothing"
        raise BadInput(f"{name} modules", "its actor under the name 'actor'", got)


@torch.no_grad()
def _require_critic(learner: Learner, batch: Batch, name: str) -> None:
    """That what is called a target critic can be diagnosed as one."""
    critic = learner.modules().get("target_critic")
    if critic is None:
        return
    shape = tuple(critic(learner.inputs.both_ends(batch)[: len(batch)], batch.action).shape)
    if len(shape) != 3 or shape[1:] != (len(batch), 1):
        expected = f"values (critics, {len(batch)}, 1) of a module called 'target_critic'"
        raise BadInput(f"{name} modules", expected, str(shape), "Call it something else.")


def _require_policy(learner: Learner, batch: Batch, spec: GoalSpec, name: str) -> None:
    """That it plays as its actor says."""
    policy, fix = learner.policy(), "regoal.agent.policy_of makes it."
    if not isinstance(policy, Policy):
        raise BadInput(f"{name} policy", "a regoal.Policy", repr(policy)[:200], fix)
    require_sizes(policy, spec, f"{name} policy")
    inputs = torch.cat([batch.observation, batch.desired_goal], dim=-1).cpu().numpy()
    _, action = values(learner, batch, spec, gamma=0.0)
    if np.abs(policy.mean_action(inputs) - action).max() > CLOSE:
        expected = "tanh of the actor's first action_size outputs as the policy's action"
        raise BadInput(f"{name} policy", expected, "other actions", fix)


def _require_updates(learner: Learner, batch: Batch, config: AgentConfig, name: str) -> None:
    """That updates return what they should, and leave alone what they should."""
    policy, before = learner.policy(), _actor(learner)
    played = {key: array.copy() for key, array in arrays_of(policy).items()}
    infos = [learner.update(batch, actor_learns=False) for _ in range(WARMUP)]
    if not np.array_equal(_actor(learner), before):
        expected = "an actor that stays as it is where actor_learns is False (warm_start)"
        raise BadInput(f"{name} update", expected, "one that moved")
    infos += [learner.update(batch) for _ in range(UPDATES)]
    _require_numbers(infos, config, name)
    if np.array_equal(_actor(learner), before):
        fix = "Give an optimiser the actor, and step it."
        raise BadInput(f"{name} update", "an actor that learns", f"the same after {UPDATES} updates", fix)
    if any(not np.array_equal(array, played[key]) for key, array in arrays_of(policy).items()):
        fix = "Return copies, as regoal.agent.policy_of does."
        raise BadInput(f"{name} policy", "one that later updates do not touch", "one that changed", fix)


def _require_turns(learner: Learner, batch: Batch, policy_delay: int, name: str) -> None:
    """That the actor learns although its turn comes seldom: a delay of the agent's own may miss them all."""
    before = _actor(learner)
    for number in range(UPDATES * policy_delay):
        learner.update(batch, actor_learns=number % policy_delay == 0)
        if not np.array_equal(_actor(learner), before):
            return
    raise BadInput(
        f"{name} update",
        f"an actor that learns with policy_delay={policy_delay}",
        f"the same after {UPDATES * policy_delay} updates",
        "An agent that has a delay of its own goes with --set policy_delay=1.",
    )


def _require_numbers(infos: Iterable[Info], config: AgentConfig, name: str) -> None:
    """That updates return numbers, and none without a column."""
    for key, value in (item for info in infos for item in info.items()):
        if key not in config.columns:
            fix = f"columns = {(*config.columns, key)}"
            raise BadInput(f"{name} columns", "all that its updates return", f"none for {key!r}", fix)
        number = torch.as_tensor(value)
        if number.numel() != 1 or number.requires_grad:
            got = "one that a gradient hangs on" if number.requires_grad else f"{number.numel()} numbers"
            raise BadInput(f"{name} update", f"a detached number as {key!r}", got, ".detach().mean()")


def _require_same(learner: Learner, restored: Learner, batch: Batch, name: str) -> None:
    """That one which was restored from a checkpoint goes on as the other does."""
    for _ in range(UPDATES):
        learner.update(batch)
        restored.update(batch)
    other = state_of(restored)
    for key, array in state_of(learner).items():
        if not np.array_equal(array, other[key]):
            raise BadInput(
                f"{name} update",
                "all that it depends on in modules(), optimisers() and generators()",
                f"another {key} after these were restored: a resumed run would not be the same",
                "Count updates by an optimiser's `steps`, and draw from a torch_generator(run_seed, "
                "Stream.UPDATE) in generators().",
            )


def _actor(learner: Learner) -> Floats:
    return learner.actor.flat.detach().cpu().numpy().copy()
