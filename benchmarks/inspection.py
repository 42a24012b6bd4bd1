"""An inspected batch as a table and as a picture."""

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regoal.agent.inspection import Inspection
from regoal.benchmarks.curves import COLOURS
from regoal.errors import BadInput

HEADER = ("row", "episode", "t", "goal from", "original goal", "goal", "reward", "terminated", "goal at t")
PICTURES = (".png", ".svg")
GOAL_PANELS = 3  # projections to the three dimensions in which goals are spread most


def as_text(found: Inspection, rows: int) -> str:
    """Some rows, spread evenly over the batch, and what holds for all of them."""
    config = found.config
    source = f"; source: {config.source}" if config.source else ""
    chosen = np.unique(np.linspace(0, len(found) - 1, min(rows, len(found))).astype(int)).tolist()
    table = [HEADER, *(_cells(found.row(i)) for i in chosen)]
    widths = [max(len(line[column]) for line in table) for column in range(len(HEADER))]
    lines = [
        f"{found.run}: a batch of {len(found)} as the learner sees it after {found.env_steps:,} env steps "
        f"(checkpoint {found.checkpoint})",
        f"{config.env} with {config.shift or 'no shift'}; hindsight: {_hindsight(found)}{source}",
        "",
        *(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in table
        ),
        "",
        *_summary(found.summary()),
    ]
    return "\n".join(lines)


def require_picture(path: Path) -> None:
    """That a picture can be written there.

    Raises:
        BadInput: another type of file.
    """
    if path.suffix not in PICTURES:
        raise BadInput("out", f"a file name that ends in {' or '.join(PICTURES)}", str(path))


