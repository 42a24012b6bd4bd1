"""The tables of a suite's file, one function each: read, and refused where they cannot be meant."""

from collections.abc import Iterable, Mapping
from typing import Any

from regoal.agent.agents import agent_config, is_own
from regoal.agent.modes import START, parse_mode
from regoal.benchmarks.grid import ARM_DIMENSIONS, TASK_DIMENSIONS, VARIANT, Override, Values, as_text, placed
from regoal.benchmarks.settings_table import require_known, require_settings, require_type, settings_of
from regoal.errors import BadInput, did_you_mean

BUDGET = ("steps", "eval_interval", "eval_episodes")
Grid = Mapping[str, tuple[Any, ...]]

# Settings of a run that a suite has another place for.
ELSEWHERE = {
    **dict.fromkeys((*TASK_DIMENSIONS, *ARM_DIMENSIONS), "It is a dimension of [grid]."),
    "seed": "Write seeds at the top of the file.",
    "out": "Every cell has a folder of its own below --out.",
    "source": "Write a [pretrain] table.",
}
OF_A_MODE = dict.fromkeys(
    START, "It goes with a mode: write it into [grid], or into [[override]] with when = { mode = ... }."
)
AT_THE_TOP = dict.fromkeys(BUDGET, "Write it at the top of the file, or into [[override]].")
OF_ITS_ARMS = {
    "env": "A source is trained in the env of its arms.",
    "agent": "A source has the agent of its arms.",
    "mode": "A source learns from scratch.",
}


def read_grid(values: Values, file: str) -> dict[str, tuple[Any, ...]]:
    """The values of every dimension: env, shift, agent, relabel, mode, perhaps variant, then others."""
    table, place = _table(values, "grid", file), f"{file} [grid]"
    for name, choices in table.items():
        if not isinstance(choices, list) or not choices:
            raise BadInput(f"{place} {name}", "a list of values", repr(choices), f"{name} = [...]")
        if any(choices.count(choice) > 1 for choice in choices):
            raise BadInput(f"{place} {name}", "different values", repr(choices), "Name each once.")
    pretrained = "pretrain" in values
    for name, needed in (("env", True), ("mode", pretrained)):
        if needed and name not in table:
            raise BadInput(place, f"the key {name!r}", ", ".join(table) or "nothing")
    if not pretrained and table.get("mode", ["scratch"]) != ["scratch"]:
        fix = "Leave it out: every arm learns from scratch; or write a [pretrain] table."
        raise BadInput(f"{place} mode", "a [pretrain] table to start from", repr(table["mode"]), fix)
    usual = {"env": [], "shift": [""], "agent": ["ddpg"], "relabel": ["future"], "mode": ["scratch"]}
    if VARIANT in table:
        usual[VARIANT] = []
    grid = {name: tuple(table.get(name, choices)) for name, choices in usual.items()}
    for name, texts in grid.items():
        if not all(isinstance(text, str) for text in texts):
            raise BadInput(f"{place} {name}", "texts", repr(list(texts)))
    try:
        for agent in grid["agent"]:
            if not is_own(agent):  # nothing is imported here
                agent_config(agent)
        for mode in grid["mode"]:
            parse_mode(mode)
    except BadInput as error:
        raise placed(place, error) from error
    others = {name: choices for name, choices in table.items() if name not in usual}
    require_settings(others, grid["agent"], place, ELSEWHERE)
    for name, choices in others.items():
        for choice in choices:
            require_type(name, choice, grid["agent"], place)
    return grid | {name: tuple(choices) for name, choices in others.items()}


def read_pretrain(values: Values, grid: Grid, file: str) -> Values | None:
    """Settings of the sources alone; None where there are none."""
    if "pretrain" not in values:
        return None
    table, place = _table(values, "pretrain", file), f"{file} [pretrain]"
    if "steps" not in table:
        raise BadInput(place, "the key 'steps'", ", ".join(table) or "nothing")
    if all(parse_mode(mode)[0] == "scratch" for mode in grid["mode"]):
        raise BadInput(place, "an arm that starts from it", "mode scratch alone", "Leave the table out.")
    refused = {name: fix for name, fix in ELSEWHERE.items() if name not in ("shift", "relabel")}
    return settings_of(table, grid["agent"], place, refused | OF_ITS_ARMS | OF_A_MODE)


