"""How fast FetchReach-v4 is learned, seed by seed; what the README says of it comes from here.

    python -m regoal.benchmarks.reach --out runs/reach-speed --results benchmarks/results

One run after the other, one thread: the seconds are those of a whole run, evaluations included. The same
command goes on with those that it has not measured; a run that was cut short begins anew.
"""

import argparse
import sys
import time
from dataclasses import dataclass, fields
from pathlib import Path

from regoal.agent.agents import agent_config
from regoal.agent.config import TrainConfig
from regoal.agent.evaluation import evaluate
from regoal.agent.policy import Policy
from regoal.agent.training import train
from regoal.benchmarks.going_on import exit_code, folder_of
from regoal.benchmarks.parallel import next_free
from regoal.benchmarks.tables import as_text, read_table, replace_rows
from regoal.envs.goal_spec import GoalSpec

ENV = "FetchReach-v4"
STEPS = {"ddpg": 3_000, "sac": 5_000}
SEEDS = (0, 1, 2, 3, 4)
TABLE = "reach.csv"
TEST_EPISODES = 100
TEST_SEED = 1_000  # no training run evaluates itself on these episodes


@dataclass(frozen=True)
class Row:
    """One run: its success over fresh episodes, and what it took."""

    env: str
    agent: str
    seed: int
    env_steps: int
    episodes: int
    success: float
    wall_seconds: float


def measure(agent: str, seed: int, out: Path) -> Row:
    """Train once and evaluate what came out."""
    began = time.monotonic()
    run = train(
        TrainConfig(
            env=ENV,
            out=str(next_free(out / f"{agent}-seed-{seed}")),
            agent=agent_config(agent),
            steps=STEPS[agent],
            seed=seed,
        )
    )
    seconds = time.monotonic() - began
    spec = GoalSpec.of(ENV)
    found = evaluate(spec, Policy.load(run), episodes=TEST_EPISODES, seed=TEST_SEED)
    spec.close()
    return Row(ENV, agent, seed, run.env_steps, TEST_EPISODES, found.success, round(seconds, 1))


def main() -> int:
    """Measure all and write reach.csv; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("runs/reach-speed"))
    parser.add_argument("--results", type=Path, help="folder to write reach.csv to; OUT if not given")
    options = parser.parse_args()
    wanted = [(agent, seed) for agent in STEPS for seed in SEEDS]
    out = folder_of(options.out, "reach", lambda last: len(measured(last)) == len(wanted))
    rows = measured(out)
    for agent, seed in wanted[len(rows) :]:
        row = vars(measure(agent, seed, out))
        rows.append({name: as_text(value) for name, value in row.items()})
        replace_rows(out / TABLE, Row, rows)
    replace_rows((options.results or out) / TABLE, Row, rows)
    for one in rows:
        print(
            f"{one['agent']} seed {one['seed']}: success {float(one['success']):.2f} after "
            f"{one['env_steps']} steps, {one['wall_seconds']} s"
        )
    return 0


def measured(out: Path) -> list[dict[str, str]]:
    """Rows of the runs that are measured in a folder, which need not be there."""
    return read_table(out / TABLE, [field.name for field in fields(Row)])


if __name__ == "__main__":
    sys.exit(exit_code(main))
