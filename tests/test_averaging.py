"""The mean of what a policy has been lately: what it is, what it leaves alone, and what goes on from it."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from regoal import BadInput, FinetuneConfig, finetune, resume, train
from regoal.agent import training
from regoal.agent.averaging import PolicyAverage
from regoal.agent.checkpoints import newest_checkpoint
from regoal.agent.finetuning import resolve
from regoal.agent.learner import set_actor
from regoal.agent.networks import Ensemble
from regoal.agent.policy import Policy
from regoal.agent.rollouts import Rollouts
from regoal.cli import main

from .test_resume import Killed, _cut, assert_same, config


def _policy(value: float, like: Policy) -> Policy:
    return like.with_arrays([np.full_like(array, value) for array in like.arrays])


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(config(tmp_path_factory.mktemp("plain") / "run")).path


@pytest.fixture(scope="module")
def averaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(config(tmp_path_factory.mktemp("averaged") / "run", policy_average=0.5)).path


def test_by_hand(plain: Path) -> None:
    like = Policy.load(plain)
    average = PolicyAverage(_policy(9, like), share=0.5)
    average.update(_policy(8, like), 100, -100)  # it does not learn yet
    found = []
    for value, learned in ((0, 100), (0, 200), (4, 400), (4, 1_600)):
        average.update(_policy(value, like), 100, learned)
        found.append(float(average.policy.weights[0][0, 0]))
        assert average.policy.std[0] == average.policy.mean[0] == value, "statistics are the newest"
    # Rates 2 -> 1, 1, 1/2, 1/8.
    assert found == [0, 0, 2, 2.25]
    assert float(average.policy.biases[-1][0]) == 2.25


def test_it_changes_what_is_kept_and_nothing_of_what_is_learned(plain: Path, averaged: Path) -> None:
    one, two = (newest_checkpoint(run).learner_arrays() for run in (plain, averaged))
    assert one.keys() == two.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, two[name], err_msg=name)
    newest, kept = Policy.load(plain), Policy.load(averaged)
    np.testing.assert_array_equal(newest.std, kept.std)
    assert all((a != b).any() for a, b in zip(newest.weights, kept.weights, strict=True))


def test_a_run_is_evaluated_by_the_mean_of_what_acted_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    acted: list[Policy] = []
    evaluated: list[Policy] = []
    update, evaluate = PolicyAverage.update, Rollouts.evaluate

    def noted(self: PolicyAverage, policy: Policy, steps: int, learned: int) -> None:
        acted.append(policy)
        update(self, policy, steps, learned)

    def shown(self: Rollouts, policy: Policy, *arguments: Any, **options: Any) -> Any:
        evaluated.append(policy)
        return evaluate(self, policy, *arguments, **options)

    monkeypatch.setattr(PolicyAverage, "update", noted)
    monkeypatch.setattr(Rollouts, "evaluate", shown)
    run = train(config(tmp_path / "run", policy_average=0.5)).path
    mean, means = acted[0].weights[0], [acted[0].weights[0]]
    for block, policy in enumerate(acted, start=1):  # of 100 steps each, all of them learned from
        mean = mean + min(100 / (0.5 * 100 * block), 1.0) * (policy.weights[0] - mean)
        means.append(mean)
    assert len(means) == 7
    assert not np.array_equal(means[6], acted[-1].weights[0])
    for policy, expected in zip([*evaluated, Policy.load(run)], [*means[::2], mean], strict=True):
        np.testing.assert_allclose(policy.weights[0], expected, rtol=1e-5)


def test_a_run_that_was_killed_goes_on_with_its_average(tmp_path: Path, averaged: Path) -> None:
    cut = tmp_path / "cut"
    _cut(lambda: train(config(cut, policy_average=0.5)), "_add", 5, Killed)
    resume(cut)
    assert_same(averaged, cut)
    for one, two in zip(Policy.load(averaged).arrays, Policy.load(cut).arrays, strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("mode", ["zero_shot", "warm_start", "anchor"])
def test_fine_tuning_starts_from_what_was_kept(tmp_path: Path, averaged: Path, mode: str) -> None:
    assert main(["export", str(averaged), "--out", str(tmp_path / "export"), "--episodes", "2"]) == 0
    target = FinetuneConfig(
        out="", mode=mode, steps=300, eval_interval=100, eval_episodes=2, workers=0, normaliser=None,
        overrides={} if mode == "zero_shot" else {"agent.updates_per_step": "1e-9"},
    )  # fmt: skip
    kept = Policy.load(averaged)
    for source in (averaged, tmp_path / "export"):
        run = finetune(source, dataclasses.replace(target, out=str(tmp_path / f"tuned-{source.name}"))).path
        for before, after in zip(kept.weights, Policy.load(run).weights, strict=True):
            np.testing.assert_allclose(before, after, rtol=1e-6)


def test_the_first_targets_of_fine_tuning_follow_what_was_kept(tmp_path: Path, averaged: Path) -> None:
    target = FinetuneConfig(out=str(tmp_path / "never"), steps=300, workers=0)
    spec = training.GoalSpec.of("regoal/PointReach-v0")
    learner = training.begin(training.validated(resolve(averaged, target)), spec).learner
    spec.close()
    modules = learner.modules()
    assert torch.equal(modules["target_actor"].flat, modules["actor"].flat)


def test_weights_of_another_shape_are_refused(averaged: Path) -> None:
    policy = Policy.load(averaged)
    actor = Ensemble(1, (6, 7, 2), torch.Generator())
    with pytest.raises(BadInput, match=r"policy: expected layers of \[\(7, 6\), \(2, 7\)\]"):
        set_actor(actor, policy)


@pytest.mark.parametrize("share", [1.0, -0.1, float("nan")])
def test_a_share_that_is_none_is_refused(tmp_path: Path, share: float) -> None:
    with pytest.raises(BadInput, match=r"policy_average: expected in \[0, 1\)"):
        train(config(tmp_path / "run", policy_average=share))


@pytest.mark.parametrize("blocks", [100, 4_000])
def test_what_flickers_evens_out_and_what_is_learned_is_followed(plain: Path, blocks: int) -> None:
    """A weight that goes from 0 to 1 over a run, with noise of 0.5 on it, short run or long."""
    like, rng = Policy.load(plain), np.random.default_rng(0)
    average = PolicyAverage(_policy(0, like), share=0.1)
    for block in range(1, blocks + 1):
        weights = tuple(
            (block / blocks + 0.5 * rng.standard_normal(one.shape)).astype(np.float32) for one in like.weights
        )
        average.update(dataclasses.replace(like, weights=weights), 100, 100 * block)
    seen = average.policy.weights[0]
    assert seen.dtype == np.float32
    assert 0.85 < seen.mean() < 0.95, "a tenth of the run behind"
    assert seen.std() < 0.5 * np.sqrt(0.75 / (0.1 * blocks)), "that of a mean of many"
