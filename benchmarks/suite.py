"""Reads a suite from its TOML file and refuses what cannot be meant; imports nothing heavy.

What only shows when a run is put together (a strategy that does not exist, settings that do not go with a
mode) is found by `cells.cells_of`, before anything runs.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from regoal.agent.config import TrainConfig
from regoal.agent.durable import read_plain
from regoal.agent.run_folder import MOST_CONFIG_BYTES
from regoal.agent.settings import typed
from regoal.benchmarks.grid import Arm, Suite, Task, arms_of, matches, placed, tasks_of
from regoal.benchmarks.presets import AUTO, NONE, preset_named
from regoal.benchmarks.seeds import parse_seeds
from regoal.benchmarks.settings_table import require_known
from regoal.benchmarks.suite_tables import (
    BUDGET,
    read_baseline,
    read_grid,
    read_overrides,
    read_pretrain,
    read_settings,
    read_skips,
)
from regoal.errors import BadInput, did_you_mean

__all__ = ["Arm", "Suite", "Task", "arms_of", "baseline_of", "load_suite", "shipped", "tasks_of"]

SUITES = Path(__file__).parent / "suites"
TABLES = ("pretrain", "grid", "settings", "override", "skip", "baseline")
KEYS = ("name", "title", "seeds", *BUDGET, "preset", *TABLES)


def shipped() -> list[str]:
    """Names of the suites that come with the package."""
    return sorted(path.stem for path in SUITES.glob("*.toml"))


def load_suite(where: str | Path) -> Suite:
    """Read a suite.

    Args:
        where: a file, or the name of a shipped suite; an existing file wins.

    Raises:
        BadInput: there is none, or a key or a value that it cannot have: the file, the key and the fix.
    """
    path = Path(where)
    if not path.is_file():
        if str(where) not in shipped():
            expected = f"a TOML file, or a shipped suite: {', '.join(shipped())}"
            raise BadInput("suite", expected, repr(str(where)), did_you_mean(str(where), shipped()))
        path = SUITES / f"{where}.toml"
    try:
        values = tomllib.loads(read_plain(path.resolve(), MOST_CONFIG_BYTES).decode())
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(str(path), "a readable TOML file", str(error)) from error
    return parse_suite(values, str(where) if Path(where) == path else path.name)


def parse_suite(values: Mapping[str, Any], file: str) -> Suite:
    """A suite from the values of its TOML file; `file` is for messages.

    Raises:
        BadInput: as for `load_suite`.
    """
    require_known(values, KEYS, file, "a key of a suite")
    for key in ("name", "seeds", "steps", "grid"):
        if key not in values:
            raise BadInput(file, f"the key {key!r}", ", ".join(values) or "nothing")
    name = typed(str, values["name"], f"{file} name")
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise BadInput(f"{file} name", "letters, digits, '.', '-' and '_'", repr(name))
    grid = read_grid(values, file)
    budget = {key: typed(int, values.get(key, getattr(TrainConfig, key)), f"{file} {key}") for key in BUDGET}
    suite = Suite(
        name=name,
        title=typed(str, values.get("title", name), f"{file} title"),
        seeds=_seeds(values["seeds"], file),
        **budget,
        pretrain=read_pretrain(values, grid, file),
        grid=grid,
        settings=read_settings(values, grid, file),
        overrides=read_overrides(values, grid, file),
        skips=read_skips(values, grid, file),
        baseline=read_baseline(values, grid, file),
        preset=_preset(values.get("preset", NONE), file),
        file=file,
    )
    if not arms_of(suite):
        raise BadInput(f"{file} [[skip]]", "an arm that is left", "all of them skipped")
    baseline_of(suite)
    return suite


def baseline_of(suite: Suite) -> Arm | None:
    """The arm that others are compared with, if the suite names one.

    Raises:
        BadInput: it names none of the arms, or several.
    """
    if suite.baseline is None:
        return None
    found = [arm for arm in arms_of(suite) if matches(suite.baseline, arm.values)]
    if len(found) != 1:
        got = f"{len(found)}: {', '.join(arm.name for arm in found)}" if found else "none of them"
        raise BadInput(f"{suite.file} [baseline]", "values that name one arm", got, "Name all that vary.")
    return found[0]


def _preset(value: Any, file: str) -> str:
    name: str = typed(str, value, f"{file} preset")
    try:
        return name if name in (AUTO, NONE) else preset_named(name).name
    except BadInput as error:
        raise placed(file, error) from error


def _seeds(value: Any, file: str) -> tuple[int, ...]:
    text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    try:
        return tuple(parse_seeds(text))
    except BadInput as error:
        raise placed(file, error) from error
