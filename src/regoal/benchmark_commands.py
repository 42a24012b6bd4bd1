"""The commands that compare: `regoal benchmark` and `regoal report`, as in `learning_commands.py`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from regoal.errors import EXIT_FAILED, EXIT_INTERRUPTED, BadInput, did_you_mean, printable
from regoal.launch import Trust

if TYPE_CHECKING:
    from regoal.benchmarks.cell_run import Job
    from regoal.benchmarks.parallel import Processes
    from regoal.benchmarks.ray_launcher import RayCells

LAUNCHERS = ("local", "ray")
TrustOptions = Annotated[Trust, tyro.conf.arg(name="")]


def benchmark(
    suite: tyro.conf.Positional[str],
    /,
    out: Path | None = None,
    jobs: int | None = None,
    launcher: str = "local",
    address: str | None = None,
    retry: bool = False,
    dry_run: bool = False,
    silent_seconds: float = 600.0,
    only: str = "",
    known: Path | None = None,
    trust: TrustOptions = Trust(),  # noqa: B008  (frozen)
) -> int:
    """Run all that a suite compares, and write DIR/results.csv and a report; the same command goes on.

    Args:
        suite: A TOML file, or a suite that comes with regoal: smoke, relabel, transfer, strategies-k
            and others (docs/benchmarks.md).
        out: DIR; runs/NAME if not given.
        jobs: Cells at a time; as many as there are cores, or CPUs of the cluster, if not given.
        launcher: Where cells run: local, on this machine, or ray, on the nodes of a cluster, which share DIR.
        address: HOST:PORT of the cluster's head; that of this machine if not given.
        retry: Run those again, too, that failed before.
        dry_run: Say what would be run and how long it would take, for which each kind of cell learns for some
            seconds; begin none.
        silent_seconds: A cell that prints nothing for so long is ended, and begun once more; cells that go
            well print a line every half a minute, but none within an episode.
        only: Run no cells but those with this text in their names, TASK/ARM/seed-K, and what they start from.
        known: A results.csv of the suite from another machine: what it has with the same settings is not run.
        trust: What the suite may import and give to its envs.
    """
    from regoal.benchmarks.benchmark import named, require_buildable, run_suite
    from regoal.benchmarks.cell_run import is_finished
    from regoal.benchmarks.cells import cells_of
    from regoal.benchmarks.estimate import describe
    from regoal.benchmarks.parallel import require_jobs
    from regoal.benchmarks.report import write_report
    from regoal.benchmarks.suite import load_suite
    from regoal.benchmarks.taken_over import read_known, to_take_over

    if jobs is not None:
        require_jobs(jobs)
    if not silent_seconds > 0:
        raise BadInput("silent_seconds", "more than 0", f"{silent_seconds:g}")
    trust.grant()
    loaded, table = load_suite(suite), None if known is None else read_known(known)
    folder, place = out or Path("runs") / loaded.name, _launcher(launcher, address, jobs)
    if launcher != "local":
        folder = folder.absolute()  # other machines stand elsewhere
    if dry_run:
        cells = cells_of(loaded, folder)
        require_buildable(loaded, cells)
        with place:
            taken = {cell.name for cell, _ in to_take_over(cells, table)} if table else set()
            names = named(cells, only)
            wanted = [one for one in cells if one.name in names]
            idle = {one.source.name for one in wanted if one.source}  # sources whose cells are all there
            idle -= {
                one.source.name
                for one in wanted
                if one.source and one.name not in taken and not is_finished(one)
            }
            runs = [one for one in wanted if one.name not in taken | idle]
            print(printable(describe(loaded, runs, folder, place.slots)))
        return 0
    try:
        with place:
            code = run_suite(
                loaded, folder, place, retry=retry, silent_seconds=silent_seconds, only=only, known=table
            )
    except KeyboardInterrupt:
        print("\nstopped at once; the same command goes on", file=sys.stderr)
        return EXIT_INTERRUPTED
    print(folder / "results.csv")
    if code in (0, EXIT_FAILED):  # not after a signal: whoever stops it wants it to end
        print(write_report(folder))
    return code


def _launcher(name: str, address: str | None, jobs: int | None) -> "Processes[Job, None] | RayCells":
    """Where cells run; not yet entered.

    Raises:
        BadInput: no such launcher, or an address for one that needs none.
    """
    if name not in LAUNCHERS:
        raise BadInput("launcher", "local or ray", repr(name), did_you_mean(name, LAUNCHERS))
    if name == "ray":
        from regoal.benchmarks.ray_cluster import AUTO
        from regoal.benchmarks.ray_launcher import RayCells

        return RayCells(address or AUTO, jobs)
    if address is not None:
        raise BadInput("address", "none, as cells run on this machine", repr(address), "Add --launcher ray.")
    from regoal.agent.machine import cores
    from regoal.benchmarks.cell_run import run_cell
    from regoal.benchmarks.parallel import Processes

    return Processes(run_cell, jobs or cores())


def report(
    folder: tyro.conf.Positional[Path],
    /,
    trust: TrustOptions = Trust(),  # noqa: B008  (frozen)
) -> int:
    """Write the page, the Markdown table and the figures of a benchmark, finished or not.

    Args:
        folder: DIR of `regoal benchmark`.
        trust: What its suite may import and give to its envs; without it, pictures of such runs are left out.
    """
    from regoal.benchmarks.report import write_report

    trust.grant()
    print(write_report(folder))
    return 0
