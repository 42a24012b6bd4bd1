"""Eleven ways in which hindsight goes wrong elsewhere, and that none of them is here.

Each trap has one check. The check must pass for the buffer as it is, and must fail when the trap is put
back, so that a check which sees nothing cannot stand.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
import torch
from scipy.stats import chi2, chisquare

from regoal.agent.config import DDPGConfig, SACConfig
from regoal.agent.learner import Learner, make_learner
from regoal.agent.normaliser import Normaliser
from regoal.agent.policy import Policy
from regoal.agent.rollout import play
from regoal.agent.sac import SAC
from regoal.buffers.batch import Batch
from regoal.buffers.episode import Episode
from regoal.buffers.hindsight import HindsightBuffer
from regoal.buffers.storage import EpisodeStorage, Transitions
from regoal.buffers.strategies import NAMES, Strategy
from regoal.envs.goal_spec import GoalSpec
from regoal.envs.point_reach import PointReach
from regoal.envs.recipe import make
from regoal.errors import BadInput, EnvFault

from .reference import FakeScorer, origin, tagged_buffer, tagged_episode

LENGTHS = [1, 2, 3, 5, 8, 13]
LEAST_P = 1e-4  # seeds are fixed, so nothing flickers
POINT = "regoal/PointReach-v0"


def assert_caught(check: Callable[..., None], *trapped: Any) -> None:
    """That the check fails for what has the trap."""
    try:
        check(*trapped)
    except AssertionError:
        return
    raise RuntimeError(f"{check.__name__} does not see the trap")


# 1. The goal comes from after the step, t+1..T


def assert_goals_come_from_after_the_step(buffer: HindsightBuffer) -> None:
    batch = buffer.sample(5000)
    rows = origin(batch).relabelled(batch)
    assert np.array_equal(rows.goal_number, rows.number)
    assert (rows.goal_t >= rows.t + 1).all()
    assert (rows.goal_t <= np.array(LENGTHS)[rows.number]).all()
    ends_on_goal = batch.reward[: batch.n_relabelled].numpy() == 0
    assert np.array_equal(ends_on_goal, rows.goal_t == rows.t + 1), "a step onto its goal is rewarded"


def goal_before_the_step(at: Transitions, rng: np.random.Generator) -> Any:
    return at.first_row + at.t + (rng.random(len(at)) * (at.length - at.t)).astype(np.int64)


def test_trap_1_goals_come_from_after_the_step() -> None:
    for strategy in ("future", "final"):
        assert_goals_come_from_after_the_step(tagged_buffer(LENGTHS, strategy=strategy))
    assert_caught(
        assert_goals_come_from_after_the_step, tagged_buffer(LENGTHS, strategy=goal_before_the_step)
    )


# 2. `future` is uniform over t+1..T, both ends included


def assert_future_is_uniform(buffer: HindsightBuffer) -> None:
    batch = buffer.sample(200_000)
    rows = origin(batch).relabelled(batch)
    statistic, freedom = 0.0, 0
    for number, length in enumerate(LENGTHS):
        for t in range(length - 1):
            goals = rows.goal_t[(rows.number == number) & (rows.t == t)]
            counts = np.bincount(goals, minlength=length + 1)
            assert counts[: t + 1].sum() == 0
            statistic += chisquare(counts[t + 1 :]).statistic
            freedom += length - t - 1
    assert chi2.sf(statistic, freedom) > LEAST_P


def rounded_future(at: Transitions, rng: np.random.Generator) -> Any:
    later = at.length - (at.t + 1)
    return at.first_row + at.t + 1 + np.round(rng.random(len(at)) * later).astype(np.int64)


def future_without_the_last(at: Transitions, rng: np.random.Generator) -> Any:
    later = np.maximum(at.length - (at.t + 1), 1)
    last = at.t == at.length - 1
    return at.first_row + at.t + 1 + np.where(last, 0, (rng.random(len(at)) * later).astype(np.int64))


def test_trap_2_future_is_uniform_with_both_ends() -> None:
    assert_future_is_uniform(tagged_buffer(LENGTHS, strategy="future"))
    for strategy in (rounded_future, future_without_the_last):
        assert_caught(assert_future_is_uniform, tagged_buffer(LENGTHS, strategy=strategy))


# 3. The goal is replaced at both ends of the transition


class InputsSeen:
    """Stands before a learner's input layer and notes what passes."""

    def __init__(self, learner: Any) -> None:
        self.calls: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._layer = learner.inputs
        learner.inputs = self

    def __call__(self, observation: torch.Tensor, desired_goal: torch.Tensor) -> torch.Tensor:
        self.calls.append((observation, desired_goal))
        passed: torch.Tensor = self._layer(observation, desired_goal)
        return passed

    def both_ends(self, batch: Batch) -> torch.Tensor:
        passed: torch.Tensor = self._layer.both_ends(batch)
        size = batch.observation.shape[-1]
        # The statistics are still empty: what comes out is what went in.
        self.calls += [(end[:, :size], end[:, size:]) for end in passed.chunk(2)]
        return passed


