"""The ring of episodes: what is held, what leaves, how much memory it takes."""

import mmap
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import regoal
from regoal.agent.experience import buffer_bytes
from regoal.buffers.sizes import bytes_needed, rows_needed, slots_needed
from regoal.buffers.storage import EpisodeStorage
from regoal.errors import BadInput

from .reference import FakeScorer, ReferenceStorage, tagged_episode

LONGEST = 7
FETCH_PUSH = FakeScorer(observation_size=25, goal_size=3, action_size=4, max_episode_steps=50)

a_length = st.integers(1, LONGEST)
# Few episodes, enough to go round the ring several times, and so many short ones that rows run out first.
some_lengths = (
    st.lists(a_length, min_size=1, max_size=20)
    | st.lists(a_length, min_size=40, max_size=120)
    | st.lists(st.sampled_from([1] * 9 + [LONGEST]), min_size=40, max_size=120)
)
some_capacity = st.integers(LONGEST, 6 * LONGEST)


def new_storage(capacity: int, longest: int = LONGEST) -> EpisodeStorage:
    return EpisodeStorage(capacity, longest, observation_size=3, goal_size=2, action_size=1)


def filled(capacity: int, lengths: list[int]) -> EpisodeStorage:
    storage = new_storage(capacity)
    for number, length in enumerate(lengths):
        storage.add(tagged_episode(number, length))
    return storage


def numbers_held(storage: EpisodeStorage) -> list[int]:
    """Which tagged episodes are held, as their desired goals tell."""
    return [int(storage.desired_goal[slot, 0]) for slot in storage.slots()]


def array_bytes(storage: EpisodeStorage) -> int:
    held = [storage, storage.numbering, *([storage.marked] if storage.marked else [])]
    values = [value for one in held for value in vars(one).values()]
    return sum(value.nbytes for value in values if isinstance(value, np.ndarray))


@given(some_capacity, some_lengths)
def test_every_episode_held_is_whole_and_the_newest_stay(capacity: int, lengths: list[int]) -> None:
    storage = filled(capacity, lengths)
    numbers = numbers_held(storage)
    newest = list(range(len(lengths) - len(numbers), len(lengths)))
    assert numbers == newest, "episodes leave oldest first"
    assert len(numbers) == storage.n_episodes >= 1
    assert len(storage) == sum(lengths[number] for number in numbers) <= capacity
    rows_taken: set[int] = set()
    for slot, number in zip(storage.slots(), numbers, strict=True):
        expected = tagged_episode(number, lengths[number])
        assert storage.length[slot] == len(expected)
        first, last = int(storage.first_row[slot]), int(storage.first_row[slot] + storage.length[slot])
        rows = range(first, last + 1)
        assert rows_taken.isdisjoint(rows), "two episodes share a row"
        rows_taken.update(rows)
        assert np.array_equal(storage.observation[first : last + 1], expected.observation.astype(np.float32))
        assert np.array_equal(storage.achieved_goal[first : last + 1], expected.achieved_goal)
        assert np.array_equal(storage.action[first:last], expected.action.astype(np.float32))
        assert np.array_equal(storage.desired_goal[slot], expected.desired_goal)


@given(some_capacity, some_lengths)
def test_contents_agree_with_a_list_of_episodes_after_every_add(capacity: int, lengths: list[int]) -> None:
    storage, reference = new_storage(capacity), ReferenceStorage(capacity, LONGEST)
    assert len(storage.observation) == len(reference.owner)
    for number, length in enumerate(lengths):
        episode = tagged_episode(number, length)
        storage.add(episode)
        reference.add(episode)
        assert len(storage) == reference.n_transitions()
        slots = list(storage.slots())
        assert len(slots) == len(reference.kept)
        for slot, kept in zip(slots, reference.kept, strict=True):
            assert storage.first_row[slot] == kept.rows[0]
            assert storage.length[slot] == len(kept.episode)
            assert storage.numbering.first[slot] == kept.before
            for position, row in enumerate(kept.rows):
                assert tuple(storage.achieved_goal[row]) == tuple(kept.episode.achieved_goal[position])


@given(some_capacity, some_lengths)
def test_nothing_leaves_before_room_is_needed(capacity: int, lengths: list[int]) -> None:
    storage = filled(capacity, lengths)
    if sum(lengths) <= capacity and sum(length + 1 for length in lengths) <= rows_needed(capacity, LONGEST):
        assert numbers_held(storage) == list(range(len(lengths)))


