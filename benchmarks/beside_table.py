"""What two sides learned in the same time: the rows of beside.csv, and what is made of them to look at."""

import math
from dataclasses import dataclass, fields

EVAL_EPISODES = 50
MARKS = (1, 2)  # minutes of the table; then every fifth
SLACK_SECONDS = 1.0  # after a mark, in which an evaluation still counts for it
Rows = list[dict[str, str]]


@dataclass(frozen=True)
class Row:
    """One evaluation of a side."""

    env: str
    side: str  # library and version
    seed: int
    env_steps: int
    wall_seconds: float  # of training; beside.py says what each side has in it
    success: float  # share of its 50 evaluation episodes


COLUMNS = tuple(field.name for field in fields(Row))


def rows_of(side: str, measured: Rows, env: str, seed: int, seconds: float) -> Rows:
    """The evaluations of a side within its time, as they stand in the table.

    Args:
        side: its label.
        measured: what its own file says.
        env: id.
        seed: of the run.
        seconds: that it had.
    """
    return [
        {
            "env": env,
            "side": side,
            "seed": str(seed),
            "env_steps": row["env_steps"],
            "wall_seconds": f"{float(row['wall_seconds']):.1f}",
            "success": row["success"],
        }
        for row in measured
        if float(row["wall_seconds"]) <= seconds + SLACK_SECONDS
    ]


def merged(before: Rows, now: Rows) -> Rows:
    """The rows of now, and those of before that are of other envs and seeds, by env and seed."""
    anew = {(row["env"], row["seed"]) for row in now}
    kept = [row for row in before if (row["env"], row["seed"]) not in anew]
    return sorted(kept + now, key=lambda row: (row["env"], int(row["seed"])))


def by_side(rows: Rows) -> dict[str, Rows]:
    """The rows of each side, in their order."""
    sides = dict.fromkeys(row["side"] for row in rows)
    return {side: [row for row in rows if row["side"] == side] for side in sides}


def newest(rows: Rows, minutes: float) -> dict[str, str] | None:
    """The newest evaluation that was there by then, if one was."""
    there = [row for row in rows if float(row["wall_seconds"]) <= 60 * minutes + SLACK_SECONDS]
    return there[-1] if there else None


def marks(minutes: float) -> list[float]:
    """The minutes of the table: 1, 2, 5, 10, 15 and so on, and the last."""
    candidates = [*MARKS, *range(5, math.ceil(minutes), 5)]
    return [*(float(mark) for mark in candidates if mark < minutes), minutes]


def as_table(rows: Rows, minutes: float) -> str:
    """Success and env steps of each side, minute by minute.

    Args:
        rows: of one env and seed.
        minutes: that each side had.
    """
    sides = by_side(rows)
    heads = ["minutes", *(head for side in sides for head in (side, "env steps"))]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for mark in marks(minutes):
        cells = [f"{mark:g}"]
        for found in (newest(one, mark) for one in sides.values()):
            cells += [f"{float(found['success']):.2f}", f"{int(found['env_steps']):,}"] if found else ["", ""]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def verdict(rows: Rows, minutes: float) -> str:
    """Who was better at the end of the time, in a line.

    Args:
        rows: of one env and seed, ours first.
        minutes: that each side had.
    """
    ended = {side: newest(one, minutes) for side, one in by_side(rows).items()}
    told = ", ".join(f"{side} {float(row['success']):.2f}" for side, row in ended.items() if row)
    if len(ended) < 2 or None in ended.values():
        return f"after {minutes:g} minutes: {told or 'nothing'}; a side has no evaluation: no comparison"
    ours, theirs = (float(row["success"]) for row in ended.values() if row)
    judged = "regoal is ahead" if ours > theirs else "regoal is behind" if ours < theirs else "both are level"
    return f"after {minutes:g} minutes: {told}: {judged} over {EVAL_EPISODES} episodes of one seed"


def curves_of(rows: Rows) -> dict[str, dict[str, list[list[tuple[float, float]]]]]:
    """The runs of each side by env, as (minutes, success)."""
    panels: dict[str, dict[str, dict[str, list[tuple[float, float]]]]] = {}
    for row in rows:
        run = panels.setdefault(row["env"], {}).setdefault(row["side"], {}).setdefault(row["seed"], [])
        run.append((float(row["wall_seconds"]) / 60, float(row["success"])))
    return {env: {side: list(runs.values()) for side, runs in sides.items()} for env, sides in panels.items()}
