"""Which figures of a family to call mild, medium and hard, given how much success each of them costs."""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

from regoal.envs.shift_family import LEVEL_NAMES, Levels

TARGETS = (10.0, 40.0, 70.0)  # points of success that mild, medium and hard should cost
LEAST_EFFECT = 10.0  # points; a family that nowhere costs so many has no levels
NEAR = 10.0  # points; a level that is farther from its target is told of


@dataclass(frozen=True)
class Proposal:
    """Figures for mild, medium and hard.

    Attributes:
        values: the figures; None if the family should have no levels.
        lost_points: what they cost; empty without figures.
        note: what is not as it should be; empty if nothing is.
    """

    values: Levels | None
    lost_points: tuple[float, ...] = ()
    note: str = ""


def propose(plain: float, success: Mapping[float, float], identity: float) -> Proposal:
    """Choose the figures on one side of the identity whose costs come nearest to `TARGETS`.

    The side is the one that costs more at its worst figure; costs beyond the last target do not count for
    that, and where both sides cost as much it is the one that comes nearer. On it, three figures are
    chosen, each farther out and costing more than the one before, whose costs are off their targets by the
    least sum.

    Args:
        plain: success in the env as it comes.
        success: by figure.
        identity: the figure that changes nothing.
    """
    costs = {value: 100 * (plain - one) for value, one in success.items()}
    most = max((cost for value, cost in costs.items() if value != identity), default=0.0)
    if most < LEAST_EFFECT:
        return Proposal(None, note=f"no effect: costs {max(most, 0.0):.0f} points at most")
    sides = [
        {value: cost for value, cost in costs.items() if value < identity},
        {value: cost for value, cost in costs.items() if value > identity},
    ]
    worst = [min(max(side.values(), default=0.0), TARGETS[-1]) for side in sides]
    chosen = [_nearest(side, identity) for side, cost in zip(sides, worst, strict=True) if cost == max(worst)]
    found = [(off, values) for off, values in chosen if values is not None]
    if not found:
        return Proposal(None, note=f"costs {most:.0f} points, but no three figures cost more and more")
    _, values = min(found)
    notes = [
        f"{level} costs {costs[value]:.0f} points instead of {target:.0f}"
        for level, value, target in zip(LEVEL_NAMES, values, TARGETS, strict=True)
        if abs(costs[value] - target) > NEAR
    ]
    if most < TARGETS[-1] - NEAR:
        notes.append(f"no figure costs more than {most:.0f}")
    return Proposal(values, tuple(costs[value] for value in values), "; ".join(notes))


def _nearest(costs: Mapping[float, float], identity: float) -> tuple[float, Levels | None]:
    """The figures that come nearest to the targets, and by how many points they are off in all."""
    outwards = sorted(costs, key=lambda value: abs(value - identity))
    best: tuple[float, Levels | None] = (math.inf, None)
    for values in itertools.combinations(outwards, 3):
        mild, medium, hard = (costs[value] for value in values)
        off = sum(abs(costs[value] - target) for value, target in zip(values, TARGETS, strict=True))
        if mild < medium < hard and off < best[0]:
            best = off, values
    return best


def as_text(found: Mapping[str, Proposal]) -> str:
    """Proposals as lines for `envs/shift_levels.py`."""
    lines = []
    for family, proposal in found.items():
        figures = "None"
        if proposal.values is not None:
            figures = f"({', '.join(f'{value:g}' for value in proposal.values)})"
        costs = ", ".join(f"{cost:.0f}" for cost in proposal.lost_points)
        comment = "; ".join(
            part for part in (f"costs {costs} points" if costs else "", proposal.note) if part
        )
        lines.append(f'"{family}": {figures},  # {comment}')
    return "\n".join(lines)
