"""Trained agents that come with the package: exported runs below `shipped/`, known by their names.

Imports nothing heavy.
"""

import os
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from regoal.errors import nearest

SHIPPED = Path(__file__).parent / "shipped"


@dataclass(frozen=True)
class ShippedAgent:
    """What is known of a shipped agent without loading it.

    Attributes:
        name: that it is called by.
        env: id of the env it was trained in.
        command: that trained it.
        success: share of the episodes whose goal was reached at the last step.
        success_interval: 95 % interval of it (Wilson).
        episodes: that were played for it.
    """

    name: str
    env: str
    command: str
    success: float
    success_interval: tuple[float, float]
    episodes: int


def names() -> list[str]:
    """Of all shipped agents."""
    return sorted(path.parent.name for path in SHIPPED.glob("[!.]*/config.toml"))


def located(run: str | os.PathLike[str]) -> Path:
    """The run folder that a path or a name means: an existing path wins, then a shipped agent."""
    path = Path(run)
    if os.path.exists(run) or str(path) not in names():
        return path
    return SHIPPED / path


def agents() -> list[ShippedAgent]:
    """All shipped agents, by name."""
    return [_read(name) for name in names()]


def suggestion(run: str | os.PathLike[str]) -> str:
    """What to do about a run that does not exist, in a sentence."""
    near = nearest(os.fspath(run), names())
    if near:
        return f"Did you mean the shipped {' or '.join(near)}?"
    shown = ", ".join(f"{one.name} ({one.env}, success {one.success:.2f})" for one in agents())
    return f"It is the --out of `regoal train`, or a shipped agent: {shown}."


def table(agents: Sequence[ShippedAgent]) -> str:
    """A Markdown table of them, for the guide."""
    lines = ["| agent | env | success [95 % interval] | episodes | trained by |", "|---|---|---|---|---|"]
    for one in agents:
        low, high = one.success_interval
        success = f"{one.success:.3f} [{low:.3f}, {high:.3f}]"
        lines.append(f"| `{one.name}` | {one.env} | {success} | {one.episodes:,} | `{one.command}` |")
    return "\n".join(lines)


def _read(name: str) -> ShippedAgent:
    evaluation, run = (
        tomllib.loads((SHIPPED / name / file).read_text()) for file in ("evaluation.toml", "run.toml")
    )
    low, high = evaluation["success_interval"]
    return ShippedAgent(
        name=name,
        env=evaluation["env"],
        command=run["command"],
        success=evaluation["success"],
        success_interval=(low, high),
        episodes=evaluation["episodes"],
    )
