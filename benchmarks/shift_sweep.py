"""How much success each figure of a shift costs, and which figures to call mild, medium and hard.

    python -m regoal.benchmarks.shift_sweep --policy runs/push --results benchmarks/results

Writes shift-sweep-ENV.csv and prints a proposal for `envs/shift_levels.py`. The levels are then measured
once more by `regoal shifts ENV --policy`, over other episodes: the figure that came nearest to a target
came so near partly by luck.
"""

import argparse
import contextlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from regoal.agent.interrupts import Stopped
from regoal.agent.machine import cores
from regoal.benchmarks.shift_proposal import Proposal, as_text, propose
from regoal.benchmarks.shift_table import require_same_env
from regoal.benchmarks.sources import Source, load_sources
from regoal.benchmarks.statistics import wilson_interval
from regoal.benchmarks.tables import read_rows, write_rows
from regoal.benchmarks.worlds import PLAIN, load_players, play_worlds, worlds_of
from regoal.envs.recipe import Env
from regoal.envs.shift import Shift, Term
from regoal.envs.shift_families import FAMILIES, families_for
from regoal.envs.shift_levels import env_name
from regoal.errors import EXIT_BAD_INPUT, BadInput, did_you_mean

SEED = 2_000  # neither training runs nor the table of the levels play these episodes

FACTORS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.85, 1.2, 1.5, 2, 3, 5, 10)
REGIONS = (0.25, 0.5, 0.75, 1.08, 1.15, 1.3, 1.5, 1.75, 2)
OFFSETS = (0.0005, 0.001, 0.002, 0.004, 0.006, 0.008, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.2, 0.4)
DELAYS = (1, 2, 3, 4, 6, 8, 12, 20, 30)
BIASES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1)
GRIDS: dict[str, tuple[float, ...]] = {
    "friction": FACTORS,
    "object_mass": (*FACTORS, 20),
    "gravity": (0, *FACTORS),
    "joint_damping": (0, 0.1, 0.5, 1.5, 2, 5, 10, 20, 30, 50, 100),
    "start_region": REGIONS,
    "goal_region": REGIONS,
    "reward_threshold": (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 2),
    "observation_bias": (*(-offset for offset in OFFSETS), *OFFSETS),
    "observation_noise": OFFSETS,
    "observation_delay": DELAYS,
    "action_gain": (
        0.02,
        0.03,
        0.04,
        0.05,
        0.06,
        0.08,
        0.1,
        0.2,
        0.3,
        0.4,
        0.5,
        0.6,
        0.7,
        0.8,
        0.9,
        0.95,
        1.2,
        1.5,
        2,
        4,
    ),
    "action_rotation": (5, 10, 20, 30, 40, 50, 55, 60, 65, 70, 75, 80, 85, 90, 120, 150, 180),
    "action_bias": tuple(sign * size for size in BIASES for sign in (-1, 1)),
    "action_noise": (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2),
    "action_delay": DELAYS,
}


@dataclass(frozen=True)
class Row:
    """Zero-shot success at one figure of a family; the first row is the env as it comes.

    Attributes:
        env: id of the env.
        family: of the shift; `none` for the env as it comes.
        value: the figure; None for the env as it comes.
        episodes: played in all.
        runs: whose policies played, each the same number of episodes.
        success: share of episodes whose goal was reached at the last step.
        low, high: 95 % interval of it (Wilson), over episodes; see `shift_table.measure_levels`.
    """

    env: str
    family: str
    value: float | None
    episodes: int
    runs: int
    success: float
    low: float
    high: float


def proposals(rows: Sequence[Row]) -> dict[str, Proposal]:
    """A proposal for every family of a sweep, in the order of its rows."""
    plain = next(row.success for row in rows if row.family == PLAIN)
    found = {}
    for family in dict.fromkeys(row.family for row in rows if row.family != PLAIN):
        figures = {row.value: row.success for row in rows if row.family == family and row.value is not None}
        found[family] = propose(plain, figures, FAMILIES[family].identity)
    return found