def assert_both_ends_get_the_relabelled_goal(learner: Learner, batch: Batch) -> None:
    seen = InputsSeen(learner)
    learner.update(batch)
    for end in (batch.observation, batch.next_observation):
        goals = [goal for observation, goal in seen.calls if torch.equal(observation, end)]
        assert goals, "one end never reached the networks"
        assert all(torch.equal(goal, batch.desired_goal) for goal in goals)


class StaleNextGoal:
    """A learner that feeds the next observation with the goal of another transition."""

    def __init__(self, learner: Any) -> None:
        self._learner, self.inputs = learner, learner.inputs

    def update(self, batch: Batch) -> None:
        self.inputs(batch.observation, batch.desired_goal)
        self.inputs(batch.next_observation, batch.desired_goal.roll(1, dims=0))


@pytest.fixture(scope="module")
def point_spec() -> Any:
    spec = GoalSpec.of(POINT, terminate_on_success=True)
    yield spec
    spec.close()


@pytest.fixture(params=[DDPGConfig(hidden=(8, 8)), SACConfig(hidden=(8, 8))], ids=["ddpg", "sac"])
def learner(request: pytest.FixtureRequest, point_spec: GoalSpec) -> Learner:
    normaliser = Normaliser(point_spec.observation_size, point_spec.goal_size)
    return make_learner(request.param, point_spec, normaliser, run_seed=0)


def test_trap_3_both_ends_of_a_transition_get_the_relabelled_goal(learner: Any, point_spec: GoalSpec) -> None:
    buffer = HindsightBuffer(point_spec, 500)
    for seed in range(5):
        buffer.add_episode(played(point_spec, seed))
    batch = buffer.sample(64)
    assert batch.n_relabelled > 40
    assert_both_ends_get_the_relabelled_goal(learner, batch)
    assert_caught(assert_both_ends_get_the_relabelled_goal, StaleNextGoal(learner), batch)


# 4. Termination is recomputed with the reward; truncation is no termination


def assert_termination_follows_the_goal_of_the_batch(buffer: HindsightBuffer) -> None:
    batch = buffer.sample(5000)
    rows = origin(batch)
    reached = (rows.goal_number == rows.next_number) & (rows.goal_t == rows.next_t)
    assert np.array_equal(batch.terminated.numpy(), reached)
    assert np.array_equal(batch.terminated.numpy(), batch.reward.numpy() == 0)
    last = rows.next_t == np.array(LENGTHS)[rows.number]
    truncated = last & (rows.number % 3 != 0) & (np.arange(5000) >= batch.n_relabelled)
    assert truncated.any()
    assert not batch.terminated.numpy()[truncated].any(), "the time limit stopped bootstrapping"
    assert reached[~last].any(), "no relabelled goal was reached before the end: the check saw too little"


class StoredTermination(HindsightBuffer):
    """Keeps the termination that the env gave for the goal of old."""

    def sample(self, batch_size: int) -> Batch:
        batch = super().sample(batch_size)
        rows = origin(batch)
        told = (rows.next_t == np.array(LENGTHS)[rows.number]) & (rows.number % 3 == 0)
        return replace(batch, terminated=torch.from_numpy(told))


class TruncationEnds(HindsightBuffer):
    """Takes the last step of every episode for its end."""

    def sample(self, batch_size: int) -> Batch:
        batch = super().sample(batch_size)
        rows = origin(batch)
        last = rows.next_t == np.array(LENGTHS)[rows.number]
        return replace(batch, terminated=batch.terminated | torch.from_numpy(last))


