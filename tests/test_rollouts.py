"""Rollout workers: the same numbers for any count, replaced when they die or hang, gone when the run is."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from test_training import SMALL, SMALL_SAC, config, without_wall

from regoal import BadInput, DDPGConfig, EnvFault, SACConfig, TrainConfig, resume, train
from regoal.agent import loop
from regoal.agent.checkpoints import newest_checkpoint
from regoal.agent.clock import N_CLOCKS, Clock
from regoal.agent.crew import Crew
from regoal.agent.learner import make_learner
from regoal.agent.machine import worker_count
from regoal.agent.normaliser import Normaliser
from regoal.agent.policy import Policy
from regoal.agent.rollouts import Rollouts
from regoal.agent.run_state import RunState
from regoal.benchmarks.tables import read_rows
from regoal.envs.goal_spec import GoalSpec
from regoal.envs.point_reach import PointReach
from regoal.envs.recipe import EnvRecipe
from regoal.errors import WorkerFault

TESTS = str(Path(__file__).parent)


@pytest.fixture(autouse=True)
def _workers_find_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(TESTS)


def policy_for(spec: GoalSpec, agent: DDPGConfig = SMALL) -> Policy:
    return make_learner(agent, spec, Normaliser(spec.observation_size, spec.goal_size), 0).policy()


@pytest.fixture(scope="module")
def spec() -> Iterator[GoalSpec]:
    spec = GoalSpec.of("regoal/PointReach-v0")
    yield spec
    spec.close()


def assert_same_run(one: Path, other: Path) -> None:
    assert without_wall(one) == without_wall(other)
    assert (one / "episodes.csv").read_bytes() == (other / "episodes.csv").read_bytes()
    weights, others = (newest_checkpoint(run).learner_arrays() for run in (one, other))
    assert weights.keys() == others.keys()
    for name, value in weights.items():
        np.testing.assert_array_equal(value, others[name], err_msg=name)


@pytest.mark.parametrize(
    ("env", "agent", "counts"),
    [("regoal/PointReach-v0", SMALL_SAC, (1, 4)), ("FetchReach-v4", SMALL, (4,))],
)
def test_any_number_of_workers_gives_the_same_data_and_weights(
    tmp_path: Path, env: str, agent: DDPGConfig | SACConfig, counts: tuple[int, ...]
) -> None:
    plain = config(tmp_path, env=env, agent=agent, steps=300, eval_episodes=3, block_episodes=3)
    for workers in (0, *counts):
        train(dataclasses.replace(plain, out=str(tmp_path / str(workers)), workers=workers))
    for workers in counts:
        assert_same_run(tmp_path / "0", tmp_path / str(workers))


def test_worlds_drawn_per_episode_do_not_depend_on_who_plays(tmp_path: Path) -> None:
    for workers in (0, 2):
        shift = "action_gain=0.5..2,observation_noise=0.01"
        train(config(tmp_path / str(workers), shift=shift, workers=workers, steps=200))
    assert_same_run(tmp_path / "0", tmp_path / "2")


@pytest.mark.parametrize(("random_hold", "count"), [(1, 3), (4, 2)])
def test_episodes_come_in_order_and_evaluations_alike(spec: GoalSpec, random_hold: int, count: int) -> None:
    policy = policy_for(spec, dataclasses.replace(SMALL, random_hold=random_hold))
    found = []
    for workers in (0, count):
        with Rollouts(spec, 5, policy, block_episodes=7, workers=workers, helps=False) as rollouts:
            rollouts.evaluate(policy, 5)
            rollouts.collect(policy, range(20, 27))
            episodes = list(rollouts.episodes())
            found.append((episodes, rollouts.evaluation()))
    (ours, our_evaluation), (theirs, their_evaluation) = found
    assert [one.index for one in theirs] == list(range(20, 27))
    assert our_evaluation == their_evaluation
    for one, other in zip(ours, theirs, strict=True):
        for field in dataclasses.fields(one):
            mine, yours = getattr(one, field.name), getattr(other, field.name)
            np.testing.assert_array_equal(mine, yours)
            assert getattr(mine, "dtype", None) == getattr(yours, "dtype", None)


def test_the_last_episodes_are_for_whoever_is_free_first(spec: GoalSpec) -> None:
    policy = policy_for(spec)
    with Rollouts(spec, 5, policy, block_episodes=4, workers=1) as rollouts:
        crew = rollouts._crew
        assert crew is not None
        (worker,) = crew._workers
        while not worker.ready:
            crew.wait(1)
            rollouts.poll()
        rollouts.collect(policy, [0, 1])
        assert [task.index for task in worker.tasks] == [0]  # 1 is played here, if learning has nothing to do
        assert [episode.index for episode in rollouts.episodes()] == [0, 1]
        rollouts.collect(policy, [2, 3, 4, 5])
        assert [task.index for task in worker.tasks] == [2, 3]  # never idle while more are to come
        assert [episode.index for episode in rollouts.episodes()] == [2, 3, 4, 5]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run without workers."""
    run = tmp_path_factory.mktemp("alone") / "run"
    train(config(run))
    return run


