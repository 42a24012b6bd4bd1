"""What the buffer should do, in plain loops: the yardstick that its vectorised code is held against.

Episodes here are tagged: their goals and observations spell (number of the episode, step), so that every
row of a batch tells where it came from without asking the buffer.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from regoal.buffers.batch import Batch
from regoal.buffers.episode import Episode
from regoal.buffers.hindsight import HindsightBuffer
from regoal.buffers.strategies import Strategy

NEVER = -9  # a step that no episode has: a goal that is not reached


@dataclass(frozen=True)
class FakeScorer:
    """A goal spec without an env: 0 within `threshold` of the goal, else -1."""

    observation_size: int = 3
    goal_size: int = 2
    action_size: int = 1
    max_episode_steps: int = 10
    can_terminate: bool = False
    reward_range: tuple[float, float] = (-1.0, 0.0)
    threshold: float = 0.5

    def reward(self, achieved_goal: Any, desired_goal: Any) -> Any:
        return -(self._distance(achieved_goal, desired_goal) > self.threshold).astype(np.float32)

    def terminated(self, achieved_goal: Any, desired_goal: Any) -> Any:
        reached = self._distance(achieved_goal, desired_goal) <= self.threshold
        return reached if self.can_terminate else np.zeros_like(reached)

    def _distance(self, achieved_goal: Any, desired_goal: Any) -> Any:
        return np.linalg.norm(achieved_goal - desired_goal, axis=-1)


def tagged_episode(number: int, length: int, scorer: FakeScorer | None = None, aim: int = NEVER) -> Episode:
    """An episode whose state t has the goal (number, t); it desires (number, aim).

    Where the scorer can terminate, `aim` is the last step or `NEVER`.
    """
    scorer = scorer or FakeScorer()
    tag = np.array([[number, t] for t in range(length + 1)], np.float64)
    observation = np.zeros((length + 1, scorer.observation_size))
    observation[:, :2] = tag
    achieved = np.zeros((length + 1, scorer.goal_size))
    achieved[:, :2] = tag
    desired = np.zeros(scorer.goal_size)
    desired[:2] = (number, aim)
    action = np.full((length, scorer.action_size), -1.0) + np.arange(length)[:, None] / 64 + number / 1024
    to = np.broadcast_to(desired, achieved[1:].shape)
    return Episode(
        observation=observation,
        achieved_goal=achieved,
        desired_goal=desired,
        action=action,
        reward=scorer.reward(achieved[1:], to),
        terminated=bool(scorer.terminated(achieved[1:], to)[-1:].any()),
        success=scorer.reward(achieved[1:], to) == 0,
        index=number,
    )


def tagged_buffer(
    lengths: Sequence[int],
    *,
    strategy: str | Strategy = "future",
    n_sampled_goal: int = 4,
    capacity: int = 1000,
    can_terminate: bool = False,
    seed: int = 0,
    kind: type[HindsightBuffer] = HindsightBuffer,
) -> HindsightBuffer:
    """A buffer filled with one tagged episode per length."""
    scorer = FakeScorer(max_episode_steps=max(lengths), can_terminate=can_terminate)
    buffer = kind(scorer, capacity, strategy=strategy, n_sampled_goal=n_sampled_goal, seed=seed)
    for number, length in enumerate(lengths):
        # Every third episode reaches its goal, with its last step.
        buffer.add_episode(tagged_episode(number, length, scorer, aim=length if number % 3 == 0 else NEVER))
    return buffer


@dataclass(frozen=True)
class Origin:
    """Where each row of a batch of tagged transitions came from, and its goal; (n,) integers."""

    number: Any
    t: Any
    next_number: Any
    next_t: Any
    goal_number: Any
    goal_t: Any

    def relabelled(self, batch: Batch) -> "Origin":
        """The rows that carry a hindsight goal."""
        n = batch.n_relabelled
        return Origin(*(column[:n] for column in self.__dict__.values()))


def origin(batch: Batch) -> Origin:
    """Read the tags."""
    columns = (
        part.numpy()[:, column].astype(int)
        for part in (batch.observation, batch.next_observation, batch.desired_goal)
        for column in (0, 1)
    )
    return Origin(*columns)


@dataclass
class Kept:
    """An episode in the reference storage and the rows it lies in."""

    episode: Episode
    rows: list[int]
    before: int  # transitions stored before it, ever


class ReferenceStorage:
    """A list of episodes, oldest first, and a list that says who owns each row."""

    def __init__(self, capacity: int, longest: int) -> None:
        self.capacity = capacity
        episodes_at_most = 0
        while episodes_at_most * longest < capacity:
            episodes_at_most += 1
        self.owner: list[Kept | None] = [None] * (capacity + episodes_at_most + longest + 1)
        self.kept: list[Kept] = []
        self.cursor = 0
        self.stored_ever = 0

    def add(self, episode: Episode) -> None:
        n_rows = len(episode) + 1
        if self.cursor + n_rows > len(self.owner):
            for row in range(self.cursor, len(self.owner)):
                while self.owner[row] is not None:
                    self._drop_oldest()
            self.cursor = 0
        rows = list(range(self.cursor, self.cursor + n_rows))
        while any(self.owner[row] for row in rows):
            self._drop_oldest()
        while self.n_transitions() + len(episode) > self.capacity:
            self._drop_oldest()
        kept = Kept(episode, rows, self.stored_ever)
        for row in rows:
            self.owner[row] = kept
        self.kept.append(kept)
        self.cursor += n_rows
        self.stored_ever += len(episode)

    def n_transitions(self) -> int:
        total = 0
        for kept in self.kept:
            total += len(kept.episode)
        return total

    def transitions(self) -> Iterator[tuple[Kept, int]]:
        """All transitions that are held, oldest first."""
        for kept in self.kept:
            for t in range(len(kept.episode)):
                yield kept, t

    def _drop_oldest(self) -> None:
        kept = self.kept.pop(0)
        for row in kept.rows:
            self.owner[row] = None


class ReferenceBuffer:
    """Hindsight replay as the paper tells it, one transition at a time.

    It draws from its generator in the same order as the buffer, so the same seed gives the same batch.
    """

    def __init__(self, scorer: FakeScorer, capacity: int, strategy: str, k: int, seed: int) -> None:
        self.scorer, self.strategy, self.k = scorer, strategy, k
        self.storage = ReferenceStorage(capacity, scorer.max_episode_steps)
        self.rng = np.random.default_rng(seed)

    def sample(self, batch_size: int) -> list[dict[str, Any]]:
        drawn = self._draw(batch_size)
        relabel = self.strategy != "none" and self.k > 0
        n_relabelled = int(batch_size * self.k / (self.k + 1) + self.rng.random()) if relabel else 0
        goals = self._goals(drawn[:n_relabelled], self.strategy) if n_relabelled else []
        batch = []
        for i, (kept, t) in enumerate(drawn):
            desired = goals[i] if i < n_relabelled else kept.episode.desired_goal
            desired = np.asarray(desired, np.float32)
            reached = np.asarray(kept.episode.achieved_goal[t + 1], np.float32)
            batch.append(
                {
                    "observation": kept.episode.observation[t],
                    "next_observation": kept.episode.observation[t + 1],
                    "desired_goal": desired,
                    "action": kept.episode.action[t],
                    "reward": self.scorer.reward(reached[None], desired[None])[0],
                    "terminated": self.scorer.terminated(reached[None], desired[None])[0],
                    "new_goal": False,  # nobody asked
                }
            )
        return batch

    def _draw(self, n: int) -> list[tuple[Kept, int]]:
        held = list(self.storage.transitions())
        first = self.storage.kept[0].before
        return [held[i - first] for i in self.rng.integers(first, self.storage.stored_ever, n)]

    def _goals(self, drawn: list[tuple[Kept, int]], strategy: str) -> list[Any]:
        if strategy == "rfaab":
            return self._mixed_goals(drawn, {"future": 4, "desired": 4, "random": 1})
        if strategy == "random":
            return [kept.episode.achieved_goal[t + 1] for kept, t in self._draw(len(drawn))]
        if strategy == "desired":
            return [kept.episode.desired_goal for kept, _ in self._draw(len(drawn))]
        if strategy == "final":
            return [kept.episode.achieved_goal[-1] for kept, _ in drawn]
        if strategy == "next":
            return [kept.episode.achieved_goal[t + 1] for kept, t in drawn]
        goals = []
        for (kept, t), u in zip(drawn, self.rng.random(len(drawn)), strict=True):
            choices = list(range(t + 1 if strategy == "future" else 1, len(kept.episode) + 1))
            goals.append(kept.episode.achieved_goal[choices[int(u * len(choices))]])
        return goals

    def _mixed_goals(self, drawn: list[tuple[Kept, int]], weights: dict[str, int]) -> list[Any]:
        """Lots first, one for each transition, then the goals of each part."""
        lots = [name for name, weight in weights.items() for _ in range(weight)]
        chosen = [lots[int(u * len(lots))] for u in self.rng.random(len(drawn))]
        goals: list[Any] = [None] * len(drawn)
        for name in weights:
            mine = [i for i, one in enumerate(chosen) if one == name]
            for i, goal in zip(mine, self._goals([drawn[i] for i in mine], name), strict=True):
                goals[i] = goal
        return goals
