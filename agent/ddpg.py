"""Deep deterministic policy gradient (Lillicrap 2016), goal-conditioned (Andrychowicz 2017)."""

from copy import deepcopy

import torch
from torch import Tensor, nn

from regoal.agent.anchor import Pull
from regoal.agent.config import DDPGConfig
from regoal.agent.inputs import NormalisedInput
from regoal.agent.learner import Info, policy_of
from regoal.agent.networks import Ensemble, target_value
from regoal.agent.normaliser import Normaliser
from regoal.agent.optimisation import Adam, descend, polyak
from regoal.agent.policy import Exploration, Policy
from regoal.agent.seeding import Stream, torch_generator
from regoal.buffers.batch import Batch
from regoal.envs.goal_spec import GoalSpec


class DDPG:
    """A deterministic actor, an ensemble of critics, and slow copies of both as targets."""

    def __init__(
        self,
        config: DDPGConfig,
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
        self._spec = spec
        self._drawn = torch_generator(run_seed, Stream.UPDATE)  # which critics make a target
        self.inputs = NormalisedInput(normaliser, device)
        self.actor = Ensemble(1, [inputs, *config.hidden, spec.action_size], generator).to(device)
        self.critic = Ensemble(
            config.n_critics,
            [inputs + spec.action_size, *config.hidden, 1],
            generator,
            config.critic_layer_norm,
        ).to(device)
        self.target_actor, self.target_critic = deepcopy(self.actor), deepcopy(self.critic)
        self.actor_optimiser = Adam(config.lr, self.actor)
        self.critic_optimiser = Adam(config.lr, self.critic)

    def update(self, batch: Batch, *, actor_learns: bool = True, pull: Pull | None = None) -> Info:
        """One step of critic, actor and targets (Lillicrap 2016, algorithm 1)."""
        x, next_x = self.inputs.both_ends(batch).chunk(2)  # (n, inputs) each
        info = self.update_critic(x, next_x, batch)
        if actor_learns:
            info |= self.update_actor(x, pull)
        polyak(self.target_critic, self.critic, self.config.tau)
        polyak(self.target_actor, self.actor, self.config.tau)
        return info

    def update_critic(self, x: Tensor, next_x: Tensor, batch: Batch) -> Info:
        """Mean squared error to the bounded one-step target (Lillicrap 2016, eq. 5), summed over critics."""
        target = self.critic_target(next_x, batch)
        q = self.critic(x, batch.action).squeeze(-1)  # (critics, n)
        loss = (q - target).square().sum(dim=0).mean()
        descend(self.critic_optimiser, loss, self.critic)
        return {"critic_loss": loss.detach(), "q_mean": q.detach().mean()}

    @torch.no_grad()
    def critic_target(self, next_x: Tensor, batch: Batch) -> Tensor:
        """(n,): reward + gamma * least target value, where not terminated, within the value bounds.

        The least of all critics, or of `target_critics` drawn anew (REDQ, Chen 2021, arXiv 2101.05982).
        """
        next_action = self.target_actor(next_x)[0].tanh()
        drawn = self.config.target_critics
        next_q = target_value(self.target_critic, next_x, next_action, drawn, self._drawn)
        target: Tensor = batch.reward + self.config.gamma * ~batch.terminated * next_q
        return target.clamp(*self.value_bounds)

    def update_actor(self, x: Tensor, pull: Pull | None = None) -> Info:
        """Ascend the value, with an L2 price on actions (Andrychowicz 2017, appendix A).

        The value is that of the first critic, or the mean of all where `target_critics` are drawn (REDQ).
        """
        action = self.actor(x)[0].tanh()
        square = action.square().mean()
        value = self.critic.held(x, action) if self.config.target_critics else self.critic.one(0, x, action)
        loss = self.config.action_l2 * square - value.mean()
        if pull is not None:
            loss = loss + pull.loss(action)
        descend(self.actor_optimiser, loss, self.actor)
        return {"actor_loss": loss.detach(), "action_square": square.detach()}

    def policy(self) -> Policy:
        config = self.config
        exploration = Exploration(config.noise_std, config.random_share, config.random_hold)
        return policy_of(self.actor, self._spec, self.inputs, "deterministic", exploration)

    def modules(self) -> dict[str, nn.Module]:
        return {
            "actor": self.actor,
            "critic": self.critic,
            "target_actor": self.target_actor,
            "target_critic": self.target_critic,
        }

    def optimisers(self) -> dict[str, Adam]:
        return {"actor_optimiser": self.actor_optimiser, "critic_optimiser": self.critic_optimiser}

    def generators(self) -> dict[str, torch.Generator]:
        return {"update": self._drawn} if self.config.target_critics else {}
