"""Updates of DDPG and SAC against numbers worked out by hand."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fake_spec import point_spec

from regoal import train
from regoal.agent.config import DDPGConfig, SACConfig, TrainConfig
from regoal.agent.ddpg import DDPG
from regoal.agent.learner import load_state, make_learner, state_of
from regoal.agent.networks import Ensemble
from regoal.agent.normaliser import Normaliser
from regoal.agent.optimisation import polyak
from regoal.agent.sac import SAC, squash
from regoal.buffers.batch import Batch

SMALL = {"hidden": (8,), "batch_size": 4}


def batch(n: int = 4, terminated: bool = False, reward: float = -1.0, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)

    def normal(size: int) -> torch.Tensor:
        return torch.randn(n, size, generator=generator)

    return Batch(
        observation=normal(4),
        next_observation=normal(4),
        desired_goal=normal(2),
        action=normal(2).tanh(),
        reward=torch.full((n,), reward),
        terminated=torch.full((n,), terminated),
        new_goal=torch.zeros(n, dtype=torch.bool),
        n_relabelled=0,
    )


def learner(config: DDPGConfig | SACConfig) -> DDPG | SAC:
    return make_learner(config, point_spec(), Normaliser(4, 2), run_seed=0)


def constant_critic(critic: Ensemble, values: list[float]) -> None:
    """Make critic i say values[i], whatever it is asked."""
    with torch.no_grad():
        for parameter in critic.parameters():
            parameter.zero_()
        critic.layers()[-1][1].copy_(torch.tensor(values)[:, None, None])


def next_input(agent: DDPG | SAC, data: Batch) -> torch.Tensor:
    return agent.inputs(data.next_observation, data.desired_goal)


def test_both_ends_of_a_batch_are_normalised_alike() -> None:
    agent, data = learner(DDPGConfig(**SMALL)), batch()
    agent.normaliser.update(np.random.default_rng(0).normal(1, 2, (9, 4)), np.ones((9, 2)))
    agent.inputs.refresh()
    here, after = agent.inputs.both_ends(data).chunk(2)
    torch.testing.assert_close(here, agent.inputs(data.observation, data.desired_goal), rtol=0, atol=0)
    torch.testing.assert_close(after, next_input(agent, data), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("value", "terminated", "expected"),
    [
        (-10.0, False, -1 + 0.98 * -10.0),
        (-10.0, True, -1.0),  # no bootstrap past a terminal state
        (-80.0, False, -50.0),  # -1 - 78.4 lies under the bound -1 / (1 - 0.98)
        (+30.0, False, 0.0),  # a reward of at most 0 never adds up to more
    ],
)
def test_ddpg_target_is_bootstrapped_and_bounded(value: float, terminated: bool, expected: float) -> None:
    agent = learner(DDPGConfig(**SMALL))
    constant_critic(agent.target_critic, [value])
    data = batch(terminated=terminated)
    target = agent.critic_target(next_input(agent, data), data)
    np.testing.assert_allclose(target.numpy(), expected, rtol=1e-6)


def test_target_takes_the_least_of_the_critics() -> None:
    agent = learner(DDPGConfig(**SMALL, n_critics=3))
    constant_critic(agent.target_critic, [-3.0, -7.0, -5.0])
    data = batch()
    target = agent.critic_target(next_input(agent, data), data)
    np.testing.assert_allclose(target.numpy(), -1 + 0.98 * -7.0, rtol=1e-6)


def test_a_soft_target_takes_the_least_of_some_critics_and_the_actor_the_mean_of_all() -> None:
    agent = make_learner(SACConfig(**SMALL, n_critics=5, target_critics=2), point_spec(), Normaliser(4, 2), 0)
    assert isinstance(agent, SAC)
    constant_critic(agent.target_critic, [-1.0, -2.0, -3.0, -4.0, -5.0])
    constant_critic(agent.critic, [-1.0, -2.0, -3.0, -4.0, -10.0])
    data, zeros = batch(), torch.zeros(4)
    x = next_input(agent, data)
    targets = [float(agent.critic_target(x, data.action, zeros, data)[0]) for _ in range(3_000)]
    least = (np.array(targets) + 1) / 0.98
    assert sorted({round(value) for value in least}) == [-5, -4, -3, -2]  # -1 is never the least of two
    assert least.mean() == pytest.approx(-4.0, abs=0.1)  # of the ten pairs: 4 x -5, 3 x -4, 2 x -3, -2
    info = agent.update_actor_and_alpha(x, data.action.requires_grad_(), zeros)
    assert float(info["actor_loss"]) == pytest.approx(4.0)  # the mean, not the least


def test_a_target_of_one_drawn_critic_is_that_of_each_in_turn_and_the_actor_follows_the_mean_of_all() -> None:
    agent = learner(DDPGConfig(**SMALL, action_l2=0.0, n_critics=3, target_critics=1))
    constant_critic(agent.target_critic, [-1.0, -2.0, -6.0])
    constant_critic(agent.critic, [-1.0, -2.0, -6.0])
    data = batch()
    x = next_input(agent, data)
    targets = np.array([float(agent.critic_target(x, data)[0]) for _ in range(3_000)])
    drawn = np.round((targets + 1) / 0.98, 4)
    values, counts = np.unique(drawn, return_counts=True)
    np.testing.assert_array_equal(values, [-6.0, -2.0, -1.0])
    np.testing.assert_allclose(counts / 3_000, 1 / 3, atol=0.04)
    assert float(agent.update_actor(x)["actor_loss"]) == pytest.approx(3.0)  # not 1, of the first
    assert all(parameter.requires_grad for parameter in agent.critic.parameters())


def test_where_the_least_critic_makes_the_target_ddpg_follows_the_first_and_sac_the_least() -> None:
    """Fujimoto 2018, algorithm 1; Haarnoja 2018b, eq. 7, with what the entropy is worth."""
    data, values = batch(), [-1.0, -2.0, -6.0]
    ddpg = learner(DDPGConfig(**SMALL, action_l2=0.0, n_critics=3))
    assert isinstance(ddpg, DDPG)
    constant_critic(ddpg.critic, values)
    assert float(ddpg.update_actor(next_input(ddpg, data))["actor_loss"]) == pytest.approx(1.0)
    sac = learner(SACConfig(**SMALL, n_critics=3, initial_alpha=0.2))
    assert isinstance(sac, SAC)
    constant_critic(sac.critic, values)
    log_prob = torch.full((4,), 0.7)
    info = sac.update_actor_and_alpha(next_input(sac, data), data.action.requires_grad_(), log_prob)
    assert float(info["actor_loss"]) == pytest.approx(0.2 * 0.7 + 6.0)


def test_sac_explores_with_what_it_learns_with() -> None:
    agent = learner(SACConfig(**SMALL))
    mean, log_std = torch.tensor([[0.3, -0.2]]), torch.tensor([[3.0, -1.0]])  # the first is cut off at 2
    with torch.no_grad():
        agent.actor.flat.zero_()
        agent.actor.layers()[-1][1].copy_(torch.cat([mean, log_std], dim=-1)[None])
    explore = agent.policy().explorer(np.random.default_rng(5))
    noise = np.random.default_rng(5).standard_normal((20, 2), np.float32)
    for one in noise:
        expected, _ = squash(mean, log_std.clamp(max=2.0), torch.from_numpy(one)[None])
        np.testing.assert_allclose(explore(np.zeros(6, np.float32)), expected[0].numpy(), rtol=1e-5)


def test_updates_of_a_run_count_what_is_too_small_as_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny, seen, update = torch.full((), 1e-40), [], DDPG.update

    def looked(self: DDPG, *arguments: Any, **options: Any) -> Any:
        seen.append(bool(tiny * 1.0 == 0))
        return update(self, *arguments, **options)

    monkeypatch.setattr(DDPG, "update", looked)
    agent = DDPGConfig(hidden=(8,), batch_size=8)
    train(TrainConfig("regoal/PointReach-v0", str(tmp_path / "run"), agent, steps=300, workers=0))
    assert len(seen) > 10
    assert all(seen)
    assert tiny * 1.0 > 0


def test_critic_loss_is_the_mean_squared_error_to_the_target() -> None:
    agent = learner(DDPGConfig(**SMALL))
    constant_critic(agent.target_critic, [-10.0])
    constant_critic(agent.critic, [-4.0])
    info = agent.update(batch())
    assert float(info["critic_loss"]) == pytest.approx((-4.0 - (-1 + 0.98 * -10.0)) ** 2, rel=1e-5)
    assert float(info["q_mean"]) == pytest.approx(-4.0)


def test_ddpg_actor_loss_is_the_price_of_actions_minus_the_value() -> None:
    agent = learner(DDPGConfig(**SMALL, action_l2=0.5))
    constant_critic(agent.critic, [-4.0])
    with torch.no_grad():
        for parameter in agent.actor.parameters():
            parameter.zero_()
        agent.actor.layers()[-1][1].fill_(math.atanh(0.6))
    data = batch()
    info = agent.update_actor(agent.inputs(data.observation, data.desired_goal))
    assert float(info["actor_loss"]) == pytest.approx(0.5 * 0.36 + 4.0, rel=1e-5)


def test_actor_update_ascends_the_value_and_leaves_the_critic_alone() -> None:
    agent = learner(DDPGConfig(**SMALL, action_l2=0.0))
    data = batch(64)
    x = agent.inputs(data.observation, data.desired_goal)
    critic_before = [parameter.clone() for parameter in agent.critic.parameters()]
    before = agent.critic(x, agent.actor(x)[0].tanh()).mean().item()
    for _ in range(20):
        agent.update_actor(x)
    assert agent.critic(x, agent.actor(x)[0].tanh()).mean().item() > before
    for old, new in zip(critic_before, agent.critic.parameters(), strict=True):
        assert torch.equal(old, new)
        assert new.grad is None


def test_polyak_moves_the_target_by_tau() -> None:
    target, online = (Ensemble(1, [1, 1], torch.Generator()) for _ in range(2))
    with torch.no_grad():
        target.flat.copy_(torch.tensor([1.0, 2.0]))
        online.flat.copy_(torch.tensor([3.0, -2.0]))
    polyak(target, online, 0.25)
    np.testing.assert_allclose(target.flat.detach().numpy(), [1.5, 1.0])


def test_update_moves_targets_towards_the_new_weights() -> None:
    agent = learner(DDPGConfig(**SMALL, tau=0.1))
    old = [parameter.clone() for parameter in agent.target_critic.parameters()]
    agent.update(batch())
    for before, after, online in zip(
        old, agent.target_critic.parameters(), agent.critic.parameters(), strict=True
    ):
        torch.testing.assert_close(after, 0.9 * before + 0.1 * online)


def test_squashed_gaussian_log_density_by_hand() -> None:
    mean, log_std, noise = (
        torch.tensor([[0.3, -0.2]]),
        torch.tensor([[-1.0, 0.5]]),
        torch.tensor([[0.7, -1.1]]),
    )
    action, log_prob = squash(mean, log_std, noise)
    expected = 0.0
    for m, s, e, a in zip([0.3, -0.2], [-1.0, 0.5], [0.7, -1.1], action[0].tolist(), strict=True):
        u = m + math.exp(s) * e
        assert a == pytest.approx(math.tanh(u), rel=1e-6)
        gaussian = math.exp(-0.5 * e * e) / (math.exp(s) * math.sqrt(2 * math.pi))
        expected += math.log(gaussian) - math.log(1 - math.tanh(u) ** 2)
    assert log_prob.item() == pytest.approx(expected, rel=1e-5)


def test_squashed_density_integrates_to_one() -> None:
    u = torch.linspace(-6, 6, 20_001)[:, None]
    mean, log_std = torch.tensor(0.4), torch.tensor(-0.3)
    action, log_prob = squash(mean.expand_as(u), log_std.expand_as(u), (u - mean) / log_std.exp())
    assert torch.trapezoid(log_prob.exp(), action[:, 0]).item() == pytest.approx(1.0, abs=1e-3)


def test_log_density_stays_finite_where_tanh_saturates() -> None:
    _, log_prob = squash(torch.tensor([[40.0]]), torch.tensor([[0.0]]), torch.tensor([[0.0]]))
    assert torch.isfinite(log_prob).all()


@pytest.mark.parametrize(
    ("value", "terminated", "bounded"),
    [(-10.0, False, -1 + 0.98 * -10.0), (-80.0, False, -50.0), (-10.0, True, -1.0)],
)
def test_sac_target_is_bounded_before_the_entropy_is_added(
    value: float, terminated: bool, bounded: float
) -> None:
    agent = learner(SACConfig(**SMALL, initial_alpha=0.2))
    constant_critic(agent.target_critic, [value, value + 5])
    data = batch(terminated=terminated)
    x = next_input(agent, data)
    action, log_prob = agent.sample(*agent.distribution(x))
    target = agent.critic_target(x, action.detach(), log_prob.detach(), data)
    entropy = -0.2 * log_prob.detach() * 0.98 * (not terminated)
    np.testing.assert_allclose(target.numpy(), (bounded + entropy).numpy(), rtol=1e-5)


def test_temperature_rises_when_the_entropy_is_below_its_target() -> None:
    for target_entropy, rises in ((50.0, True), (-50.0, False)):
        agent = learner(SACConfig(**SMALL, target_entropy=target_entropy))
        before = agent.temperature.log_alpha.item()
        agent.update(batch())
        assert (agent.temperature.log_alpha.item() > before) == rises


def test_default_target_entropy_is_minus_the_action_size() -> None:
    assert learner(SACConfig(**SMALL)).target_entropy == -2.0


def test_the_ensemble_is_its_members_side_by_side() -> None:
    generator = torch.Generator().manual_seed(0)
    critic = Ensemble(3, [5, 7, 6, 1], generator, layer_norm=True)
    with torch.no_grad():
        for scale, offset in critic.norms():
            scale.uniform_(0.5, 1.5, generator=generator)
            offset.uniform_(-0.5, 0.5, generator=generator)
    x, action = torch.randn(4, 3, generator=generator), torch.randn(4, 2, generator=generator)
    together = critic(x, action)
    for i in range(3):
        h = torch.cat([x, action], dim=-1)
        for layer in range(2):
            (weight, bias), (scale, offset) = critic.layers()[layer], critic.norms()[layer]
            h = h @ weight[i] + bias[i]
            h = torch.nn.functional.layer_norm(h, h.shape[-1:], scale[i, 0], offset[i, 0])
            h = h.relu()
        weight, bias = critic.layers()[2]
        torch.testing.assert_close(together[i], h @ weight[i] + bias[i])


@pytest.mark.parametrize("config", [DDPGConfig(**SMALL), SACConfig(**SMALL)])
def test_same_seed_same_weights_other_seed_others(config: DDPGConfig | SACConfig) -> None:
    spec = point_spec()
    states = []
    for seed in (0, 0, 1):
        agent = make_learner(config, spec, Normaliser(4, 2), seed)
        for step in range(3):
            agent.update(batch(seed=step))
        states.append(state_of(agent))
    assert all(np.array_equal(states[0][key], states[1][key]) for key in states[0])
    assert any(not np.array_equal(states[0][key], states[2][key]) for key in states[0])


@pytest.mark.parametrize("config", [DDPGConfig(**SMALL), SACConfig(**SMALL)])
def test_a_restored_learner_goes_on_as_the_original(config: DDPGConfig | SACConfig) -> None:
    spec = point_spec()
    first = make_learner(config, spec, Normaliser(4, 2), 0)
    for step in range(3):
        first.update(batch(seed=step))
    second = make_learner(config, spec, Normaliser(4, 2), 9)
    load_state(second, state_of(first))
    if isinstance(first, SAC) and isinstance(second, SAC):
        second._noise.set_state(first._noise.get_state())
    first.update(batch(seed=7))
    second.update(batch(seed=7))
    one, other = state_of(first), state_of(second)
    assert one.keys() == other.keys()
    assert all(np.array_equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("config", [DDPGConfig(**SMALL), SACConfig(**SMALL)])
def test_the_numpy_policy_acts_as_the_torch_actor(config: DDPGConfig | SACConfig) -> None:
    rng = np.random.default_rng(0)
    normaliser = Normaliser(4, 2)
    normaliser.update(3 + 2 * rng.standard_normal((50, 4)), rng.standard_normal((50, 2)))
    agent = make_learner(config, point_spec(), normaliser, 0)
    inputs = rng.standard_normal((5, 6)).astype(np.float32)
    x = agent.inputs(torch.from_numpy(inputs[:, :4].copy()), torch.from_numpy(inputs[:, 4:].copy()))
    expected = agent.actor(x)[0, :, :2].tanh().detach().numpy()
    policy = agent.policy()
    np.testing.assert_allclose(policy.mean_action(inputs), expected, atol=1e-6)
    for one, row in zip(expected, inputs, strict=True):
        np.testing.assert_allclose(policy.act(row[:4], row[4:]), one, atol=1e-6)


def test_the_snapshot_does_not_follow_later_updates() -> None:
    agent = learner(DDPGConfig(**SMALL))
    policy = agent.policy()
    before = policy.act(np.ones(4), np.ones(2))
    agent.update(batch())
    np.testing.assert_array_equal(policy.act(np.ones(4), np.ones(2)), before)
    assert not np.array_equal(agent.policy().act(np.ones(4), np.ones(2)), before)


def test_value_bounds_follow_the_reward_range() -> None:
    spec = dataclasses.replace(point_spec(), reward_range=(0.0, 1.0))
    agent = DDPG(DDPGConfig(**SMALL), spec, Normaliser(4, 2), 0)
    assert agent.value_bounds == pytest.approx((0.0, 50.0))


@pytest.mark.parametrize(
    "config",
    [
        DDPGConfig(**SMALL, n_critics=2),
        DDPGConfig(**SMALL, n_critics=2, target_critics=1),
        SACConfig(**SMALL, target_critics=1),
    ],
)
def test_an_update_mixes_no_devices(config: DDPGConfig | SACConfig) -> None:
    # The meta device has shapes and no numbers; like a GPU it takes no tensor of the CPU.
    agent = make_learner(config, point_spec(), Normaliser(4, 2), 0, device="meta")
    for _ in range(2):
        info = agent.update(batch().to("meta"))
    assert {value.device.type for value in info.values()} == {"meta"}
    assert all(parameter.is_meta for module in agent.modules().values() for parameter in module.parameters())
    with pytest.raises(RuntimeError, match="device"):
        agent.update(batch())


def test_a_batch_that_is_on_the_device_is_not_copied() -> None:
    data = batch()
    assert data.to("cpu") is data
