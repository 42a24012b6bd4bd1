"""Where does transfer break? The zero-shot success of trained policies under every shift, level by level."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regoal.benchmarks.curves import COLOURS
from regoal.benchmarks.statistics import wilson_interval
from regoal.benchmarks.tables import read_rows, write_rows
from regoal.benchmarks.worlds import PLAIN, load_players, play_worlds, worlds_of
from regoal.envs.recipe import EnvRecipe
from regoal.envs.shift_families import families_for
from regoal.envs.shift_family import COMBINED, LEVEL_NAMES
from regoal.envs.shift_levels import env_name, levels, why_no_levels
from regoal.errors import BadInput

SEED = 3_000  # neither training runs nor the sweep that levels are chosen by play these episodes


@dataclass(frozen=True)
class Row:
    """Zero-shot success in one world.

    Attributes:
        env: id of the env.
        family: of the shift; `none` for the env as it comes.
        level: mild, medium or hard; empty for the env as it comes. For a family that has no levels here, why:
            `no effect` or `no levels chosen`. It was not played, and only exact figures of it are offered.
        value: the figure of the level; None where there is not one of them.
        shift: canonical text of the shift, with figures.
        success: share of episodes whose goal was reached at the last step.
        low, high: 95 % interval of it (Wilson), over episodes; see `measure_levels`.
        lost_points: percentage points below the env as it comes.
        episodes: played in all.
        runs: whose policies played, each the same number of episodes.
    """

    env: str
    family: str
    level: str
    value: float | None
    shift: str
    success: float | None
    low: float | None
    high: float | None
    lost_points: float | None
    episodes: int
    runs: int


def measure_levels(
    runs: Sequence[Path], env_id: str, episodes: int, seed: int = SEED, jobs: int = 1
) -> list[Row]:
    """Zero-shot success in the env as it comes, and at every level of every family that applies to it.

    The episodes of all runs are pooled, and the interval is over episodes. Each run plays episodes of its
    own, so all are independent; that one run is better than another only makes the interval wider than it
    need be. So it is an honest interval for the success of these very policies. It says nothing of how
    another training seed would do: for that, three runs are three, however many episodes they play.
    The worlds share their episodes, so a loss is less noisy than the two figures it is the difference of.

    Args:
        runs: run folders, and folders of seed-0, seed-1 ... which stand for their runs.
        env_id: the env they were trained in.
        episodes: each run plays so many in each world.
        seed: of the first run's episodes; the next run's is one more.
        jobs: worlds at a time; the rows do not depend on it.

    Returns:
        The env as it comes, then the families in canonical order, then `combined`.

    Raises:
        BadInput: no run, an unusable one, or runs of another env or size; nothing was played.
        RunFault: an env broke its contract.
        KeyboardInterrupt: a stop was asked for.
    """
    sources = load_players(runs, episodes, seed, jobs)
    if sources[0].config.env != env_id:
        raise BadInput(
            f"{sources[0].path} env",
            env_id,
            sources[0].config.env,
            "Success is lost against the env that a policy was trained in.",
        )
    places = [(PLAIN, ""), *_places(sources[0].target(""))]
    played = [place for place in places if place[1] in ("", *LEVEL_NAMES)]
    texts = [f"{family}={level}" if level else "" for family, level in played]
    worlds = worlds_of(sources, texts, episodes, seed)
    won: dict[tuple[str, str], int] = {}
    for place, outcome in zip(played, play_worlds(worlds, jobs), strict=True):
        if isinstance(outcome, BaseException):
            raise outcome
        won[place] = outcome
    shifts = {place: world.recipe.shift for place, world in zip(played, worlds, strict=True)}
    trials = episodes * len(sources)
    return [
        _row(env_id, place, shifts[place], won[place], won[PLAIN, ""], trials, len(sources))
        if place in won
        else Row(env_id, *place, None, "", None, None, None, None, 0, len(sources))
        for place in places
    ]


def table_path(folder: Path, env_id: str) -> Path:
    """Where the table of an env lies; the picture has the same name, with .png."""
    return folder / f"shifts-{env_name(env_id)}.csv"


def require_same_env(path: Path, env_id: str) -> None:
    """That a file, if it is there, is of this env: envs of one kind share its name, mazes for example.

    Raises:
        BadInput: it is of another.
    """
    there = {row.get("env", "something else") for row in read_rows(path)} if path.exists() else set()
    if there - {env_id}:
        got = f"one of {', '.join(sorted(there))}"
        raise BadInput(f"{path}", f"a table of {env_id}", got, "Choose another folder, or take it away.")


def write_table(folder: Path, rows: Sequence[Row]) -> list[Path]:
    """Write the table and the picture; where they are."""
    path = table_path(folder, rows[0].env)
    write_rows(path, Row, rows)
    picture = path.with_suffix(".png")
    draw_table(picture, rows)
    return [path, picture]


def read_table(path: Path) -> list[Row]:
    """The rows that `write_table` wrote, with the digits that it wrote."""

    def number(text: str) -> float | None:
        return float(text) if text else None

    return [
        Row(
            row["env"],
            row["family"],
            row["level"],
            number(row["value"]),
            row["shift"],
            number(row["success"]),
            number(row["low"]),
            number(row["high"]),
            number(row["lost_points"]),
            int(row["episodes"]),
            int(row["runs"]),
        )
        for row in read_rows(path)
    ]


def as_text(rows: Sequence[Row]) -> str:
    """The table for a terminal: a line a family, a column a level, and how to read it."""
    lines = [["", *LEVEL_NAMES]]
    for family in _families(rows):
        mine = [row for row in rows if row.family == family]
        lines.append([family, *(_cell(row) for row in mine)])
    columns = 1 + len(LEVEL_NAMES)
    lines = [line + [""] * (columns - len(line)) for line in lines]
    widths = [max(len(line[column]) for line in lines) for column in range(columns)]
    text = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    plain = rows[0]
    text.append(
        f"\n{plain.env}: figure, zero-shot success [95 % Wilson interval], points against no shift; "
        f"{_played(plain)}."
    )
    return "\n".join(text)


def draw_table(path: Path, rows: Sequence[Row]) -> None:
    """Draw a line a family with a dot and an interval a level; what breaks transfer most stands on top.

    Args:
        path: the PNG or SVG to write.
        rows: of one env.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plain = rows[0]
    families = sorted(
        [family for family in _families(rows) if family != PLAIN],
        key=lambda family: min(
            1.0 if row.success is None else row.success for row in rows if row.family == family
        ),
        reverse=True,
    )
    figure, axes = plt.subplots(figsize=(8, 1.6 + 0.42 * len(families)), layout="constrained")
    success, low, high = _figures([plain])[0]
    axes.axvspan(low, high, color="0.4", alpha=0.18, linewidth=0)
    axes.axvline(success, color="0.4", linestyle="--", linewidth=1, label="no shift")
    for level, colour, offset in zip(LEVEL_NAMES, COLOURS, (0.24, 0.0, -0.24), strict=False):
        mine = [row for row in rows if row.level == level]
        heights = [families.index(row.family) + offset for row in mine]
        figures = _figures(mine)
        axes.hlines(heights, figures[:, 1], figures[:, 2], color=colour, linewidth=2)
        axes.scatter(figures[:, 0], heights, color=colour, s=28, label=level, zorder=3)
        for row, height in zip(mine, heights, strict=True):
            if row.value is not None:
                axes.text(1.04, height, f"{row.value:g}", fontsize=7, color=colour, va="center")
    for row in rows:
        if row.success is None:
            axes.text(0.0, families.index(row.family), row.level, color="0.4", va="center")
    axes.set(
        xlabel="zero-shot success; on the right the figures of mild, medium and hard",
        xlim=(-0.03, 1.14),
        xticks=[0, 0.2, 0.4, 0.6, 0.8, 1],
        ylim=(-0.6, len(families) - 0.4),
        yticks=range(len(families)),
        yticklabels=families,
        title=f"{plain.env}: where does transfer break?\n{_played(plain)}, 95 % Wilson intervals",
    )
    axes.grid(alpha=0.25, axis="x")
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130, metadata={"Software": None} if path.suffix == ".png" else None)
    plt.close(figure)


