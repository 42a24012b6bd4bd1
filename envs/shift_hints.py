"""What was probably meant by a text that is no shift, and how to write it."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Sequence
from itertools import takewhile

from regoal.envs.shift_families import FACTOR, FAMILIES
from regoal.envs.shift_family import COMBINED, LEVEL_NAMES, Family, number_text
from regoal.errors import BadInput, did_you_mean

TERMS = "family=value, with commas between"
NOTHING = ("none", "no", "off", "false", "default", "nominal", "normal", "same", "unchanged", "identity")

_FIGURE = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_VALUE = rf"{'|'.join(LEVEL_NAMES)}|{_FIGURE}(?:(?:\.\.|/){_FIGURE})*"
_NO_FAMILY = "A family is missing: write FAMILY={}, for example friction=hard; `regoal shifts` lists all."


def nearest_family(name: str) -> str:
    """The family itself, or the one whose name is most like it; empty where none is."""
    known = [*FAMILIES, COMBINED]
    return name if name in known else next(iter(difflib.get_close_matches(name.lower(), known, n=1)), "")


def refuse_commas_in_figures(items: Sequence[str]) -> None:
    """That no comma stands within a figure, `friction=1,000` or `friction=0,5`, or between those of a list.

    Args:
        items: a shift's text, split at its commas.

    Raises:
        BadInput: a bare figure follows a term.
    """
    for place, item in enumerate(items[:-1]):
        name, equals, first = (part.strip() for part in item.partition("="))
        rest = list(takewhile(lambda one: re.fullmatch(_FIGURE, one), items[place + 1 :]))
        if not (equals and rest and re.fullmatch(_FIGURE, first)):
            continue
        thousands = re.fullmatch(r"[-+]?[1-9]\d{0,2}", first) and all(re.fullmatch(r"\d{3}", r) for r in rest)
        meant = [f"{name}={first}{''.join(rest)}"] if thousands else [f"{name}={'/'.join([first, *rest])}"]
        if len(rest) == 1 and re.fullmatch(r"[-+]?\d+", first) and rest[0].isdecimal():
            meant.append(f"{name}={first}.{rest[0]}")
        fix = f"A comma stands between terms: write {' or '.join(meant)}{_takes(name)}."
        raise BadInput("shift", TERMS, repr(",".join([item, *rest])), fix)


def term_fix(item: str) -> str:
    """What to write for a term without a family and a value on either side of an equals sign."""
    if not item:
        return "Take out the comma that nothing stands beside."
    if item.lower() in NOTHING:
        return 'For no shift leave it out, or give "".'
    value = item.removeprefix("=").strip()
    if re.fullmatch(_VALUE, value) or item.startswith("="):
        return _NO_FAMILY.format(value or "VALUE")
    parted = re.fullmatch(rf"(.+?)\s*[:\s]\s*({_VALUE})", item)  # friction:hard, friction hard
    if parted:
        name, value = parted.groups()
        name = name if ":" in name else nearest_family(name)
        return f"Write {name}={value}." if name else did_you_mean(parted[1], [*FAMILIES, COMBINED])
    if ":" in item or nearest_family(item) == item:
        return f"Write {item}=VALUE."
    return did_you_mean(item, [*FAMILIES, COMBINED])


def value_fix(name: str, part: str, value: str) -> str:
    """What to write for a value that cannot be read.

    Args:
        name: the family's.
        part: what of the value is no figure.
        value: the whole of it.
    """
    family = FAMILIES.get(name)
    if not value:
        return f"A value is missing: write {_example(name, family)}."
    if not part:
        return "A number is missing."
    if part in LEVEL_NAMES:
        return "A level stands alone: `regoal shifts ENV` lists its figure."
    return f"{part!r} is not a number: write {_meant(name, family, value)}."


def _meant(name: str, family: Family | None, value: str) -> str:
    bare = value.lstrip("=").strip()
    if bare != value and re.fullmatch(_VALUE, bare):
        return f"{name}={bare}"
    terms = re.split(r"[;+&\s]+", value)
    if len(terms) > 1 and all("=" in term for term in terms[1:]):
        return f"{name}={','.join(terms)}"
    if family is not None and bare.lower() in NOTHING:
        return f"{name}={number_text(family.identity)}, which changes nothing, or leave it out"
    ends = re.fullmatch(rf"({_FIGURE})\s*(?:-|–|:|to|\.\.\.+)\s*({_FIGURE})", value)
    if ends:
        return f"{name}={ends[1]}..{ends[2]}"
    without = _without_units(value, family) if family is not None else ""
    if family is not None and without not in ("", value):
        return (
            f"{name}={without}; {'it is a factor' if family.unit == FACTOR else f'the unit is {family.unit}'}"
        )
    level = difflib.get_close_matches(bare.lower(), LEVEL_NAMES, n=1)
    return f"{name}={level[0]}" if level else _example(name, family)


def _without_units(value: str, family: Family) -> str:
    """The value in the family's unit with bare figures; empty where a part of it is no figure at all."""
    parts = re.split(r"(\.\.|/)", value)
    for place in range(0, len(parts), 2):
        found = re.fullmatch(rf"({_FIGURE})\s*([^\W\d_][^\W\d]*|°|%|)\s*", parts[place].strip())
        if not found:
            return ""
        figure, unit = float(found[1]), found[2].lower()
        if unit == "%" and family.unit == FACTOR:
            figure /= 100
        elif unit in ("rad", "radian", "radians") and family.unit == "degrees":
            figure = round(math.degrees(figure), 2)
        parts[place] = number_text(figure)
    return "".join(parts)


def _example(name: str, family: Family | None) -> str:
    """How terms of a family are written."""
    if family is None:
        return f"{name}=hard"
    if family.levels is None:
        return f"{name}=VALUE ({family.unit}; {number_text(family.identity)} changes nothing)"
    return f"{name}=hard, or a figure such as {name}={number_text(family.levels[1])} ({family.unit})"


def _takes(name: str) -> str:
    return f"; {name} takes values {FAMILIES[name].bounds()}" if name in FAMILIES else ""
