"""Which pretrained run should one start from? Several runs in one target, in the order of their success.

All play the same episodes, so what an episode has of luck is common to all and falls out of differences.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regoal.agent.evaluation import play_outcomes
from regoal.benchmarks.sources import load_sources, require_figures, require_fit
from regoal.benchmarks.statistics import paired_margin, wilson_interval
from regoal.envs.goal_spec import GoalSpec


@dataclass(frozen=True)
class Ranked:
    """A run and its place; all values are plain, so `dataclasses.asdict` of it is JSON.

    Attributes:
        place: 1 for the best; runs of equal success have different places, in the order of their names.
        run: its folder.
        env: id of the env.
        shift: canonical text of the target; empty for the env as it comes.
        seed: of the episodes.
        episodes: how many each run played.
        success: share of episodes whose goal was reached at the last step.
        low, high: 95 % interval of `success` (Wilson).
        difference: success minus that of the best, 0 or less.
        difference_low, difference_high: 95 % interval of it (`statistics.paired_margin`). The intervals
            of all runs hold at once; 0 and 0 for the best itself.
        told_apart: whether the interval excludes 0: more than luck puts this run behind the best.
    """

    place: int
    run: str
    env: str
    shift: str
    seed: int
    episodes: int
    success: float
    low: float
    high: float
    difference: float
    difference_low: float
    difference_high: float
    told_apart: bool


def rank(
    runs: Sequence[Path], shift: str, episodes: int, seed: int, tick: Callable[[], object] = lambda: None
) -> list[Ranked]:
    """Play the same episodes with every run and order the runs by success, best first.

    That the best was picked by these episodes makes its success look a little better than it is: a figure
    to quote comes from another seed.

    Args:
        runs: run folders, and folders of seed-0, seed-1 ... which stand for their runs.
        shift: the target; empty for the env as it comes.
        episodes: each run plays so many.
        seed: of the episodes, and of the resamples behind the intervals.
        tick: called after every episode.

    Raises:
        BadInput: no run, no such run, one named twice, runs of different envs or sizes, or a shift that
            does not apply; nothing was played.
    """
    require_figures(episodes, seed)
    sources = load_sources(runs)
    spec = GoalSpec.from_recipe(sources[0].target(shift))
    try:
        require_fit(sources, spec)
        played = [
            play_outcomes(spec, source.policy, episodes=episodes, seed=seed, tick=tick) for source in sources
        ]
    finally:
        spec.close()
    outcomes = np.array([[one.success for one in each] for each in played], np.float64)
    names = [str(source.path) for source in sources]
    return order(names, outcomes, env=spec.recipe.env_id, shift=spec.recipe.shift, seed=seed)


def order(names: Sequence[str], outcomes: NDArray[Any], *, env: str, shift: str, seed: int) -> list[Ranked]:
    """The ranking that outcomes (runs, episodes) of 0 and 1 amount to, whatever order they come in."""
    by_name = sorted(range(len(names)), key=lambda run: names[run])
    best_first = sorted(by_name, key=lambda run: -outcomes[run].sum())  # sorting keeps the order of equals
    outcomes = outcomes[best_first]
    episodes = outcomes.shape[1]
    won = [int(wins) for wins in outcomes.sum(axis=1)]
    margin = paired_margin(outcomes, np.random.default_rng(seed))
    ranked = []
    for place, (run, wins) in enumerate(zip(best_first, won, strict=True)):
        low, high = wilson_interval(wins, episodes)
        difference = (wins - won[0]) / episodes
        around = margin if place else 0.0
        ranked.append(
            Ranked(
                place=place + 1,
                run=names[run],
                env=env,
                shift=shift,
                seed=seed,
                episodes=episodes,
                success=wins / episodes,
                low=low,
                high=high,
                difference=difference,
                difference_low=max(difference - around, -1.0),
                difference_high=min(difference + around, 1.0),
                told_apart=difference + around < 0,
            )
        )
    return ranked


def as_text(ranked: Sequence[Ranked]) -> str:
    """The ranking as a table for a terminal, and how to read it."""
    head = ["", "run", "success", "behind the best", ""]
    lines = [head, *(_cells(one) for one in ranked)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    text = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    first = ranked[0]
    where = first.env + (f" with {first.shift}" if first.shift else "")
    text.append(f"\n{where}, {first.episodes} episodes, the same ones for every run (seed {first.seed});")
    text.append("success [95 % Wilson interval]")
    if len(ranked) > 1:
        text[-1] += ", difference to the best [95 % paired bootstrap, all at once]."
        unsure = [one for one in ranked[1:] if not one.told_apart]
        text.append(
            f"{len(unsure)} of {len(ranked) - 1} cannot be told from the best: more --episodes would help."
            if unsure
            else f"{first.run} is better than all others."
        )
    return "\n".join(text)


def _cells(one: Ranked) -> list[str]:
    behind = f"{one.difference:+.2f} [{one.difference_low:+.2f}, {one.difference_high:+.2f}]"
    verdict = "worse" if one.told_apart else "cannot be told from the best"
    return [
        f"{one.place}",
        one.run,
        f"{one.success:.2f} [{one.low:.2f}, {one.high:.2f}]",
        behind if one.place > 1 else "",
        verdict if one.place > 1 else "",
    ]
