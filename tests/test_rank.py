"""Which source to start from: the same episodes for all, and no order where there is none to see."""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hand_made_runs import POINT, SIDEWAYS, STEERS, STILL, hand_made_run

from regoal.benchmarks import rank as module
from regoal.benchmarks.rank import as_text, order, rank
from regoal.benchmarks.statistics import paired_margin, wilson_interval
from regoal.errors import BadInput


def _order(outcomes: dict[str, np.ndarray]) -> list[module.Ranked]:
    return order(list(outcomes), np.array(list(outcomes.values())), env="E", shift="", seed=0)


def _won(wins: int, episodes: int) -> np.ndarray:
    return (np.arange(episodes) < wins).astype(float)


def test_runs_are_ordered_by_what_they_reach_in_the_target(tmp_path: Path) -> None:
    runs = [
        hand_made_run(tmp_path / name, weight)
        for name, weight in (("still", STILL), ("steers", STEERS), ("sideways", SIDEWAYS))
    ]
    ticks: list[int] = []
    ranked = rank(runs, "action_gain=0.5", episodes=40, seed=3, tick=lambda: ticks.append(1))
    assert Path(ranked[0].run).name == "steers"
    assert [one.place for one in ranked] == [1, 2, 3]
    assert len(ticks) == 3 * 40
    best, *others = ranked
    assert (best.success, best.difference, best.told_apart) == (1.0, 0.0, False)
    assert (best.low, best.high) == wilson_interval(40, 40)
    for one in others:
        assert one.success < 0.3
        assert one.difference == pytest.approx(one.success - 1.0)
        assert one.difference_low <= one.difference <= one.difference_high < 0
        assert one.told_apart
    assert {one.shift for one in ranked} == {"action_gain=0.5"}
    (alone,) = json.loads(json.dumps([dataclasses.asdict(one) for one in rank(runs[:1], "", 5, seed=3)]))
    assert (alone["env"], alone["episodes"], alone["difference"]) == (POINT, 5, 0.0)


def test_equal_runs_play_equal_episodes_and_stand_in_the_order_of_their_names(tmp_path: Path) -> None:
    runs = [hand_made_run(tmp_path / name, SIDEWAYS) for name in ("c", "a", "b")]
    ranked = rank(runs, "", episodes=25, seed=0)
    assert [Path(one.run).name for one in ranked] == ["a", "b", "c"]
    assert len({one.success for one in ranked}) == 1
    assert not any(one.told_apart for one in ranked)
    # They never differed, but in 25 episodes they might have: a sign test asks for six.
    assert (ranked[1].difference_low, ranked[1].difference_high) == (-0.2, 0.2)
    assert rank(runs[::-1], "", episodes=25, seed=0) == ranked


def test_six_more_won_episodes_are_the_least_that_can_tell() -> None:
    for won, told in ((34, True), (35, False)):
        _, worse = _order({"best": _won(40, 40), "worse": _won(won, 40)})
        assert worse.difference == pytest.approx((won - 40) / 40)
        assert worse.told_apart is told
    for episodes in range(1, 6):  # however clear it looks
        assert not _order({"best": _won(episodes, episodes), "worse": _won(0, episodes)})[1].told_apart


def test_pairing_tells_apart_what_two_separate_intervals_do_not() -> None:
    best, worse = _order({"best": _won(60, 100), "worse": _won(50, 100)})
    assert worse.high > best.low
    # Ten of 100 episodes differ, all one way: the standard error is sqrt(0.1 * 0.9 / 100) = 0.03.
    assert worse.difference_low == pytest.approx(-0.1 - 1.96 * 0.03, abs=0.01)
    assert worse.told_apart
    # As many won, but not the same ones: 90 episodes differ, and ten of them more are nothing.
    unpaired = {"best": _won(60, 100), "worse": _won(50, 100)[::-1]}
    assert not _order(unpaired)[1].told_apart


def test_equally_good_runs_are_rarely_called_worse_however_many_there_are() -> None:
    draws = np.random.default_rng(0)
    rankings, wrong, wrong_pair_by_pair = 200, 0, 0
    for _ in range(rankings):
        outcomes = (draws.random((5, 60)) < 0.7).astype(float)
        margin = paired_margin(outcomes, draws, resamples=400)
        lost = outcomes.mean(axis=1).max() - outcomes.mean(axis=1)
        wrong += bool((lost > margin).any())
        # What the interval of each pair alone would say, by its standard error.
        apart = outcomes - outcomes[outcomes.mean(axis=1).argmax()]
        wrong_pair_by_pair += bool((lost > 1.96 * apart.std(axis=1) / math.sqrt(60)).any())
    assert wrong / rankings < 0.08
    assert wrong_pair_by_pair / rankings > 0.15


def test_a_folder_of_seeds_stands_for_its_runs(tmp_path: Path) -> None:
    for seed in ("0", "2", "10", "0.begun"):  # the last one was set aside for what another machine finished
        hand_made_run(tmp_path / "source" / f"seed-{seed}", STILL)
    ranked = rank([tmp_path / "source"], "", episodes=2, seed=0)
    assert {Path(one.run).name for one in ranked} == {"seed-0", "seed-2", "seed-10"}


def test_what_cannot_be_compared_is_refused_before_anything_is_played(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "play_outcomes", lambda *args, **kwargs: pytest.fail("played"))
    run = hand_made_run(tmp_path / "seeds" / "seed-0")
    elsewhere = hand_made_run(tmp_path / "elsewhere", env="FetchReach-v4")
    larger = hand_made_run(tmp_path / "larger", np.zeros((2, 9)))
    stronger = hand_made_run(tmp_path / "stronger", np.zeros((3, 6)))
    for runs, message in (
        ([], "one run or more"),
        ([tmp_path / "nowhere"], "nowhere, which does not exist"),
        ([run, run], "each run once"),
        ([tmp_path / "seeds", run], "each run once"),
        ([run, elsewhere], "elsewhere env: expected that of .*seed-0, regoal/PointReach-v0"),
        ([run, larger], "larger observation size: .* 4, got 7"),
        ([run, stronger], "stronger action size: .* 2, got 3"),
        ([larger], "larger observation size: expected that of regoal/PointReach-v0, 4, got 7"),
    ):
        with pytest.raises(BadInput, match=message):
            rank(runs, "", episodes=3, seed=0)
    with pytest.raises(BadInput, match="object_mass"):
        rank([run], "object_mass=2", episodes=3, seed=0)
    with pytest.raises(BadInput, match="episodes"):
        rank([run], "", episodes=0, seed=0)
    with pytest.raises(BadInput, match="seed"):
        rank([run], "", episodes=1, seed=-1)


def test_the_table_says_what_can_be_told_and_what_not() -> None:
    shown = as_text(_order({"runs/a": _won(90, 100), "runs/b": _won(88, 100), "runs/c": _won(10, 100)}))
    first, second, third = shown.splitlines()[1:4]
    assert first.split()[:3] == ["1", "runs/a", "0.90"]
    assert "-0.02" in second
    assert "cannot be told" in second
    assert third.endswith("worse")
    assert "1 of 2 cannot be told from the best" in shown
    clear = as_text(_order({"runs/a": _won(90, 100), "runs/c": _won(10, 100)}))
    assert "runs/a is better than all others." in clear
    assert "best" not in as_text(_order({"runs/a": _won(9, 10)})).splitlines()[-1]
