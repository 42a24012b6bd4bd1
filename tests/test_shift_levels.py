"""Levels: what mild, medium and hard stand for, and that figures are what is kept."""

import pickle

import gymnasium as gym
import pytest
from shift_play import POINT, episode_bytes

from regoal.envs import EnvRecipe, GoalSpec
from regoal.envs.check import check_env, failures
from regoal.envs.recipe import make
from regoal.envs.shift import Shift, Term
from regoal.envs.shift_families import FAMILIES
from regoal.envs.shift_levels import (
    COMBINATIONS,
    LEVELS,
    OTHER_COMBINATION,
    combination,
    env_name,
    is_measured,
    levels,
)
from regoal.envs.shift_listing import listing
from regoal.errors import BadInput

NAMES = [
    ("FetchPush-v4", "FetchPush"),
    ("FetchPushDense-v4", "FetchPush"),
    ("FetchPickAndPlace-v4", "FetchPickAndPlace"),
    ("HandReachDense-v3", "HandReach"),
    ("PointMaze_UMaze-v3", "PointMaze"),
    ("PointMaze_MediumDense-v3", "PointMaze"),
    ("AntMaze_Large_Diverse_GR-v5", "AntMaze"),
    (POINT, "PointReach"),
    ("my_env:my/Slider-v0", "Slider"),
    ("my_env:my/Two_Words-v12", "Two_Words"),
    ("Slider", "Slider"),
]


@pytest.mark.parametrize(("env_id", "name"), NAMES)
def test_envs_go_by_their_name_without_module_namespace_and_version(env_id: str, name: str) -> None:
    assert env_name(env_id) == name


def test_a_level_is_read_without_an_env_and_becomes_the_figure_of_one() -> None:
    shift = Shift.parse("action_delay=2 , friction = hard,action_gain=mild")
    assert str(shift) == "friction=hard,action_gain=mild,action_delay=2"
    assert Shift.parse(str(shift)) == shift
    assert shift.terms[0] == Term("friction", level="hard")
    for env_id in ("FetchPush-v4", "FetchSlide-v4"):
        friction, gain = levels(env_id, "friction"), levels(env_id, "action_gain")
        assert friction is not None
        assert gain is not None
        resolved = shift.resolved(env_id)
        assert str(resolved) == f"friction={friction[2]:g},action_gain={gain[0]:g},action_delay=2"
        assert resolved.resolved(env_id) == resolved
    assert Shift.parse("friction=0.5..2").resolved("FetchPush-v4") == Shift.parse("friction=0.5..2")


def test_an_env_that_is_not_in_the_table_has_the_levels_of_the_family() -> None:
    assert "Slider" not in LEVELS
    figures = FAMILIES["action_gain"].levels
    assert figures is not None
    assert levels("my_env:my/Slider-v0", "action_gain") == figures
    medium = Shift.parse("action_gain=medium").resolved("my_env:my/Slider-v0")
    assert medium == Shift((Term("action_gain", (figures[1],)),))


@pytest.mark.parametrize(
    ("env_id", "text", "where", "got", "fix"),
    [
        ("FetchReach-v4", "gravity=hard", "gravity", "no effect: only exact figures", "1 changes nothing"),
        ("my/X-v0", "goal_region=mild", "goal_region", "no levels chosen: only exact figures", "my/X-v0"),
        (
            "FetchPush-v4",
            "combined=hard,action_gain=0.5",
            "action_gain",
            "in combined=hard",
            "change it there",
        ),
    ],
)
def test_a_level_that_stands_for_nothing_is_refused(
    env_id: str, text: str, where: str, got: str, fix: str
) -> None:
    shift = Shift.parse(text)
    for refused in (
        lambda: shift.resolved(env_id),
        lambda: EnvRecipe(env_id, text),
        lambda: make(env_id, text),
        lambda: GoalSpec.of(env_id, shift),
    ):
        with pytest.raises(BadInput) as caught:
            refused()
        assert caught.value.where == f"{env_id} shift {where!r}"
        assert got in caught.value.got
        assert fix in caught.value.fix


