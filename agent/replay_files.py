"""Experience kept with a run: immutable segments of whole episodes, found through the newest checkpoint.

    replay/
      00000000-1f0c….safetensors    episodes 0 to 99: numbers, and texts as JSON in its metadata
      00000100-9a77….safetensors    episodes 100 to 199

A checkpoint lists the segments that belong to it by name, size and SHA-256; only new episodes are written.
Loading runs no code.
"""

import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from regoal.agent import array_file
from regoal.agent.array_file import Arrays, read_arrays, to_bytes
from regoal.agent.durable import matches, parsed, require_damage, sha256, sync
from regoal.buffers.episode import Episode
from regoal.errors import BadInput

FOLDER = "replay"
DOMAINS = "domains"  # where each episode was played: env id and shift
MOST_BYTES = 63 << 20  # of the contents of a segment, which stays below 64 MB with its header
NAME = re.compile(r"[0-9]{8,}-[0-9a-f]{16}\.safetensors")
# Arrays of numbers for every step (T), every state (T + 1) or every episode.
STEPS = {"action": np.float32, "reward": np.float32, "success": np.bool_}
STATES = {"observation": np.float32, "achieved_goal": np.float32}
RANK = "rank"  # of every state, where it was worked out
EPISODES = {"length": np.int64, "index": np.int64, "terminated": np.bool_, "desired_goal": np.float32}


@dataclass(frozen=True)
class Segment:
    """One file of episodes.

    Attributes:
        name: of the file, in the run's replay folder.
        size: of the file [bytes].
        sha256: of its contents.
        episodes: how many are in it.
        transitions: how many are in it.
    """

    name: str
    size: int
    sha256: str
    episodes: int
    transitions: int


def write_segments(run: Path, episodes: Sequence[Episode]) -> list[Segment]:
    """Write episodes to new segments of a run; they are on disk when this returns.

    The same episodes make the same files, so writing them again changes nothing.
    """
    folder = run / FOLDER
    folder.mkdir(exist_ok=True)
    for left in folder.glob(".stage-*"):  # of a process that was killed while it wrote
        left.unlink()
    segments = [_write(folder, part) for part in _parts(episodes)]
    sync(folder)
    return segments


def read_segments(run: Path, segments: Sequence[Segment]) -> Iterator[Episode]:
    """The episodes of a run's segments, in order, one file in memory at a time.

    Raises:
        BadInput: a segment is missing or damaged; those before it have been given.
    """
    for segment in segments:
        fault = segments_fault(run, [segment])
        if fault is not None:
            raise BadInput(f"{run} replay", "the files that were saved", fault, "Copy the run again, whole.")
        yield from _read(run / FOLDER / segment.name, segment)


def segments_fault(run: Path, segments: Iterable[Segment], *, damage_alone: bool = False) -> str | None:
    """What is wrong with the first segment that is not as it was saved, or None.

    Args:
        run: its folder.
        segments: of it.
        damage_alone: nothing else is told.

    Raises:
        BadInput: with `damage_alone`, one cannot be read just now.
    """
    for segment in segments:
        path = run / FOLDER / segment.name
        if not NAME.fullmatch(segment.name):
            return f"no file {segment.name}"
        try:
            # The size first: what is not as large as it should be is not read.
            if not matches(path, segment.size, segment.sha256, array_file.MOST_BYTES):
                return f"{segment.name} is damaged"
        except FileNotFoundError:
            return f"no file {segment.name}"
        except OSError as error:
            if damage_alone:
                require_damage(path, error)
            return str(error)
    return None


def parsed_segments(values: Any) -> list[Segment]:
    """Segments as a checkpoint lists them.

    Raises:
        BadInput: it is no such list.
    """
    try:
        segments = [Segment(**value) for value in values]
        for one in segments:
            kinds = {"name": str, "size": int, "sha256": str, "episodes": int, "transitions": int}
            if any(type(getattr(one, name)) is not kind for name, kind in kinds.items()):
                raise ValueError(f"{one}")
            if not NAME.fullmatch(one.name) or not 0 < one.episodes <= one.transitions <= one.size:
                raise ValueError(f"{one}")
    except (TypeError, ValueError) as error:
        got = str(error)[:200]
        raise BadInput("replay", "a list of segments", got, "The checkpoint is damaged.") from error
    return segments


def sweep(run: Path, kept: Iterable[Segment]) -> None:
    """Delete what no checkpoint lists: left by a process that was killed, or no longer held."""
    names = {segment.name for segment in kept}
    folder = run / FOLDER
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.name not in names and not path.is_dir():
            path.unlink()
    if not names and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def stored_bytes(episode: Episode) -> int:
    """What an episode takes in a segment: single precision, as in a buffer, and its texts."""
    values = episode.observation.size + episode.achieved_goal.size + episode.action.size
    texts = len(episode.shift) + len(episode.env) + 32
    ranks = 0 if episode.rank is None else episode.rank.size
    return 4 * (values + ranks + episode.desired_goal.size) + 5 * len(episode) + texts