def workers_of(run: int) -> list[int]:
    """Rollout workers of a process."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == run and "regoal.agent.worker" in (folder / "cmdline").read_text():
                found.append(int(folder.name))
        except (OSError, ValueError):  # it ended meanwhile
            continue
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
@pytest.mark.parametrize(
    ("number", "why"), [(signal.SIGKILL, "ended by signal 9"), (signal.SIGSTOP, "no step")]
)
def test_a_worker_that_dies_or_hangs_is_replaced_and_numbers_stay(
    tmp_path: Path,
    alone: Path,
    capfd: pytest.CaptureFixture[str],
    number: int,
    why: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain, struck = Rollouts.collect, []

    def strike(self, policy, indices, *rest):  # type: ignore[no-untyped-def]
        plain(self, policy, indices, *rest)
        if indices[0] in (2, 6):
            victim = self._crew._workers[0]
            while not victim.ready:
                self.poll()
            os.kill(victim._process.pid, number)
            struck.append(victim)

    monkeypatch.setattr(Rollouts, "collect", strike)
    train(config(tmp_path / "struck", workers=1, hang_seconds=0.5))
    assert len(struck) == 2
    told = [line for line in capfd.readouterr().err.splitlines() if "it is replaced" in line]
    assert len(told) == 2
    assert all(why in line for line in told)
    assert_same_run(alone, tmp_path / "struck")
    assert not workers_of(os.getpid())


@pytest.mark.parametrize(
    ("deed", "workers", "why"),
    [("Die", 1, "exit code 7"), ("Hang", 1, "took no step for 0.5 s"), ("Hang", 0, "took no step for 0.5 s")],
)
def test_an_env_that_ends_its_process_twice_is_played_a_third_time(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    deed: str,
    workers: int,
    why: str,
) -> None:
    deadly = tmp_path / "deadly"
    deadly.write_bytes(b"")
    monkeypatch.setenv("DEADLY_FILE", str(deadly))
    spec = GoalSpec.of(f"deadly_envs:deadly/{deed}-v0")
    policy = policy_for(spec)
    options = {"block_episodes": 2, "workers": workers, "hang_seconds": 0.5, "helps": False}
    with Rollouts(spec, 0, policy, **options) as rollouts:
        rollouts.collect(policy, range(2))
        assert [episode.index for episode in rollouts.episodes()] == [0, 1]
        deadly.write_bytes(b"xx")
        rollouts.collect(policy, range(2, 4))
        assert [episode.index for episode in rollouts.episodes()] == [2, 3]
        deadly.write_bytes(b"xxx")
        rollouts.collect(policy, range(4, 6))
        with pytest.raises(WorkerFault, match=rf"episode 4.*3 that did not.*{why}.*--workers 0"):
            list(rollouts.episodes())
    spec.close()
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert capfd.readouterr().err.count("it is replaced") == 4


@pytest.mark.parametrize("workers", [0, 1])
def test_an_env_that_takes_long_to_build_does_not_hang(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], workers: int
) -> None:
    spec = GoalSpec.of("deadly_envs:deadly/SlowToBuild-v0")
    policy = policy_for(spec)
    monkeypatch.setenv("BUILDING_SECONDS", "1")
    with Rollouts(spec, 0, policy, block_episodes=2, workers=workers, hang_seconds=0.4) as rollouts:
        rollouts.evaluate(policy, 2)
        rollouts.collect(policy, range(2))
        assert [episode.index for episode in rollouts.episodes()] == [0, 1]
        assert rollouts.evaluation().episodes == 2
    assert "replaced" not in capfd.readouterr().err


def take_numbers(rollouts: Rollouts, into: list[int]) -> None:
    for episode in rollouts.episodes():
        into.append(episode.index)


@pytest.mark.parametrize("name", ["Raises", "Nan"])
def test_a_fault_in_a_worker_is_told_as_at_home(tmp_path: Path, name: str) -> None:
    told = []
    for workers in (0, 1):
        spec = GoalSpec.of(f"late_envs:late/{name}-v0")
        policy = policy_for(spec)
        with Rollouts(spec, 0, policy, block_episodes=8, workers=workers, helps=False) as rollouts:
            rollouts.collect(policy, range(8))
            taken: list[int] = []
            with pytest.raises(EnvFault) as caught:
                take_numbers(rollouts, taken)
        spec.close()
        told.append((str(caught.value), caught.value.discarded_steps, taken))
    assert told[0] == told[1]
    assert told[0][1:] == (1, [0, 1, 2, 3, 4, 5])


def test_an_exception_that_does_not_cross_is_told_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deadly = tmp_path / "deadly"
    deadly.write_bytes(b"")
    monkeypatch.setenv("DEADLY_FILE", str(deadly))
    spec = GoalSpec.of("deadly_envs:deadly/Refuse-v0")
    policy = policy_for(spec)
    with Rollouts(spec, 0, policy, block_episodes=1, workers=1, helps=False) as rollouts:
        deadly.write_bytes(b"x")
        rollouts.collect(policy, [0])
        with pytest.raises(EnvFault, match=r"Unpicklable: 1 and 2.*refuse in deadly_envs\.py"):
            list(rollouts.episodes())
    spec.close()


RUN = """
import sys
import regoal
# No `if __name__ == "__main__"`: workers must not import this script again.
regoal.train(
    regoal.TrainConfig(
        env="regoal/PointReach-v0",
        out=sys.argv[1],
        steps=int(sys.argv[2]),
        workers=2,
        eval_interval=200,
        agent=regoal.DDPGConfig(hidden=(16, 16), batch_size=32),
    )
)
"""


def nameless_and_named_memory() -> set[str]:
    shared = {str(path) for path in Path("/dev/shm").iterdir()}
    return {path for path in shared if "regoal" in path or "psm" in path or "pymp" in path}


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_nothing_is_left_of_a_run_that_was_killed(tmp_path: Path) -> None:
    script, out = tmp_path / "script.py", tmp_path / "run"
    script.write_text(RUN)
    before = nameless_and_named_memory()
    process = subprocess.Popen([sys.executable, str(script), str(out), "10000000"], stderr=subprocess.PIPE)
    metrics = out / "metrics.csv"
    wait_for(lambda: metrics.exists() and metrics.read_text().count("\n") >= 4)
    workers = workers_of(process.pid)
    assert len(workers) == 2
    for worker in workers:
        assert "libtorch" not in Path(f"/proc/{worker}/maps").read_text(), "workers stay small"
    process.kill()
    process.communicate()
    wait_for(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers), seconds=10)
    assert nameless_and_named_memory() == before


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_even_a_hanging_worker_ends_with_its_run(tmp_path: Path) -> None:
    deadly = tmp_path / "deadly"
    deadly.write_bytes(b"")
    script = tmp_path / "script.py"
    script.write_text(f"""
