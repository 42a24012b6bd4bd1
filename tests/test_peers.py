"""The peers' buffers of the speed benchmark do what ours does, and hold what their own `add` would store."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from regoal.benchmarks.peers.episodes import (
    STEPS,
    THRESHOLD,
    Episodes,
    Transitions,
    synthetic_episodes,
    transitions,
)
from regoal.errors import BadInput

pytestmark = pytest.mark.peer

N = 20 * STEPS
BATCH = 256
PEERS = ("stable_baselines3", "tianshou", "torchrl")


@dataclass(frozen=True)
class Drawn:
    """A batch of any library as numpy arrays, reward and terminated being (n,)."""

    observation: Any
    achieved_goal: Any
    desired_goal: Any
    action: Any
    next_observation: Any
    next_achieved_goal: Any
    next_desired_goal: Any
    reward: Any
    terminated: Any


def from_stable_baselines3(batch: Any) -> Drawn:
    before, after = batch.observations, batch.next_observations
    return Drawn(
        before["observation"].numpy(),
        before["achieved_goal"].numpy(),
        before["desired_goal"].numpy(),
        batch.actions.numpy(),
        after["observation"].numpy(),
        after["achieved_goal"].numpy(),
        after["desired_goal"].numpy(),
        batch.rewards.numpy()[:, 0],
        batch.dones.numpy()[:, 0],
    )


def from_tianshou(batch: Any) -> Drawn:
    before, after = batch["obs"], batch["obs_next"]
    return Drawn(
        before["observation"].numpy(),
        before["achieved_goal"].numpy(),
        before["desired_goal"].numpy(),
        batch["act"].numpy(),
        after["observation"].numpy(),
        after["achieved_goal"].numpy(),
        after["desired_goal"].numpy(),
        batch["rew"].numpy(),
        batch["terminated"].numpy(),
    )


def from_torchrl(batch: Any) -> Drawn:
    after = batch["next"]
    return Drawn(
        batch["observation"].numpy(),
        None,  # which the benchmark does not store
        batch["desired_goal"].numpy(),
        batch["action"].numpy(),
        after["observation"].numpy(),
        after["achieved_goal"].numpy(),
        after["desired_goal"].numpy(),
        after["reward"].numpy()[:, 0],
        after["terminated"].numpy()[:, 0],
    )


READ: dict[str, Callable[[Any], Drawn]] = {
    "stable_baselines3": from_stable_baselines3,
    "tianshou": from_tianshou,
    "torchrl": from_torchrl,
}


def module_of(peer: str) -> Any:
    pytest.importorskip(peer)
    return import_module(f"regoal.benchmarks.peers.{peer}_peer")


def rows_of(drawn: Drawn, source: Transitions) -> Any:
    """Which transition each one is: no two have the same action."""
    found = {action.tobytes(): row for row, action in enumerate(source.action)}
    return np.array([found[action.tobytes()] for action in drawn.action])


def relabelled(drawn: Drawn, source: Transitions, rows: Any) -> Any:
    return ~np.isclose(drawn.desired_goal, source.desired_goal[rows], atol=1e-6).all(axis=1)


@pytest.fixture(name="episodes")
def _episodes() -> Episodes:
    return synthetic_episodes(N)


@pytest.mark.parametrize("peer", PEERS)
def test_rewards_are_those_of_the_goals_in_the_batch(peer: str, episodes: Episodes) -> None:
    sample = module_of(peer).her_sampler(episodes, N)
    seen: set[float] = set()
    for _ in range(10):
        drawn = READ[peer](sample(BATCH))
        distance = np.linalg.norm(drawn.next_achieved_goal - drawn.desired_goal, axis=1)
        clear = np.abs(distance - THRESHOLD) > 1e-6  # single precision decides otherwise
        assert clear.mean() > 0.99
        assert np.array_equal(drawn.reward[clear], -(distance > THRESHOLD).astype(np.float32)[clear])
        seen |= set(drawn.reward.tolist())
    assert seen == {-1.0, 0.0}


@pytest.mark.parametrize("peer", PEERS)
def test_goals_are_from_the_future_of_the_same_episode(peer: str, episodes: Episodes) -> None:
    sample, source = module_of(peer).her_sampler(episodes, N), transitions(episodes, N)
    ahead, left = [], []
    for _ in range(10):
        drawn = READ[peer](sample(BATCH))
        rows = rows_of(drawn, source)
        for row, goal in zip(rows, drawn.desired_goal, strict=True):
            end = (row // STEPS + 1) * STEPS
            own = np.isclose(source.desired_goal[row], goal, atol=1e-6).all()
            steps = np.flatnonzero(
                np.isclose(source.next_achieved_goal[row:end], goal, atol=1e-6).all(axis=1)
            )
            assert own or len(steps) == 1
            if not own:
                ahead.append(steps[0])
                left.append(end - 1 - row)
    # The transition's own next goal and the episode's last are both among them.
    assert min(ahead) == 0
    assert any(a == b > 10 for a, b in zip(ahead, left, strict=True))


@pytest.mark.parametrize("peer", PEERS)
def test_four_of_five_are_relabelled(peer: str, episodes: Episodes) -> None:
    sample, source = module_of(peer).her_sampler(episodes, N), transitions(episodes, N)
    shares = []
    for _ in range(50):
        drawn = READ[peer](sample(BATCH))
        shares.append(relabelled(drawn, source, rows_of(drawn, source)).mean())
    assert np.mean(shares) == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize("peer", PEERS)
def test_the_rest_of_a_transition_stays_as_it_was(peer: str, episodes: Episodes) -> None:
    sample, source = module_of(peer).her_sampler(episodes, N), transitions(episodes, N)
    for _ in range(10):
        drawn = READ[peer](sample(BATCH))
        rows = rows_of(drawn, source)
        for name in ("observation", "achieved_goal", "next_observation", "next_achieved_goal"):
            if getattr(drawn, name) is not None:
                assert np.allclose(getattr(drawn, name), getattr(source, name)[rows], atol=1e-6), name
        assert np.array_equal(drawn.next_desired_goal, drawn.desired_goal)
        assert not drawn.terminated.any()  # a time limit is no termination
        assert len(rows) == BATCH
        assert len(set(rows)) > BATCH / 2


def test_stable_baselines3_holds_what_add_stores(episodes: Episodes) -> None:
    peer, source = module_of("stable_baselines3"), transitions(episodes, N)
    env = peer.fetch_push()
    fast, added = peer.full_buffer(source, env), peer.empty_buffer(N, env)
    for i in range(N):
        goal = source.desired_goal[None, i]
        added.add(
            {
                "observation": source.observation[None, i],
                "achieved_goal": source.achieved_goal[None, i],
                "desired_goal": goal,
            },
            {
                "observation": source.next_observation[None, i],
                "achieved_goal": source.next_achieved_goal[None, i],
                "desired_goal": goal,
            },
            source.action[None, i],
            source.reward[None, i],
            source.last[None, i],
            [{"TimeLimit.truncated": bool(source.last[i])}],
        )
    ours, theirs = vars(fast), vars(added)
    assert same(ours, theirs)
    assert fast.size() == N


def test_tianshou_holds_what_add_stores(episodes: Episodes) -> None:
    peer, source = module_of("tianshou"), transitions(episodes, N)
    fast, added = peer.full_buffer(source), peer.empty_buffer(N)
    for i in range(N):
        added.add(peer.step(source, i))
    ours, theirs = ({k: v for k, v in vars(b).items() if k != "compute_reward_fn"} for b in (fast, added))
    assert same(ours, theirs)
    assert len(fast) == N


def test_torchrl_holds_what_add_stores(episodes: Episodes) -> None:
    peer, source = module_of("torchrl"), transitions(episodes, N)
    fast, added = peer.full_buffer(source), peer.empty_buffer(N)
    for step in peer.steps(source):
        added.add(step)
    assert (fast[:] == added[:]).all()
    assert len(fast) == len(added) == N
    assert fast.write_count == added.write_count
    assert fast._get_episode_ends(fast._storage).tolist() == list(range(STEPS - 1, N, STEPS))
    assert added._get_episode_ends(added._storage).tolist() == list(range(STEPS - 1, N, STEPS))


def same(one: Any, other: Any) -> bool:
    """Whether two states hold the same: equal arrays of one dtype, however deeply nested."""
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    if isinstance(one, np.random.RandomState):
        return same(one.get_state(legacy=False), other.get_state(legacy=False))
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, dict) or type(one).__name__ == "Batch":
        return set(one.keys()) == set(other.keys()) and all(same(one[key], other[key]) for key in one.keys())  # noqa: SIM118
    return bool(one == other)


def test_stable_baselines3_updates_without_sampling() -> None:
    torch = pytest.importorskip("torch")
    module_of("stable_baselines3")
    peer = module_of("stable_baselines3")
    made = peer.made_up_batch(32)
    drawn = peer.her_sampler(synthetic_episodes(N), N)(32)
    for name in ("observations", "next_observations"):
        assert {k: v.shape for k, v in getattr(made, name).items()} == {
            k: v.shape for k, v in getattr(drawn, name).items()
        }
    for name in ("actions", "dones", "rewards"):
        assert getattr(made, name).shape == getattr(drawn, name).shape
    update = peer.sac_update(32, (16, 16))
    model = update.__closure__
    assert model is not None
    sac = next(cell.cell_contents for cell in model if hasattr(cell.cell_contents, "actor"))
    before = [p.clone() for p in sac.actor.parameters()]
    update()
    assert sac._n_updates == 1
    assert not all(torch.equal(a, b) for a, b in zip(before, sac.actor.parameters(), strict=True))


@pytest.mark.parametrize("n_transitions", [0, STEPS + 1, N + STEPS])
def test_buffers_are_filled_with_whole_episodes_that_are_there(n_transitions: int) -> None:
    with pytest.raises(BadInput):
        transitions(synthetic_episodes(N), n_transitions)


def test_episodes_have_the_shapes_of_fetch_push() -> None:
    made = synthetic_episodes(N)
    assert made.observation.shape == (20, 51, 25)
    assert made.achieved_goal.shape == (20, 51, 3)
    assert made.desired_goal.shape == (20, 3)
    assert made.action.shape == (20, 50, 4)
    assert [made.observation.dtype, made.action.dtype] == [np.float64, np.float32]
    assert np.abs(made.action).max() <= 1
    step = np.linalg.norm(np.diff(made.achieved_goal, axis=1), axis=-1)
    assert step.mean() == pytest.approx(0.01, abs=0.002)
    assert set(transitions(made, N).reward.tolist()) == {-1.0, 0.0}
