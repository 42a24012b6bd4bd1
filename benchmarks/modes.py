"""Fine-tuning modes side by side: the same sources, the same target, every measure of every seed.

    python -m regoal.benchmarks.modes reach --out runs/modes --results benchmarks/results

Every mode of a seed starts from the same source run, which kept its replay; `scratch` is what all are
measured against. One thread a run, as many runs at a time as there are cores.
"""

import argparse
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from regoal.agent.config import FinetuneConfig, TrainConfig
from regoal.agent.evaluation import evaluate
from regoal.agent.finetuning import resolve
from regoal.agent.machine import cores
from regoal.agent.modes import MODES
from regoal.agent.policy import Policy
from regoal.agent.run_folder import read_config
from regoal.agent.settings import set_field
from regoal.agent.training import train
from regoal.benchmarks.curves import Curve, draw_curves, read_curve
from regoal.benchmarks.measures import kept_on_source, measure, reached, write_measures
from regoal.benchmarks.parallel import all_results, next_free
from regoal.benchmarks.statistics import bootstrap_interval
from regoal.benchmarks.tables import read_rows
from regoal.envs.goal_spec import GoalSpec

SOURCE = "source"
KEPT_EPISODES, KEPT_SEED = 50, 1_000  # no run evaluates itself on these


@dataclass(frozen=True)
class Experiment:
    """Sources, a target, and for how long each is learned in.

    Attributes:
        env: id of the env.
        shift: the target.
        seeds: a source and a run of every mode for each.
        source_steps, steps: env steps in the source and in the target.
        eval_interval: env steps between evaluations in the target.
        settings: of the sources, and so of all, that differ from the defaults.
    """

    env: str
    shift: str
    seeds: tuple[int, ...]
    source_steps: int
    steps: int
    eval_interval: int
    eval_episodes: int = 20
    settings: Mapping[str, str] = field(default_factory=dict)


EXPERIMENTS = {
    "reach": Experiment(
        env="FetchReach-v4",
        shift="action_gain=0.6,action_rotation=90",
        seeds=(0, 1, 2, 3, 4),
        source_steps=2_500,
        steps=2_000,
        eval_interval=100,
    ),
}


def run_path(out: Path, arm: str, seed: int) -> Path:
    """The run folder of a mode, or of the source."""
    return out / arm / f"seed-{seed}"


def source_config(experiment: Experiment, out: Path, seed: int) -> TrainConfig:
    """The pretraining of one seed."""
    config = TrainConfig(
        env=experiment.env,
        out=str(run_path(out, SOURCE, seed)),
        steps=experiment.source_steps,
        seed=seed,
        eval_interval=max(experiment.source_steps // 10, 1),
        eval_episodes=experiment.eval_episodes,
        keep_replay=True,
        workers=0,
    )
    for name, text in experiment.settings.items():
        config = set_field(config, name, text)
    return config


def mode_config(experiment: Experiment, out: Path, mode: str, seed: int) -> TrainConfig:
    """A mode's run of one seed."""
    return resolve(
        run_path(out, SOURCE, seed),
        FinetuneConfig(
            out=str(run_path(out, mode, seed)),
            shift=experiment.shift,
            mode=mode,
            steps=experiment.steps,
            seed=seed,
            eval_interval=experiment.eval_interval,
            eval_episodes=experiment.eval_episodes,
            workers=0,
        ),
    )


def success_at_home(run: Path) -> float:
    """Success of a run's policy in the env as it comes."""
    config = read_config(run)
    spec = GoalSpec.of(config.env, **config.env_kwargs)
    env = spec.recipe.build()
    found = evaluate(env, spec, Policy.load(run), episodes=KEPT_EPISODES, seed=KEPT_SEED)
    env.close()
    spec.close()
    return found.success


def read_arms(out: Path, seeds: tuple[int, ...]) -> dict[str, Curve]:
    """The curve of each mode; zero-shot stays where it is for as long as the others learn."""
    curves = {mode: read_curve([run_path(out, mode, seed) for seed in seeds]) for mode in MODES}
    steps = curves["scratch"].steps
    constant = np.repeat(curves["zero_shot"].success[:, :1], len(steps), axis=1)
    return curves | {"zero_shot": Curve(steps, constant)}


def table(rows: list[dict[str, str]]) -> str:
    """Rows of a CSV of measures as they stand in docs/finetuning.md."""
    lines = [
        "| mode | before learning | AUC | at the end | steps to 0.9 | dip | kept on the source |",
        "|---|---|---|---|---|---|---|",
    ]
    for mode in MODES:
        mine = [row for row in rows if row["arm"] == mode]
        figures = {key: np.array([float(row[key]) for row in mine]) for key in mine[0] if key != "arm"}
        low, high = bootstrap_interval(figures["auc"], np.random.default_rng(0))
        soon = reached(figures["steps_to_90"], figures["last_step"][0])
        kept = f"{figures['kept_on_source'].mean():.2f}" if mode not in ("scratch", "rlpd") else ""
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
    name, experiment, out = options.experiment, EXPERIMENTS[options.experiment], next_free(options.out)
    results, seeds = options.results or out, experiment.seeds
    say(f"pretraining {len(seeds)} sources in {experiment.env} ...")
    all_results(train, [source_config(experiment, out, seed) for seed in seeds], options.jobs, name_of)
    say(f"{len(MODES)} modes x {len(seeds)} seeds in the target, {experiment.shift} ...")
    configs = [mode_config(experiment, out, mode, seed) for seed in seeds for mode in MODES]
    all_results(train, configs, options.jobs, name_of)
    say("playing in the source env again ...")
    runs = [run_path(out, arm, seed) for arm in (SOURCE, *MODES) for seed in seeds]
    home = np.reshape(all_results(success_at_home, runs, options.jobs), (-1, len(seeds)))
    curves = read_arms(out, seeds)
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
        f"{experiment.env}, target {experiment.shift}\nmean of {len(seeds)} seeds, 95 % bootstrap intervals",
        {f"zero_shot ({zero_shot:.2f})": zero_shot},
    )
    print(table(read_rows(results / f"modes-{name}.csv")))
    return 0


def name_of(config: TrainConfig) -> str:
    """For messages."""
    return config.out


def say(text: str) -> None:
    """A line of progress."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
