"""The same on Ray: a cluster of two nodes on this machine, whose processes are killed."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from regoal.benchmarks.torture.benchmark_kills import cell_kills
from regoal.benchmarks.torture.tally import Tally
from regoal.errors import BadInput

# Of memory that nothing is put into: what cells have to say fits into messages.
STORE_BYTES = 80 << 20


@contextlib.contextmanager
def two_nodes(**of_head: Any) -> Iterator[Any]:
    """A `ray.cluster_utils.Cluster` of two nodes with one CPU each, on this machine.

    Args:
        of_head: further arguments of its head.

    Raises:
        BadInput: Ray is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        from ray.cluster_utils import Cluster
    except ImportError as error:
        raise BadInput(
            "ray",
            "Ray to be installed",
            str(error),
            'pip install -c constraints.txt -e ".[ray]" in the clone',
        ) from error
    head = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": STORE_BYTES} | of_head
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES)
        yield cluster
    finally:
        cluster.shutdown()


def ray_kills(folder: Path, cells: int, seed: int = 0) -> Tally:
    """`cell_kills` with a driver on a cluster that outlives it."""
    with two_nodes() as cluster:
        return cell_kills(folder, cells, ("--launcher", "ray", "--address", cluster.address), seed)
