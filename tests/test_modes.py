"""Fine-tuning modes: each is what its line says, and what makes no sense is refused."""

import csv
import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from regoal import BadInput, DDPGConfig, FinetuneConfig, SACConfig, TrainConfig, finetune, resume, train
from regoal.agent import training
from regoal.agent.anchor import Anchor
from regoal.agent.checkpoints import newest_checkpoint
from regoal.agent.config import NORMALISER_MODES
from regoal.agent.ddpg import DDPG
from regoal.agent.experience import Experience
from regoal.agent.finetuning import resolve
from regoal.agent.learner import state_of
from regoal.agent.modes import MODES, START, agent_that_learns, faded, parse_mode, start_settings
from regoal.agent.replay_files import read_segments
from regoal.agent.run_folder import read_config
from regoal.agent.source import source_replay
from regoal.buffers.batch import Batch
from regoal.buffers.strategies import NAMES
from regoal.errors import SaveFault

AGENTS = {
    "ddpg": DDPGConfig(hidden=(16, 16), batch_size=32),
    "sac": SACConfig(hidden=(16, 16), batch_size=32),
}
FIELDS = ("actor.flat", "critic.flat")


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A trained run of each agent that kept its replay."""
    folder = tmp_path_factory.mktemp("sources")
    for name, agent in AGENTS.items():
        train(
            TrainConfig(
                env="regoal/PointReach-v0",
                out=str(folder / name),
                agent=agent,
                steps=300,
                seed=3,
                learning_starts=50,
                eval_interval=1_000,
                eval_episodes=2,
                keep_replay=True,
                workers=0,
            )
        )
    return {name: folder / name for name in AGENTS}


def _tuned(source: Path, out: Path, mode: str = "warm_start", **changes: Any) -> Path:
    config = FinetuneConfig(
        out=str(out),
        mode=mode,
        steps=200,
        warmup_steps=100 if mode == "warm_start" else None,
        critic_warmup_steps=0 if mode == "warm_start" else None,
        eval_interval=100,
        eval_episodes=2,
        workers=0,
    )
    return finetune(source, dataclasses.replace(config, **changes)).path


def _arrays(run: Path) -> dict[str, Any]:
    return newest_checkpoint(run).learner_arrays()


def _rows(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [{key: value for key, value in row.items() if not key.startswith("wall_")} for row in rows]


COMBINATIONS = (
    [
        (mode, agent, NAMES[(i + j) % len(NAMES)], NORMALISER_MODES[(i + j) % len(NORMALISER_MODES)])
        for i, mode in enumerate(MODES)
        for j, agent in enumerate(AGENTS)
    ]
    + [("replay_mix", "ddpg", name, "continue") for name in NAMES]
    + [(mode, "ddpg", "future", "damp") for mode in MODES]
)


@pytest.mark.parametrize(("mode", "agent", "relabel", "normaliser"), COMBINATIONS)
def test_every_mode_runs_with_every_agent_strategy_and_normaliser(
    tmp_path: Path, sources: dict[str, Path], mode: str, agent: str, relabel: str, normaliser: str
) -> None:
    out = _tuned(
        sources[agent],
        tmp_path / "run",
        mode,
        relabel=relabel,
        normaliser=normaliser if MODES[mode].feeds else None,
        shift="action_gain=0.5",
    )
    rows = _rows(out)
    expected = 0 if mode == "zero_shot" else 50 if mode == "warm_start" else 100
    assert int(rows[-1]["gradient_steps"]) == expected
    assert len(rows) == (1 if mode == "zero_shot" else 3)
    written = read_config(out)
    assert (written.mode, written.shift) == (mode, "action_gain=0.5")
    before, after = _arrays(sources[agent]), _arrays(out)
    for field in FIELDS:  # what learns has learned, what does not has not
        assert np.array_equal(before[field], after[field]) == (mode == "zero_shot")


def test_a_share_of_a_learning_rate_that_there_is_not_is_refused() -> None:
    @dataclasses.dataclass(frozen=True)
    class Rateless:
        finetune_lr_share: float = 0.5

    tuned = TrainConfig("regoal/PointReach-v0", "out", agent=Rateless(), source="runs/source", mode="naive")  # type: ignore[arg-type]
    with pytest.raises(
        BadInput, match=r"agent\.finetune_lr_share: expected 1 of an agent that has no setting lr"
    ):
        agent_that_learns(tuned)


@pytest.mark.parametrize("mode", ["naive", "rlpd"])
def test_weights_that_are_kept_learn_at_their_own_rate_and_fresh_ones_at_the_usual(
    tmp_path: Path, sources: dict[str, Path], mode: str, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = {}
    for share in ("1", "0.001"):
        overrides = {"agent.finetune_lr_share": share}
        out = _tuned(sources["ddpg"], tmp_path / share, mode, overrides=overrides)
        before, after = _arrays(sources["ddpg"])["critic.flat"], _arrays(out)["critic.flat"]
        moved[share] = np.abs(after - before).mean()
    ratio = moved["0.001"] / moved["1"]
    assert ratio < 0.01 if mode == "naive" else ratio == 1
    assert capsys.readouterr().err.count("weights that are kept learn at 1e-06") == (mode == "naive")


def test_zero_shot_is_the_sources_policy_in_the_target(tmp_path: Path, sources: dict[str, Path]) -> None:
    out = _tuned(sources["sac"], tmp_path / "run", "zero_shot", shift="action_rotation=90", seed=7)
    naive = _tuned(sources["sac"], tmp_path / "naive", "naive", shift="action_rotation=90", seed=7)
    (row,) = _rows(out)
    assert (row["env_steps"], row["gradient_steps"], row["episodes"]) == ("0", "0", "0")
    assert row["success"] == _rows(naive)[0]["success"]
    assert row["return"] == _rows(naive)[0]["return"]


def test_scratch_is_training_in_the_target_and_nothing_else(tmp_path: Path, sources: dict[str, Path]) -> None:
    late = train(
        dataclasses.replace(read_config(sources["ddpg"]), out=str(tmp_path / "source"), learning_starts=150)
    )
    out = _tuned(late.path, tmp_path / "run", "scratch", shift="action_gain=0.5", seed=5)
    assert int(_rows(out)[-1]["gradient_steps"]) == 100 - 50
    plain = train(
        dataclasses.replace(
            read_config(late),
            out=str(tmp_path / "plain"),
            shift="action_gain=0.5",
            seed=5,
            steps=200,
            eval_interval=100,
            keep_replay=False,
        )
    )
    assert _rows(out) == _rows(plain.path)
    assert all(np.array_equal(value, _arrays(plain.path)[key]) for key, value in _arrays(out).items())


@pytest.mark.parametrize("agent", AGENTS)
def test_critics_warm_up_alone(tmp_path: Path, sources: dict[str, Path], agent: str) -> None:
    """With 100 steps of warm-up and 150 of the critics alone, the actor learns from 300 on."""
    out = _tuned(sources[agent], tmp_path / "run", "warm_start", critic_warmup_steps=150, steps=300)
    rows = _rows(out)
    assert [row["critic_loss"] != "" for row in rows] == [False, False, True, True]
    assert [row["actor_loss"] != "" for row in rows] == [False, False, False, True]


@pytest.mark.parametrize(("rate", "alone"), [(0.5, 25), (0.25, 13)])
def test_critics_warm_up_alone_however_long_a_block_is(
    tmp_path: Path, sources: dict[str, Path], monkeypatch: pytest.MonkeyPatch, rate: float, alone: int
) -> None:
    """A block of 400 steps earns all updates of 100 steps of warm-up and 50 of the critics at once."""
    learned: list[bool] = []
    update = DDPG.update

    def noted(self: DDPG, batch: Batch, *, actor_learns: bool = True, **options: Any) -> Any:
        learned.append(actor_learns)
        return update(self, batch, actor_learns=actor_learns, **options)

    monkeypatch.setattr(DDPG, "update", noted)
    settings = {"block_episodes": "8", "agent.updates_per_step": str(rate)}
    _tuned(sources["ddpg"], tmp_path / "run", critic_warmup_steps=50, steps=400, overrides=settings)
    assert learned == [False] * alone + [True] * (round(400 * rate) - alone)


@pytest.mark.parametrize("agent", AGENTS)
def test_an_update_of_the_critics_alone_leaves_the_actor(sources: dict[str, Path], agent: str) -> None:
    learner, batch = _learner_and_batch(sources[agent])
    before = state_of(learner)
    learner.update(batch, actor_learns=False)
    after = state_of(learner)
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    # The target actor goes on following the actor, which stays where it is.
    learned = {name.partition(".")[0] for name in changed} - {"target_actor"}
    assert learned == {"critic", "target_critic", "critic_optimiser"}


@pytest.mark.parametrize("agent", AGENTS)
def test_a_strong_pull_brings_the_actor_back_to_the_source(sources: dict[str, Path], agent: str) -> None:
    learner, batch = _learner_and_batch(sources[agent])
    spec_size = batch.action.shape[-1]
    anchor = Anchor(learner.actor, learner.normaliser, spec_size, "cpu")
    with torch.no_grad():
        learner.actor.flat += 0.1
    distances = []
    for _ in range(60):
        pull = anchor.pull(batch, 1_000.0)
        now = Anchor(learner.actor, learner.normaliser, spec_size, "cpu").pull(batch, 1.0)
        distances.append(float(pull.loss(now.action)) / 1_000.0)
        learner.update(batch, pull=pull)
    assert distances[0] > 0.05
    assert distances[-1] < 0.05 * distances[0]


def _learner_and_batch(source: Path) -> tuple[Any, Batch]:
    config = resolve(source, FinetuneConfig(out="never", mode="replay_mix", steps=300))
    spec = training.GoalSpec.of("regoal/PointReach-v0")
    begun = training.begin(training.validated(config), spec)
    for episode in read_segments(source, source_replay(config)):
        begun.experience.add(episode)
    return begun.learner, begun.experience.sample(32, 0)


def test_a_sources_rows_are_never_imitated_and_its_informative_share_falls_with_the_runs_own(
    sources: dict[str, Path],
) -> None:
    overrides = {"imitation": "2", "informative_share": "0.8", "informative_share_steps": "1000"}
    config = resolve(
        sources["ddpg"], FinetuneConfig(out="never", mode="rlpd", steps=300, overrides=overrides)
    )
    spec = training.GoalSpec.of("regoal/PointReach-v0")
    experience = training.begin(training.validated(config), spec).experience
    for episode in read_segments(sources["ddpg"], source_replay(config)):
        experience.add(episode)
    batch = experience.sample(256, 250)
    assert batch.n_source == 128
    assert not batch.new_goal[:128].any()
    assert batch.new_goal[128:].any()
    assert {name: one.informative_share for name, one in experience.buffers.items()} == {
        "own": pytest.approx(0.6),
        "source": pytest.approx(0.6),
    }
    spec.close()


def test_critics_start_afresh_and_the_actor_does_not(tmp_path: Path, sources: dict[str, Path]) -> None:
    started = _begun(sources["sac"], tmp_path, "warm_start", critic_reset=True)
    scratch = _begun(sources["sac"], tmp_path, "scratch")
    source = _arrays(sources["sac"])
    assert np.array_equal(started["actor.flat"], source["actor.flat"])
    assert np.array_equal(started["temperature.log_alpha"], source["temperature.log_alpha"])
    for name in ("critic.flat", "target_critic.flat", "critic_optimiser.0.exp_avg"):
        assert np.array_equal(started[name], scratch[name])
        assert not np.array_equal(started[name], source[name])


def test_fresh_critics_may_be_others_than_the_sources(tmp_path: Path, sources: dict[str, Path]) -> None:
    others = {"agent.n_critics": "3", "agent.target_critics": "1", "agent.critic_layer_norm": "true"}
    out = _tuned(sources["ddpg"], tmp_path / "run", critic_reset=True, overrides=others)
    assert _rows(out)[-1]["gradient_steps"] == "50"
    with pytest.raises(BadInput, match=r"agent.n_critics: expected the source's, 1, got 3"):
        _tuned(sources["ddpg"], tmp_path / "other", overrides=others)
    with pytest.raises(BadInput, match=r"agent.hidden: expected the source's"):
        _tuned(sources["ddpg"], tmp_path / "other", critic_reset=True, overrides={"agent.hidden": "[8]"})
    out = _tuned(sources["ddpg"], tmp_path / "rlpd", "rlpd", overrides=others)
    assert _rows(out)[-1]["gradient_steps"] == "100"


def test_critics_that_are_reset_learn_at_the_rate_of_fresh_ones(
    tmp_path: Path, sources: dict[str, Path]
) -> None:
    def rates(source: str, **changes: Any) -> dict[str, float]:
        overrides = {"agent.finetune_lr_share": "0.25"}
        config = FinetuneConfig(out=str(tmp_path / "never"), steps=300, overrides=overrides, **changes)
        spec = training.GoalSpec.of("regoal/PointReach-v0")
        learner = training.begin(training.validated(resolve(sources[source], config)), spec).learner
        return {name: optimiser.lr for name, optimiser in learner.optimisers().items()}

    for source, agent in AGENTS.items():
        kept = rates(source)
        assert set(kept.values()) == {agent.lr / 4}
        reset = kept | {"critic_optimiser": agent.lr}
        assert rates(source, critic_reset=True) == reset


def test_rlpd_takes_replay_and_input_statistics_but_no_network(
    tmp_path: Path, sources: dict[str, Path]
) -> None:
    started, scratch = (_begun(sources["ddpg"], tmp_path, mode) for mode in ("rlpd", "scratch"))
    source = _arrays(sources["ddpg"])
    for name, value in started.items():
        assert np.array_equal(value, (source if name.startswith("normaliser.") else scratch)[name]), name


def _begun(source: Path, folder: Path, mode: str, **changes: Any) -> dict[str, Any]:
    """A learner's arrays before its first step."""
    config = FinetuneConfig(out=str(folder / "never"), mode=mode, steps=300, **changes)
    spec = training.GoalSpec.of("regoal/PointReach-v0")
    return state_of(training.begin(training.validated(resolve(source, config)), spec).learner)