@given(some_capacity, some_lengths)
def test_no_more_leaves_than_two_episodes_and_the_gap(capacity: int, lengths: list[int]) -> None:
    storage = filled(capacity, lengths)
    if storage.n_episodes < len(lengths):
        in_rows = len(storage) + storage.n_episodes
        full_by_transitions = len(storage) > capacity - LONGEST
        full_by_rows = in_rows > rows_needed(capacity, LONGEST) - 2 * (LONGEST + 1)
        assert full_by_transitions or full_by_rows


@given(some_capacity, some_lengths, st.integers(0, 2**32 - 1))
def test_drawn_transitions_lie_in_episodes_that_are_held(
    capacity: int, lengths: list[int], seed: int
) -> None:
    storage = filled(capacity, lengths)
    held = {number: lengths[number] for number in numbers_held(storage)}
    at = storage.draw(200, np.random.default_rng(seed))
    row = at.first_row + at.t
    for here, after, t, length in zip(
        storage.achieved_goal[row], storage.achieved_goal[row + 1], at.t, at.length, strict=True
    ):
        assert held[int(here[0])] == length
        assert tuple(here) == (here[0], t)
        assert tuple(after) == (here[0], t + 1)


@pytest.mark.parametrize("capacity", [LONGEST, 2 * LONGEST - 1, 2 * LONGEST, 10 * LONGEST + 3])
def test_episodes_of_full_length_fill_the_capacity(capacity: int) -> None:
    storage = filled(capacity, [LONGEST] * 50)
    assert len(storage) == capacity // LONGEST * LONGEST


@settings(max_examples=10)
@given(st.integers(0, 2**32 - 1))
def test_the_table_of_episodes_goes_round_again_and_again(seed: int) -> None:
    lengths = np.random.default_rng(seed).integers(1, LONGEST + 1, 700).tolist()
    storage, reference = new_storage(40), ReferenceStorage(40, LONGEST)
    for number, length in enumerate(lengths):
        episode = tagged_episode(number, length)
        storage.add(episode)
        reference.add(episode)
        assert numbers_held(storage) == [kept.episode.index for kept in reference.kept]
    slots = slots_needed(len(storage.observation))
    assert slots < 100, "seven hundred episodes went through a table of this length"
    assert len(storage.length) == slots


def test_the_table_of_episodes_has_room_for_the_shortest() -> None:
    storage = filled(2000, [1] * 900)
    assert numbers_held(storage) == list(range(900))
    assert len(storage) == 900
    rows = [int(storage.first_row[slot]) for slot in storage.slots()]
    assert rows == list(range(0, 1800, 2))


@pytest.mark.parametrize("short_ones", range(30, 62))
def test_short_episodes_at_the_end_of_the_ring_leave_before_those_at_its_start(short_ones: int) -> None:
    lengths = [1] * short_ones + [LONGEST]
    storage = filled(4 * LONGEST, lengths)
    numbers = numbers_held(storage)
    assert numbers == list(range(len(lengths) - len(numbers), len(lengths)))
    for slot, number in zip(storage.slots(), numbers, strict=True):
        assert storage.achieved_goal[storage.first_row[slot], 0] == number, "overwritten, but still held"


def test_an_episode_as_long_as_the_ring_allows_replaces_everything() -> None:
    storage = filled(LONGEST, [1, 2, LONGEST])
    assert numbers_held(storage) == [2]


def test_the_episode_is_copied() -> None:
    episode = tagged_episode(0, 3)
    storage = new_storage(20)
    storage.add(episode)
    for value in (episode.observation, episode.achieved_goal, episode.action, episode.desired_goal):
        value.fill(77.0)
    slot = next(storage.slots())
    assert np.array_equal(storage.achieved_goal[:4], [[0, 0], [0, 1], [0, 2], [0, 3]])
    assert not (storage.observation[:4] == 77).any()
    assert not (storage.action[:3] == 77).any()
    assert not (storage.desired_goal[slot] == 77).any()


def test_capacity_below_one_episode_is_refused() -> None:
    with pytest.raises(
        BadInput, match=r"buffer capacity: expected at least one episode, 7 transitions.*got 6"
    ):
        new_storage(6)


@pytest.mark.parametrize("length", [0, LONGEST + 1])
def test_an_episode_of_impossible_length_is_refused_and_nothing_changes(length: int) -> None:
    storage = filled(20, [3, 4])
    with pytest.raises(BadInput, match=rf"episode length: expected 1 to {LONGEST} steps, got {length}"):
        storage.add(tagged_episode(2, length))
    assert numbers_held(storage) == [0, 1]
    assert len(storage) == 7


def test_drawing_from_an_empty_storage_is_refused() -> None:
    with pytest.raises(BadInput, match="empty buffer"):
        new_storage(20).draw(1, np.random.default_rng(0))


