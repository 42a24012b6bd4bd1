"""What is compared is the same: SAC's losses and gradients are Stable-Baselines3's, buffers are as filled.

Run by `make test-peer`, where the peers are installed.
"""

import importlib
from typing import Any

import numpy as np
import pytest
import torch

from regoal.agent.sac import SAC
from regoal.benchmarks.peers.data import STEPS, THRESHOLD, episodes

pytestmark = pytest.mark.peer

ROWS = 256
KEYS = ("observation", "achieved_goal", "desired_goal")


def peer(name: str) -> Any:
    """The module of benchmarks/peers; skips where its library is not installed."""
    pytest.importorskip({"sb3": "stable_baselines3", "ours": "regoal"}.get(name, name))
    return importlib.import_module(f"regoal.benchmarks.peers.{name}")


OURS_FROM_THEIRS = [*range(6, 31), *range(3, 6)]  # they sort: achieved goal, desired goal, observation


def linear_layers(module: torch.nn.Module) -> list[torch.nn.Linear]:
    return [layer for layer in module.modules() if isinstance(layer, torch.nn.Linear)]


def pair(layer: torch.nn.Linear, gradient: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias of a layer, or their gradients."""
    if not gradient:
        return layer.weight.detach().clone(), layer.bias.detach().clone()
    assert layer.weight.grad is not None
    assert layer.bias.grad is not None
    return layer.weight.grad.clone(), layer.bias.grad.clone()


def as_ours(tensors: list[torch.Tensor], with_action: bool) -> list[torch.Tensor]:
    """Weight and bias of their linear layers, in turn, in our layout."""
    first, *rest = tensors
    columns = OURS_FROM_THEIRS + (list(range(31, 35)) if with_action else [])
    return [first[:, columns].t()] + [one.t() if one.dim() == 2 else one[None] for one in rest]


def of_actor(model: Any, gradient: bool = False) -> list[torch.Tensor]:
    *hidden, mean, log_std = (pair(layer, gradient) for layer in linear_layers(model.actor))
    head = [torch.cat([mean[i], log_std[i]]) for i in (0, 1)]
    return as_ours([one for layer in hidden for one in layer] + head, with_action=False)


def of_critics(critic: Any, gradient: bool = False) -> list[torch.Tensor]:
    parts = []
    for net in (critic.qf0, critic.qf1):
        tensors = [one for layer in linear_layers(net) for one in pair(layer, gradient)]
        parts.append(as_ours(tensors, with_action=True))
    return [torch.stack(both) for both in zip(*parts, strict=True)]


def put(net: Any, tensors: list[torch.Tensor]) -> None:
    places = [one for layer in net.layers() for one in layer]
    for place, tensor in zip(places, tensors, strict=True):
        place.copy_(tensor.reshape(place.shape))


def test_losses_and_gradients_are_those_of_stable_baselines3(monkeypatch: pytest.MonkeyPatch) -> None:
    sb3, ours = peer("sb3"), peer("ours")
    model = sb3.sac_model((256, 256, 256))
    spec = ours.GoalSpec.of("FetchPush-v4")
    learner = ours.sac((256, 256, 256), spec)
    assert isinstance(learner, SAC)
    put(learner.actor, of_actor(model))
    put(learner.critic, of_critics(model.critic))
    put(learner.target_critic, of_critics(model.critic_target))

    noise = torch.randn(2 * ROWS, 4, generator=torch.Generator().manual_seed(0))
    halves = iter([noise[:ROWS], noise[ROWS:]])
    monkeypatch.setattr(
        torch.distributions.Normal, "rsample", lambda self, *_: self.loc + self.scale * next(halves)
    )
    monkeypatch.setattr("regoal.agent.sac.torch.randn", lambda *_, **__: noise)

    # Their actor's backward pass adds to the critics' gradients: note each as its optimiser steps.
    gradients: dict[str, Any] = {}
    for name, optimiser, read in (
        ("critic", model.critic.optimizer, lambda: of_critics(model.critic, gradient=True)),
        ("actor", model.actor.optimizer, lambda: of_actor(model, gradient=True)),
        ("alpha", model.ent_coef_optimizer, lambda: model.log_ent_coef.grad.clone()),
    ):

        def noted(*_: Any, name: str = name, read: Any = read, step: Any = optimiser.step) -> None:
            gradients[name] = read()
            step()

        monkeypatch.setattr(optimiser, "step", noted)

    model.replay_buffer = sb3.FixedBuffer(sb3.fixed_batch(ROWS))
    model.train(gradient_steps=1, batch_size=ROWS)
    info = learner.update(ours.fixed_batch(ROWS))

    logged = model.logger.name_to_value
    assert float(info["critic_loss"]) == pytest.approx(logged["train/critic_loss"], abs=1e-5)
    assert float(info["actor_loss"]) == pytest.approx(logged["train/actor_loss"], abs=1e-5)
    for name, net in (("critic", learner.critic), ("actor", learner.actor)):
        found = [one for layer in net.layers(net.flat.grad) for one in layer]
        for one, other in zip(found, gradients[name], strict=True):
            torch.testing.assert_close(one, other.reshape(one.shape), rtol=0, atol=1e-5)
            assert other.abs().max() > 1e-5, "a gradient that says nothing"
    # Their log-density adds 1e-6 where ours is exact.
    torch.testing.assert_close(learner.temperature.log_alpha.grad, gradients["alpha"][0], rtol=1e-5, atol=0)
    # And the step that follows from them: weights of critics, targets, actor and temperature.
    for net, weights in (
        (learner.critic, of_critics(model.critic)),
        (learner.target_critic, of_critics(model.critic_target)),
        (learner.actor, of_actor(model)),
    ):
        after = torch.cat([one.reshape(-1) for one in weights])
        close = (net.flat.detach() - after).abs() < 1e-5
        # Adam's first step is a sign: it may differ where a gradient is zero but for rounding.
        assert close.float().mean() > 0.999
    assert learner.temperature.log_alpha.item() == pytest.approx(model.log_ent_coef.item(), abs=1e-6)
    spec.close()


def test_stable_baselines3s_buffer_is_as_its_add_fills_it() -> None:
    sb3 = peer("sb3")
    made = episodes(1_000)
    written = sb3.filled(1_000, made)
    env = written.env
    added = sb3.HerReplayBuffer(
        1_000, env.observation_space, env.action_space, env, n_sampled_goal=4, device="cpu"
    )
    for i in range(1_000):
        last = i % STEPS == STEPS - 1
        added.add(
            {key: made.flat(key)[i][None] for key in KEYS},
            {key: made.flat(key, after=True)[i][None] for key in KEYS},
            made.flat("action")[i][None],
            made.reward.ravel()[i][None],
            np.array([last]),
            [{"TimeLimit.truncated": bool(last)}],
        )
    assert (written.pos, written.full) == (added.pos, added.full)
    for name in ("actions", "rewards", "dones", "timeouts", "ep_start", "ep_length"):
        np.testing.assert_array_equal(getattr(written, name), getattr(added, name), err_msg=name)
        assert getattr(written, name).dtype == getattr(added, name).dtype
    for key in KEYS:
        np.testing.assert_array_equal(written.observations[key], added.observations[key])
        np.testing.assert_array_equal(written.next_observations[key], added.next_observations[key])


def test_tianshous_buffer_is_as_its_add_fills_it() -> None:
    tianshou = peer("tianshou")
    made = episodes(500)
    written = tianshou.filled(500, made)
    added = tianshou.HERReplayBuffer(500, written.compute_reward_fn, horizon=STEPS, future_k=5.0)
    for i in range(500):
        added.add(tianshou.step(made, i))
    assert (len(written), written._insertion_idx) == (len(added), added._insertion_idx)
    np.testing.assert_array_equal(written.last_index, added.last_index)
    assert set(written._meta.get_keys()) == set(added._meta.get_keys())
    for name in ("act", "rew", "terminated", "truncated", "done"):
        np.testing.assert_array_equal(getattr(written, name), getattr(added, name), err_msg=name)
        assert getattr(written, name).dtype == getattr(added, name).dtype
    for key in KEYS:
        np.testing.assert_array_equal(written.obs[key], added.obs[key])
        np.testing.assert_array_equal(written.obs_next[key], added.obs_next[key])


@pytest.mark.parametrize("name", ["ours", "sb3", "tianshou", "torchrl"])
def test_everybody_relabels_four_fifths_and_rewards_alike(name: str) -> None:
    batch: Any = peer(name).her_sample(2_000, 512)()
    if name == "ours":
        # The goal that was achieved is the head of the observation in the made-up episodes.
        achieved, desired, reward = batch.next_observation[:, :3], batch.desired_goal, batch.reward
    elif name == "sb3":
        achieved, desired = batch.next_observations["achieved_goal"], batch.observations["desired_goal"]
        reward = batch.rewards
    elif name == "tianshou":
        achieved, desired, reward = batch.obs_next.achieved_goal, batch.obs_next.desired_goal, batch.rew
    else:
        achieved, desired = batch["next", "achieved_goal"], batch["next", "desired_goal"]
        reward = batch["next", "reward"]
    distance = (achieved - desired).norm(dim=-1)
    sure = (distance - THRESHOLD).abs() > 1e-6
    assert torch.equal(reward.reshape(-1)[sure], -(distance > THRESHOLD).float()[sure])
    original = torch.from_numpy(episodes(2_000).desired_goal).float()
    kept = torch.cdist(desired.float(), original).min(dim=1).values < 1e-6
    assert 0.1 < kept.float().mean() < 0.35, "about a fifth keeps its goal"
