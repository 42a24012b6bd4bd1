"""What shifts there are, for people."""

import math

from regoal.envs.recipe import Env, EnvRecipe
from regoal.envs.shift_families import find_family, list_families
from regoal.envs.shift_family import COMBINED, LEVEL_NAMES, Family, Levels, number_text
from regoal.envs.shift_levels import (
    COMBINATIONS,
    LEVELS,
    OTHER_COMBINATION,
    combination,
    is_measured,
    levels,
    why_no_levels,
)

OTHERS, EVERYWHERE = "any other env", "every env it applies to"
_LEVELS = " / ".join(LEVEL_NAMES)
HOW_TO_WRITE = """\
Level action_gain=hard · figure action_gain=0.5
Drawn anew for each episode: range action_gain=0.5..2 · list action_gain=0.5/1/2
Compose with commas: action_rotation=45,action_gain=0.5
Of your own: my_shifts:wind=3; `regoal shifts --modules my_shifts` lists what my_shifts.py registers"""


def listing(env_id: str | None = None) -> str:
    """All families; or for one env those that apply there, with its levels, and why the others do not.

    Raises:
        BadInput: there is no such env.
    """
    if env_id is None:
        return "\n".join([*map(_entry, list_families()), _combined_entry(), "", HOW_TO_WRITE])
    env = EnvRecipe(env_id).build()
    try:
        return _of_env(env_id, env)
    finally:
        env.close()


def import_families(text: str) -> None:
    """Import the modules that stand before families in a text, so that what they register is known.

    Args:
        text: of a shift, `my_shifts:wind=3`, whose values may be left out.

    Raises:
        BadInput: a family is unknown, or its module cannot be imported or does not register it.
    """
    for item in filter(None, map(str.strip, text.split(","))):
        name = item.partition("=")[0].strip()
        if name != COMBINED:
            find_family(name)


def _entry(family: Family) -> str:
    lines = [
        f"{family.name}  [{family.bounds()}; {number_text(family.identity)} changes nothing]",
        f"    {family.description}",
        f"    applies to: {family.applies_to}",
    ]
    by_figures: dict[Levels | None, list[str]] = {}
    for name, table in LEVELS.items():
        if family.name in table:
            by_figures.setdefault(table[family.name], []).append(name)
    others = OTHERS if by_figures else EVERYWHERE
    if family.levels:
        by_figures.setdefault(family.levels, []).append(others)
    for figures, names in by_figures.items():
        told = _spelt(figures) if figures else "no effect, only exact figures"
        lines.append(f"    {told}: {', '.join(names)}")
    return "\n".join(lines)


def _combined_entry() -> str:
    lines = [f"{COMBINED}  [{' / '.join(LEVEL_NAMES)}]", "    several families at milder figures"]
    for name, table in [*COMBINATIONS.items(), (OTHERS, OTHER_COMBINATION)]:
        lines.append(f"    {name}: " + ", ".join(f"{part} {_figures(table[part])}" for part in table))
    return "\n".join(lines)


def _of_env(env_id: str, env: Env) -> str:
    rows, refused = [["family", "unit", "unchanged", "at most", _LEVELS]], []
    for family in list_families():
        reason = family.why_not(env)
        if reason is not None:
            refused.append([family.name, reason])
            continue
        figures = levels(env_id, family.name)
        told = _figures(figures) if figures else why_no_levels(env_id, family.name)
        greatest = family.greatest(env) if family.greatest else family.high
        most = f"{greatest:.3g}" if math.isfinite(greatest) else "-"
        rows.append([family.name, family.unit, number_text(family.identity), most, told])
    lines = [f"{env_id}: these shifts apply", *_columns(rows)]
    for level in LEVEL_NAMES:
        parts = [f"{name}={number_text(figure)}" for name, figure in combination(env_id, level).items()]
        lines.append(f"  {COMBINED}={level} is {','.join(parts)}")
    if not is_measured(env_id):
        lines += [
            "",
            "No policy has shown yet what these levels cost here: `regoal shifts ENV --policy RUN` does.",
        ]
    if refused:
        lines += ["", "these do not", *_columns(refused)]
    return "\n".join([*lines, "", HOW_TO_WRITE])


def _columns(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def _spelt(figures: Levels) -> str:
    return ", ".join(
        f"{name} {number_text(figure)}" for name, figure in zip(LEVEL_NAMES, figures, strict=True)
    )


def _figures(figures: Levels) -> str:
    return " / ".join(map(number_text, figures))