def test_trap_4_termination_is_recomputed_and_truncation_is_none() -> None:
    assert_termination_follows_the_goal_of_the_batch(tagged_buffer(LENGTHS, can_terminate=True))
    for kind in (StoredTermination, TruncationEnds):
        trapped = tagged_buffer(LENGTHS, can_terminate=True, kind=kind)
        assert_caught(assert_termination_follows_the_goal_of_the_batch, trapped)


def assert_only_termination_stops_bootstrapping(
    target_of: Callable[[Batch], torch.Tensor], batch: Batch
) -> None:
    """Where the value of every next state is taken for -30."""
    ends, target = batch.terminated, target_of(batch)
    assert ends.any()
    assert not ends.all()
    assert torch.equal(target[ends], batch.reward[ends])
    assert (target[~ends] < -20).all()


def test_trap_4_only_termination_stops_bootstrapping(learner: Any, point_spec: GoalSpec) -> None:
    buffer = HindsightBuffer(point_spec, 500)
    for seed in range(5):
        buffer.add_episode(played(point_spec, seed))
    batch = buffer.sample(200)
    learner.target_critic = lambda x, action: torch.full((2, len(x)), -30.0)

    def target_of(batch: Batch) -> torch.Tensor:
        next_x = learner.inputs(batch.next_observation, batch.desired_goal)
        if isinstance(learner, SAC):
            target: torch.Tensor = learner.critic_target(
                next_x, *learner.sample(*learner.distribution(next_x)), batch
            )
        else:
            target = learner.critic_target(next_x, batch)
        return target

    def told(value: bool) -> Callable[[Batch], torch.Tensor]:
        return lambda batch: target_of(replace(batch, terminated=torch.full((len(batch),), value)))

    assert_only_termination_stops_bootstrapping(target_of, batch)
    assert_caught(assert_only_termination_stops_bootstrapping, told(True), batch)
    assert_caught(assert_only_termination_stops_bootstrapping, told(False), batch)


# 5. An episode that is overwritten is gone as a whole


def assert_no_goal_from_an_overwritten_episode(buffer: HindsightBuffer) -> None:
    rng = np.random.default_rng(0)
    # Many short episodes fill the rows before the capacity; long ones the capacity before the rows.
    lengths = [*[1] * 40, *rng.integers(1, 8, 80).tolist(), *[1, 1, 2, 7] * 10]
    kept: list[int] = []
    for number, length in enumerate(lengths):
        buffer.add_episode(tagged_episode(number, length, FakeScorer(max_episode_steps=7)))
        kept.append(number)
        while sum(lengths[n] for n in kept) > buffer.capacity:
            kept.pop(0)
        batch = buffer.sample(50)
        rows = origin(batch)
        assert np.isin(rows.number, kept).all(), "a transition of an episode that had to leave"
        assert np.array_equal(rows.next_number, rows.number), "a step from one episode into another"
        assert np.array_equal(rows.next_t, rows.t + 1)
        hindsight = rows.relabelled(batch)
        assert np.array_equal(hindsight.goal_number, hindsight.number), "a foreign goal"
        assert (hindsight.goal_t >= 1).all()
        assert (hindsight.goal_t <= np.array(lengths)[hindsight.number]).all()


class OverlapStays(EpisodeStorage):
    """Drops the oldest episodes by number of transitions alone, whatever rows they lie in."""

    def _make_room(self, length: int) -> int:
        first = self._next_row if self._next_row + length < len(self.observation) else 0
        while len(self) + length > self.capacity:
            self._oldest += 1
        return first


def small_buffer(strategy: str | Strategy, storage: type[EpisodeStorage] = EpisodeStorage) -> HindsightBuffer:
    buffer = HindsightBuffer(FakeScorer(max_episode_steps=7), 17, strategy=strategy)
    buffer._storage = storage(17, 7, 3, 2, 1)
    return buffer


def final_of_another(at: Transitions, rng: np.random.Generator) -> Any:
    return (at.first_row + at.length)[::-1]


