"""Batches of which a part comes from another domain (RLPD, Ball 2023, arXiv 2302.02948, section 4.1)."""

import numpy as np

from regoal.buffers.batch import Batch, ReusedMemory
from regoal.buffers.hindsight import HindsightBuffer


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
        n_source = int(batch_size * source_share + self._rng.random())
        memory = self._memory.of(batch_size, reuse)
        n_relabelled = 0
        for buffer, rows in (
            (self._source, slice(0, n_source)),
            (self._target, slice(n_source, batch_size)),
        ):
            part = memory.part(rows)
            if len(part):
                n_relabelled += buffer.fill(part)
        return memory.batch(n_relabelled, n_source)
