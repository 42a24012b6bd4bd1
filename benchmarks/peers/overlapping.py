"""Collecting and learning at once, beside each of them alone."""

import time
from collections.abc import Callable

import numpy as np

from regoal.agent.rollouts import Rollouts
from regoal.benchmarks.peers.data import ENV
from regoal.benchmarks.peers.ours import filled, spec_and_learner


class Overlap:
    """Blocks of collecting with one worker and learning with one thread: each alone, and at once."""

    def __init__(self, block: int = 8, blocks: int = 5) -> None:
        self.block, self.blocks = block, blocks
        self.spec, self.learner = spec_and_learner(ENV, hidden=(256, 256, 256))
        self.buffer = filled(10_000)
        policy = self.learner.policy()
        self.rollouts = Rollouts(self.spec, 0, policy, block_episodes=block, workers=1, helps=False)
        self.rollouts.__enter__()
        self.index = 0
        self.collect()
        self.updates = 20
        for _ in range(2):  # the first time warms up
            collecting = np.median([self.timed(self.collect) for _ in range(5)])
            learning = np.median([self.timed(self.learn) for _ in range(5)])
        # So many updates a block that both take equally long.
        self.updates = max(round(20 * float(collecting / learning)), 1)

    def timed(self, function: Callable[[], None]) -> float:
        """Seconds of one call."""
        began = time.perf_counter()
        function()
        return time.perf_counter() - began

    def request(self) -> None:
        """Ask for the next block."""
        self.rollouts.collect(self.learner.policy(), range(self.index, self.index + self.block))
        self.index += self.block

    def take(self) -> None:
        """Take the block that was asked for."""
        for episode in self.rollouts.episodes():
            self.buffer.add_episode(episode)

    def collect(self) -> None:
        """One block, alone."""
        self.request()
        self.take()

    def learn(self) -> None:
        """The updates of one block, alone."""
        for _ in range(self.updates):
            self.rollouts.poll()
            self.learner.update(self.buffer.sample(256, reuse=True))

    def collect_blocks(self) -> None:
        """Collecting alone."""
        for _ in range(self.blocks):
            self.collect()

    def learn_blocks(self) -> None:
        """Learning alone."""
        for _ in range(self.blocks):
            self.learn()

    def both_blocks(self) -> None:
        """Both as a run does them: block n + 1 is asked for before the updates on block n."""
        self.request()
        for _ in range(self.blocks - 1):
            self.learn()
            self.take()
            self.request()
        self.learn()
        self.take()

    def measure(self) -> list[float]:
        """Seconds of `blocks` blocks: collecting alone, learning alone, both at once."""
        parts = self.collect_blocks, self.learn_blocks, self.both_blocks
        seconds = [self.timed(part) for part in parts]
        # A machine that others use too changes its pace: the next time, both take equally long again.
        self.updates = max(round(self.updates * seconds[0] / seconds[1]), 1)
        return seconds


def overlap() -> Callable[[], object]:
    """Seconds of collecting alone, learning alone and both at once."""
    return Overlap().measure