def read_settings(values: Values, grid: Grid, file: str) -> Values:
    """Settings of all arms and sources."""
    table, place = _table(values, "settings", file), f"{file} [settings]"
    return settings_of(table, grid["agent"], place, ELSEWHERE | OF_A_MODE | AT_THE_TOP | _dimensions(grid))


def read_overrides(values: Values, grid: Grid, file: str) -> tuple[Override, ...]:
    """Settings of some of the arms."""
    overrides = []
    for number, table in enumerate(_tables(values, "override", file), 1):
        place = f"{file} [[override]] {number}"
        require_known(table, ("when", "set"), place, "when or set")
        for key in ("when", "set"):
            if not isinstance(table.get(key), Mapping) or not table[key]:
                raise BadInput(f"{place} {key}", "a table", repr(table.get(key)), f"{key} = {{ ... }}")
        when = _wanted(table["when"], grid, f"{place} when")
        refused = ELSEWHERE | _dimensions(grid)
        overrides.append(Override(when, settings_of(table["set"], grid["agent"], f"{place} set", refused)))
    _require_different_variants(grid, overrides, file)
    return tuple(overrides)


def _require_different_variants(grid: Grid, overrides: Iterable[Override], file: str) -> None:
    """That at most one variant is left as all are."""
    changed = {one.when[VARIANT] for one in overrides if VARIANT in one.when}
    same = [name for name in grid.get(VARIANT, ()) if name not in changed]
    if len(same) > 1:
        fix = f'Write an [[override]] with when = {{ variant = "{same[1]}" }}.'
        raise BadInput(f"{file} [grid] variant", "one that is like the rest", ", ".join(same), fix)


def read_skips(values: Values, grid: Grid, file: str) -> tuple[Values, ...]:
    """Combinations that are left out."""
    skips = []
    for number, table in enumerate(_tables(values, "skip", file), 1):
        place = f"{file} [[skip]] {number}"
        wanted = _wanted(table, grid, place)
        if not wanted:
            raise BadInput(place, "dimensions of the grid", "nothing")
        if 0 < len(set(wanted) & set(TASK_DIMENSIONS)) < len(wanted):
            fix = "Skip whole tasks (env, shift) or whole arms (all else)."
            raise BadInput(place, "every arm in every task", ", ".join(wanted), fix)
        skips.append(wanted)
    return tuple(skips)


def read_baseline(values: Values, grid: Grid, file: str) -> Values | None:
    """What names the arm that others are compared with, if anything does."""
    if "baseline" not in values:
        return None
    return _wanted(_table(values, "baseline", file), grid, f"{file} [baseline]")


def _wanted(table: Values, grid: Grid, place: str) -> Values:
    """Dimensions of the grid, each with one of its values."""
    require_known(table, grid, place, "a dimension of [grid]")
    for name, value in table.items():
        if value not in grid[name]:
            known = [as_text(one) for one in grid[name]]
            hint = did_you_mean(as_text(value), known)
            raise BadInput(f"{place} {name}", f"a value of [grid]: {', '.join(known)}", repr(value), hint)
    return dict(table)


def _dimensions(grid: Grid) -> dict[str, str]:
    return dict.fromkeys(grid, "It is a dimension of [grid]: an arm is what it is called.")


def _table(values: Values, key: str, file: str) -> Values:
    table = values.get(key, {})
    if not isinstance(table, Mapping):
        raise BadInput(f"{file} {key}", "a table", repr(table), f"[{key}]")
    return table


def _tables(values: Values, key: str, file: str) -> list[Values]:
    tables = values.get(key, [])
    if not isinstance(tables, list) or not all(isinstance(one, Mapping) for one in tables):
        raise BadInput(f"{file} {key}", "tables", repr(tables), f"[[{key}]]")
    return tables
