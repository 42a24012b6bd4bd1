"""Cells on a Ray cluster: as many at a time as it has CPUs, each in a process of its own on one of its nodes.

Ray finds a CPU, says what is lost, and ends what its driver leaves behind. What a cell is, when it is begun
once more and that no two processes write it is not left to Ray: see `ray_node.py` and `benchmark.py`. All
nodes share the folder of the benchmark. Ray is imported where it is used, here and in the two `ray_` modules.
"""

import contextlib
import math
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from regoal.agent.progress import say
from regoal.benchmarks.cell_run import Job, is_finished
from regoal.benchmarks.parallel import NodeLost, ProcessDied, RunFailed
from regoal.benchmarks.ray_cluster import connect, cpus_of, misfits
from regoal.benchmarks.ray_node import CellOnNode, Ground, NodeUnfit, ground_of
from regoal.errors import BadInput

KILL_SECONDS = 10.0  # for a node to end a cell that is silent; then Ray ends what was to do it
# For the lock of a cell whose node is lost. Ray on a node ends a minute after the head has stopped answering,
# and a file server lets go of the locks of a machine that is no more after a minute and a half.
LOCK_SECONDS = 300.0
SIGHT_SECONDS = 90.0  # file systems remember for up to a minute what was not there
REACH_SECONDS = 10.0  # for Ray to find out whether a process or its node is lost
COUNT_SECONDS = 2.0  # between looks at how many CPUs there are


@dataclass
class _Placed:
    """A cell that was given to Ray.

    Attributes:
        job: the cell.
        actor: what runs it.
        outcome: reference to how it ends.
        place: reference to the id of its node.
        begun: whether there is one.
        node: that id, where it could be told.
        killed: when it was to end at once [s of the monotonic clock].
    """

    job: Job
    actor: Any
    outcome: Any
    place: Any
    begun: bool = False
    node: str = ""
    killed: float = math.inf


