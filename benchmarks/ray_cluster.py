"""A Ray cluster: to become its driver, and to ask each of its nodes whether cells can run there."""

import socket
from collections.abc import Iterable
from typing import Any

from regoal.benchmarks.ray_node import Ground, unfit
from regoal.errors import BadInput

AUTO = "auto"  # the cluster that this machine is a node of
CONNECT_SECONDS = 10.0
PROBE_SECONDS = 120.0  # for a node to say whether it will do: it may have to import from a slow disk


def connect(address: str) -> None:
    """Become a driver of a cluster.

    Args:
        address: HOST:PORT, or auto.

    Raises:
        BadInput: Ray is not installed, or there is no such cluster.
    """
    try:
        import ray
    except ImportError as error:
        fix = 'pip install -c constraints.txt -e ".[ray]" in the clone'
        raise BadInput("launcher", "Ray to be installed for --launcher ray", str(error), fix) from error
    _require_answer(address)
    start = "Start one with `ray start --head`, and give what it prints: --address HOST:6379."
    try:
        ray.init(address=address, log_to_driver=False, logging_level="error")
    except Exception as error:  # Ray raises many kinds: no cluster, another Python, another Ray
        raise BadInput(
            "address", "a Ray cluster like this machine's", f"{address} ({error})", start
        ) from error


def _require_answer(address: str) -> None:
    """That somebody is there: Ray itself would try for minutes."""
    if address == AUTO:
        return
    host, colon, port = address.rpartition(":")
    if "/" in address or not (host and colon and port.isdecimal()):
        fix = "Start the benchmark on a node of the cluster, which sees the folder that all nodes share."
        raise BadInput("address", "auto, or HOST:PORT of a cluster's head", repr(address), fix)
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        fix = "`ray status` on its head tells whether it runs."
        raise BadInput("address", "a cluster that answers", f"{address} ({error})", fix) from error


def misfits(nodes: Iterable[dict[str, Any]], ground: Ground) -> list[BadInput]:
    """What is wrong with nodes."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    probe = ray.remote(num_cpus=0, max_retries=0)(unfit)
    asked = {}
    for node in nodes:
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        asked[probe.options(scheduling_strategy=there).remote(ground)] = node["NodeManagerHostname"]
    answered, _ = ray.wait(list(asked), num_returns=len(asked), timeout=PROBE_SECONDS)
    found = []
    for reference, host in asked.items():
        if reference not in answered:
            got = f"none in {PROBE_SECONDS:.0f} s"
            found.append(BadInput(f"node {host}", "an answer", got, "`ray status` tells more."))
            continue
        try:
            reason = ray.get(reference)
        except (ray.exceptions.NodeDiedError, ray.exceptions.TaskUnschedulableError):
            continue  # it has left: others will do
        except ray.exceptions.RayError as error:
            got, fix = str(error).strip().splitlines()[-1], "Install regoal there as it is installed here."
            found.append(BadInput(f"node {host}", "a process that imports regoal", got, fix))
            continue
        if reason is not None:
            found.append(reason.reason)
    return found


def cpus_of(node: dict[str, Any]) -> int:
    return int(node["Resources"].get("CPU", 0))
