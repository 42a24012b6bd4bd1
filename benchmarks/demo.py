"""The main job from end to end: pretrain FetchReach, shift it, fine-tune with hindsight, compare.

    python -m regoal.benchmarks.demo --out runs/demo

Every arm has the same seeds; fine-tuning arms of a seed start from the same source run. The same command
goes on where it was stopped.
"""

import argparse
import csv
import sys
import time
from pathlib import Path

import numpy as np

from regoal.agent.config import FinetuneConfig, TrainConfig
from regoal.agent.finetuning import resolve
from regoal.agent.machine import cores
from regoal.agent.progress import say
from regoal.benchmarks.before_after import show_before_after
from regoal.benchmarks.curves import Curve, draw_curves, read_curve
from regoal.benchmarks.experiment import learned, name_of
from regoal.benchmarks.going_on import exit_code, folder_of
from regoal.benchmarks.measures import steps_to
from regoal.benchmarks.parallel import all_results
from regoal.benchmarks.published import replace_file
from regoal.benchmarks.statistics import bootstrap_interval
from regoal.benchmarks.tables import read_rows

ENV = "FetchReach-v4"
SHIFT = "action_rotation=90,action_gain=0.6"
SEEDS = (0, 1, 2)
SOURCE_STEPS = 2_500
TARGET_STEPS = 2_000
EVAL_INTERVAL = 100
EVAL_EPISODES = 15
THRESHOLD = 0.9
TABLE = "table.md"  # the last thing that is written

FINETUNE_HER = "fine-tune + HER"
FINETUNE_NONE = "fine-tune, no HER"
SCRATCH_HER = "scratch + HER"
SCRATCH_NONE = "scratch, no HER"
ARMS = {  # label: (folder, starts from the source, relabelling)
    FINETUNE_HER: ("finetune-her", True, "future"),
    FINETUNE_NONE: ("finetune-none", True, "none"),
    SCRATCH_HER: ("scratch-her", False, "future"),
    SCRATCH_NONE: ("scratch-none", False, "none"),
}


