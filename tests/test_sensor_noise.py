"""Noise of the target's sensors: measured, told from motion, and damped until the policy works again."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regoal import FinetuneConfig, finetune, resume
from regoal.agent.checkpoints import newest_checkpoint
from regoal.agent.evaluation import evaluate
from regoal.agent.normaliser import Normaliser
from regoal.agent.policy import Policy
from regoal.agent.sensor_noise import LEAST_GAIN, SensorNoise
from regoal.envs.goal_spec import GoalSpec

from .test_resume import Killed, _cut, config, train

T = np.arange(51)[:, None]
NOISE = "observation_noise=0.01"


def _measured(episodes: list[np.ndarray]) -> SensorNoise:  # type: ignore[type-arg]
    noise = SensorNoise(episodes[0].shape[1])
    for episode in episodes:
        noise.update(episode)
    return noise


@given(st.floats(0.01, 1.0), st.integers(0, 1_000))
def test_white_noise_on_a_smooth_signal_is_measured(std: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    smooth = [np.sin(T / 10 + rng.uniform(0, 6)) for _ in range(40)]
    noisy = [one + std * rng.standard_normal(one.shape) for one in smooth]
    before = np.concatenate(smooth).var(axis=0)
    found = _measured(noisy).variance(before)
    # 2,040 rows: four standard errors of the products, and of what signal and noise share by chance; the
    # waves themselves take 0.005 off.
    assert found == pytest.approx(std**2, abs=0.2 * std**2 + 0.13 * std + 0.006)
    expected = before / (before + found)
    np.testing.assert_allclose(_measured(noisy).gain(before), expected)


def test_by_hand() -> None:
    # Changes +2, -2, +2: -d_t d_t+1 is 4 twice. The variance is 1, of which 0.25 was there before.
    noise = _measured([np.array([[0.0], [2.0], [0.0], [2.0]])])
    np.testing.assert_allclose(noise.variance(np.array([0.25])), 0.75)
    np.testing.assert_allclose(noise.gain(np.array([0.25])), 0.25)
    np.testing.assert_allclose(noise.variance(np.array([0.0])), 1.0)
    np.testing.assert_allclose(noise.gain(np.array([1e-9])), LEAST_GAIN)
    np.testing.assert_allclose(noise.gain(np.array([0.0])), LEAST_GAIN)  # it never moved before


def test_what_only_moves_more_is_believed() -> None:
    """Twice as far and as smoothly as in the source, and one that never moved there."""
    noise = _measured([np.hstack([2 * np.sin(T / 5), np.sin(T / 8)])])
    np.testing.assert_array_equal(noise.gain(np.array([0.5, 0.0])), 1.0)


def test_what_went_to_and_fro_in_the_source_is_believed() -> None:
    jerky = np.random.default_rng(0).standard_normal((51, 1))
    np.testing.assert_array_equal(_measured([jerky]).gain(jerky.var(axis=0)), 1.0)


@pytest.mark.parametrize("rows", [1, 2])
def test_episodes_too_short_to_tell_say_nothing(rows: int) -> None:
    noise = _measured([np.arange(3.0 * rows).reshape(rows, 3)])
    np.testing.assert_array_equal(noise.gain(np.zeros(3)), 1.0)


def _noisy_rows(seed: int = 0, n: int = 200) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    return np.random.default_rng(seed).standard_normal((n, 2)), np.zeros((n, 1))


def _source() -> Normaliser:
    source = Normaliser(2, 1)
    source.update(np.linspace([0.0, -0.01], [2.0, 0.01], 100), np.zeros((1, 1)))
    return source


def test_a_damped_normaliser_keeps_the_statistics_of_the_source_and_widens_what_is_noisy() -> None:
    source, target = _source(), Normaliser(2, 1, "damp")
    target.load_state(source.state())
    np.testing.assert_array_equal(target.std, source.std)
    target.update(*_noisy_rows())
    np.testing.assert_array_equal(target.mean, source.mean)
    widened = target.std / source.std
    assert 2 < widened[0] < 6  # signal 0.34, noise 0.66 of the 1 that is seen
    assert widened[1] == pytest.approx(1 / LEAST_GAIN)
    assert widened[2] == 1  # goals are left alone


@pytest.mark.parametrize("mode", ["freeze", "continue", "refit", "damp"])
def test_a_policy_that_was_damped_starts_as_it_was_in_every_mode(mode: str) -> None:
    damped, target = Normaliser(2, 1, "damp"), Normaliser(2, 1, mode)
    damped.load_state(_source().state())
    damped.update(*_noisy_rows())
    target.load_state(damped.state())
    np.testing.assert_array_equal(target.std, damped.std)
    assert target.state().keys() == damped.state().keys()
    still = np.linspace([0.0, -0.01], [2.0, 0.01], 100)
    target.update(still, np.zeros((1, 1)))  # a target without noise
    anew = {"freeze": False, "continue": False, "refit": True, "damp": True}[mode]
    assert (target.std[1] < 1) == anew, "what was noisy is believed again where it was looked at anew"


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("noise.pairs", lambda array: array * 0 - 1),
        ("noise.pairs", lambda array: array.astype(np.float64)),
        ("noise.sum_of_reversals", lambda array: array[:1]),
        ("noise.mean", None),
        ("noise.sum_of_squares", lambda array: array * 0 - 1),
        ("observation.count", lambda array: array[:0]),
    ],
)
def test_what_nobody_can_have_measured_is_refused(name: str, change) -> None:  # type: ignore[no-untyped-def]
    damped = Normaliser(2, 1, "damp")
    damped.load_state(_source().state())
    damped.update(*_noisy_rows())
    arrays = damped.state()
    if change is None:
        del arrays[name]
    else:
        arrays[name] = change(arrays[name])
    with pytest.raises((KeyError, ValueError), match=name.partition(".")[0]):
        Normaliser(2, 1).load_state(arrays)


def test_a_run_that_was_killed_goes_on_with_its_measurement(tmp_path: Path) -> None:
    source = train(config(tmp_path / "source")).path
    target = FinetuneConfig(
        out="", shift="observation_noise=0.1", steps=300, eval_interval=100, eval_episodes=2, workers=0,
        overrides={"checkpoint_interval": "100"},
    )  # fmt: skip
    whole = finetune(source, dataclasses.replace(target, out=str(tmp_path / "whole"))).path
    cut = tmp_path / "cut"
    _cut(lambda: finetune(source, dataclasses.replace(target, out=str(cut))), "_add", 3, Killed)
    resume(cut)
    expected, found = (newest_checkpoint(run).learner_arrays() for run in (whole, cut))
    assert found.keys() == expected.keys() > {"normaliser.noise.pairs"}
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)
    widened = Policy.load(cut).std / Policy.load(source).std
    assert widened.max() > 5, "the velocities"


def test_a_policy_that_noise_had_broken_works_again_and_without_damping_does_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """FetchPush: velocities and fingers, which the policy hardly needs, drown in noise."""
    spec = GoalSpec.of("FetchPush-v4", NOISE)
    env = spec.recipe.build()

    def success(run: str | Path) -> float:
        return evaluate(env, spec, Policy.load(run), episodes=60, seed=1_000).success

    def tuned(normaliser: str | None) -> float:
        run = tmp_path / str(normaliser)
        finetune(
            "fetch-push",
            FinetuneConfig(
                out=str(run), shift=NOISE, steps=1_000, normaliser=normaliser, eval_interval=1_000,
                eval_episodes=1, workers=0,
            ),
        )  # fmt: skip
        return success(run)

    assert success("fetch-push") <= 0.5
    assert tuned("continue") <= 0.5
    assert "noisier" not in capsys.readouterr().err
    assert tuned(None) >= 0.75
    assert re.search(r"noisier than in the source: \d+ of 25 features", capsys.readouterr().err)
