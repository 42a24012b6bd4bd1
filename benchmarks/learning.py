"""How well the presets learn: every env that has one, seed by seed, and when it is where.

    python -m regoal.benchmarks.learning --results benchmarks/results
    python -m regoal.benchmarks.learning --env FetchPush-v4 --seeds 0..4 --jobs 2

Runs are ordinary run folders, OUT/PRESET/ENV/seed-K. The same command goes on with those that are not
finished and does not run the others again. `learning.csv` keeps its rows of envs and presets that are not
run this time, and of other seeds where the preset still has the settings that they were run with
(`config_hash`): seeds can be run one by one, on several machines.

`wall_seconds` is that of metrics.csv: what the run had taken, over all its sittings, when the result of the
evaluation was there. Evaluations and checkpoints are in it, so it is never less than the training took; what
was done twice after a kill counts once. One run at a time plays and evaluates in workers beside it, as
`regoal train` does; several (`--jobs`) take a core each, and longer: figures to publish are of one.
`test_success` is the success over 100 episodes that no run evaluates itself on, of the policy that a run
ended with; it stands in its last row.
"""

import argparse
import dataclasses
import re
import sys
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import median

from regoal.agent.config import AUTO
from regoal.agent.interrupts import Stopped
from regoal.agent.machine import worker_count
from regoal.agent.progress import say
from regoal.agent.trust import trust_settings
from regoal.agent.validation import validated
from regoal.benchmarks.cell_run import Job, is_finished, run_cell
from regoal.benchmarks.cells import Cell, folder_name
from regoal.benchmarks.curves import Curve, draw_medians
from regoal.benchmarks.modes import KEPT_SEED, success_at_home
from regoal.benchmarks.parallel import require_jobs, run_all
from regoal.benchmarks.presets import Preset, configured, preset_for, preset_named, presets
from regoal.benchmarks.results import Results
from regoal.benchmarks.seeds import parse_seeds
from regoal.benchmarks.tables import as_text, read_rows, read_table, replace_rows
from regoal.envs.recipe import EnvRecipe
from regoal.errors import EXIT_BAD_INPUT, EXIT_FAILED, EXIT_INTERRUPTED, BadInput

TEST_EPISODES = 100
TABLE = "learning.csv"
Rows = list[dict[str, str]]
Run = tuple[str, str, str]  # env, preset, seed


@dataclass(frozen=True)
class Row:
    """One evaluation of a run."""

    env: str
    preset: str
    seed: int
    env_steps: int
    wall_seconds: float  # of the run up to this result, evaluations and checkpoints included
    success: float  # share of its evaluation episodes
    test_success: float | None  # share of other episodes, in the last row of a run
    config_hash: str  # of the settings of the run


COLUMNS = tuple(field.name for field in fields(Row))


def asked_for(envs: Sequence[str], names: Sequence[str]) -> list[tuple[Preset, str]]:
    """Presets with the envs that they are tried in.

    Args:
        envs: ids; those of the presets if none are given.
        names: of presets; those of the envs if none are given, all of them if neither are.

    Raises:
        BadInput: no such preset, an env without one, or a preset without an env.
    """
    if envs and not names:
        return [(_of_env(env), env) for env in dict.fromkeys(envs)]
    chosen = [preset_named(name) for name in dict.fromkeys(names)]
    for one in chosen:
        if not (envs or one.envs):
            raise BadInput("preset", "one that has envs", repr(one.name), "Name one: --env ENV.")
    return [(one, env) for one in chosen or presets().values() for env in dict.fromkeys(envs or one.envs)]


def _of_env(env: str) -> Preset:
    found = preset_for(env)
    if found is None:
        raise BadInput("env", "an env that has a preset", repr(env), "Name one: --preset NAME.")
    return found


def cells_of(
    pairs: Sequence[tuple[Preset, str]], seeds: Sequence[int], out: Path, workers: int = 0
) -> list[Cell]:
    """The runs, put together and validated.

    Args:
        pairs: presets and the envs that they are tried in.
        seeds: of the runs.
        out: folder of their folders.
        workers: that play beside the one that learns, or AUTO for as many as this machine has room for;
            numbers do not depend on them.

    Raises:
        BadInput: a preset that does not work, or the seed whose episodes runs are tested in.
    """
    if KEPT_SEED in seeds:
        fix = "What comes of the runs is played in the evaluation episodes of that seed."
        raise BadInput("seeds", f"any but {KEPT_SEED:,}", str(KEPT_SEED), fix)
    cells = []
    for preset, env in pairs:
        for seed in seeds:
            name = f"{preset.name}/{folder_name(env)}/seed-{seed}"
            config = validated(configured(preset, env, out / name, seed=seed, workers=workers))
            # Now and not in the process of the run, which is not the only one and would have none.
            config = dataclasses.replace(config, workers=worker_count(config, EnvRecipe(env)))
            columns = {"env": env, "preset": preset.name, "seed": seed}
            cells.append(Cell(name, config, columns=columns, preset=preset.name))
    return cells