def test_trap_5_overwritten_episodes_leave_as_a_whole() -> None:
    for strategy in ("future", "final", "episode"):
        assert_no_goal_from_an_overwritten_episode(small_buffer(strategy))
        trapped = small_buffer(strategy, OverlapStays)
        assert_caught(assert_no_goal_from_an_overwritten_episode, trapped)
    assert_caught(assert_no_goal_from_an_overwritten_episode, small_buffer(final_of_another))


# 6. An episode that is still being played is not relabelled


def assert_last_goals_are_those_of_ended_episodes(
    feed: Callable[[HindsightBuffer], Sequence[Episode]],
) -> None:
    buffer = HindsightBuffer(FakeScorer(max_episode_steps=13), 100, strategy="final")
    ended = {episode.index: len(episode) for episode in feed(buffer)}
    batch = buffer.sample(2000)
    rows = origin(batch).relabelled(batch)
    assert set(rows.goal_number.tolist()) <= set(ended)
    assert all(ended[number] == t for number, t in zip(rows.goal_number, rows.goal_t, strict=True))


def hand_over_what_ended(buffer: HindsightBuffer) -> Sequence[Episode]:
    ended = [tagged_episode(number, length) for number, length in enumerate(LENGTHS)]
    for episode in ended:
        buffer.add_episode(episode)
    return ended


def hand_over_a_beginning_too(buffer: HindsightBuffer) -> Sequence[Episode]:
    ended = hand_over_what_ended(buffer)
    buffer.add_episode(tagged_episode(len(ended), 4))  # the first four steps of a longer one
    return ended


def test_trap_6_unfinished_episodes_are_not_relabelled() -> None:
    assert_last_goals_are_those_of_ended_episodes(hand_over_what_ended)
    assert_caught(assert_last_goals_are_those_of_ended_episodes, hand_over_a_beginning_too)
    # Nothing but a whole episode can be handed over: there is no way to add a step ...
    assert [name for name in dir(HindsightBuffer) if "add" in name] == ["add_episode"]
    # ... and steps without the state they led to are not an episode.
    whole = tagged_episode(0, 5)
    unfinished = replace(whole, observation=whole.observation[:-1], achieved_goal=whole.achieved_goal[:-1])
    with pytest.raises(BadInput, match="shape"):
        HindsightBuffer(FakeScorer(), 100).add_episode(unfinished)


class Idle:
    """A policy that does nothing."""

    def mean_action(self, inputs: Any) -> Any:
        return np.zeros(2, np.float32)

    def to_env(self, action: Any) -> Any:
        return action


