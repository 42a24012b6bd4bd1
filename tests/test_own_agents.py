"""An agent of one's own, the TD3 of docs/your-agent.md: it does what ours do, or is refused with the fix."""

import dataclasses
import importlib
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_docs import ROOT
from test_learning import QUICK, learned
from test_resume import Killed, _cut, assert_same, config

from regoal import (
    BadInput,
    DDPGConfig,
    FinetuneConfig,
    Policy,
    SACConfig,
    TrainConfig,
    finetune,
    resume,
    train,
)
from regoal.agent import trust
from regoal.agent.agent_trial import require_agent_works
from regoal.agent.agents import agent_config, agent_name
from regoal.agent.checkpoints import newest_checkpoint
from regoal.agent.config import UnreadAgent
from regoal.agent.interrupts import Stopped
from regoal.agent.learner import make_learner
from regoal.agent.modes import MODES
from regoal.agent.normaliser import Normaliser
from regoal.agent.policy import Exploration
from regoal.agent.run_folder import read_config
from regoal.agent.settings import from_toml, read_agent, set_field, to_toml
from regoal.agent.trust import require_trusted
from regoal.agent.validation import validated
from regoal.benchmarks.cells import cells_of
from regoal.benchmarks.suite import parse_suite
from regoal.benchmarks.tables import read_rows
from regoal.cli import main
from regoal.envs.goal_spec import GoalSpec
from regoal.errors import TrainingFault

POINT = "regoal/PointReach-v0"
(SOURCE,) = re.findall(
    r"^```python td3\.py\n(.*?)^```", (ROOT / "docs" / "your-agent.md").read_text(), re.MULTILINE | re.DOTALL
)
SMALL = {"hidden": (16,), "batch_size": 16, "updates_per_step": 0.25}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder that modules are found in, td3 among them."""
    path = tmp_path_factory.mktemp("modules")
    (path / "td3.py").write_text(SOURCE)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(path)
        patch.delitem(sys.modules, "td3", raising=False)
        patch.setenv("PYTHONPATH", str(path), prepend=os.pathsep)
        yield path


@pytest.fixture
def untrusting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing has been named in this process yet."""
    monkeypatch.setattr(trust, "_named_modules", set())


@pytest.fixture
def small(folder: Path) -> Any:
    """Settings of a TD3 that is fast and learns little."""
    return dataclasses.replace(agent_config("td3:TD3"), **SMALL)


@pytest.fixture(scope="module")
def source(folder: Path) -> Path:
    """A run of that agent, which kept its replay."""
    run = folder / "source"
    train(config(run, agent=dataclasses.replace(agent_config("td3:TD3"), **SMALL)))
    return run


def module_of(folder: Path, name: str, *changes: tuple[str, str], more: str = "") -> str:
    """The TD3 of the guide, with some lines changed, as a module; returns the name of its agent."""
    text = SOURCE
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    (folder / f"{name}.py").write_text(text.replace('"td3:', f'"{name}:') + more)
    importlib.invalidate_caches()
    return f"{name}:TD3"


# ---------------------------------------------------------------- its settings


def test_its_settings_are_settings_like_any_others(small: Any, capsys: pytest.CaptureFixture[str]) -> None:
    plain = TrainConfig(env=POINT, out="x", agent=small)
    assert validated(plain) == plain
    assert agent_name(plain.agent) == "td3:TD3"
    assert set_field(plain, "agent.delay", "3").agent.delay == 3
    with pytest.raises(BadInput, match=r"Did you mean agent\.delay"):
        set_field(plain, "agent.dealy", "3")
    with pytest.raises(BadInput, match=r"agent\.delay: expected a value of type int"):
        set_field(plain, "agent.delay", "often")
    with pytest.raises(BadInput, match=r"agent\.gamma: expected in \[0, 1\)"):
        validated(set_field(plain, "agent.gamma", "1"))
    assert main(["settings", "--agent", "td3:TD3"]) == 0
    assert "agent.target_noise_clip=0.5" in capsys.readouterr().out.splitlines()


def test_it_explores_as_its_settings_say(small: Any) -> None:
    config = dataclasses.replace(small, noise_std=0.1, random_share=0.5, random_hold=4)
    spec = GoalSpec.of(POINT)
    policy = make_learner(config, spec, Normaliser(spec.observation_size, spec.goal_size), 0).policy()
    assert policy.exploration == Exploration(0.1, 0.5, 4)