def learn(cell: Cell) -> Rows:
    """Run a cell to its end, if it is not there, and read and test what came out."""
    trust_settings(cell.config)
    if not is_finished(cell):
        run_cell(Job(cell, dict(cell.columns)))
    rows = [
        {
            **{name: str(value) for name, value in cell.columns.items()},
            "env_steps": row["env_steps"],
            "wall_seconds": f"{float(row['wall_seconds']):.1f}",
            "success": row["success"],
            "test_success": "",
            "config_hash": cell.config_hash,
        }
        for row in read_rows(cell.path / "metrics.csv")
    ]
    rows[-1]["test_success"] = as_text(success_at_home(cell.path, TEST_EPISODES))
    return rows


def outdated(rows: Rows, pairs: Iterable[tuple[Preset, str]]) -> set[Run]:
    """Those runs of the presets in these envs that had other settings than the presets have now."""
    told = {_run(row): row["config_hash"] for row in rows}
    return {
        (env, preset.name, seed)
        for preset, env in pairs
        for (of_env, name, seed), config_hash in told.items()
        if (of_env, name) == (env, preset.name)
        and config_hash != cells_of([(preset, env)], [int(seed)], Path("runs"))[0].config_hash
    }


def merged(before: Rows, now: Rows, gone: Collection[Run]) -> Rows:
    """The rows of now, and those of before that they do not replace, in the order of the columns.

    Args:
        before: rows that there were.
        now: rows of the runs that have ended well.
        gone: runs whose rows of before go in any case.
    """
    replaced = {_run(row) for row in now} | set(gone)
    kept = [row for row in before if _run(row) not in replaced]
    return sorted(
        kept + now, key=lambda row: (row["env"], row["preset"], int(row["seed"]), int(row["env_steps"]))
    )


def curves_of(rows: Rows) -> dict[str, dict[str, Curve]]:
    """The curve of each preset by env."""
    results = Results(
        tuple(row | {"task": row["env"], "arm": row["preset"], "zero_shot": "0"} for row in rows)
    )
    pairs = dict.fromkeys((row["env"], row["preset"]) for row in rows)
    return {
        env: {preset: results.curve(env, preset) for one, preset in pairs if one == env}
        for env in results.tasks
    }


def as_markdown(rows: Rows) -> str:
    """Where the runs of the table ended, for docs: a line an env and preset, its seeds in order."""
    ends: dict[tuple[str, str], Rows] = {}
    for row in rows:
        if row["test_success"]:
            ends.setdefault((row["env"], row["preset"]), []).append(row)
    lines = ["| env | preset | env steps | minutes | success | seeds |", "|---|---|---|---|---|---|"]
    for (env, preset), last in ends.items():
        steps = median(int(row["env_steps"]) for row in last)
        minutes, success, seeds = (
            ", ".join(texts)
            for texts in zip(
                *((f"{float(row['wall_seconds']) / 60:.1f}", _shown(row), row["seed"]) for row in last),
                strict=True,
            )
        )
        lines.append(f"| {env} | {preset} | {steps:,.0f} | {minutes} | {success} | {seeds} |")
    return "\n".join(lines)


def median_curves(rows: Rows, env: str) -> dict[str, dict[int, float]]:
    """Median success over seeds at env steps, by preset."""
    found: dict[str, dict[int, list[float]]] = {}
    for row in rows:
        if row["env"] == env:
            curve = found.setdefault(row["preset"], {})
            curve.setdefault(int(row["env_steps"]), []).append(float(row["success"]))
    return {
        preset: {steps: median(curve[steps]) for steps in sorted(curve)} for preset, curve in found.items()
    }


def medians(rows: Rows, env: str) -> str:
    """Median success over seeds, for docs: presets of an env beside each other where one was evaluated."""
    found = median_curves(rows, env)
    lines = [f"| env steps | {' | '.join(found)} |", "|---" * (1 + len(found)) + "|"]
    for steps in sorted(set().union(*found.values())):
        shown = (f"{curve[steps]:.2f}" if steps in curve else "" for curve in found.values())
        lines.append(f"| {steps:,} | {' | '.join(shown)} |")
    return "\n".join(lines)


