"""Success curves of several arms, read from run folders and drawn with intervals."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from regoal.benchmarks.statistics import bootstrap_interval
from regoal.benchmarks.tables import read_rows
from regoal.errors import BadInput

Panel = TypeVar("Panel")  # what is drawn into one
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")  # Okabe and Ito 2008
MOST_COLUMNS = 3  # of panels side by side: more are too small to read where the picture is shown


@dataclass(frozen=True)
class Curve:
    """Success of one arm over env steps.

    Attributes:
        steps: (points,) env steps of the evaluations.
        success: (runs, points) success rates.
    """

    steps: NDArray[Any]
    success: NDArray[Any]


def up_to(curve: Curve, last_step: float) -> Curve:
    """A curve as far as some env steps, where it is between two evaluations along the line between them."""
    if curve.steps[-1] <= last_step:
        return curve
    before = curve.steps < last_step
    at_end = [np.interp(last_step, curve.steps, run) for run in curve.success]
    return Curve(
        np.append(curve.steps[before], last_step), np.column_stack([curve.success[:, before], at_end])
    )


def read_curve(runs: Sequence[str | os.PathLike[str]]) -> Curve:
    """The curve of runs that were evaluated at the same steps.

    Raises:
        BadInput: one is no run folder, was not evaluated yet, or not at the steps of the others.
    """
    tables = []
    for run in runs:
        if not (Path(run) / "metrics.csv").is_file():
            raise BadInput("curve", "run folders with a metrics.csv", os.fspath(run))
        rows = read_rows(Path(run) / "metrics.csv")
        if not rows:
            raise BadInput("curve", "runs that were evaluated", f"{run}, which was not yet")
        tables.append([(int(row["env_steps"]), float(row["success"])) for row in rows])
    steps = [[step for step, _ in table] for table in tables]
    if any(one != steps[0] for one in steps):
        raise BadInput(
            "curve",
            "runs that were evaluated at the same steps",
            ", ".join(f"{run} up to {one[-1] if one else 0}" for run, one in zip(runs, steps, strict=True)),
            "Was one of them stopped?",
        )
    array = np.array(tables)  # (runs, points, 2)
    return Curve(array[0, :, 0], array[:, :, 1])


def draw_curves(
    path: Path, curves: Mapping[str, Curve], title: str, levels: Mapping[str, float] | None = None
) -> None:
    """Write a picture of mean success with 95 % bootstrap intervals over runs.

    Args:
        path: the PNG or SVG to write.
        curves: arms by their label, in the order of the legend.
        title: what was done.
        levels: horizontal reference lines by label.
    """
    plt = pyplot()
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    _draw(axes, curves)
    for label, level in (levels or {}).items():
        axes.axhline(level, color="0.4", linestyle="--", linewidth=1, label=label)
    axes.set(xlabel="environment steps in the target", ylabel="success rate", title=title)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    _save(figure, path)


def draw_panels(path: Path, panels: Mapping[str, Mapping[str, Curve]], title: str, columns: int = 2) -> None:
    """Write a picture of several targets with the same arms, a panel each, and one legend for all.

    Args:
        path: the PNG or SVG to write.
        panels: the arms of each target by its label.
        title: what was done.
        columns: panels side by side.
    """
    plt = pyplot()
    rows = -(-len(panels) // columns)
    figure, grid = plt.subplots(
        rows, columns, figsize=(4.5 * columns, 2.4 * rows + 0.9), sharex=True, sharey=True, squeeze=False
    )
    for axes, (label, curves) in zip(grid.flat, panels.items(), strict=False):
        _draw(axes, curves)
        axes.set_title(label, fontsize=10)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    for axes in grid[-1]:  # one label for all of them would lie under the legend
        axes.set_xlabel("environment steps in the target")
    figure.supylabel("success rate")
    figure.suptitle(title)
    handles, labels = grid.flat[0].get_legend_handles_labels()
    figure.set_layout_engine("constrained")
    figure.legend(handles, labels, frameon=False, loc="outside lower center", ncols=len(labels))
    _save(figure, path)


def draw_medians(path: Path, panels: Mapping[str, Mapping[str, Curve]], title: str) -> None:
    """Write a picture of learning: every run as a thin line, the median of them as a bold one.

    Args:
        path: the PNG or SVG to write.
        panels: the arms of each env by its label, side by side.
        title: what was done.
    """

    def draw(axes: Any, curves: Mapping[str, Curve]) -> None:
        for colour, (arm, curve) in zip(COLOURS, curves.items(), strict=False):
            axes.plot(curve.steps, curve.success.T, color=colour, alpha=0.4, linewidth=0.8)
            median = np.median(curve.success, axis=0)
            label = f"{arm}, {len(curve.success)} seed{'s' * (len(curve.success) > 1)}"
            axes.plot(curve.steps, median, color=colour, linewidth=2.5, label=label)

    _draw_side_by_side(path, panels, title, draw, "environment steps")


def draw_over_minutes(
    path: Path, panels: Mapping[str, Mapping[str, Sequence[Sequence[tuple[float, float]]]]], title: str
) -> None:
    """Write a picture of success over wall-clock time, a line a run.

    Args:
        path: the PNG or SVG to write.
        panels: the runs of each arm by its label, each as (minutes, success) of its evaluations, by the label
            of their env, side by side.
        title: what was done.
    """

    def draw(axes: Any, arms: Mapping[str, Sequence[Sequence[tuple[float, float]]]]) -> None:
        for colour, (arm, runs) in zip(COLOURS, arms.items(), strict=False):
            for i, run in enumerate(runs):
                minutes, success = zip(*run, strict=True)
                axes.plot(minutes, success, color=colour, linewidth=2, label=arm if i == 0 else None)

    _draw_side_by_side(path, panels, title, draw, "wall-clock minutes")


def _draw_side_by_side(
    path: Path,
    panels: Mapping[str, Panel],
    title: str,
    draw: Callable[[Any, Panel], None],
    over: str,
) -> None:
    """Write a picture of success over something, a panel each, that `draw` draws into axes."""
    plt = pyplot()
    columns = min(len(panels), MOST_COLUMNS)
    rows = -(-len(panels) // columns)
    figure, grid = plt.subplots(
        rows, columns, figsize=(5 * columns, 3.5 * rows), sharey=True, squeeze=False, layout="constrained"
    )
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    for axes, (label, panel) in zip(grid.flat, panels.items(), strict=False):
        draw(axes, panel)
        axes.set(title=label, xlabel=over, ylim=(-0.03, 1.03))
        axes.locator_params(axis="x", nbins=6)
        axes.grid(alpha=0.25)
        axes.legend(frameon=False, fontsize=8, loc="lower right")
    for axes in grid[:, 0]:
        axes.set_ylabel("success rate")
    figure.suptitle(title)
    _save(figure, path)


def pyplot() -> Any:
    """Matplotlib without a display; imported where something is drawn, for it takes a second."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def _draw(axes: Any, curves: Mapping[str, Curve]) -> None:
    for colour, (label, curve) in zip(COLOURS, curves.items(), strict=False):
        low, high = bootstrap_interval(curve.success, np.random.default_rng(0))
        axes.plot(curve.steps, curve.success.mean(axis=0), color=colour, label=label, linewidth=2)
        axes.fill_between(curve.steps, low, high, color=colour, alpha=0.18, linewidth=0)
    axes.set_ylim(-0.03, 1.03)
    axes.grid(alpha=0.25)


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130, metadata={"Software": None} if path.suffix == ".png" else None)
    pyplot().close(figure)
