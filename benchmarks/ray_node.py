"""What runs on the nodes of a Ray cluster: a look at the node, then a cell in a process of its own.

Ray may take a node for lost while its processes live on: cut off, or too busy to answer. A cell of theirs is
then begun elsewhere, and waits: its lock is held until they have ended, which they do soon, for they watch
the process of Ray that has begun them. So two processes write one cell nowhere where locks hold between
machines, and where they do not, nothing is begun.
"""

import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from regoal.agent.run_folder import versions
from regoal.agent.run_lock import holder_of
from regoal.benchmarks.cell_run import Job, run_cell
from regoal.benchmarks.parallel import POLL_SECONDS, Processes
from regoal.errors import EXIT_FAILED, BadInput


class NodeUnfit(Exception):
    """No cell can run on a node.

    Attributes:
        reason: what is wrong with it, and the fix.
    """

    def __init__(self, reason: BadInput) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True)
class Ground:
    """What the nodes must have in common with the process that runs a benchmark.

    Attributes:
        folder: DIR, absolute.
        holder: who has its lock, as it says there.
        versions: of the packages that numbers depend on.
        imported_from: folders of the user's own modules; the last is the one that the command was typed in.
    """

    folder: str
    holder: str
    versions: dict[str, str]
    imported_from: tuple[str, ...]


def ground_of(out: Path) -> Ground:
    """That of this process, which holds the lock of DIR."""
    holder, _ = holder_of(out)
    # Packages have their places on every node; the user's own modules are where the command finds them.
    folders = dict.fromkeys(os.path.abspath(folder) for folder in sys.path)
    folders.pop(here := os.getcwd(), None)
    own = [folder for folder in folders if not Path(folder).is_relative_to(sys.prefix)]
    own = [folder for folder in own if not Path(folder).is_relative_to(sys.base_prefix)]
    return Ground(str(out.absolute()), holder, versions(), (*own, here))


def unfit(ground: Ground) -> NodeUnfit | None:
    """Why no cell can run on this node; None where one can."""
    try:
        _require_folder(ground)
        _require_versions(ground)
    except BadInput as error:
        return NodeUnfit(error)
    return None


def _require_folder(ground: Ground) -> None:
    """That DIR is the same folder here, and a lock that is held elsewhere is held here.

    Raises:
        BadInput: one of both is not so.
    """
    where, expected = (
        f"node {socket.gethostname()}",
        f"the same folder {ground.folder} as on {_driver(ground)}",
    )
    share = "Share it between all nodes under one path, and give that as --out."
    try:
        holder, held = holder_of(Path(ground.folder))
    except OSError as error:
        raise BadInput(where, expected, str(error), share) from error
    if holder != ground.holder:
        raise BadInput(where, expected, f"one that {holder or 'nobody'} works on", share)
    if not held:
        expected, got = "file locks that hold between machines", f"one that is held, and free here: {holder}"
        fix = f"Mount {ground.folder} with locks, on NFS without nolock and local_lock, on Lustre with flock."
        raise BadInput(where, expected, got, fix)


def _require_versions(ground: Ground) -> None:
    """That numbers will be the same here.

    Raises:
        BadInput: a package is of another version.
    """
    here = versions()
    for name, version in ground.versions.items():
        if here[name] != version:
            where, expected = f"node {socket.gethostname()}", f"{name} {version}, as on {_driver(ground)}"
            raise BadInput(where, expected, here[name], "Install the same packages on all nodes.")


def _driver(ground: Ground) -> str:
    return ground.holder.rpartition(" on ")[2] or "the machine of the benchmark"


class CellOnNode:
    """Runs one cell, as `parallel.Processes` does on the machine of the benchmark; a Ray actor with threads.

    Args:
        ground: what this node is to have in common with that machine.
    """

    def __init__(self, ground: Ground) -> None:
        self._ground, self._parent, self._wish = ground, os.getppid(), ""
        # Ray puts the folder that a command was typed in first: what lies there would take packages' places.
        *others, last = ground.imported_from
        others = [folder for folder in others if folder not in sys.path]
        sys.path[:] = [*(folder for folder in sys.path if folder != last), *others, last]

    def node(self) -> str:
        """Ray's name for this node; it answers as soon as there is a place for the cell."""
        import ray

        name: str = ray.get_runtime_context().get_node_id()
        return name

    def run(self, job: Job) -> BaseException | None:
        """Run the cell to its end.

        Returns:
            What it raised, `Stopped`, `ProcessDied` and so on, or `NodeUnfit`: then nothing was begun.
        """
        reason = unfit(self._ground)
        if reason is not None:
            return reason
        followed = ""
        with Processes(run_cell, slots=1) as processes:
            processes.start(job.cell.name, job)
            while True:
                for _, outcome in processes.ended(POLL_SECONDS):
                    return outcome
                if os.getppid() != self._parent:  # the node's Ray is gone, and nobody waits any more
                    processes.kill(job.cell.name)
                    os._exit(EXIT_FAILED)
                if self._wish != followed:
                    followed = self._wish
                    if followed == "stop":
                        processes.stop()
                    else:
                        processes.kill(job.cell.name)

    def stop(self) -> None:
        """Ask the cell to save what it has and end."""
        self._wish = self._wish or "stop"

    def kill(self) -> None:
        """End the cell at once."""
        self._wish = "kill"