def test_a_file_that_names_it_imports_nothing_until_it_is_trusted(
    small: Any, untrusting: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = TrainConfig(env=POINT, out="x", agent=small)
    values = to_toml(plain)
    monkeypatch.delitem(sys.modules, "td3")
    read = from_toml(values)
    assert isinstance(read.agent, UnreadAgent)
    assert to_toml(read) == values
    with pytest.raises(BadInput, match=r"run agent: .*--modules td3"):
        require_trusted(read, "run")
    assert "td3" not in sys.modules
    trust.trust("td3")
    typed = require_trusted(read, "run")
    assert dataclasses.asdict(typed.agent) == dataclasses.asdict(small)
    with pytest.raises(BadInput, match=r"'agent\.dealy'.* Did you mean delay"):
        read_agent(UnreadAgent("td3:TD3", {"dealy": 3}))


def test_what_is_imported_already_must_still_be_named(small: Any, untrusting: None) -> None:
    for name in ("td3:TD3", "regoal.agent.config:DDPGConfig", "regoal:td3:TD3"):
        read = from_toml({"env": POINT, "out": "x", "agent": {"name": name}})
        with pytest.raises(BadInput, match="run agent: expected no module, or one that you name too"):
            require_trusted(read, "run")


FROZEN = "@dataclass(frozen=True)\nclass TD3(DDPGConfig):"
DELAY, LEARNER = "delay: int = 2", '"td3:TD3Learner"'
COLUMNS = '("critic_loss", "q_mean", "actor_loss")'


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("class TD3(", "class TD4(", "expected a class 'TD3' in module 'bad_0', got none.*Did you mean TD4"),
        (FROZEN, "TD3 = 3\n\n\nclass TD4(DDPGConfig):", "got a int"),
        (FROZEN, "class TD3(DDPGConfig):", r"frozen dataclass of settings, got another class.*@dataclass"),
        (FROZEN, "@dataclass\nclass TD3:", "got a dataclass that is not frozen"),
        ("TD3(DDPGConfig)", "TD3", r"a field 'gamma' of type float, got none in .*gamma: float = 0\.98"),
        (DELAY, "gamma: int = 0", "a field 'gamma' of type float, got <class 'int'>"),
        (DELAY, "delay: object = 2", "TD3 delay: expected a field of type bool, int, float or str"),
        (DELAY, "delay: tuple[int, int] = (2, 2)", "TD3 delay: expected a field of type bool"),
        (DELAY, f'{DELAY}\n    name: str = "x"', "TD3 name: expected another name"),
        ("(frozen=True)", "(frozen=True, kw_only=True)", "TD3 delay: expected a default"),
        (COLUMNS, '"critic_loss"', "TD3 columns: expected a tuple of what its updates return"),
        (COLUMNS, '("critic_loss", "success")', "'success', which every run has"),
        (COLUMNS, '("q_mean", "q_mean")', "'q_mean' twice"),
        (LEARNER, "3", "TD3 learner: expected the text module:Class of what learns, got 3"),
        (LEARNER, '"td3:TD3Lerner"', "TD3 learner: .*Did you mean TD3Learner"),
        (LEARNER, '"TD3Learner"', "TD3 learner: expected module:Class"),
        (LEARNER, '"no_such_module:TD3Learner"', "TD3 learner: expected a module 'no_such_module' that can"),
        ("def generators", "def generator", "TD3 learner: expected the methods .*, got no generators"),
        ("def update", "def updates", "got no update"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_meant_are_refused_with_the_fix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, told: str
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "bad_0", raising=False)
    changes = [(old, new), (DELAY, "delay: int")] if "kw_only" in new else [(old, new)]
    name = module_of(tmp_path, "bad_0", *changes)
    with pytest.raises(BadInput, match=f"(?s)agent.*{told}"):
        agent_config(name)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("no_such_module:TD3", "agent: expected a module 'no_such_module' that can be imported"),
        ("td3:TD3.x", "agent: expected module:Class"),
        (":TD3", "agent: expected module:Class"),
        ("td3:TD3Learner", "a frozen dataclass of settings, got another class"),
        ("dpg", "one of ddpg, sac, or module:Class of your own settings, got 'dpg'. Did you mean ddpg"),
    ],
)
def test_names_of_nothing_are_refused(small: Any, name: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=told):
        agent_config(name)
    assert main(["train", POINT, "--agent", name, "--out", str(tmp_path / "run")]) == 2
    assert not (tmp_path / "run").exists()