def sweep(
    runs: Sequence[Path],
    families: Sequence[str] | None = None,
    episodes: int = 40,
    seed: int = SEED,
    jobs: int = 1,
) -> list[Row]:
    """Zero-shot success in the env of the runs over the grid of each family.

    A world that breaks (a figure at which the simulation does not hold, say) is left out and told of.

    Args:
        runs: run folders, and folders of seed-0, seed-1 ... which stand for their runs.
        families: their names; all that apply to the env if not given.
        episodes: each run plays so many in each world.
        seed: of the first run's episodes; the next run's is one more.
        jobs: worlds at a time; the rows do not depend on it.

    Raises:
        BadInput: no run, an unusable one, or a family that is unknown or does not apply; nothing was
            played.
        RunFault: the env as it comes broke its contract.
        KeyboardInterrupt: a stop was asked for.
    """
    sources = load_players(runs, episodes, seed, jobs)
    figures = [(PLAIN, None), *_figures(sources[0], families)]
    texts = ["" if value is None else str(Term(family, (value,))) for family, value in figures]
    outcomes = play_worlds(worlds_of(sources, texts, episodes, seed), jobs)
    env_id, trials = sources[0].config.env, episodes * len(sources)
    rows = []
    for (family, value), outcome in zip(figures, outcomes, strict=True):
        if isinstance(outcome, BaseException):
            if family == PLAIN or not isinstance(outcome, Exception):
                raise outcome
            continue
        interval = wilson_interval(outcome, trials)
        rows.append(Row(env_id, family, value, trials, len(sources), outcome / trials, *interval))
    if len(rows) < len(figures):
        print(f"{len(figures) - len(rows)} worlds broke and are left out", file=sys.stderr)
    return rows


def sweep_path(folder: Path, env_id: str) -> Path:
    """Where the sweep of an env lies."""
    return folder / f"shift-sweep-{env_name(env_id)}.csv"


def write_sweep(path: Path, rows: Sequence[Row]) -> None:
    """Write a sweep; families that it leaves out stay in the file, if they belong to the same policies.

    They do if the env as it comes was played with the same outcome: the same policies always do the same.
    """
    before = read_sweep(path) if path.exists() else []
    swept = {row.family for row in rows}
    if [_as_written(row) for row in before[:1]] == [_as_written(row) for row in rows[:1]]:
        rows = [*rows, *(row for row in before if row.family not in swept)]
    write_rows(path, Row, rows)


def read_sweep(path: Path) -> list[Row]:
    """The rows that `write_sweep` wrote, with the digits that it wrote."""
    return [
        Row(
            row["env"],
            row["family"],
            float(row["value"]) if row["value"] else None,
            int(row["episodes"]),
            int(row["runs"]),
            float(row["success"]),
            float(row["low"]),
            float(row["high"]),
        )
        for row in read_rows(path)
    ]


def main() -> int:
    """Sweep, write and propose; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--policy", type=Path, nargs="+", required=True, help="runs, trained in one env")
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--families", nargs="+", help="all that apply to the env if not given")
    parser.add_argument("--episodes", type=int, default=40, help="of each run in each world")
    parser.add_argument("--seed", type=int, default=SEED, help="of the episodes")
    parser.add_argument("--jobs", type=int, default=cores(), help="worlds at a time")
    options = parser.parse_args()
    env_id = load_sources(options.policy[:1])[0].config.env
    path = sweep_path(options.results, env_id)
    require_same_env(path, env_id)
    rows = sweep(options.policy, options.families, options.episodes, options.seed, options.jobs)
    write_sweep(path, rows)
    print(as_text(proposals(rows)))
    print(f"success without a shift {rows[0].success:.2f}; all figures are in {path}")
    return 0


def _figures(source: Source, families: Sequence[str] | None) -> list[tuple[str, float | None]]:
    """Every family with every figure of its grid that the env accepts."""
    env = source.target("").build()
    try:
        applying = families_for(env)
        for family in families or ():
            if family not in applying:
                hint = did_you_mean(family, applying)
                raise BadInput("families", f"some that apply to {source.config.env}", repr(family), hint)
        asked = dict.fromkeys(families or applying)
        return [(family, value) for family in asked for value in _grid(env, family)]
    finally:
        env.close()


def _grid(env: Env, family: str) -> list[float]:
    """What the env accepts of a family's grid, and the greatest it accepts where it has a bound of its own.

    A shift is put in force for that and may leave its mark: the env is not to be played afterwards.
    """
    if family not in GRIDS:
        print(f"{family}: no grid, so it is not swept", file=sys.stderr)
        return []
    greatest = FAMILIES[family].greatest
    accepted = []
    for value in sorted({*GRIDS[family], *((greatest(env),) if greatest else ())}):
        with contextlib.suppress(BadInput):
            Shift((Term(family, (value,)),)).apply(env)
            accepted.append(value)
    return accepted


def _as_written(row: Row) -> tuple[object, ...]:
    return tuple(f"{value:.4g}" if isinstance(value, float) else value for value in vars(row).values())


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Stopped, KeyboardInterrupt) as stopped:
        print(f"\n{stopped or 'stopped'}", file=sys.stderr)
        sys.exit(stopped.exit_code if isinstance(stopped, Stopped) else 130)
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_BAD_INPUT)
