"""The text of a shift: reading, canonical order, refusals of nonsense."""

import doctest
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regoal.envs import shift as shift_module
from regoal.envs import shift_levels
from regoal.envs.shift import Shift, Term
from regoal.envs.shift_families import FAMILIES, list_families
from regoal.envs.shift_family import LEVEL_NAMES, Family
from regoal.errors import BadInput

CANONICAL = [
    ("", ""),
    ("   ", ""),
    ("friction=0.10", "friction=0.1"),
    ("action_rotation=45,action_gain=0.5", "action_gain=0.5,action_rotation=45"),
    ("action_delay=2.0 , action_rotation = -90", "action_rotation=-90,action_delay=2"),
    ("friction=0.5..2", "friction=0.5..2"),
    ("friction=2/0.5/1", "friction=0.5/1/2"),
    ("action_rotation=-90..-45", "action_rotation=-90..-45"),
    ("action_rotation=-0", "action_rotation=0"),
    ("observation_noise=1e-7", "observation_noise=1e-07"),
    ("friction=hard", "friction=hard"),
    ("combined=mild , action_gain=medium", "action_gain=medium,combined=mild"),
    (
        "combined=hard,action_delay=1,action_noise=1,action_bias=-1,action_rotation=1,action_gain=2,"
        "observation_delay=1,observation_noise=1,observation_bias=-.5,reward_threshold=2,goal_region=.5,"
        "start_region=.5,joint_damping=2,gravity=0,object_mass=2,friction=3",
        "friction=3,object_mass=2,gravity=0,joint_damping=2,start_region=0.5,goal_region=0.5,"
        "reward_threshold=2,observation_bias=-0.5,observation_noise=1,observation_delay=1,action_gain=2,"
        "action_rotation=1,action_bias=-1,action_noise=1,action_delay=1,combined=hard",
    ),
]

BAD = [
    ("frction=0.1", "a known family", "'frction'", "Did you mean friction?"),
    ("Friction=0.1", "a known family", "'Friction'", "friction"),
    ("friction", "family=value", "'friction'", "friction"),
    ("friction=1,", "family=value", "''", ""),
    ("friction=1,,gravity=2", "family=value", "''", ""),
    ("friction:0.1", "family=value", "'friction:0.1'", "friction"),
    ("friction=0.1,gravity=2,friction=0.2", "each family once", "2 values", "LOW..HIGH"),
    ("friction=slippery", "a figure 0.5, a range 0.5..2 or a list", "'slippery'", "not a number"),
    ("friction=", "a figure", "''", "missing"),
    ("friction=0.5..", "a range", "'0.5..'", "missing"),
    ("friction=0.5/", "a list", "'0.5/'", "missing"),
    ("friction=1/2..3", "a list", "'1/2..3'", "'1/2' is not a number"),
    ("friction=0", "a value > 0 and <= 100 (factor)", "0", "changes nothing is 1"),
    ("friction=-1..2", "a value > 0", "-1", "changes nothing is 1"),
    ("gravity=-0.5", "a value >= 0", "-0.5", "changes nothing is 1"),
    ("goal_region=2.5", "<= 2", "2.5", ""),
    ("observation_noise=-0.1", "a value >= 0 (observation units)", "-0.1", "changes nothing is 0"),
    ("action_gain=0", "a value > 0", "0", ""),
    ("action_delay=51", "<= 50", "51", ""),
    ("action_delay=1.5", "a whole number of env steps", "1.5", "Write 2."),
    ("action_delay=0.5..2", "a whole number of env steps", "0.5", ""),
    ("friction=2..0.5", "LOW < HIGH", "2..0.5", "smaller figure first"),
    ("friction=2..2", "LOW < HIGH", "2..2", "one figure alone"),
    ("friction=1/2/1", "different ones", "1/2/1", "each once"),
    ("friction=inf", "a finite number", "inf", "factor"),
    ("action_rotation=nan", "a finite number", "nan", "degrees"),
    ("friction=Hard", "or a level: mild, medium or hard", "'Hard'", "'Hard' is not a number"),
    ("friction=mild/hard", "a level: mild, medium or hard", "'mild/hard'", "A level stands alone"),
    ("friction=mild..2", "a level: mild, medium or hard", "'mild..2'", "A level stands alone"),
    ("friction=hard,friction=mild", "each family once", "2 values", ""),
    ("combined", "family=value", "'combined'", "Write combined=VALUE."),
    ("combined=0.5", "a level: mild, medium or hard", "0.5", "name those"),
    ("combined=1..2", "a level: mild, medium or hard", "1..2", "name those"),
    ("combined=mild/hard", "a level: mild, medium or hard", "'mild/hard'", "A level stands alone"),
    ("combined=hard,combined=mild", "each family once", "2 values", ""),
    ("combind=hard", "a known family", "'combind'", "Did you mean combined?"),
    ("reward_threshold=0.5/1", "one figure", "0.5/1", "one reward for all episodes"),
    ("observation_delay=1.5", "a whole number of env steps", "1.5", "Write 2."),
    ("action_rotation=0..inf", "a finite number", "inf", "degrees"),
]


