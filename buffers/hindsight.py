"""The hindsight experience replay buffer (Andrychowicz 2017): stores what happened, relabels when sampled."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regoal.buffers.batch import Batch, BatchRows, ReusedMemory
from regoal.buffers.discovery import draw_for_discovery, score_leaving
from regoal.buffers.episode import Episode
from regoal.buffers.goal_choice import choose_goals
from regoal.buffers.numbering import Ints
from regoal.buffers.scores import GoalScorer, reached, require_scores, require_shapes
from regoal.buffers.storage import EpisodeStorage, Transitions, joined
from regoal.buffers.strategies import Strategy, checked, strategy_named
from regoal.buffers.trace import Drawn, Trace
from regoal.buffers.wanted import draw_wanted, ranks_of, wanted_goal
from regoal.errors import BadInput

BOTH_ENDS = np.arange(2)[:, None]  # of a transition: its row and the next
NO_ROWS: Ints = np.empty(0, np.int64)


class HindsightBuffer:
    """Episodes in, relabelled batches out.

    Rewards and termination are not stored: they follow from the goals, and the goal spec works them out
    for the goals in the batch, relabelled or not. `add_episode` verifies that they do follow, in the
    precision of the goals, and allows for their rounding where that is single; goals are then kept as
    float32, so a pair that lies on a threshold to within 1e-7 of its size may score otherwise.
    Fine-tuning in another env only needs that env's spec.

    Args:
        goal_spec: scores pairs of goals and knows all sizes.
        capacity: most transitions held; the oldest episodes leave first.
        strategy: a name in `strategies.NAMES`, "module:function", a mixture such as "4*future+1*random", or
            a function.
        n_sampled_goal: hindsight goals for each real one: k / (k + 1) of a batch is relabelled.
        seed: anything `numpy.random.default_rng` takes.
        disk: folder in whose file system the transitions are kept, for buffers larger than memory.
        informative_share: share of a batch that is drawn from episodes in which anything was achieved that
            was not at their start, and given goals not yet achieved at t. On object tasks nine of ten
            early episodes leave the object where it is: every goal in them is achieved from the start.
        marks: mark episodes in which anything was achieved that was not at their start, although no
            informative share is drawn from them: `discovering` and `share_that_left` need them.
        tells_new_goals: fill `Batch.new_goal`, which imitation needs.
        candidates: each hindsight goal is the one of so many that is wanted most, and so is each episode
            of the informative share: see `wanted`.

    Attributes:
        informative_share: may be lowered as learning goes on.
        discovering: whether batches are for learning to change what is achieved: see `discovery`.
    """

    def __init__(
        self,
        goal_spec: GoalScorer,
        capacity: int,
        *,
        strategy: str | Strategy = "future",
        n_sampled_goal: int = 4,
        seed: int | np.random.SeedSequence | np.random.Generator = 0,
        disk: Path | None = None,
        informative_share: float = 0.0,
        marks: bool = False,
        tells_new_goals: bool = False,
        candidates: int = 1,
    ) -> None:
        if not 0 <= informative_share <= 1:
            raise BadInput("informative_share", "0 to 1", f"{informative_share:g}", "0.7 helps with objects.")
        if n_sampled_goal < 0:
            raise BadInput("n_sampled_goal", "0 or more", str(n_sampled_goal), "4 is usual.")
        if candidates < 1:
            raise BadInput("candidates", "1 or more", str(candidates), "1 takes goals as they are drawn.")
        self.goal_spec = goal_spec
        if isinstance(strategy, str):
            self._strategy, self._strategy_name = strategy_named(strategy), strategy
        else:
            self._strategy = checked(strategy)
            self._strategy_name = getattr(strategy, "__name__", repr(strategy))
        self._share = n_sampled_goal / (n_sampled_goal + 1) if self._strategy else 0.0
        self._rng = np.random.default_rng(seed)
        self._storage = EpisodeStorage(
            capacity,
            goal_spec.max_episode_steps,
            goal_spec.observation_size,
            goal_spec.goal_size,
            goal_spec.action_size,
            disk,
            marks=marks or informative_share > 0,
            ranks=candidates > 1,
        )
        self._candidates = candidates
        self.informative_share = informative_share
        self.discovering = False
        self.tells_new_goals = tells_new_goals
        self._tried = False
        self._memory = ReusedMemory(goal_spec)

    def __len__(self) -> int:
        """Transitions held."""
        return len(self._storage)

    @property
    def capacity(self) -> int:
        """Most transitions held."""
        return self._storage.capacity

    @property
    def n_episodes(self) -> int:
        """Episodes held."""
        return self._storage.n_episodes

    @property
    def relabels(self) -> bool:
        """Whether any goal is replaced at all."""
        return self._share > 0

    def goals(self) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Of each episode held, oldest first: achieved goals (T + 1, goal_size), desired one (goal_size,)."""
        storage = self._storage
        for slot in storage.slots():
            first = storage.first_row[slot]
            yield storage.achieved_goal[first : first + storage.length[slot] + 1], storage.desired_goal[slot]

    def add_episode(self, episode: Episode, *, foreign: bool = False) -> None:
        """Store a finished episode.

        Args:
            episode: what happened.
            foreign: it was played in another env, whose rewards and terminations do not matter here.

        Raises:
            EnvFault: a reward or a termination is not what the env's own functions say of the goals.
            BadInput: shapes do not fit, or the episode is longer than the env's time limit.
        """
        self._storage.check_length(len(episode))
        require_shapes(self.goal_spec, episode)
        if not foreign:
            require_scores(self.goal_spec, episode)
        episode = self.ranked(episode)
        self._storage.add(episode, self._new_in(episode) if self._storage.marked is not None else None)

    def ranked(self, episode: Episode) -> Episode:
        """The episode with the ranks of what it achieved, if goals are chosen by them and it has none yet."""
        if self._candidates == 1 or episode.rank is not None:
            return episode
        goals = np.asarray(episode.achieved_goal, np.float32)
        return replace(episode, rank=ranks_of(self._storage, self.goal_spec, goals, self._rng))

    def wanted_goal(self, rng: np.random.Generator) -> NDArray[np.float32] | None:
        """A goal (goal_size,) that was achieved and is wanted; None where nothing that is drawn was new.

        The buffer must have been built with `marks`, or with an informative share.

        Args:
            rng: to draw from; the buffer's own generator stays as it is.
        """
        return wanted_goal(self._storage, self.goal_spec, rng)

    def state(self) -> dict[str, Any]:
        """All but the episodes, for JSON: with these, as `ranked` gave them, a buffer goes on alike."""
        storage = self._storage
        return {
            "generator": self._rng.bit_generator.state,
            "n_episodes": storage.n_episodes,
            "oldest_row": storage.oldest_row,
            "discovering": self.discovering,
        }

    def restore(self, state: Mapping[str, Any], episodes: Iterable[Episode]) -> None:
        """Fill an empty buffer with what another one held.

        Args:
            state: of the other.
            episodes: those it held, oldest first; they are not verified again. Where goals are chosen by
                ranks they must have theirs (`ranked`): new ones would be others.

        Raises:
            BadInput: the state is of another kind of buffer, or the episodes are too few or too many.
        """
        self.go_on(state)
        try:
            expected, row = int(state["n_episodes"]), int(state["oldest_row"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise BadInput("buffer state", "what `state` gave", f"{type(error).__name__}: {error}") from error
        self._storage.begin_at(row)
        for episode in episodes:
            self.add_episode(episode, foreign=True)
        if self._storage.n_episodes != expected:
            raise BadInput("episodes", f"the {expected} that were held", str(self._storage.n_episodes))

    def go_on(self, state: Mapping[str, Any]) -> None:
        """Draw what the buffer would have drawn whose state this is; the episodes stay.

        Raises:
            BadInput: it is of another kind of generator.
        """
        try:
            self._rng.bit_generator.state = state["generator"]
            self.discovering = bool(state.get("discovering", False))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise BadInput(
                "buffer state", "a PCG64 generator's", f"{type(error).__name__}: {error}"
            ) from error

    def sample(self, batch_size: int, *, reuse: bool = False) -> Batch:
        """Draw transitions, with replacement; k / (k + 1) of them get a hindsight goal.

        They are drawn uniformly, but for an informative share: that is drawn uniformly from episodes that
        have something to teach, or with `candidates` the more often the more their goals are wanted.

        Args:
            batch_size: how many.
            reuse: write into the memory of the last such batch, which must no longer be needed.
        """
        memory = self._memory.of(batch_size, reuse)
        return memory.batch(self.fill(memory.whole).n_relabelled)

    def sample_traced(self, batch_size: int, rng: np.random.Generator | None = None) -> tuple[Batch, Trace]:
        """Draw transitions as `sample` does, and tell where each came from.

        Args:
            batch_size: how many.
            rng: to draw from in place of the buffer's own generator, which then stays as it is.
        """
        memory = self._memory.of(batch_size, reuse=False)
        drawn = self.fill(memory.whole, rng)
        return memory.batch(drawn.n_relabelled), drawn.trace()

    def fill(self, rows: BatchRows, rng: np.random.Generator | None = None) -> Drawn:
        """Write as many transitions as there are rows; returns which, the relabelled ones first."""
        storage, n = self._storage, len(rows)
        rng = self._rng if rng is None else rng
        if self.discovering:
            return self._fill_for_discovery(rows, rng)
        at, informative = self._draw(n, rng)
        self._write_ends(at, rows)
        # Rounded at random, so that the share is k / (k + 1) for every batch size.
        n_relabelled = int(n * self._share + rng.random()) if self.relabels else 0
        real, desired_goal = at.episode[n_relabelled:], rows.desired_goal[n_relabelled:]
        storage.desired_goal.take(real, axis=0, out=desired_goal, mode="clip")
        goal_rows = NO_ROWS
        if n_relabelled:
            relabelled = at.head(n_relabelled)
            teaching = None if informative is None else informative[:n_relabelled]
            goal_rows = self._goal_rows(relabelled, teaching, rng)
            rows.desired_goal[:n_relabelled] = storage.goals(goal_rows)
        rows.reward[:] = self.goal_spec.reward(rows.next_achieved_goal, rows.desired_goal)
        rows.terminated[:] = self.goal_spec.terminated(rows.next_achieved_goal, rows.desired_goal)
        rows.new_goal[:] = False
        if self.tells_new_goals and n_relabelled:
            achieved, desired = rows.achieved_goal[:n_relabelled], rows.desired_goal[:n_relabelled]
            ahead = goal_rows - relabelled.first_row - relabelled.t  # below 0 for what was only desired
            led_there = (ahead > 0) & (relabelled.t + ahead <= relabelled.length)
            rows.new_goal[:n_relabelled] = led_there & ~reached(self.goal_spec, achieved, desired)
        return Drawn(at, goal_rows)

    def share_that_left(self, last: int) -> float:
        """Share of the last so many episodes in which anything was achieved that was not at their start.

        0 where fewer are held. The buffer must have been built with `marks`, or with an informative share.
        """
        return self._storage.marked_share(last)

    def _fill_for_discovery(self, rows: BatchRows, rng: np.random.Generator) -> Drawn:
        """As `fill`, with the goals as they were desired and rewards for leaving what is achieved."""
        at = draw_for_discovery(self._storage, len(rows), rng)
        if self.relabels and not self._tried:
            # A strategy that is broken is told now and not when discovery is over.
            self._goal_rows(at, None, np.random.default_rng(0))
            self._tried = True
        self._write_ends(at, rows)
        self._storage.desired_goal.take(at.episode, axis=0, out=rows.desired_goal, mode="clip")
        score_leaving(self.goal_spec, at, rows, rng)
        rows.new_goal[:] = False
        return Drawn(at, NO_ROWS)

    def _write_ends(self, at: Transitions, rows: BatchRows) -> None:
        # "clip" is numpy's only mode that writes into `out` without a copy; all rows are in range.
        row = at.first_row + at.t + BOTH_ENDS  # (2, n), which numpy adds sooner than (n, 2)
        self._storage.rows.take(row.T, axis=0, out=rows.ends, mode="clip")

    def _draw(self, n: int, rng: np.random.Generator) -> tuple[Transitions, NDArray[np.bool_] | None]:
        """n transitions, and which of them are to teach something (n,); None where none is."""
        storage = self._storage
        # Nobody asks for informative episodes, or there are none.
        if not (self.informative_share and storage.marked):
            return storage.draw(n, rng), None
        n_informative = int(n * self.informative_share + rng.random())
        order = rng.permutation(n)  # the first ones will be relabelled: some of both kinds are
        marked = draw_wanted(storage, n_informative, self._candidates, rng)
        others = storage.draw(n - n_informative, rng)
        return joined(marked, others).of(order), order < n_informative

    def _goal_rows(
        self, at: Transitions, informative: NDArray[np.bool_] | None, rng: np.random.Generator
    ) -> Ints:
        """Rows of the goals for transitions (n,), some of which may be asked for something new."""
        assert self._strategy is not None
        return choose_goals(self._strategy, self.goal_spec, at, informative, self._candidates, rng)

    def _new_in(self, episode: Episode) -> NDArray[np.bool_]:
        """States (T + 1,) that achieved what was not achieved at the start."""
        # As it is kept: an episode that is stored, read and stored again is judged alike.
        achieved = np.asarray(episode.achieved_goal, np.float32)
        return ~reached(self.goal_spec, np.broadcast_to(achieved[0], achieved.shape), achieved)

    def __repr__(self) -> str:
        held = f"{len(self):,} of {self.capacity:,} transitions"
        return f"HindsightBuffer({held}, strategy={self._strategy_name})"