import sys; sys.path.insert(0, {TESTS!r})
import time
from regoal.agent.rollouts import Rollouts
from regoal.envs.goal_spec import GoalSpec
from test_rollouts import policy_for
spec = GoalSpec.of("deadly_envs:deadly/Hang-v0")
policy = policy_for(spec)
with Rollouts(spec, 0, policy, block_episodes=1, workers=1, helps=False) as rollouts:
    while not rollouts._crew._workers[0].ready:
        rollouts.poll()
    open({str(deadly)!r}, "w").write("x")
    rollouts.collect(policy, [0])
    print("asked", flush=True)
    time.sleep(1000)
""")
    environment = os.environ | {"DEADLY_FILE": str(deadly)}
    process = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "asked\n"
    wait_for(lambda: deadly.stat().st_size == 0)  # from now on it hangs
    workers = workers_of(process.pid)
    assert len(workers) == 1
    process.kill()
    process.wait()
    wait_for(lambda: not Path(f"/proc/{workers[0]}").exists(), seconds=10)


def test_a_script_without_a_main_guard_may_use_workers(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(RUN)
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "run"), "400"],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    assert newest_checkpoint(tmp_path / "run").state["progress"]["run"]["env_steps"] == 400


def wait_for(condition: "object", seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def test_an_env_of_the_script_itself_is_played_in_its_process(tmp_path: Path) -> None:
    gym.register("mine/Local-v0", entry_point=PointReach, max_episode_steps=50)
    recipe = EnvRecipe("mine/Local-v0")
    plain = TrainConfig(env="mine/Local-v0", out=str(tmp_path / "run"))
    assert worker_count(plain, recipe) == 0
    with pytest.raises(BadInput, match="workers: expected an env and a shift that another process can build"):
        train(dataclasses.replace(plain, workers=1))
    assert not (tmp_path / "run").exists()


def test_auto_leaves_a_core_for_learning(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = EnvRecipe("regoal/PointReach-v0")
    for cores, block, expected in ((1, 2, 0), (2, 2, 1), (8, 2, 2), (8, 16, 7)):
        monkeypatch.setattr("regoal.agent.machine.cores", lambda cores=cores: cores)
        plain = TrainConfig(env=recipe.env_id, out="x", block_episodes=block)
        assert worker_count(plain, recipe) == expected
        assert worker_count(dataclasses.replace(plain, workers=3), recipe) == 3


def test_a_profile_counts_what_workers_have_done_so_far(spec: GoalSpec) -> None:
    policy = policy_for(spec)
    with Rollouts(
        spec, 0, policy, block_episodes=2, workers=1, clocks=np.zeros(N_CLOCKS), helps=False
    ) as rollouts:
        rollouts.collect(policy, range(2))
        assert len(list(rollouts.episodes())) == 2
        assert rollouts.seconds()[Clock.ROLLOUT] > 0  # this process has played nothing


def test_a_policy_crosses_shared_memory_to_the_last_bit(spec: GoalSpec) -> None:
    policy = policy_for(spec)
    with Rollouts(spec, 0, policy, block_episodes=1, workers=1) as rollouts:
        rollouts.collect(policy, [0])
        crew = rollouts._crew
        assert isinstance(crew, Crew)
        copied = crew.shared.read_policy(0, crew._assignment.shapes)
        for one, other in zip(policy.arrays, copied, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"workers": -2}, "workers: expected 0 or more"),
        ({"hang_seconds": 0.0}, "hang_seconds"),
        ({"hang_seconds": 1e12}, "hang_seconds: expected 10,000,000 or less"),
    ],
)
def test_impossible_settings_are_refused(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        train(config(tmp_path / "run", **changes))


def test_a_profile_is_of_one_sitting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(config(tmp_path / "run", profile=True, keep_replay=True))
    told: list[float] = []

    def report(clocks: object, seconds: float, workers: int) -> str:
        told.append(seconds)
        return ""

    monkeypatch.setattr(loop, "profile_report", report)
    read = RunState.from_json

    def after_an_hour(values: object) -> RunState:
        state = read(values)
        state.wall_seconds += 3_600
        return state

    monkeypatch.setattr(RunState, "from_json", after_an_hour)
    resume(tmp_path / "run", steps=600)
    assert len(told) == 1
    assert told[0] < 600
    # The clock of the run goes on where it was.
    seconds = [float(row["wall_seconds"]) for row in read_rows(tmp_path / "run" / "metrics.csv")]
    assert seconds[-1] > 3_600 > seconds[0]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_profile_says_where_the_time_went(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], workers: int
) -> None:
    few = {"steps": 1_500, "eval_episodes": 1}  # figures are shown to a hundredth of a second
    train(config(tmp_path / "run", env="FetchReach-v4", workers=workers, profile=True, **few))
    shown = capfd.readouterr().err
    figures = {
        line[2:24].strip(): float(line[24:].split()[0]) for line in shown.splitlines() if line.endswith("%")
    }
    assert set(figures) == {
        "physics (mj_step)",
        "env Python",
        "inference",
        "checks and records",
        "sampling",
        "update",
        "waiting for workers",
        "saving",
    }
    little = ("waiting for workers", "saving")  # perhaps less than is shown
    assert all(seconds > 0 for name, seconds in figures.items() if name not in little), figures
