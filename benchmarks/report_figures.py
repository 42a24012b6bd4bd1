"""The figures of a report: drawn once, for papers with a legend, for the page without one and without ids."""

import re
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from regoal.benchmarks.curves import COLOURS, Curve
from regoal.benchmarks.report_data import PROFILE
from regoal.benchmarks.report_scores import Arm
from regoal.benchmarks.staging import staged
from regoal.benchmarks.statistics import Floats, bootstrap_interval

DASHES = ("solid", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 2, 1, 2)))  # when there are more arms than colours
WIDTH = 5.2  # [inch]; text is then readable on a phone
SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: it can be read aloud, searched and coloured by the page
    "svg.hashsalt": "regoal",
    "font.family": "sans-serif",
    "font.size": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def style_of(index: int) -> tuple[str, Any]:
    """Colour and dashes of an arm, by its place in the suite."""
    return COLOURS[index % len(COLOURS)], DASHES[index // len(COLOURS) % len(DASHES)]


def draw_task(curves: Mapping[str, Curve], arms: Sequence[str], title: str) -> Any:
    """Mean success of each arm over steps, with its 95 % interval over seeds."""
    figure, axes = _figure()
    for arm, curve in curves.items():
        colour, dashes = style_of(arms.index(arm))
        if len(curve.success) > 1:
            low, high = bootstrap_interval(curve.success, np.random.default_rng(0))
            axes.fill_between(curve.steps, low, high, color=colour, alpha=0.15, linewidth=0)
        marker = "" if len(curve.steps) > 1 else "o"
        axes.plot(
            curve.steps, curve.success.mean(axis=0), color=colour, ls=dashes, lw=2, marker=marker, label=arm
        )
    axes.set(xlabel="env steps", ylabel="success rate", ylim=(-0.03, 1.03))
    axes.set_title(_short(title), fontsize=10.5, parse_math=False)
    axes.xaxis.set_major_locator(_ticks(5))
    return figure


def draw_profiles(profiles: Mapping[str, tuple[Floats, Floats, Floats]], arms: Sequence[str]) -> Any:
    """Share of runs that end above each success rate."""
    figure, axes = _figure()
    for arm, (share, low, high) in profiles.items():
        colour, dashes = style_of(arms.index(arm))
        if np.isfinite(low).all():
            axes.fill_between(PROFILE, low, high, color=colour, alpha=0.15, linewidth=0, step="post")
        axes.step(PROFILE, share, where="post", color=colour, ls=dashes, lw=2, label=arm)
    axes.set(xlabel="final success (τ)", ylabel="share of runs above τ", ylim=(-0.03, 1.03))
    return figure


def draw_intervals(found: Sequence[Arm], arms: Sequence[str]) -> Any:
    """Success over the run (circle) and at its end (diamond) of each arm, with 95 % intervals."""
    figure, axes = _figure(0.75 + 0.5 * len(found))
    for row, arm in enumerate(found):
        colour, _ = style_of(arms.index(arm.name))
        axes.text(0, row - 0.12, _short(arm.name, 64), fontsize=9.5, va="bottom", parse_math=False)
        for one, place, marker in ((arm.area, row + 0.12, "o"), (arm.final, row + 0.38, "D")):
            axes.plot([one.low, one.high], [place, place], color=colour, lw=2.5, solid_capstyle="butt")
            axes.plot(one.value, place, marker, color=colour, ms=6)
    label = "success rate: circles over the run, diamonds at its end"
    axes.set(xlabel=label, xlim=(-0.02, 1.02), ylim=(len(found) - 0.3, -0.75), yticks=[])
    axes.spines["left"].set_visible(False)
    return figure


def draw_heat_map(values: Floats, arms: Sequence[str], tasks: Sequence[str]) -> Any:
    """Final success (arms, tasks); nan, where nothing is finished, stays empty."""
    figure, axes = _figure(1.6 + 0.32 * len(arms), 3.2 + 1.1 * len(tasks))
    axes.grid(visible=False)
    axes.imshow(values, vmin=0, vmax=1, cmap="Blues", aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            axes.text(
                column,
                row,
                f"{value:.2f}",
                ha="center",
                va="center",
                color="white" if value > 0.55 else "black",
            )
    axes.set_xticks(range(len(tasks)), [_short(name) for name in tasks], rotation=20, ha="right")
    axes.set_yticks(range(len(arms)), [_short(name) for name in arms])
    axes.set_title("final success", fontsize=10.5)
    _plain(axes)
    return figure


def save(figure: Any, stem: Path) -> None:
    """Write STEM.png and STEM.svg for a paper, with a legend where lines have labels."""
    from matplotlib import rc_context

    handles, labels = figure.axes[0].get_legend_handles_labels()
    if handles:
        legend = figure.legend(handles, labels, frameon=False, loc="outside lower left", ncols=2, fontsize=8)
        _plain(legend)
        figure.set_size_inches(WIDTH, 3.2 + 0.17 * ((len(labels) + 1) // 2))
    stem.parent.mkdir(parents=True, exist_ok=True)
    with rc_context(SETTINGS):
        with staged(stem.with_name(f"{stem.name}.png")) as stage:
            figure.savefig(stage, format="png", dpi=150, metadata={"Software": None})
        with staged(stem.with_name(f"{stem.name}.svg")) as stage:
            figure.savefig(stage, format="svg", metadata={"Date": None, "Creator": None})


def inline(figure: Any, name: str, label: str) -> str:
    """A figure as an SVG element for a page: ids of its own, black as the page's text, no background.

    Args:
        figure: without a legend.
        name: what its ids begin with, unlike those of other figures.
        label: what it shows, escaped, for those who do not see it.
    """
    from matplotlib import rc_context

    buffer = BytesIO()
    with rc_context(SETTINGS):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue().decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", text, flags=re.DOTALL)
    box = re.search(r'viewBox="([^"]*)"', text)
    assert box is not None
    begin = f'<svg viewBox="{box[1]}" role="img" aria-label="{label}">'
    text = re.sub(r"^<svg[^>]*>", lambda _: begin, text)  # as text, in which a backslash is one
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = text.replace('xlink:href="#', f'href="#{name}-').replace("url(#", f"url(#{name}-")
    text = text.replace("#000000", "currentColor")
    return re.sub(r"\s*\n\s*", "\n", text).strip()


def swatch(index: int) -> str:
    """A short line as an arm is drawn, for a legend in HTML."""
    colour, dashes = style_of(index)
    pattern = "" if dashes == "solid" else " ".join(str(2 * length) for length in dashes[1])
    dash = f' stroke-dasharray="{pattern}"' if pattern else ""
    line = f'<path d="M0 5H28" stroke="{colour}" stroke-width="4"{dash}/>'
    return f'<svg class="swatch" viewBox="0 0 28 10" aria-hidden="true">{line}</svg>'


def _figure(height: float = 3.2, width: float = WIDTH) -> tuple[Any, Any]:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(SETTINGS):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots()
        axes.grid(alpha=0.15, color="black")
    return figure, axes


def _short(name: str, longest: int = 44) -> str:
    return name if len(name) <= longest else f"{name[: longest - 1]}…"


def _ticks(most: int) -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(most, integer=True)


def _plain(owner: Any) -> None:
    """Names are no formulas: a dollar sign stays one."""
    texts = (
        owner.get_texts()
        if hasattr(owner, "get_texts")
        else owner.get_xticklabels() + owner.get_yticklabels()
    )
    for text in texts:
        text.set_parse_math(False)
