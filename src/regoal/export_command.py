"""The command that exports a trained run, as in `learning_commands.py`."""

import datetime
import sys
from pathlib import Path
from typing import Annotated

import tyro

from regoal.counting import counted
from regoal.errors import BadInput
from regoal.launch import Trust

SEED = 4_000  # neither training runs nor what shifts and benchmarks are measured by play these episodes
TrustOptions = Annotated[Trust, tyro.conf.arg(name="")]


def export(
    run: tyro.conf.Positional[Path],
    /,
    out: Path,
    episodes: int = 1_000,
    seed: int = SEED,
    trust: TrustOptions = Trust(),  # noqa: B008  (frozen)
) -> int:
    """Measure a trained run and write what is worth keeping of it: a small run folder to pass on.

    It can be evaluated, ranked, watched and fine-tuned from, but not resumed, and says nothing of this
    machine.

    Args:
        run: A run folder.
        out: Folder of the export; it must not exist.
        episodes: Episodes to play, in the world that the run was trained in.
        seed: Seed of the episodes; one that no training run uses if not given.
        trust: What the run may import and give to its env.
    """
    from regoal.agent.evaluation import evaluate
    from regoal.agent.exporting import prepare, write
    from regoal.benchmarks.sources import require_figures
    from regoal.benchmarks.statistics import wilson_interval
    from regoal.envs.goal_spec import GoalSpec

    require_figures(episodes, seed)
    trust.grant()
    prepared = prepare(run, out)
    if prepared.config.seed == seed:
        fix = "Its own evaluations have played the episodes of its seed."
        raise BadInput("seed", f"another than the run's, {seed}", str(seed), fix)
    spec = GoalSpec.from_recipe(prepared.recipe)
    where = f"{spec.recipe.env_id} with {spec.recipe.shift or 'no shift'}"
    print(f"{run}: playing {episodes:,} episodes of {where} ...", file=sys.stderr)
    with counted(episodes, f"{run}") as tick:
        found = evaluate(spec, prepared.policy, episodes=episodes, seed=seed, tick=tick)
    spec.close()
    low, high = wilson_interval(round(found.success * episodes), episodes)
    evaluation = {
        "env": spec.recipe.env_id,
        "shift": spec.recipe.shift,
        "episodes": episodes,
        "seed": seed,
        "success": found.success,
        "success_interval": [low, high],
        "success_any": found.success_any,
        "mean_return": found.mean_return,
        "date": datetime.date.today(),
    }
    write(prepared, evaluation)
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    print(f"{out}: success {found.success:.3f} [{low:.3f}, {high:.3f}], {size / 1e3:,.0f} kB")
    return 0
