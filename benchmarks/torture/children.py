"""Training in processes that can be killed at a chosen moment: they say how far they are and when they save.

Processes are forked from a server that has imported everything, so that one starts in no time.
"""

import contextlib
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    ["regoal.agent.training", "torch.utils.tensorboard", "regoal.benchmarks.torture.warm"]
)
PATIENCE_SECONDS = 120.0  # for anything that a child is to say next


class Child:
    """A process that calls `function(connection, *arguments)`.

    Args:
        function: of a module, not of a script.
        arguments: for it.
        log: file that takes what it prints.
    """

    def __init__(self, function: Callable[..., object], *arguments: Any, log: Path) -> None:
        self.connection, theirs = CONTEXT.Pipe()
        self._process = CONTEXT.Process(target=_call, args=(function, theirs, log, *arguments))
        self._process.start()
        theirs.close()  # the child's is the only one left: when it dies, the pipe ends
        self.began = time.monotonic()

    @property
    def pid(self) -> int:
        """Of the process."""
        assert self._process.pid is not None
        return self._process.pid

    def told(self, seconds: float = PATIENCE_SECONDS) -> Any:
        """The next thing it says; None where it has ended, or says nothing for so long."""
        with contextlib.suppress(EOFError, OSError):
            if self.connection.poll(seconds):
                return self.connection.recv()
        return None

    def kill(self) -> list[Any]:
        """End it by SIGKILL; returns what it had said that was not yet heard."""
        self._process.kill()
        self._process.join()
        left = []
        while (one := self.told(0)) is not None:
            left.append(one)
        self.connection.close()
        return left

    def ended(self, seconds: float = PATIENCE_SECONDS) -> int | None:
        """Its exit code, when it has ended by itself; None where it does not."""
        self._process.join(seconds)
        code = self._process.exitcode
        self.kill()
        return code

    def terminate(self) -> None:
        """Ask it to stop, by SIGTERM."""
        self._process.terminate()


def train_aloud(connection: Connection, config: Any, freeze: bool = False) -> None:
    """Train; says ("save", env_steps) before each save, ("saved", ...) after it, ("steps", ...) each block.

    Args:
        connection: to say it on.
        config: of the run.
        freeze: wait for an answer after the first save.
    """
    from regoal.agent.training import train

    with _aloud(connection, freeze):
        train(config)


def resume_aloud(
    connection: Connection, run: Path, workers: int, env_kwargs: dict[str, Any], freeze: bool = False
) -> None:
    """The same for a run that goes on, whose env takes these arguments."""
    from regoal.agent.training import resume
    from regoal.agent.trust import trust

    trust(**env_kwargs)
    with _aloud(connection, freeze):
        resume(run, workers=workers)


@contextlib.contextmanager
def _aloud(connection: Connection, freeze: bool) -> Iterator[None]:
    from regoal.agent.loop import Training

    save, update, frozen = Training._save, Training._update, [freeze]

    def saying_save(self: Training, **options: Any) -> None:
        connection.send(("save", self.state.env_steps))
        save(self, **options)
        connection.send(("saved", self.state.env_steps))
        if frozen.pop() if frozen else False:
            connection.recv()

    def saying_update(self: Training, rollouts: Any) -> None:
        connection.send(("steps", self.state.env_steps))
        update(self, rollouts)

    Training._save, Training._update = saying_save, saying_update  # type: ignore[method-assign]
    yield
    Training._save, Training._update = save, update  # type: ignore[method-assign]


def _call(function: Callable[..., object], connection: Connection, log: Path, *arguments: Any) -> None:
    from regoal.agent.interrupts import Stopped

    with log.open("ab", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    try:
        function(connection, *arguments)
    except Stopped as stopped:
        sys.exit(stopped.exit_code)