def for_preset(rows: Rows, preset: str) -> str:
    """The tables [curves.ENV] of a preset's file: what it was measured to do in each env."""
    tables = []
    for env in dict.fromkeys(row["env"] for row in rows if row["preset"] == preset):
        seeds = sorted({int(row["seed"]) for row in rows if (row["env"], row["preset"]) == (env, preset)})
        curve = median_curves(rows, env)[preset]
        lines = [f"{steps:_} = {success:.2f}" for steps, success in curve.items()]
        head = [
            f"[curves.{_key(env)}]  # success at env steps, median over seeds: learning.csv",
            f"seeds = {len(seeds)}",
        ]
        tables.append("\n".join(head + lines))
    return "\n\n".join(tables)


def _key(text: str) -> str:
    return text if re.fullmatch(r"[\w-]+", text, re.ASCII) else f'"{text}"'


def seconds_of(rows: Rows) -> dict[Run, float]:
    """Wall clock of the runs that have ended."""
    return {_run(row): float(row["wall_seconds"]) for row in rows if row["test_success"]}


def _shown(row: dict[str, str]) -> str:
    return f"{float(row['test_success']):.2f}"


def measure(pairs: Sequence[tuple[Preset, str]], cells: Sequence[Cell], results: Path, jobs: int) -> int:
    """Run what is missing of the cells, and write table and picture; returns the exit code.

    A run that fails takes no rows of its env and preset away. Where these are of other settings, the rows of
    the runs that went well wait in their folders until it does, too.
    """
    table = results / TABLE
    read_table(table, COLUMNS)  # told now, and not after hours, if it is none
    say(f"{len(cells)} runs, {jobs} at a time; each prints into the .log beside its folder")
    outcomes = run_all(learn, cells, jobs, label=lambda cell: str(cell.path))
    now: Rows = []
    failed = {
        _pair(cell) for cell, one in zip(cells, outcomes, strict=True) if isinstance(one, BaseException)
    }
    well = [(preset, env) for preset, env in pairs if (env, preset.name) not in failed]
    for cell, outcome in zip(cells, outcomes, strict=True):
        if isinstance(outcome, BaseException):
            continue
        now += outcome
        last = outcome[-1]
        print(
            f"{cell.path}: success {last['test_success']} over {TEST_EPISODES} episodes "
            f"after {int(last['env_steps']):,} env steps, {last['wall_seconds']} s"
        )
    before = read_table(table, COLUMNS)  # others may have written to it in the meantime
    gone, old = outdated(before, well), outdated(before, pairs)
    waiting = {(env, preset) for env, preset, _ in old - gone}
    for env, preset in sorted(waiting):
        say(f"{env} {preset}: the table keeps its rows of other settings until all runs have gone well")
    now = [row for row in now if (row["env"], row["preset"]) not in waiting]
    if now:
        replace_rows(table, Row, merged(before, now, gone))
        curves = curves_of(read_table(table, COLUMNS))
        draw_medians(table.with_suffix(".png"), curves, "Learning with presets")
        print(table)
    return _exit_code([one for one in outcomes if isinstance(one, BaseException)])


def _pair(cell: Cell) -> tuple[str, str]:
    return str(cell.columns["env"]), str(cell.columns["preset"])


def _run(row: dict[str, str]) -> Run:
    return row["env"], row["preset"], row["seed"]


def _exit_code(errors: Sequence[BaseException]) -> int:
    for error in errors:
        if isinstance(error, KeyboardInterrupt):
            return error.exit_code if isinstance(error, Stopped) else EXIT_INTERRUPTED
    return EXIT_FAILED if errors else 0


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what is asked for; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--env", nargs="+", default=[], help="those of the presets if not given")
    parser.add_argument("--preset", nargs="+", default=[], help="those of the envs if not given")
    parser.add_argument("--seeds", default="0..2")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time; one alone uses all cores")
    parser.add_argument("--out", type=Path, default=Path("runs/learning"))
    parser.add_argument("--results", type=Path, help="folder for the table and the plot; OUT if not given")
    options = parser.parse_args(argv)
    try:
        require_jobs(options.jobs)
        pairs = asked_for(options.env, options.preset)
        workers = AUTO if options.jobs == 1 else 0
        cells = cells_of(pairs, parse_seeds(options.seeds), options.out, workers)
        return measure(pairs, cells, options.results or options.out, options.jobs)
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT


if __name__ == "__main__":
    sys.exit(main())