def _played(row: Row) -> str:
    return f"{row.episodes} episodes a world, {row.runs} {'run' if row.runs == 1 else 'runs'}"


def _places(recipe: EnvRecipe) -> list[tuple[str, str]]:
    """Family and level of every world but the plain one; why there are none for a family without levels."""
    env = recipe.build()
    try:
        families = families_for(env)
    finally:
        env.close()
    there = {
        family: LEVEL_NAMES
        if family == COMBINED or levels(recipe.env_id, family)
        else (why_no_levels(recipe.env_id, family).partition(":")[0],)
        for family in [*families, COMBINED]
    }
    return [(family, level) for family, names in there.items() for level in names]


def _row(
    env_id: str, place: tuple[str, str], shift: str, won: int, won_plain: int, trials: int, runs: int
) -> Row:
    family, level = place
    figures = levels(env_id, family) if family not in (PLAIN, COMBINED) else None
    value = figures[LEVEL_NAMES.index(level)] if figures else None
    lost = 100 * (won_plain - won) / trials
    return Row(
        env_id, family, level, value, shift, won / trials, *wilson_interval(won, trials), lost, trials, runs
    )


def _figures(rows: Sequence[Row]) -> NDArray[np.float64]:
    """(rows, 3): success and its interval."""
    return np.array([(row.success, row.low, row.high) for row in rows], np.float64).reshape(-1, 3)


def _families(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row.family for row in rows))


def _cell(row: Row) -> str:
    if row.success is None:
        return row.level
    figure = "" if row.value is None else f"{row.value:g}: "
    lost = "" if row.family == PLAIN else f" {-(row.lost_points or 0.0) + 0.0:+.0f}"
    return f"{figure}{row.success:.2f} [{row.low:.2f}, {row.high:.2f}]{lost}"