def test_settings_from_python_must_be_those_of_a_module(small: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = TrainConfig(env=POINT, out="x")
    for wrong in (type(small), UnreadAgent("td3:TD3"), "td3:TD3"):
        with pytest.raises(BadInput, match="agent: expected settings of an agent: a DDPGConfig"):
            validated(dataclasses.replace(plain, agent=wrong))  # type: ignore[arg-type]
    older = dataclasses.replace(small)
    monkeypatch.delitem(sys.modules, "td3")
    with pytest.raises(BadInput, match="the class that its module has now"):
        validated(dataclasses.replace(plain, agent=older))
    script = type("TD3", (type(small),), {"__module__": "__main__"})
    with pytest.raises(BadInput, match="Put it into a module of its own"):
        validated(dataclasses.replace(plain, agent=script()))


# ---------------------------------------------------------------- tried before it runs


@pytest.fixture(scope="module")
def point() -> Iterator[GoalSpec]:
    spec = GoalSpec.of(POINT)
    yield spec
    spec.close()


@pytest.mark.parametrize("agent", [DDPGConfig(hidden=(8, 8)), SACConfig(hidden=(8,), n_critics=3)])
def test_ours_and_the_guides_keep_all_promises(point: GoalSpec, agent: Any, small: Any) -> None:
    require_agent_works(agent, point, 0, "cpu")
    for delay in (1, 2, 10):
        require_agent_works(dataclasses.replace(small, delay=delay), point, 3, "cpu")


def test_turns_of_the_actor_that_never_come_are_refused(folder: Path, tmp_path: Path, small: Any) -> None:
    """The guide's agent takes every second update, and so does policy_delay=2: never the same."""
    with pytest.raises(BadInput, match=r"an actor that learns with policy_delay=2, got the same after 26"):
        train(config(tmp_path / "run", agent=small, policy_delay=2))
    assert not (tmp_path / "run").exists()
    for delay, policy_delay in ((2, 3), (1, 2), (3, 2)):
        agent = dataclasses.replace(small, delay=delay)
        train(config(tmp_path / f"{delay}-{policy_delay}", agent=agent, policy_delay=policy_delay))


MODULES, PULL = '("actor", "critic", "target_actor", "target_critic")', " + pull.loss(action)"
COPIED = "self.target_actor, self.target_critic = deepcopy"
COUNTED = "self.critic_optimiser.steps % self.config.delay"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ([(', "actor_loss")', ")")], r"columns: .*got none for 'actor_loss'.*'q_mean', 'actor_loss'\)"),
        ([("if actor_learns:", "if True:")], "update: expected an actor that stays as it is"),
        ([(PULL, "")], "update: expected a pull that moves the actor .* one without effect. if pull is not"),
        ([(PULL, " + pull.weight * (action - pull.action).square().mean()")],
         "update: expected a pull of no row to leave the actor as it is .imitation., got one that moves it"),
        ([(f"if {COUNTED}:", "self.n = getattr(self, 'n', 0) + 1\n        if self.n % self.config.delay:")],
         "update: .*got another .* after these were restored: a resumed run would not be the same"),
        ([(", generator=self.noise", "")], "update: .*draw from a torch_generator"),
        ([('{"update": self.noise}', "{}")], "update: .*generators"),
        ([(MODULES, '("actor", "critic", "target_actor")')], "another .*restored"),
        ([(MODULES, '("critic", "target_critic")')], "modules: .*'actor', got critic, target_critic"),
        ([('"critic_optimiser": self.critic_optimiser', "")], "another .*restored"),
        ([("policy_of(self.actor", "policy_of(self.target_actor")], "policy: expected tanh of the actor's"),
        ([("return agent.policy_of", "return print")], "policy: expected a regoal.Policy"),
        ([("q.detach().mean()", "q.detach().mean(0)")], "a detached number as 'q_mean', got 16 numbers"),
        ([('loss.detach(), "q_mean"', 'loss, "q_mean"')], "'critic_loss', got one that a gradient hangs on"),
        ([("self.inputs", "self.feed")], "learner: expected an attribute 'inputs', a .*NormalisedInput"),
        ([("agent.descend(self.actor_optimiser, loss, self.actor)", "")], "expected an actor that learns"),
        ([("config.hidden, 1]", "config.hidden, 2]"), (".squeeze(-1)", "[..., 0]")],
         r"modules: expected values \(critics, 16, 1\) .* got \(2, 16, 2\)"),
        ([('return {"update": self.noise}', "return [self.noise]")], "generators: expected every Generator"),
        ([(COPIED, f'self.critic.register_buffer("n", torch.zeros((), dtype=torch.int32)); {COPIED}')],
         "state critic.n: expected float64, .*, got int32 of 0 dimensions"),
        ([(COPIED, f'self.critic.register_buffer("n", torch.tensor(float("inf"))); {COPIED}')],
         "state critic.n: expected finite numbers, got NaN or infinity"),
    ],
)  # fmt: skip
def test_a_broken_promise_is_found_before_anything_is_written(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: Any, told: str
) -> None:
    monkeypatch.delitem(sys.modules, "bad_1", raising=False)
    agent: Any = agent_config(module_of(folder, "bad_1", *changes))
    small = dataclasses.replace(agent, **SMALL)
    with pytest.raises(BadInput, match=f"(?s)^agent bad_1:TD3 .*{told}"):
        train(config(tmp_path / "run", agent=small))
    assert not (tmp_path / "run").exists()