def test_levels_are_measured_in_the_env_that_a_policy_played_in() -> None:
    measured = ("PointMaze_UMaze-v3", "PointMaze_UMazeDense-v3", "FetchPush-v4", POINT)
    assert all(is_measured(env_id) for env_id in measured)
    assert not any(is_measured(env_id) for env_id in ("PointMaze_Medium-v3", "AntMaze_UMaze-v5", "Other-v0"))


def test_combined_stands_for_several_families() -> None:
    for env_id in ("FetchPush-v4", POINT, "my_env:my/Slider-v0"):
        table = COMBINATIONS.get(env_name(env_id), OTHER_COMBINATION)
        for place, level in enumerate(("mild", "medium", "hard")):
            resolved = Shift.parse(f"combined={level}").resolved(env_id)
            assert {term.family: term.values for term in resolved.terms} == {
                family: (figures[place],) for family, figures in table.items()
            }
    beside = Shift.parse("combined=mild,goal_region=1.1").resolved("FetchPush-v4")
    assert {term.family for term in beside.terms} == {*COMBINATIONS["FetchPush"], "goal_region"}


def _hard(env_id: str, family: str) -> str:
    figures = levels(env_id, family)
    assert figures is not None
    return str(Term(family, (figures[2],)))


def test_what_is_kept_has_figures() -> None:
    recipe = EnvRecipe("FetchPush-v4", " action_gain=0.50,friction=hard")
    assert recipe.shift == f"{_hard('FetchPush-v4', 'friction')},action_gain=0.5"
    assert recipe == EnvRecipe("FetchPush-v4", recipe.shift)
    assert pickle.loads(pickle.dumps(recipe)) == recipe  # noqa: S301
    spec = GoalSpec.of("FetchPush-v4", "friction=hard")
    assert spec.recipe.shift == _hard("FetchPush-v4", "friction")
    spec.close()


def test_a_shifted_env_is_rebuilt_from_its_spec_with_the_figures() -> None:
    env = make("FetchPush-v4", "combined=hard,goal_region=0.9..1.1")
    terms = [Term(family, (figure,)) for family, figure in combination("FetchPush-v4", "hard").items()]
    figures = str(Shift((*terms, Term("goal_region", (0.9, 1.1), is_range=True))))
    assert str(env.get_wrapper_attr("shift")) == figures
    assert env.spec is not None
    assert figures in env.spec.to_json()
    for spec in (env.spec, gym.envs.registration.EnvSpec.from_json(env.spec.to_json())):
        again = gym.make(spec)
        assert str(again.get_wrapper_attr("shift")) == figures
        assert episode_bytes(again, 4) == episode_bytes(env, 4)
        again.close()
    env.close()


def test_an_env_at_a_level_keeps_the_goal_contract() -> None:
    assert failures(check_env(EnvRecipe("FetchPush-v4", "friction=hard"), episodes=2)) == []


# --- the listing --------------------------------------------------------------------------------------


def test_the_listing_tells_all_of_all_families() -> None:
    text = listing()
    assert "reward_threshold  [> 0 and <= 10 (factor); 1 changes nothing]" in text
    assert "applies to: Fetch, HandReach, PointReach" in text
    assert "no effect, only exact figures: FetchReach, FetchPickAndPlace, PointMaze" in text
    assert "mild 15, medium 45, hard 90: " in text
    assert "combined  [mild / medium / hard]" in text
    assert "any other env: observation_noise 0.005 / 0.01 / 0.02" in text


def test_the_listing_of_an_env_has_its_levels_and_the_reasons_of_the_rest() -> None:
    lines = [" ".join(line.split()) for line in listing("FetchReach-v4").splitlines()]
    assert "gravity factor 1 100 no effect: only exact figures" in lines
    for family, told in (("action_rotation", "degrees 0 -"), ("action_gain", "factor 1 100")):
        figures = levels("FetchReach-v4", family)
        assert figures is not None
        assert f"{family} {told} {' / '.join(f'{x:g}' for x in figures)}" in lines
    assert "friction nothing in it slides on anything" in lines
    assert "start_region it starts in the same place every time" in lines
    assert any(line.startswith("combined=hard is ") for line in lines)
    with pytest.raises(BadInput):
        listing("FetchReech-v4")
