"""What a run learns from: its own episodes and, where asked for, those of its source.

The run's own episodes go into its folder with every checkpoint, so that it can be resumed; without
`keep_replay` they leave it when the run is finished.
"""

import sys
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regoal.agent.config import TrainConfig
from regoal.agent.machine import memory_bytes
from regoal.agent.modes import actor_begins, faded
from regoal.agent.replay_files import MOST_BYTES, Segment, read_segments, stored_bytes, write_segments
from regoal.agent.run_folder import nearest_folder
from regoal.agent.seeding import Stream, generator
from regoal.agent.shipped import located
from regoal.buffers.batch import Batch
from regoal.buffers.episode import Episode
from regoal.buffers.hindsight import HindsightBuffer
from regoal.buffers.mixed import MixedReplay
from regoal.buffers.sizes import bytes_needed
from regoal.buffers.trace import Trace
from regoal.envs.goal_spec import GoalSpec
from regoal.errors import BadInput

DISCOVERY_EPISODES = 50  # the last ones, of which a share must leave what was achieved at their start


class Experience:
    """The replay of a run, in memory and in its folder.

    Args:
        config: of the run.
        spec: of its env; it scores the source's episodes too.
        source: segments of the source's replay that are drawn from, if any of it is.

    Attributes:
        own: the buffer of the run's own episodes.
        buffers: `own` and, if any of it is drawn from, that of the `source`'s episodes.
        segments: files in the run's folder that hold those of them that are written.
        goals_since: env steps after which goals were learned.

    Raises:
        BadInput: the source's replay does not fit, or a setting needs an env with two rewards.
    """

    def __init__(self, config: TrainConfig, spec: GoalSpec, source: Sequence[Segment] = ()) -> None:
        if config.discovery:
            _require_discovery(config, spec)
        _require_told_apart(config, spec)
        self._config, self._spec = config, spec
        self._granted = 0  # [bytes] of memory, to all buffers so far
        # A run never holds more than it collects. An episode takes a row more than it has steps; room is
        # reckoned for full ones, and those that end at once take twice as many. Any env may cut them short,
        # but where goals do not end them that is not likely, and memory is not taken before it is touched.
        collected = config.steps + config.block_episodes * spec.max_episode_steps
        self._likely = 2 * collected if spec.ends_early else collected
        self.own = self._buffer(2 * collected, Stream.REPLAY, self._likely)
        self.buffers = {"own": self.own}
        self._mixing = generator(config.seed, Stream.MIXING)
        self._mixed: MixedReplay | None = None
        if source:
            self.buffers["source"] = self._source(source)
            self._mixed = MixedReplay(self.own, self.buffers["source"], self._mixing)
        self._unwritten: list[Episode] = []
        self._unwritten_bytes = 0
        self.segments: list[Segment] = []
        self.goals_since = 0

    def add(self, episode: Episode) -> None:
        """Store one of the run's own episodes.

        Raises:
            EnvFault: its rewards are not what the env's own functions say; it was not stored.
            OSError: those before it cannot be written; it was not stored.
        """
        if self._unwritten_bytes > MOST_BYTES:
            self.write()
        episode = self.own.ranked(episode)
        self.own.add_episode(episode)
        self._unwritten.append(episode)
        self._unwritten_bytes += stored_bytes(episode)

    def sample(self, batch_size: int, env_steps: int) -> Batch:
        """A batch in memory that the next one is written into.

        Args:
            batch_size: transitions.
            env_steps: how far the run is; shares may fall with it.
        """
        source_share = self._shares(env_steps)
        if self._mixed is None:
            return self.own.sample(batch_size, reuse=True)
        return self._mixed.sample(batch_size, source_share, reuse=True)

    def sample_traced(
        self, batch_size: int, env_steps: int, rng: np.random.Generator | None = None
    ) -> tuple[Batch, Trace]:
        """A batch such as `sample` gives, and where each row came from.

        Args:
            batch_size: transitions.
            env_steps: how far the run is.
            rng: to draw from, so that what `sample` draws next stays the same.
        """
        source_share = self._shares(env_steps)
        if self._mixed is None:
            return self.own.sample_traced(batch_size, rng)
        return self._mixed.sample_traced(batch_size, source_share, rng)

    def _shares(self, env_steps: int) -> float:
        """Set what the buffers draw at this point; returns the share of source rows."""
        config = self._config
        informative = faded(config.informative_share, env_steps, config.informative_share_steps)
        for buffer in self.buffers.values():
            buffer.informative_share = informative
        self.own.tells_new_goals = self.imitation_weight(env_steps) > 0  # to whoever would follow them
        return faded(config.source_share, env_steps, config.source_share_steps)

    def end_discovery_if_due(self, env_steps: int) -> None:
        """Learn goals from now on if enough episodes change what is achieved, or it has had its steps.

        Args:
            env_steps: how far the run is.
        """
        if not self.own.discovering:
            return
        share, most = self.own.share_that_left(DISCOVERY_EPISODES), discovery_steps(self._config)
        if share >= self._config.discovery:
            why = f"{share:.0%} of episodes change what is achieved"
        elif env_steps >= most:
            why = f"discovery has had its {most:,} env steps"
        else:
            return
        print(f"{self._config.out}: goals are learned after {env_steps:,} env steps: {why}", file=sys.stderr)
        self.goals_since = env_steps
        for buffer in self.buffers.values():
            buffer.discovering = False

    def goal_to_practise(self, index: int) -> NDArray[np.float32] | None:
        """What the policy is asked for in training episode `index`; None: for what the env desires."""
        if not self._config.practice or self.own.discovering:
            return None
        rng = generator(self._config.seed, Stream.PRACTICE, index)
        return self.own.wanted_goal(rng) if rng.random() < self._config.practice else None

    def imitation_weight(self, env_steps: int) -> float:
        """Of hindsight imitation: 0 while goals are not learned yet, then it fades."""
        config = self._config
        # Until then nothing is pulled.
        since = max(env_steps - max(self.goals_since, actor_begins(config)), 0)
        return 0.0 if self.own.discovering else faded(config.imitation, since, config.imitation_steps)

    def write(self) -> None:
        """Put what is new into the run's folder; forget files of which nothing is held any more."""
        if self._unwritten:
            self.segments += write_segments(Path(self._config.out), self._unwritten)
            self._unwritten, self._unwritten_bytes = [], 0
        held = self.own.n_episodes
        after = sum(segment.episodes for segment in self.segments)
        while self.segments and after - self.segments[0].episodes >= held:
            after -= self.segments.pop(0).episodes

    def state(self) -> dict[str, Any]:
        """All but the episodes, for JSON."""
        buffers = {name: buffer.state() for name, buffer in self.buffers.items()}
        return {
            "buffers": buffers,
            "mixing": self._mixing.bit_generator.state,
            "goals_since": self.goals_since,
            "unwritten": len(self._unwritten),
        }

    def restore(self, state: Mapping[str, Any], segments: Sequence[Segment]) -> None:
        """Go on from where a run of the same settings was.

        Args:
            state: what `state` gave there.
            segments: what `segments` was there.

        Raises:
            BadInput: a file of them is missing or damaged, or the state does not fit.
        """
        try:
            own, self._mixing.bit_generator.state = state["buffers"]["own"], state["mixing"]
            left = sum(segment.episodes for segment in segments) - int(own["n_episodes"])
            self.goals_since = int(state.get("goals_since", 0))
            if "source" in self.buffers:
                self.buffers["source"].go_on(state["buffers"]["source"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise BadInput("replay state", "what `state` gave", f"{type(error).__name__}: {error}") from error
        episodes = read_segments(Path(self._config.out), segments)
        self.own.restore(own, islice(episodes, max(left, 0), None))
        self.segments = list(segments)

    @property
    def description(self) -> str:
        """How much memory it takes when full, for people."""
        config = self._config
        capacity = self.own.capacity  # on disk all of it is reserved
        if not config.buffer_on_disk:
            capacity = min(capacity, max(self._likely, self._spec.max_episode_steps))
        size = buffer_bytes(self._spec, capacity, marks=_marks(config), ranks=config.candidates > 1)
        shown = f"{size / 1e6:,.1f} MB" if size >= 1e6 else f"{size / 1e3:,.0f} kB"
        where = "on disk" if self._config.buffer_on_disk else "in memory"
        return f"replay buffer of up to {capacity:,} transitions, {shown} when full, {where}"

    def _source(self, segments: Sequence[Segment]) -> HindsightBuffer:
        rows = sum(segment.transitions + segment.episodes for segment in segments)
        source = self._buffer(rows, Stream.SOURCE_REPLAY, rows)
        for episode in read_segments(located(self._config.source), segments):
            if len(episode) > self._spec.max_episode_steps:
                raise BadInput(
                    "source_share",
                    f"episodes of at most {self._spec.max_episode_steps} steps, the target's time limit",
                    f"one of {len(episode)} in the replay of {self._config.source}",
                    "Give the target the source's time limit, or choose a mode without its replay.",
                )
            source.add_episode(episode, foreign=True)
        return source

    def _buffer(self, most: int, stream: Stream, likely: int) -> HindsightBuffer:
        config, longest = self._config, self._spec.max_episode_steps
        capacity = max(min(config.capacity, most), longest)
        needed = 0 if config.buffer_on_disk else self._require_memory(min(capacity, max(likely, longest)))
        try:
            buffer = self._allocated(capacity, stream)
        except MemoryError as error:
            raise self._too_large(capacity) from error
        self._granted += needed
        buffer.discovering = config.discovery > 0
        return buffer

    def _allocated(self, capacity: int, stream: Stream) -> HindsightBuffer:
        config = self._config
        return HindsightBuffer(
            self._spec,
            capacity,
            strategy=config.relabel,
            n_sampled_goal=config.n_sampled_goal,
            seed=generator(config.seed, stream),
            disk=nearest_folder(Path(config.out)) if config.buffer_on_disk else None,
            informative_share=config.informative_share,
            marks=_marks(config),
            tells_new_goals=config.imitation > 0 and stream is Stream.REPLAY,  # none of the source's
            candidates=config.candidates if stream is Stream.REPLAY else 1,
        )

    def _require_memory(self, capacity: int) -> int:
        """The bytes that a buffer of so many transitions takes."""
        config = self._config
        needed = buffer_bytes(self._spec, capacity, marks=_marks(config), ranks=config.candidates > 1)
        if self._granted + needed > memory_bytes():
            raise self._too_large(capacity)
        return needed

    def _too_large(self, capacity: int) -> BadInput:
        config = self._config
        needed = buffer_bytes(self._spec, capacity, marks=_marks(config), ranks=config.candidates > 1)
        return BadInput(
            "capacity",
            f"a replay buffer that fits into the machine's memory, {memory_bytes() / 1e9:,.0f} GB",
            f"{needed / 1e9:,.1f} GB for {capacity:,} transitions"
            + (f" beside {self._granted / 1e9:,.1f} GB of another buffer" if self._granted else ""),
            "Lower --set capacity=..., or keep it on disk: --buffer-on-disk.",
        )


def discovery_steps(config: TrainConfig) -> int:
    """Env steps that discovery takes at most."""
    return config.discovery_steps or config.steps // 2


def _marks(config: TrainConfig) -> bool:
    """Whether buffers mark episodes that change what is achieved."""
    return config.discovery > 0 or config.informative_share > 0 or config.practice > 0


def _require_told_apart(config: TrainConfig, spec: GoalSpec) -> None:
    """That the env tells what is reached from what is not, for the settings that ask."""
    for name, idle in (("informative_share", 0), ("imitation", 0), ("candidates", 1), ("practice", 0)):
        value = getattr(config, name)
        if value > idle and not spec.sparse:
            least, most = spec.reward_range
            raise BadInput(
                name,
                f"{idle} where compute_reward does not give exactly two rewards, reached and not",
                f"{value:g} in {spec.recipe.env_id}, which gives {least:g} to {most:g}",
                f"Use the sparse version of the env, or --set {name}={idle}; --preset none leaves out all "
                "settings of a preset.",
            )


def _require_discovery(config: TrainConfig, spec: GoalSpec) -> None:
    """That it can be rewarded in the env, and that it can be seen when it is over."""
    fix = "--set discovery=0 goes without, or leave the preset out: --preset none."
    if not spec.sparse or spec.reward_range[0] > 0:
        least, most = spec.reward_range
        raise BadInput(
            "discovery",
            "0 where compute_reward gives other than exactly two rewards, the worse of them 0 or less",
            f"{config.discovery:g} in {spec.recipe.env_id}, which gives {least:g} to {most:g}",
            fix,
        )
    least_capacity = DISCOVERY_EPISODES * spec.max_episode_steps
    if config.capacity < least_capacity:
        raise BadInput(
            "capacity",
            f"room for the {DISCOVERY_EPISODES} episodes that discovery looks at, {least_capacity:,}",
            f"{config.capacity:,}",
            fix,
        )


def buffer_bytes(goal_spec: GoalSpec, capacity: int, *, marks: bool = False, ranks: bool = False) -> int:
    """Memory that a full buffer takes [bytes]."""
    return bytes_needed(
        capacity,
        goal_spec.max_episode_steps,
        goal_spec.observation_size,
        goal_spec.goal_size,
        goal_spec.action_size,
        marks=marks,
        ranks=ranks,
    )
