"""Fine-tuning modes side by side: the same sources, the same target, every measure of every seed.

    python -m regoal.benchmarks.modes reach --out runs/modes --results benchmarks/results

Every mode of a seed starts from the same source run, which kept its replay; `scratch` is what all are
measured against. One thread a run, as many runs at a time as there are cores. The same command goes on
where it was stopped.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from regoal.agent.evaluation import evaluate
from regoal.agent.machine import cores
from regoal.agent.modes import MODES
from regoal.agent.policy import Policy
from regoal.agent.progress import say
from regoal.agent.run_folder import read_config
from regoal.agent.trust import require_trusted
from regoal.benchmarks.curves import Curve, draw_curves
from regoal.benchmarks.experiment import (
    Experiment,
    read_mode,
    run_experiment,
    run_path,
    source_path,
)
from regoal.benchmarks.going_on import exit_code, folder_of
from regoal.benchmarks.measures import HOLD, kept_on_source, measure, reached, write_measures
from regoal.benchmarks.parallel import all_results
from regoal.benchmarks.statistics import bootstrap_interval
from regoal.benchmarks.tables import read_rows
from regoal.envs.goal_spec import GoalSpec

TABLE = "table.md"  # the last thing that is written
KEPT_EPISODES, KEPT_SEED = 50, 1_000  # no run evaluates itself on these


EXPERIMENTS = {
    "reach": Experiment(
        env="FetchReach-v4",
        shift="action_gain=0.6,action_rotation=90",
        modes=tuple(MODES),
        seeds=(0, 1, 2, 3, 4),
        source_steps=2_500,
        steps=2_000,
        eval_interval=100,
    ),
}


def success_at_home(run: Path, episodes: int = KEPT_EPISODES) -> float:
    """Success of a run's policy in the env as it comes, over episodes that no run evaluates itself on."""
    config = require_trusted(read_config(run), str(run), ("env",))
    spec = GoalSpec.of(config.env, **config.env_kwargs)
    found = evaluate(spec, Policy.load(run), episodes=episodes, seed=KEPT_SEED)
    spec.close()
    return found.success


def read_modes(experiment: Experiment, out: Path) -> dict[str, Curve]:
    """The curve of each mode; zero-shot stays where it is for as long as the others learn."""
    curves = {mode: read_mode(experiment, out, mode) for mode in experiment.modes}
    steps = curves["scratch"].steps
    constant = np.repeat(curves["zero_shot"].success[:, :1], len(steps), axis=1)
    return curves | {"zero_shot": Curve(steps, constant)}


def table(rows: list[dict[str, str]], eval_interval: int) -> str:
    """Rows of a CSV of measures, of runs evaluated every so often, as they stand in docs/finetuning.md."""
    lines = [
        "| mode | before learning | AUC | at the end | steps to 0.9 | dip | kept on the source |",
        "|---|---|---|---|---|---|---|",
    ]
    for mode in MODES:
        mine = [row for row in rows if row["arm"] == mode]
        figures = {key: np.array([float(row[key]) for row in mine]) for key in mine[0] if key != "arm"}
        low, high = bootstrap_interval(figures["auc"], np.random.default_rng(0))
        soon = reached(figures["steps_to_90"], figures["last_step"][0] - (HOLD - 1) * eval_interval)
        kept = f"{figures['kept_on_source'].mean():.2f}" if mode != "scratch" else ""
        lines.append(
            f"| `{mode}` | {figures['zero_shot'].mean():.2f} | {figures['auc'].mean():.2f} "
            f"[{float(low):.2f}, {float(high):.2f}] | {figures['final_success'].mean():.2f} | {soon} "
            f"| {figures['dip'].mean():.2f} | {kept} |"
        )
    return "\n".join(lines)


def main() -> int:
    """Run an experiment; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("experiment", choices=EXPERIMENTS)
    parser.add_argument("--out", type=Path, default=Path("runs/modes"))
    parser.add_argument("--jobs", type=int, default=cores(), help="runs at a time")
    parser.add_argument("--results", type=Path, help="folder for the table and the plot; OUT if not given")
    options = parser.parse_args()
    name, experiment = options.experiment, EXPERIMENTS[options.experiment]
    out = folder_of(options.out, f"modes {name}", lambda last: (last / TABLE).exists())
    results, seeds, shift = options.results or out, experiment.seeds, experiment.shift
    run_experiment(experiment, out, options.jobs)
    say("playing in the source env again ...")
    runs = [source_path(out, seed) for seed in seeds]
    runs += [run_path(out, shift, mode, seed) for mode in experiment.modes for seed in seeds]
    home = np.reshape(all_results(success_at_home, runs, options.jobs), (-1, len(seeds)))
    curves = read_modes(experiment, out)
    rows = [
        row
        for (mode, curve), tuned in zip(curves.items(), home[1:], strict=True)
        for row in measure(mode, curve, curves["scratch"], seeds=seeds, kept=kept_on_source(tuned, home[0]))
    ]
    write_measures(results / f"modes-{name}.csv", rows)
    zero_shot = float(curves.pop("zero_shot").success.mean())
    draw_curves(
        results / f"modes-{name}.png",
        curves,
        f"{experiment.env}, target {shift}\nmean of {len(seeds)} seeds, 95 % bootstrap intervals",
        {f"zero_shot ({zero_shot:.2f})": zero_shot},
    )
    text = table(read_rows(results / f"modes-{name}.csv"), experiment.eval_interval)
    (out / TABLE).write_text(f"{text}\n")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(exit_code(main))