ALIASED = """

class Aliased(TD3Learner):
    def policy(self):
        policy = super().policy()
        bias = self.actor.layers()[-1][1][0, 0].numpy()
        object.__setattr__(policy, "biases", (*policy.biases[:-1], bias))
        return policy
"""


def test_a_policy_that_goes_on_learning_is_refused(folder: Path, point: GoalSpec) -> None:
    agent = agent_config(module_of(folder, "aliased", (LEARNER, '"td3:Aliased"'), more=ALIASED))
    with pytest.raises(BadInput, match="policy: expected one that later updates do not touch"):
        require_agent_works(agent, point, 0, "cpu")


def test_a_number_that_comes_late_and_has_no_column_ends_the_run_by_name(
    folder: Path, tmp_path: Path
) -> None:
    old = "\n        return info\n"
    new = f'\n        if self.critic_optimiser.steps > 60:\n            info["late"] = q[0, 0].detach(){old}'
    agent: Any = agent_config(module_of(folder, "late_number", (old, new)))
    with pytest.raises(TrainingFault, match=r"late_number:TD3\.update .*columns: critic_loss.*'late'"):
        train(config(tmp_path / "run", agent=dataclasses.replace(agent, **SMALL)))
    assert Policy.load(tmp_path / "run")


# ---------------------------------------------------------------- what ours can do


@pytest.fixture(scope="module")
def whole(source: Path) -> Path:
    """A run that nothing disturbed."""
    return source


@pytest.mark.parametrize("error", [Killed, Stopped])
@pytest.mark.parametrize(("place", "count"), [("_add", 1), ("_add", 4), ("_update", 4), ("_evaluate", 3)])
def test_it_goes_on_to_the_same_bits_wherever_it_was_cut(
    tmp_path: Path, whole: Path, small: Any, place: str, count: int, error: type[BaseException]
) -> None:
    run = tmp_path / "run"
    _cut(lambda: train(config(run, agent=small)), place, count, error)
    resume(run)
    assert_same(run, whole)


def test_its_actor_keeps_its_turn(tmp_path: Path, whole: Path, small: Any) -> None:
    run = tmp_path / "run"
    _cut(lambda: train(config(run, agent=small)), "_add", 4, Killed)
    saved = newest_checkpoint(run)
    assert saved.state["progress"]["run"]["gradient_steps"] % small.delay == 1
    assert saved.learner_arrays()["critic_optimiser.0.step"] == 75
    assert saved.learner_arrays()["actor_optimiser.0.step"] == 37
    resume(run)
    assert_same(run, whole)