@pytest.mark.parametrize(
    ("mode", "first", "last"), [("replay_mix=0.8", 0.8, 0.2), ("rlpd", 0.5, 0.5), ("rlpd=0.25", 0.25, 0.25)]
)
def test_the_sources_share_of_a_batch_is_as_said(
    tmp_path: Path,
    sources: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
    first: float,
    last: float,
) -> None:
    seen: list[tuple[int, int]] = []
    sample = Experience.sample

    def noted(self: Experience, batch_size: int, env_steps: int) -> Batch:
        batch = sample(self, batch_size, env_steps)
        seen.append((env_steps, batch.n_source))
        return batch

    monkeypatch.setattr(Experience, "sample", noted)
    # Blocks of 100 steps: the updates come after 100, 200, 300 and 400 of 400 steps.
    _tuned(sources["ddpg"], tmp_path / "run", mode, steps=400)
    for steps, share in ((100, first if "rlpd" in mode else 0.6), (300, last)):
        counts = [n for at, n in seen if at == steps]
        assert len(counts) == 50
        assert np.mean(counts) / 32 == pytest.approx(share, abs=0.02)
    assert ({n for at, n in seen if at == 400} == {0}) == mode.startswith("replay_mix")


@pytest.mark.parametrize("agent", AGENTS)
def test_anchored_actors_stay_near_the_source(tmp_path: Path, sources: dict[str, Path], agent: str) -> None:
    distance = {}
    for mode in ("naive", "anchor=100"):
        out = _tuned(
            sources[agent],
            tmp_path / mode,
            mode,
            shift="action_rotation=90",
            steps=200,
            keep_replay=True,
            overrides={"anchor_steps": "0"} if mode != "naive" else {},
        )
        batch = list(read_segments(out, newest_checkpoint(out).segments))[-1]
        seen = batch.observation, batch.desired_goal
        actions = [newest_checkpoint(run).policy().act(*seen) for run in (sources[agent], out)]
        distance[mode] = float(np.square(actions[0] - actions[1]).mean())
    assert distance["anchor=100"] < 0.1 * distance["naive"]