def draw(path: Path, found: Inspection) -> None:
    """Write a picture: how far off hindsight goals lie, rewards before and after, where goals lie.

    Args:
        path: the PNG or SVG to write.
        found: what is shown.

    Raises:
        BadInput: it cannot be written.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    spread = np.argsort(-np.ptp(_goals(found), axis=0), kind="stable")[:GOAL_PANELS]
    pairs: list[tuple[int, ...]] = list(combinations(sorted(spread.tolist()), 2)) or [(0,)]
    figure, grid = plt.subplots(2, 3, figsize=(12, 6.4), layout="constrained")
    figure.suptitle(
        f"{found.config.env} with {found.config.shift or 'no shift'}, a batch of {len(found)} after "
        f"{found.env_steps:,} env steps; hindsight: {_hindsight(found)}",
        fontsize=11,
    )
    _draw_distance(grid[0, 0], found)
    _draw_rewards(grid[0, 1], found)
    _draw_states(grid[0, 2], found)
    for axes, pair in zip(grid[1], pairs, strict=False):
        _draw_goals(axes, found, pair)
    for axes in grid[1, len(pairs) :]:
        axes.set_visible(False)
    handles, labels = grid[1, 0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, fontsize=9, loc="outside lower center", ncols=len(labels))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=110, metadata={"Software": None} if path.suffix == ".png" else None)
    except OSError as error:
        raise BadInput("out", "a place that can be written", f"{path} ({error})") from error
    finally:
        plt.close(figure)


def _hindsight(found: Inspection) -> str:
    config = found.config
    if found.discovering:
        return f"none yet: until {config.discovery:.0%} of episodes do, it learns to change what is achieved"
    informative = f", informative share {config.informative_share:g}" if config.informative_share else ""
    if config.relabel == "none" or not config.n_sampled_goal:
        return "none"
    return f"{config.relabel}, {config.n_sampled_goal} for each real goal{informative}"


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    goal = "its own"
    if row["goal_kind"] == "desired":
        goal = f"{row['strategy']}: desired in episode {row['goal_episode']}"
    elif row["goal_kind"] == "achieved":
        elsewhere = f" of episode {row['goal_episode']}" if row["goal_episode"] != row["episode"] else ""
        goal = f"{row['strategy']}: state {row['goal_t']}{elsewhere}"
    ends = [("yes" if row[name] else "no") for name in ("terminated_before", "terminated")]
    return (
        str(row["row"]),
        f"{row['domain']} {row['episode']}",
        f"{row['t']} of {row['length']}",
        goal,
        _vector(row["original_goal"]),
        _vector(row["goal"]),
        f"{row['reward_before']:g} -> {row['reward']:g}",
        " -> ".join(ends),
        "not yet" if row["informative"] else "achieved",
    )


def _vector(values: list[float]) -> str:
    return " ".join(f"{value:.3g}" for value in values)


def _summary(facts: dict[str, Any]) -> Iterator[str]:
    share = {name: "none" if value is None else f"{value:.2f}" for name, value in _numbers(facts)}
    yield f"relabelled   {share['relabelled']} of the rows, {share['relabelled_asked_for']} asked for"
    if facts["source"]:
        yield f"source       {share['source']} of the rows"
    parts = f"{share['informative_relabelled']} of relabelled rows, {share['informative_real']} of others"
    yield f"informative  {share['informative']} of the rows: not achieved at t; {parts}"
    yield f"reward       {_spread(facts['rewards_before'])} for the original goals"
    yield f"             {_spread(facts['rewards'])} for the goals of the batch"
    ends = f"{share['terminated_before']} of the rows, {share['terminated']} for the goals of the batch"
    yield f"terminated   {ends}"
    if facts["steps_to_goal"]:
        least, median, most = facts["steps_to_goal"]
        yield f"ahead        hindsight goals lie {least} to {most} steps after t, median {median}"


def _numbers(facts: dict[str, Any]) -> Iterator[tuple[str, float | None]]:
    return ((name, value) for name, value in facts.items() if value is None or isinstance(value, float | int))


def _spread(rewards: dict[str, Any]) -> str:
    if rewards["shares"] is None:
        return f"{rewards['least']:.3g} to {rewards['greatest']:.3g}, median {rewards['median']:.3g},"
    return ", ".join(f"{value} in {share:.2f}" for value, share in rewards["shares"].items())


def _goals(found: Inspection) -> NDArray[np.float32]:
    return np.concatenate([found.trace.original_goal, found.batch.desired_goal.numpy()])


def _draw_distance(axes: Any, found: Inspection) -> None:
    steps = found.distance
    if len(steps):
        axes.hist(steps, bins=np.arange(steps.min(), steps.max() + 2) - 0.5, color=COLOURS[0])
    axes.set(title="hindsight goals", xlabel="steps from t to the goal's state", ylabel="rows")


def _draw_rewards(axes: Any, found: Inspection) -> None:
    after = found.batch.reward.numpy()
    kinds = {"original goals": found.reward_before, "goals of the batch": after}
    values = np.unique(np.concatenate(list(kinds.values())))
    few = len(values) <= 6
    edges = np.linspace(values[0], values[-1], 21) if len(values) > 1 else np.array([-0.5, 0.5]) + values
    for i, ((label, rewards), colour) in enumerate(zip(kinds.items(), COLOURS[1:], strict=False)):
        if few:
            heights = [(rewards == value).mean() for value in values]
            axes.bar(np.arange(len(values)) + 0.4 * i - 0.2, heights, 0.4, color=colour, label=label)
        else:
            weights = np.full(len(rewards), 1 / len(rewards))
            axes.hist(rewards, bins=edges, weights=weights, color=colour, alpha=0.6, label=label)
    if few:
        axes.set_xticks(np.arange(len(values)), [f"{value + 0.0:g}" for value in values])
    axes.set(title="reward", xlabel="reward", ylabel="share of the rows")
    axes.legend(frameon=False, fontsize=8)


def _draw_states(axes: Any, found: Inspection) -> None:
    trace = found.trace
    for wanted, colour, label in (
        (True, COLOURS[2], "not yet achieved at t"),
        (False, "0.6", "achieved at t"),
    ):
        rows = trace.achieved & (found.informative == wanted)
        axes.scatter(trace.t[rows], trace.goal_t[rows], s=10, color=colour, label=label)
    axes.set(title="hindsight goals", xlabel="t", ylabel="state of the goal")
    axes.legend(frameon=False, fontsize=8)


def _draw_goals(axes: Any, found: Inspection, dimensions: tuple[int, ...]) -> None:
    trace, goal = found.trace, found.batch.desired_goal.numpy()
    new = trace.relabelled & found.informative
    kinds = {
        "achieved at t": (trace.achieved_goal, "0.8"),
        "original goals": (trace.original_goal, COLOURS[1]),
        "hindsight, achieved at t": (goal[trace.relabelled & ~found.informative], "0.5"),
        "hindsight, not yet": (goal[new], COLOURS[2]),
    }
    names = [f"goal[{i}]" for i in dimensions]
    for label, (points, colour) in kinds.items():
        if len(dimensions) == 1:
            axes.hist(points[:, 0], bins=20, color=colour, alpha=0.6, label=label)
        else:
            axes.scatter(*points[:, list(dimensions)].T, s=10, color=colour, alpha=0.8, label=label)
    axes.set(title="goals", xlabel=names[0], ylabel=names[-1] if len(names) > 1 else "rows")
