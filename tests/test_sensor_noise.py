"""Noise of the target's sensors: measured, told from motion, and damped until the policy works again."""

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regoal import BadInput, FinetuneConfig, finetune, resume
from regoal.agent import loop
from regoal.agent.checkpoints import newest_checkpoint
from regoal.agent.evaluation import evaluate
from regoal.agent.loop import Training
from regoal.agent.normaliser import Normaliser
from regoal.agent.policy import Policy
from regoal.agent.sensor_noise import LEAST_GAIN, SensorNoise
from regoal.agent.updating import make_updates
from regoal.cli import main
from regoal.envs.goal_spec import GoalSpec

from .test_resume import Killed, _cut, assert_same, config, train

T = np.arange(51)[:, None]
NOISE = "observation_noise=0.01"


def _measured(episodes: list[np.ndarray]) -> SensorNoise:  # type: ignore[type-arg]
    noise = SensorNoise(episodes[0].shape[1])
    for episode in episodes:
        noise.update(episode)
    return noise


@given(st.floats(0.1, 1.0), st.integers(0, 1_000))
def test_white_noise_on_a_smooth_signal_is_measured(std: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    smooth = [std * np.sin(T / 10 + rng.uniform(0, 6)) for _ in range(160)]  # as large as the noise
    noisy = [one + std * rng.standard_normal(one.shape) for one in smooth]
    found = _measured(noisy).variance(np.zeros(1))
    assert found == pytest.approx(std**2, rel=0.25)


def test_by_hand() -> None:
    # Changes 1, -1, 1, -1, three times at other heights: d_t (d_t+2 - d_t+1) is 2 twice in each episode.
    high = [np.array([[0.0], [1.0], [0.0], [1.0], [0.0]]) + 10 * n for n in range(3)]
    np.testing.assert_allclose(_measured(high).variance(np.array([1.0])), 2.0)  # they vary by 67
    np.testing.assert_allclose(_measured(high).gain(np.array([6.0])), 0.75)
    # One episode varies by 0.24, of which 1.5 x 0.1 was usual.
    np.testing.assert_allclose(_measured(high[:1]).variance(np.array([0.1])), 0.09)
    np.testing.assert_allclose(_measured(high[:1]).gain(np.array([0.1])), 0.1 / 0.19)
    np.testing.assert_allclose(_measured(high).gain(np.array([0.0])), LEAST_GAIN)  # it never moved before


def test_what_only_moves_more_is_believed() -> None:
    """Twice as far and as smoothly as in the source, and one that goes up and down steadily."""
    noise = _measured([np.hstack([2 * np.sin(T / 5), T / 10])])
    np.testing.assert_allclose(noise.gain(np.array([0.5, 0.0001])), [1.0, 1.0], atol=0.1)


def test_what_went_to_and_fro_in_the_source_is_believed() -> None:
    jerky = np.random.default_rng(0).standard_normal((51, 1))
    np.testing.assert_array_equal(_measured([jerky]).gain(jerky.var(axis=0)), 1.0)


@pytest.mark.parametrize("rows", [1, 2, 3])
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
    assert widened[0] == pytest.approx(
        (0.34 + 0.49) / 0.34, rel=0.2
    )  # of the 1 that is seen 1.5 x 0.34 is usual
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
    for seed in range(20):
        target.update(*_noisy_rows(seed))  # noise as before
    if mode in ("freeze", "continue"):
        np.testing.assert_array_equal(target.std[:2], damped.std[:2])
    if mode == "damp":
        np.testing.assert_allclose(target.std, damped.std, rtol=0.3)
    if mode == "refit":
        np.testing.assert_allclose(target.std[:2], 1, rtol=0.1)


def test_sensors_that_are_quiet_again_are_believed_again() -> None:
    damped, target = Normaliser(2, 1, "damp"), Normaliser(2, 1, "damp")
    damped.load_state(_source().state())
    damped.update(*_noisy_rows())
    target.load_state(damped.state())
    target.update(np.linspace([0.0, -0.01], [2.0, 0.01], 100), np.zeros((1, 1)))
    np.testing.assert_array_equal(target.std, _source().std)


def test_sensors_that_were_found_to_be_quiet_go_on_being_counted() -> None:
    """A source that was fine-tuned with the default, `damp`, in a target without noise."""
    quiet = np.linspace([0.0, -0.01], [2.0, 0.01], 100)
    damped, target = Normaliser(2, 1, "damp"), Normaliser(2, 1, "continue")
    damped.load_state(_source().state())
    damped.update(quiet, np.zeros((1, 1)))
    target.load_state(damped.state())
    for _ in range(9):
        target.update(quiet + 5, np.zeros((1, 1)))
    np.testing.assert_allclose(target.mean[:2], quiet.mean(axis=0) + 4.5, atol=1e-5)


def test_what_was_quiet_is_not_found_noisy_by_what_is_counted_later() -> None:
    damped, target = Normaliser(2, 1, "damp"), Normaliser(2, 1, "continue")
    quiet = np.linspace([0.0, -0.01], [2.0, 0.01], 100)
    damped.load_state(_source().state())
    damped.update(
        1.2 * quiet + np.random.default_rng(0).normal(0, 0.05, quiet.shape) * [1, 0], np.zeros((1, 1))
    )
    assert (damped.gain == 1).all()
    target.load_state(damped.state())
    for _ in range(300):  # a target that varies less
        target.update(0.1 * quiet, np.zeros((1, 1)))
    assert (target.gain == 1).all()
    assert target.std[0] < 0.1


def test_a_measurement_that_should_be_there_and_is_not_begins_anew() -> None:
    """Settings that were changed to "damp" by hand, and a run that goes on."""
    target = Normaliser(2, 1, "damp")
    target.load_state(_source().state())
    target.had_rows()
    target.update(*_noisy_rows())
    assert target.gain.min() < 0.5


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("noise.triples", lambda array: array * 0 - 1),
        ("noise.triples", lambda array: array.astype(np.float64)),
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


@pytest.mark.parametrize("mode", ["warm_start", "anchor"])
def test_a_run_that_was_killed_goes_on_with_its_measurement(tmp_path: Path, mode: str) -> None:
    source = train(config(tmp_path / "source")).path
    target = FinetuneConfig(
        out="", shift="observation_noise=0.1", mode=mode, normaliser="damp", steps=600, eval_interval=100,
        eval_episodes=2, workers=0, overrides={"checkpoint_interval": "100"},
    )  # fmt: skip
    whole = finetune(source, dataclasses.replace(target, out=str(tmp_path / "whole"))).path
    cut = tmp_path / "cut"
    _cut(lambda: finetune(source, dataclasses.replace(target, out=str(cut))), "_add", 5, Killed)
    resume(cut)
    assert_same(whole, cut)
    widened = Policy.load(cut).std / Policy.load(source).std
    assert widened.max() > 5, "the velocities"


def test_an_anchor_pulls_to_what_the_source_would_do_with_its_sensors_as_they_were(tmp_path: Path) -> None:
    source = train(config(tmp_path / "source")).path
    target = FinetuneConfig(
        out=str(tmp_path / "run"), shift="observation_noise=0.1", mode="anchor", normaliser="damp", steps=200,
        eval_interval=100, eval_episodes=2, workers=0,
    )  # fmt: skip
    snapshots = newest_checkpoint(finetune(source, target).path).snapshots()
    np.testing.assert_array_equal(snapshots["anchor.std"], snapshots["inputs.std"])
    np.testing.assert_array_equal(snapshots["anchor.mean"], Policy.load(source).mean)


@pytest.mark.parametrize("normaliser", ["damp", "refit"])
def test_inputs_are_those_of_the_source_until_the_actor_learns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, normaliser: str
) -> None:
    source = train(config(tmp_path / "source")).path
    seen: list[tuple[int, Any, Any, Any]] = []

    def updates(run: Training, poll: Callable[[], object]) -> None:
        make_updates(run, poll)
        _, std = run.learner.inputs.statistics()
        seen.append((run.state.gradient_steps, std.numpy().copy(), run.acting.std, run.policy.std))

    monkeypatch.setattr(loop, "make_updates", updates)
    target = FinetuneConfig(
        out=str(tmp_path / "run"), shift="observation_noise=0.1", normaliser=normaliser, steps=600,
        eval_interval=100, eval_episodes=2, workers=0, critic_warmup_steps=300,
    )  # fmt: skip
    finetune(source, target)
    before = Policy.load(source).std
    assert [updated > 0 for updated, *_ in seen] == [False] + [True] * 5
    for number, (_, shown, acting, kept) in enumerate(seen):
        np.testing.assert_array_equal(acting, shown)
        np.testing.assert_array_equal(kept, shown)
        # The buffer is filled, then the critics learn alone for three blocks of 100 steps.
        assert (shown == before).all() if number < 4 else (shown / before).max() > 1.5


