"""A text that is no shift is answered with how to write what was probably meant."""

import re

import pytest

from regoal.envs.shift import Shift
from regoal.errors import BadInput

A_VALUE = "a figure 0.5, a range 0.5..2 or a list 0.5/1/2, or a level: mild, medium or hard"
TERMS = "family=value, with commas between"

MEANT = [
    ("action_rotation=90deg", A_VALUE, "'90deg'", "write action_rotation=90; the unit is degrees"),
    ("action_rotation=-45 °", A_VALUE, "'-45 °'", "write action_rotation=-45; the unit is degrees"),
    ("action_rotation=1.5708rad", A_VALUE, "'1.5708rad'", "write action_rotation=90; the unit is degrees"),
    ("action_rotation=0deg..90deg", A_VALUE, "'0deg..90deg'", "write action_rotation=0..90; the unit"),
    ("action_delay=2 steps", A_VALUE, "'2 steps'", "write action_delay=2; the unit is env steps"),
    ("friction=50%", A_VALUE, "'50%'", "write friction=0.5; it is a factor"),
    (
        "friction=extreme",
        A_VALUE,
        "'extreme'",
        "write friction=hard, or a figure such as friction=0.2 (factor)",
    ),
    ("friction=none", A_VALUE, "'none'", "write friction=1, which changes nothing, or leave it out"),
    ("action_gain=Off", A_VALUE, "'Off'", "write action_gain=1, which changes nothing"),
    ("friction=Hard", A_VALUE, "'Hard'", "write friction=hard."),
    ("friction=harder", A_VALUE, "'harder'", "write friction=hard."),
    ("combined=extreme", A_VALUE, "'extreme'", "write combined=hard."),
    ("friction=", A_VALUE, "''", "A value is missing: write friction=hard, or a figure such as friction=0.2"),
    ("friction==hard", A_VALUE, "'=hard'", "write friction=hard."),
    ("friction=hard gravity=0.5", A_VALUE, "'hard gravity=0.5'", "write friction=hard,gravity=0.5."),
    ("friction=0.5-2", A_VALUE, "'0.5-2'", "write friction=0.5..2."),
    ("friction=0.5 to 2", A_VALUE, "'0.5 to 2'", "write friction=0.5..2."),
    ("friction=0.1...2", A_VALUE, "'0.1...2'", "write friction=0.1..2."),  # not 0.1 to 0.2
    ("friction:hard", TERMS, "'friction:hard'", "Write friction=hard."),
    ("friction hard", TERMS, "'friction hard'", "Write friction=hard."),
    ("frction: 0.5", TERMS, "'frction: 0.5'", "Write friction=0.5."),
    ("my_shifts:wind", TERMS, "'my_shifts:wind'", "Write my_shifts:wind=VALUE."),
    ("my_shifts:wind:hard", TERMS, "'my_shifts:wind:hard'", "Write my_shifts:wind=hard."),
    ("=hard", TERMS, "'=hard'", "A family is missing: write FAMILY=hard, for example friction=hard"),
    ("hard", TERMS, "'hard'", "A family is missing: write FAMILY=hard"),
    ("none", TERMS, "'none'", 'leave it out, or give ""'),
    ("friction=1,000", TERMS, "'friction=1,000'", "write friction=1000 or friction=1.000; friction takes"),
    ("friction=0,5,gravity=2", TERMS, "'friction=0,5'", "write friction=0/5 or friction=0.5;"),
    ("friction=0.5,1,2", TERMS, "'friction=0.5,1,2'", "write friction=0.5/1/2;"),
]


@pytest.mark.parametrize(("text", "expected", "got", "fix"), MEANT)
def test_what_was_meant_is_told_in_one_line(text: str, expected: str, got: str, fix: str) -> None:
    with pytest.raises(BadInput) as caught:
        Shift.parse(text)
    error = caught.value
    assert (error.expected, error.got) == (expected, got)
    assert fix in error.fix
    assert "\n" not in str(error)


@pytest.mark.parametrize("text", [text for text, *_ in MEANT if "my_shifts" not in text])
def test_what_is_advised_can_be_read(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        Shift.parse(text)
    advice = caught.value.fix.partition("rite ")[2]
    advised = re.findall(r"\b[a-z_]+=[^\s;,]+(?:,[a-z_]+=[^\s;,]+)*", advice)
    assert advised or text == "none"
    # 1,000 may have been a thousand, which is more than friction takes: what it takes is told beside it.
    readable = [term.rstrip(".") for term in advised if term not in ("friction=1000", "friction=0/5")]
    for term in readable:
        assert Shift.parse(term)
