"""A user's own families of shifts."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from shift_play import POINT

from regoal.envs import Effect, EnvRecipe, Shift, register_shift
from regoal.envs.point_reach import PointReach
from regoal.envs.recipe import Env, buildable_elsewhere, make
from regoal.envs.shift_families import FAMILIES, list_families
from regoal.envs.shift_listing import import_families, listing
from regoal.errors import BadInput

MODULE = '''
from regoal.envs import Effect, register_shift
from regoal.envs.point_reach import PointReach


class Wind(Effect):
    """A steady wind along x.

    More about it.
    """

    def act(self, action, noise):
        self.env.unwrapped._velocity[0] += self.value
        return action


class Generous(Effect):
    """Goals count as reached from farther away."""

    def begin(self, value):
        self.env.unwrapped.distance_threshold = 0.1 + value


def why_not(env):
    return None if isinstance(env.unwrapped, PointReach) else "no wind blows there"


register_shift("wind", Wind, unit="m/step", levels=(0.001, 0.002, 0.004), why_not=why_not)
register_shift("generous", Generous, stage="goal", unit="m", low=0, fixed=True, why_not=why_not)
'''


class Push(Effect):
    """Adds to the first component of the action."""

    def act(self, action: NDArray[Any], noise: np.random.Generator) -> NDArray[Any]:
        pushed: NDArray[Any] = action + np.array([self.value, 0.0])
        return pushed


class Other(Effect):
    """Another one."""


@pytest.fixture(autouse=True)
def _only_ours_afterwards() -> Iterator[None]:
    ours = dict(FAMILIES)
    yield
    FAMILIES.clear()
    FAMILIES.update(ours)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (tmp_path / "windy_shifts.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield "windy_shifts"
    sys.modules.pop("windy_shifts", None)


def _drift(shift: str) -> float:
    """How far [m] the point comes along x in 10 steps without action."""
    env = make(POINT, shift)
    start = env.reset(seed=0)[0]["achieved_goal"][0]
    for _ in range(10):
        observation, *_ = env.step(np.zeros(2, np.float32))
    return float(observation["achieved_goal"][0] - start)


def test_a_family_of_ones_own_shifts_the_env(module: str) -> None:
    gone = [_drift(f"{module}:wind={value}") for value in (0, 0.001, 0.004, -0.004)]
    # The velocity of step n is (1 - 0.5^n) times the wind: half of what blows is lost at every step.
    expected = sum(1 - 0.5**n for n in range(1, 11))
    np.testing.assert_allclose(gone, expected * np.array([0, 0.001, 0.004, -0.004]), rtol=1e-6)
    assert _drift(f"{module}:wind=hard") == pytest.approx(gone[2])
    assert make(POINT, f"{module}:wind=0..0.01").reset(seed=0)[1]["shift"].startswith(f"{module}:wind=0.0")


def test_its_text_is_read_after_importing_its_module(module: str) -> None:
    assert module not in sys.modules
    shift = Shift.parse(f"action_gain=2,{module}:wind=0.5")
    assert module in sys.modules
    assert str(shift) == f"{module}:wind=0.5,action_gain=2"  # physics comes first
    record = FAMILIES[f"{module}:wind"]
    assert (record.unit, record.stage, record.identity) == ("m/step", "physics", 0)
    assert record.description == "A steady wind along x."
    assert record.module == module
    assert buildable_elsewhere(EnvRecipe(POINT, str(shift)))


def test_another_process_finds_it(module: str, tmp_path: Path) -> None:
    text = f"{module}:wind=hard,{module}:generous=1"
    code = (
        "from regoal.envs import GoalSpec; import numpy as np; "
        f"spec = GoalSpec.of({POINT!r}, {text!r}); "
        "print(spec.recipe.shift, spec.reward(np.zeros((2, 2)), np.array([[1.05, 0], [1.15, 0]])) == 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.strip() == f"{module}:wind=0.004,{module}:generous=1 [ True False]", done.stderr


def test_it_is_refused_where_it_says_so(module: str) -> None:
    with pytest.raises(BadInput, match="no wind blows there"):
        make("FetchReach-v4", f"{module}:wind=1")
    with pytest.raises(BadInput, match="a value >= 0"):
        Shift.parse(f"{module}:generous=-1")
    with pytest.raises(BadInput, match="hindsight needs one reward"):
        Shift.parse(f"{module}:generous=1/2")
    assert f"{module}:wind  [of any size (m/step); 0 changes nothing]" in listing()
    assert "0.001 / 0.002 / 0.004" in listing(POINT)
    assert "no wind blows there" in listing("FetchReach-v4")


def test_ones_own_stand_behind_ours_in_their_stage_in_one_order_whatever_was_imported_first() -> None:
    for names in (["zeta", "alpha"], ["alpha", "zeta"]):
        for name in names:
            classes = {part: type(part, (Effect,), {"__module__": name}) for part in ("Late", "Early")}
            register_shift("late", classes["Late"])
            register_shift("early", classes["Early"])
        shift = "zeta:early=1,alpha:early=1,zeta:late=1,start_region=1,alpha:late=1,gravity=1,action_gain=1"
        assert str(Shift.parse(shift)) == (
            "gravity=1,alpha:late=1,alpha:early=1,zeta:late=1,zeta:early=1,start_region=1,action_gain=1"
        )
        for name in [name for name in FAMILIES if ":" in name]:
            del FAMILIES[name]


def test_a_family_of_the_script_itself_has_no_prefix_and_stays_in_its_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Push, "__module__", "__main__")
    assert register_shift("push", Push, stage="action") == "push"
    assert list_families()[-1].name == "push"
    recipe = EnvRecipe(POINT, "push=0.5,action_gain=0.5")
    assert recipe.shift == "action_gain=0.5,push=0.5"
    assert not buildable_elsewhere(recipe)
    assert buildable_elsewhere(EnvRecipe(POINT, "action_gain=0.5"))

    class Recorder(PointReach):
        def step(self, action: Any) -> Any:
            self.received = action
            return super().step(action)

    env: Env = Shift.parse(recipe.shift).apply(Recorder())
    env.reset(seed=0)
    env.step(np.ones(2, np.float32))
    np.testing.assert_allclose(env.get_wrapper_attr("received"), [1.0, 0.5])


class Touchy(Effect):
    """Stands no hook where it is to change nothing."""

    def after_reset(self, observation: dict[str, Any]) -> dict[str, Any]:
        assert self.value
        return observation

    def act(self, action: NDArray[Any], noise: np.random.Generator) -> NDArray[Any]:
        assert self.value
        return action

    def sense(self, observation: dict[str, Any], noise: np.random.Generator) -> dict[str, Any]:
        assert self.value
        return observation


def test_hooks_rest_in_episodes_whose_value_changes_nothing() -> None:
    env = make(POINT, f"{register_shift('touchy', Touchy)}=0/1")
    told = set()
    for seed in range(10):
        told.add(env.reset(seed=seed)[1]["shift"][-1])
        env.step(np.zeros(2, np.float32))
    assert told == {"0", "1"}


def test_the_same_class_may_be_registered_again(module: str) -> None:
    Shift.parse(f"{module}:wind=1")
    before = FAMILIES[f"{module}:wind"]
    del sys.modules[module]
    __import__(module)
    assert FAMILIES[f"{module}:wind"] is not before
    assert len([name for name in FAMILIES if name.endswith(":wind")]) == 1


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("Wind", {}, "lower-case letters"),
        ("wind speed", {}, "lower-case letters"),
        ("a:wind", {}, "lower-case letters"),
        ("", {}, "lower-case letters"),
        ("friction", {}, "no family of ours"),
        ("combined", {}, "no family of ours"),
        ("wind", {"stage": "weather"}, "a stage: physics, start, goal, sensing, action"),
        ("wind", {"identity": 2.0, "high": 1.0}, "a value <= 1"),
        ("wind", {"levels": (1.0, 2.0)}, "three levels"),
        ("wind", {"levels": (1.0, 2.0, 3.0), "high": 2.0}, "a value <= 2"),
        ("wind", {"levels": (1.0, 2.0, 2.5), "whole": True}, "a whole number"),
    ],
)
def test_what_makes_no_family_is_refused(name: str, settings: dict[str, Any], expected: str) -> None:
    before = list(FAMILIES)
    with pytest.raises(BadInput, match=re.escape(expected)):
        register_shift(name, Push, **settings)
    with pytest.raises(BadInput, match="subclass"):
        register_shift("wind", lambda env: Push(env))  # type: ignore[arg-type]
    assert list(FAMILIES) == before


def test_a_name_that_another_class_has_is_refused() -> None:
    full = register_shift("push", Push)
    assert full == f"{Push.__module__}:push"
    assert register_shift("push", Push) == full
    with pytest.raises(BadInput, match="not taken"):
        register_shift("push", Other)


@pytest.mark.parametrize("text", ["{}:wind=0.5", "{}:wind", "gravity=hard, {}:generous ,combined"])
def test_families_of_a_module_that_is_named_are_listed(module: str, text: str) -> None:
    assert f"{module}:wind" not in listing()
    import_families(text.format(module))
    for name in ("wind", "generous"):
        assert f"{module}:{name}  [" in listing()
        assert f"{module}:{name} " in listing(POINT)
    assert "mild 0.001, medium 0.002, hard 0.004: every env it applies to" in listing()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("windy_shifts", "a known family, or module:name for your own, got 'windy_shifts'"),
        ("windy_shifts:rain", "a module that registers 'rain'"),
        ("no_such_module:wind", "a module 'no_such_module' that can be imported"),
        ("frction", "Did you mean friction"),
    ],
)
def test_families_that_cannot_be_found_are_not_listed(module: str, text: str, message: str) -> None:
    with pytest.raises(BadInput, match=re.escape(message)):
        import_families(text)


@pytest.mark.parametrize(
    ("text", "expected", "fix"),
    [
        ("no_such_module:wind=1", "a module 'no_such_module' that can be imported", "Run from the folder"),
        (":wind=1", "a module '' that can be imported", ""),
        ("math:wind=1", "a module that registers 'wind'", "register_shift"),
        ("push=1", "a known family", "Write"),
    ],
)
def test_names_that_lead_nowhere_are_refused(text: str, expected: str, fix: str) -> None:
    register_shift("push", Push)
    with pytest.raises(BadInput) as caught:
        Shift.parse(text)
    assert expected in caught.value.expected
    assert fix in caught.value.fix