class RayCells:
    """Runs cells on the nodes of a Ray cluster; a context manager, and a `benchmark.Launcher`.

    Args:
        address: HOST:PORT of its head, or auto.
        jobs: cells that are given to Ray at a time; as many as there are CPUs if not given.

    Raises:
        BadInput: on entering, where Ray is not installed, or no such cluster can be reached.
    """

    def __init__(self, address: str, jobs: int | None = None) -> None:
        self._address, self._jobs = address, jobs
        self._placed: dict[str, _Placed] = {}
        self._unfit: set[str] = set()  # ids of nodes
        self._counted, self._cpus = -math.inf, 0
        self._ground: Ground | None = None
        self._told = False

    def __enter__(self) -> "RayCells":
        connect(self._address)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import ray

        for placed in self._placed.values():
            ray.kill(placed.actor)
        ray.shutdown()

    @property
    def slots(self) -> int:
        """Cells that have room at a time; none where all nodes are lost, until one joins."""
        return self._there_are() if self._jobs is None else self._jobs

    def prepare(self, out: Path) -> None:
        """Ask every node whether cells of a benchmark can run there.

        Raises:
            BadInput: there is no node, or one that does not see DIR and its locks, or has other versions.
        """
        if not out.is_absolute():
            raise BadInput("out", "an absolute path, which is the same on all nodes", str(out))
        self._ground, nodes = ground_of(out), self._nodes()
        if not nodes and self._jobs is None:
            fix = "Where nodes are only started when cells wait for them, say how many: --jobs."
            raise BadInput("address", "a cluster with a CPU", f"{self._address}, which has none", fix)
        for reason in misfits(nodes, self._ground):
            raise reason

    def start(self, key: str, item: Job) -> None:
        """Give a cell to Ray, which begins it where there is a CPU."""
        import ray

        assert self._ground is not None, "prepare comes first"
        others = {"ray.io/node-id": f"!in({','.join(sorted(self._unfit))})"} if self._unfit else None
        actor = (
            ray.remote(CellOnNode)
            .options(
                num_cpus=1,
                max_restarts=0,  # whether it is begun once more is for the benchmark to say
                max_concurrency=4,  # it is spoken to while it runs
                scheduling_strategy="SPREAD",
                label_selector=others,
            )
            .remote(self._ground)
        )
        job = replace(item, lock_seconds=LOCK_SECONDS)
        self._placed[key] = _Placed(item, actor, actor.run.remote(job), actor.node.remote())

    def begun(self, key: str) -> bool:
        """Whether a cell has a node."""
        import ray

        placed = self._placed[key]
        if not placed.begun and ray.wait([placed.place], timeout=0)[0]:
            placed.begun = True
            with contextlib.suppress(ray.exceptions.RayError):  # it has ended already, as `ended` will tell
                placed.node = ray.get(placed.place)
        return placed.begun

    def ended(self, timeout: float) -> list[tuple[str, BaseException | None]]:
        """Cells that have ended, with the exception of each that raised one; waits so long for the first."""
        import ray

        self._tell_of_want()
        if not self._placed:
            time.sleep(timeout)
            return []
        self._end_what_does_not_end()
        keys = {placed.outcome: key for key, placed in self._placed.items()}
        if ray.wait(list(keys), timeout=timeout)[0]:
            ready, _ = ray.wait(list(keys), num_returns=len(keys), timeout=0)
        else:
            ready = []
        found: list[tuple[str, BaseException | None]] = []
        for key in [keys[one] for one in ready]:
            self.begun(key)
            placed = self._placed.pop(key)
            outcome = self._outcome(placed)
            if isinstance(outcome, NodeUnfit):  # it has joined since
                say(f"{outcome.reason} It gets no cells.")
                self._unfit.add(placed.node)
                self.start(key, placed.job)
            else:
                found.append((key, outcome))
        return found

    def stop(self) -> None:
        """Ask all to save what they have and end; what waits for a CPU has nothing."""
        import ray

        for key, placed in self._placed.items():
            if self.begun(key):
                placed.actor.stop.remote()
            else:
                ray.kill(placed.actor)

    def kill(self, key: str) -> None:
        """End a cell at once; it comes back as `ProcessDied`."""
        placed = self._placed[key]
        placed.actor.kill.remote()
        placed.killed = time.monotonic()

    def _outcome(self, placed: _Placed) -> BaseException | None:
        """How a cell has ended; it ends for good, whatever Ray thinks that it does."""
        import ray

        try:
            outcome: BaseException | None = ray.get(placed.outcome)
        except ray.exceptions.RayError as error:
            outcome = self._lost(placed, error)
        ray.kill(placed.actor)
        if outcome is None:
            outcome = _unseen(placed.job)
        return outcome

    def _lost(self, placed: _Placed, error: Exception) -> ProcessDied:
        """Whether a node is lost, or only a process."""
        import ray

        if isinstance(error, ray.exceptions.ActorUnavailableError):  # what has become of it is not known yet
            try:
                ray.get(placed.actor.node.remote(), timeout=REACH_SECONDS)
            except ray.exceptions.RayError as later:
                error = later
        self._counted = -math.inf
        alive = placed.node in {node["NodeID"] for node in ray.nodes() if node["Alive"]}
        beyond_reach = (ray.exceptions.ActorUnavailableError, ray.exceptions.GetTimeoutError)
        if isinstance(error, beyond_reach) or (placed.node and not alive):
            return NodeLost("its node is lost")
        told = " ".join(str(error).split())
        return ProcessDied(f"its process died ({told[:300]})")

    def _end_what_does_not_end(self) -> None:
        import ray

        for placed in self._placed.values():
            if time.monotonic() - placed.killed > KILL_SECONDS:
                ray.kill(placed.actor)
                placed.killed = math.inf

    def _tell_of_want(self) -> None:
        """Say it, once, where no cell runs and none can."""
        want = not self._there_are() and not any(self.begun(key) for key in self._placed)
        if want and not self._told:
            say(f"{self._address} has no node with a CPU that cells can run on: waiting for one to join")
        self._told = want

    def _there_are(self) -> int:
        """CPUs, as of a moment ago."""
        if time.monotonic() - self._counted > COUNT_SECONDS:
            self._counted, self._cpus = time.monotonic(), sum(cpus_of(one) for one in self._nodes())
        return self._cpus

    def _nodes(self) -> list[dict[str, Any]]:
        """Those with a CPU that cells may run on."""
        import ray

        return [
            one for one in ray.nodes() if one["Alive"] and cpus_of(one) and one["NodeID"] not in self._unfit
        ]


def _unseen(job: Job) -> RunFailed | None:
    """Whether a cell that was finished on a node is finished here, too, when file systems have caught up."""
    end, path = time.monotonic() + SIGHT_SECONDS, job.cell.path
    while not is_finished(job.cell):
        if time.monotonic() > end:
            return RunFailed(f"it was finished, and {path} does not show that here")
        time.sleep(0.5)
        for folder in (path.parent.parent, path.parent, path):
            with contextlib.suppress(OSError):
                os.listdir(folder)  # which asks what is in it now
    return None
