"""Checkpoints as numbered generations: safetensors and JSON only, nothing that runs code when loaded.

    checkpoints/
      000003/ manifest.json   schema, SHA-256 and size of every file, and of the manifest itself
              actor.safetensors   weights and input statistics of the policy
              learner.safetensors all arrays to go on learning
              snapshots.safetensors policies that were playing, and what an anchor pulls to
              state.json          how far the run is, generators, settings of the policy, replay files

A generation is written beside the others, synced, and renamed into place; it is never changed afterwards.
The newest is the highest number whose manifest verifies.
"""

import json
import os
import re
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from regoal.agent.array_file import MOST_BYTES, Arrays, read_arrays, to_bytes
from regoal.agent.durable import MOST_JSON_BYTES, matches, parsed, read_plain, require_damage, sha256, sync
from regoal.agent.policy import Policy
from regoal.agent.replay_files import Segment, parsed_segments, sweep
from regoal.agent.saved_policy import arrays_of, policy_of, settings_of
from regoal.agent.shipped import located, suggestion
from regoal.errors import BadInput, TrainingFault

SCHEMA = 3
KEEP = 3
FILES = {"actor.safetensors", "learner.safetensors", "snapshots.safetensors", "state.json"}
MOST_MANIFEST_BYTES = 1 << 16  # a larger one is none
STAYS = "The last checkpoint stays."
GENERATION = re.compile(r"[0-9]{6}|[1-9][0-9]{6,}")  # name of its folder


class OtherSchema(ValueError):
    """A generation is of another version."""


@dataclass(frozen=True)
class Checkpoint:
    """A generation on disk that verified.

    Attributes:
        path: its folder.
        state: contents of state.json.
    """

    path: Path
    state: dict[str, Any]

    def policy(self) -> Policy:
        """The policy, ready to act.

        Raises:
            BadInput: it is none, or not finite.
        """
        path = self.path / "actor.safetensors"
        return policy_of(read_arrays(path)[0], self.state["policy"], str(path))

    @property
    def segments(self) -> list[Segment]:
        """Files of the run's episodes up to this checkpoint, in order; none where they were not kept."""
        return parsed_segments(self.state["replay"])

    @property
    def exported(self) -> bool:
        """Whether it is that of an export (`exporting`), which lacks what only a run that goes on needs."""
        progress = self.state["progress"]
        return isinstance(progress, dict) and progress.get("exported") is True

    def learner_arrays(self) -> Arrays:
        """Arrays of the learner: `learner.state_of`, or `learner.exported_state` in an export."""
        return read_arrays(self.path / "learner.safetensors")[0]

    def snapshots(self) -> Arrays:
        """Arrays of policies that were playing, and of the anchor."""
        return read_arrays(self.path / "snapshots.safetensors")[0]


def save_checkpoint(
    run: Path,
    policy: Policy,
    learner: Arrays,
    progress: Mapping[str, Any],
    *,
    snapshots: Arrays | None = None,
    replay: Sequence[Segment] = (),
    complete: bool = True,
) -> Path:
    """Write the next generation of a run and drop all but the newest `KEEP`.

    Args:
        run: the run folder.
        policy: to act with.
        learner: to go on learning with.
        progress: how far the run is, and all else that JSON can hold.
        snapshots: arrays that go on playing or pulling while the learner learns.
        replay: segments of episodes that belong to it, which are on disk already.
        complete: whether that is all of them; if not, older generations stay, for one of them is complete.

    Raises:
        TrainingFault: something is not finite; nothing was written, so the last good generation stays.
        OSError: it cannot be written; the last good generation stays.
    """
    actor = arrays_of(policy)
    snapshots = snapshots or {}
    for name, value in (actor | learner | snapshots).items():
        if not np.isfinite(value).all():
            raise TrainingFault(f"{run} {name}", "finite numbers to save", "NaN or infinity", STAYS)
    state = {
        "schema": SCHEMA,
        "progress": progress,
        "replay": [asdict(segment) for segment in replay],
        "policy": settings_of(policy),
    }
    try:
        text = json.dumps(state, indent=1, allow_nan=False).encode()
    except ValueError as error:
        raise TrainingFault(f"{run} state", "finite numbers to save", str(error), STAYS) from error
    files = {
        "actor.safetensors": to_bytes(actor),
        "learner.safetensors": to_bytes(learner),
        "snapshots.safetensors": to_bytes(snapshots),
        "state.json": text,
    }
    folder = run / "checkpoints"
    folder.mkdir(exist_ok=True)
    sync(run)
    clear_stages(run)
    number = max(_generations(folder), default=0) + 1
    stage = folder / f".stage-{os.getpid()}"
    target = folder / f"{number:06d}"
    try:
        _write_all(stage, files)
        stage.rename(target)
    except BaseException:
        shutil.rmtree(stage, ignore_errors=True)  # a full disk needs the room
        raise
    sync(folder)
    if complete:
        for old in sorted(_generations(folder))[:-KEEP]:
            shutil.rmtree(folder / f"{old:06d}")
        _sweep(run, folder)
    return target


def clear_stages(run: Path) -> None:
    """Take away what a process left that was killed while it saved."""
    for left in (run / "checkpoints").glob(".stage-*"):
        shutil.rmtree(left)


def newest_checkpoint(run: Path) -> Checkpoint:
    """The newest generation of a run that is whole; damaged ones are passed over with a warning.

    Raises:
        BadInput: there is no run folder or no whole generation in it.
    """
    for checkpoint in whole_checkpoints(run):
        return checkpoint
    raise BadInput(
        "run", "a checkpoint that is whole", f"none in {run}", "Train again, or copy the run again."
    )


