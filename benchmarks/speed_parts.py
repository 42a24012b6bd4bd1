"""What `make bench` measures: a comparison a row, both sides in turn, in parts that can be had alone."""

import statistics
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from regoal.benchmarks.peers.sides import REPETITIONS, Side, in_turn

MOST_APART = 1.2  # collecting and learning alone, where their overlap is measured
PEERS = {"sb3": "stable-baselines3", "tianshou": "tianshou", "torchrl": "torchrl"}


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        measure: what was measured.
        ours: our figure.
        peer: what it is held against: a library, or a limit of our own.
        theirs: its figure.
        unit: of both figures.
        ratio: more than 1 means that ours is better.
        target: least ratio aimed at; empty where the figure is for information.
        repetitions: how often it was measured.
    """

    measure: str
    ours: float
    peer: str
    theirs: float
    unit: str
    ratio: float
    target: float | None
    repetitions: int


def compared(
    measure: str,
    ours: Side,
    theirs: Side,
    calls: tuple[int, int],
    *,
    peer: str,
    unit: str,
    target: float | None,
    per_second: float = 0.0,
) -> Row:
    """Time both sides; `per_second` > 0 turns seconds a call into so many things a second."""
    mine, yours = in_turn([ours, theirs], calls)
    ratio = statistics.median(other / one for one, other in zip(mine, yours, strict=True))
    scale: Callable[[float], float] = (lambda s: per_second / s) if per_second else SCALES[unit]
    figures = [scale(statistics.median(column)) for column in (mine, yours)]
    return Row(measure, figures[0], peer, figures[1], unit, ratio, target, REPETITIONS)


SCALES: dict[str, Callable[[float], float]] = {
    "s": lambda s: s,
    "ms": lambda s: 1e3 * s,
    "us": lambda s: 1e6 * s,
}


def against_limit(measure: str, ours: float, limit: float, unit: str, repetitions: int) -> Row:
    """A figure that must stay below a limit."""
    return Row(measure, ours, "limit", limit, unit, limit / ours, 1.0, repetitions)


def sample_rows() -> Iterator[Row]:
    """HER sampling against each library, both buffers full."""
    targets = {"sb3": 5.0, "tianshou": 50.0, "torchrl": 3.0}
    for size in (10_000, 1_000_000):
        for batch in (256, 2048):
            ours = Side("ours", "her_sample", n_transitions=size, batch_size=batch)
            mine = []
            for peer, target in targets.items():
                theirs = Side(peer, "her_sample", n_transitions=size, batch_size=batch)
                name = f"HER sample, batch {batch}, buffer {size:,}"
                calls = (200, 50 if peer != "tianshou" else 10)
                row = compared(name, ours, theirs, calls, peer=PEERS[peer], unit="ms", target=target)
                theirs.close()
                mine.append(row.ours)
                yield row
            ours.close()
            if size == 1_000_000:
                limit = {256: 0.1, 2048: 0.4}[batch]
                name = f"HER sample, batch {batch}, buffer {size:,}"
                yield against_limit(name, statistics.median(mine), limit, "ms", REPETITIONS)


def growth_rows() -> Iterator[Row]:
    """How the time of a batch grows with the buffer."""
    sides = [Side("ours", "her_sample", n_transitions=n, batch_size=256) for n in (10_000, 10_000_000)]
    small, large = in_turn(sides, (200, 200))
    growth = statistics.median(b / a for a, b in zip(small, large, strict=True))
    for side in sides:
        side.close()
    yield against_limit("growth of a sample of 256 from 10,000 to 10,000,000", growth, 2.5, "x", REPETITIONS)


def disk_rows() -> Iterator[Row]:
    """Sampling from a buffer in a memory-mapped file, beside one in memory."""
    size = {"n_transitions": 2_000_000, "batch_size": 256}
    memory, disk = Side("ours", "her_sample", **size), Side("ours", "her_sample_on_disk", **size, cold=False)
    yield compared(
        "HER sample, batch 256, buffer 2,000,000 on disk, in the page cache",
        disk,
        memory,
        (200, 200),
        peer="the same in memory",
        unit="ms",
        target=None,
    )
    disk.close()
    cold = Side("ours", "her_sample_on_disk", **size, cold=True)
    seconds = statistics.median(cold.value() for _ in range(REPETITIONS))
    cold.close()
    [usual] = in_turn([memory], [200])
    memory.close()
    name = "HER sample, batch 256, buffer 2,000,000 on disk, none of it in memory"
    there = statistics.median(usual)
    yield Row(
        name, 1e3 * seconds, "the same in memory", 1e3 * there, "ms", there / seconds, None, REPETITIONS
    )


def update_rows() -> Iterator[Row]:
    """SAC updates against Stable-Baselines3 and against the matrix products alone."""
    for batch, target in ((256, 1.5), (1024, None)):
        ours = Side("ours", "sac_update", batch_size=batch)
        theirs = Side("sb3", "sac_update", batch_size=batch)
        calls = (4096 // batch, 4096 // batch)
        name = f"SAC update, 3 x 256, batch {batch}"
        yield compared(name, ours, theirs, calls, peer=PEERS["sb3"], unit="ms", target=target)
        theirs.close()
        products = Side("ours", "sac_products", batch_size=batch)
        yield compared(
            name,
            ours,
            products,
            calls,
            peer="its matrix products alone",
            unit="ms",
            target=0.6 if batch == 1024 else None,
        )
        products.close()
        ours.close()


def rollout_rows() -> Iterator[Row]:
    """Playing: inference, one worker against a bare loop, two workers against one."""
    ours = Side("ours", "inference")
    [seconds] = in_turn([ours], [1000])
    ours.close()
    microseconds = 1e6 * statistics.median(seconds)
    yield against_limit("inference, 3 x 256, one observation", microseconds, 60.0, "us", REPETITIONS)
    for env in ("FetchPush-v4", "FetchReach-v4"):
        ours, bare = Side("ours", "one_player", env=env), Side("ours", "bare_loop", env=env)
        yield compared(
            f"playing {env}, one process",
            ours,
            bare,
            (10, 10),
            peer="bare env.step loop, constant action",
            unit="steps/s",
            target=0.9,
            per_second=50.0,
        )
        ours.close()
        bare.close()
    two, one = Side("ours", "collect", workers=2), Side("ours", "collect", workers=1)
    yield compared(
        "collecting FetchPush-v4, 2 workers",
        two,
        one,
        (1, 1),
        peer="1 worker",
        unit="steps/s",
        target=1.8,
        per_second=2000.0,
    )
    two.close()
    one.close()


def overlap_rows() -> Iterator[Row]:
    """Collecting and learning at once, against the longer of the two alone.

    It only says something where both take about equally long, so a repetition in which a machine that
    others use too has changed its pace between the two does not count.
    """
    side = Side("overlapping", "overlap")
    found: list[Any] = []
    for _ in range(5 * REPETITIONS):
        collecting, learning, both = side.value()
        if max(collecting, learning) <= MOST_APART * min(collecting, learning):
            found.append((collecting, learning, both))
        if len(found) == REPETITIONS:
            break
    side.close()
    if len(found) < REPETITIONS:
        raise SystemExit("this machine changes its pace too much to measure overlap: try again")
    longer = [max(collecting, learning) for collecting, learning, _ in found]
    ratio = statistics.median(alone / both for alone, (_, _, both) in zip(longer, found, strict=True))
    yield Row(
        "collecting and learning at once, 1 worker",
        statistics.median(both for _, _, both in found),
        "the longer of the two alone",
        statistics.median(longer),
        "s",
        ratio,
        1 / 1.15,
        REPETITIONS,
    )
    apart = statistics.median(max(a, b) / min(a, b) for a, b, _ in found)
    yield against_limit("how far the two alone are apart", apart, MOST_APART, "x", REPETITIONS)


def memory_rows() -> Iterator[Row]:
    """Resident memory of a full buffer."""
    figures = []
    for module in ("ours", "sb3"):
        side = Side(module, "bytes_per_transition", n_transitions=500_000)
        figures.append(float(side.result()))
        side.close()
    name = "memory of a transition, FetchPush"
    yield Row(name, figures[0], PEERS["sb3"], figures[1], "bytes", figures[1] / figures[0], 3.0, 1)


def reach_rows() -> Iterator[Row]:
    """Wall clock to 95 % on FetchReach, seed by seed in turn."""
    common = {"success": 0.95, "eval_interval": 500}
    seconds: dict[str, list[float]] = {"sb3": [], "ddpg": [], "sac": []}
    for seed in range(5):
        for name, most in (("sb3", 30_000), ("ddpg", 3_000), ("sac", 5_000)):
            arguments: dict[str, Any] = common | {"seed": seed, "most_steps": most}
            module = "sb3" if name == "sb3" else "ours"
            side = Side(
                module, "seconds_to_success", **arguments, **({} if name == "sb3" else {"agent": name})
            )
            reached = side.result()
            side.close()
            seconds[name].append(reached[0] if reached else float("inf"))
            print(f"FetchReach to 95 %, seed {seed}, {name}: {reached}", file=sys.stderr)
    theirs = statistics.median(seconds["sb3"])
    for agent in ("ddpg", "sac"):
        ours = statistics.median(seconds[agent])
        name = f"FetchReach-v4 to 95 %, {agent.upper()}"
        yield Row(name, ours, f"{PEERS['sb3']} SAC + HER", theirs, "s", theirs / ours, 10.0, 5)


PARTS: dict[str, Callable[[], Iterator[Row]]] = {
    "sample": sample_rows,
    "growth": growth_rows,
    "disk": disk_rows,
    "update": update_rows,
    "rollout": rollout_rows,
    "overlap": overlap_rows,
    "memory": memory_rows,
    "reach": reach_rows,
}
