"""The training loop: what it writes, that it repeats itself, and that a run is never lost."""

import csv
import dataclasses
import signal
import tomllib
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from regoal import (
    BadInput,
    DDPGConfig,
    EnvFault,
    FinetuneConfig,
    Policy,
    SACConfig,
    TrainConfig,
    finetune,
    train,
)
from regoal.agent import training
from regoal.agent.checkpoints import newest_checkpoint
from regoal.agent.interrupts import Stopped
from regoal.agent.loop import RunResult
from regoal.agent.replay_files import read_segments
from regoal.agent.rollouts import Rollouts
from regoal.agent.run_folder import read_config
from regoal.errors import TrainingFault

SMALL = DDPGConfig(hidden=(16, 16), batch_size=32)
SMALL_SAC = SACConfig(hidden=(16, 16), batch_size=32)


def config(out: Path, **changes: object) -> TrainConfig:
    plain = TrainConfig(
        env="regoal/PointReach-v0",
        out=str(out),
        agent=SMALL,
        steps=400,
        eval_interval=200,
        eval_episodes=4,
        checkpoint_interval=200,
        workers=0,
    )
    return dataclasses.replace(plain, **changes)


def metrics(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def without_wall(run: Path) -> list[dict[str, str]]:
    return [{k: v for k, v in row.items() if not k.startswith("wall_")} for row in metrics(run)]


@pytest.mark.parametrize("agent", [SMALL, SMALL_SAC])
def test_the_same_command_gives_the_same_metrics_and_weights(
    tmp_path: Path, agent: DDPGConfig | SACConfig
) -> None:
    runs = [tmp_path / name for name in "abc"]
    for run, seed in zip(runs, (0, 0, 1), strict=True):
        train(config(run, agent=agent, seed=seed, steps=200, eval_interval=100))
    assert without_wall(runs[0]) == without_wall(runs[1])
    assert (runs[0] / "episodes.csv").read_bytes() == (runs[1] / "episodes.csv").read_bytes()
    one, other, third = (newest_checkpoint(run).learner_arrays() for run in runs)
    assert all(np.array_equal(one[key], other[key]) for key in one)
    assert without_wall(runs[0]) != without_wall(runs[2])
    assert any(not np.array_equal(one[key], third[key]) for key in one)


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """The run of `config` as it stands; reading it, and fine-tuning from it, changes nothing in it."""
    return train(config(tmp_path_factory.mktemp("usual") / "run"))


def test_a_run_folder_says_all_about_the_run(usual: RunResult) -> None:
    result, run = usual, usual.path
    rows = metrics(run)
    assert [int(row["env_steps"]) for row in rows] == [0, 200, 400]
    assert [int(row["gradient_steps"]) for row in rows] == [0, 100, 200]
    assert result.success == float(rows[-1]["success"])
    assert result.env_steps == 400
    assert read_config(run) == config(run)
    about = tomllib.loads((run / "run.toml").read_text())
    assert about["command"]
    assert about["versions"]["torch"].startswith("2.")
    episodes = (run / "episodes.csv").read_text().splitlines()
    assert len(episodes) == 1 + 8
    reached = newest_checkpoint(run).state["progress"]["run"]
    assert (reached["env_steps"], reached["gradient_steps"], reached["episodes"]) == (400, 200, 8)


def test_tensorboard_events_carry_the_usual_names(usual: RunResult) -> None:
    events = EventAccumulator(str(usual.path))
    events.Reload()
    tags = set(events.Tags()["scalars"])
    assert {
        "rollout/success_rate",
        "eval/success_rate",
        "train/critic_loss",
        "train/actor_loss",
        "time/fps",
    } <= tags
    assert [point.step for point in events.Scalars("eval/success_rate")] == [0, 200, 400]


def test_a_policy_loads_without_env_and_acts_on_one_or_many(usual: RunResult) -> None:
    policy = Policy.load(usual.path)
    one = policy.act(np.zeros(4), np.ones(2))
    assert one.shape == (2,)
    assert one.dtype == np.float32
    many = policy.act(np.zeros((5, 4)), np.ones((5, 2)))
    np.testing.assert_allclose(many, np.tile(one, (5, 1)), atol=1e-6)
    np.testing.assert_allclose(policy.act(np.zeros((5, 4)), np.ones(2)), many)
    with pytest.raises(BadInput, match=r"desired_goal.*\(2,\)"):
        policy.act(np.zeros(4), np.ones(3))


def test_a_folder_with_something_in_it_is_refused_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "precious.txt").write_text("mine")
    monkeypatch.setattr(training, "require_contract", lambda recipe: pytest.fail("played first"))
    with pytest.raises(BadInput, match="never overwritten"):
        train(config(tmp_path / "run"))
    assert (tmp_path / "run" / "precious.txt").read_text() == "mine"


