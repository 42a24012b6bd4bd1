"""Soft actor-critic with automatic temperature (Haarnoja 2018b, arXiv 1812.05905), goal-conditioned."""

import math
from copy import deepcopy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from regoal.agent.anchor import Pull
from regoal.agent.config import SACConfig
from regoal.agent.inputs import NormalisedInput
from regoal.agent.learner import Info, policy_of
from regoal.agent.networks import Ensemble, target_value
from regoal.agent.normaliser import Normaliser
from regoal.agent.optimisation import Adam, descend, polyak
from regoal.agent.policy import LOG_STD_RANGE, Exploration, Policy
from regoal.agent.seeding import Stream, torch_generator
from regoal.buffers.batch import Batch
from regoal.envs.goal_spec import GoalSpec


class Temperature(nn.Module):
    """The weight of the entropy, kept as its logarithm."""

    def __init__(self, alpha: float) -> None:
        super().__init__()
        self.log_alpha = nn.Parameter(torch.tensor(math.log(alpha)))


class SAC:
    """A squashed Gaussian actor, an ensemble of critics with slow targets, and a temperature."""

    def __init__(
        self,
        config: SACConfig,
        spec: GoalSpec,
        normaliser: Normaliser,
        run_seed: int,
        device: str = "cpu",
    ) -> None:
        generator = torch_generator(run_seed, Stream.NETWORKS)
        inputs = spec.observation_size + spec.goal_size
        self.config = config
        self.normaliser = normaliser
        self.value_bounds = spec.value_bounds(config.gamma)
        self.target_entropy = config.target_entropy or -float(spec.action_size)
        self._spec = spec
        self.inputs = NormalisedInput(normaliser, device)
        self._noise = torch_generator(run_seed, Stream.UPDATE)
        self.actor = Ensemble(1, [inputs, *config.hidden, 2 * spec.action_size], generator).to(device)
        self.critic = Ensemble(
            config.n_critics,
            [inputs + spec.action_size, *config.hidden, 1],
            generator,
            config.critic_layer_norm,
        ).to(device)
        self.target_critic = deepcopy(self.critic)
        self.temperature = Temperature(config.initial_alpha).to(device)
        # One optimiser for both: their losses have no parameter in common.
        self.actor_optimiser = Adam(config.lr, self.actor, self.temperature)
        self.critic_optimiser = Adam(config.lr, self.critic)

    def update(self, batch: Batch, *, actor_learns: bool = True, pull: Pull | None = None) -> Info:
        """One step of critics, actor, temperature and targets (Haarnoja 2018b, algorithm 1)."""
        n = len(batch)
        both = self.inputs.both_ends(batch)  # (2n, inputs): at t, then at t + 1
        # One pass for both: the actor is the same for the critics' target and for its own step.
        mean, log_std = self.distribution(both, tracked=n)
        action, log_prob = self.sample(mean, log_std)
        x, next_x = both[:n], both[n:]
        target = self.critic_target(next_x, action[n:].detach(), log_prob[n:].detach(), batch)
        info = self.update_critic(x, batch.action, target)
        if actor_learns:
            pulled = None if pull is None else pull.loss(mean[:n].tanh())
            info |= self.update_actor_and_alpha(x, action[:n], log_prob[:n], pulled)
        polyak(self.target_critic, self.critic, self.config.tau)
        return info

    def update_critic(self, x: Tensor, action: Tensor, target: Tensor) -> Info:
        """Half the mean squared error to the soft target (Haarnoja 2018b, eq. 5), summed over critics."""
        q = self.critic(x, action).squeeze(-1)  # (critics, n)
        loss = 0.5 * (q - target).square().sum(dim=0).mean()
        descend(self.critic_optimiser, loss, self.critic)
        return {"critic_loss": loss.detach(), "q_mean": q.detach().mean()}

    @torch.no_grad()
    def critic_target(self, next_x: Tensor, next_action: Tensor, log_prob: Tensor, batch: Batch) -> Tensor:
        """(n,): reward + gamma * (least target value + entropy), where not terminated.

        The least of all critics, or of `target_critics` drawn anew (REDQ, Chen 2021, arXiv 2101.05982).
        The bounds are those of the reward alone, so they are applied before the entropy is added.
        """
        drawn = self.config.target_critics
        next_q = target_value(self.target_critic, next_x, next_action, drawn, self._noise)
        discount = self.config.gamma * ~batch.terminated
        target: Tensor = (batch.reward + discount * next_q).clamp(*self.value_bounds)
        return target - discount * self.temperature.log_alpha.exp() * log_prob

    def update_actor_and_alpha(
        self, x: Tensor, action: Tensor, log_prob: Tensor, pulled: Tensor | None = None
    ) -> Info:
        """Actor: Haarnoja 2018b, eq. 7. Temperature: eq. 18, in its logarithm as the authors' code has it.

        Args:
            x: (n, inputs).
            action: (n, action_size), sampled by the actor for x.
            log_prob: (n,) its log-density.
            pulled: loss of a pull of the mean action to a source's, if there is one.
        """
        q = self.critic.held(x, action).squeeze(-1)  # (critics, n)
        q = q.mean(dim=0) if self.config.target_critics else q.amin(dim=0)
        log_alpha = self.temperature.log_alpha
        alpha = log_alpha.detach().exp()
        loss = (alpha * log_prob - q).mean()
        if pulled is not None:
            loss = loss + pulled
        surplus = log_prob.detach().mean() + self.target_entropy
        descend(self.actor_optimiser, loss - log_alpha * surplus, self.actor)
        return {
            "actor_loss": loss.detach(),
            "alpha": alpha,
            "entropy": self.target_entropy - surplus,
        }

    def distribution(self, x: Tensor, tracked: int | None = None) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation, (n, action_size) each, of the Gaussian before it is squashed.

        Args:
            x: (n, inputs).
            tracked: rows, from the first, that a gradient is wanted for; all if not given.
        """
        mean, log_std = self.actor(x, tracked=tracked)[0].chunk(2, dim=-1)
        return mean, log_std.clamp(*LOG_STD_RANGE)

    def sample(self, mean: Tensor, log_std: Tensor) -> tuple[Tensor, Tensor]:
        """A reparametrised action (n, action_size) in [-1, 1] and its log-density (n,)."""
        noise = torch.randn(mean.shape, generator=self._noise).to(mean.device)
        return squash(mean, log_std, noise)

    def policy(self) -> Policy:
        return policy_of(self.actor, self._spec, self.inputs, "gaussian", Exploration())

    def modules(self) -> dict[str, nn.Module]:
        return {
            "actor": self.actor,
            "critic": self.critic,
            "target_critic": self.target_critic,
            "temperature": self.temperature,
        }

    def optimisers(self) -> dict[str, Adam]:
        return {"actor_optimiser": self.actor_optimiser, "critic_optimiser": self.critic_optimiser}

    def generators(self) -> dict[str, torch.Generator]:
        return {"update": self._noise}


def squash(mean: Tensor, log_std: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """tanh(mean + std * noise) and its log-density (Haarnoja 2018b, appendix C)."""
    action, log_prob = _Squash.apply(mean, log_std, noise)  # type: ignore[no-untyped-call]
    return action, log_prob


class _Squash(torch.autograd.Function):
    """A backward pass in six small operations; autograd would take it through twenty."""

    @staticmethod
    def forward(ctx: Any, mean: Tensor, log_std: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        scaled = log_std.exp() * noise
        u = mean + scaled
        action = u.tanh()
        ctx.save_for_backward(action, scaled)
        # log(1 - tanh(u)^2) is written as 2 (log 2 - u - softplus(-2u)), which does not run out of digits.
        log_prob = -0.5 * noise.square() - log_std + 2 * (u + F.softplus(-2 * u))
        constant = 0.5 * math.log(2 * math.pi) + 2 * math.log(2)
        return action, log_prob.sum(dim=-1) - constant * mean.shape[-1]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, for_action: Tensor, for_log_prob: Tensor) -> tuple[Tensor, Tensor, None]:
        action, scaled = ctx.saved_tensors
        for_log_prob = for_log_prob.unsqueeze(-1)
        # d action / d u = 1 - action^2, and d log_prob / d u = 2 action at fixed noise.
        for_u = for_action * (1 - action.square()) + 2 * for_log_prob * action
        return for_u, for_u * scaled - for_log_prob, None
