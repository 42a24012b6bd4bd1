"""Exploration: noise, random actions and for how long they are held, and that an episode has its own."""

from itertools import count, groupby
from types import SimpleNamespace

import numpy as np
import pytest
from fake_spec import point_spec
from hypothesis import given
from hypothesis import strategies as st

from regoal import DDPGConfig
from regoal.agent.clock import N_CLOCKS, Clock
from regoal.agent.learner import make_learner
from regoal.agent.normaliser import Normaliser
from regoal.agent.policy import Exploration, Policy
from regoal.agent.profile import TimedPolicy
from regoal.errors import BadInput

ZEROS = np.zeros(6, np.float32)


def policy(exploration: Exploration, weight: float = 0.0) -> Policy:
    """Its action without exploration is 0, or tanh(weight * (sum of the inputs)) where there is a weight."""
    return Policy(
        weights=(np.full((2, 6), weight, np.float32),),
        biases=(np.zeros(2, np.float32),),
        mean=np.zeros(6, np.float32),
        std=np.ones(6, np.float32),
        clip=5.0,
        head="deterministic",
        exploration=exploration,
        observation_size=4,
        action_low=-np.ones(2, np.float32),
        action_high=np.ones(2, np.float32),
    )


def explored(exploration: Exploration, steps: int, seed: int = 0) -> np.ndarray:
    """(steps, 2): an episode of a policy that stands still but for its exploration."""
    explore = policy(exploration).explorer(np.random.default_rng(seed))
    return np.array([explore(ZEROS) for _ in range(steps)])


def test_noise_and_random_actions_are_what_they_say() -> None:
    assert explored(Exploration(0.2), 4_000).std() == pytest.approx(0.2, rel=0.05)
    random_only = explored(Exploration(0.2, random_share=1.0), 4_000)
    assert random_only.std() == pytest.approx(1 / np.sqrt(3), rel=0.05)
    assert np.abs(random_only).max() <= 1


@pytest.mark.parametrize("hold", [1, 4, 8])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.8, 1.0])
def test_the_share_of_random_actions_does_not_depend_on_the_hold(share: float, hold: int) -> None:
    steps = 40_000
    found = (explored(Exploration(0.0, share, hold), steps) != 0).any(axis=1).mean()
    if share in (0.0, 1.0):
        assert found == share
        return
    # Holds alternate with geometric waits: the variance of the time spent in holds, by renewal theory,
    # is hold^2 var(wait) / mean(hold + wait)^3 a step.
    wait = hold * (1 - share) / share
    deviation = np.sqrt(hold**2 * wait * (1 + wait) / (hold + wait) ** 3 / steps)
    assert deviation < 0.01
    assert abs(found - share) < 4 * deviation


@given(hold=st.integers(1, 12), share=st.floats(0.05, 1.0), seed=st.integers(0, 2**32))
def test_a_random_action_is_held_for_so_many_steps_and_no_longer(hold: int, share: float, seed: int) -> None:
    actions = explored(Exploration(0.0, share, hold), 200, seed)
    runs = [(sum(1 for _ in run), any(action)) for action, run in groupby(map(tuple, actions))]
    *inner, (last, last_is_random) = runs
    assert {length for length, is_random in inner if is_random} <= {hold}
    assert last <= hold or not last_is_random


def test_without_holds_the_numbers_are_those_of_the_plain_rule() -> None:
    steering = policy(Exploration(0.2, 0.3), weight=0.1)
    rng, plain = np.random.default_rng(5), np.random.default_rng(5)
    explore = steering.explorer(rng)
    for inputs in np.random.default_rng(6).standard_normal((500, 6), np.float32):
        if plain.random() < 0.3:
            expected = plain.uniform(-1.0, 1.0, 2).astype(np.float32)
        else:
            mean = steering.mean_action(inputs)
            expected = np.clip(mean + 0.2 * plain.standard_normal(2, np.float32), -1.0, 1.0)
        action = explore(inputs)
        assert action.dtype == np.float32
        np.testing.assert_array_equal(action, expected)
    assert rng.bit_generator.state == plain.bit_generator.state


@given(share=st.floats(0.0, 1.0))
def test_without_holds_the_probability_is_the_share_to_the_bit(share: float) -> None:
    assert Exploration(0.2, share, 1).hold_probability == share


def test_an_episode_does_not_begin_in_a_hold_of_the_one_before() -> None:
    exploring = policy(Exploration(0.0, 0.5, 1_000))
    rng = np.random.default_rng(0)
    first = exploring.explorer(rng)
    while not first(ZEROS).any():
        pass  # until it holds an action, which it does for long
    begins = [exploring.explorer(rng)(ZEROS) for _ in range(50)]
    assert sum(action.any() for action in begins) <= 2  # one in a thousand is expected
    assert first(ZEROS).any()


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ((0.2, 1.5), "random_share: expected in [0, 1], got 1.5"),
        ((0.2, float("nan")), "random_share"),
        ((0.2, 0.3, 0), "random_hold: expected 1 to 1,000,000 steps, got 0. 1 draws"),
        ((0.2, 0.3, 2.0), "random_hold"),
        ((0.2, 0.3, True), "random_hold"),
    ],
)
def test_exploration_that_cannot_be_is_refused(values: tuple[float, ...], told: str) -> None:
    with pytest.raises(BadInput) as caught:
        Exploration(*values)  # type: ignore[arg-type]
    assert told in str(caught.value)


def test_ddpg_explores_as_its_settings_say() -> None:
    spec, config = point_spec(), DDPGConfig(hidden=(8,), noise_std=0.1, random_share=0.5, random_hold=4)
    learner = make_learner(config, spec, Normaliser(spec.observation_size, spec.goal_size), 0)
    assert learner.policy().exploration == Exploration(0.1, 0.5, 4)


def test_a_timed_policy_explores_alike_and_times_each_action_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = count()
    ticking = SimpleNamespace(perf_counter=lambda: next(now))  # a second passes from look to look
    monkeypatch.setattr("regoal.agent.clock.time", ticking)
    clocks = np.zeros(N_CLOCKS)
    plain = policy(Exploration(0.2, 0.3, 4), weight=0.1)
    explore = plain.explorer(np.random.default_rng(0))
    timed = TimedPolicy.of(plain, clocks).explorer(np.random.default_rng(0))
    for inputs in np.random.default_rng(1).standard_normal((60, 6), np.float32):
        np.testing.assert_array_equal(timed(inputs), explore(inputs))
    assert clocks[Clock.INFERENCE] == clocks.sum() == 60
