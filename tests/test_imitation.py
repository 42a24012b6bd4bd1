"""Hindsight imitation: which rows pull, to what, how strongly, and what for."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from regoal import DDPGConfig, SACConfig, TrainConfig
from regoal.agent import updating
from regoal.agent.anchor import Pull
from regoal.agent.checkpoints import newest_checkpoint
from regoal.agent.ddpg import DDPG
from regoal.agent.imitation import imitation, require_critic
from regoal.agent.learner import make_learner, state_of
from regoal.agent.normaliser import Normaliser
from regoal.agent.policy import Policy
from regoal.agent.training import train
from regoal.agent.validation import validated
from regoal.benchmarks.tables import read_rows
from regoal.buffers import HindsightBuffer
from regoal.buffers.scores import reached
from regoal.errors import BadInput

from .fake_spec import point_spec
from .reference import FakeScorer, tagged_episode
from .test_resume import SMALL, SMALL_SAC, config
from .test_updates import batch as batch_of


@pytest.mark.parametrize("agent", [SMALL, SMALL_SAC], ids=["ddpg", "sac"])
def test_it_pulls_to_actions_that_critics_value_more_where_a_new_goal_was_reached(
    agent: DDPGConfig | SACConfig,
) -> None:
    learner = make_learner(dataclasses.replace(agent, n_critics=2), point_spec(), Normaliser(4, 2), 0)
    with torch.no_grad():  # two critics of one hidden layer: 1 + a and 3 - a of the first action, to 2
        critic = learner.modules()["target_critic"]
        critic.flat.zero_()
        (first, bias), (last, offset) = critic.layers()
        first[:, 6, 0], bias[:, 0, 0] = 1.0, 2.0  # 2 + a, which is never cut off by the ReLU
        last[0, 0, 0], offset[0, 0, 0] = 1.0, -1.0
        last[1, 0, 0], offset[1, 0, 0] = 1.0, 5.0  # the greater one, which must not count
        learner.actor.flat.zero_()  # the actor's own action is 0
    batch = dataclasses.replace(
        batch_of(n=4),
        action=torch.tensor([[0.5, 0.1], [-0.5, 0.2], [0.5, 0.3], [0.0, 0.9]]),
        new_goal=torch.tensor([True, True, False, True]),
    )
    pull = imitation(learner, batch, 3.0)
    assert pull.rows is not None
    assert pull.rows.tolist() == [True, False, False, False]
    assert torch.equal(pull.action, batch.action)
    assert pull.weight == 3.0


def test_the_least_critic_decides() -> None:
    learner = make_learner(dataclasses.replace(SMALL, n_critics=2), point_spec(), Normaliser(4, 2), 0)
    with torch.no_grad():
        critic = learner.modules()["target_critic"]
        critic.flat.zero_()
        (first, bias), (last, offset) = critic.layers()
        first[:, 6, 0], bias[:, 0, 0] = 1.0, 2.0
        last[0, 0, 0], last[1, 0, 0] = 1.0, -1.0  # the second one prefers smaller actions
        offset[0, 0, 0] = 10.0  # and is the least
        learner.actor.flat.zero_()
    batch = dataclasses.replace(
        batch_of(n=2), action=torch.tensor([[0.5, 0.0], [-0.5, 0.0]]), new_goal=torch.tensor([True, True])
    )
    pull = imitation(learner, batch, 1.0)
    assert pull.rows is not None
    assert pull.rows.tolist() == [False, True]


def test_without_a_new_goal_nothing_pulls() -> None:
    learner = make_learner(SMALL, point_spec(), Normaliser(4, 2), 0)
    batch = dataclasses.replace(batch_of(n=3), new_goal=torch.zeros(3, dtype=torch.bool))
    pull = imitation(learner, batch, 1.0)
    assert pull.rows is not None
    assert not pull.rows.any()
    other = make_learner(SMALL, point_spec(), Normaliser(4, 2), 0)
    learner.update(batch, pull=pull)
    other.update(batch)
    one, two = state_of(learner), state_of(other)
    for name, array in one.items():
        np.testing.assert_array_equal(array, two[name], err_msg=name)


def test_each_row_is_judged_by_its_own_state_and_goal() -> None:
    learner = make_learner(dataclasses.replace(SMALL, n_critics=2), point_spec(), Normaliser(4, 2), 0)
    rng = np.random.default_rng(0)
    learner.normaliser.update(rng.normal(1, 2, (9, 4)), rng.normal(0, 3, (9, 2)))
    learner.inputs.refresh()
    with torch.no_grad():
        learner.actor.flat *= 5  # what is squashed is far from what is not
    batch = dataclasses.replace(batch_of(n=200), new_goal=torch.from_numpy(rng.random(200) < 0.5))
    critic, expected = learner.modules()["target_critic"], []
    for i in range(200):
        x = learner.inputs(batch.observation[i : i + 1], batch.desired_goal[i : i + 1])
        own = learner.actor(x)[0].tanh()
        better = critic(x, batch.action[i : i + 1]).min() > critic(x, own).min()
        expected.append(bool(batch.new_goal[i]) and bool(better))
    assert 20 < sum(expected) < int(batch.new_goal.sum()) - 20
    pull = imitation(learner, batch, 1.0)
    assert pull.rows is not None
    assert pull.rows.tolist() == expected


def test_only_its_rows_count_and_all_divide() -> None:
    pull = Pull(torch.zeros(4, 2), 2.0, torch.tensor([True, False, False, True]))
    action = torch.tensor([[1.0, 0.0], [5.0, 5.0], [7.0, 7.0], [0.0, 2.0]], requires_grad=True)
    loss = pull.loss(action)
    assert float(loss.detach()) == 2.0 * (1 + 4) / 4
    (gradient,) = torch.autograd.grad(loss, action)
    np.testing.assert_allclose(gradient, [[1.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 2.0]])


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=20),
    st.floats(0.1, 3.0),
    st.sampled_from(["future", "episode", "random", "desired", "rfaab"]),
    st.integers(0, 2**32 - 1),
)
def test_a_goal_is_new_where_the_episode_went_on_to_it_and_had_not_achieved_it(
    lengths: list[int], threshold: float, strategy: str, seed: int
) -> None:
    scorer = FakeScorer(max_episode_steps=9, threshold=threshold)
    told, not_told = (
        HindsightBuffer(scorer, 1_000, strategy=strategy, seed=seed, tells_new_goals=tells)
        for tells in (True, False)
    )
    for number, length in enumerate(lengths):
        for buffer in (told, not_told):
            buffer.add_episode(tagged_episode(number, length, scorer))
    batch, trace = told.sample_traced(64)
    new = ~reached(scorer, trace.achieved_goal, batch.desired_goal.numpy())
    led_there = (trace.goal_episode == trace.episode) & (trace.goal_t > trace.t)
    assert np.array_equal(batch.new_goal.numpy(), new & led_there)
    other = not_told.sample(64)
    assert not other.new_goal.any()
    assert torch.equal(other.desired_goal, batch.desired_goal)  # to be told costs no draw


def test_the_weight_fades_and_an_actor_that_does_not_learn_is_not_pulled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights: list[float] = []

    def noted(learner: Any, batch: Any, weight: float) -> Pull:
        weights.append(weight)
        return imitation(learner, batch, weight)

    monkeypatch.setattr(updating, "imitation", noted)
    train(config(tmp_path / "run", imitation=2.0, imitation_steps=400, learning_starts=100, policy_delay=2))
    # 25 updates after each of 200, 300 and 400 steps; the actor learns in every second one.
    assert len(weights) == 38
    seen = list(dict.fromkeys(weights))
    assert seen[0] == pytest.approx(2.0 * (1 - 100 / 400))  # two episodes, 100 steps after learning started
    assert seen == sorted(seen, reverse=True)
    assert min(seen) > 0  # at 0 nothing is asked for any more


def test_it_pulls_in_a_run_once_discovery_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pulls: list[Pull | None] = []
    update = DDPG.update

    def noted(self: DDPG, batch: Any, *, actor_learns: bool = True, pull: Pull | None = None) -> Any:
        pulls.append(pull)
        return update(self, batch, actor_learns=actor_learns, pull=pull)

    monkeypatch.setattr(DDPG, "update", noted)
    settings = {"discovery": 1.0, "discovery_steps": 150, "imitation_steps": 400, "eval_interval": 100}
    run = train(config(tmp_path / "run", imitation=2.0, **settings)).path
    told = "goals are learned after 200 env steps: discovery has had its 150 env steps"
    assert told in capsys.readouterr().err
    assert newest_checkpoint(run).state["progress"]["experience"]["goals_since"] == 200
    weights = [float(row["imitation_weight"]) for row in read_rows(run / "metrics.csv")]
    assert weights == pytest.approx([0, 0, 2, 1.5, 1, 0.5, 0])
    assert [one is None for one in pulls] == [True] * 25 + [False] * 100 + [True] * 25
    pulled = [bool(one.rows.any()) for one in pulls if one is not None and one.rows is not None]
    assert np.mean(pulled) > 0.8
    without = train(config(tmp_path / "without", imitation=0.0, **settings | {"imitation_steps": 0})).path
    same = zip(Policy.load(run).weights, Policy.load(without).weights, strict=True)
    assert not any(np.array_equal(one, other) for one, other in same)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"imitation": -1.0}, "imitation: expected 0 or more"),
        ({"imitation": float("inf")}, "imitation: expected 0 or more"),
        ({"imitation": 1.0, "imitation_steps": -1}, "imitation_steps"),
        ({"imitation": 1.0, "relabel": "none"}, "It follows actions to where hindsight says"),
        ({"imitation": 1.0, "n_sampled_goal": 0}, "It follows actions to where hindsight says"),
    ],
)
def test_bad_settings_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        validated(TrainConfig(env="FetchPush-v4", out="run", **changes))


def test_one_pull_at_a_time() -> None:
    settings: dict[str, Any] = {"source": "source", "mode": "anchor", "anchor": 1.0, "anchor_steps": 100}
    with pytest.raises(BadInput, match="an actor is pulled one way at a time"):
        validated(TrainConfig(env="FetchPush-v4", out="run", imitation=1.0, **settings))


def test_an_agent_without_critics_to_ask_is_refused() -> None:
    learner = make_learner(SMALL, point_spec(), Normaliser(4, 2), 0)
    require_critic(learner, "ddpg")
    modules = {name: one for name, one in learner.modules().items() if name != "target_critic"}
    learner.modules = lambda: modules  # type: ignore[method-assign]
    with pytest.raises(BadInput, match="an agent with a module 'target_critic', not mine's"):
        require_critic(learner, "mine")