def _parts(episodes: Sequence[Episode]) -> Iterator[list[Episode]]:
    """Runs of episodes that fit into a segment, one at the least."""
    part: list[Episode] = []
    size = 0
    for episode in episodes:
        needed = stored_bytes(episode)
        if part and size + needed > MOST_BYTES:
            yield part
            part, size = [], 0
        part.append(episode)
        size += needed
    if part:
        yield part


def _write(folder: Path, episodes: Sequence[Episode]) -> Segment:
    arrays: Arrays = {
        "length": np.array([len(one) for one in episodes], np.int64),
        "index": np.array([one.index for one in episodes], np.int64),
        "terminated": np.array([one.terminated for one in episodes], np.bool_),
        "desired_goal": np.stack([one.desired_goal for one in episodes]).astype(np.float32),
    }
    for name in ("observation", "achieved_goal", "action", "reward"):
        arrays[name] = np.concatenate([getattr(one, name) for one in episodes]).astype(np.float32)
    arrays["success"] = np.concatenate([one.success for one in episodes])
    ranks = [one.rank for one in episodes if one.rank is not None]
    if len(ranks) == len(episodes):
        arrays[RANK] = np.concatenate(ranks)
    # One text: several would stand in the file in an order of chance.
    contents = to_bytes(arrays, {DOMAINS: json.dumps([(one.env, one.shift) for one in episodes])})
    digest = sha256(contents)
    name = f"{episodes[0].index:08d}-{digest[:16]}.safetensors"
    stage = folder / f".stage-{os.getpid()}"
    try:
        stage.write_bytes(contents)
        sync(stage)
        stage.rename(folder / name)
    except BaseException:
        stage.unlink(missing_ok=True)  # a full disk needs the room
        raise
    return Segment(name, len(contents), digest, len(episodes), int(arrays["length"].sum()))


def _read(path: Path, segment: Segment) -> Iterator[Episode]:
    arrays, metadata = read_arrays(path)
    try:
        domains = parsed(metadata[DOMAINS].encode())
        _check(arrays, domains, segment)
    except (KeyError, TypeError, ValueError) as error:
        got = f"{type(error).__name__}: {str(error)[:200]}"
        raise BadInput(str(path), "whole episodes", got, array_file.DAMAGED) from error
    step = state = 0
    for i, length in enumerate(arrays["length"].tolist()):
        steps, states = slice(step, step + length), slice(state, state + length + 1)
        step, state = steps.stop, states.stop
        yield Episode(
            observation=arrays["observation"][states],
            achieved_goal=arrays["achieved_goal"][states],
            desired_goal=arrays["desired_goal"][i],
            action=arrays["action"][steps],
            reward=arrays["reward"][steps],
            terminated=bool(arrays["terminated"][i]),
            success=arrays["success"][steps],
            index=int(arrays["index"][i]),
            env=domains[i][0],
            shift=domains[i][1],
            rank=arrays[RANK][states] if RANK in arrays else None,
        )


def _check(arrays: Arrays, domains: Any, segment: Segment) -> None:
    """That arrays are those of the episodes that a checkpoint tells of.

    Raises:
        KeyError, TypeError, ValueError: they are not.
    """
    length = arrays["length"]
    rows = {**dict.fromkeys(STEPS, segment.transitions), **dict.fromkeys(EPISODES, segment.episodes)}
    rows |= dict.fromkeys(STATES, segment.transitions + segment.episodes)
    dtypes = STEPS | STATES | EPISODES
    if RANK in arrays:
        rows[RANK], dtypes[RANK] = segment.transitions + segment.episodes, np.float32
    if set(arrays) != set(rows):
        raise ValueError(f"arrays {sorted(arrays)}")
    for name, array in arrays.items():
        flat = name not in ("observation", "achieved_goal", "desired_goal", "action")
        if array.dtype != dtypes[name] or array.ndim != (1 if flat else 2) or len(array) != rows[name]:
            raise ValueError(f"{name} of {array.dtype} and shape {array.shape}")
    if (length < 1).any() or (length > segment.transitions).any() or length.sum() != segment.transitions:
        raise ValueError(f"{int(length.sum())} steps instead of {segment.transitions}")
    texts = [[type(one) for one in pair] == [str, str] for pair in domains]
    if len(texts) != segment.episodes or not all(texts):
        raise ValueError("no env and shift for every episode")
