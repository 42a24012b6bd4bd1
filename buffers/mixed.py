"""Batches of which a part comes from another domain (RLPD, Ball 2023, arXiv 2302.02948, section 4.1)."""

from functools import reduce

import numpy as np

from regoal.buffers.batch import Batch, BatchMemory, ReusedMemory
from regoal.buffers.hindsight import HindsightBuffer
from regoal.buffers.trace import Drawn, Trace, joined_traces


class MixedReplay:
    """Draws from a source's and a target's buffer at once.

    Both score with the target's goal spec: rewards and termination of source rows are those of the target,
    only their dynamics are the source's.

    Args:
        target: grows with the run.
        source: stays as it is.
        rng: rounds the number of source rows.
    """

    def __init__(self, target: HindsightBuffer, source: HindsightBuffer, rng: np.random.Generator) -> None:
        self._target, self._source, self._rng = target, source, rng
        self._memory = ReusedMemory(target.goal_spec)

    def sample(self, batch_size: int, source_share: float, *, reuse: bool = False) -> Batch:
        """Draw transitions; those of the source come first.

        Args:
            batch_size: how many.
            source_share: expected share of source rows; their number is rounded at random.
            reuse: write into the memory of the last such batch, which must no longer be needed.
        """
        memory = self._memory.of(batch_size, reuse)
        n_source, drawn = self._fill(memory, source_share)
        return memory.batch(sum(part.n_relabelled for part in drawn), n_source)

    def sample_traced(
        self, batch_size: int, source_share: float, rng: np.random.Generator | None = None
    ) -> tuple[Batch, Trace]:
        """Draw transitions as `sample` does, and tell where each came from, in the buffer of its domain.

        Args:
            batch_size: how many.
            source_share: expected share of source rows.
            rng: to draw from in place of the generators that `sample` uses, which then stay as they are.
        """
        memory = self._memory.of(batch_size, reuse=False)
        n_source, drawn = self._fill(memory, source_share, rng)
        batch = memory.batch(sum(part.n_relabelled for part in drawn), n_source)
        return batch, reduce(joined_traces, (part.trace() for part in drawn))

    def _fill(
        self, memory: BatchMemory, source_share: float, rng: np.random.Generator | None = None
    ) -> tuple[int, list[Drawn]]:
        """Write a batch; returns how many rows are the source's, and what each domain has given."""
        n = len(memory.whole)
        n_source = int(n * source_share + (self._rng if rng is None else rng).random())
        domains = (self._source, slice(0, n_source)), (self._target, slice(n_source, n))
        parts = [(buffer, memory.part(rows)) for buffer, rows in domains]
        return n_source, [buffer.fill(part, rng) for buffer, part in parts if len(part)]