def test_an_export_of_a_damped_run_plays_as_it_does(tmp_path: Path) -> None:
    source = train(config(tmp_path / "source")).path
    target = FinetuneConfig(
        out=str(tmp_path / "run"), shift="observation_noise=0.1", steps=400, eval_interval=100,
        eval_episodes=2, workers=0,
    )  # fmt: skip
    run = finetune(source, target).path
    assert main(["export", str(run), "--out", str(tmp_path / "export"), "--episodes", "2"]) == 0
    played = FinetuneConfig(out="", shift="observation_noise=0.1", mode="zero_shot", workers=0)
    for one in (run, tmp_path / "export"):
        again = finetune(one, dataclasses.replace(played, out=str(tmp_path / f"again-{one.name}"))).path
        for before, after in zip(Policy.load(run).arrays, Policy.load(again).arrays, strict=True):
            np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("mode", ["zero_shot", "scratch"])
def test_it_is_refused_where_nothing_is_fed(tmp_path: Path, mode: str) -> None:
    source = train(config(tmp_path / "source")).path
    target = FinetuneConfig(out=str(tmp_path / "run"), mode=mode, normaliser="damp")
    with pytest.raises(BadInput, match="normaliser"):
        finetune(source, target)


def test_a_policy_that_noise_had_broken_works_again_and_without_damping_does_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """FetchPush: velocities and fingers, which the policy hardly needs, drown in noise."""
    spec = GoalSpec.of("FetchPush-v4", NOISE)

    def success(run: str | Path) -> float:
        return evaluate(spec, Policy.load(run), episodes=60, seed=1_000).success

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
    assert tuned("freeze") <= 0.5
    assert "noisier" not in capsys.readouterr().err
    assert tuned(None) >= 0.75
    assert re.search(r"noisier than in the source: \d+ of 25 features", capsys.readouterr().err)