def test_trap_6_an_episode_cut_off_by_a_fault_is_never_handed_over(
    point_spec: GoalSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    env, policy = point_spec.recipe.build(), cast(Policy, Idle())
    whole = play(env, point_spec, policy, seed=0)
    assert len(whole.observation) == len(whole.achieved_goal) == len(whole) + 1 == 51

    step, calls = PointReach.step, []

    def step_that_breaks(self: PointReach, action: Any) -> Any:
        calls.append(action)
        if len(calls) == 8:
            raise RuntimeError("the simulation diverged")
        return step(self, action)

    monkeypatch.setattr(PointReach, "step", step_that_breaks)
    with pytest.raises(EnvFault, match="step 7 of episode 0"):
        play(env, point_spec, policy, seed=0)
    env.close()


# 7. After fine-tuning has begun, the target env's own functions score


def played(spec: GoalSpec, seed: int) -> Episode:
    """An episode of random actions in the env of the spec."""
    env, actions = spec.recipe.build(), np.random.default_rng(seed)
    states, done, terminated = [env.reset(seed=seed)[0]], False, False
    taken, rewards, successes = [], [], []
    while not done:
        taken.append(actions.uniform(-1, 1, spec.action_size).astype(np.float32))
        state, reward, terminated, truncated, info = env.step(taken[-1])
        states.append(state)
        rewards.append(float(reward))
        successes.append(info["is_success"])
        done = terminated or truncated
    env.close()
    return Episode(
        observation=np.stack([state["observation"] for state in states]),
        achieved_goal=np.stack([state["achieved_goal"] for state in states]),
        desired_goal=states[0]["desired_goal"],
        action=np.stack(taken),
        reward=np.array(rewards),
        terminated=terminated,
        success=np.array(successes),
        index=seed,
    )


def scored_by(spec: GoalSpec, episode: Episode) -> Episode:
    """The same episode as the spec's env would have rewarded it."""
    achieved = episode.achieved_goal[1:]
    reward = spec.reward(achieved, np.broadcast_to(episode.desired_goal, achieved.shape))
    return replace(episode, reward=reward, success=reward == 0)


def assert_rewards_are_those_of(threshold: float, buffer: HindsightBuffer) -> None:
    """Asks an env made for this check alone, not the buffer's spec."""
    batch = buffer.sample(4000)
    achieved, desired = batch.next_observation[:, :2].numpy(), batch.desired_goal.numpy()
    env = make(POINT, distance_threshold=threshold)
    reward = env.get_wrapper_attr("compute_reward")(achieved, desired, {})
    env.close()
    assert np.array_equal(batch.reward.numpy(), reward.astype(np.float32))


def test_trap_7_relabelled_rewards_come_from_the_target_env() -> None:
    source = GoalSpec.of(POINT, distance_threshold=0.1)
    target = GoalSpec.of(POINT, distance_threshold=0.3)
    in_source = [played(source, seed) for seed in range(20)]
    crossing = [e for e in in_source if not np.array_equal(scored_by(target, e).reward, e.reward)]
    assert crossing, "no episode tells the two envs apart"

    old, new = HindsightBuffer(source, 2000), HindsightBuffer(target, 2000)
    for episode in in_source:
        old.add_episode(episode)
        new.add_episode(scored_by(target, episode))
    assert_rewards_are_those_of(0.1, old)
    assert_rewards_are_those_of(0.3, new)
    assert_caught(assert_rewards_are_those_of, 0.3, old)

    # The source's rewards cannot slip in unscored.
    with pytest.raises(EnvFault, match="reward at step"):
        new.add_episode(crossing[0])
    new.goal_spec = source  # what `set_env` leaves behind elsewhere
    assert_caught(assert_rewards_are_those_of, 0.3, new)
    source.close()
    target.close()


# 8. k / (k + 1) of a batch is relabelled


def assert_share_is_k_of_k_plus_1(buffer: HindsightBuffer, k: int) -> None:
    for batch_size in (1, 3, 64, 256):
        n = 500 if batch_size < 10 else 50
        relabelled = sum(buffer.sample(batch_size).n_relabelled for _ in range(n))
        assert abs(relabelled - n * batch_size * k / (k + 1)) <= 5 * np.sqrt(n / 4)


def test_trap_8_the_share_is_k_of_k_plus_1() -> None:
    for k in (0, 1, 4, 8):
        assert_share_is_k_of_k_plus_1(tagged_buffer([4, 6], n_sampled_goal=k), k)
    for k in (1, 4, 8):
        trapped = tagged_buffer([4, 6], n_sampled_goal=k)
        trapped._share = 1 - 1 / k
        assert_caught(assert_share_is_k_of_k_plus_1, trapped, k)


def test_trap_8_the_share_is_of_rows_that_truly_carry_another_goal() -> None:
    batch = tagged_buffer([8], n_sampled_goal=4).sample(20_000)
    desired = np.array([0, 8], np.float32)  # an episode of eight steps that desired its last state
    changed = (batch.desired_goal.numpy()[:, :2] != desired).any(axis=1)
    assert not changed[batch.n_relabelled :].any()
    # Of the relabelled, those that drew the last state by chance look alike: sum of 1/(8-t) over t, / 8.
    alike = sum(1 / (8 - t) for t in range(8)) / 8
    assert changed.mean() == pytest.approx(0.8 * (1 - alike), abs=0.02)


# 9. Sampling does not change what is stored


def assert_sampling_leaves_the_store_alone(buffer: HindsightBuffer) -> None:
    stored = {k: v for k, v in vars(buffer._storage).items() if isinstance(v, np.ndarray)}
    before = {name: value.tobytes() for name, value in stored.items()}
    for _ in range(5):
        batch = buffer.sample(300)
        # What a learner does to its batch is no concern of the store either.
        for part in (
            batch.observation,
            batch.next_observation,
            batch.desired_goal,
            batch.action,
            batch.reward,
        ):
            part.fill_(77.0)
    assert {name: value.tobytes() for name, value in stored.items()} == before


def relabel_in_place(at: Transitions, rng: np.random.Generator) -> Any:
    rows = at.first_row + at.length
    at.storage.desired_goal[at.episode] = at.storage.achieved_goal[rows]
    return rows


def test_trap_9_sampling_leaves_the_store_alone() -> None:
    for strategy in NAMES:
        assert_sampling_leaves_the_store_alone(tagged_buffer(LENGTHS, strategy=strategy))
    assert_caught(assert_sampling_leaves_the_store_alone, tagged_buffer(LENGTHS, strategy=relabel_in_place))


# 10. Uniform over transitions, not over episodes


def assert_transitions_are_equally_likely(buffer: HindsightBuffer) -> None:
    rows = origin(buffer.sample(100_000))
    counts = [
        int(((rows.number == number) & (rows.t == t)).sum())
        for number, length in enumerate(LENGTHS)
        for t in range(length)
    ]
    assert sum(counts) == 100_000
    assert chisquare(counts).pvalue > LEAST_P


class EpisodeFirst(EpisodeStorage):
    """Draws an episode, then a step of it: short episodes count too much."""

    def draw(self, n: int, rng: np.random.Generator) -> Transitions:
        episode = rng.integers(self._oldest, self._end, n)
        t = (rng.random(n) * self.length[episode]).astype(np.int64)
        return Transitions(self.first_row[episode], self.length[episode], t, episode, self)


def test_trap_10_every_transition_is_equally_likely() -> None:
    for strategy in ("future", "none"):
        assert_transitions_are_equally_likely(tagged_buffer(LENGTHS, strategy=strategy))
    trapped = tagged_buffer(LENGTHS)
    trapped._storage.__class__ = EpisodeFirst
    assert_caught(assert_transitions_are_equally_likely, trapped)


def test_trap_10_every_transition_is_equally_likely_after_the_ring_went_round() -> None:
    buffer = tagged_buffer([13] * 7 + LENGTHS, capacity=sum(LENGTHS))
    rows = origin(buffer.sample(100_000))
    held = [(7 + number, t) for number, length in enumerate(LENGTHS) for t in range(length)]
    counts = [int(((rows.number == number) & (rows.t == t)).sum()) for number, t in held]
    assert sum(counts) == 100_000
    assert chisquare(counts).pvalue > LEAST_P


# 11. Every row's reward follows from its two goals, and rewards that do not are named


def assert_rewards_follow_from_goals(buffer: HindsightBuffer) -> None:
    """Feeds it an episode with a crash penalty, which must be refused, and looks at what is learned from."""
    crashed = tagged_episode(90, 5)
    penalty = crashed.reward.copy()
    penalty[3] -= 10
    named = ""
    try:
        buffer.add_episode(replace(crashed, reward=penalty))
    except EnvFault as fault:
        named = str(fault)
    assert "reward at step 3" in named
    assert "-11" in named
    batch = buffer.sample(3000)
    rows = origin(batch)
    assert not (rows.number == 90).any()
    for row in range(len(batch)):
        on_goal = (rows.next_number[row], rows.next_t[row]) == (rows.goal_number[row], rows.goal_t[row])
        assert batch.reward[row] == (0 if on_goal else -1)


class Unverified(HindsightBuffer):
    """Believes every reward."""

    def add_episode(self, episode: Episode, *, foreign: bool = True) -> None:
        super().add_episode(episode, foreign=True)


class StoredReward(HindsightBuffer):
    """Gives relabelled rows the reward of the goal of old."""

    def sample(self, batch_size: int) -> Batch:
        batch = super().sample(batch_size)
        rows = origin(batch)
        reached = (rows.number % 3 == 0) & (rows.next_t == np.array(LENGTHS)[rows.number])
        return replace(batch, reward=torch.from_numpy(reached.astype(np.float32) - 1))


def test_trap_11_rewards_follow_from_goals_or_are_named() -> None:
    for strategy in NAMES:
        assert_rewards_follow_from_goals(tagged_buffer(LENGTHS, strategy=strategy))
    for kind in (Unverified, StoredReward):
        assert_caught(assert_rewards_follow_from_goals, tagged_buffer(LENGTHS, kind=kind))
