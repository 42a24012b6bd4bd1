"""A command asks for the modules that it uses, and for no others."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from regoal import BadInput, TrainConfig
from regoal.agent import trust
from regoal.agent.trust import require_trusted
from regoal.cli import main
from regoal.envs.shift_families import FAMILIES

POINT = "regoal/PointReach-v0"
QUICK = ["--steps", "200", "--set", "agent.hidden=8", "agent.batch_size=8", "eval_episodes=1"]
MINE = """
from regoal.envs import Effect, register_shift


class Push(Effect):
    def act(self, action, noise):
        return action + self.value


register_shift("push", Push)


def last(at, rng):
    return at.first_row + at.length
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A run under a shift and with a strategy of modules that nobody has imported or named yet."""
    for module in ("my_shift", "my_strategy"):
        (tmp_path / f"{module}.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "run"
    own = ["--shift", "my_shift:push=0.1", "--relabel", "my_strategy:last", "--keep-replay", "--workers", "0"]
    assert main(["train", POINT, *own, "--out", str(path), *QUICK]) == 0
    monkeypatch.setattr(trust, "_named_modules", set())
    _forget()
    yield path
    _forget()


def test_every_part_of_a_mixture_must_be_named(run: Path) -> None:
    mixed = TrainConfig(env=POINT, out="x", relabel="4*future+2*my_shift:last+1*my_strategy:last")
    for named, missing in (([], "my_shift"), (["my_shift"], "my_strategy")):
        trust.trust(*named)
        with pytest.raises(BadInput, match=f"run relabel: .*--modules {missing}"):
            require_trusted(mixed, "run")
        assert missing not in sys.modules
    trust.trust("my_strategy")
    assert require_trusted(mixed, "run") == mixed
    disguised = TrainConfig(env=POINT, out="x", relabel="1*future+1*my_shift:os:system")
    with pytest.raises(BadInput, match="run relabel: expected no module"):
        require_trusted(disguised, "run")
    trust._named_modules.clear()
    trust.trust_settings(mixed)  # the user has typed it
    assert {"my_shift", "my_strategy"} == trust._named_modules


def _forget() -> None:
    trust._named_modules.clear()
    for module in ("my_shift", "my_strategy"):
        sys.modules.pop(module, None)
        FAMILIES.pop(f"{module}:push", None)


PLAYS = ["--episodes", "1"]
LEARNS = ["--out", "tuned", *QUICK]


@pytest.mark.parametrize(
    ("command", "used"),
    [
        (["evaluate", *PLAYS], {"my_shift"}),
        (["evaluate", *PLAYS, "--shift", ""], set()),
        (["rank", *PLAYS], set()),
        (["finetune", "--mode", "naive", *LEARNS], set()),
        (["finetune", "--mode", "replay_mix", *LEARNS], set()),
        (["resume", "--steps", "300"], {"my_shift", "my_strategy"}),
        (["inspect"], {"my_shift", "my_strategy"}),
    ],
)  # fmt: skip
def test_a_command_asks_for_what_it_uses(
    run: Path, capsys: pytest.CaptureFixture[str], command: list[str], used: set[str]
) -> None:
    name, *options = command
    for module in sorted(used, reverse=True):  # all but this one are named
        others = ["--modules", *sorted(used - {module})] if len(used) > 1 else []
        assert main([name, str(run), *options, *others]) == 2
        assert f"--modules {module}, or regoal.trust" in capsys.readouterr().err
        assert module not in sys.modules
        _forget()
    named = ["--modules", *sorted(used)] if used else []
    assert main([name, str(run), *options, *named]) == 0
    assert {"my_shift", "my_strategy"} & set(sys.modules) == used