def test_block_n_is_collected_with_the_weights_from_before_the_updates_on_block_n_minus_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    acted_with, updates_done = [], []
    plain_collect, plain_update = Rollouts.collect, training.Training._update

    def collect(self, policy, indices, *rest):  # type: ignore[no-untyped-def]
        acted_with.append(policy)
        plain_collect(self, policy, indices, *rest)

    def update(self, rollouts):  # type: ignore[no-untyped-def]
        before = self.learner.policy()
        plain_update(self, rollouts)
        updates_done.append((before, self.learner.policy()))

    monkeypatch.setattr(Rollouts, "collect", collect)
    monkeypatch.setattr(training.Training, "_update", update)
    train(config(tmp_path / "run"))

    def same(one: Policy, other: Policy) -> bool:
        return all(np.array_equal(a, b) for a, b in zip(one.weights, other.weights, strict=True))

    assert len(acted_with) == 4
    for n in range(1, 4):
        before, after = updates_done[n - 1]
        assert same(acted_with[n], before)
        assert not same(acted_with[n], after)


def test_ctrl_c_ends_with_a_checkpoint_and_the_handler_is_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = signal.getsignal(signal.SIGINT)
    plain = Rollouts.episodes

    def collect_then_interrupt(self, spoiled):  # type: ignore[no-untyped-def]
        yield from plain(self, spoiled)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Rollouts, "episodes", collect_then_interrupt)
    with pytest.raises(Stopped, match="run"):
        train(config(tmp_path / "run"))
    assert signal.getsignal(signal.SIGINT) is handler
    assert newest_checkpoint(tmp_path / "run").state["progress"]["run"]["env_steps"] == 100
    assert Policy.load(tmp_path / "run").act(np.zeros(4), np.zeros(2)).shape == (2,)


@pytest.mark.parametrize(("relabel", "goals_a_step"), [("future", 2), ("none", 1)])
def test_input_statistics_are_fed_with_hindsight_goals_where_goals_are_relabelled(
    tmp_path: Path, relabel: str, goals_a_step: int
) -> None:
    train(config(tmp_path / "run", relabel=relabel, steps=200, keep_replay=True))
    arrays = newest_checkpoint(tmp_path / "run").learner_arrays()
    assert arrays["normaliser.goal.count"][0] == 200 * goals_a_step
    assert arrays["normaliser.observation.count"][0] == 200 + 4  # one state more than steps an episode
    fed = []
    for episode in read_segments(tmp_path / "run", newest_checkpoint(tmp_path / "run").segments):
        fed.append(np.tile(episode.desired_goal, (len(episode), 1)))
        if goals_a_step == 2:
            fed.append(episode.achieved_goal[1:])
    np.testing.assert_allclose(arrays["normaliser.goal.mean"], np.concatenate(fed).mean(axis=0), rtol=1e-5)
    deviations = np.concatenate(fed).var(axis=0) * arrays["normaliser.goal.count"]
    np.testing.assert_allclose(arrays["normaliser.goal.sum_of_squares"], deviations, rtol=1e-5)


def test_a_row_of_metrics_tells_of_the_episodes_since_the_last_one(tmp_path: Path) -> None:
    train(config(tmp_path / "run", steps=600, eval_interval=200))
    episodes, rows = (
        list(csv.DictReader((tmp_path / "run" / name).open())) for name in ("episodes.csv", "metrics.csv")
    )
    assert [int(row["env_steps"]) for row in rows] == [0, 200, 400, 600]
    for row in rows[1:]:
        end = int(row["env_steps"])
        mine = [one for one in episodes if end - 200 < int(one["env_steps"]) <= end]
        assert len(mine) == 4
        for column, of_episode in (("rollout_return", "return"), ("rollout_success", "success")):
            mean = np.mean([float(one[of_episode]) for one in mine])
            assert float(row[column]) == pytest.approx(mean, rel=1e-5)
    assert len({row["rollout_return"] for row in rows}) > 2


def test_sigterm_checkpoints_and_says_143(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Rollouts.episodes

    def collect_then_terminate(self, spoiled):  # type: ignore[no-untyped-def]
        yield from plain(self, spoiled)
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(Rollouts, "episodes", collect_then_terminate)
    with pytest.raises(Stopped) as caught:
        train(config(tmp_path / "run"))
    assert caught.value.exit_code == 143
    assert newest_checkpoint(tmp_path / "run").state["progress"]["run"]["env_steps"] == 100


def test_a_second_signal_ends_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def impatient(self, spoiled):  # type: ignore[no-untyped-def]
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Rollouts, "episodes", impatient)
    with pytest.raises(KeyboardInterrupt) as caught:
        train(config(tmp_path / "run"))
    assert not isinstance(caught.value, Stopped)


