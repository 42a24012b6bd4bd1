"""What training asks of an agent, and the state every agent keeps in checkpoints."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from regoal.agent.agents import learner_class
from regoal.agent.anchor import Pull
from regoal.agent.array_file import require_alike
from regoal.agent.config import AgentConfig
from regoal.agent.inputs import NormalisedInput
from regoal.agent.networks import Ensemble
from regoal.agent.normaliser import Normaliser
from regoal.agent.optimisation import Adam
from regoal.agent.policy import Exploration, Policy
from regoal.buffers.batch import Batch
from regoal.envs.goal_spec import GoalSpec
from regoal.errors import BadInput

Arrays = dict[str, NDArray[Any]]
Info = dict[str, torch.Tensor]  # losses and what else is worth a curve, each a number


class Learner(Protocol):
    """An agent: its update, the policy it acts with, and its state.

    It is made with its settings, the `GoalSpec` of the env, the run's `Normaliser`, the run's seed and the
    device that learns. The same arguments make the same learner.

    Attributes:
        normaliser: as given.
        inputs: what turns batches into inputs of networks; refreshed by whoever trains it.
        actor: tanh of its first action_size outputs is the action without exploration, in [-1, 1].
    """

    normaliser: Normaliser
    inputs: NormalisedInput
    actor: Ensemble

    def update(self, batch: Batch, *, actor_learns: bool = True, pull: Pull | None = None) -> Info:
        """One gradient step; returns the losses, which are read only when a block of updates is done.

        Args:
            batch: transitions.
            actor_learns: whether the actor is stepped too, or the critics alone.
            pull: of the actor to a source's actions, or to better ones that were taken, if there is one.
        """
        ...

    def policy(self) -> Policy:
        """A copy of the actor to act with, which later updates do not touch."""
        ...

    def modules(self) -> Mapping[str, nn.Module]:
        """Networks by name.

        The actor is called `actor`. Those with `critic` in their names start afresh where critics are reset;
        a `target_critic`, from inputs and actions to (critics, n, 1), is looked at by the diagnosis
        and by hindsight imitation.
        """
        ...

    def optimisers(self) -> Mapping[str, Adam]:
        """Optimisers by name; those with `critic` in it start afresh where critics are reset."""
        ...

    def generators(self) -> Mapping[str, torch.Generator]:
        """Generators that updates draw from, by name."""
        ...


def make_learner(
    config: AgentConfig, spec: GoalSpec, normaliser: Normaliser, run_seed: int, device: str = "cpu"
) -> Learner:
    """The agent that belongs to the config, with its networks on the device."""
    return learner_class(config)(config, spec, normaliser, run_seed, device)


def policy_of(
    actor: Ensemble, spec: GoalSpec, inputs: NormalisedInput, head: Any, exploration: Exploration
) -> Policy:
    """A numpy copy of an actor and of the statistics that its inputs are normalised with."""
    mean, std = inputs.statistics()
    return Policy(
        weights=tuple(weight[0].t().cpu().numpy().copy(order="C") for weight, _ in actor.layers()),
        biases=tuple(bias[0, 0].cpu().numpy().copy() for _, bias in actor.layers()),
        mean=mean.cpu().numpy().copy(),
        std=std.cpu().numpy().copy(),
        clip=inputs.clip,
        head=head,
        exploration=exploration,
        observation_size=spec.observation_size,
        action_low=np.asarray(spec.action_low, np.float32),
        action_high=np.asarray(spec.action_high, np.float32),
    )


def set_actor(actor: Ensemble, policy: Policy) -> None:
    """Give an actor the weights of a policy: the way back from `policy_of`.

    Raises:
        BadInput: it has another shape.
    """
    shapes = [tuple(weight.shape[:0:-1]) for weight, _ in actor.layers()]
    if shapes != [weight.shape for weight in policy.weights]:
        got = str([weight.shape for weight in policy.weights])
        raise BadInput("policy", f"layers of {shapes}", got, "Copy the run again, whole.")
    for (weight, bias), new_weight, new_bias in zip(
        actor.layers(), policy.weights, policy.biases, strict=True
    ):
        weight[0].copy_(torch.from_numpy(new_weight).t())
        bias[0, 0].copy_(torch.from_numpy(new_bias))


def state_of(learner: Learner) -> Arrays:
    """Weights, optimiser moments and input statistics; random generators are the run's own."""
    arrays: Arrays = {f"normaliser.{key}": value for key, value in learner.normaliser.state().items()}
    for name, module in learner.modules().items():
        for key, tensor in module.state_dict().items():
            arrays[f"{name}.{key}"] = tensor.detach().cpu().numpy().copy()
    for name, optimiser in learner.optimisers().items():
        for key, tensor in optimiser.state().items():
            arrays[f"{name}.{key}"] = tensor.cpu().numpy().copy()
    return arrays