@pytest.mark.parametrize(("typed", "canonical"), CANONICAL)
def test_typed_text_becomes_canonical_text(typed: str, canonical: str) -> None:
    shift = Shift.parse(typed)
    assert str(shift) == canonical
    assert Shift.parse(str(shift)) == shift
    assert bool(shift) == bool(canonical)


@pytest.mark.parametrize(("text", "expected", "got", "fix"), BAD)
def test_nonsense_is_refused_with_place_expectation_and_fix(
    text: str, expected: str, got: str, fix: str
) -> None:
    with pytest.raises(BadInput) as caught:
        Shift.parse(text)
    error = caught.value
    assert error.where.startswith("shift")
    assert expected in error.expected
    assert got in error.got
    assert fix in error.fix


def test_terms_built_by_hand_are_held_to_the_same_rules() -> None:
    assert str(Shift((Term("action_gain", (2,)), Term("friction", (2, 1))))) == "friction=1/2,action_gain=2"
    for family, values, is_range in [
        ("x", (1.0,), False),
        ("combined", (1.0,), False),
        ("combined", (), False),
        ("friction", (), False),
        ("gravity", (1.0,), True),
    ]:
        with pytest.raises(BadInput):
            Term(family, values, is_range)
    for level, values in (("hardest", ()), ("hard", (0.1,))):
        with pytest.raises(BadInput):
            Term("friction", values, level=level)


def test_order_of_typing_does_not_matter_to_equality_and_hash() -> None:
    one, other = Shift.parse("gravity=2,friction=1/2"), Shift.parse("friction=2/1,gravity=2.0")
    assert one == other
    assert hash(one) == hash(other)
    assert pickle.loads(pickle.dumps(one)) == other  # noqa: S301
    assert one != Shift.parse("gravity=2,friction=1..2")


def _figures(family: Family) -> st.SearchStrategy[float]:
    if family.whole:
        return st.integers(int(family.low), int(family.high)).map(float)
    return st.floats(
        max(family.low, -1e12), min(family.high, 1e12), exclude_min=family.low_is_open, allow_nan=False
    )


@st.composite
def _terms(draw: st.DrawFn) -> list[Term]:
    terms = []
    for family in draw(st.lists(st.sampled_from(list_families()), unique=True)):
        if draw(st.integers(0, 4)) == 0:
            terms.append(Term(family.name, level=draw(st.sampled_from(LEVEL_NAMES))))
            continue
        most = 1 if family.fixed else 4
        values = draw(st.lists(_figures(family), min_size=1, max_size=most, unique=True))
        is_range = len(values) == 2 and draw(st.booleans())
        terms.append(Term(family.name, tuple(sorted(values)) if is_range else tuple(values), is_range))
    return terms


@given(_terms(), st.randoms())
def test_any_shift_reads_back_as_itself(terms: list[Term], shuffler: object) -> None:
    shift = Shift(tuple(terms))
    assert Shift.parse(str(shift)) == shift
    shuffler.shuffle(terms)  # type: ignore[attr-defined]
    assert str(Shift.parse(",".join(map(str, terms)))) == str(shift)


def test_draws_cover_lists_ranges_and_whole_ranges_evenly() -> None:
    draws = np.random.default_rng(0)
    chosen = [Term("friction", (0.5, 1, 2)).draw(draws) for _ in range(3000)]
    assert [round(chosen.count(value) / 3000, 1) for value in (0.5, 1, 2)] == [0.3, 0.3, 0.3]
    whole = [Term("action_delay", (1, 3), is_range=True).draw(draws) for _ in range(3000)]
    assert [round(whole.count(value) / 3000, 1) for value in (1, 2, 3)] == [0.3, 0.3, 0.3]
    uniform = np.array([Term("friction", (0.5, 2), is_range=True).draw(draws) for _ in range(3000)])
    assert uniform.min() >= 0.5
    assert uniform.max() <= 2
    assert abs(uniform.mean() - 1.25) < 0.03


def test_a_single_figure_draws_nothing() -> None:
    draws = np.random.default_rng(0)
    before = draws.bit_generator.state
    assert Term("friction", (0.5,)).draw(draws) == 0.5
    assert draws.bit_generator.state == before


def test_family_records_are_complete_and_in_order() -> None:
    assert list(FAMILIES) == [
        "friction",
        "object_mass",
        "gravity",
        "joint_damping",
        "start_region",
        "goal_region",
        "reward_threshold",
        "observation_bias",
        "observation_noise",
        "observation_delay",
        "action_gain",
        "action_rotation",
        "action_bias",
        "action_noise",
        "action_delay",
    ]
    assert tuple(FAMILIES.values()) == list_families()
    for family in list_families():
        Term(family.name, (family.identity,))
        for value in family.levels or ():
            family.check_value(value)
        assert family.unit
        assert family.applies_to
        assert family.description


def test_reading_a_shift_imports_no_simulator() -> None:
    code = (
        "import sys, regoal.envs.shift as s; s.Shift.parse('friction=hard').resolved('FetchPush-v4'); "
        "print([m for m in ('mujoco', 'torch', 'gymnasium', 'gymnasium_robotics') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_docstring_examples() -> None:
    for module in (shift_module, shift_levels):
        assert doctest.testmod(module).failed == 0
