"""Soft actor-critic with automatic temperature (Haarnoja 2018b, arXiv 1812.05905), goal-conditioned."""

import math
from copy import deepcopy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regoal.agent.config import SACConfig
from regoal.agent.learner import policy_of
from regoal.agent.networks import MLP, EnsembleCritic, NormalisedInput, adam, polyak, regress
from regoal.agent.normaliser import Normaliser
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

    def __init__(self, config: SACConfig, spec: GoalSpec, normaliser: Normaliser, run_seed: int) -> None:
        generator = torch_generator(run_seed, Stream.NETWORKS)
        inputs = spec.observation_size + spec.goal_size
        self.config = config
        self.normaliser = normaliser
        self.value_bounds = spec.value_bounds(config.gamma)
        self.target_entropy = config.target_entropy or -float(spec.action_size)
        self._spec = spec
        self._input = NormalisedInput(normaliser)
        self._noise = torch_generator(run_seed, Stream.UPDATE)
        self.actor = MLP([inputs, *config.hidden, 2 * spec.action_size], generator)
        self.critic = EnsembleCritic(
            config.n_critics, inputs + spec.action_size, config.hidden, generator, config.critic_layer_norm
        )
        self.target_critic = deepcopy(self.critic)
        self.temperature = Temperature(config.initial_alpha)
        self.actor_optimiser = adam(self.actor.parameters(), config.lr)
        self.critic_optimiser = adam(self.critic.parameters(), config.lr)
        self.alpha_optimiser = adam(self.temperature.parameters(), config.lr)

    def update(self, batch: Batch) -> dict[str, float]:
        """One step of critics, actor, temperature and targets (Haarnoja 2018b, algorithm 1)."""
        x = self._input(batch.observation, batch.desired_goal)  # (n, inputs)
        next_x = self._input(batch.next_observation, batch.desired_goal)
        info = self.update_critic(x, next_x, batch) | self.update_actor_and_alpha(x)
        polyak(self.target_critic.parameters(), self.critic.parameters(), self.config.tau)
        return info

    def update_critic(self, x: Tensor, next_x: Tensor, batch: Batch) -> dict[str, float]:
        """Mean squared error to the soft target (Haarnoja 2018b, eq. 5), summed over critics."""
        target = self.critic_target(next_x, batch)
        return regress(self.critic, self.critic_optimiser, x, batch.action, target)

    @torch.no_grad()
    def critic_target(self, next_x: Tensor, batch: Batch) -> Tensor:
        """(n,): reward + gamma * (least target value + entropy), where not terminated.

        The bounds are those of the reward alone, so they are applied before the entropy is added.
        """
        next_action, log_prob = self.sample_action(next_x)
        next_q = self.target_critic(next_x, next_action).amin(dim=0)
        discount = self.config.gamma * ~batch.terminated
        target: Tensor = (batch.reward + discount * next_q).clamp(*self.value_bounds)
        return target - discount * self.temperature.log_alpha.exp() * log_prob

    def update_actor_and_alpha(self, x: Tensor) -> dict[str, float]:
        """Actor: Haarnoja 2018b, eq. 7. Temperature: eq. 18."""
        action, log_prob = self.sample_action(x)
        self.critic.requires_grad_(False)  # its gradients are not wanted here
        q = self.critic(x, action).amin(dim=0)
        self.critic.requires_grad_(True)
        alpha = self.temperature.log_alpha.exp()
        loss = (alpha.detach() * log_prob - q).mean()
        self.actor_optimiser.zero_grad()
        torch.autograd.backward(loss)
        self.actor_optimiser.step()

        alpha_loss = -(alpha * (log_prob.detach() + self.target_entropy)).mean()
        self.alpha_optimiser.zero_grad()
        torch.autograd.backward(alpha_loss)
        self.alpha_optimiser.step()
        return {
            "actor_loss": loss.item(),
            "alpha": alpha.item(),
            "entropy": -log_prob.detach().mean().item(),
        }

    def sample_action(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """A reparametrised action (n, action_size) in [-1, 1] and its log-density (n,)."""
        mean, log_std = self.actor(x).chunk(2, dim=-1)
        log_std = log_std.clamp(*LOG_STD_RANGE)
        noise = torch.randn(mean.shape, generator=self._noise)
        return squash(mean, log_std, noise)

    def refresh(self) -> None:
        self._input.refresh()

    def policy(self) -> Policy:
        return policy_of(self.actor, self._spec, self.normaliser, "gaussian", Exploration())

    def modules(self) -> dict[str, nn.Module]:
        return {
            "actor": self.actor,
            "critic": self.critic,
            "target_critic": self.target_critic,
            "temperature": self.temperature,
        }

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        return {
            "actor_optimiser": self.actor_optimiser,
            "critic_optimiser": self.critic_optimiser,
            "alpha_optimiser": self.alpha_optimiser,
        }


def squash(mean: Tensor, log_std: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """tanh(mean + std * noise) and its log-density (Haarnoja 2018b, appendix C).

    log(1 - tanh(u)^2) is written as 2 (log 2 - u - softplus(-2u)), which does not run out of digits.
    """
    u = mean + log_std.exp() * noise
    gaussian = -0.5 * noise.square() - log_std - 0.5 * math.log(2 * math.pi)
    correction = 2 * (math.log(2) - u - F.softplus(-2 * u))
    return u.tanh(), (gaussian - correction).sum(dim=-1)