def test_the_shift_is_written_down_in_its_canonical_text(tmp_path: Path) -> None:
    train(config(tmp_path / "run", steps=100, shift=" action_delay=1 ,action_gain=0.50"))
    assert read_config(tmp_path / "run").shift == "action_gain=0.5,action_delay=1"


def test_nothing_is_learned_before_learning_starts(tmp_path: Path) -> None:
    train(config(tmp_path / "run", learning_starts=200))
    assert [int(row["gradient_steps"]) for row in metrics(tmp_path / "run")] == [0, 0, 100]


def test_fine_tuning_starts_from_the_source_and_leaves_it_alone(tmp_path: Path, usual: RunResult) -> None:
    source = usual.path
    before = {path: path.read_bytes() for path in sorted(source.rglob("*")) if path.is_file()}
    zero_shot = {}
    for mode in ("naive", "warm_start"):
        finetune(
            source,
            FinetuneConfig(
                out=str(tmp_path / mode),
                mode=mode,
                steps=300,
                warmup_steps=100 if mode == "warm_start" else None,
                seed=0,  # the source's: the same evaluations
                eval_interval=100,
                eval_episodes=4,
                workers=0,
            ),
        )
        rows = metrics(tmp_path / mode)
        zero_shot[mode] = rows[0]["success"]
        expected = [0, 50, 100, 150] if mode == "naive" else [0, 0, 50, 100]
        assert [int(row["gradient_steps"]) for row in rows] == expected
        written = read_config(tmp_path / mode)
        assert (written.source, written.mode, written.agent) == (str(source), mode, SMALL)
    assert zero_shot["naive"] == zero_shot["warm_start"] == metrics(source)[-1]["success"]
    assert before == {path: path.read_bytes() for path in sorted(source.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("agent", [SMALL, SMALL_SAC])
def test_fine_tuning_without_an_update_keeps_the_source_to_the_last_bit(
    tmp_path: Path, agent: DDPGConfig | SACConfig
) -> None:
    source = train(config(tmp_path / "source", agent=agent, steps=100))
    tuned = finetune(
        source,
        FinetuneConfig(
            out=str(tmp_path / "tuned"),
            steps=101,
            warmup_steps=100,
            critic_warmup_steps=0,
            seed=5,
            normaliser="freeze",
            eval_episodes=2,
            workers=0,
            overrides={"agent.updates_per_step": "1e-9"},
        ),
    )
    assert tuned.gradient_steps == 0
    before, after = (newest_checkpoint(run.path).learner_arrays() for run in (source, tuned))
    assert before.keys() == after.keys()
    assert any(key.startswith("critic_optimiser.") for key in before)
    for key in before:
        np.testing.assert_array_equal(before[key], after[key], err_msg=key)


@pytest.mark.parametrize(("mode", "count"), [("freeze", 408), ("continue", 408 + 102), ("refit", 102)])
def test_fine_tuning_treats_input_statistics_as_asked(
    tmp_path: Path, usual: RunResult, mode: str, count: int
) -> None:
    target = FinetuneConfig(
        out=str(tmp_path / "tuned"), steps=100, mode="naive", normaliser=mode, eval_episodes=2, workers=0
    )
    tuned = finetune(usual, target)
    assert newest_checkpoint(tuned.path).learner_arrays()["normaliser.observation.count"][0] == count


def out_of_rows(at, rng):  # type: ignore[no-untyped-def]
    return at.first_row + 10**6


def crashes(at, rng):  # type: ignore[no-untyped-def]
    return 1 // 0


@pytest.mark.parametrize(("strategy", "error"), [("out_of_rows", BadInput), ("crashes", ZeroDivisionError)])
def test_any_error_leaves_a_run_that_loads(tmp_path: Path, strategy: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        train(config(tmp_path / "run", relabel=f"{__name__}:{strategy}"))
    assert newest_checkpoint(tmp_path / "run").state["progress"]["run"]["env_steps"] == 100


@pytest.mark.parametrize("agent", [SMALL, SMALL_SAC])
def test_diverged_learning_is_called_by_its_name_and_not_saved(
    tmp_path: Path, agent: DDPGConfig | SACConfig
) -> None:
    with pytest.raises(TrainingFault, match=r"agent\.lr"):
        train(config(tmp_path / "run", agent=dataclasses.replace(agent, lr=1e30)))
    assert np.isfinite(Policy.load(tmp_path / "run").act(np.zeros(4), np.zeros(2))).all()


def test_whole_episodes_before_a_fault_are_kept(tmp_path: Path) -> None:
    # The env breaks in episode 6; blocks of four begin with episode 4.
    with pytest.raises(EnvFault, match="episode 6"):
        train(
            config(
                tmp_path / "run",
                env="late_envs:late/MissingKey-v0",
                steps=600,
                block_episodes=4,
                eval_interval=10_000,
            )
        )
    assert newest_checkpoint(tmp_path / "run").state["progress"]["run"]["env_steps"] == 300
    assert len((tmp_path / "run" / "episodes.csv").read_text().splitlines()) == 1 + 6


def test_values_that_toml_cannot_hold_are_refused_and_write_nothing(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="env_kwargs"):
        train(config(tmp_path / "run", env_kwargs={"render_mode": None}))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mode": "niave"}, "Did you mean naive"),
        ({"warmup_steps": -1}, "warmup_steps"),
        ({"normaliser": "melt"}, "freeze, continue, refit"),
        ({"overrides": {"env": "FetchReach-v4"}}, "observation size"),
        ({"overrides": {"agent.hidden": "(8, 8)"}}, "agent.hidden"),
        ({"overrides": {"agent.lrr": "1"}}, "agent.lr"),
        ({"relabel": "futur"}, "Did you mean future"),
        ({"relabel": "4*futur"}, "Did you mean future"),
        ({"relabel": "0*future+1*random"}, "a positive weight"),
    ],
)
def test_fine_tuning_that_makes_no_sense_is_refused_and_writes_nothing(
    tmp_path: Path, source_run: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        finetune(source_run, FinetuneConfig(out=str(tmp_path / "out"), **changes))
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def source_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("source") / "run"
    train(config(run, steps=100))
    return run


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps: expected 1 or more"),
        ({"relabel": "hindsight"}, "relabel"),
        ({"n_sampled_goal": -1}, "n_sampled_goal"),
        ({"agent": DDPGConfig(gamma=1.0)}, "agent.gamma"),
        ({"device": "cuda:99"}, "device: expected a device that PyTorch can use here"),
        ({"device": "gpu"}, "device: expected a device that PyTorch can use here.*--device cpu"),
        ({"agent": DDPGConfig(hidden=())}, "agent.hidden"),
        ({"mode": "naive"}, "source"),
        ({"env": "regoal/PointReech-v0"}, "PointReach"),
        ({"env": "no_such_module_anywhere:x/Y-v0"}, "no_such_module_anywhere"),
        ({"shift": "frictoin=2"}, "friction"),
    ],
)
def test_bad_settings_are_refused_and_write_nothing(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        train(config(tmp_path / "run", **changes))
    assert not (tmp_path / "run").exists()


def test_a_shift_drawn_per_episode_is_recorded(tmp_path: Path) -> None:
    train(config(tmp_path / "run", shift="action_gain=0.5..2", steps=200))
    with (tmp_path / "run" / "episodes.csv").open(newline="") as file:
        drawn = [row["shift"] for row in csv.DictReader(file)]
    values = [float(text.removeprefix("action_gain=")) for text in drawn]
    assert len(set(values)) == len(values)
    assert all(0.5 <= value <= 2 for value in values)


def test_a_policy_that_does_not_learn_yet_stays_as_it_is(
    tmp_path: Path, source_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its input statistics would make another one of it, were they taken over as they are counted."""
    plain, evaluated = Rollouts.evaluate, []

    def noted(self: Rollouts, policy: Policy, n_episodes: int) -> None:
        evaluated.append(policy)
        plain(self, policy, n_episodes)

    monkeypatch.setattr(Rollouts, "evaluate", noted)
    finetune(
        source_run,
        FinetuneConfig(
            out=str(tmp_path / "run"),
            shift="action_gain=0.5",
            steps=400,
            warmup_steps=100,
            critic_warmup_steps=100,
            eval_interval=100,
            eval_episodes=1,
            workers=0,
        ),
    )
    source = Policy.load(source_run)
    same = [
        all(np.array_equal(one, two) for one, two in zip(source.arrays, policy.arrays, strict=True))
        for policy in evaluated
    ]
    assert same == [True, True, True, False, False]  # after 0, 100, 200, 300 and 400 steps
    arrays = newest_checkpoint(tmp_path / "run").learner_arrays()
    assert arrays["normaliser.noise.count"][0] > 400, "it is measured all the same"