@pytest.mark.parametrize("capacity", [20_000, 1_000_000])
def test_memory_is_within_a_fifth_of_plain_arithmetic(capacity: int) -> None:
    spec = FETCH_PUSH
    storage = EpisodeStorage(
        capacity, spec.max_episode_steps, spec.observation_size, spec.goal_size, spec.action_size
    )
    plain = capacity * (spec.observation_size + spec.goal_size + spec.action_size) * 4
    assert plain <= array_bytes(storage) <= 1.2 * plain
    assert buffer_bytes(spec, capacity) == array_bytes(storage)


@pytest.mark.parametrize("length", [50, 5, 1])
def test_memory_promised_is_memory_taken_whatever_the_length_of_episodes(length: int) -> None:
    spec, capacity = FETCH_PUSH, 5_000
    storage = EpisodeStorage(
        capacity, spec.max_episode_steps, spec.observation_size, spec.goal_size, spec.action_size
    )
    for number in range(6_000 // length):
        storage.add(tagged_episode(number, length, spec))
    assert len(storage) > capacity / 2
    assert array_bytes(storage) == buffer_bytes(spec, capacity)
    assert bytes_needed(capacity, 50, 25, 3, 4) == buffer_bytes(spec, capacity)


def test_a_storage_on_disk_holds_the_same_and_leaves_no_file(tmp_path: Path) -> None:
    lengths = np.random.default_rng(0).integers(1, LONGEST + 1, 200).tolist()
    in_memory = filled(40, lengths)
    on_disk = EpisodeStorage(40, LONGEST, observation_size=3, goal_size=2, action_size=1, disk=tmp_path)
    for number, length in enumerate(lengths):
        on_disk.add(tagged_episode(number, length))
    assert list(tmp_path.iterdir()) == []
    one, other = (storage.draw(500, np.random.default_rng(1)) for storage in (in_memory, on_disk))
    for name in ("observation", "achieved_goal", "action"):
        for offset in (0, 1) if name != "action" else (0,):
            assert np.array_equal(
                getattr(in_memory, name)[one.first_row + one.t + offset],
                getattr(on_disk, name)[other.first_row + other.t + offset],
            )
    assert isinstance(on_disk.rows.base, mmap.mmap)


def test_a_disk_that_is_too_small_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=10_000))
    with pytest.raises(BadInput, match=r"buffer_on_disk: expected 1\.1 GB free.*got 0\.0 GB"):
        EpisodeStorage(40, LONGEST, observation_size=3, goal_size=2, action_size=1, disk=tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits a process's private memory")
@pytest.mark.parametrize(("disk", "outcome"), [("None", "MemoryError"), ("folder", "filled and sampled")])
def test_a_buffer_larger_than_the_memory_a_process_may_have(tmp_path: Path, disk: str, outcome: str) -> None:
    program = f"""
import resource, sys
from pathlib import Path
sys.path[:] = {sys.path!r}
import numpy as np
from regoal.buffers.episode import Episode
from regoal.buffers.storage import EpisodeStorage
folder = Path({str(tmp_path)!r})
private = [line for line in open("/proc/self/status") if line.startswith("VmData")][0]
limit = int(private.split()[1]) * 1024 + 100_000_000
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
try:
    storage = EpisodeStorage(2_000_000, 1000, 25, 3, 4, disk={disk})
except MemoryError:
    sys.exit("MemoryError")
assert storage.rows.nbytes > 2.5 * 100_000_000
for number in range(2000):
    storage.add(Episode(np.full((1001, 25), number), np.full((1001, 3), number), np.full(3, number),
                        np.zeros((1000, 4)), np.zeros(1000), False, np.zeros(1000, bool)))
assert len(storage) == 2_000_000
at = storage.draw(100_000, np.random.default_rng(0))
assert np.array_equal(storage.observation[at.first_row + at.t, 7], storage.desired_goal[at.episode, 0])
assert len(set(at.episode.tolist())) == 2000
sys.exit("filled and sampled")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=100)
    assert done.stderr.strip().splitlines()[-1] == outcome
    assert list(tmp_path.iterdir()) == []


def test_floats_are_stored_in_single_precision() -> None:
    storage = new_storage(20)
    for values in (storage.observation, storage.achieved_goal, storage.action, storage.desired_goal):
        assert values.dtype == np.float32


def test_rollout_workers_can_import_episodes_without_torch() -> None:
    modules = "regoal.buffers.episode, regoal.buffers.storage, regoal.buffers.strategies"
    source = Path(regoal.__file__).parents[1]
    program = (
        f"import sys; sys.path.insert(0, {str(source)!r}); import {modules}\nsys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr or "torch was imported"