def test_mixed_runs_repeat_themselves_whoever_plays(tmp_path: Path, sources: dict[str, Path]) -> None:
    runs = [
        _tuned(sources["ddpg"], tmp_path / f"{n}", "replay_mix", workers=n, keep_replay=True) for n in (0, 1)
    ]
    assert _rows(runs[0]) == _rows(runs[1])
    assert all(np.array_equal(value, _arrays(runs[1])[key]) for key, value in _arrays(runs[0]).items())
    first, second = (newest_checkpoint(run).segments for run in runs)
    assert first == second  # to the last byte of the files
    assert first


def test_an_anchor_holds_from_when_the_actor_learns(
    tmp_path: Path, sources: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    weights: list[float] = []
    pull = Anchor.pull
    monkeypatch.setattr(
        Anchor, "pull", lambda self, batch, weight: (weights.append(weight), pull(self, batch, weight))[1]
    )
    _tuned(
        sources["ddpg"],
        tmp_path / "run",
        "anchor=2",
        steps=600,
        critic_warmup_steps=200,
        overrides={"anchor_steps": "200"},
    )
    # Blocks of 100 steps: the actor first learns after 300, 100 past the warm-up, when half is left.
    assert weights == [1.0] * 50


@pytest.mark.parametrize(
    ("mode", "changes", "shares", "weights"),
    [
        # Evaluated after 0, 100 ... 400 of 400 steps. The share falls over all of them.
        ("replay_mix=0.8", {}, [0.8, 0.6, 0.4, 0.2, 0], [0] * 5),
        ("rlpd", {}, [0.5] * 5, [0] * 5),
        # The weight falls over half of them, once the actor learns.
        ("anchor=2", {"critic_warmup_steps": 100}, [0] * 5, [2, 2, 1, 0, 0]),
        ("anchor=2", {"overrides": {"anchor_steps": "0"}}, [0] * 5, [2] * 5),
        ("warm_start", {}, [0] * 5, [0] * 5),
    ],
)
def test_metrics_say_how_strongly_a_run_is_held_to_its_source(
    tmp_path: Path,
    sources: dict[str, Path],
    mode: str,
    changes: dict[str, Any],
    shares: list[float],
    weights: list[float],
) -> None:
    rows = _rows(_tuned(sources["ddpg"], tmp_path / "run", mode, steps=400, **changes))
    assert [float(row["source_share"]) for row in rows] == pytest.approx(shares)
    assert [float(row["anchor_weight"]) for row in rows] == pytest.approx(weights)
    assert not {"source_share", "anchor_weight"} & _rows(sources["ddpg"])[0].keys()  # it has no source


def test_a_source_is_left_as_it_is(tmp_path: Path, sources: dict[str, Path]) -> None:
    source = sources["ddpg"]
    before = {path: path.read_bytes() for path in sorted(source.rglob("*")) if path.is_file()}
    _tuned(source, tmp_path / "run", "rlpd", keep_replay=True)
    for inside in (source / "tuned", source / "checkpoints" / "000009"):
        with pytest.raises(BadInput, match="a folder outside the source's"):
            _tuned(source, inside, "naive")
    assert before == {path: path.read_bytes() for path in sorted(source.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("mode", ["scratch", "rlpd", "naive"])
def test_networks_that_start_afresh_want_settings_for_it(
    tmp_path: Path, sources: dict[str, Path], mode: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tuned = _tuned(sources["ddpg"], tmp_path / "tuned", keep_replay=True)
    for source, told in ((sources["ddpg"], False), (tuned, mode != "naive")):
        capsys.readouterr()
        resolve(source, FinetuneConfig(out="x", mode=mode))
        assert (f"name its source, {sources['ddpg']}" in capsys.readouterr().err) == told


def test_of_a_long_replay_the_newest_is_taken(tmp_path: Path, sources: dict[str, Path]) -> None:
    config = resolve(sources["ddpg"], FinetuneConfig(out="x", mode="rlpd", overrides={"capacity": "100"}))
    segments = newest_checkpoint(sources["ddpg"]).segments
    assert sum(segment.transitions for segment in segments) == 300
    spec = training.GoalSpec.of("regoal/PointReach-v0")
    experience = Experience(config, spec, source_replay(config))
    assert experience._mixed is not None
    storage = experience._mixed._source._storage
    assert len(storage) == 100
    held = [storage.desired_goal[slot].tolist() for slot in storage.slots()]
    newest = list(read_segments(sources["ddpg"], segments))[-2:]
    assert held == [episode.desired_goal.tolist() for episode in newest]


def test_weights_are_saved_where_episodes_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sources: dict[str, Path]
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("regoal.agent.experience.write_segments", full)
    with pytest.raises(SaveFault, match=r"No space left.*free space.*regoal resume"):
        _tuned(sources["ddpg"], tmp_path / "run", "naive", keep_replay=True)
    assert newest_checkpoint(tmp_path / "run").state["progress"]["run"]["env_steps"] == 200
    monkeypatch.undo()
    with pytest.warns(UserWarning, match="not all its episodes could be saved; falling back"):
        resume(tmp_path / "run")  # from the checkpoint before the first step
    assert newest_checkpoint(tmp_path / "run").state["progress"]["run"]["env_steps"] == 200


def test_modes_differ_in_settings_of_one_loop_alone(sources: dict[str, Path]) -> None:
    """Between any two modes nothing differs but how the run starts, and steps for zero-shot."""
    names = {*START, "learning_starts", "mode", "source", "steps"}
    plain = resolve(sources["ddpg"], FinetuneConfig(out="x", mode="naive"))
    for mode in MODES:
        other = resolve(sources["ddpg"], FinetuneConfig(out="x", mode=mode))
        differing = {
            field.name
            for field in dataclasses.fields(plain)
            if getattr(plain, field.name) != getattr(other, field.name)
        }
        assert differing <= names, mode


def test_the_guide_defines_every_mode() -> None:
    guide = (Path(__file__).parents[1] / "docs" / "finetuning.md").read_text()
    for name, mode in MODES.items():
        assert f"| `{name}` | {mode.does} | {mode.paper} |" in guide


def test_a_figure_fades_linearly_or_stays() -> None:
    assert [faded(0.8, steps, 400) for steps in (0, 100, 400, 900)] == pytest.approx([0.8, 0.6, 0, 0])
    assert faded(0.8, 10**9, 0) == 0.8
    at_once = START | {"learning_starts": 0}
    assert start_settings("anchor=2", 1000) == at_once | {"anchor": 2.0, "anchor_steps": 500}
    assert start_settings("replay_mix", 1000) == at_once | {"source_share": 0.5, "source_share_steps": 1000}
    assert start_settings("naive", 1000) == at_once
    assert start_settings("scratch", 1000) == START
    assert start_settings("anchor", 1)["anchor_steps"] == 1  # 0 would be never


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("replay_mx", "Did you mean replay_mix"),
        ("naive=2", "naive alone, got 'naive=2'. It takes no figure; replay_mix, rlpd, anchor do."),
        (
            "rlpd=x",
            "rlpd=SHARE, a number more than 0 and less than 1, got 'rlpd=x'. rlpd alone stands for rlpd=0.5.",
        ),
        ("replay_mix=", "replay_mix=SHARE"),
        ("replay_mix=1.5", "replay_mix=SHARE, a number more than 0 and less than 1, got 'replay_mix=1.5'"),
        ("replay_mix=nan", "replay_mix=SHARE"),
        ("rlpd=0", "rlpd=SHARE"),
        ("anchor=strong", "anchor=WEIGHT"),
        ("anchor=-1", "anchor=WEIGHT, a number more than 0, and finite, got 'anchor=-1'"),
        ("anchor=inf", "anchor alone stands for anchor=1."),
        ("", "one of zero_shot, scratch"),
    ],
)
def test_a_mode_that_cannot_be_read_is_refused(text: str, message: str) -> None:
    with pytest.raises(BadInput, match=re.escape(message)) as caught:
        parse_mode(text)
    assert caught.value.where == "mode"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mode": "replay_mix=1"}, "mode: expected replay_mix=SHARE"),
        ({"mode": "anchor=-1"}, "mode: expected anchor=WEIGHT"),
        ({"mode": "rlpd", "overrides": {"source_share": "1"}}, "source_share: expected in \\[0, 1\\)"),
        ({"mode": "replay_mix", "overrides": {"source_share": "0"}}, "more than 0 in mode 'replay_mix'"),
        ({"mode": "anchor", "overrides": {"anchor": "-1"}}, "anchor: expected 0 or more"),
        ({"mode": "anchor", "overrides": {"anchor": "1e999"}}, "anchor: expected a finite number"),
        ({"mode": "naive", "critic_reset": True}, "warm_start, replay_mix, anchor"),
        ({"mode": "naive", "overrides": {"critic_reset": "true"}}, "False in mode 'naive'"),
        ({"mode": "naive", "overrides": {"anchor_steps": "5"}}, "0 in mode 'naive'"),
        (
            {"mode": "naive", "overrides": {"learning_starts": "90"}},
            "learning_starts: expected 0 in mode 'naive'",
        ),
        ({"mode": "naive", "warmup_steps": 5}, "warmup_steps: expected mode 'warm_start'"),
        ({"mode": "naive", "overrides": {"mode": "rlpd"}}, "Use --mode"),
        ({"mode": "naive", "overrides": {"steps": "400"}}, "Use --steps"),
        ({"mode": "scratch", "critic_warmup_steps": 50}, "critic_warmup_steps"),
        ({"mode": "scratch", "normaliser": "freeze"}, "continue in mode 'scratch'"),
        ({"mode": "scratch", "overrides": {"anchor": "1"}}, "0.0 in mode 'scratch'"),
        ({"mode": "rlpd", "overrides": {"critic_reset": "true"}}, "False in mode 'rlpd'"),
        ({"mode": "rlpd", "overrides": {"fresh_networks": "false"}}, "True in mode 'rlpd'"),
        ({"mode": "rlpd", "overrides": {"env": "FetchReach-v4"}}, "observation size"),
        ({"mode": "warm_start", "critic_warmup_steps": 200}, "before the actor learns"),
        ({"mode": "zero_shot", "keep_replay": True}, "no episodes to keep"),
        ({"mode": "zero_shot", "steps": -50}, "steps: expected 1 or more"),
        ({"mode": 3}, "one of zero_shot"),
        ({"mode": None}, "mode: expected a value of type str"),
        ({"steps": "many"}, "steps: expected a value of type int"),
        ({"warmup_steps": "x"}, "warmup_steps: expected a value of type int"),
        ({"overrides": {"agent.lr": 0}}, "agent.lr: expected more than 0"),
    ],
)
def test_a_start_that_makes_no_sense_is_refused_and_writes_nothing(
    tmp_path: Path, sources: dict[str, Path], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        _tuned(sources["ddpg"], tmp_path / "out", **changes)
    assert not (tmp_path / "out").exists()


def test_a_label_without_what_it_means_is_refused(tmp_path: Path, sources: dict[str, Path]) -> None:
    source = read_config(sources["ddpg"])
    for mode in ("rlpd", "replay_mix", "anchor"):
        with pytest.raises(BadInput, match=f"in mode '{mode}'"):
            train(
                dataclasses.replace(source, out=str(tmp_path / "x"), mode=mode, source=str(sources["ddpg"]))
            )
    assert not (tmp_path / "x").exists()


def test_a_replay_of_longer_episodes_is_refused(tmp_path: Path, sources: dict[str, Path]) -> None:
    with pytest.raises(BadInput, match="episodes of at most 20 steps, the target's time limit"):
        _tuned(sources["ddpg"], tmp_path / "x", "rlpd", overrides={"env_kwargs": "{'max_episode_steps': 20}"})
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("mode", ["replay_mix", "rlpd"])
def test_a_source_without_replay_is_refused(tmp_path: Path, sources: dict[str, Path], mode: str) -> None:
    without = _tuned(sources["ddpg"], tmp_path / "without", "naive")
    with pytest.raises(BadInput, match=r"which did not\. Train it with --keep-replay"):
        _tuned(without, tmp_path / "out", mode)
    assert not (tmp_path / "out").exists()