def test_its_numbers_are_columns_and_curves(whole: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    rows = read_rows(whole / "metrics.csv")
    assert list(rows[0])[-5:-2] == ["critic_loss", "q_mean", "actor_loss"]
    assert float(rows[-1]["actor_loss"]) != 0.0
    events = EventAccumulator(str(whole))
    events.Reload()
    assert {"train/critic_loss", "train/q_mean", "train/actor_loss"} <= set(events.Tags()["scalars"])


def test_a_column_that_only_it_has_is_a_curve_too(folder: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    agent: Any = agent_config(module_of(folder, "renamed", ("q_mean", "twins_mean")))
    train(config(tmp_path / "run", agent=dataclasses.replace(agent, **SMALL), steps=200))
    events = EventAccumulator(str(tmp_path / "run"))
    events.Reload()
    assert "train/twins_mean" in events.Tags()["scalars"]


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_works_with_it(tmp_path: Path, source: Path, mode: str) -> None:
    target = FinetuneConfig(
        out=str(tmp_path / "tuned"), mode=mode, shift="action_gain=0.5", steps=300, seed=1,
        relabel="final", eval_interval=150, eval_episodes=2, workers=0,
    )  # fmt: skip
    tuned = finetune(source, target)
    before, after = Policy.load(source), Policy.load(tuned)
    same = all(map(np.array_equal, before.arrays, after.arrays))
    assert same == (mode == "zero_shot")
    assert read_config(tuned).agent == read_config(source).agent


def test_a_reset_makes_new_critics_and_leaves_the_actor(tmp_path: Path, source: Path) -> None:
    from regoal.agent.checkpoints import whole_checkpoints

    target = FinetuneConfig(
        out=str(tmp_path / "tuned"), steps=300, critic_reset=True, eval_episodes=1, workers=0
    )
    finetune(source, target)
    *_, first = whole_checkpoints(tmp_path / "tuned")
    theirs, ours = next(whole_checkpoints(source)).learner_arrays(), first.learner_arrays()
    for name, array in theirs.items():
        if "flat" in name:
            assert np.array_equal(array, ours[name]) == ("critic" not in name), name
    assert ours["critic_optimiser.0.step"] == 0


def test_without_critics_by_name_there_is_nothing_to_reset(folder: Path, tmp_path: Path) -> None:
    named = (
        'return {"actor": self.actor, "q": self.critic, "ta": self.target_actor, "tq": self.target_critic}'
    )
    agent: Any = agent_config(
        module_of(
            folder,
            "nameless",
            (f"return {{name: getattr(self, name) for name in {MODULES}}}", named),
            ('"critic_optimiser": self.critic_optimiser', '"o": self.critic_optimiser'),
        )
    )
    run = tmp_path / "run"
    train(config(run, agent=dataclasses.replace(agent, **SMALL), steps=200))
    target = FinetuneConfig(out=str(tmp_path / "x"), steps=300, critic_reset=True, workers=0)
    with pytest.raises(BadInput, match="critic_reset: expected networks with 'critic' in their names"):
        finetune(run, target)
    assert not (tmp_path / "x").exists()


def test_settings_that_change_its_networks_cannot_start_from_a_source(
    folder: Path, tmp_path: Path, source: Path
) -> None:
    own = (("    delay:", "    width: int = 16\n    delay:"), ("*config.hidden", "config.width"))
    agent: Any = agent_config(module_of(folder, "wide", *own))
    run = tmp_path / "run"
    train(config(run, agent=dataclasses.replace(agent, **SMALL), steps=200))
    target = FinetuneConfig(out=str(tmp_path / "x"), steps=300, workers=0)
    with pytest.raises(BadInput, match=r"networks of the source's shape, got agent\.width 8, not 16"):
        finetune(run, dataclasses.replace(target, overrides={"agent.width": "8"}))
    with pytest.raises(BadInput, match=r"agent\.hidden: expected the source's, \[16\], got \[8\]"):
        finetune(source, dataclasses.replace(target, overrides={"agent.hidden": "8"}))
    assert not (tmp_path / "x").exists()


def test_who_only_plays_needs_no_module_and_who_learns_names_it(
    tmp_path: Path, source: Path, untrusting: None, capsys: pytest.CaptureFixture[str]
) -> None:
    code = (
        "import sys, regoal.cli as cli; from regoal import Policy; "
        f"Policy.load({str(source)!r}); "
        f"codes = [cli.main([one, {str(source)!r}, '--episodes', '2']) for one in ('evaluate', 'rank')]; "
        "print(codes, 'td3' in sys.modules)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1] == "[0, 0] False", done.stderr
    for command in (
        ["finetune", str(source), "--out", str(tmp_path / "x"), "--steps", "300"],
        ["resume", str(source)],
        ["inspect", str(source)],
    ):
        assert main(command) == 2
        assert f"{source} agent: expected no module" in capsys.readouterr().err
    assert main(["inspect", str(source), "--modules", "td3"]) == 0


def test_several_seeds_side_by_side(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "runs"
    command = ["train", POINT, "--agent", "td3:TD3", "--seeds", "0,1", "--jobs", "2", "--steps", "200"]
    options = ["--out", str(out), "--set", "agent.hidden=8", "agent.batch_size=8", "eval_episodes=1"]
    assert main([*command, *options]) == 0
    assert capsys.readouterr().out.count("after 200 env steps") == 2
    one, other = (Policy.load(out / f"seed-{seed}") for seed in (0, 1))
    assert not np.array_equal(one.weights[0], other.weights[0])


# ---------------------------------------------------------------- suites


SUITE = """
name = "mine"
seeds = [0]
steps = 300
[pretrain]
steps = 200
[grid]
env = ["regoal/PointReach-v0"]
agent = ["ddpg", "td3:TD3"]
mode = ["warm_start", "scratch"]
[settings]
agent.hidden = [8]
agent.batch_size = 8
[[override]]
when = { agent = "td3:TD3" }
set = { agent.delay = 3 }
"""


def _cells(text: str, out: Path) -> list[Any]:
    return cells_of(parse_suite(tomllib.loads(text), "mine.toml"), out)


def test_a_suite_names_it_like_ours_and_its_module_is_named_again(
    folder: Path, tmp_path: Path, untrusting: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "td3", raising=False)
    suite = parse_suite(tomllib.loads(SUITE), "mine.toml")
    with pytest.raises(BadInput, match=r"mine\.toml \[grid\] agent: .*--modules td3"):
        cells_of(suite, tmp_path)
    assert "td3" not in sys.modules
    trust.trust("td3")
    cells = {cell.name: cell for cell in cells_of(suite, tmp_path)}
    tuned = cells["regoal_PointReach-v0/td3_TD3-warm_start/seed-0"]
    assert tuned.columns["agent"] == "td3:TD3"
    assert tuned.config.agent.delay == tuned.source.config.agent.delay == 3
    assert tuned.source.name == "source-regoal_PointReach-v0/td3_TD3/seed-0"
    assert len(cells) == 6


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("agent.delay", "agent.dealy", r"agent\.dealy: expected a setting of td3:TD3.*mean agent\.delay"),
        ("agent.delay = 3", 'agent.delay = "x"', r"agent\.delay: expected a value of type int"),
        ("agent.batch_size", "agent.delay", r"agent\.delay: expected a setting of ddpg.*when = \{ agent"),
        ("agent.batch_size", "batch_size", r"batch_size: .*Did you mean agent\.batch_size"),
        ('"td3:TD3"]', '"td3:TD4"]', r"\[\[override\]\] 1 when agent: "),
        ("agent.batch_size = 8", "agent.gamma = 2", r"agent\.gamma: expected in"),
    ],
)  # fmt: skip
def test_what_a_suite_cannot_ask_of_it_is_refused(
    folder: Path, tmp_path: Path, old: str, new: str, told: str
) -> None:
    trust.trust("td3")
    assert old in SUITE
    with pytest.raises(BadInput, match=rf"(?s)mine\.toml .*{told}"):
        _cells(SUITE.replace(old, new, 1), tmp_path)


def test_its_own_setting_may_be_a_dimension(folder: Path, tmp_path: Path) -> None:
    trust.trust("td3")
    text = SUITE.replace('"ddpg", ', "").partition("[[override]]")[0]
    text = text.replace('mode = ["warm_start"', '"agent.delay" = [1, 4]\nmode = ["warm_start"')
    cells = {cell.name: cell.config.agent for cell in _cells(text, tmp_path)}
    for delay in (1, 4):
        assert cells[f"regoal_PointReach-v0/scratch-delay={delay}/seed-0"].delay == delay


# ---------------------------------------------------------------- does it learn?


def test_td3_learns_with_hindsight_and_not_without(tmp_path: Path, folder: Path) -> None:
    quick = {name: getattr(QUICK, name) for name in ("hidden", "batch_size", "lr", "gamma", "random_share")}
    agent: Any = agent_config("td3:TD3")
    plain = TrainConfig(
        env=POINT, out=str(tmp_path / "her"), agent=dataclasses.replace(agent, **quick),
        steps=2_500, eval_interval=2_500, workers=0,
    )  # fmt: skip
    assert learned(plain) >= 0.9
    assert learned(dataclasses.replace(plain, out=str(tmp_path / "none"), relabel="none")) <= 0.3
