"""Episodes that the env spoils: counted, told, and borne for a while."""

import sys
from pathlib import Path

from regoal.agent.run_state import RunState
from regoal.errors import SpoiledEpisode

MOST_IN_A_ROW = 10  # that many are no accident
MOST_HANGS = 3  # of an evaluation that nobody else watches: each takes minutes
MOST_TOLD = 10  # each in a line


class FaultCount:
    """Counts spoiled episodes of a run.

    Args:
        run: its folder, for messages.
        state: of the run; its counters go up.

    Attributes:
        evaluation: episodes that were spoiled in the evaluation that is being played.
    """

    def __init__(self, run: Path, state: RunState) -> None:
        self._run, self._state = run, state
        self._told = 0
        self.evaluation = 0

    def in_training(self, fault: SpoiledEpisode) -> None:
        """A training episode is discarded.

        Raises:
            SpoiledEpisode: the fault, where it is the last of too many in a row.
        """
        state = self._state
        state.failed_episodes += 1
        state.failed_in_a_row += 1
        state.discarded_steps += fault.discarded_steps
        self._tell(fault, state.failed_in_a_row)

    def in_evaluation(self, fault: SpoiledEpisode) -> None:
        """An evaluation episode is discarded.

        Raises:
            SpoiledEpisode: the fault, where it is the last of too many attempts at that episode.
        """
        self.evaluation += 1
        self._tell(fault, fault.attempt + 1)

    def _tell(self, fault: SpoiledEpisode, number: int) -> None:
        if number >= MOST_IN_A_ROW:
            raise fault
        self._told += 1
        if self._told <= MOST_TOLD:
            last = self._told == MOST_TOLD
            more = "; further ones are only counted, in metrics.csv" if last else ""
            print(f"{self._run}: {fault} The episode is discarded and played anew{more}.", file=sys.stderr)