def whole_checkpoints(run: Path, *, damage_alone: bool = False) -> Iterator[Checkpoint]:
    """The generations of a run that are whole, newest first; damaged ones are passed over with a warning.

    Args:
        run: its folder, or the name of a shipped agent.
        damage_alone: nothing else is passed over, for whoever takes away what is not whole.

    Raises:
        BadInput: there is no run folder; or with `damage_alone` a generation is of another version, or cannot
            be read just now.
    """
    folder = located(run) / "checkpoints"
    try:
        numbers = sorted(_generations(folder), reverse=True)
    except OSError as error:
        got = f"{run} ({error.strerror})" if os.path.exists(run) else f"{run}, which does not exist"
        raise BadInput("run", "a run folder with checkpoints", got, _runs_below(run)) from error
    for number in numbers:
        path = folder / f"{number:06d}"
        try:
            checkpoint = Checkpoint(path, _state(path))
        except (OSError, ValueError, KeyError, TypeError) as error:
            if damage_alone:
                _require_damage(path, error)
            warnings.warn(f"{path}: {error}; falling back to the generation before", stacklevel=3)
        else:
            yield checkpoint


def refuse_export(
    run: Path,
    expected: str,
    fix: str = "Fine-tune from it, or train again with the command in its run.toml.",
) -> None:
    """Refuse a run that is an export where that has not what is needed.

    Raises:
        BadInput: it is one, or there is no run folder.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # whoever loads it tells what is damaged
        checkpoint = next(whole_checkpoints(run), None)
    if checkpoint is not None and checkpoint.exported:
        got = f"{run}, an export: networks without optimisers and episodes"
        raise BadInput("run", expected, got, fix)


def _require_damage(path: Path, error: Exception) -> None:
    if isinstance(error, OtherSchema):
        fix = "Go on with the version that began it, or take the folder away."
        raise BadInput(f"{path}", f"a checkpoint of schema {SCHEMA}", str(error), fix) from error
    if isinstance(error, OSError):
        require_damage(path, error)


def _state(path: Path) -> dict[str, Any]:
    """The contents of state.json of a generation whose files are all as they were saved.

    Raises:
        OSError, ValueError, KeyError, TypeError: they are not.
    """
    for name, (size, digest) in _manifest(path).items():
        # The size first: what is not as large as it should be is not read.
        if not matches(path / name, size, digest, MOST_BYTES):
            raise ValueError(f"{name} is damaged")
    state = parsed(read_plain(path / "state.json", MOST_JSON_BYTES))
    if not isinstance(state, dict) or set(state) != {"schema", "progress", "replay", "policy"}:
        raise ValueError("its state is none")
    return state


def _manifest(path: Path) -> dict[str, tuple[int, str]]:
    """Size and SHA-256 of each file of a generation, as its manifest says.

    Raises:
        OSError, ValueError, KeyError, TypeError: it is not as it was written.
    """
    manifest = parsed(read_plain(path / "manifest.json", MOST_MANIFEST_BYTES))
    schema, files = manifest["schema"], dict(manifest["files"])
    plain = type(schema) is int and all([*map(type, pair)] == [int, str] for pair in files.values())
    if not plain or manifest["sha256"] != _digest_of({"schema": schema, "files": files}):
        raise ValueError("its manifest is damaged")
    if schema != SCHEMA:
        raise OtherSchema(f"it has schema {schema}, this version reads {SCHEMA}")
    if set(files) != FILES:
        raise ValueError("its manifest is damaged")
    return files


def _write_all(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files and their manifest into a new folder; all of it is on disk when this returns."""
    folder.mkdir()
    digests = {}
    for name, contents in files.items():
        most = MOST_JSON_BYTES if name.endswith(".json") else MOST_BYTES  # what can be read back
        if len(contents) > most:
            fix = "Use smaller networks." if most == MOST_BYTES else ""
            raise BadInput(name, f"at most {most:,} bytes", f"{len(contents):,}", fix)
        digests[name] = len(contents), sha256(contents)
        _write(folder / name, contents)
    body = {"schema": SCHEMA, "files": digests}
    manifest = json.dumps(body | {"sha256": _digest_of(body)}, indent=1)
    _write(folder / "manifest.json", manifest.encode())
    sync(folder)


def _write(path: Path, contents: bytes) -> None:
    path.write_bytes(contents)
    sync(path)


def _sweep(run: Path, folder: Path) -> None:
    """Delete episodes that no generation lists; none at all where one of them cannot be read just now."""
    try:
        kept = list(_listed(folder))
    except OSError:
        return
    sweep(run, kept)


def _listed(folder: Path) -> Iterator[Segment]:
    """Segments that any generation lists, whole or not.

    Raises:
        OSError: the disk did not let one be read.
    """
    for number in _generations(folder):
        try:
            contents = read_plain(folder / f"{number:06d}" / "state.json", MOST_JSON_BYTES)
            yield from parsed_segments(parsed(contents)["replay"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):  # damaged: it lists nothing
            continue


def _generations(folder: Path) -> list[int]:
    return [int(path.name) for path in folder.iterdir() if GENERATION.fullmatch(path.name)]


def _runs_below(run: Path) -> str:
    below = sorted(path.parent for path in run.glob("*/checkpoints"))[:10]
    if below:
        return f"Did you mean {' or '.join(str(path) for path in below)}?"
    return "" if os.path.exists(run) else suggestion(run)


def _digest_of(body: dict[str, Any]) -> str:
    return sha256(json.dumps(body, sort_keys=True).encode())
