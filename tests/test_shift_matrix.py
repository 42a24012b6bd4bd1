"""Every family on every kind of env: it works there, or it is refused with a reason."""

import warnings

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from shift_play import ALL_ENVS, POINT, as_bytes, episode_bytes, everything, identity

from regoal.envs.recipe import Env, make
from regoal.envs.shift import Shift, Term
from regoal.envs.shift_families import families_for, list_families
from regoal.envs.shift_family import COMBINED, LEVEL_NAMES
from regoal.envs.shift_levels import LEVELS, combination, env_name, levels
from regoal.errors import BadInput

VALUES = {  # unlike those that change nothing, and taken by every env where the family applies
    "friction": 0.3,
    "object_mass": 3.0,
    "gravity": 0.5,
    "joint_damping": 4.0,
    "start_region": 1.2,
    "goal_region": 1.2,
    "reward_threshold": 0.5,
    "observation_bias": -0.02,
    "observation_noise": 0.02,
    "observation_delay": 2.0,
    "action_gain": 0.5,
    "action_rotation": 30.0,
    "action_bias": 0.2,
    "action_noise": 0.2,
    "action_delay": 2.0,
}


NOTHING_CHANGES = {("PointMaze_UMaze-v3", "gravity")}  # the point slides in a plane, on two joints


def _played(env: Env) -> list[bytes]:
    """What an agent sees in an episode of 25 steps, and what the env makes of pairs of goals."""
    actions, low, high = np.random.default_rng(0), env.action_space.low, env.action_space.high  # type: ignore[attr-defined]
    observation, _ = env.reset(seed=0)
    achieved = observation["achieved_goal"]
    away = np.geomspace(1e-3, 3, 200)[:, None] * np.eye(len(achieved))[0]
    score = env.get_wrapper_attr("compute_reward")
    seen = [np.array([float(score(achieved, achieved + offset, {})) for offset in away]).tobytes()]
    for _ in range(25):
        seen.append(as_bytes(observation))
        observation, *_ = env.step(actions.uniform(low, high).astype(np.float32))
    return seen


def _one(family: str, value: float) -> Shift:
    return Shift((Term(family, (value,)),))


@pytest.mark.parametrize("env_id", ALL_ENVS)
def test_every_family_works_or_is_refused_with_the_reason(env_id: str) -> None:
    env, plain = make(env_id), make(env_id)
    applicable = families_for(env)
    actions = np.random.default_rng(0)
    for family in list_families():
        shift = _one(family.name, VALUES[family.name])
        if family.name not in applicable:
            with pytest.raises(BadInput) as caught:
                shift.apply(env)
            assert caught.value.where == f"{env_id} shift {family.name!r}"
            assert str(family.why_not(env)) in caught.value.got
            assert ", ".join(applicable) in caught.value.fix
            continue
        shifted = shift.apply(env)
        observation, info = shifted.reset(seed=0)
        assert info["shift"] == str(shift)
        for _ in range(4):
            assert shifted.observation_space.contains(observation)
            assert all(np.isfinite(part).all() for part in observation.values())
            low, high = env.action_space.low, env.action_space.high  # type: ignore[attr-defined]
            observation, reward, *_ = shifted.step(actions.uniform(low, high).astype(np.float32))
            assert np.isfinite(float(reward))
        if (env_id, family.name) not in NOTHING_CHANGES:
            assert _played(shifted) != _played(plain), f"{family.name} changes nothing"
        _one(family.name, family.identity).apply(env).reset()  # as it was, for the next family
    fresh = make(env_id)
    assert episode_bytes(env, 3) == episode_bytes(fresh, 3)
    for one in (env, plain, fresh):
        one.close()


@pytest.mark.parametrize("env_id", ALL_ENVS)
def test_every_level_is_taken_by_its_env(env_id: str) -> None:
    env = make(env_id)
    table = LEVELS[env_name(env_id)]
    assert list(table) == families_for(env)  # a line for every family that applies, in canonical order
    for family in table:
        figures = levels(env_id, family)
        if figures is None:
            for level in LEVEL_NAMES:
                with pytest.raises(BadInput, match="no effect: only exact figures"):
                    Shift.parse(f"{family}={level}").apply(env)
            continue
        assert len(set(figures)) == 3
        for level, figure in zip(LEVEL_NAMES, figures, strict=True):
            shifted = Shift.parse(f"{family}={level}").apply(env)
            assert shifted.get_wrapper_attr("shift") == _one(family, figure)
    for level in LEVEL_NAMES:
        shifted = Shift.parse(f"{COMBINED}={level}").apply(env)
        parts = {term.family: term.values[0] for term in shifted.get_wrapper_attr("shift").terms}
        assert parts == combination(env_id, level)
        assert len(parts) > 1
    env.close()


@pytest.mark.parametrize("env_id", ALL_ENVS)
def test_identity_changes_nothing_to_the_bit(env_id: str) -> None:
    plain, other = make(env_id), make(env_id)
    nothing = identity(plain)
    shifted = nothing.apply(other)
    for seed in (0, 1, None, 2):
        if seed is None:  # the env goes on drawing as it would have
            assert as_bytes(plain.reset()[0]) == as_bytes(shifted.reset()[0])
            continue
        expected = episode_bytes(plain, seed, steps=30).replace(b"None", str(nothing).encode())
        assert episode_bytes(shifted, seed, steps=30) == expected
    for seed in range(20):
        assert as_bytes(plain.reset(seed=seed)[0]) == as_bytes(shifted.reset(seed=seed)[0])
    plain.close()
    shifted.close()


@pytest.mark.parametrize("env_id", ALL_ENVS)
def test_50_resets_with_one_seed_do_not_differ_whatever_happened_before(env_id: str) -> None:
    env = make(env_id)
    env = everything(env, env_id).apply(env)
    histories = np.random.default_rng(0)
    seen = set()
    for _ in range(50):
        seen.add(episode_bytes(env, 7, steps=3))
        other = None if histories.random() < 0.5 else int(histories.integers(100))
        episode_bytes(env, other, steps=int(histories.integers(4)), actions=int(histories.integers(100)))
    assert len(seen) == 1
    env.close()


@pytest.mark.parametrize("env_id", ["FetchReach-v4", "FetchPush-v4", "PointMaze_UMaze-v3", POINT])
def test_gymnasium_finds_no_fault(env_id: str) -> None:
    env = make(env_id)
    env = everything(env, env_id).apply(env)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is wrapped, and that its boxes are unbounded
        check_env(env, skip_render_check=True)
    env.close()