def exported_state(learner: Learner) -> Arrays:
    """`state_of` without optimisers, and without target networks that can begin as copies of others."""
    left_out = {key for part in _left_out(learner) for key in part}
    return {key: array for key, array in state_of(learner).items() if key not in left_out}


def load_state(
    learner: Learner, arrays: Arrays, leave_out: Collection[str] = (), *, exported: bool = False
) -> None:
    """Take over the arrays of `state_of`; the learner must have been built with the same settings.

    Args:
        learner: to load into.
        arrays: of another one.
        leave_out: modules and optimisers that stay as they are.
        exported: the arrays may be those of `exported_state`: an optimiser of which none is there stays as
            it is, and a target network becomes a copy.

    Raises:
        BadInput: an array is missing or has another shape.
    """
    try:
        _load(learner, _completed(learner, arrays) if exported else arrays, leave_out)
    except (KeyError, RuntimeError, ValueError) as error:
        raise BadInput(
            "checkpoint",
            "the arrays of an agent with the settings in config.toml",
            f"{type(error).__name__}: {str(error).splitlines()[0]}",
            "The run folder was changed: copy it again, whole.",
        ) from error


def _completed(learner: Learner, arrays: Arrays) -> Arrays:
    """The arrays of an export, and in place of each part that it left out what that begins as."""
    begins_as = state_of(learner) | arrays
    completed = dict(arrays)
    for part in _left_out(learner):
        if arrays.keys().isdisjoint(part):
            completed |= {key: begins_as[origin] for key, origin in part.items()}
    return completed


def _left_out(learner: Learner) -> Iterator[dict[str, str]]:
    """The parts that exports leave out: names of their arrays, and of those that they begin as."""
    for name, optimiser in learner.optimisers().items():
        yield {f"{name}.{key}": f"{name}.{key}" for key in optimiser.state()}
    modules = learner.modules()
    for name, module in modules.items():
        target = modules.get(f"target_{name}")
        if target is not None and _shapes(target) == _shapes(module):
            yield {f"target_{name}.{key}": f"{name}.{key}" for key in module.state_dict()}


def _shapes(module: nn.Module) -> dict[str, tuple[torch.Size, torch.dtype]]:
    return {key: (tensor.shape, tensor.dtype) for key, tensor in module.state_dict().items()}


def _load(learner: Learner, arrays: Arrays, leave_out: Collection[str]) -> None:
    left_out = tuple(f"{name}." for name in leave_out)
    require_alike(
        arrays, {name: value for name, value in state_of(learner).items() if not name.startswith(left_out)}
    )
    prefix = "normaliser."
    learner.normaliser.load_state(
        {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}
    )
    for name, module in learner.modules().items():
        if name in leave_out:
            continue
        module.load_state_dict(
            {key: torch.from_numpy(arrays[f"{name}.{key}"].copy()) for key in module.state_dict()}
        )
    for name, optimiser in learner.optimisers().items():
        if name in leave_out:
            continue
        optimiser.load_state(
            {key: torch.from_numpy(arrays[f"{name}.{key}"].copy()) for key in optimiser.state()}
        )
    learner.inputs.refresh()
