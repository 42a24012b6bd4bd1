"""Batches of two domains: shares, tags, and whose rules score them."""

import numpy as np
import pytest
from fake_spec import point_spec

from regoal.agent.anchor import Anchor, Pull
from regoal.agent.networks import Ensemble
from regoal.agent.normaliser import Normaliser
from regoal.buffers import Episode, HindsightBuffer, MixedReplay
from regoal.envs.goal_spec import GoalSpec

torch = pytest.importorskip("torch")

MARK = 100.0  # every source observation carries it


def _buffer(spec: GoalSpec, mark: float, n: int = 6, strategy: str = "future") -> HindsightBuffer:
    rng = np.random.default_rng(int(mark))
    buffer = HindsightBuffer(spec, 1_000, strategy=strategy, seed=1)
    for _ in range(n):
        walk = rng.normal(0, 0.05, (21, 2)).cumsum(axis=0)
        buffer.add_episode(
            Episode(
                observation=np.full((21, 4), mark) + np.pad(walk, ((0, 0), (0, 2))),
                achieved_goal=walk,
                desired_goal=rng.uniform(-1, 1, 2),
                action=rng.uniform(-1, 1, (20, 2)),
                reward=np.full(20, 7.0, np.float32),  # of another env: no matter here
                terminated=False,
                success=np.zeros(20, np.bool_),
            ),
            foreign=True,
        )
    return buffer


@pytest.mark.parametrize(("share", "batch_size"), [(0.0, 32), (0.3, 32), (0.5, 1), (0.97, 10), (1.0, 32)])
def test_source_rows_come_first_in_the_share_that_was_asked_for(share: float, batch_size: int) -> None:
    spec = point_spec()
    mixed = MixedReplay(_buffer(spec, 0), _buffer(spec, MARK), np.random.default_rng(0))
    counts = []
    for _ in range(400):
        batch = mixed.sample(batch_size, share, reuse=True)
        assert len(batch) == batch_size
        from_source = batch.observation[:, 3].numpy() == MARK
        assert from_source[: batch.n_source].all()
        assert not from_source[batch.n_source :].any()
        counts.append(batch.n_source)
    assert np.mean(counts) / batch_size == pytest.approx(share, abs=0.05)
    assert max(counts) - min(counts) <= 1
    spec.close()


def test_every_row_is_scored_by_the_targets_rules() -> None:
    spec = GoalSpec.of("regoal/PointReach-v0", distance_threshold=0.2, terminate_on_success=True)
    mixed = MixedReplay(_buffer(spec, 0), _buffer(spec, MARK), np.random.default_rng(0))
    reached = 0
    for _ in range(50):
        batch = mixed.sample(64, 0.5)
        # The achieved goal after the step is the walk, which the observation carries on top of its mark.
        mark = MARK * (np.arange(64) < batch.n_source)[:, None]
        achieved = batch.next_observation.numpy()[:, :2] - mark
        near = np.linalg.norm(achieved - batch.desired_goal.numpy(), axis=-1) <= 0.2
        clear = np.abs(np.linalg.norm(achieved - batch.desired_goal.numpy(), axis=-1) - 0.2) > 1e-4
        np.testing.assert_array_equal((batch.reward.numpy() == 0)[clear], near[clear])
        np.testing.assert_array_equal(batch.terminated.numpy()[clear], near[clear])
        reached += near[: batch.n_source].sum()
    assert reached > 100
    spec.close()


def test_both_parts_are_relabelled_in_the_usual_share() -> None:
    spec = point_spec()
    mixed = MixedReplay(_buffer(spec, 0), _buffer(spec, MARK), np.random.default_rng(0))
    relabelled = [mixed.sample(50, 0.4).n_relabelled for _ in range(200)]
    assert np.mean(relabelled) == pytest.approx(40, abs=0.3)
    plain = MixedReplay(
        _buffer(spec, 0, strategy="none"), _buffer(spec, MARK, strategy="none"), np.random.default_rng(0)
    )
    assert plain.sample(50, 0.4).n_relabelled == 0
    spec.close()


def test_the_pull_by_hand() -> None:
    pull = Pull(torch.tensor([[1.0, 0.0], [0.0, 0.0]]), weight=3.0)
    action = torch.tensor([[0.0, 0.0], [0.0, 2.0]], requires_grad=True)
    loss = pull.loss(action)
    assert float(loss.detach()) == 3.0 * (1 + 4) / 2
    (gradient,) = torch.autograd.grad(loss, action)
    np.testing.assert_allclose(gradient, [[-3.0, 0.0], [0.0, 6.0]])


def test_an_anchor_is_the_policy_as_it_was() -> None:
    spec = point_spec()
    normaliser = Normaliser(4, 2)
    normaliser.update(np.random.default_rng(0).normal(3, 2, (50, 4)), np.ones((50, 2)))
    actor = Ensemble(1, [6, 8, 4], torch.Generator().manual_seed(0))
    batch = _buffer(spec, 0).sample(16)
    anchor = Anchor(actor, normaliser, 2, "cpu")
    before = anchor.pull(batch, 0.5)
    x = torch.cat([batch.observation, batch.desired_goal], dim=-1)
    x = ((x - torch.from_numpy(normaliser.mean)) / torch.from_numpy(normaliser.std)).clamp(-5, 5)
    torch.testing.assert_close(before.action, actor(x)[0, :, :2].tanh())
    assert before.action.requires_grad is False
    with torch.no_grad():
        actor.flat += 1
    normaliser.update(np.zeros((500, 4)), np.zeros((500, 2)))
    torch.testing.assert_close(anchor.pull(batch, 0.5).action, before.action, rtol=0, atol=0)
    spec.close()