def main() -> int:
    """Run the demo; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("runs/demo"))
    parser.add_argument("--jobs", type=int, default=cores(), help="runs at a time")
    parser.add_argument("--results", type=Path, help="also write demo.csv and pictures to this folder")
    options = parser.parse_args()
    out = folder_of(options.out, "demo", lambda last: (last / TABLE).exists())
    in_one_go, began = not (out / "source").exists(), time.monotonic()
    say(f"pretraining {len(SEEDS)} agents in {ENV} ...")
    run_or_stop([source_config(out, seed) for seed in SEEDS], options.jobs)
    say(f"learning in the target, {ENV} with {SHIFT}: {len(ARMS)} arms x {len(SEEDS)} seeds ...")
    run_or_stop([arm_config(out, arm, seed) for seed in SEEDS for arm in ARMS], options.jobs)
    curves = {arm: read_curve([run_path(out, arm, seed) for seed in SEEDS]) for arm in ARMS}
    zero_shot = float(curves[FINETUNE_HER].success[:, 0].mean())
    table = make_table(curves)
    draw_curves(
        out / "curves.png",
        curves,
        f"{ENV}, target {SHIFT}\nmean of {len(SEEDS)} seeds with 95 % bootstrap intervals",
        {f"zero-shot ({zero_shot:.2f})": zero_shot},
    )
    write_csv(out / "demo.csv", curves)
    pictures = show_before_after(out, out / "source" / "seed-0", run_path(out, FINETUNE_HER, 0), SHIFT)
    seconds = time.monotonic() - began
    timed = [out / "time.csv"] if in_one_go else []  # else nobody knows
    for path in timed:
        write_time(path, seconds, options.jobs)
    if options.results:
        options.results.mkdir(parents=True, exist_ok=True)
        for path in (out / "demo.csv", *timed, out / "curves.png", *pictures):
            name = "demo" if path.stem == "demo" else f"demo-{path.stem}"
            replace_file(path, options.results / f"{name}{path.suffix}")
        if not timed:
            say(f"{options.results / 'demo-time.csv'} stays as it is: this demo was not made in one go")
    (out / TABLE).write_text(table)
    print(f"\n{table}")
    print(f"took {seconds:.0f} s; what it made:")
    for path in (out / "curves.png", *pictures, out / "demo.csv"):
        print(f"  {path}")
    return 0


def source_config(out: Path, seed: int) -> TrainConfig:
    """The pretraining of one seed."""
    return TrainConfig(
        env=ENV,
        out=str(out / "source" / f"seed-{seed}"),
        steps=SOURCE_STEPS,
        seed=seed,
        eval_interval=500,
        eval_episodes=EVAL_EPISODES,
    )


def arm_config(out: Path, arm: str, seed: int) -> TrainConfig:
    """One arm of one seed; all that differs between arms is where it starts and how it relabels."""
    _, from_source, relabel = ARMS[arm]
    return resolve(
        out / "source" / f"seed-{seed}",
        FinetuneConfig(
            out=str(run_path(out, arm, seed)),
            shift=SHIFT,
            mode="warm_start" if from_source else "scratch",
            relabel=relabel,
            steps=TARGET_STEPS,
            seed=seed,
            eval_interval=EVAL_INTERVAL,
            eval_episodes=EVAL_EPISODES,
        ),
    )


def run_path(out: Path, arm: str, seed: int) -> Path:
    """The run folder of an arm."""
    return out / ARMS[arm][0] / f"seed-{seed}"


def run_or_stop(configs: list[TrainConfig], jobs: int) -> None:
    """Train all that are not trained yet; the first failure ends the demo."""
    all_results(learned, configs, jobs, name_of)


def make_table(curves: dict[str, Curve]) -> str:
    """A Markdown table: one row an arm."""
    quarter_steps = TARGET_STEPS // 4
    head = [
        "arm",
        "success before learning",
        f"at {quarter_steps} steps",
        f"at {TARGET_STEPS} steps",
        f"steps to {THRESHOLD}, seed by seed",
    ]
    lines = [f"| {' | '.join(head)} |", "|---|---|---|---|---|"]
    zero_shot = with_interval(curves[FINETUNE_HER].success[:, 0])
    lines.append(f"| zero-shot, no learning | {' | '.join([zero_shot] * 3)} | |")
    for arm, curve in curves.items():
        quarter = int(np.searchsorted(curve.steps, quarter_steps))
        cells = [with_interval(curve.success[:, point]) for point in (0, quarter, -1)]
        reached = [steps_to(THRESHOLD, curve.steps, success, hold=2) for success in curve.success]
        shown = ", ".join("never" if np.isinf(steps) else f"{steps:.0f}" for steps in reached)
        lines.append(f"| {arm} | {' | '.join(cells)} | {shown} |")
    lines.append(
        f"\nSuccess over {EVAL_EPISODES} episodes, mean of seeds {SEEDS[0]}-{SEEDS[-1]} "
        f"[95 % bootstrap interval]; steps to the first two evaluations in a row of {THRESHOLD} or more."
    )
    return "\n".join(lines) + "\n"


def with_interval(success: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> str:
    """Mean of runs and its interval."""
    low, high = bootstrap_interval(success, np.random.default_rng(0))
    return f"{success.mean():.2f} [{float(low):.2f}, {float(high):.2f}]"


def write_csv(path: Path, curves: dict[str, Curve]) -> None:
    """One row an evaluation."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["arm", "env", "shift", "seed", "env_steps", "success"])
        for arm, curve in curves.items():
            for seed, successes in zip(SEEDS, curve.success, strict=True):
                for steps, success in zip(curve.steps, successes, strict=True):
                    writer.writerow([arm, ENV, SHIFT, seed, int(steps), f"{success:.6g}"])


def write_time(path: Path, seconds: float, jobs: int) -> None:
    """How long the whole demo took."""
    path.write_text(f"jobs,wall_seconds\n{jobs},{seconds:.0f}\n")


def read_csv(path: Path) -> dict[str, Curve]:
    """The curves that `write_csv` wrote."""
    rows = read_rows(path)
    curves = {}
    for arm in ARMS:
        mine = [row for row in rows if row["arm"] == arm]
        steps = sorted({int(row["env_steps"]) for row in mine})
        success = np.array([float(row["success"]) for row in mine]).reshape(-1, len(steps))
        curves[arm] = Curve(np.array(steps), success)
    return curves


if __name__ == "__main__":
    sys.exit(exit_code(main))
