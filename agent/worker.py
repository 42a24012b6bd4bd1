"""A rollout worker: a process that plays whole episodes; imports no torch.

It takes tasks from its connection, one after the other, and writes what it played into shared memory. It
ends with its connection, whatever it is doing: no worker outlives the run.
"""

import os
import pickle
import queue
import threading
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Literal

import numpy as np

from regoal.agent.evaluation import Outcome
from regoal.agent.player import Player
from regoal.agent.policy import Policy
from regoal.agent.shared_block import BlockLayout, SharedBlock
from regoal.buffers.episode import Episode
from regoal.envs.goal_spec import GoalSpec
from regoal.errors import RunFault


@dataclass(frozen=True)
class Assignment:
    """What a worker is told when it begins.

    Attributes:
        number: which of the workers it is.
        spec: what to play.
        run_seed: seed of the run.
        template: a policy whose arrays are empty: they come through shared memory.
        shapes: of those arrays.
        layout: of the shared memory.
        profiled: whether to measure where time goes.
    """

    number: int
    spec: GoalSpec
    run_seed: int
    template: Policy
    shapes: tuple[tuple[int, ...], ...]
    layout: BlockLayout
    profiled: bool


@dataclass(frozen=True)
class Task:
    """An episode to play.

    Attributes:
        kind: "collect" with exploration, "evaluate" without.
        index: number of the episode among its kind.
        version: of the policy; it changes with its numbers.
        slot: where to put a collected episode.
        attempt: how often the env has spoiled it before.
        asked: goal (goal_size,) that the policy is shown in place of the desired one.
    """

    kind: Literal["collect", "evaluate"]
    index: int
    version: int
    slot: int = 0
    attempt: int = 0
    asked: tuple[float, ...] | None = None  # hashable, and small enough for a pipe


POLICY_PLACES = {"collect": 0, "evaluate": 1}  # where the policy for each kind of task lies


@dataclass(frozen=True)
class Report:
    """What became of a task; of none where `task` is None: then the env is built and the worker ready.

    Attributes:
        task: the task.
        result: where an episode lies in shared memory, or the outcome of an evaluation episode.
        error: what went wrong instead.
        discarded_steps: env steps lost with it.
    """

    task: Task | None
    result: Any = None
    error: Exception | None = None
    discarded_steps: int = 0


def main(connection_descriptor: int, memory_descriptor: int) -> None:
    """Play until the connection ends."""
    connection = Connection(connection_descriptor)
    assignment: Assignment = connection.recv()
    tasks: queue.SimpleQueue[Task] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(connection, tasks), daemon=True).start()
    block = SharedBlock(assignment.layout, memory_descriptor)
    number = assignment.number

    def tick() -> None:
        block.beats[number] += 1

    player = Player(
        assignment.spec, assignment.run_seed, tick, block.clocks[number] if assignment.profiled else None
    )
    try:
        for purpose in POLICY_PLACES:  # now: in the midst of a task it would look like an env that hangs
            player.env(purpose)
    except Exception as error:  # noqa: BLE001  (told to the run, which raises it)
        connection.send(Report(None, error=_sendable(error)))
        return
    connection.send(Report(None))
    policies: dict[str, tuple[int, Policy]] = {}
    while True:
        task = tasks.get()
        if task.kind not in policies or policies[task.kind][0] != task.version:
            arrays = block.read_policy(POLICY_PLACES[task.kind], assignment.shapes)
            policies[task.kind] = task.version, assignment.template.with_arrays(arrays)
        connection.send(_perform(task, policies[task.kind][1], player, block))


def perform(task: Task, policy: Policy, player: Player) -> Episode | Outcome:
    """Play what a task says, in whichever process."""
    if task.kind == "collect":
        asked = None if task.asked is None else np.array(task.asked, np.float32)
        return player.collect(policy, task.index, task.attempt, asked)
    return player.evaluate(policy, task.index, task.attempt)


def _perform(task: Task, policy: Policy, player: Player, block: SharedBlock) -> Report:
    try:
        played = perform(task, policy, player)
        return Report(task, block.write_episode(task.slot, played) if isinstance(played, Episode) else played)
    except Exception as error:  # noqa: BLE001  (told to the run, which raises it in its turn)
        discarded = error.discarded_steps if isinstance(error, RunFault) else 0
        return Report(task, error=_sendable(error), discarded_steps=discarded)


def _receive(connection: Connection, tasks: "queue.SimpleQueue[Task]") -> None:
    """Fill the queue until the run closes the connection or dies; then this process has no purpose."""
    try:
        while True:
            tasks.put(connection.recv())
    except (EOFError, OSError):
        os._exit(0)


def _sendable(error: Exception) -> Exception:
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301  (our own bytes, to see whether they cross)
    except Exception:  # noqa: BLE001  (a user's exception may refuse in any way)
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
